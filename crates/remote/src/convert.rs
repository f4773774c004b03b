//! Commands, answers and errors between the store's seam and the `redis` crate.

use bytes::Bytes;
use larder_store::{Command, Error, Refusal, Value};
use redis::{ErrorKind, RedisError, ServerError};

/// A command as the `redis` crate sends it.
pub(crate) fn command(command: &Command) -> redis::Cmd {
    let arguments = command.arguments();
    let bytes = arguments.iter().map(<[u8]>::len).sum();
    let mut cmd = redis::Cmd::with_capacity(arguments.len(), bytes);
    arguments.iter().for_each(|argument| {
        cmd.arg(argument);
    });
    cmd
}

/// An answer; a refusal inside it is a value.
pub(crate) fn value(value: redis::Value) -> Value {
    use redis::Value as Redis;
    let all = |items: Vec<Redis>| items.into_iter().map(self::value).collect();
    match value {
        Redis::Nil => Value::Null,
        Redis::Int(number) => Value::Int(number),
        Redis::BulkString(bytes) => Value::Bytes(Bytes::from(bytes)),
        Redis::Array(items) => Value::Array(all(items)),
        Redis::SimpleString(text) => Value::Status(text.into()),
        Redis::Okay => Value::ok(),
        Redis::Map(pairs) => Value::Map(
            pairs
                .into_iter()
                .map(|(name, field)| (self::value(name), self::value(field)))
                .collect(),
        ),
        Redis::Attribute { data, .. } => self::value(*data),
        Redis::Set(items) => Value::Set(all(items)),
        Redis::Double(number) => Value::Double(number),
        Redis::Boolean(yes) => Value::Bool(yes),
        Redis::VerbatimString { text, .. } => Value::Verbatim(text.into()),
        Redis::BigNumber(digits) => Value::BigNumber(String::from_utf8_lossy(&digits).into()),
        Redis::Push { data, .. } => Value::Array(all(data)),
        Redis::ServerError(error) => Value::Error(refusal(&error)),
        _ => Value::Null,
    }
}

/// An answer, or the refusal that it is.
pub(crate) fn result(answer: redis::Value) -> Result<Value, Error> {
    match answer {
        redis::Value::ServerError(error) => Err(Error::Refused(refusal(&error))),
        answer => Ok(value(answer)),
    }
}

fn refusal(error: &ServerError) -> Refusal {
    text(error.code(), error.details())
}

fn text(code: &str, details: Option<&str>) -> Refusal {
    match details {
        Some(details) if !details.is_empty() => Refusal::new(format!("{code} {details}")),
        _ => Refusal::new(code),
    }
}

/// What a failed call means to its caller. The command had been given to a connection, so if no
/// answer came it may have been executed.
pub(crate) fn sent_error(error: &RedisError) -> Error {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => {
            Error::Refused(text(error.code().unwrap_or("ERR"), error.detail()))
        }
        ErrorKind::Client | ErrorKind::InvalidClientConfig => Error::not_sent(error),
        _ => Error::unanswered(error),
    }
}

/// Whether a failure to connect may be over soon: a password does not become right by waiting.
pub(crate) fn may_pass(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Server(_))
}

/// What a failed connection means to the caller of a command.
pub(crate) fn connect_error(error: &RedisError) -> Error {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
            Error::not_sent(format_args!(
                "the server turned the connection away: {error}"
            ))
        }
        _ => Error::not_sent(format_args!("can't connect: {error}")),
    }
}
