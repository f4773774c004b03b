//! Answers that are lost, and callers who give up.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder_store::Error;
use larder_testkit::{TestStore, every_store};

use super::faulty::{Losses, faulty};
use crate::session::{Session, Sessions};

/// Polls a future so often, with time for the store to answer between, and drops it. Its result if
/// it came to an end before.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return Some(output);
        }
        // A real server answers through a task of the runtime.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

/// More polls than any operation takes.
const POLLS_MAX: usize = 30;

fn on_faulty(test: &TestStore) -> (Sessions<u32>, Losses) {
    let (store, losses) = faulty(&test.store);
    (Sessions::new(&store, "test"), losses)
}

async fn now(sessions: &Sessions<u32>, token: &str) -> Result<Session<u32>, Error> {
    sessions.load(token).await?.ok_or(Error::Gone)
}

every_store! {
    async fn a_rotation_whose_answer_is_lost_is_asked_for_again(test: TestStore) {
        for grace_s in [0, 10] {
            let (sessions, losses) = on_faulty(&test);
            let sessions = sessions.rotate_grace(Duration::from_secs(grace_s));
            let old = sessions.create("ann", 7).await?;
            losses.plan(1, 1);
            let new = sessions.rotate(old.token()).await?.ok_or("no session")?;
            assert_eq!(now(&sessions, new.token()).await?.data, 7);
        }
    }

    async fn a_rotation_of_which_no_answer_comes_is_found_by_the_old_token(test: TestStore) {
        let (sessions, losses) = on_faulty(&test);
        for asked_before in 0..2 {
            let old = sessions.create("ann", 7).await?;
            losses.plan(asked_before, 2);
            assert!(sessions.rotate(old.token()).await.is_err_and(|error| error.is_in_doubt()));
            losses.plan(0, 0);
            let new = sessions.rotate(old.token()).await?.ok_or("no session")?;
            assert_eq!(now(&sessions, new.token()).await?.data, 7);
        }
    }

    async fn a_rotation_that_is_dropped_loses_nothing(test: TestStore) {
        let (sessions, _) = on_faulty(&test);
        for polls in 0..POLLS_MAX {
            let old = sessions.create("ann", 7).await?;
            let done = dropped_after(polls, sessions.rotate(old.token())).await;
            assert_eq!(now(&sessions, old.token()).await?.data, 7, "after {polls} polls");
            if let Some(rotated) = done {
                assert_eq!(rotated?, Some(now(&sessions, old.token()).await?));
            }
        }
    }

    async fn a_session_whose_answer_is_lost_is_made_once(test: TestStore) {
        let (sessions, losses) = on_faulty(&test);
        losses.plan(0, 1);
        let made = sessions.create("ann", 7).await?;
        assert_eq!(now(&sessions, made.token()).await?, made);
        assert_eq!(sessions.count("ann").await?, 1);
    }

    async fn a_save_does_not_conflict_with_itself(test: TestStore) {
        let (sessions, losses) = on_faulty(&test);
        let mut session = sessions.create("ann", 0).await?;
        for (round, lost) in [(1, 1), (2, 2)] {
            session.data = round;
            losses.plan(0, lost);
            if sessions.save(&mut session).await.is_err() {
                assert_eq!(lost, 2);
                sessions.save(&mut session).await?;
            }
            let now = now(&sessions, session.token()).await?;
            assert_eq!((now.data, now.version()), (round, u64::from(round) + 1));
        }

        // What was changed since the save in doubt is kept as well.
        losses.plan(0, 2);
        session.data = 3;
        assert!(sessions.save(&mut session).await.is_err_and(|error| error.is_in_doubt()));
        session.data = 4;
        sessions.save(&mut session).await?;
        assert_eq!(now(&sessions, session.token()).await?.data, 4);
    }

    async fn a_save_that_was_in_doubt_does_not_overwrite_what_others_have_saved_since(test: TestStore) {
        let (sessions, losses) = on_faulty(&test);
        let mut session = sessions.create("ann", 0).await?;
        session.data = 1;
        losses.plan(0, 2);
        assert!(sessions.save(&mut session).await.is_err_and(|error| error.is_in_doubt()));
        sessions.update(session.token(), |data| *data += 10).await?;

        assert!(sessions.save(&mut session).await.is_err_and(|error| error.is_in_doubt()));
        assert_eq!(sessions.save(&mut session).await, Err(Error::Conflict));
        assert_eq!(now(&sessions, session.token()).await?.data, 11);
    }

    async fn a_save_that_is_dropped_can_be_made_again(test: TestStore) {
        let (sessions, _) = on_faulty(&test);
        let mut session = sessions.create("ann", 0).await?;
        for polls in 0..POLLS_MAX {
            session.data += 1;
            dropped_after(polls, sessions.save(&mut session)).await.transpose()?;
            sessions.save(&mut session).await?;
            assert_eq!(now(&sessions, session.token()).await?.data, session.data);
        }
    }

    async fn a_change_whose_answer_is_lost_is_made_once(test: TestStore) {
        let (sessions, losses) = on_faulty(&test);
        let session = sessions.create("ann", 0).await?;
        losses.plan(1, 1);
        sessions.update(session.token(), |count| *count += 1).await?;
        assert_eq!(now(&sessions, session.token()).await?.data, 1);

        // The same session in hand: what failed in doubt is made once by the second try.
        let mut session = now(&sessions, session.token()).await?;
        losses.plan(0, 2);
        let failed = sessions.merge(&mut session, |count| *count += 1).await;
        assert!(failed.is_err_and(|error| error.is_in_doubt()));
        assert_eq!(session.data, 1);
        sessions.merge(&mut session, |count| *count += 1).await?;
        assert_eq!(now(&sessions, session.token()).await?.data, 2);
    }

    /// Others build on what a lost answer has left: to make the change anew would make it twice.
    async fn a_change_in_doubt_is_not_made_anew_on_what_others_have_left(test: TestStore) {
        let (sessions, losses) = on_faulty(&test);
        let mut session = sessions.create("ann", 0).await?;
        losses.plan(0, 2);
        assert!(sessions.merge(&mut session, |count| *count += 1).await.is_err());
        sessions.update(session.token(), |count| *count += 10).await?;

        let failed = sessions.merge(&mut session, |count| *count += 1).await;
        assert!(failed.is_err_and(|error| error.is_in_doubt()));
        assert_eq!(now(&sessions, session.token()).await?.data, 11);
    }

    async fn a_login_can_be_made_again_whichever_answers_are_lost(test: TestStore) {
        let (sessions, losses) = on_faulty(&test);
        for lost in 1..3 {
            for answered in 0..5 {
                let visit = sessions.create_anonymous(7).await?;
                losses.plan(answered, lost);
                let first = sessions.log_in(visit.token(), "ann").await;
                losses.plan(0, 0);
                let session = match first {
                    Ok(session) => session,
                    Err(_) => sessions.log_in(visit.token(), "ann").await?,
                };
                let session = now(&sessions, session.token()).await?;
                assert_eq!((session.user(), session.data), (Some("ann"), 7));
                assert!(sessions.load(visit.token()).await?.is_none());
                // One that nobody has the token of is left where both answers to it were lost.
                let most = if lost == 2 { 2 } else { 1 };
                assert!(sessions.destroy_all("ann").await? <= most, "{answered}, then {lost}");
            }
        }
    }

    async fn a_login_that_is_dropped_loses_nothing(test: TestStore) {
        let (sessions, _) = on_faulty(&test);
        for polls in 0..POLLS_MAX {
            let visit = sessions.create_anonymous(7).await?;
            dropped_after(polls, sessions.log_in(visit.token(), "ann")).await;
            let session = sessions.log_in(visit.token(), "ann").await?;
            assert_eq!((session.user(), session.data), (Some("ann"), 7), "after {polls} polls");
        }
    }
}
