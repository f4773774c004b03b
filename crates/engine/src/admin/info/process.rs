//! The sections of INFO about the process, its connections and its memory.

use std::sync::Arc;
use std::time::Duration;

use super::Lines;
use crate::admin::REDIS_VERSION;
use crate::admin::memory::Usage;
use crate::command::Call;
use crate::engine::Engine;
use crate::session::{Buffers, Client, ClientKind};

pub(super) fn server(call: &Call<'_, '_>, lines: &mut Lines) {
    let (host, engine) = (call.engine.config.host(), call.engine);
    let uptime_s = engine.stats.uptime_s(call.now());
    lines.add("redis_version", REDIS_VERSION);
    lines.add("redis_git_sha1", "00000000");
    lines.add("redis_git_dirty", 0);
    lines.add("larder_version", env!("CARGO_PKG_VERSION"));
    lines.add("redis_mode", "standalone");
    if host.facts.is_empty() {
        let system = (std::env::consts::OS, std::env::consts::ARCH);
        lines.add("os", format_args!("{} {}", system.0, system.1));
    }
    lines.add("arch_bits", usize::BITS);
    for (name, value) in &host.facts {
        lines.add(name, value);
    }
    lines.add("process_id", std::process::id());
    let supervised = engine.config.hosted("supervised", "no");
    let is_supervised = supervised == "systemd";
    lines.add(
        "process_supervised",
        if is_supervised { "systemd" } else { "no" },
    );
    lines.add("run_id", &engine.run_id);
    lines.add("tcp_port", host.tcp_port);
    lines.add("server_time_usec", call.now().unix_us());
    lines.add("uptime_in_seconds", uptime_s);
    lines.add("uptime_in_days", uptime_s / 86_400);
    lines.add("hz", 10);
    lines.add("configured_hz", 10);
    lines.add("lru_clock", (call.now().unix_ms() / 1000) & 0x00ff_ffff);
    lines.add("config_file", engine.config.outside.file_name());
    lines.add("io_threads_active", u8::from(has_threads(engine)));
    for (number, listener) in listeners(engine).iter().enumerate() {
        lines.add(&format!("listener{number}"), listener);
    }
}

/// Whether several threads serve connections.
pub(super) fn has_threads(engine: &Engine) -> bool {
    let threads = engine.config.hosted("threads", "0");
    threads.parse().is_ok_and(|threads: usize| threads > 1)
}

/// Where clients are listened for: a line for each kind of socket.
fn listeners(engine: &Engine) -> Vec<String> {
    let bind = engine.config.hosted("bind", "");
    let places: String = { bind.split_whitespace() }
        .map(|place| format!(",bind={place}"))
        .collect();
    let mut listeners = Vec::new();
    for (name, parameter) in [("tcp", "port"), ("tls", "tls-port")] {
        let port = engine.config.hosted(parameter, "0");
        if port != "0" && !places.is_empty() {
            listeners.push(format!("name={name}{places},port={port}"));
        }
    }
    let path = engine.config.hosted("unixsocket", "");
    if !path.is_empty() {
        listeners.push(format!("name=unix,bind={path}"));
    }
    listeners
}

pub(super) fn clients(call: &Call<'_, '_>, lines: &mut Lines) {
    let clients = call.engine.clients.all();
    let blocked = clients.iter().filter(|client| client.is_blocked());
    let largest = |buffer: fn(Buffers) -> usize| {
        let buffers = clients.iter().map(|client| buffer(client.buffers()));
        buffers.max().unwrap_or(0) as u64
    };
    lines.add_all(&[
        ("connected_clients", clients.len() as u64),
        ("cluster_connections", 0),
        ("maxclients", call.engine.clients_max() as u64),
        (
            "client_recent_max_input_buffer",
            largest(|buffers| buffers.input_capacity),
        ),
        (
            "client_recent_max_output_buffer",
            largest(|buffers| buffers.output_capacity),
        ),
        ("blocked_clients", blocked.count() as u64),
        (
            "tracking_clients",
            call.engine.shards.tracking().trackers_len() as u64,
        ),
        ("clients_in_timeout_table", call.engine.timed_waits() as u64),
    ]);
    interests(call, &clients, lines);
    let (kind, left_ms) = call.engine.pause(call.keyspace.ticks());
    lines.add("paused_reason", kind.map_or("none", |_| "client_pause"));
    lines.add("paused_actions", kind.unwrap_or("none"));
    lines.add("paused_timeout_milliseconds", left_ms);
}

