"""Jobs of Dramatiq: results, retries, delays, dead letters, groups, limits, and its workers' upkeep."""

import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import BucketRateLimiter, ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimitsBackend
from dramatiq.results import ResultFailure, Results
from dramatiq.results.backends import RedisBackend
from dramatiq.worker import Worker
from redis import Redis

from transcript import HOST, PORT, part, say, say_of, until

broker = RedisBroker(host=HOST, port=PORT, maintenance_chance=1_000_000)
broker.add_middleware(Results(backend=RedisBackend(host=HOST, port=PORT)))
broker.add_middleware(dramatiq.middleware.GroupCallbacks(LimitsBackend(host=HOST, port=PORT)))
dramatiq.set_broker(broker)
redis = Redis(HOST, PORT, decode_responses=True)


@dramatiq.actor(store_results=True)
def add(left, right):
    return left + right


@dramatiq.actor
def note(word):
    redis.rpush("noted", word)


@dramatiq.actor(store_results=True, max_retries=3, min_backoff=10, max_backoff=50)
def flaky(name):
    if redis.incr(f"tries:{name}") < 3:
        raise RuntimeError("again")
    return "at last"


@dramatiq.actor(store_results=True, max_retries=0)
def broken(word):
    raise ValueError(word)


def results():
    part("results")
    say("one", add.send(2, 3).get_result(block=True, timeout=30_000))
    say("retried", [flaky.send("flaky").get_result(block=True, timeout=30_000), redis.get("tries:flaky")])
    message = broken.send("ünï")

    def failure():
        try:
            message.get_result(block=True, timeout=30_000)
        except ResultFailure as error:
            return [error.orig_exc_type, error.orig_exc_msg]

    say("failed", failure())
    say("dead", until(lambda: redis.hlen("dramatiq:default.XQ.msgs") == 1))


def later():
    part("later")
    begun = time.time()
    note.send_with_options(args=("in a while",), delay=1000)
    note.send_with_options(args=("soon",), delay=300)
    note.send("now")
    until(lambda: redis.llen("noted") == 3)
    say("not before their time", time.time() - begun >= 0.99)
    say("their order", redis.lrange("noted", 0, -1))


def composed():
    part("composed")
    say("pipeline", (add.message(1, 2) | add.message(10) | add.message(100)).run().get_result(block=True, timeout=30_000))
    group = dramatiq.group([add.message(i, i) for i in range(10)])
    group.add_completion_callback(note.message("all of them"))
    say("group", list(group.run().get_results(block=True, timeout=30_000)))
    say("told", until(lambda: redis.lindex("noted", -1) == "all of them"))


def limits():
    part("limits")
    backend = LimitsBackend(host=HOST, port=PORT)

    def allowed(limiter, tries):
        return sum(1 for _ in range(tries) if limiter._acquire())

    say("concurrent", allowed(ConcurrentRateLimiter(backend, "c", limit=2), 5))
    mutex = ConcurrentRateLimiter(backend, "m", limit=1)
    with mutex.acquire():
        say_of("held", lambda: mutex.acquire().__enter__())
    with mutex.acquire(raise_on_failure=False) as got:
        say("let go", got)
    say("a bucket", allowed(BucketRateLimiter(backend, "b", limit=3, bucket=600_000), 9))
    say("a window", allowed(WindowRateLimiter(backend, "w", limit=4, window=600), 9))


def main():
    worker = Worker(broker, worker_threads=2, worker_timeout=100)
    worker.start()
    for each in (results, later, composed, limits):
        each()
    broker.join("default", timeout=30_000)
    worker.stop()
    part("queues")
    for number in range(50):
        note.send(number)
    say("waiting", [redis.llen("dramatiq:default"), redis.hlen("dramatiq:default.msgs")])
    broker.flush("default")
    say("flushed", [redis.llen("dramatiq:default"), redis.hlen("dramatiq:default.msgs")])


main()
