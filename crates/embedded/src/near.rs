//! Near reads of a store inside the process: the engine tells directly what has changed.
//!
//! The data is near already, so nothing is kept of it. What is of use is the [`Freshness`] of an answer,
//! to whoever keeps what he makes of it: it ends inside the change, before whoever makes that is answered.

use std::sync::Arc;

use larder_engine::{Invalidate, Invalidated, NearTracking};
use larder_store::near::{Keep, Life, NearStats, Places, ReadNear, Source};
use larder_store::{Answer, Command, Error, Freshness, Value, shape};

use crate::embedded::Embedded;

/// What answers near reads of a store.
pub(crate) struct Reads {
    store: Embedded,
    tracking: NearTracking,
    told: Arc<Told>,
}

/// Who is told of changes.
#[derive(Debug)]
struct Told {
    places: Arc<Places>,
    source: Arc<Source>,
}

impl Invalidate for Told {
    fn invalidated(&self, what: Invalidated<'_>) {
        match what {
            Invalidated::Key { key, .. } => self.places.changed(key),
            Invalidated::Everything => {
                self.source.flush();
                self.places.dusty();
            }
        }
    }
}

impl Reads {
    pub(crate) fn open(store: &Embedded, bytes_max: usize) -> Reads {
        let told = Arc::new(Told {
            places: Places::new(bytes_max),
            source: Arc::default(),
        });
        store.core().vouch(&told.source);
        let listener: Arc<dyn Invalidate> = Arc::<Told>::clone(&told);
        Reads {
            tracking: store.engine().track(listener),
            store: store.clone(),
            told,
        }
    }

    async fn ask(&self, command: Command) -> Result<(Value, Freshness), Error> {
        let places = &self.told.places;
        places.missed();
        let key = command.arguments().get(shape::PURE_KEY).unwrap_or_default();
        let place = places.reserve(key, &self.told.source);
        let core = self.store.core();
        let mut session = self.tracking.session(0);
        let value = core.ask(&mut session, &command).await?;
        let Some(place) = place else {
            return Ok((value, Freshness::NEVER));
        };
        // By the store's own clock: it removes what has expired a little later.
        let expiry = Command::new("PEXPIRETIME").arg(key);
        let life = match core.ask(&mut session, &expiry).await? {
            Value::Int(unix_ms @ 0..) => {
                let (clock, end) = (core.clock().clone(), (unix_ms as u64).saturating_mul(1_000));
                Some(Life::While(Box::new(move || clock.now().unix_us() < end)))
            }
            _ => None,
        };
        let freshness = place.answered(&command, &value, Keep::Freshness, life);
        Ok((value, freshness))
    }
}

impl Drop for Reads {
    /// Nothing more is told from here on.
    fn drop(&mut self) {
        self.told.source.end();
    }
}

impl ReadNear for Reads {
    fn kept(&self, _: &Command) -> Option<(Value, Freshness)> {
        None
    }

    fn read(&self, command: Command, _: Keep) -> Answer<'_, (Value, Freshness)> {
        Answer::later(async move { self.ask(command).await })
    }

    fn stats(&self) -> NearStats {
        self.told.places.stats()
    }
}
