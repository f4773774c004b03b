//! The keyspace: which keys there are, and what they hold.
//!
//! ```text
//! Shards ── Shard (a lock each, by key hash) ── Db 0..16 ── Table of entries
//!                                           │            └─ Expiries: what expires when
//!                                           ├─ watched: transactions that wait for no change
//!                                           ├─ tracked: clients that remember what they have read
//!                                           └─ waiting: callers that wait for a change
//! ```
//!
//! A command runs while its caller holds the shards of its keys, in a [`Keyspace`]: `hold.rs` says
//! how they are taken. So every command, transaction and script is atomic, and two threads on two
//! keys do not meet.
//!
//! [`Keyspace::read`] gives what a key holds; an expired key is never seen. [`Keyspace::write`]
//! gives a guard, which notes a change of its key when it is let go. All changes come together in
//! `change.rs`, and WATCH, near caches, events and blocked callers follow from there; no command does
//! this by hand.

mod access;
mod change;
pub(crate) mod cut;
mod db;
mod deadlines;
mod direct;
pub(crate) mod entry;
mod events;
mod expiries;
mod figures;
mod guard;
mod hold;
mod leftover;
mod manner;
mod naming;
mod parking;
mod places;
pub(crate) mod prefetch;
mod shard;
pub(crate) mod table;
mod tracked;
pub(crate) mod tracking;
pub(crate) mod waiting;
pub(crate) mod watch;
mod whole;

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;

use crate::args::{Args, parse_int};
use crate::command::{Flags, Row, derived};
use crate::engine::{Now, Ticks, TimeSource};
use crate::error::{Error, Result};
use crate::types::Limits;
use entry::{Entry, Kind, Object, Str};
use hold::{Held, ShardGuard};
use table::{Found, Keyed};

pub(crate) use access::Noted;
pub(crate) use change::What;
pub(crate) use db::Db;
pub(crate) use events::Classes;
pub(crate) use expiries::Slot;
pub(crate) use figures::Figures;
pub(crate) use guard::{EditGuard, StringGuard, WriteGuard};
pub(crate) use hold::{Contended, Needs};
pub(crate) use leftover::FreedAside;
pub use leftover::Garbage;
pub(crate) use leftover::{Leftover, Ready};
pub(crate) use manner::{Manner, SharedManner};
pub use parking::Parked;
pub(crate) use shard::{DATABASES, SHARDS, Shard, Shards};
pub(crate) use whole::Sampled;

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
    /// The keys that chose the shards, if they were several.
    known: Known<'e>,
    db: usize,
    clock: &'e dyn TimeSource,
    now: Cell<Option<Now>>,
    /// Most often there is nothing.
    leftover: Option<Box<Leftover>>,
    counts_lookups: bool,
    /// The command that runs, if one does.
    cause: Option<&'static Row>,
    /// Whether it has changed something, which was counted.
    is_change_counted: bool,
    /// The number of the client for which it runs, or 0.
    author: u64,
    /// How its client looks at keys.
    manner: Manner,
    /// Whether a key was looked up that has expired, and is still there.
    has_met_expired: Cell<bool>,
}

/// A key with its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashed<'k> {
    key: &'k [u8],
    hash: u64,
}

/// Keys with their hashes.
pub(crate) type HashedKeys<'k> = SmallVec<[Hashed<'k>; 2]>;

/// The keys of a call that has several. Most commands ask for them in their order.
#[derive(Default)]
struct Known<'k> {
    keys: HashedKeys<'k>,
    /// The place of the key that is likely to be asked for next.
    next: Cell<usize>,
}

