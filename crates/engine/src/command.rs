//! What a command is: a row of a table, and the function that the row names.
//!
//! Lookup, arity, permission and key checks, `COMMAND INFO` and `COMMAND DOCS`, cluster slots,
//! COMMANDS.md and the differential tests are all derived from the row.

use std::sync::Arc;

use larder_resp::Arguments;
pub use larder_store::shape::{Arity, Flags, KeySpec};

use crate::args::Args;
use crate::engine::{Engine, Now};
use crate::error::Result;
use crate::keyspace::Keyspace;
use crate::keyspace::waiting::Wait;
use crate::observe::Occasion;
use crate::reply::Reply;
use crate::session::Session;

/// A command that clients can send.
///
/// A row whose name has two words is a subcommand: `XGROUP CREATE`.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name in capitals.
    pub name: &'static str,
    pub(crate) run: fn(&mut Call<'_, '_>) -> Result<()>,
    /// How many words a request has, the name included.
    pub arity: Arity,
    /// Where its keys are.
    pub keys: KeySpec,
    /// What it may do, and where it may run.
    pub flags: Flags,
    /// Its arguments, as the documentation of Redis writes them.
    pub syntax: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// The time it takes.
    pub complexity: &'static str,
    /// The version of Redis that had it first.
    pub since: &'static str,
}

/// Flags that follow from what else a row says, and that only the engine knows.
pub(crate) mod derived {
    use super::Flags;

    /// It may change what its connection is in the middle of: of those that touch no key, but for a few.
    pub(crate) const CONNECTION: Flags = Flags::reserved(0);
    /// The word behind a number behind its key names a member of the key's value.
    pub(crate) const PART_THIRD: Flags = Flags::reserved(1);
    /// The word behind its key names a field or a member of the key's value.
    pub(crate) const PART_SECOND: Flags = Flags::reserved(2);
    /// The keys that it looks up count as hits and misses: of those that read, and of some that write.
    pub(crate) const COUNTED: Flags = Flags::reserved(3);
    /// Its time depends on the number of its words, and hardly on what its keys hold: of those that are
    /// fast, and of those whose row says so.
    pub(crate) const STEADY: Flags = Flags::reserved(4);
}

impl Row {
    /// The row with the flags that follow from what else it says.
    pub(crate) const fn with_derived_flags(mut self) -> Row {
        if self.flags.has(Flags::FAST)
            || is(self.complexity, "O(1)")
            || is_one_of(self.name, STEADY)
        {
            self.flags = self.flags.and(derived::STEADY);
        }
        if self.flags.has(Flags::READONLY) || is_one_of(self.name, COUNTED_WRITES) {
            self.flags = self.flags.and(derived::COUNTED);
        }
        if !self.flags.touches_keys() && !is_one_of(self.name, STATELESS) {
            self.flags = self.flags.and(derived::CONNECTION);
        }
        if is_one_of(self.name, PART_SECOND) {
            self.flags = self.flags.and(derived::PART_SECOND);
        }
        if is_one_of(self.name, PART_THIRD) {
            self.flags = self.flags.and(derived::PART_THIRD);
        }
        self
    }

    /// The first word of the name: the container of a subcommand.
    pub fn container(&self) -> Option<&'static str> {
        self.name.split_once(' ').map(|(container, _)| container)
    }

    /// The name as Redis writes it in messages: `xgroup|create`.
    pub fn full_name(&self) -> String {
        self.name.to_ascii_lowercase().replace(' ', "|")
    }

    /// The place of the first word after the name.
    pub(crate) fn first(&self) -> usize {
        match self.container() {
            Some(_) => 2,
            None => 1,
        }
    }

    /// The words of a request of this command that stand behind its name.
    #[inline]
    pub(crate) fn args<'a>(&self, request: Arguments<'a>) -> Args<'a> {
        Args::new(request, self.first_of(request))
    }

    /// The place of the first of them: the first word is the name, or else a part of it.
    #[inline]
    fn first_of(&self, request: Arguments<'_>) -> usize {
        let word = request.get(0).unwrap_or_default();
        if word.len() == self.name.len() {
            return 1;
        }
        behind_two_words()
    }

    /// The first key of a request of this command, if it has any.
    #[inline]
    pub(crate) fn first_key<'a>(&self, request: Arguments<'a>) -> Option<&'a [u8]> {
        self.keys.first_key(request, self.first_of(request))
    }

    /// The first field or member that a request of this command looks for in the value of its key,
    /// most likely: there may be an option in its place.
    #[inline]
    pub(crate) fn first_part<'a>(&self, request: Arguments<'a>) -> Option<&'a [u8]> {
        match self.flags {
            flags if flags.has(derived::PART_SECOND) => request.get(2),
            flags if flags.has(derived::PART_THIRD) => request.get(3),
            _ => None,
        }
    }

    /// Calls `visit` with each key of a request of this command.
    pub(crate) fn each_key<'a>(&self, arguments: Arguments<'a>, visit: impl FnMut(&'a [u8])) {
        self.keys.each(arguments, self.first_of(arguments), visit);
    }

    /// Whether a request of this command, if that reads, can have read its keys.
    pub(crate) fn can_read(&self, arguments: Arguments<'_>) -> bool {
        self.keys.can_be_read(arguments, self.first_of(arguments))
    }
}

