//! Keyspace events: messages that tell of changes of keys, as `notify-keyspace-events` wants them.
//!
//! An event has a class, a name and a key, and is published on `__keyspace@<db>__:<key>` with its
//! name and on `__keyevent@<db>__:<name>` with its key. It is published while the shard of the key is
//! held, so all hear of the changes of a key in the order in which they happen.
//!
//! What an event is called follows from the row of the command that runs ([`Naming`]) and from what
//! happened ([`What`]). A command with several events names them at its guard.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;

use super::change::{Interest, What};
use super::naming::{
    DEL, EVICTED, EXPIRE, EXPIRED, Event, FIELDS_EXPIRED, KEY_MISS, Missed, NEW, Naming, PERSIST,
};
use super::{Keyspace, Leftover};
use crate::args::Args;
use crate::command::Row;
use crate::pubsub::PubSub;

/// Classes of events, and on which of the two channels they are published: the letters of
/// `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Classes(u32);

/// The letter of each class, in the order in which Redis writes them.
const LETTERS: &[(char, Classes)] = &[
    ('g', Classes::GENERIC),
    ('$', Classes::STRING),
    ('l', Classes::LIST),
    ('s', Classes::SET),
    ('h', Classes::HASH),
    ('z', Classes::SORTED_SET),
    ('x', Classes::EXPIRED),
    ('e', Classes::EVICTED),
    ('t', Classes::STREAM),
    ('d', Classes::MODULE),
    ('n', Classes::NEW),
    ('K', Classes::KEYSPACE),
    ('E', Classes::KEYEVENT),
    ('m', Classes::KEY_MISS),
];

impl Classes {
    /// Events are published on the channel of their key.
    const KEYSPACE: Classes = Classes(1);
    /// Events are published on the channel of their name.
    const KEYEVENT: Classes = Classes(1 << 1);
    pub(super) const GENERIC: Classes = Classes(1 << 2);
    pub(super) const STRING: Classes = Classes(1 << 3);
    pub(super) const LIST: Classes = Classes(1 << 4);
    pub(super) const SET: Classes = Classes(1 << 5);
    pub(super) const HASH: Classes = Classes(1 << 6);
    pub(super) const SORTED_SET: Classes = Classes(1 << 7);
    pub(super) const EXPIRED: Classes = Classes(1 << 8);
    pub(super) const EVICTED: Classes = Classes(1 << 9);
    pub(super) const STREAM: Classes = Classes(1 << 10);
    /// Events of modules: there are none.
    const MODULE: Classes = Classes(1 << 11);
    /// A key came to be.
    pub(super) const NEW: Classes = Classes(1 << 12);
    /// A key was looked up and not there.
    pub(super) const KEY_MISS: Classes = Classes(1 << 13);
    /// What `A` stands for.
    const ALL: Classes = Classes(Classes::MODULE.0 * 2 - Classes::GENERIC.0);

    /// The classes of these letters, unless one of them means nothing.
    pub(crate) fn parse(letters: &[u8]) -> Option<Classes> {
        letters
            .iter()
            .try_fold(Classes::default(), |classes, &byte| {
                let mut known = LETTERS.iter();
                let class = match byte {
                    b'A' => Classes::ALL,
                    _ => known.find(|(letter, _)| *letter == char::from(byte))?.1,
                };
                Some(classes.or(class))
            })
    }

    const fn or(self, other: Classes) -> Classes {
        Classes(self.0 | other.0)
    }

    const fn has(self, other: Classes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any event can be published.
    fn is_any(self) -> bool {
        let channels = Classes::KEYSPACE.or(Classes::KEYEVENT).0;
        self.0 & channels != 0 && self.0 & !channels != 0
    }
}

/// As CONFIG GET answers them.
impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_all = self.has(Classes::ALL);
        if has_all {
            f.write_str("A")?;
        }
        // As in Redis, `A` hides `n`, though it does not stand for it.
        let hidden = Classes::ALL.or(Classes::NEW);
        LETTERS
            .iter()
            .filter(|(_, class)| self.has(*class) && !(has_all && hidden.has(*class)))
            .try_for_each(|(letter, _)| write!(f, "{letter}"))
    }
}

/// Which events are published, and to whom.
#[derive(Debug)]
pub(crate) struct Events {
    classes: AtomicU32,
    pubsub: Arc<PubSub>,
}

impl Events {
    pub(super) fn new(pubsub: Arc<PubSub>) -> Events {
        Events {
            classes: AtomicU32::new(0),
            pubsub,
        }
    }

    fn classes(&self) -> Classes {
        Classes(self.classes.load(Relaxed))
    }

    fn publish(&self, event: Event<'_>, db: usize, key: &[u8]) {
        let classes = self.classes();
        if !classes.has(event.class) || self.pubsub.is_unheard() {
            return;
        }
        let name = event.name.as_bytes();
        let channel = |kind: &str, rest: &[u8]| {
            let mut channel: SmallVec<[u8; 128]> = SmallVec::new();
            channel.extend_from_slice(format!("__{kind}@{db}__:").as_bytes());
            channel.extend_from_slice(rest);
            channel
        };
        if classes.has(Classes::KEYSPACE) {
            self.pubsub.publish(&channel("keyspace", key), name);
        }
        if classes.has(Classes::KEYEVENT) {
            self.pubsub.publish(&channel("keyevent", name), key);
        }
    }
}

