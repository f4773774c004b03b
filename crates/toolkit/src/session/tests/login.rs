//! Other tokens: rotation, and the login of a visitor.

use std::time::Duration;

use larder_store::Error;
use larder_testkit::every_store;

use super::{SECOND, sessions};
use crate::session::Sessions;

every_store! {
    async fn a_new_token_makes_the_old_one_void_after_the_grace(test: TestStore) {
        let sessions = sessions(&test).rotate_grace(SECOND);
        let old = sessions.create("ann", "cart".into()).await?;
        let new = sessions.rotate(old.token()).await?.ok_or("no session")?;
        assert_ne!(old.token(), new.token());
        assert_eq!((new.user(), new.data.as_str(), new.version()), (Some("ann"), "cart", 1));
        assert_eq!(new.ends(), old.ends());
        assert_eq!(sessions.load(old.token()).await?.as_ref(), Some(&new));

        test.pass(SECOND).await;
        assert!(sessions.load(old.token()).await?.is_none());
        assert!(sessions.load(new.token()).await?.is_some());
        assert_eq!(sessions.count("ann").await?, 1);
    }

    async fn without_a_grace_the_old_token_is_void_at_once(test: TestStore) {
        let sessions = sessions(&test).rotate_grace(Duration::ZERO);
        let old = sessions.create("ann", String::new()).await?;
        let new = sessions.rotate(old.token()).await?.ok_or("no session")?;
        assert!(sessions.load(old.token()).await?.is_none());
        assert!(sessions.load(new.token()).await?.is_some());
    }

    /// A page sends five requests with one cookie, and the first of them rotates it.
    async fn requests_that_come_with_the_old_token_read_write_and_end_the_same_session(test: TestStore) {
        let sessions = sessions(&test);
        let mut old = sessions.create("ann", String::new()).await?;
        let token = old.token().to_owned();
        let new = sessions.rotate(&token).await?.ok_or("no session")?;

        sessions.update(&token, |data| data.push('a')).await?;
        let mut loaded = sessions.load(&token).await?.ok_or("no session")?;
        loaded.data.push('b');
        sessions.save(&mut loaded).await?;
        // One that was loaded before the rotation is saved where it is now.
        assert_eq!(sessions.save(&mut old).await, Err(Error::Conflict));
        assert_eq!(old.token(), new.token());
        let now = sessions.load(new.token()).await?.ok_or("no session")?;
        assert_eq!(now.data, "ab");

        assert!(sessions.destroy(&token).await?);
        assert!(sessions.load(new.token()).await?.is_none());
    }

    async fn rotations_at_once_give_one_token(test: TestStore) {
        let sessions = sessions(&test);
        let old = sessions.create("ann", String::new()).await?;
        let rotations: Vec<_> = (0..5)
            .map(|_| {
                let (sessions, token) = (sessions.clone(), old.token().to_owned());
                tokio::spawn(async move { sessions.rotate(&token).await })
            })
            .collect();
        let mut tokens = std::collections::HashSet::new();
        for rotation in rotations {
            let rotated = rotation.await??.ok_or("no session")?;
            tokens.insert(rotated.token().to_owned());
        }
        assert_eq!((tokens.len(), sessions.count("ann").await?), (1, 1));
    }

    async fn a_token_that_was_exchanged_again_and_again_leads_to_the_last(test: TestStore) {
        let sessions = sessions(&test);
        let first = sessions.create("ann", String::new()).await?;
        let mut last = first.clone();
        for _ in 0..5 {
            last = sessions.rotate(last.token()).await?.ok_or("no session")?;
        }
        assert_eq!(sessions.load(first.token()).await?, Some(last));
    }

    async fn a_save_beside_a_rotation_is_kept(test: TestStore) {
        let sessions = Sessions::<u32>::new(&test.store, "test");
        for _ in 0..10 {
            let mut session = sessions.create("ann", 0).await?;
            let (saver, token) = (sessions.clone(), session.token().to_owned());
            let saves = tokio::spawn(async move {
                for number in 1..=20 {
                    session.data = number;
                    saver.save(&mut session).await?;
                }
                Ok::<_, Error>(())
            });
            let rotated = sessions.rotate(&token).await?.ok_or("no session")?;
            saves.await??;
            let now = sessions.load(rotated.token()).await?.ok_or("no session")?;
            assert_eq!((now.data, now.version()), (20, 21));
        }
    }

    async fn a_visitor_who_logs_in_keeps_what_the_session_held(test: TestStore) {
        let sessions = sessions(&test);
        let visit = sessions.create_anonymous("cart".into()).await?;
        assert_eq!(visit.user(), None);

        let session = sessions.log_in(visit.token(), "ann").await?;
        assert_eq!((session.user(), session.data.as_str()), (Some("ann"), "cart"));
        assert_eq!(sessions.load(session.token()).await?.as_ref(), Some(&session));
        assert_eq!(sessions.count("ann").await?, 1);
        assert_eq!(sessions.destroy_all("ann").await?, 1);
        assert!(sessions.load(session.token()).await?.is_none());
    }

    /// Who had planted the token of the visit, or seen it, has nothing of the login.
    async fn the_token_from_before_a_login_is_void_at_once_and_leads_nobody_to_it(test: TestStore) {
        let sessions = sessions(&test);
        let mut visit = sessions.create_anonymous("cart".into()).await?;
        let token = visit.token().to_owned();
        let session = sessions.log_in(&token, "ann").await?;

        assert!(sessions.load(&token).await?.is_none());
        assert!(sessions.rotate(&token).await?.is_none());
        assert!(!sessions.destroy(&token).await?);
        assert_eq!(sessions.save(&mut visit).await, Err(Error::Gone));
        assert_eq!(sessions.log_in(&token, "mallory").await, Err(Error::Gone));
        assert!(sessions.load(session.token()).await?.is_some());
        assert_eq!(sessions.count("mallory").await?, 0);

        assert!(sessions.has_logged_in(&token).await?);
        assert!(!sessions.has_logged_in(session.token()).await?);
        test.pass(SECOND / 2).await;
    }

    /// A double click, and a form that is sent again since the answer did not come.
    async fn to_log_in_twice_is_one_session(test: TestStore) {
        let sessions = sessions(&test);
        let visit = sessions.create_anonymous("cart".into()).await?;
        let logins: Vec<_> = (0..8)
            .map(|_| {
                let (sessions, token) = (sessions.clone(), visit.token().to_owned());
                tokio::spawn(async move { sessions.log_in(&token, "ann").await })
            })
            .collect();
        let again = sessions.log_in(visit.token(), "ann").await?;
        for login in logins {
            assert_eq!(login.await??.token(), again.token());
        }
        assert_eq!(sessions.count("ann").await?, 1);
    }

    async fn two_users_at_once_do_not_share_a_visit(test: TestStore) {
        let sessions = sessions(&test);
        for _ in 0..10 {
            let visit = sessions.create_anonymous("cart".into()).await?;
            let (ann, bob) = tokio::join!(
                sessions.log_in(visit.token(), "ann"),
                sessions.log_in(visit.token(), "bob"),
            );
            assert!(ann.is_ok() != bob.is_ok(), "{ann:?} {bob:?}");
            assert_eq!(sessions.count("ann").await? + sessions.count("bob").await?, 1);
            sessions.destroy_all("ann").await?;
            sessions.destroy_all("bob").await?;
        }
    }

    async fn what_is_saved_beside_a_login_is_in_it_or_refused(test: TestStore) {
        let sessions = Sessions::<u32>::new(&test.store, "test");
        for _ in 0..10 {
            let visit = sessions.create_anonymous(0).await?;
            let (saver, token) = (sessions.clone(), visit.token().to_owned());
            let saves = tokio::spawn(async move {
                for number in 1..=20 {
                    match saver.update(&token, |data| *data = number).await {
                        Ok(_) => {}
                        Err(Error::Gone) => return Ok(number - 1),
                        Err(error) => return Err(error),
                    }
                }
                Ok(20)
            });
            let session = sessions.log_in(visit.token(), "ann").await?;
            assert_eq!(saves.await??, session.data);
        }
    }

    async fn a_session_of_another_user_is_not_handed_on(test: TestStore) {
        let sessions = sessions(&test);
        let session = sessions.create("ann", "hers".into()).await?;
        let refused = sessions.log_in(session.token(), "bob").await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
        assert!(sessions.load(session.token()).await?.is_some());
    }

    async fn who_gets_other_rights_gets_another_token_and_the_old_one_is_void(test: TestStore) {
        let sessions = sessions(&test);
        let old = sessions.create("ann", "cart".into()).await?;
        let new = sessions.log_in(old.token(), "ann").await?;
        assert_eq!((new.data.as_str(), sessions.count("ann").await?), ("cart", 1));
        assert!(sessions.load(old.token()).await?.is_none());
    }

    /// All guests in one key would be in one slot, and end with one click.
    async fn visitors_have_keys_of_their_own(test: TestStore) {
        let sessions = sessions(&test);
        for _ in 0..3 {
            sessions.create_anonymous(String::new()).await?;
        }
        assert_eq!(test.keys("*").await?.len(), 6);
    }
}
