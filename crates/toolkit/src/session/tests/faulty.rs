//! A store that loses answers, and that keeps its callers waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_store::{Answer, Backend, Channels, Command, Error, Store, Subscription, Value};

/// Which of the next answers are lost: what was asked is done, and nobody hears of it.
#[derive(Clone, Default)]
pub(super) struct Losses {
    kept: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
}

impl Losses {
    /// Loses so many answers, after so many that come.
    pub(super) fn plan(&self, kept: usize, lost: usize) {
        self.kept.store(kept, Ordering::SeqCst);
        self.lost.store(lost, Ordering::SeqCst);
    }

    fn is_lost(&self) -> bool {
        let take_one = |left: &AtomicUsize| {
            let less = |left: usize| left.checked_sub(1);
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                .is_ok()
        };
        !take_one(&self.kept) && take_one(&self.lost)
    }
}

struct Faulty {
    store: Store,
    losses: Losses,
}

/// The same store, which waits a moment before and after each command, and loses answers.
pub(super) fn faulty(store: &Store) -> (Store, Losses) {
    let losses = Losses::default();
    let faulty = Faulty {
        store: store.clone(),
        losses: losses.clone(),
    };
    (Store::new(faulty), losses)
}

impl Backend for Faulty {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        Answer::later(async move {
            tokio::task::yield_now().await;
            let answer = self.store.call(command).await;
            tokio::task::yield_now().await;
            match &answer {
                Err(error) if error.is_refusal("NOSCRIPT") => answer,
                _ if self.losses.is_lost() => Err(Error::unanswered("it was lost")),
                _ => answer,
            }
        })
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        self.store.call_all(commands)
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.store.subscribe(channels)
    }
}
