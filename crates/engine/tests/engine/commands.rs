//! Commands whose answers a transcript can not hold: they tell of the engine itself, or of who asks.

use std::fmt::Write as _;

use crate::support::{Connection, engine};

#[test]
fn a_client_has_a_name_and_a_library() {
    let mut client = Connection::open();
    client.expect("CLIENT GETNAME", "$-1");
    client.expect("CLIENT SETNAME ann", "+OK");
    client.expect("CLIENT GETNAME", "$3 ann");
    client.expect(
        "CLIENT SETNAME a\nb",
        "-ERR Client names cannot contain spaces, newlines or special characters.",
    );
    client.expect("CLIENT SETINFO lib-name redis-py", "+OK");
    client.expect("CLIENT SETINFO lib-ver 5.0.1", "+OK");
    client.expect(
        "CLIENT SETINFO lib-foo x",
        "-ERR Unrecognized option 'lib-foo'",
    );
    let line = client.send("CLIENT INFO");
    assert!(line.contains(" name=ann "), "{line}");
    assert!(line.contains(" lib-name=redis-py lib-ver=5.0.1"), "{line}");
    assert!(line.contains(" cmd=client|info "), "{line}");
    assert!(line.contains(" fd=7 "), "{line}");
}

#[test]
fn the_list_of_clients_says_what_each_is_doing() {
    let engine = engine();
    let (mut one, mut other) = (Connection::to(&engine), Connection::to(&engine));
    other.send("WATCH a b");
    other.send("MULTI");
    other.send("GET a");
    let line = one.send("CLIENT LIST ID 2");
    assert!(line.contains(" flags=x "), "{line}");
    assert!(line.contains(" multi=1 watch=2 qbuf="), "{line}");
    assert!(line.contains(" multi-mem=4 "), "{line}");
    other.send("DISCARD");
    other.send("SUBSCRIBE news");
    let line = one.send("CLIENT LIST TYPE pubsub");
    assert!(line.contains("id=2 "), "{line}");
    assert!(line.contains(" flags=P "), "{line}");
    assert!(line.contains(" sub=1 psub=0 "), "{line}");
}

#[test]
fn answers_can_be_turned_off_and_on() {
    let mut client = Connection::open();
    client.expect("CLIENT REPLY SKIP", "");
    client.expect("PING", "");
    client.expect("PING", "+PONG");
    client.expect("CLIENT REPLY OFF", "");
    client.expect("PING", "");
    client.expect("CLIENT REPLY SKIP", "");
    client.expect("PING", "");
    client.expect("CLIENT REPLY ON", "+OK");
    client.expect("PING", "+PONG");
}

/// A request of sixty bytes once took all memory that there was: the answer was made, and forgotten.
#[test]
fn an_answer_that_nobody_wants_takes_no_memory() {
    let mut client = Connection::open();
    client.expect(&format!("SADD set {}", "x".repeat(100_000)), ":1");
    client.expect("CLIENT REPLY OFF", "");
    client.expect("SRANDMEMBER set -10000000", "");
    client.expect("CLIENT REPLY ON", "+OK");
}

#[test]
fn what_a_client_has_asked_for_ends_with_reset() {
    let mut client = Connection::open();
    client.expect("CLIENT NO-TOUCH ON", "+OK");
    client.expect("CLIENT NO-EVICT ON", "+OK");
    assert!(client.send("CLIENT INFO").contains("flags=eT"));
    client.expect("RESET", "+RESET");
    assert!(client.send("CLIENT INFO").contains("flags=N"));
}

#[test]
fn a_killed_client_knows_it() {
    let engine = engine();
    let (mut one, other) = (Connection::to(&engine), Connection::to(&engine));
    one.expect("CLIENT KILL ID 2", ":1");
    assert!(
        other
            .session
            .client()
            .is_some_and(|client| client.is_killed())
    );
    one.expect("CLIENT KILL ID 1", ":0");
    one.expect("CLIENT KILL ID 1 SKIPME no", ":1 (closed)");
}

