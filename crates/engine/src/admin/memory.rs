//! MEMORY: how much memory keys take, and everything else.

use super::help;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::keyspace::DATABASES;

/// Up to how many bytes a store is too small for a diagnosis.
const SMALL: u64 = 5 << 20;

/// From how many bytes on a difference is one.
const NOTABLE: u64 = 10 << 20;

/// From how many bytes on a client takes much.
const LARGE_CLIENT: u64 = 200 << 10;

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "MEMORY USAGE",
        run: usage,
        arity: Arity::AtLeast(3),
        keys: KeySpec::First,
        flags: Flags::READONLY,
        syntax: "key [SAMPLES count]",
        summary: "Says how many bytes a key and its value take. Nothing is sampled: all is counted.",
        complexity: "O(1)",
        since: "4.0.0",
    },
    of_all(
        "MEMORY STATS",
        stats,
        "Says what takes how much memory. What the process takes beyond the engine's own account is put down to \
        its allocator, which is not asked.",
    ),
    of_all(
        "MEMORY DOCTOR",
        doctor,
        "Says what is unusual about the memory that is taken.",
    ),
    of_all(
        "MEMORY MALLOC-STATS",
        malloc_stats,
        "Says what the allocator says of itself: nothing.",
    ),
    of_all(
        "MEMORY PURGE",
        purge,
        "Has the allocator give the system back what is free, of the thread that serves the client, if the \
        host can have it do so.",
    ),
    help::row("MEMORY HELP", "4.0.0"),
];

/// The row of a subcommand that is about everything.
const fn of_all(
    name: &'static str,
    run: fn(&mut Call<'_, '_>) -> Result<()>,
    summary: &'static str,
) -> Row {
    Row {
        name,
        run,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: Flags::NONE,
        syntax: "",
        summary,
        complexity: "O(n), n the number of connections.",
        since: "4.0.0",
    }
}

/// What takes how much memory, in bytes.
pub(super) struct Usage {
    /// What the store holds, by its own account.
    pub(super) used: u64,
    /// The most that it was seen to hold.
    pub(super) peak: u64,
    /// What keys take of it.
    pub(super) dataset: u64,
    /// What connections take of it.
    pub(super) clients: u64,
    /// What the process takes, if its host knows.
    pub(super) resident: Option<u64>,
}

impl Usage {
    /// The usage now: what connections and scripts hold is measured for it.
    pub(super) fn of(engine: &Engine) -> Usage {
        engine.measure_beside();
        let clients = engine.clients.all();
        let (dataset, used) = (engine.dataset_memory(), engine.used_memory());
        Usage {
            used,
            peak: engine.peak_memory(),
            dataset: dataset.min(used),
            clients: clients.iter().map(|client| client.bytes() as u64).sum(),
            resident: engine.config.host().resident_bytes.and_then(|ask| ask()),
        }
    }

    /// What is taken by everything but keys.
    pub(super) fn overhead(&self) -> u64 {
        self.used - self.dataset
    }

    /// How many times what the store holds the process takes, and how many bytes more.
    pub(super) fn fragmentation(&self) -> Option<(f64, i64)> {
        let resident = self.resident?;
        let ratio = resident as f64 / self.used.max(1) as f64;
        Some((ratio, resident.cast_signed() - self.used.cast_signed()))
    }
}

fn usage(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    while !call.args.is_empty() {
        if !call.args.option("SAMPLES") {
            return Err(Error::Syntax);
        }
        if call.args.int()? < 0 {
            return Err(Error::Syntax);
        }
    }
    match call.keyspace.entry(key) {
        Some(entry) => call.reply.int(entry.bytes() as i64),
        None => call.reply.null(),
    }
    Ok(())
}

