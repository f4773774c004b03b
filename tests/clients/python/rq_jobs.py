"""Jobs of RQ: results, retries, jobs for later, dependencies, several queues, and their registries.

Workers run in bursts, in this process: they leave when there is nothing more to do.
"""

from datetime import datetime, timedelta, timezone

from redis import Redis
from rq import Callback, Queue, Retry, SimpleWorker, Worker
from rq.job import Job
from rq.registry import DeferredJobRegistry, FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry
from rq.results import Result

from transcript import HOST, PORT, part, say, say_of, until

redis = Redis(HOST, PORT)
words = Redis(HOST, PORT, decode_responses=True)
high, low = Queue("high", connection=redis), Queue("low", connection=redis)


def add(left, right):
    return left + right


def note(word):
    words.rpush("noted", word)


def flaky(name):
    if words.incr(f"tries:{name}") < 3:
        raise RuntimeError(f"try {words.get(f'tries:{name}')}")
    return "at last"


def noted_success(job, connection, result):
    connection.rpush("noted", f"{job.id} gave {result}")


def work(*queues, **options):
    """Lets a worker do what there is to do."""
    worker = SimpleWorker(queues or [high, low], connection=redis)
    return worker.work(burst=True, logging_level="CRITICAL", **options)


def results():
    part("results")
    job = high.enqueue(add, 2, 3, job_id="sum", result_ttl=600, on_success=Callback(noted_success))
    say("queued", [job.get_status().value, high.count, high.job_ids, job.get_position()])
    say("worked", work())
    say("done", [job.get_status(refresh=True).value, job.return_value(), high.count])
    say("told", words.lrange("noted", 0, -1))
    say("kept for", 500 < redis.ttl(job.key) <= 600)
    say("history", [result.type.name for result in job.results()])
    say("fetched", [Job.fetch("sum", connection=redis).args, Job.exists("none", connection=redis)])
    say_of("a job that is not there", lambda: Job.fetch("none", connection=redis))
    many = high.enqueue_many([Queue.prepare_data(add, (i, i), job_id=f"many-{i}") for i in range(5)])
    work()
    say("many", [job.return_value(refresh=True) for job in many])
    say("registry", set(FinishedJobRegistry(queue=high).get_job_ids()))


def order():
    part("order")
    words.delete("noted")
    low.enqueue(note, "low")
    high.enqueue(note, "high")
    high.enqueue(note, "high, in front", at_front=True)
    work()
    say("noted", words.lrange("noted", 0, -1))


def failures():
    part("failures")
    job = high.enqueue(flaky, "once", job_id="once")
    work()
    say("failed", [job.get_status(refresh=True).value, FailedJobRegistry(queue=high).get_job_ids()])
    say("why", job.latest_result().exc_string.strip().splitlines()[-1])
    say("requeued", [FailedJobRegistry(queue=high).requeue("once").id, high.job_ids])
    work()
    retried = high.enqueue(flaky, "thrice", retry=Retry(max=3), job_id="thrice")
    work()
    say("retried", [retried.get_status(refresh=True).value, retried.return_value(), words.get("tries:thrice")])
    say("results", [result.type.name for result in Result.all(retried)])


def dependencies():
    part("dependencies")
    words.delete("noted")
    first = high.enqueue(flaky, "dependency", job_id="first", retry=Retry(max=3))
    second = high.enqueue(note, "second", depends_on=first, job_id="second")
    third = low.enqueue(note, "third", depends_on=[first, second], job_id="third")
    say("deferred", [second.get_status().value, set(DeferredJobRegistry(queue=low).get_job_ids())])
    work()
    say("noted", [words.lrange("noted", 0, -1), third.get_status(refresh=True).value])
    lost = high.enqueue(note, "never", depends_on=high.enqueue(flaky, "lost", job_id="lost"))
    work()
    say("held back", [lost.get_status(refresh=True).value, lost.dependency.get_status().value])
    lost.cancel()
    say("cancelled", lost.get_status(refresh=True).value)


def later():
    part("later")
    words.delete("noted")
    high.enqueue_in(timedelta(seconds=2), note, "in two seconds")
    high.enqueue_at(datetime.now(timezone.utc) + timedelta(seconds=1), note, "in one")
    far = high.enqueue_in(timedelta(hours=1), note, "in an hour")
    high.enqueue(note, "now")
    registry = ScheduledJobRegistry(queue=high)
    say("scheduled", [registry.count, registry.get_jobs_to_schedule()])

    def worked():
        work(with_scheduler=True)
        return words.llen("noted") == 3

    say("all are done", until(worked))
    say("noted", words.lrange("noted", 0, -1))
    say("one waits", [registry.get_job_ids() == [far.id], far.get_status(refresh=True).value])
    far.delete()
    say("none waits", registry.count)


def upkeep():
    part("upkeep")
    say("no worker is left", [Worker.count(connection=redis), Worker.all(connection=redis)])
    for number in range(10):
        low.enqueue(note, number)
    say("emptied", [low.count, low.empty(), low.count])
    say("queues", {queue.name for queue in Queue.all(connection=redis)})
    low.delete()
    say("one is gone", {queue.name for queue in Queue.all(connection=redis)})


def main():
    for each in (results, order, failures, dependencies, later, upkeep):
        each()


if __name__ == "__main__":
    # Jobs name their functions by a module that a worker can import.
    import rq_jobs

    rq_jobs.main()
