//! Locks: one holder at a time, tokens that grow, and nobody who holds a lock without knowing it.

use std::time::Duration;

use larder_testing::{Data, Entry, Fault, History, Plan, Simulation, World, dropped_at};
use larder_toolkit::lock::{Extension, Locks};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::SEEDS;

const TTL: Duration = Duration::from_secs(20);
const PROCESSES: [&str; 3] = ["ann", "bob", "cid"];

/// What the tasks were told.
#[derive(Clone)]
struct Told {
    /// A request, and the token that was granted.
    grants: History<&'static str, u64>,
    /// From when to when a holder took the lock of this token for its own.
    held: History<u64, ()>,
}

/// What takes no lock away from its holder: the store keeps what it has acknowledged.
fn harmless() -> Vec<Fault> {
    [Fault::network(), Fault::refusals()].concat()
}

#[test]
fn one_holds_a_lock_at_a_time_and_its_token_is_larger_than_all_before() {
    Simulation::new()
        .seeds(SEEDS)
        .faults(harmless())
        .run(async |world| {
            let told = contend(&world).await;
            check_one_holder(&told.held.entries());
            check_tokens(&told.grants.entries());
            Ok(())
        });
}

#[test]
fn one_holds_a_lock_at_a_time_where_parts_go_away_and_slots_move() {
    Simulation::new()
        .seeds(SEEDS)
        .parts(3)
        .faults([harmless(), Fault::parts()].concat())
        .run(async |world| {
            let told = contend(&world).await;
            check_one_holder(&told.held.entries());
            check_tokens(&told.grants.entries());
            Ok(())
        });
}

#[test]
fn tokens_grow_when_locks_expire_early() {
    let mut faults = harmless();
    faults.push(Fault::Expire("{shop:lock:stock}".into()));
    Simulation::new()
        .seeds(SEEDS)
        .faults(faults)
        .run(async |world| {
            check_tokens(&contend(&world).await.grants.entries());
            Ok(())
        });
}

#[test]
fn tokens_grow_when_the_clock_is_set() {
    let mut faults = harmless();
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    faults.extend([Fault::ClockBack(minute), Fault::ClockBack(hour)]);
    faults.extend([Fault::ClockForward(minute), Fault::ClockForward(hour)]);
    Simulation::new()
        .seeds(SEEDS)
        .faults(faults)
        .run(async |world| {
            check_tokens(&contend(&world).await.grants.entries());
            Ok(())
        });
}

/// Requests that overtake each other, or come when nobody waits for them any more.
#[test]
fn a_request_that_comes_after_it_was_given_up_holds_no_lock() {
    Simulation::new()
        .seeds(SEEDS)
        .faults(Fault::network())
        .run(async |world| {
            contend(&world).await;
            let locks = Locks::new(&world.store("dan"), "shop");
            drop(locks.lock("stock", TTL / 2).await?);
            Ok(())
        });
}

/// Requests that do not overtake each other: a store that is full may refuse to note that one was given
/// up, and one that arrives after that holds the lock until it expires.
#[test]
fn a_lock_that_nobody_wants_any_more_is_free_long_before_it_expires() {
    let faults = [
        Fault::Away,
        Fault::LoseRequest,
        Fault::LoseAnswer,
        Fault::Down {
            lasts: Duration::from_secs(5),
            data: Data::Kept,
        },
    ];
    let faults = [faults.to_vec(), Fault::refusals()].concat();
    let in_order = move |seed| Plan::random(seed, &faults).latency(Duration::ZERO..=Duration::ZERO);
    Simulation::new()
        .seeds(SEEDS)
        .plan_of(in_order)
        .run(async |world| {
            contend(&world).await;
            let locks = Locks::new(&world.store("dan"), "shop");
            drop(locks.lock("stock", TTL / 2).await?);
            Ok(())
        });
}

/// Dropped at every await, with nothing else that goes wrong.
#[test]
fn a_request_that_is_dropped_anywhere_leaves_the_lock_free() {
    Simulation::new().run(async |world| {
        let locks = Locks::new(&world.store("ann"), "shop").ttl(TTL);
        let others = Locks::new(&world.store("bob"), "shop");
        for n in 1.. {
            let done = dropped_at(n, locks.lock("stock", TTL)).await.is_some();
            sleep(TTL / 10).await;
            assert!(others.try_lock("stock").await?.is_some(), "dropped at {n}");
            others.close().await;
            if done {
                return Ok(());
            }
        }
        Ok(())
    });
}

