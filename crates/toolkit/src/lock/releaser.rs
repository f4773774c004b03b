//! Gives back the locks whose guards were dropped.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::request::Lock;

/// How many locks may wait to be given back. What is more is left to expire.
const QUEUE: usize = 1024;

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
    Release(Lock),
    /// Take no more jobs.
    Close,
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
    /// Leaves a lock to be given back.
    pub(super) fn push(&self, lock: Lock) {
        if let Err(error) = self.queue.try_send(Job::Release(lock)) {
            tracing::warn!(%error, "a lock is left to expire");
        }
    }
}

/// Runs until it is told to close, or nobody is left who could leave a lock.
async fn release_all(mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Release(lock) => release(&lock).await,
            Job::Close => jobs.close(),
        }
    }
}

async fn release(lock: &Lock) {
    // A second try is harmless: only this request's lock is ever given back.
    for _ in 0..2 {
        match lock.release().await {
            Ok(_) => return,
            Err(error) => tracing::warn!(lock = %lock.key, %error, "a lock was not given back"),
        }
    }
}
