//! What programs do not send, each with the reason.

use crate::server::ServerKind;

/// Whether no program sends the command to such a server.
pub(super) fn is_left_out(command: &str, server: ServerKind) -> bool {
    has(LEFT_OUT, LEFT_OUT_OF_ONE, command, server)
}

/// Whether such a server is sent the command only as its syntax has it.
pub(super) fn is_never_spoilt(command: &str, server: ServerKind) -> bool {
    has(NEVER_SPOILT, NEVER_SPOILT_FOR_ONE, command, server)
}

/// All commands that are named here.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let of_all = LEFT_OUT.iter().chain(NEVER_SPOILT).map(|(name, _)| *name);
    let of_one = LEFT_OUT_OF_ONE.iter().chain(NEVER_SPOILT_FOR_ONE);
    of_all.chain(of_one.map(|(_, name, _)| *name))
}

fn has(
    for_all: &[(&str, &str)],
    for_one: &[(ServerKind, &str, &str)],
    command: &str,
    server: ServerKind,
) -> bool {
    let is_for_all = for_all.iter().any(|(name, _)| *name == command);
    is_for_all
        || for_one
            .iter()
            .any(|(kind, name, _)| (*kind, *name) == (server, command))
}

/// Commands that programs do not send, each with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("COMMANDLOG GET", "shows how long another server took"),
    (
        "COMMANDLOG LEN",
        "belongs to the server, not to the program",
    ),
    (
        "COMMANDLOG RESET",
        "belongs to the server, not to the program",
    ),
    ("ACL CAT", "lists commands of another server"),
    ("ACL GENPASS", "answers by chance"),
    ("ACL LOAD", "reads files"),
    ("ACL LOG", "belongs to the server, not to the program"),
    ("ACL SAVE", "writes files"),
    ("BGREWRITEAOF", "has the server write files"),
    ("BGSAVE", "has the server write files"),
    ("CLIENT KILL", "closes connections of the test"),
    ("CLIENT PAUSE", "holds up what the test asks as well"),
    ("CLIENT REPLY", "has requests without an answer"),
    ("CLIENT UNPAUSE", "lets go what no program holds up"),
    ("COMMAND", "lists the commands of another server"),
    ("COMMAND COUNT", "counts the commands of another server"),
    ("COMMAND DOCS", "describes commands in the server's words"),
    (
        "COMMAND GETKEYS",
        "reads as a number of keys also what is none",
    ),
    (
        "COMMAND GETKEYSANDFLAGS",
        "reads as a number of keys also what is none",
    ),
    (
        "COMMAND HELP",
        "a word less would list the commands of another server",
    ),
    (
        "COMMAND INFO",
        "lists categories and tips that the table does not have",
    ),
    ("COMMAND LIST", "lists the commands of another server"),
    ("CONFIG REWRITE", "writes files"),
    ("FAILOVER", "would have another server take over"),
    ("INFO", "describes another server"),
    ("LASTSAVE", "tells when another server was started"),
    ("LATENCY DOCTOR", "speaks of another server"),
    ("LATENCY GRAPH", "shows how long another server took"),
    ("LATENCY HISTOGRAM", "shows how long another server took"),
    ("LATENCY HISTORY", "shows how long another server took"),
    ("LATENCY LATEST", "shows how long another server took"),
    ("LATENCY RESET", "belongs to the server, not to the program"),
    ("LOLWUT", "draws"),
    ("MEMORY DOCTOR", "speaks of another server"),
    ("MEMORY MALLOC-STATS", "speaks of another allocator"),
    ("MEMORY STATS", "describes another server"),
    ("MODULE LOAD", "is refused before a subscriber is"),
    ("MODULE LOADEX", "is refused before a subscriber is"),
    ("MODULE UNLOAD", "is refused before a subscriber is"),
    ("MONITOR", "shows addresses and times, and never ends"),
    ("PFSELFTEST", "takes seconds"),
    ("PSUBSCRIBE", "answers more than once: transcripts"),
    ("PSYNC", "makes the connection that of a replica"),
    ("PUNSUBSCRIBE", "answers more than once: transcripts"),
    ("QUIT", "ends the program"),
    ("REPLCONF", "makes the connection that of a replica"),
    ("REPLICAOF", "would have the server follow another one"),
    ("SAVE", "has the server write files"),
    ("SCRIPT DEBUG", "makes the connection that of a debugger"),
    ("SHUTDOWN", "ends the server"),
    ("SLAVEOF", "would have the server follow another one"),
    ("SLOWLOG GET", "shows how long another server took"),
    ("SLOWLOG LEN", "belongs to the server, not to the program"),
    ("SLOWLOG RESET", "belongs to the server, not to the program"),
    ("SSUBSCRIBE", "answers more than once: transcripts"),
    ("SUBSCRIBE", "answers more than once: transcripts"),
    ("SUNSUBSCRIBE", "answers more than once: transcripts"),
    ("SYNC", "makes the connection that of a replica"),
    ("UNSUBSCRIBE", "answers more than once: transcripts"),
    ("WAIT", "waits for ever"),
];

