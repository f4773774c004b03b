//! A shard of the keyspace: what one lock protects.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64};

use smallvec::SmallVec;

use super::access::Access;
use super::change::{Interest, SharedInterest};
use super::db::Db;
use super::entry::{Entry, Kind};
use super::events::Events;
use super::figures::{Figure, Figures};
use super::hold::{ShardGuard, Slot};
use super::leftover::Ready;
use super::parking::ParkingLot;
use super::places::Places;
use super::prefetch::Step;
use super::tracked::Tracked;
use super::tracking::Tracking;
use super::waiting::{Queue, Waiter};
use super::watch::Watch;
use crate::hash::Seed;
use crate::pubsub::PubSub;
use crate::sync::AtomicU64;
use crate::types::Limits;

/// How many databases there are.
pub(crate) const DATABASES: usize = if IS_MODEL { 2 } else { 16 };

/// How many shards there are: enough that two threads seldom meet, few enough that taking them all
/// costs a microsecond or two. A word has a bit for each.
pub(crate) const SHARDS: usize = if IS_MODEL { 4 } else { u64::BITS as usize };

/// A model has few of what there are many, since it looks at each.
const IS_MODEL: bool = cfg!(all(test, larder_model));

/// How many bytes a shard may grow by before it reports that: all of them a megabyte together.
const GRAIN_MAX: i64 = (1 << 20) / SHARDS as i64;

/// The hash bits that choose the shard. The tables use the bits above and below.
const SHARD_SHIFT: u32 = 8;

/// The lowest hash bit that a table's scan position uses.
const POSITION_SHIFT: u32 = 24;
const POSITION_BITS: u32 = 64 - POSITION_SHIFT;

/// All shards.
pub(crate) struct Shards {
    slots: Box<[Slot]>,
    seed: Seed,
    /// Which changes somebody wants to hear of, whatever their key.
    interest: SharedInterest,
    events: Events,
    tracking: Tracking,
    limits: Limits,
    /// How uses of entries are noted.
    access: Access,
    /// Whether another server's data is being brought, and nothing expires: `import-mode`.
    imports: AtomicBool,
    /// How many bytes all keys take, but for what the shards have not reported.
    reported: AtomicI64,
    /// How many bytes a shard may grow by before it reports that.
    grain: AtomicI64,
    /// The shards that scripts hold which have been running for too long, a bit each.
    busy: AtomicU64,
    parking: ParkingLot,
}

/// What one lock protects: what every command uses stands first, in the lock's cache line.
#[repr(C)]
pub(crate) struct Shard {
    /// Who wants to hear of changes here.
    interest: Interest,
    pub(crate) dbs: [Db; DATABASES],
    /// Who watches a key: transactions that are void when it changes.
    watched: Places<Vec<Arc<Watch>>>,
    /// Who waits for a key.
    waiting: Places<Queue>,
    /// Who has read a key, and is to hear of its next change.
    pub(super) tracked: Tracked,
}

impl Shards {
    /// Empty shards.
    pub(crate) fn new(seed: Seed, pubsub: Arc<PubSub>) -> Shards {
        let parking = ParkingLot::default();
        let tracking = Tracking::default();
        let shard = || Shard::new(seed, Tracked::new(tracking.totals()));
        let slots = (0..SHARDS).map(|_| Slot::new(shard(), &parking)).collect();
        Shards {
            slots,
            seed,
            interest: SharedInterest::default(),
            events: Events::new(pubsub),
            tracking,
            limits: Limits::new(seed),
            access: Access::default(),
            imports: AtomicBool::new(false),
            reported: AtomicI64::new(0),
            grain: AtomicI64::new(GRAIN_MAX),
            busy: AtomicU64::new(0),
            parking,
        }
    }

    #[inline]
    pub(crate) fn seed(&self) -> Seed {
        self.seed
    }

    /// Which changes somebody wants to hear of, whatever their key.
    #[inline]
    pub(super) fn interest(&self) -> Interest {
        self.interest.load()
    }

    pub(super) fn set_interest(&self, interest: Interest, is_set: bool) {
        self.interest.set(interest, is_set);
    }

