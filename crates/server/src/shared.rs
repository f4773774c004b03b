//! What all connections of a server share.

use std::sync::Arc;

use larder_embedded::Embedded;
use larder_engine::Engine;

use crate::config::Config;
use crate::connections::Connections;

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) embedded: Embedded,
    pub(crate) config: Config,
    pub(crate) connections: Arc<Connections>,
}

impl Shared {
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.embedded.engine()
    }
}
