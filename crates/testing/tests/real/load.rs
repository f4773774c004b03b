//! Callers of all patterns at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_store::{Command, Error, Store};
use larder_testing::Chance;
use larder_toolkit::Ttl;
use larder_toolkit::cache::Cache;
use larder_toolkit::leaderboard::{Best, Leaderboard};
use larder_toolkit::lock::Locks;
use larder_toolkit::pubsub::{Event, PubSub};
use larder_toolkit::rate_limit::{Limit, Limiter, Quota};
use larder_toolkit::session::Sessions;
use larder_toolkit::stream::{Failure, Group, Job, Start, Stream, Trim, Worker};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::laws::{Entry, Told};

/// The deadline of every second caller.
pub(crate) const WITHIN: Duration = Duration::from_millis(300);

/// How many callers there are of each pattern.
const CALLERS: u64 = 6;

/// How many counters, locks and boards they share.
const NAMES: u64 = 3;

/// Permits a second, and at once.
pub(crate) const PERMITS: u32 = 50;

/// The load.
pub(crate) struct Load {
    pub(crate) told: Arc<Told>,
    stop: CancellationToken,
    callers: JoinSet<()>,
    workers: Vec<Worker>,
    listeners: JoinSet<()>,
}

/// One caller.
#[derive(Clone)]
struct Caller {
    store: Store,
    told: Arc<Told>,
    stop: CancellationToken,
    number: u64,
    seed: u64,
}

pub(crate) fn jobs(store: &Store) -> Stream<u64> {
    Stream::new(store, "storm", "jobs", Trim::Never)
}

pub(crate) fn group(store: &Store) -> Group<u64> {
    jobs(store).group("all", Start::Earliest)
}

pub(crate) fn board(store: &Store) -> Leaderboard {
    Leaderboard::new(store, "storm", "board", Best::Highest, Ttl::forever())
}

pub(crate) fn sessions(store: &Store) -> Sessions<u64> {
    Sessions::new(store, "storm")
}

/// The name of a counter, in a slot of its own.
pub(crate) fn counter(number: u64) -> String {
    format!("storm:counter:{}", number % NAMES)
}

impl Load {
    /// Begins the load on a store.
    pub(crate) async fn begin(store: &Store, seed: u64) -> Load {
        let told = Arc::<Told>::default();
        let stop = CancellationToken::new();
        let mut load = Load {
            told: Arc::clone(&told),
            stop: stop.clone(),
            callers: JoinSet::new(),
            workers: Vec::new(),
            listeners: JoinSet::new(),
        };
        for number in 0..CALLERS {
            let store = match number % 2 {
                0 => store.clone(),
                _ => store.within(WITHIN),
            };
            let caller = Caller {
                store,
                told: Arc::clone(&told),
                stop: stop.clone(),
                number,
                seed,
            };
            load.callers.spawn(caller.clone().count());
            load.callers.spawn(caller.clone().read_and_cache());
            load.callers.spawn(caller.clone().visit());
            load.callers.spawn(caller.clone().take_permits());
            load.callers.spawn(caller.clone().lock());
            load.callers.spawn(caller.clone().add_jobs());
            load.callers.spawn(caller.clone().score());
            load.callers.spawn(caller.clone().batch());
            if number < 2 {
                load.callers.spawn(caller.clone().publish());
                load.listeners.spawn(caller.clone().hear());
                load.workers.push(caller.work().await);
            }
        }
        load
    }

    /// Ends the load, when all jobs are handled or `patience` is over.
    pub(crate) async fn end(mut self, patience: Duration) {
        self.stop.cancel();
        while let Some(ended) = self.callers.join_next().await {
            ended.expect("a caller does not panic");
        }
        let all_are_done = async {
            while !self.told.added.lock().is_subset(&self.told.handled.lock()) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        // What was lost with a master never is.
        let _ = tokio::time::timeout(patience, all_are_done).await;
        for worker in &self.workers {
            worker.shutdown().await;
        }
        self.listeners.shutdown().await;
    }
}

impl Caller {
    /// Calls again and again until the load ends.
    async fn again<F: Future<Output = Result<(), Error>>>(
        self,
        purpose: &str,
        mut call: impl FnMut(Caller, u64) -> F,
    ) {
        let mut chance = Chance::of(self.seed, &format!("{purpose} {}", self.number));
        while !self.stop.is_cancelled() {
            let called = call(self.clone(), chance.number()).await;
            let pause = match called {
                Ok(()) => chance.below(8_000),
                // As callers do who are told that it is not worth trying.
                Err(error) => error
                    .retry_after()
                    .map_or(5_000, |after| after.as_micros() as u64),
            };
            sleep(Duration::from_micros(pause)).await;
        }
    }

    async fn count(self) {
        self.again("count", |caller, chance| async move {
            let name = counter(chance);
            let outcome = caller.store.incr(&name).await;
            caller.told.counters.note(&name, &outcome);
            outcome.map(drop)
        })
        .await;
    }

    async fn batch(self) {
        self.again("batch", |caller, _| async move {
            let names: Vec<_> = (0..NAMES).map(counter).collect();
            let commands = names.iter().map(|name| Command::new("INCR").arg(name));
            match caller.store.call_all(commands.collect()).await {
                Ok(outcomes) => {
                    for (name, outcome) in names.iter().zip(&outcomes) {
                        caller.told.counters.note(name, outcome);
                    }
                    Ok(())
                }
                Err(error) => {
                    for name in &names {
                        caller
                            .told
                            .counters
                            .note(name, &Err::<(), _>(error.clone()));
                    }
                    Err(error)
                }
            }
        })
        .await;
    }

