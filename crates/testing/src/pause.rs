//! Time that passes.

use std::time::Duration;

/// Lets time pass, and in any case lets others have a turn: a place where a caller may be dropped.
pub(crate) async fn pause(time: Duration) {
    match time.is_zero() {
        true => tokio::task::yield_now().await,
        false => tokio::time::sleep(time).await,
    }
}