impl super::Shards {
    /// Which events are published: `notify-keyspace-events`.
    pub(crate) fn event_classes(&self) -> Classes {
        self.events().classes()
    }

    pub(crate) fn set_event_classes(&self, classes: Classes) {
        self.events().classes.store(classes.0, Relaxed);
        self.set_interest(Interest::ANNOUNCED, classes.is_any());
    }
}

/// The events that a command names by itself, where its row does not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Instead of that of the row.
    pub(super) written: Option<&'static str>,
    /// Behind that.
    pub(super) also: Option<&'static str>,
}

/// An event that is published when its command is over.
#[derive(Debug)]
pub(crate) struct Late {
    class: Classes,
    name: &'static str,
    db: usize,
    key: Box<[u8]>,
}

impl Keyspace<'_> {
    /// Whether events are published.
    #[inline]
    pub(crate) fn is_announcing(&self) -> bool {
        self.interest().has(Interest::ANNOUNCED)
    }

    /// Publishes what happened to a key.
    pub(super) fn announce(&mut self, key: &[u8], what: What, named: Named) {
        let naming = self.cause.map(Naming::of);
        let class = naming.map_or(Classes::GENERIC, |naming| naming.class);
        let by_row = naming.and_then(|naming| naming.written.as_deref());
        let written = named.written.or(by_row);
        let written = written.map(|name| Event { class, name });
        let also = named.also.map(|name| Event { class, name });
        let removed = naming.map_or(DEL, |naming| naming.removed);
        let is_late = naming.is_some_and(|naming| naming.is_late);
        let events: [Option<Event<'static>>; 3] = match what {
            What::Added => return self.publish(NEW, key),
            What::Expired => return self.publish(EXPIRED, key),
            What::Evicted => return self.publish(EVICTED, key),
            What::FieldsExpired => return self.publish(FIELDS_EXPIRED, key),
            What::LastFieldExpired => {
                self.publish(FIELDS_EXPIRED, key);
                return self.publish(DEL, key);
            }
            What::Written | What::Annotated | What::LostGroup | What::Trimmed => {
                [written, also, None]
            }
            What::WrittenUntil => [written, also, Some(EXPIRE)],
            What::Emptied => [written, also, Some(DEL)],
            What::Expires => [Some(EXPIRE), None, None],
            What::Persists => [Some(PERSIST), None, None],
            What::Removed => [Some(removed), None, None],
        };
        for event in events.into_iter().flatten() {
            match is_late {
                true => self.announce_late(event, key),
                false => self.publish(event, key),
            }
        }
    }

    fn announce_late(&mut self, event: Event<'static>, key: &[u8]) {
        let late = Late {
            class: event.class,
            name: event.name,
            db: self.db,
            key: key.into(),
        };
        self.leftover().late.push(late);
    }

    fn publish(&self, event: Event<'_>, key: &[u8]) {
        self.shards.events().publish(event, self.db, key);
    }

    /// A key was looked up and not there.
    #[cold]
    pub(crate) fn announce_miss(&self, key: &[u8]) {
        self.publish(KEY_MISS, key);
    }

    /// Publishes the events that were to come when the command is over.
    pub(crate) fn publish_late(&mut self) {
        let late = self.leftover.as_deref_mut().map(|leftover: &mut Leftover| {
            let late = &mut leftover.late;
            std::mem::take(late)
        });
        for Late {
            class,
            name,
            db,
            key,
        } in late.unwrap_or_default()
        {
            let event = Event { class, name };
            self.shards.events().publish(event, db, &key);
        }
    }

    /// Lets the keys of a command leave that have expired, and tells of those that it looks up in
    /// vain: what it does itself does not say so.
    #[cold]
    #[inline(never)]
    pub(super) fn announce_look_ups(&mut self, command: &'static Row, args: Args<'_>) {
        let missed = Naming::of(command).missed;
        let mut place = 0;
        command.each_key(args.whole(), |key| {
            let hash = self.hash(key);
            let is_missing = self.live(hash, key).is_none();
            let is_told = match missed {
                Missed::None => false,
                Missed::First => place == 0,
                Missed::All => true,
                Missed::AllButFirst => place > 0,
            };
            if is_missing && is_told {
                self.announce_miss(key);
            }
            place += 1;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_written_as_redis_writes_them() {
        for (given, wanted) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Egx", "gxE"),
            ("Eg$lshzxetdmn", "AEm"),
            ("Kn", "nK"),
            ("mK", "Km"),
            ("tdexzhsl$gE", "AE"),
        ] {
            let classes = Classes::parse(given.as_bytes()).map(|classes| classes.to_string());
            assert_eq!(classes.as_deref(), Some(wanted), "{given}");
        }
        assert_eq!(Classes::parse(b"KQ"), None);
    }
}
