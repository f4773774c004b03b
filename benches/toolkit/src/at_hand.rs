//! What an operation takes without its store: the answer is at hand.

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use larder_embedded::{Config, Embedded};
use larder_store::{Answer, Backend, Channels, Command, Error, Store, Subscription, Value};
use larder_toolkit::session::{Session, Sessions};
use tokio::sync::Mutex;

use crate::measure::Contender;
use crate::rows::{VALUE, repeated};

/// A store that answers everything as another one did once.
struct AtHand {
    store: Store,
    answer: Arc<OnceLock<Value>>,
    /// What is asked before this is for the other one alone.
    keeps: Arc<OnceLock<()>>,
}

impl Backend for AtHand {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        if let Some(answer) = self.answer.get() {
            return Answer::ready(Ok(answer.clone()));
        }
        Answer::later(async move {
            let answer = self.store.call(command).await?;
            match self.keeps.get() {
                Some(()) => Ok(self.answer.get_or_init(|| answer).clone()),
                None => Ok(answer),
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

/// A session on such a store, which keeps the next answer.
async fn session() -> Result<(Sessions<String>, Session<String>)> {
    let keeps = Arc::new(OnceLock::new());
    let store = Store::new(AtHand {
        store: Store::new(Embedded::open(Config::default())?),
        answer: Arc::default(),
        keeps: Arc::clone(&keeps),
    });
    let sessions = Sessions::new(&store, "bench");
    let mut session = sessions.create("ann", VALUE.to_owned()).await?;
    // From here on the store knows the scripts.
    sessions.load(session.token()).await?;
    sessions.save(&mut session).await?;
    keeps.set(()).ok();
    Ok((sessions, session))
}

pub(crate) async fn session_load() -> Result<Vec<Contender>> {
    let (sessions, session) = session().await?;
    sessions.load(session.token()).await?;
    let load = async |(sessions, session): &(Sessions<String>, Session<String>), _: usize| {
        sessions.load(session.token()).await?;
        Ok(())
    };
    Ok(vec![repeated("larder", (sessions, session), load)])
}

pub(crate) async fn session_save() -> Result<Vec<Contender>> {
    let (sessions, mut session) = session().await?;
    sessions.save(&mut session).await?;
    let save = async |(sessions, session): &(Sessions<String>, Mutex<Session<String>>),
                      _: usize| {
        Ok(sessions.save(&mut *session.lock().await).await?)
    };
    Ok(vec![repeated(
        "larder",
        (sessions, Mutex::new(session)),
        save,
    )])
}
