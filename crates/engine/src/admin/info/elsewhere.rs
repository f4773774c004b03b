//! The sections of INFO about what Redis does and this server does not.

use super::Lines;
use crate::command::Call;

pub(super) fn persistence(call: &Call<'_, '_>, lines: &mut Lines) {
    let saving = call.engine.saving.state();
    let (loaded, expired) = saving.loaded;
    let seconds = |took: Option<u64>| took.map_or(-1, u64::cast_signed);
    lines.add_all(&[
        ("loading", 0),
        ("async_loading", 0),
        ("current_cow_peak", 0),
        ("current_cow_size", 0),
        ("current_cow_size_age", 0),
        ("current_save_keys_processed", 0),
        ("current_save_keys_total", 0),
        (
            "rdb_changes_since_last_save",
            saving.changes_since(call.engine.changes()),
        ),
        ("rdb_bgsave_in_progress", u64::from(saving.is_running())),
    ]);
    let started_s = call.engine.stats.started_s();
    lines.add("rdb_last_save_time", saving.last_s(started_s));
    let status = if saving.has_failed { "err" } else { "ok" };
    lines.add("rdb_last_bgsave_status", status);
    lines.add("rdb_last_bgsave_time_sec", seconds(saving.took_s));
    let running_s = saving.running_s(call.keyspace.now());
    lines.add("rdb_current_bgsave_time_sec", seconds(running_s));
    lines.add_all(&[
        ("rdb_saves", saving.saves),
        ("rdb_last_cow_size", 0),
        ("rdb_last_load_keys_expired", expired),
        ("rdb_last_load_keys_loaded", loaded),
        ("aof_enabled", 0),
        ("aof_rewrite_in_progress", 0),
        ("aof_rewrite_scheduled", 0),
    ]);
    lines.add("aof_last_rewrite_time_sec", -1);
    lines.add("aof_current_rewrite_time_sec", -1);
    lines.add_all(&[
        ("aof_rewrites", 0),
        ("aof_rewrites_consecutive_failures", 0),
    ]);
    lines.add("aof_last_bgrewrite_status", "ok");
    lines.add("aof_last_write_status", "ok");
    lines.add_all(&[
        ("aof_last_cow_size", 0),
        ("module_fork_in_progress", 0),
        ("module_fork_last_cow_size", 0),
    ]);
    lines.add("current_fork_perc", "0.00");
}

pub(super) fn replication(call: &Call<'_, '_>, lines: &mut Lines) {
    lines.add("role", "master");
    lines.add("connected_slaves", 0);
    lines.add("master_failover_state", "no-failover");
    lines.add("master_replid", &call.engine.run_id);
    lines.add("master_replid2", "0".repeat(call.engine.run_id.len()));
    lines.add("master_repl_offset", 0);
    lines.add("second_repl_offset", -1);
    lines.add_all(&[
        ("repl_backlog_active", 0),
        ("repl_backlog_size", 0),
        ("repl_backlog_first_byte_offset", 0),
        ("repl_backlog_histlen", 0),
    ]);
}

pub(super) fn modules(_: &Call<'_, '_>, _: &mut Lines) {}

pub(super) fn cluster(_: &Call<'_, '_>, lines: &mut Lines) {
    lines.add("cluster_enabled", 0);
}
