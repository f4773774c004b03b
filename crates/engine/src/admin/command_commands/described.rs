//! A command or a container, as clients know it.

use crate::command::Row;
use crate::commands::{self, FirstWord};

/// A command or a container, as clients know it.
#[derive(Clone, Copy)]
pub(super) struct Described<'a> {
    pub(super) family: &'static str,
    /// The name in capitals, with a space before a subcommand.
    pub(super) name: &'static str,
    /// None for a mere container.
    pub(super) command: Option<&'static Row>,
    pub(super) subcommands: &'a [&'static Row],
}

impl<'a> Described<'a> {
    pub(super) fn top(top: &'a FirstWord) -> Described<'a> {
        Described {
            family: top.family,
            name: top.name,
            command: top.command,
            subcommands: &top.subcommands,
        }
    }

    pub(super) fn subcommand(family: &'static str, command: &'static Row) -> Described<'a> {
        Described {
            family,
            name: command.name,
            command: Some(command),
            subcommands: &[],
        }
    }

    /// What this name means: `get`, `config`, or `config|get`.
    pub(super) fn find(name: &[u8]) -> Option<Described<'static>> {
        let name = larder_resp::text_of(name).to_ascii_uppercase();
        let (head, subcommand) = match name.split_once('|') {
            Some((head, subcommand)) => (head, Some(subcommand)),
            None => (name.as_str(), None),
        };
        let top = commands::first_words()
            .iter()
            .find(|top| top.name == head)?;
        let Some(subcommand) = subcommand else {
            return Some(Described::top(top));
        };
        let is_it = |command: &&&Row| {
            let (_, last) = command.name.split_once(' ').unwrap_or_default();
            last == subcommand
        };
        let command = top.subcommands.iter().find(is_it)?;
        Some(Described::subcommand(top.family, command))
    }

    pub(super) fn subcommands(self) -> impl Iterator<Item = Described<'a>> {
        let family = self.family;
        let rows = self.subcommands.iter();
        rows.map(move |command| Described::subcommand(family, command))
    }

    /// The name as Redis writes it: `config|get`.
    pub(super) fn full_name(self) -> String {
        self.name.to_ascii_lowercase().replace(' ', "|")
    }

    pub(super) fn arity(self) -> i64 {
        self.command.map_or(-2, |command| command.arity.as_redis())
    }

    /// The place of the first word after the name.
    pub(super) fn first(self) -> i64 {
        self.command.map_or(1, |command| command.first() as i64)
    }

    pub(super) fn summary(self) -> String {
        match self.command {
            Some(command) => command.summary.to_owned(),
            None => format!("Commands that begin with {}.", self.name),
        }
    }

    /// The version that had it first: of a container, its oldest subcommand's.
    pub(super) fn since(self) -> &'static str {
        let version = |since: &str| -> Vec<u32> {
            since
                .split('.')
                .filter_map(|part| part.parse().ok())
                .collect()
        };
        let oldest = || {
            let all = self.subcommands.iter().map(|command| command.since);
            all.min_by_key(|since| version(since)).unwrap_or_default()
        };
        self.command.map_or_else(oldest, |command| command.since)
    }
}
