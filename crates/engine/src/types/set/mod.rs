//! Set: members, none twice.
//!
//! A set is held in one of three ways, and goes from an earlier to a later one when it must:
//!
//! - [`Integers`] while all members are integers, up to `set-max-intset-entries`;
//! - [`Packed`] while members are no longer than `set-max-listpack-value` and no more than
//!   `set-max-listpack-entries`;
//! - [`Table`].
//!
//! It never goes back, except that an empty set is an empty sequence of integers.

pub(crate) mod commands;
mod integers;

use integers::Integers;

use crate::args::parse_int;
use crate::hash::Seed;
use crate::keyspace::entry::Str;
use crate::keyspace::table::{Keyed, Table};
use crate::types::packed::Packed;
use crate::types::{Limits, cursor, scaled};

/// Members, none twice. See the module's documentation.
#[derive(Default)]
pub(crate) struct Set(Repr);

enum Repr {
    Integers(Integers),
    Packed(Packed),
    Table(Box<Table<Member>>),
}

impl Default for Repr {
    fn default() -> Repr {
        Repr::Integers(Integers::default())
    }
}

impl Set {
    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Repr::Integers(integers) => integers.len(),
            Repr::Packed(packed) => packed.len(),
            Repr::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is a member.
    pub(crate) fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Repr::Integers(integers) => {
                parse_int(member).is_some_and(|number| integers.contains(number))
            }
            Repr::Packed(packed) => packed.find::<1>(member).is_some(),
            Repr::Table(table) => table.find(table.seed().hash(member), member).is_some(),
        }
    }

    /// Adds a member, and says whether it is new.
    pub(crate) fn insert(&mut self, member: &[u8], limits: &Limits) -> bool {
        self.make_room_for(member, limits);
        match &mut self.0 {
            Repr::Integers(integers) => {
                parse_int(member).is_some_and(|number| integers.insert(number))
            }
            Repr::Packed(packed) => {
                let is_new = packed.find::<1>(member).is_none();
                if is_new {
                    packed.push([member]);
                }
                is_new
            }
            Repr::Table(table) => {
                let hash = table.seed().hash(member);
                let is_new = table.find(hash, member).is_none();
                if is_new {
                    table.insert(hash, Member(member.into()));
                }
                is_new
            }
        }
    }

    /// Removes a member, and says whether it was there.
    pub(crate) fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Repr::Integers(integers) => {
                parse_int(member).is_some_and(|number| integers.remove(number))
            }
            Repr::Packed(packed) => {
                let place = packed.find::<1>(member);
                place.inspect(|place| packed.remove(*place, 1)).is_some()
            }
            Repr::Table(table) => table.remove(table.seed().hash(member), member).is_some(),
        }
    }

    /// All members: ascending while they are integers, then in the order of their adding while the
    /// set is small.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Str<'_>> {
        let (integers, packed, table) = match &self.0 {
            Repr::Integers(integers) => (Some(integers.iter()), None, None),
            Repr::Packed(packed) => (None, Some(packed.iter()), None),
            Repr::Table(table) => (None, None, Some(table.iter())),
        };
        let integers = integers.into_iter().flatten().map(Str::Int);
        let packed = packed.into_iter().flatten().map(Str::Bytes);
        let table = table
            .into_iter()
            .flatten()
            .map(|member| Str::Bytes(&member.0));
        integers.chain(packed).chain(table)
    }

    /// Visits some members, and answers the cursor to go on from, which is 0 at the end.
    ///
    /// A small set is visited whole. See [`Table::scan`] for what is promised of a large one.
    pub(crate) fn scan(&self, cursor: u64, visit: &mut dyn FnMut(Str<'_>)) -> u64 {
        match &self.0 {
            Repr::Integers(_) | Repr::Packed(_) => {
                self.iter().for_each(visit);
                0
            }
            Repr::Table(table) => {
                cursor::scan(table, cursor, &mut |member| visit(Str::Bytes(&member.0)))
            }
        }
    }

    /// A member chosen by `random`, each with the same chance.
    pub(crate) fn sample(&self, random: u64) -> Option<Str<'_>> {
        if self.is_empty() {
            return None;
        }
        match &self.0 {
            Repr::Integers(integers) => Some(Str::Int(integers.at(scaled(random, integers.len())))),
            Repr::Packed(packed) => {
                let place = packed.place(scaled(random, packed.len()));
                Some(Str::Bytes(packed.element(place).0))
            }
            Repr::Table(table) => table.sample(random).map(|member| Str::Bytes(&member.0)),
        }
    }

    /// What `OBJECT ENCODING` calls the way in which the set is held.
    pub(crate) fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Integers(_) => "intset",
            Repr::Packed(_) => "listpack",
            Repr::Table(_) => "hashtable",
        }
    }

    /// How many bytes are allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Integers(integers) => integers.heap_bytes(),
            Repr::Packed(packed) => packed.heap_bytes(),
            Repr::Table(table) => {
                let members: usize = table.iter().map(|member| member.0.len()).sum();
                size_of::<Table<Member>>() + table.bytes() + members
            }
        }
    }

    /// Goes over to a way in which `member` can be added.
    fn make_room_for(&mut self, member: &[u8], limits: &Limits) {
        let fits_packed = |len: usize| {
            len < limits.set_max_listpack_entries && member.len() <= limits.set_max_listpack_value
        };
        match &self.0 {
            Repr::Integers(integers) => match parse_int(member) {
                Some(number) => {
                    let is_full = integers.len() >= limits.set_max_intset_entries;
                    if is_full && !integers.contains(number) {
                        self.make_table(limits.seed);
                    }
                }
                None if fits_packed(integers.len()) => self.make_packed(),
                None => self.make_table(limits.seed),
            },
            Repr::Packed(packed) => {
                if !fits_packed(packed.len()) && packed.find::<1>(member).is_none() {
                    self.make_table(limits.seed);
                }
            }
            Repr::Table(_) => {}
        }
    }

    fn make_packed(&mut self) {
        let mut packed = Packed::default();
        self.each_bytes(|member| packed.push([member]));
        self.0 = Repr::Packed(packed);
    }

    fn make_table(&mut self, seed: Seed) {
        let mut table = Table::new(seed);
        self.each_bytes(|member| table.insert(seed.hash(member), Member(member.into())));
        self.0 = Repr::Table(Box::new(table));
    }

    fn each_bytes(&self, mut visit: impl FnMut(&[u8])) {
        for member in self.iter() {
            member.with_bytes(&mut visit);
        }
    }
}

/// A member of a large set.
struct Member(Box<[u8]>);

impl Keyed for Member {
    #[inline]
    fn key(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
