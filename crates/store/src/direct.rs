//! The short road to single keys.

/// Single keys of a store whose data lies in the process: what [`Store::get`] and its like do without
/// a command.
///
/// It carries what is simple and happens most, and knows nothing else. Whatever it can't do at once,
/// and whatever is to be refused, it leaves to the command of the same name: it answers [`ByName`], and
/// nothing has happened. So what a refusal says, and how a caller waits, stands with the commands alone.
/// What it does is what the command does, to all who watch, count or limit.
///
/// [`Store::get`]: crate::Store::get
pub trait Direct {
    /// `GET key`, as a copy. It fits two registers, in which it is handed on; larger answers would be
    /// written to memory and read again at once, which the processor has to wait for.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be sent.
    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, ByName>;

    /// `SET key value`.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be sent.
    fn set(&self, key: &[u8], value: &[u8]) -> Result<(), ByName>;

    /// `INCR key`.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be sent.
    fn incr(&self, key: &[u8]) -> Result<i64, ByName>;

    /// `DEL key`, of one key. `false` if there was none.
    ///
    /// # Errors
    ///
    /// [`ByName`] if the command has to be sent.
    fn del(&self, key: &[u8]) -> Result<bool, ByName>;
}

/// Nothing has happened on the short road: the command has to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByName;
