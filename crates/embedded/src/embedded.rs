//! A store inside the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use larder_engine::{Engine, EvictionPolicy, Mailbox, Now, Ticks, TimeSource};
use larder_store::near::Source;
use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::disposal::Disposal;
use crate::listen::Listeners;
use crate::memory::MaxMemory;
use crate::sources::Sources;
use crate::timers::Timers;

/// How often expired keys are looked for when nothing else is due.
const TICK: Duration = Duration::from_millis(100);

/// How a store inside the process is opened.
#[derive(Clone, Debug, Default)]
pub struct Config {
    clock: Clock,
    password: Option<String>,
    max_memory: MaxMemory,
    eviction_policy: EvictionPolicy,
}

impl Config {
    /// Where the time comes from: the system's clock by default.
    #[must_use]
    pub fn clock(mut self, clock: impl Into<Clock>) -> Config {
        self.clock = clock.into();
        self
    }

    /// The password that connections to a server on this store have to give: none by default. Calls
    /// from inside the process need none.
    #[must_use]
    pub fn password(mut self, password: impl Into<Option<String>>) -> Config {
        self.password = password.into();
        self
    }

    /// How many bytes the store may hold: `maxmemory`.
    #[must_use]
    pub fn max_memory(mut self, max: MaxMemory) -> Config {
        self.max_memory = max;
        self
    }

    /// What is evicted when it holds more: `maxmemory-policy`. By default nothing is, since a store may
    /// have locks, sessions and jobs in it; what would take more memory is refused with `OOM`.
    #[must_use]
    pub fn eviction_policy(mut self, policy: EvictionPolicy) -> Config {
        self.eviction_policy = policy;
        self
    }
}

/// A store inside the process. Clones share it; it ends when the last one is dropped.
#[derive(Clone)]
pub struct Embedded {
    home: Arc<Home>,
}

/// What the clones share.
struct Home {
    core: Arc<Core>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

/// What the background thread shares as well.
pub(crate) struct Core {
    pub(crate) engine: Arc<Engine>,
    clock: Clock,
    is_closed: AtomicBool,
    pub(crate) listeners: Listeners,
    sources: Sources,
    pub(crate) timers: Timers,
    /// Held by whoever does what is due.
    ticking: Mutex<()>,
    /// When the background thread is wanted next.
    alarm: Mutex<Option<Ticks>>,
    woken: Condvar,
}

impl Embedded {
    /// Opens an empty store and starts its background thread.
    ///
    /// # Errors
    ///
    /// If the system gives no thread, or no random bytes.
    pub fn open(config: Config) -> std::io::Result<Embedded> {
        let mut random_bytes = [0; 32];
        getrandom::fill(&mut random_bytes)?;
        let core = Core::new(config, random_bytes);
        let waker = Arc::downgrade(&core);
        core.engine.on_alarm(Box::new(move |at| {
            if let Some(core) = waker.upgrade() {
                core.wake_at(at);
            }
        }));
        let disposal = Disposal::default();
        core.engine
            .on_garbage(Box::new(move |garbage| disposal.take(garbage)));
        let thread = std::thread::Builder::new().name("larder-ticker".into());
        let ticker = thread.spawn({
            let core = Arc::clone(&core);
            move || core.tick_until_closed()
        })?;
        Ok(Embedded::of(core, Some(ticker)))
    }

    /// Opens an empty store that does nothing by itself, for runs that can be repeated exactly: it has
    /// no threads, so that time passes by [`Embedded::pass`] alone, and all its randomness comes from
    /// `seed`. Its clock should be a manual one.
    pub fn open_still(config: Config, seed: [u8; 32]) -> Embedded {
        Embedded::of(Core::new(config, seed), None)
    }

    fn of(core: Arc<Core>, ticker: Option<JoinHandle<()>>) -> Embedded {
        Embedded {
            home: Arc::new(Home {
                core,
                ticker: Mutex::new(ticker),
            }),
        }
    }

    /// The engine itself, for those who serve it to others.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.home.core.engine
    }

