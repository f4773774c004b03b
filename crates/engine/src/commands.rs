//! All commands, by name.

use std::sync::OnceLock;

use larder_resp::Arguments;
use smallvec::SmallVec;

use crate::command::Row;
use crate::error::{Error, Result};
use crate::hash::short_word;
use crate::{admin, generic, pubsub, scripting, session, types};

/// The families of commands, each with its rows.
const FAMILIES: &[(&str, &[Row])] = &[
    ("connection", session::commands::COMMANDS),
    ("connection", session::client_commands::COMMANDS),
    ("connection", session::tracking::COMMANDS),
    ("transactions", session::transaction::COMMANDS),
    ("generic", generic::commands::COMMANDS),
    ("generic", generic::expiry::COMMANDS),
    ("generic", generic::sort::COMMANDS),
    ("generic", generic::object::COMMANDS),
    ("string", types::string::commands::COMMANDS),
    ("list", types::list::commands::COMMANDS),
    ("hash", types::hash::commands::COMMANDS),
    ("set", types::set::commands::COMMANDS),
    ("sorted-set", types::sorted_set::commands::COMMANDS),
    ("stream", types::stream::commands::COMMANDS),
    ("pubsub", pubsub::commands::COMMANDS),
    ("scripting", scripting::commands::COMMANDS),
    ("server", admin::commands::COMMANDS),
    ("server", admin::info::COMMANDS),
    ("server", admin::slowlog_commands::COMMANDS),
    ("server", admin::latency_commands::COMMANDS),
    ("server", admin::config_commands::COMMANDS),
    ("server", admin::memory::COMMANDS),
    ("server", admin::command_commands::COMMANDS),
];

/// How many rows there are.
pub(crate) const ROWS: usize = count_rows();

/// All rows, in the order of the families: the place of a row here is its number.
pub(crate) static TABLE: [Row; ROWS] = all_rows();

const fn count_rows() -> usize {
    let (mut sum, mut family) = (0, 0);
    while family < FAMILIES.len() {
        sum += FAMILIES[family].1.len();
        family += 1;
    }
    sum
}

const fn all_rows() -> [Row; ROWS] {
    let mut all = [FAMILIES[0].1[0]; ROWS];
    let (mut next, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let rows = FAMILIES[family].1;
        let mut row = 0;
        while row < rows.len() {
            all[next] = rows[row].with_derived_flags();
            (next, row) = (next + 1, row + 1);
        }
        family += 1;
    }
    all
}

/// Every command with its family, in the order of the table.
pub fn commands() -> impl Iterator<Item = (&'static str, &'static Row)> {
    let families = FAMILIES.iter();
    let families = families.flat_map(|(family, rows)| std::iter::repeat_n(*family, rows.len()));
    families.zip(&TABLE)
}

/// The number of a row: below [`ROWS`].
#[inline]
pub(crate) fn number(command: &'static Row) -> usize {
    let bytes = std::ptr::from_ref(command).addr() - TABLE.as_ptr().addr();
    bytes / size_of::<Row>()
}

/// The number of the row with this name, which there has to be: for names that stand in the program.
pub(crate) const fn number_of(name: &str) -> usize {
    let rows = all_rows();
    let mut number = 0;
    while !crate::command::is(rows[number].name, name) {
        number += 1;
    }
    number
}

/// The row with this number.
pub(crate) fn row(number: usize) -> Option<&'static Row> {
    TABLE.get(number)
}

/// A name that stands first in a request.
#[derive(Debug)]
pub(crate) struct FirstWord {
    pub(crate) name: &'static str,
    pub(crate) family: &'static str,
    /// The command that the name alone stands for; none for a mere container.
    pub(crate) command: Option<&'static Row>,
    /// The commands whose names begin with this one.
    pub(crate) subcommands: Vec<&'static Row>,
}

/// All names that can stand first in a request, in the order of the table.
pub(crate) fn first_words() -> &'static [FirstWord] {
    &Index::get().first_words
}

/// Where names are looked up: a hash table of open addressing, for names in any case.
struct Index {
    by_name: Box<[Option<Named>; Index::PLACES]>,
    first_words: Vec<FirstWord>,
}

/// A name and what it means.
#[derive(Clone, Copy)]
struct Named {
    name: &'static [u8],
    key: NameKey,
    found: Found,
}

/// What a name is compared by: its first and last eight bytes in capitals, and its length. They are all
/// of a name that is short.
#[derive(Clone, Copy, PartialEq, Eq)]
struct NameKey {
    first: u64,
    last: u64,
    len: usize,
}

