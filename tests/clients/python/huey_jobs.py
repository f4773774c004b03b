"""Jobs of Huey: results, retries, priorities, jobs for later, periodic ones, locks and pipelines, on
each of its storages of Redis."""

from datetime import datetime, timedelta

from huey import PriorityRedisExpireHuey, PriorityRedisHuey, RedisExpireHuey, RedisHuey, crontab
from redis import Redis

from transcript import HOST, PORT, part, say, say_of, until

redis = Redis(HOST, PORT, decode_responses=True)


def jobs_of(kind):
    """The same jobs on this kind of storage, with a consumer of two threads."""
    part(kind.__name__)
    redis.flushall()
    huey = kind(kind.__name__, host=HOST, port=PORT)

    @huey.task()
    def add(left, right):
        return left + right

    @huey.task()
    def note(word):
        redis.rpush("noted", word)

    @huey.task(retries=3)
    def flaky():
        if redis.incr("tries") < 3:
            raise RuntimeError("again")
        redis.rpush("noted", "at last")

    @huey.task()
    def broken(word):
        raise ValueError(word)

    @huey.periodic_task(crontab(minute="*"))
    def each_minute():
        redis.rpush("noted", "each minute")

    note("never")
    held = note.schedule(("never",), delay=600)
    say("waiting", [huey.pending_count(), huey.scheduled_count(), huey.flush(), huey.pending_count()])
    held.revoke()
    say("revoked", [held.is_revoked(), held.restore(), held.is_revoked()])
    if huey.storage.priority:
        for priority in (1, 9, 5, None):
            note(f"priority {priority}", priority=priority)
        for _ in range(4):
            huey.execute(huey.dequeue())
        say("by priority", redis.lrange("noted", 0, -1))
        redis.delete("noted")

    consumer = huey.create_consumer(workers=2, periodic=False, initial_delay=0.01, max_delay=0.05, scheduler_interval=1)
    consumer.start()
    say("result", add(2, 3).get(blocking=True, timeout=30))
    # Its result would be that of any try, the first one too.
    flaky()
    say("retried", [until(lambda: redis.lrange("noted", 0, -1) == ["at last"]), redis.get("tries")])
    say_of("failed", lambda: broken("ünï").get(blocking=True, timeout=30))
    late = add.schedule((1, 1), eta=datetime.now() + timedelta(seconds=1))
    say("later", late.get(blocking=True, timeout=30))
    pipe = add.s(1, 2).then(add, 10).then(add, 100)
    say("pipeline", huey.enqueue(pipe).get(blocking=True, timeout=30))
    say("many", sorted(add.map([(i, i) for i in range(20)]).get(blocking=True, timeout=30)))
    with huey.lock_task("lock"):
        say("locked", huey.is_locked("lock"))
        say_of("held", lambda: huey.lock_task("lock").__enter__())
    say("let go", huey.is_locked("lock"))
    say("periodic", [task.name for task in huey.read_periodic(datetime(2030, 1, 1, 12, 30))])
    say("stored", [huey.put("kept", "value"), huey.get("kept", peek=True), huey.get("kept"), huey.get("kept")])
    consumer.stop(graceful=True)
    say("results that nobody took", huey.result_count())


for kind in (RedisHuey, RedisExpireHuey, PriorityRedisHuey, PriorityRedisExpireHuey):
    jobs_of(kind)
