"""Jobs of arq: results, retries, jobs for later, jobs that are there once, aborted ones, and cron."""

import asyncio
from datetime import timedelta

from arq import Retry, create_pool, cron, func
from arq.connections import RedisSettings
from arq.jobs import Job
from arq.worker import Worker

from transcript import HOST, PORT, part, say

SETTINGS = RedisSettings(host=HOST, port=PORT)


async def add(_context, left, right):
    return left + right


async def note(context, word):
    await context["redis"].rpush("noted", word)


async def flaky(context):
    if context["job_try"] < 3:
        raise Retry(defer=timedelta(milliseconds=50))
    return context["job_try"]


async def broken(_context, word):
    raise ValueError(word)


async def endless(context):
    await context["redis"].rpush("begun", 1)
    await asyncio.sleep(600)


async def said_of(what, work):
    try:
        say(what, await work)
    except BaseException as error:
        say(what, error)


async def noted(redis):
    return [word.decode() for word in await redis.lrange("noted", 0, -1)]


async def main():
    redis = await create_pool(SETTINGS)
    worker = Worker(
        functions=[add, note, func(flaky, max_tries=5), broken, endless],
        cron_jobs=[cron(note_cron, second=set(range(60)), unique=True, run_at_startup=True)],
        redis_settings=SETTINGS,
        allow_abort_jobs=True,
        handle_signals=False,
        poll_delay=0.05,
        health_check_interval=1,
    )

    part("queues")
    early = await redis.enqueue_job("add", 2, 3, _job_id="sum")
    say("queued", [await early.status(), (await early.info()).function, len(await redis.queued_jobs())])
    say("the same twice", await redis.enqueue_job("add", 9, 9, _job_id="sum"))
    stale = await redis.enqueue_job("note", "late", _expires=timedelta(milliseconds=1), _defer_by=1)

    working = asyncio.create_task(worker.async_run())
    part("results")
    say("one", [await early.result(timeout=30), await early.status()])
    info = await early.result_info()
    say("kept", [info.function, info.args, info.job_try, info.success, info.result])
    many = [await redis.enqueue_job("add", i, i) for i in range(20)]
    say("many", [await job.result(timeout=30) for job in many])
    say("retried", await (await redis.enqueue_job("flaky")).result(timeout=30))
    await said_of("failed", (await redis.enqueue_job("broken", "ünï")).result(timeout=30))
    await said_of("not there", Job("none", redis).result(timeout=1))
    await said_of("too late", stale.result(timeout=30))

    part("later")
    jobs = [
        await redis.enqueue_job("note", "in a while", _defer_by=timedelta(seconds=1)),
        await redis.enqueue_job("note", "soon", _defer_by=timedelta(milliseconds=300)),
        await redis.enqueue_job("note", "now"),
    ]
    say("deferred", await jobs[0].status())
    for job in jobs:
        await job.result(timeout=30)
    say("their order", await noted(redis))

    part("aborted")
    job = await redis.enqueue_job("endless")
    await redis.blpop("begun", timeout=30)
    say("at work", [await job.status(), await job.abort(timeout=30), await job.status()])
    job = await redis.enqueue_job("note", "never", _defer_by=600)
    say("in time", await job.abort(timeout=30))

    part("cron")
    say("each second", await redis.blpop("cron", timeout=30) is not None)
    say("health", b"j_complete=" in await redis.get("arq:queue:health-check"))
    await worker.close()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    say("results", len(await redis.all_job_results()) > 20)
    await redis.aclose()


async def note_cron(context):
    await context["redis"].rpush("cron", 1)


asyncio.run(main())
