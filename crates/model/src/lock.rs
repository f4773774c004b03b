//! Locks, as those of `parking_lot` are called.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use loom::sync;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::Relaxed;

use crate::explore::{Patience, patience};

/// Why a lock is not poisoned.
const IS_SOUND: &str = "a model ends when one of its threads panics";

/// A lock.
#[derive(Debug, Default)]
pub struct Mutex<T> {
    lock: sync::Mutex<T>,
    /// A step of whoever lets the lock go, since that is none by itself, and of whoever tries to have it:
    /// so both orders of the two are tried.
    step: AtomicUsize,
}

/// A lock that is held.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    /// None while the lock is let go.
    held: Option<sync::MutexGuard<'a, T>>,
    step: &'a AtomicUsize,
}

impl<T> Mutex<T> {
    /// A lock that nobody holds.
    pub fn new(value: T) -> Mutex<T> {
        Mutex {
            lock: sync::Mutex::new(value),
            step: AtomicUsize::new(0),
        }
    }

    /// Takes the lock when nobody holds it any more.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.guard(self.lock.lock().expect(IS_SOUND))
    }

    /// Takes the lock if nobody holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.step.fetch_add(1, Relaxed);
        let held = self.lock.try_lock().ok()?;
        Some(self.guard(held))
    }

    /// Takes the lock, or gives up after a time, which is as long as the model's [`Patience`].
    pub fn try_lock_for(&self, _: Duration) -> Option<MutexGuard<'_, T>> {
        match patience() {
            Patience::Endless => Some(self.lock()),
            Patience::None => self.try_lock(),
        }
    }

    fn guard<'a>(&'a self, held: sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard {
            held: Some(held),
            step: &self.step,
        }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // A model that has failed is over, and has no steps any more.
        if !std::thread::panicking() {
            self.step.fetch_add(1, Relaxed);
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("it is held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("it is held")
    }
}

/// A lock that many might hold who only read: here they take turns.
#[derive(Debug, Default)]
pub struct RwLock<T>(Mutex<T>);

impl<T> RwLock<T> {
    /// A lock that nobody holds.
    pub fn new(value: T) -> RwLock<T> {
        RwLock(Mutex::new(value))
    }

    /// Takes the lock to read.
    pub fn read(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }

    /// Takes the lock alone.
    pub fn write(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }
}

/// What wakes those who wait for a change of what a lock protects.
#[derive(Debug, Default)]
pub struct Condvar(sync::Condvar);

/// How a wait has ended: never since its time was over, since no time passes in a model.
#[derive(Clone, Copy, Debug)]
pub struct Waited(());

impl Waited {
    /// Whether the time was over.
    pub fn timed_out(self) -> bool {
        false
    }
}

impl Condvar {
    /// Lets the lock go until somebody says that there is news.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect("it is held");
        guard.held = Some(self.0.wait(held).expect(IS_SOUND));
    }

    /// The same.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) -> Waited {
        self.wait(guard);
        Waited(())
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
