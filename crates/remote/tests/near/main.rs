//! Near reads: what is answered here is never older than it may be, whatever happens meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod enemies;
mod order;
mod topologies;

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use larder_remote::Config;
use larder_store::{Command, Error, Freshness, Near, Store, Value};
use larder_testkit::{PATIENCE, Server, ServerKind, TestStore, every_store, words};
use tokio::time::{sleep, timeout};

type Outcome = Result<(), Box<dyn StdError>>;

/// More than is kept where nothing has to make room.
const ROOM: usize = 1 << 20;

fn open(url: &str) -> Store {
    larder_testkit::open(url, Config::default())
}

fn text(text: &str) -> Value {
    Value::Bytes(text.to_owned().into())
}

/// Another program on the same server.
fn other(test: &mut TestStore) -> Store {
    open(&test.server_mut().unwrap().url())
}

/// Waits until something holds.
async fn until(mut holds: impl AsyncFnMut() -> bool) -> Outcome {
    let held = async {
        while !holds().await {
            sleep(Duration::from_millis(1)).await;
        }
    };
    Ok(timeout(PATIENCE, held).await?)
}

/// Waits until what was read does not hold any more.
async fn until_stale(freshness: &Freshness) -> Outcome {
    until(async || !freshness.is_fresh()).await
}

/// Reads until the store vouches for what was read: while its connection is made, it does not.
async fn until_fresh(near: &Near, line: &str) -> Result<(Value, Freshness), Box<dyn StdError>> {
    let mut found = (Value::Null, Freshness::NEVER);
    until(async || {
        if let Ok(read) = near.fresh(words(line)).await {
            found = read;
        }
        found.1.is_fresh()
    })
    .await?;
    Ok(found)
}

