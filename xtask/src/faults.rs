//! The laws of the toolkit's patterns, on stores that misbehave.

use anyhow::Result;

use crate::steps::{self, step};
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
    let laws = [
        "test",
        "--quiet",
        "--profile",
        "faults",
        "-p",
        "larder-testing",
        "--test",
        "laws",
    ];
    let mut build = cargo(&laws);
    step("building the laws", || steps::run(build.arg("--no-run")))?;

    let mut command = cargo(&laws);
    let (name, number) = match options.seed {
        Some(seed) => ("LARDER_TEST_SEED", seed),
        None => ("LARDER_TEST_SEEDS", options.seeds),
    };
    command.env(name, number.to_string()).arg("--");
    command
        .args(options.pattern.as_deref())
        .arg("--show-output");
    step(&format!("laws, with {name}={number}"), || {
        steps::run(&mut command)
    })
}
