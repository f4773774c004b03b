//! Workers: each job is done at least once, and settled once, by who did it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::time::Duration;

use larder_store::Store;
use larder_testing::{
    Calls, Chance, Data, Entry, Fault, History, Plan, Simulation, World, at_every_await, dropped_at,
};
use larder_toolkit::stream::{
    Added, Backoff, Cron, Failure, Group, Id, Job, Start, Stream, Trim, Worker,
};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// A run takes some ten times as long as those of other patterns.
const SEEDS: u64 = crate::SEEDS / 4;

const IDLE: Duration = Duration::from_secs(3);
const PROCESSES: [&str; 3] = ["ann", "bob", "cid"];

/// The number of the jobs of the schedule.
const TICK: u64 = 1_000_000;

/// A job that takes so long that others would take it over, if nobody showed a sign of life.
const SLOW: u64 = 999_999;

/// A delivery to a worker of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Handled {
    worker: &'static str,
    life: u64,
    number: u64,
    id: Id,
    deliveries: u32,
}

/// What a handler said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Done,
    Later,
    Never,
}

/// What the tasks were told.
#[derive(Clone)]
struct Told {
    added: History<u64, ()>,
    handled: History<Handled, Said>,
}

impl Told {
    fn of(world: &World) -> Told {
        Told {
            added: world.history(),
            handled: world.history(),
        }
    }
}

fn jobs(store: &Store) -> Stream<u64> {
    Stream::new(store, "shop", "jobs", Trim::Never)
}

fn group(store: &Store) -> Group<u64> {
    jobs(store).group("all", Start::Earliest)
}

/// What takes nothing away that the store has acknowledged.
fn harmless() -> Vec<Fault> {
    [Fault::network(), Fault::refusals()].concat()
}

#[test]
fn each_job_is_done_and_settled_by_who_did_it() {
    let run = Simulation::new().seeds(SEEDS / 4).faults(harmless());
    run.run(async |world| {
        let told = work(&world).await?;
        check_all_are_done(&world, &told).await?;
        check_ticks(&world).await
    });
}

#[test]
fn each_job_is_done_and_settled_by_who_did_it_where_parts_go_away_and_slots_move() {
    let faults = [harmless(), Fault::parts()].concat();
    let run = Simulation::new().seeds(SEEDS / 4).parts(3).faults(faults);
    run.run(async |world| {
        let told = work(&world).await?;
        check_all_are_done(&world, &told).await
    });
}

#[test]
fn each_job_is_done_and_settled_by_who_did_it_when_the_clock_is_set() {
    let mut faults = harmless();
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    faults.extend([Fault::ClockBack(minute), Fault::ClockBack(hour)]);
    faults.extend([Fault::ClockForward(minute), Fault::ClockForward(hour)]);
    Simulation::new()
        .seeds(SEEDS / 4)
        .faults(faults)
        .run(async |world| {
            let told = work(&world).await?;
            check_all_are_done(&world, &told).await
        });
}

/// What was lost with the copy is lost; the rest goes on.
#[test]
fn workers_go_on_when_a_copy_takes_over_or_all_is_lost() {
    let mut faults = harmless();
    faults.push(Fault::FailOver {
        lost: 20,
        behind: Duration::from_secs(60),
    });
    faults.push(Fault::Down {
        lasts: Duration::from_secs(5),
        data: Data::Lost,
    });
    Simulation::new()
        .seeds(SEEDS / 4)
        .faults(faults)
        .run(async |world| {
            let told = work(&world).await?;
            check_one_at_a_time(&told.handled.entries());
            // A job that comes now is done, whatever was before.
            let stream = jobs(&world.without_faults());
            let group = group(&world.without_faults());
            let worker = start(&world, "dan", 0, told.clone()).await?;
            let id = stream.add(&77).await?;
            while !told
                .handled
                .entries()
                .iter()
                .any(|entry| entry.asked.id == id)
            {
                sleep(IDLE).await;
            }
            while group.pending().await?.count > 0 {
                sleep(IDLE).await;
            }
            worker.shutdown().await;
            Ok(())
        });
}

