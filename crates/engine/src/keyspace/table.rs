//! Table: a hash table by extendible hashing, which grows without a pause and is walked by a cursor
//! that holds no state.
//!
//! The leading bits of a hash lead through a directory to a segment, the bits after them to a
//! bucket of that segment, and the lowest eight are the entry's tag there:
//!
//! ```text
//!          63           64-d          52-d              16    8     0
//!   hash  | directory: d | home: 12 bits |     . . .     | shard| tag |
//!
//!   directory (2^depth)      segment (0 to 128 buckets)     bucket (64 bytes, one cache line)
//!   +---+                    +--------+--------+-----+      +-------------+---+
//!   | 0 | -----------------> | bucket | bucket | ... |      | 7 tags      | o |
//!   | 1 | --+                +--------+--------+-----+      +-------------+---+
//!   | 2 | --+--------------> +--------+-----+               | 7 slots of 8     |
//!   | 3 | ------> ...        | bucket | ... |               +------------------+
//! ```
//!
//! Bits 8 to 16 choose the shard of a key, so a table leaves them alone: they are the same for all
//! entries of one shard.
//!
//! **Growth.** A segment grows in steps of about a half until it has [`BUCKETS_MAX`] buckets, and
//! is then split in two by the next bit of the hash; only when its depth is the directory's is the
//! directory (four bytes a segment) doubled. So the longest step moves one segment's entries, never
//! the table's. Small steps cost more moves than doublings, and leave 10 to 15 bytes an entry where
//! doublings leave 10 to 21. Segments that emptied are shrunk and merged again.
//!
//! **Overflow.** An entry whose home is full lies in one of the next buckets, and each bucket that
//! it passed remembers its class, the leading three bits of its tag (`o` above, a bit a class). A
//! search goes on past a bucket only if an entry of its class did: when a segment is fullest, an
//! absent key is sought in 1.75 buckets, where a single bit for all would make it 3.6. Removing an
//! entry leaves such bits behind, which make searches longer, never wrong. A segment counts them,
//! and is rebuilt when they become many.
//!
//! **Order.** Directory, buckets and cursors are all in the order of the hash. A cursor is a
//! position in that order, and whatever grows or shrinks, the entries before it stay before it: a
//! scan returns what is there throughout, and returns nothing twice.
//!
//! Invariants, which `check_invariants` states in code: an entry is in the segment that its leading
//! bits name; every bucket from its home to its place has the bit of its class; tags and slots are
//! filled alike.
//!
//! A table does not hash the keys that it is asked for, since its caller has done so already to
//! find the shard. It hashes keys that it holds when they move.

use crate::hash::Seed;
use crate::keyspace::prefetch::{Step, prefetch};

/// What a table needs to know of its entries.
pub(crate) trait Keyed {
    /// The bytes by which the entry is found. They never change while the entry is in a table.
    fn key(&self) -> &[u8];

    /// Asks the processor for the entry's memory, if the entry is only a pointer to it.
    fn prefetch(&self) {}
}

/// A hash table of entries that know their keys. See the module's documentation.
pub(crate) struct Table<E> {
    /// The segment of each leading bit pattern; empty when the table is.
    directory: Vec<u32>,
    segments: Vec<Segment<E>>,
    len: usize,
    /// How many buckets all segments have together.
    buckets: usize,
    /// How many leading bits of a hash the directory takes.
    depth: u32,
    seed: Seed,
}

/// Entries whose hashes begin with the same bits.
struct Segment<E> {
    /// In the order of the hash. Empty, without an allocation, when there are no entries.
    buckets: Box<[Bucket<E>]>,
    len: u32,
    /// How many entries that had passed a bucket were removed since the last rebuild.
    stale: u32,
    /// The bits that the hashes have in common, and how many they are.
    prefix: u32,
    depth: u32,
}

