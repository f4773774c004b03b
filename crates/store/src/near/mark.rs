//! Whether what was read still holds.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// The bit of a [`Source`] that has ended.
const ENDED: u64 = 1 << 63;

/// Who tells of changes: a connection, an engine. What was read while it told holds at most as long as
/// it goes on to tell.
#[derive(Debug, Default)]
pub struct Source {
    /// How often everything has changed, and [`ENDED`].
    epoch: AtomicU64,
}

impl Source {
    /// Everything may have changed that was read so far.
    pub fn flush(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// There will be no news any more: whatever was read, and is being read, is not fresh from now on.
    pub fn end(&self) {
        self.epoch.fetch_or(ENDED, Ordering::AcqRel);
    }

    /// Whether there will be no news any more.
    pub fn has_ended(&self) -> bool {
        self.epoch.load(Ordering::Acquire) & ENDED != 0
    }
}

/// Whether what was read of a key still holds. Shared by all that was read of it since it changed last.
#[derive(Debug)]
pub(super) struct Mark {
    is_stale: AtomicBool,
    source: Arc<Source>,
    /// That of the source when the first read began.
    epoch: u64,
    /// When the key expires, by the first answer that said so.
    until: OnceLock<Instant>,
}

impl Mark {
    pub(super) fn new(source: &Arc<Source>) -> Mark {
        Mark {
            is_stale: AtomicBool::new(false),
            epoch: source.epoch.load(Ordering::Acquire) & !ENDED,
            source: Arc::clone(source),
            until: OnceLock::new(),
        }
    }

    /// Whether this is the one that tells of it.
    pub(super) fn is_of(&self, source: &Arc<Source>) -> bool {
        Arc::ptr_eq(&self.source, source)
    }

    /// The key may have changed.
    pub(super) fn turn(&self) {
        self.is_stale.store(true, Ordering::Release);
    }

    /// The key does not live longer than this. If it is given another time to live, that is a change.
    pub(super) fn ends_at(&self, until: Instant) {
        self.until.get_or_init(|| until);
    }

    pub(super) fn is_fresh(&self) -> bool {
        !self.is_stale.load(Ordering::Acquire)
            && self.source.epoch.load(Ordering::Acquire) == self.epoch
            && self.until.get().is_none_or(|until| Instant::now() < *until)
    }
}

/// Whether what was read still holds. Cloning it is cheap.
///
/// It turns false when the key may have changed, and never true again: at a change by others once the
/// store has told, at one through the same store before that is answered, at the end of the key's life,
/// when the connection is lost on which the store tells, when another server takes over, and when there
/// is no room to note the key any more.
#[derive(Clone, Debug)]
pub struct Freshness {
    mark: Option<Arc<Mark>>,
}

impl Freshness {
    /// Of what nobody will tell about.
    pub const NEVER: Freshness = Freshness { mark: None };

    pub(super) fn of(mark: &Arc<Mark>) -> Freshness {
        Freshness {
            mark: Some(Arc::clone(mark)),
        }
    }

    /// Whether it still holds. This takes two atomic loads, and a look at the clock if the key expires.
    #[inline]
    pub fn is_fresh(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.is_fresh())
    }
}
