//! What commands do with their keys, in Redis's words: for COMMAND INFO, COMMAND GETKEYSANDFLAGS, and
//! whoever has to know whether a key is read or written.
//!
//! A row of [`ACCESS`] names the commands whose keys are not used as the flags of their rows suggest.

use larder_resp::Arguments;

use crate::command::{Flags, Row};

/// What a command does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It says something about the key, and nothing of what it holds.
    Look,
    /// It answers, or uses, what the key holds.
    Read,
    /// It answers what the key holds, and may write down there what it has found out.
    Note,
    /// It changes what the key holds, and tells nothing of it.
    Update,
    /// It changes what the key holds, and tells of it.
    Change,
    /// It adds to what the key holds.
    Insert,
    /// It adds to what the key holds, and looks at that.
    Merge,
    /// It takes away from what the key holds.
    Delete,
    /// It takes away from what the key holds, and tells what.
    Take,
    /// It gives the key another value, whatever it held.
    Overwrite,
    /// It gives the key a value if it has none.
    Create,
    /// It removes the key.
    Remove,
    /// What stands there is no key, and lies where a key of this name would: the channel of a shard.
    NotKey,
}

use Access::{
    Change, Create, Delete, Insert, Look, Merge, NotKey, Note, Overwrite, Read, Remove, Take,
    Update,
};

impl Access {
    /// In Redis's words: first how the key is touched, then what is done with its value.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Look => &["RO"],
            Read => &["RO", "access"],
            Note => &["RW", "access"],
            Update => &["RW", "update"],
            Change => &["RW", "access", "update"],
            Insert => &["RW", "insert"],
            Merge => &["RW", "access", "insert"],
            Delete => &["RW", "delete"],
            Take => &["RW", "access", "delete"],
            Overwrite => &["OW", "update"],
            Create => &["OW", "insert"],
            Remove => &["RM", "delete"],
            NotKey => &["not_key"],
        }
    }

    /// Whether who may not read the key may not do this.
    pub fn reads(self) -> bool {
        self.names().contains(&"access")
    }

    /// Whether who may not write the key may not do this.
    pub fn writes(self) -> bool {
        !matches!(self, Look | Read | Note | NotKey)
    }
}

/// What commands do with their first key, and with those behind it if that is something else.
const ACCESS: &[(&[Access], &[&str])] = &[
    (
        &[Look],
        &[
            "EXISTS",
            "HEXISTS",
            "HLEN",
            "HSTRLEN",
            "LLEN",
            "MEMORY USAGE",
            "OBJECT ENCODING",
            "OBJECT FREQ",
            "OBJECT IDLETIME",
            "OBJECT REFCOUNT",
            "SCARD",
            "SISMEMBER",
            "STRLEN",
            "TOUCH",
            "TYPE",
            "WATCH",
            "XLEN",
            "ZCARD",
        ],
    ),
    (&[Read], &["XREADGROUP"]),
    (&[Note], &["PFCOUNT"]),
    (&[Merge, Read], &["PFMERGE"]),
    (
        &[Update],
        &[
            "EXPIRE",
            "EXPIREAT",
            "HEXPIRE",
            "HEXPIREAT",
            "HMSET",
            "HPERSIST",
            "HPEXPIRE",
            "HPEXPIREAT",
            "HSET",
            "HSETEX",
            "LSET",
            "PERSIST",
            "PEXPIRE",
            "PEXPIREAT",
            "SETRANGE",
            "XACK",
            "XADD",
            "XCLAIM",
            "XGROUP SETID",
            "XSETID",
            "ZADD",
            "GEOADD",
        ],
    ),
    (
        &[Insert],
        &[
            "APPEND",
            "HSETNX",
            "LINSERT",
            "LPUSH",
            "LPUSHX",
            "PFADD",
            "RPUSH",
            "RPUSHX",
            "SADD",
            "XGROUP CREATE",
            "XGROUP CREATECONSUMER",
        ],
    ),
    (
        &[Delete],
        &[
            "HDEL",
            "LREM",
            "LTRIM",
            "SREM",
            "XAUTOCLAIM",
            "XDEL",
            "XGROUP DELCONSUMER",
            "XGROUP DESTROY",
            "XTRIM",
            "ZREM",
            "ZREMRANGEBYLEX",
            "ZREMRANGEBYRANK",
            "ZREMRANGEBYSCORE",
        ],
    ),
    (
        &[Take],
        &[
            "BLMPOP", "BLPOP", "BRPOP", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "GETDEL", "HGETDEL",
            "LMPOP", "LPOP", "RPOP", "SPOP", "ZMPOP", "ZPOPMAX", "ZPOPMIN",
        ],
    ),
    (
        &[Overwrite],
        &[
            "MSET",
            "MSETEX",
            "PSETEX",
            "RESTORE",
            "RESTORE-ASKING",
            "SETEX",
        ],
    ),
    (&[Create], &["MSETNX", "SETNX"]),
    (&[Remove], &["DEL", "DELIFEQ", "UNLINK"]),
    (&[NotKey], &["SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE"]),
    (
        &[Take, Insert],
        &["BLMOVE", "BRPOPLPUSH", "LMOVE", "RPOPLPUSH", "SMOVE"],
    ),
    (&[Take, Overwrite], &["RENAME"]),
    (&[Take, Create], &["RENAMENX"]),
    (
        &[Read, Overwrite],
        &["COPY", "GEORADIUS", "GEORADIUSBYMEMBER", "SORT"],
    ),
    (
        &[Overwrite, Read],
        &[
            "BITOP",
            "GEOSEARCHSTORE",
            "SDIFFSTORE",
            "SUNIONSTORE",
            "ZDIFFSTORE",
            "ZINTERSTORE",
            "ZRANGESTORE",
            "ZUNIONSTORE",
        ],
    ),
    (&[Update, Read], &["SINTERSTORE"]),
];