/// Up to seven entries in a cache line, if an entry is a pointer.
#[repr(align(64))]
struct Bucket<E> {
    /// The tags of the slots, 0 where a slot is free; in the last byte the classes of the entries
    /// that passed this bucket because it was full.
    tags: [u8; 8],
    slots: [Option<E>; SLOTS],
}

/// Where an entry lies in a table, until the table is changed.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(super) hash: u64,
    segment: usize,
    place: Place,
}

/// Where an entry lies: bucket and slot in its segment.
#[derive(Clone, Copy)]
struct Place {
    bucket: usize,
    slot: usize,
}

const SLOTS: usize = 7;
/// The byte of [`Bucket::tags`] that is none.
const PASSED: usize = 7;
/// Buckets of a segment that is split next. Moving its 800 entries takes some 50 microseconds.
const BUCKETS_MAX: usize = 128;
/// How many bits of a hash choose the home bucket, whatever the number of buckets.
const HOME_BITS: u32 = 12;
/// With the home's 12 bits: a table never looks at more than the leading 40.
const DEPTH_MAX: u32 = 28;
/// What a position in hash order never has: the bits below the leading 40.
const BELOW_POSITION: u64 = (1 << (64 - DEPTH_MAX - HOME_BITS)) - 1;
/// How many regions without an entry one call of [`Table::scan`] passes at most.
const EMPTY_REGIONS_MAX: usize = 64;
/// How often [`Table::sample`] looks into a random slot before it takes the next entry it meets.
const SAMPLES_MAX: usize = 128;

impl<E: Keyed> Table<E> {
    /// Makes an empty table, which holds no memory yet.
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            directory: Vec::new(),
            segments: Vec::new(),
            len: 0,
            buckets: 0,
            depth: 0,
            seed,
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The seed under which this table's hashes are made.
    pub(crate) fn seed(&self) -> Seed {
        self.seed
    }

