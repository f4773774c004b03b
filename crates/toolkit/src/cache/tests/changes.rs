//! What becomes of a load while somebody changes what it loads.

use std::sync::atomic::{AtomicU32, Ordering};

use super::faults::{Fate, faults};
use super::*;

every_store! {
    /// A reader loads the old value, a writer changes it and deletes the entry, and only then does
    /// the reader put what it has loaded.
    async fn what_was_loaded_before_a_change_is_not_kept(test: TestStore) {
        let (cache, other) = (process(&test.store), process(&test.store));

        for change in ["delete", "set", "pattern", "tag", "clear"] {
            let begun = begin_load(&cache, "a", Keep::new().tag("red")).await;
            match change {
                "delete" => drop(other.delete("a").await?),
                "set" => other.set("a", &99).await?,
                "pattern" => drop(other.invalidate_matching("a*").await?),
                "tag" => other.invalidate_tags(["red"]).await?,
                _ => other.clear().await?,
            }
            assert_eq!(begun.finish(1).await?, 1);

            let kept = cache.get("a").await?;
            assert_eq!(kept, (change == "set").then_some(99), "after {change}");
            cache.delete("a").await?;
        }
        assert_eq!(cache.stats().refused, 3);
    }

    async fn who_comes_after_a_change_does_not_get_what_was_loaded_before_it(test: TestStore) {
        let cache = process(&test.store);
        for change in ["delete", "set_many", "tag", "clear"] {
            let begun = begin_load(&cache, "a", Keep::new().tag("red")).await;
            match change {
                "delete" => drop(cache.delete("a").await?),
                "set_many" => drop(cache.set_many([("a", 2)], Keep::new()).await),
                "tag" => cache.invalidate_tags(["red"]).await?,
                _ => cache.clear().await?,
            }
            let after = tokio::spawn({
                let cache = cache.clone();
                async move { cache.get_or_set("a", || async { Ok(2) }).await }
            });
            if change != "tag" && change != "clear" {
                // The lease is gone: nobody waits for the load from before.
                assert_eq!(after.await??, 2, "after {change}");
                assert_eq!(begun.finish(1).await?, 1);
            } else {
                assert_eq!(begun.finish(1).await?, 1);
                assert_eq!(after.await??, 2, "after {change}");
            }
            assert_eq!(cache.get("a").await?, Some(2), "after {change}");
            cache.delete("a").await?;
        }
    }

    /// A follower of a flight that was changed by another process gets nothing from the flight.
    async fn who_comes_after_a_change_of_another_process_looks_again(test: TestStore) {
        for max_len in [Cache::<u32>::MAX_LEN, 0] {
            let cache = process(&test.store).max_len(max_len);
            let begun = begin_load(&cache, "a", Keep::new()).await;
            process(&test.store).delete("a").await?;
            let late = begin_wait(&cache, "a", 2).await;

            assert_eq!(begun.finish(1).await?, 1);
            assert_eq!(late.await??, 2);
            cache.delete("a").await?;
        }
    }

    async fn an_unrelated_tag_parts_nobody_from_a_load(test: TestStore) {
        let scripts = Arc::new(AtomicU32::new(0));
        let counted = scripts.clone();
        let cache = process(&faults(&test.store, move |command| {
            let is_script = command.name().starts_with(b"EVAL");
            counted.fetch_add(u32::from(is_script), Ordering::SeqCst);
            Fate::Fine
        }));
        let begun = begin_load(&cache, "a", Keep::new().tag("red")).await;
        cache.invalidate_tags(["blue"]).await?;

        let before = scripts.load(Ordering::SeqCst);
        let follower = begin_wait(&cache, "a", 9).await;
        assert_eq!(scripts.load(Ordering::SeqCst), before, "it asks for no lease of its own");
        assert_eq!(begun.finish(1).await?, 1);
        assert_eq!(follower.await??, 1);
    }

    /// Two leaders of one process with one token: the value of the first was put under the lease of the
    /// second, although it was loaded before a delete.
    async fn who_takes_over_a_lease_shares_it_with_nobody(test: TestStore) {
        let cache = process(&test.store);
        begin_load(&cache, "a", Keep::new()).await.cancel().await;
        let first = begin_load(&cache, "a", Keep::new()).await;
        cache.delete("a").await?;
        let second = begin_load(&cache, "a", Keep::new()).await;

        assert_eq!(first.finish(1).await?, 1);
        assert_eq!(cache.get("a").await?, None);
        assert_eq!(second.finish(2).await?, 2);
        assert_eq!(cache.get("a").await?, Some(2));
    }

    /// Readers that give up beside a writer that deletes. The database is a number that only grows, so
    /// nobody may read less than what was written before the last delete that had returned.
    async fn nobody_reads_what_is_older_than_the_last_delete(test: TestStore) {
        let cache = process(&test.store);
        let database = Arc::new(AtomicU32::new(0));
        let deleted = Arc::new(AtomicU32::new(0));
        let rounds = if test.embedded().is_some() { 3000 } else { 600 };

        let readers = (0..6).map(|reader| {
            let (cache, database, deleted) = (cache.clone(), database.clone(), deleted.clone());
            tokio::spawn(async move {
                for round in 0..rounds {
                    let least = deleted.load(Ordering::SeqCst);
                    let load = async || {
                        let value = database.load(Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        Ok(value)
                    };
                    let reading = cache.get_or_set("a", load);
                    let value = match (reader + round) % 3 {
                        // A caller that gives up, at any of its awaits.
                        0 => match give_up_after(round % 7, reading).await {
                            Some(value) => value,
                            None => continue,
                        },
                        _ => reading.await,
                    };
                    assert!(value.expect("it can be loaded") >= least, "round {round}");
                }
            })
        });
        let readers: Vec<_> = readers.collect();
        for _ in 0..rounds {
            let value = database.fetch_add(1, Ordering::SeqCst) + 1;
            cache.delete("a").await?;
            deleted.fetch_max(value, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
        for reader in readers {
            reader.await?;
        }
    }
}

/// What `work` gives, if it does so at one of its first polls.
async fn give_up_after<R>(polls: u32, work: impl Future<Output = R>) -> Option<R> {
    let mut work = std::pin::pin!(work);
    let mut left = polls;
    std::future::poll_fn(move |context| match work.as_mut().poll(context) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
        std::task::Poll::Pending => {
            left -= 1;
            std::task::Poll::Pending
        }
    })
    .await
}