#[test]
fn an_addition_that_is_dropped_anywhere_adds_one_job_or_none() {
    Simulation::new().run(async |world| {
        let store = world.store("ann");
        let number = std::cell::Cell::new(0);
        let dropped = at_every_await(
            async || {
                number.set(number.get() + 1);
                jobs(&store).add(&number.get()).await
            },
            async |_| {
                world.settled().await;
                let added = jobs(&world.without_faults()).latest(1000).await.unwrap();
                let of_this = |entry: &&larder_toolkit::stream::Entry<u64>| {
                    entry.body.as_ref().is_ok_and(|body| *body == number.get())
                };
                assert!(added.iter().filter(of_this).count() <= 1);
            },
        );
        assert!(dropped.await > 1);

        // Under a name it may be asked for until it is answered.
        at_every_await(
            async || jobs(&store).add_unique("once", &TICK).await,
            async |_| world.settled().await,
        )
        .await;
        let again = jobs(&store).add_unique("once", &TICK).await?;
        assert!(matches!(again, Added::Before(_)));
        Ok(())
    });
}

#[test]
fn a_shutdown_that_is_dropped_anywhere_goes_on() {
    Simulation::new().run(async |world| {
        for n in 1..10 {
            let told = Told::of(&world);
            let store = world.without_faults();
            jobs(&store).add(&n).await?;
            let worker = start(&world, "ann", n, told).await?;
            sleep(Duration::from_millis(10)).await;

            dropped_at(n as usize, worker.shutdown()).await;

            assert_eq!(timeout(IDLE * 10, worker.closed()).await?, Ok(()));
            assert_eq!(group(&store).info().await?.consumers, 0, "dropped at {n}");
        }
        Ok(())
    });
}

/// A start that is dropped leaves at most a group, which the next start finds.
#[test]
fn a_start_that_is_dropped_anywhere_can_be_repeated() {
    Simulation::new().run(async |world| {
        let told = Told::of(&world);
        at_every_await(
            async || start(&world, "ann", 0, told.clone()).await,
            async |worker| {
                if let Some(Ok(worker)) = worker {
                    worker.shutdown().await;
                }
            },
        )
        .await;
        assert_eq!(group(&world.without_faults()).info().await?.consumers, 0);
        Ok(())
    });
}

/// Requests of the end arrive, answers are lost, and it is told again: it counts once.
#[test]
fn an_end_whose_answer_is_lost_is_told_again_and_counts_once() {
    Simulation::new().run(async |world| {
        let told = Told::of(&world);
        let store = world.without_faults();
        let worker = start(&world, "ann", 0, told).await?;
        let lost = Calls::scripts().like("done").nth(1);
        world
            .faulty()
            .follow(Plan::new().with(lost, Fault::LoseAnswer));
        jobs(&store).add(&0).await?;

        while worker.metrics().processed + worker.metrics().dead == 0 {
            sleep(IDLE).await;
        }
        let metrics = worker.shutdown().await;
        assert_eq!(
            (metrics.processed, metrics.lost, metrics.in_hand),
            (1, 0, 0)
        );
        Ok(())
    });
}

/// The store is away from one worker alone: the other takes over, and the first one's end is refused.
#[test]
fn what_one_lost_by_an_outage_is_settled_by_the_other_alone() {
    Simulation::new().run(async |world| {
        let told = Told::of(&world);
        let store = world.without_faults();
        jobs(&store).add(&SLOW).await?;
        let one = start(&world, "ann", 0, told.clone()).await?;
        sleep(IDLE).await;
        let other = start(&world, "bob", 0, told.clone()).await?;
        world
            .faulty()
            .follow(Plan::new().with(Calls::all().of("ann"), Fault::Away));
        while other.metrics().processed == 0 {
            sleep(IDLE).await;
        }
        world.calm().await;
        sleep(IDLE * 4).await;

        let (one, other) = (one.shutdown().await, other.shutdown().await);
        assert_eq!((one.processed, one.lost, other.processed), (0, 1, 1));
        assert_eq!(group(&store).pending().await?.count, 0);
        Ok(())
    });
}

/// The store was away for all: nobody's silence says anything.
#[test]
fn nobody_is_taken_for_dead_after_an_outage_for_all() {
    Simulation::new().run(async |world| {
        let told = Told::of(&world);
        let store = world.without_faults();
        for _ in 0..2 {
            jobs(&store).add(&SLOW).await?;
        }
        let one = start(&world, "ann", 0, told.clone()).await?;
        let other = start(&world, "bob", 0, told.clone()).await?;
        sleep(IDLE * 2).await;

        world.faulty().go_away();
        sleep(IDLE * 2).await;
        world.faulty().come_back();
        while one.metrics().processed + other.metrics().processed < 2 {
            sleep(IDLE).await;
        }

        assert_eq!((one.metrics().lost, other.metrics().lost), (0, 0));
        assert_eq!(told.handled.len(), 2);
        one.shutdown().await;
        other.shutdown().await;
        Ok(())
    });
}

