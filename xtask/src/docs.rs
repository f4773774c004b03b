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

/// What is generated: the example of the engine that prints it, and its place.
const GENERATED: [(&str, &str); 3] = [
    ("commands_md", "COMMANDS.md"),
    ("larder_conf", "deploy/larder.conf"),
    ("shapes_rs", "crates/store/src/shape/table.rs"),
];

/// Writes or checks what is generated from the engine's table.
pub(crate) fn run(options: &Options) -> Result<()> {
    step("generated documents", || {
        for (example, place) in GENERATED {
            let generated = output_of(example)?;
            let path = workspace::root().join(place);
            if std::fs::read_to_string(&path).is_ok_and(|there| there == generated) {
                continue;
            }
            if options.check {
                bail!("{place} is not up to date: run `cargo xtask docs`");
            }
            std::fs::write(path, generated)?;
        }
        Ok(())
    })
}

/// What an example prints. The whole workspace's features are used, so that nothing is built twice.
fn output_of(example: &str) -> Result<String> {
    steps::run(&mut cargo(&[
        "build",
        "--quiet",
        "--workspace",
        "--example",
        example,
    ]))?;
    let example = workspace::target().join("debug/examples").join(example);
    steps::output(&mut Command::new(example))
}
