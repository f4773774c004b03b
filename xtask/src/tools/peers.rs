//! Servers that Larder is compared with and that Debian has no package of: built once, below
//! `target/peers`.
//!
//! Of these, the tests run on Redis 8 as well. A peer that cannot be had is left out of a benchmark or of
//! the tests, which say so.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::debian::{REDIS_8, Source, VALKEY_9};
use super::system::Program;
use crate::steps::{self, step};
use crate::workspace;

const MAKE: Program = Program {
    names: &["make"],
    variable: None,
    package: "make",
};
const CC: Program = Program {
    names: &["cc"],
    variable: None,
    package: "gcc",
};
const KEVY: &str = "kevy@7.0.0";

/// How the server of a source is built.
pub(super) struct Build {
    source: Source,
    program: &'static str,
    /// Its folder below `target/peers`.
    folder: &'static str,
    flags: &'static [&'static str],
}

/// With jemalloc, and optimized: a server is then at its best.
const BEST: &[&str] = &["MALLOC=jemalloc"];
/// Built in half a minute. Nothing is measured with it.
const QUICK: &[&str] = &["MALLOC=libc", "OPTIMIZATION=-O1"];

/// Redis 8.0, to be measured.
pub(super) const REDIS: Build = Build {
    source: REDIS_8,
    program: "redis-server",
    folder: "redis",
    flags: BEST,
};
/// Redis 8.0, for tests of what it answers.
pub(super) const REDIS_FOR_TESTS: Build = Build {
    folder: "redis-for-tests",
    flags: QUICK,
    ..REDIS
};
/// Valkey 9.1, to be measured.
pub(super) const VALKEY: Build = Build {
    source: VALKEY_9,
    program: "valkey-server",
    folder: "valkey",
    flags: BEST,
};

impl Build {
    /// The program, which is built if it is not there.
    pub(super) fn server(&self) -> Result<PathBuf> {
        let folder = folder(self.folder)?;
        let kept = folder.join(self.program);
        if kept.is_file() {
            return Ok(kept);
        }
        super::install_missing(&[MAKE, CC])?;
        let sources = self.source.folder()?;
        // A copy, since what one build leaves would spoil another. One that was not finished is left.
        let made = folder.join("made");
        if made.is_dir() {
            std::fs::remove_dir_all(&made)?;
        }
        steps::run(Command::new("cp").arg("-r").arg(&sources).arg(&made))?;
        step(&format!("building {}", self.source), || {
            let log = folder.join("build.log");
            let output = std::fs::File::create(&log)?;
            let mut make = patient("make");
            make.arg("-j2")
                .args(self.flags)
                .args(["BUILD_TLS=no", "USE_SYSTEMD=no"])
                .arg("-C")
                .arg(made.join("src"))
                .arg(self.program)
                .stdout(output.try_clone()?)
                .stderr(output);
            steps::run(&mut make).with_context(|| format!("see {}", log.display()))?;
            std::fs::copy(made.join("src").join(self.program), &kept)?;
            std::fs::remove_dir_all(&made)?;
            Ok(kept)
        })
    }
}

/// The server of the crate kevy.
pub(super) fn kevy() -> Result<PathBuf> {
    let root = folder("kevy")?;
    let kept = root.join("bin/kevy");
    if kept.is_file() {
        return Ok(kept);
    }
    step(&format!("building {KEVY}, which takes minutes"), || {
        // It says that it needs a younger compiler than this workspace's; whether it does, the
        // build tells.
        let mut install = patient("cargo");
        install
            .args(["install", "--quiet", "--locked", "--ignore-rust-version"])
            .args(["--jobs", "2", "--bin", "kevy"])
            .arg("--root")
            .arg(&root)
            .arg("--target-dir")
            .arg(root.join("build"))
            .arg(KEVY);
        steps::run(&mut install)?;
        Ok(kept)
    })
}

/// A program that leaves the machine to others.
fn patient(program: &str) -> Command {
    let mut command = Command::new("nice");
    command.arg(program);
    command
}

fn folder(name: &str) -> Result<PathBuf> {
    let folder: &Path = &workspace::target().join("peers").join(name);
    std::fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
}
