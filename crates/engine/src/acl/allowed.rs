//! The commands that a selector allows.

use std::fmt;

use super::rules::RuleError;
use crate::admin::command_commands::categories::{self, Category};
use crate::command::Row;
use crate::commands::{FirstWord, ROWS, first_words, number};

/// The commands that a selector allows, and the rules that made them so.
///
/// Invariant: `rules` in their order, upon all commands or none, make `allowed` and `first_words`.
#[derive(Clone)]
pub(super) struct Allowed {
    /// Whether the rules begin with all commands.
    begins_with_all: bool,
    /// In their order, with their signs. A rule that has been said again stands where it was said last.
    rules: Vec<String>,
    /// A bit for each row.
    allowed: [u64; ROWS.div_ceil(64)],
    /// Words that may stand behind the name of a command which is not allowed otherwise, by the number
    /// of its row.
    first_words: Vec<(usize, Vec<u8>)>,
}

/// What a rule about a command names.
#[derive(Clone, Copy)]
enum Named {
    /// A command, or a container with all its subcommands.
    First(&'static FirstWord),
    Subcommand(&'static Row),
}

impl Allowed {
    /// No command, or all.
    pub(super) fn new(begins_with_all: bool) -> Allowed {
        let word = if begins_with_all { u64::MAX } else { 0 };
        Allowed {
            begins_with_all,
            rules: Vec::new(),
            allowed: [word; ROWS.div_ceil(64)],
            first_words: Vec::new(),
        }
    }

    /// Whether every command is allowed.
    pub(super) fn is_all(&self) -> bool {
        self.begins_with_all && self.rules.is_empty()
    }

    /// Whether a command is allowed whose request has this word behind its name.
    pub(super) fn has(&self, command: &'static Row, word: Option<&[u8]>) -> bool {
        let number = number(command);
        let is_word = |allowed: &[u8]| word.is_some_and(|word| word.eq_ignore_ascii_case(allowed));
        let mut first_words = self.first_words.iter();
        self.allowed[number / 64] & (1 << (number % 64)) != 0
            || first_words.any(|(row, allowed)| *row == number && is_word(allowed))
    }

    /// Applies a rule without its sign: `get`, `config|get`, `@read`.
    pub(super) fn set(&mut self, is_allowed: bool, rule: &[u8]) -> Result<(), RuleError> {
        let rule = larder_resp::text_of(rule).to_ascii_lowercase();
        if let Some(name) = rule.strip_prefix('@') {
            let category = Category::find(name).ok_or(RuleError::Unknown)?;
            self.set_category(is_allowed, category);
        } else if is_allowed && let Some((name, word)) = rule.rsplit_once('|') {
            self.allow_part(&rule, name, word)?;
        } else {
            let named = Named::find(&rule).ok_or(RuleError::Unknown)?;
            self.set_named(is_allowed, named);
        }
        self.note_rule(is_allowed, &rule);
        Ok(())
    }

    /// Allows a subcommand, or a command with this word behind its name.
    fn allow_part(&mut self, rule: &str, name: &str, word: &str) -> Result<(), RuleError> {
        let Named::First(first) = Named::find(name).ok_or(RuleError::Unknown)? else {
            return Err(RuleError::PartOfSubcommand);
        };
        if word.is_empty() {
            return Err(RuleError::Syntax);
        }
        match first.command {
            Some(command) if first.subcommands.is_empty() => {
                let part = (number(command), word.as_bytes().to_vec());
                if !self.first_words.contains(&part) {
                    self.first_words.push(part);
                }
            }
            _ => self.set_named(true, Named::find(rule).ok_or(RuleError::Unknown)?),
        }
        Ok(())
    }

    fn set_named(&mut self, is_allowed: bool, named: Named) {
        match named {
            Named::First(first) => {
                let rows = first.command.iter().chain(&first.subcommands);
                rows.for_each(|command| self.set_command(is_allowed, command));
            }
            Named::Subcommand(command) => self.set_command(is_allowed, command),
        }
    }

    /// Sets the commands of a category. What is in it as a container is in it with all its subcommands.
    fn set_category(&mut self, is_allowed: bool, category: Category) {
        for first in first_words() {
            if categories::of_first_word(first).has(category) {
                self.set_named(is_allowed, Named::First(first));
            }
            for command in &first.subcommands {
                if categories::of_subcommand(first, command).has(category) {
                    self.set_command(is_allowed, command);
                }
            }
        }
    }

    fn set_command(&mut self, is_allowed: bool, command: &'static Row) {
        let number = number(command);
        let (word, bit) = (&mut self.allowed[number / 64], 1 << (number % 64));
        match is_allowed {
            true => *word |= bit,
            false => *word &= !bit,
        }
        self.first_words.retain(|(row, _)| *row != number);
    }

    /// Notes a rule, in the place of those that it makes void: the same one, and those about parts of
    /// the command that it names.
    fn note_rule(&mut self, is_allowed: bool, rule: &str) {
        self.rules.retain(|old| {
            let rest = old[1..].strip_prefix(rule);
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
        });
        let sign = if is_allowed { '+' } else { '-' };
        self.rules.push(format!("{sign}{rule}"));
    }
}

/// The rules that make it, as ACL LIST shows them.
impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.begins_with_all {
            "+@all"
        } else {
            "-@all"
        })?;
        self.rules.iter().try_for_each(|rule| write!(f, " {rule}"))
    }
}

