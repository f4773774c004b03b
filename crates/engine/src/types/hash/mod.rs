//! Hash: fields, each with a value.
//!
//! A small hash is a listpack, field and value in turn, in its entry. When it has more than
//! `hash-max-listpack-entries` fields, or one that is longer than `hash-max-listpack-value`, it
//! becomes a table of [`Fields`] and stays one.
//!
//! A hash of which a field has been given a time to expire at becomes a [`TimedHash`], which is of
//! another kind and holds the hash: so one without such times neither has room for them nor asks for
//! them. What commands do with either is [`FieldMap`].

pub(crate) mod commands;
mod deadlines;
mod either;
pub(crate) mod expiry_commands;
mod getex;
mod setex;
mod timed;

pub(crate) use timed::TimedHash;

use crate::keyspace::entry::{Held, HeldMut, Housed, Object, Str};
use crate::keyspace::prefetch::Step;
use crate::keyspace::table::{Keyed, Table};
use crate::types::listpack::{ListpackMut, Room};
use crate::types::thin::Thin;
use crate::types::{Limits, cursor, scaled, varint};

/// Fields, each with a value. See the module's documentation.
pub(crate) type Hash = Housed<Fields>;

/// The fields of a large hash.
///
/// Invariant: `field_bytes` is what all fields have allocated. [`Fields::set`] and
/// [`Fields::remove`] are the only functions that write either.
pub(crate) struct Fields {
    table: Table<Field>,
    field_bytes: usize,
}

/// What [`FieldMap::set`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Added,
    Updated,
}

/// What commands do with a hash, whether or not fields of it may expire.
pub(crate) trait FieldMap: Object {
    /// How many fields there are.
    fn count(&self) -> usize;

    /// The value of a field.
    fn get(&self, field: &[u8]) -> Option<Str<'_>>;

    /// Whether the field is there.
    fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// Gives a field this value, adding the field if it is new. It does not expire any more.
    fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> Written;

    /// Gives a field this value, adding the field if it is new. When it expires stays.
    fn update(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> Written {
        self.set(field, value, limits)
    }

    /// Removes a field, and says whether it was there.
    fn remove(&mut self, field: &[u8]) -> bool;

    /// When a field expires, in Unix milliseconds, if ever; none if there is no such field.
    fn deadline(&self, field: &[u8]) -> Option<Option<u64>> {
        self.contains(field).then_some(None)
    }

    /// All fields with their values: in the order of their adding while the hash is small.
    fn iter(&self) -> impl Iterator<Item = (Str<'_>, Str<'_>)>;

    /// Visits some fields, and answers the cursor to go on from, which is 0 at the end.
    ///
    /// A small hash is visited whole. See [`Table::scan`] for what is promised of a large one.
    fn scan(&self, cursor: u64, visit: &mut dyn FnMut(Str<'_>, Str<'_>)) -> u64;

    /// A field chosen by `random`, each with the same chance, and its value.
    fn sample(&self, random: u64) -> Option<(Str<'_>, Str<'_>)>;
}

impl Object for Hash {
    const TYPE_NAME: &'static str = "hash";

    fn len(&self) -> usize {
        match self.held() {
            Held::Packed(packed) => packed.len() / 2,
            Held::Large(fields) => fields.table.len(),
        }
    }

    fn encoding(&self) -> &'static str {
        match self.held() {
            Held::Packed(_) => "listpack",
            Held::Large(_) => "hashtable",
        }
    }

    fn heap_bytes(&self) -> usize {
        match self.held() {
            Held::Packed(_) => 0,
            Held::Large(fields) => size_of::<Fields>() + fields.table.bytes() + fields.field_bytes,
        }
    }

    fn copy(&self, limits: &Limits) -> Hash {
        match self.held() {
            Held::Packed(packed) => Hash::packed(packed),
            Held::Large(_) => Hash::large(Fields::of(self.iter(), limits)),
        }
    }

    fn look_ahead(&self, hash: &mut dyn FnMut() -> u64, step: Step) {
        if let Held::Large(fields) = self.held() {
            fields.table.look_ahead(hash(), step);
        }
    }
}

impl FieldMap for Hash {
    fn count(&self) -> usize {
        self.len()
    }

