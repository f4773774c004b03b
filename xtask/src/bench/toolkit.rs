//! The toolkit beside its peers: checks, builds and runs `benches/toolkit`, a workspace of its own.

use std::process::Command;

use anyhow::Result;

use crate::servers::Kind;
use crate::steps::{self, step};
use crate::tools::Tools;
use crate::workspace::{cargo, target};

/// How `cargo xtask bench toolkit` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Passed on: `--help` lists what there is.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut run = of_the_bench(&["run", "--quiet", "--release"]);
    // Its profile is another than that of the binary, and neither is to throw the other's crates away.
    run.arg("--target-dir").arg(target().join("bench-toolkit"));
    run.env("LARDER_VALKEY_SERVER", Tools::peer(Kind::Valkey)?);
    steps::run(run.arg("--").args(&options.arguments))
}

/// Whether it still fits to the toolkit: the other checks know nothing of its workspace.
pub(crate) fn check() -> Result<()> {
    step("the bench of the toolkit", || {
        // What it has in common with the workspace has been checked by now.
        let mut check = of_the_bench(&["check", "--quiet"]);
        steps::run(check.arg("--target-dir").arg(target()))
    })
}

/// Cargo, to be run on the bench.
fn of_the_bench(arguments: &[&str]) -> Command {
    let mut cargo = cargo(arguments);
    cargo.args(["--manifest-path", "benches/toolkit/Cargo.toml"]);
    cargo
}
