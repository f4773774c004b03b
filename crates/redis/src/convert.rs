//! Words, answers and errors between the store's seam and the `redis` crate.

use std::io;

use larder_resp::{Arguments, Decoded, Decoder, Limits};
use larder_store::{Command, Error, Value};
use redis::{Arg, Cmd, ErrorKind, RedisError, RedisResult, VerbatimFormat};

/// A command of the `redis` crate. Its words are copied once, as they lie there.
pub(crate) fn command(cmd: &Cmd) -> RedisResult<Command> {
    let mut words = cmd.args_iter();
    let Some(Arg::Simple(name)) = words.next() else {
        return decoded(cmd);
    };
    let Ok(name) = std::str::from_utf8(name) else {
        return decoded(cmd);
    };
    let mut command = Command::new(name);
    for word in words {
        match word {
            Arg::Simple(bytes) => command.push(bytes),
            // The place of a scan is shown only in the encoded command.
            _ => return decoded(cmd),
        }
    }
    Ok(command)
}

/// A command, from its encoded form.
fn decoded(cmd: &Cmd) -> RedisResult<Command> {
    let (mut packed, mut spans) = (cmd.get_packed_command(), Vec::new());
    match Decoder::new(Limits::default()).decode(&mut packed, &mut spans) {
        Ok(Decoded::Complete { .. }) if !spans.is_empty() => {
            Ok(Command::from(Arguments::new(&packed, &spans)))
        }
        _ => Err((ErrorKind::Client, "the command can't be encoded").into()),
    }
}

/// An error of a store as the `redis` crate tells such things apart: by what its caller can do next.
pub(crate) fn error(error: Error) -> RedisError {
    match &error {
        Error::Away(_) | Error::Closed => {
            io::Error::new(io::ErrorKind::ConnectionRefused, error).into()
        }
        Error::Unanswered { .. } => io::Error::new(io::ErrorKind::TimedOut, error).into(),
        Error::Invalid { .. } => (
            ErrorKind::Client,
            "the store can't be asked",
            error.to_string(),
        )
            .into(),
        _ => (
            ErrorKind::UnexpectedReturnType,
            "the store gave no such answer",
            error.to_string(),
        )
            .into(),
    }
}

/// An answer as the `redis` crate has it.
pub(crate) fn value(value: Value) -> RedisResult<redis::Value> {
    let all = |items: Vec<Value>| {
        items
            .into_iter()
            .map(self::value)
            .collect::<RedisResult<_>>()
    };
    Ok(match value {
        Value::Null => redis::Value::Nil,
        Value::Int(number) => redis::Value::Int(number),
        Value::Double(number) => redis::Value::Double(number),
        Value::Bool(yes) => redis::Value::Boolean(yes),
        // A value that is held by nobody else is not copied.
        Value::Bytes(bytes) => redis::Value::BulkString(bytes.into()),
        Value::Status(text) if text == "OK" => redis::Value::Okay,
        Value::Status(text) => redis::Value::SimpleString(text.into_owned()),
        Value::BigNumber(digits) => {
            let number = digits.parse();
            let failed = |_| (ErrorKind::UnexpectedReturnType, "a big number of no digits");
            redis::Value::BigNumber(number.map_err(failed)?)
        }
        Value::Verbatim(text) => redis::Value::VerbatimString {
            format: VerbatimFormat::Text,
            text: text.into(),
        },
        Value::Array(items) => redis::Value::Array(all(items)?),
        Value::Set(items) => redis::Value::Set(all(items)?),
        Value::Map(pairs) => redis::Value::Map(
            pairs
                .into_iter()
                .map(|(name, field)| Ok((self::value(name)?, self::value(field)?)))
                .collect::<RedisResult<_>>()?,
        ),
        // The `redis` crate makes a server's refusal only from what a server sends.
        Value::Error(refusal) => {
            redis::parse_redis_value(format!("-{}\r\n", refusal.text()).as_bytes())?
        }
        _ => {
            return Err((
                ErrorKind::UnexpectedReturnType,
                "a kind of answer that is new",
            )
                .into());
        }
    })
}
