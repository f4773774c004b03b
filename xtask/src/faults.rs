//! The laws of the toolkit's patterns, on stores that misbehave.

use std::process::Command;

use anyhow::Result;

use crate::steps::{self, step, succeeds};
use crate::workspace::cargo;

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
}

/// Runs the workloads until one of them breaks a law, and says from which seed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (name, number) = match options.seed {
        Some(seed) => ("LARDER_TEST_SEED", seed),
        None => ("LARDER_TEST_SEEDS", options.seeds),
    };
    let mut laws = laws();
    laws.env(name, number.to_string())
        .args(options.pattern.as_deref());
    step(&format!("laws, with {name}={number}"), || {
        steps::run(&mut laws)
    })
}

/// The tests of the laws, each in a process of its own: what a process has once, the runs of other
/// tests would change.
fn laws() -> Command {
    let package = ["-p", "larder-testing", "--test", "laws"];
    let mut command = match succeeds(&mut cargo(&["nextest", "--version"])) {
        true => cargo(&["nextest", "run", "--cargo-profile", "faults"]),
        false => cargo(&["test", "--profile", "faults"]),
    };
    command.args(package).env("RUST_TEST_THREADS", "1");
    command
}
