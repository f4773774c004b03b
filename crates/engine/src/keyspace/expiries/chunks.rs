//! Chunks: lists of records, seven to 64 bytes, wherever they lie.
//!
//! ```text
//!   pages                      chunk (64 bytes)
//!   +---+    +-------------+   +------+------+-----+--------------------------+
//!   | 0 | -> | 16 chunks   |   | next | slot | len | up to 7 hashes           |
//!   | 1 |    +-------------+   +------+------+-----+--------------------------+
//!   | 2 | -> | 16 chunks   |      |
//!   +---+    +-------------+      +--> the next chunk of the same list
//! ```
//!
//! A list is no more than the number of its first chunk, and the chunk that records are put into
//! and taken from is the first. So a list of one record costs 64 bytes, and one of many 9.2 a
//! record. Of the pages whose chunks are all free one at most holds memory.

use super::{Record, Slot};

/// A list of records: the number of its first chunk. It is of no use but with its [`Chunks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List(u32);

/// The memory of lists.
#[derive(Default)]
pub(super) struct Chunks {
    pages: Vec<Page>,
    /// The pages that have a free chunk, each once.
    open: Vec<u32>,
    /// How many pages hold memory.
    allocated: usize,
    records: usize,
}

/// Chunks that share an allocation.
#[derive(Default)]
struct Page {
    /// Often none while all are free.
    chunks: Option<Box<[Chunk; PAGE]>>,
    /// A bit for each chunk that is in a list.
    used: u16,
}

#[derive(Clone, Copy)]
struct Chunk {
    /// What follows in the list.
    next: List,
    /// The slot under which its records were filed.
    slot: Slot,
    len: u16,
    hashes: [u64; RECORDS],
}

/// How many chunks share an allocation: as many as `used` has bits.
const PAGE: usize = u16::BITS as usize;
/// How many records a chunk has room for.
const RECORDS: usize = 7;
/// How many chunks [`Chunks::take_back`] looks at.
const LOOK_BACK: usize = 2;
/// How many places [`Chunks::sample`] looks at.
const SAMPLES: usize = 64;

const _: () = assert!(size_of::<Chunk>() == 64);

impl List {
    /// The list without records.
    pub(super) const EMPTY: List = List(u32::MAX);

    /// Whether it has none.
    pub(super) fn is_empty(self) -> bool {
        self == List::EMPTY
    }

    fn place(self) -> (usize, usize) {
        (self.0 as usize / PAGE, self.0 as usize % PAGE)
    }
}

impl Chunks {
    /// How many records there are in all lists.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// Whether the list has no more records than fit into one chunk.
    pub(super) fn is_short(&self, list: List) -> bool {
        self.chunk(list).is_none_or(|chunk| chunk.next.is_empty())
    }

    /// Puts a record into the list of its slot.
    pub(super) fn push(&mut self, list: &mut List, record: Record) {
        let is_full = self
            .chunk(*list)
            .is_none_or(|chunk| usize::from(chunk.len) == RECORDS);
        if is_full {
            *list = self.allocate(*list, record.slot);
        }
        if let Some(chunk) = self.chunk_mut(*list) {
            debug_assert!(chunk.slot == record.slot, "a list is of one slot");
            chunk.hashes[usize::from(chunk.len)] = record.hash;
            chunk.len += 1;
            self.records += 1;
        }
    }

    /// Takes the record that was put into the list last.
    pub(super) fn pop(&mut self, list: &mut List) -> Option<Record> {
        let first = *list;
        let chunk = self.chunk_mut(first)?;
        chunk.len -= 1;
        let (hash, slot) = (chunk.hashes[usize::from(chunk.len)], chunk.slot);
        if chunk.len == 0 {
            *list = chunk.next;
            self.free(first);
        }
        self.records -= 1;
        Some(Record { slot, hash })
    }

    /// Takes a record of these lists, the last list first.
    pub(super) fn pop_of(&mut self, lists: &mut Vec<List>) -> Option<Record> {
        let record = self.pop(lists.last_mut()?);
        lists.pop_if(|list| list.is_empty());
        if lists.is_empty() {
            *lists = Vec::new();
        }
        record
    }

