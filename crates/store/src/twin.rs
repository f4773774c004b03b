//! Twins: scripts that run as Rust where the data lies in the process.
//!
//! A [`Script`](crate::Script) is Lua, which every store can run. Beside its text it may have a twin, the same
//! program in Rust. A store inside the process runs that instead: as one step that nothing
//! interrupts, on the same keys, with the same effects, and without Lua.
//!
//! ```text
//! ScriptCall::run ─┬─ Backend::native ── Native::run ── the twin ── Step ── the engine's keys
//!                  └─ none: EVALSHA, as on a server
//! ```
//!
//! Who can tell the difference is who reads the text of a refusal: Lua adds where in the script it
//! came about. A refusal, or a panic, in the middle leaves what was done before it, in both.

use std::time::Duration;

use bytes::Bytes;
use larder_resp::Arguments;

use crate::{Answer, ByName, Command, Error, FromValue, Key, Refusal, ToArgument, Value};

/// A script in Rust. It works on the keys that it was called with, and on no others.
///
/// It answers as the script does: nested [`Value`]s of integers, byte strings, arrays and nothing.
pub type Twin = fn(&mut Step<'_>, &[Key], Words<'_>) -> Result<Value, Refusal>;

/// Runs twins, if the data lies in the process.
pub trait Native {
    /// Runs the twin of a script.
    fn run<'a>(&'a self, call: TwinCall<'a>) -> Answer<'a, Value>;
}

/// A call of a script that has a twin.
#[derive(Debug)]
pub struct TwinCall<'a> {
    pub(crate) digest: &'a str,
    pub(crate) name: Option<&'static str>,
    pub(crate) twin: Twin,
    pub(crate) keys: Vec<Key>,
    /// The arguments, behind a name that is of no account.
    pub(crate) arguments: Command,
}

impl TwinCall<'_> {
    /// The keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Runs the twin on keys that are held.
    ///
    /// # Errors
    ///
    /// What the script refuses with.
    pub fn run(&self, keys: &mut dyn InStep) -> Result<Value, Refusal> {
        let words = Words(self.arguments.arguments().slice(1..));
        (self.twin)(&mut Step(keys), &self.keys, words)
    }

    /// The time within which its caller wants to hear something: [`Command::within`].
    pub fn within(&self) -> Option<Duration> {
        self.arguments.delivery().within
    }

    /// The command that it stands for: `EVALSHA`.
    pub fn command(&self) -> Command {
        eval("EVALSHA", self.digest, &self.keys, &self.arguments)
    }
}

/// The command that runs a script: by its digest or by its text.
pub(crate) fn eval(name: &str, script: &str, keys: &[Key], arguments: &Command) -> Command {
    let given = arguments.arguments().slice(1..);
    let keys_len: usize = keys.iter().map(|key| key.as_bytes().len()).sum();
    // The number of keys is a word of some digits.
    let bytes = name.len() + script.len() + 4 + keys_len + given.extent();
    Command::with_capacity(name, 3 + keys.len() + given.len(), bytes)
        .arg(script)
        .arg(keys.len())
        .args(keys)
        .args(given.iter())
        .delivered_as(arguments)
}

/// What a step is made on: keys that nobody else can touch while it lasts.
///
/// [`InStep::call`] does everything. The other functions are a short road, as [`Direct`] is for single
/// commands: what they can't do at once they leave to the command, and have changed nothing then.
///
/// [`Direct`]: crate::Direct
pub trait InStep {
    /// The time, in microseconds since the Unix epoch. It stands still while the step lasts.
    fn time_us(&mut self) -> u64;

    /// Runs a command.
    ///
    /// # Errors
    ///
    /// Its refusal, which is counted as that of a command of a script.
    fn call(&mut self, command: &Command) -> Result<Value, Refusal>;

