//! Python with the package redis and what is built on it, in an environment of its own.

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

/// The lists of packages in `tests/clients`, and how each is installed.
const LISTS: [(&str, &[&str]); 2] = [
    ("requirements.txt", &[]),
    ("requirements-alone.txt", &["--no-deps"]),
];

/// The Python of an environment that holds what the lists name.
pub(super) fn environment(python: &Path) -> Result<PathBuf> {
    let folder = super::folder("python")?;
    let inside = folder.join("bin").join("python");
    let lists = workspace::root().join("tests/clients");
    let mut recipe = String::new();
    for (list, _) in LISTS {
        recipe += &std::fs::read_to_string(lists.join(list))?;
    }
    if super::is_made_from(&folder, &recipe) {
        return Ok(inside);
    }
    step("installing Python packages into target/tools", || {
        steps::run(Command::new(python).args(["-m", "venv"]).arg(&folder))?;
        let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
        for (list, how) in LISTS {
            super::patiently(|| {
                let mut install = Command::new(&inside);
                install.args(pip).arg(lists.join(list)).args(how);
                install
            })?;
        }
        Ok(())
    })
    .context("they could not be installed: is PyPI within reach?")?;
    super::note_made_from(&folder, &recipe)?;
    Ok(inside)
}

/// The folder of a package's source, in the version that is installed: its tests are in it alone.
pub(super) fn source_of(package: &str, python: &Path) -> Result<PathBuf> {
    let folder = super::folder(&format!("{package}-source"))?;
    let lists = workspace::root().join("tests/clients");
    let packages = std::fs::read_to_string(lists.join(LISTS[0].0))?;
    let wanted = packages
        .lines()
        .find(|line| line.starts_with(&format!("{package}==")))
        .with_context(|| format!("no version of {package} is named"))?;
    let source = folder.join(wanted.replace("==", "-"));
    if super::is_made_from(&folder, wanted) {
        return Ok(source);
    }
    step(&format!("fetching the source of {package}"), || {
        super::patiently(|| {
            let mut download = Command::new(python);
            download
                .args(["-m", "pip", "download", "--quiet", "--no-deps"])
                .args(["--no-binary", ":all:", "--dest"])
                .arg(&folder)
                .arg(wanted);
            download
        })?;
        let archive = source.with_added_extension("tar.gz");
        let extract = ["-m", "tarfile", "-e"];
        steps::run(Command::new(python).args(extract).arg(archive).arg(&folder))
    })
    .context("it could not be fetched: is PyPI within reach?")?;
    super::note_made_from(&folder, wanted)?;
    Ok(source)
}
