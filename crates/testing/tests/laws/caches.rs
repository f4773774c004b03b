//! Caches: nobody is given what was loaded before a change that had returned when they came, and
//! everybody is given something, or told in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_store::Error;
use larder_testing::{Data, Fault, Plan, Simulation, World, at_every_await, dropped_at};
use larder_toolkit::Ttl;
use larder_toolkit::cache::{Cache, Keep, Loading};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::SEEDS;

const PROCESSES: [&str; 3] = ["ann", "bob", "cid"];
const NAMES: [&str; 2] = ["one", "two"];
const WAIT: Duration = Duration::from_secs(10);
const LOAD: Duration = Duration::from_millis(80);

/// What the store may do to a call, or to all: how long it takes until its caller knows, and a load.
const MARGIN: Duration = Duration::from_secs(60);

/// What the names stand for: numbers that only grow.
#[derive(Debug, Default)]
struct Database {
    now: [AtomicU64; 2],
    /// What the names stood for before the last changes of which their callers know that they were made.
    least: [AtomicU64; 2],
}

impl Database {
    /// Changes a name. Its number is what everybody has to see once the cache knows.
    fn change(&self, name: usize) -> u64 {
        self.now[name].fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// All that no store and no network lets a cache promise anything against: a copy that takes over without
/// the last deletes.
fn faults() -> Vec<Fault> {
    let (short, long) = (Duration::from_secs(2), Duration::from_secs(3600));
    let mut faults = [Fault::network(), Fault::refusals()].concat();
    faults.extend(
        ["{shop:cache*", "{shop:cache:*}:lease", "{shop:cache}"]
            .map(|keys| Fault::Evict(keys.into())),
    );
    faults.extend([
        Fault::ClockBack(long),
        Fault::ClockForward(short),
        Fault::ClockForward(long),
    ]);
    faults.push(Fault::Down {
        lasts: short,
        data: Data::Lost,
    });
    faults
}

#[test]
fn nobody_gets_what_was_loaded_before_a_change_that_had_returned() {
    Simulation::new()
        .seeds(SEEDS)
        .faults(faults())
        .run(async |world| {
            read_and_change(&world, usize::MAX).await;
            Ok(())
        });
}

#[test]
fn nobody_gets_what_is_too_old_where_parts_go_away_and_slots_move() {
    Simulation::new()
        .seeds(SEEDS)
        .parts(3)
        .faults([faults(), Fault::parts()].concat())
        .run(async |world| {
            read_and_change(&world, usize::MAX).await;
            Ok(())
        });
}

#[test]
fn nobody_gets_what_is_too_old_where_callers_go_away() {
    Simulation::new()
        .seeds(SEEDS)
        .faults(faults())
        .run(async |world| {
            read_and_change(&world, 12).await;
            Ok(())
        });
}

/// Several processes, each with readers and one who changes what they read.
async fn read_and_change(world: &World, drops: usize) {
    let database = Arc::new(Database::default());
    let mut tasks = JoinSet::new();
    for process in PROCESSES {
        let mut chance = world.chance(process);
        let mut cache = Cache::new(&world.store(process), "shop", Ttl::seconds(20)).wait(WAIT);
        if chance.one_in(2) {
            cache = cache.grace(Duration::from_secs(3600)).refresh_ahead(50);
        }
        if chance.one_in(4) {
            cache = cache.max_len(0);
        }
        for task in 0..3 {
            let (world, cache, database) = (world.clone(), cache.clone(), database.clone());
            tasks.spawn(read(
                world,
                format!("{process} {task}"),
                cache,
                database,
                drops,
            ));
        }
        let (world, database) = (world.clone(), database.clone());
        tasks.spawn(change(world, format!("{process} changes"), cache, database));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

async fn read(world: World, who: String, cache: Cache<u64>, database: Arc<Database>, drops: usize) {
    let mut chance = world.chance(&who);
    for _ in 0..12 {
        sleep(chance.time(&(Duration::ZERO..=LOAD * 2))).await;
        let name = chance.below(2) as usize;
        let takes = chance.time(&(Duration::ZERO..=LOAD));
        let source = database.clone();
        let load = move |loading: Option<Loading<u64>>| async move {
            let value = source.now[name].load(Ordering::SeqCst);
            sleep(takes).await;
            if let Some(loading) = loading {
                loading.tag(NAMES[name]);
            }
            Ok(value)
        };
        let keep = Keep::new().tag(NAMES[name]);
        let kind = chance.below(6);
        let reading = async {
            match kind {
                0 => cache.get(NAMES[name]).await.or(Ok(None)),
                1 => cache.get_many([NAMES[name]]).await.remove(0).or(Ok(None)),
                2 => cache
                    .get_or_load(NAMES[name], |loading| load(Some(loading)))
                    .await
                    .map(Some),
                3 => {
                    let load = move |_| load(None);
                    cache
                        .get_or_set_in_background(NAMES[name], keep, load)
                        .await
                        .map(Some)
                }
                _ => cache
                    .get_or_set_with(NAMES[name], keep, || load(None))
                    .await
                    .map(Some),
            }
        };
        let least = database.least[name].load(Ordering::SeqCst);
        let asked = Instant::now();
        let patience = if chance.one_in(2) { drops } else { usize::MAX };
        let patience = if patience == usize::MAX {
            patience
        } else {
            chance.below(patience as u64) as usize + 1
        };
        match dropped_at(patience, reading).await {
            Some(Ok(Some(value))) => {
                assert!(value >= least, "{who} got {value}, not {least}, by {kind}");
            }
            Some(Ok(None) | Err(Error::TimedOut { .. })) | None => {}
            Some(Err(error)) => panic!("{who} was told {error:?}, by {kind}"),
        }
        assert!(
            asked.elapsed() < WAIT + MARGIN,
            "{who} waited {:?}, by {kind}",
            asked.elapsed()
        );
    }
}

async fn change(world: World, who: String, cache: Cache<u64>, database: Arc<Database>) {
    let mut chance = world.chance(&who);
    for _ in 0..8 {
        sleep(chance.time(&(Duration::ZERO..=LOAD * 3))).await;
        let name = chance.below(2) as usize;
        let value = database.change(name);
        let changed = match chance.below(5) {
            0 => cache.delete(NAMES[name]).await.map(drop),
            1 => cache
                .delete_many(["other", NAMES[name]])
                .await
                .remove(1)
                .map(drop),
            2 => cache.invalidate_tags(["other", NAMES[name]]).await,
            3 => cache.invalidate_matching(NAMES[name]).await.map(drop),
            _ => cache.clear().await,
        };
        if changed.is_ok() {
            database.least[name].fetch_max(value, Ordering::SeqCst);
        }
    }
}

/// On a slow network that loses nothing.
#[test]
fn of_all_who_miss_a_value_at_once_one_loads_it() {
    let slow = |_| Plan::new().latency(Duration::ZERO..=Duration::from_millis(50));
    Simulation::new()
        .seeds(SEEDS)
        .plan_of(slow)
        .run(async |world| {
            let loads = Arc::new(AtomicU64::new(0));
            let mut tasks = JoinSet::new();
            for process in PROCESSES {
                let cache = Cache::new(&world.store(process), "shop", Ttl::hours(1));
                for _ in 0..10 {
                    let (cache, loads) = (cache.clone(), loads.clone());
                    tasks.spawn(async move {
                        let load = async || {
                            sleep(LOAD).await;
                            Ok(loads.fetch_add(1, Ordering::SeqCst))
                        };
                        cache.get_or_set("one", load).await
                    });
                }
            }
            while let Some(got) = tasks.join_next().await {
                assert_eq!(got??, 0);
            }
            assert_eq!(loads.load(Ordering::SeqCst), 1);
            Ok(())
        });
}

#[test]
fn a_load_that_is_dropped_anywhere_holds_up_nobody_and_leaves_nothing_old() {
    Simulation::new().run(async |world| {
        let lease = Duration::from_secs(3600);
        let cache = Cache::new(&world.store("ann"), "shop", Ttl::hours(1))
            .lease(lease)
            .wait(WAIT);
        let old = || async {
            sleep(LOAD).await;
            Ok(1)
        };
        let dropped = at_every_await(
            async || {
                cache
                    .get_or_set_with("one", Keep::new().tag("red"), old)
                    .await
            },
            async |_| {
                world.settled().await;
                cache.delete("one").await.unwrap();
                assert_eq!(cache.get_or_set("one", async || Ok(2)).await, Ok(2));
                assert_eq!(cache.get("one").await, Ok(Some(2)));
                cache.delete("one").await.unwrap();
            },
        );
        assert!(dropped.await > 5);

        // And without the delete: the lease that was left is taken over at once.
        at_every_await(
            async || {
                cache
                    .get_or_set_with("two", Keep::new().tag("red"), old)
                    .await
            },
            async |_| {
                let asked = Instant::now();
                assert!(cache.get_or_set("two", async || Ok(2)).await.is_ok());
                assert!(asked.elapsed() < LOAD);
                cache.clear().await.unwrap();
            },
        )
        .await;
        Ok(())
    });
}

#[test]
fn a_change_that_is_dropped_anywhere_can_be_made_again() {
    Simulation::new().run(async |world| {
        let cache = Cache::new(&world.store("ann"), "shop", Ttl::hours(1));
        let set = async || cache.set_with("one", &1, Keep::new().tag("red")).await;
        at_every_await(
            async || cache.delete("one").await,
            async |_| {
                world.settled().await;
                set().await.unwrap();
                assert_eq!(cache.get("one").await, Ok(Some(1)));
            },
        )
        .await;
        at_every_await(
            async || cache.invalidate_tags(["red"]).await,
            async |_| {
                world.settled().await;
                set().await.unwrap();
                assert_eq!(cache.get("one").await, Ok(Some(1)));
            },
        )
        .await;
        at_every_await(set, async |_| {
            world.settled().await;
            cache.clear().await.unwrap();
            assert_eq!(cache.get("one").await, Ok(None));
        })
        .await;
        Ok(())
    });
}
