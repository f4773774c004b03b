//! The keyspace: which keys there are, and what they hold.
//!
//! ```text
//! Shards ── Shard (a lock each, by key hash) ── Db 0..16 ── Table of entries
//!                                           │            └─ Agenda: what expires when
//!                                           ├─ watched: transactions that wait for no change
//!                                           └─ waiting: callers that wait for a change
//! ```
//!
//! A command runs while its caller holds the shards of its keys, in a [`Keyspace`]. So every
//! command, transaction and script is atomic, and two threads on two keys do not meet. Shards are
//! taken in the order of their indices, so nobody waits in a circle.
//!
//! [`Keyspace::read`] gives what a key holds; an expired key is never seen. [`Keyspace::write`]
//! gives a guard, and only that guard marks a key as changed when it is let go: WATCH and blocked
//! callers follow from the mark, and no command does this by hand.

mod aftermath;
pub(crate) mod agenda;
pub(crate) mod entry;
mod guard;
pub(crate) mod prefetch;
mod shard;
pub(crate) mod table;
pub(crate) mod waiting;
pub(crate) mod watch;

use std::cell::Cell;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use crate::engine::{Now, TimeSource};
use crate::error::{Error, Result};
use crate::types::Limits;
use entry::{Entry, Kind, Object, Str};
use table::{Found, Keyed};

/// How often a caller who waits for a shard looks whether that is any use.
const LOOK_AROUND: Duration = Duration::from_millis(20);

/// Why the shard of a key is found.
const IS_HELD: &str = "a command touches only keys that its row names, and those are held";

pub use aftermath::Garbage;
pub(crate) use aftermath::{Aftermath, Ready};
pub(crate) use guard::{StringGuard, WriteGuard};
pub(crate) use shard::{Counts, DATABASES, Db, Shard, Shards};

/// What a write does to the time at which the key expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// The key does not expire any more.
    Clear,
    /// As it was.
    Keep,
    /// The key expires at this time, in Unix milliseconds.
    At(u64),
}

/// The shards that one call holds, and the database that it works on.
pub(crate) struct Keyspace<'e> {
    shards: &'e Shards,
    held: Held<'e>,
    /// The key that chose the shard, if it was one: most often the only one that is asked for.
    chosen: Option<Hashed<'e>>,
    db: usize,
    clock: &'e dyn TimeSource,
    now: Cell<Option<Now>>,
    /// Most often there is none.
    aftermath: Option<Box<Aftermath>>,
    counts_lookups: bool,
    /// Whether what is looked up counts as used: not for a client that wants to leave no trace.
    touches: bool,
}

/// Locks on shards, in the order of their indices.
enum Held<'e> {
    None,
    One(usize, MutexGuard<'e, Shard>),
    Many(SmallVec<[(usize, MutexGuard<'e, Shard>); 4]>),
    All(Vec<MutexGuard<'e, Shard>>),
}

/// A key with its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashed<'k> {
    key: &'k [u8],
    hash: u64,
}

/// Which shards a call needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Needs<'k> {
    /// None: it touches no key.
    Nothing,
    /// The shard of this key.
    One(Hashed<'k>),
    /// The shards with these indices, ascending, without repetition.
    Shards(SmallVec<[usize; 8]>),
    /// Every shard.
    Everything,
}

impl Shards {
    /// Takes the shards that a call needs, waiting for those who hold them.
    pub(crate) fn lock<'e>(
        &'e self,
        needs: &Needs<'e>,
        db: usize,
        clock: &'e dyn TimeSource,
    ) -> Keyspace<'e> {
        let mut keyspace = Keyspace::new(self, db, clock);
        while !keyspace.hold(needs, &|| false) {}
        keyspace
    }

    /// The shard of this key, as a need.
    pub(crate) fn need_of<'k>(&self, key: &'k [u8]) -> Needs<'k> {
        let hash = self.seed().hash(key);
        Needs::One(Hashed { key, hash })
    }

    /// The shards of these keys, as a need.
    pub(crate) fn needs_of<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Needs<'static> {
        let mut indices: SmallVec<[usize; 8]> =
            keys.map(|key| self.index(self.seed().hash(key))).collect();
        indices.sort_unstable();
        indices.dedup();
        if indices.is_empty() {
            Needs::Nothing
        } else {
            Needs::Shards(indices)
        }
    }
}

