//! The tasks that a cache has left to themselves.

use std::future::Future;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Spawns tasks, and knows how many of them run.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: watch::Sender<usize>,
}

/// A task that runs, until it is dropped with it.
struct Running(watch::Sender<usize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Tasks {
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.running.send_modify(|running| *running += 1);
        let running = Running(self.running.clone());
        tokio::spawn(async move {
            let _running = running;
            task.await
        })
    }

    /// Waits until none runs.
    pub(super) async fn wait(&self) {
        // It can't fail: there is a sender as long as this waits.
        let _ = self
            .running
            .subscribe()
            .wait_for(|running| *running == 0)
            .await;
    }
}
