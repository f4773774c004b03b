//! The commands that are measured, and the keys that they find.

use anyhow::Result;

use super::load::{load, send_one};
use crate::servers::Server;

/// The keys, fields and members that commands choose from.
pub(super) const KEYS: usize = 1_000_000;
/// How many places are searched.
const PLACES: usize = 100_000;
const VALUE: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
const SCRIPT: &str = "return redis.call('GET', KEYS[1])";
/// How many elements are added by one command where keys are filled.
const AT_ONCE: usize = 50;

/// A command to measure. redis-benchmark puts a random number for each `__rand_int__`.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) command: &'static [&'static str],
    /// What is done before each round.
    before: Before,
    /// How many times the work of a GET it is, roughly: so many times fewer requests are made.
    pub(super) weight: usize,
    /// How many clients listen to the channel `news` meanwhile.
    pub(super) listeners: usize,
}

enum Before {
    Nothing,
    /// The key grows as the row is measured, so it is removed.
    Remove(&'static str),
    /// The list shrinks as the row is measured, so it is filled.
    FillList(&'static str),
    /// The set shrinks as the row is measured, so it is filled.
    FillSet(&'static str),
}

pub(super) const ROWS: &[Row] = &[
    row("PING", &["PING"]),
    row("SET", &["SET", "key:__rand_int__", VALUE]),
    row("GET", &["GET", "key:__rand_int__"]),
    row("INCR", &["INCR", "counter:__rand_int__"]),
    row("LPUSH", &["LPUSH", "list", VALUE]).before(Before::Remove("list")),
    row("HSET", &["HSET", "hash", "field:__rand_int__", VALUE]),
    row(
        "ZADD",
        &["ZADD", "board", "__rand_int__", "member:__rand_int__"],
    ),
    row("XADD", &["XADD", "log", "*", "field", VALUE]).before(Before::Remove("log")),
    row("EVAL", &["EVAL", SCRIPT, "1", "key:__rand_int__"]),
    row(
        "SET_EX",
        &["SET", "passing:__rand_int__", VALUE, "EX", "3600"],
    ),
    row("GETRANGE", &["GETRANGE", "key:__rand_int__", "8", "23"]),
    row("MSET_10", &MSET_10).weight(5),
    row("LPOP", &["LPOP", "queue"]).before(Before::FillList("queue")),
    row("LRANGE_100", &["LRANGE", "hundred:list", "0", "99"]).weight(5),
    row("HGETALL_10", &["HGETALL", "ten:hash"]).weight(2),
    row("SADD", &["SADD", "set", "member:__rand_int__"]),
    row("SPOP", &["SPOP", "lots"]).before(Before::FillSet("lots")),
    row("ZRANGE_100", &["ZRANGE", "hundred:board", "0", "99"]).weight(5),
    row("SETBIT", &["SETBIT", "seen:__rand_int__", "100", "1"]),
    row("PFADD", &["PFADD", "visitors", "__rand_int__"]),
    row("GEOSEARCH_10", &GEOSEARCH_10).weight(10),
    row("PUBLISH_100", &["PUBLISH", "news", VALUE])
        .weight(50)
        .heard_by(100),
];

/// The ten nearest of some forty that are within two kilometres.
const GEOSEARCH_10: [&str; 10] = [
    "GEOSEARCH",
    "places",
    "FROMLONLAT",
    "13.4",
    "52.5",
    "BYRADIUS",
    "2",
    "km",
    "COUNT",
    "10",
];

const MSET_10: [&str; 21] = {
    let mut words = [VALUE; 21];
    words[0] = "MSET";
    let mut at = 1;
    while at < words.len() {
        words[at] = "key:__rand_int__";
        at += 2;
    }
    words
};

const fn row(name: &'static str, command: &'static [&'static str]) -> Row {
    Row {
        name,
        command,
        before: Before::Nothing,
        weight: 1,
        listeners: 0,
    }
}

impl Row {
    const fn before(mut self, before: Before) -> Row {
        self.before = before;
        self
    }

    const fn weight(mut self, weight: usize) -> Row {
        self.weight = weight;
        self
    }

    const fn heard_by(mut self, listeners: usize) -> Row {
        self.listeners = listeners;
        self
    }

    /// Does what has to be done before a round of so many requests.
    pub(super) fn prepare(&self, server: &Server, requests: usize) -> Result<()> {
        let fill = |command: &str, key: &str| {
            send_one(server, &["DEL", key])?;
            let element = |at| vec![format!("element:{at:012}")];
            add(server, &[command, key], requests, element)
        };
        match self.before {
            Before::Nothing => Ok(()),
            Before::Remove(key) => send_one(server, &["DEL", key]),
            Before::FillList(key) => fill("RPUSH", key),
            Before::FillSet(key) => fill("SADD", key),
        }
    }
}

/// Makes the keys that the rows find.
pub(super) fn fill(server: &Server) -> Result<()> {
    add(server, &["MSET"], KEYS, |at| {
        vec![format!("key:{at:012}"), VALUE.into()]
    })?;
    add(server, &["MSET"], KEYS, |at| {
        vec![format!("counter:{at:012}"), at.to_string()]
    })?;
    add(server, &["HSET", "hash"], KEYS, |at| {
        vec![format!("field:{at:012}"), VALUE.into()]
    })?;
    add(server, &["ZADD", "board"], KEYS, |at| {
        // A step that shares no divisor with the number of members visits every score once.
        let score = at * 617_327 % KEYS;
        vec![score.to_string(), format!("member:{at:012}")]
    })?;
    add(server, &["SADD", "set"], KEYS, |at| {
        vec![format!("member:{at:012}")]
    })?;
    add(server, &["RPUSH", "hundred:list"], 100, |_| {
        vec![VALUE.into()]
    })?;
    add(server, &["ZADD", "hundred:board"], 100, |at| {
        vec![at.to_string(), format!("member:{at:012}")]
    })?;
    add(server, &["GEOADD", "places"], PLACES, |at| {
        // Over two degrees in both directions, by steps that come to another place each time.
        let degrees = |from, step, parts| from + (at * step % parts) as f64 / 10_000.0;
        let (longitude, latitude) = (degrees(12.4, 7_919, 20_000), degrees(51.5, 1_237, 19_997));
        vec![
            format!("{longitude:.4}"),
            format!("{latitude:.4}"),
            format!("place:{at:012}"),
        ]
    })?;
    add(server, &["HSET", "ten:hash"], 10, |at| {
        vec![format!("field:{at}"), VALUE.into()]
    })
}

/// Adds so many elements with this command, some at once.
fn add(
    server: &Server,
    command: &[&str],
    count: usize,
    element: impl Fn(usize) -> Vec<String>,
) -> Result<()> {
    load(server, count.div_ceil(AT_ONCE), |batch| {
        let from = batch * AT_ONCE;
        let elements = (from..count.min(from + AT_ONCE)).flat_map(&element);
        let command = command.iter().map(|&word| word.to_owned());
        command.chain(elements).collect()
    })
}
