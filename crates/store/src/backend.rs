//! What a store has to be.

use std::sync::Arc;

use crate::near::ReadNear;
use crate::{
    Answer, Capabilities, Channels, Command, ConnectionEvents, Direct, Error, Native, NodeStatus,
    Part, Role, Subscription, Value,
};

/// Something that answers Redis commands: the embedded engine, a server, a cluster.
///
/// The interface is three functions because the commands are the interface. To add a pattern is to
/// send other commands, never to add a function here.
///
/// A backend answers in the shapes of RESP3, whatever it speaks below: `HGETALL` is a map, a score
/// is a double.
///
/// A backend holds to the [`Delivery`](crate::Delivery) of a command as far as it can be of use: one
/// that never waits needs no deadline, and one that has no replicas asks none.
pub trait Backend: Send + Sync + 'static {
    /// Runs one command.
    ///
    /// A command that blocks (`BLPOP`, `XREAD ... BLOCK`) keeps nobody else waiting, and dropping
    /// the answer ends the wait.
    fn call(&self, command: Command) -> Answer<'_, Value>;

    /// Runs commands in order, in one round trip where there are round trips. Not a transaction.
    ///
    /// The answer has one result for each command. It is an error itself only if none of the
    /// commands is known to have been answered.
    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>>;

    /// Listens to channels until the subscription is dropped.
    ///
    /// The answer comes when the store has confirmed every channel: a message published after that
    /// is received.
    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription>;

    /// The short road to single keys, if the data lies in the process. It changes what a call costs,
    /// never what it does: a backend without one is sent the commands.
    #[inline]
    fn direct(&self) -> Option<&dyn Direct> {
        None
    }

    /// What runs the twins of scripts, if the data lies in the process. As with [`Backend::direct`], it
    /// changes what a script costs, and a backend without it is sent the Lua.
    #[inline]
    fn native(&self) -> Option<&dyn Native> {
        None
    }

    /// What answers near reads, and keeps this many bytes at most. A backend that is not told of changes has
    /// none: it is asked each time.
    fn near(&self, _bytes: usize) -> Option<Arc<dyn ReadNear>> {
        None
    }

    /// The parts that together hold all keys: the masters of a cluster, or the store as a whole. Each
    /// can be asked about itself: see [`Command::on`].
    ///
    /// # Errors
    ///
    /// [`Error::Away`] if they are not known and can't be found out.
    fn parts(&self) -> Answer<'_, Vec<Part>> {
        Answer::ready(Ok(vec![Part::whole()]))
    }

    /// What this store can do that not every store can, at present: a server may be replaced by a newer
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] if that is not known and can't be found out.
    fn capabilities(&self) -> Answer<'_, Capabilities> {
        Answer::ready(Ok(Capabilities::EMPTY))
    }

    /// The servers of the store, as they are seen from here: nobody is asked, and nothing waits. None of
    /// a cluster, or of a master that Sentinels know, before the first call.
    fn nodes(&self) -> Vec<NodeStatus> {
        vec![NodeStatus::new(Part::whole(), Role::Master)]
    }

    /// What happens to the store's connections from now on. A store inside the process has none.
    fn connection_events(&self) -> ConnectionEvents {
        ConnectionEvents::none()
    }

    /// Whether somebody is told of each call, so that commands carry what only he needs.
    #[inline]
    fn is_observed(&self) -> bool {
        false
    }

    /// Ends connections, threads and whatever else the backend holds. Later calls answer
    /// [`Error::Closed`]. Closing twice is harmless.
    fn close(&self) -> Answer<'_, ()> {
        Answer::ready(Ok(()))
    }
}
