//! What has to hold before a change is taken.

use anyhow::{Context, Result};

use crate::bench::beside_peers;
use crate::steps::{self, step};
use crate::workspace::cargo;
use crate::{docs, features, fuzz, test};

/// Runs every check.
pub(crate) fn run() -> Result<()> {
    step("format", || {
        steps::run(&mut cargo(&["fmt", "--all", "--check"]))
            .context("run `cargo fmt --all` (or `rustup component add rustfmt` if it is missing)")
    })?;
    step("lints", || {
        let clippy = [
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-Dwarnings",
        ];
        steps::run(&mut cargo(&clippy))
            .context("clippy is not content (if it is missing: `rustup component add clippy`)")
    })?;
    step("documentation", || {
        let doc = [
            "doc",
            "--quiet",
            "--workspace",
            "--all-features",
            "--no-deps",
        ];
        steps::run(cargo(&doc).env("RUSTDOCFLAGS", "-Dwarnings"))
    })?;
    features::check()?;
    beside_peers::check()?;
    docs::run(&docs::Options { check: true })?;
    fuzz::in_ci()?;
    test::run()
}