#[test]
fn the_table_describes_itself() {
    let mut client = Connection::open();
    client.expect(
        "COMMAND INFO get nope",
        "*2 *10 $3 get :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@string +@fast *0 \
         *1 *6 $5 flags *2 +RO +access $12 begin_search *4 $4 type $5 index $4 spec \
         *2 $5 index :1 $9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :0 \
         $7 keystep :1 $5 limit :0 *0 $-1",
    );
    client.expect("COMMAND GETKEYS MSET a 1 b 2", "*2 $1 a $1 b");
    client.expect(
        "COMMAND GETKEYS PING x",
        "-ERR The command has no key arguments",
    );
    client.expect("COMMAND GETKEYS NOPE x", "-ERR Invalid command specified");
    client.expect(
        "COMMAND LIST FILTERBY PATTERN pexpire*",
        "*3 $7 pexpire $9 pexpireat $11 pexpiretime",
    );
    client.expect(
        "COMMAND foo",
        "-ERR unknown subcommand 'foo'. Try COMMAND HELP.",
    );
    let count = client.send("COMMAND COUNT");
    let all = client.send("COMMAND");
    assert_eq!(
        all.lines().next(),
        Some(count.trim_end().replace(':', "*").as_str())
    );
}

#[test]
fn who_listens_to_channels_of_shards_is_shown_as_a_listener() {
    let mut client = Connection::open();
    client.send("SSUBSCRIBE a b");
    let mut other = Connection::to(&client.engine);
    let lines = other.send("CLIENT LIST TYPE pubsub");
    assert!(lines.contains(" flags=P "), "{lines}");
    assert!(lines.contains(" sub=0 psub=0 ssub=2 "), "{lines}");
    let stats = other.send("INFO stats");
    assert!(stats.contains("pubsub_channels:0\n"), "{stats}");
    assert!(stats.contains("pubsubshard_channels:2\n"), "{stats}");

    client.send("RESET");
    let stats = other.send("INFO stats");
    assert!(stats.contains("pubsubshard_channels:0\n"), "{stats}");
}

#[test]
fn help_lists_the_subcommands() {
    let mut client = Connection::open();
    let help = client.send("PUBSUB HELP");
    let mut wanted =
        "*13\n+PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\n".to_owned();
    let _ = write!(wanted, "+CHANNELS [pattern]\n+    Lists the channels");
    assert!(help.starts_with(&wanted), "{help}");
}

#[test]
fn a_parameter_is_set_whole_or_not_at_all() {
    let mut client = Connection::open();
    client.expect(
        "CONFIG GET maxcl* timeout",
        "*4 $10 maxclients $5 10000 $7 timeout $1 0",
    );
    client.expect(
        "CONFIG SET timeout 60 maxclients 0",
        "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be \
         between 1 and 4294967295 inclusive",
    );
    client.expect("CONFIG GET timeout", "*2 $7 timeout $1 0");
    client.expect("CONFIG SET timeout 60 maxclients 100", "+OK");
    assert_eq!(client.engine.clients_max(), 100);
    assert_eq!(
        client.engine.idle_timeout(),
        Some(std::time::Duration::from_secs(60))
    );
    client.expect("CONFIG SET proto-max-bulk-len 1mb", "+OK");
    assert_eq!(client.engine.bulk_len_max(), 1 << 20);
}

#[test]
fn a_limit_of_small_collections_is_obeyed() {
    let mut client = Connection::open();
    client.expect("CONFIG SET hash-max-ziplist-entries 1", "+OK");
    client.expect(
        "CONFIG GET hash-max-listpack-entries",
        "*2 $25 hash-max-listpack-entries $1 1",
    );
    client.expect("HSET small a 1", ":1");
    client.expect("HSET large a 1 b 2", ":2");
    client.expect("OBJECT ENCODING small", "$8 listpack");
    client.expect("OBJECT ENCODING large", "$9 hashtable");
}

#[test]
fn what_this_server_does_not_do_can_not_be_configured() {
    let mut client = Connection::open();
    client.expect("CONFIG SET appendonly no", "+OK");
    client.expect(
        "CONFIG SET appendonly yes",
        "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - there is no \
         append-only file",
    );
    client.expect("CONFIG SET save ", "+OK");
    assert_eq!(
        client.send_words(&["CONFIG", "SET", "save", "900 1"]),
        "-ERR CONFIG SET failed (possibly related to argument 'save') - nothing is kept on disk by \
         this store\n"
    );
    client.expect(
        "CONFIG SET nope 1",
        "-ERR Unknown option or number of arguments for CONFIG SET - 'nope'",
    );
}

