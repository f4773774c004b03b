//! Gives back the locks whose guards were dropped.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::calls::Lock;
use crate::join;

/// How many locks may wait to be given back. What is more is left to expire.
const QUEUE: usize = 1024;

/// How many are given back at once.
const AT_ONCE: usize = 16;

/// How long to wait for a store that is away.
const PAUSE: Duration = Duration::from_millis(250);

/// Owns the task that gives locks back. The task is begun with the first lock.
#[derive(Debug, Default)]
pub(super) struct Releaser {
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    releases: Releases,
    task: JoinHandle<()>,
}

/// Where a guard that is dropped leaves its lock.
#[derive(Clone, Debug)]
pub(super) struct Releases {
    queue: mpsc::Sender<Job>,
}

#[derive(Debug)]
enum Job {
    Release(Left),
    /// Take no more jobs, and don't wait for a store that is away.
    Close,
}

/// A lock that was left.
#[derive(Debug)]
struct Left {
    lock: Lock,
    /// When it has expired by itself.
    until: Instant,
}

impl Releaser {
    /// Where to leave locks. Begins the task if it does not run, or ran in a runtime that is gone.
    pub(super) fn releases(&self) -> Releases {
        let mut running = self.running();
        match &*running {
            Some(running) if !running.releases.queue.is_closed() => running.releases.clone(),
            _ => {
                let (queue, jobs) = mpsc::channel(QUEUE);
                let releases = Releases { queue };
                *running = Some(Running {
                    releases: releases.clone(),
                    task: tokio::spawn(release_all(jobs)),
                });
                releases
            }
        }
    }

    /// Gives back what was left so far, and joins the task.
    pub(super) async fn close(&self) {
        let running = self.running().take();
        let Some(Running { releases, task }) = running else {
            return;
        };
        // Neither can fail but when the task is gone, and with it whatever there was to wait for.
        let _ = releases.queue.send(Job::Close).await;
        let _ = task.await;
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Releases {
    /// Leaves a lock to be given back, which expires by itself in `ttl` at the latest.
    pub(super) fn push(&self, lock: Lock, ttl: Duration) {
        let until = Instant::now() + ttl;
        if let Err(error) = self.queue.try_send(Job::Release(Left { lock, until })) {
            tracing::warn!(%error, "a lock is left to expire");
        }
    }
}

/// Runs until it is told to close, or nobody is left who could leave a lock.
///
/// A lock is tried until the store has answered, or it has expired: an outage is no reason for it to
/// be held by nobody when the store is back.
async fn release_all(mut jobs: mpsc::Receiver<Job>) {
    let mut left = VecDeque::new();
    let mut is_closing = false;
    while take_jobs(&mut jobs, &mut left, &mut is_closing).await {
        let some: Vec<Left> = left.drain(..left.len().min(AT_ONCE)).collect();
        let answers = join::all(some.into_iter().map(release)).await;
        let before = left.len();
        left.extend(answers.into_iter().flatten());
        if left.len() > before && !is_closing {
            tokio::time::sleep(PAUSE).await;
        } else if is_closing {
            // Those have had their try.
            left.truncate(before);
        }
    }
}

/// Takes what was left, and waits if nothing was. `false` when there is nothing more to do.
async fn take_jobs(
    jobs: &mut mpsc::Receiver<Job>,
    left: &mut VecDeque<Left>,
    is_closing: &mut bool,
) -> bool {
    loop {
        let job = match left.is_empty() {
            true => jobs.recv().await,
            // What waits for the store must not grow without end while it is away.
            false if left.len() >= QUEUE => return true,
            false => match jobs.try_recv() {
                Ok(job) => Some(job),
                Err(_) => return true,
            },
        };
        match job {
            Some(Job::Release(lock)) => left.push_back(lock),
            Some(Job::Close) => {
                *is_closing = true;
                jobs.close();
            }
            None => return !left.is_empty(),
        }
    }
}

/// Gives a lock back, and the lock itself back to its caller if that is to be tried again.
async fn release(left: Left) -> Option<Left> {
    // Trying again is harmless: only this request's lock is ever given back.
    let error = left.lock.release().await.err()?;
    let is_over = left.until <= Instant::now() || error == larder_store::Error::Closed;
    tracing::warn!(lock = %left.lock.key, %error, is_over, "a lock was not given back");
    (!is_over).then_some(left)
}
