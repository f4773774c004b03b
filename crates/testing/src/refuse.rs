//! Stores that refuse.

use std::sync::OnceLock;

use larder_store::shape::Flags;
use larder_store::{Command, Error, Refusal};

use crate::rows;

/// Why a store refuses for a time.
///
/// [`Refuse::Oom`], [`Refuse::ReadOnly`], [`Refuse::Misconf`] and [`Refuse::NoReplicas`] refuse what
/// writes and nothing else, also inside of scripts: a script that only reads runs, and one that writes
/// fails at its first write, or goes on without it if it calls with `pcall`. The others refuse
/// everything.
///
/// Source: Redis, `processCommand` in `server.c` and `scriptCall` in `script.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refuse {
    /// The store is full. It refuses what would take more memory.
    Oom,
    /// The store is a replica.
    ReadOnly,
    /// The store can't write to its disk.
    Misconf,
    /// Too few replicas follow.
    NoReplicas,
    /// The store reads its data from the disk.
    Loading,
    /// A script runs for too long.
    Busy,
    /// A part of the cluster is missing.
    ClusterDown,
}

impl Refuse {
    /// All of them.
    pub const ALL: [Refuse; 7] = [
        Refuse::Oom,
        Refuse::ReadOnly,
        Refuse::Misconf,
        Refuse::NoReplicas,
        Refuse::Loading,
        Refuse::Busy,
        Refuse::ClusterDown,
    ];

    /// What the store says, as Redis says it.
    pub fn text(self) -> &'static str {
        match self {
            Refuse::Oom => "OOM command not allowed when used memory > 'maxmemory'.",
            Refuse::ReadOnly => "READONLY You can't write against a read only replica.",
            Refuse::Misconf => {
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to \
                 persist to disk. Commands that may modify the data set are disabled, because this \
                 instance is configured to report errors during writes if RDB snapshotting fails \
                 (stop-writes-on-bgsave-error option). Please check the Redis logs for details about \
                 the RDB error."
            }
            Refuse::NoReplicas => "NOREPLICAS Not enough good replicas to write.",
            Refuse::Loading => "LOADING Redis is loading the dataset in memory",
            Refuse::Busy => {
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN \
                 NOSAVE."
            }
            Refuse::ClusterDown => "CLUSTERDOWN The cluster is down",
        }
    }

    pub(crate) fn error(self) -> Error {
        Error::Refused(Refusal::new(self.text()))
    }

    /// The flags of the commands that it refuses. `None` if it refuses all.
    fn refused(self) -> Option<Flags> {
        match self {
            Refuse::Oom => Some(Flags::DENY_OOM),
            Refuse::ReadOnly | Refuse::Misconf | Refuse::NoReplicas => Some(Flags::WRITE),
            Refuse::Loading | Refuse::Busy | Refuse::ClusterDown => None,
        }
    }

    /// Whether a command is refused, leaving aside what a script does.
    pub(crate) fn refuses(self, command: &Command) -> bool {
        let asks_for_health =
            self == Refuse::Misconf && command.name().eq_ignore_ascii_case(b"PING");
        asks_for_health
            || self
                .refused()
                .is_none_or(|flags| rows::flags(command).has(flags))
    }

    /// The same script with its writes refused. `None` if it can't be changed so: it begins with a
    /// line of its own, and is refused as a whole.
    pub(crate) fn guard(self, script: &str) -> Option<String> {
        static PRELUDES: [OnceLock<String>; Refuse::ALL.len()] =
            [const { OnceLock::new() }; Refuse::ALL.len()];
        let flags = self.refused()?;
        let prelude = PRELUDES[self as usize].get_or_init(|| prelude(flags, self.text()));
        (!script.starts_with("#!")).then(|| format!("{prelude}{script}"))
    }
}

fn prelude(refused: Flags, refusal: &str) -> String {
    include_str!("refuse.lua")
        .replace("$REFUSED", &names_with(refused))
        .replace("$WRITES", &names_with(Flags::WRITE))
        .replace("$REFUSAL", refusal)
}

/// The names of commands, each with a space before and behind it, and a stroke within.
fn names_with(flags: Flags) -> String {
    let names = rows::names_with(flags).map(|name| name.replace(' ', "/"));
    names.fold(String::from(" "), |names, name| names + &name + " ")
}
