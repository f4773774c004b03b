//! The sections of INFO about what has happened: to commands, and to keys.

use std::sync::atomic::Ordering::Relaxed;

use super::Lines;
use super::process::has_threads;
use crate::command::Call;
use crate::commands;
use crate::engine::Engine;
use crate::keyspace::DATABASES;
use crate::pubsub::Topic;

pub(super) fn stats(call: &Call<'_, '_>, lines: &mut Lines) {
    came_and_went(call.engine, lines);
    gone(call.engine, lines);
    asked_for(call.engine, lines);
    by_threads(call.engine, lines);
    // Each tick removes all that has expired.
    lines.add("expired_stale_perc", "0.00");
    let [login, command, key, channel] = call.engine.acl.denials();
    lines.add_all(&[
        ("acl_access_denied_auth", login),
        ("acl_access_denied_cmd", command),
        ("acl_access_denied_key", key),
        ("acl_access_denied_channel", channel),
    ]);
}

/// Connections, and what has come and gone over them.
fn came_and_went(engine: &Engine, lines: &mut Lines) {
    let stats = &engine.stats;
    let (per_second, kib) = (stats.per_second(), |bytes: u64| bytes as f64 / 1024.0);
    let (read, written) = (
        stats.traffic(|traffic| &traffic.read_bytes),
        stats.traffic(|traffic| &traffic.written_bytes),
    );
    lines.add_all(&[
        ("total_connections_received", engine.clients.seen()),
        ("total_commands_processed", stats.counters.calls()),
        ("instantaneous_ops_per_sec", per_second.commands),
        ("total_net_input_bytes", read),
        ("total_net_output_bytes", written),
        ("total_net_repl_input_bytes", 0),
        ("total_net_repl_output_bytes", 0),
    ]);
    for (name, bytes) in [
        ("instantaneous_input_kbps", per_second.read_bytes),
        ("instantaneous_output_kbps", per_second.written_bytes),
        ("instantaneous_input_repl_kbps", 0),
        ("instantaneous_output_repl_kbps", 0),
    ] {
        lines.add(name, format_args!("{:.2}", kib(bytes)));
    }
    let rejected = stats.traffic(|traffic| &traffic.rejected);
    lines.add("rejected_connections", rejected);
}

/// What has expired or had to make room.
fn gone(engine: &Engine, lines: &mut Lines) {
    let stats = &engine.stats;
    let expiring_ms = stats.expiring_us.load(Relaxed) / 1000;
    let evicted_clients = stats.traffic(|traffic| &traffic.evicted_clients);
    lines.add_all(&[
        ("sync_full", 0),
        ("sync_partial_ok", 0),
        ("sync_partial_err", 0),
        (
            "expired_subkeys",
            engine.shards.sum(|all| &all.expired_fields),
        ),
        (
            "expired_fields",
            engine.shards.sum(|all| &all.expired_fields),
        ),
        ("expired_keys", engine.shards.sum(|all| &all.expired)),
        ("expired_time_cap_reached_count", 0),
        ("expire_cycle_cpu_milliseconds", expiring_ms),
        ("evicted_scripts", engine.scripts.forgotten()),
        ("evicted_keys", engine.shards.sum(|all| &all.evicted)),
        ("evicted_clients", evicted_clients),
        ("total_eviction_exceeded_time", 0),
        ("current_eviction_exceeded_time", 0),
    ]);
}