/// Waits for a shard, until `gives_up` says that it is no use.
#[inline]
fn hold<'e>(shard: &'e Mutex<Shard>, gives_up: &dyn Fn() -> bool) -> Option<MutexGuard<'e, Shard>> {
    loop {
        if let Some(held) = shard.try_lock_for(LOOK_AROUND) {
            return Some(held);
        }
        if gives_up() {
            return None;
        }
    }
}

impl Needs<'_> {
    /// What both need.
    pub(crate) fn and(self, other: Needs<'_>, shards: &Shards) -> Needs<'static> {
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

    fn into_shards(self, shards: &Shards) -> Needs<'static> {
        match self {
            Needs::Nothing => Needs::Nothing,
            Needs::One(one) => Needs::Shards(SmallVec::from_slice(&[shards.index(one.hash)])),
            Needs::Shards(indices) => Needs::Shards(indices),
            Needs::Everything => Needs::Everything,
        }
    }
}

impl<'e> Keyspace<'e> {
    /// A call in this database that holds no shard yet.
    #[inline]
    pub(crate) fn new(shards: &'e Shards, db: usize, clock: &'e dyn TimeSource) -> Keyspace<'e> {
        Keyspace {
            shards,
            held: Held::None,
            chosen: None,
            db,
            clock,
            now: Cell::new(None),
            aftermath: None,
            counts_lookups: false,
            touches: true,
        }
    }

    /// Takes the shards that the call needs. Answers false, and holds none, if others hold them and
    /// `gives_up` says, when it is asked now and then, that waiting is no use.
    // Always, since most calls need one shard, and that is a few instructions.
    #[inline(always)]
    pub(crate) fn hold(&mut self, needs: &Needs<'e>, gives_up: &dyn Fn() -> bool) -> bool {
        let Needs::One(hashed) = needs else {
            return self.hold_many(needs, gives_up).is_some();
        };
        let index = self.shards.index(hashed.hash);
        let Some(shard) = hold(self.shards.shard(index), gives_up) else {
            return false;
        };
        // It comes while the command begins.
        shard.dbs[self.db].table.prefetch(hashed.hash);
        self.chosen = Some(*hashed);
        // There is none to let go, which would take a branch for each way to hold some.
        debug_assert!(matches!(self.held, Held::None));
        std::mem::forget(std::mem::replace(&mut self.held, Held::One(index, shard)));
        true
    }

    #[inline(never)]
    fn hold_many(&mut self, needs: &Needs<'e>, gives_up: &dyn Fn() -> bool) -> Option<()> {
        let shards = self.shards;
        self.held = match needs {
            Needs::Shards(indices) => Held::Many(
                indices
                    .iter()
                    .map(|&index| Some((index, hold(shards.shard(index), gives_up)?)))
                    .collect::<Option<_>>()?,
            ),
            Needs::Everything => {
                let shards = shards.iter().map(|shard| hold(shard, gives_up));
                Held::All(shards.collect::<Option<_>>()?)
            }
            Needs::Nothing | Needs::One(_) => Held::None,
        };
        Some(())
    }

    /// The time of this call: that at which it is first asked for, when the call has its keys. So
    /// the times at which a key is used are in the order of its uses.
    pub(crate) fn now(&self) -> Now {
        self.now.get().unwrap_or_else(|| {
            let now = self.clock.now();
            self.now.set(Some(now));
            now
        })
    }

    /// The time of this call, in Unix milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now().unix_ms()
    }

    /// The database that keys are looked up in.
    pub(crate) fn db(&self) -> usize {
        self.db
    }

    /// Looks keys up in another database from here on.
    pub(crate) fn select(&mut self, db: usize) {
        self.db = db;
    }

    /// At which sizes small collections become large ones.
    pub(crate) fn limits(&self) -> &'e Limits {
        self.shards.limits()
    }

    /// What is left to do for whoever lets the shards go.
    #[inline]
    pub(crate) fn take_aftermath(&mut self) -> Option<Box<Aftermath>> {
        self.aftermath.take()
    }

    fn aftermath(&mut self) -> &mut Aftermath {
        self.aftermath.get_or_insert_default()
    }

    /// Frees an entry, after the shards are let go if that takes long.
    fn discard(&mut self, entry: Entry) {
        if entry.is_bulky() {
            self.aftermath().garbage.take_entry(entry);
        }
    }

    // --- what a key holds -------------------------------------------------------------------

    /// What kind of value the key holds, if there is one.
    pub(crate) fn kind(&self, key: &[u8]) -> Option<Kind> {
        self.entry(key).map(Entry::kind)
    }

    /// Whether there is such a key.
    pub(crate) fn exists(&self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// The value of a key that holds a `T`.
    ///
    /// # Errors
    ///
    /// [`Error::WrongType`] if it holds something else.
    pub(crate) fn read<T: Object>(&self, key: &[u8]) -> Result<Option<&T>> {
        match self.look_up(key) {
            None => Ok(None),
            Some(entry) => match entry.object() {
                Some(object) => Ok(Some(object)),
                None => Err(Error::WrongType),
            },
        }
    }

    /// The value of a key that holds a string.
    ///
    /// # Errors
    ///
    /// [`Error::WrongType`] if it holds something else.
    pub(crate) fn read_string(&self, key: &[u8]) -> Result<Option<Str<'_>>> {
        match self.look_up(key) {
            None => Ok(None),
            Some(entry) => match entry.str() {
                Some(string) => Ok(Some(string)),
                None => Err(Error::WrongType),
            },
        }
    }

    /// When the key expires, in Unix milliseconds; `None` if there is no such key.
    pub(crate) fn expiry(&self, key: &[u8]) -> Option<Option<u64>> {
        self.entry(key).map(Entry::expires_at)
    }

    /// The entry of a key, for commands about keys themselves.
    pub(crate) fn entry(&self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        let entry = self.db_of(hash).table.find(hash, key)?;
        (!self.is_expired(entry)).then_some(entry)
    }

    /// The entry of a key that is read, counted.
    #[inline]
    fn look_up(&self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        let shard = self.shard(hash);
        let entry = shard.dbs[self.db].table.find(hash, key);
        let entry = entry.filter(|entry| !self.is_expired(entry));
        if self.counts_lookups {
            shard.count(|counts| match entry {
                Some(_) => counts.hits += 1,
                None => counts.misses += 1,
            });
        }
        if let Some(entry) = entry {
            self.touch(entry);
        }
        entry
    }

    /// Notes that an entry is used.
    #[inline]
    fn touch(&self, entry: &Entry) {
        if self.touches {
            entry.touch(self.shards.clock());
        }
    }

    /// Notes that a key is used. Answers whether there is such a key.
    pub(crate) fn touch_key(&mut self, key: &[u8]) -> bool {
        let entry = self.entry(key);
        if let Some(entry) = entry {
            entry.touch(self.shards.clock());
        }
        entry.is_some()
    }

    /// How long a key has not been used, in seconds, if there is such a key.
    pub(crate) fn idle_s(&self, key: &[u8]) -> Option<u32> {
        let entry = self.entry(key)?;
        Some(entry.idle_s(self.shards.clock()))
    }

    /// Has what is looked up count as used from here on, or not.
    pub(crate) fn set_touching(&mut self, touches: bool) {
        self.touches = touches;
    }

    /// Has reads count as lookups from here on, or not: those of commands that change a key do
    /// not.
    pub(crate) fn count_lookups(&mut self, counts_lookups: bool) {
        self.counts_lookups = counts_lookups;
    }

    // --- changing what a key holds ----------------------------------------------------------

    /// The value of a key that holds a `T`, to be changed; an empty one if there is no such key.
    ///
    /// When the guard is let go, the key is marked as changed if it was, and removed if its value
    /// has become empty.
    ///
    /// # Errors
    ///
    /// [`Error::WrongType`] if it holds something else.
    pub(crate) fn write<T: Object>(&mut self, key: &[u8]) -> Result<WriteGuard<'_, 'e, T>> {
        let hash = self.hash(key);
        let found = match self.live(hash, key) {
            None => self.add(hash, key, Entry::with_empty::<T>(key)),
            Some((_, kind)) if kind != T::KIND => return Err(Error::WrongType),
            Some((found, _)) => found,
        };
        Ok(WriteGuard::new(self, hash, found))
    }

    /// The value of a key that holds a `T`, to be changed, if there is such a key.
    ///
    /// # Errors
    ///
    /// [`Error::WrongType`] if it holds something else.
    pub(crate) fn write_existing<T: Object>(
        &mut self,
        key: &[u8],
    ) -> Result<Option<WriteGuard<'_, 'e, T>>> {
        let hash = self.hash(key);
        match self.live(hash, key) {
            None => Ok(None),
            Some((_, kind)) if kind != T::KIND => Err(Error::WrongType),
            Some((found, _)) => Ok(Some(WriteGuard::new(self, hash, found))),
        }
    }

    /// The bytes of a string, to be changed in place; none if there is no such key.
    ///
    /// # Errors
    ///
    /// [`Error::WrongType`] if it holds something else.
    pub(crate) fn write_string(&mut self, key: &[u8]) -> Result<StringGuard<'_, 'e>> {
        let hash = self.hash(key);
        let found = match self.live(hash, key) {
            None => self.add(hash, key, Entry::with_raw(key, Vec::new())),
            Some((found, Kind::Inline | Kind::Int | Kind::Raw)) => found,
            Some(_) => return Err(Error::WrongType),
        };
        Ok(StringGuard::new(self, hash, found))
    }

    /// Adds an entry whose key is not there yet, and says where it lies.
    fn add(&mut self, hash: u64, key: &[u8], entry: Entry) -> Found {
        let db = self.db_of_mut(hash);
        db.insert(hash, entry);
        let found = db.table.locate(hash, key);
        found.expect("an entry is where it has just been put")
    }

    /// Gives a key this string, whatever it held.
    pub(crate) fn put_string(&mut self, key: &[u8], bytes: &[u8], expiry: Expiry) {
        match number_of(bytes) {
            Some(number) => self.put_int(key, number, expiry),
            None => self.put_with(
                key,
                expiry,
                |entry, at| entry.set_string_until(bytes, at),
                |at| Entry::string_until(key, bytes, at),
            ),
        }
    }

    /// Gives a key this integer as its string, whatever it held.
    pub(crate) fn put_int(&mut self, key: &[u8], number: i64, expiry: Expiry) {
        self.put_with(
            key,
            expiry,
            |entry, _| entry.set_int(number),
            |_| Entry::int(key, number),
        );
    }

    /// Gives a key this object, whatever it held. An empty object removes the key.
    pub(crate) fn put<T: Object>(&mut self, key: &[u8], object: T, expiry: Expiry) {
        if object.is_empty() {
            self.remove(key);
            return;
        }
        let object = Cell::new(object);
        self.put_with(
            key,
            expiry,
            |entry, _| entry.set_object(object.take()),
            |_| Entry::with_object(key, object.take()),
        );
    }

    /// Writes a value: by `set` into the entry that is there, else as the entry that `make` gives.
    fn put_with(
        &mut self,
        key: &[u8],
        expiry: Expiry,
        set: impl FnOnce(&mut Entry, Option<u64>),
        make: impl FnOnce(Option<u64>) -> Entry,
    ) {
        let hash = self.hash(key);
        let now_ms = match expiry {
            Expiry::Keep => self.now_ms(),
            _ => 0,
        };
        let at = |was: Option<u64>| match expiry {
            // What has expired has no time left to keep.
            Expiry::Keep => was.filter(|&at| at > now_ms),
            Expiry::Clear => None,
            Expiry::At(at) => Some(at),
        };
        let old_expiry = Cell::new(None);
        let at = |was: Option<u64>| {
            old_expiry.set(was);
            at(was)
        };
        let clock = self.shards.clock();
        let bulky = Cell::new(None);
        let set = |entry: &mut Entry, at| {
            if entry.is_bulky() {
                bulky.set(Some(entry.hollow_out()));
            }
            set(entry, at);
            entry.touch(clock);
        };
        let make = |at| {
            let entry = make(at);
            entry.touch(clock);
            entry
        };
        self.db_of_mut(hash).put(hash, key, at, set, make);
        if let Some(bulky) = bulky.into_inner() {
            self.discard(bulky);
        }
        if old_expiry.get().is_some_and(|at| at <= self.now_ms()) {
            self.count_expired(hash);
        }
        self.changed(hash, key);
    }

    /// Sets when a key expires. Answers whether there is such a key. A time that is past removes
    /// the key.
    pub(crate) fn set_expiry(&mut self, key: &[u8], at_ms: Option<u64>) -> bool {
        let hash = self.hash(key);
        if !self.exists(key) {
            return false;
        }
        match at_ms {
            Some(at) if at <= self.now_ms() => {
                if let Some(entry) = self.db_of_mut(hash).remove(hash, key) {
                    self.discard(entry);
                }
            }
            at => self.db_of_mut(hash).set_expiry(hash, key, at),
        }
        self.changed(hash, key);
        true
    }

    /// Removes a key. Answers whether there was one.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let entry = self.take(key);
        let is_removed = entry.is_some();
        if let Some(entry) = entry {
            self.discard(entry);
        }
        is_removed
    }

    /// Removes a key and gives its entry.
    pub(crate) fn take(&mut self, key: &[u8]) -> Option<Entry> {
        let hash = self.hash(key);
        let entry = self.db_of_mut(hash).remove(hash, key)?;
        if self.is_expired(&entry) {
            self.has_expired(hash, key);
            self.discard(entry);
            return None;
        }
        self.changed(hash, key);
        Some(entry)
    }

    /// Puts an entry in the place of whatever its key holds.
    pub(crate) fn put_entry(&mut self, entry: Entry) {
        let key: SmallVec<[u8; 64]> = SmallVec::from_slice(entry.key());
        let hash = self.hash(&key);
        entry.touch(self.shards.clock());
        if let Some(old) = self.db_of_mut(hash).remove(hash, &key) {
            self.discard(old);
        }
        self.db_of_mut(hash).insert(hash, entry);
        self.changed(hash, &key);
    }

    // --- the whole keyspace; only for calls that hold every shard ----------------------------

    /// The held shards' databases of this number.
    pub(crate) fn dbs(&self) -> impl Iterator<Item = &Db> {
        self.held_shards().map(|shard| &shard.dbs[self.db])
    }

    /// How many keys there are in the database. Expired keys count until they are removed.
    pub(crate) fn len(&self) -> usize {
        self.dbs().map(|db| db.table.len()).sum()
    }

    /// How many keys have an expiry.
    pub(crate) fn volatile_len(&self) -> usize {
        self.dbs().map(|db| db.volatile).sum()
    }

    /// What has happened in the held shards, in all databases.
    pub(crate) fn counts(&self) -> Counts {
        let counts = self.held_shards().map(Shard::counts);
        counts.fold(Counts::default(), Counts::and)
    }

    /// Counts from 0 again.
    pub(crate) fn reset_counts(&mut self) {
        self.held_shards()
            .for_each(|shard| shard.counts.set(Counts::default()));
    }

    /// Counts a command with the shard that it holds. Answers false if it holds none or several.
    #[inline]
    pub(crate) fn count_command(&self) -> bool {
        let Held::One(_, shard) = &self.held else {
            return false;
        };
        shard.count(|counts| counts.commands += 1);
        true
    }

    /// Every entry of the database that has not expired.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.dbs()
            .flat_map(|db| db.table.iter())
            .filter(|entry| !self.is_expired(entry))
    }

    /// One step of a scan: visits the entries at `cursor`, and answers the next cursor, 0 at the
    /// end. Entries that are there throughout a scan are visited; some may be visited twice.
    pub(crate) fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&Entry)) -> u64 {
        let (mut index, position) = self.shards.place_of(cursor);
        let mut position = Some(position);
        let mut live = |entry: &Entry| {
            if !self.is_expired(entry) {
                visit(entry);
            }
        };
        // An empty table is no step, so that a small keyspace does not take a call a shard.
        while let Some(shard) = self.held_shards().nth(index) {
            let table = &shard.dbs[self.db].table;
            if !table.is_empty() {
                let next = table.scan(position.unwrap_or(0), &mut live);
                return match next {
                    Some(position) => self.shards.cursor_of(index, position),
                    None => self.shards.cursor_of(index + 1, 0),
                };
            }
            index += 1;
            position = None;
        }
        0
    }

    /// A key chosen at random, if there is one.
    pub(crate) fn sample(&self, mut random: impl FnMut() -> u64) -> Option<&Entry> {
        let len = self.len();
        if len == 0 {
            return None;
        }
        // Each try first chooses a shard by how many keys it has. Expired keys are passed over,
        // and a keyspace of expired keys only is searched in the end.
        for _ in 0..100 {
            let mut nth = (random() % len as u64) as usize;
            for db in self.dbs() {
                if nth < db.table.len() {
                    match db.table.sample(random()) {
                        Some(entry) if !self.is_expired(entry) => return Some(entry),
                        _ => break,
                    }
                }
                nth -= db.table.len();
            }
        }
        self.entries().next()
    }

    /// Removes every key of the database. What was there is freed after the shards are let go.
    pub(crate) fn clear(&mut self) {
        let (db, now_ms) = (self.db, self.now_ms());
        let mut aftermath = self.aftermath.take().unwrap_or_default();
        for shard in self.held_shards_mut() {
            let fresh = Db::new(shard.dbs[db].table.seed());
            let old = std::mem::replace(&mut shard.dbs[db], fresh);
            shard.flushed(db, &old, now_ms, &mut aftermath.ready);
            aftermath.garbage.take_db(old);
        }
        self.aftermath = Some(aftermath);
    }

    /// Exchanges what two databases hold.
    pub(crate) fn swap(&mut self, one: usize, other: usize) {
        let now_ms = self.now_ms();
        let mut aftermath = self.aftermath.take().unwrap_or_default();
        for shard in self.held_shards_mut() {
            shard.dbs.swap(one, other);
            shard.swapped(one, other, now_ms, &mut aftermath.ready);
        }
        self.aftermath = Some(aftermath);
    }

    fn held_shards(&self) -> Box<dyn Iterator<Item = &Shard> + '_> {
        match &self.held {
            Held::None => Box::new(std::iter::empty()),
            Held::One(_, shard) => Box::new(std::iter::once(&**shard)),
            Held::Many(held) => Box::new(held.iter().map(|(_, shard)| &**shard)),
            Held::All(shards) => Box::new(shards.iter().map(|shard| &**shard)),
        }
    }

    fn held_shards_mut(&mut self) -> Box<dyn Iterator<Item = &mut Shard> + '_> {
        match &mut self.held {
            Held::None => Box::new(std::iter::empty()),
            Held::One(_, shard) => Box::new(std::iter::once(&mut **shard)),
            Held::Many(held) => Box::new(held.iter_mut().map(|(_, shard)| &mut **shard)),
            Held::All(shards) => Box::new(shards.iter_mut().map(|shard| &mut **shard)),
        }
    }

    // --- who waits for a change --------------------------------------------------------------

    /// The shard of a key, for those who watch it or wait for it.
    pub(crate) fn shard_of(&mut self, key: &[u8]) -> &mut Shard {
        self.shard_mut(self.hash(key))
    }

    /// Whether anybody watches a key of this shard, or waits for one.
    fn is_noticed(&self, hash: u64) -> bool {
        !self.shard(hash).is_quiet()
    }

    /// Marks a key as changed.
    fn changed(&mut self, hash: u64, key: &[u8]) {
        let db = self.db;
        let shard = self.shard(hash);
        if !shard.is_quiet() {
            shard.touch_watchers(db, key);
            self.wake(hash, key);
        }
    }

    /// Has those served who wait for a key.
    fn wake(&mut self, hash: u64, key: &[u8]) {
        let db = self.db;
        let shard = self.shard(hash);
        if shard.has_waiters(db, key) {
            let ready = Ready {
                db,
                key: key.into(),
            };
            let known = &mut self.aftermath().ready;
            if !known.contains(&ready) {
                known.push(ready);
            }
        }
    }

    // --- finding things ----------------------------------------------------------------------

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        match self.chosen {
            Some(chosen) if std::ptr::eq(chosen.key, key) || chosen.key == key => chosen.hash,
            _ => self.shards.seed().hash(key),
        }
    }

    fn is_expired(&self, entry: &Entry) -> bool {
        entry.expires_at().is_some_and(|at| at <= self.now_ms())
    }

    /// Where the key's entry lies and what it holds, after an expired one has been removed.
    fn live(&mut self, hash: u64, key: &[u8]) -> Option<(Found, Kind)> {
        let table = &self.db_of(hash).table;
        let found = table.locate(hash, key)?;
        let entry = table.at(found)?;
        if !self.is_expired(entry) {
            return Some((found, entry.kind()));
        }
        if let Some(entry) = self.db_of_mut(hash).remove_at(found) {
            self.discard(entry);
        }
        self.has_expired(hash, key);
        None
    }

    /// A key was removed because it has expired. WATCH sees that by itself.
    fn has_expired(&mut self, hash: u64, key: &[u8]) {
        self.count_expired(hash);
        self.wake(hash, key);
    }

    fn count_expired(&self, hash: u64) {
        self.shard(hash).count(|counts| counts.expired += 1);
    }

    fn db_of(&self, hash: u64) -> &Db {
        &self.shard(hash).dbs[self.db]
    }

    fn db_of_mut(&mut self, hash: u64) -> &mut Db {
        let db = self.db;
        &mut self.shard_mut(hash).dbs[db]
    }

    #[inline]
    fn shard(&self, hash: u64) -> &Shard {
        self.held.shard(self.shards.index(hash))
    }

    #[inline]
    fn shard_mut(&mut self, hash: u64) -> &mut Shard {
        self.held.shard_mut(self.shards.index(hash))
    }
}

