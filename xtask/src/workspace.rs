//! Where things are in the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::steps;

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder in the workspace")
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// A folder below `target` for results and for what servers leave, made if it is not there.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    let folder = target().join("xtask").join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Cargo, to be run in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(arguments);
    command
}

/// How the binary `larder` is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// Builds the binary `larder` and says where it is.
pub(crate) fn larder(profile: Profile) -> Result<PathBuf> {
    binary("larder", profile)
}

/// Builds a binary of the workspace and says where it is.
pub(crate) fn binary(name: &str, profile: Profile) -> Result<PathBuf> {
    // The whole workspace's features, so that nothing is built twice.
    let mut build = cargo(&["build", "--quiet", "--workspace", "--bin", name]);
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            build.arg("--release");
            "release"
        }
    };
    steps::run(&mut build)?;
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(target().join(folder).join(name))
}
