//! The suites: Debian's source packages of the servers, and a copy of their tests to run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::servers::Kind;
use crate::steps;
use crate::tools::Tools;
use crate::tools::debian::{REDIS_7, REDIS_8, Source, VALKEY_9};
use crate::workspace;

/// What is read after the suite's own definitions.
const EXTERNAL: &str = include_str!("external.tcl");
/// The line of the suite's helper before which that is read.
const ARGUMENTS: &str = "\n# parse arguments\n";

/// A suite of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Suite {
    /// Redis 7.0's.
    Redis,
    /// Redis 8.0's.
    Redis8,
    /// Valkey 9.1's.
    Valkey,
}

impl Suite {
    /// The server that the suite is of.
    pub(super) fn server(self) -> Kind {
        match self {
            Suite::Redis => Kind::Redis,
            Suite::Redis8 => Kind::Redis8,
            Suite::Valkey => Kind::Valkey,
        }
    }

    /// How it is told what does not hold for a server that is younger than it.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            // Since 7.2 short sets and lists are kept as listpacks.
            Suite::Redis => &["--ignore-encoding"],
            Suite::Redis8 | Suite::Valkey => &[],
        }
    }

    fn source(self) -> Source {
        match self {
            Suite::Redis => REDIS_7,
            Suite::Redis8 => REDIS_8,
            Suite::Valkey => VALKEY_9,
        }
    }

    /// A folder to run it in, made anew.
    pub(super) fn prepare(self) -> Result<PathBuf> {
        let source = self.source().folder()?;
        let folder = workspace::scratch("suites")?.join(self.server().to_string());
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(folder.join("src"))?;
        steps::run(
            Command::new("cp")
                .arg("-r")
                .arg(source.join("tests"))
                .arg(&folder),
        )?;

        std::fs::write(folder.join("tests/support/external.tcl"), EXTERNAL)?;
        let helper = folder.join("tests/test_helper.tcl");
        let text = std::fs::read_to_string(&helper)?;
        let (definitions, rest) = text
            .split_once(ARGUMENTS)
            .with_context(|| format!("{} is not as it was", helper.display()))?;
        let patched =
            format!("{definitions}\nsource tests/support/external.tcl\n{ARGUMENTS}{rest}");
        std::fs::write(&helper, patched)?;
        self.put_programs(&folder)?;
        Ok(folder)
    }

    /// Puts programs where the suite looks for those it was built with: a few tests call the
    /// client, and Valkey's does not begin without a server, though it starts none here.
    fn put_programs(self, folder: &Path) -> Result<()> {
        let server = Tools::peer(Kind::Redis)?;
        let client = Tools::redis_cli()?;
        for name in ["redis-server", "valkey-server"] {
            std::fs::copy(&server, folder.join("src").join(name))?;
        }
        for name in ["redis-cli", "valkey-cli"] {
            std::fs::copy(&client, folder.join("src").join(name))?;
        }
        Ok(())
    }
}

/// The units that there are in this folder of a suite, such as `unit/type/list`.
pub(super) fn units(folder: &Path) -> Result<Vec<String>> {
    let tests = folder.join("tests");
    let mut units = Vec::new();
    for below in ["unit", "unit/type", "unit/cluster"] {
        let Ok(files) = std::fs::read_dir(tests.join(below)) else {
            continue;
        };
        for file in files {
            let path = file?.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            if path.extension().is_some_and(|it| it == "tcl") {
                units.push(format!("{below}/{stem}"));
            }
        }
    }
    units.sort();
    Ok(units)
}
