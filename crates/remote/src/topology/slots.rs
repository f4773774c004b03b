//! Which node owns which slot.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use larder_store::Value;

use crate::address::Address;

/// How many slots a cluster has.
const SLOTS: usize = 16384;

/// A slot that nobody owns.
const NOBODY: u16 = u16::MAX;

/// Which node owns which slot, as one node of the cluster said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    shards: Vec<Shard>,
    /// The place of the owner among the shards, for each slot. Empty if nothing is known.
    owners: Vec<u16>,
}

/// A master and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) master: Address,
    pub(crate) replicas: Vec<Address>,
}

impl Slots {
    /// Reads the answer of CLUSTER SLOTS. `asked` is who gave it: a node may not know by which name it is
    /// reached, and then leaves its own out.
    pub(crate) fn read(answer: &Value, asked: &Address) -> Option<Slots> {
        let Value::Array(ranges) = answer else {
            return None;
        };
        let mut slots = Slots {
            shards: Vec::new(),
            owners: vec![NOBODY; SLOTS],
        };
        let mut places = HashMap::new();
        for range in ranges {
            let Value::Array(parts) = range else {
                return None;
            };
            let [Value::Int(first), Value::Int(last), master, replicas @ ..] = &parts[..] else {
                return None;
            };
            let master = address(master, asked)?;
            let replicas = replicas
                .iter()
                .filter_map(|node| address(node, asked))
                .collect();
            let owner = match places.entry(master.clone()) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(slots.add(Shard { master, replicas })?),
            };
            let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
            slots.owners.get_mut(first..=last)?.fill(owner);
        }
        Some(slots)
    }

    /// Adds a shard that is not known, and answers its place.
    fn add(&mut self, shard: Shard) -> Option<u16> {
        let place = u16::try_from(self.shards.len()).ok()?;
        self.shards.push(shard);
        (place != NOBODY).then_some(place)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// The shard that owns a slot, if anybody knows.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Shard> {
        let place = *self.owners.get(usize::from(slot))?;
        self.shards.get(usize::from(place))
    }

    /// Notes that a slot is at another node now. Says whether that is news.
    pub(crate) fn set_owner(&mut self, slot: u16, master: Address) -> bool {
        if self.owner(slot).is_some_and(|shard| shard.master == master) {
            return false;
        }
        self.owners.resize(SLOTS, NOBODY);
        let known = self.shards.iter().position(|known| known.master == master);
        let replicas = Vec::new();
        let place = match known {
            Some(place) => u16::try_from(place).ok(),
            None => self.add(Shard { master, replicas }),
        };
        if let Some(place) = place {
            self.owners[usize::from(slot)] = place;
        }
        true
    }

    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// A number that changes when the master at this address owns other slots than before.
    pub(crate) fn version_of(&self, master: &Address) -> u64 {
        let place = self.shards.iter().position(|shard| shard.master == *master);
        let owned = self.owners.iter().enumerate();
        owned
            .filter(|(_, owner)| Some(usize::from(**owner)) == place)
            // FNV-1a, over the numbers of the slots.
            .fold(0xcbf2_9ce4_8422_2325, |hash, (slot, _)| {
                (hash ^ slot as u64).wrapping_mul(0x0100_0000_01b3)
            })
    }

    /// Whether the master at this address owns a slot.
    pub(crate) fn owns(&self, master: &Address) -> bool {
        let place = self.shards.iter().position(|shard| shard.master == *master);
        place.is_some_and(|place| self.owners.iter().any(|owner| usize::from(*owner) == place))
    }

    /// How many slots nobody owns.
    pub(crate) fn missing(&self) -> usize {
        let is_known = |owner: &&u16| usize::from(**owner) < self.shards.len();
        SLOTS - self.owners.iter().filter(is_known).count()
    }
}

/// `[host, port, id, ...]`.
fn address(node: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(parts) = node else {
        return None;
    };
    let [host, Value::Int(port), ..] = &parts[..] else {
        return None;
    };
    let host = match host {
        Value::Bytes(host) => std::str::from_utf8(host).ok()?,
        _ => "",
    };
    let host = match host {
        "" | "?" => asked.host()?,
        host => host,
    };
    Some(Address::tcp(host, u16::try_from(*port).ok()?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn node(host: &'static str, port: i64) -> Value {
        let host = Value::Bytes(Bytes::from(host));
        Value::Array(vec![
            host,
            Value::Int(port),
            Value::Bytes(Bytes::from("id")),
        ])
    }

    fn answer() -> Value {
        let range = |first, last, nodes: &[Value]| {
            let mut range = vec![Value::Int(first), Value::Int(last)];
            range.extend_from_slice(nodes);
            Value::Array(range)
        };
        Value::Array(vec![
            range(0, 5460, &[node("a", 1), node("a", 4)]),
            range(5461, 16382, &[node("", 2)]),
        ])
    }

    #[test]
    fn each_slot_has_its_owner() {
        let slots = Slots::read(&answer(), &Address::tcp("asked", 9)).unwrap();
        assert_eq!(slots.owner(0).unwrap().master, Address::tcp("a", 1));
        assert_eq!(slots.owner(0).unwrap().replicas, [Address::tcp("a", 4)]);
        assert_eq!(slots.owner(5461).unwrap().master, Address::tcp("asked", 2));
        assert_eq!(slots.owner(16383), None);
        assert_eq!((slots.shards().len(), slots.missing()), (2, 1));
    }

    #[test]
    fn a_slot_that_has_moved_changes_both_masters() {
        let mut slots = Slots::read(&answer(), &Address::tcp("asked", 9)).unwrap();
        let (one, other) = (Address::tcp("a", 1), Address::tcp("asked", 2));
        let before = (slots.version_of(&one), slots.version_of(&other));
        assert!(slots.set_owner(7, other.clone()));
        assert!(!slots.set_owner(7, other.clone()));
        assert_ne!(slots.version_of(&one), before.0);
        assert_ne!(slots.version_of(&other), before.1);
        let new = Address::tcp("new", 3);
        assert!(slots.set_owner(8, new.clone()));
        assert_eq!(slots.owner(8).unwrap().master, new);
    }

    #[test]
    fn what_is_no_map_of_slots_is_refused() {
        let asked = Address::tcp("asked", 9);
        for answer in [
            Value::Null,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![Value::Array(vec![
                Value::Int(0),
                Value::Int(99999),
                node("a", 1),
            ])]),
            Value::Array(vec![Value::Array(vec![
                Value::Int(-1),
                Value::Int(5),
                node("a", 1),
            ])]),
        ] {
            assert_eq!(Slots::read(&answer, &asked), None, "{answer:?}");
        }
    }
}
