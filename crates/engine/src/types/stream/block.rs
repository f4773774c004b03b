//! A block of a stream: up to `stream-node-max-entries` entries packed into one allocation.
//!
//! ```text
//! | names | entry | entry | ... | entry |
//!
//! names: | count | name | name | ... |          the field names of the first entry
//! entry: | size | body | size, mirrored |       `size` is that of the body
//! body:  | 1 | ms | seq | value | value | ... | if its field names are the block's
//!        | 0 | ms | seq | count | name | value | name | value | ... | if not
//! ```
//!
//! Names and values stand behind their lengths. `ms` counts from the block's own id, and so does
//! `seq` within the block's own millisecond.

use super::id::Id;
use crate::keyspace::entry::Str;
use crate::types::listpack::{EMPTY, space_of};
use crate::types::varint;

/// What a number up to 127 takes in a listpack.
const SMALL_INT: usize = 2;

const OWN_NAMES: u8 = 0;
const SAME_NAMES: u8 = 1;

/// A run of entries.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The id of the entry that the block was made for. It stays when that entry is removed.
    base: Id,
    /// The id of the entry that was added last. It stays as well.
    last_id: Id,
    bytes: Vec<u8>,
    /// Where the entries begin.
    begin: usize,
    len: usize,
    removed: usize,
    /// How many bytes Redis's listpack of the same entries would take: what the limit of a block is
    /// about, and so how much an approximate XTRIM leaves.
    listpack_bytes: usize,
}

/// An entry of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) id: Id,
    pub(crate) fields: Fields<'a>,
}

/// The fields of an entry, in the order in which they were given.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    /// The names, where they stand apart from the values.
    names: Option<&'a [u8]>,
    words: &'a [u8],
    left: usize,
}

impl Block {
    /// A block whose first entry will have this id and these fields: names and values in turn.
    pub(crate) fn new<'f>(
        base: Id,
        fields: impl ExactSizeIterator<Item = &'f [u8]> + Clone,
    ) -> Block {
        let mut bytes = Vec::new();
        varint::push(&mut bytes, fields.len() as u64 / 2);
        let names = every_other(fields.clone());
        names.for_each(|name| push_word(&mut bytes, name));
        let names = every_other(fields.clone())
            .map(space_of_word)
            .sum::<usize>();
        Block {
            base,
            last_id: base,
            begin: bytes.len(),
            bytes,
            len: 0,
            removed: 0,
            // Two counts, the names and their number, and a 0 behind them.
            listpack_bytes: EMPTY.len() + 4 * SMALL_INT + names,
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many entries there have been.
    pub(crate) fn len_ever(&self) -> usize {
        self.len + self.removed
    }

    /// How many bytes Redis's listpack of the same entries would take.
    pub(crate) fn listpack_bytes(&self) -> usize {
        self.listpack_bytes
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The id of the entry that was added last, though it may have been removed.
    pub(crate) fn last_id(&self) -> Id {
        self.last_id
    }

    /// All entries.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries {
            block: self,
            place: self.begin,
            end: self.bytes.len(),
        }
    }

    /// Adds an entry at the end. `id` is greater than all others.
    pub(crate) fn push<'f>(
        &mut self,
        id: Id,
        fields: impl ExactSizeIterator<Item = &'f [u8]> + Clone,
    ) {
        let same_names = self.has_names(fields.clone());
        self.listpack_bytes += self.listpack_bytes_of(id, fields.clone(), same_names);
        let (ms, seq) = self.delta(id);
        let count = fields.len() as u64 / 2;
        let head = 1 + varint::len(ms) + varint::len(seq);
        let size = match same_names {
            true => head + values_of(fields.clone()).map(word_len).sum::<usize>(),
            false => head + varint::len(count) + fields.clone().map(word_len).sum::<usize>(),
        };

        self.bytes.reserve(size + 2 * varint::len(size as u64));
        varint::push(&mut self.bytes, size as u64);
        self.bytes
            .push(if same_names { SAME_NAMES } else { OWN_NAMES });
        varint::push(&mut self.bytes, ms);
        varint::push(&mut self.bytes, seq);
        if same_names {
            values_of(fields).for_each(|value| push_word(&mut self.bytes, value));
        } else {
            varint::push(&mut self.bytes, count);
            fields.for_each(|word| push_word(&mut self.bytes, word));
        }
        varint::push_mirrored(&mut self.bytes, size as u64);
        self.len += 1;
        self.last_id = id;
    }

    /// How many bytes an entry takes in Redis's listpack: flags, two differences of the id, the
    /// fields, and how many elements that are.
    fn listpack_bytes_of<'f>(
        &self,
        id: Id,
        fields: impl ExactSizeIterator<Item = &'f [u8]> + Clone,
        same_names: bool,
    ) -> usize {
        let seq = id.seq.wrapping_sub(self.base.seq).cast_signed();
        let ms = (id.ms - self.base.ms).cast_signed();
        let count = fields.len() as i64;
        let head = space_of([Str::Int(ms), Str::Int(seq), Str::Int(count + 3)]);
        let (number, words) = match same_names {
            true => (0, values_of(fields).map(space_of_word).sum::<usize>()),
            false => (SMALL_INT, fields.map(space_of_word).sum()),
        };
        SMALL_INT + head + number + words
    }

    /// Removes the entry with this id. Answers whether there was one.
    pub(crate) fn remove(&mut self, id: Id) -> bool {
        let mut entries = self.entries();
        let place = loop {
            let place = entries.place;
            match entries.next() {
                Some(entry) if entry.id == id => break place..entries.place,
                Some(entry) if entry.id < id => {}
                _ => return false,
            }
        };
        self.bytes.drain(place);
        self.len -= 1;
        self.removed += 1;
        true
    }

    /// Removes the first `count` entries.
    pub(crate) fn remove_first(&mut self, count: usize) {
        let mut entries = self.entries();
        let removed = entries.by_ref().take(count).count();
        let end = entries.place;
        self.bytes.drain(self.begin..end);
        self.len -= removed;
        self.removed += removed;
    }

    /// Gives back the room for more entries.
    pub(crate) fn seal(&mut self) {
        self.bytes.shrink_to_fit();
    }

    fn delta(&self, id: Id) -> (u64, u64) {
        match id.ms - self.base.ms {
            0 => (0, id.seq - self.base.seq),
            ms => (ms, id.seq),
        }
    }

    fn id(&self, ms: u64, seq: u64) -> Id {
        match ms {
            0 => Id {
                ms: self.base.ms,
                seq: self.base.seq + seq,
            },
            ms => Id {
                ms: self.base.ms + ms,
                seq,
            },
        }
    }

    /// The names, and how many there are.
    fn names(&self) -> (&[u8], usize) {
        let mut names = &self.bytes[..self.begin];
        let count = take_number(&mut names);
        (names, count as usize)
    }

    /// Whether these fields have the block's names, in its order.
    fn has_names<'f>(&self, fields: impl ExactSizeIterator<Item = &'f [u8]>) -> bool {
        let (mut names, count) = self.names();
        fields.len() / 2 == count && every_other(fields).all(|name| name == take_word(&mut names))
    }

    fn entry<'a>(&'a self, mut body: &'a [u8]) -> Entry<'a> {
        let same_names = body[0] == SAME_NAMES;
        body = &body[1..];
        let id = self.id(take_number(&mut body), take_number(&mut body));
        let fields = if same_names {
            let (names, left) = self.names();
            Fields {
                names: Some(names),
                words: body,
                left,
            }
        } else {
            let left = take_number(&mut body) as usize;
            Fields {
                names: None,
                words: body,
                left,
            }
        };
        Entry { id, fields }
    }
}

