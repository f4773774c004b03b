//! Waiting for the end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What asks the process to end, SIGINT and SIGTERM, or to read its files again, SIGHUP. While this is there, they end nothing by
/// themselves.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// None while it ends the process.
    hangup: Option<Signal>,
}

impl Signals {
    /// Listens for them from now on. What tells somebody that the process is ready comes after
    /// this, so that it can be asked to end from then on. To be called in a runtime.
    pub(crate) fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: None,
        })
    }

    /// Listens for SIGHUP as well, which ends the process otherwise. To be called in a runtime.
    pub(crate) fn and_hangup(mut self) -> std::io::Result<Signals> {
        self.hangup = Some(signal(SignalKind::hangup())?);
        Ok(self)
    }

    /// Waits until the process is asked to end, or was since this listens.
    ///
    /// If it is asked once more, it ends at once, whatever it was still doing. Its status is then
    /// 128 and the signal's number, as if the signal had ended it.
    pub(crate) async fn wait(self) -> std::io::Result<()> {
        self.wait_or(std::future::pending(), || {}).await
    }

    /// The same, or until `asked` is done, and calls `reload` at each SIGHUP until then.
    pub(crate) async fn wait_or(
        mut self,
        asked: impl Future<Output = ()>,
        reload: impl Fn(),
    ) -> std::io::Result<()> {
        let mut asked = std::pin::pin!(asked);
        loop {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                () = &mut asked => break,
                _ = hangup => reload(),
            }
        }
        for signal in [SIGINT, SIGTERM] {
            register_conditional_shutdown(signal, 128 + signal, Arc::new(AtomicBool::new(true)))?;
        }
        Ok(())
    }
}
