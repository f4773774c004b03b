//! Servers that benchmarks compare with and that Debian has no package of: built once, below
//! `target/peers`.
//!
//! The tests do not need them, so no test builds them. A peer that cannot be had is left out of a
//! benchmark, which says so.

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

/// The server of Redis 8.0.
pub(super) fn redis_8() -> Result<PathBuf> {
    from_source(REDIS_8, "redis-server")
}

/// The server of Valkey 9.1, with jemalloc: its memory is then at its best.
pub(super) fn valkey_9() -> Result<PathBuf> {
    from_source(VALKEY_9, "valkey-server")
}

/// Builds a server from its source and gives its program.
fn from_source(source: Source, program: &str) -> Result<PathBuf> {
    let kept = folder(source.package)?.join(program);
    if kept.is_file() {
        return Ok(kept);
    }
    super::install_missing(&[MAKE, CC])?;
    let sources = source.folder()?;
    step(&format!("building {source}, which takes minutes"), || {
        let log = folder(source.package)?.join("build.log");
        let output = std::fs::File::create(&log)?;
        let mut make = patient("make");
        make.arg("-j2")
            .args(["MALLOC=jemalloc", "BUILD_TLS=no", "USE_SYSTEMD=no"])
            .arg("-C")
            .arg(&sources)
            .stdout(output.try_clone()?)
            .stderr(output);
        steps::run(&mut make).with_context(|| format!("see {}", log.display()))?;
        std::fs::copy(sources.join("src").join(program), &kept)?;
        Ok(kept)
    })
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
