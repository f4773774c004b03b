//! Callers that could not have their keys, until it is worth trying again.
//!
//! A caller that meets a shard which is held for long leaves its thread to others. It is woken when
//! somebody lets go of a shard that was waited for, when a script has been running for so long that
//! those who need its keys are refused, and at each tick, so that no wake-up can be missed for long.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::engine::Engine;
use crate::sync::Mutex;

/// Where callers are parked. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParkingLot(Arc<Mutex<Lot>>);

#[derive(Debug, Default)]
struct Lot {
    /// How often all have been woken.
    epoch: u64,
    parked: BTreeMap<u64, Waker>,
}

impl ParkingLot {
    /// How often all have been woken.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.lock().epoch
    }

    /// How many are parked.
    #[cfg(all(test, larder_model))]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().parked.len()
    }

    /// Has all try again.
    pub(crate) fn wake_all(&self) {
        let mut lot = self.0.lock();
        lot.epoch += 1;
        let parked = std::mem::take(&mut lot.parked);
        drop(lot);
        parked.into_values().for_each(Waker::wake);
    }
}

/// A request that has not been run, since others hold its keys. When this future is done it is to be
/// executed again; dropping it gives the request up, and nothing has happened.
#[derive(Debug)]
#[must_use = "the request has to be executed again"]
pub struct Parked {
    lot: ParkingLot,
    id: u64,
    /// The epoch that it waits to be over.
    epoch: u64,
}

impl Parked {
    pub(crate) fn new(engine: &Engine, epoch: u64) -> Parked {
        Parked {
            lot: engine.shards.parking().clone(),
            id: engine.fresh_id(),
            epoch,
        }
    }
}

impl Future for Parked {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut lot = self.lot.0.lock();
        if lot.epoch != self.epoch {
            return Poll::Ready(());
        }
        lot.parked.insert(self.id, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.lot.0.lock().parked.remove(&self.id);
    }
}
