//! What goes through the stream.

use serde::{Deserialize, Serialize};

/// What somebody wants to have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) buyer: String,
    pub(crate) product: u32,
}