    /// The entry of this key. `hash` is the key's hash under [`Table::seed`], here and below.
    // Always, like the search in the segment: its callers are few, and each is on the way of many
    // commands.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<&E> {
        let segment = self.segment(hash)?;
        let place = segment.place(hash, |entry| entry.key() == key)?;
        segment.buckets[place.bucket].slots[place.slot].as_ref()
    }

    /// The entry of this key, to be changed. Its key must stay the same.
    #[inline]
    pub(crate) fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut E> {
        self.find_tagged(hash, |entry| entry.key() == key)
    }

    /// Where the entry of this key lies: for whoever uses it more than once. A place is good until
    /// an entry is added to the table or taken out.
    #[inline]
    pub(crate) fn locate(&self, hash: u64, key: &[u8]) -> Option<Found> {
        let segment = self.index(hash)?;
        let place = self.segments[segment].place(hash, |entry| entry.key() == key)?;
        Some(Found {
            hash,
            segment,
            place,
        })
    }

    /// The entry at a place.
    #[inline]
    pub(crate) fn at(&self, found: Found) -> Option<&E> {
        let bucket = &self.segments[found.segment].buckets[found.place.bucket];
        bucket.slots[found.place.slot].as_ref()
    }

    /// The entry at a place, to be changed. Its key must stay the same.
    #[inline]
    pub(crate) fn at_mut(&mut self, found: Found) -> Option<&mut E> {
        let bucket = &mut self.segments[found.segment].buckets[found.place.bucket];
        bucket.slots[found.place.slot].as_mut()
    }

    /// Takes out the entry at a place.
    pub(crate) fn remove_at(&mut self, found: Found) -> Option<E> {
        let entry = self.segments[found.segment].take(found.hash, found.place)?;
        self.len -= 1;
        self.tidy(found.segment);
        Some(entry)
    }

    /// The first entry with this hash for which `wanted` holds: for whoever does not know its key.
    pub(crate) fn find_where(
        &mut self,
        hash: u64,
        wanted: impl FnMut(&E) -> bool,
    ) -> Option<&mut E> {
        let wanted = with_hash(self.seed, hash, wanted);
        self.find_tagged(hash, wanted)
    }

    /// Where the first entry with this hash lies for which `wanted` holds.
    pub(crate) fn locate_where(&self, hash: u64, wanted: impl FnMut(&E) -> bool) -> Option<Found> {
        let wanted = with_hash(self.seed, hash, wanted);
        let segment = self.index(hash)?;
        let place = self.segments[segment].place(hash, wanted)?;
        Some(Found {
            hash,
            segment,
            place,
        })
    }

    /// Adds an entry whose key is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, entry: E) {
        debug_assert_eq!(
            hash,
            self.seed.hash(entry.key()),
            "the hash is not the key's"
        );
        debug_assert!(
            self.find(hash, entry.key()).is_none(),
            "the key is already there"
        );
        if self.segments.is_empty() {
            self.segments.push(Segment::with_room(0, 0, 0));
            self.directory.push(0);
        }
        let index = loop {
            let index = self.directory_index(hash);
            if !self.segments[index].is_full() {
                break index;
            }
            self.grow(index);
        };
        self.segments[index].insert(hash, entry);
        self.len += 1;
    }

    /// Takes out the entry of this key.
    pub(crate) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<E> {
        self.remove_tagged(hash, |entry| entry.key() == key)
    }

    /// Takes out the first entry with this hash for which `wanted` holds.
    pub(crate) fn remove_where(&mut self, hash: u64, wanted: impl FnMut(&E) -> bool) -> Option<E> {
        let wanted = with_hash(self.seed, hash, wanted);
        self.remove_tagged(hash, wanted)
    }

    /// Visits the entries of the bucket at `position`, and says at which position to go on.
    ///
    /// A scan begins at 0 and is complete when the answer is `None`. What is in the table from
    /// before its beginning until after its end is visited exactly once, whatever is inserted and
    /// removed meanwhile. A position has its low 24 bits zero; any other number is taken for the
    /// position before it. A call may visit nothing, and never more than a bucket's entries.
    pub(crate) fn scan(&self, position: u64, visit: &mut dyn FnMut(&E)) -> Option<u64> {
        let mut position = position & !BELOW_POSITION;
        for _ in 0..EMPTY_REGIONS_MAX {
            let segment = self.segment(position)?;
            let (next, visited) = segment.scan(position, &self.seed, visit);
            // No position after the last one of the hash order: it wrapped to 0.
            position = Some(next).filter(|next| *next != 0)?;
            if visited {
                break;
            }
        }
        Some(position)
    }

    /// All entries, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.segments
            .iter()
            .flat_map(|segment| &segment.buckets)
            .flat_map(Bucket::iter)
    }

    /// Drops all entries, and the table's memory.
    pub(crate) fn clear(&mut self) {
        drop(self.drain());
    }

    /// Takes out all entries at once, also those that the iterator is not asked for.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = E> + use<E> {
        self.directory = Vec::new();
        self.depth = 0;
        self.len = 0;
        self.buckets = 0;
        std::mem::take(&mut self.segments)
            .into_iter()
            .flat_map(Segment::into_entries)
    }

    /// An entry chosen by `random`, each with the same chance.
    ///
    /// Looks into random slots until one is taken. Where entries have become so sparse that this
    /// does not end soon, takes the next entry after such a slot, which favours entries after gaps.
    pub(crate) fn sample(&self, random: u64) -> Option<&E> {
        let (segment, place) = self.sample_slot(random)?;
        self.segments[segment].buckets[place.bucket].slots[place.slot].as_ref()
    }

    /// The place of such an entry, for whoever takes it out.
    pub(crate) fn sample_place(&self, random: u64) -> Option<Found> {
        let (segment, place) = self.sample_slot(random)?;
        let entry = self.segments[segment].buckets[place.bucket].slots[place.slot].as_ref()?;
        Some(Found {
            hash: self.seed.hash(entry.key()),
            segment,
            place,
        })
    }

    fn sample_slot(&self, random: u64) -> Option<(usize, Place)> {
        if self.is_empty() {
            return None;
        }
        // Every slot of every segment needs the same chance, so all segments are taken to be as
        // large as the largest, and a slot that a smaller one does not have counts as a free one.
        let buckets = match self.segments.as_slice() {
            [only] => only.buckets.len(),
            _ => BUCKETS_MAX,
        };
        let mut state = random;
        for _ in 0..SAMPLES_MAX {
            let random = split_mix(&mut state);
            let segment = below(random, self.segments.len());
            let slot = below(random << 32, buckets * SLOTS);
            let (bucket, slot) = (slot / SLOTS, slot % SLOTS);
            let found = self.segments[segment].buckets.get(bucket);
            if found.is_some_and(|bucket| bucket.slots[slot].is_some()) {
                return Some((segment, Place { bucket, slot }));
            }
        }
        self.slot_after(split_mix(&mut state))
    }

    /// Asks the processor for the bucket in which the search for `hash` begins.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        if let Some(bucket) = self.segment(hash).and_then(|segment| segment.home(hash)) {
            prefetch(bucket);
        }
    }

    /// Asks the processor for the memory of the entry that the search for `hash` looks at first.
    ///
    /// Reads the bucket, so it belongs some time after [`Table::prefetch`].
    #[inline]
    pub(crate) fn prefetch_entry(&self, hash: u64) {
        if let Some(entry) = self.likely(hash) {
            entry.prefetch();
        }
    }

    /// Asks the processor for what the search for `hash` looks at in this step.
    #[inline]
    pub(crate) fn look_ahead(&self, hash: u64, step: Step) {
        match step {
            Step::Bucket => self.prefetch(hash),
            Step::Entry => self.prefetch_entry(hash),
        }
    }

    /// The entry that the search for `hash` looks at first. It may be another one's.
    #[inline]
    pub(crate) fn likely(&self, hash: u64) -> Option<&E> {
        let bucket = self.segment(hash)?.home(hash)?;
        let slot = bucket.matches(tag(hash)).next()?;
        bucket.slots[slot].as_ref()
    }

    /// How many bytes the table itself has allocated: not what its entries own. O(1).
    pub(crate) fn bytes(&self) -> usize {
        self.directory.capacity() * size_of::<u32>()
            + self.segments.capacity() * size_of::<Segment<E>>()
            + self.buckets * size_of::<Bucket<E>>()
    }

    /// The entry for which `wanted` holds, among those with the tag of `hash`.
    #[inline]
    fn find_tagged(&mut self, hash: u64, wanted: impl FnMut(&E) -> bool) -> Option<&mut E> {
        let index = self.index(hash)?;
        let segment = &mut self.segments[index];
        let place = segment.place(hash, wanted)?;
        segment.buckets[place.bucket].slots[place.slot].as_mut()
    }

    /// Takes out the entry for which `wanted` holds, among those with the tag of `hash`. It must
    /// hold for no entry with another hash.
    fn remove_tagged(&mut self, hash: u64, wanted: impl FnMut(&E) -> bool) -> Option<E> {
        let segment = self.index(hash)?;
        let place = self.segments[segment].place(hash, wanted)?;
        self.remove_at(Found {
            hash,
            segment,
            place,
        })
    }

    #[inline]
    fn segment(&self, hash: u64) -> Option<&Segment<E>> {
        self.index(hash).map(|index| &self.segments[index])
    }

    /// The index of the segment of this hash, if there is any segment.
    #[inline]
    fn index(&self, hash: u64) -> Option<usize> {
        self.directory
            .get(leading(hash, self.depth))
            .map(|index| *index as usize)
    }

    fn directory_index(&self, hash: u64) -> usize {
        self.directory[leading(hash, self.depth)] as usize
    }

    /// Makes room for one more entry at least in the segment, or splits it.
    fn grow(&mut self, index: usize) {
        let segment = &self.segments[index];
        let buckets = segment.buckets.len();
        if buckets < BUCKETS_MAX {
            self.rebuild(index, grown(buckets));
        } else if segment.depth < DEPTH_MAX {
            self.split(index);
        } else {
            // 800 keys with the same 28 leading bits: not by chance, and not without the seed.
            self.rebuild(index, buckets * 2);
        }
    }

    /// Moves the entries of a segment into another number of buckets.
    fn rebuild(&mut self, index: usize, buckets: usize) {
        let segment = &mut self.segments[index];
        self.buckets = self.buckets - segment.buckets.len() + buckets;
        segment.rebuild(buckets, &self.seed);
    }

    /// Replaces a segment by two, each with the entries of one half of its hashes.
    fn split(&mut self, index: usize) {
        let segment = &mut self.segments[index];
        let (depth, prefix) = (segment.depth + 1, segment.prefix << 1);
        self.buckets -= segment.buckets.len();
        let hashed = segment.take_all(&self.seed);
        let ones = hashed
            .iter()
            .filter(|(hash, _)| leading(*hash, depth) & 1 == 1)
            .count();
        let mut low = Segment::with_room(prefix, depth, hashed.len() - ones);
        let mut high = Segment::with_room(prefix | 1, depth, ones);
        for (hash, entry) in hashed {
            let half = if leading(hash, depth) & 1 == 1 {
                &mut high
            } else {
                &mut low
            };
            half.insert(hash, entry);
        }
        self.buckets += low.buckets.len() + high.buckets.len();
        if depth > self.depth {
            self.directory = self
                .directory
                .iter()
                .flat_map(|index| [*index; 2])
                .collect();
            self.depth = depth;
        }
        self.segments[index] = low;
        self.segments.push(high);
        self.point_to(self.segments.len() - 1);
    }

    /// Gives back memory after a removal from the segment.
    fn tidy(&mut self, index: usize) {
        if self.len == 0 {
            return self.clear();
        }
        let segment = &self.segments[index];
        if segment.is_sparse() {
            self.rebuild(index, buckets_for(segment.len as usize * 2));
            self.merge(index);
        } else if segment.stale > segment.len / 2 {
            self.rebuild(index, segment.buckets.len());
        }
    }

    /// Puts a segment and its other half back together, if both have become small.
    fn merge(&mut self, index: usize) {
        let segment = &self.segments[index];
        let Some(depth) = segment.depth.checked_sub(1) else {
            return;
        };
        let other = self.index_of_prefix(segment.prefix ^ 1, segment.depth);
        let (one, two) = (&self.segments[index], &self.segments[other]);
        let len = (one.len + two.len) as usize;
        if two.depth != one.depth || len > BUCKETS_MAX * SLOTS / 4 {
            return;
        }
        let mut merged = Segment::with_room(one.prefix >> 1, depth, len * 2);
        self.buckets -= one.buckets.len() + two.buckets.len();
        self.buckets += merged.buckets.len();
        for half in [index, other] {
            for (hash, entry) in self.segments[half].take_all(&self.seed) {
                merged.insert(hash, entry);
            }
        }
        let (kept, freed) = (index.min(other), index.max(other));
        self.segments[kept] = merged;
        self.point_to(kept);
        self.segments.swap_remove(freed);
        if freed < self.segments.len() {
            self.point_to(freed);
        }
        self.halve_directory();
        self.merge(kept);
    }

    /// Halves the directory as long as no segment needs its last bit.
    fn halve_directory(&mut self) {
        while self.depth > 0
            && self
                .segments
                .iter()
                .all(|segment| segment.depth < self.depth)
        {
            self.directory = self.directory.iter().copied().step_by(2).collect();
            self.depth -= 1;
        }
    }

    /// Lets the directory lead to the segment wherever the segment's prefix stands.
    fn point_to(&mut self, index: usize) {
        let segment = &self.segments[index];
        let spread = self.depth - segment.depth;
        let first = (segment.prefix as usize) << spread;
        self.directory[first..first + (1 << spread)].fill(index as u32);
    }

    fn index_of_prefix(&self, prefix: u32, depth: u32) -> usize {
        self.directory[(prefix as usize) << (self.depth - depth)] as usize
    }

    /// The first slot with an entry at or after a random bucket, going round.
    fn slot_after(&self, random: u64) -> Option<(usize, Place)> {
        let start = below(random, self.segments.len());
        let mut segments = (start..self.segments.len()).chain(0..start);
        let index = segments.find(|&index| self.segments[index].len > 0)?;
        let buckets = &self.segments[index].buckets;
        let start = below(random << 32, buckets.len());
        let mut places = (start..buckets.len()).chain(0..start);
        places.find_map(|bucket| {
            let slot = buckets[bucket].slots.iter().position(Option::is_some)?;
            Some((index, Place { bucket, slot }))
        })
    }

    /// Asserts what the module's documentation promises.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.directory.is_empty(), self.segments.is_empty());
        let buckets = self.segments.iter().map(|segment| segment.buckets.len());
        assert_eq!(self.buckets, buckets.sum::<usize>());
        assert_eq!(
            self.len,
            self.segments
                .iter()
                .map(|segment| segment.len as usize)
                .sum::<usize>()
        );
        if self.len == 0 {
            assert!(self.segments.is_empty(), "an empty table holds no segments");
            return;
        }
        assert_eq!(self.directory.len(), 1 << self.depth);
        for (prefix, index) in self.directory.iter().enumerate() {
            let segment = &self.segments[*index as usize];
            assert_eq!(
                segment.prefix as usize,
                prefix >> (self.depth - segment.depth)
            );
        }
        for segment in &self.segments {
            segment.check_invariants(&self.seed);
        }
    }
}

