//! The task of a worker.
//!
//! It goes round: end what handlers have finished, look after the group, add what is due, take over
//! what is due or was left; then wait until there is something of these to do. None of it takes more
//! than one page in a round, so that nothing keeps the rest waiting for long. A read is the one
//! request that it does not wait for: the read waits in the store, and the worker goes on.
//!
//! Handlers have tasks of their own, so that none that keeps its thread keeps another one, or this. Where
//! all tasks share one thread that is no help, and a handler begins right here: one that ends without a
//! wait is spared the task, which would take longer than most of them do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder_store::Error;
use tokio::runtime::{Handle as Runtime, RuntimeFlavor};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::beat::beat;
use super::calls::{Calls, Claimed, PAGE};
use super::control::Control;
use super::end::{End, How, Settled};
use super::handle::{CLEAN_UP, Handle};
use super::hands::{Begin, Delivery, Task};
use super::metrics::add;
use super::pause::Pause;
use crate::stream::Trim;

/// How often a worker looks for values that are to be added, if it knows of none that comes before.
const PROMOTE: Duration = Duration::from_secs(1);

/// How many handlers may end right here before others get their turn: as many tasks as the runtime runs
/// before it looks at its timers.
const IN_A_ROW_MAX: usize = 61;

/// A wait for new entries.
type Reading = Pin<Box<dyn Future<Output = Result<Vec<Delivery>, Error>> + Send>>;

pub(super) struct Run {
    calls: Arc<Calls>,
    control: Arc<Control>,
    handle: Handle,
    handlers: JoinSet<(Task, Option<How>)>,
    /// Whether all tasks share one thread.
    has_one_thread: bool,
    /// How many handlers have ended right here since others had their turn.
    in_a_row: usize,
    reading: Option<Reading>,
    /// How many entries the read may bring.
    reserved: usize,
    next: Next,
    pause: Pause,
}

/// When each of the worker's duties is due.
struct Next {
    claim: Instant,
    /// To look for entries that are this consumer's own and not in its hands: what an earlier life
    /// of it has left, what an answer that was lost has brought, what could not be settled.
    own: Instant,
    promote: Instant,
    sweep: Instant,
}

/// What ended a wait.
enum Woken {
    Time,
    Told,
    Ended(Task, Option<How>),
    Read(Result<Vec<Delivery>, Error>),
}

impl Run {
    pub(super) fn new(calls: Arc<Calls>, control: Arc<Control>, handle: Handle) -> Run {
        let now = Instant::now();
        Run {
            calls,
            control,
            handle,
            handlers: JoinSet::new(),
            has_one_thread: matches!(
                Runtime::current().runtime_flavor(),
                RuntimeFlavor::CurrentThread
            ),
            in_a_row: 0,
            reading: None,
            reserved: 0,
            next: Next {
                claim: now,
                own: now,
                promote: now,
                sweep: now,
            },
            pause: Pause::new(),
        }
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the store was closed.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        // It ends with the set, however this ends.
        let mut alive = JoinSet::new();
        alive.spawn(beat(Arc::clone(&self.calls), Arc::clone(&self.control)));
        let worked = self.work().await;
        if worked.is_ok() {
            self.drain().await;
        }
        self.end_handlers().await;
        alive.shutdown().await;
        self.leave().await;
        worked
    }

    async fn work(&mut self) -> Result<(), Error> {
        while !self.control.stop.is_cancelled() {
            self.go_round().await?;
            self.control.note_reading(self.reading.is_some());
            let woken = self.wait(self.wake_at()).await;
            self.react(woken).await?;
        }
        Ok(())
    }

