//! The packages of Node.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::steps::step;
use crate::workspace;

/// A folder `node_modules` with what `tests/clients/package.json` names.
pub(super) fn modules(npm: &Path) -> Result<PathBuf> {
    let folder = super::folder("node")?;
    let modules = folder.join("node_modules");
    let list = workspace::root().join("tests/clients/package.json");
    let recipe = std::fs::read_to_string(&list)?;
    if super::is_made_from(&folder, &recipe) {
        return Ok(modules);
    }
    step("installing Node packages into target/tools", || {
        std::fs::copy(&list, folder.join("package.json"))?;
        let install = ["install", "--no-audit", "--no-fund", "--loglevel=error"];
        super::patiently(|| {
            let mut npm = Command::new(npm);
            npm.args(install).current_dir(&folder);
            npm
        })
    })
    .context("they could not be installed: is the registry of npm within reach?")?;
    super::note_made_from(&folder, &recipe)?;
    Ok(modules)
}
