//! Random and hostile scripts, run in a child that they may end.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::steps::{self, step};
use crate::workspace::{self, cargo};

/// How `cargo xtask fuzz-scripts` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// For how many seconds scripts are run.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What the scripts are made from; the time if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Run them under valgrind, which is 50 times as slow.
    #[arg(long)]
    valgrind: bool,
}

/// How long and from what the scripts of every check are made.
pub(crate) const IN_CI: Options = Options {
    seconds: 20,
    seed: Some(1),
    valgrind: false,
};

/// Runs scripts until the time is over or one of them ends the process.
pub(crate) fn run(options: &Options) -> Result<()> {
    let build = [
        "build",
        "--quiet",
        "-p",
        "larder-engine",
        "--example",
        "fuzz_scripts",
    ];
    step("building fuzz_scripts", || steps::run(&mut cargo(&build)))?;
    let target = workspace::root().join("target");
    let program = target.join("debug/examples/fuzz_scripts");
    let last = target.join("last-script.lua");
    let seed = options.seed.map_or_else(seed_of_now, Ok)?;
    let mut command = match options.valgrind {
        false => Command::new(&program),
        true => {
            let mut valgrind = Command::new("valgrind");
            valgrind.args([
                "--quiet",
                "--error-exitcode=99",
                "--exit-on-first-error=yes",
            ]);
            valgrind.arg(&program);
            valgrind
        }
    };
    command
        .args(["--seconds", &options.seconds.to_string()])
        .args(["--seed", &seed.to_string()])
        .arg("--last")
        .arg(&last);
    step(&format!("scripts from seed {seed}"), || {
        let status = command.status().context("fuzz_scripts can't be run")?;
        if !status.success() {
            bail!("{status}: the last script is in {}", last.display());
        }
        Ok(())
    })
}

fn seed_of_now() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(now.as_secs())
}
