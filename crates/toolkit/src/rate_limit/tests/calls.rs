//! What can be asked of a limiter, and what it answers.

use larder_store::{Answer, Backend, Channels, Refusal, Subscription, Value};

use super::*;

/// A store that answers everything with the same error.
struct Failing(Error);

impl Backend for Failing {
    fn call(&self, _: Command) -> Answer<'_, Value> {
        Answer::ready(Err(self.0.clone()))
    }

    fn call_all(&self, _: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        Answer::ready(Err(self.0.clone()))
    }

    fn subscribe(&self, _: Channels) -> Answer<'_, Subscription> {
        Answer::ready(Err(self.0.clone()))
    }
}

every_store! {
    async fn a_peek_takes_nothing(test: TestStore) {
        for limit in every_kind(Quota::per_hour(2)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone()).block(WINDOW);
            assert_eq!(left(&limiter.peek("ann", 1).await?), 1);
            assert_eq!(test.keys("*").await?, Vec::<String>::new(), "{limit}");

            limiter.take("ann", 1).await?;
            assert!(!limiter.peek("ann", 2).await?.is_allowed());
            assert!(limiter.take("ann", 1).await?.is_allowed(), "{limit}");
            limiter.reset("ann").await?;
        }
    }

    /// For one limit of GCRA the two are different scripts.
    async fn a_take_does_what_a_peek_has_said(test: TestStore) {
        let Some(embedded) = test.embedded() else { return Ok(()) };
        let quota = Quota::per_minute(7);
        for limit in every_kind(quota).into_iter().chain([Limit::gcra(quota).burst(20)]) {
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            for _ in 0..300 {
                let wanted = rand::random_range(0..=4);
                let mut said = limiter.peek("ann", wanted).await?;
                let took = limiter.take("ann", wanted).await?;
                if let (Decision::Allowed { permit, .. }, Decision::Allowed { permit: taken, .. }) =
                    (&mut said, &took)
                {
                    assert_eq!(taken.permits(), wanted);
                    *permit = taken.clone();
                }
                assert_eq!(took, said, "{limit}, {wanted}");
                embedded.pass(Duration::from_micros(rand::random_range(0..20_000_000)));
            }
        }
    }

    async fn as_many_are_taken_as_there_are(test: TestStore) {
        for limit in every_kind(Quota::per_hour(10)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone());
            let permits = async |limiter: &Limiter, up_to| {
                let permit = limiter.take_up_to("ann", up_to).await?.require();
                Ok::<_, Error>(permit.map(|permit| permit.permits()).unwrap_or_default())
            };
            assert_eq!(permits(&limiter, 7).await?, 7, "{limit}");
            assert_eq!(permits(&limiter, 7).await?, 3, "{limit}");
            assert_eq!(permits(&limiter, 7).await?, 0, "{limit}");
            limiter.reset("ann").await?;
            assert_eq!(permits(&limiter, u32::MAX).await?, 10, "{limit}");
        }
    }

    async fn no_permits_are_there_until_a_block(test: TestStore) {
        for limit in every_kind(Quota::per_hour(2)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone()).block(WINDOW);
            limiter.take("ann", 2).await?;
            for _ in 0..3 {
                let decision = limiter.take("ann", 0).await?;
                assert!(decision.is_allowed() && left(&decision) == 0, "{limit}");
            }
            limiter.take("ann", 1).await?;
            assert!(!limiter.take("ann", 0).await?.is_allowed(), "{limit}");
            limiter.reset("ann").await?;
        }
    }

    async fn more_than_there_ever_is_at_once_is_denied_for_good(test: TestStore) {
        let limiter = Limiter::new(&test.store, "api", Limit::gcra(Quota::per_hour(9)))
            .and(Limit::fixed_window(Quota::per_day(5)));
        let never = limiter.take("ann", 6).await?;
        assert_eq!(never, Decision::Never { size: 5, limit: 1 });
        assert_eq!(never.require().expect_err("it is denied").retry_after(), None);
        assert_eq!(test.keys("*").await?, Vec::<String>::new());
    }

    async fn a_caller_who_is_reset_begins_anew(test: TestStore) {
        for limit in every_kind(Quota::per_hour(1)) {
            let limiter = Limiter::new(&test.store, "api", limit.clone()).block(WINDOW * 100);
            limiter.take("ann", 1).await?;
            assert!(!limiter.take("ann", 1).await?.is_allowed());

            limiter.reset("ann").await?;
            assert!(limiter.take("ann", 1).await?.is_allowed());
        }
    }

    async fn a_long_name_makes_no_long_key(test: TestStore) {
        let limiter = Limiter::new(&test.store, "login", Limit::gcra(Quota::per_hour(1)));
        limiter.take(&"x".repeat(100_000), 1).await?;
        assert!(test.keys("*").await?.iter().all(|key| key.len() < 300));
    }

    async fn without_the_store_the_policy_decides_and_says_so(test: TestStore) {
        let limiter = Limiter::new(&test.store, "login", Limit::gcra(Quota::per_hour(1)));
        test.store.close().await?;

        assert_eq!(limiter.take("ann", 1).await, Err(Error::Closed));
        let open = limiter.clone().without_store(WithoutStore::Allow);
        assert_eq!(open.take("ann", 1).await?, Decision::Unchecked { is_allowed: true });
        assert_eq!(open.take("ann", 1).await?.require()?.permits(), 0);
        let closed = limiter.without_store(WithoutStore::Deny);
        assert_eq!(closed.take("ann", 1).await?, Decision::Unchecked { is_allowed: false });
        assert_eq!(closed.take("ann", 1).await?.require(), Err(Denied::Unchecked));
    }

    /// A store that is full may still be asked, and says no to what writes.
    async fn a_full_store_is_a_store_that_does_not_answer(test: TestStore) {
        test.store.set("other", "data").await?;
        test.configure("maxmemory", "1").await?;
        for block in [Duration::ZERO, WINDOW] {
            let limiter = Limiter::new(&test.store, "login", Limit::gcra(Quota::per_hour(1))).block(block);
            assert!(limiter.take("ann", 1).await.is_err_and(|error| error.is_refused()));
            let open = limiter.without_store(WithoutStore::Allow);
            assert_eq!(open.take("ann", 1).await?, Decision::Unchecked { is_allowed: true });
        }
    }

    /// A mistake that nobody sees would let everybody in for ever.
    async fn what_is_a_mistake_is_an_error_under_any_policy(test: TestStore) {
        let limiter = Limiter::new(&test.store, "api", Limit::gcra(Quota::per_hour(1)))
            .without_store(WithoutStore::Allow);
        let wrong = Command::new("LPUSH").arg("{api:limit:ann}:gcra:1/h").arg("x");
        test.store.run::<()>(wrong).await?;

        assert!(limiter.take("ann", 1).await.is_err_and(|error| error.is_refused()));
    }
}

