//! Suites of real clients: what they see of our server must be what they see of a real one.
//!
//! A suite is a program in `tests/clients` that talks to the server named by `HOST` and `PORT` and
//! prints a transcript, in which whatever differs from run to run (ids, times) is replaced by its
//! shape. It runs on a fresh server of each kind; both transcripts must be equal, to the letter.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::servers::{Kind, Server};
use crate::steps::step;
use crate::tools::Tools;
use crate::workspace::{self, Profile};

/// How long a suite may take on one server: the longest takes half a minute, and ten times that is
/// for a machine that is busy.
const ENDS_WITHIN: Duration = Duration::from_secs(300);

/// How many lines are shown around a difference.
const CONTEXT: usize = 4;

/// How `cargo xtask clients` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The suites to run, by a part of their name; all if none is given.
    suites: Vec<String>,
    /// The server to compare with redis-server.
    #[arg(long, value_enum, default_value_t = Kind::Larder)]
    server: Kind,
}

/// A program that prints what it saw of a server.
struct Suite {
    name: &'static str,
    /// The program, from what the tools are.
    program: fn(&Tools) -> &Path,
    /// Its arguments. `PORT` stands for the server's port.
    arguments: &'static [&'static str],
    /// The file it reads as its input, if any.
    input: Option<&'static str>,
}

const SUITES: &[Suite] = &[
    Suite {
        name: "ioredis: the services of the sketch",
        program: |tools| &tools.node,
        arguments: &["ioredis/scenario.mjs"],
        input: None,
    },
    Suite {
        name: "ioredis: everyday use",
        program: |tools| &tools.node,
        arguments: &["ioredis/everyday.mjs"],
        input: None,
    },
    Suite {
        name: "BullMQ and Bull: jobs",
        program: |tools| &tools.node,
        arguments: &["bullmq/jobs.mjs"],
        input: None,
    },
    Suite {
        name: "node-redis: everyday use, RESP2",
        program: |tools| &tools.node,
        arguments: &["node_redis/everyday.mjs", "2"],
        input: None,
    },
    Suite {
        name: "node-redis: everyday use, RESP3",
        program: |tools| &tools.node,
        arguments: &["node_redis/everyday.mjs", "3"],
        input: None,
    },
    Suite {
        name: "Socket.IO: rooms on two nodes",
        program: |tools| &tools.node,
        arguments: &["socket_io/adapters.mjs"],
        input: None,
    },
    Suite {
        name: "rate-limiter-flexible: limits",
        program: |tools| &tools.node,
        arguments: &["rate_limiter_flexible/limits.mjs"],
        input: None,
    },
    Suite {
        name: "connect-redis: sessions",
        program: |tools| &tools.node,
        arguments: &["connect_redis/sessions.mjs"],
        input: None,
    },
    Suite {
        name: "redis-commander: what its page shows",
        program: |tools| &tools.node,
        arguments: &["redis_commander/looks.mjs"],
        input: None,
    },
    Suite {
        name: "Celery: jobs",
        program: |tools| &tools.python,
        arguments: &["python/celery_jobs.py"],
        input: None,
    },
    Suite {
        name: "RQ: jobs",
        program: |tools| &tools.python,
        arguments: &["python/rq_jobs.py"],
        input: None,
    },
    Suite {
        name: "Dramatiq: jobs",
        program: |tools| &tools.python,
        arguments: &["python/dramatiq_jobs.py"],
        input: None,
    },
    Suite {
        name: "Huey: jobs",
        program: |tools| &tools.python,
        arguments: &["python/huey_jobs.py"],
        input: None,
    },
    Suite {
        name: "arq: jobs",
        program: |tools| &tools.python,
        arguments: &["python/arq_jobs.py"],
        input: None,
    },
    Suite {
        name: "Django and django-redis: caches and sessions",
        program: |tools| &tools.python,
        arguments: &["python/django_cache.py"],
        input: None,
    },
    Suite {
        name: "Sidekiq: jobs",
        program: |tools| &tools.ruby,
        arguments: &["ruby/sidekiq_jobs.rb"],
        input: None,
    },
    Suite {
        name: "go-redis: everyday use",
        program: |tools| &tools.go,
        arguments: &["run", "go_redis/everyday.go"],
        input: None,
    },
    Suite {
        name: "redis-py: everyday use, RESP2",
        program: |tools| &tools.python,
        arguments: &["python/everyday.py", "2"],
        input: None,
    },
    Suite {
        name: "redis-py: everyday use, RESP3",
        program: |tools| &tools.python,
        arguments: &["python/everyday.py", "3"],
        input: None,
    },
    Suite {
        name: "redis-py: its own tests, RESP2",
        program: |tools| &tools.python,
        arguments: &["python/redis_py_suite.py", "2"],
        input: None,
    },
    Suite {
        name: "redis-py: its own tests, RESP3",
        program: |tools| &tools.python,
        arguments: &["python/redis_py_suite.py", "3"],
        input: None,
    },
    Suite {
        name: "fakeredis: its tests of a real server",
        program: |tools| &tools.python,
        arguments: &["python/fakeredis_suite.py"],
        input: None,
    },
    Suite {
        name: "redis_exporter: what it tells Prometheus",
        program: |tools| &tools.python,
        arguments: &["python/exporter.py"],
        input: None,
    },
    Suite {
        name: "redis-benchmark: all that it does",
        program: |tools| &tools.python,
        arguments: &["python/benchmark.py"],
        input: None,
    },
    Suite {
        name: "Redis Insight: what it asks when it is opened",
        program: |tools| &tools.node,
        arguments: &["redis_insight/startup.mjs"],
        input: None,
    },
    Suite {
        name: "redis-cli: everyday use, RESP2",
        program: |tools| &tools.redis_cli,
        arguments: &["-p", "PORT", "--no-raw"],
        input: Some("redis_cli/everyday.txt"),
    },
    Suite {
        name: "redis-cli: everyday use, RESP3",
        program: |tools| &tools.redis_cli,
        arguments: &["-p", "PORT", "--no-raw", "-3"],
        input: Some("redis_cli/everyday.txt"),
    },
];

