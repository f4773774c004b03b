//! The features of `larder`, each by itself.

use anyhow::{Context, Result};

use crate::steps::{self, step};
use crate::workspace::{cargo, root};

/// Checks that `larder` builds without features, and with each of them alone, and that the engine has nothing
/// to complain of without Lua.
pub(crate) fn check() -> Result<()> {
    step("each feature alone", || {
        let features = all()?;
        let none = String::new();
        for feature in [&none].into_iter().chain(&features) {
            let check = ["check", "--quiet", "-p", "larder", "--no-default-features"];
            let mut check = cargo(&check);
            check.args(["--features", feature]);
            steps::run(&mut check)
                .with_context(|| format!("with the feature {feature:?} alone"))?;
        }
        // What is there only with Lua, or only without it, is nobody's dead code.
        let clippy = [
            "clippy",
            "--quiet",
            "-p",
            "larder-engine",
            "--no-default-features",
        ];
        steps::run(cargo(&clippy).args(["--", "-Dwarnings"]))?;
        steps::run(
            cargo(&["test", "--quiet", "-p", "larder", "--test", "features"]).args([
                "--no-default-features",
                "--features",
                "memory,cache",
            ]),
        )
    })
}

/// The features that `larder` has, apart from the default.
fn all() -> Result<Vec<String>> {
    let manifest = std::fs::read_to_string(root().join("crates/larder/Cargo.toml"))?;
    let section = manifest
        .split_once("[features]")
        .and_then(|(_, rest)| rest.split_once("\n["))
        .context("crates/larder/Cargo.toml has no features")?
        .0;
    let names = section
        .lines()
        .filter_map(|line| line.split_once(" = ["))
        .map(|(name, _)| name);
    Ok(names
        .filter(|name| *name != "default")
        .map(str::to_owned)
        .collect())
}
