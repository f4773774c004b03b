//! Clients that remember what they have read, and hear when it changes: CLIENT TRACKING, and near
//! caches in this process.
//!
//! ```text
//! Tracker  ── a client, or a near cache: how it tracks, and where it hears of changes
//! Tracked  ── of each shard: which trackers have read a key. The first change tells them and forgets
//! Tracking ── all trackers, and those that hear of every key with a prefix (BCAST)
//! ```
//!
//! A key is remembered in the same hold of its shard in which it is read, and who has read it is told
//! while the shard of the change is held. So what a client is told lies in its mailbox behind the
//! answer that it makes void, and a near cache has been told before the writer is answered.
//!
//! A tracker that is over is forgotten without waiting for a shard: it is passed over from then on,
//! and swept out of the shards at the next tick.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use bytes::Bytes;

use super::change::Interest;
use super::tracked::{Totals, Tracked, tell_readers};
use super::{Keyspace, SHARDS, Shards};
use crate::args::Args;
use crate::command::{Flags, Row};
use crate::near::{Invalidate, Invalidated};
use crate::pubsub::{About, Invalidation};
use crate::session::Client;
use crate::sync::{Mutex, RwLock};

/// How many changes wait for the end of a call before those who want them are told.
const BROADCAST_MAX: usize = 1024;

/// How many bytes a prefix takes beside its name, which is kept twice.
const PREFIX_BYTES: usize = 128;

/// Somebody who remembers what was read.
#[derive(Debug)]
pub(crate) struct Tracker {
    id: u64,
    listener: Listener,
    settings: RwLock<Settings>,
    /// How many bytes its prefixes take, here and where changes find them.
    prefix_bytes: AtomicUsize,
    /// Whether the next command is an exception from OPTIN or OPTOUT: CLIENT CACHING.
    is_caching: AtomicBool,
    /// Whether it could not be told of something, since whom it redirects to is gone.
    is_broken: AtomicBool,
    is_over: AtomicBool,
    /// The shards that may have noted it, a bit each.
    shards: AtomicU64,
}

enum Listener {
    Client(Arc<Client>),
    Near(Arc<dyn Invalidate>),
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Listener::Client(_) => "Client",
            Listener::Near(_) => "Near",
        })
    }
}

/// How somebody tracks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    /// Whether the changes that it makes itself are no news to it.
    pub(crate) no_loop: bool,
    /// Who is told in its place.
    pub(crate) redirect: Option<Arc<Client>>,
    /// The prefixes that it is told of, in the mode [`Mode::Broadcast`].
    pub(crate) prefixes: Vec<Box<[u8]>>,
}

/// Which keys somebody is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Those that it has read.
    #[default]
    Reads,
    /// Those that it has read by commands behind CLIENT CACHING YES.
    OptIn,
    /// Those that it has read, but by commands behind CLIENT CACHING NO.
    OptOut,
    /// All that begin with one of its prefixes.
    Broadcast,
}

impl Tracker {
    /// A client that tracks.
    pub(crate) fn client(client: &Arc<Client>) -> Tracker {
        Tracker::new(client.id(), Listener::Client(Arc::clone(client)))
    }

    /// A near cache, with a number that no other tracker has.
    pub(crate) fn near(id: u64, listener: Arc<dyn Invalidate>) -> Tracker {
        Tracker::new(id, Listener::Near(listener))
    }

