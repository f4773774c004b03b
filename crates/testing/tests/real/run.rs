//! One run: a store, the load, a fault, and what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder_remote::{Config, Remote};
use larder_store::{Backend, Command, ConnectionEvent, Error, Store};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::laws::{Count, Told};
use crate::load::{Load, PERMITS, WITHIN, board, sessions};
use crate::meter::{Ledger, Metered};
use crate::table::{Row, tell};

/// How long an answer may take, in these runs.
const RESPONSE: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(1);

/// What a deadline is missed by on a machine that does other things as well, beside what was measured of
/// that.
const SLACK: Duration = Duration::from_millis(200);

/// Service is to be back so soon after the new master is known.
const BACK: Duration = Duration::from_secs(2);

/// How much the process may grow.
const GROWTH_MAX: u64 = 200 << 20;

/// How many breaches of laws are shown.
const SHOWN: usize = 20;

/// When what happened.
#[derive(Clone, Default)]
pub(crate) struct Marks {
    inner: Arc<Mutex<Times>>,
}

#[derive(Clone, Copy, Default)]
struct Times {
    fault: Option<Instant>,
    known: Option<Instant>,
}

impl Marks {
    /// Now something goes wrong.
    pub(crate) fn fault(&self) {
        self.inner.lock().fault.get_or_insert_with(Instant::now);
    }

    /// Now it is known who serves from now on.
    pub(crate) fn known(&self) {
        self.inner.lock().known.get_or_insert_with(Instant::now);
    }
}

/// What a fault may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// Whether what was acknowledged may be lost.
    pub(crate) losses: bool,
    /// Whether the breaker has to open, and to close where the same server comes back.
    pub(crate) breaker: Breaker,
    /// Whether a call may fail.
    pub(crate) failures: bool,
    /// Whether a message may overtake another, as on a cluster where another node takes the slot of their
    /// channel between them: nodes carry them to each other's listeners on ways of their own. So one that
    /// was heard at a node that ends may come again at the next, to which it was still on its way.
    pub(crate) disorder: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaker {
    Any,
    Opens,
    OpensAndCloses,
}

/// Runs the load on a store and a fault in the midst of it, which answers the servers: they are needed until
/// the end.
///
/// # Panics
///
/// If a law is broken.
pub(crate) fn run<T: Send + 'static>(
    name: &'static str,
    url: &str,
    allowed: Allowed,
    fault: impl FnOnce(&Marks, u64) -> T + Send + 'static,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the system gives threads");
    let row = runtime.block_on(storm(name, url, allowed, fault));
    tell(&row);
    let broken = row.broken.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    let broken = broken.join("\n");
    assert!(broken.is_empty(), "{name}, seed {}:\n{broken}", row.seed);
}

async fn storm<T: Send + 'static>(
    name: &'static str,
    url: &str,
    allowed: Allowed,
    fault: impl FnOnce(&Marks, u64) -> T + Send + 'static,
) -> Row {
    let seed = crate::seed();
    let config = Config::default()
        .response_timeout(RESPONSE)
        .connect_timeout(CONNECT);
    let remote = Remote::open(url, config).expect("the URL is one");
    let events = Events::of(&remote);
    let ledger = Arc::<Ledger>::default();
    let store = Store::new(Metered::new(remote, &ledger, RESPONSE + CONNECT));
    let marks = Marks::default();

    let memory = Memory::watch();
    let load = Load::begin(&store, seed).await;
    let begun = Instant::now();
    let told = Arc::clone(&load.told);
    let probes = Probes::begin(&store, &told);
    sleep(crate::seconds() / 4).await;
    let (noting, begins) = (marks.clone(), Instant::now());
    let happened = tokio::task::spawn_blocking(move || fault(&noting, seed));
    let servers = happened.await.expect("the fault can be made");
    // The rest of the time, but long enough that service is back.
    sleep(
        crate::seconds()
            .saturating_sub(begins.elapsed())
            .max(BACK / 2),
    )
    .await;
    let probes = probes.end().await;
    let lasted = begun.elapsed();
    let patience = match allowed.losses {
        true => Duration::from_secs(1),
        false => Duration::from_secs(15),
    };
    let ended = timeout(patience + RESPONSE * 4, load.end(patience)).await;
    told.law(ended.is_ok(), || "a call never ended".to_owned());
    let growth = memory.end().await;

    let left = left(&store, &told, allowed, lasted).await;
    if let Err(error) = &left {
        told.law(false, || {
            format!("the store is of no use in the end: {error}")
        });
    }
    let counted = events.counted();
    drop((store, servers));
    check(&told, allowed, &ledger, growth, &counted);
    let times = *marks.inner.lock();
    let outage = probes.outage(times);
    let limit = BACK + probes.lag;
    told.law(outage.from_known <= limit, || {
        format!(
            "service was back {:?} after it was known where",
            outage.from_known
        )
    });
    let (late, what) = ledger.late();
    told.law(late <= SLACK + probes.lag, || {
        format!(
            "a deadline was missed by {late:?} ({what}); the machine was late by {:?}",
            probes.lag
        )
    });
    Row {
        name,
        seed,
        seconds: lasted.as_secs(),
        from_fault: times.fault.map(|_| outage.from_fault),
        from_known: times.known.map(|_| outage.from_known),
        answered: ledger.answered.load(Ordering::Relaxed),
        away: ledger.away.load(Ordering::Relaxed),
        in_doubt: ledger.in_doubt.load(Ordering::Relaxed),
        refused: refused(&ledger),
        worst: ledger.worst(),
        late,
        lost: left.unwrap_or_default(),
        fenced: told.resource.refused(),
        opened: counted.opened.load(Ordering::Relaxed),
        closed: counted.closed.load(Ordering::Relaxed),
        connections: counted.connected.load(Ordering::Relaxed),
        growth,
        broken: told.broken.lock().clone(),
    }
}

