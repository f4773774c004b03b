//! Near reads of a client of a store that misbehaves.
//!
//! The news of a change are there at once, as in a process, so that what is found is the fault of who reads
//! and not of a wire; and they end with the client's connection, as those of a server do. A read has its
//! faults as every call has: what was kept has none.

use std::sync::Arc;

use larder_store::near::{Keep, Life, NearStats, Places, ReadNear, Source};
use larder_store::{Answer, Command, Error, Freshness, Near, Value, shape};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::line::Connection;
use crate::shared::Shared;

/// What answers near reads of a client.
pub(crate) struct Reads {
    shared: Arc<Shared>,
    name: Arc<str>,
    closed: CancellationToken,
    places: Arc<Places>,
    source: Arc<Source>,
    /// The store's own word on what has changed, as long as the client's connection lasts.
    told: Mutex<Option<(Connection, Near)>>,
    bytes_max: usize,
}

impl Reads {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        name: &Arc<str>,
        closed: &CancellationToken,
        bytes_max: usize,
    ) -> Reads {
        Reads {
            shared: Arc::clone(shared),
            name: Arc::clone(name),
            closed: closed.clone(),
            places: Places::new(bytes_max),
            source: Arc::default(),
            told: Mutex::default(),
            bytes_max,
        }
    }

    async fn ask(&self, command: Command, keep: Keep) -> Result<(Value, Freshness), Error> {
        self.places.missed();
        let key = command.arguments().get(shape::PURE_KEY).unwrap_or_default();
        let place = self.places.reserve(key, &self.source);
        let told = self.told().map(|(connection, near)| {
            let command = Command::from(command.arguments());
            async move { (connection, near.fresh(command).await) }
        });
        // Before it is asked by way of what goes wrong: what has not changed from here until that is
        // answered, is what was answered.
        let told = match told {
            Some(told) => Some(told.await),
            None => None,
        };
        let asked = self.shared.exchange(&self.name, vec![command.clone()]);
        let answers = tokio::select! {
            biased;
            () = self.closed.cancelled() => return Err(Error::Closed),
            answers = asked => answers?,
        };
        let value = answers.into_iter().next().unwrap_or(Ok(Value::Null))?;
        let (Some(place), Some((connection, Ok((_, told))))) = (place, told) else {
            return Ok((value, Freshness::NEVER));
        };
        // Another read, that began behind the change, may have the same place.
        if connection.is_cut() || !told.is_fresh() {
            return Ok((value, Freshness::NEVER));
        }
        let shared = Arc::clone(&self.shared);
        let life = Life::While(Box::new(move || {
            // The store's clock follows when it is looked at, and its keys expire by it.
            shared.site.clock();
            !connection.is_cut() && told.is_fresh()
        }));
        let freshness = place.answered(&command, &value, keep, Some(life));
        Ok((value, freshness))
    }

    /// The store's word over the connection that there is, if the store can be reached.
    fn told(&self) -> Option<(Connection, Near)> {
        let mut told = self.told.lock();
        if let Some((connection, near)) = &*told
            && !connection.is_cut()
        {
            return Some((connection.clone(), near.clone()));
        }
        let connection = self.shared.line.connection(&self.name)?;
        let near = self.shared.site.store().near(self.bytes_max);
        Some(told.insert((connection, near)).clone())
    }
}

impl ReadNear for Reads {
    fn kept(&self, command: &Command) -> Option<(Value, Freshness)> {
        match self.closed.is_cancelled() {
            true => None,
            false => self.places.kept(command),
        }
    }

    fn read(&self, command: Command, keep: Keep) -> Answer<'_, (Value, Freshness)> {
        if self.closed.is_cancelled() {
            self.source.end();
            return Answer::ready(Err(Error::Closed));
        }
        Answer::later(async move { self.ask(command, keep).await })
    }

    fn stats(&self) -> NearStats {
        self.places.stats()
    }
}