/// Keys and channels that somebody asked for, and who is told of them.
fn asked_for(engine: &Engine, lines: &mut Lines) {
    let (stats, tracking) = (&engine.stats, engine.shards.tracking());
    let channels = |topic| engine.pubsub.len(topic) as u64;
    lines.add_all(&[
        ("keyspace_hits", engine.shards.sum(|all| &all.hits)),
        ("keyspace_misses", engine.shards.sum(|all| &all.misses)),
        ("pubsub_channels", channels(Topic::Channel)),
        ("pubsub_patterns", channels(Topic::Pattern)),
        ("pubsubshard_channels", channels(Topic::ShardChannel)),
        ("latest_fork_usec", 0),
        ("total_forks", 0),
        ("migrate_cached_sockets", 0),
        ("slave_expires_tracked_keys", 0),
        ("active_defrag_hits", 0),
        ("active_defrag_misses", 0),
        ("active_defrag_key_hits", 0),
        ("active_defrag_key_misses", 0),
        ("total_active_defrag_time", 0),
        ("current_active_defrag_time", 0),
        ("tracking_total_keys", tracking.keys_len() as u64),
        ("tracking_total_items", tracking.items_len() as u64),
        ("tracking_total_prefixes", tracking.prefixes_len() as u64),
        ("unexpected_error_replies", 0),
        ("total_error_replies", stats.errors.total()),
        ("dump_payload_sanitizations", 0),
    ]);
}

/// What threads have read and written: each reads, runs and writes for its connections.
fn by_threads(engine: &Engine, lines: &mut Lines) {
    let stats = &engine.stats;
    let (reads, writes) = (
        stats.traffic(|traffic| &traffic.reads),
        stats.traffic(|traffic| &traffic.writes),
    );
    let (beyond_query, beyond_output) = (
        stats.traffic(|traffic| &traffic.beyond_query_limit),
        stats.traffic(|traffic| &traffic.beyond_output_limit),
    );
    let by_threads = u64::from(has_threads(engine));
    lines.add_all(&[
        ("total_reads_processed", reads),
        ("total_writes_processed", writes),
        ("io_threaded_reads_processed", by_threads * reads),
        ("io_threaded_writes_processed", by_threads * writes),
        ("client_query_buffer_limit_disconnections", beyond_query),
        ("client_output_buffer_limit_disconnections", beyond_output),
    ]);
}

pub(super) fn commandstats(call: &Call<'_, '_>, lines: &mut Lines) {
    for (_, command) in commands() {
        let counted = call.engine.stats.counters.of(command);
        if counted.calls + counted.rejected + counted.failed == 0 {
            continue;
        }
        let us_per_call = counted.us as f64 / counted.calls.max(1) as f64;
        lines.add(
            &format!("cmdstat_{}", command.full_name()),
            format_args!(
                "calls={},usec={},usec_per_call={us_per_call:.2},rejected_calls={},failed_calls={}",
                counted.calls, counted.us, counted.rejected, counted.failed
            ),
        );
    }
}

pub(super) fn errorstats(call: &Call<'_, '_>, lines: &mut Lines) {
    for (code, count) in call.engine.stats.errors.counts() {
        // A script may have made the code: what would end the line or the name does not stand here.
        let code = code.replace([':', '\r', '\n'], "_");
        lines.add(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub(super) fn latencystats(call: &Call<'_, '_>, lines: &mut Lines) {
    let percentiles = call.engine.config.percentiles();
    for (_, command) in commands() {
        let Some(times) = call.engine.stats.histograms.of(command) else {
            continue;
        };
        let texts = percentiles.iter().map(|percent| {
            let us = times.percentile_ns(*percent) as f64 / 1000.0;
            format!("p{percent}={us:.3}")
        });
        let texts: Vec<String> = texts.collect();
        let name = format!("latency_percentiles_usec_{}", command.full_name());
        lines.add(&name, texts.join(","));
    }
}

pub(super) fn keyspace(call: &Call<'_, '_>, lines: &mut Lines) {
    let (engine, now_ms) = (call.engine, call.now().unix_ms());
    for db in 0..DATABASES {
        let (keys, expires) = (engine.keys(db), engine.volatile_keys(db));
        if keys > 0 {
            let ttl_ms = engine
                .shards
                .estimated_ttl_ms(db, now_ms, || engine.random());
            // Some who watch servers know three figures, so there are no more where these say it all.
            let timed = match engine.timed_hashes(db) {
                0 => String::new(),
                timed => format!(",subexpiry={timed},keys_with_volatile_items={timed}"),
            };
            lines.add(
                &format!("db{db}"),
                format_args!("keys={keys},expires={expires},avg_ttl={ttl_ms}{timed}"),
            );
        }
    }
}