impl Named {
    fn find(name: &str) -> Option<Named> {
        let (name, subcommand) = match name.split_once('|') {
            Some((name, subcommand)) => (name, Some(subcommand)),
            None => (name, None),
        };
        let mut firsts = first_words().iter();
        let first = firsts.find(|first| first.name.eq_ignore_ascii_case(name))?;
        let Some(subcommand) = subcommand else {
            return Some(Named::First(first));
        };
        let is_it = |command: &&&'static Row| {
            let last = command.name.get(first.name.len() + 1..);
            last.is_some_and(|last| last.eq_ignore_ascii_case(subcommand))
        };
        let mut subcommands = first.subcommands.iter();
        subcommands.find(is_it).map(|row| Named::Subcommand(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(rules: &str) -> Allowed {
        let mut allowed = Allowed::new(false);
        for rule in rules.split_whitespace() {
            let (sign, rule) = rule.split_at(1);
            allowed.set(sign == "+", rule.as_bytes()).unwrap();
        }
        allowed
    }

    fn row(name: &str) -> &'static Row {
        let mut all = crate::commands::commands();
        all.find(|(_, row)| row.name == name).unwrap().1
    }

    #[test]
    fn a_rule_that_is_said_again_stands_where_it_was_said_last() {
        let rules = "+get +config|get +@read -get -config +config|set";
        assert_eq!(
            allowed(rules).to_string(),
            "-@all +@read -get -config +config|set"
        );
    }

    #[test]
    fn a_container_is_set_with_all_its_subcommands() {
        let config = allowed("+config -config|set");
        assert!(config.has(row("CONFIG GET"), None));
        assert!(!config.has(row("CONFIG SET"), None));
    }

    #[test]
    fn a_command_may_be_allowed_with_one_word_alone() {
        let select = allowed("+select|0");
        assert!(select.has(row("SELECT"), Some(b"0")));
        assert!(!select.has(row("SELECT"), Some(b"1")));
        assert!(!select.has(row("SELECT"), None));

        let select = allowed("+select|0 -select");
        assert!(!select.has(row("SELECT"), Some(b"0")));
    }

    #[test]
    fn what_is_slow_as_a_container_has_all_its_subcommands_there() {
        let slow = allowed("+@slow");
        assert!(slow.has(row("OBJECT ENCODING"), None));
        assert!(!slow.has(row("GET"), None));
    }
}
