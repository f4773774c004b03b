//! Holding shards: the one way to take them, and it can fail.
//!
//! ```text
//! Needs ── which shards a call needs        Shards::take ── try, wait for a moment, or give up
//! Held  ── those that it has, as guards         └─ Contended ── by whom, and so what to say
//! ```
//!
//! A call takes the shards of all its keys before it runs, in the order of their indices, so nobody
//! waits in a circle. Nobody waits for long either: whoever can't have a shard within [`PATIENCE`]
//! lets go of those that it has, and is told so. A caller is then parked until somebody lets go of
//! what it needs ([`super::parking`]), or refused as `BUSY` if a script holds it that has been
//! running for too long. What has no caller to park, such as the tick, leaves the shard out and
//! comes back to it.
//!
//! The lock of a shard is private to this module, so there is no other way to wait for one.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use smallvec::SmallVec;

use super::figures::Figures;
use super::parking::ParkingLot;
use super::shard::{SHARDS, Shard, Shards};
use super::table::Table;
use super::{Hashed, HashedKeys, Keyspace, Known};
use crate::error::Error;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, fence, fence_behind_exchange};

/// How long a caller waits for a shard with its thread: longer than nearly every command takes, and
/// so short that the other clients of the thread do not notice.
const PATIENCE: Duration = Duration::from_millis(1);

/// Why the shard of a key is found.
const IS_HELD: &str = "a command touches only keys that its row names, and those are held";

/// The place of a shard, on cache lines of its own, so that two threads on two shards do not slow
/// each other. What is used for every command stands first.
#[repr(C, align(128))]
pub(super) struct Slot {
    figures: Figures,
    /// Whether somebody has waited in vain for whoever holds the shard, and is to be told when it is
    /// let go.
    is_wanted: AtomicBool,
    lock: Mutex<Shard>,
    /// How many in the queues of the shard are over and could not leave, since it was held.
    left_behind: AtomicUsize,
    parking: ParkingLot,
}

impl Slot {
    pub(super) fn new(shard: Shard, parking: &ParkingLot) -> Slot {
        Slot {
            figures: Figures::default(),
            is_wanted: AtomicBool::new(false),
            lock: Mutex::new(shard),
            left_behind: AtomicUsize::new(0),
            parking: parking.clone(),
        }
    }

    pub(super) fn figures(&self) -> &Figures {
        &self.figures
    }
}

/// A shard that is held. Letting it go wakes those who wait for it.
pub(crate) struct ShardGuard<'e> {
    shard: MutexGuard<'e, Shard>,
    /// Dropped after the lock, as fields are dropped in their order.
    released: Released<'e>,
}

struct Released<'e>(&'e Slot);

impl Drop for Released<'_> {
    #[inline]
    fn drop(&mut self) {
        // Whoever wanted it in vain has said so, or has it by now: one of us sees what the other did.
        fence_behind_exchange();
        if self.0.is_wanted.load(Relaxed) {
            self.0.wake();
        }
    }
}

impl Slot {
    #[cold]
    #[inline(never)]
    fn wake(&self) {
        if self.is_wanted.swap(false, SeqCst) {
            self.parking.wake_all();
        }
    }

    #[inline]
    fn guard<'e>(&'e self, shard: MutexGuard<'e, Shard>) -> ShardGuard<'e> {
        ShardGuard {
            shard,
            released: Released(self),
        }
    }

    #[inline]
    fn try_take(&self) -> Option<ShardGuard<'_>> {
        self.lock.try_lock().map(|shard| self.guard(shard))
    }

    /// Waits for a moment, unless others have done so in vain already.
    #[cold]
    #[inline(never)]
    fn take_patiently(&self) -> Result<ShardGuard<'_>, u64> {
        if !self.is_wanted.load(Relaxed)
            && let Some(shard) = self.lock.try_lock_for(PATIENCE)
        {
            return Ok(self.guard(shard));
        }
        let epoch = self.parking.epoch();
        self.is_wanted.store(true, SeqCst);
        fence(SeqCst);
        // Once more: whoever let go of it before it was wanted has woken nobody.
        self.try_take().ok_or(epoch)
    }
}

