//! Why a command was refused.

use std::borrow::Cow;

use crate::text::c_text;

/// The answer of a command that was refused, or an error.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A word of a request as it stands in an error. As in C, it ends at a zero byte.
pub(crate) fn shown(word: &[u8]) -> Cow<'_, str> {
    larder_resp::text_of(c_text(word))
}

/// Why a command was refused. What it displays is the text that Redis sends, letter for letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the text of a variant says what it means")]
pub enum Error {
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    #[error("ERR value is out of range")]
    OutOfRange,
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    #[error("ERR value is not a valid float")]
    NotAFloat,
    #[error("ERR min or max is not a float")]
    RangeNotFloat,
    #[error("ERR increment or decrement would overflow")]
    IncrementOverflow,
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    #[error("ERR increment would produce NaN or Infinity")]
    IncrementNotFinite,
    #[error(
        "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
         switching between policies at runtime LRU and LFU data will take some time to adjust."
    )]
    IdleTimeNotTracked,
    #[error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
         that when switching between policies at runtime LRU and LFU data will take some time to \
         adjust."
    )]
    UsesNotCounted,
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    #[error("ERR no such key")]
    NoSuchKey,
    #[error("ERR index out of range")]
    IndexOutOfRange,
    #[error("ERR offset is out of range")]
    OffsetOutOfRange,
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    #[error("ERR invalid cursor")]
    InvalidCursor,
    #[error("ERR source and destination objects are the same")]
    SameObject,
    #[error("ERR DB index is out of range")]
    DbOutOfRange,
    #[error("ERR unknown command '{name}', with args beginning with: {beginning}")]
    UnknownCommand { name: String, beginning: String },
    #[error("ERR unknown subcommand '{name}'. Try {container} HELP.")]
    UnknownSubcommand { name: String, container: String },
    #[error(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try {container} HELP."
    )]
    SubcommandSyntax { name: String, container: String },
    #[error("ERR wrong number of arguments for '{0}' command")]
    WrongArity(String),
    #[error("ERR timeout is not a float or out of range")]
    TimeoutNotFloat,
    #[error("ERR timeout is negative")]
    TimeoutNegative,
    #[error("ERR timeout is out of range")]
    TimeoutOutOfRange,
    #[error("ERR timeout is not an integer or out of range")]
    TimeoutNotInteger,
    #[error("ERR MULTI calls can not be nested")]
    NestedMulti,
    #[error("ERR EXEC without MULTI")]
    ExecWithoutMulti,
    #[error("ERR DISCARD without MULTI")]
    DiscardWithoutMulti,
    #[error("ERR WATCH inside MULTI is not allowed")]
    WatchInsideMulti,
    #[error("ERR Command not allowed inside a transaction")]
    NotInTransaction,
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    TransactionAborted,
    #[error("NOAUTH Authentication required.")]
    NotAuthenticated,
    #[error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
         <proto> AUTH <user> <pass> option can be used to authenticate the client and select the \
         RESP protocol version at the same time"
    )]
    HelloNotAuthenticated,
    #[error("NOPERM {0}")]
    NoPermission(String),
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPassword,
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. Are you \
         sure your configuration is correct?"
    )]
    NoPasswordSet,
    #[error("NOPROTO unsupported protocol version")]
    UnsupportedProtocol,
    #[error("ERR Protocol version is not an integer or out of range")]
    ProtocolNotInteger,
    #[error(
        "ERR Can't execute '{0}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context"
    )]
    Subscribed(String),
    #[error("ERR This Redis command is not allowed from script")]
    NotFromScript,
    #[error("NOSCRIPT No matching script. Please use EVAL.")]
    NoScript,
    /// Not for callers: others hold a key, and the request is run again. See [`crate::Parked`].
    #[error("BUSY the keys of the request are held by others")]
    #[doc(hidden)]
    Contended { index: usize, epoch: u64 },
    /// Not for callers either: there is a pause, and the request is run again when it is over.
    #[error("BUSY clients are paused")]
    #[doc(hidden)]
    Paused { epoch: u64 },
    #[error(
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
    )]
    Busy,
    #[error(
        "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
    )]
    BusyFunction,
    #[error("NOTBUSY No scripts in execution right now.")]
    NoScriptRuns,
    #[error(
        "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
         either wait the script termination or kill the server in a hard way using the SHUTDOWN \
         NOSAVE command."
    )]
    ScriptUnkillable,
    /// What was to be saved by itself could not be.
    #[error(
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to \
         disk. Commands that may modify the data set are disabled, because this instance is \
         configured to report errors during writes if RDB snapshotting fails \
         (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB \
         error."
    )]
    NotSaved,
    /// A script whose first line says that it touches only its declared keys touched another.
    #[error(
        "ERR Script attempted to access a key that is not among its KEYS: its first line says that \
         it touches only those"
    )]
    UndeclaredKey,
    /// A call from inside the process that listens, without a place for messages to go.
    #[error("ERR subscribe through the store's `subscribe`, not by a command")]
    NoMailbox,
    /// A text that stands in one command only.
    #[error("{0}")]
    Text(Cow<'static, str>),
    /// A defect of the engine: the command was ended, and the store goes on.
    #[error("ERR internal error: the command failed and may be half done")]
    Internal,
}

impl Error {
    /// An error that stands in one command only. The text begins with its code.
    pub(crate) fn text(text: impl Into<Cow<'static, str>>) -> Error {
        Error::Text(text.into())
    }
}
