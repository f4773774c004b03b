//! What happens to connections, for whoever wants to know.

pub(crate) use larder_store::{Announcer as Events, ConnectionEvent};
