//! What a store has to be.

use crate::{Answer, Channels, Command, Direct, Error, Native, Subscription, Value};

/// Something that answers Redis commands: the embedded engine, a server, a cluster.
///
/// The interface is three functions because the commands are the interface. To add a pattern is to
/// send other commands, never to add a function here.
///
/// A backend answers in the shapes of RESP3, whatever it speaks below: `HGETALL` is a map, a score
/// is a double.
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

    /// Ends connections, threads and whatever else the backend holds. Later calls answer
    /// [`Error::Closed`]. Closing twice is harmless.
    fn close(&self) -> Answer<'_, ()> {
        Answer::ready(Ok(()))
    }
}