impl ShardGuard<'_> {
    #[inline]
    pub(super) fn figures(&self) -> &Figures {
        &self.released.0.figures
    }
}

impl Deref for ShardGuard<'_> {
    type Target = Shard;

    #[inline]
    fn deref(&self) -> &Shard {
        &self.shard
    }
}

impl DerefMut for ShardGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }
}

/// A shard could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contended {
    /// The shard.
    pub(crate) index: usize,
    /// Which letting go the caller has still to wait for.
    pub(crate) epoch: u64,
}

impl From<Contended> for Error {
    fn from(Contended { index, epoch }: Contended) -> Error {
        Error::Contended { index, epoch }
    }
}

impl Shards {
    /// Takes a shard if nobody holds it.
    #[inline]
    pub(crate) fn try_take(&self, index: usize) -> Option<ShardGuard<'_>> {
        self.slot(index).try_take()
    }

    /// Takes a shard, waiting for a moment if somebody holds it.
    #[inline]
    pub(crate) fn take(&self, index: usize) -> Result<ShardGuard<'_>, Contended> {
        match self.try_take(index) {
            Some(shard) => Ok(shard),
            None => self.take_contended(index),
        }
    }

    #[cold]
    #[inline(never)]
    fn take_contended(&self, index: usize) -> Result<ShardGuard<'_>, Contended> {
        let slot = self.slot(index);
        // The epoch comes first: if the script ends behind this look, that epoch is over.
        let busy_in = || self.is_busy(index).then(|| self.parking().epoch());
        let taken = match busy_in().filter(|_| self.is_busy(index)) {
            Some(epoch) => Err(epoch),
            None => slot.take_patiently(),
        };
        taken.map_err(|epoch| Contended { index, epoch })
    }

    /// Notes that somebody in a queue of this shard is over, and could not leave it.
    pub(crate) fn leave_behind(&self, index: usize) {
        self.slot(index).left_behind.fetch_add(1, Relaxed);
    }

    /// Takes those out of the queues of a shard that are over, if there are any.
    pub(crate) fn sweep(&self, index: usize, shard: &mut Shard) {
        if self.slot(index).left_behind.load(Relaxed) > 0 {
            self.slot(index).left_behind.store(0, Relaxed);
            shard.sweep();
        }
    }

    /// The shard of this key, as a need.
    #[inline]
    pub(crate) fn need_of<'k>(&self, key: &'k [u8]) -> Needs<'k> {
        Needs::One(self.hashed(key, None))
    }

    /// A key with its hash, which need not be found if it is known.
    #[inline]
    pub(crate) fn hashed<'k>(&self, key: &'k [u8], known: Option<u64>) -> Hashed<'k> {
        debug_assert!(known.is_none_or(|hash| hash == self.seed().hash(key)));
        let hash = known.unwrap_or_else(|| self.seed().hash(key));
        Hashed { key, hash }
    }

    /// The shards of these keys, as a need.
    pub(crate) fn needs_of<'k>(&self, keys: HashedKeys<'k>) -> Needs<'k> {
        match keys[..] {
            [] => Needs::Nothing,
            [key] => Needs::One(key),
            _ => Needs::Several(keys),
        }
    }

    /// The shards of these keys: their indices, ascending, without repetition.
    fn indices(&self, keys: &[Hashed<'_>]) -> Indices {
        let mut indices: Indices = keys.iter().map(|key| self.index(key.hash)).collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    }
}

/// The indices of some shards, ascending, without repetition.
type Indices = SmallVec<[usize; 8]>;

