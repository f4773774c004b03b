//! How a store is.

use std::time::{Duration, Instant};

use larder_store::{Command, Error, Store};

/// How a store is, as far as one question could find out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// What the server is among servers: only a master takes writes.
    pub role: Role,
    /// Whether it is still reading its data, and refuses commands until it has.
    pub loading: bool,
    /// How long the question took, there and back.
    pub latency: Duration,
    /// The version of Redis that it is, or is compatible with.
    pub version: String,
}

/// What a server is among servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It takes reads and writes.
    Master,
    /// It follows a master, and takes reads.
    Replica,
}

impl Health {
    /// Whether the store takes writes now.
    pub fn is_ready(&self) -> bool {
        self.role == Role::Master && !self.loading
    }
}

/// Asks a store how it is, in one round trip.
///
/// # Errors
///
/// Those of the store: [`Error::Away`] if it can't be reached, [`Error::Unanswered`] if it does
/// not answer in time. They say why.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = larder::open("memory:")?;
/// let health = larder::health(&store).await?;
/// assert!(health.is_ready());
/// # Ok(()) }
/// ```
pub async fn health(store: &Store) -> Result<Health, Error> {
    let asked = Instant::now();
    let info: String = store.run(Command::new("INFO")).await?;
    let latency = asked.elapsed();
    let field = |name: &str| {
        let value = |line: &str| {
            line.strip_prefix(name)?
                .strip_prefix(':')
                .map(str::to_owned)
        };
        info.lines().find_map(value)
    };
    Ok(Health {
        role: match field("role").as_deref() {
            Some("slave" | "replica") => Role::Replica,
            _ => Role::Master,
        },
        loading: field("loading").is_some_and(|loading| loading != "0"),
        latency,
        version: field("redis_version").unwrap_or_default(),
    })
}
