//! The models of lock code: what threads owe each other, in every order of their steps.

use anyhow::Result;

use crate::steps::{self, step};
use crate::workspace::{cargo, target};

/// The crates that have models.
const CRATES: [&str; 2] = ["larder-engine", "larder-server"];

/// How `cargo xtask models` is called.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// The one model that is run, or a part of its name; else all are.
    name: Option<String>,
    /// How often threads are stopped in the middle of what they do, instead of what each model says.
    #[arg(long)]
    preemptions: Option<usize>,
}

/// Runs the models until one of them breaks its law.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" --cfg larder_model");
    let mut models = cargo(&["test", "--quiet", "--lib"]);
    for name in CRATES {
        models.args(["-p", name]);
    }
    models
        .arg("--target-dir")
        .arg(target().join("models"))
        .args(["--", "--nocapture"])
        .arg(match &options.name {
            Some(name) => name,
            None => "models::",
        })
        .env("RUSTFLAGS", flags);
    if let Some(preemptions) = options.preemptions {
        models.env("LOOM_MAX_PREEMPTIONS", preemptions.to_string());
    }
    step("models of lock code", || steps::run(&mut models))
}