/// Runs the suites that are asked for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let tools = Tools::find_or_install()?;
    let is_wanted = |suite: &&Suite| {
        let named = |part: &String| suite.name.contains(part.as_str());
        options.suites.is_empty() || options.suites.iter().any(named)
    };
    let suites: Vec<_> = SUITES.iter().filter(is_wanted).collect();
    if suites.is_empty() {
        bail!("no suite has {} in its name", options.suites.join(" or "));
    }
    compare(&suites, &tools, options.server)
}

/// Runs all suites on our server.
pub(crate) fn compare_all(tools: &Tools) -> Result<()> {
    compare(&SUITES.iter().collect::<Vec<_>>(), tools, Kind::Larder)
}

fn compare(suites: &[&Suite], tools: &Tools, kind: Kind) -> Result<()> {
    let program = match kind {
        Kind::Larder => step("building larder", || workspace::larder(Profile::Dev))?,
        Kind::Redis => tools.redis_server.clone(),
        Kind::Valkey => tools.valkey_server.clone(),
        Kind::Redis8 | Kind::Kevy => Tools::peer(kind)?,
    };
    let mut failures = Vec::new();
    for suite in suites {
        let compared = step(suite.name, || {
            // At the same time: most of a suite's time goes by in waiting.
            let (real, ours) = std::thread::scope(|scope| {
                let ours = scope.spawn(|| suite.transcript(tools, kind, &program, "ours"));
                let real = suite.transcript(tools, Kind::Redis, &tools.redis_server, "real");
                (real, ours.join().expect("a suite is run without a panic"))
            });
            expect_equal(&real?, &ours?)
        });
        if let Err(error) = compared {
            eprintln!("{error:#}");
            failures.push(suite.name);
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => bail!("these suites failed: {}", failures.join("; ")),
    }
}

impl Suite {
    /// Runs on a fresh server, and says in which file its transcript is.
    fn transcript(&self, tools: &Tools, kind: Kind, program: &Path, side: &str) -> Result<PathBuf> {
        let server = Server::start(kind, program, None)?;
        let folder = workspace::root().join("tests/clients");
        let stem = self.name.replace([':', ',', ' '], "-").replace("--", "-");
        let results = workspace::scratch("clients")?;
        let transcript = results.join(format!("{stem}.{side}.txt"));
        let complaints = results.join(format!("{stem}.{side}.stderr.txt"));

        let port = server.port.to_string();
        let argument = |argument: &&str| match *argument {
            "PORT" => port.clone(),
            other => other.to_owned(),
        };
        let mut command = Command::new((self.program)(tools));
        command
            .args(self.arguments.iter().map(argument))
            .envs(tools.environment())
            .env("HOST", "127.0.0.1")
            .env("PORT", &port)
            .current_dir(&folder)
            .stdout(File::create(&transcript)?)
            .stderr(File::create(&complaints)?);
        if let Some(input) = self.input {
            command.stdin(File::open(folder.join(input))?);
        }
        let status = run_within(&mut command, ENDS_WITHIN)
            .with_context(|| format!("on {kind}; its transcript: {}", transcript.display()))?;
        if !status.success() {
            let complaint = std::fs::read_to_string(&complaints).unwrap_or_default();
            bail!(
                "on {kind} it ended with {status}:\n{}",
                complaint.trim_end()
            );
        }
        Ok(transcript)
    }
}

/// Runs a program, and ends it if it takes longer than that.
fn run_within(command: &mut Command, limit: Duration) -> Result<ExitStatus> {
    let mut process = command.spawn()?;
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > limit {
            process.kill()?;
            process.wait()?;
            bail!("it has not ended within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Shows where two transcripts part, if they do.
fn expect_equal(real: &Path, ours: &Path) -> Result<()> {
    let read = |path| std::fs::read(path).map(|it| String::from_utf8_lossy(&it).into_owned());
    let (real_text, ours_text) = (read(real)?, read(ours)?);
    if real_text == ours_text {
        return Ok(());
    }
    let (real_lines, ours_lines): (Vec<_>, Vec<_>) =
        (real_text.lines().collect(), ours_text.lines().collect());
    let at = first_difference(&real_lines, &ours_lines);
    let part = real_lines[..at].iter().rfind(|line| line.contains("=="));
    bail!(
        "the transcripts differ from line {} on, in {}\n\nreal:\n{}\n\nours:\n{}\n\nin full: diff {} {}",
        at + 1,
        part.unwrap_or(&"the first part"),
        lines_around(&real_lines, at),
        lines_around(&ours_lines, at),
        real.display(),
        ours.display()
    );
}

fn first_difference(real: &[&str], ours: &[&str]) -> usize {
    let equal = real
        .iter()
        .zip(ours)
        .take_while(|(real, ours)| real == ours);
    equal.count()
}

fn lines_around(lines: &[&str], at: usize) -> String {
    let from = at.saturating_sub(CONTEXT);
    let to = (at + CONTEXT).min(lines.len());
    format!("  {}", lines[from..to].join("\n  "))
}
