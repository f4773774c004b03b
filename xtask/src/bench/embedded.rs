//! The engine in process: builds and runs the workspace's crate `larder-benches`.

use anyhow::Result;

use crate::steps;
use crate::workspace::cargo;

/// How `cargo xtask bench embedded` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Passed on: `--help` lists what there is.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    let run = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "larder-benches",
        "--",
    ];
    steps::run(cargo(&run).args(&options.arguments))
}
