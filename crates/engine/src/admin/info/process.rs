//! The sections of INFO about the process, its connections and its memory.

use std::time::Duration;

use super::Lines;
use crate::admin::REDIS_VERSION;
use crate::admin::memory::Usage;
use crate::command::Call;
use crate::session::Buffers;

pub(super) fn server(call: &Call<'_, '_>, lines: &mut Lines) {
    let (host, engine) = (call.engine.config.host(), call.engine);
    let uptime_s = engine.stats.uptime_s(call.now());
    lines.add("redis_version", REDIS_VERSION);
    lines.add("redis_git_sha1", "00000000");
    lines.add("redis_git_dirty", 0);
    lines.add("larder_version", env!("CARGO_PKG_VERSION"));
    lines.add("redis_mode", "standalone");
    lines.add(
        "os",
        format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    lines.add("arch_bits", usize::BITS);
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
    lines.add("used_memory_scripts", in_scripts);
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
