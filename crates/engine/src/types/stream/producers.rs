//! Producers: who has added which entries, so that one that is sent again is not added again.
//!
//! A producer names each of its entries, or leaves that to a digest of its fields. Names are remembered
//! for some time, and the newest ones only; what a name stands for is the id of the entry that was added
//! under it. Redis has this since 8.6.
//!
//! A producer that has nothing left to remember is forgotten: with each entry that any producer adds,
//! some of the others are looked after.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

use xxhash_rust::xxh3::xxh3_128;

use super::Id;

/// How many producers are looked after with each entry that is added.
const LOOKED_AFTER: usize = 2;

/// What a stream remembers of its producers.
#[derive(Clone, Debug)]
pub(crate) struct Producers {
    /// For how long a name is remembered.
    duration_ms: u64,
    /// How many names are remembered of each producer.
    names_max: usize,
    producers: BTreeMap<Box<[u8]>, Producer>,
    /// The producer that was looked after last.
    last: Box<[u8]>,
    /// How many names are remembered of all.
    names: usize,
    /// How long all names are together, those of the producers included; a name of an entry is there twice.
    name_bytes: usize,
    /// How many entries were added under a name, ever.
    added: u64,
    /// How many were sent again and not added again, ever.
    repeated: u64,
}

/// The names under which one producer has added entries.
#[derive(Clone, Debug, Default)]
struct Producer {
    /// What each name stands for, and since when.
    ids: BTreeMap<Name, (Id, u64)>,
    /// The oldest name first, each with its time.
    order: VecDeque<(u64, Name)>,
}

/// What an entry is called by its producer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// By a name of its own.
    Given(Box<[u8]>),
    /// By its fields, in whatever order.
    Digest(u128),
}

impl Name {
    /// The name of an entry with these fields, names and values in turn.
    pub(crate) fn of<'f>(fields: impl Iterator<Item = &'f [u8]> + Clone) -> Name {
        let values = fields.clone().skip(1).step_by(2);
        let digests = fields.step_by(2).zip(values).map(|(name, value)| {
            let len = name.len().to_le_bytes();
            xxh3_128(&[&len, name, value].concat())
        });
        Name::Digest(digests.fold(0, u128::wrapping_add))
    }

    fn len(&self) -> usize {
        match self {
            Name::Given(name) => name.len(),
            Name::Digest(_) => 0,
        }
    }
}

impl Default for Producers {
    fn default() -> Producers {
        Producers {
            duration_ms: 100_000,
            names_max: 100,
            producers: BTreeMap::new(),
            last: Box::default(),
            names: 0,
            name_bytes: 0,
            added: 0,
            repeated: 0,
        }
    }
}

impl Producers {
    /// For how long a name is remembered, in milliseconds.
    pub(crate) fn duration_ms(&self) -> u64 {
        self.duration_ms
    }

    /// How many names are remembered of each producer.
    pub(crate) fn names_max(&self) -> usize {
        self.names_max
    }

    /// How many producers there are.
    pub(crate) fn len(&self) -> usize {
        self.producers.len()
    }

    /// How many names are remembered of all producers.
    pub(crate) fn names(&self) -> usize {
        self.names
    }

    /// How many entries were added under a name, ever.
    pub(crate) fn added(&self) -> u64 {
        self.added
    }

    /// How many entries were sent again and not added again, ever.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Remembers for how long from here on, and how many of each producer. All names are forgotten if
    /// that is a change.
    pub(crate) fn configure(&mut self, duration_ms: Option<u64>, names_max: Option<usize>) {
        let before = (self.duration_ms, self.names_max);
        let duration_ms = duration_ms.unwrap_or(self.duration_ms);
        let names_max = names_max.unwrap_or(self.names_max);
        if (duration_ms, names_max) != before {
            *self = Producers {
                duration_ms,
                names_max,
                added: self.added,
                repeated: self.repeated,
                ..Producers::default()
            };
        }
    }

    /// The entry that a producer has added under this name.
    pub(crate) fn find(&self, producer: &[u8], name: &Name, now_ms: u64) -> Option<Id> {
        let producer = self.producers.get(producer)?;
        let (id, at_ms) = *producer.ids.get(name)?;
        (at_ms + self.duration_ms > now_ms).then_some(id)
    }

    /// Counts an entry that [`Producers::find`] has found, and that is not added again.
    pub(crate) fn note_repeated(&mut self) {
        self.repeated += 1;
    }