#[tokio::test]
async fn a_policy_is_for_stores_that_do_not_serve_and_for_nothing_else() {
    let refused = |text: &str| Error::Refused(Refusal::new(text));
    let of_the_store = [
        Error::away("down"),
        Error::unanswered("lost"),
        refused("OOM command not allowed"),
        refused("READONLY You can't write against a read only replica."),
        refused("LOADING"),
        refused("MISCONF"),
        refused("NOREPLICAS"),
        refused("BUSY"),
    ];
    let mistakes = [
        refused("WRONGTYPE Operation against a key"),
        refused("ERR unknown command"),
        refused("NOAUTH Authentication required."),
        Error::invalid("no"),
    ];
    let allows = async |error: Error| {
        let limit = Limit::gcra(Quota::per_hour(1));
        let limiter = Limiter::new(&Store::new(Failing(error)), "api", limit);
        limiter
            .without_store(WithoutStore::Allow)
            .take("ann", 1)
            .await
            .is_ok()
    };
    for error in of_the_store {
        assert!(allows(error.clone()).await, "{error}");
    }
    for error in mistakes {
        assert!(!allows(error.clone()).await, "{error}");
    }
}

#[test]
#[should_panic(expected = "there is a limit \"plan\" already")]
fn two_limits_of_one_name_are_refused() {
    let store = TestStore::memory().store;
    let limit = || Limit::gcra(Quota::per_second(1)).named("plan");
    let _ = Limiter::new(&store, "api", limit()).and(limit());
}
