//! Clocks that step back, and limits that become others.

use super::*;

/// A clock that stepped back locked everyone out for the whole step.
mod nobody_waits_for_longer_after_a_step_back_than_the_limit_alone_would_have_it {
    use super::*;

    #[tokio::test]
    async fn memory() -> Result<(), Box<dyn std::error::Error>> {
        for step in [US, WINDOW / 2, WINDOW, 3 * WINDOW, DAY, 30 * DAY] {
            for limit in every_kind(quota(10)) {
                let test = TestStore::memory();
                let limiter = Limiter::new(&test.store, "api", limit.clone()).block(WINDOW / 4);
                limiter.take("ann", 10).await?;
                limiter.take("ann", 1).await?;
                test.set_back(step);

                let wait = retry_after(limiter.take("ann", 10).await?);
                assert!(wait <= 2 * WINDOW, "{limit}, {step:?}: {wait:?}");
                test.pass(wait).await;
                assert!(
                    limiter.take("ann", 10).await?.is_allowed(),
                    "{limit}, {step:?}"
                );
            }
        }
        Ok(())
    }
}

/// What a step back puts to now, and what is taken then, are one entry.
#[tokio::test]
async fn what_is_taken_right_after_a_step_back_counts_with_what_was_before() -> Result<(), Error> {
    for limit in every_kind(quota(10)) {
        let test = TestStore::memory();
        let limiter = Limiter::new(&test.store, "api", limit.clone());
        limiter.take("ann", 4).await?;
        test.set_back(DAY);
        assert_eq!(left(&limiter.take("ann", 4).await?), 2, "{limit}");
        assert_eq!(left(&limiter.peek("ann", 0).await?), 2, "{limit}");
    }
    Ok(())
}

/// The sliding counter forgot what was taken when the clock went back over the edge of a window.
#[tokio::test]
async fn what_was_taken_is_not_forgotten_when_the_clock_steps_back() -> Result<(), Error> {
    for step in [US, WINDOW / 2, WINDOW, 3 * WINDOW, DAY] {
        for limit in every_kind(quota(10)) {
            let test = TestStore::memory();
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            limiter.take("ann", 10).await?;

            test.set_back(step);
            assert_eq!(left(&limiter.peek("ann", 0).await?), 0, "{limit}, {step:?}");
            assert!(
                !limiter.take("ann", 1).await?.is_allowed(),
                "{limit}, {step:?}"
            );
        }
    }
    Ok(())
}

/// By the clock's own account: what was taken before a step counts as taken at the earlier time.
#[tokio::test]
async fn never_more_than_the_limit_is_taken_in_a_window_however_the_clock_steps()
-> Result<(), Error> {
    let size = 20;
    let test = TestStore::memory();
    let quota = Quota::per_second(size);
    let window = Limiter::new(&test.store, "api", Limit::sliding_window(quota));
    let bucket = Limiter::new(&test.store, "api", Limit::gcra(quota));
    let (mut now, mut taken) = (DAY, Vec::<(Duration, u32)>::new());
    // Microseconds until the bucket is full: a permit takes 50,000.
    let mut missing = Duration::ZERO;
    for _ in 0..3000 {
        let step = Duration::from_micros(rand::random_range(0..300_000));
        if rand::random_bool(0.1) {
            test.set_back(step);
            now -= step;
            taken.iter_mut().for_each(|(at, _)| *at = (*at).min(now));
        } else {
            test.pass(step).await;
            now += step;
            missing = missing.saturating_sub(step);
        }
        taken.retain(|(at, _)| *at + SECOND > now);
        let wanted = rand::random_range(1..=5);
        if window.take("ann", wanted).await?.is_allowed() {
            taken.push((now, wanted));
        }
        assert!(taken.iter().map(|(_, count)| count).sum::<u32>() <= size);
        if bucket.take("ann", wanted).await?.is_allowed() {
            missing += SECOND * wanted / size;
        }
        assert!(missing <= SECOND, "{missing:?}");
    }
    Ok(())
}

every_store! {
    /// Ten a day became ten a second, and who had used them up waited for a day.
    async fn a_looser_quota_locks_nobody_out_for_the_time_of_the_stricter_one(test: TestStore) {
        for (strict, loose) in every_kind(Quota::per_day(10)).into_iter().zip(every_kind(quota(10))) {
            let limiter = Limiter::new(&test.store, "api", strict.named("plan"));
            assert!(limiter.take("ann", 10).await?.is_allowed());
            test.pass(Duration::from_millis(10)).await;

            let limiter = Limiter::new(&test.store, "api", loose.clone().named("plan"));
            if let Some(wait) = limiter.take("ann", 10).await?.retry_after() {
                assert!(wait <= 2 * WINDOW, "{loose}: {wait:?}");
                test.pass(wait).await;
                assert!(limiter.take("ann", 10).await?.is_allowed(), "{loose}");
            }
        }
    }

    async fn a_stricter_quota_holds_at_once(test: TestStore) {
        for (loose, strict) in every_kind(Quota::per_hour(10)).into_iter().zip(every_kind(Quota::per_hour(3))) {
            let limiter = Limiter::new(&test.store, "api", loose.named("plan"));
            assert!(limiter.take("ann", 9).await?.is_allowed());

            let limiter = Limiter::new(&test.store, "api", strict.clone().named("plan"));
            assert!(!limiter.take("ann", 1).await?.is_allowed(), "{strict}");
        }
    }

    /// A shorter block ends for those as well who were blocked for longer.
    async fn a_block_is_never_longer_than_the_limiter_has_it_now(test: TestStore) {
        let limit = Limit::gcra(Quota::per_second(1000));
        let limiter = Limiter::new(&test.store, "login", limit).block(DAY);
        limiter.take("ann", 1000).await?;
        limiter.take("ann", 1000).await?;

        let limiter = limiter.block(WINDOW);
        let wait = retry_after(limiter.peek("ann", 1).await?);
        assert!(wait <= WINDOW, "{wait:?}");
        test.pass(wait).await;
        assert!(limiter.take("ann", 1).await?.is_allowed());
    }
}
