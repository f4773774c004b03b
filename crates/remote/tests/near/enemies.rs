//! What goes wrong with servers, connections, callers and memory.

use std::pin::pin;
use std::time::{Duration, Instant};

use larder_remote::{Config, Remote};
use larder_store::{Command, Error, Store, Value};
use larder_testkit::{Proxy, Server, ServerKind, every_store};

use super::{Outcome, ROOM, open, other, text, until, until_fresh, until_stale, words};

fn start(options: &[&str]) -> Option<(Server, Store)> {
    let server = Server::start_with(ServerKind::Redis, options)?;
    let store = open(&server.url());
    Some((server, store))
}

every_store! {
    on redis, valkey;

    async fn what_was_read_before_the_connection_was_cut_is_stale(test: TestStore) {
        let proxy = Proxy::before(test.server_mut().unwrap().port());
        let near = open(&proxy.url()).near(ROOM);
        for round in 0..3 {
            test.store.run::<()>(Command::new("SET").arg("a").arg(round)).await?;
            let (value, freshness) = until_fresh(&near, "GET a").await?;
            assert_eq!(value, text(&round.to_string()));
            proxy.cut();
            until_stale(&freshness).await?;
            assert_eq!(near.stats().entries, 0);
        }
    }

    /// Who kills a connection, and writes before anybody can hear of it, is read all the same.
    async fn nothing_is_read_that_was_written_behind_a_lost_connection(test: TestStore) {
        let (near, other) = (test.store.near(ROOM), other(&mut test));
        for round in 0..20 {
            until_fresh(&near, "GET a").await?;
            let batch = [
                Command::new("CLIENT").args(["KILL", "TYPE", "normal", "SKIPME", "yes"]),
                Command::new("SET").arg("a").arg(round),
            ];
            other.call_all(batch.to_vec()).await?;
            until(async || near.run::<i64>(words("GET a")).await == Ok(round)).await?;
        }
    }

    async fn a_server_that_was_restarted_has_forgotten_all(test: TestStore) {
        let near = test.store.near(ROOM);
        test.store.run::<()>(words("SET a 1")).await?;
        let (_, freshness) = until_fresh(&near, "GET a").await?;
        let server = test.server_mut().unwrap();
        server.kill();
        until_stale(&freshness).await?;
        server.restart();
        until(async || near.call(words("GET a")).await == Ok(Value::Null)).await?;
        until_fresh(&near, "GET a").await?;
    }

    async fn a_server_that_is_silent_is_not_believed_for_long(test: TestStore) {
        let config = Config::default().response_timeout(Duration::from_millis(300));
        let server = test.server_mut().unwrap();
        let store = Store::new(Remote::open(&server.url(), config)?);
        let near = store.near(ROOM);
        let (_, freshness) = until_fresh(&near, "GET a").await?;
        server.pause();
        // Who misses waits as long as an answer may take, and not once more on another way.
        let asked = Instant::now();
        assert!(near.call(words("GET b")).await.is_err());
        assert!(asked.elapsed() < Duration::from_millis(550), "{:?}", asked.elapsed());
        until_stale(&freshness).await?;
        assert!(near.call(words("GET a")).await.is_err());
        server.resume();
        until_fresh(&near, "GET a").await?;
    }

    async fn a_closed_store_answers_nothing_and_vouches_for_nothing(test: TestStore) {
        let near = test.store.near(ROOM);
        let (_, freshness) = until_fresh(&near, "GET a").await?;
        near.call(words("GET a")).await?;
        test.store.close().await?;
        assert!(!freshness.is_fresh());
        assert_eq!(near.call(words("GET a")).await, Err(Error::Closed));
        assert!(near.fresh(words("GET a")).await.is_err());
        assert_eq!(near.stats().entries, 0);
    }

    /// The server remembers so many keys, and says that another has changed when there is one more.
    async fn a_key_that_the_server_forgets_is_stale(test: TestStore) {
        let near = test.store.near(ROOM);
        test.store.run::<()>(words("CONFIG SET tracking-table-max-keys 1")).await?;
        let mut read = Vec::new();
        for number in 0..50 {
            read.push(near.fresh(Command::new("GET").arg(format!("key:{number}"))).await?.1);
        }
        until(async || read.iter().filter(|freshness| freshness.is_fresh()).count() <= 1).await?;
    }

    async fn a_key_that_is_evicted_is_stale(test: TestStore) {
        let near = test.store.near(ROOM);
        let other = other(&mut test);
        let mut read = Vec::new();
        for number in 0..50 {
            let key = format!("key:{number}");
            other.run::<()>(Command::new("SET").arg(&key).arg("x".repeat(10_000))).await?;
            read.push((key.clone(), near.fresh(Command::new("GET").arg(&key)).await?.1));
        }
        other.run::<()>(words("CONFIG SET maxmemory-policy allkeys-random")).await?;
        other.run::<()>(words("CONFIG SET maxmemory 1500000")).await?;
        for number in 0..100 {
            let filler = Command::new("SET").arg(format!("filler:{number}"));
            other.run::<()>(filler.arg("x".repeat(10_000))).await?;
        }
        let mut evicted = 0;
        for (key, freshness) in &read {
            if other.run::<i64>(Command::new("EXISTS").arg(key)).await? == 0 {
                evicted += 1;
                until_stale(freshness).await?;
            }
        }
        assert!(evicted > 0, "nothing was evicted");
    }

    /// Between the reservation and the answer, which does not come.
    async fn a_caller_who_goes_leaves_nothing(test: TestStore) {
        let proxy = Proxy::before(test.server_mut().unwrap().port());
        let near = open(&proxy.url()).near(ROOM);
        until_fresh(&near, "GET first").await?;
        let before = near.stats();
        proxy.black_hole(true);
        for number in 0..2_000_u32 {
            let mut read = pin!(near.call(Command::new("GET").arg(format!("key:{number}"))));
            for _ in 0..number % 4 {
                assert!(futures_util::poll!(read.as_mut()).is_pending());
                tokio::task::yield_now().await;
            }
        }
        let after = near.stats();
        assert_eq!((after.entries, after.bytes), (before.entries, before.bytes));
        assert!(after.misses > before.misses + 1_000);
        // News of what nobody has kept do no harm.
        proxy.black_hole(false);
        test.store.run::<()>(words("SET first 1")).await?;
        until(async || near.call(words("GET first")).await == Ok(text("1"))).await?;
    }

    async fn many_keys_take_no_more_room_than_there_is(test: TestStore) {
        let near = test.store.near(100_000);
        for batch in 0..40 {
            let reads = (0..500).map(|number| {
                near.call(Command::new("GET").arg(format!("key:{}", batch * 500 + number)))
            });
            for read in futures_util::future::join_all(reads).await {
                read?;
            }
            assert!(near.stats().bytes <= 100_000, "{:?}", near.stats());
        }
        assert!(near.stats().evictions > 10_000, "{:?}", near.stats());
    }

    async fn a_value_that_is_too_large_is_read_each_time(test: TestStore) {
        let (near, none) = (test.store.near(ROOM), test.store.near(0));
        let large = "x".repeat(20 << 20);
        test.store.run::<()>(Command::new("SET").arg("large").arg(&large)).await?;
        for _ in 0..2 {
            assert_eq!(near.run::<String>(words("GET large")).await?.len(), large.len());
        }
        assert_eq!((near.stats().hits, near.stats().misses), (0, 2));
        assert!(near.stats().bytes < ROOM);
        // That it is fresh takes little room, and where there is none at all nothing is.
        assert!(near.fresh(words("GET large")).await?.1.is_fresh());
        for _ in 0..2 {
            assert_eq!(none.call(words("GET a")).await?, Value::Null);
            assert!(!none.fresh(words("GET a")).await?.1.is_fresh());
        }
        assert_eq!((none.stats().hits, none.stats().bytes), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_not_tell_is_asked_each_time() -> Outcome {
    let Some((_server, store)) = start(&[]) else {
        return Ok(());
    };
    let acl = "ACL SETUSER default -client|tracking";
    store.run::<()>(words(acl)).await?;
    let near = store.near(ROOM);
    for number in 0..20 {
        store
            .run::<()>(Command::new("SET").arg("a").arg(number))
            .await?;
        let (value, freshness) = near.fresh(words("GET a")).await?;
        assert_eq!(value, text(&number.to_string()));
        assert!(!freshness.is_fresh());
        assert_eq!(near.run::<i64>(words("GET a")).await?, number);
    }
    assert_eq!(near.stats().hits, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_near_reads_has_no_connection_for_them() -> Outcome {
    let Some((server, store)) = start(&[]) else {
        return Ok(());
    };
    let proxy = Proxy::before(server.port());
    let through = open(&proxy.url());
    through.run::<()>(words("SET a 1")).await?;
    assert_eq!(proxy.accepted(), 1);
    let near = through.near(ROOM);
    until_fresh(&near, "GET a").await?;
    assert_eq!(proxy.accepted(), 2);
    let tracked: String = store.run(words("CLIENT LIST")).await?;
    assert!(tracked.contains("flags=t"), "{tracked}");
    Ok(())
}