    fn new(id: u64, listener: Listener) -> Tracker {
        Tracker {
            id,
            listener,
            settings: RwLock::default(),
            prefix_bytes: AtomicUsize::new(0),
            is_caching: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            shards: AtomicU64::new(0),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn prefix_bytes(&self) -> usize {
        self.prefix_bytes.load(Relaxed)
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.read().clone()
    }

    /// Whether CLIENT CACHING was sent just before.
    pub(crate) fn is_caching(&self) -> bool {
        self.is_caching.load(Relaxed)
    }

    pub(crate) fn set_caching(&self, is_caching: bool) {
        self.is_caching.store(is_caching, Relaxed);
    }

    /// Whether it could not be told of something, since whom it redirects to is gone.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Relaxed)
    }

    /// Whether it wants to hear of keys with its prefixes.
    pub(crate) fn is_broadcasting(&self) -> bool {
        self.settings.read().mode == Mode::Broadcast
    }

    /// The number of whom it redirects to, or 0.
    pub(crate) fn redirected(&self) -> i64 {
        let settings = self.settings.read();
        let redirect = settings.redirect.as_ref();
        redirect.map_or(0, |target| target.id() as i64)
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    /// Whether the keys that are read now are to be remembered.
    fn remembers(&self) -> bool {
        match self.settings.read().mode {
            _ if self.is_over() => false,
            Mode::Reads => true,
            Mode::OptIn => self.is_caching(),
            Mode::OptOut => !self.is_caching(),
            Mode::Broadcast => false,
        }
    }

    /// Whether it wants to hear of a change that the client with this number made.
    pub(super) fn wants_of(&self, author: u64) -> bool {
        let is_own = || author == self.id && self.settings.read().no_loop;
        !self.is_over() && !is_own()
    }

    /// Says to a client that something has changed, and to whom it redirects instead, if it does.
    fn tell_client(&self, client: &Client, about: &About) {
        let redirect = self.settings.read().redirect.clone();
        let Some(target) = redirect else {
            // There is no way to tell a client of RESP2.
            if client.is_resp3() {
                put(client, about.clone(), false);
            }
            return;
        };
        if target.is_gone() {
            self.is_broken.store(true, Relaxed);
            if client.is_resp3() {
                put(client, About::BrokenRedirection(target.id()), false);
            }
        } else if target.is_resp3() || target.is_subscribed() {
            put(&target, about.clone(), true);
        }
    }

    pub(super) fn tell_keys<'k>(
        &self,
        keys: &Arc<[Bytes]>,
        dbs: impl Iterator<Item = (usize, &'k [u8])>,
    ) {
        match &self.listener {
            Listener::Client(client) => self.tell_client(client, &About::Keys(Arc::clone(keys))),
            Listener::Near(near) => {
                dbs.for_each(|(db, key)| near.invalidated(Invalidated::Key { db, key }));
            }
        }
    }

    fn tell_everything(&self) {
        match &self.listener {
            Listener::Client(client) => self.tell_client(client, &About::Everything),
            Listener::Near(near) => near.invalidated(Invalidated::Everything),
        }
    }
}

fn put(client: &Client, about: About, is_redirected: bool) {
    let invalidation = Invalidation {
        about,
        is_redirected,
    };
    if let Some(reader) = client.mailbox().put_invalidation(invalidation) {
        reader.wake();
    }
}

/// All who track.
#[derive(Debug, Default)]
pub(crate) struct Tracking {
    trackers: Mutex<BTreeMap<u64, Arc<Tracker>>>,
    /// Who wants to hear of all keys with a prefix.
    prefixes: RwLock<Prefixes>,
    totals: Arc<Totals>,
}

type Prefixes = BTreeMap<Box<[u8]>, Vec<Arc<Tracker>>>;

/// A change that those hear of who want all keys with a prefix.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Broadcast {
    key: Box<[u8]>,
    db: usize,
    author: u64,
}

impl Tracking {
    pub(super) fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    /// How many track.
    pub(crate) fn trackers_len(&self) -> usize {
        self.trackers.lock().len()
    }

    /// How many keys are remembered.
    pub(crate) fn keys_len(&self) -> usize {
        self.totals.keys.load(Relaxed)
    }

    /// How many keys are remembered, each as often as it has been read by somebody else.
    pub(crate) fn items_len(&self) -> usize {
        self.totals.items.load(Relaxed)
    }

    /// How many prefixes somebody wants to hear of.
    pub(crate) fn prefixes_len(&self) -> usize {
        self.prefixes.read().len()
    }

    fn is_wanted(&self, key: &[u8]) -> bool {
        let prefixes = self.prefixes.read();
        prefixes.keys().any(|prefix| key.starts_with(prefix))
    }

    /// Tells those who want to of changes, which are in the order of their keys.
    fn broadcast(&self, changes: &[Broadcast]) {
        for (prefix, trackers) in &*self.prefixes.read() {
            let changes: Vec<&Broadcast> = changes
                .iter()
                .filter(|change| change.key.starts_with(prefix))
                .collect();
            let mut shared: Option<Arc<[Bytes]>> = None;
            for tracker in trackers {
                let wanted = || {
                    changes
                        .iter()
                        .filter(|change| tracker.wants_of(change.author))
                };
                let own = match wanted().count() {
                    0 => continue,
                    count if count == changes.len() => {
                        Arc::clone(shared.get_or_insert_with(|| keys_of(wanted())))
                    }
                    _ => keys_of(wanted()),
                };
                tracker.tell_keys(&own, wanted().map(|change| (change.db, &*change.key)));
            }
        }
    }
}

/// The keys of changes, each once.
fn keys_of<'c>(changes: impl Iterator<Item = &'c &'c Broadcast>) -> Arc<[Bytes]> {
    let mut keys: Vec<Bytes> = changes
        .map(|change| Bytes::copy_from_slice(&change.key))
        .collect();
    keys.dedup();
    keys.into()
}

