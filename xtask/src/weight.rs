//! What `larder` weighs: how much is built for a program that uses it, and how large that becomes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::steps;
use crate::workspace::{root, scratch};

/// How `cargo xtask weight` is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only count crates, which takes no build.
    #[arg(long)]
    crates: bool,
}

/// What a program may select.
struct Selection {
    name: &'static str,
    /// `None` is the default.
    features: Option<&'static [&'static str]>,
    /// The services that the program uses.
    uses: &'static [&'static str],
}

const SERVICES: &[&str] = &[
    "cache",
    "session",
    "rate-limit",
    "pubsub",
    "stream",
    "lock",
    "leaderboard",
];

const SELECTIONS: &[Selection] = &[
    Selection {
        name: "default: `memory:` and servers, TLS, Lua, all services",
        features: None,
        uses: SERVICES,
    },
    Selection {
        name: "`memory`, all services",
        features: Some(&[
            "memory",
            "cache",
            "session",
            "rate-limit",
            "pubsub",
            "stream",
            "lock",
            "leaderboard",
        ]),
        uses: SERVICES,
    },
    Selection {
        name: "`memory`, `cache`",
        features: Some(&["memory", "cache"]),
        uses: &["cache"],
    },
];

/// Prints the table of the README.
pub(crate) fn run(options: &Options) -> Result<()> {
    match options.crates {
        true => println!("| selection | crates |\n|---|---|"),
        false => println!("| selection | crates | fresh build | binary |\n|---|---|---|---|"),
    }
    for (number, selection) in SELECTIONS.iter().enumerate() {
        let folder = scratch(&format!("weight/{number}"))?;
        write_program(selection, &folder)?;
        let crates = count_crates(&folder)?;
        if options.crates {
            println!("| {} | {crates} |", selection.name);
            continue;
        }
        let (seconds, bytes) = build(&folder)?;
        let megabytes = bytes as f64 / 1e6;
        println!(
            "| {} | {crates} | {seconds:.0} s | {megabytes:.1} MB |",
            selection.name
        );
    }
    Ok(())
}

/// Writes a program that opens the store which its first argument names, and uses each service once.
fn write_program(selection: &Selection, folder: &Path) -> Result<()> {
    let larder = root().join("crates/larder");
    let features = match selection.features {
        None => String::new(),
        Some(features) => format!(", default-features = false, features = {features:?}"),
    };
    let manifest = format!(
        "[package]\nname = \"weight\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [workspace]\n\n[profile.release]\nstrip = true\n\n[dependencies]\n\
         larder = {{ path = {larder:?}{features} }}\n\
         tokio = {{ version = \"1\", features = [\"rt\", \"time\"] }}\n",
    );
    let uses = selection.uses.iter().map(|service| use_of(service));
    let program = PROGRAM.replace("USES", &uses.collect::<String>());
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("src/main.rs"), program)?;
    // The versions of the workspace.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
}

const PROGRAM: &str = "\
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| \"memory:\".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = larder::open(&url)?;
USES        Ok(())
    })
}
";

/// What a program does with a service.
fn use_of(service: &str) -> &'static str {
    match service {
        "cache" => {
            "        let pages = larder::cache::Cache::new(&store, \"pages\", larder::Ttl::hours(1));
        let page: String = pages.get_or_set(\"home\", || async { Ok(String::new()) }).await?;
        println!(\"{page}\");\n"
        }
        "session" => {
            "        let sessions = larder::session::Sessions::<Vec<u32>>::new(&store, \"shop\");
        let visit = sessions.create_anonymous(vec![]).await?;
        sessions.update(visit.token(), |cart| cart.push(42)).await?;\n"
        }
        "rate-limit" => {
            "        let quota = larder::rate_limit::Quota::per_minute(5);
        let limit = larder::rate_limit::Limit::gcra(quota);
        let logins = larder::rate_limit::Limiter::new(&store, \"login\", limit);
        println!(\"{}\", logins.take_one(\"ann\").await?.is_allowed());\n"
        }
        "pubsub" => {
            "        let events = larder::pubsub::PubSub::new(&store, \"shop\");
        let mut orders = events.subscribe::<String>(\"orders\").await?;
        events.publish(\"orders\", \"a book\").await?;
        println!(\"{}\", orders.next().await.is_some());\n"
        }
        "stream" => {
            "        let trim = larder::stream::Trim::Handled;
        let orders = larder::stream::Stream::<String>::new(&store, \"shop\", \"orders\", trim);
        orders.add(&\"a book\".to_owned()).await?;
        let group = orders.group(\"shipping\", larder::stream::Start::Earliest);
        let handle = async |job: larder::stream::Job<String>| {
            println!(\"{}\", job.body);
            Ok(())
        };
        group.worker().start(handle).await?.shutdown().await;\n"
        }
        "lock" => {
            "        let locks = larder::lock::Locks::new(&store, \"shop\");
        let wait = std::time::Duration::from_secs(2);
        locks.lock(\"stock.42\", wait).await?.release().await?;\n"
        }
        _ => {
            "        let (best, ttl) = (larder::leaderboard::Best::Highest, larder::Ttl::forever());
        let name = \"buyers\";
        let buyers = larder::leaderboard::Leaderboard::new(&store, \"shop\", name, best, ttl);
        buyers.add(\"ann\", 30).await?;\n"
        }
    }
}

/// How many crates go into the program beside itself: each once, whatever the number of its features.
fn count_crates(folder: &Path) -> Result<usize> {
    let mut tree = cargo(
        folder,
        &["tree", "-e", "normal", "--prefix", "none", "--no-dedupe"],
    );
    tree.args(["--package", "larder"]);
    let tree = steps::output(&mut tree)?;
    let crates: BTreeSet<&str> = tree.lines().filter(|line| !line.is_empty()).collect();
    Ok(crates.len())
}

/// Builds the program from nothing. Answers how many seconds that takes, and how many bytes it has.
fn build(folder: &Path) -> Result<(f64, u64)> {
    let target = folder.join("target");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    // What has to be fetched is none of the build.
    steps::run(&mut cargo(folder, &["fetch", "--quiet"]))?;
    let begun = Instant::now();
    steps::run(&mut cargo(folder, &["build", "--release", "--quiet"]))?;
    let seconds = begun.elapsed().as_secs_f64();
    let binary = target.join(format!("release/weight{}", std::env::consts::EXE_SUFFIX));
    let bytes = fs::metadata(&binary)
        .context("the program is not where it should be")?
        .len();
    fs::remove_dir_all(target)?;
    Ok((seconds, bytes))
}

/// Cargo in the program's folder, which is a workspace of its own.
fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = crate::workspace::cargo(arguments);
    command
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"));
    command
}
