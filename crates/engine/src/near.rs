//! Near caches: copies of what was read, kept beside the code that reads them.
//!
//! A near cache registers with [`Engine::track`]. What it reads through a session of its
//! [`NearTracking`] is remembered in the same step, and the first change of it is told to
//! [`Invalidate::invalidated`] before whoever made the change is answered. So a value that a near
//! cache keeps is never older than the last change that anybody has seen the answer of.
//!
//! One thing is left to the cache: between its read and its keeping of the value, the value may
//! change, and that is told only once. [`NearCache`] shows how it is done: it reserves a place before
//! it reads, a change takes the place away, and a value without a place is not kept.
//!
//! ```
//! use larder_engine::{Engine, NearCache, Now, Session, ValueReply};
//! use larder_resp::ArgumentBuffer;
//!
//! let now = Now::from_unix_us(1_700_000_000_000_000);
//! let engine = Engine::new([0; 32], now);
//! let call = |session: &mut Session, words: &[&str]| {
//!     let mut request = ArgumentBuffer::new();
//!     words.iter().for_each(|word| request.push(word.as_bytes()));
//!     let mut reply = ValueReply::new();
//!     // Nothing else holds a key here, so the request is never parked.
//!     let _ = engine.execute(session, request.as_arguments(), &now, &mut reply);
//!     reply.take_value()
//! };
//!
//! let near = NearCache::new(&engine);
//! let name = || near.read(0, b"name", |session| call(session, &["GET", "name"]));
//! call(&mut Session::local(), &["SET", "name", "ann"]);
//! assert_eq!(name(), name());
//! assert_eq!(near.len(), 1);
//! call(&mut Session::local(), &["SET", "name", "bob"]);
//! assert!(near.is_empty());
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use larder_store::Value;

use crate::engine::Engine;
use crate::keyspace::tracking::{Settings, Tracker};
use crate::session::Session;
use crate::sync::Mutex;

/// Somebody who keeps what was read, and hears when that changes.
pub trait Invalidate: Send + Sync {
    /// What was kept may not be so any more.
    ///
    /// It is called while the key is held, by whoever changes it, so it must not wait, and must not
    /// call the engine. After it there is no second call for the same key until that is read again.
    fn invalidated(&self, what: Invalidated<'_>);
}

/// What may not be so any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidated<'a> {
    /// What is stored under this key, or that nothing is.
    Key {
        /// The database of the key.
        db: usize,
        /// The key.
        key: &'a [u8],
    },
    /// All that has been read, of any database.
    Everything,
}

/// The registration of a near cache. Dropping it ends it: then nothing more is told.
pub struct NearTracking {
    engine: Arc<Engine>,
    tracker: Arc<Tracker>,
}

impl fmt::Debug for NearTracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearTracking").finish_non_exhaustive()
    }
}

impl NearTracking {
    /// A session in this database. The keys of the commands that it runs and that change nothing are
    /// remembered, and so are those of its transactions and scripts.
    pub fn session(&self, db: usize) -> Session {
        Session::tracking(db, &self.tracker)
    }
}

impl Drop for NearTracking {
    fn drop(&mut self) {
        self.engine.shards.stop_tracking(&self.tracker);
    }
}

impl Engine {
    /// Registers a near cache: `listener` is told once of each key that a session of the registration
    /// has read, when it changes, expires or is evicted. It is also told when
    /// `tracking-table-max-keys` are remembered and its key is forgotten for another.
    pub fn track(self: &Arc<Engine>, listener: Arc<dyn Invalidate>) -> NearTracking {
        let tracker = Arc::new(Tracker::near(self.fresh_id(), listener));
        self.shards.track(&tracker, Settings::default());
        NearTracking {
            engine: Arc::clone(self),
            tracker,
        }
    }
}

/// A near cache of answers, one for each key. What it keeps is bounded by
/// `tracking-table-max-keys`.
#[derive(Debug)]
pub struct NearCache {
    kept: Arc<Kept>,
    tracking: NearTracking,
}

/// What a near cache keeps.
#[derive(Debug, Default)]
struct Kept {
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    by_key: HashMap<(usize, Box<[u8]>), Place>,
    last_reader: u64,
}

/// The place of an answer.
#[derive(Debug)]
enum Place {
    /// It is being read. Of several who do so, the last one's answer is kept.
    ReservedBy(u64),
    Kept(Value),
}

impl NearCache {
    /// An empty cache.
    pub fn new(engine: &Arc<Engine>) -> NearCache {
        let kept = Arc::new(Kept::default());
        let listener: Arc<dyn Invalidate> = Arc::<Kept>::clone(&kept);
        let tracking = engine.track(listener);
        NearCache { kept, tracking }
    }

    /// The answer that is kept for a key; else what `read` answers, which is kept until the key
    /// changes.
    ///
    /// `read` gets a session in this database, and is to answer what depends on this key alone.
    pub fn read(&self, db: usize, key: &[u8], read: impl FnOnce(&mut Session) -> Value) -> Value {
        let reader = match self.kept.get_or_reserve(db, key) {
            Ok(value) => return value,
            Err(reader) => reader,
        };
        let value = read(&mut self.tracking.session(db));
        self.kept.keep(db, key, reader, &value);
        value
    }

    /// How many answers are kept, or are being read.
    pub fn len(&self) -> usize {
        self.kept.places.lock().by_key.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Kept {
    /// The answer that is kept, or else the number of who has reserved its place now.
    fn get_or_reserve(&self, db: usize, key: &[u8]) -> Result<Value, u64> {
        let mut places = self.places.lock();
        let place = (db, Box::from(key));
        if let Some(Place::Kept(value)) = places.by_key.get(&place) {
            return Ok(value.clone());
        }
        places.last_reader += 1;
        let reader = places.last_reader;
        places.by_key.insert(place, Place::ReservedBy(reader));
        Err(reader)
    }

    /// Keeps an answer, if its place is still reserved for it.
    fn keep(&self, db: usize, key: &[u8], reader: u64, value: &Value) {
        let mut places = self.places.lock();
        if let Some(place) = places.by_key.get_mut(&(db, Box::from(key)))
            && matches!(place, Place::ReservedBy(by) if *by == reader)
        {
            *place = Place::Kept(value.clone());
        }
    }
}

impl Invalidate for Kept {
    fn invalidated(&self, what: Invalidated<'_>) {
        let mut places = self.places.lock();
        match what {
            Invalidated::Key { db, key } => {
                places.by_key.remove(&(db, Box::from(key)));
            }
            Invalidated::Everything => places.by_key.clear(),
        }
    }
}