/// Processes that add jobs and handle them, crash and are started again. Gives what they were told,
/// when all is done.
async fn work(world: &World) -> Result<Told, Box<dyn std::error::Error>> {
    let told = Told::of(world);
    let each_minute = Cron::parse("* * * * *")?;
    while {
        jobs(&world.without_faults())
            .schedule("tick", &each_minute, &TICK)
            .await
    }
    .is_err()
    {
        sleep(IDLE).await;
    }
    let mut tasks = JoinSet::new();
    for (place, process) in PROCESSES.into_iter().enumerate() {
        tasks.spawn(produce(world.clone(), process, place as u64, told.clone()));
        tasks.spawn(serve(world.clone(), process, told.clone()));
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }

    world.calm().await;
    jobs(&world.without_faults()).unschedule("tick").await?;
    let worker = start(world, "eve", 0, told.clone()).await?;
    let group = group(&world.without_faults());
    // What is delayed comes within this time, and what crashed workers had is taken over.
    sleep(IDLE * 10).await;
    let mut rounds = 0;
    while group.info().await?.oldest.is_some() {
        rounds += 1;
        assert!(rounds < 200, "{:?}", group.info().await?);
        sleep(IDLE).await;
    }
    assert_eq!(worker.ended(), None);
    worker.shutdown().await;
    Ok(told)
}

/// Adds jobs, now and later.
async fn produce(world: World, process: &'static str, place: u64, told: Told) {
    let stream = jobs(&world.store(process));
    let mut chance = world.chance(&format!("{process} produces"));
    for number in 0..8 {
        let number = place * 1000 + number;
        sleep(chance.time(&(Duration::ZERO..=IDLE))).await;
        let asked = told.added.ask(process, number);
        let delay = chance.time(&(Duration::ZERO..=IDLE));
        let is_added = match chance.below(3) {
            0 => stream.add(&number).await.is_ok(),
            1 => stream.add_in(delay, &number).await.is_ok(),
            _ => stream
                .add_unique(&number.to_string(), &number)
                .await
                .is_ok(),
        };
        if is_added {
            asked.answer(());
        }
    }
}

