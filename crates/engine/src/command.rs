//! What a command is: a row of a table, and the function that the row names.
//!
//! Lookup, arity, permission and key checks, `COMMAND INFO` and `COMMAND DOCS`, cluster slots,
//! COMMANDS.md and the differential tests are all derived from the row.

use std::sync::Arc;

use larder_resp::Arguments;

use crate::args::{Args, parse_int};
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
    pub keys: Keys,
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

/// How many words a request has, the command's name included (both words of a subcommand).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// So many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
}

impl Arity {
    /// Whether a request of `len` words is long enough and not too long.
    pub fn allows(self, len: usize) -> bool {
        match self {
            Arity::Exactly(wanted) => len == wanted,
            Arity::AtLeast(least) => len >= least,
        }
    }

    /// The arity as `COMMAND INFO` gives it: negative where there may be more.
    pub fn as_redis(self) -> i64 {
        match self {
            Arity::Exactly(wanted) => wanted as i64,
            Arity::AtLeast(least) => -(least as i64),
        }
    }
}

/// Where the keys stand among the words of a request. The name is word 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It has none.
    None,
    /// The word after the name, or after the subcommand's name.
    First,
    /// The first two words after the name.
    FirstTwo,
    /// All words after the name.
    All,
    /// Every second word after the name: `MSET`.
    EveryOther,
    /// All words after the name but the last: `BLPOP`.
    AllButLast,
    /// So many words after a count, which stands at this word: `EVAL`, `ZUNION`.
    Counted(usize),
    /// The first word after the name, and so many words after a count, which stands at this word:
    /// `ZUNIONSTORE`.
    FirstAndCounted(usize),
    /// The first half of the words after the word `STREAMS`: `XREAD`.
    Streams,
    /// The first word after the name, and the word after the option `STORE`: `SORT`.
    FirstAndStore,
}

impl Keys {
    /// Calls `visit` with each key of the request. A count that is no number, or too large, gives
    /// no keys: the command itself will refuse it.
    ///
    /// `first` is the place of the first word after the command's name.
    pub(crate) fn each<'a>(
        self,
        arguments: Arguments<'a>,
        first: usize,
        mut visit: impl FnMut(&'a [u8]),
    ) {
        if self == Keys::First {
            return arguments.get(first).into_iter().for_each(visit);
        }
        let len = arguments.len();
        let counted = |at: usize| -> std::ops::Range<usize> {
            let count = arguments.get(at).and_then(parse_int).unwrap_or(0);
            let count = usize::try_from(count).unwrap_or(0);
            match at + 1 + count <= len {
                true => at + 1..at + 1 + count,
                false => 0..0,
            }
        };
        let mut visit_all = |places: &mut dyn Iterator<Item = usize>| {
            places
                .filter_map(|place| arguments.get(place))
                .for_each(&mut visit);
        };
        match self {
            Keys::None | Keys::First => {}
            Keys::FirstTwo => visit_all(&mut (first..first + 2)),
            Keys::All => visit_all(&mut (first..len)),
            Keys::EveryOther => visit_all(&mut (first..len).step_by(2)),
            Keys::AllButLast => visit_all(&mut (first..len.saturating_sub(1))),
            Keys::Counted(at) => visit_all(&mut counted(at)),
            Keys::FirstAndCounted(at) => {
                visit_all(&mut (first..first + 1));
                visit_all(&mut counted(at));
            }
            Keys::Streams => {
                if let Some(at) = place_of_streams(arguments, first) {
                    let half = (len - at - 1) / 2;
                    visit_all(&mut (at + 1..at + 1 + half));
                }
            }
            Keys::FirstAndStore => {
                let store = place_of_store(arguments, first + 1);
                visit_all(&mut (first..first + 1).chain(store));
            }
        }
    }
}

/// The place of the word `STREAMS`, which a group or a consumer may have for its name too.
fn place_of_streams(arguments: Arguments<'_>, first: usize) -> Option<usize> {
    let mut at = first;
    loop {
        let word = arguments.get(at)?;
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        at += match () {
            () if is("STREAMS") => return Some(at),
            () if is("GROUP") => 3,
            () if is("COUNT") || is("BLOCK") => 2,
            () => 1,
        };
    }
}

/// The place of the word behind the last `STORE` that is an option, from a place on: the words of
/// other options may be `STORE` too.
fn place_of_store(arguments: Arguments<'_>, from: usize) -> Option<usize> {
    let (mut at, mut store) = (from, None);
    while let Some(word) = arguments.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let left = arguments.len() - at - 1;
        at += match () {
            () if is("LIMIT") && left >= 2 => 3,
            () if is("STORE") && left >= 1 => {
                store = Some(at + 1);
                2
            }
            () if (is("BY") || is("GET")) && left >= 1 => 2,
            () => 1,
        };
    }
    store
}

