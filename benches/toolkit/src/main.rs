//! The toolkit beside its peers.
//!
//! Each row is an operation of the toolkit, and those who do the same: `larder memory` on a store in
//! the process, `larder server` on Valkey (or another server), `raw server` the same commands in as
//! many round trips with nothing around them, and the crates that people use for it today. `two threads`
//! do half of the operations each: if they don't stand in each other's way, the wall time is half that of
//! one. `the answer at hand` is what the toolkit itself takes, of a session its sealing above all. The
//! contenders of a row are measured in turn, round by round, so that a slow minute of the machine meets
//! all of them alike; the medians are printed:
//!
//! - `cpu`: the time of the processor that this process takes for an operation, which is the store as
//!   well where that is in the process;
//! - `wall`: the time from the beginning to the end of an operation, one after the other;
//! - `trips`: the round trips of an operation.

mod at_hand;
mod jobs;
mod measure;
mod peers;
mod raw;
mod rows;
mod stores;

use anyhow::Result;
use clap::Parser;

use measure::{Figures, measure, median};
use stores::Stores;

/// The toolkit beside its peers.
#[derive(Parser)]
struct Options {
    /// How often each contender is measured; the medians are printed.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Operations in a round, of a contender in the process; on a server it is a tenth.
    #[arg(long, default_value_t = 100_000)]
    operations: usize,
    /// The rows to measure, by a part of their name; all if none is given.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// The contenders to measure, by a part of their name; all if none is given.
    #[arg(long, value_delimiter = ',')]
    who: Vec<String>,
}

fn is_among(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(&options))
}

async fn run(options: &Options) -> Result<()> {
    let stores = Stores::open()?;
    println!("| operation | who | cpu, ns | wall, ns | trips |\n|---|---|---|---|---|");
    for (name, build) in rows::ALL {
        if !is_among(name, &options.rows) {
            continue;
        }
        let mut contenders = build(&stores).await?;
        contenders.retain(|contender| is_among(contender.name, &options.who));
        let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); contenders.len()];
        for _ in 0..options.rounds {
            for (contender, figures) in contenders.iter().zip(&mut figures) {
                let operations = match contender.name.contains("server") {
                    true => options.operations / 10,
                    false => options.operations,
                };
                figures.push(measure(contender, operations.max(1)).await?);
            }
        }
        for (contender, figures) in contenders.iter().zip(figures) {
            let of = |pick: fn(&Figures) -> f64| median(figures.iter().map(pick).collect());
            let trips = match contender.trips {
                Some(trips) => trips.to_string(),
                None => "".to_owned(),
            };
            let (cpu, wall) = (of(|figures| figures.cpu_ns), of(|figures| figures.wall_ns));
            println!(
                "| {name} | {} | {cpu:.0} | {wall:.0} | {trips} |",
                contender.name
            );
        }
    }
    Ok(())
}
