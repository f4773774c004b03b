//! The categories of access control lists, and which commands are in them.

use super::described::Described;
use super::facts::CATEGORIES;
use crate::command::Row;
use crate::commands::{FirstWord, first_words};

/// A category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Category(usize);

/// In which categories a command is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Categories([bool; CATEGORIES]);

impl Category {
    /// The names of all of them, without the sign in front.
    pub(crate) fn names() -> [&'static str; CATEGORIES] {
        let marks = Described::top(&first_words()[0]).category_marks();
        marks.map(|(_, name)| name.trim_start_matches('@'))
    }

    /// The category of this name, in any case.
    pub(crate) fn find(name: &str) -> Option<Category> {
        let names = Category::names();
        let mut names = names.iter();
        names
            .position(|other| other.eq_ignore_ascii_case(name))
            .map(Category)
    }

    /// The names of the commands and containers that are in it.
    pub(crate) fn commands(self) -> Vec<String> {
        let mut commands = Vec::new();
        for first in first_words() {
            let top = Described::top(first);
            let all = std::iter::once(top).chain(top.subcommands());
            let in_it = all.filter(|described| Categories::of(*described).has(self));
            commands.extend(in_it.map(Described::full_name));
        }
        commands
    }
}

impl Categories {
    fn of(described: Described<'_>) -> Categories {
        Categories(described.category_marks().map(|(is_in, _)| is_in))
    }

    pub(crate) fn has(self, category: Category) -> bool {
        self.0[category.0]
    }
}

/// The categories of a command or a container.
pub(crate) fn of_first_word(first: &FirstWord) -> Categories {
    Categories::of(Described::top(first))
}

/// The categories of a subcommand of this container.
pub(crate) fn of_subcommand(first: &FirstWord, command: &'static Row) -> Categories {
    Categories::of(Described::subcommand(first.family, command))
}
