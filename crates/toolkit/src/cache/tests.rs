//! Caches, on every kind of store.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use larder_store::{Command, Store};
use larder_testkit::every_store;
use tokio::sync::{Notify, oneshot};

use super::*;
use crate::Ttl;

const TTL: Ttl = Ttl::minutes(5);
const SHORT: Duration = Duration::from_millis(200);

/// A load that never fails.
type Loaded<T> = Result<T, LoadError<String>>;

async fn set_directly(store: &Store, key: &str, value: &str) -> Result<(), larder_store::Error> {
    store.run(Command::new("SET").arg(key).arg(value)).await
}

/// The keys that have no time to live.
async fn keys_without_end(store: &Store) -> Result<Vec<String>, larder_store::Error> {
    let mut endless = Vec::new();
    for key in store
        .run::<Vec<String>>(Command::new("KEYS").arg("*"))
        .await?
    {
        if store.run::<i64>(Command::new("PTTL").arg(&key)).await? == -1 {
            endless.push(key);
        }
    }
    Ok(endless)
}

/// Begins to load `name` as another process would, and waits until the load has begun.
async fn begin_load(
    cache: &Cache,
    name: &'static str,
    keep: Keep,
) -> (oneshot::Sender<u32>, tokio::task::JoinHandle<Loaded<u32>>) {
    let begun = Arc::new(Notify::new());
    let (finish, finished) = oneshot::channel();
    let (cache, has_begun) = (cache.clone(), begun.clone());
    let task = tokio::spawn(async move {
        let load = || async move {
            has_begun.notify_one();
            finished.await.map_err(|error| error.to_string())
        };
        cache.get_or_set_with(name, &keep, load).await
    });
    begun.notified().await;
    (finish, task)
}

