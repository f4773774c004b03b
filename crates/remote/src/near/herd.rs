//! Many who miss the same answer at once, of whom one asks for it.
//!
//! The others wait for him, and then take what was kept. Nothing is handed on beside that: an answer that
//! is kept has not been overtaken by a change, so it is good for who came later as well. If none was kept,
//! each asks for himself; nobody waits twice.

use std::collections::HashMap;

use larder_store::Command;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The requests for which somebody asks.
#[derive(Debug, Default)]
pub(super) struct Herd {
    under_way: Mutex<HashMap<Box<[u8]>, watch::Receiver<()>>>,
}

/// Who asks for all. The others go on when this is dropped.
#[derive(Debug)]
pub(super) struct First<'a> {
    herd: &'a Herd,
    request: Box<[u8]>,
    _over: watch::Sender<()>,
}

impl Herd {
    /// Makes the caller the one who asks; or gives what ends when that one is done.
    pub(super) fn join(&self, command: &Command) -> Result<First<'_>, watch::Receiver<()>> {
        let mut request = Vec::new();
        let arguments = command.arguments();
        arguments
            .iter()
            .for_each(|word| larder_resp::bulk(&mut request, word));
        let request = request.into_boxed_slice();
        let mut under_way = self.under_way.lock();
        if let Some(over) = under_way.get(&request) {
            return Err(over.clone());
        }
        let (sender, over) = watch::channel(());
        under_way.insert(request.clone(), over);
        Ok(First {
            herd: self,
            request,
            _over: sender,
        })
    }
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.herd.under_way.lock().remove(&self.request);
    }
}