/// As above, of a request that waits for a lock that somebody else holds.
#[test]
fn a_waiter_that_is_dropped_anywhere_leaves_the_lock_free() {
    Simulation::new().run(async |world| {
        let locks = Locks::new(&world.store("ann"), "shop").ttl(TTL);
        let others = Locks::new(&world.store("bob"), "shop");
        for n in 1.. {
            let held = others.try_lock("stock").await?.expect("it is free");
            let release = tokio::spawn(async move {
                sleep(TTL / 20).await;
                held.release().await
            });
            let done = dropped_at(n, locks.lock("stock", TTL)).await.is_some();
            assert!(release.await??);
            sleep(TTL / 10).await;
            assert!(others.try_lock("stock").await?.is_some(), "dropped at {n}");
            others.close().await;
            if done {
                return Ok(());
            }
        }
        Ok(())
    });
}

#[test]
fn a_release_or_an_extension_that_is_dropped_anywhere_leaves_the_lock_free() {
    Simulation::new().run(async |world| {
        let locks = Locks::new(&world.store("ann"), "shop").ttl(TTL);
        let others = Locks::new(&world.store("bob"), "shop");
        for n in 1..20 {
            let guard = locks.try_lock("stock").await?.expect("it is free");
            dropped_at(n, guard.extend(TTL)).await;
            dropped_at(n, guard.release()).await;
            sleep(TTL / 10).await;
            assert!(others.try_lock("stock").await?.is_some(), "dropped at {n}");
            others.close().await;
        }
        Ok(())
    });
}

/// Several processes, each with two tasks, that want the same lock. Gives what they were told, when all
/// has gone quiet.
async fn contend(world: &World) -> Told {
    let told = Told {
        grants: world.history(),
        held: world.history(),
    };
    let mut tasks = JoinSet::new();
    let mut all = Vec::new();
    for process in PROCESSES {
        let extension = match world.chance(process).one_in(2) {
            true => Extension::Automatic,
            false => Extension::ByHand,
        };
        let locks = Locks::new(&world.store(process), "shop")
            .ttl(TTL)
            .extension(extension);
        for task in 0..2 {
            tasks.spawn(work(
                world.clone(),
                process,
                task,
                locks.clone(),
                told.clone(),
            ));
        }
        all.push(locks);
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    world.calm().await;
    for locks in all {
        locks.close().await;
    }
    told
}

async fn work(world: World, process: &'static str, task: u64, locks: Locks, told: Told) {
    let mut chance = world.chance(&format!("{process} {task}"));
    for _ in 0..4 {
        sleep(chance.time(&(Duration::ZERO..=TTL / 10))).await;
        let asked = told.grants.ask(process, "stock");
        let waits = chance.one_in(2);
        let request = async {
            match waits {
                true => locks.lock("stock", TTL).await.map(Some),
                false => locks.try_lock("stock").await,
            }
        };
        // Some callers go away in the middle.
        let patience = if chance.one_in(4) {
            chance.below(9) as usize + 1
        } else {
            usize::MAX
        };
        let Some(Ok(Some(guard))) = dropped_at(patience, request).await else {
            continue;
        };
        asked.answer(guard.token());
        let holding = told.held.ask(process, guard.token());
        let work = sleep(chance.time(&(Duration::ZERO..=TTL * 3 / 2)));
        // Whether it was lost or the work was done, the holder stops here.
        let _ = guard.run(work).await;
        holding.answer(());
        match chance.below(3) {
            0 => drop(guard),
            1 => drop(guard.release().await),
            _ => drop(dropped_at(chance.below(4) as usize + 1, guard.release()).await),
        }
    }
}

fn check_one_holder(held: &[Entry<u64, ()>]) {
    for (place, one) in held.iter().enumerate() {
        for other in &held[place + 1..] {
            assert!(
                one.is_before(other) || other.is_before(one),
                "two holders at a time: {one:?} and {other:?}",
            );
        }
    }
}

fn check_tokens(grants: &[Entry<&'static str, u64>]) {
    let granted = grants.iter().filter(|grant| grant.answer().is_some());
    let granted: Vec<_> = granted.collect();
    for (place, one) in granted.iter().enumerate() {
        for other in &granted[place + 1..] {
            assert_ne!(
                one.answer(),
                other.answer(),
                "a token twice: {one:?} and {other:?}"
            );
            if one.is_before(other) {
                assert!(
                    one.answer() < other.answer(),
                    "tokens go back: {one:?}, {other:?}"
                );
            }
        }
    }
}
