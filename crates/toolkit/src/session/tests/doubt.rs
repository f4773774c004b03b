//! Answers that are lost, and callers who give up.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use larder_store::Error;
use larder_testkit::{TestStore, every_store};

use super::faulty::faulty;
use crate::session::{Session, Sessions};

/// Polls a future so often, with time for the store to answer between, and drops it. Its result if
/// it came to an end before.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        // A real server answers through a task of the runtime.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    None
}

/// More polls than any operation takes.
const POLLS_MAX: usize = 40;

fn on_faulty(test: &TestStore) -> (Sessions<u32>, super::faulty::Losses) {
    let (store, losses) = faulty(&test.store);
    (Sessions::new(&store, "test"), losses)
}

async fn now(sessions: &Sessions<u32>, token: &str) -> Result<Session<u32>, Error> {
    sessions.load(token).await?.ok_or(Error::Gone)
}

every_store! {
    async fn a_rotation_whose_answer_is_lost_loses_nothing(test: TestStore) {
        for grace_s in [0, 10] {
            let (sessions, losses) = on_faulty(&test);
            let sessions = sessions.rotate_grace(std::time::Duration::from_secs(grace_s));
            let old = sessions.create("ann", 7).await?;
            // The look before it is answered; the rotation is not.
            let (looked, rotation) = (now(&sessions, old.token()).await?, losses.clone());
            assert_eq!(looked.data, 7);
            let store_is_asked = rotation.after(1);
            store_is_asked.next(1);
            let new = sessions.rotate(old.token()).await?.ok_or("no session")?;
            assert_eq!(now(&sessions, new.token()).await?.data, 7);
        }
    }
}
