//! How commands stand among the others, for COMMAND DOCS: which are out of use, and where they belong.

use super::described::Described;

/// Commands that Redis advises against: since which version, and what to use in their place.
const DEPRECATED: &[(&str, &str, &str)] = &[
    (
        "BRPOPLPUSH",
        "6.2.0",
        "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
    ),
    ("CLUSTER SLAVES", "5.0.0", "`CLUSTER REPLICAS`"),
    ("CLUSTER SLOTS", "7.0.0", "`CLUSTER SHARDS`"),
    (
        "GEORADIUS",
        "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
    ),
    (
        "GEORADIUSBYMEMBER",
        "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    ),
    (
        "GEORADIUSBYMEMBER_RO",
        "6.2.0",
        "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
    ),
    (
        "GEORADIUS_RO",
        "6.2.0",
        "`GEOSEARCH` with the `BYRADIUS` argument",
    ),
    ("GETSET", "6.2.0", "`SET` with the `!GET` argument"),
    ("HMSET", "4.0.0", "`HSET` with multiple field-value pairs"),
    ("PSETEX", "2.6.12", "`SET` with the `PX` argument"),
    ("QUIT", "7.2.0", "just closing the connection"),
    (
        "RPOPLPUSH",
        "6.2.0",
        "`LMOVE` with the `RIGHT` and `LEFT` arguments",
    ),
    ("SETEX", "2.6.12", "`SET` with the `EX` argument"),
    ("SETNX", "2.6.12", "`SET` with the `NX` argument"),
    ("SLAVEOF", "5.0.0", "`REPLICAOF`"),
    ("SUBSTR", "2.0.0", "`GETRANGE`"),
    ("ZRANGEBYLEX", "6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    (
        "ZRANGEBYSCORE",
        "6.2.0",
        "`ZRANGE` with the `BYSCORE` argument",
    ),
    ("ZREVRANGE", "6.2.0", "`ZRANGE` with the `REV` argument"),
    (
        "ZREVRANGEBYLEX",
        "6.2.0",
        "`ZRANGE` with the `REV` and `BYLEX` arguments",
    ),
    (
        "ZREVRANGEBYSCORE",
        "6.2.0",
        "`ZRANGE` with the `REV` and `BYSCORE` arguments",
    ),
];

/// Commands that servers send to each other, and that are for their own tests.
const OF_SYSTEM: &[&str] = &[
    "DEBUG",
    "PFDEBUG",
    "PFSELFTEST",
    "REPLCONF",
    "RESTORE-ASKING",
];

/// Commands of other families that the documentation has with those on the server.
const ON_SERVER: &[&str] = &["DBSIZE", "FLUSHALL", "FLUSHDB", "RESTORE-ASKING", "SWAPDB"];

/// Since when Redis advises against a command, and what it names in its place.
pub(super) fn deprecated(name: &str) -> Option<(&'static str, &'static str)> {
    let mut rows = DEPRECATED.iter();
    let row = rows.find(|(deprecated, ..)| *deprecated == name);
    row.map(|(_, since, replaced_by)| (*since, *replaced_by))
}

/// Whether a command is for servers, and not for clients.
pub(super) fn is_of_system(name: &str) -> bool {
    OF_SYSTEM.contains(&name)
}

/// Under which heading the documentation has a command.
pub(super) fn group(described: Described<'_>) -> &'static str {
    match ON_SERVER.contains(&described.name) {
        true => "server",
        false => described.family,
    }
}