    fn get(&self, field: &[u8]) -> Option<Str<'_>> {
        match self.held() {
            Held::Packed(packed) => {
                let value = packed.skip(packed.find::<2>(field)?, 1);
                Some(packed.element(value).0)
            }
            Held::Large(fields) => {
                let table = &fields.table;
                let found = table.find(table.seed().hash(field), field)?;
                Some(Str::Bytes(found.pair().1))
            }
        }
    }

    fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> Written {
        self.make_room_for(field, value, limits);
        match self.held_mut() {
            HeldMut::Large(fields) => fields.set(field, value),
            HeldMut::Packed(mut room) => {
                let packed = room.listpack();
                let found = packed.find::<2>(field);
                let old_value = found.map(|place| packed.skip(place, 1));
                let mut packed = ListpackMut::new(&mut room);
                match old_value {
                    Some(place) => {
                        packed.replace(place, Str::Bytes(value));
                        Written::Updated
                    }
                    None => {
                        packed.push([Str::Bytes(field), Str::Bytes(value)]);
                        Written::Added
                    }
                }
            }
        }
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        match self.held_mut() {
            HeldMut::Large(fields) => fields.remove(field),
            HeldMut::Packed(mut room) => {
                let Some(place) = room.listpack().find::<2>(field) else {
                    return false;
                };
                ListpackMut::new(&mut room).remove(place, 2);
                true
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = (Str<'_>, Str<'_>)> {
        let (small, large) = match self.held() {
            Held::Packed(packed) => (Some(packed.pairs()), None),
            Held::Large(fields) => (None, Some(fields.table.iter().map(Field::strings))),
        };
        small
            .into_iter()
            .flatten()
            .chain(large.into_iter().flatten())
    }

    fn scan(&self, cursor: u64, visit: &mut dyn FnMut(Str<'_>, Str<'_>)) -> u64 {
        match self.held() {
            Held::Packed(packed) => {
                packed
                    .pairs()
                    .for_each(|(field, value)| visit(field, value));
                0
            }
            Held::Large(fields) => cursor::scan(&fields.table, cursor, &mut |found| {
                let (field, value) = found.strings();
                visit(field, value);
            }),
        }
    }

    fn sample(&self, random: u64) -> Option<(Str<'_>, Str<'_>)> {
        match self.held() {
            Held::Packed(packed) if packed.is_empty() => None,
            Held::Packed(packed) => {
                let index = scaled(random, packed.len() / 2);
                packed.pairs_in(index..index + 1).next()
            }
            Held::Large(fields) => fields.table.sample(random).map(Field::strings),
        }
    }
}

impl Hash {
    /// Becomes a table if the field cannot be added, or cannot get this value, otherwise.
    fn make_room_for(&mut self, field: &[u8], value: &[u8], limits: &Limits) {
        let Held::Packed(packed) = self.held() else {
            return;
        };
        let is_long = field.len().max(value.len()) > limits.hash_max_listpack_value.get();
        let (len, len_max) = (packed.len() / 2, limits.hash_max_listpack_entries.get());
        // It may have become too long for a limit that was lowered since.
        let is_full = len > len_max || len == len_max && packed.find::<2>(field).is_none();
        let is_huge = !packed.has_room_for([Str::Bytes(field), Str::Bytes(value)]);
        if is_long || is_full || is_huge {
            let fields = Fields::of(packed.pairs(), limits);
            self.set_large(fields);
        }
    }
}

impl Fields {
    fn of<'a>(pairs: impl Iterator<Item = (Str<'a>, Str<'a>)>, limits: &Limits) -> Fields {
        let mut fields = Fields {
            table: Table::new(limits.seed),
            field_bytes: 0,
        };
        for (field, value) in pairs {
            field.with_bytes(|field| value.with_bytes(|value| fields.set(field, value)));
        }
        fields
    }

    fn set(&mut self, field: &[u8], value: &[u8]) -> Written {
        let hash = self.table.seed().hash(field);
        match self.table.find_mut(hash, field) {
            Some(found) => {
                let before = found.0.heap_bytes();
                found.set_value(value);
                self.field_bytes = self.field_bytes - before + found.0.heap_bytes();
                Written::Updated
            }
            None => {
                let field = Field::new(field, value);
                self.field_bytes += field.0.heap_bytes();
                self.table.insert(hash, field);
                Written::Added
            }
        }
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        let removed = self.table.remove(self.table.seed().hash(field), field);
        if let Some(removed) = &removed {
            self.field_bytes -= removed.0.heap_bytes();
        }
        removed.is_some()
    }
}

/// A field and its value in one allocation: the field's length, the field, the value.
struct Field(Thin);

impl Field {
    fn new(field: &[u8], value: &[u8]) -> Field {
        let len = varint::encode(field.len() as u64);
        Field(Thin::new(&[len.as_slice(), field, value]))
    }

    fn pair(&self) -> (&[u8], &[u8]) {
        let content = self.0.content();
        let (len, header) = varint::read(content);
        content[header..].split_at(len as usize)
    }

    fn strings(&self) -> (Str<'_>, Str<'_>) {
        let (field, value) = self.pair();
        (Str::Bytes(field), Str::Bytes(value))
    }

    fn set_value(&mut self, value: &[u8]) {
        let end = self.0.bytes().len();
        let start = end - self.pair().1.len();
        self.0.open(start..end, value.len());
        let tail = self.0.tail_mut();
        let start = tail.len() - value.len();
        tail[start..].copy_from_slice(value);
    }
}

impl Keyed for Field {
    #[inline]
    fn key(&self) -> &[u8] {
        self.pair().0
    }

    #[inline]
    fn prefetch(&self) {
        self.0.prefetch();
    }
}

#[cfg(test)]
mod tests;
