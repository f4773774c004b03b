//! Ours and its peers under redis-benchmark.
//!
//! All servers are pinned to one core, and redis-benchmark and this program to another. They are
//! measured in turn, round by round, so that a slow minute of the machine meets all of them alike.
//! The figure to look at is the server's CPU time a command: it is steadier than throughput, which
//! also depends on redis-benchmark's own speed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::listeners::Listeners;
use super::load::info;
use super::process::cpu_time;
use super::rows::{KEYS, ROWS, Row, fill};
use super::{median, memory};
use crate::servers::{Kind, Server, pinned};
use crate::steps::{self, step};
use crate::tools::Tools;

const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;

const ALL: [Kind; 5] = [
    Kind::Larder,
    Kind::Redis,
    Kind::Redis8,
    Kind::Valkey,
    Kind::Kevy,
];

/// How `cargo xtask bench servers` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each row is measured on each server; the medians are printed.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests a round; if not given, as many as keep a server busy for about a second.
    #[arg(long)]
    requests: Option<usize>,
    /// The rows to measure, such as GET,ZADD; all if none is given.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// How many commands a connection sends before it waits for answers.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    pipelines: Vec<usize>,
    /// The servers to measure.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = ALL)]
    servers: Vec<Kind>,
    /// The program to measure as larder; if not given, it is built.
    #[arg(long)]
    larder: Option<PathBuf>,
    /// Connections of redis-benchmark.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Leave out the memory that a key takes.
    #[arg(long)]
    no_memory: bool,
    /// Leave out the rows.
    #[arg(long)]
    no_rows: bool,
}

/// A server to measure.
struct Contender {
    kind: Kind,
    program: PathBuf,
}

/// What was seen in one round, or the medians of all.
#[derive(Clone, Copy)]
struct Figures {
    throughput: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

/// Measures and prints tables.
pub(crate) fn run(options: &Options) -> Result<()> {
    let rows = rows(&options.rows)?;
    let contenders = contenders(options)?;
    stay_on_the_clients_core()?;
    let start = |it: &Contender| Server::start(it.kind, &it.program, Some(SERVER_CORE));
    if !options.no_memory {
        let kinds: Vec<_> = contenders.iter().map(|it| it.kind).collect();
        memory::measure(&kinds, |kind| {
            let contender = contenders.iter().find(|it| it.kind == *kind);
            start(contender.context("no such server")?)
        });
    }
    if options.no_rows {
        return Ok(());
    }
    let servers: Vec<_> = contenders.iter().map(start).collect::<Result<_>>()?;
    step("filling the servers", || servers.iter().try_for_each(fill))?;
    print_head(&servers);
    let mut measured = Vec::new();
    for row in &rows {
        for &pipeline in &options.pipelines {
            let figures = measure_row(options, &servers, row, pipeline);
            print_row(row.name, pipeline, &servers, &figures);
            measured.push((row.name, pipeline, figures));
        }
    }
    print_throughput(&servers, &measured);
    Ok(())
}

/// The servers that there are. A peer that cannot be had is named and left out.
fn contenders(options: &Options) -> Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    println!("Measured:");
    for &kind in &options.servers {
        let program = match &options.larder {
            Some(program) if kind == Kind::Larder => Ok(program.clone()),
            _ => Tools::peer(kind),
        };
        let described = program.and_then(|program| {
            let said = info(&Server::start(kind, &program, None)?)?;
            Ok((program, said))
        });
        match described {
            Ok((program, said)) => {
                println!("- {kind}: {said}");
                contenders.push(Contender { kind, program });
            }
            Err(error) if kind == Kind::Larder => return Err(error),
            Err(error) => println!("- {kind} is LEFT OUT: {error:#}"),
        }
    }
    Ok(contenders)
}

/// Leaves the servers' core to the servers.
fn stay_on_the_clients_core() -> Result<()> {
    let (core, id) = (CLIENT_CORE.to_string(), std::process::id().to_string());
    steps::output(Command::new("taskset").args(["--cpu-list", "--pid", &core, &id]))?;
    Ok(())
}

