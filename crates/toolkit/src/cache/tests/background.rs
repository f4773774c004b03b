//! Loads that nobody need wait for.

use super::*;

/// Asks in the background for "a", and answers what the caller got and what ends the load.
async fn ask(cache: &Cache<u32>) -> (Result<u32, Error>, oneshot::Sender<u32>) {
    let (finish, finished) = oneshot::channel();
    let load = |_| async move { Ok(finished.await?) };
    (
        cache.get_or_set_in_background("a", Keep::new(), load).await,
        finish,
    )
}

every_store! {
    async fn a_load_in_the_background_goes_on_when_its_caller_has_gone(test: TestStore) {
        let cache = process(&test.store).wait(SHORT);
        let (timed_out, finish) = ask(&cache).await;
        assert_eq!(timed_out, Err(Error::TimedOut { what: Awaited::Load, waited: SHORT }));

        assert!(finish.send(1).is_ok());
        cache.finish().await;
        assert_eq!(cache.get("a").await?, Some(1));
    }

    async fn a_stale_value_is_given_out_while_a_new_one_is_loaded_in_the_background(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?).grace(Duration::from_secs(60));
        cache.set("a", &1).await?;
        test.pass(SHORT).await;

        let (stale, finish) = ask(&cache).await;
        assert_eq!(stale?, 1);
        let (stale, _) = ask(&cache).await;
        assert_eq!(stale?, 1);
        assert!(finish.send(2).is_ok());
        cache.finish().await;
        assert_eq!(cache.get("a").await?, Some(2));
        assert_eq!(cache.stats().loads, 1);
    }

    async fn a_value_that_comes_within_the_soft_timeout_is_waited_for(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?)
            .grace(Duration::from_secs(60))
            .soft_timeout(Duration::from_secs(20));
        cache.set("a", &1).await?;
        test.pass(SHORT).await;
        let fresh = cache.get_or_set_in_background("a", Keep::new(), |_| async { Ok(2) }).await;
        assert_eq!(fresh?, 2);
    }

    async fn a_value_near_its_end_is_loaded_ahead(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT * 5)?).refresh_ahead(60);
        cache.set("a", &1).await?;
        let early = cache.get_or_set_in_background("a", Keep::new(), |_| needless()).await;
        assert_eq!(early?, 1);

        test.pass(SHORT * 3).await;
        let (due, finish) = ask(&cache).await;
        assert_eq!(due?, 1);
        assert!(finish.send(2).is_ok());
        cache.finish().await;
        assert_eq!(cache.get("a").await?, Some(2));
    }

    async fn a_load_in_the_background_that_panics_has_failed(test: TestStore) {
        let cache = process(&test.store);
        let failed = cache.get_or_set_in_background("a", Keep::new(), |_| needless()).await;
        assert!(matches!(failed, Err(Error::Load(_))), "{failed:?}");
        assert_eq!(cache.get_or_set("a", || async { Ok(2) }).await?, 2);
    }

    async fn a_load_in_the_background_that_asks_for_its_own_name_is_told_at_once(test: TestStore) {
        let cache = process(&test.store);
        let inner = cache.clone();
        let load = |_| async move {
            Ok(inner.get_or_set_in_background("a", Keep::new(), |_| needless()).await?)
        };
        let told = cache.get_or_set_in_background("a", Keep::new(), load).await;
        let cause = told.expect_err("it is a circle");
        assert!(matches!(cause.cause::<Error>(), Some(Error::Invalid { .. })), "{cause:?}");
    }
}