impl<E: Keyed> Segment<E> {
    /// Makes a segment that takes `len` entries before it has to grow.
    fn with_room(prefix: u32, depth: u32, len: usize) -> Self {
        Self {
            buckets: empty_buckets(buckets_for(len)),
            len: 0,
            stale: 0,
            prefix,
            depth,
        }
    }

    /// Whether the next entry would fill more than seven slots of eight.
    fn is_full(&self) -> bool {
        self.len as usize >= capacity(self.buckets.len())
    }

    /// Whether fewer than one slot of eight is filled, so that a rebuild gives much back.
    fn is_sparse(&self) -> bool {
        (self.len as usize) * 8 < self.buckets.len() * SLOTS
    }

    /// The index of the bucket where a search for `hash` begins. Only if there are buckets.
    #[inline]
    fn home_index(&self, hash: u64) -> usize {
        let bits = (hash << self.depth) >> (64 - HOME_BITS);
        (bits as usize * self.buckets.len()) >> HOME_BITS
    }

    #[inline]
    fn home(&self, hash: u64) -> Option<&Bucket<E>> {
        self.buckets.get(self.home_index(hash))
    }

    /// The bucket after this one, the first after the last.
    #[inline]
    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() {
            0
        } else {
            bucket + 1
        }
    }

    /// Where the first entry with the tag of `hash` lies for which `wanted` holds.
    #[inline(always)]
    fn place(&self, hash: u64, mut wanted: impl FnMut(&E) -> bool) -> Option<Place> {
        let mut index = self.home_index(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[index];
            for slot in bucket.matches(tag(hash)) {
                if bucket.slots[slot].as_ref().is_some_and(&mut wanted) {
                    return Some(Place {
                        bucket: index,
                        slot,
                    });
                }
            }
            if bucket.tags[PASSED] & class(tag(hash)) == 0 {
                return None;
            }
            index = self.after(index);
        }
        None
    }

    /// Puts an entry into the first free slot from its home on. Only if the segment is not full.
    fn insert(&mut self, hash: u64, entry: E) {
        let mut index = self.home_index(hash);
        let slot = loop {
            let bucket = &mut self.buckets[index];
            if let Some(slot) = bucket.free_slot() {
                break slot;
            }
            bucket.tags[PASSED] |= class(tag(hash));
            index = self.after(index);
        };
        let bucket = &mut self.buckets[index];
        bucket.tags[slot] = tag(hash);
        bucket.slots[slot] = Some(entry);
        self.len += 1;
    }

    /// Takes out the entry at a place, whose hash is `hash`.
    fn take(&mut self, hash: u64, place: Place) -> Option<E> {
        self.stale += u32::from(place.bucket != self.home_index(hash));
        let bucket = &mut self.buckets[place.bucket];
        bucket.tags[place.slot] = 0;
        self.len -= 1;
        bucket.slots[place.slot].take()
    }

    /// Moves the entries into another number of buckets.
    fn rebuild(&mut self, buckets: usize, seed: &Seed) {
        let hashed = self.take_all(seed);
        self.buckets = empty_buckets(buckets);
        self.stale = 0;
        for (hash, entry) in hashed {
            self.insert(hash, entry);
        }
    }

    /// Takes out all entries, with their hashes, and the buckets.
    fn take_all(&mut self, seed: &Seed) -> Vec<(u64, E)> {
        // The entries lie all over the memory: ask for all of them before reading the first.
        self.buckets
            .iter()
            .flat_map(Bucket::iter)
            .for_each(Keyed::prefetch);
        let mut hashed = Vec::with_capacity(self.len as usize);
        self.len = 0;
        let buckets = std::mem::take(&mut self.buckets);
        let entries = buckets
            .into_iter()
            .flat_map(|bucket| bucket.slots)
            .flatten();
        hashed.extend(entries.map(|entry| (seed.hash(entry.key()), entry)));
        hashed
    }

    fn into_entries(self) -> impl Iterator<Item = E> {
        self.buckets
            .into_iter()
            .flat_map(|bucket| bucket.slots)
            .flatten()
    }

    /// Visits what lies from `position` to the end of its bucket's part of the hash order. Answers
    /// that end, 0 at the end of all, and whether something was visited.
    fn scan(&self, position: u64, seed: &Seed, visit: &mut dyn FnMut(&E)) -> (u64, bool) {
        let buckets = self.buckets.len().max(1);
        let home = self.home_index(position);
        let next = self.position_of(((home + 1) << HOME_BITS).div_ceil(buckets));
        let mut visited = false;
        let mut index = home;
        // The classes of which an entry may have come here from its home.
        let mut classes = u8::MAX;
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[index];
            bucket.iter().for_each(Keyed::prefetch);
            for (entry, tag) in bucket.slots.iter().zip(bucket.tags) {
                let Some(entry) = entry.as_ref().filter(|_| classes & class(tag) != 0) else {
                    continue;
                };
                // `next` may be 0, the end of all.
                if (position..=next.wrapping_sub(1)).contains(&seed.hash(entry.key())) {
                    visit(entry);
                    visited = true;
                }
            }
            classes &= bucket.tags[PASSED];
            if classes == 0 {
                break;
            }
            index = self.after(index);
        }
        (next, visited)
    }

    /// The place in hash order at which the home bits of this segment are `bits`, which may be one
    /// more than fit: the end of the segment.
    fn position_of(&self, bits: usize) -> u64 {
        let leading = (u64::from(self.prefix) << HOME_BITS) + bits as u64;
        // At the end of the last segment, the only bit set falls out: 0.
        leading << (64 - HOME_BITS - self.depth)
    }

    #[cfg(test)]
    fn check_invariants(&self, seed: &Seed) {
        assert!(self.len as usize <= capacity(self.buckets.len()));
        let mut len = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            for (slot, entry) in bucket.slots.iter().enumerate() {
                let Some(entry) = entry else {
                    assert_eq!(bucket.tags[slot], 0, "a free slot has no tag");
                    continue;
                };
                let hash = seed.hash(entry.key());
                assert_eq!(bucket.tags[slot], tag(hash));
                assert_eq!(leading(hash, self.depth), self.prefix as usize);
                let mut home = self.home_index(hash);
                while home != index {
                    assert_ne!(self.buckets[home].tags[PASSED] & class(tag(hash)), 0);
                    home = self.after(home);
                }
                len += 1;
            }
        }
        assert_eq!(self.len, len);
        assert!(
            self.stale <= self.len / 2,
            "a segment with so many stale bits is rebuilt"
        );
    }
}