/// Commands that take time for each word, and hardly for what the keys hold, and that Redis does not
/// call fast.
const STEADY: &[&str] = &["DEL", "MSET", "MSETNX"];

/// Commands that touch no key and leave their connection as it is.
const STATELESS: &[&str] = &["ECHO", "PING", "PUBLISH", "SPUBLISH", "TIME"];

/// Commands whose words are a key, and a field or a member of its value.
const PART_SECOND: &[&str] = &[
    "HDEL",
    "HEXISTS",
    "HGET",
    "HINCRBY",
    "HINCRBYFLOAT",
    "HMGET",
    "HMSET",
    "HSET",
    "HSETNX",
    "HSTRLEN",
    "SADD",
    "SISMEMBER",
    "SMISMEMBER",
    "SREM",
    "ZMSCORE",
    "ZRANK",
    "ZREM",
    "ZREVRANK",
    "ZSCORE",
];

/// Commands whose words are a key, a score, and a member of its value.
const PART_THIRD: &[&str] = &["ZADD", "ZINCRBY"];

/// Commands that write, and look keys up as those do that read.
const COUNTED_WRITES: &[&str] = &[
    "BITFIELD",
    "BITOP",
    "COPY",
    "GEORADIUS",
    "GEORADIUSBYMEMBER",
    "GEOSEARCHSTORE",
    "GETDEL",
    "GETEX",
    "GETSET",
    "PFMERGE",
    "SDIFFSTORE",
    "SET",
    "SINTERSTORE",
    "SORT",
    "SUNIONSTORE",
    "XACK",
    "XAUTOCLAIM",
    "XCLAIM",
    "XREADGROUP",
    "ZDIFFSTORE",
    "ZINTERSTORE",
    "ZRANGESTORE",
    "ZUNIONSTORE",
];

const fn is_one_of(text: &str, texts: &[&str]) -> bool {
    let mut at = 0;
    while at < texts.len() && !is(text, texts[at]) {
        at += 1;
    }
    at < texts.len()
}

/// Whether two texts are the same, where constants are made.
pub(crate) const fn is(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// A function of its own, so that [`Row::first_of`] is a branch: the processor goes on with the
/// key of a request while it still looks for the row.
#[cold]
#[inline(never)]
fn behind_two_words() -> usize {
    2
}

/// A command that is being run.
///
/// `'e` is the engine's life, `'a` this call's.
pub(crate) struct Call<'a, 'e> {
    pub(crate) engine: &'e Arc<Engine>,
    pub(crate) session: &'a mut Session,
    /// The row that is run.
    pub(crate) command: &'static Row,
    /// The words after the command's name, read from the front.
    pub(crate) args: Args<'a>,
    /// The keys that this call holds.
    pub(crate) keyspace: &'a mut Keyspace<'e>,
    /// Where the answer goes.
    pub(crate) reply: &'a mut dyn Reply,
    /// Set by a command that found nothing and wants to wait.
    pub(crate) wait: Option<Box<Wait>>,
    /// Why it is run.
    pub(crate) occasion: Occasion,
    /// Whether the refusal that it answers is that of a command which it ran, and has been counted
    /// as such.
    pub(crate) is_passed_on: bool,
}

impl Call<'_, '_> {
    /// The time of the call.
    pub(crate) fn now(&self) -> Now {
        self.keyspace.now()
    }

    /// The next word, as the milliseconds that the caller waits from now on, in microseconds; 0 is for
    /// ever.
    pub(crate) fn timeout_ms(&mut self) -> Result<Option<u64>> {
        self.args.timeout_ms(self.keyspace.now())
    }

    /// The next word, as the seconds that the caller waits from now on, in microseconds; 0 is for
    /// ever.
    pub(crate) fn timeout_s(&mut self) -> Result<Option<u64>> {
        self.args.timeout_s(self.keyspace.now())
    }

    /// Whether the caller can wait at all: not in a transaction or a script.
    pub(crate) fn may_wait(&self) -> bool {
        self.occasion != Occasion::Part
    }

    /// The whole request, name first.
    pub(crate) fn request(&self) -> Arguments<'_> {
        self.args.whole()
    }
}