    /// Notes that a producer has added an entry under this name, which [`Producers::find`] does not find.
    pub(crate) fn note(&mut self, producer: &[u8], name: Name, id: Id, now_ms: u64) {
        if !self.producers.contains_key(producer) {
            self.name_bytes += producer.len();
            self.producers.insert(producer.into(), Producer::default());
        }
        self.forget_of(producer, now_ms, self.names_max - 1);
        self.added += 1;
        self.names += 1;
        self.name_bytes += 2 * name.len();
        if let Some(noted) = self.producers.get_mut(producer) {
            noted.ids.insert(name.clone(), (id, now_ms));
            noted.order.push_back((now_ms, name));
        }
        self.look_after(now_ms);
    }

    /// Forgets names of some producers that are remembered no longer, and producers without names.
    fn look_after(&mut self, now_ms: u64) {
        for _ in 0..LOOKED_AFTER {
            let after = (Excluded(&*self.last), Unbounded);
            let next = { self.producers.range::<[u8], _>(after) }.next();
            let Some((name, _)) = next else {
                self.last = Box::default();
                return;
            };
            let name = name.clone();
            self.forget_of(&name, now_ms, self.names_max);
            if { self.producers.get(&name) }.is_some_and(|producer| producer.order.is_empty()) {
                self.producers.remove(&name);
                self.name_bytes -= name.len();
            }
            self.last = name;
        }
    }

    /// Forgets names of a producer that are too old, or more than so many.
    fn forget_of(&mut self, producer: &[u8], now_ms: u64, names_max: usize) {
        let Some(producer) = self.producers.get_mut(producer) else {
            return;
        };
        while let Some((at_ms, _)) = producer.order.front()
            && (at_ms + self.duration_ms <= now_ms || producer.order.len() > names_max)
        {
            if let Some((_, name)) = producer.order.pop_front() {
                producer.ids.remove(&name);
                self.names -= 1;
                self.name_bytes -= 2 * name.len();
            }
        }
    }

    /// Bytes held on the heap and here. The nodes of the maps count as what they hold, and the queues
    /// as what is in them. O(1).
    pub(crate) fn bytes(&self) -> usize {
        let name = size_of::<(Name, (Id, u64))>() + size_of::<(u64, Name)>();
        size_of::<Producers>()
            + self.name_bytes
            + self.names * name
            + self.producers.len() * size_of::<(Box<[u8]>, Producer)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_MS: u64 = 1000;

    fn given(name: &str) -> Name {
        Name::Given(name.as_bytes().into())
    }

    fn id(ms: u64) -> Id {
        Id { ms, seq: 0 }
    }

    #[test]
    fn a_name_is_remembered_for_some_time_by_its_producer_alone() {
        let mut producers = Producers::default();
        producers.configure(Some(SECOND_MS), None);
        producers.note(b"one", given("a"), id(1), 5);
        assert_eq!(producers.find(b"one", &given("a"), 5 + 999), Some(id(1)));
        assert_eq!(producers.find(b"one", &given("a"), 5 + 1000), None);
        assert_eq!(producers.find(b"two", &given("a"), 5), None);
        producers.note(b"one", given("a"), id(2), 2000);
        assert_eq!(producers.find(b"one", &given("a"), 2000), Some(id(2)));
    }

    #[test]
    fn the_oldest_name_goes_when_there_are_too_many() {
        let mut producers = Producers::default();
        producers.configure(None, Some(3));
        for (at, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            producers.note(b"one", given(name), id(at as u64), 0);
        }
        assert_eq!(producers.names(), 3);
        assert_eq!(producers.find(b"one", &given("a"), 0), None);
        assert_eq!(producers.find(b"one", &given("b"), 0), Some(id(1)));
    }

    #[test]
    fn fields_are_the_same_in_any_order_and_none_runs_into_its_value() {
        let name = |words: &[&str]| Name::of(words.iter().map(|word| word.as_bytes()));
        assert_eq!(name(&["a", "1", "b", "2"]), name(&["b", "2", "a", "1"]));
        assert_ne!(name(&["a", "1", "b", "2"]), name(&["a", "2", "b", "1"]));
        assert_ne!(name(&["ab", "c"]), name(&["a", "bc"]));
    }

    /// Each connection of a client may be a producer that never comes back.
    #[test]
    fn producers_that_do_not_come_back_are_forgotten() {
        let mut producers = Producers::default();
        let empty = producers.bytes();
        producers.configure(Some(SECOND_MS), None);
        for number in 0..20_000u64 {
            let producer = number.to_be_bytes();
            producers.note(&producer, given("a"), id(number), number);
            assert!(producers.len() <= 2500, "{}", producers.len());
        }
        for number in 0..5000 {
            producers.note(
                b"the last",
                given("a"),
                id(number),
                1_000_000 + 2000 * number,
            );
        }
        assert_eq!((producers.len(), producers.names()), (1, 1));
        assert!(producers.bytes() < empty + 300);
    }
}
