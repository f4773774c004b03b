//! What a server knows: its commands, and the words that stand in their syntax as they are written.
//!
//! The server is asked itself, by `COMMAND DOCS`, so that no table has to say which version has what.

use std::collections::{HashMap, HashSet};

use larder_resp::Frame;

use super::next::frame;
use super::syntax::Part;
use crate::transcript::target::Connection;

/// What a server knows.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The words of each command, both in capitals.
    commands: HashMap<String, HashSet<String>>,
}

impl Known {
    /// Asks a server what it knows.
    pub(super) fn by(server: &mut dyn Connection) -> Known {
        server.send(&[b"COMMAND".to_vec(), b"DOCS".to_vec()]);
        let mut known = Known::default();
        if let Some(docs) = frame(server) {
            known.add_commands(&docs);
        }
        known
    }

    /// All that the table has.
    #[cfg(test)]
    pub(super) fn all() -> Known {
        let names = larder_engine::commands().map(|(_, row)| (row.name.to_owned(), HashSet::new()));
        Known {
            commands: names.collect(),
        }
    }

    /// Whether the server has the command.
    pub(super) fn has(&self, command: &str) -> bool {
        self.commands.contains_key(command)
    }

    /// The parts of a command's syntax that the server takes: without the options and the choices that
    /// begin with a word that it does not know.
    pub(super) fn parts(&self, command: &str, parts: Vec<Part>) -> Vec<Part> {
        match self.commands.get(command) {
            Some(words) => parts
                .into_iter()
                .filter_map(|part| taken(part, words))
                .collect(),
            None => parts,
        }
    }

    /// Commands stand in pairs of a name and what is told of it, in lower case and with a bar before the
    /// name of a subcommand.
    fn add_commands(&mut self, docs: &Frame) {
        for [name, doc] in pairs(docs) {
            let name = upper(name).replace('|', " ");
            let mut words = HashSet::new();
            for [field, value] in pairs(doc) {
                match upper(field).as_str() {
                    "ARGUMENTS" => add_words(&mut words, value),
                    "SUBCOMMANDS" => self.add_commands(value),
                    _ => {}
                }
            }
            self.commands.insert(name, words);
        }
    }
}

/// Adds the words that are written as they stand, wherever they stand.
fn add_words(words: &mut HashSet<String>, arguments: &Frame) {
    let Frame::Array(arguments) = arguments else {
        return;
    };
    for [field, value] in arguments.iter().flat_map(pairs) {
        match upper(field).as_str() {
            "TOKEN" => {
                words.insert(upper(value));
            }
            "ARGUMENTS" => add_words(words, value),
            _ => {}
        }
    }
}

/// The part, as far as a server takes it that knows these words.
fn taken(part: Part, words: &HashSet<String>) -> Option<Part> {
    let all = |parts: Vec<Part>| -> Vec<Part> {
        parts
            .into_iter()
            .filter_map(|part| taken(part, words))
            .collect()
    };
    let is_taken = |parts: &Vec<Part>| match parts.first() {
        Some(Part::Literal(word)) => words.contains(word),
        _ => true,
    };
    match part {
        Part::Literal(_) | Part::Value(_) => Some(part),
        Part::Repeated(parts) => is_taken(&parts).then(|| Part::Repeated(all(parts))),
        Part::Optional(choices) => {
            let choices: Vec<_> = choices.into_iter().filter(is_taken).map(all).collect();
            (!choices.is_empty()).then_some(Part::Optional(choices))
        }
        // Of some choices a server does not list the words.
        Part::OneOf(choices) if !choices.iter().any(is_taken) => Some(Part::OneOf(choices)),
        Part::OneOf(choices) => Some(Part::OneOf(
            choices.into_iter().filter(is_taken).map(all).collect(),
        )),
    }
}

/// The pairs of a map that is written as an array.
fn pairs(frame: &Frame) -> impl Iterator<Item = [&Frame; 2]> {
    let items: &[Frame] = match frame {
        Frame::Array(items) => items,
        _ => &[],
    };
    items.chunks_exact(2).map(|pair| [&pair[0], &pair[1]])
}

fn upper(text: &Frame) -> String {
    match text {
        Frame::Bulk(text) => String::from_utf8_lossy(text).to_ascii_uppercase(),
        Frame::Status(text) => text.to_ascii_uppercase(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::parts;
    use super::*;

    fn known(words: &[&str]) -> Known {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Known {
            commands: HashMap::from([("SET".to_owned(), words)]),
        }
    }

    #[test]
    fn options_that_begin_with_a_word_that_the_server_does_not_know_are_left_out() {
        let ours = parts("key value [NX | XX | IFEQ value] [GET]");
        let theirs = parts("key value [NX | XX]");
        assert_eq!(known(&["NX", "XX"]).parts("SET", ours), theirs);
    }

    #[test]
    fn a_choice_of_which_the_server_lists_no_word_stays_whole() {
        let ours = || parts("<GETREG | DECODE> key");
        assert_eq!(known(&[]).parts("SET", ours()), ours());
    }
}
