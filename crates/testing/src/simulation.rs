//! Runs that can be repeated.

#![allow(clippy::panic, reason = "a simulation that fails fails its test")]

use std::env;
use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

use larder_store::{Store, seed_jitter};
use tokio::time::timeout;

use crate::asking::{Answers, Asking};
use crate::chance::Chance;
use crate::fault::Fault;
use crate::faulty::Faulty;
use crate::history::{Entry, History};
use crate::plan::Plan;

/// The variable of the environment that names the one seed to run.
const SEED: &str = "LARDER_TEST_SEED";

/// The variable of the environment that says how many seeds to run.
const SEEDS: &str = "LARDER_TEST_SEEDS";

/// The variable of the environment with which each seed is run twice, and the runs are compared.
const TWICE: &str = "LARDER_TEST_TWICE";

/// How many calls are printed of a run that failed.
const CALLS_SHOWN: usize = 60;

/// Runs of a test on a memory store that misbehaves, one for each of many seeds.
///
/// Each run has a thread and a runtime of its own, with the time of tokio paused: it passes when there
/// is nothing else to do, so that an hour takes no time. Everything that a run does follows from its
/// seed. One that fails is printed with its seed, its plan and its last calls; with
/// `LARDER_TEST_SEED=17` in the environment that seed is run and no other, and with
/// `LARDER_TEST_SEEDS=10000` so many. With `LARDER_TEST_TWICE=1` each seed is run twice, and it is a
/// failure if the second run asks the store something else, or at another time: see the
/// [crate](crate#what-follows-from-a-seed-and-what-does-not).
///
/// # Examples
///
/// ```
/// use larder_testing::{Fault, Simulation};
///
/// Simulation::new().seeds(20).faults(Fault::network()).run(async |world| {
///     let store = world.store("shop");
///     let answered = store.incr("visits").await.is_ok();
///
///     world.settled().await;
///     let counted = world.without_faults().get("visits").await?.is_some();
///     assert!(counted || !answered);
///     Ok(())
/// });
/// ```
#[must_use = "a simulation does nothing until it is run"]
pub struct Simulation {
    seeds: u64,
    plan_of: Box<dyn Fn(u64) -> Plan + Send + Sync>,
    /// Over how many parts the store is spread; 0 if it is not.
    parts: u32,
    longest: Duration,
}

/// What a run knows: the store, and the chance of its seed. Clones share it.
#[derive(Clone, Debug)]
pub struct World {
    faulty: Faulty,
    seed: u64,
    /// The plan that it began with.
    plan: Arc<Plan>,
}

/// Runs a test on a memory store on which nothing goes wrong until the test makes it, once.
///
/// # Panics
///
/// If the test fails.
pub fn simulate(test: impl AsyncFn(World) -> Result<(), Box<dyn Error>> + Sync) {
    Simulation::new().run(test);
}

impl Simulation {
    /// One run, in which nothing goes wrong by itself.
    pub fn new() -> Simulation {
        Simulation {
            seeds: 1,
            plan_of: Box::new(|_| Plan::new()),
            parts: 0,
            longest: Duration::from_secs(24 * 60 * 60),
        }
    }

    /// The same, with so many runs.
    pub fn seeds(mut self, count: u64) -> Simulation {
        self.seeds = count;
        self
    }

    /// The same, and each run follows this plan.
    pub fn plan(self, plan: Plan) -> Simulation {
        self.plan_of(move |_| plan.clone())
    }

    /// The same, and each run follows a plan of its own, made by chance of these faults: see
    /// [`Plan::random`].
    pub fn faults(self, faults: Vec<Fault>) -> Simulation {
        self.plan_of(move |seed| Plan::random(seed, &faults))
    }

    /// The same, and each run follows the plan that is made of its seed.
    pub fn plan_of(mut self, plan_of: impl Fn(u64) -> Plan + Send + Sync + 'static) -> Simulation {
        self.plan_of = Box::new(plan_of);
        self
    }

    /// The same, and the store is spread over so many parts: see [`Faulty::spread`].
    pub fn parts(mut self, parts: u32) -> Simulation {
        self.parts = parts;
        self
    }

    /// The same; a run hangs that is not done after this time. A day by default, which takes no time
    /// where nothing happens any more.
    pub fn longest(mut self, time: Duration) -> Simulation {
        self.longest = time;
        self
    }

    /// Runs the test for each seed.
    ///
    /// # Panics
    ///
    /// If a run fails, panics or hangs. It is printed before.
    pub fn run(self, test: impl AsyncFn(World) -> Result<(), Box<dyn Error>> + Sync) {
        let (mut runs, mut calls) = (0, 0);
        for seed in self.chosen() {
            let world = self.run_seed(seed, &test);
            if env::var_os(TWICE).is_some() {
                compare(&world, &self.run_seed(seed, &test));
            }
            runs += 1;
            calls += world.faulty.history().len();
        }
        println!("{runs} seeds, {calls} calls of the store");
    }

