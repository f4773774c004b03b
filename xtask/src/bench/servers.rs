//! Ours, redis-server and Valkey under redis-benchmark.
//!
//! All servers are pinned to one core and redis-benchmark to another. They are measured in turn,
//! round by round, so that a slow minute of the machine meets all of them alike. The figure to look
//! at is the server's CPU time a command: it is steadier than throughput, which also depends on
//! redis-benchmark's own speed.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::load::{load, send_one};
use super::median;
use super::process::{cpu_time, resident_bytes};
use crate::servers::{Kind, Programs, Server, pinned};
use crate::steps::{self, step};
use crate::tools::{REDIS_BENCHMARK, Tools};
use crate::workspace::{self, Profile};

/// The keys, fields and members that commands choose from.
const KEYS: usize = 1_000_000;
const VALUE: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
const SCRIPT: &str = "return redis.call('GET', KEYS[1])";

const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;

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
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = [Kind::Larder, Kind::Redis, Kind::Valkey])]
    servers: Vec<Kind>,
    /// Connections of redis-benchmark.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Leave out the memory that a key takes.
    #[arg(long)]
    no_memory: bool,
}

/// A command to measure. redis-benchmark puts a random number for each `__rand_int__`.
struct Row {
    name: &'static str,
    command: &'static [&'static str],
    /// A key that grows as it is measured, so it is removed before each round.
    grows: Option<&'static str>,
}

const ROWS: &[Row] = &[
    row("PING", &["PING"]),
    row("SET", &["SET", "key:__rand_int__", VALUE]),
    row("GET", &["GET", "key:__rand_int__"]),
    row("INCR", &["INCR", "counter:__rand_int__"]),
    growing_row("LPUSH", &["LPUSH", "list", VALUE], "list"),
    row("HSET", &["HSET", "hash", "field:__rand_int__", VALUE]),
    row(
        "ZADD",
        &["ZADD", "board", "__rand_int__", "member:__rand_int__"],
    ),
    growing_row("XADD", &["XADD", "log", "*", "field", VALUE], "log"),
    row("EVAL", &["EVAL", SCRIPT, "1", "key:__rand_int__"]),
];

const fn row(name: &'static str, command: &'static [&'static str]) -> Row {
    Row {
        name,
        command,
        grows: None,
    }
}

const fn growing_row(
    name: &'static str,
    command: &'static [&'static str],
    key: &'static str,
) -> Row {
    Row {
        name,
        command,
        grows: Some(key),
    }
}

/// What was seen in one round, or the medians of all.
#[derive(Clone, Copy)]
struct Figures {
    throughput: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

/// Measures and prints a table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let rows = rows(&options.rows)?;
    let (redis, valkey) = Tools::servers()?;
    let programs = Programs {
        larder: match options.servers.contains(&Kind::Larder) {
            true => step("building larder", || workspace::larder(Profile::Release))?,
            false => Default::default(),
        },
        redis,
        valkey,
    };
    let start = |kind: &Kind| Server::start(*kind, programs.of(*kind), Some(SERVER_CORE));

    if !options.no_memory {
        println!("\n| server | resident bytes a key (16-byte key, 32-byte value) |\n|---|---|");
        for kind in &options.servers {
            println!("| {kind} | {:.1} |", bytes_a_key(&start(kind)?)?);
        }
    }

    let servers: Vec<_> = options.servers.iter().map(start).collect::<Result<_>>()?;
    step("filling the servers", || servers.iter().try_for_each(fill))?;
    print_head(&options.servers);
    for pipeline in &options.pipelines {
        for row in &rows {
            let measured = measure_row(options, &servers, row, *pipeline)?;
            print_row(row.name, *pipeline, &options.servers, &measured);
        }
    }
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

/// The resident memory that each of a million keys adds to an empty server.
fn bytes_a_key(server: &Server) -> Result<f64> {
    let before = resident_bytes(server.pid())?;
    let value = &VALUE[..32];
    load(server, KEYS, |at| {
        vec!["SET".into(), format!("key:{at:012}"), value.into()]
    })?;
    let after = resident_bytes(server.pid())?;
    Ok(after.saturating_sub(before) as f64 / KEYS as f64)
}

fn fill(server: &Server) -> Result<()> {
    load(server, KEYS, |at| {
        vec!["SET".into(), format!("key:{at:012}"), VALUE.into()]
    })?;
    load(server, KEYS, |at| {
        vec!["SET".into(), format!("counter:{at:012}"), at.to_string()]
    })?;
    load(server, KEYS, |at| {
        let field = format!("field:{at:012}");
        vec!["HSET".into(), "hash".into(), field, VALUE.into()]
    })?;
    load(server, KEYS, |at| {
        // A step that shares no divisor with the number of members visits every score once.
        let score = at * 617_327 % KEYS;
        let member = format!("member:{at:012}");
        vec!["ZADD".into(), "board".into(), score.to_string(), member]
    })
}

/// The medians of each server.
fn measure_row(
    options: &Options,
    servers: &[Server],
    row: &Row,
    pipeline: usize,
) -> Result<Vec<Figures>> {
    let mut rounds = vec![Vec::new(); servers.len()];
    for round in 0..options.rounds {
        // Who begins changes from round to round.
        for turn in 0..servers.len() {
            let at = (round + turn) % servers.len();
            rounds[at].push(measure(options, &servers[at], row, pipeline)?);
        }
    }
    Ok(rounds
        .iter()
        .map(|figures| Figures::medians(figures))
        .collect())
}

fn measure(options: &Options, server: &Server, row: &Row, pipeline: usize) -> Result<Figures> {
    if let Some(key) = row.grows {
        send_one(server, &["DEL", key])?;
    }
    let requests = options.requests.unwrap_or(match pipeline {
        ..4 => 200_000,
        4.. => 1_000_000,
    });
    let mut benchmark = pinned(&REDIS_BENCHMARK.path()?, Some(CLIENT_CORE));
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

fn print_head(kinds: &[Kind]) {
    println!("\nServer CPU, throughput (thousand commands a second), p50 and p99 latency:\n");
    let names: Vec<_> = kinds.iter().map(Kind::to_string).collect();
    println!(
        "| command | pipeline | {} | CPU to best peer |",
        names.join(" | ")
    );
    println!("|---|---|{}---|", "---|".repeat(names.len()));
}

fn print_row(name: &str, pipeline: usize, kinds: &[Kind], measured: &[Figures]) {
    let cell = |it: &Figures| {
        format!(
            "{:.2} µs, {:.0} k/s, {:.2}/{:.2} ms",
            it.cpu_us,
            it.throughput / 1000.0,
            it.p50_ms,
            it.p99_ms
        )
    };
    let cells: Vec<_> = measured.iter().map(cell).collect();
    let both = || kinds.iter().zip(measured);
    let ours = both().find(|(kind, _)| **kind == Kind::Larder);
    let peers = both().filter(|(kind, _)| **kind != Kind::Larder);
    let best = peers.map(|(_, it)| it.cpu_us).min_by(f64::total_cmp);
    let ratio = match (ours, best) {
        (Some((_, ours)), Some(best)) => format!("{:.2}", ours.cpu_us / best),
        _ => "-".into(),
    };
    println!("| {name} | {pipeline} | {} | {ratio} |", cells.join(" | "));
}