    async fn read_and_cache(self) {
        let cache: Cache<u64> = Cache::new(&self.store, "storm", Ttl::seconds(2));
        self.again("cache", |caller, chance| {
            let cache = cache.clone();
            async move {
                let number = chance % 50;
                let read = cache
                    .get_or_set(&number.to_string(), || async move { Ok(number) })
                    .await?;
                caller
                    .told
                    .law(read == number, || format!("{number} was cached as {read}"));
                Ok(())
            }
        })
        .await;
    }

    async fn visit(self) {
        let all = sessions(&self.store);
        self.again("visit", |caller, chance| {
            let all = all.clone();
            async move {
                let user = format!("user-{}", chance % 20);
                let mut session = all.create(&user, chance).await?;
                session.data = chance / 2;
                all.save(&mut session).await?;
                let token = session.token().to_owned();
                caller
                    .told
                    .sessions
                    .lock()
                    .insert(token.clone(), chance / 2);
                if let Some(loaded) = all.load(&token).await? {
                    let is_own = loaded.data == chance / 2 || loaded.data == chance;
                    caller
                        .told
                        .law(is_own, || format!("a session held {}", loaded.data));
                }
                Ok(())
            }
        })
        .await;
    }

    async fn take_permits(self) {
        let limiter = Limiter::new(
            &self.store,
            "storm",
            Limit::gcra(Quota::per_second(PERMITS)),
        );
        self.again("limit", |caller, _| {
            let limiter = limiter.clone();
            async move {
                if limiter.take_one("all").await?.is_allowed() {
                    caller.told.permits.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
        })
        .await;
    }

    async fn lock(self) {
        static HOLDER: AtomicU64 = AtomicU64::new(0);
        let locks = Locks::new(&self.store, "storm").ttl(Duration::from_secs(1));
        self.again("lock", |caller, chance| {
            let locks = locks.clone();
            async move {
                let name = format!("lock-{}", chance % NAMES);
                let Some(guard) = locks.try_lock(&name).await? else {
                    return Ok(());
                };
                let holder = HOLDER.fetch_add(1, Ordering::Relaxed);
                for _ in 0..3 {
                    let entry = caller.told.resource.enter(&name, guard.token(), holder);
                    caller.told.law(entry != Entry::Ambiguous, || {
                        format!("two holders of {name} with the token {}", guard.token())
                    });
                    sleep(Duration::from_millis(chance % 3)).await;
                }
                guard.release().await.map(drop)
            }
        })
        .await;
    }

    async fn add_jobs(self) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let jobs = jobs(&self.store);
        self.again("jobs", |caller, _| {
            let jobs = jobs.clone();
            async move {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                jobs.add(&number).await?;
                caller.told.added.lock().insert(number);
                Ok(())
            }
        })
        .await;
    }

    async fn work(&self) -> Worker {
        let told = Arc::clone(&self.told);
        let worker = group(&self.store)
            .worker()
            .block(Duration::from_millis(200))
            .idle(Duration::from_secs(2));
        worker
            .start(move |job: Job<u64>| {
                let told = Arc::clone(&told);
                async move {
                    told.handled.lock().insert(job.body);
                    Ok::<(), Failure>(())
                }
            })
            .await
            .expect("the store is there when the load begins")
    }

    async fn score(self) {
        let board = board(&self.store);
        self.again("score", |caller, chance| {
            let board = board.clone();
            async move {
                let member = format!("member-{}", chance % NAMES);
                let outcome = board.add(&member, 1).await;
                caller.told.scores.note(&member, &outcome);
                outcome?;
                board.top(3).await.map(drop)
            }
        })
        .await;
    }

    async fn publish(self) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let channels = PubSub::new(&self.store, "storm");
        self.again("publish", |caller, _| {
            let channels = channels.clone();
            async move {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let channel = format!("news-{}", caller.number);
                channels.publish(&channel, &number).await.map(drop)
            }
        })
        .await;
    }

    /// Hears what one caller publishes.
    async fn hear(self) {
        let channels = PubSub::new(&self.store, "storm");
        let channel = format!("news-{}", self.number);
        let (mut last, mut is_behind_gap) = (0, false);
        while !self.stop.is_cancelled() {
            let Ok(mut heard) = channels.subscribe::<u64>(&channel).await else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            while let Some(event) = heard.next().await {
                let Event::Message { body, .. } = event else {
                    is_behind_gap = true;
                    continue;
                };
                let is_overtaken = u64::from(body < last);
                self.told
                    .overtaken
                    .fetch_add(is_overtaken, Ordering::Relaxed);
                let is_repeated = body == last && last > 0;
                self.told.law(!is_repeated || is_behind_gap, || {
                    format!("heard {body} twice, without a gap between")
                });
                self.told
                    .repeated
                    .fetch_add(u64::from(is_repeated), Ordering::Relaxed);
                is_behind_gap &= body <= last;
                last = last.max(body);
            }
            is_behind_gap = true;
        }
    }
}