fn stats(call: &mut Call<'_, '_>) -> Result<()> {
    let (engine, usage) = (call.engine, Usage::of(call.engine));
    let keys: usize = (0..DATABASES).map(|db| engine.keys(db)).sum();
    let in_functions = engine.scripts.functions_bytes();
    let in_scripts = engine.scripts.bytes().saturating_sub(in_functions);
    let count = |number: u64| Figure::Count(number.cast_signed());
    let percent = |part: u64, whole: u64| Figure::Share(part as f64 / whole.max(1) as f64 * 100.0);
    let mut figures = vec![
        ("peak.allocated", count(usage.peak)),
        ("total.allocated", count(usage.used)),
        ("startup.allocated", count(0)),
        ("replication.backlog", count(0)),
        ("clients.slaves", count(0)),
        ("clients.normal", count(usage.clients)),
        ("cluster.links", count(0)),
        ("aof.buffer", count(0)),
        ("lua.caches", count(in_scripts as u64)),
        ("functions.caches", count(in_functions as u64)),
        ("overhead.total", count(usage.overhead())),
        ("keys.count", count(keys as u64)),
        (
            "keys.bytes-per-key",
            count(usage.dataset / keys.max(1) as u64),
        ),
        ("dataset.bytes", count(usage.dataset)),
        ("dataset.percentage", percent(usage.dataset, usage.used)),
        ("peak.percentage", percent(usage.used, usage.peak)),
    ];
    if let (Some(resident), Some((ratio, bytes))) = (usage.resident, usage.fragmentation()) {
        // The allocator is not asked, and all beyond the engine's own account is put down to it:
        // Redis does the same on an allocator that has no figures.
        figures.extend([
            ("allocator.allocated", count(usage.used)),
            ("allocator.active", count(resident)),
            ("allocator.resident", count(resident)),
            ("allocator-fragmentation.ratio", Figure::Share(ratio)),
            ("allocator-fragmentation.bytes", Figure::Count(bytes)),
            ("allocator-rss.ratio", Figure::Share(1.0)),
            ("allocator-rss.bytes", count(0)),
            ("rss-overhead.ratio", Figure::Share(1.0)),
            ("rss-overhead.bytes", count(0)),
            ("fragmentation", Figure::Share(ratio)),
            ("fragmentation.bytes", Figure::Count(bytes)),
        ]);
    }
    call.reply.map(figures.len());
    for (name, figure) in figures {
        call.reply.bulk(name.as_bytes());
        match figure {
            Figure::Count(number) => call.reply.int(number),
            Figure::Share(share) => call.reply.double(share),
        }
    }
    Ok(())
}

/// A number of MEMORY STATS.
enum Figure {
    /// Bytes, or how many there are of something.
    Count(i64),
    /// A ratio, or a percentage.
    Share(f64),
}

fn doctor(call: &mut Call<'_, '_>) -> Result<()> {
    let usage = Usage::of(call.engine);
    let clients = call.engine.clients.all().len() as u64;
    let findings = [
        (
            usage.peak / 3 > usage.used / 2,
            "It has held more than one and a half times as much as now. The process may keep some of \
             that; it is used for what comes next.",
        ),
        (
            usage
                .fragmentation()
                .is_some_and(|(ratio, bytes)| ratio > 1.4 && bytes > NOTABLE.cast_signed()),
            "The process takes more than 1.4 times as much. Its allocator has not given back what was \
             freed, or the program around the store takes the rest.",
        ),
        (
            usage.clients / clients.max(1) > LARGE_CLIENT,
            "Connections take more than 200 KB each, on the average. CLIENT LIST shows which (tot-mem): \
             they send large requests, or do not read their answers.",
        ),
    ];
    let found = findings.iter().filter(|(is_found, _)| *is_found);
    let found: Vec<String> = found.map(|(_, text)| format!("- {text}\n")).collect();
    let text = match () {
        () if usage.used < SMALL => {
            "The store holds less than 5 MB: too little to say anything of its memory.\n".to_owned()
        }
        () if found.is_empty() => "Nothing is unusual about the store's memory.\n".to_owned(),
        () => format!("The store holds {} bytes.\n{}", usage.used, found.concat()),
    };
    call.reply.verbatim(&text);
    Ok(())
}

fn malloc_stats(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply
        .bulk(b"Stats not supported for the current allocator");
    Ok(())
}

fn purge(call: &mut Call<'_, '_>) -> Result<()> {
    if let Some(purge) = call.engine.config.host().purge {
        purge();
    }
    call.reply.ok();
    Ok(())
}
