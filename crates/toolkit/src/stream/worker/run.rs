//! The task of a worker.
//!
//! It goes round: end what handlers have finished, show that it is alive, take over what is due or
//! was left, read what is new; then wait until there is something of these to do. A read is the one
//! request that it does not wait for: the read waits in the store, and the worker goes on.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_store::Error;
use serde::de::DeserializeOwned;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::builder::Settings;
use super::calls::{self, Claimed, Delivery, End, How, Settled};
use super::metrics::{Counters, add};
use super::{Failure, Job};
use crate::Ttl;
use crate::stream::{self, Group, Id, Start, Trim, entry};

/// How long a worker waits after a request that failed; doubled each time up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long a handler has that is cancelled at the end of a shutdown.
const CLEAN_UP: Duration = Duration::from_secs(1);

/// How many ends are sent in one request.
const ENDS_MAX: usize = 100;

/// A wait for new entries.
type Reading = Pin<Box<dyn Future<Output = Result<Vec<Delivery>, Error>> + Send>>;

/// A handler's task: the entry, and how it went.
type Handled = Result<(tokio::task::Id, (Id, Result<(), Failure>)), JoinError>;

pub(super) struct Run<T, H> {
    group: Group<T>,
    settings: Settings,
    handler: Arc<H>,
    stop: CancellationToken,
    counters: Arc<Counters>,

    in_hand: HashMap<Id, InHand>,
    handlers: JoinSet<(Id, Result<(), Failure>)>,
    /// Ends that the store does not know yet.
    ends: Vec<End>,
    /// Whether ends may have reached the store without an answer.
    ends_in_doubt: bool,
    reading: Option<Reading>,
    /// How many entries the read may bring.
    reserved: usize,

    /// The last entry that is known to have been delivered to the group.
    last_delivered: Id,
    look: Look,
    next_beat: Instant,
    next_claim: Instant,
    next_sweep: Instant,
    pause: Pause,
}

struct InHand {
    deliveries: u32,
    cancel: CancellationToken,
    /// The handler's task; none if there was nothing to handle.
    task: Option<tokio::task::Id>,
    lost: bool,
}

/// Where to look for entries that were left.
struct Look {
    from: String,
    /// First those of this consumer's earlier life, then those of others.
    own: bool,
}

/// When requests failed, the time until the next.
struct Pause {
    until: Instant,
    length: Duration,
}

/// What ended a wait.
enum Woken {
    Time,
    Stop,
    Handled(Handled),
    Read(Result<Vec<Delivery>, Error>),
}

