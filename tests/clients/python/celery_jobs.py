"""Jobs of Celery, with Redis as its broker and its backend.

Results, retries, jobs for later, priorities, groups, chords, revoked jobs, and the worker's remote
control. The worker is a process of its own, which imports this file.
"""

import os
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from celery import Celery, chain, chord, group
from redis import Redis

from transcript import HOST, PORT, URL, part, say, say_of, until

app = Celery("celery_jobs", broker=URL, backend=URL)
app.conf.update(
    result_expires=600,
    task_track_started=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"queue_order_strategy": "priority", "priority_steps": [0, 3, 6, 9]},
    broker_connection_retry_on_startup=True,
)
redis = Redis(HOST, PORT, decode_responses=True)

# How the worker is told something: its answer is waited for.
ASKED = {"reply": True, "timeout": 30, "limit": 1}


@app.task
def add(left, right):
    return left + right


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3, default_retry_delay=0.05)
def flaky(self, name):
    if redis.incr(f"tries:{name}") < 3:
        raise self.retry()
    return self.request.retries


@app.task
def broken(word):
    raise ValueError(word)


@app.task
def note(word):
    redis.rpush("noted", word)
    return time.time()


@app.task
def wait_for(key):
    redis.rpush("waiting", key)
    redis.blpop(key, timeout=60)


@app.task(bind=True)
def steps(self):
    self.update_state(state="HALFWAY", meta={"done": 1, "of": 2})
    redis.blpop("go on", timeout=60)
    return "whole"


def results():
    part("results")
    say("one", add.delay(2, 3).get(timeout=30))
    job = broken.delay("ünï")
    say_of("an error", lambda: job.get(timeout=30))
    say("how it ended", [job.state, job.failed(), type(job.result).__name__])
    say("kept for", 500 < redis.ttl(f"celery-task-meta-{job.id}") <= 600)
    job.forget()
    say("forgotten", redis.exists(f"celery-task-meta-{job.id}"))
    say("nobody knows it", app.AsyncResult("no such id").state)


def retries():
    part("retries")
    say("tried", [flaky.delay("flaky").get(timeout=30), redis.get("tries:flaky")])


def progress():
    part("progress")
    job = steps.delay()
    say("halfway", [until(lambda: job.state == "HALFWAY"), job.info])
    redis.rpush("go on", 1)
    say("at last", job.get(timeout=30))


def later():
    part("later")
    begun = time.time()
    jobs = [
        note.apply_async(["in a while"], eta=datetime.now(timezone.utc) + timedelta(seconds=1)),
        note.apply_async(["soon"], countdown=0.3),
        note.apply_async(["now"]),
    ]
    after = [job.get(timeout=30) - begun for job in jobs]
    say("not before their time", [after[0] >= 0.99, after[1] >= 0.29])
    say("their order", redis.lrange("noted", 0, -1))
    stale = note.apply_async(["too late"], expires=datetime.now(timezone.utc) - timedelta(seconds=1))
    say("nobody wants it any more", [until(lambda: stale.state == "REVOKED"), redis.llen("noted")])


def canvas():
    part("canvas")
    say("chain", chain(add.s(1, 2), add.s(10), add.s(100)).delay().get(timeout=30))
    say("group", group(add.s(i, i) for i in range(10)).delay().get(timeout=30))
    say("chord", chord([add.s(i, i) for i in range(10)], total.s()).delay().get(timeout=30))
    nested = group(chain(add.s(i, 1), add.s(1)) for i in range(3)) | total.s() | add.s(1000)
    say("nested", nested.delay().get(timeout=30))
    say("nothing is left of chords", redis.keys("*.j") + redis.keys("*.t"))
    hapless = chord([add.s(1, 1), broken.s("one of them")], total.s()).delay()
    # Which of the two errors it is depends on which task ends last.
    error = hapless.get(timeout=30, propagate=False)
    say("a chord with an error", [hapless.failed(), "one of them" in str(error)])


def priorities():
    part("priorities")
    redis.delete("noted")
    # The worker has two processes: while both wait, the rest stays in the queue.
    held = [wait_for.delay(key) for key in ("first", "second")]
    until(lambda: redis.llen("waiting") == 2)
    app.control.cancel_consumer("celery", **ASKED)
    jobs = [note.apply_async([f"priority {step}"], priority=step) for step in (9, 3, 6, 0, 3)]
    say("queues", sorted(name.encode() for name in redis.scan_iter("celery*", _type="list")))
    app.control.add_consumer("celery", **ASKED)
    redis.rpush("first", 1)
    for job in jobs:
        job.get(timeout=30)
    redis.rpush("second", 1)
    [job.get(timeout=30) for job in held]
    say("their order", redis.lrange("noted", 0, -1))


def control():
    part("control")
    say("who is there", app.control.ping(timeout=30, limit=1))
    inspect = app.control.inspect(timeout=30, limit=1)
    say("what it knows", [name for name in inspect.registered()["jobs@larder"] if name.endswith(".add")])
    say("its queues", [queue["name"] for queue in inspect.active_queues()["jobs@larder"]])
    job = wait_for.delay("third")
    until(lambda: job.state == "STARTED")
    say("at work", [task["name"].rpartition(".")[2] for task in inspect.active()["jobs@larder"]])
    job.revoke(terminate=True, signal="SIGKILL")
    say("revoked at work", until(lambda: job.state == "REVOKED"))
    job = note.apply_async(["never"], countdown=600)
    until(lambda: inspect.scheduled()["jobs@larder"])
    job.revoke()
    say("revoked in time", until(lambda: job.id in inspect.revoked()["jobs@larder"]))


def main():
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "--app", "celery_jobs", "worker", "--concurrency", "2"]
        + ["--hostname", "jobs@larder", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"],
        cwd=Path(__file__).parent,
        env={**os.environ, "C_FORCE_ROOT": "1"},
        stdout=sys.stderr,
    )
    try:
        for each in (results, retries, progress, later, canvas, priorities, control):
            each()
        part("queues")
        for number in range(5):
            note.apply_async([number], queue="nobody's")
        with app.connection_for_read() as connection:
            say("waiting", connection.default_channel.queue_declare("nobody's", passive=True).message_count)
            say("purged", connection.default_channel.queue_purge("nobody's"))
        worker.terminate()
        say("the worker leaves", worker.wait(30))
    finally:
        worker.kill()


if __name__ == "__main__":
    main()
