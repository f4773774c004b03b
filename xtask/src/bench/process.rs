//! What the kernel says of a process: its CPU time and its resident memory. Linux only.

use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel's unit of CPU time in `/proc`, which Linux has fixed for all programs.
const TICKS_PER_SECOND: u64 = 100;

/// The CPU time that a process has used, in user and in system mode.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    match precise_cpu_time(pid) {
        Some(time) => Ok(time),
        None => counted_cpu_time(pid),
    }
}

/// To the nanosecond, where the kernel says: the sum over its threads. One that has ended no longer
/// counts, but a server's threads stay.
fn precise_cpu_time(pid: u32) -> Option<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let times = threads.map(|thread| {
        let stat = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        let ns = stat.split_whitespace().next()?.parse().ok()?;
        Some(Duration::from_nanos(ns))
    });
    times
        .sum::<Option<Duration>>()
        .filter(|time| !time.is_zero())
}

/// In the kernel's ticks.
fn counted_cpu_time(pid: u32) -> Result<Duration> {
    let stat = read(pid, "stat")?;
    // The second field, the program's name, may hold spaces; it ends with the last parenthesis.
    let (_, rest) = stat.rsplit_once(')').context("a strange /proc/PID/stat")?;
    let mut fields = rest.split_whitespace();
    let user: u64 = fields.nth(11).context("no utime")?.parse()?;
    let system: u64 = fields.next().context("no stime")?.parse()?;
    Ok(Duration::from_millis(
        (user + system) * 1000 / TICKS_PER_SECOND,
    ))
}

/// The bytes of memory that a process has in use.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("no VmRSS")?
        .parse()?;
    Ok(kib * 1024)
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))
}
