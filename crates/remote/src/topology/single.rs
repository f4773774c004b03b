//! One server.

use std::pin::Pin;
use std::sync::{Arc, Weak};

use larder_store::{Error, NodeStatus, Role};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Suspicion, replace};
use crate::config::Config;
use crate::events::Events;
use crate::node::{GivenUp, Hub, Node, Place};
use crate::wire::Target;

/// One server, by its name.
pub(crate) struct Single {
    current: Mutex<Current>,
    config: Arc<Config>,
    hub: Hub,
}

struct Current {
    node: Arc<Node>,
    /// When it was connected to anew last, since it had said that it takes no writes.
    renewed: Option<Instant>,
    is_closed: bool,
}

impl Single {
    pub(crate) fn new(target: Target, config: &Arc<Config>, events: &Events) -> Arc<Single> {
        Arc::new_cyclic(|single: &Weak<Single>| Single {
            current: Mutex::new(Current {
                node: Node::new(target, config, events),
                renewed: None,
                is_closed: false,
            }),
            config: Arc::clone(config),
            hub: Hub::new(Weak::clone(single), config),
        })
    }

    pub(crate) fn node(&self) -> Arc<Node> {
        Arc::clone(&self.current.lock().node)
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn status(&self) -> NodeStatus {
        let node = self.node();
        let is_replica = node.greeting().is_some_and(|greeting| greeting.is_replica);
        node.status(match is_replica {
            true => Role::Replica,
            false => Role::Master,
        })
    }

    /// Connects anew to a server that takes no writes (any more): its name may lead to the new master.
    /// As long as it leads to the same one, that is not done for each command.
    pub(crate) fn suspect(&self, node: &Arc<Node>, why: Suspicion) {
        let mut current = self.current.lock();
        let is_soon = current
            .renewed
            .is_some_and(|renewed| renewed.elapsed() < self.config.backoff_max);
        if why == Suspicion::Away
            || !Arc::ptr_eq(&current.node, node)
            || is_soon
            || current.is_closed
        {
            return;
        }
        current.renewed = Some(Instant::now());
        current.node = node.renewed();
        drop(current);
        replace(node);
    }

    pub(crate) fn close(&self) {
        let mut current = self.current.lock();
        current.is_closed = true;
        let node = Arc::clone(&current.node);
        drop(current);
        node.give_up(GivenUp::Closed);
        self.hub.close();
    }
}

impl Place for Weak<Single> {
    fn node(&self) -> Pin<Box<dyn Future<Output = Result<Arc<Node>, Error>> + Send + '_>> {
        Box::pin(async {
            let single = self.upgrade().ok_or(Error::Closed)?;
            Ok(single.node())
        })
    }

    fn suspect(&self, node: &Arc<Node>) {
        if let Some(servers) = self.upgrade() {
            servers.suspect(node, Suspicion::Away);
        }
    }
}
