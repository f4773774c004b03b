//! How a command is to be delivered.

use std::sync::Arc;
use std::time::Duration;

use crate::{Part, Trail};

/// How a command is to be delivered: what its caller asks of the way to the store, and not of the
/// store itself. A command says it with [`Command::within`] and its like.
///
/// [`Command::within`]: crate::Command::within
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The time within which the caller wants to hear something: [`Command::within`].
    ///
    /// [`Command::within`]: crate::Command::within
    pub within: Option<Duration>,
    /// Where it goes: [`Command::on`](crate::Command::on).
    pub part: Option<Part>,
    /// Whether it is harmless if it happens twice: [`Command::repeatable`](crate::Command::repeatable).
    pub is_repeatable: bool,
    /// Whether a replica may answer: [`Command::from_replica`](crate::Command::from_replica).
    pub from_replica: bool,
    /// The name of the script that it calls, if anybody wants to know: [`Script::named`].
    ///
    /// [`Script::named`]: crate::Script::named
    pub script: Option<&'static str>,
    /// Where it is noted who was asked for it, if anybody wants to know: [`Store::observed`].
    ///
    /// [`Store::observed`]: crate::Store::observed
    pub trail: Option<Arc<Trail>>,
}

impl Delivery {
    /// Where nothing was said.
    pub(crate) const PLAIN: &Delivery = &Delivery {
        within: None,
        part: None,
        is_repeatable: false,
        from_replica: false,
        script: None,
        trail: None,
    };
}