    /// `GET key`.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    fn get(&mut self, _key: &Key) -> Result<Option<Bytes>, ByName> {
        Err(ByName)
    }

    /// `GET key` of a key that holds an integer.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    fn get_int(&mut self, _key: &Key) -> Result<Option<i64>, ByName> {
        Err(ByName)
    }

    /// `HGET key field`.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    fn hget(&mut self, _key: &Key, _field: &[u8]) -> Result<Option<Bytes>, ByName> {
        Err(ByName)
    }

    /// `HSET key field value`.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    fn hset(&mut self, _key: &Key, _field: &[u8], _value: &[u8]) -> Result<(), ByName> {
        Err(ByName)
    }

    /// `ZADD key score member`.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    fn zadd(&mut self, _key: &Key, _score: i64, _member: &[u8]) -> Result<(), ByName> {
        Err(ByName)
    }

    /// The score in `ZRANGE key 0 0 WITHSCORES`, or at the other end, with `-1 -1`.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    fn zscore_at(&mut self, _key: &Key, _end: End) -> Result<Option<f64>, ByName> {
        Err(ByName)
    }

    /// `PEXPIREAT key at`.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    fn pexpireat(&mut self, _key: &Key, _at_ms: i64) -> Result<(), ByName> {
        Err(ByName)
    }

    /// `SET key value`, with the option that `expires` is.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    fn set(&mut self, _key: &Key, _value: &[u8], _expires: Expires) -> Result<(), ByName> {
        Err(ByName)
    }

    /// The same with an integer for its value.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    fn set_int(&mut self, _key: &Key, _number: i64, _expires: Expires) -> Result<(), ByName> {
        Err(ByName)
    }

    /// `DEL key`.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be run.
    fn del(&mut self, _key: &Key) -> Result<bool, ByName> {
        Err(ByName)
    }
}

/// When a string that is written expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// Never.
    Never,
    /// When its key did before: `KEEPTTL`.
    AsBefore,
    /// At this time, in Unix milliseconds: `PXAT`.
    AtMs(i64),
    /// So many milliseconds from now: `PX`.
    AfterMs(i64),
}

/// An end of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where the lowest score is.
    Lowest,
    /// Where the highest is.
    Highest,
}

/// What a script does: commands, one after the other, that nothing comes between.
pub struct Step<'a>(&'a mut dyn InStep);

impl Step<'_> {
    /// The time, in microseconds since the Unix epoch: `TIME`.
    pub fn time_us(&mut self) -> i64 {
        i64::try_from(self.0.time_us()).unwrap_or(i64::MAX)
    }

    /// The time, in milliseconds since the Unix epoch.
    pub fn time_ms(&mut self) -> i64 {
        self.time_us() / 1000
    }

    /// Runs a command and reads its answer as a `T`. Answers have the shapes of RESP2, as in a script.
    ///
    /// # Errors
    ///
    /// Its refusal, and one of our own if the answer is not a `T`.
    pub fn run<T: FromValue>(&mut self, command: Command) -> Result<T, Refusal> {
        let answer = self.0.call(&command)?;
        T::from_value(answer).map_err(|error| match error {
            Error::Refused(refusal) => refusal,
            error => Refusal::new(format!("ERR {error}")),
        })
    }

    /// Runs the command of this name on a key, with these arguments behind it, and reads its answer as
    /// a `T`.
    ///
    /// # Errors
    ///
    /// As [`Step::run`].
    pub fn call<T: FromValue>(
        &mut self,
        name: &str,
        key: &Key,
        arguments: &[&dyn ToArgument],
    ) -> Result<T, Refusal> {
        self.run(Command::new(name).arg(key).args(arguments))
    }

    /// The string of a key.
    ///
    /// # Errors
    ///
    /// Those of `GET`.
    #[inline]
    pub fn get(&mut self, key: &Key) -> Result<Option<Bytes>, Refusal> {
        match self.0.get(key) {
            Ok(string) => Ok(string),
            Err(ByName) => self.run(Command::new("GET").arg(key)),
        }
    }

    /// The integer of a key.
    ///
    /// # Errors
    ///
    /// Those of `GET`, and one of our own if it holds another string.
    #[inline]
    pub fn get_int(&mut self, key: &Key) -> Result<Option<i64>, Refusal> {
        match self.0.get_int(key) {
            Ok(number) => Ok(number),
            Err(ByName) => self.run(Command::new("GET").arg(key)),
        }
    }

    /// The value of a field of a hash.
    ///
    /// # Errors
    ///
    /// Those of `HGET`.
    #[inline]
    pub fn hget(&mut self, key: &Key, field: &[u8]) -> Result<Option<Bytes>, Refusal> {
        match self.0.hget(key, field) {
            Ok(value) => Ok(value),
            Err(ByName) => self.run(Command::new("HGET").arg(key).arg(field)),
        }
    }

    /// Gives a field of a hash a value.
    ///
    /// # Errors
    ///
    /// Those of `HSET`.
    #[inline]
    pub fn hset(
        &mut self,
        key: &Key,
        field: &[u8],
        value: impl AsRef<[u8]>,
    ) -> Result<(), Refusal> {
        let value = value.as_ref();
        match self.0.hset(key, field, value) {
            Ok(()) => Ok(()),
            Err(ByName) => self.call("HSET", key, &[&field, &value]),
        }
    }

    /// Gives a member of a sorted set a score.
    ///
    /// # Errors
    ///
    /// Those of `ZADD`.
    #[inline]
    pub fn zadd(&mut self, key: &Key, score: i64, member: &[u8]) -> Result<(), Refusal> {
        match self.0.zadd(key, score, member) {
            Ok(()) => Ok(()),
            Err(ByName) => self.call("ZADD", key, &[&score, &member]),
        }
    }

    /// The score at an end of a sorted set. `None` if there is no such key.
    ///
    /// # Errors
    ///
    /// Those of `ZRANGE`.
    #[inline]
    pub fn zscore_at(&mut self, key: &Key, end: End) -> Result<Option<f64>, Refusal> {
        if let Ok(score) = self.0.zscore_at(key, end) {
            return Ok(score);
        }
        let place = match end {
            End::Lowest => 0,
            End::Highest => -1,
        };
        let found: Vec<Bytes> = self.call("ZRANGE", key, &[&place, &place, &"WITHSCORES"])?;
        let score = found
            .get(1)
            .and_then(|score| std::str::from_utf8(score).ok());
        Ok(score.and_then(|score| score.parse().ok()))
    }

    /// Has a key expire at this time, in Unix milliseconds, if there is such a key.
    ///
    /// # Errors
    ///
    /// Those of `PEXPIREAT`.
    #[inline]
    pub fn pexpireat(&mut self, key: &Key, at_ms: i64) -> Result<(), Refusal> {
        match self.0.pexpireat(key, at_ms) {
            Ok(()) => Ok(()),
            Err(ByName) => self.call("PEXPIREAT", key, &[&at_ms]),
        }
    }

    /// Gives a key a string.
    ///
    /// # Errors
    ///
    /// Those of `SET`: `OOM` if the store is full, and the step has written nothing yet.
    #[inline]
    pub fn set(
        &mut self,
        key: &Key,
        value: impl AsRef<[u8]>,
        expires: Expires,
    ) -> Result<(), Refusal> {
        let value = value.as_ref();
        match self.0.set(key, value, expires) {
            Ok(()) => Ok(()),
            Err(ByName) => self.run(set(key, value, expires)),
        }
    }

    /// Gives a key an integer.
    ///
    /// # Errors
    ///
    /// As [`Step::set`].
    #[inline]
    pub fn set_int(&mut self, key: &Key, number: i64, expires: Expires) -> Result<(), Refusal> {
        match self.0.set_int(key, number, expires) {
            Ok(()) => Ok(()),
            Err(ByName) => self.run(set(key, number, expires)),
        }
    }

    /// Removes a key. `false` if there was none.
    ///
    /// # Errors
    ///
    /// Those of `DEL`.
    #[inline]
    pub fn del(&mut self, key: &Key) -> Result<bool, Refusal> {
        match self.0.del(key) {
            Ok(is_removed) => Ok(is_removed),
            Err(ByName) => self.run(Command::new("DEL").arg(key)),
        }
    }
}