impl Row {
    /// What it does with its first key, and with those behind it if that is something else. A command
    /// that is not in the table reads what it does not write, and may do anything with what it does.
    pub(crate) fn accesses(&self) -> &'static [Access] {
        let mut rows = ACCESS.iter();
        match rows.find(|(_, names)| names.contains(&self.name)) {
            Some((accesses, _)) => accesses,
            None if self.flags.has(Flags::READONLY) => &[Read],
            None => &[Change],
        }
    }

    /// Calls `visit` with each key of a request of this command, and with what is done with it.
    pub(crate) fn each_access<'a>(
        &self,
        request: Arguments<'a>,
        mut visit: impl FnMut(&'a [u8], Access),
    ) {
        let accesses = self.accesses();
        let special = self.special_access(request);
        let mut nth = 0;
        self.each_key(request, |key| {
            let usual = accesses[nth.min(accesses.len() - 1)];
            nth += 1;
            visit(key, special.unwrap_or(usual));
        });
    }

    /// What this request does with its key, where that is less than what the command may do.
    fn special_access(&self, request: Arguments<'_>) -> Option<Access> {
        match self.name {
            "SET" => {
                let mut options = request.iter().skip(3);
                let gets = options.any(|word| word.eq_ignore_ascii_case(b"GET"));
                (!gets).then_some(Overwrite)
            }
            "BITFIELD" => only_gets(request).then_some(Read),
            _ => None,
        }
    }
}

/// Whether a BITFIELD has no operations but GET.
fn only_gets(request: Arguments<'_>) -> bool {
    let mut words = request.slice(request.len().min(2)..).iter();
    while let Some(word) = words.next() {
        let operands = match word.to_ascii_uppercase().as_slice() {
            b"GET" => 2,
            b"OVERFLOW" => 1,
            _ => return false,
        };
        if words.by_ref().take(operands).count() < operands {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::KeySpec;
    use crate::commands;

    #[test]
    fn every_command_of_the_table_stands_there_once() {
        let mut names: Vec<&str> = ACCESS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        let len = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), len);
    }

    #[test]
    fn what_only_reads_has_keys_that_are_not_written() {
        for (_, command) in commands().filter(|(_, command)| command.keys != KeySpec::None) {
            let may_write = command.accesses().iter().any(|access| access.writes());
            let is_script = command.flags.has(Flags::SCRIPT);
            let is_write = command.flags.has(Flags::WRITE);
            let is_readonly = command.flags.has(Flags::READONLY);
            assert!(
                is_script || may_write == is_write || command.name == "XREADGROUP",
                "{}",
                command.name
            );
            assert!(!(is_readonly && may_write), "{}", command.name);
        }
    }
}
