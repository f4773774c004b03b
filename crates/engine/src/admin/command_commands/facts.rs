//! What Redis says of commands beside what stands in their rows: flags, categories of access control,
//! and tips for clients of clusters.

use super::described::Described;
use super::specs;
use crate::command::{Flags, KeySpec};

/// How many categories there are.
pub(super) const CATEGORIES: usize = 21;

/// Commands that may be sent while a script keeps others waiting for too long.
const ALLOW_BUSY: &[&str] = &[
    "AUTH",
    "DISCARD",
    "HELLO",
    "MULTI",
    "QUIT",
    "RESET",
    "SCRIPT KILL",
    "UNWATCH",
    "WATCH",
];

/// Commands that touch no key, and are refused while data is loaded.
const NOT_LOADING: &[&str] = &[
    "EVAL",
    "EVALSHA",
    "PFSELFTEST",
    "PING",
    "SCRIPT EXISTS",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "SCRIPT LOAD",
];

/// Commands that can do harm, and are not for administrators alone.
const DANGEROUS: &[&str] = &[
    "FLUSHALL", "FLUSHDB", "INFO", "KEYS", "RESTORE", "ROLE", "SORT", "SORT_RO", "SWAPDB",
];

const ALL_NODES: &str = "request_policy:all_nodes";
const ALL_SHARDS: &str = "request_policy:all_shards";
const MULTI_SHARD: &str = "request_policy:multi_shard";
const ALL_SUCCEEDED: &str = "response_policy:all_succeeded";
const SUM: &str = "response_policy:agg_sum";
const SPECIAL: &str = "response_policy:special";
const NONDETERMINISTIC: &str = "nondeterministic_output";
const UNORDERED: &str = "nondeterministic_output_order";

/// Tips, and the commands that they are for.
const TIPS: &[(&[&str], &[&str])] = &[
    (
        &[NONDETERMINISTIC],
        &[
            "CLIENT INFO",
            "CLIENT LIST",
            "HRANDFIELD",
            "HSCAN",
            "OBJECT ENCODING",
            "OBJECT FREQ",
            "OBJECT IDLETIME",
            "OBJECT REFCOUNT",
            "PTTL",
            "SPOP",
            "SRANDMEMBER",
            "SSCAN",
            "TIME",
            "TTL",
            "XADD",
            "XAUTOCLAIM",
            "XCLAIM",
            "XINFO CONSUMERS",
            "XPENDING",
            "XTRIM",
            "ZRANDMEMBER",
            "ZSCAN",
        ],
    ),
    (
        &[UNORDERED],
        &[
            "COMMAND",
            "COMMAND DOCS",
            "COMMAND INFO",
            "COMMAND LIST",
            "HGETALL",
            "HKEYS",
            "HVALS",
            "SDIFF",
            "SINTER",
            "SMEMBERS",
            "SUNION",
        ],
    ),
    (
        &[ALL_NODES, ALL_SUCCEEDED],
        &[
            "CONFIG SET",
            "LATENCY RESET",
            "SCRIPT FLUSH",
            "SCRIPT LOAD",
            "SLOWLOG RESET",
        ],
    ),
    (
        &[NONDETERMINISTIC, ALL_NODES, SPECIAL],
        &[
            "LATENCY DOCTOR",
            "LATENCY GRAPH",
            "LATENCY HISTOGRAM",
            "LATENCY HISTORY",
            "LATENCY LATEST",
        ],
    ),
    (&[MULTI_SHARD, SUM], &["DEL", "EXISTS", "TOUCH", "UNLINK"]),
    (
        &[ALL_SHARDS, ALL_SUCCEEDED],
        &["FLUSHALL", "FLUSHDB", "PING"],
    ),
    (&[MULTI_SHARD], &["MGET"]),
    (&[MULTI_SHARD, ALL_SUCCEEDED], &["MSET"]),
    (&[MULTI_SHARD, "response_policy:agg_min"], &["MSETNX"]),
    (&[ALL_NODES, NONDETERMINISTIC], &["SLOWLOG GET"]),
    (&[ALL_NODES, SUM, NONDETERMINISTIC], &["SLOWLOG LEN"]),
    (&[NONDETERMINISTIC, ALL_SHARDS, SPECIAL], &["INFO"]),
    (
        &[ALL_SHARDS, "response_policy:agg_logical_and"],
        &["SCRIPT EXISTS"],
    ),
    (
        &[ALL_SHARDS, "response_policy:one_succeeded"],
        &["SCRIPT KILL"],
    ),
    (&[ALL_SHARDS, UNORDERED], &["KEYS"]),
    (&[NONDETERMINISTIC, "request_policy:special"], &["SCAN"]),
    (&[ALL_SHARDS, NONDETERMINISTIC], &["RANDOMKEY"]),
    (&[ALL_SHARDS, SUM], &["DBSIZE"]),
];

