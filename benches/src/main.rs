//! In-process benchmarks: the engine and the toolkit beside moka and dashmap.
//!
//! All work on the same million keys of 16 bytes with values of 64 bytes, a million times a round.
//! The contenders of a row are measured in turn, round by round, so that a slow minute of the
//! machine meets all of them alike; what is printed is the median of the rounds. The hit ratios of
//! caches of limited size are a table of their own. A row that others take part in has the store by the
//! functions for single keys first, and then by the name of the command.

mod contenders;
mod figures;
mod hit_ratio;
mod keys;
mod toolkit;

use anyhow::{Result, bail};
use clap::Parser;

use contenders::Row;
use figures::{Figures, measure};
use keys::{Keys, Pick};

/// The row that is a table of its own.
const HIT_RATIO: &str = "hit ratio";

/// In-process benchmarks.
#[derive(Parser)]
struct Options {
    /// How often each contender is measured; the medians are printed.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print the best round of each contender instead, on a machine that others use as well. Then many
    /// short rounds tell more than a few long ones.
    #[arg(long)]
    best: bool,
    /// Operations of each thread in a round.
    #[arg(long, default_value_t = 1_000_000)]
    operations: usize,
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// How keys are chosen.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = [Pick::Uniform, Pick::Zipf])]
    picks: Vec<Pick>,
    /// The rows to measure, by a part of their name; all if none is given.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// The contenders to measure, by a part of their name; all if none is given.
    #[arg(long, value_delimiter = ',')]
    who: Vec<String>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let is_wanted = |row: &&Row| is_among(row.name, &options.rows);
    let mut rows = contenders::rows();
    rows.extend(toolkit::rows());
    let rows: Vec<_> = rows.iter().filter(is_wanted).collect();
    let has_hit_ratio = is_among(HIT_RATIO, &options.rows);
    if rows.is_empty() && !has_hit_ratio || options.rounds == 0 || options.operations == 0 {
        bail!("there is nothing to measure");
    }

    if !rows.is_empty() {
        println!(
            "| operation | keys | threads | who | ns | CPU ns | million a second | CPU to best peer |"
        );
        println!("|---|---|---|---|---|---|---|---|");
    }
    for row in rows {
        run_row(row, &options)?;
    }
    match has_hit_ratio {
        true => hit_ratio::run(options.operations, |name| is_among(name, &options.who)),
        false => Ok(()),
    }
}

/// Whether a part of this name is among those that are wanted.
fn is_among(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
}

fn run_row(row: &Row, options: &Options) -> Result<()> {
    let contenders = row
        .contenders
        .iter()
        .filter(|(name, _)| is_among(name, &options.who))
        .map(|(name, build)| Ok((*name, build()?)))
        .collect::<Result<Vec<_>>>()?;
    for &pick in &options.picks {
        for &threads in &options.threads {
            let keys: Vec<Keys> = (0..threads)
                .map(|_| Keys::picked(pick, options.operations))
                .collect();
            let mut rounds = vec![Vec::new(); contenders.len()];
            for _ in 0..options.rounds {
                for ((_, contender), figures) in contenders.iter().zip(&mut rounds) {
                    figures.push(measure(contender, &keys)?);
                }
            }
            let summary = match options.best {
                true => Figures::best,
                false => Figures::median,
            };
            let summaries: Vec<_> = contenders
                .iter()
                .zip(&rounds)
                .map(|((name, _), rounds)| (*name, summary(rounds)))
                .collect();
            print_row(row.name, pick, threads, &summaries);
        }
    }
    Ok(())
}

/// Ours come first, and are compared with the best of the others.
fn print_row(row: &str, pick: Pick, threads: usize, contenders: &[(&str, Figures)]) {
    let is_ours = |name: &str| name.starts_with("larder");
    let best = contenders
        .iter()
        .filter(|(name, _)| !is_ours(name))
        .map(|(_, figures)| figures.cpu_ns)
        .min_by(f64::total_cmp);
    for (name, figures) in contenders {
        let ratio = match best {
            Some(best) if is_ours(name) => format!("{:.2}", figures.cpu_ns / best),
            _ => "-".into(),
        };
        println!(
            "| {row} | {pick} | {threads} | {name} | {:.0} | {:.0} | {:.2} | {ratio} |",
            figures.ns, figures.cpu_ns, figures.millions_a_second
        );
    }
}
