mod devices;
mod doubt;
mod faulty;
mod login;
mod privacy;

use std::time::Duration;

use larder_store::{Command, Error};
use larder_testkit::{TestStore, every_store};

use super::{AtMost, Sessions, TOO_MANY};

const SECOND: Duration = Duration::from_secs(1);

fn sessions(test: &TestStore) -> Sessions<String> {
    Sessions::new(&test.store, "test")
}

/// Written as a text and read as a number.
#[derive(Debug)]
struct OneWay;

impl serde::Serialize for OneWay {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("one way")
    }
}

impl<'de> serde::Deserialize<'de> for OneWay {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<OneWay, D::Error> {
        u32::deserialize(from).map(|_| OneWay)
    }
}

every_store! {
    async fn a_session_is_loaded_as_it_was_made(test: TestStore) {
        let sessions = sessions(&test);
        let made = sessions.create("ann", "cart".into()).await?;
        let loaded = sessions.load(made.token()).await?.ok_or("no session")?;
        assert_eq!((loaded.user(), loaded.data.as_str(), loaded.version()), (Some("ann"), "cart", 1));
        assert_eq!(loaded, made);
    }

    async fn what_is_no_token_is_no_session(test: TestStore) {
        let sessions = sessions(&test);
        let made = sessions.create("ann", String::new()).await?;
        let last = if made.token().ends_with('0') { '1' } else { '0' };
        let other = format!("{}{last}", &made.token()[..made.token().len() - 1]);
        let upper = made.token().to_uppercase();
        for token in ["", "x", ".", "0123456789abcdef.", &"a".repeat(97), &"é".repeat(60), &other, &upper] {
            assert!(sessions.load(token).await?.is_none(), "{token}");
            assert!(sessions.rotate(token).await?.is_none(), "{token}");
            assert!(!sessions.destroy(token).await?, "{token}");
            assert_eq!(sessions.log_in(token, "ann").await, Err(Error::Gone), "{token}");
            assert_eq!(sessions.update(token, |_| ()).await, Err(Error::Gone), "{token}");
        }
    }

    /// An id often comes from a form: what is no session of the user must take nothing away.
    async fn an_id_that_is_none_ends_nothing(test: TestStore) {
        let sessions = sessions(&test);
        let made = sessions.create("ann", "cart".into()).await?;
        let id = sessions.list("ann").await?.remove(0).id;

        for other in ["user", "", &format!("{id}:m"), &"x".repeat(1_000_000)] {
            assert!(!sessions.destroy_listed("ann", other).await?);
        }

        assert_eq!(sessions.load(made.token()).await?, Some(made));
        assert!(sessions.destroy_listed("ann", &id).await?);
    }

    async fn data_that_can_never_be_read_makes_no_session(test: TestStore) {
        let sessions = Sessions::<OneWay>::new(&test.store, "test");
        assert!(matches!(sessions.create("ann", OneWay).await, Err(Error::Codec(_))));
        assert_eq!(test.keys("*").await?, [""; 0]);
    }

    async fn a_session_that_is_not_seen_expires(test: TestStore) {
        let sessions = sessions(&test).idle(SECOND);
        let session = sessions.create("ann", String::new()).await?;
        for _ in 0..2 {
            test.pass(SECOND * 6 / 10).await;
            assert!(sessions.load(session.token()).await?.is_some());
        }
        test.pass(SECOND).await;
        assert!(sessions.load(session.token()).await?.is_none());
        assert_eq!(test.keys("*").await?, [""; 0]);
    }

    async fn a_session_ends_however_often_it_is_seen(test: TestStore) {
        let sessions = sessions(&test).idle(SECOND * 60).absolute(SECOND);
        let mut session = sessions.create("ann", String::new()).await?;
        test.pass(SECOND / 2).await;
        sessions.save(&mut session).await?;
        assert!(sessions.load(session.token()).await?.is_some());
        test.pass(SECOND / 2).await;
        assert!(sessions.load(session.token()).await?.is_none());
    }

    /// Two services with different settings, or a deploy that changes them.
    async fn how_long_a_session_lasts_goes_with_the_session(test: TestStore) {
        let (long, short) = (sessions(&test), sessions(&test).idle(SECOND));
        let session = long.create("ann", String::new()).await?;
        let mut seen = short.load(session.token()).await?.ok_or("no session")?;
        short.save(&mut seen).await?;

        test.pass(SECOND * 2).await;
        assert!(short.load(session.token()).await?.is_some());
    }

    async fn a_change_that_somebody_else_made_is_not_overwritten(test: TestStore) {
        let sessions = sessions(&test);
        let mut mine = sessions.create("ann", "a".into()).await?;
        let mut theirs = sessions.load(mine.token()).await?.ok_or("no session")?;
        theirs.data = "b".into();
        sessions.save(&mut theirs).await?;
        mine.data = "c".into();
        assert_eq!(sessions.save(&mut mine).await, Err(Error::Conflict));
        let now = sessions.load(mine.token()).await?.ok_or("no session")?;
        assert_eq!((now.data.as_str(), now.version()), ("b", 2));
    }

    async fn changes_that_many_make_at_once_are_all_made(test: TestStore) {
        let sessions = Sessions::<u32>::new(&test.store, "test");
        let token = sessions.create("ann", 0).await?.token().to_owned();
        let changes: Vec<_> = (0..100)
            .map(|_| {
                let (sessions, token) = (sessions.clone(), token.clone());
                tokio::spawn(async move { sessions.update(&token, |count| *count += 1).await })
            })
            .collect();
        for change in changes {
            change.await??;
        }
        let session = sessions.load(&token).await?.ok_or("no session")?;
        assert_eq!((session.data, session.version()), (100, 101));
    }

    async fn a_change_that_changes_nothing_is_not_saved(test: TestStore) {
        let sessions = sessions(&test);
        let made = sessions.create("ann", "cart".into()).await?;
        let same = sessions.update(made.token(), |data| *data = "cart".into()).await?;
        assert_eq!(same.version(), 1);
    }

    async fn a_change_that_fails_leaves_the_session_in_hand_as_it_was(test: TestStore) {
        let sessions = sessions(&test);
        let mut session = sessions.create("ann", "cart".into()).await?;
        sessions.destroy(session.token()).await?;
        let failed = sessions.merge(&mut session, |data| data.push('s')).await;
        assert_eq!((failed, session.data.as_str()), (Err(Error::Gone), "cart"));
    }

    async fn a_session_that_has_ended_stays_ended(test: TestStore) {
        let sessions = sessions(&test);
        let mut session = sessions.create("ann", String::new()).await?;
        assert!(sessions.destroy(session.token()).await?);
        assert!(!sessions.destroy(session.token()).await?);
        assert_eq!(sessions.save(&mut session).await, Err(Error::Gone));
        assert!(sessions.rotate(session.token()).await?.is_none());
        assert_eq!(sessions.log_in(session.token(), "ann").await, Err(Error::Gone));
        assert!(sessions.load(session.token()).await?.is_none());
        assert_eq!(test.keys("*").await?, [""; 0]);
    }

    async fn all_sessions_of_a_user_are_listed_counted_and_ended(test: TestStore) {
        let sessions = sessions(&test);
        let first = sessions.create("ann", String::new()).await?;
        sessions.create("ann", String::new()).await?;
        let other = sessions.create("bob", String::new()).await?;

        let listed = sessions.list("ann").await?;
        assert_eq!((listed.len(), sessions.count("ann").await?), (2, 2));
        assert_eq!(sessions.count_all().await?, 3);
        assert!(listed.iter().all(|listed| !first.token().contains(&listed.id)));
        assert!(sessions.destroy_listed("ann", &listed[0].id).await?);
        assert!(!sessions.destroy_listed("bob", &listed[1].id).await?);
        assert_eq!(sessions.destroy_all("ann").await?, 1);
        assert_eq!((sessions.list("ann").await?, sessions.count("ann").await?), (vec![], 0));
        assert!(sessions.load(first.token()).await?.is_none());
        assert!(sessions.load(other.token()).await?.is_some());
    }

    async fn a_user_can_end_all_sessions_but_this_one(test: TestStore) {
        let sessions = sessions(&test);
        for _ in 0..2 {
            sessions.create("ann", String::new()).await?;
        }
        let this = sessions.create("ann", String::new()).await?;

        for other in sessions.list("ann").await?.iter().filter(|listed| listed.id != this.id()) {
            assert!(sessions.destroy_listed("ann", &other.id).await?);
        }

        assert_eq!(sessions.count("ann").await?, 1);
        assert!(sessions.load(this.token()).await?.is_some());
    }

    async fn sessions_that_have_expired_are_not_listed(test: TestStore) {
        let short = sessions(&test).idle(SECOND);
        let long = sessions(&test);
        short.create("ann", String::new()).await?;
        long.create("ann", String::new()).await?;
        test.pass(SECOND).await;
        assert_eq!((long.list("ann").await?.len(), long.count("ann").await?), (1, 1));
        assert_eq!(long.destroy_all("ann").await?, 1);
    }

    async fn one_session_more_than_allowed_ends_the_oldest(test: TestStore) {
        let sessions = sessions(&test).max_per_user(2, AtMost::EndOldest);
        let mut tokens = Vec::new();
        for _ in 0..3 {
            tokens.push(sessions.create("ann", String::new()).await?);
            test.pass(Duration::from_millis(5)).await;
        }
        assert!(sessions.load(tokens[0].token()).await?.is_none());
        assert!(sessions.load(tokens[1].token()).await?.is_some());
        assert_eq!(sessions.count("ann").await?, 2);
    }

    async fn one_session_more_than_allowed_can_be_refused(test: TestStore) {
        let sessions = sessions(&test).max_per_user(1, AtMost::Refuse);
        let first = sessions.create("ann", String::new()).await?;
        let visit = sessions.create_anonymous("cart".into()).await?;

        let refused = sessions.create("ann", String::new()).await.expect_err("one is allowed");
        assert!(refused.is_refusal(TOO_MANY), "{refused}");
        let refused = sessions.log_in(visit.token(), "ann").await.expect_err("one is allowed");
        assert!(refused.is_refusal(TOO_MANY), "{refused}");

        assert!(sessions.load(first.token()).await?.is_some());
        assert!(sessions.load(visit.token()).await?.is_some());
        // Where one goes as one comes, there is none more.
        let again = sessions.log_in(first.token(), "ann").await?;
        assert_eq!((sessions.count("ann").await?, again.user()), (1, Some("ann")));
    }

    /// A store that evicts takes whole keys: what was in one is gone, and the other may not lie.
    async fn what_the_store_has_evicted_does_not_count_and_what_it_has_not_is_found(test: TestStore) {
        let sessions = sessions(&test).max_per_user(2, AtMost::Refuse);
        for _ in 0..2 {
            let made = sessions.create("ann", "cart".into()).await?;
            let tag = made.token().split('.').next().ok_or("no tag")?;
            sessions.create("ann", String::new()).await?;

            test.store.del(format!("{{test:session:{tag}}}:index")).await?;
            assert!(sessions.load(made.token()).await?.is_some());
            assert_eq!((sessions.count("ann").await?, sessions.list("ann").await?.len()), (2, 2));

            test.store.del(format!("{{test:session:{tag}}}")).await?;
            assert!(sessions.load(made.token()).await?.is_none());
            assert_eq!(sessions.count("ann").await?, 0);
        }
    }

    async fn data_of_another_type_is_an_error_and_stays(test: TestStore) {
        let session = sessions(&test).create("ann", "text".into()).await?;
        let numbers = Sessions::<u64>::new(&test.store, "test");
        assert!(matches!(numbers.load(session.token()).await, Err(Error::Codec(_))));
        assert!(sessions(&test).load(session.token()).await?.is_some());
    }

    async fn logins_and_logouts_at_once_leave_no_session_behind(test: TestStore) {
        let sessions = sessions(&test);
        for _ in 0..20 {
            let (one, other) = (sessions.clone(), sessions.clone());
            let login = tokio::spawn(async move { one.create("ann", String::new()).await });
            let logout = tokio::spawn(async move { other.destroy_all("ann").await });
            login.await??;
            logout.await??;
            sessions.destroy_all("ann").await?;
            assert_eq!(sessions.list("ann").await?, []);
        }
    }

    /// `noeviction` and full, as streams want it: everybody who is logged in stays so.
    async fn a_full_store_still_gives_sessions_and_lets_users_out(test: TestStore) {
        let sessions = sessions(&test).idle(SECOND * 100);
        let seen = sessions.create("ann", "cart".into()).await?;
        let mut kept = sessions.create("ann", "cart".into()).await?;
        test.pass(SECOND * 2).await;
        test.configure("maxmemory", "1").await?;

        let loaded = sessions.load(seen.token()).await?.ok_or("no session")?;
        assert_eq!((loaded.seen(), loaded.expires()), (seen.seen(), seen.expires()));
        assert_eq!((sessions.list("ann").await?.len(), sessions.count("ann").await?), (2, 2));
        assert!(sessions.load(&format!("{}.{}", "0".repeat(32), "0".repeat(64))).await?.is_none());
        let refused = sessions.save(&mut kept).await.expect_err("the store is full");
        assert!(refused.is_refusal("OOM"), "{refused}");
        assert!(sessions.destroy(seen.token()).await?);

        test.configure("maxmemory", "0").await?;
        sessions.save(&mut kept).await?;
    }

    async fn nobody_leaves_for_a_session_that_a_full_store_does_not_take(test: TestStore) {
        let sessions = sessions(&test).max_per_user(1, AtMost::EndOldest);
        let first = sessions.create("ann", String::new()).await?;
        test.configure("maxmemory", "1").await?;
        assert!(sessions.create("ann", String::new()).await.is_err_and(|error| error.is_refusal("OOM")));
        assert!(sessions.load(first.token()).await?.is_some());
    }

    async fn a_store_that_may_only_be_read_still_gives_sessions(test: TestStore) {
        let sessions = sessions(&test).idle(SECOND * 100);
        let session = sessions.create("ann", "cart".into()).await?;
        test.pass(SECOND * 2).await;
        if test.server_mut().is_none() {
            return Ok(());
        }
        let replicaof = |port: &str| Command::new("REPLICAOF").arg("127.0.0.1").arg(port.to_owned());
        for refuses in ["NOREPLICAS", "READONLY"] {
            match refuses {
                "NOREPLICAS" => test.configure("min-replicas-to-write", "1").await?,
                _ => {
                    test.configure("min-replicas-to-write", "0").await?;
                    test.store.run::<()>(replicaof("1")).await?;
                }
            }
            // A connection that meets READONLY is given up and made anew: that is no part of this.
            let write = test.store.run::<()>(Command::new("SET").arg("a").arg("b")).await;
            assert!(write.is_err_and(|error| error.is_refusal(refuses)), "{refuses}");
            assert!(sessions.load(session.token()).await?.is_some(), "{refuses}");
            assert!(sessions.load(&format!("{}0", session.token())).await?.is_none(), "{refuses}");
            assert_eq!(sessions.count("ann").await?, 1, "{refuses}");
        }
    }

    /// Anybody can send tokens that are none, and who has seen a cookie with a tag that is there.
    async fn a_miss_writes_nothing(test: TestStore) {
        let sessions = sessions(&test).idle(SECOND);
        let long = Sessions::<String>::new(&test.store, "test");
        let expired = sessions.create("ann", String::new()).await?;
        long.create("ann", String::new()).await?;
        test.pass(SECOND).await;

        let before = writes(&test).await?;
        for _ in 0..3 {
            assert!(sessions.load(expired.token()).await?.is_none());
            assert!(!sessions.destroy(expired.token()).await?);
        }
        assert_eq!(writes(&test).await?, before);
    }

    async fn a_clock_that_is_set_forwards_ends_what_would_have_ended_then(test: TestStore) {
        let sessions = sessions(&test).idle(SECOND);
        let session = sessions.create("ann", String::new()).await?;
        test.pass(SECOND * 2).await;
        assert!(sessions.load(session.token()).await?.is_none());
        assert_eq!(sessions.count("ann").await?, 0);
    }
}

