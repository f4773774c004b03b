"""Django's caches and sessions on Redis: its own backend, and django-redis."""

import django
from django.conf import settings
from redis import Redis

from transcript import HOST, PORT, part, say, say_of, until

settings.configure(
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"redis://{HOST}:{PORT}/1"},
        "django-redis": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": f"redis://{HOST}:{PORT}/2",
            "KEY_PREFIX": "shop",
            "OPTIONS": {"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor"},
        },
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    INSTALLED_APPS=["django.contrib.sessions"],
    SECRET_KEY="kept",
)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import caches  # noqa: E402
from django_redis import get_redis_connection  # noqa: E402


def everyday(name):
    """What both backends do."""
    part(f"cache: {name}")
    cache = caches[name]
    say("set", [cache.set("a", {"ünï": [1, 2.5, None]}, 60), cache.get("a"), cache.get("none", "default")])
    say("added", [cache.add("a", 1), cache.add("b", 1, 60), "b" in cache])
    say("numbers", [cache.incr("b", 41), cache.decr("b"), cache.get("b")])
    say_of("no such number", lambda: cache.incr("none"))
    say("many", [cache.set_many({f"m{i}": i for i in range(5)}, 60), cache.get_many(["m1", "none", "m4"])])
    say("once", [cache.get_or_set("once", lambda: "made", 60), cache.get_or_set("once", lambda: "again", 60)])
    say("versions", [cache.set("v", "one"), cache.set("v", "two", version=2), cache.get("v"), cache.get("v", version=2)])
    say("touched", [cache.touch("a", 300), cache.touch("none", 300)])
    say("for ever and not at all", [cache.set("ever", 1, None), cache.set("never", 1, 0), cache.get("ever"), cache.get("never")])
    say("removed", [cache.delete("a"), cache.delete("a"), cache.delete_many(["m0", "m1", "none"])])
    say("large", [cache.set("large", "x" * 100_000), len(cache.get("large"))])
    cache.set("fleeting", 1, 1)
    say("its time is over", until(lambda: cache.get("fleeting") is None))
    say("cleared", [cache.clear(), cache.get("ever")])


def only_django_redis():
    part("what django-redis adds")
    cache = caches["django-redis"]
    cache.set_many({f"user:{i}": i for i in range(100)})
    say("keys", [len(cache.keys("user:*")), len(list(cache.iter_keys("user:1*", itersize=10)))])
    say("by pattern", [cache.delete_pattern("user:1*"), len(cache.keys("user:*")), cache.delete_pattern("user:*")])
    say("only if", [cache.set("n", 1, nx=True), cache.set("n", 2, nx=True), cache.get("n")])
    say("time", [cache.ttl("n") > 290, cache.expire("n", 99), 90 < cache.ttl("n") <= 99])
    say("no time", [cache.persist("n"), cache.ttl("n"), cache.ttl("none")])
    with cache.lock("lock", timeout=30):
        say("locked", cache.lock("lock", timeout=30, blocking_timeout=0).acquire(blocking=False))
    say("sets", [cache.sadd("s", 1, "two"), cache.smembers("s"), cache.sismember("s", 1), cache.scard("s")])
    say("hashes", [cache.hset("h", "f", 1), cache.hkeys("h"), cache.hexists("h", "f"), cache.hlen("h")])
    raw = get_redis_connection("django-redis")
    say("as they are stored", sorted(raw.keys("*")))


def sessions():
    part("sessions")
    session = SessionStore()
    session["basket"] = ["pot"]
    session.set_expiry(600)
    session.save()
    key = session.session_key
    again = SessionStore(key)
    again["basket"] += ["büchse"]
    again.save()
    say("kept", [SessionStore(key)["basket"], session.exists(key)])
    stored = Redis(HOST, PORT, db=1)
    say("for", [590 < stored.ttl(name) <= 600 for name in stored.keys("*")])
    again.cycle_key()
    say("renewed", [again["basket"], again.session_key != key, session.exists(key)])
    again.flush()
    say("ended", [again.session_key, stored.dbsize()])


everyday("default")
everyday("django-redis")
only_django_redis()
sessions()
