//! Whether what was read still holds.

use std::fmt;
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

/// How long a key lives that expires.
pub enum Life {
    /// Until then.
    Until(Instant),
    /// As long as this says so: by the store's own clock, if that is at hand.
    While(Box<dyn Fn() -> bool + Send + Sync>),
}

impl Life {
    fn is_over(&self) -> bool {
        match self {
            Life::Until(end) => *end <= Instant::now(),
            Life::While(lives) => !lives(),
        }
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Life::Until(_) => "Until",
            Life::While(_) => "While",
        })
    }
}

/// Whether what was read of a key still holds. Shared by all that was read of it since it changed last.
#[derive(Debug)]
pub(super) struct Mark {
    is_stale: AtomicBool,
    source: Arc<Source>,
    /// That of the source when the first read began.
    epoch: u64,
    /// How long the key lives, by the first answer that said so.
    life: OnceLock<Life>,
    /// Whether somebody has looked since it was asked last.
    was_used: AtomicBool,
}

impl Mark {
    pub(super) fn new(source: &Arc<Source>) -> Mark {
        Mark {
            is_stale: AtomicBool::new(false),
            epoch: source.epoch.load(Ordering::Acquire) & !ENDED,
            source: Arc::clone(source),
            life: OnceLock::new(),
            was_used: AtomicBool::new(false),
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

    /// The key lives so long. If it is given another time to live, that is a change.
    pub(super) fn lives(&self, life: Life) {
        self.life.get_or_init(|| life);
    }

    pub(super) fn is_fresh(&self) -> bool {
        let is_stale = self.is_stale.load(Ordering::Acquire)
            || self.source.epoch.load(Ordering::Acquire) != self.epoch;
        if is_stale {
            return false;
        }
        let is_over = self.life.get().is_some_and(Life::is_over);
        if is_over {
            // Its clock may be set back, and what was stale once stays so.
            self.turn();
        }
        !is_over
    }

    /// Whether somebody has looked at it since this was asked last, and found it fresh.
    pub(super) fn take_used(&self) -> bool {
        self.was_used.swap(false, Ordering::Relaxed)
    }

    /// Somebody has use for it.
    pub(super) fn use_it(&self) {
        // Written once in a round of the hand, so that those who look at it share its cache line.
        if !self.was_used.load(Ordering::Relaxed) {
            self.was_used.store(true, Ordering::Relaxed);
        }
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

    /// Whether it still holds. This takes a few atomic loads, and a look at the clock if the key expires.
    /// What is looked at often stays noted for longer, if others need room.
    #[inline]
    pub fn is_fresh(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| {
            mark.use_it();
            mark.is_fresh()
        })
    }
}
