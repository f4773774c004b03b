//! Limiters, on every kind of store.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use larder_store::{Command, Error, Store};
use larder_testkit::{TestStore, every_store};

use super::*;

/// Short enough to wait for on a real server.
const WINDOW: Duration = Duration::from_millis(400);

const US: Duration = Duration::from_micros(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn quota(count: u32) -> Quota {
    Quota::new(count, WINDOW).expect("it is one")
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

fn left(decision: &Decision) -> u32 {
    match decision {
        Decision::Allowed { left, .. } | Decision::Denied { left, .. } => *left,
        decision => panic!("{decision:?}"),
    }
}

/// How long the key that lives longest has left.
async fn longest_life(test: &TestStore) -> Result<Duration, Error> {
    let mut longest = Duration::ZERO;
    for key in test.keys("*").await? {
        let left_ms: i64 = test.store.run(Command::new("PTTL").arg(key)).await?;
        longest = longest.max(Duration::from_millis(left_ms.max(0) as u64));
    }
    Ok(longest)
}

mod calls;
mod denials;
mod refunds;
mod steps;

every_store! {
    async fn as_many_are_allowed_as_the_quota_says(test: TestStore) {
        for limit in every_kind(Quota::per_hour(3)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            for expected in [2, 1, 0] {
                let decision = limiter.take("ann", 1).await?;
                assert!(decision.is_allowed(), "{limit}");
                assert_eq!(left(&decision), expected, "{limit}");
            }
            let denied = limiter.take("ann", 1).await?;
            assert!(!denied.is_allowed() && left(&denied) == 0, "{limit}");
            assert!(limiter.take("bob", 1).await?.is_allowed(), "{limit}");
        }
    }

    /// A caller who is turned away is told when to come back, and is let in then.
    async fn a_denied_caller_is_let_in_after_retry_after(test: TestStore) {
        for limit in every_kind(quota(2)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            assert!(limiter.take("ann", 2).await?.is_allowed());
            for wanted in [1, 2] {
                let wait = retry_after(limiter.take("ann", wanted).await?);
                assert!(wait > Duration::ZERO && wait <= 2 * WINDOW, "{limit}: {wait:?}");
                test.pass(wait).await;
                assert!(limiter.take("ann", wanted).await?.is_allowed(), "{limit}, {wanted}");
            }
        }
    }

    /// To the microsecond, with any quota and any history; only a clock that stands still shows it.
    async fn a_denied_caller_is_not_let_in_before_retry_after(test: TestStore) {
        let Some(embedded) = test.embedded() else { return Ok(()) };
        let quotas = ["7/m", "1000/s", "600000/s", "1000000007/d", "3/366d", "13/250ms", "4000000000/366d"];
        for text in quotas {
            for limit in every_kind(text.parse()?) {
                let limiter = Limiter::new(&test.store, "api", limit.clone());
                for round in 0..20 {
                    let wanted = rand::random_range(1..=limit.size());
                    if !limiter.take("ann", wanted).await?.is_allowed() {
                        let wait = retry_after(limiter.peek("ann", wanted).await?);
                        embedded.pass(wait - US);
                        assert!(!limiter.peek("ann", wanted).await?.is_allowed(), "{limit}, {round}");
                        embedded.pass(US);
                        assert!(limiter.take("ann", wanted).await?.is_allowed(), "{limit}, {round}");
                    }
                    let some = limit.quota().per() / 3;
                    embedded.pass(Duration::from_micros(rand::random_range(0..=some.as_micros() as u64)));
                }
            }
        }
    }

    async fn a_cost_is_taken_whole_or_not_at_all(test: TestStore) {
        for limit in every_kind(Quota::per_hour(5)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            assert_eq!(left(&limiter.take("ann", 3).await?), 2);

            let denied = limiter.take("ann", 3).await?;
            assert!(!denied.is_allowed() && left(&denied) == 2, "{limit}: {denied:?}");
            assert_eq!(left(&limiter.take("ann", 2).await?), 0, "{limit}");
        }
    }

    async fn a_denied_request_takes_nothing(test: TestStore) {
        for limit in every_kind(quota(1)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            limiter.take("ann", 1).await?;
            let first = retry_after(limiter.take("ann", 1).await?);
            for _ in 0..20 {
                limiter.take("ann", 1).await?;
            }
            assert!(retry_after(limiter.take("ann", 1).await?) <= first, "{limit}");
        }
    }

    /// The state lives as long as it says something, and no longer.
    async fn the_state_is_gone_when_the_limit_is_full_again(test: TestStore) {
        for limit in every_kind(quota(4)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            limiter.take("ann", 2).await?;
            let asked = Instant::now();
            let Decision::Allowed { reset_after, .. } = limiter.take("ann", 2).await? else {
                panic!("there were four");
            };
            let lives = longest_life(&test).await?;
            // What a real server and this machine took to answer has passed as well.
            let passed = if test.embedded().is_some() { Duration::ZERO } else { asked.elapsed() };
            assert!(lives + passed >= reset_after, "{limit}: {lives:?} of {reset_after:?}");
            assert!(lives <= reset_after + Duration::from_millis(5), "{limit}: {lives:?} of {reset_after:?}");

            test.pass(lives + Duration::from_millis(5)).await;
            assert_eq!(left(&limiter.peek("ann", 1).await?), 3, "{limit}");
            assert_eq!(test.keys("*").await?, Vec::<String>::new(), "{limit}");
        }
    }

    async fn permits_of_gcra_come_back_one_by_one(test: TestStore) {
        let limiter = Limiter::new(&test.store, "flow", Limit::gcra(quota(4)));
        limiter.take("ann", 4).await?;
        test.pass(WINDOW / 4).await;
        assert!(limiter.take("ann", 1).await?.is_allowed());
        if test.embedded().is_some() {
            assert!(!limiter.take("ann", 1).await?.is_allowed());
        }
    }

    async fn a_burst_is_as_large_as_it_says(test: TestStore) {
        let limit = Limit::gcra(Quota::per_hour(2)).burst(5);
        let limiter = Limiter::new(&test.store, "flow", limit);
        assert!(limiter.take("ann", 5).await?.is_allowed());
        let wait = retry_after(limiter.take("ann", 1).await?);
        assert!(wait > Duration::from_secs(1795) && wait <= Duration::from_secs(1800), "{wait:?}");
    }

    /// 600,000 in a second were 500,000, as each permit took a whole number of microseconds.
    async fn as_many_come_back_in_a_second_as_the_quota_says(test: TestStore) {
        let Some(embedded) = test.embedded() else { return Ok(()) };
        for permits in [1, 7, 70_000, 600_000, 999_983, 1_000_000_000] {
            let limiter = Limiter::new(&test.store, "flow", Limit::gcra(Quota::per_second(permits)));
            assert!(limiter.take("ann", permits).await?.is_allowed());
            let mut came_back = 0;
            for _ in 0..1000 {
                embedded.pass(Duration::from_millis(1));
                if let Decision::Allowed { permit, .. } = limiter.take_up_to("ann", permits).await? {
                    came_back += permit.permits();
                }
            }
            assert_eq!(came_back, permits);
        }
    }

    /// Two full windows at the boundary of a fixed window are what the sliding ones are for.
    async fn a_sliding_window_holds_in_every_stretch_of_time(test: TestStore) {
        let Some(embedded) = test.embedded() else { return Ok(()) };
        for size in [10, 5000] {
            let exact = Limiter::new(&test.store, "exact", Limit::sliding_window(Quota::per_second(size)));
            let mut taken: VecDeque<(Duration, u32)> = VecDeque::new();
            let mut now = Duration::ZERO;
            for _ in 0..1000 {
                let wanted = rand::random_range(1..=size / 5);
                if exact.take("ann", wanted).await?.is_allowed() {
                    taken.push_back((now, wanted));
                }
                while taken.front().is_some_and(|(at, _)| *at + SECOND <= now) {
                    taken.pop_front();
                }
                let sum: u32 = taken.iter().map(|(_, count)| count).sum();
                assert!(sum <= size);
                // Of a small limit not one less either.
                let free = left(&exact.peek("ann", 0).await?);
                assert!(free == size - sum || size > 1000 && free < size - sum, "{free} {size} {sum}");

                let step = Duration::from_micros(rand::random_range(0..100_000));
                embedded.pass(step);
                now += step;
            }
        }
    }

    /// What many single takes cost was a member each, and a take of many permits a member for each.
    async fn a_sliding_window_has_an_entry_for_a_take_and_at_most_a_thousand(test: TestStore) {
        let Some(embedded) = test.embedded() else { return Ok(()) };
        let limit = Limit::sliding_window(Quota::per_minute(10_000_000));
        let limiter = Limiter::new(&test.store, "bytes", limit);
        let card = async || -> Result<u64, Error> {
            let key = "{bytes:limit:ann}:sliding-window:10000000/m";
            test.store.run(Command::new("ZCARD").arg(key)).await
        };
        limiter.take("ann", 9_000_000).await?;
        assert_eq!(card().await?, 2);

        for _ in 0..4000 {
            assert!(limiter.take("ann", 1).await?.is_allowed());
            embedded.pass(Duration::from_millis(14));
        }
        assert!(card().await? <= 1002);
        embedded.pass(Duration::from_secs(59));
        assert!(limiter.take("ann", 9_000_000).await?.is_allowed());
        assert!(card().await? < 30);
    }

    /// The seed's limiter removed every entry of the same millisecond when one was denied.
    async fn entries_of_the_same_moment_do_not_replace_each_other(test: TestStore) {
        let limiter = Limiter::new(&test.store, "exact", Limit::sliding_window(Quota::per_hour(50)));
        let mut allowed = 0;
        for _ in 0..70 {
            allowed += u32::from(limiter.take("ann", 1).await?.is_allowed());
        }
        assert_eq!(allowed, 50);
    }

    async fn concurrent_callers_get_exactly_what_there_is(test: TestStore) {
        for limit in every_kind(Quota::per_hour(10)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            let callers = (0..40).map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.take("ann", 1).await })
            });
            let mut allowed = 0;
            for caller in callers.collect::<Vec<_>>() {
                allowed += u32::from(caller.await??.is_allowed());
            }
            assert_eq!(allowed, 10, "{limit}");
        }
    }

    async fn of_several_limits_all_give_or_none(test: TestStore) {
        let day = Limit::fixed_window(Quota::per_day(3));
        let limiter = Limiter::new(&test.store, "api", Limit::gcra(Quota::per_hour(2))).and(day.clone());

        assert!(matches!(limiter.take("ann", 2).await?, Decision::Allowed { left: 0, limit: 0, .. }));
        // The first denies, and the second must not pay for it.
        assert!(matches!(limiter.take("ann", 1).await?, Decision::Denied { limit: 0, .. }));
        let day = Limiter::new(&test.store, "api", day);
        assert_eq!(left(&day.peek("ann", 0).await?), 1);
    }

    async fn a_limits_count_goes_by_its_name_and_not_by_its_place(test: TestStore) {
        let (few, many) = (Limit::gcra(Quota::per_hour(2)), Limit::gcra(Quota::per_day(100)));
        let limiter = Limiter::new(&test.store, "api", few.clone()).and(many.clone()).block(WINDOW);
        limiter.take("ann", 2).await?;

        let other_order = Limiter::new(&test.store, "api", many.clone()).and(few.clone()).block(WINDOW);
        assert!(matches!(other_order.peek("ann", 1).await?, Decision::Denied { limit: 1, .. }));
        let alone = Limiter::new(&test.store, "api", many);
        assert_eq!(left(&alone.peek("ann", 0).await?), 98);
        // Another quota in the same namespace is another count, unless both have the same name.
        let other = Limiter::new(&test.store, "api", Limit::gcra(Quota::per_hour(3)));
        assert_eq!(left(&other.peek("ann", 0).await?), 3);
        let named = |quota| Limiter::new(&test.store, "api", Limit::gcra(quota).named("plan"));
        named(Quota::per_hour(2)).take("ann", 2).await?;
        assert!(!named(Quota::per_hour(3)).take("ann", 3).await?.is_allowed());
        // The block too goes by the names, in whichever order.
        assert!(!limiter.take("ann", 1).await?.is_allowed());
        assert!(!other_order.peek("ann", 0).await?.is_allowed());
    }

    /// Nobody reads the numbers of one kind as those of another.
    async fn a_state_of_another_kind_or_form_under_the_same_name_is_none(test: TestStore) {
        for limit in every_kind(Quota::per_hour(2)) {
            let limiter = Limiter::new(&test.store, "api", limit.named("same"));
            assert!(limiter.take("ann", 2).await?.is_allowed());
            assert!(!limiter.take("ann", 1).await?.is_allowed());
        }
        for limit in every_kind(Quota::per_hour(2)) {
            let part = limit.state_part();
            let limiter = Limiter::new(&test.store, "api", limit);
            if !part.starts_with("sliding-window") {
                let set = Command::new("SET").arg(format!("{{api:limit:bob}}:{part}"));
                test.store.run::<()>(set.arg("9999999999999999")).await?;
                assert!(limiter.take("bob", 2).await?.is_allowed(), "{part}");
            }
        }
    }

    async fn a_block_lasts_and_is_not_made_longer_by_further_requests(test: TestStore) {
        // So long that it is not over where a request takes long.
        let block = WINDOW * 4;
        let limiter = Limiter::new(&test.store, "login", Limit::gcra(Quota::per_second(1000))).block(block);
        assert!(limiter.take("ann", 1000).await?.is_allowed());
        let blocked = limiter.take("ann", 900).await?;
        assert!(retry_after(blocked.clone()) >= block, "{blocked:?}");

        test.pass(block / 2).await;
        let blocked = retry_after(limiter.take("ann", 1).await?);
        assert!(blocked <= block / 2, "{blocked:?}");
        test.pass(blocked).await;
        assert!(limiter.take("ann", 1).await?.is_allowed());
    }

    /// Whoever came back at the end of a block that is shorter than the limit was blocked again.
    async fn the_wait_during_a_block_is_until_the_permits_are_there(test: TestStore) {
        for limit in every_kind(quota(2)) {
            let block = Duration::from_millis(20);
            let limiter = Limiter::new(&test.store, "api", limit.clone()).block(block);
            limiter.take("ann", 2).await?;
            assert!(!limiter.take("ann", 2).await?.is_allowed());

            let during = limiter.take("ann", 2).await?;
            test.pass(retry_after(during)).await;

            assert!(limiter.take("ann", 2).await?.is_allowed(), "{limit}");
        }
    }
}

#[test]
fn limits_that_are_given_no_name_are_told_apart_by_their_kind() {
    let quota = Quota::per_minute(60);
    let limits = [
        Limit::gcra(quota),
        Limit::gcra(quota).burst(5),
        Limit::fixed_window(quota),
        Limit::sliding_window(quota),
        Limit::sliding_counter(quota),
    ];
    let limits = limits.into_iter().map(|limit| limit.to_string());
    let limits: Vec<Limit> = limits
        .map(|text| text.parse().expect("it is one"))
        .collect();
    let names: Vec<_> = limits.iter().map(Limit::name).collect();
    assert_eq!(
        names,
        [
            "60/m",
            "60/m burst 5",
            "fixed-window 60/m",
            "sliding-window 60/m",
            "sliding-counter 60/m"
        ]
    );
    let parts: Vec<_> = limits.iter().map(Limit::state_part).collect();
    assert_eq!(
        parts,
        [
            "gcra:60/m",
            "gcra:60/m burst 5",
            "fixed-window:60/m",
            "sliding-window:60/m",
            "sliding-counter:60/m"
        ]
    );
}
