//! Freeing what takes long, on a thread that nobody waits for.

use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use larder_engine::Garbage;

/// How much may be waiting to be freed. More is freed by whoever lets go of it, who then can't do so
/// faster than memory comes back.
const WAITING_MAX: usize = 64;

/// The way to the thread that frees things, which begins with the first and ends with this.
#[derive(Debug, Default)]
pub(crate) struct Disposal {
    /// `None` if the system gives no thread.
    sender: OnceLock<Option<SyncSender<Garbage>>>,
}

impl Disposal {
    /// Has garbage freed.
    pub(crate) fn take(&self, garbage: Garbage) {
        if let Some(sender) = self.sender.get_or_init(start) {
            // What is not taken is freed here, with the error that holds it.
            let _ = sender.try_send(garbage);
        }
    }
}

fn start() -> Option<SyncSender<Garbage>> {
    let (sender, garbage) = sync_channel(WAITING_MAX);
    let thread = thread::Builder::new().name("larder-disposal".into());
    let started = thread.spawn(move || garbage.into_iter().for_each(drop));
    started.ok().map(|_| sender)
}