#[test]
fn info_counts_what_happens() {
    let mut client = Connection::open();
    client.send("SET a 1");
    client.send("SET b 1 EX 100");
    client.send("GET a");
    client.send("GET nope");
    client.send("INCR nope2");
    let info = client.send("INFO");
    for line in [
        "redis_version:7.2.0",
        "role:master",
        "loading:0",
        "connected_clients:1",
        "keyspace_hits:1\n",
        "keyspace_misses:1\n",
        "total_commands_processed:6",
        "db0:keys=3,expires=1,avg_ttl=",
    ] {
        assert!(info.contains(line), "{line}: {info}");
    }
    client.expect("CONFIG RESETSTAT", "+OK");
    let info = client.send("INFO stats");
    assert!(info.contains("keyspace_hits:0\n"), "{info}");
    assert!(!info.contains("# Server"), "{info}");
    client.expect("INFO nope", "$0");
}

/// Valkey voids the transaction here, so this stands in no transcript.
#[test]
fn a_transaction_goes_on_after_a_nested_multi_or_a_watch() {
    let mut client = Connection::open();
    client.expect("MULTI", "+OK");
    client.expect("MULTI", "-ERR MULTI calls can not be nested");
    client.expect("WATCH a", "-ERR WATCH inside MULTI is not allowed");
    client.expect("PING", "+QUEUED");
    client.expect("EXEC", "*1 +PONG");
}

#[test]
fn hyperloglogs_pass_their_own_test() {
    let mut client = Connection::open();
    client.expect("PFSELFTEST", "+OK");
    client.expect("PFDEBUG SIMD on", "+disabled");
}

/// In Redis nobody is told, and whoever keeps what it has read goes on with the shorter string.
#[test]
fn a_string_that_only_grew_is_a_change_to_those_who_watch() {
    let engine = engine();
    let (mut one, mut other) = (Connection::to(&engine), Connection::to(&engine));
    one.expect("WATCH bits", "+OK");
    other.expect("BITFIELD bits OVERFLOW FAIL INCRBY u2 6 7", "*1 $-1");
    other.expect("STRLEN bits", ":1");
    one.expect("MULTI", "+OK");
    one.expect("PING", "+QUEUED");
    one.expect("EXEC", "*-1");
}

#[test]
fn what_certificates_there_are_can_be_set_to_what_it_is_where_there_are_none() {
    let mut client = Connection::open();
    for name in ["tls-cert-file", "tls-key-file-pass"] {
        assert_eq!(client.send(&format!("CONFIG SET {name} ")), "+OK\n");
    }
    assert_eq!(client.send("CONFIG SET tls-auth-clients yes"), "+OK\n");
    let answer = client.send("CONFIG SET tls-key-file-pass secret");
    assert!(answer.ends_with("can't set immutable config\n"), "{answer}");
}

#[test]
fn where_it_listens_can_be_set_to_what_it_is_alone() {
    let mut client = Connection::open();
    let bind = client.send("CONFIG GET bind");
    assert!(bind.contains("127.0.0.1 -::1"), "{bind}");
    assert_eq!(
        client.send("CONFIG SET port 6379 shutdown-timeout 10 threads 0"),
        "+OK\n"
    );
    for request in ["CONFIG SET port 6380", "CONFIG SET databases 16"] {
        let answer = client.send(request);
        assert!(answer.ends_with("can't set immutable config\n"), "{answer}");
    }
}

#[test]
fn a_bit_beyond_the_longest_string_is_refused() {
    let mut client = Connection::open();
    let refusal = "-ERR bit offset is not an integer or out of range";
    client.expect("CONFIG SET proto-max-bulk-len 1mb", "+OK");
    client.expect("SETBIT bits 8388607 1", ":0");
    client.expect("SETBIT bits 8388608 1", refusal);
    client.expect("BITFIELD bits SET u8 8388608 1", refusal);
    client.expect("BITFIELD bits SET u8 #1048576 1", refusal);
    client.expect("BITFIELD bits GET u8 #9223372036854775807", refusal);
    client.expect("STRLEN bits", ":1048576");
    client.expect("BITCOUNT bits", ":1");
}
