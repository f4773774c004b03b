//! Long runs of random programs on the engine and on a real server.

use anyhow::Result;

use crate::steps::{self, step};
use crate::workspace::{cargo, target};

/// How `cargo xtask compare` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The family that the programs are about; all of them, one after the other, if it is not given.
    family: Option<String>,
    /// The seed of the first program.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many requests of the family are answered.
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Whose server the engine is compared to: redis or valkey.
    #[arg(long, default_value = "redis")]
    server: String,
}

/// Runs the programs, and says what was asked and where the answers differ.
pub(crate) fn run(options: &Options) -> Result<()> {
    let example = ["-p", "larder-testkit", "--example", "compare"];
    step("building compare", || {
        steps::run(cargo(&["build", "--quiet", "--profile", "faults"]).args(example))
    })?;
    let mut compare = std::process::Command::new(target().join("faults/examples/compare"));
    compare
        .args(options.family.as_deref())
        .args(["--seed", &options.seed.to_string()])
        .args(["--requests", &options.requests.to_string()])
        .args(["--server", &options.server]);
    steps::run(&mut compare)
}
