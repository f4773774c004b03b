//! Source packages of Debian, unpacked below `target/sources`.
//!
//! apt is told of the suite on its command line alone: the lists it fetches and the sources it
//! unpacks lie below `target`, and how the machine's own apt is set up is neither read nor changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::system::Program;
use crate::steps::{self, step};
use crate::workspace;

const MIRROR: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const DPKG_SOURCE: Program = Program {
    names: &["dpkg-source"],
    variable: None,
    package: "dpkg-dev",
};

/// A source package, and the suite of Debian that has the version wanted.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) package: &'static str,
    pub(crate) suite: &'static str,
    /// How the version wanted begins. A suite moves on; a younger version is said to be one.
    pub(crate) version: &'static str,
}

pub(crate) const REDIS_7: Source = Source {
    package: "redis",
    suite: "bookworm",
    version: "7.0.",
};
pub(crate) const REDIS_8: Source = Source {
    package: "redis",
    suite: "sid",
    version: "8.0.",
};
pub(crate) const VALKEY_9: Source = Source {
    package: "valkey",
    suite: "sid",
    version: "9.1.",
};

impl Source {
    /// The folder of the unpacked source, which is fetched if it is not there.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let place = workspace::target()
            .join("sources")
            .join(format!("{}-{}", self.package, self.suite));
        if let Some(unpacked) = self.unpacked(&place) {
            return Ok(unpacked);
        }
        std::fs::create_dir_all(&place)?;
        let name = format!("fetching the source of {self}");
        step(&name, || self.fetch(&place))
            .with_context(|| format!("Debian's source package of {self} could not be fetched"))?;
        self.unpacked(&place).with_context(|| {
            format!(
                "the suite has another version than {self}: see {}",
                place.display()
            )
        })
    }

    /// The folder that apt has unpacked the source into, if it is there.
    fn unpacked(&self, place: &Path) -> Option<PathBuf> {
        let wanted = format!("{}-{}", self.package, self.version);
        let folders = std::fs::read_dir(place).ok()?.flatten();
        folders
            .filter(|it| it.file_name().to_string_lossy().starts_with(&wanted))
            .map(|it| it.path())
            .find(|path| path.is_dir())
    }

    fn fetch(&self, place: &Path) -> Result<()> {
        super::install_missing(&[DPKG_SOURCE])?;
        let list = place.join("sources.list");
        let line = format!(
            "deb-src [signed-by={KEYRING}] {MIRROR} {} main\n",
            self.suite
        );
        std::fs::write(&list, line)?;
        std::fs::create_dir_all(place.join("lists/partial"))?;
        std::fs::create_dir_all(place.join("cache/archives/partial"))?;
        let apt_get = |arguments: &[&str]| {
            let mut command = Command::new("apt-get");
            command
                .current_dir(place)
                .arg(format!("-oDir::Etc::sourcelist={}", list.display()))
                .arg("-oDir::Etc::sourceparts=/dev/null")
                .arg(format!(
                    "-oDir::State::lists={}",
                    place.join("lists").display()
                ))
                .arg(format!("-oDir::Cache={}", place.join("cache").display()))
                // The user that apt would become cannot read below this folder.
                .arg("-oAPT::Sandbox::User=root")
                .arg("--quiet")
                .args(arguments);
            steps::output(&mut command)
        };
        apt_get(&["update"])?;
        apt_get(&["source", self.package])?;
        Ok(())
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}x ({})", self.package, self.version, self.suite)
    }
}