#[derive(Clone, Copy)]
enum Found {
    Row(&'static Row),
    /// A name that wants a subcommand behind it.
    Container,
    /// A command that has subcommands too: COMMAND.
    Both(&'static Row),
    /// Two words, which are not the first word of a request.
    Subcommand(&'static Row),
}

impl Index {
    /// A few times as many places as there are names.
    const PLACES: usize = 1 << 11;

    fn new() -> Index {
        let first_words = collect_first_words();
        let mut index = Index {
            by_name: Box::new([None; Index::PLACES]),
            first_words: Vec::new(),
        };
        for top in &first_words {
            let found = match top.command {
                None => Found::Container,
                Some(command) if top.subcommands.is_empty() => Found::Row(command),
                Some(command) => Found::Both(command),
            };
            index.insert(top.name, found);
            for command in &top.subcommands {
                index.insert(command.name, Found::Subcommand(command));
            }
        }
        Index {
            first_words,
            ..index
        }
    }

    fn get() -> &'static Index {
        static INDEX: OnceLock<Index> = OnceLock::new();
        INDEX.get_or_init(Index::new)
    }

    fn insert(&mut self, name: &'static str, found: Found) {
        let name = name.as_bytes();
        let key = NameKey::of(name);
        let mut place = key.place();
        while self.by_name[place].is_some() {
            place = (place + 1) % Index::PLACES;
        }
        self.by_name[place] = Some(Named { name, key, found });
    }

    /// What this name means, in any case.
    #[inline]
    fn find(&self, name: &[u8]) -> Option<Found> {
        let key = NameKey::of(name);
        let mut place = key.place();
        while let Some(known) = &self.by_name[place] {
            if known.key == key && key.is_whole() {
                return Some(known.found);
            }
            if known.key == key {
                return self.find_long(name, place);
            }
            place = (place + 1) % Index::PLACES;
        }
        None
    }

    /// The same for a name whose key does not say it all, from a place on. Few are so long.
    #[cold]
    fn find_long(&self, name: &[u8], from: usize) -> Option<Found> {
        let (before, after) = self.by_name.split_at(from);
        let mut known = after.iter().chain(before).map_while(Option::as_ref);
        let found = known.find(|known| known.name.eq_ignore_ascii_case(name))?;
        Some(found.found)
    }
}

impl NameKey {
    #[inline]
    fn of(name: &[u8]) -> NameKey {
        let (first, last) = match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => (
                in_capitals(u64::from_le_bytes(*first)),
                in_capitals(u64::from_le_bytes(*last)),
            ),
            _ => (in_capitals(short_word(name)), 0),
        };
        let len = name.len();
        NameKey { first, last, len }
    }

    /// Whether there is nothing between the first and the last bytes.
    #[inline]
    fn is_whole(self) -> bool {
        self.len <= 2 * size_of::<u64>()
    }

    /// Where the search for the name begins.
    #[inline]
    fn place(self) -> usize {
        let key = self.first ^ self.last.rotate_left(29) ^ self.len as u64;
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53) as usize % Index::PLACES
    }
}

/// The same eight bytes with the letters of ASCII in capitals, all at once: the top bit of a byte of
/// `from_a` says that its lower seven bits are `a` or more, that of `beyond_z` that they are more
/// than `z`.
#[inline]
fn in_capitals(word: u64) -> u64 {
    const EVERY_BYTE: u64 = u64::from_le_bytes([1; 8]);
    const TOP_BITS: u64 = EVERY_BYTE * 0x80;
    let low = word & !TOP_BITS;
    let from_a = low + EVERY_BYTE * (0x80 - b'a' as u64);
    let beyond_z = low + EVERY_BYTE * (0x7f - b'z' as u64);
    let small = from_a & !beyond_z & !word & TOP_BITS;
    word ^ (small >> 2)
}

fn collect_first_words() -> Vec<FirstWord> {
    let mut first_words: Vec<FirstWord> = Vec::new();
    for (family, command) in commands() {
        let name = command.container().unwrap_or(command.name);
        let place = first_words.iter().position(|top| top.name == name);
        let place = place.unwrap_or_else(|| {
            first_words.push(FirstWord {
                name,
                family,
                command: None,
                subcommands: Vec::new(),
            });
            first_words.len() - 1
        });
        match command.container() {
            Some(_) => first_words[place].subcommands.push(command),
            None => first_words[place].command = Some(command),
        }
    }
    first_words
}