    /// Who remembers what they have read.
    pub(crate) fn tracking(&self) -> &Tracking {
        &self.tracking
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// How uses of entries are noted.
    #[inline]
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Whether another server's data is being brought: then nothing expires, and nothing is evicted.
    pub(crate) fn imports(&self) -> &AtomicBool {
        &self.imports
    }

    /// Shows what a shard holds of a database now. Only for who holds the shard.
    #[inline]
    pub(super) fn show(&self, figures: &Figures, index: usize, db: &Db) {
        let unreported = figures.show(index, db);
        if unreported.abs() > self.grain.load(Relaxed) {
            self.reported.fetch_add(figures.take_unreported(), Relaxed);
        }
    }

    /// Has a shard that is held report all that it has not reported yet.
    pub(crate) fn report(&self, index: usize, _: &ShardGuard<'_>) {
        let unreported = self.figures_of(index).take_unreported();
        self.reported.fetch_add(unreported, Relaxed);
    }

    /// How many bytes all keys take, nearly: each shard may have grown or shrunk by a grain.
    #[inline]
    pub(crate) fn bytes_nearly(&self) -> u64 {
        self.reported.load(Relaxed).max(0) as u64
    }

    /// How many bytes all keys take, with their values, tables and expiries.
    pub(crate) fn bytes(&self) -> u64 {
        self.figures().map(Figures::bytes).sum()
    }

    /// Has the shards report so soon that [`Shards::bytes_nearly`] is wrong by a hundredth of this at
    /// most, and by no more than a megabyte.
    pub(crate) fn set_accuracy(&self, bytes: u64) {
        let grain = bytes / (100 * SHARDS as u64);
        let grain = i64::try_from(grain).unwrap_or(GRAIN_MAX).min(GRAIN_MAX);
        self.grain.store(grain, Relaxed);
        for index in 0..SHARDS {
            // What is held now reports at the next change, or tick.
            if let Some(shard) = self.try_take(index) {
                self.report(index, &shard);
            }
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    #[inline]
    pub(crate) fn index(&self, hash: u64) -> usize {
        (hash >> SHARD_SHIFT) as usize % SHARDS
    }

    #[inline]
    pub(super) fn slot(&self, index: usize) -> &Slot {
        &self.slots[index]
    }

    /// The figures of each shard.
    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figures> {
        self.slots.iter().map(Slot::figures)
    }

    /// The sum of a figure of all shards.
    pub(crate) fn sum(&self, figure: fn(&Figures) -> &Figure) -> u64 {
        self.figures().map(|figures| figure(figures).get()).sum()
    }

    /// The figures of one shard.
    pub(crate) fn figures_of(&self, index: usize) -> &Figures {
        self.slot(index).figures()
    }

    /// Where callers wait that could not have their shards.
    pub(crate) fn parking(&self) -> &ParkingLot {
        &self.parking
    }

    /// Whether a script holds this shard that has been running for too long.
    pub(crate) fn is_busy(&self, index: usize) -> bool {
        self.busy.load(Relaxed) & (1 << index) != 0
    }

    /// Whether any shard is held by such a script.
    #[cfg(feature = "lua")]
    #[inline]
    pub(crate) fn any_busy(&self) -> bool {
        self.busy.load(Relaxed) != 0
    }

    /// Says which shards such scripts hold, a bit each. Those who wait for one of them learn it at
    /// once, and those who found it so when it is over.
    #[cfg(feature = "lua")]
    pub(crate) fn set_busy(&self, mask: u64) {
        let before = self.busy.swap(mask, Relaxed);
        if mask != before {
            self.parking.wake_all();
        }
    }

    /// Asks the processor for the memory of keys with these hashes, and of the fields or members that
    /// are looked for in their values: first for all buckets, then for the entries that they name, so
    /// that in each round the waits overlap.
    ///
    /// The shards are taken before, since a processor waits for what it has begun when it takes a
    /// lock. They are held for a few hundred instructions.
    pub(crate) fn look_ahead<'a>(
        &self,
        db: usize,
        wanted: impl Iterator<Item = (u64, Option<&'a [u8]>)>,
    ) {
        let mut held: SmallVec<[(usize, ShardGuard<'_>); 16]> = SmallVec::new();
        let mut mask = 0_u64;
        let mut hints: SmallVec<[Hint<'_>; 16]> = SmallVec::new();
        let mut before = None;
        for (hash, part) in wanted {
            // Many pipelines push to one list.
            if part.is_none() && before == Some(hash) {
                continue;
            }
            let index = self.index(hash);
            if mask & (1 << index) == 0 {
                // Who holds the shard is using it right now: then there is no need for a hint.
                let Some(shard) = self.try_take(index) else {
                    continue;
                };
                mask |= 1 << index;
                held.push((index, shard));
            }
            let place = held.iter().rposition(|(held, _)| *held == index);
            before = Some(hash);
            hints.push(Hint {
                hash,
                place: place.unwrap_or_default(),
                part,
                part_hash: None,
            });
        }
        let table = |place: usize| &held[place].1.dbs[db].table;
        for step in STEPS {
            for hint in &hints {
                table(hint.place).look_ahead(hint.hash, step);
            }
        }
        hints.retain(|hint| hint.part.is_some());
        for step in STEPS {
            // Many others add to one set.
            let mut known = None;
            for hint in &mut hints {
                let value = match known {
                    Some((hash, value)) if hash == hint.hash => value,
                    _ => {
                        let entry = table(hint.place).likely(hint.hash);
                        entry.and_then(Entry::collection)
                    }
                };
                known = Some((hint.hash, value));
                if let Some(value) = value {
                    value.look_ahead(&mut || hint.hash_of_part(self.seed), step);
                }
            }
        }
    }

    /// The cursor of a place in hash order: the shard, then the position in its table. It stays
    /// below 2^46, so that clients that keep cursors in floating point keep them exactly.
    pub(super) fn cursor_of(&self, index: usize, position: u64) -> u64 {
        match index < SHARDS {
            true => ((index as u64) << POSITION_BITS) | (position >> POSITION_SHIFT),
            false => 0,
        }
    }

    /// The shard and the position of a cursor.
    pub(super) fn place_of(&self, cursor: u64) -> (usize, u64) {
        ((cursor >> POSITION_BITS) as usize, cursor << POSITION_SHIFT)
    }
}

/// The steps in which memory is asked for, in their order.
const STEPS: [Step; 2] = [Step::Bucket, Step::Entry];

/// What a request will look for.
struct Hint<'a> {
    /// The hash of its key.
    hash: u64,
    /// Which of the shards that are held has the key.
    place: usize,
    /// The field or the member that it looks for in the key's value.
    part: Option<&'a [u8]>,
    part_hash: Option<u64>,
}

impl Hint<'_> {
    fn hash_of_part(&mut self, seed: Seed) -> u64 {
        let part = self.part.unwrap_or_default();
        *self.part_hash.get_or_insert_with(|| seed.hash(part))
    }
}

impl Shard {
    pub(super) fn new(seed: Seed, tracked: Tracked) -> Shard {
        Shard {
            interest: Interest::default(),
            dbs: std::array::from_fn(|_| Db::new(seed)),
            watched: Places::default(),
            waiting: Places::default(),
            tracked,
        }
    }

    /// Who wants to hear of changes here.
    #[inline]
    pub(super) fn interest(&self) -> Interest {
        self.interest
    }

    /// Whoever came to a queue, or left one, has this called.
    pub(super) fn note_interest(&mut self) {
        self.interest = Interest::WATCHED
            .when(!self.watched.is_empty())
            .or(Interest::AWAITED.when(!self.waiting.is_empty()))
            .or(Interest::TRACKED.when(!self.tracked.is_empty()));
    }

    // --- transactions that watch -------------------------------------------------------------

    /// Has `watch` hear of a key. False if it does already.
    pub(crate) fn watch(&mut self, db: usize, key: &[u8], watch: &Arc<Watch>) -> bool {
        let watches = self.watched.get_or_default(db, key);
        if watches.iter().any(|other| Arc::ptr_eq(other, watch)) {
            return false;
        }
        watches.push(Arc::clone(watch));
        self.note_interest();
        true
    }

    pub(crate) fn unwatch(&mut self, db: usize, key: &[u8], watch: &Arc<Watch>) {
        if let Some(watches) = self.watched.get_mut(db, key) {
            watches.retain(|other| !Arc::ptr_eq(other, watch));
            if watches.is_empty() {
                self.watched.remove(db, key);
                self.note_interest();
            }
        }
    }

    pub(super) fn touch_watchers(&self, db: usize, key: &[u8]) {
        if let Some(watches) = self.watched.get(db, key) {
            watches.iter().for_each(|watch| watch.touch());
        }
    }

    // --- callers that wait -------------------------------------------------------------------

    pub(crate) fn wait(&mut self, db: usize, key: &[u8], waiter: Arc<Waiter>) {
        self.waiting.get_or_default(db, key).add(waiter);
        self.note_interest();
    }

    pub(crate) fn stop_waiting(&mut self, db: usize, key: &[u8], waiter: &Waiter) {
        if let Some(queue) = self.waiting.get_mut(db, key) {
            queue.remove(waiter.id);
            if queue.is_empty() {
                self.waiting.remove(db, key);
                self.note_interest();
            }
        }
    }

    /// Those who wait for a key, if anybody does.
    pub(super) fn queue_mut(&mut self, db: usize, key: &[u8]) -> Option<&mut Queue> {
        self.waiting.get_mut(db, key)
    }

    /// Who waits longest for a key that now holds this, of those who came after another.
    pub(crate) fn next_waiter(
        &self,
        db: usize,
        key: &[u8],
        after: u64,
        kind: Option<Kind>,
    ) -> Option<Arc<Waiter>> {
        self.waiting.get(db, key)?.next(after, kind)
    }

    /// Takes those out of the queues that are over: they could not leave while the shard was held.
    pub(super) fn sweep(&mut self) {
        self.watched.retain(|watches| {
            watches.retain(|watch| !watch.is_over());
            !watches.is_empty()
        });
        self.waiting.retain(|queue| {
            queue.sweep();
            !queue.is_empty()
        });
        self.tracked.sweep();
        self.note_interest();
    }

    // --- changes of a whole database ---------------------------------------------------------

    /// Puts an empty table in the place of a database, and tells who watches or waits for what is lost.
    /// Answers what was there.
    pub(super) fn flush(&mut self, db: usize, now_ms: u64, ready: &mut VecDeque<Ready>) -> Db {
        let fresh = Db::new(self.dbs[db].table.seed());
        let old = std::mem::replace(&mut self.dbs[db], fresh);
        let listeners = (&self.watched, &mut self.waiting);
        tell_of_replaced(db, listeners, [&old, &self.dbs[db]], now_ms, ready);
        old
    }

    /// Exchanges what two databases hold, and tells who watches or waits for what came or went.
    pub(super) fn swap(
        &mut self,
        one: usize,
        other: usize,
        now_ms: u64,
        ready: &mut VecDeque<Ready>,
    ) {
        self.dbs.swap(one, other);
        for (db, was) in [(one, other), (other, one)] {
            let listeners = (&self.watched, &mut self.waiting);
            let dbs = [&self.dbs[was], &self.dbs[db]];
            tell_of_replaced(db, listeners, dbs, now_ms, ready);
        }
    }
}

/// The second of these has taken the place of the first. Touches all who watch a key that either has, and
/// has those served who wait for a key that is there now, or for a stream that is gone, of which those
/// have to hear who wait in a group.
fn tell_of_replaced(
    db: usize,
    (watched, waiting): (&Places<Vec<Arc<Watch>>>, &mut Places<Queue>),
    [was, is]: [&Db; 2],
    now_ms: u64,
    ready: &mut VecDeque<Ready>,
) {
    for (key, watches) in watched.iter(db) {
        if was.has(key, now_ms) || is.has(key, now_ms) {
            watches.iter().for_each(|watch| watch.touch());
        }
    }
    for (key, queue) in waiting.iter_mut(db) {
        let is_lost = || was.kind(key) == Some(Kind::Stream);
        if (is.kind(key).is_some() || is_lost()) && queue.become_ready() {
            let key = key.into();
            ready.push_back(Ready { db, key });
        }
    }
}
