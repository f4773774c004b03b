//! Caches: nothing is served that was loaded before an invalidation returned, and nobody waits for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use larder_store::BoxError;
use larder_testing::{Chance, Data, Entry, Fault, History, Simulation, World, dropped_at};
use larder_toolkit::Ttl;
use larder_toolkit::cache::{Cache, Keep};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::SEEDS;

const PROCESSES: [&str; 3] = ["ann", "bob", "cid"];
const NAMES: [&str; 2] = ["book.1", "book.2"];

/// Longer than anybody waits: for somebody else's load, for the store, or for both in turn.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// What is cached: the number of the last change of each name.
#[derive(Clone, Default)]
struct Database {
    numbers: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

/// What the tasks did and were told.
#[derive(Clone)]
struct Told {
    /// A name and the number that it was changed to, answered when its invalidation was.
    changes: History<(&'static str, u64), ()>,
    /// A name that was read, and the number that was found.
    reads: History<&'static str, u64>,
}

/// All but what undoes an invalidation that was acknowledged.
fn faults() -> Vec<Fault> {
    let (minute, second) = (Duration::from_secs(60), Duration::from_secs(1));
    let mut faults = [Fault::network(), Fault::refusals()].concat();
    faults.extend([Fault::ClockBack(minute), Fault::ClockForward(minute)]);
    faults.extend([Fault::Evict("*".into()), Fault::Expire("*".into())]);
    faults.push(Fault::Down {
        lasts: second,
        data: Data::Lost,
    });
    faults
}

#[test]
fn nothing_is_served_that_was_loaded_before_an_invalidation_returned() {
    let simulation = Simulation::new().seeds(SEEDS).longest(LONGEST);
    simulation.faults(faults()).run(async |world| {
        let told = use_caches(&world).await;
        check(&told.changes.entries(), &told.reads.entries());
        Ok(())
    });
}

/// The same without anything that goes wrong but callers who give up, and requests that take a while.
#[test]
fn callers_who_give_up_keep_nothing_old() {
    let simulation = Simulation::new().seeds(SEEDS).longest(LONGEST);
    let slow = vec![Fault::SlowRequest(Duration::from_millis(20))];
    simulation.faults(slow).run(async |world| {
        let told = use_caches(&world).await;
        check(&told.changes.entries(), &told.reads.entries());
        Ok(())
    });
}

fn cache(world: &World, process: &str) -> Cache<u64> {
    Cache::new(&world.store(process), "shop", Ttl::hours(1))
}

async fn use_caches(world: &World) -> Told {
    let database = Database::default();
    let told = Told {
        changes: world.history(),
        reads: world.history(),
    };
    let mut tasks = JoinSet::new();
    for process in PROCESSES {
        let cache = cache(world, process);
        for task in 0..4 {
            let chance = world.chance(&format!("{process} {task}"));
            let (cache, database, told) = (cache.clone(), database.clone(), told.clone());
            match task {
                0 => tasks.spawn(write(process, chance, cache, database, told)),
                _ => tasks.spawn(read(process, chance, cache, database, told)),
            };
        }
    }
    tasks.join_all().await;
    world.calm().await;
    told
}

async fn write(
    process: &'static str,
    mut chance: Chance,
    cache: Cache<u64>,
    database: Database,
    told: Told,
) {
    for _ in 0..8 {
        sleep(chance.time(&(Duration::ZERO..=Duration::from_millis(60)))).await;
        let name = NAMES[chance.below(2) as usize];
        let number = database.change(name);
        let asked = told.changes.ask(process, (name, number));
        let invalidated = match chance.below(5) {
            0 => cache.invalidate_tags(["books"]).await.is_ok(),
            1 => cache.invalidate_matching("book.*").await.is_ok(),
            2 => cache.clear().await.is_ok(),
            3 => cache.delete_many([name]).await.iter().all(Result::is_ok),
            _ => cache.delete(name).await.is_ok(),
        };
        if invalidated {
            asked.answer(());
        }
    }
}

async fn read(
    process: &'static str,
    mut chance: Chance,
    cache: Cache<u64>,
    database: Database,
    told: Told,
) {
    for _ in 0..12 {
        sleep(chance.time(&(Duration::ZERO..=Duration::from_millis(40)))).await;
        let name = NAMES[chance.below(2) as usize];
        let (before, after) = (load_time(&mut chance), load_time(&mut chance));
        let is_alone = chance.one_in(3);
        let load = || async {
            sleep(before).await;
            let number = database.number(name);
            sleep(after).await;
            Ok::<u64, BoxError>(number)
        };
        let asked = told.reads.ask(process, name);
        let found = async {
            match is_alone {
                true => cache.get(name).await.ok().flatten(),
                false => {
                    let keep = Keep::new().tags(["books"]);
                    let found = cache.get_or_set_with(name, keep, load).await;
                    Some(found.expect("a load that does not fail is an answer, store or not"))
                }
            }
        };
        let patience = match chance.one_in(4) {
            true => chance.below(12) as usize + 1,
            false => usize::MAX,
        };
        if let Some(Some(number)) = dropped_at(patience, found).await {
            asked.answer(number);
        }
    }
}

fn load_time(chance: &mut Chance) -> Duration {
    chance.time(&(Duration::ZERO..=Duration::from_millis(30)))
}

impl Database {
    fn change(&self, name: &'static str) -> u64 {
        let mut numbers = self.numbers.lock();
        let number = numbers.entry(name).or_default();
        *number += 1;
        *number
    }

    fn number(&self, name: &str) -> u64 {
        self.numbers.lock().get(name).copied().unwrap_or_default()
    }
}

fn check(changes: &[Entry<(&'static str, u64), ()>], reads: &[Entry<&'static str, u64>]) {
    for read in reads {
        let Some(&found) = read.answer() else {
            continue;
        };
        for change in changes.iter().filter(|change| change.is_before(read)) {
            let (name, number) = change.asked;
            assert!(
                name != read.asked || number <= found,
                "{read:?} found {found}, although {change:?} was before it",
            );
        }
    }
}
