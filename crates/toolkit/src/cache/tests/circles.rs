//! Loads that ask for what they load.

use std::pin::Pin;

use super::*;
use crate::join;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

fn is_told(answer: &Result<u32, Error>) -> bool {
    match answer {
        Err(error @ Error::Load(_)) => error.cause::<Error>().is_some_and(|cause| {
            matches!(cause, Error::Invalid { .. }) || is_told(&Err(cause.clone()))
        }),
        Err(Error::Invalid { .. }) => true,
        _ => false,
    }
}

/// A value of so many layers of twelve, each made of all that are in the one below.
fn layers(cache: &Cache<u32>, layer: u32, place: u32) -> BoxFuture<'_, Result<u32, Error>> {
    Box::pin(async move {
        let load = async || {
            if layer == 0 {
                // The others come and wait before this is done.
                tokio::task::yield_now().await;
                return Ok(1);
            }
            let parts = (0..12).map(|place| layers(cache, layer - 1, place));
            let parts: Result<Vec<u32>, Error> = join::all(parts).await.into_iter().collect();
            Ok(parts?.iter().sum())
        };
        cache.get_or_set(&format!("{layer}.{place}"), load).await
    })
}

every_store! {
    async fn a_load_that_asks_for_its_own_name_is_told_at_once(test: TestStore) {
        let cache = process(&test.store);
        let load = async || {
            let deeper = async || Ok(cache.get_or_set("a", needless).await?);
            Ok(cache.get_or_set("b", deeper).await?)
        };
        let told = cache.get_or_set("a", load).await;
        assert!(is_told(&told), "{told:?}");
    }

    async fn two_loads_that_ask_for_each_other_are_told_at_once(test: TestStore) {
        let cache = process(&test.store);
        let both = Arc::new(tokio::sync::Barrier::new(2));
        let ask = |name: &'static str, other: &'static str| {
            let (cache, both) = (cache.clone(), both.clone());
            tokio::spawn(async move {
                let load = async || {
                    both.wait().await;
                    Ok(cache.get_or_set(other, || async { Ok(1) }).await?)
                };
                cache.get_or_set(name, load).await
            })
        };
        let (one, other) = (ask("a", "b"), ask("b", "a"));
        let (one, other) = (one.await?, other.await?);
        assert!(is_told(&one) || is_told(&other), "{one:?} {other:?}");
    }

    async fn two_loads_may_ask_for_the_same_third(test: TestStore) {
        let cache = process(&test.store);
        let begun = begin_load(&cache, "c", Keep::new()).await;
        let ask = |name: &'static str| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let load = async || Ok(cache.get_or_set("c", needless).await?);
                cache.get_or_set(name, load).await
            })
        };
        let (one, other) = (ask("a"), ask("b"));
        while cache.stats().waits < 2 {
            tokio::task::yield_now().await;
        }
        begun.finish(3).await?;
        assert_eq!((one.await??, other.await??), (3, 3));
    }

    /// From the first of these loads to the last there are as many ways as the value says.
    async fn loads_that_share_what_they_load_are_looked_through_once(test: TestStore) {
        let cache = process(&test.store);
        assert_eq!(layers(&cache, 8, 0).await?, 12_u32.pow(8));
    }
}
