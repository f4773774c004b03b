//! What a worker holds to when things go wrong.

use std::fmt;
use std::sync::Condvar;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::*;

/// Entries that wait for their retry, for an hour.
async fn with_waiting(store: &Store, group: &Group<Order>, count: usize) -> Result<(), Error> {
    const SCRIPT: &str = r#"
        local time = redis.call("TIME")
        for i = 1, ARGV[2] do
            local id = redis.call("XADD", KEYS[1], "*", "body", "")
            redis.call("ZADD", KEYS[2], (time[1] + 3600) * 1000, id)
        end
        redis.call("XREADGROUP", "GROUP", ARGV[1], "larder:parked", "STREAMS", KEYS[1], ">")
    "#;
    for _ in 0..count / 1000 {
        let fill = Command::new("EVAL").arg(SCRIPT).arg(2).arg(key());
        let fill = fill
            .arg(group.part(keys::RETRIES))
            .arg(group.name())
            .arg(1000);
        store.run::<()>(fill).await?;
    }
    Ok(())
}

/// Hands a delivery to another consumer, as another worker does that takes it over.
async fn take_over(store: &Store, id: Id, consumer: &str) -> Result<(), Error> {
    let claim = Command::new("XCLAIM")
        .arg(key())
        .arg("shipping")
        .arg(consumer)
        .arg(0);
    store.run(claim.arg(id.to_string())).await
}

/// A failure that panics when it is told.
#[derive(Debug)]
struct Untold;

impl fmt::Display for Untold {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("it can't be told");
    }
}

impl std::error::Error for Untold {}

/// A value that panics when it is read.
#[derive(Debug)]
struct Trap;

impl<'de> Deserialize<'de> for Trap {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Trap, D::Error> {
        panic!("it can't be read");
    }
}

/// Has a worker take nothing more. The read under way ends with the time.
async fn pause(test: &TestStore, worker: &Worker) {
    tokio::select! {
        () = worker.pause() => {}
        () = until(test, || false) => {}
    }
}

