"""redis-py's own tests, over the protocol that the first argument names, each as passed or failed.

The tests are those of redis-py's source, which is fetched and not kept here. What a server is too old
for counts as passed: the two servers differ in that.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from outcomes import tell
from transcript import URL

SOURCE = Path(os.environ["LARDER_REDIS_PY"])

# Not those that need replicas, clusters, modules or TLS.
FILES = """test_commands test_pipeline test_pubsub test_scripting test_function test_lock test_monitor
test_encoding test_keyspace_notifications test_cache test_asyncio/test_scripting
test_asyncio/test_pipeline test_asyncio/test_monitor""".split()
MARKS = "not (redismod or onlycluster or ssl or cp_integration or replica)"
# Nor those that ask a server on the usual port whatever they are told, or that wait for seconds, or that
# fail on a busy machine, whatever the server.
NAMES = "not (client_setinfo or RedisDown or AutoDecoding or BlockingListen or subscribe_messages or interrupted)"

# The tests in which the two servers differ, and why that is right.
KNOWN = {
    "test_acl_getuser_setuser": "what it expects is answered since 7.2",
    "test_acl_log": "what it expects is answered since 7.2",
    "test_xgroup_create_entriesread": "what it expects of a group's lag is told since Redis 8",
}


def main(protocol):
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--quiet", "--tb", "line", "-W", "ignore"]
            + ["--timeout", "60", "--timeout-method", "signal", "--junit-xml", report, "-m", MARKS, "-k", NAMES]
            + ["--redis-url", URL, "--protocol", protocol, *(f"tests/{name}.py" for name in FILES)],
            cwd=SOURCE,
            stdout=subprocess.DEVNULL,
        )
        tell(report, KNOWN)


main(sys.argv[1])
