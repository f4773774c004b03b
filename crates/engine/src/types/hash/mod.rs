//! Hash: fields, each with a value.
//!
//! A small hash is [`Packed`], field and value in turn. When it has more than
//! `hash-max-listpack-entries` fields, or one that is longer than `hash-max-listpack-value`, it
//! becomes a [`Table`] and stays one.

pub(crate) mod commands;

use crate::keyspace::table::{Keyed, Table};
use crate::types::packed::Packed;
use crate::types::{Limits, cursor, scaled, varint};

/// Fields, each with a value. See the module's documentation.
#[derive(Default)]
pub(crate) struct Hash(Repr);

enum Repr {
    Packed(Packed),
    Table(Box<Table<Field>>),
}

impl Default for Repr {
    fn default() -> Repr {
        Repr::Packed(Packed::default())
    }
}

/// What [`Hash::set`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Added,
    Updated,
}

impl Hash {
    /// How many fields there are.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Repr::Packed(packed) => packed.len() / 2,
            Repr::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    pub(crate) fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match &self.0 {
            Repr::Packed(packed) => {
                let (_, value) = packed.element(packed.find::<2>(field)?);
                Some(packed.element(value).0)
            }
            Repr::Table(table) => {
                let found = table.find(table.seed().hash(field), field)?;
                Some(found.pair().1)
            }
        }
    }

    /// Whether the field is there.
    pub(crate) fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// Gives a field this value, adding the field if it is new.
    pub(crate) fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> Written {
        self.make_room_for(field, value, limits);
        match &mut self.0 {
            Repr::Packed(packed) => match packed.find::<2>(field) {
                Some(place) => {
                    let (_, old_value) = packed.element(place);
                    packed.replace(old_value, value);
                    Written::Updated
                }
                None => {
                    packed.push([field, value]);
                    Written::Added
                }
            },
            Repr::Table(table) => {
                let hash = table.seed().hash(field);
                match table.find_mut(hash, field) {
                    Some(found) => {
                        found.set_value(value);
                        Written::Updated
                    }
                    None => {
                        table.insert(hash, Field::new(field, value));
                        Written::Added
                    }
                }
            }
        }
    }

    /// Removes a field, and says whether it was there.
    pub(crate) fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.0 {
            Repr::Packed(packed) => {
                let place = packed.find::<2>(field);
                place.inspect(|place| packed.remove(*place, 2)).is_some()
            }
            Repr::Table(table) => table.remove(table.seed().hash(field), field).is_some(),
        }
    }

    /// All fields with their values: in the order of their adding while the hash is small.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (small, large) = match &self.0 {
            Repr::Packed(packed) => (Some(packed.pairs()), None),
            Repr::Table(table) => (None, Some(table.iter().map(Field::pair))),
        };
        small
            .into_iter()
            .flatten()
            .chain(large.into_iter().flatten())
    }

    /// Visits some fields, and answers the cursor to go on from, which is 0 at the end.
    ///
    /// A small hash is visited whole. See [`Table::scan`] for what is promised of a large one.
    pub(crate) fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> u64 {
        match &self.0 {
            Repr::Packed(packed) => {
                packed
                    .pairs()
                    .for_each(|(field, value)| visit(field, value));
                0
            }
            Repr::Table(table) => cursor::scan(table, cursor, &mut |found| {
                let (field, value) = found.pair();
                visit(field, value);
            }),
        }
    }

    /// A field chosen by `random`, each with the same chance, and its value.
    pub(crate) fn sample(&self, random: u64) -> Option<(&[u8], &[u8])> {
        match &self.0 {
            Repr::Packed(packed) if packed.is_empty() => None,
            Repr::Packed(packed) => {
                let index = scaled(random, packed.len() / 2);
                packed.pairs_in(index..index + 1).next()
            }
            Repr::Table(table) => table.sample(random).map(Field::pair),
        }
    }

    /// What `OBJECT ENCODING` calls the way in which the hash is held.
    pub(crate) fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Packed(_) => "listpack",
            Repr::Table(_) => "hashtable",
        }
    }

    /// How many bytes are allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Packed(packed) => packed.heap_bytes(),
            Repr::Table(table) => {
                let fields: usize = table.iter().map(|field| field.0.len()).sum();
                size_of::<Table<Field>>() + table.bytes() + fields
            }
        }
    }

    /// Becomes a table if the field cannot be added, or cannot get this value, otherwise.
    fn make_room_for(&mut self, field: &[u8], value: &[u8], limits: &Limits) {
        let Repr::Packed(packed) = &self.0 else {
            return;
        };
        let is_long = field.len().max(value.len()) > limits.hash_max_listpack_value;
        let is_full = packed.len() / 2 >= limits.hash_max_listpack_entries;
        if is_long || is_full && packed.find::<2>(field).is_none() {
            let mut table = Table::new(limits.seed);
            for (field, value) in packed.pairs() {
                table.insert(limits.seed.hash(field), Field::new(field, value));
            }
            self.0 = Repr::Table(Box::new(table));
        }
    }
}

/// A field and its value in one allocation: the field's length, the field, the value.
struct Field(Box<[u8]>);

impl Field {
    fn new(field: &[u8], value: &[u8]) -> Field {
        let len = varint::encode(field.len() as u64);
        Field([len.as_slice(), field, value].concat().into_boxed_slice())
    }

    fn pair(&self) -> (&[u8], &[u8]) {
        let (len, header) = varint::read(&self.0);
        self.0[header..].split_at(len as usize)
    }

    fn set_value(&mut self, value: &[u8]) {
        let (field, old) = self.pair();
        if old.len() == value.len() {
            let start = self.0.len() - value.len();
            self.0[start..].copy_from_slice(value);
        } else {
            *self = Field::new(field, value);
        }
    }
}

impl Keyed for Field {
    #[inline]
    fn key(&self) -> &[u8] {
        self.pair().0
    }
}

#[cfg(test)]
mod tests;
