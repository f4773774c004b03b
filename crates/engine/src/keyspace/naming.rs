//! What changes are called as events: after their command, and after what happened.
//!
//! The row of a command gives the class, by its family, and the name, which most often is that of the
//! command. The exceptions stand here, a line each.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::events::Classes;
use crate::command::Row;
use crate::commands;

/// What is published of a change.
#[derive(Clone, Copy)]
pub(super) struct Event<'n> {
    pub(super) class: Classes,
    pub(super) name: &'n str,
}

pub(super) const NEW: Event<'static> = Event {
    class: Classes::NEW,
    name: "new",
};
pub(super) const KEY_MISS: Event<'static> = Event {
    class: Classes::KEY_MISS,
    name: "keymiss",
};
pub(super) const DEL: Event<'static> = Event::generic("del");
pub(super) const EXPIRE: Event<'static> = Event::generic("expire");
pub(super) const PERSIST: Event<'static> = Event::generic("persist");
pub(super) const EXPIRED: Event<'static> = Event {
    class: Classes::EXPIRED,
    name: "expired",
};
pub(super) const FIELDS_EXPIRED: Event<'static> = Event {
    class: Classes::HASH,
    name: "hexpired",
};
pub(super) const EVICTED: Event<'static> = Event {
    class: Classes::EVICTED,
    name: "evicted",
};

impl Event<'_> {
    const fn generic(name: &'static str) -> Event<'static> {
        let class = Classes::GENERIC;
        Event { class, name }
    }
}

/// What the changes of a command are called, most often after the command itself.
pub(super) struct Naming {
    pub(super) class: Classes,
    /// When a key is written; nothing if the command tells of that by itself.
    pub(super) written: Option<String>,
    /// When a key is removed.
    pub(super) removed: Event<'static>,
    /// Whether the command tells of its changes when all of them have been made.
    pub(super) is_late: bool,
    pub(super) missed: Missed,
}

/// Of which keys of a command it is told that they were missing, though it does not count them as
/// looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    None,
    First,
    All,
    AllButFirst,
}

/// What a write is called where that is not the name of the command.
const WRITTEN: &[(&str, &str)] = &[
    ("SETNX", "set"),
    ("SETEX", "set"),
    ("PSETEX", "set"),
    ("GETSET", "set"),
    ("MSET", "set"),
    ("MSETNX", "set"),
    ("BITOP", "set"),
    ("PFMERGE", "pfadd"),
    ("MSETEX", "set"),
    ("GCRA", "set"),
    ("INCR", "incrby"),
    ("DECR", "incrby"),
    ("DECRBY", "incrby"),
    ("LPUSHX", "lpush"),
    ("RPUSHX", "rpush"),
    ("BLPOP", "lpop"),
    ("BRPOP", "rpop"),
    ("HMSET", "hset"),
    ("HSETNX", "hset"),
    ("ZINCRBY", "zincr"),
    ("GEOADD", "zadd"),
    ("GEORADIUS", "georadiusstore"),
    ("GEORADIUSBYMEMBER", "georadiusstore"),
    ("BZPOPMIN", "zpopmin"),
    ("BZPOPMAX", "zpopmax"),
    ("RENAME", "rename_to"),
    ("RENAMENX", "rename_to"),
    ("MOVE", "move_to"),
    ("COPY", "copy_to"),
    ("SORT", "sortstore"),
    ("RESTORE-ASKING", "restore"),
];

/// Commands that take a key away to give its value to another: what the removal is called.
const MOVED: &[(&str, &str)] = &[
    ("RENAME", "rename_from"),
    ("RENAMENX", "rename_from"),
    ("MOVE", "move_from"),
];

/// Commands whose writes are no event, but for those that they name.
const SILENT: &[&str] = &[
    "BITFIELD",
    "DEBUG",
    "PFADD",
    "PFCOUNT",
    "XREADGROUP",
    "XCLAIM",
    "XAUTOCLAIM",
    "XACK",
    "XNACK",
    "XCFGSET",
];

/// Commands that look keys up without counting that.
const MISSED: &[(&str, Missed)] = &[
    ("EXISTS", Missed::All),
    ("TOUCH", Missed::All),
    ("TYPE", Missed::First),
    ("TTL", Missed::First),
    ("PTTL", Missed::First),
    ("EXPIRETIME", Missed::First),
    ("PEXPIRETIME", Missed::First),
    ("GETSET", Missed::First),
    ("GETDEL", Missed::First),
    ("GETEX", Missed::First),
    ("BITOP", Missed::AllButFirst),
    ("PFMERGE", Missed::All),
    ("COPY", Missed::First),
    ("GEORADIUS", Missed::First),
    ("GEORADIUSBYMEMBER", Missed::First),
    ("GEOSEARCHSTORE", Missed::AllButFirst),
    ("SORT", Missed::First),
    ("SINTERSTORE", Missed::AllButFirst),
    ("SUNIONSTORE", Missed::AllButFirst),
    ("SDIFFSTORE", Missed::AllButFirst),
    ("ZINTERSTORE", Missed::AllButFirst),
    ("ZUNIONSTORE", Missed::AllButFirst),
    ("ZDIFFSTORE", Missed::AllButFirst),
    ("ZRANGESTORE", Missed::AllButFirst),
];

fn look_up<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    let row = table.iter().find(|(candidate, _)| *candidate == name)?;
    Some(row.1)
}

impl Naming {
    fn new(family: &str, command: &Row) -> Naming {
        let name = command.name;
        let class = match family {
            _ if name == "SORT" => Classes::LIST,
            "string" | "bitmap" | "hyperloglog" => Classes::STRING,
            "list" => Classes::LIST,
            "hash" => Classes::HASH,
            "set" => Classes::SET,
            "sorted-set" | "geo" => Classes::SORTED_SET,
            "stream" => Classes::STREAM,
            _ => Classes::GENERIC,
        };
        let own = || name.to_ascii_lowercase().replace(' ', "-");
        let written = look_up(WRITTEN, name).map_or_else(own, str::to_owned);
        let moved = look_up(MOVED, name);
        Naming {
            class,
            written: Some(written).filter(|_| !SILENT.contains(&name)),
            removed: moved.map_or(DEL, Event::generic),
            is_late: moved.is_some(),
            missed: look_up(MISSED, name).unwrap_or(Missed::None),
        }
    }

    /// That of a command.
    pub(super) fn of(command: &Row) -> &'static Naming {
        static NAMINGS: OnceLock<HashMap<&'static str, Naming>> = OnceLock::new();
        let namings = NAMINGS.get_or_init(|| {
            let rows = commands();
            rows.map(|(family, row)| (row.name, Naming::new(family, row)))
                .collect()
        });
        namings.get(command.name).expect("every command has a row")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_is_about_a_command_that_there_is() {
        let written = WRITTEN.iter().chain(MOVED).map(|(name, _)| *name);
        let missed = MISSED.iter().map(|(name, _)| *name);
        for name in written.chain(missed).chain(SILENT.iter().copied()) {
            assert!(
                commands().any(|(_, row)| row.name == name),
                "{name} is no command"
            );
        }
    }
}
