//! Values that are forgotten together: by tags, by patterns, and all of them.

use super::*;

every_store! {
    async fn values_with_a_tag_are_invalidated_together(test: TestStore) {
        let cache = process(&test.store);
        cache.set_with("a", &1, Keep::new().tags(["red", "round"])).await?;
        cache.set_with("b", &2, Keep::new().tag("red")).await?;
        cache.set_with("c", &3, Keep::new().tag("round")).await?;
        cache.set("d", &4).await?;
        let left = async || -> Result<Vec<Option<u32>>, Error> {
            cache.get_many(["a", "b", "c", "d"]).await.into_iter().collect()
        };
        assert_eq!(left().await?, [Some(1), Some(2), Some(3), Some(4)]);

        cache.invalidate_tags(["red", "unknown"]).await?;
        assert_eq!(left().await?, [None, None, Some(3), Some(4)]);

        let keep = Keep::new().tag("red");
        assert_eq!(cache.get_or_set_with("a", keep, || async { Ok(5) }).await?, 5);
        assert_eq!(left().await?, [Some(5), None, Some(3), Some(4)]);
    }

    async fn a_value_that_is_set_anew_has_its_new_tags_only(test: TestStore) {
        let cache = process(&test.store);
        cache.set_with("a", &1, Keep::new().tag("old")).await?;
        cache.set_with("a", &2, Keep::new().tag("new")).await?;

        cache.invalidate_tags(["old"]).await?;
        assert_eq!(cache.get("a").await?, Some(2));
        cache.invalidate_tags(["new"]).await?;
        assert_eq!(cache.get("a").await?, None);
    }

    async fn caches_that_share_a_tags_name_do_not_touch_each_other(test: TestStore) {
        let (ours, theirs) = (Cache::new(&test.store, "ours", TTL), Cache::new(&test.store, "theirs", TTL));
        for cache in [&ours, &theirs] {
            cache.set_with("a", &1, Keep::new().tag("red")).await?;
        }
        ours.invalidate_tags(["red"]).await?;
        assert_eq!(ours.get("a").await?, None);
        assert_eq!(theirs.get("a").await?, Some(1));

        theirs.clear().await?;
        ours.set("a", &2).await?;
        theirs.clear().await?;
        assert_eq!(ours.get("a").await?, Some(2));
    }

    /// An evicted or expired tag must not bring back what was invalidated under it, also where the
    /// clock stands still or goes back.
    async fn a_lost_tag_makes_its_values_void(test: TestStore) {
        let cache = process(&test.store);
        let keep = Keep::new().tag("red");
        cache.set_with("a", &1, keep.clone()).await?;

        run::<()>(&test.store, "DEL {shop:cache-tag:red}").await?;
        assert_eq!(cache.get("a").await?, None);

        cache.set_with("b", &2, keep).await?;
        assert_eq!(cache.get("a").await?, None);
        assert_eq!(cache.get("b").await?, Some(2));
    }

    async fn a_tag_outlives_its_values(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?);
        cache.set_with("a", &1, Keep::new().tag("red")).await?;
        let long = Keep::new().tag("red").ttl(Ttl::new(SHORT * 5)?);
        cache.set_with("b", &2, long).await?;

        test.pass(SHORT * 3).await;
        assert_eq!(cache.get("b").await?, Some(2));

        cache.set_with("c", &3, Keep::new().tag("red").ttl(Ttl::forever())).await?;
        test.pass(SHORT * 9).await;
        assert_eq!(cache.get("c").await?, Some(3));
    }

    async fn what_has_too_many_tags_is_refused_before_it_is_loaded(test: TestStore) {
        let cache = process(&test.store);
        for keep in [Keep::new().tags(vec!["red"; 256]), Keep::new().tag("x".repeat(65_536))] {
            let refused = cache.get_or_set_with("a", keep.clone(), needless).await;
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
            assert!(matches!(cache.set_with("a", &1, keep).await, Err(Error::Invalid { .. })));
        }
        assert_eq!(cache.stats().loads, 0);
    }

    async fn a_load_names_time_and_tags_by_what_it_loads(test: TestStore) {
        let cache = process(&test.store);
        let load = |loading: Loading<u32>| async move {
            loading.ttl(Ttl::new(SHORT)?);
            loading.tag("late");
            Ok(1)
        };
        assert_eq!(cache.get_or_load("a", load).await?, 1);
        assert_eq!(cache.get("a").await?, Some(1));
        cache.invalidate_tags(["late"]).await?;
        assert_eq!(cache.get("a").await?, None);

        assert_eq!(cache.get_or_load("a", load).await?, 1);
        assert_eq!(cache.get("a").await?, Some(1));
        test.pass(SHORT).await;
        assert_eq!(cache.get("a").await?, None);
    }

    /// The tag was not known when the load began, so its version of then is not known either.
    async fn a_late_tag_that_is_invalidated_during_the_load_makes_its_value_void(test: TestStore) {
        let (cache, other) = (process(&test.store), process(&test.store));
        other.set_with("b", &1, Keep::new().tag("late")).await?;
        let loaded = cache.get_or_load("a", |loading| async move {
            other.invalidate_tags(["late"]).await?;
            other.set_with("b", &2, Keep::new().tag("late")).await?;
            loading.tag("late");
            Ok(1)
        });

        assert_eq!(loaded.await?, 1);
        assert_eq!(cache.get("a").await?, None);
        assert_eq!(cache.stats().refused, 1);
    }

    async fn clear_forgets_everything_in_one_step_whatever_made_it(test: TestStore) {
        let cache = process(&test.store);
        cache.set("set", &1).await?;
        cache.get_or_set("loaded", || async { Ok(2) }).await?;
        cache.set_with("tagged", &3, Keep::new().tag("red")).await?;
        let before = test.keys("*").await?.len();

        process(&test.store).clear().await?;
        let got: Result<Vec<_>, Error> =
            cache.get_many(["set", "loaded", "tagged"]).await.into_iter().collect();
        assert_eq!(got?, [None, None, None]);
        assert_eq!(cache.get("set").await?, None);
        assert_eq!(test.keys("*").await?.len(), before - 1);
    }

    /// A process remembers the version of its namespace, and does not hear of others that clear it.
    async fn what_is_set_after_a_clear_of_another_process_is_kept(test: TestStore) {
        let cache = process(&test.store);
        cache.set("a", &1).await?;
        process(&test.store).clear().await?;

        cache.set("a", &2).await?;
        assert_eq!(cache.get("a").await?, Some(2));
        process(&test.store).clear().await?;
        process(&test.store).set("b", &3).await?;
        assert_eq!(cache.set_many([("a", 4), ("c", 5)], Keep::new()).await, [Ok(()), Ok(())]);
        assert_eq!(cache.get_many(["a", "b", "c"]).await, [Ok(Some(4)), Ok(Some(3)), Ok(Some(5))]);
    }

    async fn a_pattern_finds_names_and_takes_literals_literally(test: TestStore) {
        let cache = Cache::new(&test.store, "shop*", TTL);
        for name in ["user:1", "user:2", "user:[1]", "user*", "order:1", "user:{}"] {
            cache.set(name, &1).await?;
        }
        run::<()>(&test.store, "SET {shopping:cache:user:1} other").await?;

        assert_eq!(cache.invalidate_matching(&literal("user:[1]")).await?, 1);
        assert_eq!(cache.invalidate_matching(&literal("user*")).await?, 1);
        assert_eq!(cache.invalidate_matching("user:{*").await?, 1);
        assert_eq!(cache.invalidate_matching("user:?").await?, 2);
        assert_eq!(cache.invalidate_matching("*").await?, 1);
        assert_eq!(test.keys("*:user:*").await?.len(), 1);
    }

    async fn many_are_found_by_a_pattern(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", TTL);
        let values = (0..5000).map(|number| (format!("n{number}"), number));
        for answer in cache.set_many(values, Keep::new()).await {
            answer?;
        }
        assert_eq!(cache.invalidate_matching("n*").await?, 5000);
    }
}
