//! Streams, groups and workers, on every kind of store.

use std::future::Ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_store::{Command, Error, Keys, Store};
use larder_testkit::{TestStore, every_store};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::*;
use crate::codec::DecodeError;

mod later;
mod trust;

const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(200);
const MANY: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    number: u32,
}

fn order(number: u32) -> Order {
    Order { number }
}

fn orders(store: &Store, trim: Trim) -> Stream<Order> {
    Stream::new(store, "shop", "orders", trim)
}

async fn with_orders(store: &Store, count: u32) -> Result<Stream<Order>, Error> {
    let stream = orders(store, Trim::Never);
    for number in 0..count {
        stream.add(&order(number)).await?;
    }
    Ok(stream)
}

fn numbers(entries: Vec<Entry<Order>>) -> Vec<u32> {
    let number = |entry: Entry<Order>| entry.body.expect("it is an order").number;
    entries.into_iter().map(number).collect()
}

/// Backoff that tests can wait for.
fn soon() -> Backoff {
    Backoff::between(Duration::from_millis(2), Duration::from_millis(4))
}

/// Lets time pass until something is so.
async fn until(test: &TestStore, so: impl Fn() -> bool) {
    while !so() {
        test.pass(Duration::from_millis(5)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn key() -> larder_store::Key {
    Keys::new("shop", "stream").of("orders")
}

/// Reads as a consumer that crashes then.
async fn read_and_crash(store: &Store, consumer: &str) -> Result<(), Error> {
    let command = Command::new("XREADGROUP")
        .arg("GROUP")
        .arg("shipping")
        .arg(consumer);
    store.run(command.arg("STREAMS").arg(key()).arg(">")).await
}

/// The number of an order, and how often it was delivered.
type Told = mpsc::UnboundedReceiver<(u32, u32)>;

/// A handler that succeeds and says what it was given.
fn telling() -> (
    impl Fn(Job<Order>) -> Ready<Result<(), Failure>> + Send + Sync,
    Told,
) {
    let (tell, told) = mpsc::unbounded_channel();
    let handler = move |job: Job<Order>| {
        let _ = tell.send((job.body.number, job.deliveries));
        std::future::ready(Ok(()))
    };
    (handler, told)
}

every_store! {
    async fn values_are_read_in_the_order_in_which_they_were_added(test: TestStore) {
        let stream = with_orders(&test.store, 5).await?;
        let mut cursor = stream.cursor(Start::Earliest).await?;

        assert_eq!(numbers(cursor.read(2, Duration::ZERO).await?), [0, 1]);
        assert_eq!(numbers(cursor.read(2, Duration::ZERO).await?), [2, 3]);
        assert_eq!(numbers(cursor.read(2, Duration::ZERO).await?), [4]);
        assert!(cursor.read(2, Duration::ZERO).await?.is_empty());
        assert_eq!(numbers(stream.latest(2).await?), [4, 3]);
        assert!(stream.latest(0).await?.is_empty());
    }

    /// The sketch asked for "what comes from now on" in each read, and lost what came between them.
    async fn a_cursor_at_the_end_misses_nothing_between_its_reads(test: TestStore) {
        let stream = with_orders(&test.store, 2).await?;
        let mut cursor = stream.cursor(Start::Latest).await?;

        stream.add(&order(2)).await?;
        stream.add(&order(3)).await?;
        assert_eq!(numbers(cursor.read(1, Duration::ZERO).await?), [2]);
        stream.add(&order(4)).await?;
        assert_eq!(numbers(cursor.read(MANY, Duration::ZERO).await?), [3, 4]);
    }

    async fn a_cursor_goes_on_behind_an_entry(test: TestStore) {
        let stream = with_orders(&test.store, 3).await?;
        let mut first = stream.cursor(Start::Earliest).await?;
        first.read(1, Duration::ZERO).await?;

        let mut second = stream.cursor(Start::After(first.last())).await?;

        assert_eq!(numbers(second.read(MANY, Duration::ZERO).await?), [1, 2]);
    }

    async fn a_cursor_gives_one_entry_after_the_other(test: TestStore) {
        let mut cursor = with_orders(&test.store, 2).await?.cursor(Start::Earliest).await?;
        for number in 0..2 {
            let next = cursor.next(Duration::ZERO).await?.expect("there is one more");
            assert_eq!(next.body, Ok(order(number)));
        }
        assert_eq!(cursor.next(Duration::ZERO).await?, None);
    }

    async fn a_read_waits_for_an_entry(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let mut cursor = stream.cursor(Start::Latest).await?;

        let waiting = tokio::spawn(async move { cursor.read(MANY, HOUR).await });
        tokio::task::yield_now().await;
        stream.add(&order(7)).await?;

        assert_eq!(numbers(waiting.await??), [7]);
    }

    async fn what_is_no_such_value_is_told_and_the_rest_is_read(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let foreign = Command::new("XADD").arg(key()).arg("*").arg("name").arg("ann");
        test.store.run::<Id>(foreign).await?;
        stream.add(&order(1)).await?;

        let mut cursor = stream.cursor(Start::Earliest).await?;
        let entries = cursor.read(MANY, Duration::ZERO).await?;

        let bodies: Vec<_> = entries.into_iter().map(|entry| entry.body).collect();
        assert_eq!(bodies, [Ok(order(0)), Err(DecodeError::Empty), Ok(order(1))]);
    }

    async fn a_bounded_stream_keeps_at_least_its_bound(test: TestStore) {
        let stream = orders(&test.store, Trim::MaxLen(10));

        for number in 0..500 {
            stream.add(&order(number)).await?;
        }

        let len = stream.len().await?;
        assert!((10..500).contains(&len), "{len}");
    }

    async fn a_stream_with_an_age_forgets_what_is_older(test: TestStore) {
        let stream = orders(&test.store, Trim::MaxAge(SHORT));
        for number in 0..300 {
            stream.add(&order(number)).await?;
        }

        test.pass(SHORT * 2).await;
        let id = stream.add(&order(300)).await?;

        let len = stream.len().await?;
        assert!((1..300).contains(&len), "{len}");
        assert_eq!(stream.latest(1).await?[0].id, id);
    }

    async fn a_deleted_entry_is_not_read(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let id = stream.add(&order(1)).await?;

        assert!(stream.delete(id).await?);
        assert!(!stream.delete(id).await?);
        assert_eq!(stream.len().await?, 1);
    }

    async fn what_some_group_has_not_handled_is_not_trimmed(test: TestStore) {
        let stream = with_orders(&test.store, 3).await?;
        assert_eq!(stream.trim_handled().await?.dropped, 0);

        let (quick, slow) = (stream.group("shipping", Start::Earliest), stream.group("slow", Start::Earliest));
        quick.create().await?;
        slow.create().await?;
        read_and_crash(&test.store, "ann").await?;
        assert_eq!(stream.trim_handled().await?.dropped, 0);

        slow.delete().await?;
        let second = quick.pending_after(None, MANY).await?[1].id;
        let first = quick.pending_after(None, MANY).await?[0].id;
        test.store.run::<u32>(Command::new("XACK").arg(key()).arg("shipping").arg(first.to_string())).await?;
        assert_eq!(stream.trim_handled().await?.dropped, 1);

        let entries = stream.cursor(Start::Earliest).await?.read(MANY, Duration::ZERO).await?;
        assert_eq!(entries[0].id, second);
        for pending in quick.pending_after(None, MANY).await? {
            test.store.run::<u32>(Command::new("XACK").arg(key()).arg("shipping").arg(pending.id.to_string())).await?;
        }
        assert_eq!(stream.trim_handled().await?.dropped, 2);
        assert!(stream.is_empty().await?);
    }

    async fn a_group_is_made_once_and_stays_where_it_is(test: TestStore) {
        let stream = with_orders(&test.store, 2).await?;
        let group = stream.group("shipping", Start::Earliest);

        assert!(group.create().await?);
        assert!(!stream.group("shipping", Start::Latest).create().await?);
        assert_eq!(group.info().await?.lag, Some(2));

        assert!(stream.group("late", Start::Latest).create().await?);
        assert_eq!(stream.group("late", Start::Latest).info().await?.lag, Some(0));

        assert!(group.delete().await?);
        assert!(!group.delete().await?);
        assert_eq!(group.info().await, Err(Error::Gone));
    }

    async fn a_group_without_a_stream_is_no_group(test: TestStore) {
        let group = orders(&test.store, Trim::Never).group("shipping", Start::Earliest);

        assert_eq!(group.info().await, Err(Error::Gone));
        assert_eq!(group.pending().await, Err(Error::Gone));
        assert_eq!(group.pending_after(None, MANY).await, Err(Error::Gone));
        assert!(!group.delete().await?);
        assert_eq!(group.dead_letters(None, MANY).await?, []);
    }

    async fn what_a_group_has_not_finished_can_be_seen(test: TestStore) {
        let stream = with_orders(&test.store, 3).await?;
        let group = stream.group("shipping", Start::Earliest);
        group.create().await?;
        assert_eq!(group.pending().await?, Summary::default());

        read_and_crash(&test.store, "ann").await?;

        let summary = group.pending().await?;
        assert_eq!((summary.count, summary.consumers), (3, vec![("ann".to_owned(), 3)]));
        let first = group.pending_after(None, 1).await?.remove(0);
        assert_eq!((&*first.consumer, first.deliveries), ("ann", 1));
        assert_eq!(summary.ends.map(|(first, _)| first), Some(first.id));
        assert_eq!(group.pending_after(Some(first.id), MANY).await?.len(), 2);
    }

    async fn workers_handle_every_entry_once(test: TestStore) {
        let stream = with_orders(&test.store, 50).await?;
        let group = stream.group("shipping", Start::Earliest);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let handler = {
            let seen = seen.clone();
            move |job: Job<Order>| {
                seen.lock().expect("no panic").push(job.body.number);
                std::future::ready(Ok(()))
            }
        };

        let one = group.worker().start(handler.clone()).await?;
        let two = group.worker().start(handler).await?;
        for number in 50..100 {
            stream.add(&order(number)).await?;
        }
        until(&test, || one.metrics().processed + two.metrics().processed == 100).await;

        let mut seen = seen.lock().expect("no panic").clone();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        one.shutdown().await;
        two.shutdown().await;
        assert_eq!(group.pending().await?.count, 0);
        assert_eq!(group.info().await?.consumers, 0);
    }

    async fn no_more_handlers_are_at_work_than_there_may_be(test: TestStore) {
        let stream = with_orders(&test.store, 20).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (now, most) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));

        let count = (now, most.clone());
        let worker = group.worker().concurrency(3);
        let worker = worker.start(move |_| {
            let (now, most) = count.clone();
            async move {
                let at_work = { let mut now = now.lock().expect("no panic"); *now += 1; *now };
                { let mut most = most.lock().expect("no panic"); *most = at_work.max(*most); }
                tokio::time::sleep(Duration::from_millis(2)).await;
                *now.lock().expect("no panic") -= 1;
                Ok(())
            }
        }).await?;
        until(&test, || worker.metrics().processed == 20).await;

        assert_eq!(*most.lock().expect("no panic"), 3);
        worker.shutdown().await;
    }

    async fn what_fails_is_retried_and_becomes_a_dead_letter_at_last(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let original = stream.add(&order(7)).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (tell, mut told) = mpsc::unbounded_channel();

        let worker = group.worker().deliveries_max(3).backoff(soon());
        let worker = worker.start(move |job| {
            let _ = tell.send(job.deliveries);
            std::future::ready(Err("no".parse::<u32>().map(drop).expect_err("no number").into()))
        }).await?;
        until(&test, || worker.metrics().dead == 1).await;
        let metrics = worker.shutdown().await;

        assert_eq!((metrics.failed, metrics.retried, metrics.dead), (3, 2, 1));
        for delivery in 1..=3 {
            assert_eq!(told.recv().await, Some(delivery));
        }
        let letters = group.dead_letters(None, MANY).await?;
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!((letter.original, letter.deliveries), (original, 3));
        assert_eq!(letter.error, "invalid digit found in string");
        assert_eq!(letter.body, Ok(order(7)));
        assert_eq!(group.pending().await?.count, 0);
    }

    async fn a_retry_comes_no_sooner_than_it_is_due(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (tell, mut told) = mpsc::unbounded_channel();

        // Far shorter than the wait, so that the entry would count as left.
        let worker = group.worker().idle(Duration::from_millis(100));
        let worker = worker.start(move |job| {
            let _ = tell.send(job.deliveries);
            std::future::ready(match job.deliveries {
                1 => Err(Failure::retry_after(Duration::from_millis(600), "later")),
                _ => Ok(()),
            })
        }).await?;
        assert_eq!(told.recv().await, Some(1));
        until(&test, || worker.metrics().retried == 1).await;

        test.pass(Duration::from_millis(300)).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(told.try_recv().is_err());
        test.pass(Duration::from_millis(300)).await;
        assert_eq!(told.recv().await, Some(2));
        worker.shutdown().await;
    }

    async fn what_will_never_work_is_a_dead_letter_at_once(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);

        let worker = group.worker().start(|_| std::future::ready(Err(Failure::dead("sold out")))).await?;
        until(&test, || worker.metrics().dead == 1).await;
        worker.shutdown().await;

        let letter = group.dead_letters(None, MANY).await?.remove(0);
        assert_eq!((letter.deliveries, &*letter.error), (1, "sold out"));
    }

    async fn what_cannot_be_read_is_a_dead_letter_and_the_rest_is_handled(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let foreign = Command::new("XADD").arg(key()).arg("*").arg("name").arg("ann");
        test.store.run::<Id>(foreign).await?;
        stream.add(&order(1)).await?;
        let group = stream.group("shipping", Start::Earliest);

        let (handler, mut told) = telling();
        let worker = group.worker().start(handler).await?;
        until(&test, || worker.metrics().dead == 1 && worker.metrics().processed == 1).await;
        worker.shutdown().await;

        assert_eq!(told.recv().await, Some((1, 1)));
        let letter = group.dead_letters(None, MANY).await?.remove(0);
        assert_eq!(letter.body, Err(DecodeError::Empty));
    }

    /// In a store that was full, the retry of one entry could not be noted, and no worker could
    /// finish any other entry, nor get another, until there was room again.
    async fn what_the_store_refuses_to_note_holds_up_nothing_and_is_handled_again(test: TestStore) {
        let stream = with_orders(&test.store, 40).await?;
        let group = stream.group("shipping", Start::Earliest);
        // Where dead letters go there is something else.
        let occupied = |key| Command::new("SET").arg(key).arg("occupied");
        test.store.run::<()>(occupied(group.part(keys::DEAD))).await?;
        let handler = |job: Job<Order>| async move {
            match job.body.number {
                number if number % 4 == 0 && job.deliveries == 1 => Err(Failure::dead("not now")),
                _ => Ok(()),
            }
        };
        let worker = group.worker().idle(SHORT).backoff(soon()).start(handler).await?;

        until(&test, || worker.metrics().processed == 40).await;
        assert_eq!((worker.metrics().dead, worker.metrics().lost), (0, 0));
        assert_eq!(worker.metrics().failed, 10);
        assert_eq!(group.pending().await?.count, 0);
        worker.shutdown().await;
    }

    async fn a_handler_that_panics_is_retried_and_the_worker_lives(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);

        let worker = group.worker().backoff(soon()).start(|job| {
            assert!(job.deliveries > 1, "as a handler may");
            std::future::ready(Ok(()))
        }).await?;
        until(&test, || worker.metrics().processed == 1).await;

        assert_eq!(worker.shutdown().await.failed, 1);
    }

    /// The sketch read only what was new: what a crashed worker had read was never handled.
    async fn what_a_crashed_worker_left_is_handled_by_another(test: TestStore) {
        let stream = with_orders(&test.store, 2).await?;
        let group = stream.group("shipping", Start::Earliest);
        group.create().await?;
        read_and_crash(&test.store, "ann").await?;

        let (handler, mut told) = telling();
        let worker = group.worker().idle(SHORT).start(handler).await?;
        test.pass(SHORT).await;
        until(&test, || worker.metrics().processed == 2).await;

        let mut taken = [told.recv().await, told.recv().await];
        taken.sort_unstable();
        assert_eq!(taken, [Some((0, 2)), Some((1, 2))]);
        assert_eq!(worker.shutdown().await.reclaimed, 2);
    }

    async fn a_worker_that_is_started_again_takes_up_its_own_at_once(test: TestStore) {
        let stream = with_orders(&test.store, 20).await?;
        let group = stream.group("shipping", Start::Earliest);
        group.create().await?;
        read_and_crash(&test.store, "ann").await?;

        let (handler, mut told) = telling();
        let worker = group.worker().consumer("ann").concurrency(2).idle(HOUR);
        let worker = worker.start(handler).await?;
        until(&test, || worker.metrics().processed == 20).await;

        for _ in 0..20 {
            let told = told.recv().await;
            assert!(matches!(told, Some((_, 2))), "{told:?}");
        }
        worker.shutdown().await;
    }

    async fn an_entry_stays_with_a_handler_that_takes_long(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);
        let handler = |_| async {
            tokio::time::sleep(SHORT * 4).await;
            Ok(())
        };

        let one = group.worker().idle(SHORT).start(handler).await?;
        let two = group.worker().idle(SHORT).start(handler).await?;
        while one.metrics().processed + two.metrics().processed == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }

        let (one, two) = (one.shutdown().await, two.shutdown().await);
        assert_eq!((one.processed + two.processed, one.reclaimed + two.reclaimed), (1, 0));
    }

    /// A worker was paused, and wakes up when another has its entry.
    async fn who_has_lost_an_entry_is_told_and_cannot_end_it(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (tell, mut told) = mpsc::unbounded_channel();

        let worker = group.worker().idle(SHORT).start(move |job| {
            let _ = tell.send(job.id);
            async move {
                job.cancel.cancelled().await;
                Ok(())
            }
        }).await?;
        let id = told.recv().await.expect("it is delivered").to_string();
        let other = Command::new("XCLAIM").arg(key()).arg("shipping").arg("other").arg(0).arg(id);
        test.store.run::<()>(other.arg("JUSTID")).await?;
        until(&test, || worker.metrics().lost == 1 && worker.metrics().in_hand == 0).await;

        assert_eq!(worker.metrics().processed, 0);
        drop(worker);
        assert_eq!(group.pending().await?.consumers, [("other".to_owned(), 1)]);
    }

    async fn what_was_deleted_while_it_was_pending_is_finished(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let gone = stream.add(&order(1)).await?;
        stream.add(&order(2)).await?;
        let group = stream.group("shipping", Start::Earliest);
        group.create().await?;
        read_and_crash(&test.store, "ann").await?;
        stream.delete(gone).await?;

        let (handler, _told) = telling();
        let worker = group.worker().idle(SHORT).start(handler).await?;
        test.pass(SHORT).await;
        until(&test, || worker.metrics().processed == 2).await;

        assert_eq!(worker.shutdown().await.gone, 1);
        assert_eq!(group.pending().await?.count, 0);
    }

    /// Its handlers crash the process each time, so that none ever answers.
    async fn what_was_delivered_too_often_is_a_dead_letter_also_when_nobody_ended_it(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);
        group.create().await?;
        read_and_crash(&test.store, "ann").await?;
        let id = group.pending_after(None, 1).await?[0].id.to_string();
        let claim = Command::new("XCLAIM").arg(key()).arg("shipping").arg("ann").arg(0).arg(id);
        test.store.run::<()>(claim.arg("RETRYCOUNT").arg(10).arg("JUSTID")).await?;

        let (handler, mut told) = telling();
        let worker = group.worker().idle(SHORT).start(handler).await?;
        test.pass(SHORT).await;
        until(&test, || worker.metrics().dead == 1).await;

        assert!(told.try_recv().is_err());
        worker.shutdown().await;
        assert_eq!(group.dead_letters(None, MANY).await?[0].deliveries, 11);
    }

    async fn a_group_that_disappears_is_made_anew(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (handler, mut told) = telling();
        let worker = group.worker().block(SHORT).start(handler).await?;
        assert_eq!(told.recv().await, Some((0, 1)));
        until(&test, || worker.metrics().in_hand == 0).await;

        test.clear().await?;
        test.pass(Duration::from_millis(1)).await;
        stream.add(&order(1)).await?;

        assert_eq!(told.recv().await, Some((1, 1)));
        assert_eq!(worker.shutdown().await.recreated, 1);
    }

    /// After a read that failed, as when a server is started anew, a worker waited until it would
    /// have looked for what crashed workers left: seconds, or as long as `idle` makes it.
    async fn a_worker_reads_on_soon_after_a_read_that_failed(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (handler, mut told) = telling();
        let patient = group.worker().idle(HOUR);
        let worker = patient.block(SHORT).start(handler).await?;
        assert_eq!(told.recv().await, Some((0, 1)));
        until(&test, || worker.metrics().in_hand == 0).await;

        let wrong = Command::new("SET").arg(key()).arg("no stream");
        test.store.run::<()>(wrong).await?;
        until(&test, || worker.metrics().errors > 0).await;
        test.store.run::<()>(Command::new("DEL").arg(key())).await?;
        // In the same millisecond the new stream would give the id of the entry that was handled.
        test.pass(Duration::from_millis(1)).await;
        stream.add(&order(1)).await?;

        let read_on = tokio::time::timeout(Duration::from_secs(20), told.recv()).await;
        assert_eq!(read_on, Ok(Some((1, 1))));
        worker.shutdown().await;
    }

    /// A server that came back empty, with a clock behind that of the one before, gave ids that the
    /// worker took for those of entries that it had handled: they were never delivered.
    async fn a_stream_that_begins_anew_is_read_from_its_beginning(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let group = stream.group("shipping", Start::Earliest);
        let (handler, mut told) = telling();
        let worker = group.worker().idle(SHORT).start(handler).await?;
        let body = crate::codec::encode(&order(1)).expect("it can be encoded");
        let late = Command::new("XADD").arg(key()).arg("99999999999999-0");
        test.store.run::<()>(late.arg("body").arg(body)).await?;
        until(&test, || worker.metrics().processed == 1).await;

        test.store.run::<()>(Command::new("DEL").arg(key())).await?;
        stream.add(&order(2)).await?;
        until(&test, || worker.metrics().processed == 2).await;
        assert_eq!((told.recv().await, told.recv().await), (Some((1, 1)), Some((2, 1))));
        worker.shutdown().await;
    }

    async fn a_shutdown_waits_for_handlers(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (tell, mut told) = mpsc::unbounded_channel();

        let worker = group.worker().start(move |_| {
            let _ = tell.send(());
            async {
                tokio::time::sleep(SHORT).await;
                Ok(())
            }
        }).await?;
        told.recv().await;
        let metrics = worker.shutdown().await;

        assert_eq!((metrics.processed, metrics.in_hand), (1, 0));
        assert_eq!(group.pending().await?.count, 0);
    }

    /// The token fired and the handlers were ended in the same moment, so most of them never saw it.
    async fn handlers_that_are_cancelled_at_a_shutdown_can_clean_up(test: TestStore) {
        let stream = with_orders(&test.store, 3).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (tell, mut told) = mpsc::unbounded_channel();

        let worker = group.worker().drain(Duration::ZERO).start(move |job: Job<Order>| {
            let tell = tell.clone();
            let _ = tell.send("begun");
            async move {
                job.cancel.cancelled().await;
                tokio::task::yield_now().await;
                let _ = tell.send("cleaned up");
                Ok(())
            }
        }).await?;
        for _ in 0..3 {
            assert_eq!(told.recv().await, Some("begun"));
        }
        let metrics = worker.shutdown().await;

        // What they did in their last second counts.
        assert_eq!((metrics.processed, group.pending().await?.count), (3, 0));
        for _ in 0..3 {
            assert_eq!(told.try_recv(), Ok("cleaned up"));
        }
    }

    async fn what_is_unfinished_at_a_shutdown_is_taken_by_others_at_once(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);
        let (tell, mut heard) = mpsc::unbounded_channel();
        let long = || group.worker().idle(HOUR);

        let stuck = long().drain(Duration::from_millis(20)).start(move |_| {
            let _ = tell.send(());
            std::future::pending()
        }).await?;
        heard.recv().await;
        let metrics = stuck.shutdown().await;
        assert_eq!((metrics.processed, metrics.in_hand), (0, 1));

        let (handler, mut told) = telling();
        let next = long().start(handler).await?;
        assert_eq!(told.recv().await, Some((0, 1)));
        next.shutdown().await;
    }

    async fn consumers_that_are_silent_and_have_nothing_are_removed(test: TestStore) {
        let stream = with_orders(&test.store, 1).await?;
        let group = stream.group("shipping", Start::Earliest);
        group.create().await?;
        read_and_crash(&test.store, "busy").await?;
        for name in ["old", "older"] {
            let command = Command::new("XGROUP").arg("CREATECONSUMER").arg(key());
            test.store.run::<()>(command.arg("shipping").arg(name)).await?;
        }

        test.pass(SHORT * 3).await;
        let worker = group.worker().idle(SHORT).silence_max(SHORT * 2).block(SHORT);
        let worker = worker.start(|_| std::future::pending()).await?;

        while group.info().await?.consumers > 1 {
            test.pass(Duration::from_millis(5)).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The busy one went after its entry had been taken over, and not with it.
        assert_eq!(group.pending().await?.consumers, [(worker.consumer().to_owned(), 1)]);
    }

    async fn a_dead_letter_is_put_back_or_thrown_away(test: TestStore) {
        let stream = with_orders(&test.store, 2).await?;
        let group = stream.group("shipping", Start::Earliest);
        let worker = group.worker().concurrency(1);
        let worker = worker.start(|_| std::future::ready(Err(Failure::dead("no")))).await?;
        until(&test, || worker.metrics().dead == 2).await;
        worker.shutdown().await;

        let letters = group.dead_letters(None, MANY).await?;
        assert!(group.discard(letters[0].id).await?);
        assert!(!group.discard(letters[0].id).await?);
        let again = group.redrive(letters[1].id).await?.expect("it is there");
        assert_eq!(group.redrive(letters[1].id).await?, None);

        assert_eq!(group.dead_letters(None, MANY).await?, []);
        assert_eq!(stream.latest(1).await?[0], Entry { id: again, body: Ok(order(1)) });
    }

    async fn workers_trim_what_every_group_has_handled(test: TestStore) {
        let stream = orders(&test.store, Trim::Handled);
        for number in 0..10 {
            stream.add(&order(number)).await?;
        }
        let group = stream.group("shipping", Start::Earliest);

        let (handler, _told) = telling();
        let worker = group.worker().idle(SHORT).start(handler).await?;
        while !stream.is_empty().await? {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        worker.shutdown().await;
    }

    async fn as_many_can_be_asked_for_as_a_number_can_say(test: TestStore) {
        let stream = with_orders(&test.store, 3).await?;
        let group = stream.group("shipping", Start::Earliest);
        group.create().await?;
        let most = usize::MAX;

        assert_eq!(stream.latest(usize::MAX).await?.len(), 3);
        assert_eq!(stream.cursor(Start::Earliest).await?.read(most, Duration::MAX).await?.len(), 3);
        assert_eq!(group.pending_after(None, most).await?, []);
        assert_eq!(group.dead_letters(None, most).await?, []);
        let bound = Trim::MaxLen(u64::MAX);
        orders(&test.store, bound).add(&order(3)).await?;
    }

    /// Times that no clock can count to stand for "as long as it takes".
    async fn times_may_be_as_long_as_a_duration_can_say(test: TestStore) {
        let stream = with_orders(&test.store, 2).await?;
        let group = stream.group("shipping", Start::Earliest);
        let worker = group
            .worker()
            .concurrency(usize::MAX)
            .batch(usize::MAX)
            .dead_letters_max(u64::MAX)
            .block(Duration::MAX)
            .drain(Duration::MAX)
            .silence_max(Duration::MAX)
            .backoff(Backoff::between(Duration::MAX, Duration::MAX))
            .start(|job: Job<Order>| async move {
                match job.body.number {
                    0 => Err(Failure::retry_after(Duration::MAX, "not this year")),
                    _ => Err(Failure::retry("not this year")),
                }
            })
            .await?;
        until(&test, || worker.metrics().retried == 2).await;

        assert_eq!(worker.shutdown().await.errors, 0);
    }
}
