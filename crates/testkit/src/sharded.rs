//! A memory store whose messages have shards, as those of a cluster have.

use std::sync::{Arc, Mutex, PoisonError};

use larder_store::{
    Answer, Backend, Capabilities, Capability, Channels, Command, Error, Store, Subscription, Value,
};

/// A store whose messages have shards: [`Capability::ShardedMessages`]. It hands them on as other
/// messages, so that they arrive, and notes how they were asked for. Scripts run in Lua.
#[derive(Clone, Debug)]
pub struct Sharded {
    store: Store,
    asked: Arc<Mutex<Vec<&'static str>>>,
}

impl Sharded {
    /// The same store with shards.
    pub fn new(store: &Store) -> Sharded {
        Sharded {
            store: store.clone(),
            asked: Arc::default(),
        }
    }

    /// The commands of messages that were asked for, in order: also those of scripts that get the name
    /// as an argument.
    pub fn asked(&self) -> Vec<&'static str> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    fn note(&self, name: &'static str) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(name);
    }

    /// The same command in the words of a store without shards.
    fn translated(&self, command: &Command) -> Command {
        let mut words = command.arguments().iter().map(|word| match word {
            b"SPUBLISH" => {
                self.note("SPUBLISH");
                b"PUBLISH"
            }
            b"PUBLISH" => {
                self.note("PUBLISH");
                word
            }
            word => word,
        });
        let name = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
        Command::new(&name).args(words)
    }
}

impl Backend for Sharded {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        self.store.call(self.translated(&command))
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        let commands = commands.iter().map(|command| self.translated(command));
        self.store.call_all(commands.collect())
    }

    fn subscribe(&self, mut channels: Channels) -> Answer<'_, Subscription> {
        channels.names.iter().for_each(|_| self.note("SUBSCRIBE"));
        channels.shards.iter().for_each(|_| self.note("SSUBSCRIBE"));
        channels.names.append(&mut channels.shards);
        self.store.subscribe(channels)
    }

    fn capabilities(&self) -> Answer<'_, Capabilities> {
        Answer::ready(Ok(Capabilities::EMPTY.with(Capability::ShardedMessages)))
    }

    fn close(&self) -> Answer<'_, ()> {
        self.store.close()
    }
}
