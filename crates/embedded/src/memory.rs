//! How much memory a store may hold.

use std::fmt;
use std::fs;
use std::str::FromStr;

use larder_engine::memory_size;

/// How many bytes a store may hold, by its own account: keys, values, tables and buffers.
///
/// A store without any limit grows until the system ends its process, and with it the application.
/// So there is one by default, of which nobody hears who has memory enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxMemory {
    /// Half of what the machine has, or the container if it has less: the default. Any number where
    /// that can't be learnt, on systems other than Linux.
    #[default]
    Half,
    /// Four fifths of that: for a server that has its machine to itself.
    FourFifths,
    /// So many.
    Bytes(u64),
    /// Any number.
    Unlimited,
}

impl MaxMemory {
    /// The number of bytes, 0 for any.
    pub fn bytes(self) -> u64 {
        match self {
            MaxMemory::Half => available_memory().map_or(0, |bytes| bytes / 2),
            MaxMemory::FourFifths => available_memory().map_or(0, |bytes| bytes / 5 * 4),
            MaxMemory::Bytes(bytes) => bytes,
            MaxMemory::Unlimited => 0,
        }
    }
}

impl FromStr for MaxMemory {
    type Err = NoMemory;

    /// Reads a number of bytes, with one of Redis's units behind it or without: `512mb`. 0 is any
    /// number.
    fn from_str(text: &str) -> Result<MaxMemory, NoMemory> {
        match memory_size(text.as_bytes()) {
            Some(0) => Ok(MaxMemory::Unlimited),
            Some(bytes) => Ok(MaxMemory::Bytes(bytes)),
            None => Err(NoMemory),
        }
    }
}

/// A text is no number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it has to be a number of bytes, such as 256mb, 1gb, or 0 for any")
    }
}

impl std::error::Error for NoMemory {}

/// How many bytes the machine has, or the process may have if that is less: by the limits of all
/// control groups that it is in.
fn available_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    let machine = total_of(&machine)?;
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = files_of(&cgroup).into_iter().filter_map(|file| {
        let limit = fs::read_to_string(file).ok()?;
        limit.trim().parse().ok()
    });
    Some(limits.fold(machine, u64::min))
}

/// The memory of a machine, from the text of `/proc/meminfo`.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The files in which limits of a process may stand, from the text of `/proc/self/cgroup`.
fn files_of(cgroup: &str) -> Vec<String> {
    let own = cgroup.lines().find_map(|line| line.strip_prefix("0::/"));
    let mut files = vec!["/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned()];
    let mut group = own.unwrap_or_default().trim_end_matches('/');
    loop {
        let slash = if group.is_empty() { "" } else { "/" };
        files.push(format!("/sys/fs/cgroup/{group}{slash}memory.max"));
        match group.rsplit_once('/') {
            Some((parent, _)) => group = parent,
            None if group.is_empty() => return files,
            None => group = "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_machine_is_read_from_its_file() {
        let meminfo = "MemTotal:       24606936 kB\nMemFree:        20000000 kB\n";
        assert_eq!(total_of(meminfo), Some(24_606_936 << 10));
        assert_eq!(total_of("MemFree: 1 kB"), None);
    }

    #[test]
    fn the_limits_of_a_container_and_of_all_around_it_count() {
        let files = files_of("0::/user.slice/app.service\n");
        let wanted = [
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/user.slice/app.service/memory.max",
            "/sys/fs/cgroup/user.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files, wanted);
    }

    #[test]
    fn a_number_of_bytes_may_have_one_of_the_units_of_redis() {
        assert_eq!("256mb".parse(), Ok(MaxMemory::Bytes(256 << 20)));
        assert_eq!("1G".parse(), Ok(MaxMemory::Bytes(1_000_000_000)));
        assert_eq!("0".parse(), Ok(MaxMemory::Unlimited));
        for wrong in ["", "mb", "-1", "1tb", "1.5gb", "99999999999999999999"] {
            assert_eq!(wrong.parse::<MaxMemory>(), Err(NoMemory), "{wrong}");
        }
    }

    #[test]
    fn a_machine_gives_half_of_what_it_has() {
        let (half, most) = (MaxMemory::Half.bytes(), MaxMemory::FourFifths.bytes());
        assert!(half <= most);
        assert_eq!(MaxMemory::Bytes(7).bytes(), 7);
        assert_eq!(MaxMemory::Unlimited.bytes(), 0);
    }
}
