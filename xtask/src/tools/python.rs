//! Python with the package redis, in an environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::system::Program;
use crate::steps::{self, step};
use crate::workspace;

/// Whether Python can make environments. Debian has that in a package of its own.
pub(super) fn can_make_environments(python: &Program) -> bool {
    python.find().is_some_and(|python| {
        steps::succeeds(Command::new(python).args(["-c", "import ensurepip"]))
    })
}

/// The Python of an environment that holds what `tests/clients/requirements.txt` names.
pub(super) fn environment(python: &Path) -> Result<PathBuf> {
    let folder = super::folder("python")?;
    let inside = folder.join("bin").join("python");
    let list = workspace::root().join("tests/clients/requirements.txt");
    let recipe = std::fs::read_to_string(&list)?;
    if super::is_made_from(&folder, &recipe) {
        return Ok(inside);
    }
    step(
        "installing the Python package redis into target/tools",
        || {
            steps::run(Command::new(python).args(["-m", "venv"]).arg(&folder))?;
            let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
            steps::run(Command::new(&inside).args(pip).arg(&list))
        },
    )
    .context("redis-py could not be installed: is PyPI within reach?")?;
    super::note_made_from(&folder, &recipe)?;
    Ok(inside)
}