impl Shards {
    /// Has a tracker track so from here on.
    pub(crate) fn track(&self, tracker: &Arc<Tracker>, settings: Settings) {
        let tracking = self.tracking();
        let mut prefixes = tracking.prefixes.write();
        for prefix in &settings.prefixes {
            let trackers = prefixes.entry(prefix.clone()).or_default();
            if !trackers.iter().any(|other| Arc::ptr_eq(other, tracker)) {
                trackers.push(Arc::clone(tracker));
            }
        }
        self.set_interest(Interest::BROADCAST, !prefixes.is_empty());
        drop(prefixes);
        if let Some(target) = &settings.redirect {
            target.become_listener();
        }
        tracker.is_broken.store(false, Relaxed);
        let lens = settings.prefixes.iter().map(|prefix| 2 * prefix.len());
        let bytes = lens.map(|len| PREFIX_BYTES + len).sum();
        tracker.prefix_bytes.store(bytes, Relaxed);
        *tracker.settings.write() = settings;
        let mut trackers = tracking.trackers.lock();
        trackers.insert(tracker.id, Arc::clone(tracker));
    }

    /// Ends a tracker. It waits for no shard.
    pub(crate) fn stop_tracking(&self, tracker: &Tracker) {
        tracker.is_over.store(true, SeqCst);
        let tracking = self.tracking();
        tracking.trackers.lock().remove(&tracker.id);
        let own = tracker.settings();
        if own.mode == Mode::Broadcast {
            let mut prefixes = tracking.prefixes.write();
            for prefix in &own.prefixes {
                if let Some(trackers) = prefixes.get_mut(prefix) {
                    trackers.retain(|other| other.id != tracker.id);
                }
            }
            prefixes.retain(|_, trackers| !trackers.is_empty());
            self.set_interest(Interest::BROADCAST, !prefixes.is_empty());
        }
        let shards = tracker.shards.load(SeqCst);
        (0..SHARDS)
            .filter(|index| shards & (1 << index) != 0)
            .for_each(|index| self.leave_behind(index));
    }

    /// Forgets keys of a shard that is held while more than `keys_max` are remembered, unless there
    /// is no bound, up to `limit` of them.
    pub(crate) fn bound_tracked(&self, shard: &mut super::Shard, keys_max: usize, limit: usize) {
        for _ in 0..limit {
            let is_over = keys_max > 0 && self.tracking().keys_len() > keys_max;
            if !is_over || shard.tracked.is_empty() {
                return;
            }
            shard.tracked.evict();
            shard.note_interest();
        }
    }
}

impl Keyspace<'_> {
    /// Remembers that somebody has read the keys of a command, if it wants that now.
    #[cold]
    #[inline(never)]
    pub(crate) fn remember(
        &mut self,
        command: &'static Row,
        args: Args<'_>,
        tracker: &Arc<Tracker>,
        keys_max: usize,
    ) {
        // A script is none of the commands that it runs.
        let is_script = command.flags.has(Flags::SCRIPT);
        if is_script || !tracker.remembers() || !command.can_read(args.whole()) {
            return;
        }
        let (db, shards) = (self.db, self.shards);
        command.each_key(args.whole(), |key| {
            let hash = self.hash(key);
            let index = shards.index(hash);
            tracker.shards.fetch_or(1 << index, SeqCst);
            let shard = self.shard_mut(hash);
            shard.tracked.add(db, key, tracker);
            shard.note_interest();
            // More than one, so that a bound that has become smaller is reached.
            shards.bound_tracked(shard, keys_max, 2);
            // It may have been ended before the shard was noted, on another thread.
            if tracker.is_over() {
                shards.leave_behind(index);
            }
        });
    }

    /// A key has changed: tells those who have read it, and has those told who want to hear of it.
    pub(super) fn invalidate(&mut self, hash: u64, key: &[u8]) {
        let (db, author) = (self.db, self.author);
        let shard = self.shard_mut(hash);
        if let Some(trackers) = shard.tracked.take(db, key) {
            shard.note_interest();
            tell_readers(&trackers, db, key, author);
        }
        if self.interest().has(Interest::BROADCAST) && self.shards.tracking().is_wanted(key) {
            let key = key.into();
            let broadcasts = &mut self.leftover().broadcasts;
            broadcasts.push(Broadcast { key, db, author });
            if broadcasts.len() >= BROADCAST_MAX {
                self.broadcast();
            }
        }
    }

    /// Tells those who want to hear of all keys with a prefix what this call has changed.
    pub(crate) fn broadcast(&mut self) {
        let mut changes = std::mem::take(&mut self.leftover().broadcasts);
        if !changes.is_empty() {
            changes.sort_unstable();
            self.shards.tracking().broadcast(&changes);
        }
    }

    /// Everything may have changed: tells all who remember anything, and forgets what they remember.
    /// For a call that holds every shard.
    pub(crate) fn invalidate_everything(&mut self) {
        let tracking = self.shards.tracking();
        let trackers: Vec<Arc<Tracker>> = tracking.trackers.lock().values().cloned().collect();
        // What those have read who track no more is still remembered, until the next tick.
        if trackers.is_empty() && tracking.keys_len() == 0 {
            return;
        }
        let mut leftover = self.leftover.take().unwrap_or_default();
        for shard in self.held.all_mut() {
            let fresh = Tracked::new(tracking.totals());
            let old = std::mem::replace(&mut shard.tracked, fresh).retire();
            shard.note_interest();
            leftover.garbage.take_tracked(old);
        }
        self.leftover = Some(leftover);
        trackers
            .iter()
            .for_each(|tracker| tracker.tell_everything());
    }
}

