//! Benchmarks beside crates that do the same: `benches/toolkit` and `benches/remote`. Each is a workspace
//! of its own, since nobody else should build those crates.

use std::process::Command;

use anyhow::Result;

use crate::servers::Kind;
use crate::steps::{self, step};
use crate::tools::Tools;
use crate::workspace::{cargo, target};

/// The folders of the benchmarks.
const ALL: [&str; 2] = ["toolkit", "remote"];

/// How such a benchmark is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Passed on: `--help` lists what there is.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs the benchmark in this folder.
pub(crate) fn run(folder: &str, options: &Options) -> Result<()> {
    let mut run = of_the_bench(folder, &["run", "--quiet", "--release"]);
    // Its profile is another than that of the binary, and neither is to throw the other's crates away.
    run.arg("--target-dir").arg(target().join("bench-peers"));
    run.env("LARDER_VALKEY_SERVER", Tools::peer(Kind::Valkey)?);
    steps::run(run.arg("--").args(&options.arguments))
}

/// Whether they still fit to what they measure: the other checks know nothing of their workspaces.
pub(crate) fn check() -> Result<()> {
    for folder in ALL {
        step(&format!("the bench in benches/{folder}"), || {
            // What it has in common with the workspace has been checked by now.
            let mut check = of_the_bench(folder, &["check", "--quiet"]);
            steps::run(check.arg("--target-dir").arg(target()))
        })?;
    }
    Ok(())
}

/// Cargo, to be run on the benchmark in this folder.
fn of_the_bench(folder: &str, arguments: &[&str]) -> Command {
    let mut cargo = cargo(arguments);
    cargo.args(["--manifest-path", &format!("benches/{folder}/Cargo.toml")]);
    cargo
}
