//! Waiting for the end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What asks the process to end: SIGINT and SIGTERM. While this is there, they end nothing by
/// themselves.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens for them from now on. What tells somebody that the process is ready comes after
    /// this, so that it can be asked to end from then on. To be called in a runtime.
    pub(crate) fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits until the process is asked to end, or was since this listens.
    ///
    /// If it is asked once more, it ends at once, whatever it was still doing. Its status is then
    /// 128 and the signal's number, as if the signal had ended it.
    pub(crate) async fn wait(mut self) -> std::io::Result<()> {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        for signal in [SIGINT, SIGTERM] {
            register_conditional_shutdown(signal, 128 + signal, Arc::new(AtomicBool::new(true)))?;
        }
        Ok(())
    }
}
