//! Limits: never more than the limit in any window, and nobody locked out for longer than a window.

use std::time::Duration;

use larder_testing::{Asking, Entry, Fault, History, Moment, Simulation, World};
use larder_toolkit::rate_limit::{Decision, Limit, Limiter, Quota};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::SEEDS;

const PERMITS: u32 = 5;
const PER: Duration = Duration::from_secs(1);
const PROCESSES: [&str; 3] = ["ann", "bob", "cid"];

/// Permits that were wanted, and whether they were given.
type Takes = History<u32, bool>;

/// A kind of limit, and how many permits it may give within a stretch of time.
struct Kind {
    limit: fn(Quota) -> Limit,
    most: fn(Duration) -> u32,
}

const GCRA: Kind = Kind {
    limit: Limit::gcra,
    most: |time| PERMITS + (time.as_secs_f64() * f64::from(PERMITS)) as u32,
};

/// A stretch that is shorter than a window.
const SLIDING_WINDOW: Kind = Kind {
    limit: Limit::sliding_window,
    most: |time| if time < PER { PERMITS } else { u32::MAX },
};

const SLIDING_COUNTER: Kind = Kind {
    limit: Limit::sliding_counter,
    most: |time| if time < PER { 2 * PERMITS } else { u32::MAX },
};

/// A stretch that is shorter than a window meets two windows at most.
const FIXED_WINDOW: Kind = Kind {
    limit: Limit::fixed_window,
    most: |time| if time < PER { 2 * PERMITS } else { u32::MAX },
};

/// What leaves in the store what was taken.
fn faults() -> Vec<Fault> {
    let second = Duration::from_secs(1);
    let mut faults = [Fault::network(), Fault::refusals()].concat();
    for by in [second / 2, second, second * 60, second * 3600] {
        faults.extend([Fault::ClockBack(by), Fault::ClockForward(by)]);
        faults.push(Fault::FailOver {
            lost: 0,
            behind: by,
        });
    }
    faults
}

fn check(kind: &'static Kind) {
    check_in(Simulation::new().seeds(SEEDS).faults(faults()), kind);
}

fn check_in(simulation: Simulation, kind: &'static Kind) {
    simulation.run(async |world| {
        let takes = contend(&world, kind).await;
        check_most(kind, &takes.entries(), &steps_forward(&world));
        is_open_after_a_wait(&world, kind).await;
        Ok(())
    });
}

#[test]
fn gcra_gives_no_more_than_its_burst_and_what_has_come_back() {
    check(&GCRA);
}

#[test]
fn a_sliding_window_gives_no_more_than_its_limit_in_any_window() {
    check(&SLIDING_WINDOW);
}

#[test]
fn a_sliding_counter_gives_no_more_than_its_limit_in_each_of_two_windows() {
    check(&SLIDING_COUNTER);
}

#[test]
fn a_fixed_window_gives_no_more_than_its_limit_in_each_of_two_windows() {
    check(&FIXED_WINDOW);
}

#[test]
fn no_limit_gives_more_where_parts_go_away_and_slots_move() {
    for kind in [&GCRA, &SLIDING_WINDOW, &SLIDING_COUNTER, &FIXED_WINDOW] {
        let faults = [faults(), Fault::parts()].concat();
        check_in(
            Simulation::new().seeds(SEEDS / 4).parts(3).faults(faults),
            kind,
        );
    }
}

/// Several processes that take permits for the same name.
async fn contend(world: &World, kind: &'static Kind) -> Takes {
    let takes = world.history();
    let mut tasks = JoinSet::new();
    for process in PROCESSES {
        for task in 0..2 {
            tasks.spawn(work(world.clone(), kind, process, task, takes.clone()));
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    takes
}

fn limiter(world: &World, kind: &Kind, process: &str) -> Limiter {
    let quota = Quota::new(PERMITS, PER).unwrap();
    Limiter::new(&world.store(process), "api", (kind.limit)(quota))
}

async fn work(world: World, kind: &Kind, process: &'static str, task: u64, takes: Takes) {
    let mut chance = world.chance(&format!("{process} {task}"));
    let limiter = limiter(&world, kind, process);
    for _ in 0..12 {
        sleep(chance.time(&(Duration::ZERO..=PER / 3))).await;
        let wanted = chance.below(2) as u32 + 1;
        let asked = takes.ask(process, wanted);
        if let Ok(decision) = limiter.take("login", wanted).await {
            asked.answer(decision.is_allowed());
            check_wait(&decision);
        }
    }
}

/// Whatever the clock did, nobody is told to wait for longer than what empties the whole limit.
fn check_wait(decision: &Decision) {
    let Some(wait) = decision.retry_after() else {
        return;
    };
    // The counter looks back on the window before.
    assert!(wait <= 2 * PER, "locked out: {decision:?}");
}

/// Nobody else takes, nothing goes wrong: whoever comes back when he is told to is let in.
async fn is_open_after_a_wait(world: &World, kind: &Kind) {
    world.calm().await;
    let limiter = limiter(world, kind, "dan");
    let first = limiter.take_one("login").await.unwrap();
    if let Some(wait) = first.retry_after() {
        // The timers of tokio go by milliseconds.
        sleep(wait + Duration::from_millis(1)).await;
        let second = limiter.take_one("login").await.unwrap();
        assert!(second.is_allowed(), "{first:?}, and after that {second:?}");
    }
}

/// When the clock was set forward, and by how much.
fn steps_forward(world: &World) -> Vec<(Moment, Duration)> {
    let history = world.faulty().history().entries();
    let steps = history.iter().filter_map(|entry| match entry.asked {
        Asking::Happened(Fault::ClockForward(by)) => Some((entry.began, by)),
        _ => None,
    });
    steps.collect()
}

/// How much time has passed by the store's own account: a clock that is set back stands still.
fn passed(moment: &Moment, steps: &[(Moment, Duration)]) -> Duration {
    let before = steps.iter().filter(|(step, _)| step.is_before(moment));
    moment.elapsed + before.map(|(_, by)| *by).sum::<Duration>()
}

/// In each stretch of time, the permits that were certainly given within it.
fn check_most(kind: &Kind, takes: &[Entry<u32, bool>], steps: &[(Moment, Duration)]) {
    let given: Vec<(Duration, Duration, u32)> = { takes.iter() }
        .filter(|take| take.answer() == Some(&true))
        .map(|take| {
            let (end, _) = take.ended.as_ref().unwrap();
            (passed(&take.began, steps), passed(end, steps), take.asked)
        })
        .collect();
    for (from, ..) in &given {
        for (_, to, _) in given.iter().filter(|(begin, ..)| begin >= from) {
            let within = given
                .iter()
                .filter(|(begin, end, _)| begin >= from && end <= to);
            let sum: u32 = within.map(|(.., permits)| permits).sum();
            let most = (kind.most)(*to - *from);
            assert!(
                sum <= most,
                "{sum} permits, not {most}, from {from:?} to {to:?}"
            );
        }
    }
}
