//! Long runs of random programs on the engine and on a real server.

use std::path::PathBuf;

use anyhow::Result;

use crate::servers::Kind;
use crate::steps::{self, step};
use crate::tools::Tools;
use crate::workspace::{cargo, target};

/// How `cargo xtask compare` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The family that the programs are about; all of them, one after the other, if it is not given.
    family: Option<String>,
    /// The seed of the first program.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many requests of the family are answered.
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Whose server the engine is compared to.
    #[arg(long, value_enum, default_value_t = Server::Redis)]
    server: Server,
}

/// Whose server the engine is compared to.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Server {
    /// Redis 7.0, as Debian has it.
    Redis,
    /// Redis 8.0, which is built from its source.
    Redis8,
    /// Valkey 9.1.
    Valkey,
}

impl Server {
    /// Its name, and the variable that says where its program is.
    fn name(self) -> (&'static str, &'static str) {
        match self {
            Server::Redis => ("redis", "LARDER_REDIS_SERVER"),
            Server::Redis8 => ("redis8", "LARDER_REDIS8_SERVER"),
            Server::Valkey => ("valkey", "LARDER_VALKEY_SERVER"),
        }
    }

    /// Its program: found, or fetched or built.
    fn program(self) -> Result<PathBuf> {
        if let Some(program) = std::env::var_os(self.name().1) {
            return Ok(program.into());
        }
        match self {
            Server::Redis => Tools::peer(Kind::Redis),
            Server::Redis8 => Tools::redis_8(),
            Server::Valkey => Tools::valkey_server(),
        }
    }
}

/// Runs the programs, and says what was asked and where the answers differ.
pub(crate) fn run(options: &Options) -> Result<()> {
    let example = ["-p", "larder-testkit", "--example", "compare"];
    step("building compare", || {
        steps::run(cargo(&["build", "--quiet", "--profile", "faults"]).args(example))
    })?;
    let (server, variable) = options.server.name();
    let mut compare = std::process::Command::new(target().join("faults/examples/compare"));
    compare
        .args(options.family.as_deref())
        .args(["--seed", &options.seed.to_string()])
        .args(["--requests", &options.requests.to_string()])
        .args(["--server", server])
        .env(variable, options.server.program()?);
    steps::run(&mut compare)
}
