//! Permits that are given back.

use super::*;

async fn take(limiter: &Limiter, permits: u32) -> Result<Permit, Box<dyn std::error::Error>> {
    Ok(limiter.take("ann", permits).await?.require()?)
}

every_store! {
    async fn what_is_refunded_can_be_taken_again(test: TestStore) {
        for limit in every_kind(Quota::per_hour(2)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            let [permit, other] = [take(&limiter, 1).await?, take(&limiter, 1).await?];
            assert!(!limiter.take("ann", 1).await?.is_allowed(), "{limit}");

            // In whichever order.
            assert_eq!(left(&limiter.refund("ann", &other).await?), 1, "{limit}");
            assert_eq!(left(&limiter.refund("ann", &permit).await?), 2, "{limit}");

            let permit = take(&limiter, 2).await?;
            assert_eq!(left(&limiter.refund("ann", &permit.part(1)).await?), 1, "{limit}");
            let permit = take(&limiter, 1).await?;
            assert!(!limiter.take("ann", 1).await?.is_allowed(), "{limit}");
            assert_eq!(left(&limiter.refund("ann", &permit).await?), 1, "{limit}");
            limiter.reset("ann").await?;

            let permit = take(&limiter, 2).await?;
            assert_eq!(left(&limiter.refund("ann", &permit).await?), 2, "{limit}");
            assert_eq!(test.keys("*").await?, Vec::<String>::new(), "{limit}");
        }
    }

    async fn a_refund_goes_to_every_limit(test: TestStore) {
        let day = Limit::fixed_window(Quota::per_day(3));
        let limiter = Limiter::new(&test.store, "api", Limit::gcra(Quota::per_hour(2))).and(day.clone());
        let permit = take(&limiter, 2).await?;

        assert_eq!(left(&limiter.refund("ann", &permit).await?), 2);
        let day = Limiter::new(&test.store, "api", day);
        assert_eq!(left(&day.peek("ann", 0).await?), 3);
        let error = day.refund("ann", &permit).await.expect_err("it is of two limits");
        assert!(matches!(error, Error::Invalid { .. }));
    }

    async fn what_was_not_taken_is_not_given_back(test: TestStore) {
        for limit in every_kind(Quota::per_hour(2)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            take(&limiter, 1).await?;
            let peeked = limiter.peek("ann", 1).await?.require()?;
            assert_eq!(peeked.permits(), 0);
            assert_eq!(left(&limiter.refund("ann", &peeked).await?), 1, "{limit}");
        }
    }

    /// A permit survives a job that takes a while, with the job's data.
    async fn a_permit_can_be_kept_and_read_again(test: TestStore) {
        let limiter = Limiter::new(&test.store, "api", Limit::gcra(Quota::per_hour(2)));
        let kept = rmp_serde::to_vec(&take(&limiter, 2).await?)?;
        let permit: Permit = rmp_serde::from_slice(&kept)?;
        assert_eq!(left(&limiter.refund("ann", &permit).await?), 2);
    }
}

/// The refund of what was taken in an earlier window gave permits of a later one back.
#[tokio::test]
async fn what_has_come_back_by_itself_is_not_given_back_once_more()
-> Result<(), Box<dyn std::error::Error>> {
    for limit in every_kind(quota(10)) {
        let test = TestStore::memory();
        let limiter = Limiter::new(&test.store, "api", limit.clone());
        let first = take(&limiter, 10).await?;
        test.pass(2 * WINDOW).await;
        take(&limiter, 10).await?;

        assert_eq!(left(&limiter.refund("ann", &first).await?), 0, "{limit}");
    }
    Ok(())
}

/// Permits that were given back leave a gap behind which others come back earlier.
#[tokio::test]
async fn what_came_back_earlier_as_others_gave_back_is_not_given_back_once_more()
-> Result<(), Box<dyn std::error::Error>> {
    let test = TestStore::memory();
    let limiter = Limiter::new(&test.store, "api", Limit::gcra(quota(10)));
    let (one, other) = (take(&limiter, 5).await?, take(&limiter, 5).await?);
    limiter.refund("ann", &one).await?;
    test.pass(WINDOW * 6 / 10).await;
    take(&limiter, 10).await?;

    assert_eq!(left(&limiter.refund("ann", &other).await?), 0);
    Ok(())
}

/// With random refunds no window has more permits than the limit, less those that were given back.
#[tokio::test]
async fn refunds_never_let_more_through_than_the_limit() -> Result<(), Box<dyn std::error::Error>> {
    let size = 20;
    for limit in [
        Limit::sliding_window(Quota::per_second(size)),
        Limit::gcra(Quota::per_second(size)),
    ] {
        let is_window = limit.to_string().starts_with("sliding-window");
        let test = TestStore::memory();
        let limiter = Limiter::new(&test.store, "api", limit);
        let mut held: Vec<(Duration, Permit)> = Vec::new();
        let mut now = Duration::ZERO;
        for _ in 0..1500 {
            let step = Duration::from_micros(rand::random_range(0..200_000));
            test.pass(step).await;
            now += step;
            if let Ok(permit) = limiter
                .take("ann", rand::random_range(1..=8))
                .await?
                .require()
            {
                held.push((now, permit));
            }
            if rand::random_bool(0.4) && !held.is_empty() {
                let (_, permit) = held.swap_remove(rand::random_range(0..held.len()));
                limiter.refund("ann", &permit).await?;
            }
            held.retain(|(at, _)| *at + 3 * SECOND > now);
            for (from, _) in &held {
                let since = held.iter().filter(|(at, _)| at >= from);
                let in_window = since.filter(|(at, _)| !is_window || *at < *from + SECOND);
                let sum: u32 = in_window.map(|(_, permit)| permit.permits()).sum();
                let came_back = if is_window {
                    0.0
                } else {
                    (now - *from).as_secs_f64() * f64::from(size)
                };
                assert!(
                    f64::from(sum) <= f64::from(size) + came_back + 1e-6,
                    "{sum}"
                );
            }
        }
    }
    Ok(())
}