impl<'k> Known<'k> {
    fn new(keys: HashedKeys<'k>) -> Known<'k> {
        let next = Cell::new(0);
        Known { keys, next }
    }

    /// The hash of this key, if it is the one that comes next, or the last one once more.
    fn hash(&self, key: &[u8]) -> Option<u64> {
        let next = self.next.get();
        let candidates = [next, next.wrapping_sub(1), 0];
        let found = candidates.into_iter().find_map(|place| {
            let known = self.keys.get(place)?;
            std::ptr::eq(known.key, key).then_some((place, known.hash))
        });
        let (place, hash) = found?;
        self.next.set(place + 1);
        Some(hash)
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
            known: Known::default(),
            db,
            clock,
            now: Cell::new(None),
            leftover: None,
            counts_lookups: false,
            cause: None,
            is_change_counted: false,
            author: 0,
            manner: Manner::default(),
            has_met_expired: Cell::new(false),
        }
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

    /// The time of another call begins, on behalf of somebody who waits and is served by this one.
    pub(crate) fn begin_later(&self) {
        self.now.set(None);
    }

    /// The time on the clock that nobody sets, now.
    pub(crate) fn ticks(&self) -> Ticks {
        self.clock.ticks()
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
    pub(crate) fn take_leftover(&mut self) -> Option<Box<Leftover>> {
        self.leftover.take()
    }

    pub(crate) fn leftover(&mut self) -> &mut Leftover {
        self.leftover.get_or_insert_default()
    }

    /// Frees an entry, after the shards are let go if that takes long.
    fn discard(&mut self, entry: Entry) {
        if entry.is_bulky() {
            self.leftover().garbage.take_entry(entry);
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
        self.unexpired(self.db_of(hash).table.find(hash, key))
    }

    /// The entry of a key, even if it has expired and is only not gone yet.
    pub(crate) fn stored(&self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        self.db_of(hash).table.find(hash, key)
    }

    /// The entry of a key of which something is asked: that counts as a lookup, and not as a use.
    pub(crate) fn ask(&self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        let shard = self.shard(hash);
        let entry = shard.dbs[self.db].table.find(hash, key);
        let entry = self.unexpired(entry);
        self.count_lookup(shard.figures(), entry.is_some());
        entry
    }

    #[inline]
    fn count_lookup(&self, figures: &Figures, is_hit: bool) {
        if self.counts_lookups {
            match is_hit {
                true => figures.hits.add(1),
                false => figures.misses.add(1),
            }
        }
    }

    /// The entry of a key that is read, counted.
    #[inline]
    pub(crate) fn look_up(&self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        let shard = self.shard(hash);
        let entry = shard.dbs[self.db].table.find(hash, key);
        let entry = self.unexpired(entry);
        self.count_lookup(shard.figures(), entry.is_some());
        let is_read = || {
            self.cause
                .is_some_and(|cause| cause.flags.has(Flags::READONLY))
        };
        if entry.is_none() && self.is_announcing() && is_read() {
            self.announce_miss(key);
        }
        if let Some(entry) = entry {
            self.touch(entry);
        }
        entry
    }

    /// Notes that an entry is used.
    #[inline]
    fn touch(&self, entry: &Entry) {
        if !self.manner.is(Manner::UNTOUCHING) {
            self.shards.access().touch(entry);
        }
    }

    /// Notes that a key is used. Answers whether there is such a key.
    pub(crate) fn touch_key(&mut self, key: &[u8]) -> bool {
        let entry = self.ask(key);
        if let Some(entry) = entry {
            self.shards.access().touch(entry);
        }
        entry.is_some()
    }

    /// How long a key has not been used, in seconds, if there is such a key.
    pub(crate) fn idle_s(&self, key: &[u8]) -> Option<u32> {
        let entry = self.ask(key)?;
        Some(self.shards.access().idle_s(entry))
    }

    /// The logarithmic count of a key's uses, if there is such a key.
    pub(crate) fn uses(&self, key: &[u8]) -> Option<u8> {
        let entry = self.ask(key)?;
        Some(self.shards.access().uses(entry))
    }

    /// Sets for how many seconds a key has not been used, or how often it has been: whichever is noted.
    pub(crate) fn set_last_use(&self, key: &[u8], idle_s: Option<u32>, uses: Option<u8>) {
        let access = self.shards.access();
        let (idle_s, uses) = match access.counts_uses() {
            true => (None, uses),
            false => (idle_s, None),
        };
        let Some(entry) = self.entry(key) else { return };
        if let Some(idle_s) = idle_s {
            access.set_idle_s(entry, idle_s);
        }
        if let Some(uses) = uses {
            access.set_uses(entry, uses);
        }
    }

    /// Whether uses are counted, and not only the last one noted.
    pub(crate) fn counts_uses(&self) -> bool {
        self.shards.access().counts_uses()
    }

    /// Has keys be looked at as a client does, from here on.
    pub(crate) fn set_manner(&mut self, manner: Manner) {
        self.manner = manner;
    }

    /// A command begins. Its row says whether its reads count as lookups.
    #[inline]
    pub(crate) fn begin(&mut self, command: &'static Row, args: Args<'_>, author: u64) {
        self.counts_lookups = command.flags.has(derived::COUNTED);
        self.cause = Some(command);
        self.is_change_counted = false;
        self.author = author;
        if self.is_announcing() {
            self.announce_look_ups(command, args);
        }
    }

    /// The same where nobody wants to hear of what it does.
    #[inline]
    pub(crate) fn begin_quietly(&mut self, command: &'static Row) {
        self.counts_lookups = command.flags.has(derived::COUNTED);
        self.cause = Some(command);
        self.is_change_counted = false;
    }

    /// What the command looks up from here on counts no more: it has been looked up before.
    pub(crate) fn count_no_lookups(&mut self) {
        self.counts_lookups = false;
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
            None => {
                let found = self.add(hash, key, Entry::with_empty::<T>(key));
                return Ok(WriteGuard::<T>::new(self, hash, found).on_new());
            }
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
        if let Some(found) = self.live_string(hash, key)? {
            return Ok(StringGuard::new(self, hash, found));
        }
        let found = self.add(hash, key, Entry::with_raw(key, Vec::new()));
        Ok(StringGuard::new(self, hash, found).on_new())
    }

    /// The bytes of a string of which a part is to be changed, made at least so long by zeros; those of a
    /// new one if there is no such key.
    ///
    /// # Errors
    ///
    /// [`Error::WrongType`] if it holds something else.
    pub(crate) fn edit_string(&mut self, key: &[u8], len_min: usize) -> Result<EditGuard<'_, 'e>> {
        let hash = self.hash(key);
        if let Some(found) = self.live_string(hash, key)? {
            return Ok(EditGuard::new(self, hash, found, len_min));
        }
        let found = self.add(hash, key, Entry::zeros(key, len_min));
        Ok(EditGuard::new(self, hash, found, 0).on_new())
    }

    /// Where the key's string lies, if there is such a key, after an expired one has been removed.
    #[inline]
    fn live_string(&mut self, hash: u64, key: &[u8]) -> Result<Option<Found>> {
        match self.live(hash, key) {
            None => Ok(None),
            Some((found, Kind::Inline | Kind::Edited | Kind::Int | Kind::Raw)) => Ok(Some(found)),
            Some(_) => Err(Error::WrongType),
        }
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
            None => self.put_bytes(key, bytes, expiry),
        }
    }

    /// Gives a key these bytes as its string, whatever it held, and as bytes even if they are those
    /// of an integer.
    pub(crate) fn put_bytes(&mut self, key: &[u8], bytes: &[u8], expiry: Expiry) {
        self.put_with(
            key,
            expiry,
            |entry, at| entry.set_string_until(bytes, at),
            |at| Entry::string_until(key, bytes, at),
        );
    }

    /// Gives a key these bytes as its string in an allocation of its own, whatever it held.
    pub(crate) fn put_raw(&mut self, key: &[u8], bytes: Vec<u8>, expiry: Expiry) {
        let bytes = Cell::new(bytes);
        self.put_with(
            key,
            expiry,
            |entry, _| entry.set_raw(bytes.take()),
            |_| Entry::with_raw(key, bytes.take()),
        );
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

    /// Gives a key the integer that `change` makes of the one that it holds, which is 0 if there is no
    /// such key. When it expires stays. Answers the integer.
    ///
    /// # Errors
    ///
    /// If it holds no integer, and those of `change`. The key is left as it was.
    pub(crate) fn change_int(
        &mut self,
        key: &[u8],
        change: impl FnOnce(i64) -> Result<i64>,
    ) -> Result<i64> {
        let (hash, access) = (self.hash(key), self.shards.access());
        if let Some((found, Kind::Int)) = self.live(hash, key)
            && let Some(entry) = self.db_of_mut(hash).at_mut(found)
            && let Some(number) = entry.int_mut()
        {
            *number = change(*number)?;
            let number = *number;
            access.touch(entry);
            self.note(hash, key, What::Written);
            return Ok(number);
        }
        let number = match self.read_string(key)? {
            None => 0,
            Some(Str::Int(number)) => number,
            Some(Str::Bytes(bytes)) => parse_int(bytes).ok_or(Error::NotAnInteger)?,
        };
        let number = change(number)?;
        self.put_int(key, number, Expiry::Keep);
        Ok(number)
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
        // Asked for only where there is an expiry to keep: it costs as much as the rest.
        let (clock, now) = (self.clock, Cell::new(self.now.get()));
        let now_ms = || {
            let time = now.get().unwrap_or_else(|| clock.now());
            now.set(Some(time));
            time.unix_ms()
        };
        let (manner, shards) = (self.manner, self.shards);
        let sees_expired = || sees_expired(manner, shards);
        let at = |was: Option<u64>| match expiry {
            // What has expired has no time left to keep.
            Expiry::Keep => was.filter(|&at| at > now_ms() || sees_expired()),
            Expiry::Clear => None,
            Expiry::At(at) => Some(at),
        };
        let old_expiry = Cell::new(None);
        let at = |was: Option<u64>| {
            old_expiry.set(was);
            at(was)
        };
        let access = self.shards.access();
        let (missed, is_new) = (Cell::new(None), Cell::new(false));
        let set = |entry: &mut Entry, at| {
            if entry.is_missed() {
                missed.set(Some(entry.take_value()));
            }
            set(entry, at);
            access.touch(entry);
        };
        let make = |at| {
            is_new.set(true);
            let entry = make(at);
            access.touch(&entry);
            entry
        };
        self.db_of_mut(hash).put(hash, key, at, set, make);
        self.now.set(now.get());
        if let Some(mut missed) = missed.into_inner() {
            self.db_of_mut(hash).forget_deadlines(hash, &mut missed);
            self.discard(missed);
        }
        let was_over = |at| at <= self.now_ms() && !sees_expired();
        if old_expiry.get().is_some_and(was_over) {
            self.note_expired(hash, key);
            is_new.set(true);
        }
        let what = match expiry {
            Expiry::At(_) => What::WrittenUntil,
            Expiry::Clear | Expiry::Keep => What::Written,
        };
        match is_new.get() {
            true => self.note_new(hash, key, what),
            false => self.note(hash, key, what),
        }
    }

    /// Sets when a key expires. Answers whether there is such a key. A time that is past removes
    /// the key.
    pub(crate) fn set_expiry(&mut self, key: &[u8], at_ms: Option<u64>) -> bool {
        let hash = self.hash(key);
        if !self.exists(key) {
            return false;
        }
        // What expires at 0 does not expire.
        match at_ms.map(|at| at.max(1)) {
            Some(at) if self.is_over(at) => {
                if let Some(entry) = self.db_of_mut(hash).remove(hash, key) {
                    self.discard(entry);
                }
                self.note(hash, key, What::Removed);
            }
            at => {
                self.db_of_mut(hash).set_expiry(hash, key, at);
                let what = at.map_or(What::Persists, |_| What::Expires);
                self.note(hash, key, what);
            }
        }
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
            self.note_expired(hash, key);
            self.discard(entry);
            return None;
        }
        self.note(hash, key, What::Removed);
        Some(entry)
    }

    /// Puts an entry in the place of whatever its key holds.
    pub(crate) fn put_entry(&mut self, entry: Entry) {
        let key: SmallVec<[u8; 64]> = SmallVec::from_slice(entry.key());
        let hash = self.hash(&key);
        self.shards.access().touch(&entry);
        if let Some(old) = self.db_of_mut(hash).remove(hash, &key) {
            self.discard(old);
        }
        let is_timed = entry.kind() == Kind::TimedHash;
        let db = self.db_of_mut(hash);
        db.insert(hash, entry);
        if is_timed && let Some(found) = db.table.locate(hash, &key) {
            db.file_deadline(found);
        }
        self.note_new(hash, &key, What::Written);
    }

    // --- finding things ----------------------------------------------------------------------

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        match self.chosen {
            Some(chosen) if std::ptr::eq(chosen.key, key) || chosen.key == key => chosen.hash,
            _ => self.hash_of_another(key),
        }
    }

    /// The hash of a key that did not choose the shard alone.
    fn hash_of_another(&self, key: &[u8]) -> u64 {
        let known = self.known.hash(key);
        known.unwrap_or_else(|| self.shards.seed().hash(key))
    }

    fn is_expired(&self, entry: &Entry) -> bool {
        let is_past = |at| at <= self.now_ms() && !self.sees_expired();
        entry.expires_at().is_some_and(is_past)
    }

    /// Whether what is to expire at this time is to go at once.
    pub(crate) fn is_over(&self, at_ms: u64) -> bool {
        at_ms <= self.over_ms()
    }

    /// Up to when what is to expire is to go at once.
    pub(crate) fn over_ms(&self) -> u64 {
        match self.keeps_expired() {
            true => 0,
            false => self.now_ms(),
        }
    }

    /// Whether what has expired stays: in import mode.
    pub(crate) fn keeps_expired(&self) -> bool {
        self.shards.imports().load(Relaxed)
    }

    /// Whether what has expired is as if it had not: for who brings data in import mode.
    #[cold]
    fn sees_expired(&self) -> bool {
        sees_expired(self.manner, self.shards)
    }

    /// An entry that was looked up, unless it has expired: then its key is to go.
    #[inline]
    fn unexpired<'a>(&self, entry: Option<&'a Entry>) -> Option<&'a Entry> {
        let entry = entry?;
        if self.is_expired(entry) {
            self.has_met_expired.set(true);
            return None;
        }
        Some(entry)
    }

    /// Whether keys were looked up since this was asked last that have expired, and may still be there.
    #[inline]
    pub(crate) fn has_met_expired(&self) -> bool {
        self.has_met_expired.get() && self.has_met_expired.replace(false)
    }

    /// Where the key's entry lies and what it holds, after an expired one has been removed.
    #[inline]
    fn live(&mut self, hash: u64, key: &[u8]) -> Option<(Found, Kind)> {
        let table = &self.db_of(hash).table;
        let found = table.locate(hash, key)?;
        let entry = table.at(found)?;
        if self.is_expired(entry) {
            self.remove_expired(found, key);
            return None;
        }
        Some((found, entry.kind()))
    }

    #[cold]
    #[inline(never)]
    fn remove_expired(&mut self, found: Found, key: &[u8]) {
        if let Some(entry) = self.db_of_mut(found.hash).remove_at(found) {
            self.discard(entry);
        }
        self.note_expired(found.hash, key);
    }

    /// Removes a key if it has expired.
    pub(crate) fn expire_key(&mut self, key: &[u8]) {
        let hash = self.hash(key);
        self.live(hash, key);
    }

    /// A key has been removed since it had expired.
    fn note_expired(&mut self, hash: u64, key: &[u8]) {
        self.figures(hash).expired.add(1);
        self.note(hash, key, What::Expired);
    }

    /// Removes up to `limit` keys of the database that have expired, from a shard that is held.
    /// Answers whether there is more to do.
    pub(crate) fn expire(&mut self, index: usize, limit: usize) -> bool {
        // Looked at while the shard is held: a tick that had begun before would not know of the import mode.
        let (db, over_ms) = (self.db, self.over_ms());
        let mut expired = Vec::new();
        let shard = self.held.shard_mut(index);
        let has_more = shard.dbs[db].expire(over_ms, limit, &mut expired);
        for entry in expired {
            let hash = self.hash(entry.key());
            self.note_expired(hash, entry.key());
            self.discard(entry);
        }
        let has_more = self.expire_fields_of(index, limit) || has_more;
        // Records may have gone also where no key did.
        let shard = self.held.shard(index);
        self.shards.show(shard.figures(), db, &shard.dbs[db]);
        has_more
    }

    fn db_of(&self, hash: u64) -> &Db {
        &self.shard(hash).dbs[self.db]
    }

    fn db_of_mut(&mut self, hash: u64) -> &mut Db {
        let db = self.db;
        &mut self.shard_mut(hash).dbs[db]
    }

    /// The shard of a key, for those who watch it or wait for it.
    pub(crate) fn shard_of(&mut self, key: &[u8]) -> &mut Shard {
        self.shard_mut(self.hash(key))
    }

    #[inline]
    fn figures(&self, hash: u64) -> &Figures {
        self.shard(hash).figures()
    }

    #[inline]
    fn shard(&self, hash: u64) -> &ShardGuard<'e> {
        self.held.shard(self.shards.index(hash))
    }

    #[inline]
    fn shard_mut(&mut self, hash: u64) -> &mut Shard {
        self.held.shard_mut(self.shards.index(hash))
    }
}

/// Whether who looks at keys in this manner sees what has expired.
fn sees_expired(manner: Manner, shards: &Shards) -> bool {
    manner.is(Manner::IMPORTING) && shards.imports().load(Relaxed)
}

/// The integer of which this is the shortest decimal form, if there is one.
fn number_of(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'-' | b'0'..=b'9', ..] if bytes.len() <= 20 => parse_int(bytes),
        _ => None,
    }
}