/// The entries of a block, from both ends.
#[derive(Clone, Debug)]
pub(crate) struct Entries<'a> {
    block: &'a Block,
    place: usize,
    end: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        if self.place == self.end {
            return None;
        }
        let (size, header) = varint::read(&self.block.bytes[self.place..self.end]);
        let begin = self.place + header;
        let end = begin + size as usize;
        self.place = end + header;
        Some(self.block.entry(&self.block.bytes[begin..end]))
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.place == self.end {
            return None;
        }
        let (size, header) = varint::read_back(&self.block.bytes[self.place..self.end]);
        let end = self.end - header;
        let begin = end - size as usize;
        self.end = begin - header;
        Some(self.block.entry(&self.block.bytes[begin..end]))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = take_word(self.names.as_mut().unwrap_or(&mut self.words));
        Some((name, take_word(&mut self.words)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// How many bytes a word takes in a listpack.
/// The words at even places: names, where names and values are in turn. What `step_by` has for it
/// takes several times as long.
#[inline]
fn every_other<'f>(mut words: impl Iterator<Item = &'f [u8]>) -> impl Iterator<Item = &'f [u8]> {
    std::iter::from_fn(move || {
        let word = words.next();
        words.next();
        word
    })
}

/// The values of fields, which are names and values in turn.
#[inline]
fn values_of<'f>(mut fields: impl Iterator<Item = &'f [u8]>) -> impl Iterator<Item = &'f [u8]> {
    fields.next();
    every_other(fields)
}

#[inline]
fn space_of_word(word: &[u8]) -> usize {
    space_of([Str::Bytes(word)])
}

fn word_len(word: &[u8]) -> usize {
    varint::len(word.len() as u64) + word.len()
}

fn push_word(out: &mut Vec<u8>, word: &[u8]) {
    varint::push(out, word.len() as u64);
    out.extend_from_slice(word);
}

fn take_number(bytes: &mut &[u8]) -> u64 {
    let (number, len) = varint::read(bytes);
    *bytes = &bytes[len..];
    number
}

fn take_word<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let len = take_number(bytes) as usize;
    let (word, rest) = bytes.split_at(len);
    *bytes = rest;
    word
}