fn rows(names: &[String]) -> Result<Vec<&'static Row>> {
    if names.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let find = |name: &String| {
        let found = ROWS.iter().find(|row| row.name.eq_ignore_ascii_case(name));
        found.with_context(|| {
            let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
            format!("there is no row {name}; there are {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// The medians of each server, where it has not refused the row.
fn measure_row(
    options: &Options,
    servers: &[Server],
    row: &Row,
    pipeline: usize,
) -> Vec<Option<Figures>> {
    let mut rounds = vec![Some(Vec::new()); servers.len()];
    for round in 0..options.rounds {
        // Who begins changes from round to round.
        for turn in 0..servers.len() {
            let at = (round + turn) % servers.len();
            let Some(figures) = &mut rounds[at] else {
                continue;
            };
            match measure(options, &servers[at], row, pipeline) {
                Ok(seen) => figures.push(seen),
                Err(error) => {
                    eprintln!("{} on {}: {error:#}", row.name, servers[at].kind);
                    rounds[at] = None;
                }
            }
        }
    }
    let medians = |figures: &Option<Vec<_>>| figures.as_deref().map(Figures::medians);
    rounds.iter().map(medians).collect()
}

fn measure(options: &Options, server: &Server, row: &Row, pipeline: usize) -> Result<Figures> {
    let requests = options.requests.unwrap_or(match pipeline {
        ..4 => 200_000,
        4.. => 1_000_000,
    });
    let requests = requests.div_ceil(row.weight);
    row.prepare(server, requests)?;
    let _listeners = Listeners::to(server, row.listeners)?;
    let mut benchmark = pinned(&Tools::redis_benchmark()?, Some(CLIENT_CORE));
    benchmark
        .args(["-h", "127.0.0.1", "-p", &server.port.to_string()])
        .args(["-n", &requests.to_string(), "-r", &KEYS.to_string()])
        .args(["-c", &options.connections.to_string()])
        .args(["-P", &pipeline.to_string(), "--csv", "--precision", "3"])
        .args(row.command);
    let before = cpu_time(server.pid())?;
    let (throughput, p50_ms, p99_ms) = run_benchmark(&mut benchmark)?;
    let used = cpu_time(server.pid())? - before;
    Ok(Figures {
        throughput,
        p50_ms,
        p99_ms,
        cpu_us: used.as_secs_f64() * 1e6 / requests as f64,
    })
}

/// Throughput, p50 and p99, from the last line of redis-benchmark's table:
/// `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95…","p99…","max…"`.
fn run_benchmark(benchmark: &mut Command) -> Result<(f64, f64, f64)> {
    let printed = steps::output(benchmark)?;
    let line = printed.lines().last().unwrap_or_default();
    // From the right, because the first column is the command, which may hold commas.
    let fields: Vec<&str> = line.rsplit(',').map(|it| it.trim_matches('"')).collect();
    let [_max, p99, _p95, p50, _min, _average, throughput, ..] = fields[..] else {
        bail!("redis-benchmark printed {printed:?}");
    };
    Ok((throughput.parse()?, p50.parse()?, p99.parse()?))
}

impl Figures {
    fn medians(rounds: &[Figures]) -> Figures {
        let of = |figure: fn(&Figures) -> f64| median(rounds.iter().map(figure).collect());
        Figures {
            throughput: of(|it| it.throughput),
            p50_ms: of(|it| it.p50_ms),
            p99_ms: of(|it| it.p99_ms),
            cpu_us: of(|it| it.cpu_us),
        }
    }
}

fn print_head(servers: &[Server]) {
    println!("\nMicroseconds of the server's CPU time that a command takes:\n");
    let names: Vec<_> = servers.iter().map(|it| it.kind.to_string()).collect();
    println!(
        "| command | pipeline | {} | larder to the best peer |",
        names.join(" | ")
    );
    println!("|---|---|{}---|", "---|".repeat(names.len()));
}

fn print_row(name: &str, pipeline: usize, servers: &[Server], measured: &[Option<Figures>]) {
    let cell = |it: &Option<Figures>| it.map_or("-".into(), |it| format!("{:.2}", it.cpu_us));
    let cells: Vec<_> = measured.iter().map(cell).collect();
    let mut ours = None;
    let mut best: Option<(Kind, f64)> = None;
    for (server, figures) in servers.iter().zip(measured) {
        let Some(figures) = figures else { continue };
        if server.kind == Kind::Larder {
            ours = Some(figures.cpu_us);
        } else if best.is_none_or(|(_, cpu_us)| figures.cpu_us < cpu_us) {
            best = Some((server.kind, figures.cpu_us));
        }
    }
    let ratio = match (ours, best) {
        (Some(ours), Some((kind, best))) => format!("{:.2} ({kind})", ours / best),
        _ => "-".into(),
    };
    println!("| {name} | {pipeline} | {} | {ratio} |", cells.join(" | "));
}

fn print_throughput(servers: &[Server], measured: &[(&str, usize, Vec<Option<Figures>>)]) {
    println!("\nThousand commands a second, p50 and p99 latency in ms:\n");
    let names: Vec<_> = servers.iter().map(|it| it.kind.to_string()).collect();
    println!("| command | pipeline | {} |", names.join(" | "));
    println!("|---|---|{}", "---|".repeat(names.len()));
    for (name, pipeline, figures) in measured {
        let cell = |it: &Option<Figures>| match it {
            Some(it) => format!(
                "{:.0}, {:.2}/{:.2}",
                it.throughput / 1000.0,
                it.p50_ms,
                it.p99_ms
            ),
            None => "-".into(),
        };
        let cells: Vec<_> = figures.iter().map(cell).collect();
        println!("| {name} | {pipeline} | {} |", cells.join(" | "));
    }
}