    /// Takes the record of this hash out of a list if it is among the last that were put there.
    pub(super) fn take_back(&mut self, list: &mut List, hash: u64) {
        let mut at = *list;
        for _ in 0..LOOK_BACK {
            let Some(chunk) = self.chunk_mut(at) else {
                return;
            };
            let next = chunk.next;
            let hashes = &mut chunk.hashes[..usize::from(chunk.len)];
            if let Some(index) = hashes.iter().rposition(|other| *other == hash) {
                // What is last in the list takes its place, and it is taken in place of that.
                if at == *list {
                    hashes.swap(index, hashes.len() - 1);
                    self.pop(list);
                } else if let Some(last) = self.pop(list)
                    && let Some(chunk) = self.chunk_mut(at)
                {
                    chunk.hashes[index] = last.hash;
                }
                return;
            }
            at = next;
        }
    }

    /// A record chosen by `random`, each with the same chance; none if there are so few that this
    /// does not soon find one.
    pub(super) fn sample(&self, mut random: u64) -> Option<Record> {
        let places = self.pages.len() * PAGE * RECORDS;
        for _ in 0..SAMPLES {
            // The multiplier of Knuth's MMIX; the high bits are the random ones.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let place = (((random >> 32) * places as u64) >> 32) as usize;
            let list = List((place / RECORDS) as u32);
            let chunk = self.chunk(list).filter(|_| self.is_used(list));
            if let Some(chunk) = chunk
                && let Some(hash) = chunk.hashes[..usize::from(chunk.len)].get(place % RECORDS)
            {
                return Some(Record {
                    slot: chunk.slot,
                    hash: *hash,
                });
            }
        }
        None
    }

    /// How many bytes are allocated. O(1), since it is asked for with every change of a key.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.allocated * size_of::<[Chunk; PAGE]>()
            + self.pages.capacity() * size_of::<Page>()
            + self.open.capacity() * size_of::<u32>()
    }

    /// A chunk without records, which `next` follows.
    fn allocate(&mut self, next: List, slot: Slot) -> List {
        let index = self.open.last().copied().unwrap_or_else(|| {
            self.pages.push(Page::default());
            let index = self.pages.len() as u32 - 1;
            self.open.push(index);
            index
        });
        let fresh = Chunk {
            next,
            slot,
            len: 0,
            hashes: [0; RECORDS],
        };
        let page = &mut self.pages[index as usize];
        let free = page.used.trailing_ones() as usize;
        page.used |= 1 << free;
        let allocated = &mut self.allocated;
        let chunks = page.chunks.get_or_insert_with(|| {
            *allocated += 1;
            Box::new([fresh; PAGE])
        });
        chunks[free] = fresh;
        if page.used == u16::MAX {
            self.open.pop();
        }
        List(index * PAGE as u32 + free as u32)
    }

    fn free(&mut self, list: List) {
        let (index, place) = list.place();
        let page = &mut self.pages[index];
        if page.used == u16::MAX {
            self.open.push(index as u32);
        }
        page.used &= !(1 << place);
        // The last one with room stays: a lock that comes and goes needs it again and again.
        if page.used == 0 && self.open.len() > 1 {
            page.chunks = None;
            self.allocated -= 1;
        }
    }

    /// Asserts that what is counted is what there is.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let allocated = self.pages.iter().filter(|page| page.chunks.is_some());
        assert_eq!(self.allocated, allocated.count());
    }

    fn is_used(&self, list: List) -> bool {
        let (page, place) = list.place();
        self.pages[page].used & 1 << place != 0
    }

    fn chunk(&self, list: List) -> Option<&Chunk> {
        let (page, place) = list.place();
        let chunks = self.pages.get(page)?.chunks.as_deref()?;
        Some(&chunks[place])
    }

    fn chunk_mut(&mut self, list: List) -> Option<&mut Chunk> {
        let (page, place) = list.place();
        let chunks = self.pages.get_mut(page)?.chunks.as_deref_mut()?;
        Some(&mut chunks[place])
    }
}