impl<T, H, F> Run<T, H>
where
    T: DeserializeOwned + Send + 'static,
    H: Fn(Job<T>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    pub(super) fn new(
        group: Group<T>,
        settings: Settings,
        handler: H,
        last_delivered: Id,
        stop: CancellationToken,
        counters: Arc<Counters>,
    ) -> Run<T, H> {
        let now = Instant::now();
        Run {
            group,
            handler: Arc::new(handler),
            stop,
            counters,
            in_hand: HashMap::new(),
            handlers: JoinSet::new(),
            ends: Vec::new(),
            ends_in_doubt: false,
            reading: None,
            reserved: 0,
            last_delivered,
            look: Look {
                from: "-".to_owned(),
                own: true,
            },
            next_beat: now + settings.idle / 3,
            next_claim: now,
            next_sweep: now + settings.idle,
            pause: Pause {
                until: now,
                length: PAUSE.0,
            },
            settings,
        }
    }

    /// Works until it is told to stop.
    pub(super) async fn run(mut self) {
        while !self.stop.is_cancelled() {
            self.keep_up().await;
            self.take_more().await;
            let woken = self.wait(self.wake_at()).await;
            self.react(woken).await;
        }
        self.drain().await;
        self.leave().await;
    }

    /// Finishes what is in hand, for as long as it may.
    async fn drain(&mut self) {
        // An entry that a dropped read may have brought is left to others, like what is unfinished.
        self.reading = None;
        let deadline = Instant::now() + self.settings.drain;
        while !self.in_hand.is_empty() && Instant::now() < deadline {
            self.keep_up().await;
            if self.in_hand.is_empty() {
                break;
            }
            let wake = self.keep_up_at().min(deadline);
            let handled = tokio::select! {
                Some(handled) = self.handlers.join_next_with_id() => handled,
                () = tokio::time::sleep_until(wake) => continue,
            };
            self.handled(handled);
        }
        for entry in self.in_hand.values() {
            entry.cancel.cancel();
        }
        let cleaned_up = async { while self.handlers.join_next().await.is_some() {} };
        // Those that do not heed it are ended.
        let _ = tokio::time::timeout(CLEAN_UP, cleaned_up).await;
        self.handlers.shutdown().await;
    }

    async fn leave(&mut self) {
        match calls::leave(&self.group, &self.settings).await {
            Ok(0) => {}
            Ok(left) => tracing::info!(consumer = self.settings.consumer, left, "left to others"),
            Err(error) => self.failed(&error, "leaving").await,
        }
        self.count_in_hand();
    }

    /// Sends what must not wait: ends, and the sign of life.
    async fn keep_up(&mut self) {
        let now = Instant::now();
        if !self.ends.is_empty() && now >= self.pause.until {
            self.settle().await;
        }
        if !self.in_hand.is_empty() && now >= self.next_beat {
            self.beat().await;
        }
    }

    /// Takes over and reads, as far as handlers are free.
    async fn take_more(&mut self) {
        let now = Instant::now();
        if now < self.pause.until {
            return;
        }
        if now >= self.next_sweep {
            self.sweep().await;
        }
        while self.free() > 0 && Instant::now() >= self.next_claim.max(self.pause.until) {
            self.claim().await;
        }
        let now = Instant::now();
        let most = self.free().min(self.settings.batch.get());
        if self.reading.is_none() && most > 0 && now >= self.pause.until {
            // A read holds handlers back, which what is due next may need.
            let until_claim = self.next_claim.saturating_duration_since(now);
            let wait = self.settings.block.min(until_claim);
            let (group, consumer) = (self.group.clone(), self.settings.consumer.clone());
            let wait = wait.max(Duration::from_millis(1));
            self.reading = Some(Box::pin(calls::read(group, consumer, most, wait)));
            self.reserved = most;
        }
    }

    /// How many handlers could begin.
    fn free(&self) -> usize {
        let taken = self.in_hand.len() + self.reserved;
        self.settings.concurrency.get().saturating_sub(taken)
    }

    /// When there is something to do, if nothing happens before.
    fn wake_at(&self) -> Instant {
        let mut wake = self.keep_up_at();
        if self.free() > 0 {
            // Without a read under way, one is due as soon as the pause is over.
            let next = match self.reading {
                Some(_) => self.next_claim.max(self.pause.until),
                None => self.pause.until,
            };
            wake = wake.min(next);
        }
        wake.min(self.next_sweep.max(self.pause.until))
    }

    fn keep_up_at(&self) -> Instant {
        match (self.ends.is_empty(), self.in_hand.is_empty()) {
            (false, _) => self.next_beat.min(self.pause.until),
            (true, false) => self.next_beat,
            (true, true) => Instant::now() + self.settings.idle,
        }
    }

    async fn wait(&mut self, wake: Instant) -> Woken {
        let read = async {
            match &mut self.reading {
                Some(reading) => reading.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => Woken::Stop,
            Some(handled) = self.handlers.join_next_with_id() => Woken::Handled(handled),
            read = read => Woken::Read(read),
            () = tokio::time::sleep_until(wake) => Woken::Time,
        }
    }

    async fn react(&mut self, woken: Woken) {
        match woken {
            Woken::Time | Woken::Stop => {}
            Woken::Handled(handled) => {
                self.handled(handled);
                // What has finished in the meantime goes along.
                while let Some(handled) = self.handlers.try_join_next_with_id() {
                    self.handled(handled);
                }
            }
            Woken::Read(read) => {
                self.reading = None;
                self.reserved = 0;
                match read {
                    Ok(deliveries) => {
                        self.went_well();
                        deliveries.into_iter().for_each(|entry| self.begin(entry));
                    }
                    Err(error) => self.failed(&error, "reading").await,
                }
            }
        }
    }

    /// Hands an entry to a handler, if it is one that can be handled.
    fn begin(&mut self, entry: Delivery) {
        let Delivery {
            id,
            deliveries,
            body,
        } = entry;
        self.last_delivered = self.last_delivered.max(id);
        if self.in_hand.is_empty() {
            // That it was delivered is a sign of life.
            self.next_beat = Instant::now() + self.settings.idle / 3;
        }
        let mut in_hand = InHand {
            deliveries,
            cancel: CancellationToken::new(),
            task: None,
            lost: false,
        };
        if deliveries > self.settings.deliveries_max.get() {
            // Whoever had it did not live to tell how it went.
            let error = "delivered too often without an end".to_owned();
            self.in_hand.insert(id, in_hand);
            self.end(id, deliveries, How::Dead { error });
            return;
        }
        match entry::decode(body.as_ref()) {
            Ok(body) => {
                let job = Job {
                    id,
                    body,
                    deliveries,
                    cancel: in_hand.cancel.clone(),
                };
                let handler = self.handler.clone();
                let task = self.handlers.spawn(async move { (id, handler(job).await) });
                in_hand.task = Some(task.id());
                self.in_hand.insert(id, in_hand);
            }
            Err(error) => {
                self.in_hand.insert(id, in_hand);
                let error = error.to_string();
                self.end(id, deliveries, How::Dead { error });
            }
        }
        self.count_in_hand();
    }

    /// Notes how a handler ended.
    fn handled(&mut self, handled: Handled) {
        let (id, result) = match handled {
            Ok((_, handled)) => handled,
            Err(error) => {
                let of_task = |(_, entry): &(&Id, &InHand)| entry.task == Some(error.id());
                let Some((id, _)) = self.in_hand.iter().find(of_task) else {
                    return;
                };
                (*id, Err(Failure::retry("the handler panicked")))
            }
        };
        let Some(entry) = self.in_hand.get(&id) else {
            return;
        };
        let deliveries = entry.deliveries;
        let how = match result {
            Ok(()) => How::Done,
            Err(failure) => self.after(failure, id, deliveries),
        };
        self.end(id, deliveries, how);
    }

    fn after(&self, failure: Failure, id: Id, deliveries: u32) -> How {
        add(&self.counters.failed, 1);
        tracing::debug!(%id, deliveries, ?failure, "an entry was not handled");
        match failure {
            Failure::Dead { error } => How::Dead { error },
            Failure::Retry { error, .. } if deliveries >= self.settings.deliveries_max.get() => {
                How::Dead { error }
            }
            Failure::Retry { after, .. } => How::Retry {
                // More than can be added to an instant would be a panic.
                after: after
                    .unwrap_or_else(|| self.settings.backoff.after(deliveries))
                    .min(Ttl::MAX),
            },
        }
    }

    fn end(&mut self, id: Id, deliveries: u32, how: How) {
        self.ends.push(End {
            id,
            deliveries,
            how,
        });
    }

    /// Tells the store what has ended.
    async fn settle(&mut self) {
        while !self.ends.is_empty() {
            let ends: Vec<End> = self.ends.iter().take(ENDS_MAX).cloned().collect();
            match calls::settle(&self.group, &self.settings, &ends).await {
                Ok(settled) => {
                    self.went_well();
                    self.ends.drain(..ends.len());
                    ends.into_iter()
                        .zip(settled)
                        .for_each(|(end, settled)| self.settled(end, settled));
                }
                Err(error) => {
                    self.ends_in_doubt |= matches!(error, Error::Unanswered { .. });
                    return self.failed(&error, "ending deliveries").await;
                }
            }
        }
        self.ends_in_doubt = false;
    }

    fn settled(&mut self, end: End, settled: Settled) {
        let entry = self.in_hand.remove(&end.id);
        self.count_in_hand();
        match settled {
            // After a request without an answer, it was most likely settled then.
            Settled::NotOurs if self.ends_in_doubt => {}
            Settled::NotOurs => {
                if entry.is_some_and(|entry| !entry.lost) {
                    add(&self.counters.lost, 1);
                }
                return;
            }
            Settled::Refused => {
                add(&self.counters.errors, 1);
                tracing::warn!(id = %end.id, how = ?end.how, "the store did not note an end");
                return;
            }
            Settled::Done => {}
        }
        match end.how {
            How::Done => add(&self.counters.processed, 1),
            How::Dead { error } => {
                add(&self.counters.dead, 1);
                tracing::warn!(id = %end.id, deliveries = end.deliveries, error, "a dead letter");
            }
            How::Retry { after } => {
                add(&self.counters.retried, 1);
                self.next_claim = self.next_claim.min(Instant::now() + after);
            }
        }
    }

    /// Shows that this worker is alive, and cancels the work that others have taken over.
    async fn beat(&mut self) {
        self.next_beat = Instant::now() + self.settings.idle / 3;
        let in_hand: Vec<(Id, u32)> = self
            .in_hand
            .iter()
            .map(|(id, entry)| (*id, entry.deliveries))
            .collect();
        let ours = match calls::beat(&self.group, &self.settings, &in_hand).await {
            Ok(ours) => ours,
            Err(error) => return self.failed(&error, "showing a sign of life").await,
        };
        for ((id, _), ours) in in_hand.into_iter().zip(ours) {
            match self.in_hand.get_mut(&id) {
                Some(entry) if !ours && !entry.lost => {
                    entry.lost = true;
                    entry.cancel.cancel();
                    add(&self.counters.lost, 1);
                }
                _ => {}
            }
        }
    }

    /// Takes over what is due and what was left.
    async fn claim(&mut self) {
        let most = self.free().min(self.settings.batch.get());
        let claimed = calls::claim(
            &self.group,
            &self.settings,
            &self.look.from,
            self.look.own,
            most,
            self.in_hand.keys().copied(),
        );
        let Claimed {
            taken,
            gone,
            next,
            due,
        } = match claimed.await {
            Ok(claimed) => claimed,
            Err(error) => return self.failed(&error, "taking over").await,
        };
        self.went_well();
        add(&self.counters.reclaimed, taken.len() as u64);
        add(&self.counters.gone, gone);
        taken.into_iter().for_each(|entry| self.begin(entry));

        let more = next.is_some() || self.look.own;
        let pause = match more {
            true => Duration::ZERO,
            false => due.unwrap_or(Duration::MAX).min(self.settings.idle / 2),
        };
        self.next_claim = Instant::now() + pause;
        self.look = Look {
            own: self.look.own && next.is_some(),
            from: next.unwrap_or_else(|| "-".to_owned()),
        };
    }

    /// Does what is needed only now and then.
    async fn sweep(&mut self) {
        self.next_sweep = Instant::now() + self.settings.idle;
        if let Err(error) = calls::sweep(&self.group, &self.settings).await {
            self.failed(&error, "removing consumers").await;
        }
        if self.group.stream().trim() == Trim::Handled
            && let Err(error) = self.group.stream().trim_handled().await
        {
            add(&self.counters.errors, 1);
            tracing::warn!(%error, "a stream was not trimmed");
        }
    }

    /// Notes that a request failed, and mends what can be mended.
    async fn failed(&mut self, error: &Error, what: &str) {
        add(&self.counters.errors, 1);
        if error.is_refusal("NOGROUP") || error.is_refusal("UNBLOCKED") {
            return self.recreate().await;
        }
        tracing::warn!(consumer = self.settings.consumer, %error, "a worker failed at {what}");
        self.pause();
    }

    /// Makes the group anew, behind what is known to have been delivered.
    async fn recreate(&mut self) {
        match self.create_behind_last().await {
            Ok(true) => {
                add(&self.counters.recreated, 1);
                tracing::warn!(
                    group = self.group.name(),
                    "a group had gone and was made anew"
                );
            }
            // Another worker was faster.
            Ok(false) => self.pause(),
            Err(error) => {
                tracing::warn!(%error, "a group could not be made anew");
                self.pause();
            }
        }
    }

    async fn create_behind_last(&mut self) -> Result<bool, stream::Error> {
        // A stream that has not come so far is another one, which nobody has read.
        if self.group.stream().last_generated().await? < Some(self.last_delivered) {
            self.last_delivered = Id::default();
        }
        let start = Start::After(self.last_delivered);
        self.group.create_at(start).await
    }

    fn pause(&mut self) {
        let jittered = self.pause.length.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        self.pause.until = Instant::now() + jittered;
        self.pause.length = (self.pause.length * 2).min(PAUSE.1);
    }

    fn went_well(&mut self) {
        self.pause.length = PAUSE.0;
    }

    fn count_in_hand(&self) {
        let in_hand = self.in_hand.len() as u64;
        self.counters.in_hand.store(in_hand, Ordering::Relaxed);
    }
}
