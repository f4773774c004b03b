"""The tests of fakeredis against a real server, over both protocols, each as passed or failed.

They say of each command what a server answers: fakeredis, which imitates one, is held to them as well.
They are those of its source, which is fetched and not kept here. What a server is too old for counts as
passed: the two servers differ in that.
"""

import os
import sys
import tempfile
from pathlib import Path

import pytest
import redis

from outcomes import tell
from transcript import HOST, PORT

SOURCE = Path(os.environ["LARDER_FAKEREDIS"])

FILES = """bitmap_commands generic_commands generic_scan_commands geo_commands hash_commands
hash_expire_commands list_commands scripting_commands set_commands sortedset_commands sortedset_zadd
streams_commands string_commands transactions_commands""".split()
# Not those that wait for seconds, nor those that move half a gigabyte.
NAMES = "not (expire or expiry or getex or block or timedelta or setrange)"

# The tests in which the two servers differ, and why that is right.
KNOWN = {
    "test_script_help73": "the texts of HELP are Larder's own",
    "test_xclaim_of_an_entry_deleted_from_the_stream_releases_the_owner": "what it expects is answered since 7.2",
}


def to_the_server(connect):
    """The tests know one address alone: this leads from there to the server."""

    def init(self, **arguments):
        connect(self, **(arguments | {"host": HOST, "port": PORT}))

    return init


def main():
    redis.Connection.__init__ = to_the_server(redis.Connection.__init__)
    sys.path.insert(0, str(SOURCE))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["--quiet", "--tb", "line", "--junit-xml", report, "--rootdir", SOURCE]
        options += ["-p", "no:cacheprovider", "-W", "ignore", "--timeout", "60", "-m", "real", "-k", NAMES]
        files = [SOURCE / f"test/test_mixins/test_{name}.py" for name in FILES]
        stdout = os.dup(1)
        os.dup2(2, 1)
        pytest.main([str(word) for word in options + files])
        os.dup2(stdout, 1)
        tell(report, KNOWN)


main()
