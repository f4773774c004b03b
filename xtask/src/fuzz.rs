//! Random and hostile scripts, run in a child that they may end.

use std::path::PathBuf;
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
    /// Build Lua and the engine with AddressSanitizer, which is three times as slow.
    #[arg(long, conflicts_with = "valgrind")]
    asan: bool,
}

/// How long and from what the scripts of every check are made.
pub(crate) const IN_CI: Options = Options {
    seconds: 20,
    seed: Some(1),
    valgrind: false,
    asan: false,
};

/// The platform that AddressSanitizer is asked for by name: what runs while something is built
/// is built without it then.
const ASAN_PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Runs scripts until the time is over or one of them ends the process.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = step("building fuzz_scripts", || match options.asan {
        true => build_with_asan(),
        false => build(),
    })?;
    let seed = options.seed.map_or_else(seed_of_now, Ok)?;
    let last = workspace::scratch("scripts")?.join(format!("last-of-{seed}.lua"));
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
            valgrind.args(["--killed-after", "300"]);
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

const BUILD: [&str; 6] = [
    "build",
    "--quiet",
    "-p",
    "larder-engine",
    "--example",
    "fuzz_scripts",
];

fn build() -> Result<PathBuf> {
    steps::run(&mut cargo(&BUILD))?;
    Ok(workspace::target().join("debug/examples/fuzz_scripts"))
}

/// Builds it so that each access to memory is checked, in Rust and in C. The runtime of the
/// checks comes with Rust and knows what C compilers ask of it. Lua is made fast, as it is in a
/// release: some of its faults are there only when a compiler believes it.
fn build_with_asan() -> Result<PathBuf> {
    let target = workspace::target().join("asan");
    steps::run(
        cargo(&BUILD)
            .args(["--target", ASAN_PLATFORM])
            .arg("--target-dir")
            .arg(&target)
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "2")
            // The stable compiler has it behind a door.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zsanitizer=address")
            .env(
                format!("CFLAGS_{ASAN_PLATFORM}"),
                "-fsanitize=address -fno-omit-frame-pointer",
            ),
    )?;
    Ok(target.join(format!("{ASAN_PLATFORM}/debug/examples/fuzz_scripts")))
}

fn seed_of_now() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(now.as_secs())
}
