//! Measurements.

pub(crate) mod beside_peers;
mod embedded;
mod listeners;
mod load;
mod memory;
pub(crate) mod process;
mod rows;
mod servers;

use anyhow::Result;

/// What can be measured.
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// Ours and its peers, in turn, with redis-benchmark.
    Servers(servers::Options),
    /// The engine and the toolkit in process, beside moka and dashmap.
    Embedded(embedded::Options),
    /// The toolkit in process and on Valkey, beside the bare commands and the crates that do the same.
    Toolkit(beside_peers::Options),
    /// The store on servers beside the crates `redis`, `fred` and `rustis`.
    Remote(beside_peers::Options),
}

/// Measures.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Servers(options) => servers::run(options),
        Bench::Embedded(options) => embedded::run(options),
        Bench::Toolkit(options) => beside_peers::run("toolkit", options),
        Bench::Remote(options) => beside_peers::run("remote", options),
    }
}

/// The value in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len => (values[(len - 1) / 2] + values[len / 2]) / 2.0,
    }
}