/// The command `SET`.
fn set(key: &Key, value: impl ToArgument, expires: Expires) -> Command {
    let set = Command::new("SET").arg(key).arg(value);
    match expires {
        Expires::Never => set,
        Expires::AsBefore => set.arg("KEEPTTL"),
        Expires::AtMs(at) => set.arg("PXAT").arg(at),
        Expires::AfterMs(after) => set.arg("PX").arg(after),
    }
}

/// The arguments of a script: `ARGV`, from place 0 on.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a>(Arguments<'a>);

impl<'a> Words<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The word at this place.
    ///
    /// # Errors
    ///
    /// If there is none.
    #[inline]
    pub fn bytes(&self, place: usize) -> Result<&'a [u8], Refusal> {
        self.0.get(place).ok_or_else(|| missing(place))
    }

    /// The word at this place, as a number.
    ///
    /// # Errors
    ///
    /// If there is none, or it is no such number.
    #[inline]
    pub fn number<T: std::str::FromStr>(&self, place: usize) -> Result<T, Refusal> {
        let text = std::str::from_utf8(self.bytes(place)?).ok();
        let number = text.and_then(|text| text.parse().ok());
        number.ok_or_else(|| missing(place))
    }

    /// The words from this place on.
    #[must_use]
    pub fn from(&self, place: usize) -> Words<'a> {
        Words(self.0.slice(place..))
    }

    /// The words in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        self.0.iter()
    }
}

#[cold]
fn missing(place: usize) -> Refusal {
    Refusal::new(format!(
        "ERR the argument at place {place} is not what the script takes"
    ))
}
