//! Looking ahead: what is learnt of requests before the first of them is run.
//!
//! A server that holds a whole pipeline finds the row of each request and hashes its key, and then
//! asks the processor for the memory of all the keys at once. What was found is kept with the
//! request, so that running it does neither again.

use larder_resp::Arguments;

use crate::command::Row;
use crate::commands;
use crate::engine::Engine;
use crate::session::Session;

/// What is known of a request before it is run. It is good for that request and this engine alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Foreseen {
    /// Its row; none if it is to be found, or refused, when the request is run.
    pub(crate) command: Option<&'static Row>,
    /// The hash of its first key, if it has one.
    pub(crate) hash: Option<u64>,
}

impl Foreseen {
    /// Whether the request publishes a message.
    pub fn publishes(&self) -> bool {
        self.command
            .is_some_and(|command| command.name == "PUBLISH")
    }
}

impl Engine {
    /// Learns what a request is about, which is to be run by [`Engine::execute_foreseen`]. It changes
    /// nothing, and waits for nobody.
    #[inline]
    pub fn foresee(&self, request: Arguments<'_>) -> Foreseen {
        let Ok(command) = commands::find(request) else {
            return Foreseen::default();
        };
        let key = command.first_key(request);
        let hash = key.map(|key| self.shards.seed().hash(key));
        Foreseen {
            command: Some(command),
            hash,
        }
    }

    /// Asks the processor for the memory of the keys of requests that are about to be run, and of the
    /// fields and members of their values, so that the waits for it overlap. It changes nothing, and
    /// waits for nobody.
    pub fn look_ahead<'a>(
        &self,
        session: &Session,
        requests: impl Iterator<Item = (Arguments<'a>, Foreseen)>,
    ) {
        let wanted = requests.filter_map(|(request, foreseen)| {
            let part = foreseen.command?.first_part(request);
            Some((foreseen.hash?, part))
        });
        self.shards.look_ahead(session.db, wanted);
    }
}