    /// The store's time.
    #[inline]
    pub fn now(&self) -> Now {
        self.home.core.clock.now()
    }

    /// Lets time pass on a store whose clock is manual: moves the clock, removes what expired, and
    /// ends waits that are over, before it returns. On the system's clock it changes nothing.
    pub fn pass(&self, time: Duration) {
        if let Clock::Manual(clock) = &self.home.core.clock {
            clock.advance(time);
            self.home.core.tick();
        }
    }

    /// Closes the store for all who share it: waits, subscriptions and scripts end, the background
    /// thread ends, and calls are refused from here on. Closing twice is harmless.
    pub fn close(&self) {
        self.home.close();
    }

    /// Whether the store has been closed.
    pub fn is_closed(&self) -> bool {
        self.home.core.is_closed()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.home.core
    }
}

impl TimeSource for Embedded {
    fn now(&self) -> Now {
        Embedded::now(self)
    }

    fn ticks(&self) -> Ticks {
        self.home.core.clock.ticks()
    }
}

impl TimeSource for Core {
    #[inline]
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn ticks(&self) -> Ticks {
        self.clock.ticks()
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("clock", &self.home.core.clock)
            .finish_non_exhaustive()
    }
}

impl Home {
    fn close(&self) {
        self.core.is_closed.store(true, Ordering::Release);
        self.core.listeners.close();
        self.core.sources.end();
        self.core.engine.stop_scripts();
        self.core.wake_at(Ticks::from_us(0));
        if let Some(ticker) = self.ticker.lock().take() {
            // A panic in the thread was reported where it happened.
            let _ = ticker.join();
        }
        // Nobody would tell them any more that their time is over.
        self.core.engine.end_all_waits();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.close();
    }
}

impl Core {
    fn new(config: Config, seed: [u8; 32]) -> Arc<Core> {
        let engine = Engine::new(seed, config.clock.now());
        engine.set_password(config.password.as_deref());
        engine.set_max_memory(config.max_memory.bytes());
        engine.set_eviction_policy(config.eviction_policy);
        Arc::new(Core {
            engine,
            clock: config.clock,
            is_closed: AtomicBool::new(false),
            listeners: Listeners::default(),
            sources: Sources::default(),
            timers: Timers::default(),
            ticking: Mutex::new(()),
            alarm: Mutex::new(None),
            woken: Condvar::new(),
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// A mailbox that is closed together with the store.
    pub(crate) fn keep(&self, mailbox: &Arc<Mailbox>) {
        self.listeners.keep(mailbox);
        // Whoever has closed the store meanwhile may have closed the others already.
        if self.is_closed() {
            mailbox.close();
        }
    }

    /// A source of near reads that ends together with the store.
    pub(crate) fn vouch(&self, source: &Arc<Source>) {
        self.sources.keep(source);
        // As with a mailbox.
        if self.is_closed() {
            source.end();
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn wake_at(&self, at: Ticks) {
        let mut alarm = self.alarm.lock();
        if alarm.is_none_or(|alarm| at < alarm) {
            *alarm = Some(at);
            self.woken.notify_one();
        }
    }

    /// Does what is due. One after the other: whoever comes while another does it would find nothing
    /// left to do, and go on before it is done.
    fn tick(&self) {
        let _turn = self.ticking.lock();
        self.engine.tick(self);
        self.timers.ring(self.ticks());
    }

    fn tick_until_closed(&self) {
        while !self.is_closed() {
            self.tick();
            let mut alarm = self.alarm.lock();
            let due = alarm
                .take()
                .into_iter()
                .chain(self.engine.next_deadline())
                .chain(self.timers.next())
                .min();
            let pause = match due {
                // The time of a manual clock says nothing of how long to sleep.
                Some(due) if matches!(self.clock, Clock::System) => {
                    TICK.min(Duration::from_micros(due.us_since(self.ticks())))
                }
                _ => TICK,
            };
            if !pause.is_zero() && !self.is_closed() {
                self.woken.wait_for(&mut alarm, pause);
            }
        }
    }
}
