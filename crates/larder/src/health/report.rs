//! What a server says of itself.

use std::time::Duration;

use larder_store::Role;
use serde::Serialize;

use super::microseconds;

/// What a server says of itself: its `INFO`, as far as it matters to whoever runs a program on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Who made it: `redis`, `valkey` or `larder`.
    pub server: String,
    /// Its version, as its makers count.
    pub version: String,
    /// Whether it is still reading its data, and refuses commands until it has.
    #[serde(rename = "loading")]
    pub is_loading: bool,
    /// Whether it is a node of a cluster.
    #[serde(rename = "cluster")]
    pub is_cluster: bool,
    /// A master's replicas.
    pub replicas: Vec<ReplicaHealth>,
    /// A replica's link to its master.
    pub link: Option<Link>,
    /// Its memory.
    pub memory: Memory,
    /// What it evicts when its memory is full: a `maxmemory-policy` of Redis.
    pub eviction_policy: String,
    /// What it keeps on disk.
    pub persistence: Persistence,
}

/// A replica, as its master sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReplicaHealth {
    /// Its address.
    pub address: String,
    /// Whether it follows: it is not while it takes over all data at first.
    #[serde(rename = "online")]
    pub is_online: bool,
    /// How long ago it was heard of last. Parts of a second do not count.
    #[serde(rename = "silence_us", serialize_with = "microseconds")]
    pub silence: Option<Duration>,
    /// How many bytes of the stream of changes it does not have yet.
    pub lag_bytes: u64,
}

/// A replica's link to its master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Link {
    /// The master's address.
    pub master: String,
    /// Whether it is connected to it.
    #[serde(rename = "up")]
    pub is_up: bool,
    /// How long ago it heard of it last, if it is. Parts of a second do not count.
    #[serde(rename = "silence_us", serialize_with = "microseconds")]
    pub silence: Option<Duration>,
}

/// A server's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Memory {
    /// How many bytes its data and everything for it take.
    pub used_bytes: u64,
    /// How many they may take, if there is a limit: `maxmemory`.
    pub max_bytes: Option<u64>,
}

/// What a server keeps on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Persistence {
    /// Whether each change is written to a log: `appendonly`.
    #[serde(rename = "append_only")]
    pub is_append_only: bool,
    /// Whether the last write to disk failed, of a snapshot or of the log. A server that is to save and
    /// can't may refuse writes (`MISCONF`).
    #[serde(rename = "failing")]
    pub is_failing: bool,
    /// How many changes were made since the last snapshot.
    pub unsaved_changes: u64,
}

impl Report {
    /// Reads an answer of INFO, and what the server is among servers.
    pub(super) fn read(info: &str) -> (Report, Role) {
        let is = |name, wanted| field(info, name) == Some(wanted);
        let role = match field(info, "role") {
            Some("slave" | "replica") => Role::Replica,
            _ => Role::Master,
        };
        let versions = ["larder", "valkey", "redis"];
        let version_of = |server: &&str| field(info, &format!("{server}_version"));
        let (server, version) = versions
            .iter()
            .find_map(|server| Some((*server, version_of(server)?.to_owned())))
            .unwrap_or_default();
        let report = Report {
            server: server.to_owned(),
            version,
            is_loading: is("loading", "1"),
            is_cluster: is("cluster_enabled", "1"),
            replicas: replicas(info),
            link: (role == Role::Replica).then(|| Link {
                master: address(field(info, "master_host"), field(info, "master_port")),
                is_up: is("master_link_status", "up"),
                silence: seconds(field(info, "master_last_io_seconds_ago")),
            }),
            memory: Memory {
                used_bytes: number(info, "used_memory"),
                max_bytes: Some(number(info, "maxmemory")).filter(|max| *max > 0),
            },
            eviction_policy: field(info, "maxmemory_policy")
                .unwrap_or_default()
                .to_owned(),
            persistence: Persistence {
                is_append_only: is("aof_enabled", "1"),
                is_failing: is("rdb_last_bgsave_status", "err")
                    || is("aof_last_write_status", "err"),
                unsaved_changes: number(info, "rdb_changes_since_last_save"),
            },
        };
        (report, role)
    }
}

