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
        self.foresee_behind(request, &mut None)
    }

    /// The same for requests in their order: a key that several of them have, one behind the other, is
    /// hashed once.
    pub fn foresee_all<'a, 'f>(
        &self,
        requests: impl Iterator<Item = (Arguments<'a>, &'f mut Foreseen)>,
    ) {
        let mut before = None;
        for (request, foreseen) in requests {
            *foreseen = self.foresee_behind(request, &mut before);
        }
    }

    /// Learns what a request is about, which comes behind one with this key and its hash.
    #[inline]
    fn foresee_behind<'a>(
        &self,
        request: Arguments<'a>,
        before: &mut Option<(&'a [u8], u64)>,
    ) -> Foreseen {
        let Ok(command) = commands::find(request) else {
            return Foreseen::default();
        };
        let hash = command.first_key(request).map(|key| match *before {
            Some((known, hash)) if is_same(known, key) => hash,
            _ => {
                let hash = self.shards.seed().hash(key);
                *before = Some((key, hash));
                hash
            }
        });
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

/// Whether two keys are the same. Most that are not differ in their length or their last byte.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.last() == other.last() && one == other
}