/// What a command may do, and where it may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Nothing in particular.
    pub const NONE: Flags = Flags(0);
    /// It may change keys.
    pub const WRITE: Flags = Flags(1);
    /// It reads keys and changes none.
    pub const READONLY: Flags = Flags(1 << 1);
    /// It is refused when memory is short.
    pub const DENY_OOM: Flags = Flags(1 << 2);
    /// It takes constant or logarithmic time.
    pub const FAST: Flags = Flags(1 << 3);
    /// It may wait.
    pub const BLOCKING: Flags = Flags(1 << 4);
    /// Scripts may not call it.
    pub const NO_SCRIPT: Flags = Flags(1 << 5);
    /// It may not stand in a transaction.
    pub const NO_MULTI: Flags = Flags(1 << 6);
    /// It is run at once inside a transaction, not queued.
    pub const UNQUEUED: Flags = Flags(1 << 7);
    /// It is allowed before authentication.
    pub const NO_AUTH: Flags = Flags(1 << 8);
    /// It is for administrators.
    pub const ADMIN: Flags = Flags(1 << 9);
    /// It has to do with messages.
    pub const PUBSUB: Flags = Flags(1 << 10);
    /// A RESP2 connection that is subscribed may send it.
    pub const SUBSCRIBED: Flags = Flags(1 << 11);
    /// It works on the whole keyspace, and so holds every shard.
    pub const WHOLE: Flags = Flags(1 << 12);
    /// It runs a script.
    pub const SCRIPT: Flags = Flags(1 << 13);
    /// It changes no key, and has an effect outside the connection all the same.
    pub const MAY_REPLICATE: Flags = Flags(1 << 14);

    /// Of those that work on the whole keyspace: it takes one shard after the other, and sees each as
    /// it is then. In a transaction it holds all.
    pub const SHARDWISE: Flags = Flags(1 << 15);

    /// Its time depends on the number of its words, and hardly on what its keys hold: of those that
    /// are fast, and of those whose row says so. Derived.
    pub(crate) const STEADY: Flags = Flags(1 << 31);
    /// It may change what its connection is in the middle of: of those that touch no key, but for a few.
    /// Derived.
    pub(crate) const CONNECTION: Flags = Flags(1 << 27);
    /// The word behind its key names a field or a member of the key's value. Derived.
    pub(crate) const PART_SECOND: Flags = Flags(1 << 29);
    /// The word behind a number behind its key does. Derived.
    pub(crate) const PART_THIRD: Flags = Flags(1 << 28);
    /// The keys that it looks up count as hits and misses: of those that read, and of some that
    /// write. Derived.
    pub(crate) const COUNTED: Flags = Flags(1 << 30);

    /// These flags and those.
    #[must_use]
    pub const fn and(self, more: Flags) -> Flags {
        Flags(self.0 | more.0)
    }

    /// Whether all of `wanted` are among these.
    pub const fn has(self, wanted: Flags) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Whether it reads or changes keys.
    pub(crate) const fn touches_keys(self) -> bool {
        self.0 & (Flags::WRITE.0 | Flags::READONLY.0) != 0
    }
}

impl Row {
    /// The row with the flags that follow from what else it says.
    pub(crate) const fn with_derived_flags(mut self) -> Row {
        if self.flags.has(Flags::FAST)
            || is(self.complexity, "O(1)")
            || is_one_of(self.name, STEADY)
        {
            self.flags = self.flags.and(Flags::STEADY);
        }
        if self.flags.has(Flags::READONLY) || is_one_of(self.name, COUNTED_WRITES) {
            self.flags = self.flags.and(Flags::COUNTED);
        }
        if !self.flags.touches_keys() && !is_one_of(self.name, STATELESS) {
            self.flags = self.flags.and(Flags::CONNECTION);
        }
        if is_one_of(self.name, PART_SECOND) {
            self.flags = self.flags.and(Flags::PART_SECOND);
        }
        if is_one_of(self.name, PART_THIRD) {
            self.flags = self.flags.and(Flags::PART_THIRD);
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
        match self.keys {
            Keys::None => None,
            Keys::Counted(at) => {
                let count = request.get(at).and_then(parse_int)?;
                request.get(at + 1).filter(|_| count > 0)
            }
            Keys::Streams => {
                let mut first = None;
                self.each_key(request, |key| first = first.or(Some(key)));
                first
            }
            _ => request.get(self.first_of(request)),
        }
    }

    /// The first field or member that a request of this command looks for in the value of its key,
    /// most likely: there may be an option in its place.
    #[inline]
    pub(crate) fn first_part<'a>(&self, request: Arguments<'a>) -> Option<&'a [u8]> {
        match self.flags {
            flags if flags.has(Flags::PART_SECOND) => request.get(2),
            flags if flags.has(Flags::PART_THIRD) => request.get(3),
            _ => None,
        }
    }

    /// Calls `visit` with each key of a request of this command.
    pub(crate) fn each_key<'a>(&self, arguments: Arguments<'a>, visit: impl FnMut(&'a [u8])) {
        self.keys.each(arguments, self.first_of(arguments), visit);
    }
}

/// Commands that take time for each word, and hardly for what the keys hold, and that Redis does not
/// call fast.
const STEADY: &[&str] = &["DEL", "MSET", "MSETNX"];

/// Commands that touch no key and leave their connection as it is.
const STATELESS: &[&str] = &["ECHO", "PING", "PUBLISH", "TIME"];

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
    "BITOP",
    "COPY",
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

    /// Whether the caller can wait at all: not in a transaction or a script.
    pub(crate) fn may_wait(&self) -> bool {
        self.occasion != Occasion::Part
    }

    /// The whole request, name first.
    pub(crate) fn request(&self) -> Arguments<'_> {
        self.args.whole()
    }
}
