//! Expiries: which keys of one table expire when, on a timing wheel with nine bytes a record.
//!
//! An expired key is never seen, but it also has to leave the memory when nobody asks for it. So a
//! key with an expiry has a record here: its hash, filed under a *slot*. The slots are rings, each
//! of which has wider slots than the one before, and reaches farther ahead:
//!
//! ```text
//!                a slot          the ring
//!   level 0      256 ms          256 slots: a minute
//!   level 1      16 s            256 slots: 70 minutes
//!   level 2      70 minutes       64 slots: three days
//!   level 3      37 hours         64 slots: 99 days
//!   beyond       one list
//! ```
//!
//! A record comes up when its slot at level 0 is wholly past, and at the other levels when its slot
//! begins. Whoever takes it looks for the entry: an entry that is not due by then is filed again,
//! under a narrower slot. This is the hierarchical wheel of Varghese and Lauck, "Hashed and
//! Hierarchical Timing Wheels" (1987), but that a record does not know its time, only its entry
//! does.
//!
//! The few records of a slot at level 0 that fit into one chunk come up also while that slot passes:
//! who waits for a key to expire hears of it with the next tick, as from Redis. To look so often at
//! many would cost more than it is worth.
//!
//! The rules that keep this small:
//!
//! - An entry has at most one live record, in the slot that the entry itself remembers as *filed*.
//!   Any other record is stale, and ignored when it comes up.
//! - A record may come up too early, never too late. So an expiry that is set later leaves the
//!   record where it is: a session that is refreshed a thousand times a second costs one record.
//!   And so a clock that is put back needs nothing done: as a ring's slots come round again, each
//!   record comes up no later than it would have.
//! - When an expiry is set earlier, or is taken away, or its key is removed, the record is taken
//!   back if it is among the last of its slot, as that of a lock is. If not, it stays and is stale.
//! - When there are half as many records again as live ones, all are doubted: each has to be taken
//!   and its entry filed again, a few with each change, and all of them with the next tick. Records
//!   that are filed meanwhile are of another *generation*, which is part of the slot. So no entry
//!   is filed twice by this, however many of its records lie in one slot.
//!
//! Expiries know no keys and no clock: the wheel turns when it is told the time, and is empty
//! without an allocation.

mod chunks;

use chunks::{Chunks, List};

/// The records of one table.
#[derive(Default)]
pub(crate) struct Expiries {
    /// The time that the wheel was told last.
    now_ms: u64,
    /// None while there are no records.
    wheel: Option<Box<Wheel>>,
}

/// A key's record: the entry with this hash that remembers this slot is meant, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Under which slot it was filed.
    pub(crate) slot: Slot,
    /// The hash of the key.
    pub(crate) hash: u64,
}

/// A slot of the wheel, in some generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u16);

/// When an entry expires, and under which slot it is filed: in one word.
///
/// ```text
///    63   62                  11   10      0
///   | 0 | milliseconds: 52 bits  | slot    |   before the year 144,000
///   | 1 | milliseconds: 63 bits            |   later, and never filed
/// ```
#[derive(Clone, Copy)]
pub(crate) struct Due(u64);

struct Wheel {
    /// The records by slot: those of the levels, one after the other, then those beyond, then
    /// those that come up at once.
    slots: [List; SLOTS],
    /// What has come up and is not taken yet.
    due: Vec<List>,
    /// What is doubted and is not taken yet.
    doubted: Vec<List>,
    /// The generation bit of records that are filed now.
    generation: u16,
    chunks: Chunks,
}

/// A ring of slots of the same width.
struct Level {
    /// Where its slots begin among [`Wheel::slots`].
    first: u16,
    /// How many slots it has: at least as many as a slot of the next level spans.
    slots: u64,
    /// How many bits of a time in milliseconds a slot covers.
    shift: u32,
}

const LEVELS: [Level; 4] = [
    Level::new(0, 256, 8),
    Level::new(256, 256, 14),
    Level::new(512, 64, 22),
    Level::new(576, 64, 27),
];
/// The slot of all times beyond the last level. It comes up as often as that turns once.
const BEYOND: u16 = 640;
const BEYOND_SHIFT: u32 = 33;
/// The slot of times that are past when they are filed.
const AT_ONCE: u16 = 641;
const SLOTS: usize = 642;

const SLOT_BITS: u32 = 11;
const GENERATION: u16 = 1 << (SLOT_BITS - 1);
/// No slot.
const UNFILED: u16 = (1 << SLOT_BITS) - 1;
/// From this time on, entries are not filed.
const END_MS: u64 = 1 << (63 - SLOT_BITS);

/// So many stale records are no reason to doubt any.
const STALE_MIN: usize = 256;

impl Level {
    const fn new(first: u16, slots: u64, shift: u32) -> Level {
        Level {
            first,
            slots,
            shift,
        }
    }

    fn place(&self, slot: u64) -> u16 {
        self.first + (slot % self.slots) as u16
    }