#[cfg(test)]
mod tests {
    use larder_resp::ArgumentBuffer;

    use super::*;
    use crate::engine::{Engine, Now};
    use crate::pubsub::{Mailbox, Overflow};
    use crate::reply::ValueReply;
    use crate::session::{ClientInfo, Session};

    const START: Now = Now::from_unix_us(1);

    fn call(engine: &Arc<Engine>, session: &mut Session, request: &str) {
        let mut words = ArgumentBuffer::new();
        request
            .split(' ')
            .for_each(|word| words.push(word.as_bytes()));
        let mut reply = ValueReply::new();
        let _ = engine.execute(session, words.as_arguments(), &START, &mut reply);
    }

    #[test]
    fn who_leaves_waits_for_no_shard_and_is_forgotten_when_it_is_free() {
        let engine = Engine::new([7; 32], START);
        let mailbox = Arc::new(Mailbox::new(Overflow::DropOldest(10)));
        let mut session = Session::connected(&engine, ClientInfo::default(), Arc::clone(&mailbox));
        call(&engine, &mut session, "HELLO 3");
        call(&engine, &mut session, "CLIENT TRACKING ON");
        call(&engine, &mut session, "GET k");
        assert_eq!(engine.shards.tracking().keys_len(), 1);

        let index = engine.shards.index(engine.shards.seed().hash(b"k"));
        let held = engine.shards.try_take(index);
        assert!(held.is_some());
        drop(session);
        engine.tick(&START);
        assert_eq!(engine.shards.tracking().trackers_len(), 0);
        assert_eq!(engine.shards.tracking().keys_len(), 1);
        drop(held);
        engine.tick(&START);
        assert_eq!(engine.shards.tracking().keys_len(), 0);
        assert!(mailbox.take().is_none());
    }

    #[test]
    fn when_nobody_tracks_a_change_has_nobody_to_tell() {
        let engine = Engine::new([7; 32], START);
        let index = engine.shards.index(engine.shards.seed().hash(b"k"));
        let is_noted = |key: &[u8]| {
            let mut keyspace = Keyspace::new(&engine.shards, 0, &START);
            assert!(keyspace.try_hold(index));
            keyspace.is_noted(engine.shards.seed().hash(key))
        };
        assert!(!is_noted(b"k"));

        let near: Arc<dyn Invalidate> = Arc::new(Deaf);
        let tracking = engine.track(near);
        assert!(!is_noted(b"k"), "it has read nothing yet");
        call(&engine, &mut tracking.session(0), "GET k");
        assert!(is_noted(b"k"));
        call(&engine, &mut Session::local(), "SET k 1");
        assert!(!is_noted(b"k"), "it has been told");

        let mut session = Session::local();
        call(
            &engine,
            &mut session,
            "CONFIG SET notify-keyspace-events KEA",
        );
        assert!(is_noted(b"k"));
        call(&engine, &mut session, "CONFIG SET notify-keyspace-events K");
        assert!(!is_noted(b"k"), "no class is wanted");
    }

    struct Deaf;

    impl Invalidate for Deaf {
        fn invalidated(&self, _: Invalidated<'_>) {}
    }
}
