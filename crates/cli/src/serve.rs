//! `larder serve`: the engine for any Redis client.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use larder_embedded::{Config as EmbeddedConfig, Embedded};
use larder_server::{Config, Server};

/// What `larder serve` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address to listen on; may be given several times. Port 0 takes a free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6379")]
    listen: Vec<SocketAddr>,

    /// Path of a Unix socket to listen on as well.
    #[arg(long, value_name = "PATH")]
    unixsocket: Option<PathBuf>,

    /// Password that clients have to give.
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "LARDER_REQUIREPASS",
        hide_env_values = true
    )]
    requirepass: Option<String>,

    /// Threads that serve connections [default: one for each core].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Connections that there may be at once.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    maxclients: usize,

    /// Seconds after which an idle connection is closed; 0 is never.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    timeout: u64,
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let embedded = Embedded::open(EmbeddedConfig {
        password: args.requirepass,
        ..EmbeddedConfig::default()
    })?;
    let config = Config {
        listen: args.listen,
        unixsocket: args.unixsocket.clone(),
        threads: args.threads.map(usize::from),
        maxclients: args.maxclients,
        timeout: (args.timeout > 0).then(|| Duration::from_secs(args.timeout)),
        ..Config::default()
    };
    let server = Server::start(config, &embedded)?;
    for address in server.addresses() {
        tracing::info!("listening on {address}");
    }
    if let Some(path) = args.unixsocket {
        tracing::info!("listening on {}", path.display());
    }

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(crate::signal::wait())?;
    tracing::info!("shutting down");
    server.shutdown();
    embedded.close();
    Ok(())
}
