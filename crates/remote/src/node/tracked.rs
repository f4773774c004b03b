//! The connection of a node on which its server tells what has changed of what was read: CLIENT TRACKING.

use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_store::near::Source;
use larder_store::{Command, Error, Value};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Node, is_patient};
use crate::near::Nears;
use crate::wire::{Answered, Connection, Mode, Pushes, Until};

/// How often a server is asked whether it is still one that takes writes: one that is not hears of them
/// late.
const CHECK: Duration = Duration::from_secs(1);

/// The place of the connection for near reads.
#[derive(Debug, Default)]
pub(crate) struct Tracking {
    current: Mutex<Option<Tracked>>,
    /// Held by the caller who makes it. It holds when that failed last.
    connecting: tokio::sync::Mutex<Option<Instant>>,
}

/// A connection for near reads. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    connection: Connection,
    source: Arc<Source>,
}

impl Tracked {
    /// Who tells what has changed of what is read on it.
    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    fn is_good(&self) -> bool {
        !self.connection.is_retired() && !self.source.has_ended()
    }
}

impl Tracking {
    /// The connection that there is, if it is of use. One that is not has ended behind this.
    fn current(&self) -> Option<Tracked> {
        let mut current = self.current.lock();
        match &*current {
            Some(tracked) if tracked.is_good() => Some(tracked.clone()),
            _ => {
                let gone = current.take();
                drop(current);
                if let Some(gone) = gone {
                    gone.source.end();
                }
                None
            }
        }
    }

    /// Ends the connection: what was read on it is stale.
    pub(super) fn end(&self) {
        let current = self.current.lock().take();
        if let Some(Tracked { connection, source }) = current {
            source.end();
            connection.retire();
        }
    }
}

impl Node {
    /// The connection for near reads, made if there is none. `None` if it can't be had now: then one reads
    /// as usual, also while another caller makes it.
    pub(crate) async fn tracked(
        self: &Arc<Node>,
        nears: &Arc<Nears>,
        until: Option<Instant>,
    ) -> Option<Tracked> {
        if let Some(tracked) = self.tracking.current() {
            return Some(tracked);
        }
        let mut failed = self.tracking.connecting.try_lock().ok()?;
        if failed.is_some_and(|failed| failed.elapsed() < self.config.backoff_max) {
            return None;
        }
        // One may have been made just before.
        if let Some(tracked) = self.tracking.current() {
            return Some(tracked);
        }
        let until = self.config.connect_by(until);
        let tracked = self.connect_tracked(nears, until).await;
        *failed = tracked.is_none().then(Instant::now);
        let tracked = tracked?;
        *self.tracking.current.lock() = Some(tracked.clone());
        // Whoever gives the node up after this look finds the connection.
        if self.gone().is_some() {
            self.tracking.end();
            return None;
        }
        tokio::spawn(watch(Arc::downgrade(self), Arc::downgrade(&tracked.source)));
        Some(tracked)
    }

    async fn connect_tracked(&self, nears: &Arc<Nears>, until: Instant) -> Option<Tracked> {
        let _admission = self.breaker.admit().ok()?;
        let source = Arc::<Source>::default();
        let pushes = hear(nears, &source);
        let connected = self.connect(self.config.patience(), Some(pushes), until);
        let connection = connected
            .await
            .inspect_err(|error| tracing::debug!(?error, "can't connect for near reads"))
            .ok()?;
        let command = Command::new("CLIENT")
            .arg("TRACKING")
            .arg("ON")
            .arg("OPTIN");
        match connection.call(&command, Until::Own(until)).await {
            Ok(Value::Status(_)) => {}
            answer => {
                tracing::warn!(?answer, "the server does not tell what changes");
                return None;
            }
        }
        let tracked = Tracked { connection, source };
        // A replica hears of changes late.
        self.leads(&tracked).await.then_some(tracked)
    }

    /// Sends a near read, and waits for what comes of each command.
    pub(crate) async fn call_tracked(
        &self,
        tracked: &Tracked,
        commands: &[Command],
        until: Option<Instant>,
    ) -> Result<Vec<Answered>, Error> {
        let admission = self.breaker.admit()?;
        let connection = &tracked.connection;
        let is_patient = is_patient(until);
        let answers = connection
            .call_all(commands.iter(), self.until(until))
            .await;
        self.heard_all(connection, &answers, &admission, is_patient);
        Ok(answers)
    }

    /// Whether the server is a master, and one of a cluster that is in order. One that does not say so may
    /// be.
    async fn leads(&self, tracked: &Tracked) -> bool {
        let mut questions = vec![Command::new("ROLE")];
        if self.target.wanted == Mode::Cluster {
            questions.push(Command::new("CLUSTER").arg("INFO"));
        }
        let connection = &tracked.connection;
        let answers = connection
            .call_all(questions.iter(), self.until(None))
            .await;
        !answers.iter().any(|answer| match answer {
            Ok(Value::Array(role)) => !says(role.first(), "master"),
            Ok(info) => says(Some(info), "cluster_state:fail"),
            Err(_) => true,
        })
    }
}

/// Whether these words stand in a text.
fn says(text: Option<&Value>, words: &str) -> bool {
    match text {
        Some(Value::Bytes(text)) => String::from_utf8_lossy(text).contains(words),
        Some(Value::Status(text)) => text.contains(words),
        Some(Value::Verbatim(text)) => text.contains(words),
        _ => false,
    }
}

/// Looks now and then whether the server of a connection still leads, and ends the connection if not.
async fn watch(node: Weak<Node>, source: Weak<Source>) {
    loop {
        tokio::time::sleep(CHECK).await;
        let (Some(node), Some(source)) = (node.upgrade(), source.upgrade()) else {
            return;
        };
        match node.tracking.current() {
            Some(tracked) if Arc::ptr_eq(&tracked.source, &source) => {
                if !node.leads(&tracked).await {
                    source.end();
                }
            }
            _ => return,
        }
    }
}

/// What hears the news of a connection, and notices its end.
fn hear(nears: &Arc<Nears>, source: &Arc<Source>) -> Pushes {
    let ear = Ear {
        nears: Arc::downgrade(nears),
        source: Arc::clone(source),
    };
    Box::new(move |message| ear.hear(&message))
}

/// Who hears the news of a connection. It goes when the connection does.
struct Ear {
    nears: Weak<Nears>,
    source: Arc<Source>,
}

impl Ear {
    fn hear(&self, message: &[Value]) {
        if let Some(nears) = self.nears.upgrade() {
            nears.told(&self.source, message);
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.source.end();
        if let Some(nears) = self.nears.upgrade() {
            nears.end(&self.source);
        }
    }
}