every_store! {
    /// It was taken once as one that is due, and once more as the worker's own, and so handled twice.
    async fn a_retry_that_is_due_is_taken_once_by_who_looks_for_its_own(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let group = stream.group("shipping", Start::Earliest);
        stream.add(&order(1)).await?;
        let failing = async |_: Job<Order>| Err(Failure::retry_after(SHORT, "later"));
        let worker = group.worker().start(failing).await?;
        until(&test, || worker.metrics().retried == 1).await;
        worker.shutdown().await;
        test.pass(SHORT).await;

        let worker = group.worker().consumer("ann").start(async |_: Job<Order>| Ok(())).await?;
        until(&test, || worker.metrics().processed == 1).await;
        let metrics = worker.shutdown().await;
        assert_eq!((metrics.reclaimed, metrics.lost, metrics.processed), (1, 0, 1));
    }

    /// Each worker walked over all that waited, again and again: with 300,000 of them a server was
    /// busy with nothing else, and workers took each other for dead.
    async fn entries_that_wait_for_a_retry_cost_a_worker_nothing(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let group = stream.group("shipping", Start::Earliest);
        group.create().await?;
        with_waiting(&test.store, &group, 100_000).await?;
        let (handler, _told) = telling();
        let before = test.commands_run().await?;

        let worker = group.worker().idle(SHORT).block(SHORT / 4).start(handler).await?;
        for number in 0..20 {
            stream.add(&order(number)).await?;
            until(&test, || worker.metrics().processed > u64::from(number)).await;
        }
        worker.shutdown().await;

        let after = test.commands_run().await?;
        let count = |name: &str| {
            after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0)
        };
        // For each round a few, and not one for each of those that wait.
        assert!(count("xpending") < 2_000, "{}", count("xpending"));
        assert!(count("zscore") + count("zrange") + count("xclaim") < 5_000);
        assert_eq!(group.info().await?.waiting, 100_000);
    }

    /// The worker that noticed it first began again where it had been itself: a month ago, perhaps.
    async fn a_group_that_went_alone_goes_on_where_it_last_was(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (handler, mut told) = telling();
        let old = group.worker().block(SHORT).start(handler).await?;
        assert_eq!(told.recv().await, Some((0, 1)));
        pause(&test, &old).await;
        let (handler, _told) = telling();
        let busy = group.worker().start(handler).await?;
        for number in 1..100 {
            stream.add(&order(number)).await?;
        }
        until(&test, || old.metrics().processed + busy.metrics().processed == 100).await;
        busy.shutdown().await;
        while told.try_recv().is_ok() {}

        let destroy = Command::new("XGROUP").arg("DESTROY").arg(key()).arg("shipping");
        test.store.run::<()>(destroy).await?;
        stream.add(&order(100)).await?;
        old.resume();

        assert_eq!(told.recv().await, Some((100, 1)));
        assert_eq!(old.shutdown().await.recreated, 1);
        assert!(told.try_recv().is_err());
    }

    /// The ids were equal, so the new entries passed for those that had been handled.
    async fn a_stream_that_is_made_anew_in_the_same_millisecond_is_read_from_its_beginning(test: TestStore) {
        let stream = with_orders(&test.store, 3).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (handler, mut told) = telling();
        let worker = group.worker().concurrency(1).block(SHORT).start(handler).await?;
        // The clock stands still.
        while worker.metrics().processed < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for number in 0..3 {
            assert_eq!(told.recv().await, Some((number, 1)));
        }

        // On a memory store the time stands still: the same ids come again.
        test.store.run::<()>(Command::new("DEL").arg(key())).await?;
        for number in 10..15 {
            stream.add(&order(number)).await?;
        }
        for number in 10..15 {
            assert_eq!(told.recv().await, Some((number, 1)));
        }
        worker.shutdown().await;
    }

    /// Each deploy counted as a delivery of the long jobs, until they were dead letters.
    async fn what_a_shutdown_cuts_off_does_not_count(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);

        for _ in 0..4 {
            let (tell, mut told) = mpsc::unbounded_channel();
            let worker = group.worker().deliveries_max(2).drain(Duration::ZERO);
            let worker = worker.start(move |job: Job<Order>| {
                let _ = tell.send(job.deliveries);
                async move {
                    job.cancel.cancelled().await;
                    Err("I was told to stop".into())
                }
            }).await?;
            assert_eq!(told.recv().await, Some(1));
            worker.shutdown().await;
        }
        let (handler, mut told) = telling();
        let worker = group.worker().deliveries_max(2).start(handler).await?;
        assert_eq!(told.recv().await, Some((0, 1)));
        worker.shutdown().await;
        assert_eq!(group.dead_letters(None, MANY).await?, []);
    }

    /// The worker asked again every five seconds, for ever.
    async fn a_store_that_is_closed_ends_the_worker(test: TestStore) {
        let group = with_orders(&test.store, 1).await?.group("shipping", Start::Earliest);
        let worker = group.worker().start(|_| std::future::pending()).await?;
        until(&test, || worker.metrics().in_hand == 1).await;
        assert_eq!(worker.ended(), None);

        test.store.close().await?;

        assert_eq!(worker.closed().await, Err(Error::Closed));
        assert_eq!(worker.ended(), Some(Err(Error::Closed)));
        worker.shutdown().await;
    }

    async fn a_worker_ends_well_when_it_is_shut_down(test: TestStore) {
        let group = with_orders(&test.store, 1).await?.group("shipping", Start::Earliest);
        let (handler, _told) = telling();
        let worker = group.worker().start(handler).await?;

        // Whoever gives up waiting does not end the end.
        drop(tokio::time::timeout(Duration::ZERO, worker.shutdown()).await);

        assert_eq!(worker.closed().await, Ok(()));
        assert_eq!(worker.shutdown().await, worker.metrics());
        assert_eq!(group.info().await?.consumers, 0);
    }

    async fn nothing_is_left_of_a_stream_that_was_destroyed(test: TestStore) {
        let stream = with_orders(&test.store, 3).await?;
        let group = stream.group("shipping", Start::Earliest);
        let worker = group.worker().start(|job: Job<Order>| {
            std::future::ready(match job.body.number {
                0 => Ok(()),
                1 => Err(Failure::dead("no")),
                _ => Err(Failure::retry("not now")),
            })
        }).await?;
        stream.add_in(HOUR, &order(9)).await?;
        stream.schedule("report", &Cron::parse("@daily")?, &order(9)).await?;
        stream.add_unique("a", &order(0)).await?;
        until(&test, || worker.metrics().dead == 1 && worker.metrics().retried == 1).await;
        worker.shutdown().await;
        stream.group("gone", Start::Earliest).create().await?;
        stream.group("gone", Start::Earliest).delete().await?;

        stream.destroy().await?;
        stream.destroy().await?;

        assert_eq!(test.keys("*").await?, [""; 0]);
    }

    async fn it_is_told_for_whom_a_stream_keeps_what_it_keeps(test: TestStore) {
        let stream = with_orders(&test.store, 3).await?;
        stream.group("nobody", Start::Earliest).create().await?;
        let (handler, _told) = telling();
        let worker = stream.group("shipping", Start::Earliest).worker().start(handler).await?;
        until(&test, || worker.metrics().processed == 3).await;
        worker.shutdown().await;

        let trimmed = stream.trim_handled().await?;
        assert_eq!((trimmed.dropped, trimmed.silence), (0, None));
        assert_eq!(trimmed.kept_for.as_deref(), Some("nobody"));
    }

    /// Nothing told that there was a gap.
    async fn a_cursor_that_was_overtaken_by_trimming_says_what_it_missed(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        for number in 0..10 {
            stream.add(&order(number)).await?;
        }
        let mut cursor = stream.cursor(Start::Earliest).await?;
        assert_eq!(numbers(cursor.read(4, Duration::ZERO).await?), [0, 1, 2, 3]);
        assert_eq!(cursor.missed(), 0);

        let trim = Command::new("XTRIM").arg(key()).arg("MAXLEN").arg(3);
        test.store.run::<u64>(trim).await?;
        assert_eq!(numbers(cursor.read(MANY, Duration::ZERO).await?), [7, 8, 9]);
        assert_eq!(cursor.missed(), 3);

        // What was trimmed after it was read is not missed.
        let trim = Command::new("XTRIM").arg(key()).arg("MAXLEN").arg(0);
        test.store.run::<u64>(trim).await?;
        stream.add(&order(10)).await?;
        assert_eq!(numbers(cursor.read(MANY, Duration::ZERO).await?), [10]);
        assert_eq!(cursor.missed(), 3);
    }

    async fn a_value_that_panics_when_it_is_read_harms_nobody_else(test: TestStore) {
        with_orders(&test.store, 2).await?;
        let trap = Stream::<Trap>::new(&test.store, "shop", "orders", Trim::Never);
        let group = trap.group("shipping", Start::Earliest);
        let worker = group.worker().deliveries_max(2).backoff(soon());
        let worker = worker.start(async |_: Job<Trap>| Ok(())).await?;
        until(&test, || worker.metrics().dead == 2).await;

        assert_eq!(worker.ended(), None);
        worker.shutdown().await;
        let orders = orders(&test.store, Trim::Never).group("shipping", Start::Earliest);
        assert_eq!(orders.dead_letters(None, 1).await?[0].error, "it panicked: it can't be read");
    }

    /// The worker had it in hand for ever.
    async fn a_failure_that_panics_when_it_is_told_is_a_failure(test: TestStore) {
        let group = with_orders(&test.store, 1).await?.group("shipping", Start::Earliest);
        let worker = group.worker().deliveries_max(1).start(async |_: Job<Order>| Err(Untold.into()));
        let worker = worker.await?;
        until(&test, || worker.metrics().dead == 1).await;
        assert_eq!(worker.shutdown().await.failed, 1);

        let letter = group.dead_letters(None, 1).await?.remove(0);
        assert_eq!(letter.error, "it panicked: it can't be told");
    }

    async fn a_dead_letter_tells_the_whole_chain_of_causes(test: TestStore) {
        #[derive(Debug, thiserror::Error)]
        #[error("the order can't be paid")]
        struct Unpaid(#[source] std::num::ParseIntError);

        let group = with_orders(&test.store, 1).await?.group("shipping", Start::Earliest);
        let worker = group.worker().deliveries_max(1).start(async |_: Job<Order>| {
            "x".parse::<u32>().map_err(Unpaid)?;
            Ok(())
        }).await?;
        until(&test, || worker.metrics().dead == 1).await;
        worker.shutdown().await;

        let letter = group.dead_letters(None, 1).await?.remove(0);
        assert_eq!(letter.error, "the order can't be paid: invalid digit found in string");
    }

    /// The old handler's end was booked on the new delivery, while its handler was in the middle.
    async fn the_end_of_a_lost_handler_is_not_that_of_the_delivery_that_came_back(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let group = stream.group("shipping", Start::Earliest);
        let (tell, mut told) = mpsc::unbounded_channel();
        let counts = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let seen = counts.clone();
        let worker = group.worker().consumer("ann").idle(SHORT).start(move |job: Job<Order>| {
            let (tell, counts) = (tell.clone(), counts.clone());
            async move {
                let [at_work, most] = &*counts;
                most.fetch_max(at_work.fetch_add(1, Relaxed) + 1, Relaxed);
                let _ = tell.send(job.deliveries);
                // It does not heed its token.
                tokio::time::sleep(SHORT).await;
                at_work.fetch_sub(1, Relaxed);
                match job.deliveries {
                    1 => Ok(()),
                    _ => Err(Failure::dead("the second failed")),
                }
            }
        }).await?;
        let id = stream.add(&order(1)).await?;
        assert_eq!(told.recv().await, Some(1));

        // Another worker takes it over, and fails; it comes back while the first is at work.
        take_over(&test.store, id, "bob").await?;
        take_over(&test.store, id, "larder:parked").await?;
        let retry = Command::new("ZADD").arg(group.part(keys::RETRIES)).arg(0).arg(id.to_string());
        test.store.run::<()>(retry).await?;

        until(&test, || worker.metrics().dead == 1).await;
        assert_eq!(told.recv().await, Some(4));
        assert_eq!((worker.metrics().processed, seen[1].load(Relaxed)), (0, 1));
        worker.shutdown().await;
    }

    async fn a_handler_that_does_not_heed_its_token_is_dropped_after_a_second(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let group = stream.group("shipping", Start::Earliest);
        let (tell, mut told) = mpsc::unbounded_channel();
        let worker = group.worker().idle(SHORT).drain(Duration::ZERO).start(move |_: Job<Order>| {
            let _ = tell.send(());
            std::future::pending()
        }).await?;
        let id = stream.add(&order(1)).await?;
        told.recv().await;

        take_over(&test.store, id, "bob").await?;
        until(&test, || worker.metrics().lost == 1).await;
        until(&test, || worker.metrics().in_hand == 0 || worker.metrics().reclaimed == 1).await;
        worker.shutdown().await;
    }

    async fn a_worker_that_is_paused_takes_nothing_until_it_is_resumed(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let group = stream.group("shipping", Start::Earliest);
        let (handler, mut told) = telling();
        let worker = group.worker().idle(SHORT).block(SHORT / 10).start(handler).await?;
        pause(&test, &worker).await;
        let (handler, mut other_told) = telling();
        let other = group.worker().start(handler).await?;
        for number in 2..12 {
            stream.add(&order(number)).await?;
            assert_eq!(other_told.recv().await, Some((number, 1)));
        }
        other.shutdown().await;
        stream.add(&order(1)).await?;
        assert!(told.try_recv().is_err());

        worker.resume();
        assert_eq!(told.recv().await, Some((1, 1)));
        worker.shutdown().await;
    }

    async fn whoever_waits_until_a_worker_rests_waits_no_longer_once_it_works_again_or_has_ended(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let (handler, mut told) = telling();
        let worker = stream.group("shipping", Start::Earliest).worker().start(handler).await?;
        assert_eq!(told.recv().await, Some((0, 1)));

        // The read under way waits for five seconds of a clock that here stands still.
        tokio::join!(worker.pause(), async { worker.resume() });
        tokio::join!(worker.pause(), worker.shutdown());
        worker.pause().await;
    }

    /// No worker can show that it is alive there: each took all others for dead.
    async fn workers_of_a_store_that_is_full_take_nothing_from_each_other(test: TestStore) {
        let stream = with_orders(&test.store, 2).await?;
        let group = stream.group("shipping", Start::Earliest);
        let slow = |_| std::future::pending();
        let one = group.worker().concurrency(1).idle(SHORT).drain(Duration::ZERO).start(slow).await?;
        until(&test, || one.metrics().in_hand == 1).await;
        let two = group.worker().concurrency(2).idle(SHORT).drain(Duration::ZERO).start(slow).await?;
        until(&test, || two.metrics().in_hand == 1).await;

        test.configure("maxmemory", "1").await?;
        for _ in 0..20 {
            test.pass(SHORT / 4).await;
            tokio::time::sleep(SHORT / 20).await;
        }
        test.configure("maxmemory", "0").await?;
        for _ in 0..20 {
            test.pass(SHORT / 20).await;
            tokio::time::sleep(SHORT / 20).await;
        }

        assert_eq!((one.metrics().lost, two.metrics().reclaimed), (0, 0));
        one.shutdown().await;
        two.shutdown().await;
    }
}

