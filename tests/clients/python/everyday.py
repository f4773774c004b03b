"""What programs do with redis-py, over the protocol that the first argument names (2 or 3).

Prints a transcript, in which what differs from run to run is replaced by its shape.
"""

import asyncio
import sys
import threading
import time
from datetime import timedelta

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from transcript import HOST, PORT, part, say, say_of, until

PROTOCOL = int(sys.argv[1])
ADDRESS = {"host": HOST, "port": PORT, "protocol": PROTOCOL}

# What CLIENT INFO says of every client, and what of it is the same for all servers.
CLIENT_FIELDS = (
    "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem "
    "rbs rbp obl oll omem tot-mem events cmd user redir resp"
).split()
CONSTANT = {"name", "flags", "db", "sub", "psub", "multi", "oll", "omem", "events", "cmd", "user"}
INFO_FIELDS = "redis_version redis_mode run_id role used_memory cluster_enabled loading".split()

# An error is to be seen at once: nothing is tried again.
r = redis.Redis(**ADDRESS, decode_responses=True, retry=Retry(NoBackoff(), 0))
raw = redis.Redis(**ADDRESS)


def connections():
    part("connections")
    say("ping", r.ping())
    say("echo", r.echo("日本"))
    say("name", [r.client_setname("everyday"), r.client_getname()])
    client = r.client_info()
    say("client", {field: client[field] for field in CLIENT_FIELDS if field in CONSTANT})
    say("lacks", [field for field in CLIENT_FIELDS if field not in r.client_list()[0]])
    say("info lacks", [field for field in INFO_FIELDS if field not in r.info()])
    say("hello", r.execute_command("HELLO", PROTOCOL)["proto"] if PROTOCOL == 3 else 2)
    say_of("a protocol that is not there", lambda: r.execute_command("HELLO", 9))
    say_of("an unknown command", lambda: r.execute_command("NOSUCH", "a", "b"))
    say_of("too few words", lambda: r.execute_command("GET"))
    say_of("an unknown subcommand", lambda: r.execute_command("CLIENT", "NOSUCH"))
    other = redis.Redis(**ADDRESS, db=5, decode_responses=True)
    other.set("key", "in five")
    say("databases", [other.get("key"), r.get("key"), other.dbsize(), r.dbsize()])
    say("moved", [other.move("key", 0), r.get("key"), other.exists("key")])
    say_of("a password where there is none", lambda: r.execute_command("AUTH", "secret"))
    seconds, microseconds = r.time()
    say("time", abs(seconds - time.time()) < 60 and 0 <= microseconds < 1_000_000)
    say("info", [key in r.info() for key in ("redis_version", "connected_clients", "used_memory")])
    say("config", r.config_get("maxmemory"))
    say("the table of commands", [r.command_getkeys("MSET", "a", 1, "b", 2), r.command_count() > 100])


def strings():
    part("strings")
    say("set", [r.set("s", "hello"), r.set("s", "x", nx=True), r.set("s", "y", xx=True, get=True)])
    say("expiry", [r.set("t", 1, ex=timedelta(seconds=90)), r.ttl("t"), r.set("t", 2, keepttl=True), r.ttl("t")])
    say("bytes", [raw.set("b", b"\x00\xff\r\n\x80"), raw.get("b"), raw.strlen("b")])
    say("none", [r.get("none"), r.getdel("none"), r.getex("none", ex=5), r.strlen("none")])
    say("many", [r.mset({"a": 1, "c": "three"}), r.mget("a", "none", "c"), r.msetnx({"a": 1, "z": 2})])
    say("ranges", [r.append("s", "abc"), r.getrange("s", 1, 2), r.setrange("s", 6, "!"), raw.get("s")])
    say("numbers", [r.incr("n"), r.incrby("n", 9), r.decr("n", 3), r.incrbyfloat("n", "0.1")])
    say_of("no number", lambda: r.incr("s"))
    say_of("too far", lambda: r.setrange("s", 1 << 30, "x"))
    say_of("another type", lambda: r.lpush("s", 1))
    say_of("bad options", lambda: r.execute_command("SET", "s", "x", "NX", "XX"))