impl<E> Bucket<E> {
    const EMPTY: Self = Self {
        tags: [0; 8],
        slots: [const { None }; SLOTS],
    };

    fn iter(&self) -> impl Iterator<Item = &E> {
        self.slots.iter().flatten()
    }

    /// The slots that may hold this tag: all that do, and now and then one that does not.
    #[inline]
    fn matches(&self, tag: u8) -> Matches {
        let difference = u64::from_le_bytes(self.tags) ^ (u64::from(tag) * EVERY_BYTE);
        // The well-known test for a zero byte (Knuth 7.1.3): the lowest it reports is one; above
        // that, a byte of 1 may be reported too, because of the borrow. A key comparison follows.
        Matches(difference.wrapping_sub(EVERY_BYTE) & !difference & TAGS_TOP_BITS)
    }

    #[inline]
    fn free_slot(&self) -> Option<usize> {
        self.matches(0).next()
    }
}

/// The slots found by [`Bucket::matches`]: the top bit of the byte of each.
struct Matches(u64);

impl Iterator for Matches {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let slot = self.0.trailing_zeros() as usize / 8;
        self.0 &= self.0.wrapping_sub(1);
        (slot < SLOTS).then_some(slot)
    }
}

const EVERY_BYTE: u64 = 0x0101_0101_0101_0101;
/// The top bits of the seven tags.
const TAGS_TOP_BITS: u64 = 0x0080_8080_8080_8080;

