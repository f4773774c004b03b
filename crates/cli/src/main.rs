//! The binary `larder`: a server on the engine, a look at other stores, and a demonstration of
//! everything.

mod allocator;
mod check;
mod demo;
mod serve;
mod signal;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Everything teams reach for Redis for, from one store.
#[derive(Debug, Parser)]
#[command(name = "larder", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at a store: its servers and how they are, and what does not fit. The status is 0 if all is
    /// well, 1 if something is worth a warning, and 2 if the store does not answer.
    Check(check::Args),
    /// Open a small web shop that uses every service at once, with simulated visitors.
    Demo(demo::Args),
    /// Serve the engine to Redis clients.
    Serve(serve::Args),
}

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return refuse(&error),
    };
    let result = match command {
        // What it prints is its answer, in which nothing else is to stand.
        Command::Check(args) => return check::run(&args),
        Command::Demo(args) => {
            log();
            demo::run(args)
        }
        Command::Serve(args) => serve::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("larder: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with the command line, or what was asked for: the help, or the version.
fn refuse(error: &clap::Error) -> ExitCode {
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && let Some(why) = serve::why_absent(flag)
    {
        eprintln!("larder: --{why}");
        return ExitCode::from(2);
    }
    error.exit()
}

/// Has what happens told on standard output.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stdout().is_terminal())
        .init();
}

/// An address that a flag names.
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "an IP address and a port are wanted, as in 127.0.0.1:6379 or [::1]:6379")
}
