use std::time::Duration;

use larder_store::Command;
use larder_testkit::every_store;

use super::{Error, SaveError, Sessions};

fn sessions(test: &larder_testkit::TestStore) -> Sessions<String> {
    Sessions::new(&test.store, "test")
}

const SECOND: Duration = Duration::from_secs(1);

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
        let made = sessions.create("ann", &"cart".into()).await?;
        let loaded = sessions.load(made.token()).await?.ok_or("no session")?;
        assert_eq!((loaded.user(), loaded.data.as_str(), loaded.version()), ("ann", "cart", 1));
        assert_eq!(loaded, made);
    }

    async fn what_is_no_token_is_no_session(test: TestStore) {
        let sessions = sessions(&test);
        let made = sessions.create("ann", &String::new()).await?;
        let other = format!("{}0", &made.token()[..made.token().len() - 1]);
        for token in ["", "x", ".", "0123456789abcdef.", &"a".repeat(81), &other] {
            if token == made.token() {
                continue;
            }
            assert!(sessions.load(token).await?.is_none(), "{token}");
            assert!(!sessions.refresh(token).await? && !sessions.destroy(token).await?);
        }
    }

    /// An id often comes from a form: what is no session of the user must take nothing away.
    async fn an_id_that_is_none_ends_nothing(test: TestStore) {
        let sessions = sessions(&test);
        let made = sessions.create("ann", &"cart".into()).await?;
        let id = sessions.list("ann").await?.remove(0).id;

        for other in ["user", "", &format!("{id}:m")] {
            assert!(!sessions.destroy_listed("ann", other).await?, "{other}");
        }

        assert_eq!(sessions.load(made.token()).await?, Some(made));
        assert!(sessions.destroy_listed("ann", &id).await?);
    }

    async fn data_that_can_never_be_read_makes_no_session(test: TestStore) {
        let sessions = Sessions::<OneWay>::new(&test.store, "test");
        assert!(matches!(sessions.create("ann", &OneWay).await, Err(Error::Decode(_))));
        assert_eq!(test.store.run::<u64>(Command::new("DBSIZE")).await?, 0);
    }

    async fn a_session_that_is_not_seen_expires(test: TestStore) {
        let sessions = sessions(&test).idle(SECOND);
        let session = sessions.create("ann", &String::new()).await?;
        test.pass(SECOND * 6 / 10).await;
        assert!(sessions.load(session.token()).await?.is_some());
        test.pass(SECOND * 6 / 10).await;
        assert!(sessions.refresh(session.token()).await?);
        test.pass(SECOND).await;
        assert!(sessions.load(session.token()).await?.is_none());
        assert_eq!(test.store.run::<u64>(Command::new("DBSIZE")).await?, 0);
    }

    async fn a_session_ends_however_often_it_is_seen(test: TestStore) {
        let sessions = sessions(&test).idle(SECOND * 60).absolute(SECOND);
        let mut session = sessions.create("ann", &String::new()).await?;
        test.pass(SECOND / 2).await;
        sessions.save(&mut session).await?;
        assert!(sessions.refresh(session.token()).await?);
        test.pass(SECOND / 2).await;
        assert!(sessions.load(session.token()).await?.is_none());
    }

    async fn a_change_that_somebody_else_made_is_not_overwritten(test: TestStore) {
        let sessions = sessions(&test);
        let mut mine = sessions.create("ann", &"a".into()).await?;
        let mut theirs = sessions.load(mine.token()).await?.ok_or("no session")?;
        theirs.data = "b".into();
        sessions.save(&mut theirs).await?;
        mine.data = "c".into();
        assert_eq!(sessions.save(&mut mine).await, Err(SaveError::Conflict { version: 2 }));
        let now = sessions.load(mine.token()).await?.ok_or("no session")?;
        assert_eq!((now.data.as_str(), now.version()), ("b", 2));
    }

    async fn a_session_that_has_ended_stays_ended(test: TestStore) {
        let sessions = sessions(&test);
        let mut session = sessions.create("ann", &String::new()).await?;
        assert!(sessions.destroy(session.token()).await?);
        assert!(!sessions.destroy(session.token()).await?);
        assert_eq!(sessions.save(&mut session).await, Err(SaveError::Gone));
        assert!(!sessions.refresh(session.token()).await?);
        assert!(sessions.rotate(session.token()).await?.is_none());
        assert!(sessions.load(session.token()).await?.is_none());
        assert_eq!(test.store.run::<u64>(Command::new("DBSIZE")).await?, 0);
    }

    async fn all_sessions_of_a_user_are_listed_and_ended(test: TestStore) {
        let sessions = sessions(&test);
        let first = sessions.create("ann", &String::new()).await?;
        sessions.create("ann", &String::new()).await?;
        let other = sessions.create("bob", &String::new()).await?;

        let listed = sessions.list("ann").await?;
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|listed| !first.token().contains(&listed.id)));
        assert!(sessions.destroy_listed("ann", &listed[0].id).await?);
        assert!(!sessions.destroy_listed("bob", &listed[1].id).await?);
        assert_eq!(sessions.destroy_all("ann").await?, 1);
        assert_eq!(sessions.list("ann").await?, []);
        assert!(sessions.load(first.token()).await?.is_none());
        assert!(sessions.load(other.token()).await?.is_some());
    }

    async fn a_user_can_end_all_sessions_but_this_one(test: TestStore) {
        let sessions = sessions(&test);
        for _ in 0..2 {
            sessions.create("ann", &String::new()).await?;
        }
        let this = sessions.create("ann", &String::new()).await?;

        for other in sessions.list("ann").await?.iter().filter(|listed| listed.id != this.id()) {
            assert!(sessions.destroy_listed("ann", &other.id).await?);
        }

        assert_eq!(sessions.list("ann").await?.len(), 1);
        assert!(sessions.load(this.token()).await?.is_some());
    }

    async fn sessions_that_have_expired_are_not_listed(test: TestStore) {
        let short = sessions(&test).idle(SECOND);
        let long = sessions(&test);
        short.create("ann", &String::new()).await?;
        long.create("ann", &String::new()).await?;
        test.pass(SECOND).await;
        assert_eq!(long.list("ann").await?.len(), 1);
        assert_eq!(long.destroy_all("ann").await?, 1);
    }

    async fn a_user_has_no_more_sessions_than_allowed(test: TestStore) {
        let sessions = sessions(&test).max_per_user(2.try_into()?);
        let mut tokens = Vec::new();
        for _ in 0..3 {
            tokens.push(sessions.create("ann", &String::new()).await?);
            test.pass(Duration::from_millis(5)).await;
        }
        assert!(sessions.load(tokens[0].token()).await?.is_none());
        assert!(sessions.load(tokens[1].token()).await?.is_some());
        assert_eq!(sessions.list("ann").await?.len(), 2);
    }

    async fn a_new_token_makes_the_old_one_void(test: TestStore) {
        let sessions = sessions(&test);
        let old = sessions.create("ann", &"cart".into()).await?;
        let new = sessions.rotate(old.token()).await?.ok_or("no session")?;
        assert_ne!(old.token(), new.token());
        assert_eq!((new.user(), new.data.as_str(), new.version()), ("ann", "cart", 1));
        assert_eq!(new.ends(), old.ends());
        assert!(sessions.load(old.token()).await?.is_none());
        assert!(sessions.load(new.token()).await?.is_some());
        assert_eq!(sessions.list("ann").await?.len(), 1);
    }

    async fn a_save_beside_a_rotation_is_kept_or_refused(test: TestStore) {
        let sessions = Sessions::<u32>::new(&test.store, "test");
        for _ in 0..10 {
            let mut session = sessions.create("ann", &0).await?;
            let (saver, token) = (sessions.clone(), session.token().to_owned());
            let saves = tokio::spawn(async move {
                for number in 1..=20 {
                    session.data = number;
                    match saver.save(&mut session).await {
                        Ok(()) => {}
                        Err(SaveError::Gone) => return number - 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                20
            });
            let rotated = sessions.rotate(&token).await?.ok_or("no session")?;
            let last = saves.await?;
            let now = sessions.load(rotated.token()).await?.ok_or("no session")?;
            assert_eq!((now.data, now.version()), (last, u64::from(last) + 1));
        }
    }

    async fn the_store_sees_neither_a_token_nor_a_name_nor_data(test: TestStore) {
        let sessions = sessions(&test);
        let mut session = sessions.create("ann.smith", &"the cart".into()).await?;
        sessions.save(&mut session).await?;
        let session = sessions.rotate(session.token()).await?.ok_or("no session")?;

        let secret = session.token().split('.').nth(1).ok_or("no secret")?;
        let mut seen = Vec::new();
        for key in test.store.run::<Vec<String>>(Command::new("KEYS").arg("*")).await? {
            let kind: String = test.store.run(Command::new("TYPE").arg(&key)).await?;
            let read = match kind.as_str() {
                "hash" => Command::new("HGETALL").arg(&key),
                _ => Command::new("ZRANGE").arg(&key).arg(0).arg(-1),
            };
            let held: Vec<bytes::Bytes> = test.store.run(read).await?;
            assert!(!held.is_empty(), "{kind}");
            seen.push(bytes::Bytes::from(key));
            seen.extend(held);
        }
        for bytes in &seen {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains(secret), "{text}");
            assert!(!text.contains("ann.smith") && !text.contains("the cart"), "{text}");
        }
        assert!(!format!("{session:?}").contains(secret));
    }

    async fn data_that_was_changed_in_the_store_is_an_error_and_stays(test: TestStore) {
        let sessions = sessions(&test);
        let ours = sessions.create("ann", &"ours".into()).await?;
        let theirs = sessions.create("ann", &"theirs".into()).await?;
        let tag = ours.token().split('.').next().ok_or("no tag")?;
        let key = format!("{{test:session:{tag}}}");
        let mut fields: Vec<bytes::Bytes> =
            test.store.run(Command::new("HGETALL").arg(&key)).await?;
        // A field of 64 bytes is a digest; the data of both sessions is exchanged.
        fields.retain(|field| field.len() == 64 || field.first() == Some(&1));
        let [one, first, other, second] = &fields[..] else {
            return Err(format!("other fields: {fields:?}").into());
        };
        let exchange = Command::new("HSET").arg(&key).arg(one).arg(second).arg(other).arg(first);
        test.store.run::<u64>(exchange).await?;

        for token in [ours.token(), theirs.token()] {
            assert_eq!(sessions.load(token).await, Err(Error::Sealed));
            assert_eq!(sessions.rotate(token).await, Err(Error::Sealed));
            assert!(sessions.refresh(token).await?);
        }
        assert_eq!(sessions.destroy_all("ann").await?, 2);
    }

    async fn data_of_another_type_is_an_error_and_stays(test: TestStore) {
        let session = sessions(&test).create("ann", &"text".into()).await?;
        let numbers = Sessions::<u64>::new(&test.store, "test");
        assert!(matches!(numbers.load(session.token()).await, Err(Error::Decode(_))));
        assert!(sessions(&test).load(session.token()).await?.is_some());
    }

    async fn logins_and_logouts_at_once_leave_no_session_behind(test: TestStore) {
        let sessions = sessions(&test);
        for _ in 0..20 {
            let (one, other) = (sessions.clone(), sessions.clone());
            let login = tokio::spawn(async move { one.create("ann", &String::new()).await });
            let logout = tokio::spawn(async move { other.destroy_all("ann").await });
            login.await??;
            logout.await??;
            sessions.destroy_all("ann").await?;
            assert_eq!(sessions.list("ann").await?, []);
        }
    }
}