    /// Runs the test for a seed, and gives what is left of it.
    fn run_seed(
        &self,
        seed: u64,
        test: &(impl AsyncFn(World) -> Result<(), Box<dyn Error>> + Sync),
    ) -> World {
        let world = OnceLock::new();
        // What a thread counts for itself would else go on from one run to the next.
        let done = thread::scope(|scope| {
            let run = scope.spawn(|| self.run_here(seed, &world, test));
            run.join()
        });
        match (done, world.into_inner()) {
            (Ok(()), Some(world)) => world,
            (Ok(()), None) => unreachable!("a run begins with its world"),
            (Err(panic), world) => {
                report(seed, world.as_ref());
                resume_unwind(panic);
            }
        }
    }

    /// The seeds that are run.
    fn chosen(&self) -> Range<u64> {
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        match number(SEED) {
            Some(seed) => seed..seed + 1,
            None => {
                0..number(SEEDS)
                    .filter(|_| self.seeds > 1)
                    .unwrap_or(self.seeds)
            }
        }
    }

    fn run_here(
        &self,
        seed: u64,
        world: &OnceLock<World>,
        test: &impl AsyncFn(World) -> Result<(), Box<dyn Error>>,
    ) {
        seed_jitter(seed);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without sockets needs nothing");
        runtime.block_on(async {
            let plan = (self.plan_of)(seed);
            let world = world.get_or_init(|| World {
                faulty: Faulty::memory(plan.clone(), seed),
                seed,
                plan: Arc::new(plan),
            });
            if self.parts > 0 {
                world.faulty.spread(self.parts);
            }
            match timeout(self.longest, test(world.clone())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => panic!("{error}\n{error:?}"),
                Err(_) => panic!("it hangs: it is not done after {:?}", self.longest),
            }
        });
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}

impl Default for Simulation {
    fn default() -> Simulation {
        Simulation::new()
    }
}

/// Prints what is needed to run a seed again, and to understand it.
fn report(seed: u64, world: Option<&World>) {
    eprintln!("\nseed {seed} failed: {SEED}={seed} runs it alone");
    if let Some(World { faulty, plan, .. }) = world {
        eprint!("\nits plan:\n{plan}");
        let calls = faulty.history().entries();
        eprintln!("\nits calls that have no answer:");
        let waiting = calls.iter().filter(|entry| entry.ended.is_none());
        waiting.for_each(|entry| eprintln!("{entry}"));
        eprintln!("\nthe last of its {} calls:", calls.len());
        for entry in &calls[calls.len().saturating_sub(CALLS_SHOWN)..] {
            eprintln!("{entry}");
        }
    }
}

/// Finds out whether two runs of a seed did the same. What names things may differ.
fn compare(one: &World, other: &World) {
    let calls = |world: &World| world.faulty.history().entries();
    for (one, other) in calls(one).iter().zip(&calls(other)) {
        let shape = |entry: &Entry<Asking, Answers>| {
            let end = entry.ended.as_ref().map(|(end, _)| end.elapsed);
            (
                entry.began.elapsed,
                entry.who.clone(),
                entry.asked.names(),
                end,
            )
        };
        assert_eq!(
            shape(one),
            shape(other),
            "two runs of a seed differ:\n{one}\n{other}"
        );
    }
}

impl World {
    /// The store as a client of this name sees it: see [`Faulty::client`].
    pub fn store(&self, client: &str) -> Store {
        self.faulty.client(client)
    }

    /// The store without any faults, to look at what is there.
    pub fn without_faults(&self) -> Store {
        self.faulty.without_faults()
    }

    /// What makes the store misbehave.
    pub fn faulty(&self) -> &Faulty {
        &self.faulty
    }

    /// Lets a fault of the store happen now: see [`Faulty::happen`].
    ///
    /// # Errors
    ///
    /// Those of [`Faulty::happen`].
    pub async fn happen(&self, fault: Fault) -> Result<(), larder_store::Error> {
        self.faulty.happen(fault).await
    }

    /// Lets nothing go wrong any more, lets the store come back, and waits until nothing is on its way.
    pub async fn calm(&self) {
        self.faulty.follow(Plan::new());
        // What is about to leave has its fate from before, which may take the store away once more.
        self.pass(Duration::from_millis(1)).await;
        self.faulty.come_back();
        self.faulty.settled().await;
    }

    /// Waits until nothing is on its way any more that was sent.
    pub async fn settled(&self) {
        self.faulty.settled().await;
    }

    /// Lets time pass, on all clocks.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// What the store's clock shows.
    pub fn clock(&self) -> SystemTime {
        self.faulty.clock()
    }

    /// A new history, on the clocks of this run.
    pub fn history<Q, A>(&self) -> History<Q, A> {
        self.faulty.history_of()
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Random numbers of this run for a purpose, such as the name of a task.
    pub fn chance(&self, purpose: &str) -> Chance {
        Chance::of(self.seed, purpose)
    }
}