/// So the toolkit is refused in its own affairs: a script that has to be loaded, a group that is there.
const EXPECTED: [&str; 3] = ["NOSCRIPT", "BUSYGROUP", "NOGROUP"];

/// The refusals that say something of the servers.
fn refused(ledger: &Ledger) -> String {
    let refused = ledger.refused();
    let strange = refused
        .iter()
        .filter(|(code, _)| !EXPECTED.contains(&code.as_str()))
        .map(|(code, count)| format!("{count} {code}"));
    match strange.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "0".to_owned(),
        some => some,
    }
}

/// What can be said without the store.
fn check(told: &Told, allowed: Allowed, ledger: &Ledger, growth: u64, events: &Counted) {
    const NEVER: [&str; 5] = ["MOVED", "ASK", "TRYAGAIN", "CROSSSLOT", "NOAUTH"];
    let refused = ledger.refused();
    for (code, count) in &refused {
        let is_never = NEVER.contains(&code.as_str());
        told.law(!is_never, || {
            format!("{count} calls were refused with {code}")
        });
        let is_expected = EXPECTED.contains(&code.as_str()) || allowed.failures;
        told.law(is_expected, || {
            format!("{count} calls were refused with {code}")
        });
    }
    if !allowed.failures {
        for (what, count) in [("away", &ledger.away), ("in doubt", &ledger.in_doubt)] {
            let count = count.load(Ordering::Relaxed);
            told.law(count == 0, || format!("{count} calls were {what}"));
        }
    }
    for strange in ledger.strange() {
        told.law(false, || format!("a call was answered {strange}"));
    }
    let overtaken = told.overtaken.load(Ordering::Relaxed);
    told.law(overtaken == 0 || allowed.disorder, || {
        format!("{overtaken} messages were overtaken")
    });
    let repeated = told.repeated.load(Ordering::Relaxed);
    told.law(repeated == 0 || allowed.disorder, || {
        format!("{repeated} messages were heard again on another connection")
    });
    told.law(growth < GROWTH_MAX, || {
        format!("the process grew by {growth} bytes")
    });
    let opened = events.opened.load(Ordering::Relaxed);
    let closed = events.closed.load(Ordering::Relaxed);
    let holds = match allowed.breaker {
        Breaker::Any => true,
        Breaker::Opens => opened > 0,
        Breaker::OpensAndCloses => opened > 0 && closed == opened,
    };
    told.law(holds, || {
        format!("the breaker opened {opened} times and closed {closed} times")
    });
}

/// Compares what there is with what was told, and answers how many acknowledged writes are lost.
async fn left(
    store: &Store,
    told: &Told,
    allowed: Allowed,
    lasted: Duration,
) -> Result<u64, Error> {
    let store = store.within(Duration::from_secs(10));
    let mut lost = 0;
    let mut compare = |what: &str, name: &str, count: Count, there: u64| {
        let most = count.acknowledged + count.in_doubt;
        told.law(there <= most, || {
            format!("{what} {name} is {there}, and was added to {most} times at most")
        });
        lost += count.acknowledged.saturating_sub(there);
    };
    for (name, count) in told.counters.all() {
        let there = store.run(Command::new("GET").arg(&name)).await;
        compare("counter", &name, count, there.unwrap_or(0));
    }
    for (name, count) in told.scores.all() {
        let entry = board(&store).rank(&name).await?;
        let there = entry.map_or(0, |entry| entry.score as u64);
        compare("score", &name, count, there);
    }
    let kept = told.sessions.lock().clone();
    for (token, data) in kept {
        match sessions(&store).load(&token).await? {
            Some(session) if session.data == data => {}
            _ => lost += 1,
        }
    }
    let handled = told.handled.lock().clone();
    lost += told.added.lock().difference(&handled).count() as u64;
    told.law(lost == 0 || allowed.losses, || {
        format!("{lost} acknowledged writes are lost")
    });
    // A bucket that a failover has forgotten is full again.
    let buckets = if allowed.losses { 2.0 } else { 1.0 };
    let most = f64::from(PERMITS) * (lasted.as_secs_f64() + 1.0 + buckets);
    let given = told.permits.load(Ordering::Relaxed);
    told.law(given as f64 <= most, || {
        format!("{given} permits were given of {most}")
    });
    Ok(lost)
}

