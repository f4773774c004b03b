//! What was read near, and becomes stale with what is written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use larder_store::near::{Places, Source};
use larder_store::shape::{self, Flags};
use larder_store::{Command, Value};
use parking_lot::RwLock;

/// All that is kept of what was read of a store.
#[derive(Debug, Default)]
pub(crate) struct Nears {
    all: RwLock<Vec<Weak<Places>>>,
    /// Whether there ever were any: a store without near reads takes no look at what it writes.
    is_used: AtomicBool,
}

impl Nears {
    /// New places, which hear of all changes.
    pub(crate) fn open(&self, bytes_max: usize) -> Arc<Places> {
        let places = Places::new(bytes_max);
        let mut all = self.all.write();
        all.retain(|places| places.strong_count() > 0);
        all.push(Arc::downgrade(&places));
        self.is_used.store(true, Ordering::SeqCst);
        places
    }

    /// The changes that commands are going to make. They are made known when this is dropped: behind the
    /// answer, and before anybody has it.
    pub(crate) fn changes<'a>(&'a self, commands: &'a [Command]) -> Changes<'a> {
        Changes {
            nears: self,
            commands,
        }
    }

    /// A server has sent something that is no answer.
    pub(crate) fn told(&self, source: &Source, message: &[Value]) {
        match message {
            [kind, Value::Array(keys)] if is_invalidate(kind) => {
                for key in keys {
                    if let Value::Bytes(key) = key {
                        self.each(|places| places.changed(key));
                    }
                }
            }
            // All keys of the server, or what can't be understood.
            [kind, ..] if is_invalidate(kind) => self.flushed(source),
            _ => {}
        }
    }

    fn flushed(&self, source: &Source) {
        source.flush();
        self.each(Places::dusty);
    }

    /// There will be no news from this source any more.
    pub(crate) fn end(&self, source: &Source) {
        source.end();
        self.each(Places::dusty);
    }

    fn each(&self, act: impl Fn(&Places)) {
        for places in self.all.read().iter().filter_map(Weak::upgrade) {
            act(&places);
        }
    }

    /// A command was sent.
    fn changed_by(&self, command: &Command) {
        let request = command.arguments();
        let Some(shape) = shape::of(request) else {
            return self.each(Places::all_changed);
        };
        let may_write = shape.flags.has(Flags::WRITE) || shape.flags.has(Flags::SCRIPT);
        if shape.is_read_only() || !may_write {
            return;
        }
        let mut keys = shape.keys(request).peekable();
        match keys.peek() {
            Some(_) => keys.for_each(|key| self.each(|places| places.changed(key))),
            None => self.each(Places::all_changed),
        }
    }
}

fn is_invalidate(kind: &Value) -> bool {
    match kind {
        Value::Bytes(kind) => &kind[..] == b"invalidate",
        Value::Status(kind) => kind == "invalidate",
        _ => false,
    }
}

/// The changes that commands make, once they are answered, or given up.
pub(crate) struct Changes<'a> {
    nears: &'a Nears,
    commands: &'a [Command],
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        // Looked at behind the answer: who has begun to read near meanwhile may have read before.
        if self.nears.is_used.load(Ordering::SeqCst) {
            self.commands
                .iter()
                .for_each(|command| self.nears.changed_by(command));
        }
    }
}

#[cfg(test)]
mod tests {
    use larder_store::Freshness;
    use larder_store::near::Keep;
    use larder_testkit::words;

    use super::*;

    fn read(places: &Arc<Places>, source: &Arc<Source>, key: &str) -> Freshness {
        let place = places.reserve(key.as_bytes(), source).unwrap();
        place.answered(&words("GET a"), &Value::Null, Keep::Freshness, None)
    }

    #[test]
    fn what_a_command_may_change_is_stale_behind_it() {
        let nears = Nears::default();
        let (places, source) = (nears.open(100_000), Arc::default());
        let line_and_stale = [
            ("GET a", [false, false]),
            ("EVAL_RO text 1 a", [false, false]),
            ("PUBLISH a b", [false, false]),
            ("PING", [false, false]),
            ("SET a 1", [true, false]),
            ("DEL c a", [true, false]),
            ("MSET a 1 b 2", [true, true]),
            ("EVAL text 1 b", [false, true]),
            ("EVALSHA text 0", [true, true]),
            ("FCALL f 1 a", [true, false]),
            ("FCALL f 0", [true, true]),
            ("FLUSHALL", [true, true]),
            ("FLUSHDB ASYNC", [true, true]),
            ("SWAPDB 0 1", [true, true]),
            ("JSON.SET a $ 1", [true, true]),
            ("RENAME b a", [true, true]),
            ("SORT c STORE a", [true, false]),
        ];
        for (line, stale) in line_and_stale {
            let read = ["a", "b"].map(|key| read(&places, &source, key));
            let commands = [words(line)];
            let changes = nears.changes(&commands);
            assert!(read.iter().all(Freshness::is_fresh), "{line}");
            drop(changes);
            assert_eq!(read.map(|read| !read.is_fresh()), stale, "{line}");
        }
    }

    #[test]
    fn news_without_keys_are_of_all_keys_of_their_server() {
        let nears = Nears::default();
        let places = nears.open(100_000);
        let (one, other) = (Arc::<Source>::default(), Arc::<Source>::default());
        let kind = || Value::Bytes("invalidate".into());
        let freshness = [read(&places, &one, "a"), read(&places, &other, "b")];
        nears.told(&one, &[Value::Bytes("message".into()), Value::Null]);
        assert!(freshness.iter().all(Freshness::is_fresh));
        nears.told(&one, &[kind(), Value::Null]);
        assert_eq!(freshness.map(|read| read.is_fresh()), [false, true]);
        let key = Value::Array(vec![Value::Bytes("b".into())]);
        nears.told(&one, &[kind(), key]);
        assert_eq!(places.stats().entries, 0);
    }
}
