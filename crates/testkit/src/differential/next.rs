//! What comes next from one of the sides.

use std::time::Duration;

use larder_resp::Frame;

use crate::transcript::target::{Arrived, Connection};

/// How long a real server may take for an answer that the engine gave at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What comes next.
pub(super) fn frame(side: &mut dyn Connection) -> Option<Frame> {
    match side.receive_bytes(PATIENCE) {
        Arrived::Bytes(bytes) => Frame::read(&bytes).ok().flatten().map(|(frame, _)| frame),
        Arrived::Nothing | Arrived::Closed => None,
    }
}
