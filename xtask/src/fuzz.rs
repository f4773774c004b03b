//! Random and hostile cases, run in a child that they may end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::steps::{self, step};
use crate::workspace::{self, cargo};

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Target {
    /// Scripts, and what they do to Lua.
    Scripts,
    /// Bytes, and the decoders of requests and answers.
    Resp,
    /// Payloads of RESTORE.
    Restore,
    /// Sequences of all commands.
    Commands,
}

impl Target {
    /// The package and the name of its program.
    fn program(self) -> [&'static str; 2] {
        match self {
            Target::Scripts => ["larder-engine", "fuzz_scripts"],
            Target::Resp => ["larder-testkit", "fuzz_resp"],
            Target::Restore => ["larder-testkit", "fuzz_restore"],
            Target::Commands => ["larder-testkit", "fuzz_commands"],
        }
    }
}

/// How `cargo xtask fuzz` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What is tried.
    target: Target,
    /// For how many seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What the cases are made from; the time if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Run them under valgrind, which is 50 times as slow.
    #[arg(long)]
    valgrind: bool,
    /// Build Lua and the engine with AddressSanitizer, which is three times as slow.
    #[arg(long, conflicts_with = "valgrind")]
    asan: bool,
}

/// What every check tries, and for how long.
const IN_CI: [(Target, u64); 4] = [
    (Target::Scripts, 20),
    (Target::Resp, 5),
    (Target::Restore, 10),
    (Target::Commands, 15),
];

/// How many bytes a program may have: values may take 64 MB, a text 16 MB, and an answer 64 MB. What
/// asks for more by a number in a case is refused them, and ends.
const MEMORY_MAX: u64 = 2 << 30;

/// Tries everything for a short time.
pub(crate) fn in_ci() -> Result<()> {
    IN_CI.into_iter().try_for_each(|(target, seconds)| {
        run(&Options {
            target,
            seconds,
            seed: Some(1),
            valgrind: false,
            asan: false,
        })
    })
}

/// The platform that AddressSanitizer is asked for by name: what runs while something is built
/// is built without it then.
const ASAN_PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Runs cases until the time is over or one of them ends the process.
pub(crate) fn run(options: &Options) -> Result<()> {
    let [_, name] = options.target.program();
    let program = step(&format!("building {name}"), || match options.asan {
        true => build_with_asan(options.target),
        false => build(options.target),
    })?;
    let seed = options.seed.map_or_else(seed_of_now, Ok)?;
    let last = workspace::scratch("fuzz")?.join(format!("last-of-{name}-{seed}"));
    let mut command = child(options, &program);
    command
        .args(["--seconds", &options.seconds.to_string()])
        .args(["--seed", &seed.to_string()])
        .arg("--last")
        .arg(&last);
    step(&format!("{name} from seed {seed}"), || {
        let status = command.status().context(format!("{name} can't be run"))?;
        if !status.success() {
            bail!("{status}: the last case is in {}", last.display());
        }
        Ok(())
    })
}

/// The program, under what watches it.
fn child(options: &Options, program: &Path) -> Command {
    if options.valgrind {
        let mut valgrind = Command::new("valgrind");
        valgrind.args([
            "--quiet",
            "--error-exitcode=99",
            "--exit-on-first-error=yes",
        ]);
        valgrind.arg(program);
        if options.target == Target::Scripts {
            valgrind.args(["--killed-after", "300"]);
        }
        return valgrind;
    }
    // The checks of AddressSanitizer lay claim to all addresses.
    if options.asan {
        return Command::new(program);
    }
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--as={MEMORY_MAX}")).arg(program);
    limited
}

/// How the program of a target is built.
fn building(target: Target) -> Command {
    let [package, name] = target.program();
    cargo(&["build", "--quiet", "-p", package, "--example", name])
}

fn build(target: Target) -> Result<PathBuf> {
    steps::run(&mut building(target))?;
    let [_, name] = target.program();
    Ok(workspace::target().join("debug/examples").join(name))
}

/// Builds it so that each access to memory is checked, in Rust and in C. The runtime of the
/// checks comes with Rust and knows what C compilers ask of it. Lua is made fast, as it is in a
/// release: some of its faults are there only when a compiler believes it.
fn build_with_asan(target: Target) -> Result<PathBuf> {
    let dir = workspace::target().join("asan");
    steps::run(
        building(target)
            .args(["--target", ASAN_PLATFORM])
            .arg("--target-dir")
            .arg(&dir)
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "2")
            // The stable compiler has it behind a door.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zsanitizer=address")
            .env(
                format!("CFLAGS_{ASAN_PLATFORM}"),
                "-fsanitize=address -fno-omit-frame-pointer",
            ),
    )?;
    let [_, name] = target.program();
    Ok(dir.join(format!("{ASAN_PLATFORM}/debug/examples/{name}")))
}

fn seed_of_now() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(now.as_secs())
}
