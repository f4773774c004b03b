//! Set: members, none twice.
//!
//! A set is held in one of three ways, and goes from an earlier to a later one when it must:
//!
//! - [`Integers`] while all members are integers, up to `set-max-intset-entries`;
//! - a [`Listpack`] while members are no longer than `set-max-listpack-value` and no more than
//!   `set-max-listpack-entries`;
//! - a table of [`Members`].
//!
//! It never goes back, except that an empty set is an empty sequence of integers, and that a table
//! of which almost all is taken at once may be packed.

pub(crate) mod commands;
mod integers;

use integers::Integers;

use crate::args::parse_int;
use crate::hash::Seed;
use crate::keyspace::entry::{Object, Str};
use crate::keyspace::prefetch::Step;
use crate::keyspace::table::{Keyed, Table};
use crate::types::listpack::{Listpack, ListpackMut, Room};
use crate::types::thin::Thin;
use crate::types::{Limits, cursor, scaled};

/// Members, none twice. See the module's documentation.
#[derive(Default)]
pub(crate) struct Set(Repr);

enum Repr {
    Integers(Integers),
    /// A listpack.
    Packed(Thin),
    Table(Box<Members>),
}

/// The members of a large set.
///
/// Invariant: `member_bytes` is what all members have allocated. [`Members::insert`],
/// [`Members::remove`] and [`Members::take`] are the only functions that write either.
struct Members {
    table: Table<Member>,
    member_bytes: usize,
}

impl Default for Repr {
    fn default() -> Repr {
        Repr::Integers(Integers::default())
    }
}

impl Object for Set {
    const TYPE_NAME: &'static str = "set";

    fn len(&self) -> usize {
        match &self.0 {
            Repr::Integers(integers) => integers.len(),
            Repr::Packed(packed) => listpack(packed).len(),
            Repr::Table(members) => members.table.len(),
        }
    }

    fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Integers(_) => "intset",
            Repr::Packed(_) => "listpack",
            Repr::Table(_) => "hashtable",
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Integers(integers) => integers.heap_bytes(),
            Repr::Packed(packed) => packed.heap_bytes(),
            Repr::Table(members) => {
                size_of::<Members>() + members.table.bytes() + members.member_bytes
            }
        }
    }

    fn copy(&self, limits: &Limits) -> Set {
        Set(match &self.0 {
            Repr::Integers(integers) => Repr::Integers(integers.clone()),
            Repr::Packed(packed) => Repr::Packed(packed.clone()),
            Repr::Table(_) => Repr::Table(Box::new(Members::of(self, limits.seed))),
        })
    }

    fn elements(&self) -> Option<Vec<Vec<u8>>> {
        Some(self.iter().map(Str::to_vec).collect())
    }

    fn look_ahead(&self, hash: &mut dyn FnMut() -> u64, step: Step) {
        if let Repr::Table(members) = &self.0 {
            members.table.look_ahead(hash(), step);
        }
    }
}

/// The members of a small set.
fn listpack(packed: &Thin) -> Listpack<'_> {
    Listpack::new(packed.bytes())
}

