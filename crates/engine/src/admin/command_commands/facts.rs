//! What Redis says of commands beside what stands in their rows: flags, categories of access control,
//! and tips for clients of clusters.

use super::described::Described;
use super::specs;
#[cfg(feature = "lua")]
use crate::command::Row;
use crate::command::{Flags, KeySpec};

/// How many categories there are.
pub(super) const CATEGORIES: usize = 21;

/// Commands that may be sent while a script keeps others waiting for too long.
const ALLOW_BUSY: &[&str] = &[
    "AUTH",
    "CLIENT CAPA",
    "DISCARD",
    "FUNCTION KILL",
    "FUNCTION STATS",
    "HELLO",
    "MULTI",
    "QUIT",
    "REPLCONF",
    "RESET",
    "SCRIPT KILL",
    "SHUTDOWN",
    "UNWATCH",
    "WATCH",
];

/// Commands that touch no key, and are refused while data is loaded.
const NOT_LOADING: &[&str] = &[
    "ASKING",
    "BGREWRITEAOF",
    "BGSAVE",
    "CLUSTERSCAN",
    "EVAL",
    "EVALSHA",
    "FAILOVER",
    "FCALL",
    "FUNCTION DUMP",
    "FUNCTION KILL",
    "FUNCTION LIST",
    "FUNCTION STATS",
    "MEMORY DOCTOR",
    "MEMORY MALLOC-STATS",
    "MEMORY PURGE",
    "MEMORY STATS",
    "MODULE LIST",
    "MODULE LOAD",
    "MODULE LOADEX",
    "MODULE UNLOAD",
    "PFSELFTEST",
    "PING",
    "PSYNC",
    "REPLICAOF",
    "SAVE",
    "SCRIPT DEBUG",
    "SCRIPT EXISTS",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "SCRIPT LOAD",
    "SCRIPT SHOW",
    "SLAVEOF",
    "SYNC",
    "WAIT",
    "WAITAOF",
];

/// Those of them that a replica answers which has lost its master.
const STALE: &[&str] = &[
    "FAILOVER",
    "REPLICAOF",
    "SCRIPT LOAD",
    "SCRIPT SHOW",
    "SLAVEOF",
];

/// Those of them that are refused even while the old data is still there: all of a cluster that change
/// it, and these.
const NO_ASYNC_LOADING: &[&str] = &[
    "BGREWRITEAOF",
    "BGSAVE",
    "MODULE LOAD",
    "MODULE LOADEX",
    "MODULE UNLOAD",
    "PSYNC",
    "REPLICAOF",
    "SAVE",
    "SLAVEOF",
    "SYNC",
];

/// Subcommands of CLUSTER that are for administrators and only look, or forget what they know.
const CLUSTER_ASYNC_LOADING: &[&str] = &[
    "CLUSTER COUNT-FAILURE-REPORTS",
    "CLUSTER REPLICAS",
    "CLUSTER RESET",
    "CLUSTER SLAVES",
];

/// Commands that are for administrators, and that anybody may be answered who is allowed them.
const ADMIN: &[&str] = &["LASTSAVE", "ROLE"];

/// Commands of other families that are about the connection.
const CONNECTION: &[&str] = &["ASKING", "READONLY", "READWRITE", "WAIT", "WAITAOF"];