    /// Finishes what is in hand, for as long as it may.
    async fn drain(&mut self) {
        // An entry that a dropped read may have brought is left to others, like what is unfinished.
        self.reading = None;
        self.reserved = 0;
        let deadline = Instant::now() + self.calls.settings.drain;
        while !self.control.hands.lock().is_empty() && Instant::now() < deadline {
            let settled = match self.pause.is_over() {
                true => self.settle().await,
                false => Ok(()),
            };
            if let Err(error) = settled
                && self.failed(error, "ending deliveries").await.is_err()
            {
                return;
            }
            if !self.control.hands.lock().is_empty() {
                let wake = match self.control.hands.lock().has_ends() {
                    true => self.pause.until().min(deadline),
                    false => deadline,
                };
                let woken = self.wait_for_handlers(wake).await;
                self.ended(woken);
            }
        }
    }

    /// Cancels the handlers that are still at work, and waits for them: none takes longer than
    /// `CLEAN_UP`, but one that blocks its thread.
    async fn end_handlers(&mut self) {
        self.control.hands.lock().cancel();
        let deadline = Instant::now() + CLEAN_UP * 2;
        while !self.handlers.is_empty() && Instant::now() < deadline {
            let woken = self.wait_for_handlers(deadline).await;
            self.ended(woken);
        }
        self.handlers.abort_all();
        while self.control.hands.lock().has_ends() {
            if let Err(error) = self.settle().await {
                return self.control.note(&error, "ending deliveries");
            }
        }
    }

    async fn leave(&mut self) {
        let in_hand = self.control.hands.lock().unended();
        let in_hand = in_hand
            .into_iter()
            .map(|(_, id, deliveries)| (id, deliveries));
        let consumer = &self.calls.settings.consumer;
        match self.calls.leave(in_hand).await {
            Ok(0) => {}
            Ok(left) => tracing::info!(consumer, left, "left to others"),
            Err(error) => self.control.note(&error, "leaving"),
        }
    }

    /// Does what is due, and begins to read if handlers are free.
    async fn go_round(&mut self) -> Result<(), Error> {
        if !self.pause.is_over() {
            return Ok(());
        }
        match self.do_duties().await {
            Ok(()) => {
                self.read();
                Ok(())
            }
            Err(error) => self.failed(error, "its duties").await,
        }
    }

    async fn do_duties(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        self.settle().await?;
        if now >= self.next.sweep {
            self.sweep().await?;
        }
        if self.control.is_paused() {
            return Ok(());
        }
        if now >= self.next.promote {
            self.promote().await?;
        }
        if now >= self.next.claim && self.free() > 0 {
            self.claim().await?;
        }
        Ok(())
    }

    /// Begins to wait for new entries, as many as there are handlers free.
    fn read(&mut self) {
        let most = self.free().min(self.calls.settings.batch);
        if self.reading.is_some() || most == 0 || self.control.is_paused() {
            return;
        }
        // A read holds handlers back, which what is due next may need.
        let until_claim = self.next.claim.saturating_duration_since(Instant::now());
        let wait = self.calls.settings.block.min(until_claim);
        if wait.is_zero() {
            return;
        }
        let calls = Arc::clone(&self.calls);
        // Zero milliseconds would be without an end.
        let wait = wait.max(Duration::from_millis(1));
        self.reading = Some(Box::pin(async move { calls.read(most, wait).await }));
        self.reserved = most;
    }

    /// How many handlers could begin.
    fn free(&self) -> usize {
        let taken = self.control.hands.lock().len() + self.reserved;
        self.calls.settings.concurrency.saturating_sub(taken)
    }

    /// When there is something to do, if nothing happens before.
    fn wake_at(&self) -> Instant {
        let mut wake = self.next.sweep;
        if self.control.hands.lock().has_ends() {
            wake = Instant::now();
        }
        if !self.control.is_paused() {
            wake = wake.min(self.next.promote);
            if self.free() > 0 {
                wake = wake.min(self.next.claim);
            }
        }
        wake.max(self.pause.until())
    }