impl Described<'_> {
    fn has(self, flag: Flags) -> bool {
        let command = self.command;
        command.is_some_and(|command| command.flags.has(flag))
    }

    fn is_one_of(self, names: &[&str]) -> bool {
        names.contains(&self.name)
    }

    pub(super) fn keys(self) -> KeySpec {
        self.command.map_or(KeySpec::None, |command| command.keys)
    }

    /// Its flags, in Redis's words and order.
    pub(super) fn flags(self) -> Vec<&'static str> {
        let Some(command) = self.command else {
            return Vec::new();
        };
        let is_script = command.flags.has(Flags::SCRIPT);
        let is_loading = !command.flags.touches_keys() && !self.is_one_of(NOT_LOADING);
        let is_stale = is_loading || is_script || command.name == "SCRIPT LOAD";
        let marks = [
            (command.flags.has(Flags::WRITE), "write"),
            (command.flags.has(Flags::READONLY), "readonly"),
            (command.flags.has(Flags::DENY_OOM), "denyoom"),
            (command.flags.has(Flags::ADMIN), "admin"),
            (command.flags.has(Flags::PUBSUB), "pubsub"),
            (command.flags.has(Flags::NO_SCRIPT), "noscript"),
            (command.flags.has(Flags::BLOCKING), "blocking"),
            (is_loading, "loading"),
            (is_stale, "stale"),
            (is_script, "skip_monitor"),
            (command.name == "EXEC", "skip_slowlog"),
            (command.flags.has(Flags::FAST), "fast"),
            (command.flags.has(Flags::NO_AUTH), "no_auth"),
            (is_script, "no_mandatory_keys"),
            (command.flags.has(Flags::NO_MULTI), "no_multi"),
            (
                specs::are_movable(command.keys) || command.name == "SORT_RO",
                "movablekeys",
            ),
            (self.is_one_of(ALLOW_BUSY), "allow_busy"),
        ];
        applying(&marks)
    }

    /// The categories that access control lists know it by, in Redis's order.
    pub(super) fn categories(self) -> Vec<&'static str> {
        applying(&self.category_marks())
    }

    /// All categories, in Redis's order, and whether it is in them.
    pub(super) fn category_marks(self) -> [(bool, &'static str); CATEGORIES] {
        // A container is none, and of a text for people it matters only what it is about.
        let is_help = self.name.ends_with(" HELP");
        let is_of = |family: &str| self.command.is_some() && self.family == family;
        let is_sort = self.is_one_of(&["SORT", "SORT_RO"]);
        let is_script = self.has(Flags::SCRIPT);
        let is_dangerous = self.has(Flags::ADMIN) || self.is_one_of(DANGEROUS);
        let is_command = self.name == "COMMAND" || self.name.starts_with("COMMAND ");
        [
            (is_of("generic") && !is_sort, "@keyspace"),
            (self.has(Flags::READONLY) && !is_script, "@read"),
            (self.has(Flags::WRITE), "@write"),
            (is_of("set") || is_sort, "@set"),
            (is_of("sorted-set") || is_sort, "@sortedset"),
            (is_of("list") || is_sort, "@list"),
            (is_of("hash"), "@hash"),
            (is_of("string"), "@string"),
            (is_of("bitmap"), "@bitmap"),
            (is_of("hyperloglog"), "@hyperloglog"),
            (is_of("geo"), "@geo"),
            (is_of("stream"), "@stream"),
            (is_of("pubsub") && !is_help, "@pubsub"),
            (self.has(Flags::ADMIN), "@admin"),
            (self.has(Flags::FAST), "@fast"),
            (!self.has(Flags::FAST), "@slow"),
            (self.has(Flags::BLOCKING), "@blocking"),
            (is_dangerous, "@dangerous"),
            (is_of("connection") || is_command, "@connection"),
            (is_of("transactions"), "@transaction"),
            (is_of("scripting"), "@scripting"),
        ]
    }

    /// Hints for clients of clusters.
    pub(super) fn tips(self) -> &'static [&'static str] {
        let mut tips = TIPS.iter();
        let found = tips.find(|(_, names)| self.is_one_of(names));
        found.map_or(&[], |(tips, _)| tips)
    }
}

fn applying(marks: &[(bool, &'static str)]) -> Vec<&'static str> {
    let marks = marks.iter().filter(|(applies, _)| *applies);
    marks.map(|(_, name)| *name).collect()
}