    /// The slots that come up while the time passes from `from_ms` to `to_ms`.
    fn passed(&self, from_ms: u64, to_ms: u64) -> impl Iterator<Item = u16> {
        let first = self.first_ahead(from_ms);
        let ahead = self.first_ahead(to_ms);
        let passed = first..ahead.min(first.saturating_add(self.slots));
        passed.map(|slot| self.place(slot))
    }

    /// The first slot that has not come up at this time.
    fn first_ahead(&self, now_ms: u64) -> u64 {
        let begins_now = u64::from(self.first != 0);
        (now_ms >> self.shift) + begins_now
    }
}

impl Slot {
    /// The slot with these bits.
    #[cfg(test)]
    pub(crate) fn from_bits(bits: u16) -> Slot {
        debug_assert!(bits < UNFILED, "11 bits, and not all of them");
        Slot(bits)
    }

    fn place(self) -> u16 {
        self.0 & !GENERATION
    }

    /// The time in milliseconds, at the earliest, of what is filed here, if all of it is ahead.
    fn begins_ms(self, now_ms: u64) -> u64 {
        let place = self.place();
        if place == AT_ONCE {
            return 0;
        }
        if place == BEYOND {
            return ((now_ms >> BEYOND_SHIFT) + 1) << BEYOND_SHIFT;
        }
        let level = { LEVELS.iter().rev() }.find(|level| level.first <= place);
        level.map_or(0, |level| {
            let first = level.first_ahead(now_ms);
            let turned = u64::from(place - level.first).wrapping_sub(first) % level.slots;
            (first + turned) << level.shift
        })
    }
}

impl Due {
    /// This time, and this slot if the entry has a live record.
    pub(crate) fn new(at_ms: u64, filed: Option<Slot>) -> Due {
        if at_ms < END_MS {
            let filed = filed.map_or(UNFILED, |slot| slot.0);
            return Due(at_ms << SLOT_BITS | u64::from(filed));
        }
        // No command takes a time of more than 63 bits.
        Due(at_ms | 1 << 63)
    }

    /// When the entry expires, in milliseconds since 1970.
    #[inline]
    pub(crate) fn at_ms(self) -> u64 {
        match self.is_far() {
            true => self.0 & !(1 << 63),
            false => self.0 >> SLOT_BITS,
        }
    }

    /// The slot of the entry's live record, if it has one.
    pub(crate) fn filed(self) -> Option<Slot> {
        let slot = self.0 as u16 & UNFILED;
        (!self.is_far() && slot != UNFILED).then_some(Slot(slot))
    }

    #[inline]
    fn is_far(self) -> bool {
        self.0 >> 63 != 0
    }
}

impl Expiries {
    /// How many records there are, live and stale.
    #[cfg(test)]
    pub(super) fn records(&self) -> usize {
        self.wheel
            .as_ref()
            .map_or(0, |wheel| wheel.chunks.records())
    }

    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        if let Some(wheel) = &self.wheel {
            wheel.chunks.check_invariants();
        }
    }

    /// Files an entry that expires at `at_ms` or, without one, not at all, and answers the slot
    /// that the entry must remember. None for an entry that expires after the year 144,000: it
    /// has no record.
    ///
    /// `filed` is the slot that it remembers now, if it has a live record.
    #[must_use = "the entry must remember the slot"]
    pub(crate) fn file(
        &mut self,
        hash: u64,
        at_ms: Option<u64>,
        filed: Option<Slot>,
    ) -> Option<Slot> {
        let at_ms = at_ms.filter(|at_ms| *at_ms < END_MS);
        if let Some(filed) = filed {
            if at_ms.is_some_and(|at_ms| filed.begins_ms(self.now_ms) <= at_ms) {
                return Some(filed);
            }
            self.take_back(hash, filed);
        }
        let place = place(at_ms?, self.now_ms);
        Some(self.wheel.get_or_insert_default().file(hash, place))
    }

    /// Takes back the record of an entry that is not to be found by it any more, or lets it become
    /// stale. O(1).
    pub(crate) fn take_back(&mut self, hash: u64, filed: Slot) {
        if let Some(wheel) = &mut self.wheel
            && filed.0 & GENERATION == wheel.generation
        {
            let list = &mut wheel.slots[usize::from(filed.place())];
            wheel.chunks.take_back(list, hash);
        }
    }

    /// Tells the time, and takes up to `limit` records that have come up.
    ///
    /// For each, the entry with this hash and this filed slot has no live record any more: it is
    /// expired and to be removed, or to be filed again with `filed` as `None`.
    pub(crate) fn take_due(&mut self, now_ms: u64, limit: usize) -> Vec<Record> {
        let before_ms = std::mem::replace(&mut self.now_ms, now_ms);
        let Some(wheel) = &mut self.wheel else {
            return Vec::new();
        };
        wheel.turn(before_ms, now_ms);
        let taken = std::iter::from_fn(|| wheel.next()).take(limit).collect();
        if wheel.chunks.records() == 0 {
            self.wheel = None;
        }
        taken
    }

    /// Frees what is held for records. For when no entry has a live one.
    pub(crate) fn clear(&mut self) {
        self.wheel = None;
    }

    /// Whether [`Expiries::take_doubted`] has something, if so many entries have an expiry.
    #[inline]
    pub(crate) fn has_doubts(&self, volatile: usize) -> bool {
        self.wheel.as_ref().is_some_and(|wheel| {
            !wheel.doubted.is_empty()
                || wheel.chunks.records() > volatile + volatile / 2 + STALE_MIN
        })
    }

    /// Takes up to `limit` records that may be stale, to be dealt with as those of
    /// [`Expiries::take_due`]. Doubts all records if none is doubted yet.
    pub(crate) fn take_doubted(&mut self, limit: usize) -> Vec<Record> {
        let Some(wheel) = &mut self.wheel else {
            return Vec::new();
        };
        if wheel.doubted.is_empty() {
            wheel.doubt_all();
        }
        let next = || wheel.chunks.pop_of(&mut wheel.doubted);
        std::iter::from_fn(next).take(limit).collect()
    }

    /// Takes up to `limit` records of the first slots that have any, to be dealt with as those of
    /// [`Expiries::take_due`].
    pub(crate) fn take_soonest(&mut self, limit: usize) -> Vec<Record> {
        let Some(wheel) = &mut self.wheel else {
            return Vec::new();
        };
        let mut places = ahead(self.now_ms).peekable();
        let next = || {
            wheel.next().or_else(|| {
                loop {
                    let list = &mut wheel.slots[usize::from(*places.peek()?)];
                    if let Some(record) = wheel.chunks.pop(list) {
                        return Some(record);
                    }
                    places.next();
                }
            })
        };
        std::iter::from_fn(next).take(limit).collect()
    }

    /// A record chosen by `random`, live or stale, each with the same chance. None also if there
    /// are so few in so much memory that none is found soon.
    pub(crate) fn sample(&self, random: u64) -> Option<Record> {
        self.wheel.as_ref()?.chunks.sample(random)
    }

    /// How many bytes are allocated.
    pub(crate) fn bytes(&self) -> usize {
        self.wheel.as_ref().map_or(0, |wheel| {
            let lists = wheel.due.capacity() + wheel.doubted.capacity();
            size_of::<Wheel>() + lists * size_of::<List>() + wheel.chunks.bytes()
        })
    }
}