    async fn wait(&mut self, wake: Instant) -> Woken {
        let read = async {
            match &mut self.reading {
                Some(reading) => reading.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.control.stop.cancelled() => Woken::Told,
            () = self.control.changed.notified() => Woken::Told,
            Some(Ok((task, how))) = self.handlers.join_next() => Woken::Ended(task, how),
            read = read => Woken::Read(read),
            () = tokio::time::sleep_until(wake) => Woken::Time,
        }
    }

    async fn wait_for_handlers(&mut self, wake: Instant) -> Woken {
        tokio::select! {
            biased;
            Some(Ok((task, how))) = self.handlers.join_next() => Woken::Ended(task, how),
            () = tokio::time::sleep_until(wake) => Woken::Time,
        }
    }

    async fn react(&mut self, woken: Woken) -> Result<(), Error> {
        let read = match woken {
            Woken::Read(read) => read,
            woken => {
                self.ended(woken);
                return Ok(());
            }
        };
        self.reading = None;
        self.reserved = 0;
        match read {
            Ok(deliveries) => {
                self.pause.end();
                self.take_all(deliveries).await;
                Ok(())
            }
            Err(error) => self.failed(error, "reading").await,
        }
    }

    /// Takes deliveries into hand, and begins to handle them.
    async fn take_all(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            self.take(delivery);
            if self.in_a_row >= IN_A_ROW_MAX {
                self.in_a_row = 0;
                // Not by `consume_budget`: timers, and so the sign of life, would not get their turn by that.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes a delivery into hand, and begins to handle it.
    fn take(&mut self, delivery: Delivery) {
        let (has_lost, begin) = self.control.hands.lock().take(delivery);
        add(&self.control.counters.lost, u64::from(has_lost));
        begin.into_iter().for_each(|begin| self.begin(begin));
    }

    /// Begins to handle a delivery, and what waits for its end if it ends at once.
    fn begin(&mut self, begin: Begin) {
        let mut next = Some(begin);
        while let Some(begin) = next.take() {
            let task = begin.task;
            let mut handling = (self.handle)(begin);
            // A task polls it once more, and with that it learns whom to wake.
            let mut nobody = Context::from_waker(Waker::noop());
            match self.has_one_thread {
                true if let Poll::Ready(how) = handling.as_mut().poll(&mut nobody) => {
                    self.in_a_row += 1;
                    next = self.control.hands.lock().end(task, how);
                }
                _ => {
                    self.handlers.spawn(async move { (task, handling.await) });
                }
            }
        }
    }

    /// Notes how handlers ended.
    fn ended(&mut self, woken: Woken) {
        let mut next = match woken {
            Woken::Ended(task, how) => Some((task, how)),
            _ => None,
        };
        while let Some((task, how)) = next {
            let begin = self.control.hands.lock().end(task, how);
            begin.into_iter().for_each(|begin| self.begin(begin));
            // What has finished in the meantime goes along.
            next = self.handlers.try_join_next().and_then(Result::ok);
        }
    }

    /// Tells the store what has ended.
    async fn settle(&mut self) -> Result<(), Error> {
        let ends = self.control.hands.lock().ends(PAGE);
        if ends.is_empty() {
            return Ok(());
        }
        let settled = self.calls.settle(ends.iter().map(|(_, end)| end)).await;
        let settled = settled.inspect_err(|error| {
            if error.is_in_doubt() {
                self.control.hands.lock().doubt(&ends);
            }
        })?;
        self.pause.end();
        for ((task, end), settled) in ends.into_iter().zip(settled) {
            self.settled(task, end, settled);
        }
        Ok(())
    }

    fn settled(&mut self, task: Task, end: End, settled: Settled) {
        let counters = &self.control.counters;
        let Some(was_in_doubt) = self.control.hands.lock().settle(task) else {
            return;
        };
        match settled {
            Settled::Done => {}
            // The store knew it already.
            Settled::NotOurs if was_in_doubt => {}
            Settled::NotOurs => return add(&counters.lost, 1),
            Settled::Refused => {
                add(&counters.errors, 1);
                return tracing::warn!(id = %end.id, how = ?end.how, "the store did not note an end");
            }
        }
        match end.how {
            How::Done => add(&counters.processed, 1),
            How::Dead { error } => {
                add(&counters.dead, 1);
                tracing::warn!(id = %end.id, deliveries = end.deliveries, error, "a dead letter");
            }
            How::Retry { after } => {
                add(&counters.retried, 1);
                self.next.claim = self.next.claim.min(Instant::now() + after);
            }
        }
    }

    /// Takes over what is due and what was left.
    async fn claim(&mut self) -> Result<(), Error> {
        let settings = &self.calls.settings;
        let now = Instant::now();
        let most = self.free().min(settings.batch).min(PAGE);
        // What a read is about to bring is its own too.
        let own = now >= self.next.own && self.reading.is_none();
        let in_hand = self.control.hands.lock().ids();
        let silent = self.control.contact.lasts(settings.idle);
        let claimed = self.calls.claim(most, own, silent, in_hand).await;
        let Claimed { taken, gone, due } = claimed.inspect_err(|_| self.next.own = now)?;
        self.pause.end();
        add(&self.control.counters.reclaimed, taken.len() as u64);
        add(&self.control.counters.gone, gone);

        let pause = match taken.len() == most {
            true => Duration::ZERO,
            false => due.unwrap_or(Duration::MAX).min(settings.idle / 2),
        };
        self.next.claim = now + pause;
        if own && taken.len() < most {
            self.next.own = now + settings.idle;
        }
        self.take_all(taken).await;
        Ok(())
    }

    /// Adds what is due to be added.
    async fn promote(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        self.next.promote = now + PROMOTE;
        let promoted = self.calls.group.stream().promote().await?;
        add(&self.control.counters.promoted, promoted.added);
        let pause = promoted.due.unwrap_or(PROMOTE).min(PROMOTE);
        self.next.promote = now + pause;
        Ok(())
    }

    /// Does what is needed only now and then.
    async fn sweep(&mut self) -> Result<(), Error> {
        self.next.sweep = Instant::now() + self.calls.settings.idle;
        self.calls.sweep().await?;
        let stream = self.calls.group.stream();
        stream.mend_schedules().await?;
        if stream.trim() == Trim::Handled {
            self.trim().await?;
        }
        Ok(())
    }

    async fn trim(&mut self) -> Result<(), Error> {
        let trimmed = self.calls.group.stream().trim_handled().await?;
        let silence_max = self.calls.settings.silence_max;
        let is_unserved = trimmed.silence.is_none_or(|silence| silence > silence_max);
        if let Some(group) = &trimmed.kept_for
            && group != self.calls.group.name()
            && is_unserved
        {
            tracing::warn!(
                group,
                "a stream grows, as it keeps entries for a group that nobody serves"
            );
        }
        Ok(())
    }

    /// Notes that a request failed, and mends what can be mended.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]: it can't be mended.
    async fn failed(&mut self, error: Error, what: &str) -> Result<(), Error> {
        if error == Error::Closed {
            return Err(error);
        }
        self.control.note(&error, what);
        // Entries may have been delivered that never came here.
        self.next.own = Instant::now();
        if !error.is_refusal("NOGROUP") && !error.is_refusal("UNBLOCKED") {
            self.pause.begin();
            return Ok(());
        }
        match self.calls.group.create_anew().await {
            Ok(true) => {
                add(&self.control.counters.recreated, 1);
                tracing::warn!(
                    group = self.calls.group.name(),
                    "a group had gone and was made anew"
                );
            }
            // Another worker was faster.
            Ok(false) => self.pause.begin(),
            Err(Error::Closed) => return Err(Error::Closed),
            Err(error) => {
                self.control.note(&error, "making its group anew");
                self.pause.begin();
            }
        }
        Ok(())
    }
}
