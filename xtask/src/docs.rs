//! Documents that are generated, so that each fact stands once.

use std::process::Command;

use anyhow::{Result, bail};

use crate::steps::{self, step};
use crate::workspace::{self, cargo};

/// How `cargo xtask docs` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Change nothing, and fail if a document is not up to date.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Writes or checks COMMANDS.md.
pub(crate) fn run(options: &Options) -> Result<()> {
    step("generated documents", || {
        let generated = commands_md()?;
        let path = workspace::root().join("COMMANDS.md");
        if std::fs::read_to_string(&path).is_ok_and(|there| there == generated) {
            return Ok(());
        }
        if options.check {
            bail!("COMMANDS.md is not up to date: run `cargo xtask docs`");
        }
        Ok(std::fs::write(path, generated)?)
    })
}

/// COMMANDS.md, from the engine's table. The whole workspace's features are used, so that nothing
/// is built twice.
fn commands_md() -> Result<String> {
    let build = [
        "build",
        "--quiet",
        "--workspace",
        "--example",
        "commands_md",
    ];
    steps::run(&mut cargo(&build))?;
    let example = workspace::target().join("debug/examples/commands_md");
    steps::output(&mut Command::new(example))
}
