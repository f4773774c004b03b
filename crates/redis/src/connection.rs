//! A store as a connection of the `redis` crate.

use larder_store::{Command, Store, Value};
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult};

use crate::convert::{command, error, value};

/// A connection of the `redis` crate to a store. Clones are as good as the first.
///
/// It has no state of its own, since a store's connection belongs to all its callers: what would
/// change it (`SELECT`, `WATCH`, a `MULTI` that is no part of an atomic pipeline, `SUBSCRIBE`) is
/// refused, with a text that says what to do instead. An atomic pipeline (`redis::pipe().atomic()`)
/// leaves as one batch. Messages do not arrive here: listen with [`Store::subscribe`].
///
/// On a cluster a command goes where its keys are. A script is loaded, and `FLUSHALL` and its like are
/// run, on all masters; what says something else of each of them (`SCAN`, `KEYS`, `DBSIZE`) is refused:
/// walk over keys with [`Store::scan`].
///
/// # Errors
///
/// A store's refusals come as the refusals of a server, to the letter. A command that was never sent
/// is a refused connection ([`RedisError::is_connection_refusal`]), and one that was sent and not
/// answered is a time that ran out ([`RedisError::is_timeout`]): it may have happened.
///
/// # Examples
///
/// ```
/// use larder_embedded::Embedded;
/// use larder_redis::StoreConnection;
/// use larder_store::Store;
/// use redis::AsyncCommands;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::new(Embedded::open(Default::default())?);
/// let mut connection = StoreConnection::new(&store);
///
/// let _: () = connection.set("greeting", "hello").await?;
/// let greeting: String = connection.get("greeting").await?;
/// assert_eq!(greeting, "hello");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct StoreConnection {
    store: Store,
}

impl StoreConnection {
    /// A connection to this store.
    pub fn new(store: &Store) -> StoreConnection {
        StoreConnection {
            store: store.clone(),
        }
    }
}

impl StoreConnection {
    /// Runs a command: on all parts of the store, if it is to be done on each of them.
    async fn run(&self, command: Command) -> Result<Value, larder_store::Error> {
        if !is_for_all_parts(&command) {
            return self.store.call(command).await;
        }
        let mut gone = 0;
        loop {
            match self.run_on_all(&command).await {
                // A part that has gone has left its keys to others, which are known by now.
                Err(larder_store::Error::Gone) if gone < GONE_MAX => gone += 1,
                answer => return answer,
            }
        }
    }

    /// Runs a command on each part, and answers what the last one says.
    async fn run_on_all(&self, command: &Command) -> Result<Value, larder_store::Error> {
        let mut answer = Value::Null;
        for part in self.store.parts().await? {
            answer = self.store.call(command.clone().on(&part)).await?;
        }
        Ok(answer)
    }
}

impl From<Store> for StoreConnection {
    fn from(store: Store) -> StoreConnection {
        StoreConnection { store }
    }
}

impl ConnectionLike for StoreConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, redis::Value> {
        Box::pin(async move {
            let answer = answer(self.run(command(cmd)?).await)?;
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
            let answers = self.store.call_all(commands(pipeline)?).await;
            let answers = answers.map_err(error)?.into_iter().map(answer);
            let mut answers = answers.collect::<RedisResult<Vec<_>>>()?;
            // What stands before are the answers to MULTI and to what was queued.
            let wanted = answers.split_off(offset.min(answers.len()));
            refused_first(answers)?;
            Ok(wanted.into_iter().take(count).collect())
        })
    }

    /// Always 0: which database a store is in stands in its URL, and is not asked for.
    fn get_db(&self) -> i64 {
        0
    }
}

/// How often in a row a part may turn out to have gone before a command for all of them fails.
const GONE_MAX: u32 = 16;

/// Whether a command does the same on each part of a store, and has to be done on all.
fn is_for_all_parts(command: &Command) -> bool {
    let mut words = command.arguments().iter();
    let (name, first) = (words.next(), words.next());
    let is = |word: Option<&[u8]>, wanted: &str| {
        word.is_some_and(|word| word.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    is(name, "FLUSHALL")
        || is(name, "FLUSHDB")
        || (is(name, "SCRIPT") && (is(first, "LOAD") || is(first, "FLUSH")))
}

/// The commands of a pipeline, in a transaction if it is atomic.
fn commands(pipeline: &Pipeline) -> RedisResult<Vec<Command>> {
    let commands = pipeline
        .cmd_iter()
        .map(command)
        .collect::<RedisResult<Vec<_>>>()?;
    if !pipeline.is_transaction() {
        return Ok(commands);
    }
    let (first, last) = (Command::new("MULTI"), Command::new("EXEC"));
    Ok([first].into_iter().chain(commands).chain([last]).collect())
}

/// An answer of a store. A refusal is a value here.
fn answer(answered: Result<Value, larder_store::Error>) -> RedisResult<redis::Value> {
    match answered {
        Ok(answer) => value(answer),
        Err(larder_store::Error::Refused(refusal)) => value(Value::Error(refusal)),
        Err(other) => Err(error(other)),
    }
}

/// Fails with the first refusal among these answers: the first reason for which a transaction fails
/// says more than its EXECABORT.
fn refused_first(answers: Vec<redis::Value>) -> RedisResult<()> {
    for answer in answers {
        if let redis::Value::ServerError(refusal) = answer {
            return Err(RedisError::from(refusal));
        }
    }
    Ok(())
}
