//! Near reads: nobody reads less than was written before he asked, whatever he keeps of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use larder_store::{Command, Error, Freshness, FromValue, Near};
use larder_testing::{Fault, Simulation, World};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::SEEDS;

const PROCESSES: [&str; 3] = ["ann", "bob", "cid"];

/// A program's own cache of what it has made of an answer: it stands on the freshness alone.
struct Decoded {
    near: Near,
    kept: Option<(i64, Freshness)>,
}

impl Decoded {
    async fn read(&mut self, hits: &AtomicU64) -> Result<i64, Error> {
        if let Some((count, freshness)) = &self.kept
            && freshness.is_fresh()
        {
            hits.fetch_add(1, Ordering::SeqCst);
            return Ok(*count);
        }
        let (value, freshness) = self.near.fresh(Command::new("GET").arg("count")).await?;
        let count = Option::<i64>::from_value(value)?.unwrap_or(0);
        self.kept = Some((count, freshness));
        Ok(count)
    }
}

fn faults() -> Vec<Fault> {
    let mut faults = [Fault::network(), Fault::refusals()].concat();
    faults.extend([
        Fault::ClockBack(Duration::from_secs(60)),
        Fault::ClockForward(Duration::from_secs(60)),
    ]);
    faults
}

#[test]
fn nobody_reads_less_than_was_written_before_he_asked() {
    let hits = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&hits);
    Simulation::new()
        .seeds(SEEDS)
        .faults(faults())
        .run(async move |world| {
            let written = Arc::new(AtomicI64::new(0));
            let mut tasks = JoinSet::new();
            for process in PROCESSES {
                let near = world.store(process).near(100_000);
                for task in 0..2 {
                    let who = format!("{process} {task}");
                    let (world, near) = (world.clone(), near.clone());
                    let (written, hits) = (Arc::clone(&written), Arc::clone(&counted));
                    tasks.spawn(async move { work(&world, &who, near, &written, &hits).await });
                }
                let (world, written) = (world.clone(), Arc::clone(&written));
                tasks.spawn(async move { count(&world, process, &written).await });
            }
            tasks.join_all().await;
            Ok(())
        });
    assert!(
        hits.load(Ordering::SeqCst) > SEEDS,
        "hardly anything was kept"
    );
}

async fn work(world: &World, who: &str, near: Near, written: &AtomicI64, hits: &AtomicU64) {
    let mut chance = world.chance(who);
    let mut decoded = Decoded {
        near: near.clone(),
        kept: None,
    };
    for _ in 0..60 {
        sleep(chance.time(&(Duration::ZERO..=Duration::from_millis(20)))).await;
        let floor = written.load(Ordering::SeqCst);
        let read = match chance.one_in(2) {
            true => decoded.read(hits).await,
            false => {
                let read = near.run::<Option<i64>>(Command::new("GET").arg("count"));
                read.await.map(Option::unwrap_or_default)
            }
        };
        if let Ok(read) = read {
            assert!(read >= floor, "{who} reads {read}, and {floor} was written");
        }
    }
}

/// Counts, now and then.
async fn count(world: &World, process: &str, written: &AtomicI64) {
    let mut chance = world.chance(&format!("{process} counts"));
    let store = world.store(process);
    for _ in 0..6 {
        sleep(chance.time(&(Duration::ZERO..=Duration::from_millis(200)))).await;
        if let Ok(count) = store.incr("count").await {
            written.fetch_max(count, Ordering::SeqCst);
        }
    }
}
