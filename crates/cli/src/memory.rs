//! How much memory the process may have.

use std::fs::read_to_string;

/// How many bytes of memory the process may have: those of the machine, or of the control group that
/// it runs in. `None` where the system says so in no way that is known here.
pub(crate) fn of_process() -> Option<u64> {
    let groups = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    // A group without a limit says `max`, or a number beyond the machine's memory.
    let of_groups = groups.iter().filter_map(|path| {
        let text = read_to_string(path).ok()?;
        text.trim().parse().ok()
    });
    let of_machine = read_to_string("/proc/meminfo").ok();
    let of_machine = of_machine.as_deref().and_then(total);
    of_groups.chain(of_machine).min()
}

/// The machine's memory, as `/proc/meminfo` says it.
fn total(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let line = lines.find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read_in_bytes() {
        let meminfo = "MemTotal:        2048 kB\nMemFree:          912 kB\n";
        assert_eq!(total(meminfo), Some(2 << 20));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }
}
