//! The functions that a machine has.

use super::super::Table;
use super::super::stack::Reference;
use super::{Found, Library, Registered};

/// The functions of libraries, by the numbers of these and by their own names.
#[derive(Default)]
pub(in super::super) struct Loaded {
    libraries: Table<u64, Table<Box<str>, Reference>>,
}

impl Loaded {
    pub(in super::super) fn has(&self, library: &Library) -> bool {
        self.libraries.contains_key(&library.number())
    }

    pub(in super::super) fn insert(&mut self, library: &Library, registered: Vec<Registered>) {
        let functions = registered.into_iter();
        let functions = functions.map(|function| (function.info.name, function.callback));
        self.libraries.insert(library.number(), functions.collect());
    }

    pub(in super::super) fn find(&self, function: &Found<'_>) -> Option<Reference> {
        let functions = self.libraries.get(&function.library().number())?;
        functions.get(function.name()).copied()
    }
}
