//! A slot on its way from one master to another, as `redis-cli --cluster reshard` takes it there.
//!
//! ```text
//! begin_migration    the new owner imports, the old one migrates
//! move_keys          some keys are moved; for those that are gone the old owner answers ASK, and for
//!                    commands of several keys, some of them gone, one of both answers TRYAGAIN
//! finish_migration   the rest is moved, and all masters are told of the new owner
//! ```

use super::cluster::{Cluster, id_of};
use super::node::Node;
use larder_resp::Frame;

/// How many keys `finish_migration` moves at once.
const STEP: usize = 100;

/// A slot on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The slot.
    pub slot: u16,
    /// The master that it still belongs to.
    pub from: usize,
    /// The master that it is going to belong to.
    pub to: usize,
}

impl Cluster {
    /// Moves a slot with its keys to another master, while both serve it.
    ///
    /// # Panics
    ///
    /// If a node refuses a step.
    pub fn migrate(&self, slot: u16, to: usize) {
        if self.owner(slot) != to {
            let migration = self.begin_migration(slot, to);
            self.finish_migration(migration);
        }
    }

    /// Puts a slot on its way to another master. No key moves yet.
    ///
    /// # Panics
    ///
    /// If a node refuses.
    pub fn begin_migration(&self, slot: u16, to: usize) -> Migration {
        let from = self.owner(slot);
        let number = slot.to_string();
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        target.run(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &id_of(source)]);
        source.run(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &id_of(target)]);
        Migration { slot, from, to }
    }

    /// Moves up to `count` keys of a slot that is on its way, and answers how many there were.
    ///
    /// # Panics
    ///
    /// If a node refuses.
    pub fn move_keys(&self, migration: &Migration, count: usize) -> usize {
        let source = &self.nodes[migration.from];
        let keys = keys_of(source, migration.slot, count);
        if !keys.is_empty() {
            self.move_these(migration, &keys);
        }
        keys.len()
    }

    /// Moves these keys of a slot that is on its way.
    ///
    /// # Panics
    ///
    /// If a node refuses.
    pub fn move_these<K: AsRef<[u8]>>(&self, migration: &Migration, keys: &[K]) {
        let port = self.nodes[migration.to].port().to_string();
        let mut words: Vec<&[u8]> = vec![
            b"MIGRATE",
            b"127.0.0.1",
            port.as_bytes(),
            b"",
            b"0",
            b"5000",
        ];
        if let Some(password) = &self.password {
            words.extend([&b"AUTH"[..], password.as_bytes()]);
        }
        words.push(b"KEYS");
        words.extend(keys.iter().map(AsRef::as_ref));
        self.nodes[migration.from].run(&words);
    }

    /// Moves the keys that are left, tells all masters of the new owner, and waits until all agree.
    ///
    /// # Panics
    ///
    /// If a node refuses.
    pub fn finish_migration(&self, migration: Migration) {
        while self.move_keys(&migration, STEP) > 0 {}
        let Migration { slot, from, to } = migration;
        let (slot, id) = (slot.to_string(), id_of(&self.nodes[to]));
        // The new owner first: were it the old one, for a moment nobody would own the slot.
        let others = self
            .masters()
            .into_iter()
            .filter(|master| ![from, to].contains(master));
        for master in [to, from].into_iter().chain(others) {
            self.nodes[master].run(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
        }
        self.settle();
    }

    /// Gives up what is on its way from or to a node. Keys that have moved are lost where they are.
    pub(super) fn stabilize(&self, node: usize) {
        let nodes = self.nodes[node].text(&["CLUSTER", "NODES"]);
        let open = nodes
            .split_whitespace()
            .filter_map(|word| word.strip_prefix('['));
        for slot in open.filter_map(|word| word.split('-').next()) {
            self.nodes[node].try_ask(&["CLUSTER", "SETSLOT", slot, "STABLE"]);
        }
    }
}

fn keys_of(node: &Node, slot: u16, count: usize) -> Vec<Vec<u8>> {
    let answer = node.run(&[
        "CLUSTER",
        "GETKEYSINSLOT",
        &slot.to_string(),
        &count.to_string(),
    ]);
    let Frame::Array(keys) = answer else {
        panic!("keys are an array, not {answer:?}")
    };
    let bytes = keys.into_iter().filter_map(|key| match key {
        Frame::Bulk(bytes) => Some(bytes),
        _ => None,
    });
    bytes.collect()
}
