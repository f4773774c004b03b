//! Near reads of a store inside the process: what is read is vouched for until it changes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use larder_embedded::{Clock, Config, Embedded};
use larder_store::{Error, Freshness, Near, Store, Value};
use larder_testkit::words;

const ROOM: usize = 1 << 20;

fn open() -> (Embedded, Store) {
    let clock = Clock::Manual(Clock::manual());
    let embedded = Embedded::open(Config::default().clock(clock)).unwrap();
    (embedded.clone(), Store::new(embedded))
}

async fn fresh(near: &Near, line: &str) -> Freshness {
    let (_, freshness) = near.fresh(words(line)).await.unwrap();
    assert!(freshness.is_fresh(), "{line}");
    freshness
}

#[tokio::test]
async fn what_was_read_is_stale_as_soon_as_the_change_is_answered() {
    let (_, store) = open();
    let near = store.near(ROOM);
    for change in [
        "SET a 1",
        "DEL a",
        "EXPIRE a 100",
        "RENAME b a",
        "FLUSHALL",
        "SWAPDB 0 1",
        "EVAL return(redis.call('set',KEYS[1],1)) 1 a",
    ] {
        store
            .call_all(vec![words("SET a 0"), words("SET b 0")])
            .await
            .unwrap();
        let (first, second) = (fresh(&near, "GET a").await, fresh(&near, "STRLEN a").await);
        store.call(words(change)).await.unwrap();
        assert!(!first.is_fresh() && !second.is_fresh(), "{change}");
    }
    let read = fresh(&near, "GET c").await;
    store.set("c", "1").await.unwrap();
    assert!(!read.is_fresh(), "the short road");
    let (read, other) = (fresh(&near, "GET c").await, fresh(&near, "GET d").await);
    store.incr("c").await.unwrap();
    assert!(!read.is_fresh());
    assert!(other.is_fresh());
}

#[tokio::test]
async fn a_call_runs_the_command_and_keeps_nothing() {
    let (_, store) = open();
    let near = store.within(Duration::from_secs(1)).near(ROOM);
    for number in 0..10 {
        store.set("a", number.to_string()).await.unwrap();
        assert_eq!(near.run::<i64>(words("GET a")).await, Ok(number));
    }
    assert_eq!((near.stats().entries, near.stats().bytes), (0, 0));
    let error = near.call(words("TTL a")).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn what_was_read_is_stale_when_its_key_expires() {
    let (embedded, store) = open();
    let near = store.near(ROOM);
    store.call(words("SET a 1 PX 100")).await.unwrap();
    let read = fresh(&near, "GET a").await;
    embedded.pass(Duration::from_millis(99));
    assert!(read.is_fresh());
    embedded.pass(Duration::from_millis(1));
    assert!(!read.is_fresh());

    // By the system's clock at once, and not when the store gets round to remove the key.
    let store = Store::new(Embedded::open_still(Config::default(), [7; 32]));
    let near = store.near(ROOM);
    let set = Instant::now();
    store.call(words("SET a 1 PX 60")).await.unwrap();
    let (_, read) = near.fresh(words("GET a")).await.unwrap();
    assert!(read.is_fresh() || set.elapsed() >= Duration::from_millis(60));
    while set.elapsed() < Duration::from_millis(61) {
        tokio::task::yield_now().await;
    }
    assert!(!read.is_fresh());
}

#[tokio::test]
async fn what_was_read_of_a_store_that_is_closed_is_stale() {
    let (embedded, store) = open();
    let (near, late) = (store.near(ROOM), store.near(ROOM));
    let read = fresh(&near, "GET a").await;
    embedded.close();
    assert!(!read.is_fresh());
    for near in [near, late, store.near(ROOM)] {
        let answer = near.fresh(words("GET a")).await.map(|(value, _)| value);
        assert_eq!(answer, Err(Error::Closed));
        assert_eq!(near.call(words("GET a")).await, Err(Error::Closed));
    }
}

#[tokio::test]
async fn when_the_last_handle_is_dropped_nothing_is_fresh_any_more() {
    let (_, store) = open();
    let near = store.near(ROOM);
    let read = fresh(&near, "GET a").await;
    drop(near.clone());
    assert!(read.is_fresh());
    drop(near);
    assert!(!read.is_fresh());
}

#[tokio::test]
async fn what_is_noted_takes_no_more_room_than_there_is() {
    let (_, store) = open();
    let (near, none) = (store.near(50_000), store.near(0));
    let first = fresh(&near, "GET first").await;
    for number in 0..10_000 {
        let key = format!("GET key:{number}");
        near.fresh(words(&key)).await.unwrap();
        // What is looked at stays.
        assert!(first.is_fresh());
        assert!(near.stats().bytes <= 50_000);
    }
    let mut held = Vec::new();
    for number in 0..10_000 {
        held.push(near.fresh(words(&format!("GET {number}"))).await.unwrap().1);
    }
    let vouched = held.iter().filter(|read| read.is_fresh()).count();
    assert!(vouched <= near.stats().entries && near.stats().entries < 500);
    assert!(held.last().is_some_and(Freshness::is_fresh));
    let (value, read) = none.fresh(words("GET a")).await.unwrap();
    assert_eq!((value, read.is_fresh()), (Value::Null, false));
}

/// A near cache of decoded values, as it stands on [`Freshness`]: without a callback.
struct Decoded {
    near: Near,
    kept: Option<(i64, Freshness)>,
    hits: u64,
}

impl Decoded {
    async fn read(&mut self) -> Result<i64, Error> {
        if let Some((value, freshness)) = &self.kept
            && freshness.is_fresh()
        {
            self.hits += 1;
            return Ok(*value);
        }
        let (value, freshness) = self.near.fresh(words("GET count")).await?;
        let decoded = larder_store::FromValue::from_value(value)?;
        self.kept = Some((decoded, freshness));
        Ok(decoded)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_cache_of_decoded_values_is_never_older_than_a_write_that_was_answered() {
    let store = Store::new(Embedded::open(Config::default()).unwrap());
    store.set("count", "0").await.unwrap();
    let (near, written) = (store.near(ROOM), Arc::new(AtomicI64::new(0)));
    let tasks = (0..6).map(|task| {
        let (store, written) = (store.clone(), Arc::clone(&written));
        let mut cache = Decoded {
            near: near.clone(),
            kept: None,
            hits: 0,
        };
        tokio::spawn(async move {
            for round in 0..20_000 {
                if round % 7 == task {
                    written.fetch_max(store.incr("count").await?, Ordering::SeqCst);
                }
                let floor = written.load(Ordering::SeqCst);
                let read = cache.read().await?;
                assert!(read >= floor, "{read} is older than {floor}");
            }
            Ok::<_, Error>(cache.hits)
        })
    });
    let mut hits = 0;
    for task in tasks.collect::<Vec<_>>() {
        hits += task.await.unwrap().unwrap();
    }
    assert!(hits > 1_000, "{hits}");
}
