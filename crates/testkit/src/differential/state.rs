//! All that is stored on both sides.

use std::time::Duration;

use larder_resp::Frame;

use super::client::Client;
use super::compare::Freedom;
use super::difference::Difference;
use super::next::frame;
use super::{Step, Words, values};
use crate::transcript::target::Connection;

/// Reads what is stored, knowing what a program has done.
pub(super) struct State<'a> {
    client: &'a mut Client,
    /// Whether SORT has been used, which makes a skiplist of a sorted set in Redis.
    sorts: bool,
    /// Whether INCRBYFLOAT has been used, which leaves a text in Redis even where it is an integer.
    makes_texts: bool,
    /// Whether COPY has been used, which copies in Redis also how a value is held: Larder holds the
    /// copy as tightly as it can.
    copies: bool,
}

impl State<'_> {
    pub(super) fn after<'a>(program: &[Step], client: &'a mut Client) -> State<'a> {
        let all = program.iter().map(|step| values::shown(&step.words));
        let all = all.collect::<String>().to_ascii_uppercase();
        let has = |name| all.contains(name);
        State {
            client,
            sorts: has("SORT"),
            makes_texts: has("INCRBYFLOAT"),
            copies: has("COPY"),
        }
    }

    /// Compares both databases that programs use.
    pub(super) fn difference(mut self) -> Option<Difference> {
        (0..2).find_map(|db: usize| {
            self.look(&[b"SELECT", db.to_string().as_bytes()])
                .or_else(|| self.keys().iter().find_map(|key| self.value(key)))
        })
    }

    /// Asks both sides for something about what is stored that has to be the same.
    fn look(&mut self, words: &[&[u8]]) -> Option<Difference> {
        let words: Words = words.iter().map(|word| word.to_vec()).collect();
        self.client.ours.send(&words);
        self.client.theirs.send(&words);
        let ours = self.client.ours.receive_bytes(Duration::ZERO);
        let freedom = Freedom::of_state(&words);
        let difference = self.client.compare(&words, freedom, &ours)?;
        Some(Difference {
            class: format!("state {}", difference.class),
            ..difference
        })
    }

    /// The keys of both sides, by a full walk of small steps on each.
    fn keys(&mut self) -> Vec<Vec<u8>> {
        let client = &mut self.client;
        let [mut ours, theirs] = [walk(&mut client.ours), walk(&mut client.theirs)];
        ours.extend(theirs);
        ours.sort();
        ours.dedup();
        ours
    }

    /// Reads all about a key.
    fn value(&mut self, key: &[u8]) -> Option<Difference> {
        let [kind, _] = self.client.ask(&[b"TYPE", key]);
        let difference = self
            .look(&[b"TYPE", key])
            .or_else(|| self.look(&[b"PTTL", key]))
            .or_else(|| match kind.as_str() {
                // Small sets are listpacks since Redis 7.2.
                "set" => None,
                "zset" if self.sorts => None,
                "string" if self.makes_texts => None,
                "string" | "hash" | "zset" if self.copies => None,
                _ => self.look(&[b"OBJECT", b"ENCODING", key]),
            });
        difference.or_else(|| match kind.as_str() {
            "string" => self.look(&[b"GET", key]),
            "list" => self.look(&[b"LRANGE", key, b"0", b"-1"]),
            "hash" => self
                .look(&[b"HGETALL", key])
                .or_else(|| self.look(&[b"HSCAN", key, b"0", b"COUNT", b"5000"])),
            "set" => self
                .look(&[b"SMEMBERS", key])
                .or_else(|| self.look(&[b"SSCAN", key, b"0", b"COUNT", b"5000"])),
            "zset" if self.sorts => self.look(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]),
            "zset" => self
                .look(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])
                .or_else(|| self.look(&[b"ZSCAN", key, b"0", b"COUNT", b"5000"])),
            "stream" => self.look(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]),
            _ => None,
        })
    }
}

/// All keys that a walk in small steps comes past.
fn walk(side: &mut dyn Connection) -> Vec<Vec<u8>> {
    let (mut keys, mut cursor) = (Vec::new(), b"0".to_vec());
    loop {
        side.send(&[b"SCAN".to_vec(), cursor, b"COUNT".to_vec(), b"3".to_vec()]);
        let Some(Frame::Array(mut parts)) = frame(side) else {
            return keys;
        };
        let (Some(Frame::Array(some)), Some(Frame::Bulk(next))) = (parts.pop(), parts.pop()) else {
            return keys;
        };
        keys.extend(some.into_iter().filter_map(|key| match key {
            Frame::Bulk(key) => Some(key),
            _ => None,
        }));
        if next == b"0" {
            return keys;
        }
        cursor = next;
    }
}