/// Which shards a call needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Needs<'k> {
    /// None: it touches no key.
    Nothing,
    /// The shard of this key.
    One(Hashed<'k>),
    /// The shards of these keys.
    Several(HashedKeys<'k>),
    /// The shards with these indices.
    Shards(Indices),
    /// Every shard.
    Everything,
}

impl Needs<'_> {
    /// What both need.
    pub(crate) fn and<'k>(self, other: Needs<'_>, shards: &Shards) -> Needs<'k> {
        match (self.into_shards(shards), other.into_shards(shards)) {
            (Needs::Everything, _) | (_, Needs::Everything) => Needs::Everything,
            (Needs::Nothing, needs) | (needs, Needs::Nothing) => needs,
            (Needs::Shards(mut indices), Needs::Shards(more)) => {
                indices.extend(more);
                indices.sort_unstable();
                indices.dedup();
                Needs::Shards(indices)
            }
            (one, _) => one,
        }
    }

    /// The same, without the keys.
    pub(crate) fn into_shards<'k>(self, shards: &Shards) -> Needs<'k> {
        match self {
            Needs::Nothing => Needs::Nothing,
            Needs::One(one) => Needs::Shards(SmallVec::from_slice(&[shards.index(one.hash)])),
            Needs::Several(keys) => Needs::Shards(shards.indices(&keys)),
            Needs::Shards(indices) => Needs::Shards(indices),
            Needs::Everything => Needs::Everything,
        }
    }
}