def keys():
    part("keys")
    say("types", [r.type("s"), r.type("none"), r.object("ENCODING", "n"), r.object("ENCODING", "a")])
    say("expiry", [r.expire("s", 100), r.expire("s", 50, gt=True), r.expire("s", 50, lt=True), r.ttl("s"), r.persist("s"), r.ttl("s"), r.pttl("none")])
    say("gone at once", [r.expire("s", -1), r.exists("s")])
    say("at", [r.expireat("a", 4102444800), r.expiretime("a"), r.pexpiretime("a"), r.expiretime("c")])
    say("renamed", [r.rename("a", "a2"), r.renamenx("a2", "c"), r.copy("a2", "a3"), r.touch("a2", "none"), r.unlink("a2", "a3")])
    say_of("rename what is not there", lambda: r.rename("none", "x"))
    with r.pipeline(transaction=False) as pipe:
        for i in range(2500):
            pipe.set(f"scan:{i}", i)
        pipe.execute()
    say("scanned", len(set(r.scan_iter("scan:*", count=100))))
    say("scanned by type", [len(set(r.scan_iter("scan:1*", _type="string"))), list(r.scan_iter(_type="list"))])
    say("keys", set(r.keys("scan:24[89]?")))
    say("random", r.randomkey() is not None)


def hashes():
    part("hashes")
    say("set", [r.hset("h", mapping={"a": 1, "b": "zwei"}), r.hset("h", "a", 2), r.hsetnx("h", "a", 3)])
    say("read", [r.hget("h", "a"), r.hmget("h", "a", "none"), r.hgetall("h"), r.hkeys("h"), r.hvals("h"), r.hlen("h")])
    say("numbers", [r.hincrby("h", "a", -5), r.hincrbyfloat("h", "f", 0.1), r.hexists("h", "b"), r.hstrlen("h", "b")])
    say_of("no number", lambda: r.hincrby("h", "b"))
    say("removed", [r.hdel("h", "a", "b", "none"), r.hgetall("none")])
    r.hset("large", mapping={f"f{i}": i for i in range(2000)})
    say("scanned", len(dict(r.hscan_iter("large", match="f1*"))))
    say("random", [len(r.hrandfield("large", 7)), len(r.hrandfield("large", -7, withvalues=True)), r.hrandfield("none")])


def lists():
    part("lists")
    say("pushed", [r.rpush("l", *"abcabc"), r.lpush("l", "z"), r.rpushx("none", 1)])
    say("read", [r.lrange("l", 0, -1), r.lindex("l", 1), r.lindex("l", 99), r.llen("l"), r.lpos("l", "b", count=0)])
    say("changed", [r.lset("l", 0, "y"), r.linsert("l", "after", "c", "d"), r.lrem("l", 1, "a"), r.ltrim("l", 0, -2), r.lrange("l", 0, -1)])
    say("moved", [r.lmove("l", "m", "LEFT", "RIGHT"), r.rpoplpush("l", "m"), r.lrange("m", 0, -1)])
    say("popped", [r.lpop("l", 2), r.rpop("l"), r.lmpop(2, "none", "m", direction="LEFT", count=9), r.lpop("m")])
    say_of("no such place", lambda: r.lset("none", 0, "x"))


