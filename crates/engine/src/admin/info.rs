//! INFO: what can be said of the server, in sections.

use std::fmt::Write as _;
use std::time::Duration;

use crate::command::{Arity, Call, Command, Flags, Keys};
use crate::error::Result;
use crate::keyspace::{DATABASES, Figure, Figures};

pub(crate) const COMMANDS: &[Command] = &[Command {
    name: "INFO",
    run: info,
    arity: Arity::AtLeast(1),
    keys: Keys::None,
    flags: Flags::WHOLE,
    syntax: "[section [section ...]]",
    summary: "Says how the server is, in sections.",
    complexity: "O(1)",
    since: "1.0.0",
}];

/// Writes the lines of a section.
type Section = fn(&mut Call<'_, '_>, &mut Lines);

/// The sections, by name and title.
const SECTIONS: &[(&str, &str, Section)] = &[
    ("server", "Server", server),
    ("clients", "Clients", clients),
    ("memory", "Memory", memory),
    ("persistence", "Persistence", persistence),
    ("stats", "Stats", stats),
    ("replication", "Replication", replication),
    ("cpu", "CPU", cpu),
    ("cluster", "Cluster", cluster),
    ("keyspace", "Keyspace", keyspace),
];

/// The text of an answer.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn section(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        let _ = write!(self.0, "# {title}\r\n");
    }

    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// Two lines: the bytes, and the same for people.
    fn add_bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes);
        self.add(&format!("{name}_human"), human(bytes));
    }
}

fn info(call: &mut Call<'_, '_>) -> Result<()> {
    let wanted: Vec<&[u8]> = call.args.rest().collect();
    let is_wanted = |name: &str| {
        let all = ["all", "everything", "default", name];
        let is_any = |word: &&[u8]| {
            let mut all = all.iter();
            all.any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        wanted.is_empty() || wanted.iter().any(is_any)
    };
    let mut lines = Lines::default();
    for (name, title, write) in SECTIONS {
        if is_wanted(name) {
            lines.section(title);
            write(call, &mut lines);
        }
    }
    call.reply.verbatim(&lines.0);
    Ok(())
}

fn server(call: &mut Call<'_, '_>, lines: &mut Lines) {
    let host = call.engine.config.host();
    let uptime_s = call.engine.stats.uptime_s(call.now());
    lines.add("redis_version", super::REDIS_VERSION);
    lines.add("larder_version", env!("CARGO_PKG_VERSION"));
    lines.add("redis_mode", "standalone");
    lines.add(
        "os",
        format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    lines.add("arch_bits", usize::BITS);
    lines.add("process_id", std::process::id());
    lines.add("run_id", &call.engine.run_id);
    lines.add("tcp_port", host.tcp_port);
    lines.add("server_time_usec", call.now().unix_us());
    lines.add("uptime_in_seconds", uptime_s);
    lines.add("uptime_in_days", uptime_s / 86_400);
}

fn clients(call: &mut Call<'_, '_>, lines: &mut Lines) {
    let clients = call.engine.clients.all();
    let blocked = clients.iter().filter(|client| client.waiter().is_some());
    lines.add("connected_clients", clients.len());
    lines.add("maxclients", call.engine.clients_max());
    lines.add("blocked_clients", blocked.count());
    let tracking = call.engine.shards.tracking();
    lines.add("tracking_clients", tracking.trackers_len());
}

/// What the engine holds is its own account; what the process holds is known to its host.
fn memory(call: &mut Call<'_, '_>, lines: &mut Lines) {
    let engine = call.engine;
    lines.add_bytes("used_memory", engine.used_memory());
    lines.add_bytes("used_memory_peak", engine.peak_memory());
    if let Some(resident) = call
        .engine
        .config
        .host()
        .resident_bytes
        .and_then(|ask| ask())
    {
        lines.add_bytes("used_memory_rss", resident);
    }
    lines.add_bytes("maxmemory", engine.max_memory());
    lines.add("maxmemory_policy", engine.memory.policy());
    lines.add("number_of_cached_scripts", call.engine.scripts.len());
}

fn persistence(_: &mut Call<'_, '_>, lines: &mut Lines) {
    lines.add("loading", 0);
    lines.add("rdb_bgsave_in_progress", 0);
    lines.add("aof_enabled", 0);
}

fn stats(call: &mut Call<'_, '_>, lines: &mut Lines) {
    let engine = call.engine;
    let sum = |figure: fn(&Figures) -> &Figure| {
        let figures = engine.shards.figures();
        figures.map(|figures| figure(figures).get()).sum::<u64>()
    };
    lines.add("total_connections_received", engine.clients.seen());
    lines.add(
        "total_commands_processed",
        engine.stats.commands() + sum(|figures| &figures.commands),
    );
    lines.add("instantaneous_ops_per_sec", engine.stats.commands_per_s());
    lines.add("expired_keys", sum(|figures| &figures.expired));
    lines.add("evicted_keys", sum(|figures| &figures.evicted));
    lines.add("keyspace_hits", sum(|figures| &figures.hits));
    lines.add("keyspace_misses", sum(|figures| &figures.misses));
    lines.add("pubsub_channels", engine.pubsub.channels().len());
    lines.add("pubsub_patterns", engine.pubsub.patterns_len());
    let tracking = engine.shards.tracking();
    lines.add("tracking_total_keys", tracking.keys_len());
    lines.add("tracking_total_items", tracking.items_len());
    lines.add("tracking_total_prefixes", tracking.prefixes_len());
}

fn replication(_: &mut Call<'_, '_>, lines: &mut Lines) {
    lines.add("role", "master");
    lines.add("connected_slaves", 0);
}

fn cpu(call: &mut Call<'_, '_>, lines: &mut Lines) {
    if let Some(time) = call.engine.config.host().cpu_time.and_then(|ask| ask()) {
        let text = |time: Duration| format!("{:.6}", time.as_secs_f64());
        lines.add("used_cpu_sys", text(time.system));
        lines.add("used_cpu_user", text(time.user));
    }
}

fn cluster(_: &mut Call<'_, '_>, lines: &mut Lines) {
    lines.add("cluster_enabled", 0);
}

fn keyspace(call: &mut Call<'_, '_>, lines: &mut Lines) {
    each_db(call, |call| {
        let db = call.keyspace.db();
        let (keys, expires) = (call.engine.keys(db), call.engine.volatile_keys(db));
        let ttl_ms = super::memory::average_ttl_ms(call);
        if keys > 0 {
            lines.add(
                &format!("db{db}"),
                format_args!("keys={keys},expires={expires},avg_ttl={ttl_ms}"),
            );
        }
        0
    });
}

/// The sum of what `measure` says of each database.
fn each_db(call: &mut Call<'_, '_>, mut measure: impl FnMut(&mut Call<'_, '_>) -> u64) -> u64 {
    let db = call.keyspace.db();
    let sum = (0..DATABASES).map(|index| {
        call.keyspace.select(index);
        measure(call)
    });
    let sum = sum.sum();
    call.keyspace.select(db);
    sum
}

/// A number of bytes as Redis writes it for people: `1.50M`.
fn human(bytes: u64) -> String {
    let units = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let (mut number, mut unit) = (bytes as f64 / 1024.0, 0);
    while number >= 1024.0 && unit + 1 < units.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{number:.2}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_for_people() {
        assert_eq!(human(200), "200B");
        assert_eq!(human(1_572_864), "1.50M");
    }
}