/// What clients listen to, watch and wait for.
fn interests(call: &Call<'_, '_>, clients: &[Arc<Client>], lines: &mut Lines) {
    let listen = clients
        .iter()
        .filter(|client| client.kind() == ClientKind::PubSub);
    let watch = clients.iter().map(|client| client.watched_keys());
    let (awaited, for_any_change) = call.engine.awaited_keys();
    lines.add_all(&[
        ("pubsub_clients", listen.count() as u64),
        (
            "watching_clients",
            watch.clone().filter(|keys| *keys > 0).count() as u64,
        ),
        ("total_watched_keys", watch.sum::<usize>() as u64),
        ("total_blocking_keys", awaited as u64),
        ("total_blocking_keys_on_nokey", for_any_change as u64),
    ]);
}

/// What the engine holds is its own account; what the process holds is known to its host.
pub(super) fn memory(call: &Call<'_, '_>, lines: &mut Lines) {
    let engine = call.engine;
    let usage = Usage::of(engine);
    let Usage { used, peak, .. } = usage;
    let percent = |part: u64, whole: u64| match whole {
        0 => "0.00%".to_owned(),
        whole => format!("{:.2}%", part as f64 / whole as f64 * 100.0),
    };
    lines.add_bytes("used_memory", used);
    if let Some(resident) = usage.resident {
        lines.add_bytes("used_memory_rss", resident);
    }
    lines.add_bytes("used_memory_peak", peak);
    lines.add("used_memory_peak_perc", percent(used, peak));
    lines.add("used_memory_overhead", usage.overhead());
    lines.add("used_memory_startup", 0);
    lines.add("used_memory_dataset", usage.dataset);
    lines.add("used_memory_dataset_perc", percent(usage.dataset, used));
    let (in_scripts, in_functions) = (engine.scripts.bytes(), engine.scripts.functions_bytes());
    lines.add(
        "used_memory_scripts_eval",
        in_scripts.saturating_sub(in_functions),
    );
    lines.add("number_of_cached_scripts", engine.scripts.len());
    let (libraries, functions) = engine.scripts.count_functions();
    lines.add("number_of_functions", functions);
    lines.add("number_of_libraries", libraries);
    lines.add("used_memory_functions", in_functions);
    lines.add_bytes("used_memory_scripts", in_scripts as u64);
    if let Some(bytes) = engine.config.host().memory_bytes {
        lines.add_bytes("total_system_memory", bytes);
    }
    lines.add_all(&[
        (
            "lazyfree_pending_objects",
            engine.stats.freed_aside.pending(),
        ),
        ("lazyfreed_objects", engine.stats.freed_aside.freed()),
    ]);
    lines.add_bytes("maxmemory", engine.max_memory());
    lines.add("maxmemory_policy", engine.memory.policy());
    if let Some((ratio, bytes)) = usage.fragmentation() {
        lines.add("mem_fragmentation_ratio", format_args!("{ratio:.2}"));
        lines.add("mem_fragmentation_bytes", bytes);
    }
    lines.add_all(&[
        ("mem_not_counted_for_evict", 0),
        ("mem_replication_backlog", 0),
        ("mem_total_replication_buffers", 0),
        ("mem_clients_slaves", 0),
        ("mem_clients_normal", usage.clients),
        ("mem_cluster_links", 0),
        ("mem_aof_buffer", 0),
        ("active_defrag_running", 0),
    ]);
}

pub(super) fn cpu(call: &Call<'_, '_>, lines: &mut Lines) {
    if let Some(time) = call.engine.config.host().cpu_time.and_then(|ask| ask()) {
        let text = |time: Duration| format!("{:.6}", time.as_secs_f64());
        lines.add("used_cpu_sys", text(time.system));
        lines.add("used_cpu_user", text(time.user));
        lines.add("used_cpu_sys_children", text(Duration::ZERO));
        lines.add("used_cpu_user_children", text(Duration::ZERO));
    }
}