impl Held<'_> {
    /// The shard with this index.
    #[inline]
    fn shard(&self, index: usize) -> &Shard {
        let found = match self {
            Held::One(held, shard) => (*held == index).then_some(&**shard),
            several => several.find(index),
        };
        found.expect(IS_HELD)
    }

    #[inline]
    fn shard_mut(&mut self, index: usize) -> &mut Shard {
        let found = match self {
            Held::One(held, shard) => (*held == index).then_some(&mut **shard),
            several => several.find_mut(index),
        };
        found.expect(IS_HELD)
    }

    /// Apart from the way of those who hold one shard, and so is [`Held::find_mut`].
    #[inline(never)]
    fn find(&self, index: usize) -> Option<&Shard> {
        match self {
            Held::None => None,
            Held::One(held, shard) => (*held == index).then_some(shard),
            Held::Many(held) => {
                let found = held.iter().find(|(held, _)| *held == index);
                found.map(|(_, shard)| &**shard)
            }
            Held::All(shards) => shards.get(index).map(|shard| &**shard),
        }
    }

    #[inline(never)]
    fn find_mut(&mut self, index: usize) -> Option<&mut Shard> {
        match self {
            Held::None => None,
            Held::One(held, shard) => (*held == index).then_some(shard),
            Held::Many(held) => {
                let found = held.iter_mut().find(|(held, _)| *held == index);
                found.map(|(_, shard)| &mut **shard)
            }
            Held::All(shards) => shards.get_mut(index).map(|shard| &mut **shard),
        }
    }
}

/// The integer of which this is the shortest decimal form, if there is one.
fn number_of(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'-' | b'0'..=b'9', ..] if bytes.len() <= 20 => crate::args::parse_int(bytes),
        _ => None,
    }
}