impl Set {
    /// Whether this is a member.
    pub(crate) fn contains(&self, member: &[u8]) -> bool {
        match &self.0 {
            Repr::Integers(integers) => {
                parse_int(member).is_some_and(|number| integers.contains(number))
            }
            Repr::Packed(packed) => listpack(packed).find::<1>(member).is_some(),
            Repr::Table(members) => members.contains(member),
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
                let is_new = listpack(packed).find::<1>(member).is_none();
                if is_new {
                    ListpackMut::new(packed).push([Str::Bytes(member)]);
                }
                is_new
            }
            Repr::Table(members) => members.insert(member),
        }
    }

    /// Removes a member, and says whether it was there.
    pub(crate) fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Repr::Integers(integers) => {
                parse_int(member).is_some_and(|number| integers.remove(number))
            }
            Repr::Packed(packed) => {
                let place = listpack(packed).find::<1>(member);
                if let Some(place) = place {
                    ListpackMut::new(packed).remove(place, 1);
                }
                place.is_some()
            }
            Repr::Table(members) => members.remove(member),
        }
    }

    /// All members: ascending while they are integers, then in the order of their adding while the
    /// set is small.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Str<'_>> {
        let (integers, packed, table) = match &self.0 {
            Repr::Integers(integers) => (Some(integers.iter()), None, None),
            Repr::Packed(packed) => (None, Some(listpack(packed).iter()), None),
            Repr::Table(members) => (None, None, Some(members.table.iter())),
        };
        let integers = integers.into_iter().flatten().map(Str::Int);
        let packed = packed.into_iter().flatten();
        let table = table.into_iter().flatten().map(Member::string);
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
            Repr::Table(members) => {
                cursor::scan(&members.table, cursor, &mut |member| visit(member.string()))
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
                let packed = listpack(packed);
                Some(packed.element(packed.place(scaled(random, packed.len()))).0)
            }
            Repr::Table(members) => members.table.sample(random).map(Member::string),
        }
    }

    /// Removes a member chosen by `random`, each with the same chance, and gives it to `visit`.
    /// Answers whether there was one.
    pub(crate) fn take(&mut self, random: u64, visit: impl FnOnce(Str<'_>)) -> bool {
        if let Repr::Table(members) = &mut self.0 {
            let taken = members.take(random);
            if let Some(member) = &taken {
                visit(member.string());
            }
            return taken.is_some();
        }
        // It is short, since the set is small.
        let Some(member) = self.sample(random).map(Str::to_vec) else {
            return false;
        };
        self.remove(&member);
        visit(Str::Bytes(&member));
        true
    }

    /// Goes over to a way in which `member` can be added.
    fn make_room_for(&mut self, member: &[u8], limits: &Limits) {
        let fits_packed = |len: usize| {
            len < limits.set_max_listpack_entries.get()
                && member.len() <= limits.set_max_listpack_value.get()
        };
        match &self.0 {
            Repr::Integers(integers) => match parse_int(member) {
                Some(number) => {
                    let is_full = integers.len() >= limits.set_max_intset_entries.get();
                    if is_full && !integers.contains(number) {
                        self.make_table(limits.seed);
                    }
                }
                None if fits_packed(integers.len()) => self.make_packed(),
                None => self.make_table(limits.seed),
            },
            Repr::Packed(packed) => {
                let packed = listpack(packed);
                let fits = fits_packed(packed.len()) && packed.has_room_for([Str::Bytes(member)]);
                if !fits && packed.find::<1>(member).is_none() {
                    self.make_table(limits.seed);
                }
            }
            Repr::Table(_) => {}
        }
    }

    /// Packs the members of a table, if they are few and short enough.
    pub(crate) fn pack(&mut self, limits: &Limits) {
        if !matches!(self.0, Repr::Table(_)) {
            return;
        }
        let mut packed = Set(Repr::Packed(Thin::default()));
        for member in self.iter() {
            member.with_bytes(|member| packed.insert(member, limits));
        }
        *self = packed;
    }

    fn make_packed(&mut self) {
        let mut packed = Thin::default();
        for member in self.iter() {
            ListpackMut::new(&mut packed).push([member]);
        }
        self.0 = Repr::Packed(packed);
    }

    fn make_table(&mut self, seed: Seed) {
        self.0 = Repr::Table(Box::new(Members::of(self, seed)));
    }
}

impl Members {
    fn of(set: &Set, seed: Seed) -> Members {
        let mut members = Members {
            table: Table::new(seed),
            member_bytes: 0,
        };
        for member in set.iter() {
            member.with_bytes(|member| members.insert(member));
        }
        members
    }

    fn contains(&self, member: &[u8]) -> bool {
        let hash = self.table.seed().hash(member);
        self.table.find(hash, member).is_some()
    }

    fn insert(&mut self, member: &[u8]) -> bool {
        let hash = self.table.seed().hash(member);
        let is_new = self.table.find(hash, member).is_none();
        if is_new {
            let member = Member(Thin::new(&[member]));
            self.member_bytes += member.0.heap_bytes();
            self.table.insert(hash, member);
        }
        is_new
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.table.seed().hash(member);
        let removed = self.table.remove(hash, member);
        if let Some(removed) = &removed {
            self.member_bytes -= removed.0.heap_bytes();
        }
        removed.is_some()
    }

    fn take(&mut self, random: u64) -> Option<Member> {
        let found = self.table.sample_place(random)?;
        let taken = self.table.remove_at(found);
        if let Some(taken) = &taken {
            self.member_bytes -= taken.0.heap_bytes();
        }
        taken
    }
}

/// A member of a large set.
struct Member(Thin);

impl Member {
    fn string(&self) -> Str<'_> {
        Str::Bytes(self.0.content())
    }
}

impl Keyed for Member {
    #[inline]
    fn key(&self) -> &[u8] {
        self.0.content()
    }

    #[inline]
    fn prefetch(&self) {
        self.0.prefetch();
    }
}

#[cfg(test)]
mod tests;
