//! The parameters: a row each. `larder serve --help`, the configuration file, CONFIG and the example in
//! `deploy/` derive from these.

use super::super::observed::{
    LARGE_REPLY, LARGE_REQUEST, PERCENTILES, SLOWER_THAN, THRESHOLD, TRACKING,
};
use super::Group::{
    Clients, Collections, Files, General, Memory, Network, Scripts, Tls, Users, Watching,
};
use super::hosted::{Hosted, Shape};
use super::{Parameter, Place, Unit, aliased, row};

const INT_MAX: u64 = i32::MAX as u64;
const LONG_MAX: u64 = i64::MAX as u64;

const FREED_ASIDE: &str = "what takes long to free is always freed aside";
const NO_REPLICAS: &str = "this server has no replicas";
const IMMUTABLE: &str = super::IMMUTABLE;

const fn hosted(default: &'static str, shape: Shape) -> Place {
    Place::Hosted(Hosted { default, shape })
}

#[rustfmt::skip]
pub(crate) const PARAMETERS: &[Parameter] = &[
    // --- network -----------------------------------------------------------------------------
    row("bind", Network, "Addresses to listen on, with spaces between them. One with `-` before it may be missing; `*` is all of IPv4, `::*` all of IPv6.",
        hosted("127.0.0.1 -::1", Shape::Words)),
    row("port", Network, "Port for plain connections; 0 listens for none.", hosted("6379", Shape::Count(0, 65_535))),
    row("listen", Network, "Address and port to listen on, such as 127.0.0.1:6379, in the place of `bind` and `port`; may be given several times. Port 0 takes a free port.",
        Place::Start),
    row("tcp-backlog", Network, "How many connections may wait to be accepted. The system may allow fewer (net.core.somaxconn).", hosted("511", Shape::Count(1, 65_535))),
    row("unixsocket", Network, "Path of a Unix socket to listen on as well.", hosted("", Shape::Text)),
    row("unixsocketperm", Network, "Permissions of the Unix socket, as chmod takes them: 700. 0 leaves them to the process.", hosted("0", Shape::Octal)),
    row("protected-mode", Network, "Whether clients from other machines are refused as long as there is no password.",
        Place::Switch(|engine| &engine.config.protected_mode)),
    row("tcp-keepalive", Network, "Seconds of silence after which the system probes whether the other end is there; 0 is never.",
        Place::Setting(|config| &config.keepalive_s, Unit::Count, 0, INT_MAX)),
    row("timeout", Network, "Seconds after which an idle connection is closed; 0 is never.",
        Place::Setting(|config| &config.idle_timeout_s, Unit::Count, 0, INT_MAX)),
    // --- TLS ---------------------------------------------------------------------------------
    row("tls-port", Tls, "Port for connections over TLS; 0 listens for none.", hosted("0", Shape::Count(0, 65_535))),
    row("tls-listen", Tls, "Address and port to listen on for TLS, in the place of `bind` and `tls-port`; may be given several times.", Place::Start),
    row("tls-cert-file", Tls, "The server's certificate in PEM, and those between it and an authority that clients know. It is read again at SIGHUP and CONFIG SET.",
        hosted("", Shape::Text)),
    row("tls-key-file", Tls, "The key of the certificate, in PEM, without a password.", hosted("", Shape::Text)),
    row("tls-key-file-pass", Tls, "Refused unless it is empty: a key with a password can't be read.", hosted("", Shape::Text)),
    row("tls-ca-cert-file", Tls, "The authorities whose clients are let in, in PEM.", hosted("", Shape::Text)),
    row("tls-auth-clients", Tls, "Whether clients have to show a certificate.", hosted("yes", Shape::Choice(&["no", "yes", "optional"]))),
    row("tls-protocols", Tls, "Versions of TLS: \"TLSv1.2 TLSv1.3\", or one of them. Both if it is empty.", hosted("", Shape::Words)),
    // --- users -------------------------------------------------------------------------------
    row("requirepass", Users, "Password that clients have to give. LARDER_REQUIREPASS keeps it out of the list of processes.", Place::Password),
    row("user", Users, "User, as NAME and rules, such as 'ann on #SHA256 ~ann:* +@all'; may be given several times.", Place::Start),
    row("aclfile", Users, "File of users, one a line as ACL LIST shows them; ACL SAVE writes it.", Place::UserFile),
    row("acl-pubsub-default", Users, "What channels a new user may use: allchannels or resetchannels.", Place::NewUsersChannels),
    row("acllog-max-len", Users, "How many refusals ACL LOG keeps.", Place::Setting(|config| &config.acl_log_len_max, Unit::Count, 0, LONG_MAX)),
    // --- clients -----------------------------------------------------------------------------
    row("maxclients", Clients, "Connections that there may be at once.", Place::Setting(|config| &config.clients_max, Unit::Count, 1, u32::MAX as u64)),
    row("maxmemory-clients", Clients, "Bytes that all clients together may take for requests and answers, or hundredths of maxmemory (5%); 0 is no limit. Those that take most are closed first.",
        Place::ClientsMemory).unless_told("half of the memory that the process may have"),
    row("client-output-buffer-limit", Clients, "CLASS HARD SOFT SECONDS: how much may wait for clients of class normal or pubsub that do not read; may be given for each class.",
        Place::OutputLimits),
    // Words are placed in their request by 32-bit numbers.
    row("proto-max-bulk-len", Clients, "Bytes that a word of a request, and a string, may have.",
        Place::Setting(|config| &config.bulk_len_max, Unit::Memory, 1 << 20, u32::MAX as u64)),
    row("client-query-buffer-limit", Clients, "Bytes of requests that may be held for one connection.",
        Place::Setting(|config| &config.query_buffer_max, Unit::Memory, 1 << 20, LONG_MAX)),
    row("tracking-table-max-keys", Clients, "Keys that clients have read of which is remembered who did; 0 is any number.",
        Place::Setting(|config| &config.tracked_keys_max, Unit::Count, 0, LONG_MAX)),
    // --- memory ------------------------------------------------------------------------------
    row("maxmemory", Memory, "Bytes that the store may hold, such as 512mb or 2gb; 0 is any number.", Place::MaxMemory)
        .unless_told("four fifths of the memory of the machine or container"),
    row("maxmemory-policy", Memory, "What is evicted when it holds more.", Place::EvictionPolicy),
    row("maxmemory-samples", Memory, "Keys among which the one to evict is chosen.", Place::Kept(|engine| &engine.memory.samples, Unit::Count, 1, 64)),
    row("maxmemory-eviction-tenacity", Memory, "How long a command may be kept by evictions: 0 is as briefly as can be, 100 until all is done.",
        Place::Kept(|engine| &engine.memory.tenacity, Unit::Count, 0, 100)),
    row("lfu-log-factor", Memory, "How slowly the counter of uses grows.", Place::Kept(|engine| &engine.shards.access().log_factor, Unit::Count, 0, INT_MAX)),
    row("lfu-decay-time", Memory, "Minutes after which the counter of uses falls by one.", Place::Kept(|engine| &engine.shards.access().decay_min, Unit::Count, 0, INT_MAX)),
    // --- scripts -----------------------------------------------------------------------------
    aliased("busy-reply-threshold", "lua-time-limit", Scripts, "Milliseconds after which a script keeps others waiting for too long, and they are told BUSY.",
        Place::Setting(|config| &config.script_busy_ms, Unit::Count, 0, LONG_MAX)),
    // Of Larder alone: in Redis there is one thread, and nobody else can be served.
    row("busy-reply-for-all", Scripts, "Whether everybody is told BUSY while a script keeps others waiting for too long, as in Redis, and not only those who need its keys.",
        Place::Switch(|engine| &engine.config.script_busy_for_all)),
    // Of Larder alone: Redis lets scripts take all memory that there is.
    row("lua-memory-limit", Scripts, "Bytes that the values of one script may take.",
        Place::Setting(|config| &config.script_memory_max, Unit::Memory, 1 << 20, u32::MAX as u64)),
    // --- collections -------------------------------------------------------------------------
    aliased("hash-max-listpack-entries", "hash-max-ziplist-entries", Collections, "Fields of a hash up to which it is kept in one piece.",
        Place::Limit(|limits| &limits.hash_max_listpack_entries, Unit::Count)),
    aliased("hash-max-listpack-value", "hash-max-ziplist-value", Collections, "Bytes of its longest field or value up to which a hash is kept in one piece.",
        Place::Limit(|limits| &limits.hash_max_listpack_value, Unit::Memory)),
    aliased("list-max-listpack-size", "list-max-ziplist-size", Collections, "Elements of a piece of a list; from -1 to -5, its bytes from 4kb to 64kb.", Place::ListSize),
    // It is a matter of memory alone, so a configuration that has it need not be changed.
    row("list-compress-depth", Collections, "Pieces at either end of a list that Redis does not compress. It is kept and changes nothing: lists are not compressed.",
        Place::Setting(|config| &config.list_compress_depth, Unit::Count, 0, INT_MAX)),
    row("set-max-intset-entries", Collections, "Members of a set of integers up to which it is kept as one array.",
        Place::Limit(|limits| &limits.set_max_intset_entries, Unit::Count)),
    row("set-max-listpack-entries", Collections, "Members of a set up to which it is kept in one piece.", Place::Limit(|limits| &limits.set_max_listpack_entries, Unit::Count)),
    row("set-max-listpack-value", Collections, "Bytes of its longest member up to which a set is kept in one piece.", Place::Limit(|limits| &limits.set_max_listpack_value, Unit::Memory)),
    aliased("zset-max-listpack-entries", "zset-max-ziplist-entries", Collections, "Members of a sorted set up to which it is kept in one piece.",
        Place::Limit(|limits| &limits.zset_max_listpack_entries, Unit::Count)),
    aliased("zset-max-listpack-value", "zset-max-ziplist-value", Collections, "Bytes of its longest member up to which a sorted set is kept in one piece.",
        Place::Limit(|limits| &limits.zset_max_listpack_value, Unit::Memory)),
    row("stream-node-max-entries", Collections, "Entries of a piece of a stream; 0 is any number.", Place::Limit(|limits| &limits.stream_node_max_entries, Unit::Count)),
    row("stream-node-max-bytes", Collections, "Bytes of a piece of a stream; 0 is any number.", Place::Limit(|limits| &limits.stream_node_max_bytes, Unit::Memory)),
    row("hll-sparse-max-bytes", Collections, "Bytes up to which a HyperLogLog is sparse.", Place::Limit(|limits| &limits.hll_sparse_max_bytes, Unit::Memory)),
    // --- watching ----------------------------------------------------------------------------
    row("loglevel", Watching, "How much is logged: debug, verbose, notice, warning or nothing.",
        hosted("notice", Shape::Choice(&["debug", "verbose", "notice", "warning", "nothing"]))),
    row("logfile", Watching, "File that the log goes to; standard error if it is empty.", hosted("", Shape::Text)),
    row("notify-keyspace-events", Watching, "Events of keys that are published, by Redis's letters: KEA is all of them. None if it is empty.", Place::Events),
    aliased("slowlog-log-slower-than", "commandlog-execution-slower-than", Watching, "Microseconds from which a command is in the slow log; -1 is never.", Place::Observed(&SLOWER_THAN)),
    aliased("slowlog-max-len", "commandlog-slow-execution-max-len", Watching, "Commands that the slow log keeps.", Place::Setting(|config| &config.slowlog_len_max, Unit::Count, 0, LONG_MAX)),
    row("commandlog-request-larger-than", Watching, "Bytes from which a request is in the log of large ones; -1 is never.", Place::Observed(&LARGE_REQUEST)),
    row("commandlog-large-request-max-len", Watching, "Requests that the log of large ones keeps.", Place::Setting(|config| &config.large_requests_max, Unit::Count, 0, LONG_MAX)),
    row("commandlog-reply-larger-than", Watching, "Bytes from which a reply is in the log of large ones; -1 is never.", Place::Observed(&LARGE_REPLY)),
    row("commandlog-large-reply-max-len", Watching, "Replies that the log of large ones keeps.", Place::Setting(|config| &config.large_replies_max, Unit::Count, 0, LONG_MAX)),
    row("latency-monitor-threshold", Watching, "Milliseconds from which LATENCY notes what took them; 0 is never.", Place::Observed(&THRESHOLD)),
    row("latency-tracking", Watching, "Whether it is kept how the times of commands are distributed.", Place::Observed(&TRACKING)),
    row("latency-tracking-info-percentiles", Watching, "Percentiles that INFO latencystats shows.", Place::Observed(&PERCENTILES)),
    // --- files -------------------------------------------------------------------------------
    row("dir", Files, "Directory of the file that holds all keys.", hosted(".", Shape::Text)),
    row("dbfilename", Files, "File of Redis's format RDB that SAVE, BGSAVE and save points write, and that is read at the start.", hosted("dump.rdb", Shape::FileName)),
    row("save", Files, "SECONDS CHANGES, several times: all keys are saved after so many seconds if there were so many changes, and at the end. Never if it is empty.", Place::Points),
    row("rdbcompression", Files, "Whether long strings are compressed in the file.", Place::Switch(|engine| &engine.saving.compresses)),
    row("rdbchecksum", Files, "Whether the file ends with a checksum.", Place::Switch(|engine| &engine.saving.sums)),
    row("stop-writes-on-bgsave-error", Files, "Whether writes are refused while there are save points and nothing can be saved.", Place::Switch(|engine| &engine.saving.stops_writes)),
    // --- general -----------------------------------------------------------------------------
    row("include", General, "Another configuration file, which is read in this place.", Place::Start),
    aliased("threads", "io-threads", General, "Threads that serve connections.", hosted("0", Shape::Count(0, 1024))).unless_told("one for each core"),
    row("shutdown-timeout", General, "Seconds that the end waits for clients to take their last answers, and for scripts.", hosted("10", Shape::Count(0, INT_MAX))),
    row("supervised", General, "Whether systemd is told when the server is ready: systemd or auto; no is never.", hosted("auto", Shape::Choice(&["no", "systemd", "auto"]))),
    row("enable-debug-command", General, "Who may use DEBUG, which is for tests; local is who comes from this machine.", hosted("no", Shape::Choice(&["no", "yes", "local"]))),
    row("import-mode", General, "Whether data of another server is being brought: nothing expires and nothing is evicted, and clients that say CLIENT IMPORT-SOURCE ON see what has expired.",
        Place::Switch(|engine| engine.shards.imports())),
    row("databases", General, "How many databases there are.", hosted("16", Shape::Only)),
    row("daemonize", General, "Always no: leave it to systemd or the container to keep the process in the background.", Place::Only("no", IMMUTABLE)),
    row("appendonly", General, "Always no: there is no append-only file.", Place::Only("no", "there is no append-only file")),
    row("hz", General, "Always 10: what has expired is removed ten times a second.", Place::Only("10", "what has expired is removed ten times a second")),
    row("cluster-enabled", General, "Always no: there is one server.", Place::Only("no", IMMUTABLE)),
    aliased("replicaof", "slaveof", General, "Always empty: Larder does not replicate.", Place::Only("", NO_REPLICAS)),
    aliased("replica-read-only", "slave-read-only", General, "Always yes: there are no replicas.", Place::Only("yes", NO_REPLICAS)),
    aliased("min-replicas-to-write", "min-slaves-to-write", General, "Always 0: there are no replicas.", Place::Only("0", NO_REPLICAS)),
    row("activerehashing", General, "Always yes: tables grow in small steps.", Place::Only("yes", "tables grow in small steps")),
    row("activedefrag", General, "Always no: values stay where they are.", Place::Only("no", "this server does not move what it holds")),
    row("lazyfree-lazy-eviction", General, "Always yes: what takes long to free is freed aside.", Place::Only("yes", FREED_ASIDE)),
    row("lazyfree-lazy-expire", General, "Always yes: what takes long to free is freed aside.", Place::Only("yes", FREED_ASIDE)),
    row("lazyfree-lazy-server-del", General, "Always yes: what takes long to free is freed aside.", Place::Only("yes", FREED_ASIDE)),
    row("lazyfree-lazy-user-del", General, "Always yes: what takes long to free is freed aside.", Place::Only("yes", FREED_ASIDE)),
    row("lazyfree-lazy-user-flush", General, "Always yes: what takes long to free is freed aside.", Place::Only("yes", FREED_ASIDE)),
    row("sanitize-dump-payload", General, "Always yes: what RESTORE is given is checked.", Place::Only("yes", "what RESTORE is given is always checked")),
    row("io-threads-do-reads", General, "Always yes: threads read, run and write.", Place::Only("yes", "threads read, run and write, always")),
    row("dynamic-hz", General, "Always no: what has expired is removed ten times a second.", Place::Only("no", "what has expired is removed ten times a second")),
];