every_store! {
    on redis, valkey;

    async fn what_was_read_is_read_again_without_the_server(test: TestStore) {
        let near = test.store.near(ROOM);
        test.store.run::<()>(words("HSET user name ann age 7")).await?;
        for _ in 0..100 {
            assert_eq!(near.call(words("HGET user name")).await?, text("ann"));
            assert_eq!(near.run::<i64>(words("EXISTS nobody")).await?, 0);
            assert_eq!(near.call(words("GET nobody")).await?, Value::Null);
        }
        let stats = near.stats();
        assert_eq!((stats.misses, stats.hits, stats.entries), (3, 297, 2));
        let calls: String = test.store.run(words("INFO commandstats")).await?;
        assert!(calls.contains("cmdstat_hget:calls=1,"), "{calls}");
        let json = serde_json::to_value(stats)?;
        assert_eq!(json["hits"], 297);
    }

    async fn of_many_who_miss_the_same_answer_one_asks_for_it(test: TestStore) {
        let near = test.store.near(ROOM);
        until_fresh(&near, "GET other").await?;
        test.store.run::<()>(words("SET a 1")).await?;
        // Who goes before his answer comes leaves the others to ask.
        let mut gone = Box::pin(near.call(words("STRLEN a")));
        let _ = futures_util::poll!(gone.as_mut());
        let reads = (0..100).map(|_| near.call(words("STRLEN a")));
        let reads = futures_util::future::join_all(reads);
        drop(gone);
        for read in reads.await {
            assert_eq!(read?, Value::Int(1));
        }
        assert!(near.stats().misses <= 100 + 2, "{:?}", near.stats());
        let before = near.stats().misses;
        let reads = (0..100).map(|_| near.call(words("GETRANGE a 0 -1")));
        for read in futures_util::future::join_all(reads).await {
            assert_eq!(read?, text("1"));
        }
        assert_eq!(near.stats().misses, before + 1);
        let calls: String = test.store.run(words("INFO commandstats")).await?;
        assert!(calls.contains("cmdstat_getrange:calls=1,"), "{calls}");
    }

    /// A refusal is an answer to its caller, and nothing that is kept.
    async fn a_refusal_is_told_and_not_kept(test: TestStore) {
        let near = test.store.near(ROOM);
        test.store.run::<()>(words("RPUSH list a")).await?;
        for _ in 0..2 {
            let error = near.call(words("GET list")).await.unwrap_err();
            assert!(error.is_refusal("WRONGTYPE"), "{error}");
        }
        assert_eq!((near.stats().entries, near.stats().hits), (0, 0));
    }

    async fn what_others_write_is_read_as_soon_as_the_news_are_here(test: TestStore) {
        let (near, other) = (test.store.near(ROOM), other(&mut test));
        for number in 0..500 {
            other.run::<()>(Command::new("SET").arg("a").arg(number)).await?;
            until(async || near.run::<i64>(words("GET a")).await == Ok(number)).await?;
        }
        let (_, freshness) = until_fresh(&near, "GET a").await?;
        other.run::<()>(words("DEL a")).await?;
        until_stale(&freshness).await?;
        assert_eq!(near.call(words("GET a")).await?, Value::Null);
    }

    async fn all_that_was_read_of_a_key_ends_with_one_change(test: TestStore) {
        let near = test.store.near(ROOM);
        test.store.run::<()>(words("SET a 1")).await?;
        let (_, first) = until_fresh(&near, "GET a").await?;
        let (_, second) = until_fresh(&near, "STRLEN a").await?;
        let (_, others) = until_fresh(&near, "GET b").await?;
        test.store.run::<()>(words("APPEND a 2")).await?;
        let fresh = [first, second, others].map(|freshness| freshness.is_fresh());
        assert_eq!(fresh, [false, false, true]);
        assert_eq!(near.call(words("GET a")).await?, text("12"));
        assert_eq!(near.run::<i64>(words("STRLEN a")).await?, 2);
    }

    /// Each task knows what it, or another that it has heard of, has written, and never reads less.
    async fn no_read_is_older_than_a_write_of_the_same_store_that_was_answered(test: TestStore) {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicI64, Ordering};

        const KEYS: usize = 3;
        let near = test.store.near(ROOM);
        let written: Arc<[AtomicI64; KEYS]> = Arc::default();
        let tasks = (0..6).map(|task| {
            let (store, near, written) = (test.store.clone(), near.clone(), Arc::clone(&written));
            tokio::spawn(async move {
                for round in 0..2_000 {
                    let place = (round * 7 + task) % KEYS;
                    let key = format!("{{count}}{place}");
                    if task < 2 || round % 50 == 0 {
                        let sum = increment(&store, &key, round).await?;
                        written[place].fetch_max(sum, Ordering::SeqCst);
                    }
                    let floor = written[place].load(Ordering::SeqCst);
                    let (read, freshness) = near.fresh(Command::new("GET").arg(&key)).await?;
                    let read = number(&read);
                    assert!(read >= floor, "{key}: {read} is older than {floor}");
                    let kept: Option<i64> = near.run(Command::new("GET").arg(&key)).await?;
                    assert!(kept.unwrap_or(0) >= read.max(floor));
                    if freshness.is_fresh() {
                        assert!(read >= floor);
                    }
                }
                Ok::<_, Error>(())
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await??;
        }
        assert!(near.stats().hits > 100, "{:?}", near.stats());
    }

    /// What Redis and Valkey do when a key expires that was read: they tell, when they remove it.
    async fn the_server_tells_when_what_was_read_expires(test: TestStore) {
        let near = test.store.near(ROOM);
        until_fresh(&near, "GET other").await?;
        test.store.run::<()>(words("SET a 1 PX 30")).await?;
        near.call(words("GET a")).await?;
        let before = near.stats().invalidations;
        until(async || near.stats().invalidations > before).await?;
    }

    async fn a_time_to_live_that_is_given_later_is_heard_of(test: TestStore) {
        let (near, other) = (test.store.near(ROOM), other(&mut test));
        test.store.run::<()>(words("SET a 1")).await?;
        let (_, freshness) = until_fresh(&near, "GET a").await?;
        other.run::<()>(words("PEXPIRE a 30")).await?;
        until_stale(&freshness).await?;
        until(async || near.call(words("GET a")).await == Ok(Value::Null)).await?;
    }

    async fn a_flush_ends_all_of_it(test: TestStore) {
        let (near, other) = (test.store.near(ROOM), other(&mut test));
        for by in [&test.store, &other] {
            for flush in ["FLUSHALL", "FLUSHDB ASYNC"] {
                by.run::<()>(words("MSET a 1 b 2")).await?;
                until(async || near.call(words("GET a")).await == Ok(text("1"))).await?;
                let (_, freshness) = until_fresh(&near, "GET b").await?;
                by.run::<()>(words(flush)).await?;
                until_stale(&freshness).await?;
                until(async || near.call(words("GET a")).await == Ok(Value::Null)).await?;
            }
        }
    }

    async fn what_a_handle_with_a_deadline_reads_has_it(test: TestStore) {
        let near = test.store.within(Duration::from_secs(5)).near(ROOM);
        for _ in 0..3 {
            assert_eq!(near.call(words("GET a")).await?, Value::Null);
        }
        assert_eq!((near.stats().hits, near.stats().misses), (2, 1));
    }

    async fn when_the_last_handle_is_dropped_nothing_is_fresh_any_more(test: TestStore) {
        let near = test.store.near(ROOM);
        let (_, freshness) = until_fresh(&near, "GET a").await?;
        drop(near);
        assert!(!freshness.is_fresh());
    }

    async fn two_near_handles_hear_of_the_same_changes(test: TestStore) {
        let nears = [test.store.near(ROOM), test.store.near(ROOM)];
        let (_, one) = until_fresh(&nears[0], "GET a").await?;
        let (_, two) = until_fresh(&nears[1], "GET a").await?;
        other(&mut test).run::<()>(words("SET a 1")).await?;
        until_stale(&one).await?;
        until_stale(&two).await?;
    }
}

/// A server removes what has expired when somebody asks for it, and else after a while: news of it may
/// come late.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_no_longer_than_it_lives_also_if_nobody_tells() -> Outcome {
    for kind in [ServerKind::Redis, ServerKind::Valkey] {
        let Some(server) = Server::start_with(kind, &["--enable-debug-command", "yes"]) else {
            continue;
        };
        let store = open(&server.url());
        store.run::<()>(words("DEBUG SET-ACTIVE-EXPIRE 0")).await?;
        let near = store.near(ROOM);
        until_fresh(&near, "GET other").await?;
        store.run::<()>(words("SET a 1 PX 200")).await?;
        let set = Instant::now();
        let (_, freshness) = near.fresh(words("GET a")).await?;
        near.call(words("GET a")).await?;
        assert!(freshness.is_fresh() || set.elapsed() > Duration::from_millis(200));
        while set.elapsed() < Duration::from_millis(201) {
            tokio::task::yield_now().await;
        }
        assert!(!freshness.is_fresh());
        assert_eq!(near.call(words("GET a")).await?, Value::Null);
    }
    Ok(())
}

/// Adds 1 to a key in one of the ways in which a store writes.
async fn increment(store: &Store, key: &str, round: usize) -> Result<i64, Error> {
    match round % 4 {
        0 => store.incr(key).await,
        1 => {
            let batch = vec![words("PING"), Command::new("INCR").arg(key)];
            let answers = store.call_all(batch).await?;
            answers[1].clone().map(|sum| number(&sum))
        }
        2 => {
            let script = Command::new("EVAL").arg("return redis.call('INCR', KEYS[1])");
            store.run(script.arg(1).arg(key)).await
        }
        _ => {
            let batch = vec![words("MULTI"), Command::new("INCR").arg(key), words("EXEC")];
            let answers = store.call_all(batch).await?;
            match answers[2].clone()? {
                Value::Array(sums) => Ok(number(&sums[0])),
                _ => Ok(0),
            }
        }
    }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        Value::Bytes(text) => std::str::from_utf8(text).unwrap().parse().unwrap(),
        _ => 0,
    }
}
