//! Limiters, on every kind of store.

use std::num::NonZeroU32;
use std::time::Duration;

use larder_store::{Command, Store};
use larder_testkit::every_store;

use super::*;

const ONE: NonZeroU32 = NonZeroU32::MIN;
const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// Short enough to wait for on a real server.
const WINDOW: Duration = Duration::from_millis(400);

fn permits(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("it is above zero")
}

fn quota(count: u32) -> Quota {
    Quota::new(permits(count), WINDOW).expect("it is one")
}

/// A limit of each kind with this quota.
fn every_kind(quota: Quota) -> [Limit; 4] {
    [
        Limit::gcra(quota),
        Limit::fixed_window(quota),
        Limit::sliding_window(quota),
        Limit::sliding_counter(quota),
    ]
}

fn retry_after(decision: Decision) -> Duration {
    decision.retry_after().expect("it is denied")
}

fn left(decision: Decision) -> u32 {
    match decision {
        Decision::Allowed { left, .. } | Decision::Denied { left, .. } => left,
        Decision::Unchecked { .. } => panic!("it is checked"),
    }
}

async fn keys(store: &Store) -> Result<Vec<String>, larder_store::Error> {
    store.run(Command::new("KEYS").arg("*")).await
}

every_store! {
    async fn as_many_are_allowed_as_the_quota_says(test: TestStore) {
        for limit in every_kind(Quota::per_hour(3)) {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone());
            for expected in [2, 1, 0] {
                let decision = limiter.take("ann", ONE).await?;
                assert!(decision.is_allowed(), "{limit:?}");
                assert_eq!(left(decision), expected, "{limit:?}");
            }
            let denied = limiter.take("ann", ONE).await?;
            assert!(!denied.is_allowed() && left(denied) == 0, "{limit:?}");
            assert!(limiter.take("bob", ONE).await?.is_allowed(), "{limit:?}");
        }
    }

    /// A caller who is turned away is told when to come back, and is let in then.
    async fn a_denied_caller_is_let_in_after_retry_after(test: TestStore) {
        for limit in every_kind(quota(2)) {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone());
            assert!(limiter.take("ann", TWO).await?.is_allowed());
            for wanted in [ONE, TWO] {
                let wait = retry_after(limiter.take("ann", wanted).await?);
                assert!(wait > Duration::ZERO && wait <= 2 * WINDOW, "{limit:?}: {wait:?}");
                test.pass(wait).await;
                assert!(limiter.take("ann", wanted).await?.is_allowed(), "{limit:?}, {wanted}");
            }
        }
    }

    async fn a_denied_caller_is_not_let_in_before_retry_after(test: TestStore) {
        // Only a clock that stands still shows a single microsecond.
        let Some(embedded) = test.embedded() else { return Ok(()) };
        for limit in every_kind(Quota::per_minute(7)) {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone());
            assert!(limiter.take("ann", permits(7)).await?.is_allowed());
            let wait = retry_after(limiter.take("ann", ONE).await?);
            // The sliding counter may say one more.
            embedded.pass(wait - Duration::from_micros(3));
            assert!(!limiter.take("ann", ONE).await?.is_allowed(), "{limit:?}");
            embedded.pass(Duration::from_micros(3));
            assert!(limiter.take("ann", ONE).await?.is_allowed(), "{limit:?}");
        }
    }

    async fn permits_taken_at_different_times_come_back_at_different_times(test: TestStore) {
        let Some(embedded) = test.embedded() else { return Ok(()) };
        let quota = Quota::per_minute(2);
        for limit in [Limit::sliding_window(quota), Limit::sliding_counter(quota), Limit::gcra(quota)] {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone());
            for _ in 0..10 {
                let wait = limiter.take("ann", ONE).await?.retry_after().unwrap_or_default();
                embedded.pass(wait);
                if !wait.is_zero() {
                    assert!(limiter.take("ann", ONE).await?.is_allowed(), "{limit:?} after {wait:?}");
                }
                embedded.pass(Duration::from_micros(7_000_007));
            }
        }
    }

    async fn a_cost_is_taken_whole_or_not_at_all(test: TestStore) {
        for limit in every_kind(Quota::per_hour(5)) {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone());
            assert_eq!(left(limiter.take("ann", permits(3)).await?), 2);

            let denied = limiter.take("ann", permits(3)).await?;
            assert!(!denied.is_allowed() && left(denied) == 2, "{limit:?}: {denied:?}");
            assert_eq!(left(limiter.take("ann", TWO).await?), 0, "{limit:?}");

            assert!(matches!(limiter.take("ann", permits(6)).await, Err(Error::MoreThanSize { .. })));
        }
    }

    async fn a_peek_takes_nothing(test: TestStore) {
        for limit in every_kind(Quota::per_hour(2)) {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone()).block(WINDOW);
            assert_eq!(left(limiter.peek("ann", ONE).await?), 1);
            assert_eq!(keys(&test.store).await?, Vec::<String>::new(), "{limit:?}");

            limiter.take("ann", ONE).await?;
            assert!(!limiter.peek("ann", TWO).await?.is_allowed());
            assert!(limiter.take("ann", ONE).await?.is_allowed(), "{limit:?}");
            limiter.reset("ann").await?;
        }
    }

    /// For one limit of GCRA the two are different scripts.
    async fn a_take_does_what_a_peek_has_said(test: TestStore) {
        let Some(embedded) = test.embedded() else { return Ok(()) };
        let quota = Quota::per_minute(7);
        let limits = every_kind(quota).into_iter().chain([Limit::gcra_with_burst(quota, permits(20))?]);
        for limit in limits {
            let namespace = format!("{}{}", limit.name(), limit.size());
            let limiter = Limiter::new(&test.store, &namespace, limit.clone());
            for _ in 0..300 {
                let wanted = permits(rand::random_range(1..=4));
                let said = limiter.peek("ann", wanted).await?;
                assert_eq!(limiter.take("ann", wanted).await?, said, "{limit:?}, {wanted}");
                embedded.pass(Duration::from_micros(rand::random_range(0..20_000_000)));
            }
        }
    }

    async fn what_is_refunded_can_be_taken_again(test: TestStore) {
        for limit in every_kind(Quota::per_hour(2)) {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone());
            limiter.take("ann", TWO).await?;

            assert_eq!(left(limiter.refund("ann", ONE).await?), 1, "{limit:?}");
            assert!(limiter.take("ann", ONE).await?.is_allowed(), "{limit:?}");
            assert!(!limiter.take("ann", ONE).await?.is_allowed(), "{limit:?}");

            assert_eq!(left(limiter.refund("ann", TWO).await?), 2, "{limit:?}");
            assert_eq!(left(limiter.refund("ann", TWO).await?), 2, "{limit:?}");
            assert_eq!(keys(&test.store).await?, Vec::<String>::new(), "{limit:?}");
        }
    }

    async fn a_caller_who_is_reset_begins_anew(test: TestStore) {
        for limit in every_kind(Quota::per_hour(1)) {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone()).block(WINDOW * 100);
            limiter.take("ann", ONE).await?;
            assert!(!limiter.take("ann", ONE).await?.is_allowed());

            limiter.reset("ann").await?;
            assert!(limiter.take("ann", ONE).await?.is_allowed());
        }
    }

    async fn a_denied_request_takes_nothing(test: TestStore) {
        for limit in every_kind(quota(1)) {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone());
            limiter.take("ann", ONE).await?;
            let first = retry_after(limiter.take("ann", ONE).await?);
            for _ in 0..20 {
                limiter.take("ann", ONE).await?;
            }
            assert!(retry_after(limiter.take("ann", ONE).await?) <= first, "{limit:?}");
        }
    }

    /// The state lives as long as it says something, and no longer.
    async fn the_state_is_gone_when_the_limit_is_full_again(test: TestStore) {
        for limit in every_kind(quota(4)) {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone());
            limiter.take("ann", TWO).await?;
            let Decision::Allowed { reset_after, .. } = limiter.take("ann", TWO).await? else {
                panic!("there were four");
            };
            // A real server may take its time to answer.
            let margin = if test.embedded().is_some() { 1 } else { 60 };
            test.pass(reset_after.saturating_sub(Duration::from_millis(margin))).await;
            assert!(!keys(&test.store).await?.is_empty(), "{limit:?}");
            test.pass(Duration::from_millis(65)).await;
            assert_eq!(left(limiter.peek("ann", ONE).await?), 3, "{limit:?}");
            assert_eq!(keys(&test.store).await?, Vec::<String>::new(), "{limit:?}");
        }
    }

    async fn permits_of_gcra_come_back_one_by_one(test: TestStore) {
        let limiter = Limiter::new(&test.store, "flow", Limit::gcra(quota(4)));
        limiter.take("ann", permits(4)).await?;
        test.pass(WINDOW / 4).await;
        assert!(limiter.take("ann", ONE).await?.is_allowed());
        if test.embedded().is_some() {
            assert!(!limiter.take("ann", ONE).await?.is_allowed());
        }
    }

    async fn a_burst_is_as_large_as_it_says(test: TestStore) {
        let limit = Limit::gcra_with_burst(Quota::per_hour(2), permits(5))?;
        let limiter = Limiter::new(&test.store, "flow", limit);
        assert!(limiter.take("ann", permits(5)).await?.is_allowed());
        let wait = retry_after(limiter.take("ann", ONE).await?);
        assert!(wait > Duration::from_secs(1795) && wait <= Duration::from_secs(1800), "{wait:?}");
    }

    /// Two full windows at the boundary of a fixed window are what the sliding ones are for.
    async fn sliding_limits_hold_in_every_stretch_of_time(test: TestStore) {
        let Some(embedded) = test.embedded() else { return Ok(()) };
        let exact = Limiter::new(&test.store, "exact", Limit::sliding_window(Quota::per_second(10)));
        let mut taken: Vec<u64> = Vec::new();
        for step in 0..400_u64 {
            if exact.take("ann", ONE).await?.is_allowed() {
                taken.push(step * 17);
            }
            embedded.pass(Duration::from_millis(17));
        }
        assert!(taken.len() > 60);
        for stretch in taken.windows(11) {
            assert!(stretch[10] - stretch[0] >= 1000, "{stretch:?}");
        }
    }

    /// The seed's limiter removed every entry of the same millisecond when one was denied.
    async fn entries_of_the_same_moment_do_not_replace_each_other(test: TestStore) {
        let limiter = Limiter::new(&test.store, "exact", Limit::sliding_window(Quota::per_hour(50)));
        let mut allowed = 0;
        for _ in 0..70 {
            allowed += u32::from(limiter.take("ann", ONE).await?.is_allowed());
        }
        assert_eq!(allowed, 50);
    }

    async fn concurrent_callers_get_exactly_what_there_is(test: TestStore) {
        for limit in every_kind(Quota::per_hour(10)) {
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone());
            let callers = (0..40).map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.take("ann", ONE).await })
            });
            let mut allowed = 0;
            for caller in callers.collect::<Vec<_>>() {
                allowed += u32::from(caller.await??.is_allowed());
            }
            assert_eq!(allowed, 10, "{limit:?}");
        }
    }

    async fn of_several_limits_all_give_or_none(test: TestStore) {
        let limiter = Limiter::new(&test.store, "api", Limit::gcra(Quota::per_hour(2)).named("burst"))
            .and(Limit::fixed_window(Quota::per_day(3)).named("day"));

        assert!(matches!(limiter.take("ann", TWO).await?, Decision::Allowed { left: 0, limit: 0, .. }));
        // The first denies, and the second must not pay for it.
        assert!(matches!(limiter.take("ann", ONE).await?, Decision::Denied { limit: 0, .. }));
        limiter.refund("ann", ONE).await?;
        assert!(matches!(limiter.take("ann", ONE).await?, Decision::Allowed { left: 0, limit: 0, .. }));
        let day = Limiter::new(&test.store, "day", Limit::fixed_window(Quota::per_day(3)));
        assert!(day.peek("ann", ONE).await?.is_allowed());
    }

    async fn a_block_lasts_and_is_not_made_longer_by_further_requests(test: TestStore) {
        let limiter = Limiter::new(&test.store, "login", Limit::gcra(Quota::per_second(1000))).block(WINDOW);
        assert!(limiter.take("ann", permits(1000)).await?.is_allowed());
        let blocked = limiter.take("ann", permits(900)).await?;
        assert!(retry_after(blocked) >= WINDOW, "{blocked:?}");

        test.pass(WINDOW / 2).await;
        let blocked = limiter.take("ann", ONE).await?;
        assert!(retry_after(blocked) <= WINDOW / 2, "{blocked:?}");
        test.pass(retry_after(blocked)).await;
        assert!(limiter.take("ann", ONE).await?.is_allowed());
    }

    /// Whoever came back at the end of a block that is shorter than the limit was blocked again.
    async fn the_wait_during_a_block_is_until_the_permits_are_there(test: TestStore) {
        for limit in every_kind(quota(2)) {
            let block = Duration::from_millis(20);
            let limiter = Limiter::new(&test.store, limit.name(), limit.clone()).block(block);
            limiter.take("ann", TWO).await?;
            assert!(!limiter.take("ann", TWO).await?.is_allowed());

            let during = limiter.take("ann", TWO).await?;
            test.pass(retry_after(during)).await;

            assert!(limiter.take("ann", TWO).await?.is_allowed(), "{limit:?}");
        }
    }

    async fn a_long_name_makes_no_long_key(test: TestStore) {
        let limiter = Limiter::new(&test.store, "login", Limit::gcra(Quota::per_hour(1)));
        limiter.take(&"x".repeat(100_000), ONE).await?;
        assert!(keys(&test.store).await?.iter().all(|key| key.len() < 300));
    }

    async fn without_the_store_the_policy_decides_and_says_so(test: TestStore) {
        let limiter = Limiter::new(&test.store, "login", Limit::gcra(Quota::per_hour(1)));
        test.store.close().await?;

        assert!(matches!(limiter.take("ann", ONE).await, Err(Error::Store(_))));
        let open = limiter.clone().without_store(WithoutStore::Allow);
        assert_eq!(open.take("ann", ONE).await?, Decision::Unchecked { is_allowed: true });
        let closed = limiter.without_store(WithoutStore::Deny);
        assert_eq!(closed.take("ann", ONE).await?, Decision::Unchecked { is_allowed: false });
    }
}

#[test]
fn a_quota_that_cant_be_counted_is_refused() {
    let per = Duration::from_micros(999);
    assert_eq!(Quota::new(ONE, per), Err(InvalidQuota::Per { per }));
    assert!(Quota::new(ONE, Quota::PER_MAX + Duration::from_nanos(1)).is_err());
    assert!(Quota::new(permits(1001), Duration::from_millis(1)).is_err());
    assert!(Quota::new(permits(1000), Duration::from_millis(1)).is_ok());
    let slow = Quota::new(ONE, Quota::PER_MAX).expect("a year is allowed");
    assert!(Limit::gcra_with_burst(slow, NonZeroU32::MAX).is_err());
}
