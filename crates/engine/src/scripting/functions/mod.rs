//! Functions: libraries of Lua that register them, and FCALL that runs them.
//!
//! ```text
//! Functions ── the libraries by name, and their functions by name
//!   library    what a library is: its text, what its first line says, the functions that it registers
//!   register   redis.register_function, which a library calls while it is loaded
//!   loaded     the functions that a machine has, by the numbers of their libraries
//!   call       FCALL              manage     FUNCTION LOAD and its kin
//!   payload    FUNCTION DUMP and FUNCTION RESTORE
//! ```
//!
//! A library is text here and functions in a machine. It is loaded once to learn what it registers, by
//! whoever brings it, and then by each machine that is first asked for one of its functions. So the local
//! variables of a library belong to a machine: what a function leaves in one of them it may find again,
//! or not, where Redis has one machine for all.
//!
//! A change is made under one lock: a library is there with all of its functions, or not at all. When one goes or is replaced, the machines go that may have loaded it.

mod call;
pub(crate) mod commands;
mod library;
mod loaded;
mod manage;
mod payload;
mod register;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::Table;
use crate::error::{Error, Result};
use crate::rdb::{Writer, file};
use crate::sync::RwLock;
pub(super) use call::Found;
pub(super) use library::Library;
pub(super) use loaded::Loaded;
pub(super) use register::{Loading, Registered, loading_library};

/// The libraries that are there.
#[derive(Debug, Default)]
pub(super) struct Functions {
    libraries: RwLock<Libraries>,
    /// How many libraries have been read: each has a number of its own.
    read: AtomicU64,
}

/// Libraries, and the functions in them.
#[derive(Debug, Default)]
struct Libraries {
    by_name: BTreeMap<Box<str>, Arc<Library>>,
    /// Each function's library and its place there, by its name in small letters.
    functions: Table<Box<str>, (Arc<Library>, usize)>,
    /// How many bytes they take.
    bytes: usize,
}

/// A function, found by its name.
#[derive(Debug)]
pub(super) struct Function {
    library: Arc<Library>,
    place: usize,
}

impl Function {
    fn info(&self) -> &library::Info {
        &self.library.functions()[self.place]
    }

    /// Whether it is refused as a whole where there is no memory left.
    pub(super) fn takes_memory(&self) -> bool {
        self.info().flags.takes_memory()
    }
}

impl Functions {
    /// The function with this name, in any case.
    pub(super) fn find(&self, name: &[u8]) -> Option<Function> {
        let name = std::str::from_utf8(name).ok()?;
        let libraries = self.libraries.read();
        let (library, place) = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => libraries.functions.get(&*name.to_ascii_lowercase()),
            false => libraries.functions.get(name),
        }?;
        Some(Function {
            library: Arc::clone(library),
            place: *place,
        })
    }

    /// Whether a call of this name may write: there is no such function, or it does not say that it does not.
    pub(super) fn may_write(&self, name: &[u8]) -> bool {
        let function = self.find(name);
        !function.is_some_and(|function| function.info().flags.is_readonly())
    }

    /// How many bytes the libraries take.
    pub(super) fn bytes(&self) -> usize {
        self.libraries.read().bytes
    }

    /// How many libraries there are, and how many functions.
    pub(super) fn count(&self) -> (usize, usize) {
        let libraries = self.libraries.read();
        (libraries.by_name.len(), libraries.functions.len())
    }

    /// Whether there is a library with this name.
    fn has(&self, name: &str) -> bool {
        self.libraries.read().by_name.contains_key(name)
    }

    /// The libraries, in the order of their names.
    fn all(&self) -> Vec<Arc<Library>> {
        self.libraries.read().by_name.values().cloned().collect()
    }

    /// Writes the libraries, as they stand in a file.
    pub(super) fn write(&self, writer: &mut Writer) {
        let libraries = self.all();
        let texts = libraries.iter().map(|library| library.text());
        texts.for_each(|text| file::write_library(text, writer));
    }

    /// A number that no other library has.
    fn fresh_number(&self) -> u64 {
        self.read.fetch_add(1, Relaxed)
    }
}

impl Libraries {
    /// Adds libraries, in the places of those that have their names, or none of them. Answers whether
    /// any was replaced.
    ///
    /// # Errors
    ///
    /// If a library that stays has one of their functions.
    fn add(&mut self, added: Vec<Arc<Library>>) -> Result<bool> {
        let leaving: HashSet<&str> = added.iter().map(|library| library.name()).collect();
        for info in added.iter().flat_map(|library| library.functions()) {
            let other = self.functions.get(&*info.name.to_ascii_lowercase());
            let stays = |other: &Library| !leaving.contains(other.name());
            if other.is_some_and(|(other, _)| stays(other)) {
                let text = format!("ERR Function {} already exists", info.name);
                return Err(Error::text(text));
            }
        }
        let mut has_replaced = false;
        for library in &added {
            has_replaced |= self.remove(library.name());
        }
        for library in added {
            self.insert(library);
        }
        Ok(has_replaced)
    }

    fn insert(&mut self, library: Arc<Library>) {
        for (place, info) in library.functions().iter().enumerate() {
            let name = info.name.to_ascii_lowercase().into();
            self.functions.insert(name, (Arc::clone(&library), place));
        }
        self.bytes += library.bytes();
        self.by_name.insert(library.name().into(), library);
    }

    /// Removes the library with this name. Answers whether there was one.
    fn remove(&mut self, name: &str) -> bool {
        let Some(library) = self.by_name.remove(name) else {
            return false;
        };
        for info in library.functions() {
            self.functions.remove(&*info.name.to_ascii_lowercase());
        }
        self.bytes -= library.bytes();
        true
    }
}