/// Lives of a worker: it is shut down, or crashes.
async fn serve(world: World, process: &'static str, told: Told) {
    let mut chance = world.chance(&format!("{process} serves"));
    for life in 0..3 {
        let worker = loop {
            match start(&world, process, life, told.clone()).await {
                Ok(worker) => break worker,
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        };
        sleep(chance.time(&(IDLE..=IDLE * 5))).await;
        match chance.below(3) {
            0 => drop(worker),
            1 => drop(dropped_at(chance.below(5) as usize + 1, worker.shutdown()).await),
            _ => drop(worker.shutdown().await),
        }
    }
}

async fn start(
    world: &World,
    process: &'static str,
    life: u64,
    told: Told,
) -> Result<Worker, larder_store::Error> {
    let world = world.clone();
    group(&world.store(process))
        .worker()
        .consumer(format!("{process} {life}"))
        .concurrency(3)
        .idle(IDLE)
        .drain(IDLE)
        .deliveries_max(1_000)
        .backoff(Backoff::between(Duration::from_millis(100), IDLE))
        .start(move |job: Job<u64>| {
            let handled = Handled {
                worker: process,
                life,
                number: job.body,
                id: job.id,
                deliveries: job.deliveries,
            };
            let asked = told.handled.ask(process, handled);
            let chance = world.chance(&format!("{} {}", job.body, job.deliveries));
            async move {
                let result = handle(&job, chance).await;
                asked.answer(match &result {
                    Ok(()) => Said::Done,
                    Err(failure) if failure.to_string() == "never" => Said::Never,
                    Err(_) => Said::Later,
                });
                result
            }
        })
        .await
}

/// What handlers do: they work for a time, and heed their tokens or not.
async fn handle(job: &Job<u64>, mut chance: Chance) -> Result<(), Failure> {
    if job.body == SLOW {
        sleep(IDLE * 6).await;
        return Ok(());
    }
    let time = chance.time(&(Duration::ZERO..=IDLE / 3));
    match job.body % 1000 {
        0..2 => sleep(time).await,
        _ => match chance.below(10) {
            0 => return Err("not now".into()),
            1 => return Err(Failure::retry_after(time, "a little later")),
            2 if chance.one_in(3) => return Err(Failure::dead("never")),
            3 => resume_unwind(Box::new("as a handler may")),
            4 => sleep(IDLE * 2).await,
            5 => {
                let long = sleep(IDLE * 2);
                tokio::select! {
                    biased;
                    () = job.cancel.cancelled() => return Err("I was told to stop".into()),
                    () = long => {}
                }
            }
            _ => sleep(time).await,
        },
    }
    Ok(())
}

/// All that was acknowledged is done, or given up by a handler; and by the last delivery.
async fn check_all_are_done(world: &World, told: &Told) -> Result<(), Box<dyn std::error::Error>> {
    let handled = told.handled.entries();
    check_one_at_a_time(&handled);

    let group = group(&world.without_faults());
    let letters = group.dead_letters(None, 1000).await?;
    let dead: BTreeMap<Id, u32> = letters
        .iter()
        .map(|letter| (letter.original, letter.deliveries))
        .collect();
    assert_eq!(
        dead.len(),
        letters.len(),
        "a dead letter twice: {letters:?}"
    );

    let mut last: BTreeMap<Id, Vec<&Entry<Handled, Said>>> = BTreeMap::new();
    for entry in &handled {
        let same = last.entry(entry.asked.id).or_default();
        let latest = same.first().map_or(0, |entry| entry.asked.deliveries);
        if entry.asked.deliveries > latest {
            same.clear();
        }
        if entry.asked.deliveries >= latest {
            same.push(entry);
        }
    }
    for (id, entries) in &last {
        let said = |said| entries.iter().any(|entry| entry.answer() == Some(&said));
        match dead.get(id) {
            Some(deliveries) => {
                assert_eq!(*deliveries, entries[0].asked.deliveries);
                assert!(said(Said::Never), "{id} is dead: {entries:?}");
            }
            None => assert!(said(Said::Done), "{id} is settled: {entries:?}"),
        }
    }

    let seen: BTreeSet<u64> = last
        .values()
        .map(|entries| entries[0].asked.number)
        .collect();
    for added in told.added.entries() {
        let is_acknowledged = added.answer().is_some();
        assert!(
            !is_acknowledged || seen.contains(&added.asked),
            "lost: {added:?}"
        );
    }
    // What was added under an acknowledgement, or by a request that went astray, was added once.
    let stream = jobs(&world.without_faults()).latest(10_000).await?;
    let mut numbers = BTreeMap::<u64, u32>::new();
    for entry in stream {
        *numbers.entry(entry.body?).or_default() += 1;
    }
    numbers.remove(&TICK);
    assert!(numbers.values().all(|times| *times == 1), "{numbers:?}");
    Ok(())
}

/// One life of a worker has no two handlers of one job at a time.
fn check_one_at_a_time(handled: &[Entry<Handled, Said>]) {
    for (place, one) in handled.iter().enumerate() {
        for other in &handled[place + 1..] {
            let key = |entry: &Entry<Handled, Said>| {
                (entry.asked.worker, entry.asked.life, entry.asked.id)
            };
            // One without an answer was dropped, nobody knows when.
            if key(one) == key(other) && one.answer().is_some() && other.answer().is_some() {
                assert!(
                    one.is_before(other) || other.is_before(one),
                    "two at a time: {one:?} and {other:?}",
                );
            }
        }
    }
}

/// A tick adds one entry, or none if it passed while nobody was there.
async fn check_ticks(world: &World) -> Result<(), Box<dyn std::error::Error>> {
    let entries = jobs(&world.without_faults()).latest(10_000).await?;
    let ticks: Vec<u64> = entries
        .iter()
        .filter(|entry| entry.body.as_ref().is_ok_and(|body| *body == TICK))
        .map(|entry| entry.id.ms / 60_000)
        .collect();
    let minutes: BTreeSet<_> = ticks.iter().collect();
    assert_eq!(minutes.len(), ticks.len(), "two in a minute: {ticks:?}");
    Ok(())
}
