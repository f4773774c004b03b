//! Jobs: each is done at least once, none is ended by somebody who does not have it, none is forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use larder_testing::{Chance, Entry, Fault, History, Plan, Simulation, World};
use larder_toolkit::stream::worker::{Backoff, Failure, Job, Worker};
use larder_toolkit::stream::{Group, Start, Stream, Trim};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::SEEDS;

const PROCESSES: [&str; 3] = ["ann", "bob", "cid"];
const JOBS: u64 = 15;
const IDLE: Duration = Duration::from_secs(10);

/// What the handlers of all processes did.
#[derive(Clone)]
struct Told {
    /// A job that was handled, and how that ended.
    handled: History<u64, End>,
    /// The jobs that one process handled twice at a time.
    twice: Arc<Mutex<Vec<u64>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    Dead,
}

/// The jobs that a process handles now.
type AtWork = Arc<Mutex<BTreeSet<u64>>>;

/// A handler that is at work, whether it gets to its end or is dropped.
struct Working {
    job: u64,
    at_work: AtWork,
}

/// What leaves in the store what was added.
fn faults() -> Vec<Fault> {
    let minute = Duration::from_secs(60);
    let mut faults = [Fault::network(), Fault::refusals()].concat();
    faults.extend([Fault::ClockBack(minute), Fault::ClockForward(minute)]);
    faults.push(Fault::FailOver {
        lost: 0,
        behind: minute,
    });
    faults
}

#[test]
fn each_job_is_done_and_ended_once_whatever_goes_wrong() {
    Simulation::new().seeds(SEEDS).faults(faults()).run(async |world| {
        let told = Told {
            handled: world.history(),
            twice: Arc::default(),
        };
        let queue = queue(&world, "dan");
        make_group(&world, &queue).await;
        let mut workers = Vec::new();
        for process in PROCESSES {
            workers.extend(start(&world, process, &told).await);
        }
        let added = add_jobs(&world, &queue).await;

        world.calm().await;
        // Somebody is there who takes over what others left.
        workers.extend(start(&world, "eve", &told).await);
        until_all_is_done(&world, &queue).await;
        let mut ended = 0;
        for worker in workers {
            let metrics = worker.shutdown().await;
            ended += metrics.done + metrics.dead;
        }
        let handled = told.handled.entries();
        check(&added, &handled);
        check_dead(&queue, &handled).await;
        assert!(ended <= JOBS, "{ended} ends of {JOBS} jobs");
        assert!(told.twice.lock().is_empty(), "twice at a time: {:?}", told.twice);
        Ok(())
    });
}

fn queue(world: &World, process: &str) -> Group<u64> {
    let stream = Stream::new(&world.store(process), "shop", "orders", Trim::Handled);
    stream.group("mail", Start::Earliest)
}

/// Makes the group before all else, so that every job is for it.
async fn make_group(world: &World, queue: &Group<u64>) {
    let plan = world.faulty().plan();
    world.faulty().follow(Plan::new());
    queue.create().await.unwrap();
    world.faulty().follow(plan);
}

async fn start(world: &World, process: &'static str, told: &Told) -> Option<Worker> {
    let chance = Arc::new(Mutex::new(world.chance(process)));
    let (told, at_work) = (told.clone(), AtWork::default());
    let handler = move |job: Job<u64>| {
        let working = Working::begin(job.body, &at_work);
        if working.is_none() {
            told.twice.lock().push(job.body);
        }
        let (time, end) = next(&mut chance.lock());
        let asked = told.handled.ask(process, job.body);
        async move {
            sleep(time).await;
            asked.answer(end);
            drop(working);
            match end {
                End::Done => Ok(()),
                End::Failed => Err(Failure::retry("not now")),
                End::Dead => Err(Failure::dead("never")),
            }
        }
    };
    let backoff = Backoff {
        first: IDLE / 10,
        most: IDLE,
    };
    let worker = queue(world, process).worker().consumer(process);
    let worker = worker.idle(IDLE).silence_max(IDLE * 4).backoff(backoff);
    worker.deliveries_max(1000).start(handler).await.ok()
}

/// How long a handler takes, now and then longer than a worker may be silent, and how it ends.
fn next(chance: &mut Chance) -> (Duration, End) {
    let time = chance.time(&(Duration::ZERO..=IDLE * 2));
    let end = match chance.below(6) {
        0..3 => End::Done,
        3..5 => End::Failed,
        _ => End::Dead,
    };
    (time, end)
}

impl Working {
    /// `None` if the process handles this job already.
    fn begin(job: u64, at_work: &AtWork) -> Option<Working> {
        at_work.lock().insert(job).then(|| Working {
            job,
            at_work: Arc::clone(at_work),
        })
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.at_work.lock().remove(&self.job);
    }
}

/// Adds jobs, each until it is certain that it was added. Gives the numbers of the jobs.
async fn add_jobs(world: &World, queue: &Group<u64>) -> Vec<u64> {
    let mut chance = world.chance("dan");
    let mut added = Vec::new();
    for number in 0..JOBS {
        sleep(chance.time(&(Duration::ZERO..=IDLE / 2))).await;
        if queue.stream().add(&number).await.is_ok() {
            added.push(number);
        }
    }
    added
}

/// Waits until the group has handled all that is in the stream, for much longer than that should take.
async fn until_all_is_done(world: &World, queue: &Group<u64>) {
    for _ in 0..1000 {
        let pending = queue.pending().await.unwrap();
        if pending.count == 0 {
            return;
        }
        sleep(IDLE).await;
    }
    panic!("jobs are left: {:?}", queue.pending().await);
}

fn check(added: &[u64], handled: &[Entry<u64, End>]) {
    for job in added {
        let ends: Vec<End> = { handled.iter() }
            .filter(|entry| entry.asked == *job)
            .filter_map(|entry| entry.answer().copied())
            .collect();
        let is_ended = ends.contains(&End::Done) || ends.contains(&End::Dead);
        assert!(is_ended, "job {job} was added and is forgotten: {ends:?}");
    }
}

/// Whatever is among the dead letters, some handler said that it is dead.
async fn check_dead(queue: &Group<u64>, handled: &[Entry<u64, End>]) {
    for letter in queue.dead_letters(None, 100).await.unwrap() {
        let job = letter.body.as_ref().unwrap();
        let mut ends = handled.iter().filter(|entry| entry.asked == *job);
        let was_said = ends.any(|entry| entry.answer() == Some(&End::Dead));
        assert!(was_said, "job {job} is a dead letter, and nobody said so");
    }
}