def blocking():
    part("blocking")
    results = []

    def wait(work):
        client = redis.Redis(**ADDRESS, decode_responses=True)
        thread = threading.Thread(target=lambda: results.append(work(client)))
        waiting = blocked()
        thread.start()
        until(lambda: blocked() == waiting + 1)
        return thread

    def blocked():
        return r.info("clients")["blocked_clients"]

    thread = wait(lambda client: client.blpop(["q1", "q2"], timeout=5))
    r.rpush("q2", "one", "two")
    thread.join()
    say("blpop", [results, r.lrange("q2", 0, -1)])
    results.clear()

    threads = []
    for name in ("first", "second"):
        threads.append(wait(lambda client, name=name: (name, client.brpop("q3", timeout=5))))
    r.lpush("q3", "a")
    threads[0].join()
    r.lpush("q3", "b")
    threads[1].join()
    say("in order of their coming", results)
    results.clear()

    thread = wait(lambda client: client.bzpopmin("qz", timeout=5))
    r.zadd("qz", {"low": 1, "high": 2})
    thread.join()
    say("bzpopmin", results)
    results.clear()

    thread = wait(lambda client: client.blmove("q4", "q5", timeout=5))
    r.pipeline().lpush("q4", "x").lpush("q4", "y").execute()
    thread.join()
    say("blmove sees a whole transaction", [results, r.lrange("q4", 0, -1), r.lrange("q5", 0, -1)])
    results.clear()

    thread = wait(lambda client: client.xread({"qs": "$"}, block=5000))
    r.xadd("qs", {"f": "v"}, id="1-1")
    thread.join()
    say("xread", results)
    say("nobody came", [r.blpop("q1", timeout=0.02), r.bzpopmax("q1", timeout=0.02), r.xread({"qs": "$"}, block=10)])
    say_of("another type", lambda: r.blpop("qz", timeout=1))


def sets():
    part("sets")
    say("added", [r.sadd("x", 1, 2, 3), r.sadd("y", 3, "four"), r.sadd("x", 1)])
    say("members", [set(r.smembers("x")), r.sismember("x", 1), r.smismember("x", ["2", "9"]), r.scard("x")])
    say("combined", [set(r.sunion("x", "y")), set(r.sinter("x", "y")), set(r.sdiff("x", "y")), r.sinterstore("z", "x", "y"), r.sintercard(2, ["x", "y"], limit=1)])
    say("moved", [r.smove("x", "y", 1), r.srem("x", 2, 9), r.spop("z"), r.exists("z"), len(r.srandmember("y", -5))])
    r.sadd("large set", *range(3000))
    say("scanned", len(set(r.sscan_iter("large set"))))
    say("encodings", [r.object("ENCODING", "x"), r.object("ENCODING", "large set")])


def sorted_sets():
    part("sorted sets")
    say("added", [r.zadd("zs", {"a": 1, "b": 2.5, "c": 2.5}), r.zadd("zs", {"a": 5, "d": 0}, gt=True, ch=True), r.zadd("zs", {"a": 1}, incr=True, lt=True)])
    say("read", [r.zrange("zs", 0, -1, withscores=True), r.zscore("zs", "b"), r.zmscore("zs", ["a", "none"]), r.zcard("zs")])
    say("ranges", [r.zrangebyscore("zs", "(0", 2.5, withscores=True), r.zrange("zs", "+inf", "-inf", desc=True, byscore=True, offset=1, num=2), r.zcount("zs", "-inf", "(2.5")])
    say("ranks", [r.zrank("zs", "c"), r.zrevrank("zs", "c"), r.zrank("zs", "none")])
    say("scores", [r.zincrby("zs", 1.5, "d"), r.zadd("zs", {"inf": "inf", "-inf": "-inf"}), r.zrange("zs", 0, -1, withscores=True)])
    say_of("no score", lambda: r.zincrby("zs", "-inf", "inf"))
    say("stored", [r.zunionstore("zu", {"zs": 1, "zs2": 2}, aggregate="MAX"), r.zrangestore("zr", "zs", 0, 1), r.zdiff(["zs", "zr"]), r.zinter(["zs", "zr"], withscores=True)])
    say("removed", [r.zrem("zs", "inf", "none"), r.zremrangebyrank("zs", 0, 0), r.zremrangebyscore("zs", 5, 9), r.zpopmin("zs"), r.zpopmax("zs", 9)])
    r.zadd("lex", {name: 0 for name in ("a", "aa", "b", "c")})
    say("by bytes", [r.zrangebylex("lex", "[a", "(b"), r.zrevrangebylex("lex", "+", "-", 0, 2), r.zremrangebylex("lex", "(a", "[b"), r.zrange("lex", 0, -1)])
    r.zadd("board", {f"m{i}": i for i in range(2000)})
    say("large", [r.zrank("board", "m1234"), r.zrevrange("board", 0, 2), r.zrange("board", 1000, 1001, withscores=True), len(dict(r.zscan_iter("board")))])
    say("encodings", [r.object("ENCODING", "lex"), r.object("ENCODING", "board")])


