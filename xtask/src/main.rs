//! The chores of the workspace: `cargo xtask --help` names them.

mod bench;
mod ci;
mod clients;
mod compare;
mod docs;
mod faults;
mod features;
mod fuzz;
mod models;
mod servers;
mod steps;
mod suite;
mod test;
mod tools;
mod topologies;
mod weight;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what is missing and run every test there is, skipping nothing.
    Test,
    /// Check format, lints and documents, then do what `test` does.
    Ci,
    /// Write the documents that are generated: COMMANDS.md.
    Docs(docs::Options),
    /// Run real clients against a server of ours and a real one, and compare what they saw.
    Clients(clients::Options),
    /// Run random programs on the engine and on a real server, a million requests of each family.
    Compare(compare::Options),
    /// Run the suite of a server, unit by unit, against a server of ours.
    RedisSuite(suite::Options),
    /// Run the patterns of the toolkit on stores that misbehave, from many seeds.
    Faults(faults::Options),
    /// Run random and hostile scripts, bytes, payloads or commands on the engine.
    Fuzz(fuzz::Options),
    /// Run models of the engine's and the server's lock code under every order of their threads' steps.
    Models(models::Options),
    /// Print what larder weighs: crates, seconds of a fresh build, bytes of a binary.
    Weight(weight::Options),
    /// Measure.
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Test => test::run(),
        Chore::Ci => ci::run(),
        Chore::Docs(options) => docs::run(&options),
        Chore::Clients(options) => clients::run(&options),
        Chore::Compare(options) => compare::run(&options),
        Chore::RedisSuite(options) => suite::run(&options),
        Chore::Faults(options) => faults::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Models(options) => models::run(&options),
        Chore::Weight(options) => weight::run(&options),
        Chore::Bench(bench) => bench::run(&bench),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
