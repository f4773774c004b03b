//! A store that fails as a test says.

use std::sync::Mutex;

use larder_store::{Answer, Backend, Channels, Part, Refusal, Subscription, Value};

use super::*;

/// What becomes of a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Fine,
    /// It is not sent.
    Away,
    /// It is done, and its answer is lost.
    Unanswered,
    /// It is refused, with this text.
    Refused(&'static str),
}

type Plan = dyn FnMut(&Command) -> Fate + Send;

/// A store before another one, whose commands meet the fate that a plan has for them.
pub(super) struct Faults {
    store: Store,
    plan: Mutex<Box<Plan>>,
}

/// The store, with this plan before it.
pub(super) fn faults(store: &Store, plan: impl FnMut(&Command) -> Fate + Send + 'static) -> Store {
    Store::new(Faults {
        store: store.clone(),
        plan: Mutex::new(Box::new(plan)),
    })
}

impl Faults {
    async fn run(&self, command: Command) -> Result<Value, Error> {
        let fate = (self.plan.lock().expect("no plan panics"))(&command);
        match fate {
            Fate::Fine => self.store.call(command).await,
            Fate::Away => Err(Error::away("it is down")),
            Fate::Unanswered => {
                let _ = self.store.call(command).await;
                Err(Error::unanswered("the answer was lost"))
            }
            Fate::Refused(text) => Err(Error::Refused(Refusal::new(text))),
        }
    }
}

impl Backend for Faults {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        Answer::later(self.run(command))
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        Answer::later(async move {
            let mut answers = Vec::new();
            for command in commands {
                answers.push(self.run(command).await);
            }
            Ok(answers)
        })
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.store.subscribe(channels)
    }

    fn parts(&self) -> Answer<'_, Vec<Part>> {
        self.store.parts()
    }
}
