//! Programs of the system, from Debian's packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::steps::{self, step};

/// A program that the system has or can install.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    /// The names it goes by, the best first.
    pub(crate) names: &'static [&'static str],
    /// The variable with which somebody may name another one.
    pub(crate) variable: Option<&'static str>,
    /// Debian's package.
    pub(crate) package: &'static str,
}

impl Program {
    /// Where it is, if it is there.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let named = self.variable.and_then(std::env::var_os);
        match named {
            Some(path) => Some(path.into()).filter(|path: &PathBuf| path.is_file()),
            None => self.names.iter().find_map(|name| on_path(name)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        self.find().with_context(|| match self.variable {
            Some(variable) => format!(
                "{} was not found: install it, or set {variable} to where it is",
                self.names[0]
            ),
            None => format!("{} was not found: install it", self.names[0]),
        })
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Installs packages of Debian, if there are any to install.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let wanted = packages.join(", ");
    if on_path("apt-get").is_none() {
        bail!("these are missing: {wanted}\n{}", by_hand());
    }
    step(&format!("installing {wanted} with apt-get"), || {
        apt_get(&["update", "-q"])?;
        let install = ["install", "-q", "-y", "--no-install-recommends"];
        apt_get(&[&install[..], packages].concat())
    })
    .with_context(|| format!("could not install {wanted}; install it by hand and run this again"))
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = match is_root() {
        true => Command::new("env"),
        false if on_path("sudo").is_some() => {
            let mut sudo = Command::new("sudo");
            sudo.arg("env");
            sudo
        }
        false => bail!("apt-get needs root, and there is no sudo"),
    };
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .arg("-oAcquire::Retries=3")
        .args(arguments);
    steps::run(&mut command)
}

fn is_root() -> bool {
    steps::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// How to install everything where there is no apt-get.
fn by_hand() -> &'static str {
    let is_macos = cfg!(target_os = "macos");
    match () {
        () if is_macos => {
            "install them with: brew install redis node python ruby && gem install sidekiq && brew install --cask chromium"
        }
        () if Path::new("/etc/fedora-release").exists() => {
            "install them with: sudo dnf install redis chromium nodejs nodejs-npm python3 rubygem-sidekiq"
        }
        () => {
            "install redis (server and tools), chromium, node, npm, python3 with venv, sidekiq and prometheus-redis-exporter"
        }
    }
}