/// How many writes the store has counted.
async fn writes(test: &TestStore) -> Result<u64, Box<dyn std::error::Error>> {
    let runs = test.commands_run().await?;
    let writes = ["pexpireat", "hset", "hdel", "zadd", "zrem", "del", "set"];
    Ok(writes.iter().filter_map(|name| runs.get(*name)).sum())
}

/// The clock of a replica that takes over may be behind, or its master's have been ahead.
#[tokio::test]
async fn a_clock_that_is_set_back_makes_no_session_last_longer_than_its_times()
-> Result<(), Box<dyn std::error::Error>> {
    let test = TestStore::memory();
    let clock = test.clock().ok_or("a memory store has a clock")?;
    let hour = SECOND * 3600;
    let sessions = sessions(&test).idle(hour).absolute(hour * 2);
    let seen = sessions.create("ann", String::new()).await?;
    let saved = sessions.create("ann", String::new()).await?;

    clock.set_back(hour * 1000);
    let loaded = sessions.load(seen.token()).await?.ok_or("no session")?;
    assert!(loaded.ends() < seen.created());
    sessions
        .update(saved.token(), |data| data.push('x'))
        .await?;
    assert_eq!(sessions.count("ann").await?, 2);

    test.pass(hour).await;
    assert!(sessions.load(saved.token()).await?.is_none());
    Ok(())
}

#[test]
fn settings_out_of_their_range_are_found_by_the_first_test() {
    larder_testkit::doctest(async |store| {
        let panics = |setting: fn(Sessions<u32>) -> Sessions<u32>| {
            let sessions = Sessions::new(&store, "test");
            let set = std::panic::AssertUnwindSafe(|| drop(setting(sessions)));
            assert!(std::panic::catch_unwind(set).is_err());
        };
        panics(|sessions| sessions.idle(Duration::ZERO));
        panics(|sessions| sessions.absolute(Duration::MAX));
        panics(|sessions| sessions.rotate_grace(SECOND * 3601));
        panics(|sessions| sessions.max_per_user(0, AtMost::Refuse));
        Ok(())
    });
}
