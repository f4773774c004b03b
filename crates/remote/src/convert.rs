//! Commands, answers and errors between the store's seam and the `redis` crate.

use bytes::Bytes;
use larder_store::{Command, Error, Refusal, Value};
use redis::{ErrorKind, RedisError, ServerError};

/// Refusals after which nothing was executed, and which may be over soon.
pub(crate) const PASSING: [&str; 5] = ["LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN", "READONLY"];

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
        Redis::BigNumber(digits) => Value::BigNumber(digits.to_string().into()),
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

/// The refusal that an error of the server is.
pub(crate) fn refusal_of(error: &RedisError) -> Refusal {
    text(error.code().unwrap_or("ERR"), error.detail())
}

/// What a failed call means to its caller. The command had been given to a connection, so if no
/// answer came it may have been executed.
pub(crate) fn sent_error(error: &RedisError) -> Error {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => Error::Refused(refusal_of(error)),
        ErrorKind::Client | ErrorKind::InvalidClientConfig => Error::away(error),
        _ => Error::unanswered(error),
    }
}
