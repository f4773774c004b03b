//! Waiting for the end.

use tokio::signal::unix::{SignalKind, signal};

/// Waits until the process is asked to end, by SIGINT or SIGTERM.
pub(crate) async fn wait() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
