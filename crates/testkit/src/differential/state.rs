//! All that is stored on both sides.

use std::time::Duration;

use larder_resp::Frame;

use super::client::Client;
use super::compare::Freedom;
use super::difference::Difference;
use super::named::is;
use super::next::frame;
use super::{Step, Words, values};
use crate::server::ServerKind;
use crate::transcript::target::Connection;

/// Reads what is stored, knowing what a program has done.
pub(super) struct State<'a> {
    client: &'a mut Client,
    /// Whether a request has been sent of so many words that a newer server takes the large encoding at
    /// once, though the words may name few members, or in Valkey of a member so long, though it may not
    /// become one: Larder looks at what there is.
    guesses: bool,
    /// Whether fields have lives in Valkey, where the small encoding has none.
    has_lives: bool,
    /// Whether SORT has been used, which makes a skiplist of a sorted set in Redis.
    sorts: bool,
    /// Whether INCRBYFLOAT has been used, which leaves a text in Redis even where it is an integer, or a
    /// script, which does so in Valkey.
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
        let is_valkey = client.kind == ServerKind::Valkey;
        let has_long = |words: &Words| words.iter().any(|word| word.len() > 64);
        let is_guessed_from = |step: &Step| {
            step.words.len() > 128 || is_valkey && is(&step.words, "ZADD") && has_long(&step.words)
        };
        State {
            has_lives: is_valkey && has("FIELDS"),
            client,
            guesses: program.iter().any(is_guessed_from),
            sorts: has("SORT"),
            makes_texts: has("INCRBYFLOAT") || is_valkey && has("EVAL"),
            copies: has("COPY"),
        }
    }

    /// Compares both databases that programs use.
    pub(super) fn difference(mut self) -> Option<Difference> {
        (0..2).find_map(|db: usize| {
            let select = vec![request(&[b"SELECT", db.to_string().as_bytes()])];
            self.look(&select).or_else(|| {
                let keys = self.keys();
                let kinds: Vec<Words> = keys.iter().map(|key| request(&[b"TYPE", key])).collect();
                self.look(&kinds).or_else(|| {
                    let looks: Vec<Words> =
                        keys.iter().flat_map(|key| self.looks_at(key)).collect();
                    self.look(&looks)
                })
            })
        })
    }

    /// Asks both sides for things about what is stored that have to be the same.
    fn look(&mut self, requests: &[Words]) -> Option<Difference> {
        self.client.theirs.send_all(requests);
        requests.iter().find_map(|words| {
            self.client.ours.send(words);
            let ours = self.client.ours.receive_bytes(Duration::ZERO);
            let freedom = Freedom::of_state(self.client.kind, words);
            let difference = self.client.compare(words, freedom, &ours)?;
            Some(Difference {
                class: format!("state {}", difference.class),
                ..difference
            })
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

    /// What asks for all about a key of ours.
    fn looks_at(&mut self, key: &[u8]) -> Vec<Words> {
        self.client.ours.send(&request(&[b"TYPE", key]));
        let kind = match frame(&mut self.client.ours) {
            Some(Frame::Status(kind)) => kind,
            _ => return Vec::new(),
        };
        let mut looks = vec![request(&[b"PTTL", key])];
        let is_free = match kind.as_str() {
            // Small sets are listpacks since Redis 7.2.
            "set" if self.client.kind == ServerKind::Redis => true,
            "hash" if self.has_lives => true,
            "set" | "hash" | "zset" if self.guesses => true,
            "zset" if self.sorts => true,
            "string" if self.makes_texts => true,
            "string" | "hash" | "zset" if self.copies => true,
            _ => false,
        };
        if !is_free {
            looks.push(request(&[b"OBJECT", b"ENCODING", key]));
        }
        let whole: &[&[&[u8]]] = match kind.as_str() {
            "string" => &[&[b"GET", key]],
            "list" => &[&[b"LRANGE", key, b"0", b"-1"]],
            "hash" => &[
                &[b"HGETALL", key],
                &[b"HSCAN", key, b"0", b"COUNT", b"5000"],
            ],
            "set" => &[
                &[b"SMEMBERS", key],
                &[b"SSCAN", key, b"0", b"COUNT", b"5000"],
            ],
            "zset" if self.sorts => &[&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]],
            "zset" => &[
                &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
                &[b"ZSCAN", key, b"0", b"COUNT", b"5000"],
            ],
            "stream" => &[&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]],
            _ => &[],
        };
        looks.extend(whole.iter().map(|words| request(words)));
        if kind == "hash" {
            looks.extend(self.look_at_lives(key));
        }
        looks
    }

    /// What asks for the lives of all fields of a hash of ours, which Redis 7.0 does not have.
    fn look_at_lives(&mut self, key: &[u8]) -> Option<Words> {
        if self.client.kind == ServerKind::Redis {
            return None;
        }
        self.client.ours.send(&request(&[b"HKEYS", key]));
        let Some(Frame::Array(fields)) = frame(&mut self.client.ours) else {
            return None;
        };
        let count = fields.len().to_string();
        let mut words = request(&[b"HPEXPIRETIME", key, b"FIELDS", count.as_bytes()]);
        words.extend(fields.into_iter().filter_map(|field| match field {
            Frame::Bulk(field) => Some(field),
            _ => None,
        }));
        Some(words)
    }
}

fn request(words: &[&[u8]]) -> Words {
    words.iter().map(|word| word.to_vec()).collect()
}

/// All keys that a walk in small steps comes past.
fn walk(side: &mut dyn Connection) -> Vec<Vec<u8>> {
    let (mut keys, mut cursor) = (Vec::new(), b"0".to_vec());
    loop {
        side.send(&[b"SCAN".to_vec(), cursor, b"COUNT".to_vec(), b"5".to_vec()]);
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
