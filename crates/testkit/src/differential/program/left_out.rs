//! What programs do not send, each with the reason.

/// The version whose commands both sides know.
pub(super) const VERSION: (u32, u32) = (7, 0);

/// Commands that no program sends, each with the reason.
pub(super) const LEFT_OUT: &[(&str, &str)] = &[
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
        "wants a word more in Redis 7.0 than it needs",
    ),
    (
        "COMMAND GETKEYSANDFLAGS",
        "wants a word more in Redis 7.0 than it needs",
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
    ("DELIFEQ", "is Valkey's"),
];

/// Commands of which nothing is left out, and to which nothing is added, each with the reason.
pub(super) const NEVER_SPOILT: &[(&str, &str)] = &[
    (
        "HELLO",
        "what stands before a wrong word is done before Redis 7.2",
    ),
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
    (
        "BITCOUNT",
        "refuses wrong words since Redis 7.2 even if there is no such key",
    ),
    (
        "BITPOS",
        "refuses wrong words since Redis 7.2 even if there is no such key",
    ),
    ("ZRANK", "takes a word more since Redis 7.2"),
    ("ZREVRANK", "takes a word more since Redis 7.2"),
    (
        "XREADGROUP",
        "makes a consumer since Redis 7.2 even if it gives it nothing",
    ),
    (
        "XCLAIM",
        "makes a consumer since Redis 7.2 even if it gives it nothing",
    ),
    (
        "XAUTOCLAIM",
        "makes a consumer since Redis 7.2 even if it gives it nothing",
    ),
];

/// Options that are newer than their command, so that a Redis of [`VERSION`] does not know them.
pub(super) const NEWER: &[&str] = &[
    "WITHSCORE",
    "NOVALUES",
    "NOSCORES",
    "IFEQ",
    "IFNE",
    "IFDEQ",
    "IFDNE",
    "MAXAGE",
    "KEEPREF",
    "DELREF",
    "ACKED",
    "IDMP",
    "IDMPAUTO",
    "CLAIM",
    "DIFF",
    "DIFF1",
    "ANDOR",
    "ONE",
    "BYPOLYGON",
];