/// What `wanted` says, for entries with this hash only.
fn with_hash<E: Keyed>(
    seed: Seed,
    hash: u64,
    mut wanted: impl FnMut(&E) -> bool,
) -> impl FnMut(&E) -> bool {
    move |entry| wanted(entry) && seed.hash(entry.key()) == hash
}

/// The tag of a hash: its lowest byte, but never 0, which means a free slot.
#[inline]
fn tag(hash: u64) -> u8 {
    (hash as u8).max(1)
}

/// The bit of a tag's class.
#[inline]
fn class(tag: u8) -> u8 {
    1 << (tag >> 5)
}

/// The leading `bits` bits of a hash, 0 to 63 of them.
#[inline]
fn leading(hash: u64, bits: u32) -> usize {
    ((hash >> 1) >> (63 - bits)) as usize
}

/// How many entries so many buckets take before the segment grows.
fn capacity(buckets: usize) -> usize {
    // A single bucket is filled to the last slot: there is no next one to search.
    if buckets <= 1 {
        buckets * SLOTS
    } else {
        buckets * SLOTS * 7 / 8
    }
}

/// The step after so many buckets: 1, 2, 3, 4, 6, 8, 12, and so on.
fn grown(buckets: usize) -> usize {
    match buckets {
        0..=3 => buckets + 1,
        power if power.is_power_of_two() => power + power / 2,
        between => between / 3 * 4,
    }
}

/// The smallest step that takes so many entries, with some room for more.
fn buckets_for(len: usize) -> usize {
    let mut buckets = usize::from(len > 0);
    while buckets < BUCKETS_MAX && len > capacity(buckets) * 7 / 8 {
        buckets = grown(buckets);
    }
    while len > capacity(buckets) {
        buckets *= 2;
    }
    buckets
}

fn empty_buckets<E>(buckets: usize) -> Box<[Bucket<E>]> {
    std::iter::repeat_with(|| Bucket::EMPTY)
        .take(buckets)
        .collect()
}

/// Maps the leading bits of a random number evenly to 0..len.
fn below(random: u64, len: usize) -> usize {
    ((u128::from(random) * len as u128) >> 64) as usize
}

/// The next of a sequence of random numbers (Steele, Lea, Flood: SplitMix, OOPSLA 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests;
