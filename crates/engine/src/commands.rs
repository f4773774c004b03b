//! All commands, by name.

use std::sync::OnceLock;

use larder_resp::Arguments;
use larder_store::shape::{Found, Names};

use crate::command::Row;
use crate::error::{Error, Result};
use crate::text::c_text;
use crate::{acl, admin, generic, pubsub, rdb, scripting, session, types};

/// The families of commands, each with its rows.
const FAMILIES: &[(&str, &[Row])] = &[
    ("connection", session::commands::COMMANDS),
    ("connection", session::client_commands::COMMANDS),
    ("connection", session::capabilities::COMMANDS),
    ("connection", session::pause::COMMANDS),
    ("connection", session::tracking::COMMANDS),
    ("transactions", session::transaction::COMMANDS),
    ("generic", generic::commands::COMMANDS),
    ("generic", generic::expiry::COMMANDS),
    ("generic", generic::sort::COMMANDS),
    ("generic", generic::object::COMMANDS),
    ("generic", rdb::commands::COMMANDS),
    ("generic", admin::replication::WAITS),
    ("string", types::string::commands::COMMANDS),
    ("bitmap", types::bitmap::commands::COMMANDS),
    ("hyperloglog", types::hyperloglog::commands::COMMANDS),
    ("string", types::string::condition::COMMANDS),
    ("string", types::string::msetex::COMMANDS),
    ("string", types::string::increx::COMMANDS),
    ("string", types::string::gcra::COMMANDS),
    ("list", types::list::commands::COMMANDS),
    ("hash", types::hash::commands::COMMANDS),
    ("hash", types::hash::expiry_commands::COMMANDS),
    ("set", types::set::commands::COMMANDS),
    ("sorted-set", types::sorted_set::commands::COMMANDS),
    ("geo", types::geo::commands::COMMANDS),
    ("stream", types::stream::commands::COMMANDS),
    ("pubsub", pubsub::commands::COMMANDS),
    ("scripting", scripting::commands::COMMANDS),
    ("server", acl::commands::COMMANDS),
    ("scripting", scripting::functions::commands::COMMANDS),
    ("server", admin::commands::COMMANDS),
    ("server", admin::lolwut::COMMANDS),
    ("server", admin::info::COMMANDS),
    ("server", admin::slowlog_commands::COMMANDS),
    ("server", admin::latency_commands::COMMANDS),
    ("server", admin::config_commands::COMMANDS),
    ("server", admin::memory::COMMANDS),
    ("server", admin::debug::COMMANDS),
    ("server", admin::replication::COMMANDS),
    ("cluster", admin::cluster::COMMANDS),
    ("server", admin::modules::COMMANDS),
    ("server", crate::persist::commands::COMMANDS),
    ("server", admin::shutdown::COMMANDS),
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
    static FIRST_WORDS: OnceLock<Vec<FirstWord>> = OnceLock::new();
    FIRST_WORDS.get_or_init(collect_first_words)
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
    match names().find(arguments) {
        Found::One(command) => Ok(command),
        Found::NoSubcommand => Err(no_subcommand(arguments)),
        Found::Nothing => Err(unknown(arguments)),
    }
}

#[inline]
fn names() -> &'static Names<Row> {
    static NAMES: OnceLock<Names<Row>> = OnceLock::new();
    NAMES.get_or_init(|| Names::new(TABLE.iter().map(|command| (command.name, command))))
}

/// The error for a name that has subcommands, of which the second word is none.
#[cold]
fn no_subcommand(arguments: Arguments<'_>) -> Error {
    let container = arguments.get(0).unwrap_or_default();
    match arguments.get(1) {
        None => Error::WrongArity(lower(container)),
        Some(name) => Error::UnknownSubcommand {
            name: shown(name),
            container: lower(container).to_ascii_uppercase(),
        },
    }
}

/// The error for a name that is in no row.
#[cold]
fn unknown(arguments: Arguments<'_>) -> Error {
    let mut beginning = Vec::new();
    for argument in arguments.iter().skip(1) {
        if beginning.len() >= SHOWN_MAX {
            break;
        }
        let shown = begin(argument, SHOWN_MAX - beginning.len());
        beginning.push(b'\'');
        beginning.extend_from_slice(shown);
        beginning.extend_from_slice(b"' ");
    }
    Error::UnknownCommand {
        name: shown(arguments.get(0).unwrap_or_default()),
        beginning: larder_resp::text_of(&beginning).into_owned(),
    }
}

/// How many bytes of a name, and of all words behind it, stand in an error.
const SHOWN_MAX: usize = 128;

/// A name as it stands in an error.
fn shown(name: &[u8]) -> String {
    larder_resp::text_of(begin(name, SHOWN_MAX)).into_owned()
}

/// The first bytes of a word, up to so many. As in C, it ends at a zero byte.
fn begin(word: &[u8], len_max: usize) -> &[u8] {
    let word = c_text(word);
    &word[..word.len().min(len_max)]
}

fn lower(name: &[u8]) -> String {
    larder_resp::text_of(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once() {
        let mut names: Vec<_> = commands().map(|(_, command)| command.name).collect();
        let len = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), len, "a name stands twice");
        assert!(names.iter().all(|name| *name == name.to_ascii_uppercase()));
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
