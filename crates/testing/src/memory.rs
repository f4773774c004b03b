//! A memory store whose time is that of tokio, and which can be copied as it was.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use larder_embedded::{Embedded, ManualClock};
use larder_engine::TimeSource;
use larder_store::{Backend, Command, Error, Value};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::log::{At, Log, clock_at, open};

/// What every store's clock shows when it begins: 2026-01-01, in microseconds.
const BEGINNING_US: u64 = 1_767_225_600_000_000;

/// How often expired keys are removed that nobody asks for. A store does so all the time; as nobody sees
/// them, once in a while does as well and takes less of it.
const TICK: Duration = Duration::from_secs(60);

/// A memory store without threads of its own: whoever asks it brings its clock up to date before.
pub(crate) struct Memory {
    seed: [u8; 32],
    /// When the store began.
    origin: Instant,
    now: Mutex<Present>,
}

/// The store that is asked at present.
struct Present {
    embedded: Embedded,
    clock: ManualClock,
    log: Arc<Log>,
    /// How much of tokio's time its clock has followed.
    followed: Duration,
    ticked: Duration,
}

impl Memory {
    pub(crate) fn new(seed: [u8; 32]) -> Memory {
        let clock = clock_at(At {
            unix_us: BEGINNING_US,
            ticks_us: 0,
        });
        Memory {
            seed,
            origin: Instant::now(),
            now: Mutex::new(Present {
                embedded: open(&clock, seed),
                clock,
                log: Arc::new(Log::new()),
                followed: Duration::ZERO,
                ticked: Duration::ZERO,
            }),
        }
    }

    /// The store that is asked at present, up to date.
    pub(crate) fn present(&self) -> Embedded {
        let mut now = self.now.lock();
        now.follow(self.origin.elapsed());
        now.embedded.clone()
    }

    /// What the store's clock shows.
    pub(crate) fn clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.present().now().unix_us())
    }

    pub(crate) fn set_forward(&self, by: Duration) {
        self.now.lock().clock.set_forward(by);
        self.present();
    }

    pub(crate) fn set_back(&self, by: Duration) {
        self.now.lock().clock.set_back(by);
        self.present();
    }

    /// Lets a copy take the place of the store.
    pub(crate) fn fail_over(&self, lost: usize, behind: Duration) {
        let mut now = self.now.lock();
        now.follow(self.origin.elapsed());
        let mut at = now.at();
        at.unix_us = at.unix_us.saturating_sub(behind.as_micros() as u64);
        let (embedded, clock, log) = now.log.copy(self.seed, at, lost);
        (now.embedded, now.clock, now.log) = (embedded, clock, Arc::new(log));
    }

    /// Runs commands: one, or a transaction. One that waits goes on when the time of its wait is over,
    /// and leaves when this is dropped.
    pub(crate) async fn run(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let (embedded, log) = {
            let mut now = self.now.lock();
            now.follow(self.origin.elapsed());
            (now.embedded.clone(), Arc::clone(&now.log))
        };
        let place = log.asked(at(&embedded), &commands);
        let mut answer = pin!(embedded.call_all(commands));
        let first = std::future::poll_fn(|context| Poll::Ready(answer.as_mut().poll(context)));
        if let Poll::Ready(done) = first.await {
            return done;
        }
        let mut wait = Wait {
            embedded: &embedded,
            log: &log,
            place,
            is_answered: false,
        };
        loop {
            tokio::select! {
                biased;
                done = &mut answer => {
                    wait.is_answered = true;
                    return done;
                }
                () = until_next_deadline(&embedded) => {
                    self.present();
                }
            }
        }
    }
}

impl Present {
    /// Brings the clock up to date, and the store where it has to be.
    fn follow(&mut self, elapsed: Duration) {
        self.clock.advance(elapsed.saturating_sub(self.followed));
        self.followed = elapsed;
        let ends_wait = { self.embedded.engine().next_deadline() }
            .is_some_and(|deadline| deadline <= self.embedded.ticks());
        if ends_wait || elapsed - self.ticked >= TICK {
            self.ticked = elapsed;
            self.embedded.pass(Duration::ZERO);
        }
    }

    fn at(&self) -> At {
        at(&self.embedded)
    }
}

fn at(embedded: &Embedded) -> At {
    At {
        unix_us: embedded.now().unix_us(),
        ticks_us: embedded.ticks().us(),
    }
}

/// Somebody who waits. Where they go, or are answered, is written down.
struct Wait<'a> {
    embedded: &'a Embedded,
    log: &'a Log,
    place: Option<usize>,
    is_answered: bool,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.log.ended(at(self.embedded), place, self.is_answered);
        }
    }
}

/// Waits until the first of all waits has to end. What begins to wait meanwhile and ends before it has a
/// task of its own that does the same.
async fn until_next_deadline(embedded: &Embedded) {
    match embedded.engine().next_deadline() {
        Some(deadline) => {
            let left = Duration::from_micros(deadline.us_since(embedded.ticks()));
            tokio::time::sleep(left.max(Duration::from_millis(1))).await;
        }
        None => std::future::pending().await,
    }
}
