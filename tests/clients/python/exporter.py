"""What redis_exporter makes of INFO, CONFIG, SLOWLOG, LATENCY and of keys it is told to look at.

Printed are the names and labels of the metrics, and those values that are the same for each server.
"""

import re
import socket
import subprocess
import sys
import urllib.request

from redis import Redis

from transcript import HOST, PORT, URL, part, say, until

# What no two servers share: labels that differ from run to run.
SHAPED = ("os", "process_id", "redis_build_id", "redis_version", "run_id", "tcp_port")
# Metrics whose value follows from what was done here.
EQUAL = re.compile(
    r"redis_(up|db_keys|db_keys_expiring|key_size|key_value|slowlog_length|connected_slaves|evicted_keys_total|"
    r"keyspace_hits_total|keyspace_misses_total|stream_(?!group_consumer_idle)\w+|config_maxclients|pubsub_\w+|"
    r"blocked_clients|exporter_last_scrape_error|loading_dump_file|instance_info)$"
)


# Metrics that Larder has none of, as `absent_fields` in the engine says why, and a command of 7.2.
ABSENT = re.compile(
    r"redis_(allocator_|cpu_\w+_main_thread_|memory_used_lua_|rdb_changes_since_last_save)|.*cmd=\"client\|setinfo\""
)


def work():
    """Leaves something of each kind to be seen."""
    redis = Redis(HOST, PORT, decode_responses=True)
    redis.config_set("slowlog-log-slower-than", 0)
    redis.set("counter", 7)
    redis.set("fleeting", "x", ex=1000)
    redis.rpush("queue", *"abc")
    redis.xadd("events", {"kind": "login"}, id="1-1")
    redis.xgroup_create("events", "readers", id="0")
    redis.xreadgroup("readers", "ann", {"events": ">"})
    redis.get("none")
    for failing in ("INCR queue", "NOSUCH"):
        try:
            redis.execute_command(*failing.split())
        except Exception as error:
            say(failing, error)
    redis.config_set("slowlog-log-slower-than", -1)


def metrics(url):
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    for line in lines:
        if line.startswith("redis_"):
            name, _, value = line.rpartition(" ")
            for label in SHAPED:
                name = re.sub(rf'([{{,]{label}=)"[^"]*"', r"\1<...>", name)
            yield name, value


def is_up(url):
    try:
        return any(name == "redis_up" for name, _ in metrics(url))
    except OSError:
        return False


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def main():
    part("work")
    work()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        ["prometheus-redis-exporter", "-redis.addr", URL.rpartition("/")[0], "-web.listen-address", f"127.0.0.1:{port}"]
        + ["-include-system-metrics", "-check-single-keys", "counter,queue,events", "-check-single-streams", "events"],
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr,
    )
    try:
        until(lambda: is_up(url))
        part("metrics")
        for name, value in sorted(metrics(url)):
            if ABSENT.match(name):
                continue
            bare = name.partition("{")[0]
            say(name, float(value) if EQUAL.match(bare) else "some")
    finally:
        process.kill()
        process.wait()


main()
