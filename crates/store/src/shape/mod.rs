//! The shapes of commands: where their keys stand, whether they only read, and whether and how long
//! they wait. One home for the engine, the routing of a cluster, reads that are sent again, and near
//! reads.
//!
//! ```text
//! of(arguments) ── Names ──┬─ table.rs    what the engine has, generated from its rows
//!                          └─ foreign.rs  what only servers have, written by hand
//!                  Shape ───── KeySpec, Arity, Flags, Wait, is_pure
//! ```
//!
//! Nothing here knows what a command does. A command that is in neither table, such as one of a module,
//! has no shape: nothing may be taken for granted of it.

mod arity;
mod flags;
mod foreign;
mod key_spec;
mod names;
mod pure;
#[rustfmt::skip] // It is generated, a row a line.
mod table;
mod wait;

use std::sync::OnceLock;

use larder_resp::Arguments;

pub use arity::Arity;
pub use flags::Flags;
pub use key_spec::{KeyPlaces, KeySpec};
pub use names::{Found, Names, short_word};
pub use pure::PURE_KEY;
pub use wait::Wait;

use crate::Command;

/// The shape of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The name in capitals; that of a subcommand has two words.
    pub name: &'static str,
    /// How many words a request has.
    pub arity: Arity,
    /// Where its keys are.
    pub keys: KeySpec,
    /// What it may do.
    pub flags: Flags,
}

/// The shape of a request, by its name in any case and, where there are subcommands, by its second
/// word. `None` if there is no such command in our tables.
///
/// # Examples
///
/// ```
/// use larder_store::{Command, shape};
///
/// let command = Command::new("xgroup").arg("create").arg("jobs").arg("workers").arg("$");
/// let shape = shape::of(command.arguments()).unwrap();
/// assert_eq!(shape.name, "XGROUP CREATE");
/// assert!(!shape.is_read_only());
/// ```
#[inline]
pub fn of(arguments: Arguments<'_>) -> Option<&'static Shape> {
    static NAMES: OnceLock<Names<Shape>> = OnceLock::new();
    let names = NAMES.get_or_init(|| Names::new(all().map(|shape| (shape.name, shape))));
    match names.find(arguments) {
        Found::One(shape) => Some(shape),
        Found::NoSubcommand | Found::Nothing => None,
    }
}

/// All shapes.
pub fn all() -> impl Iterator<Item = &'static Shape> {
    table::SHAPES.iter().chain(foreign::SHAPES)
}

impl Shape {
    const fn new(name: &'static str, arity: Arity, keys: KeySpec, flags: Flags) -> Shape {
        Shape {
            name,
            arity,
            keys,
            flags,
        }
    }

    /// The place of the first word after the name.
    #[inline]
    pub fn first(&self) -> usize {
        1 + usize::from(self.name.as_bytes().contains(&b' '))
    }

    /// The keys of a request of this command.
    pub fn keys<'a>(&self, request: Arguments<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let places = self.keys.places(request, self.first());
        places.filter_map(move |place| request.get(place))
    }

    /// Whether it reads keys and changes nothing: it may be sent again when its answer was lost, and a
    /// replica may answer it.
    pub fn is_read_only(&self) -> bool {
        self.flags.has(Flags::READONLY) && !self.flags.has(Flags::WRITE)
    }
}

/// What follows from the shape of a command. Each function looks the name up: who wants several things
/// asks [`of`] once.
impl Command {
    /// The keys among its arguments; none if it has no [shape](of).
    ///
    /// # Examples
    ///
    /// ```
    /// use larder_store::Command;
    ///
    /// let command = Command::new("MSET").arg("a").arg(1).arg("b").arg(2);
    /// assert!(command.keys().eq([b"a", b"b"]));
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let request = self.arguments();
        let shape = of(request).into_iter();
        shape.flat_map(move |shape| shape.keys(request))
    }

    /// Whether it reads keys and changes nothing. A command that is not known may change everything.
    pub fn is_read_only(&self) -> bool {
        of(self.arguments()).is_some_and(Shape::is_read_only)
    }

    /// Whether it may be sent again when its answer was lost: it only reads, or its caller has said that
    /// it is [repeatable](Command::repeatable).
    pub fn may_repeat(&self) -> bool {
        self.delivery().is_repeatable || self.is_read_only()
    }

    /// How long it waits in the store, if it is one that waits.
    pub fn waits(&self) -> Option<Wait> {
        let request = self.arguments();
        of(request)?.waits(request)
    }
}

