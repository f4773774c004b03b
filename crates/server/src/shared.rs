//! What all connections of a server share.

use std::sync::Arc;

use larder_embedded::Embedded;
use larder_engine::Engine;

use crate::config::Config;
use crate::connections::Connections;
use crate::tls::Keys;

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) embedded: Embedded,
    pub(crate) config: Config,
    /// Who the server is to those who come over TLS, if anybody does.
    pub(crate) keys: Option<Arc<Keys>>,
    pub(crate) connections: Arc<Connections>,
}

impl Shared {
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.embedded.engine()
    }
}
