//! The laws of the toolkit's patterns, on stores that misbehave: simulated ones, and real servers.

use std::process::Command;

use anyhow::Result;

use crate::steps::{self, step, succeeds};
use crate::workspace::{cargo, target};

/// What the columns of the table are.
const HEAD: &str = "\
| scenario | seed | s | from fault, ms | from known, ms | answered | away | in doubt | refused | longest call, ms | \
past its deadline, ms | acknowledged, lost | fenced off | breaker opened/closed | connections | grown, MiB |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// How `cargo xtask faults` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// From how many seeds each workload is run.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The one pattern that is run, or a part of the name of a law; else all are.
    #[arg(long)]
    pattern: Option<String>,
    /// The one seed that is run, as a failure printed it.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run the load of all patterns on real servers that are killed, stopped and cut off.
    #[arg(long, conflicts_with_all = ["seeds", "pattern"])]
    real: bool,
    /// For how many seconds there is load in each scenario.
    #[arg(long, default_value_t = 20, requires = "real")]
    seconds: u64,
    /// The one scenario that is run, or a part of its name; else all are.
    #[arg(long, requires = "real")]
    scenario: Option<String>,
}

/// Runs the workloads until one of them breaks a law, and says from which seed.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.real {
        return run_real(options);
    }
    let (name, number) = match options.seed {
        Some(seed) => ("LARDER_TEST_SEED", seed),
        None => ("LARDER_TEST_SEEDS", options.seeds),
    };
    let mut laws = tests("laws", "faults");
    laws.env(name, number.to_string())
        .args(options.pattern.as_deref());
    step(&format!("laws, with {name}={number}"), || {
        steps::run(&mut laws)
    })
}

/// Runs the scenarios on real servers, one after the other, and prints what each has cost.
fn run_real(options: &Options) -> Result<()> {
    let seed = options
        .seed
        .unwrap_or_else(|| u64::from(std::process::id()));
    let table = target().join("faults.md");
    // There is none before the first run.
    let _ = std::fs::remove_file(&table);
    // What is measured is how servers and their clients find each other, which no optimiser makes faster.
    let mut scenarios = tests("real", "dev");
    scenarios
        .env("LARDER_TEST_SEED", seed.to_string())
        .env("LARDER_TEST_SECONDS", options.seconds.to_string())
        .env("LARDER_TEST_TABLE", &table)
        .args(options.scenario.as_deref());
    let ran = step(&format!("scenarios, with the seed {seed}"), || {
        steps::run(&mut scenarios)
    });
    println!("\n{HEAD}");
    print!("{}", std::fs::read_to_string(&table).unwrap_or_default());
    ran
}

/// Tests of `larder-testing`, one after the other, each in a process of its own: what a process has once,
/// the runs of other tests would change.
fn tests(name: &str, profile: &str) -> Command {
    let package = ["-p", "larder-testing", "--test", name];
    let mut command = match succeeds(&mut cargo(&["nextest", "--version"])) {
        true => cargo(&[
            "nextest",
            "run",
            "--no-fail-fast",
            "--cargo-profile",
            profile,
        ]),
        false => cargo(&["test", "--no-fail-fast", "--profile", profile]),
    };
    command.args(package).env("RUST_TEST_THREADS", "1");
    command.env("NEXTEST_TEST_THREADS", "1");
    command
}