/// Whether a command reads one key, and answers with a function of nothing but the value of that key:
/// not of chance, time, the key's time to live, a cursor, or what others do. Such an answer may be kept
/// until the key is changed.
///
/// # Examples
///
/// ```
/// use larder_store::{Command, shape::is_pure};
///
/// assert!(is_pure(&Command::new("HGETALL").arg("user")));
/// assert!(!is_pure(&Command::new("TTL").arg("user")));
/// assert!(!is_pure(&Command::new("MGET").arg("user").arg("cart")));
/// ```
pub fn is_pure(command: &Command) -> bool {
    let request = command.arguments();
    of(request).is_some_and(|shape| shape.is_pure() && shape.keys(request).count() == 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn command(line: &str) -> Command {
        let mut words = line.split(' ');
        Command::new(words.next().unwrap()).args(words)
    }

    fn keys(line: &str) -> Vec<String> {
        let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        command(line).keys().map(text).collect()
    }

    #[test]
    fn no_command_stands_in_both_tables_or_twice_in_one() {
        let mut names = HashSet::new();
        for shape in all() {
            assert!(names.insert(shape.name), "{} stands twice", shape.name);
        }
    }

    #[test]
    fn every_command_is_found_by_its_name_in_any_case() {
        for shape in all() {
            let small = command(&shape.name.to_ascii_lowercase());
            // COMMAND and its kin are found with their subcommands, and without.
            assert_eq!(of(small.arguments()), Some(shape), "{}", shape.name);
        }
        for wrong in ["", "GE", "GETT", "XGROUP", "XGROUP NOTHING", "FT.SEARCH"] {
            assert_eq!(of(command(wrong).arguments()), None, "{wrong:?}");
        }
    }

    #[test]
    fn keys_stand_where_the_command_has_them() {
        assert_eq!(keys("get a"), ["a"]);
        assert_eq!(keys("MSET a 1 b 2"), ["a", "b"]);
        assert_eq!(keys("SMOVE a b member"), ["a", "b"]);
        assert_eq!(keys("BLPOP a b 0"), ["a", "b"]);
        assert_eq!(keys("EVALSHA d 2 a b c"), ["a", "b"]);
        assert_eq!(keys("FCALL f 1 a b"), ["a"]);
        assert_eq!(
            keys("XREADGROUP GROUP STREAMS c STREAMS a b > >"),
            ["a", "b"]
        );
        assert_eq!(keys("ZUNIONSTORE to 2 a b WEIGHTS 1 2"), ["to", "a", "b"]);
        assert_eq!(keys("SORT a BY STORE LIMIT 0 1 STORE to"), ["a", "to"]);
        assert_eq!(keys("XINFO STREAM a FULL"), ["a"]);
        assert_eq!(keys("BITOP AND to a b"), ["to", "a", "b"]);
        assert_eq!(
            keys("GEORADIUSBYMEMBER a STORE 5 km STOREDIST to"),
            ["a", "to"]
        );
        assert_eq!(keys("MIGRATE host 6379 a 0 100"), ["a"]);
        assert_eq!(keys("MSETEX 2 a 1 b 2 EX 5"), ["a", "b"]);
        assert_eq!(keys("SPUBLISH channel hello"), ["channel"]);
        assert_eq!(keys("PING a"), [""; 0]);
        assert_eq!(keys("JSON.GET a"), [""; 0]);
    }

    #[test]
    fn a_request_that_is_cut_short_has_the_keys_that_are_there() {
        for shape in all() {
            let whole = format!("{} 2 a 1 b STREAMS c STORE d KEYS e", shape.name);
            let words: Vec<&str> = whole.split(' ').collect();
            for len in 0..words.len() {
                let line = words[..=len].join(" ");
                assert!(keys(&line).len() <= len, "{line}");
            }
        }
        assert_eq!(keys("EVAL text 3 a b"), [""; 0]);
        assert_eq!(keys("EVAL text -1 a b"), [""; 0]);
        assert_eq!(keys("EVAL text 18446744073709551615 a"), [""; 0]);
        assert_eq!(keys("MSETEX 9223372036854775807 a 1"), [""; 0]);
    }

    #[test]
    fn what_may_write_is_not_read_only() {
        for line in [
            "GET a",
            "XREAD STREAMS a 0",
            "EVAL_RO x 0",
            "FCALL_RO f 0",
            "SCAN 0",
        ] {
            assert!(command(line).is_read_only(), "{line}");
        }
        for line in [
            "SET a 1",
            "EVAL x 0",
            "FCALL f 0",
            "GETEX a",
            "JSON.GET a",
            "PUBLISH c m",
        ] {
            assert!(!command(line).is_read_only(), "{line}");
        }
        assert!(command("INCR a").repeatable().may_repeat());
        assert!(!command("INCR a").may_repeat());
        assert!(command("GET a").may_repeat());
    }

    /// Whoever keeps the answers of pure commands would else keep what nobody would tell of.
    #[test]
    fn what_is_pure_reads_one_key_and_nothing_else() {
        for line in [
            "GET a",
            "hget a f",
            "ZRANGE a 0 -1",
            "EXISTS a",
            "MGET a",
            "XLEN a",
        ] {
            assert!(is_pure(&command(line)), "{line}");
        }
        for line in [
            "GETDEL a",
            "EXISTS a b",
            "MGET a b",
            "SUNION a b",
            "TTL a",
            "PEXPIRETIME a",
            "SRANDMEMBER a",
            "HSCAN a 0",
            "SORT_RO a BY w_*",
            "XPENDING a g",
            "XINFO STREAM a",
            "XREAD STREAMS a 0",
            "OBJECT IDLETIME a",
            "MEMORY USAGE a",
            "EVAL_RO x 1 a",
            "TIME",
            "PING",
        ] {
            assert!(!is_pure(&command(line)), "{line}");
        }
    }
}