/// One caller who asks every few milliseconds whether there is service.
struct Probes {
    stop: Arc<AtomicBool>,
    asking: Vec<JoinHandle<Vec<Probe>>>,
    lag: JoinHandle<Duration>,
}

#[derive(Clone, Copy)]
struct Probe {
    ended: Instant,
    is_answered: bool,
}

/// What the callers saw, and by how much this machine was late itself.
struct Seen {
    probes: Vec<Vec<Probe>>,
    lag: Duration,
}

/// For how long there was no service.
struct Outage {
    from_fault: Duration,
    from_known: Duration,
}

impl Probes {
    /// Asks for writes to each counter: they are in different slots.
    fn begin(store: &Store, told: &Arc<Told>) -> Probes {
        let stop = Arc::<AtomicBool>::default();
        let store = store.within(WITHIN);
        let ask = |number| {
            let (store, told, stop) = (store.clone(), Arc::clone(told), Arc::clone(&stop));
            tokio::spawn(async move {
                let name = crate::load::counter(number);
                let mut probes = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = store.incr(&name).await;
                    told.counters.note(&name, &answer);
                    probes.push(Probe {
                        ended: Instant::now(),
                        is_answered: answer.is_ok(),
                    });
                    sleep(Duration::from_millis(5)).await;
                }
                probes
            })
        };
        let asking = (0..3).map(ask).collect();
        let stopping = Arc::clone(&stop);
        let lag = tokio::spawn(async move {
            let (mut lag, pause) = (Duration::ZERO, Duration::from_millis(5));
            while !stopping.load(Ordering::Relaxed) {
                let before = Instant::now();
                sleep(pause).await;
                lag = lag.max(before.elapsed().saturating_sub(pause));
            }
            lag
        });
        Probes { stop, asking, lag }
    }

    async fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut probes = Vec::new();
        for asking in self.asking {
            probes.push(asking.await.expect("a probe does not panic"));
        }
        let lag = self.lag.await.expect("a clock does not panic");
        Seen { probes, lag }
    }
}

impl Seen {
    /// Until the last of those who had failed was answered again.
    fn outage(&self, times: Times) -> Outage {
        let back = self.probes.iter().filter_map(|probes| {
            let failed = probes.iter().rposition(|probe| !probe.is_answered)?;
            // Without an answer behind it there is no service yet.
            let next = probes.get(failed + 1).unwrap_or(&probes[failed]);
            Some(next.ended)
        });
        let back = back.max();
        let since = |mark: Option<Instant>| match (back, mark) {
            (Some(back), Some(mark)) => back.saturating_duration_since(mark),
            _ => Duration::ZERO,
        };
        Outage {
            from_fault: since(times.fault),
            from_known: since(times.known),
        }
    }
}

/// What happened to connections.
struct Events {
    counted: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    connected: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
}

impl Events {
    fn of(remote: &Remote) -> Events {
        let counted = Arc::<Counted>::default();
        let mut events = remote.connection_events();
        let noting = Arc::clone(&counted);
        // It ends with the store.
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let count = match event {
                    ConnectionEvent::Connected(_) => &noting.connected,
                    ConnectionEvent::BreakerOpened(..) => &noting.opened,
                    ConnectionEvent::BreakerClosed(_) => &noting.closed,
                    _ => continue,
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Events { counted }
    }

    fn counted(&self) -> Arc<Counted> {
        Arc::clone(&self.counted)
    }
}

/// How much memory the process has.
struct Memory {
    stop: Arc<AtomicBool>,
    most: JoinHandle<u64>,
    before: u64,
}

impl Memory {
    fn watch() -> Memory {
        let stop = Arc::<AtomicBool>::default();
        let stopping = Arc::clone(&stop);
        let most = tokio::spawn(async move {
            let mut most = 0;
            while !stopping.load(Ordering::Relaxed) {
                most = most.max(resident());
                sleep(Duration::from_millis(50)).await;
            }
            most
        });
        let before = resident();
        Memory { stop, most, before }
    }

    /// By how much it grew at most.
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let most = self.most.await.expect("a look does not panic");
        most.saturating_sub(self.before)
    }
}

/// The resident bytes; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
