//! A store that loses answers, and that keeps its callers waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_store::{Answer, Backend, Channels, Command, Error, Store, Subscription, Value};

/// How many of the next answers are lost: what was asked is done, and nobody hears of it.
#[derive(Clone, Default)]
pub(super) struct Losses(Arc<AtomicUsize>);

impl Losses {
    pub(super) fn next(&self, answers: usize) {
        self.0.store(answers, Ordering::SeqCst);
    }

    fn is_lost(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        let orders = (Ordering::SeqCst, Ordering::SeqCst);
        self.0.fetch_update(orders.0, orders.1, less).is_ok()
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