/// Commands that programs do not send to one kind of server.
const LEFT_OUT_OF_ONE: &[(ServerKind, &str, &str)] = &[
    (
        ServerKind::Redis8,
        "AUTH",
        "is not answered at all in a transaction if it is refused",
    ),
    (
        ServerKind::Redis8,
        "CLIENT NO-TOUCH",
        "ends the server when such a client serves whoever waits",
    ),
    (
        ServerKind::Redis8,
        "MODULE LIST",
        "lists what it is built with",
    ),
    (
        ServerKind::Valkey,
        "CLUSTER KEYSLOT",
        "answers without a cluster",
    ),
    (ServerKind::Valkey, "READONLY", "agrees without a cluster"),
    (ServerKind::Valkey, "READWRITE", "agrees without a cluster"),
    (
        ServerKind::Valkey,
        "MODULE LIST",
        "lists what it is built with",
    ),
];

/// Commands of which nothing is left out, and to which nothing is added, each with the reason.
const NEVER_SPOILT: &[(&str, &str)] = &[
    (
        "ACL SETUSER",
        "another user would be there in the next program",
    ),
    ("CONFIG GET", "the servers have other parameters"),
    (
        "CONFIG SET",
        "another parameter would be set in the next program",
    ),
    (
        "XGROUP SETID",
        "an option that is given twice is refused when the group was found",
    ),
    (
        "SCAN",
        "a walk that does not say how far it goes may end anywhere",
    ),
];

/// The same of one kind of server.
const NEVER_SPOILT_FOR_ONE: &[(ServerKind, &str, &str)] = &[
    (
        ServerKind::Valkey,
        "HSETEX",
        "its events name another key where a word of the request is the same as the key",
    ),
    (ServerKind::Valkey, "CLUSTER REPLICATE", "takes a word more"),
    (
        ServerKind::Valkey,
        "FUNCTION LIST",
        "is refused with the word as it came, which may end the line",
    ),
    (
        ServerKind::Valkey,
        "CLIENT UNBLOCK",
        "takes words that mean nothing",
    ),
    (
        ServerKind::Redis8,
        "BITCOUNT",
        "a start may come alone, as in Valkey",
    ),
    (
        ServerKind::Redis,
        "HELLO",
        "what stands before a wrong word is done before Redis 7.2",
    ),
    (
        ServerKind::Redis,
        "BITCOUNT",
        "refuses wrong words since Redis 7.2 even if there is no such key",
    ),
    (
        ServerKind::Redis,
        "BITPOS",
        "refuses wrong words since Redis 7.2 even if there is no such key",
    ),
    (
        ServerKind::Redis,
        "ZRANK",
        "takes a word more since Redis 7.2",
    ),
    (
        ServerKind::Redis,
        "ZREVRANK",
        "takes a word more since Redis 7.2",
    ),
    (
        ServerKind::Redis,
        "XREADGROUP",
        "makes a consumer since Redis 7.2 even if it gives it nothing",
    ),
    (
        ServerKind::Redis,
        "XCLAIM",
        "makes a consumer since Redis 7.2 even if it gives it nothing",
    ),
    (
        ServerKind::Redis,
        "XAUTOCLAIM",
        "makes a consumer since Redis 7.2 even if it gives it nothing",
    ),
];
