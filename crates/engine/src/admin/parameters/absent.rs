//! The parameters of Redis that Larder knowingly does not have, and why: so that who brings a file from
//! there can tell them from typing errors.

/// What parameters begin with, or are, and why they are not here. The first that fits counts.
const ABSENT: &[(&str, &str)] = &[
    ("repl-", REPLICATES),
    ("replica-", REPLICATES),
    ("slave-", REPLICATES),
    ("min-replicas-", REPLICATES),
    ("min-slaves-", REPLICATES),
    ("masterauth", REPLICATES),
    ("masteruser", REPLICATES),
    ("tls-replication", REPLICATES),
    ("cluster-", CLUSTER),
    ("tls-cluster", CLUSTER),
    ("append", DISK),
    ("aof-", DISK),
    ("aof_", DISK),
    ("auto-aof-", DISK),
    ("no-appendfsync-on-rewrite", DISK),
    (
        "rdb-save-incremental-fsync",
        "the file is written to the disk at its end",
    ),
    ("rdb-del-sync-files", REPLICATES),
    (
        "rdb-version-check",
        "a part of a file that is not known is refused",
    ),
    ("bgsave", DISK),
    ("loadmodule", "Larder has no modules"),
    ("enable-module-command", "Larder has no modules"),
    (
        "enable-protected-configs",
        "no parameter is protected from those who may CONFIG SET",
    ),
    (
        "rename-command",
        "use users for it: ACL SETUSER default -flushall",
    ),
    ("active-defrag-", "this server does not move what it holds"),
    (
        "active-expire-effort",
        "what has expired is removed ten times a second",
    ),
    ("jemalloc-bg-thread", "the memory is mimalloc's"),
    ("oom-score-adj", SUPERVISOR),
    ("disable-thp", SUPERVISOR),
    ("pidfile", SUPERVISOR),
    (
        "syslog-",
        "the log goes to standard error, where systemd takes it, or to `logfile`",
    ),
    ("server_cpulist", SUPERVISOR),
    ("server-cpulist", SUPERVISOR),
    ("bio", SUPERVISOR),
    ("set-proc-title", "the title of the process stays as it is"),
    (
        "proc-title-template",
        "the title of the process stays as it is",
    ),
    ("always-show-logo", "there is no logo"),
    ("crash-", "a crash is one thread's, and is logged"),
    (
        "ignore-warnings",
        "nothing of the machine keeps the server from starting",
    ),
    ("shutdown-on-", "SIGINT and SIGTERM end the server in order"),
    ("socket-mark-id", "the system does that for a whole service"),
    ("bind-source-addr", "Larder connects to nobody"),
    ("propagation-error-behavior", REPLICATES),
    ("locale-collate", "strings are compared byte by byte"),
    (
        "tls-ca-cert-dir",
        "name one file with all authorities: tls-ca-cert-file",
    ),
    ("tls-client-", "Larder connects to nobody"),
    (
        "tls-dh-params-file",
        "keys are agreed on by elliptic curves alone",
    ),
    (
        "tls-cipher",
        "only safe suites are spoken, in the order of their speed",
    ),
    (
        "tls-prefer-server-ciphers",
        "only safe suites are spoken, in the order of their speed",
    ),
    (
        "tls-session-",
        "sessions are always resumed where the client can",
    ),
];

const REPLICATES: &str = "Larder does not replicate";
const CLUSTER: &str = "Larder is one server, and no cluster";
const DISK: &str = "there is no append-only file: `save` keeps snapshots";
const SUPERVISOR: &str = "that is the business of systemd or the container";

/// Why Larder does not have a parameter that Redis has.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    let is = |part: &str| match part.ends_with(['-', '_']) || PREFIXES.contains(&part) {
        true => name.starts_with(part),
        false => name == part,
    };
    let mut rows = ABSENT.iter();
    rows.find(|(part, _)| is(part)).map(|(_, why)| *why)
}

/// Beginnings that do not end with a hyphen.
const PREFIXES: &[&str] = &["append", "bgsave", "bio", "tls-cipher", "oom-score-adj"];