/// The row of a request.
#[inline]
pub(crate) fn find(arguments: Arguments<'_>) -> Result<&'static Row> {
    match Index::get().find(arguments.get(0).unwrap_or_default()) {
        Some(Found::Row(command)) => Ok(command),
        found => find_otherwise(found, arguments),
    }
}

/// The same for a name that is not that of one command alone.
#[inline(never)]
fn find_otherwise(found: Option<Found>, arguments: Arguments<'_>) -> Result<&'static Row> {
    match found {
        Some(Found::Row(command)) => Ok(command),
        Some(Found::Both(command)) if arguments.len() == 1 => Ok(command),
        Some(Found::Both(_) | Found::Container) => find_subcommand(arguments),
        Some(Found::Subcommand(_)) | None => Err(unknown(arguments)),
    }
}

fn find_subcommand(arguments: Arguments<'_>) -> Result<&'static Row> {
    let container = arguments.get(0).unwrap_or_default();
    let Some(name) = arguments.get(1) else {
        return Err(Error::WrongArity(lower(container)));
    };
    let mut full: SmallVec<[u8; 64]> = SmallVec::from_slice(container);
    full.push(b' ');
    full.extend_from_slice(name);
    match Index::get().find(&full) {
        Some(Found::Subcommand(command)) => Ok(command),
        _ => Err(Error::UnknownSubcommand {
            name: shown(name, 128),
            container: lower(container).to_ascii_uppercase(),
        }),
    }
}

/// The error for a name that is in no row.
fn unknown(arguments: Arguments<'_>) -> Error {
    let mut beginning = String::new();
    for argument in arguments.iter().skip(1) {
        if beginning.len() >= 128 {
            break;
        }
        beginning.push_str(&format!("'{}' ", shown(argument, 128 - beginning.len())));
    }
    Error::UnknownCommand {
        name: shown(arguments.get(0).unwrap_or_default(), 128),
        beginning,
    }
}

/// A word as it stands in an error, cut to `len_max` bytes. As in C, it ends at a zero byte.
fn shown(word: &[u8], len_max: usize) -> String {
    let word = word.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(&word[..word.len().min(len_max)]).into_owned()
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once_and_is_found() {
        let mut names: Vec<_> = commands().map(|(_, command)| command.name).collect();
        let len = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), len, "a name stands twice");
        assert!(names.iter().all(|name| *name == name.to_ascii_uppercase()));
        for name in names {
            let small = name.to_ascii_lowercase();
            assert!(Index::get().find(small.as_bytes()).is_some(), "{name}");
        }
    }

    #[test]
    fn a_name_is_found_in_any_case_and_no_other_name_is() {
        let is_known = |name: &[u8]| Index::get().find(name).is_some();

        for (_, command) in commands() {
            let name = command.name.as_bytes();
            for place in 0..name.len() {
                let with = |byte: u8| {
                    let mut other = name.to_vec();
                    other[place] = byte;
                    other
                };
                let byte = name[place];
                assert!(
                    is_known(&with(byte.to_ascii_lowercase())),
                    "{}",
                    command.name
                );
                assert!(!is_known(&with(byte ^ 0x80)), "{}", command.name);
                let not_a_letter = if byte.is_ascii_uppercase() {
                    byte & !0x40
                } else {
                    byte ^ 0x20
                };
                assert!(!is_known(&with(not_a_letter)), "{}", command.name);
            }
        }
    }

    #[test]
    fn all_bytes_but_small_letters_stay() {
        for byte in 0..=u8::MAX {
            let word = u64::from_le_bytes([byte; 8]);
            let wanted = [byte.to_ascii_uppercase(); 8];
            assert_eq!(in_capitals(word).to_le_bytes(), wanted, "{byte}");
        }
    }

    #[test]
    fn every_row_has_a_number() {
        for (place, (_, command)) in commands().enumerate() {
            assert_eq!(number(command), place, "{}", command.name);
            assert_eq!(row(place).map(|row| row.name), Some(command.name));
        }
        assert!(row(ROWS).is_none());
    }

    #[test]
    fn every_container_has_help() {
        for top in first_words()
            .iter()
            .filter(|top| !top.subcommands.is_empty())
        {
            let mut names = top.subcommands.iter().map(|command| command.name);
            assert!(names.any(|name| name.ends_with(" HELP")), "{}", top.name);
        }
    }
}
