//! The toolkit beside its peers: builds and runs `benches/toolkit`, a workspace of its own.

use anyhow::Result;

use crate::servers::Kind;
use crate::steps;
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
    let run = [
        "run",
        "--quiet",
        "--release",
        "--manifest-path",
        "benches/toolkit/Cargo.toml",
    ];
    let mut cargo = cargo(&run);
    cargo
        .arg("--target-dir")
        .arg(target().join("bench-toolkit"));
    cargo.env("LARDER_VALKEY_SERVER", Tools::peer(Kind::Valkey)?);
    steps::run(cargo.arg("--").args(&options.arguments))
}
