//! Who vouches for what was read near.

use std::sync::{Arc, Weak};

use larder_store::near::Source;
use parking_lot::Mutex;

/// Those who vouch for what was read, until the store is closed.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    all: Mutex<Vec<Weak<Source>>>,
}

impl Sources {
    pub(crate) fn keep(&self, source: &Arc<Source>) {
        let mut all = self.all.lock();
        all.retain(|source| source.strong_count() > 0);
        all.push(Arc::downgrade(source));
    }

    pub(crate) fn end(&self) {
        for source in self.all.lock().drain(..) {
            if let Some(source) = source.upgrade() {
                source.end();
            }
        }
    }
}
