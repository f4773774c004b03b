//! The suites that Redis and Valkey are tested with, run against a server of ours.
//!
//! Nothing of them is in this repository: they come from Debian's source packages and run below
//! `target`, unit by unit, each on a fresh server and for a limited time. Beside what its tests
//! said, a unit tells whether the server has outlived it: whether it still answers, whether it does
//! nothing once nobody asks anything, and whether it ends when it is asked to. What is left out of them
//! stands in [`left_out`], with reasons.

mod left_out;
mod outcome;
mod report;
mod source;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bench::process::cpu_time;
use crate::servers::{Kind, Server};
use crate::steps::step;
use crate::tools::Tools;
use crate::workspace;
use left_out::{Entry, LeftOut};
use outcome::Outcome;
use report::{Report, Seen};
use source::Suite;

/// How long the server may go on with what a unit has left.
const IDLE_WITHIN: Duration = Duration::from_secs(5);
/// The part of a core that an idle server may use.
const IDLE_LOAD: f64 = 0.05;
/// How long its load is watched at a time.
const LOOK: Duration = Duration::from_millis(500);
/// How long it may take to end when it is asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// What `timeout` ends with when it had to end the program.
const TIMED_OUT: i32 = 124;

/// How `cargo xtask redis-suite` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Whose suite it is.
    #[arg(value_enum, default_value_t = Suite::Redis)]
    suite: Suite,
    /// Run only these units, such as `unit/type/list`, or just `list`.
    #[arg(long = "unit")]
    units: Vec<String>,
    /// The server to run it against.
    #[arg(long, value_enum, default_value_t = Kind::Larder)]
    server: Kind,
    /// The server's program; if not given, it is found or built.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Run it against the suite's own server too, and tell failures of both from failures of one.
    #[arg(long)]
    beside_its_own: bool,
    /// How many seconds a unit may take.
    #[arg(long, default_value_t = 120)]
    limit: u64,
    /// Which tests to run, in the suite's words: `-slow` leaves out those that take long.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    tags: String,
    /// Run also what the suite keeps for servers that it has started itself, and what is left out
    /// for Larder. Some of that can't work here: the server gets none of its arguments.
    #[arg(long)]
    all: bool,
    /// Passed on to the suite.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Runs the units and prints a table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let tcl = Tools::tcl()?;
    let folder = step("preparing the suite", || options.suite.prepare())?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => Tools::peer(options.server)?,
    };
    let own = options.suite.server();
    let own_program = match options.beside_its_own {
        true => Some(Tools::peer(own)?),
        false => None,
    };
    let units = wanted(&options.units, source::units(&folder)?)?;
    let results = workspace::scratch("suite-results")?.join(format!("{own}-{}", options.server));
    std::fs::create_dir_all(&results)?;

    let left_out = match options.server {
        Kind::Larder if !options.all => LeftOut::of(options.suite)?,
        _ => LeftOut::default(),
    };
    let mut report = Report::begin();
    for unit in &units {
        let left_out = left_out.of_unit(unit);
        report.leave_out(unit, &left_out);
        if left_out.iter().any(Entry::is_all) {
            continue;
        }
        let run = Run {
            options,
            tcl: &tcl,
            folder: &folder,
            results: &results,
            unit,
            left_out: &left_out,
        };
        let seen = run.on(options.server, &program);
        let of_own = own_program.as_deref().map(|program| run.on(own, program));
        // What keeps one unit from running says nothing of those that follow.
        let failures = match (seen, of_own.transpose()) {
            (Ok(seen), _) if seen.is_empty() => continue,
            (Ok(seen), Ok(of_own)) => report.add(unit, &seen, of_own.as_ref()),
            (Err(error), _) | (_, Err(error)) => report.miss(unit, &error),
        };
        std::fs::write(results.join(file_name(unit, "fails.txt")), failures)?;
    }
    println!(
        "\nWhat each unit printed, and its failures: {}",
        results.display()
    );
    report.end()
}

/// Those units that are named, in full or by their last part.
fn wanted(names: &[String], units: Vec<String>) -> Result<Vec<String>> {
    let is_named = |unit: &String, name: &String| {
        unit == name || unit.rsplit_once('/').is_some_and(|(_, last)| last == name)
    };
    if let Some(name) = names
        .iter()
        .find(|name| !units.iter().any(|unit| is_named(unit, name)))
    {
        bail!("there is no unit {name}; there are {}", units.join(", "));
    }
    let mut wanted = units;
    wanted.retain(|unit| names.is_empty() || names.iter().any(|name| is_named(unit, name)));
    Ok(wanted)
}