/// A field of an answer of INFO: the lines are `name:value`.
pub(super) fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim_end)
}

fn number(info: &str, name: &str) -> u64 {
    field(info, name)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// The replicas of a master: `slave0:ip=10.0.0.2,port=6379,state=online,offset=1190,lag=1`.
fn replicas(info: &str) -> Vec<ReplicaHealth> {
    let offset = number(info, "master_repl_offset");
    let of = |line: &str| -> Option<ReplicaHealth> {
        let (place, facts) = line.strip_prefix("slave")?.split_once(':')?;
        place.parse::<u32>().ok()?;
        let fact = |name: &str| {
            facts
                .split(',')
                .find_map(|fact| fact.strip_prefix(name)?.strip_prefix('='))
        };
        let has: u64 = fact("offset")?.parse().ok()?;
        Some(ReplicaHealth {
            address: address(fact("ip"), fact("port")),
            is_online: fact("state") == Some("online"),
            silence: seconds(fact("lag").map(str::trim_end)),
            lag_bytes: offset.saturating_sub(has),
        })
    };
    info.lines().filter_map(of).collect()
}

fn address(host: Option<&str>, port: Option<&str>) -> String {
    let (host, port) = (host.unwrap_or_default(), port.unwrap_or_default());
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// A number of seconds. One below 0 says that there is none.
fn seconds(text: Option<&str>) -> Option<Duration> {
    text?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_says_who_follows_it_and_how_far_behind() {
        let (report, role) = Report::read(
            "# Server\r\nredis_version:7.0.15\r\nloading:0\r\n# Memory\r\nused_memory:1000\r\n\
             maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n\
             rdb_last_bgsave_status:err\r\nrole:master\r\nconnected_slaves:2\r\n\
             slave0:ip=10.0.0.2,port=6379,state=online,offset=90,lag=1\r\n\
             slave1:ip=::1,port=6380,state=wait_bgsave,offset=0,lag=0\r\n\
             slave_repl_offset:7\r\nmaster_repl_offset:100\r\ncluster_enabled:0\r\n",
        );
        assert_eq!(role, Role::Master);
        assert_eq!((&*report.server, &*report.version), ("redis", "7.0.15"));
        assert_eq!(report.eviction_policy, "allkeys-lru");
        assert_eq!(report.memory.max_bytes, None);
        assert!(report.persistence.is_append_only && report.persistence.is_failing);
        let [first, second] = &report.replicas[..] else {
            unreachable!("two replicas were named: {report:?}");
        };
        assert_eq!((&*first.address, first.lag_bytes), ("10.0.0.2:6379", 10));
        assert_eq!(first.silence, Some(Duration::from_secs(1)));
        assert_eq!((&*second.address, second.is_online), ("[::1]:6380", false));
    }

    #[test]
    fn a_replica_that_has_lost_its_master_says_so() {
        let (report, role) = Report::read(
            "redis_version:7.2.4\r\nvalkey_version:9.1.0\r\nrole:slave\r\nmaster_host:10.0.0.1\r\n\
             master_port:6379\r\nmaster_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\n",
        );
        assert_eq!(role, Role::Replica);
        assert_eq!((&*report.server, &*report.version), ("valkey", "9.1.0"));
        let link = report.link.unwrap();
        assert_eq!(
            (&*link.master, link.is_up, link.silence),
            ("10.0.0.1:6379", false, None)
        );
    }

    #[test]
    fn what_is_no_info_is_a_report_of_nothing() {
        for strange in ["", "role", ":", "slave0:", "slave0:ip=,offset=x", "\0"] {
            let (report, _) = Report::read(strange);
            assert_eq!(report.version, "", "{strange:?}");
            assert!(report.replicas.is_empty(), "{strange:?}");
        }
    }
}
