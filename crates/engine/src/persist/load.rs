//! A file into a store.

use std::io;
use std::sync::Arc;

use larder_store::{Command, Value};

use crate::engine::{Engine, TimeSource};
use crate::execute::Outcome;
use crate::keyspace::Keyspace;
use crate::rdb::file::{FileReader, LoadError, Part};
use crate::reply::ValueReply;
use crate::session::Session;

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// How many keys.
    pub keys: u64,
    /// How many others had expired, and were left out.
    pub expired: u64,
    /// How many libraries of functions.
    pub libraries: u64,
}

impl Engine {
    /// Takes all that an RDB file holds into the store, which is to be empty and not yet in use.
    ///
    /// # Errors
    ///
    /// If the file can't be read, is none, is damaged, or holds what Larder does not have. What stands before
    /// that is in the store then.
    pub fn load(
        self: &Arc<Engine>,
        from: &mut dyn io::Read,
        clock: &dyn TimeSource,
    ) -> Result<Loaded, LoadError> {
        let mut reader = FileReader::new(from)?;
        let mut loaded = Loaded::default();
        while let Some(part) = reader.next(self.shards.limits())? {
            match part {
                Part::Hint => {}
                Part::Library(text) => {
                    let added = self.add_library(text, clock);
                    added.map_err(|why| reader.wrong(&why))?;
                    loaded.libraries += 1;
                }
                Part::Key {
                    expires_at: Some(at),
                    ..
                } if at <= clock.now().unix_ms() => loaded.expired += 1,
                Part::Key {
                    db,
                    key,
                    value,
                    expires_at,
                } => {
                    let mut entry = value.into_entry(&key);
                    entry.set_expiry(expires_at);
                    let mut keyspace = Keyspace::new(&self.shards, db, clock);
                    // The tick holds it for a moment at the most.
                    while keyspace.hold(self.shards.need_of(&key)).is_err() {
                        std::thread::yield_now();
                    }
                    keyspace.put_entry(entry);
                    loaded.keys += 1;
                }
            }
        }
        self.note_loaded(loaded.keys, loaded.expired);
        Ok(loaded)
    }

    /// Adds a library of functions.
    fn add_library(
        self: &Arc<Engine>,
        text: Vec<u8>,
        clock: &dyn TimeSource,
    ) -> Result<(), String> {
        let command = Command::new("FUNCTION")
            .arg("LOAD")
            .arg("REPLACE")
            .arg(text);
        let (mut session, mut reply) = (Session::local(), ValueReply::new());
        let outcome = self.execute(&mut session, command.arguments(), clock, &mut reply);
        match (outcome, reply.take_value()) {
            (Outcome::Done, Value::Error(refusal)) => Err(refusal.text().to_owned()),
            (Outcome::Done, _) => Ok(()),
            _ => Err("a library of functions can't be loaded now".to_owned()),
        }
    }
}