every_store! {
    async fn what_is_set_is_got_until_its_time_is_over(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?);
        cache.set("a", "one").await?;
        assert_eq!(cache.get("a").await?, Some("one".to_owned()));

        test.pass(SHORT).await;
        assert_eq!(cache.get::<String>("a").await?, None);
    }

    async fn a_cached_nothing_is_told_from_a_miss(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        cache.set("nobody", &None::<u32>).await?;

        assert_eq!(cache.get::<Option<u32>>("nobody").await?, Some(None));
        assert_eq!(cache.get::<Option<u32>>("unknown").await?, None);

        let load = async || -> Result<Option<u32>, String> { panic!("it is cached") };
        assert_eq!(cache.get_or_set("nobody", load).await?, None);
    }

    async fn a_deleted_value_is_gone(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        cache.set("a", &1).await?;

        assert!(cache.delete("a").await?);
        assert!(!cache.delete("a").await?);
        assert_eq!(cache.get::<u32>("a").await?, None);
    }

    async fn a_value_that_was_loaded_is_kept(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);

        let first: Loaded<u32> = cache.get_or_set("a", async || Ok(1)).await;
        let second: Loaded<u32> = cache.get_or_set("a", async || Ok(2)).await;

        assert_eq!((first?, second?), (1, 1));
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.loads), (1, 1, 1));
    }

    async fn a_load_leaves_nothing_behind_but_the_value(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let _: u32 = cache.get_or_set("a", async || Ok::<_, String>(1)).await?;
        let failed = cache.get_or_set("b", async || Err::<u32, _>("the database is down")).await;
        assert!(failed.is_err());

        let keys: Vec<String> = test.store.run(Command::new("KEYS").arg("*")).await?;
        assert_eq!(keys, ["{shop:cache:a}"]);
    }

    async fn of_many_callers_one_loads(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let loads = Arc::new(AtomicU32::new(0));

        let callers = (0..50).map(|_| {
            let (cache, loads) = (cache.clone(), loads.clone());
            tokio::spawn(async move {
                let load = async || -> Result<u32, String> {
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

    /// Two caches that share nothing but the store are like two processes.
    async fn of_many_processes_one_loads(test: TestStore) {
        let (ours, theirs) = (Cache::new(&test.store, "shop", TTL), Cache::new(&test.store, "shop", TTL));
        let (finish, ours) = begin_load(&ours, "a", Keep::new()).await;

        let waiting = tokio::spawn(async move {
            let load = async || -> Result<u32, String> { panic!("somebody else loads it") };
            theirs.get_or_set("a", load).await
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(!waiting.is_finished());

        assert!(finish.send(7).is_ok());
        assert_eq!((ours.await??, waiting.await??), (7, 7));
    }

    async fn an_error_of_a_load_reaches_all_who_wait_and_is_not_kept(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let (fail, leader) = begin_load(&cache, "a", Keep::new()).await;
        let follower = tokio::spawn({
            let cache = cache.clone();
            async move {
                let load = async || -> Result<u32, String> { panic!("somebody else loads it") };
                cache.get_or_set("a", load).await
            }
        });
        while cache.stats().waits == 0 {
            tokio::task::yield_now().await;
        }
        drop(fail);

        for caller in [leader, follower] {
            assert!(matches!(caller.await?, Err(LoadError::Load(_))));
        }
        let again: Loaded<u32> = cache.get_or_set("a", async || Ok(2)).await;
        assert_eq!(again?, 2);
    }

    async fn a_cancelled_loader_lets_another_one_load(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL).lease(Duration::from_secs(3600));
        let (_never, leader) = begin_load(&cache, "a", Keep::new()).await;
        let follower = tokio::spawn({
            let cache = cache.clone();
            async move { cache.get_or_set("a", async || Ok::<u32, String>(2)).await }
        });
        while cache.stats().waits == 0 {
            tokio::task::yield_now().await;
        }

        leader.abort();
        assert_eq!(follower.await??, 2);
        assert_eq!(cache.get::<u32>("a").await?, Some(2));
    }

    /// A request whose client goes away drops its load. The lease that it left held up those who
    /// came after it, unless they were waiting already.
    async fn who_comes_after_a_cancelled_loader_loads_at_once(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL).lease(Duration::from_secs(3600));
        let cache = cache.wait(SHORT);
        let (_never, loader) = begin_load(&cache, "a", Keep::new()).await;
        loader.abort();
        assert!(loader.await.is_err());

        let loaded: Loaded<u32> = cache.get_or_set("a", async || Ok(2)).await;
        assert_eq!(loaded?, 2);
        // Who has waited too long would not have kept it.
        assert_eq!(cache.get::<u32>("a").await?, Some(2));
    }

    async fn the_lease_of_a_loader_that_crashed_ends(test: TestStore) {
        let crashed = Cache::new(&test.store, "shop", TTL).lease(SHORT);
        let (_never, loader) = begin_load(&crashed, "a", Keep::new()).await;
        loader.abort();
        assert!(loader.await.is_err());

        let cache = Cache::new(&test.store, "shop", TTL);
        let waiting = tokio::spawn(async move {
            cache.get_or_set("a", async || Ok::<u32, String>(2)).await
        });
        test.pass(SHORT).await;
        assert_eq!(waiting.await??, 2);
    }

    async fn who_has_waited_too_long_loads_for_itself(test: TestStore) {
        let slow = Cache::new(&test.store, "shop", TTL);
        let (finish, loader) = begin_load(&slow, "a", Keep::new()).await;

        for cache in [slow.clone().wait(SHORT), Cache::new(&test.store, "shop", TTL).wait(SHORT)] {
            let alone: Loaded<u32> = cache.get_or_set("a", async || Ok(2)).await;
            assert_eq!(alone?, 2);
            assert_eq!(cache.get::<u32>("a").await?, None);
        }
        assert!(finish.send(1).is_ok());
        loader.await??;
    }

    /// A reader loads the old value, a writer changes it and deletes the entry, and only then does
    /// the reader put what it has loaded.
    async fn what_was_loaded_before_a_change_is_not_kept(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let other = Cache::new(&test.store, "shop", TTL);

        for (round, change) in ["delete", "set", "pattern"].into_iter().enumerate() {
            let (finish, loader) = begin_load(&cache, "a", Keep::new()).await;
            match change {
                "delete" => drop(other.delete("a").await?),
                "set" => other.set("a", &99).await?,
                _ => drop(other.invalidate_matching("a*").await?),
            }
            assert!(finish.send(1).is_ok());
            assert_eq!(loader.await??, 1);

            let kept = cache.get::<u32>("a").await?;
            assert_eq!(kept, (change == "set").then_some(99), "after {change}");
            assert_eq!(cache.stats().refused, round as u64 + 1);
            cache.delete("a").await?;
        }
    }

    async fn who_comes_after_a_change_does_not_get_what_was_loaded_before_it(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let (finish, loader) = begin_load(&cache, "a", Keep::new()).await;
        cache.delete("a").await?;

        let after: Loaded<u32> = cache.get_or_set("a", async || Ok(2)).await;
        assert!(finish.send(1).is_ok());

        assert_eq!((after?, loader.await??), (2, 1));
        assert_eq!(cache.get::<u32>("a").await?, Some(2));
    }

    async fn a_lease_is_extended_while_the_load_takes_long(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL).lease(SHORT);
        let (finish, loader) = begin_load(&cache, "a", Keep::new()).await;
        for _ in 0..5 {
            // The extension is due by our clock, the lease ends by the store's.
            tokio::time::sleep(SHORT / 2).await;
            if test.embedded().is_some() {
                test.pass(SHORT / 2).await;
            }
        }
        assert!(finish.send(1).is_ok());
        loader.await??;
        assert_eq!(cache.get::<u32>("a").await?, Some(1));
    }

    async fn what_cant_be_read_is_loaded_and_written_anew(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        set_directly(&test.store, "{shop:cache:json}", "{\"from\": \"elsewhere\"}").await?;
        cache.set("text", "not a number").await?;

        for name in ["json", "text"] {
            assert_eq!(cache.get::<u32>(name).await?, None);
            let loaded: Loaded<u32> = cache.get_or_set(name, async || Ok(3)).await;
            assert_eq!(loaded?, 3);
            assert_eq!(cache.get::<u32>(name).await?, Some(3));
        }
        assert!(cache.stats().undecodable >= 4);
    }

    async fn values_with_a_tag_are_invalidated_together(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        cache.set_with("a", &1, &Keep::new().tags(["red", "round"])).await?;
        cache.set_with("b", &2, &Keep::new().tags(["red"])).await?;
        cache.set_with("c", &3, &Keep::new().tags(["round"])).await?;
        cache.set("d", &4).await?;
        let left = async || -> Result<Vec<Option<u32>>, Error> {
            cache.get_many(["a", "b", "c", "d"]).await.into_iter().collect()
        };
        assert_eq!(left().await?, [Some(1), Some(2), Some(3), Some(4)]);

        cache.invalidate_tags(["red", "unknown"]).await?;
        assert_eq!(left().await?, [None, None, Some(3), Some(4)]);

        let loaded: Loaded<u32> =
            cache.get_or_set_with("a", &Keep::new().tags(["red"]), async || Ok(5)).await;
        assert_eq!(loaded?, 5);
        assert_eq!(left().await?, [Some(5), None, Some(3), Some(4)]);
    }

    async fn a_tag_that_is_invalidated_during_a_load_invalidates_what_was_loaded(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let keep = Keep::new().tags(["red"]);
        let (finish, loader) = begin_load(&cache, "a", keep.clone()).await;

        Cache::new(&test.store, "shop", TTL).invalidate_tags(["red"]).await?;
        assert!(finish.send(1).is_ok());
        loader.await??;

        assert_eq!(cache.get::<u32>("a").await?, None);
    }

    async fn a_value_that_is_set_anew_has_its_new_tags_only(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        cache.set_with("a", &1, &Keep::new().tags(["old"])).await?;
        cache.set_with("a", &2, &Keep::new().tags(["new"])).await?;

        cache.invalidate_tags(["old"]).await?;
        assert_eq!(cache.get::<u32>("a").await?, Some(2));
        cache.invalidate_tags(["new"]).await?;
        assert_eq!(cache.get::<u32>("a").await?, None);
    }

    async fn caches_that_share_a_tags_name_do_not_touch_each_other(test: TestStore) {
        let (ours, theirs) = (Cache::new(&test.store, "ours", TTL), Cache::new(&test.store, "theirs", TTL));
        for cache in [&ours, &theirs] {
            cache.set_with("a", &1, &Keep::new().tags(["red"])).await?;
        }
        ours.invalidate_tags(["red"]).await?;
        assert_eq!(ours.get::<u32>("a").await?, None);
        assert_eq!(theirs.get::<u32>("a").await?, Some(1));

        theirs.clear().await?;
        ours.set("a", &2).await?;
        assert_eq!(theirs.clear().await?, 0);
        assert_eq!(ours.get::<u32>("a").await?, Some(2));
    }

    /// An evicted or expired tag must not bring back what was invalidated under it.
    async fn a_lost_tag_makes_its_values_invalid(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let keep = Keep::new().tags(["red"]);
        cache.set_with("a", &1, &keep).await?;

        test.store.run::<()>(Command::new("DEL").arg("{shop:cache-tag:red}")).await?;
        assert_eq!(cache.get::<u32>("a").await?, None);

        test.pass(Duration::from_millis(1)).await;
        cache.set_with("b", &2, &keep).await?;
        assert_eq!(cache.get::<u32>("a").await?, None);
        assert_eq!(cache.get::<u32>("b").await?, Some(2));
    }

    async fn nothing_stays_for_ever(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let keep = Keep::new().tags(["red"]);
        cache.set_with("a", &1, &keep).await?;
        let _loaded: u32 = cache.get_or_set_with("b", &keep, async || Ok::<_, String>(2)).await?;
        cache.invalidate_tags(["red", "unknown"]).await?;
        let (_finish, _loader) = begin_load(&cache, "c", keep).await;

        assert_eq!(keys_without_end(&test.store).await?, Vec::<String>::new());
    }

    async fn a_tag_outlives_its_values(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?);
        cache.set_with("a", &1, &Keep::new().tags(["red"])).await?;
        let long = Keep::new().tags(["red"]).ttl(Ttl::new(SHORT * 5)?);
        cache.set_with("b", &2, &long).await?;

        test.pass(SHORT * 3).await;
        assert_eq!(cache.get::<u32>("b").await?, Some(2));

        cache.set_with("c", &3, &Keep::new().tags(["red"]).ttl(Ttl::forever())).await?;
        test.pass(SHORT * 9).await;
        assert_eq!(cache.get::<u32>("c").await?, Some(3));
    }

    async fn a_pattern_finds_names_and_takes_literals_literally(test: TestStore) {
        let cache = Cache::new(&test.store, "shop*", TTL);
        for name in ["user:1", "user:2", "user:[1]", "user*", "order:1", "user:{}"] {
            cache.set(name, &1).await?;
        }
        set_directly(&test.store, "{shopping:cache:user:1}", "not ours").await?;

        assert_eq!(cache.invalidate_matching(&literal("user:[1]")).await?, 1);
        assert_eq!(cache.invalidate_matching(&literal("user*")).await?, 1);
        assert_eq!(cache.invalidate_matching("user:{*").await?, 1);
        assert_eq!(cache.invalidate_matching("user:?").await?, 2);
        assert_eq!(cache.clear().await?, 1);
        assert_eq!(test.store.run::<u32>(Command::new("DBSIZE")).await?, 1);
    }

    async fn many_are_found_by_a_pattern(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let values = (0..5000).map(|number| (format!("n{number}"), number));
        for answer in cache.set_many(values, &Keep::new()).await {
            answer?;
        }
        assert_eq!(cache.invalidate_matching("n*").await?, 5000);
    }

    async fn many_are_set_and_got_at_once_each_for_itself(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL).max_len(10);
        let values = [("a", "one"), ("b", "longer than ten bytes"), ("c", "three")];

        let set = cache.set_many(values, &Keep::new().tags(["red"])).await;
        assert!(matches!(&set[..], [Ok(()), Err(Error::TooLarge { max: 10, .. }), Ok(())]));

        let got: Result<Vec<Option<String>>, Error> =
            cache.get_many(["c", "b", "a"]).await.into_iter().collect();
        assert_eq!(got?, [Some("three".to_owned()), None, Some("one".to_owned())]);

        assert_eq!(cache.get_many::<u32, &str>([]).await, []);
        assert_eq!(cache.set_many::<u32, &str>([], &Keep::new()).await, []);
    }

    async fn many_are_deleted_at_once_each_for_itself(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        cache.set_many([("a", 1), ("b", 2), ("c", 3)], &Keep::new()).await;

        let deleted = cache.delete_many(["a", "none", "b", "a"]).await;
        assert_eq!(deleted, [Ok(true), Ok(false), Ok(true), Ok(false)]);
        let left = cache.get_many::<u32, _>(["a", "b", "c"]).await;
        assert_eq!(left, [Ok(None), Ok(None), Ok(Some(3))]);
        assert_eq!(cache.delete_many::<&str>([]).await, []);
    }

    async fn a_refusal_for_one_of_many_leaves_the_others(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        test.store.run::<()>(Command::new("LPUSH").arg("{shop:cache:list}").arg("x")).await?;
        cache.set("a", &1).await?;

        let got = cache.get_many::<u32, _>(["a", "list"]).await;
        assert!(matches!(&got[..], [Ok(Some(1)), Err(Error::Store(_))]), "{got:?}");
    }

    async fn a_value_that_is_too_large_is_given_out_and_not_kept(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL).max_len(100);
        let large = "x".repeat(200);
        assert!(matches!(cache.set("a", &large).await, Err(Error::TooLarge { max: 100, .. })));

        let loaded: Loaded<String> = cache.get_or_set("a", async || Ok(large.clone())).await;
        assert_eq!(loaded?, large);
        assert_eq!(cache.get::<String>("a").await?, None);
        assert_eq!(cache.stats().too_large, 1);
        assert_eq!(test.store.run::<u32>(Command::new("DBSIZE")).await?, 0);
    }

    async fn a_stale_value_is_given_out_while_one_loads(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?).grace(Duration::from_secs(60));
        cache.set("a", &1).await?;
        assert_eq!(cache.get::<u32>("a").await?, Some(1));
        test.pass(SHORT).await;
        assert_eq!(cache.get::<u32>("a").await?, None);

        let (finish, loader) = begin_load(&cache, "a", Keep::new()).await;
        let other = Cache::new(&test.store, "shop", TTL);
        for cache in [&cache, &other] {
            let stale: Loaded<u32> = cache.get_or_set("a", async || Ok(9)).await;
            assert_eq!(stale?, 1);
        }
        assert!(finish.send(2).is_ok());
        assert_eq!(loader.await??, 2);
        assert_eq!(cache.get::<u32>("a").await?, Some(2));
    }

    async fn a_stale_value_is_given_out_if_no_new_one_can_be_loaded(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?)
            .grace(Duration::from_secs(60))
            .lease(SHORT);
        cache.set("a", &1).await?;
        test.pass(SHORT).await;

        let fail = async || Err::<u32, _>("the database is down");
        assert_eq!(cache.get_or_set("a", fail).await.ok(), Some(1));
        let too_soon: Loaded<u32> = cache.get_or_set("a", async || Ok(2)).await;
        assert_eq!(too_soon?, 1);

        test.pass(SHORT).await;
        let later: Loaded<u32> = cache.get_or_set("a", async || Ok(2)).await;
        assert_eq!(later?, 2);
    }

    async fn a_deleted_value_is_never_given_out_as_stale(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?).grace(Duration::from_secs(60));
        cache.set_with("a", &1, &Keep::new().tags(["red"])).await?;
        test.pass(SHORT).await;
        cache.invalidate_tags(["red"]).await?;

        let fail = async || Err::<u32, _>("the database is down");
        assert!(matches!(cache.get_or_set("a", fail).await, Err(LoadError::Load(_))));
    }

    async fn without_the_store_values_are_loaded_once_for_all_who_wait(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        test.store.close().await?;
        let (finish, loader) = begin_load(&cache, "a", Keep::new()).await;
        let follower = tokio::spawn({
            let cache = cache.clone();
            async move {
                let load = async || -> Result<u32, String> { panic!("somebody else loads it") };
                cache.get_or_set("a", load).await
            }
        });
        while cache.stats().waits == 0 {
            tokio::task::yield_now().await;
        }
        assert!(finish.send(5).is_ok());
        assert_eq!((loader.await??, follower.await??), (5, 5));
        assert!(matches!(cache.get::<u32>("a").await, Err(Error::Store(_))));
    }

    async fn without_the_store_it_fails_if_that_is_wanted(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL).without_store(WithoutStore::Fail);
        test.store.close().await?;

        let failed: Loaded<u32> = cache.get_or_set("a", async || Ok(1)).await;
        assert!(matches!(failed, Err(LoadError::Cache(Error::Store(_)))));
        assert_eq!(cache.stats().loads, 0);
    }

    async fn a_map_comes_back_as_it_was(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let value = BTreeMap::from([("a".to_owned(), Some(1.5)), ("b".to_owned(), None)]);
        cache.set("map", &value).await?;
        assert_eq!(cache.get("map").await?, Some(value));
    }
}

#[tokio::test]
async fn a_cancelled_call_leaves_no_flight_behind() {
    let test = larder_testkit::TestStore::memory();
    let cache = Cache::new(&test.store, "shop", TTL);
    let never = cache.get_or_set("a", pending::<Result<u32, String>>);
    assert!(
        tokio::time::timeout(Duration::from_millis(5), never)
            .await
            .is_err()
    );
    cache.delete("a").await.unwrap();
    let loaded: Loaded<u32> = cache.get_or_set("a", async || Ok(1)).await;
    assert_eq!(loaded.unwrap(), 1);
}