/// Commands that can do harm, and are not for administrators alone.
const DANGEROUS: &[&str] = &[
    "FLUSHALL",
    "FLUSHDB",
    "INFO",
    "KEYS",
    "RESTORE",
    "RESTORE-ASKING",
    "SORT",
    "SORT_RO",
    "SWAPDB",
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
            "CLUSTER BUMPEPOCH",
            "CLUSTER COUNT-FAILURE-REPORTS",
            "CLUSTER GETKEYSINSLOT",
            "CLUSTER INFO",
            "CLUSTER LINKS",
            "CLUSTER MYSHARDID",
            "CLUSTER NODES",
            "CLUSTER REPLICAS",
            "CLUSTER SHARDS",
            "CLUSTER SLAVES",
            "CLUSTER SLOTS",
            "DUMP",
            "HPTTL",
            "HRANDFIELD",
            "HSCAN",
            "HTTL",
            "LASTSAVE",
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
            "FUNCTION LIST",
            "HGETALL",
            "HKEYS",
            "HVALS",
            "MODULE LIST",
            "SDIFF",
            "SINTER",
            "SMEMBERS",
            "SUNION",
        ],
    ),
    (
        &[ALL_NODES, ALL_SUCCEEDED],
        &[
            "CLIENT SETINFO",
            "COMMANDLOG RESET",
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
        &[
            "FLUSHALL",
            "FLUSHDB",
            "FUNCTION DELETE",
            "FUNCTION FLUSH",
            "FUNCTION LOAD",
            "FUNCTION RESTORE",
            "MEMORY PURGE",
            "PING",
        ],
    ),
    (&[MULTI_SHARD], &["MGET"]),
    (&[MULTI_SHARD, ALL_SUCCEEDED], &["MSET", "MSETEX"]),
    (&[MULTI_SHARD, "response_policy:agg_min"], &["MSETNX"]),
    (
        &[ALL_NODES, NONDETERMINISTIC],
        &["COMMANDLOG GET", "SLOWLOG GET"],
    ),
    (
        &[ALL_NODES, SUM, NONDETERMINISTIC],
        &["COMMANDLOG LEN", "SLOWLOG LEN"],
    ),
    (
        &[NONDETERMINISTIC, ALL_SHARDS, SPECIAL],
        &[
            "FUNCTION STATS",
            "INFO",
            "MEMORY DOCTOR",
            "MEMORY MALLOC-STATS",
            "MEMORY STATS",
        ],
    ),
    (
        &[ALL_SHARDS, "response_policy:agg_logical_and"],
        &["SCRIPT EXISTS"],
    ),
    (
        &[ALL_SHARDS, "response_policy:one_succeeded"],
        &["FUNCTION KILL", "SCRIPT KILL"],
    ),
    (
        &[ALL_SHARDS, "response_policy:agg_min"],
        &["WAIT", "WAITAOF"],
    ),
    (&[ALL_SHARDS, UNORDERED], &["KEYS"]),
    (&[NONDETERMINISTIC, "request_policy:special"], &["SCAN"]),
    (
        &[ALL_SHARDS, NONDETERMINISTIC],
        &["CLUSTER SLOT-STATS", "RANDOMKEY"],
    ),
    (&[ALL_SHARDS, SUM], &["DBSIZE"]),
];

/// Whether a command may be sent while a script keeps others waiting for too long.
#[cfg(feature = "lua")]
pub(crate) fn may_run_beside_scripts(command: &Row) -> bool {
    ALLOW_BUSY.contains(&command.name)
}

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
        let is_of_cluster = command.container() == Some("CLUSTER");
        let is_help = command.name.ends_with(" HELP");
        let is_loading = !command.flags.touches_keys()
            && !self.is_one_of(NOT_LOADING)
            && (!is_of_cluster || is_help);
        let is_stale = is_loading || is_script || is_of_cluster || self.is_one_of(STALE);
        let changes_cluster = is_of_cluster
            && command.flags.has(Flags::ADMIN)
            && !self.is_one_of(CLUSTER_ASYNC_LOADING);
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
            (command.name == "RESTORE-ASKING", "asking"),
            (command.flags.has(Flags::FAST), "fast"),
            (command.flags.has(Flags::NO_AUTH), "no_auth"),
            (is_script, "no_mandatory_keys"),
            (
                changes_cluster || self.is_one_of(NO_ASYNC_LOADING),
                "no_async_loading",
            ),
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
        let is_admin = self.has(Flags::ADMIN) || self.is_one_of(ADMIN);
        let is_dangerous = is_admin || self.is_one_of(DANGEROUS);
        let is_command = self.name == "COMMAND" || self.name.starts_with("COMMAND ");
        let is_connection = is_of("connection") || is_command || self.is_one_of(CONNECTION);
        [
            (is_of("generic") && !is_sort && !is_connection, "@keyspace"),
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
            (is_admin, "@admin"),
            (self.has(Flags::FAST), "@fast"),
            (!self.has(Flags::FAST), "@slow"),
            (self.has(Flags::BLOCKING), "@blocking"),
            (is_dangerous, "@dangerous"),
            (is_connection, "@connection"),
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

/// The names to which what stands beside them applies.
pub(super) fn applying(marks: &[(bool, &'static str)]) -> Vec<&'static str> {
    let marks = marks.iter().filter(|(applies, _)| *applies);
    marks.map(|(_, name)| *name).collect()
}
