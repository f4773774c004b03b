//! What is remembered of denials.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use larder_store::{Answer, Backend, Channels, Subscription, Value};

use super::*;

/// A store before another one that counts what it is asked, and is not in the process.
struct Counting {
    store: Store,
    count: Arc<AtomicU32>,
}

impl Backend for Counting {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.store.call(command)
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.store.call_all(commands)
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.store.subscribe(channels)
    }
}

/// The store as one that is elsewhere, and how often it was asked.
fn counted(store: &Store) -> (Store, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let (store, counting) = (store.clone(), count.clone());
    (
        Store::new(Counting {
            store,
            count: counting,
        }),
        count,
    )
}

every_store! {
    async fn a_caller_who_was_denied_is_denied_without_the_store(test: TestStore) {
        let (store, count) = counted(&test.store);
        for limit in every_kind(Quota::per_hour(2)) {
            let limiter = Limiter::new(&store, "api", limit.clone()).remember_denied(10);
            limiter.take("ann", 2).await?;
            let first = limiter.take("ann", 1).await?;
            // From here on the store knows the scripts, in each of its parts.
            limiter.peek("ann", 1).await?;
            limiter.take("bob", 1).await?;
            limiter.reset("bob").await?;

            let before = count.load(Ordering::SeqCst);
            let mut last = retry_after(first);
            for wanted in [1, 2].repeat(20) {
                let wait = retry_after(limiter.clone().take("ann", wanted).await?);
                assert!(wait > Duration::ZERO && wait <= last, "{limit}: {wait:?}");
                last = wait;
            }
            assert!(!limiter.take_up_to("ann", 2).await?.is_allowed(), "{limit}");
            assert_eq!(count.load(Ordering::SeqCst), before, "{limit}");
            assert_eq!(limiter.denied_from_memory(), 41);

            assert!(limiter.take("bob", 1).await?.is_allowed(), "{limit}");
            limiter.peek("ann", 1).await?;
            limiter.take("ann", 0).await?;
            assert_eq!(count.load(Ordering::SeqCst), before + 3, "{limit}: these are asked for");
            limiter.reset("bob").await?;
        }
    }

    /// It is denied where there is not one.
    async fn who_was_denied_up_to_some_permits_is_denied_one_without_the_store(test: TestStore) {
        let (store, count) = counted(&test.store);
        let limiter = Limiter::new(&store, "api", Limit::gcra(Quota::per_hour(2))).remember_denied(10);
        limiter.take("ann", 2).await?;
        assert!(!limiter.take_up_to("ann", 2).await?.is_allowed());
        let before = count.load(Ordering::SeqCst);
        assert!(!limiter.take("ann", 1).await?.is_allowed());
        assert_eq!(count.load(Ordering::SeqCst), before);
    }

    async fn a_caller_who_was_denied_is_let_in_when_its_time_is_over(test: TestStore) {
        let (store, _) = counted(&test.store);
        let limiter = Limiter::new(&store, "api", Limit::gcra(quota(1))).remember_denied(10);
        limiter.take("ann", 1).await?;
        let denied = Instant::now();
        let wait = retry_after(limiter.take("ann", 1).await?);
        test.pass(wait).await;
        // A clock that is moved by hand is not the one by which this process remembers.
        while denied.elapsed() <= wait {
            tokio::task::yield_now().await;
        }
        assert!(limiter.take("ann", 1).await?.is_allowed());
    }

    async fn what_is_given_back_or_forgotten_here_counts_at_once(test: TestStore) {
        let (store, _) = counted(&test.store);
        let limiter = Limiter::new(&store, "api", Limit::gcra(Quota::per_hour(1))).remember_denied(10);
        let Decision::Allowed { permit, .. } = limiter.take("ann", 1).await? else {
            panic!("there was one");
        };
        assert!(!limiter.take("ann", 1).await?.is_allowed());
        limiter.refund("ann", &permit).await?;
        assert!(limiter.take("ann", 1).await?.is_allowed());
        assert!(!limiter.take("ann", 1).await?.is_allowed());
        limiter.reset("ann").await?;
        assert!(limiter.take("ann", 1).await?.is_allowed());
    }

    async fn a_block_is_remembered_for_any_permits_that_it_denied(test: TestStore) {
        let (store, count) = counted(&test.store);
        let limiter = Limiter::new(&store, "api", Limit::gcra(Quota::per_hour(1)));
        let limiter = limiter.remember_denied(10).block(SECOND * 3600);
        limiter.take("ann", 1).await?;
        limiter.take("ann", 1).await?;
        assert!(!limiter.take("ann", 0).await?.is_allowed());
        let before = count.load(Ordering::SeqCst);
        for wanted in [0, 1] {
            assert!(!limiter.take("ann", wanted).await?.is_allowed());
        }
        assert_eq!(count.load(Ordering::SeqCst), before);
    }

    async fn a_store_in_the_process_is_asked_each_time(test: TestStore) {
        let Some(embedded) = test.embedded().filter(|_| test.store.is_in_process()) else {
            return Ok(());
        };
        let limiter = Limiter::new(&test.store, "api", Limit::gcra(quota(1))).remember_denied(10);
        limiter.take("ann", 1).await?;
        let wait = retry_after(limiter.take("ann", 1).await?);
        embedded.pass(wait);
        assert!(limiter.take("ann", 1).await?.is_allowed());
        assert_eq!(limiter.denied_from_memory(), 0);
    }
}
