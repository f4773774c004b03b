//! How a connection begins: who comes, which database is meant, and who answers.

use std::io;

use larder_store::{Command, Refusal, Value};
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::driver::Pushes;
use super::expected::Until;
use super::loss::{Failure, Loss};
use super::outbox::Patience;
use super::stream::{Stream, look_up};
use crate::address::Address;
#[cfg(feature = "tls")]
use crate::tls::Connector;

/// A server to connect to, and how to greet it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) login: Login,
    pub(crate) db: u32,
    /// What the server is to be: one of another kind is told that it is not meant.
    pub(crate) wanted: Mode,
    /// Whether a replica will not do.
    pub(crate) must_be_master: bool,
    /// Whether reads are asked of it as of a replica of a cluster.
    pub(crate) is_replica: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Connector>,
}

/// By which name and with which password.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

impl Login {
    /// This one, or another if it says nothing.
    pub(crate) fn or(self, other: &Login) -> Login {
        match self.password {
            Some(_) => self,
            None => other.clone(),
        }
    }
}

impl std::fmt::Debug for Login {
    /// Shows no password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What kind of server it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Standalone,
    Sentinel,
    Cluster,
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// `redis`, `valkey`, `larder`, ...
    pub(crate) server: String,
    pub(crate) version: String,
    pub(crate) mode: Mode,
    pub(crate) is_replica: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// The name of the host stands for no address, or was not looked up in time.
    NoAddress(Option<io::Error>),
    Io(io::Error),
    /// It took longer than it may.
    Late,
    /// The server turned the connection away.
    Refused(Refusal),
    /// The connection was lost while the server was greeted.
    Lost(Loss),
    /// The server is of another kind than the URL says.
    Unfit(Mode),
    /// The server is a replica, and is taken for the master.
    Replica,
}

/// Connects to a server and greets it.
pub(crate) async fn connect(
    target: &Target,
    patience: Patience,
    pushes: Option<Pushes>,
    until: Instant,
) -> Result<(Connection, Greeting), ConnectError> {
    let found = timeout_at(until, look_up(&target.address));
    let found = match found.await {
        Ok(found) => found.map_err(|error| ConnectError::NoAddress(Some(error)))?,
        Err(_) => return Err(ConnectError::NoAddress(None)),
    };
    let stream = Stream::connect(
        &target.address,
        &found,
        #[cfg(feature = "tls")]
        target.tls.as_ref(),
    );
    let stream = timeout_at(until, stream)
        .await
        .map_err(|_| ConnectError::Late)?;
    let connection = Connection::new(stream.map_err(ConnectError::Io)?, patience, pushes);
    let greeting = greet(&connection, target, Until::Own(until)).await?;
    if greeting.mode != target.wanted {
        return Err(ConnectError::Unfit(greeting.mode));
    }
    match target.must_be_master && greeting.is_replica {
        true => Err(ConnectError::Replica),
        false => Ok((connection, greeting)),
    }
}

async fn greet(
    connection: &Connection,
    target: &Target,
    until: Until,
) -> Result<Greeting, ConnectError> {
    let commands = greetings(target);
    let answers = connection.call_all(commands.iter(), until).await;
    let mut greeting = Greeting::default();
    for (command, answer) in commands.iter().zip(answers) {
        match answer {
            // What is only good to know, such as the name, may be refused.
            Ok(_) if command.name() == b"CLIENT" => {}
            Ok(Value::Error(refusal)) => return Err(ConnectError::Refused(refusal)),
            Ok(answer) if command.name() == b"HELLO" => greeting = read(&answer),
            Ok(_) => {}
            Err(failure) => return Err(not_greeted(failure)),
        }
    }
    Ok(greeting)
}

/// The connection was lost before the greeting was over.
fn not_greeted(failure: Failure) -> ConnectError {
    match failure.into_loss() {
        Loss::Late => ConnectError::Late,
        Loss::TurnedAway(refusal) => ConnectError::Refused(refusal),
        loss => ConnectError::Lost(loss),
    }
}

fn greetings(target: &Target) -> Vec<Command> {
    let mut hello = Command::new("HELLO").arg(3);
    if let Some(password) = &target.login.password {
        let user = target.login.user.as_deref().unwrap_or("default");
        hello = hello.arg("AUTH").arg(user).arg(password);
    }
    let mut commands = vec![hello];
    if target.db != 0 {
        commands.push(Command::new("SELECT").arg(target.db));
    }
    if target.is_replica {
        commands.push(Command::new("READONLY"));
    }
    let info = |name, value| Command::new("CLIENT").arg("SETINFO").arg(name).arg(value);
    commands.push(info("LIB-NAME", "larder"));
    commands.push(info("LIB-VER", env!("CARGO_PKG_VERSION")));
    commands
}

/// Reads the answer of HELLO.
fn read(answer: &Value) -> Greeting {
    let Value::Map(pairs) = answer else {
        return Greeting::default();
    };
    let field = |wanted: &str| {
        let value = pairs
            .iter()
            .find_map(|(name, value)| (text(name).as_deref() == Some(wanted)).then_some(value));
        value.and_then(text).unwrap_or_default()
    };
    Greeting {
        server: field("server"),
        version: field("version"),
        mode: match field("mode").as_str() {
            "cluster" => Mode::Cluster,
            "sentinel" => Mode::Sentinel,
            _ => Mode::Standalone,
        },
        is_replica: matches!(field("role").as_str(), "slave" | "replica"),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Status(status) => Some(status.clone().into_owned()),
        _ => None,
    }
}
