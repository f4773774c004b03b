//! Which loads of this process wait for which others.
//!
//! A load that asks a cache for something waits for another load: its task leads that one too, or follows
//! one that another task leads. So two things are known that nobody sees alone:
//!
//! - **Circles.** A load that would wait for itself, by any way round, is told so instead.
//! - **Cover.** A load without a lease needs a permit, of which there are only so many. A load for which
//!   a holder of a permit waits is covered by that permit and needs none: else all holders could wait
//!   for those who wait for a permit.
//!
//! It is known of loads that their tasks wait for, not of what is spawned by them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Held by whoever changes or walks more than one load's waits.
static WAITS: Mutex<()> = Mutex::new(());

tokio::task_local! {
    /// The innermost load that this task is in.
    static INNERMOST: Arc<Waiter>;
}

/// A load, as one that may wait for others.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    waits_for: Mutex<Vec<Arc<Waiter>>>,
    is_covered: AtomicBool,
    covered: Notify,
}

/// That the load around the caller waits for another one, until this is dropped. Nothing if there is no
/// load around the caller.
#[derive(Debug)]
pub(super) struct Wait(Option<(Arc<Waiter>, Arc<Waiter>)>);

/// That a load would wait for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Circle;

/// Lets the load around the caller wait for `target`.
pub(super) fn wait_for(target: &Arc<Waiter>) -> Result<Wait, Circle> {
    match innermost() {
        Some(inner) => inner.wait_for(target),
        None => Ok(Wait(None)),
    }
}

/// The innermost load that the caller is in.
pub(super) fn innermost() -> Option<Arc<Waiter>> {
    INNERMOST.try_with(Arc::clone).ok()
}

/// Runs `work` as a part of this load.
pub(super) async fn within<R>(load: Option<Arc<Waiter>>, work: impl Future<Output = R>) -> R {
    match load {
        Some(load) => INNERMOST.scope(load, work).await,
        None => work.await,
    }
}

impl Waiter {
    /// Lets this load wait for `target`.
    pub(super) fn wait_for(self: &Arc<Waiter>, target: &Arc<Waiter>) -> Result<Wait, Circle> {
        let _walk = walk();
        if target.reaches(self) {
            return Err(Circle);
        }
        self.waits_for().push(target.clone());
        if self.is_covered() {
            target.cover_all();
        }
        Ok(Wait(Some((self.clone(), target.clone()))))
    }

    /// Marks this load, and all for which it waits, as covered by a permit.
    pub(super) fn cover(self: &Arc<Self>) {
        let _walk = walk();
        self.cover_all();
    }

    /// Waits until a permit covers this load.
    pub(super) async fn covered(&self) {
        let mut covered = std::pin::pin!(self.covered.notified());
        covered.as_mut().enable();
        if !self.is_covered() {
            covered.await;
        }
    }

    fn is_covered(&self) -> bool {
        self.is_covered.load(Ordering::Acquire)
    }

    fn cover_all(self: &Arc<Self>) {
        let mut ahead = vec![self.clone()];
        while let Some(next) = ahead.pop() {
            if !next.is_covered.swap(true, Ordering::AcqRel) {
                next.covered.notify_waiters();
                ahead.extend(next.waits_for().iter().cloned());
            }
        }
    }

    /// Whether this load waits for the other one, by whatever way. Each load is looked at once: loads that
    /// share what they load have far more ways between them than there are loads.
    fn reaches(self: &Arc<Self>, other: &Arc<Waiter>) -> bool {
        let (mut ahead, mut met) = (vec![self.clone()], HashSet::new());
        while let Some(next) = ahead.pop() {
            if Arc::ptr_eq(&next, other) {
                return true;
            }
            if met.insert(Arc::as_ptr(&next)) {
                ahead.extend(next.waits_for().iter().cloned());
            }
        }
        false
    }

    fn waits_for(&self) -> MutexGuard<'_, Vec<Arc<Waiter>>> {
        self.waits_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some((waiter, target)) = &self.0 else {
            return;
        };
        let _walk = walk();
        let mut waits_for = waiter.waits_for();
        if let Some(at) = waits_for
            .iter()
            .position(|other| Arc::ptr_eq(other, target))
        {
            waits_for.swap_remove(at);
        }
    }
}

fn walk() -> MutexGuard<'static, ()> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}