/// The shards that a call holds.
pub(super) enum Held<'e> {
    None,
    One(usize, ShardGuard<'e>),
    Several(SmallVec<[(usize, ShardGuard<'e>); 4]>),
    All(Vec<ShardGuard<'e>>),
}

impl<'e> Keyspace<'e> {
    /// Takes the shards that the call needs.
    ///
    /// # Errors
    ///
    /// If one of them can't be had for now. None is held then.
    // Always, since most calls need one shard, and that is a few instructions.
    #[inline(always)]
    pub(crate) fn hold(&mut self, needs: Needs<'e>) -> Result<(), Contended> {
        let hashed = match needs {
            Needs::One(hashed) => hashed,
            Needs::Nothing => return Ok(()),
            needs => return self.hold_several(needs),
        };
        let index = self.shards.index(hashed.hash);
        let shard = self.shards.take(index)?;
        // It comes while the command begins.
        shard.dbs[self.db].table.prefetch(hashed.hash);
        self.chosen = Some(hashed);
        // There is none to let go, which would take a branch for each way to hold some.
        debug_assert!(matches!(self.held, Held::None));
        std::mem::forget(std::mem::replace(&mut self.held, Held::One(index, shard)));
        Ok(())
    }

    #[inline(never)]
    fn hold_several(&mut self, needs: Needs<'e>) -> Result<(), Contended> {
        let shards = self.shards;
        let take_all = |indices: Indices| -> Result<Held<'e>, Contended> {
            let taken = indices.into_iter();
            let taken = taken.map(|index| Ok((index, shards.take(index)?)));
            Ok(Held::Several(taken.collect::<Result<_, _>>()?))
        };
        self.held = match needs {
            Needs::Several(keys) => {
                self.held = take_all(shards.indices(&keys))?;
                self.prefetch(&keys);
                self.known = Known::new(keys);
                return Ok(());
            }
            Needs::Shards(indices) => take_all(indices)?,
            Needs::Everything => {
                let taken = (0..SHARDS).map(|index| shards.take(index));
                Held::All(taken.collect::<Result<_, _>>()?)
            }
            Needs::Nothing | Needs::One(_) => Held::None,
        };
        Ok(())
    }

    /// Asks the processor for the entries of keys whose shards are held: first for the bucket of each,
    /// then for the entry that each bucket names, so that in both rounds the waits overlap.
    fn prefetch(&self, keys: &[Hashed<'_>]) {
        for hint in [Table::prefetch, Table::prefetch_entry] {
            for key in keys {
                hint(&self.db_of(key.hash).table, key.hash);
            }
        }
    }

    /// Takes one shard if nobody holds it, on behalf of nobody. Answers whether it could.
    pub(crate) fn try_hold(&mut self, index: usize) -> bool {
        match self.shards.try_take(index) {
            Some(shard) => {
                self.held = Held::One(index, shard);
                true
            }
            None => false,
        }
    }

    /// Takes every shard if nobody holds any, on behalf of nobody. Answers whether it could.
    pub(crate) fn try_hold_all(&mut self) -> bool {
        let taken = (0..SHARDS).map(|index| self.shards.try_take(index));
        match taken.collect() {
            Some(all) => self.held = Held::All(all),
            None => return false,
        }
        true
    }

    /// Takes what a second call needs beside what is held for the first, if it is free: whoever
    /// holds shards never waits for more. Answers whether all of it is held now.
    pub(crate) fn hold_more(&mut self, needs: &Needs<'_>) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::One(hashed) => self.try_hold_more(self.shards.index(hashed.hash)),
            Needs::Several(keys) => {
                let mut indices = keys.iter().map(|key| self.shards.index(key.hash));
                indices.all(|index| self.try_hold_more(index))
            }
            Needs::Shards(indices) => indices.iter().all(|&index| self.try_hold_more(index)),
            Needs::Everything => (0..SHARDS).all(|index| self.try_hold_more(index)),
        }
    }

    fn try_hold_more(&mut self, index: usize) -> bool {
        if self.held.has(index) {
            return true;
        }
        let Some(shard) = self.shards.try_take(index) else {
            return false;
        };
        let mut several = match std::mem::replace(&mut self.held, Held::None) {
            Held::One(one, shard) => SmallVec::from_iter([(one, shard)]),
            Held::Several(several) => several,
            Held::None | Held::All(_) => SmallVec::new(),
        };
        several.push((index, shard));
        self.held = Held::Several(several);
        true
    }

    /// The shards that are held, a bit each.
    #[cfg(feature = "lua")]
    pub(crate) fn held_mask(&self) -> u64 {
        match &self.held {
            Held::None => 0,
            Held::One(index, _) => 1 << index,
            Held::Several(held) => held.iter().fold(0, |mask, (index, _)| mask | 1 << index),
            Held::All(_) => u64::MAX,
        }
    }
}

impl<'e> Held<'e> {
    pub(super) fn has(&self, index: usize) -> bool {
        match self {
            Held::None => false,
            Held::One(held, _) => *held == index,
            Held::Several(held) => held.iter().any(|(held, _)| *held == index),
            Held::All(_) => true,
        }
    }

    /// The shard with this index.
    #[inline]
    pub(super) fn shard(&self, index: usize) -> &ShardGuard<'e> {
        let found = match self {
            Held::One(held, shard) => (*held == index).then_some(shard),
            several => several.find(index),
        };
        found.expect(IS_HELD)
    }

    #[inline]
    pub(super) fn shard_mut(&mut self, index: usize) -> &mut Shard {
        let found = match self {
            Held::One(held, shard) => (*held == index).then_some(&mut **shard),
            several => several.find_mut(index),
        };
        found.expect(IS_HELD)
    }

    /// Apart from the way of those who hold one shard, and so is [`Held::find_mut`].
    #[inline(never)]
    fn find(&self, index: usize) -> Option<&ShardGuard<'e>> {
        match self {
            Held::None => None,
            Held::One(held, shard) => (*held == index).then_some(shard),
            Held::Several(held) => {
                let found = held.iter().find(|(held, _)| *held == index);
                found.map(|(_, shard)| shard)
            }
            Held::All(shards) => shards.get(index),
        }
    }

    #[inline(never)]
    fn find_mut(&mut self, index: usize) -> Option<&mut Shard> {
        match self {
            Held::None => None,
            Held::One(held, shard) => (*held == index).then_some(shard),
            Held::Several(held) => {
                let found = held.iter_mut().find(|(held, _)| *held == index);
                found.map(|(_, shard)| &mut **shard)
            }
            Held::All(shards) => shards.get_mut(index).map(|shard| &mut **shard),
        }
    }

    /// Those of a call that holds every shard.
    pub(super) fn all_mut(&mut self) -> &mut [ShardGuard<'e>] {
        match self {
            Held::All(shards) => shards,
            _ => &mut [],
        }
    }
}
