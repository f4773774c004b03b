//! Values that are set, got and deleted.

use std::collections::BTreeMap;

use super::*;

/// The keys that have no time to live.
async fn keys_without_end(test: &TestStore) -> Result<Vec<String>, Error> {
    let mut endless = Vec::new();
    for key in test.keys("*").await? {
        if run::<i64>(&test.store, &format!("PTTL {key}")).await? == -1 {
            endless.push(key);
        }
    }
    Ok(endless)
}

every_store! {
    async fn what_is_set_is_got_until_its_time_is_over(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?);
        cache.set("a", &1).await?;
        assert_eq!(cache.get("a").await?, Some(1));

        test.pass(SHORT).await;
        assert_eq!(cache.get("a").await?, None);
    }

    async fn a_cached_nothing_is_told_from_a_miss(test: TestStore) {
        let cache = Cache::<Option<u32>>::new(&test.store, "shop", TTL);
        cache.set("nobody", &None).await?;

        assert_eq!(cache.get("nobody").await?, Some(None));
        assert_eq!(cache.get("unknown").await?, None);
        assert_eq!(cache.get_or_set("nobody", needless).await?, None);
    }

    async fn a_cached_nothing_has_a_time_of_its_own(test: TestStore) {
        let cache = Cache::<Option<u32>>::new(&test.store, "shop", TTL).negative_ttl(Ttl::new(SHORT)?);
        cache.set("nobody", &None).await?;
        cache.get_or_set("nothing", || async { Ok(None) }).await?;
        cache.set("ann", &Some(1)).await?;

        test.pass(SHORT).await;
        assert_eq!(cache.get("nobody").await?, None);
        assert_eq!(cache.get("nothing").await?, None);
        assert_eq!(cache.get("ann").await?, Some(Some(1)));
    }

    async fn a_deleted_value_is_gone(test: TestStore) {
        let cache = process(&test.store);
        cache.set("a", &1).await?;

        assert!(cache.delete("a").await?);
        assert!(!cache.delete("a").await?);
        assert_eq!(cache.get("a").await?, None);
    }

    async fn a_map_comes_back_as_it_was(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let value = BTreeMap::from([("a".to_owned(), Some(1.5)), ("b".to_owned(), None)]);
        cache.set("map", &value).await?;
        assert_eq!(cache.get("map").await?, Some(value));
    }

    async fn what_cant_be_read_is_loaded_and_written_anew(test: TestStore) {
        let numbers = process(&test.store);
        run::<()>(&test.store, "SET {shop:cache:json} {}").await?;
        Cache::<String>::new(&test.store, "shop", TTL).set("text", &"no number".into()).await?;

        for name in ["json", "text"] {
            assert_eq!(numbers.get(name).await?, None);
            assert_eq!(numbers.get_or_set(name, || async { Ok(3) }).await?, 3);
            assert_eq!(numbers.get(name).await?, Some(3));
        }
        assert!(numbers.stats().undecodable >= 4);
    }

    async fn many_are_set_and_got_at_once_each_for_itself(test: TestStore) {
        let cache = Cache::<String>::new(&test.store, "shop", TTL).max_len(10);
        let values = [("a", "one"), ("b", "longer than ten bytes"), ("c", "three")];
        let values = values.map(|(name, value)| (name, value.to_owned()));

        let set = cache.set_many(values, Keep::new().tag("red")).await;
        assert!(matches!(&set[..], [Ok(()), Err(Error::Invalid { .. }), Ok(())]), "{set:?}");

        let got: Result<Vec<_>, Error> = cache.get_many(["c", "b", "a"]).await.into_iter().collect();
        assert_eq!(got?, [Some("three".to_owned()), None, Some("one".to_owned())]);

        assert_eq!(cache.get_many::<&str>([]).await, []);
        assert_eq!(cache.set_many::<&str, String>([], Keep::new()).await, []);
    }

    async fn many_are_deleted_at_once_each_for_itself(test: TestStore) {
        let cache = process(&test.store);
        cache.set_many([("a", 1), ("b", 2), ("c", 3)], Keep::new()).await;

        let deleted = cache.delete_many(["a", "none", "b", "a"]).await;
        assert_eq!(deleted, [Ok(true), Ok(false), Ok(true), Ok(false)]);
        let left = cache.get_many(["a", "b", "c"]).await;
        assert_eq!(left, [Ok(None), Ok(None), Ok(Some(3))]);
        assert_eq!(cache.delete_many::<&str>([]).await, []);
    }

    async fn a_refusal_for_one_of_many_leaves_the_others(test: TestStore) {
        let cache = process(&test.store);
        run::<()>(&test.store, "LPUSH {shop:cache:list} x").await?;
        cache.set("a", &1).await?;

        let got = cache.get_many(["a", "list"]).await;
        assert!(matches!(&got[..], [Ok(Some(1)), Err(Error::Refused(_))]), "{got:?}");
    }

    async fn a_value_that_is_too_large_is_given_out_and_not_kept(test: TestStore) {
        let cache = Cache::<String>::new(&test.store, "shop", TTL).max_len(100);
        let large = "x".repeat(200);
        assert!(matches!(cache.set("a", &large).await, Err(Error::Invalid { .. })));

        let loaded = cache.get_or_set("a", async || Ok(large.clone())).await;
        assert_eq!(loaded?, large);
        assert_eq!(cache.get("a").await?, None);
        assert_eq!(cache.stats().too_large, 1);
    }

    async fn nothing_stays_for_ever(test: TestStore) {
        let cache = process(&test.store);
        let keep = Keep::new().tag("red");
        cache.set_with("a", &1, keep.clone()).await?;
        cache.get_or_set_with("b", keep.clone(), || async { Ok(2) }).await?;
        cache.get_or_load("c", |loading| async move {
            loading.tag("late");
            Ok(3)
        }).await?;
        cache.invalidate_tags(["red", "unknown"]).await?;
        let _begun = begin_load(&cache, "d", keep).await;

        assert_eq!(keys_without_end(&test).await?, Vec::<String>::new());
    }

    async fn what_is_kept_for_ever_stays(test: TestStore) {
        let cache = process(&test.store);
        cache.set("a", &1).await?;
        cache.set_with("b", &2, Keep::new().ttl(Ttl::forever())).await?;
        cache.get_or_set_with("c", Keep::new().ttl(Ttl::forever()), || async { Ok(3) }).await?;

        if test.embedded().is_some() {
            test.pass(Duration::from_secs(400 * 24 * 3600)).await;
            assert_eq!(cache.get("a").await?, None);
        }
        assert_eq!(cache.get("b").await?, Some(2));
        assert_eq!(cache.get("c").await?, Some(3));
    }

    async fn the_order_of_the_settings_does_not_matter(test: TestStore) {
        let cache = process(&test.store);
        cache.set("a", &1).await?;
        cache.get("a").await?;
        let strict = cache.clone().without_store(WithoutStore::Fail).wait(SHORT);

        assert_eq!(strict.stats().hits, 1);
        let begun = begin_load(&cache, "b", Keep::new()).await;
        let follower = begin_wait(&strict, "b", 9).await;
        assert_eq!(begun.finish(2).await?, 2);
        assert_eq!(follower.await??, 2);
    }
}
