//! Locks, on every kind of store.

use std::time::Duration;

use larder_store::{Command, Key, Keys, Store};
use larder_testkit::every_store;
use tokio::time::Instant;

use super::request::Answer;
use super::*;

const TTL: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(100);
/// What a guard extends in time, also on a slow machine.
const SECOND: Duration = Duration::from_secs(1);

/// A waiter listens before it waits.
async fn until_somebody_listens(store: &Store, channel: Key) -> Result<(), larder_store::Error> {
    loop {
        let command = Command::new("PUBSUB").arg("NUMSUB").arg(&channel);
        let (_, listeners): (String, u32) = store.run(command).await?;
        if listeners > 0 {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

every_store! {
    async fn a_lock_is_held_by_one_at_a_time(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        let guard = locks.try_lock("stock", TTL).await?.expect("the lock is free");
        assert!(locks.try_lock("stock", TTL).await?.is_none());
        assert!(locks.try_lock("other", TTL).await?.is_some());

        assert!(guard.release().await?);
        assert!(locks.try_lock("stock", TTL).await?.is_some());
    }

    async fn every_grant_has_a_larger_token(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        let mut last = 0;
        for _ in 0..20 {
            let guard = locks.try_lock("stock", TTL).await?.expect("the lock is free");
            assert!(guard.token() > last, "{} after {last}", guard.token());
            last = guard.token();
            assert!(guard.release().await?);
        }
    }

    /// A failover or FLUSHALL may take the last token along.
    async fn tokens_grow_also_when_the_last_one_was_lost(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let first = locks.try_lock("stock", TTL).await?.expect("the lock is free").token();

        locks.close().await;
        test.store.run::<()>(Command::new("FLUSHDB")).await?;
        test.pass(Duration::from_millis(1)).await;

        let second = locks.try_lock("stock", TTL).await?.expect("the lock is free").token();
        assert!(second > first, "{second} after {first}");
    }

    /// A clock that steps back must not make tokens smaller.
    async fn tokens_grow_also_when_the_last_one_is_ahead_of_the_clock(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let ahead: u64 = 5_000_000_000_000_000;
        let fence = Keys::new("shop", "lock").of("stock").part("fence");
        test.store.run::<()>(Command::new("SET").arg(fence).arg(ahead)).await?;

        let guard = locks.try_lock("stock", TTL).await?.expect("the lock is free");
        assert_eq!(guard.token(), ahead + 1);
    }

    /// The answer to a request can be lost; the request is then sent again.
    async fn a_request_that_is_sent_twice_is_granted_once(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        let mut attempt = locks.attempt("stock", TTL)?;
        let Answer::Taken(first) = attempt.send().await? else { panic!("the lock is free") };
        let Answer::Taken(again) = attempt.send().await? else { panic!("the request has it") };

        assert_eq!(first.token, again.token);
        assert!(attempt.into_guard(again).release().await?);
    }

    async fn a_request_that_is_dropped_in_doubt_gives_the_lock_back(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        let mut attempt = locks.attempt("stock", TTL)?;
        assert!(matches!(attempt.send().await?, Answer::Taken(_)));
        drop(attempt);
        locks.close().await;

        assert_eq!(locks.holder("stock").await?, None);
    }

    async fn a_guard_that_is_dropped_gives_the_lock_back(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        drop(locks.try_lock("stock", TTL).await?);
        locks.close().await;

        assert_eq!(locks.holder("stock").await?, None);
    }

    async fn releasing_what_has_expired_is_false_and_no_error(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand);

        let guard = locks.try_lock("stock", SHORT).await?.expect("the lock is free");
        test.pass(SHORT).await;

        assert!(!guard.release().await?);
    }

    async fn a_late_release_leaves_the_next_holder_alone(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand);

        let late = locks.try_lock("stock", SHORT).await?.expect("the lock is free");
        test.pass(SHORT).await;
        let next = locks.try_lock("stock", TTL).await?.expect("the lock has expired");

        assert!(!late.release().await?);
        assert!(next.release().await?);
    }

    async fn a_waiter_gets_the_lock_when_it_is_released(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let first = locks.try_lock("stock", TTL).await?.expect("the lock is free");

        let waiting = {
            let locks = locks.clone();
            tokio::spawn(async move { locks.lock("stock", TTL, TTL).await })
        };
        let channel = Keys::new("shop", "lock").of("stock").part("free");
        until_somebody_listens(&test.store, channel).await?;
        let token = first.token();
        assert!(first.release().await?);

        assert!(waiting.await??.token() > token);
    }

    async fn waiters_get_the_lock_one_after_the_other(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let counter = Keys::new("shop", "counter").only();

        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (locks, store, counter) = (locks.clone(), test.store.clone(), counter.clone());
            tasks.spawn(async move {
                let guard = locks.lock("stock", TTL, TTL).await.expect("everyone gets a turn");
                // Read, think, write: wrong without the lock.
                let seen: Option<u32> = store.run(Command::new("GET").arg(&counter)).await.expect("GET");
                tokio::task::yield_now().await;
                let next = seen.unwrap_or(0) + 1;
                store.run::<()>(Command::new("SET").arg(&counter).arg(next)).await.expect("SET");
                guard.release().await.expect("release")
            });
        }
        while let Some(released) = tasks.join_next().await {
            assert!(released?);
        }

        let count: u32 = test.store.run(Command::new("GET").arg(&counter)).await?;
        assert_eq!(count, 5);
    }

    /// A server takes longer to answer than no time at all.
    async fn a_free_lock_is_taken_however_short_the_wait(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let guard = locks.lock("stock", TTL, Duration::ZERO).await?;

        let wait = Duration::ZERO;
        let other = locks.lock("stock", TTL, wait).await;
        assert_eq!(other.map(|guard| guard.token()), Err(Error::TimedOut { wait }));

        assert!(guard.release().await?);
        assert!(locks.lock("stock", TTL, Duration::MAX).await?.release().await?);
    }

    async fn a_waiter_gives_up_when_its_time_is_over(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let _guard = locks.try_lock("stock", TTL).await?;

        let waited = locks.lock("stock", TTL, SHORT).await;

        assert_eq!(waited.map(|guard| guard.token()), Err(Error::TimedOut { wait: SHORT }));
    }

    async fn a_guard_is_extended_while_it_lives(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let guard = locks.try_lock("stock", SECOND).await?.expect("the lock is free");

        let began = Instant::now();
        let early = tokio::time::timeout(SECOND * 2, guard.lost()).await;

        assert!(early.is_err(), "lost after {:?}: {early:?}", began.elapsed());
        assert!(guard.remaining() > Duration::ZERO);
        assert!(guard.release().await?);
    }

    async fn a_guard_that_nobody_extends_is_lost_before_the_store_gives_it_away(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand);
        let guard = locks.try_lock("stock", SHORT).await?.expect("the lock is free");

        assert_eq!(guard.lost().await, Lost::Expired);
        assert_eq!(guard.remaining(), Duration::ZERO);
    }

    async fn work_is_dropped_when_the_lock_is_lost(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let guard = locks.try_lock("stock", SECOND).await?.expect("the lock is free");
        test.store.run::<()>(Command::new("FLUSHDB")).await?;

        let worked = guard.run(std::future::pending::<()>()).await;

        assert_eq!(worked, Err(Lost::Taken));
        assert!(!guard.release().await?);
    }

    async fn extending_lengthens_a_lock_and_never_cuts_it_short(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand);
        let guard = locks.try_lock("stock", TTL / 4).await?.expect("the lock is free");

        assert!(guard.extend(TTL).await?);
        assert!(guard.remaining() > TTL / 2);
        assert!(guard.extend(TTL / 4).await?);
        assert!(guard.remaining() > TTL / 2);
        let holder = locks.holder("stock").await?.expect("it is held");
        assert!(holder.remaining > TTL / 2);
    }

    async fn what_is_lost_is_not_extended(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand);
        let guard = locks.try_lock("stock", TTL).await?.expect("the lock is free");
        test.store.run::<()>(Command::new("FLUSHDB")).await?;

        assert!(!guard.extend(TTL).await?);
        assert_eq!(guard.lost().await, Lost::Taken);
    }

    async fn a_time_to_live_out_of_range_is_refused(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        for ttl in [Duration::ZERO, Duration::from_millis(9), Locks::TTL_MAX + SHORT] {
            let refused = locks.try_lock("stock", ttl).await;
            assert_eq!(refused.map(|_| ()), Err(Error::Ttl { ttl }));
        }
        assert_eq!(locks.holder("stock").await?, None);
    }
}