def transactions():
    part("pipelines and transactions")
    with r.pipeline(transaction=False) as pipe:
        say("pipeline", pipe.set("p", 1).incr("p").lpush("p", 1).get("p").execute(raise_on_error=False))
    with r.pipeline() as pipe:
        say("transaction", pipe.set("p", 1).incr("p").mget("p", "none").execute())
    with r.pipeline() as pipe:
        say_of("one command fails", lambda: pipe.incr("p").lpush("p", 1).incr("p").execute())
    say("the others were done", r.get("p"))
    with r.pipeline() as pipe:
        say_of("a command that cannot be queued", lambda: pipe.set("p", "x").execute_command("NOSUCH").execute())
    say("nothing was done", r.get("p"))

    def add_ten(pipe):
        value = int(pipe.get("p"))
        if value < 100:
            # Somebody else is quicker, once.
            r.set("p", 100)
        pipe.multi()
        pipe.set("p", value + 10)

    say("watched until it works", [r.transaction(add_ten, "p"), r.get("p")])
    with r.pipeline() as pipe:
        pipe.watch("p", "unborn")
        r.set("unborn", 1)
        pipe.multi()
        pipe.set("p", "never")
        say_of("a key was born", pipe.execute)
    with r.pipeline() as pipe:
        pipe.watch("p")
        pipe.unwatch()
        r.set("p", "changed")
        pipe.multi()
        say("unwatched", pipe.get("p").execute())


def scripts():
    part("scripts")
    add = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    say("registered", [add(keys=["sc"], args=[2]), add(keys=["sc"], args=[3])])
    r.script_flush()
    say("registered anew", add(keys=["sc"], args=[4]))
    with r.pipeline() as pipe:
        add(keys=["sc"], args=[5], client=pipe)
        say("in a pipeline", pipe.execute())
    say("values", r.eval("return {1, 3.99, 'x', true, false, {1, {2}}, {ok='FINE'}}", 0))
    say_of("an error", lambda: r.eval("return {err='MINE it is'}", 0))
    say_of("a failing command", lambda: r.eval("return redis.call('LPUSH', KEYS[1], 1)", 1, "sc"))
    say_of("an undefined variable", lambda: r.eval("return nothing", 0))
    say_of("no Lua", lambda: r.eval("return (", 0))
    say_of("a global", lambda: r.eval("x = 1", 0))
    say_of("a write in a script that reads", lambda: r.eval_ro("return redis.call('SET', KEYS[1], 1)", 1, "sc"))
    say("arguments", r.eval("return {#KEYS, #ARGV, ARGV[2]}", 2, "a", "b", "c", "é"))
    say("caught", r.eval("local e = redis.pcall('INCR', KEYS[1], 1, 1) return e.err", 1, "sc"))
    say("json", r.eval("return cjson.encode({1, 'two', {three = 3}, cjson.null})", 0))
    say("exists", r.script_exists(add.sha, "0" * 40))


def messages():
    part("messages")
    seen = []
    listener = r.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("c1", **{"c2": lambda message: seen.append(("handler", message["data"]))})
    listener.psubscribe("c*")

    def gather():
        message = listener.get_message(timeout=0.01)
        if message:
            seen.append((message["type"], message["pattern"], message["channel"], message["data"]))

    say("subscribed", until(lambda: gather() or r.pubsub_numpat() == 1))
    say("published", [r.publish("c1", "one"), r.publish("c2", "two"), r.publish("c3", "é"), r.publish("d", "x")])
    say("arrived", [until(lambda: gather() or len(seen) >= 5), seen])
    say("seen from outside", [set(r.pubsub_channels()), r.pubsub_numsub("c1", "d")])
    listener.ping()
    listener.unsubscribe()
    listener.punsubscribe()
    say("nobody listens", until(lambda: gather() or r.pubsub_channels() == [] and r.pubsub_numpat() == 0))
    listener.close()