impl Default for Wheel {
    fn default() -> Wheel {
        Wheel {
            slots: [List::EMPTY; SLOTS],
            due: Vec::new(),
            doubted: Vec::new(),
            generation: 0,
            chunks: Chunks::default(),
        }
    }
}

impl Wheel {
    fn file(&mut self, hash: u64, place: u16) -> Slot {
        let slot = Slot(place | self.generation);
        let list = &mut self.slots[usize::from(place)];
        self.chunks.push(list, Record { slot, hash });
        slot
    }

    /// Has the slots come up that do while the time passes, and the one that is passing if it has
    /// few records. If the time goes back, none does but that of what is past anyway.
    fn turn(&mut self, before_ms: u64, now_ms: u64) {
        // Once for each time that is told: what is not due is filed here again. What was brought up
        // last is taken first, so this waits for what is surely due.
        let passing = LEVELS[0].place(now_ms >> LEVELS[0].shift);
        if now_ms > before_ms && self.chunks.is_short(self.slots[usize::from(passing)]) {
            self.bring_up(passing);
        }
        self.bring_up(AT_ONCE);
        for level in &LEVELS {
            for place in level.passed(before_ms, now_ms) {
                self.bring_up(place);
            }
        }
        if now_ms >> BEYOND_SHIFT > before_ms >> BEYOND_SHIFT {
            self.bring_up(BEYOND);
        }
    }

    fn bring_up(&mut self, place: u16) {
        let list = std::mem::replace(&mut self.slots[usize::from(place)], List::EMPTY);
        if !list.is_empty() {
            self.due.push(list);
        }
    }

    /// The next record that has come up or is doubted.
    fn next(&mut self) -> Option<Record> {
        { self.chunks.pop_of(&mut self.due) }.or_else(|| self.chunks.pop_of(&mut self.doubted))
    }

    /// Doubts all records.
    fn doubt_all(&mut self) {
        self.doubted.append(&mut self.due);
        let full = { self.slots.iter_mut() }.filter(|list| !list.is_empty());
        let lists = full.map(|list| std::mem::replace(list, List::EMPTY));
        self.doubted.extend(lists);
        self.generation ^= GENERATION;
    }
}

/// The place of an entry that expires at this time.
fn place(at_ms: u64, now_ms: u64) -> u16 {
    for level in &LEVELS {
        let Some(ahead) = (at_ms >> level.shift).checked_sub(now_ms >> level.shift) else {
            return AT_ONCE;
        };
        if ahead < level.slots {
            return level.place(at_ms >> level.shift);
        }
    }
    BEYOND
}

/// The places in the order of their times, the next one first.
fn ahead(now_ms: u64) -> impl Iterator<Item = u16> {
    let rings = LEVELS.iter().flat_map(move |level| {
        let first = level.first_ahead(now_ms);
        (0..level.slots).map(move |slot| level.place(first.wrapping_add(slot)))
    });
    std::iter::once(AT_ONCE).chain(rings).chain([BEYOND])
}

#[cfg(test)]
mod tests;