/// `unit/type/list` as part of a file's name.
fn file_name(unit: &str, rest: &str) -> String {
    let stem = unit.trim_start_matches("unit/").replace('/', "-");
    format!("{stem}.{rest}")
}

/// A unit to run.
struct Run<'a> {
    options: &'a Options,
    tcl: &'a Path,
    folder: &'a Path,
    results: &'a Path,
    unit: &'a str,
    left_out: &'a [Entry],
}

impl Run<'_> {
    /// Runs it on a fresh server.
    fn on(&self, kind: Kind, program: &Path) -> Result<Seen> {
        let mut server = Server::start_with(kind, program, None, settings(kind))?;
        let printed = self
            .results
            .join(file_name(self.unit, &format!("{kind}.txt")));
        let output = File::create(&printed)?;
        let skipped = self.results.join(file_name(self.unit, "skipped.txt"));
        let names: Vec<&str> = self.left_out.iter().map(|entry| entry.test).collect();
        std::fs::write(&skipped, names.join("\n"))?;
        let limit = self.options.limit.to_string();
        let start = Instant::now();
        // It starts programs of its own, which `timeout` ends with it.
        let status = Command::new("timeout")
            .args(["--kill-after=5", &limit])
            .arg(self.tcl)
            .arg("tests/test_helper.tcl")
            .args(["--host", "127.0.0.1", "--port", &server.port.to_string()])
            .args(["--durable", "--skipfile"])
            .arg(&skipped)
            .args(["--timeout", &limit, "--tags", &self.options.tags])
            .args([
                "--single",
                self.unit,
                "--baseport",
                &base_port().to_string(),
            ])
            .args(self.options.suite.arguments())
            .args(&self.options.arguments)
            .current_dir(self.folder)
            .env("TERM", "dumb")
            .envs(self.options.all.then_some(("LARDER_SUITE_ALL", "1")))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .status()
            .context("`timeout` could not be started")?;
        let took = start.elapsed();
        let text = std::fs::read(&printed)?;
        let outcome = Outcome::read(&String::from_utf8_lossy(&text));
        if !outcome.has_begun {
            bail!("it did not begin: see {}", printed.display());
        }
        Ok(Seen {
            outcome,
            timed_out: status.code().is_none_or(|code| code == TIMED_OUT),
            server: state_of(&mut server)?,
            took,
        })
    }
}

/// What the suite wants of a server that it did not start: to be debugged through it. A server of one
/// thread serves nobody beside a script, and the suite counts on that.
fn settings(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Redis | Kind::Redis8 | Kind::Valkey => &["--enable-debug-command", "yes"],
        Kind::Larder => &[
            "--enable-debug-command",
            "yes",
            "--busy-reply-for-all",
            "yes",
        ],
        Kind::Kevy => &[],
    }
}

/// From where on the suite looks for ports of its own. Two that run at once should not meet, and it
/// wants the same ports beyond 10000 more to be ports as well. The system gives those beyond 32768 to
/// whoever asks for any.
fn base_port() -> u32 {
    12_000 + std::process::id() % 500 * 40
}

/// How a server has come out of a unit.
fn state_of(server: &mut Server) -> Result<String> {
    if let Some(status) = server.ended()? {
        return Ok(format!("**ended by itself: {status}**"));
    }
    let mut faults = Vec::new();
    if !server.answers() {
        faults.push("does not answer");
    }
    if !is_idle_within(server, IDLE_WITHIN)? {
        faults.push("is not idle");
    }
    if !server.ends_within(ENDS_WITHIN)? {
        faults.push("does not end");
    }
    Ok(match faults.is_empty() {
        true => "well".into(),
        false => format!("**{}**", faults.join(", ")),
    })
}

fn is_idle_within(server: &Server, limit: Duration) -> Result<bool> {
    let start = Instant::now();
    while start.elapsed() < limit {
        let before = cpu_time(server.pid())?;
        std::thread::sleep(LOOK);
        let used = cpu_time(server.pid())?.saturating_sub(before);
        if used.as_secs_f64() < IDLE_LOAD * LOOK.as_secs_f64() {
            return Ok(true);
        }
    }
    Ok(false)
}