def streams():
    part("streams")
    say("added", [r.xadd("st", {"a": 1}, id="1-1"), r.xadd("st", {"b": "é", "c": ""}, id="1-*"), r.xadd("none", {"a": 1}, nomkstream=True)])
    say("an id of the server", r.xadd("st", {"d": 4}))
    say_of("a smaller id", lambda: r.xadd("st", {"a": 1}, id="1-1"))
    say("ranges", [r.xrange("st", count=2), r.xrevrange("st", "(2-0", "-"), r.xlen("st")])
    say("read", [r.xread({"st": "1-1"}, count=1), r.xread({"none": 0})])
    say("groups", [r.xgroup_create("st", "g", id="0"), r.xgroup_create("new", "g", mkstream=True), r.xgroup_createconsumer("st", "g", "idle")])
    say_of("a group twice", lambda: r.xgroup_create("st", "g"))
    say_of("a group of no stream", lambda: r.xgroup_create("unknown", "g"))
    say_of("no such group", lambda: r.xreadgroup("none", "c", {"st": ">"}))
    say("delivered", r.xreadgroup("g", "one", {"st": ">"}, count=2))
    say("its own again", r.xreadgroup("g", "one", {"st": "0"}))
    pending = r.xpending("st", "g")
    say("pending", pending)
    rows = r.xpending_range("st", "g", "-", "+", 10)
    say("rows", [(row["message_id"], row["consumer"], row["times_delivered"]) for row in rows])
    say("claimed", [r.xclaim("st", "g", "two", 0, ["1-1"]), r.xautoclaim("st", "g", "three", 0, start_id="1-2")])
    say("acknowledged", [r.xack("st", "g", "1-1", "9-9"), r.xgroup_delconsumer("st", "g", "three")])
    info = r.xinfo_stream("st")
    say("info", [info["length"], info["groups"], info["first-entry"]])
    say("groups seen", [(g["name"], g["consumers"], g["pending"], g["entries-read"]) for g in r.xinfo_groups("st")])
    say("consumers seen", [(c["name"], c["pending"]) for c in r.xinfo_consumers("st", "g")])
    say("set back", [r.xgroup_setid("st", "g", "0"), len(r.xreadgroup("g", "one", {"st": ">"}, noack=True))])
    say("trimmed", [r.xtrim("st", maxlen=1, approximate=False), r.xtrim("st", minid="9999999999999-0"), r.xdel("st", "1-1"), r.xgroup_destroy("st", "g")])


async def asynchronous():
    part("asyncio")
    client = redis.asyncio.Redis(**ADDRESS, decode_responses=True)
    say("many at once", await asyncio.gather(*(client.incrby("async", i) for i in range(20))) is not None)
    say("sum", await client.get("async"))
    async with client.pipeline(transaction=True) as pipe:
        say("transaction", await pipe.set("k", 1).expire("k", 100).ttl("k").execute())
    lock = client.lock("lock", timeout=5)
    say("lock", [await lock.acquire(), await client.lock("lock", timeout=5, blocking=False).acquire()])
    say("extended", await lock.extend(10))
    await lock.release()
    say("released", await client.exists("lock"))
    await client.aclose()


def the_end():
    part("the end")
    say("flushed", [r.flushdb(), r.dbsize(), r.flushall(asynchronous=True)])


connections()
strings()
keys()
hashes()
lists()
blocking()
sets()
sorted_sets()
transactions()
scripts()
messages()
streams()
asyncio.run(asynchronous())
the_end()