/// A clock that went back by an hour kept a retry waiting for that hour.
#[tokio::test]
async fn a_retry_comes_in_time_when_the_clock_is_set_back() -> Result<(), Error> {
    let test = TestStore::memory();
    let group = with_orders(&test.store, 1)
        .await?
        .group("shipping", Start::Earliest);
    let (tell, mut told) = mpsc::unbounded_channel();
    let worker = group.worker().idle(SHORT).start(move |job: Job<Order>| {
        let _ = tell.send(job.deliveries);
        std::future::ready(match job.deliveries {
            1 => Err(Failure::retry_after(Duration::from_millis(500), "later")),
            _ => Ok(()),
        })
    });
    let worker = worker.await?;
    until(&test, || worker.metrics().retried == 1).await;
    assert_eq!(told.recv().await, Some(1));

    test.set_back(HOUR);
    let waited = until(&test, || worker.metrics().processed == 1);
    let waited = tokio::time::timeout(Duration::from_secs(20), waited).await;
    assert_eq!(waited, Ok(()));
    worker.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_keeps_its_thread_keeps_no_other() -> Result<(), Error> {
    let test = TestStore::memory();
    let group = with_orders(&test.store, 2).await?;
    let group = group.group("shipping", Start::Earliest);
    let here = Arc::new((Mutex::new(0), Condvar::new()));

    let worker = group.worker().start(move |_: Job<Order>| {
        let here = Arc::clone(&here);
        async move {
            let (count, more) = &*here;
            let mut count = count.lock().expect("nobody panics");
            *count += 1;
            more.notify_all();
            let both = more.wait_timeout_while(count, 25 * SHORT, |count| *count < 2);
            match both.expect("nobody panics").1.timed_out() {
                true => Err("it is alone".into()),
                false => Ok(()),
            }
        }
    });
    let worker = worker.await?;
    until(&test, || {
        worker.metrics().processed + worker.metrics().failed >= 2
    })
    .await;
    assert_eq!(worker.shutdown().await.processed, 2);
    Ok(())
}

/// On one thread they begin where the worker is: it went on for as long as there was something to read.
#[tokio::test]
async fn handlers_that_never_wait_leave_others_their_turn() -> Result<(), Error> {
    let test = TestStore::memory();
    let group = with_orders(&test.store, 2000).await?;
    let group = group.group("shipping", Start::Earliest);
    let (since, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let turns = Arc::clone(&since);
    let other = tokio::spawn(async move {
        loop {
            turns.store(0, Relaxed);
            tokio::task::yield_now().await;
        }
    });

    let longest = Arc::clone(&most);
    let worker = group.worker().concurrency(1000).batch(1000);
    let worker = worker.start(move |_: Job<Order>| {
        longest.fetch_max(since.fetch_add(1, Relaxed) + 1, Relaxed);
        std::future::ready(Ok(()))
    });
    let worker = worker.await?;
    until(&test, || worker.metrics().processed == 2000).await;
    assert!(most.load(Relaxed) <= 200, "{most:?} in a row");
    worker.shutdown().await;
    other.abort();
    Ok(())
}
