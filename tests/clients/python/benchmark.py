"""Whether redis-benchmark does all that it does, in each of its ways, without an error.

Printed is what it measured, not how fast that was.
"""

import csv
import subprocess

from redis import Redis

from transcript import HOST, PORT, part, say

redis = Redis(HOST, PORT, decode_responses=True)


def measured(*options):
    """The rows that it prints, and what it complains of."""
    command = ["redis-benchmark", "-h", HOST, "-p", str(PORT), "-n", "2000", "-c", "10", "--csv", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    return {
        "rows": [row["test"] for row in rows if float(row["rps"]) > 0],
        "complaints": done.stderr.strip(),
        "status": done.returncode,
    }


part("everything")
say("one by one", measured())
say("in pipelines", measured("-P", "16", "-t", "set,get,incr,lpush,lpop,sadd,spop,zadd,zpopmin,hset,mset"))
say("over RESP3", measured("-3", "-t", "set,get,zadd"))
say("by threads", measured("--threads", "2", "-t", "set,get"))
say("in another database", [measured("--dbnum", "3", "-t", "set"), Redis(HOST, PORT, db=3).dbsize()])

part("its own keys")
redis.flushall()
say("random keys", [measured("-r", "100000", "-t", "set"), redis.dbsize() > 1500])
say("a command", measured("-r", "50", "ZADD", "board", "__rand_int__", "member:__rand_int__"))
say("what it left", [redis.type("board"), redis.zcard("board") <= 50])
say("a script", measured("EVAL", "return redis.call('INCR', KEYS[1])", "1", "counted"))
say("counted", redis.get("counted"))
