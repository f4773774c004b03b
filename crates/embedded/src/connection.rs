//! The engine as a connection of the `redis` crate.
//!
//! Code that was written against that crate's [`ConnectionLike`] runs on the engine as it is:
//! `AsyncCommands`, pipelines, scripts, and the crates that are built on these. No request or
//! answer is encoded on the way: arguments are taken from the command as they lie there, and
//! answers are built as values.

use larder_engine::{Outcome, Session, ValueReply};
use larder_resp::{ArgumentBuffer, Decoded, Decoder, Limits};
use larder_store::Value;
use redis::aio::ConnectionLike;
use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, VerbatimFormat};

use crate::embedded::Embedded;

/// A connection of the `redis` crate to a store inside the process.
///
/// It is a connection of its own: `SELECT`, `WATCH` and `MULTI` mean here what they mean on a
/// socket, and nothing to other connections. A clone begins as a new one, in the same database.
/// Messages do not arrive here: listen with `Store::subscribe`.
///
/// # Examples
///
/// ```
/// use redis::AsyncCommands;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let embedded = larder_embedded::Embedded::open(Default::default())?;
/// let mut connection = embedded.connection();
///
/// let _: () = connection.set("greeting", "hello").await?;
/// let greeting: String = connection.get("greeting").await?;
/// assert_eq!(greeting, "hello");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct EmbeddedConnection {
    embedded: Embedded,
    session: Session,
}

impl EmbeddedConnection {
    pub(crate) fn new(embedded: Embedded) -> EmbeddedConnection {
        EmbeddedConnection {
            embedded,
            session: Session::local(),
        }
    }

    /// Runs one command. A refusal is a value here.
    async fn run(&mut self, arguments: &ArgumentBuffer) -> RedisResult<redis::Value> {
        loop {
            if self.embedded.is_closed() {
                return Err((ErrorKind::Io, "the store is closed").into());
            }
            let mut reply = ValueReply::new();
            let outcome = self.embedded.engine().execute(
                &mut self.session,
                arguments.as_arguments(),
                &self.embedded,
                &mut reply,
            );
            match outcome {
                Outcome::Done | Outcome::Close => return value(reply.take_value()),
                Outcome::Blocked(waiting) => return value(waiting.await),
                Outcome::Parked(parked) => parked.await,
            }
        }
    }
}

impl Clone for EmbeddedConnection {
    fn clone(&self) -> EmbeddedConnection {
        EmbeddedConnection {
            embedded: self.embedded.clone(),
            session: Session::local_in(self.session.db()),
        }
    }
}

impl ConnectionLike for EmbeddedConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, redis::Value> {
        Box::pin(async move {
            let answer = self.run(&arguments(cmd)?).await?;
            // Who asked for no answer is not told of a refusal either, as on a socket.
            match cmd.is_no_response() {
                true => Ok(redis::Value::Nil),
                false => Ok(answer),
            }
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<redis::Value>> {
        Box::pin(async move {
            let (before, after) = match pipeline.is_transaction() {
                true => (Some(redis::cmd("MULTI")), Some(redis::cmd("EXEC"))),
                false => (None, None),
            };
            let commands = before.iter().chain(pipeline.cmd_iter()).chain(&after);
            let commands = commands.map(arguments).collect::<RedisResult<Vec<_>>>()?;
            let (mut answers, mut refusal) = (Vec::with_capacity(count), None);
            for (place, arguments) in commands.iter().enumerate() {
                match self.run(arguments).await? {
                    answer if place >= offset => answers.push(answer),
                    // The first reason for which a transaction fails says more than EXECABORT.
                    redis::Value::ServerError(error) => refusal = refusal.or(Some(error)),
                    _ => {}
                }
            }
            answers.truncate(count);
            match refusal {
                Some(refusal) => Err(RedisError::from(refusal)),
                None => Ok(answers),
            }
        })
    }

    fn get_db(&self) -> i64 {
        // There are never more databases than fit.
        i64::try_from(self.session.db()).unwrap_or_default()
    }
}

/// The words of a command.
fn arguments(cmd: &Cmd) -> RedisResult<ArgumentBuffer> {
    let mut arguments = ArgumentBuffer::new();
    for argument in cmd.args_iter() {
        match argument {
            Arg::Simple(bytes) => arguments.push(bytes),
            // The place of a scan is shown only in the encoded command.
            _ => return decoded(cmd),
        }
    }
    Ok(arguments)
}

/// The words of a command, from its encoded form.
fn decoded(cmd: &Cmd) -> RedisResult<ArgumentBuffer> {
    let (mut packed, mut spans) = (cmd.get_packed_command(), Vec::new());
    match Decoder::new(Limits::default()).decode(&mut packed, &mut spans) {
        Ok(Decoded::Complete { .. }) => {}
        _ => return Err((ErrorKind::Client, "the command can't be encoded").into()),
    }
    let mut arguments = ArgumentBuffer::new();
    let words = larder_resp::Arguments::new(&packed, &spans);
    words.iter().for_each(|word| arguments.push(word));
    Ok(arguments)
}

/// An answer as the `redis` crate has it.
fn value(value: Value) -> RedisResult<redis::Value> {
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
