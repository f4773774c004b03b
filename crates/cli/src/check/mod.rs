//! `larder check`: a look at a store.
//!
//! ```text
//! run ── look.rs ──── asks the store, and each of its servers, within the time that there is
//!        found.rs ─── what there is: as JSON, as it is; for people, by show.rs
//!        advice.rs ── what of it does not fit
//! ```

mod advice;
mod found;
mod look;
mod show;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use found::{Found, Status};

/// What `larder check` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// URL of the store: redis://host:port, redis-sentinel://host,.../NAME, redis-cluster://host,...
    #[arg(env = "LARDER_URL", hide_env_values = true)]
    url: String,

    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,

    /// Seconds that looking may take.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 5,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..=3600)
    )]
    timeout: u32,

    /// File with the certificate, as PEM, of an authority to trust over TLS, beside those that Mozilla
    /// trusts.
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
}

/// Looks, prints what was found, and says it by the status as well.
pub(crate) fn run(args: &Args) -> ExitCode {
    match look_and_print(args) {
        Ok(Status::Ok) => ExitCode::SUCCESS,
        Ok(Status::Warnings) => ExitCode::from(1),
        Ok(Status::Unreachable) => ExitCode::from(2),
        Err(error) => {
            eprintln!("larder: {error}");
            ExitCode::from(2)
        }
    }
}

fn look_and_print(args: &Args) -> Result<Status, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let patience = Duration::from_secs(args.timeout.into());
    let found = runtime.block_on(async {
        let looked = tokio::time::timeout(patience, look::at(args, patience));
        looked.await.unwrap_or_else(|_| {
            let seconds = args.timeout;
            let reason = format!("the store did not say how it is within {seconds} s");
            Found::unreachable(&args.url, reason)
        })
    });
    // A name that is being looked up may take longer than anybody waits.
    runtime.shutdown_background();
    let text = match args.json {
        true => serde_json::to_string_pretty(&found)? + "\n",
        false => found.to_string(),
    };
    // Whoever reads it may have seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(found.status)
}
