//! One load at a time, and what becomes of it.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use super::*;

every_store! {
    async fn a_value_that_was_loaded_is_kept(test: TestStore) {
        let cache = process(&test.store);

        assert_eq!(cache.get_or_set("a", || async { Ok(1) }).await?, 1);
        assert_eq!(cache.get_or_set("a", needless).await?, 1);

        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.loads), (1, 1, 1));
    }

    async fn a_load_leaves_nothing_behind_but_the_value(test: TestStore) {
        let cache = process(&test.store);
        cache.get_or_set("a", || async { Ok(1) }).await?;
        assert!(cache.get_or_set("b", failing).await.is_err());

        assert_eq!(test.keys("*").await?, ["{shop:cache:a}", "{shop:cache}"]);
    }

    async fn of_many_callers_one_loads(test: TestStore) {
        let cache = process(&test.store);
        let loads = Arc::new(AtomicU32::new(0));

        let callers = (0..50).map(|_| {
            let (cache, loads) = (cache.clone(), loads.clone());
            tokio::spawn(async move {
                let load = async || {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok(loads.fetch_add(1, Ordering::SeqCst))
                };
                cache.get_or_set("a", load).await
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            assert_eq!(caller.await??, 0);
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    }

    async fn of_many_processes_one_loads(test: TestStore) {
        let (ours, theirs) = (process(&test.store), process(&test.store));
        let begun = begin_load(&ours, "a", Keep::new()).await;
        let waiting = begin_wait(&theirs, "a", 9).await;

        assert_eq!(begun.finish(7).await?, 7);
        assert_eq!(waiting.await??, 7);
    }

    async fn an_error_of_a_load_reaches_all_who_wait_and_is_not_kept(test: TestStore) {
        let cache = process(&test.store);
        let begun = begin_load(&cache, "a", Keep::new()).await;
        let follower = begin_wait(&cache, "a", 9).await;
        drop(begun.finish);

        for caller in [begun.caller, follower] {
            let failed = caller.await?.expect_err("it failed");
            assert!(failed.cause::<oneshot::error::RecvError>().is_some(), "{failed:?}");
        }
        assert_eq!(cache.get_or_set("a", || async { Ok(2) }).await?, 2);
    }

    /// A value that can't be encoded made each of those who waited load it, one after the other.
    async fn a_value_that_cant_be_kept_ends_the_wait_of_all_at_once(test: TestStore) {
        #[derive(Debug, Serialize, Deserialize)]
        struct Odd(#[serde(serialize_with = "refuse")] u32);

        fn refuse<S: serde::Serializer>(_: &u32, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it is odd"))
        }

        let cache = Cache::<Odd>::new(&test.store, "shop", TTL);
        let begun = Arc::new(Notify::new());
        let loads = Arc::new(AtomicU32::new(0));
        let callers = (0..20).map(|_| {
            let (cache, begun, loads) = (cache.clone(), begun.clone(), loads.clone());
            tokio::spawn(async move {
                let load = async || {
                    loads.fetch_add(1, Ordering::SeqCst);
                    begun.notified().await;
                    Ok(Odd(1))
                };
                cache.get_or_set("a", load).await
            })
        });
        let callers: Vec<_> = callers.collect();
        while cache.stats().waits < 19 {
            tokio::task::yield_now().await;
        }
        begun.notify_one();
        for caller in callers {
            assert!(matches!(caller.await?, Err(Error::Codec(_))));
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    }

    async fn a_cancelled_loader_lets_another_one_load(test: TestStore) {
        let cache = process(&test.store).lease(Duration::from_secs(3600));
        let begun = begin_load(&cache, "a", Keep::new()).await;
        let follower = begin_wait(&cache, "a", 2).await;

        begun.cancel().await;
        assert_eq!(follower.await??, 2);
        assert_eq!(cache.get("a").await?, Some(2));
    }

    /// A request whose client goes away drops its load. The lease that it left held up those who
    /// came after it, unless they were waiting already.
    async fn who_comes_after_a_cancelled_loader_loads_at_once(test: TestStore) {
        let cache = process(&test.store).lease(Duration::from_secs(3600)).wait(SHORT);
        begin_load(&cache, "a", Keep::new()).await.cancel().await;

        assert_eq!(cache.get_or_set("a", || async { Ok(2) }).await?, 2);
        assert_eq!(cache.get("a").await?, Some(2));
    }

    /// An invalidation parts those who come after it from a load that began before. When that load is
    /// cancelled, they waited for the rest of its lease.
    async fn a_lease_that_is_left_behind_is_taken_over_at_once(test: TestStore) {
        let cache = process(&test.store).lease(Duration::from_secs(3600));
        let begun = begin_load(&cache, "a", Keep::new().tag("red")).await;
        cache.invalidate_tags(["red"]).await?;
        let parted = begin_wait(&cache, "a", 2).await;
        let elsewhere = begin_wait(&process(&test.store), "a", 2).await;

        begun.cancel().await;
        assert_eq!(parted.await??, 2);
        assert_eq!(elsewhere.await??, 2);
    }

    async fn the_lease_of_a_loader_that_crashed_ends(test: TestStore) {
        run::<()>(&test.store, "SET {shop:cache:a}:lease crashed PX 200").await?;
        let waiting = begin_wait(&process(&test.store), "a", 2).await;
        test.pass(SHORT).await;
        assert_eq!(waiting.await??, 2);
    }

    /// A store's clock that is set back gives whoever has crashed all the time of the step.
    async fn a_lease_never_has_more_time_than_it_was_granted(test: TestStore) {
        run::<()>(&test.store, "SET {shop:cache:a}:lease crashed PX 3600000").await?;
        let waiting = begin_wait(&process(&test.store).lease(SHORT), "a", 2).await;
        test.pass(SHORT).await;
        assert_eq!(waiting.await??, 2);
    }

    async fn a_lease_is_extended_while_the_load_takes_long(test: TestStore) {
        // On a busy machine the extension may come late by half of it.
        let lease = SHORT * 5;
        let cache = process(&test.store).lease(lease);
        let begun = begin_load(&cache, "a", Keep::new()).await;
        for _ in 0..4 {
            // The extension is due by our clock, the lease ends by the store's.
            tokio::time::sleep(lease / 2).await;
            if test.embedded().is_some() {
                test.pass(lease / 2).await;
            }
        }
        begun.finish(1).await?;
        assert_eq!(cache.get("a").await?, Some(1));
    }

    /// When a database hangs, all who wait for one name would ask it at once after their patience.
    async fn who_has_waited_too_long_is_told_so_and_does_not_load(test: TestStore) {
        let slow = process(&test.store);
        let begun = begin_load(&slow, "a", Keep::new()).await;

        for cache in [slow.clone().wait(SHORT), process(&test.store).wait(SHORT)] {
            let timed_out = cache.get_or_set("a", needless).await;
            assert_eq!(timed_out, Err(Error::TimedOut { what: Awaited::Load, waited: SHORT }));
        }
        assert_eq!(begun.finish(1).await?, 1);
    }

    async fn a_load_that_takes_too_long_has_failed(test: TestStore) {
        let cache = process(&test.store).hard_timeout(SHORT);
        let timed_out = cache.get_or_set("a", std::future::pending).await;
        assert_eq!(timed_out, Err(Error::TimedOut { what: Awaited::Load, waited: SHORT }));
        assert_eq!(cache.get_or_set("a", || async { Ok(2) }).await?, 2);
    }

    async fn a_stale_value_is_given_out_while_one_loads(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?).grace(Duration::from_secs(60));
        cache.set("a", &1).await?;
        assert_eq!(cache.get("a").await?, Some(1));
        test.pass(SHORT).await;
        assert_eq!(cache.get("a").await?, None);

        let begun = begin_load(&cache, "a", Keep::new()).await;
        for cache in [&cache, &process(&test.store)] {
            assert_eq!(cache.get_or_set("a", needless).await?, 1);
        }
        assert_eq!(begun.finish(2).await?, 2);
        assert_eq!(cache.get("a").await?, Some(2));
    }

    async fn a_stale_value_is_given_out_if_no_new_one_can_be_loaded(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?)
            .grace(Duration::from_secs(60))
            .lease(SHORT);
        cache.set("a", &1).await?;
        test.pass(SHORT).await;

        assert_eq!(cache.get_or_set("a", failing).await?, 1);
        assert_eq!(cache.get_or_set("a", needless).await?, 1, "it is too soon");

        test.pass(SHORT).await;
        assert_eq!(cache.get_or_set("a", || async { Ok(2) }).await?, 2);
    }

    async fn a_load_can_ask_whether_the_stale_value_has_changed(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?).grace(Duration::from_secs(60));
        cache.set("a", &7).await?;
        test.pass(SHORT).await;

        let load = |loading: Loading<u32>| async move { Ok(loading.stale().map_or(0, |old| old + 1)) };
        assert_eq!(cache.get_or_load("a", load).await?, 8);
        cache.delete("a").await?;
        assert_eq!(cache.get_or_load("a", load).await?, 0);
    }

    /// Whoever waits for a lease meets a stale value that somebody else has put meanwhile.
    async fn a_stale_value_that_comes_while_one_waits_is_given_out(test: TestStore) {
        let short = Cache::new(&test.store, "shop", Ttl::new(SHORT)?).grace(Duration::from_secs(60));
        short.set("b", &1).await?;
        test.pass(SHORT).await;
        let begun = begin_load(&short, "a", Keep::new()).await;
        let waiting = begin_wait(&process(&test.store).grace(SHORT), "a", 9).await;

        let stale = test.store.get("{shop:cache:b}").await?.expect("it is kept for its grace");
        test.store.set("{shop:cache:a}", stale).await?;
        assert_eq!(waiting.await??, 1);
        begun.finish(2).await?;
    }

    async fn a_deleted_value_is_never_given_out_as_stale(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?).grace(Duration::from_secs(60));
        for name in ["tagged", "cleared", "deleted"] {
            cache.set_with(name, &1, Keep::new().tag("red")).await?;
        }
        test.pass(SHORT).await;
        cache.delete("deleted").await?;
        assert!(matches!(cache.get_or_set("deleted", failing).await, Err(Error::Load(_))));
        cache.invalidate_tags(["red"]).await?;
        assert!(matches!(cache.get_or_set("tagged", failing).await, Err(Error::Load(_))));
        cache.clear().await?;
        assert!(matches!(cache.get_or_set("cleared", failing).await, Err(Error::Load(_))));
    }
}

/// Two caches of a namespace in one process need not ask the store again and again.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_load_wakes_whoever_waits_in_the_same_process() -> Result<(), Error> {
    let test = TestStore::memory();
    let (ours, theirs) = (process(&test.store), process(&test.store));
    let begun = begin_load(&ours, "a", Keep::new()).await;
    let waiting = begin_wait(&theirs, "a", 9).await;
    // By now it looks every 50 to 100 milliseconds.
    tokio::time::sleep(Duration::from_secs(2)).await;

    let ended = tokio::time::Instant::now();
    begun.finish(1).await?;
    assert_eq!(waiting.await.expect("it does not panic")?, 1);
    assert_eq!(ended.elapsed(), Duration::ZERO);
    Ok(())
}

/// Whoever was told that another loads woke those who waited, and himself, and all asked without a pause.
#[tokio::test]
async fn who_waits_asks_no_more_often_than_his_pauses_allow() -> Result<(), Error> {
    let test = TestStore::lua();
    let begun = begin_load(&process(&test.store), "a", Keep::new()).await;
    let mut waiting = begin_wait(&process(&test.store), "a", 9).await;
    let still = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(still.is_err(), "the load goes on");

    let stats: String = run(&test.store, "INFO commandstats").await?;
    let asked = stats.lines().find_map(|line| {
        let calls = line.strip_prefix("cmdstat_evalsha:calls=")?;
        calls.split(',').next()?.parse::<u32>().ok()
    });
    assert!(asked.is_some_and(|asked| asked < 50), "{asked:?}");
    begun.finish(1).await?;
    assert_eq!(waiting.await.expect("it does not panic")?, 1);
    Ok(())
}
