//! Transcripts of commands, on the engine alone.
//!
//! A transcript is a file of cases. A case begins with `== ` and a title, on an empty store and a
//! new connection; a line that begins with `> ` is a request, and the lines behind it are its
//! answer in RESP, a byte string's header left out where it is plain text.

use std::fmt::Write as _;
use std::sync::Arc;

use larder_engine::{ClientInfo, Engine, Mailbox, Now, Outcome, Overflow, RespReply, Session};
use larder_resp::ArgumentBuffer;

const NOW: Now = Now::from_unix_us(1_700_000_000_123_456);

struct Connection {
    engine: Arc<Engine>,
    session: Session,
}

impl Connection {
    fn open() -> Connection {
        Connection::to(&Engine::new([7; 32], NOW))
    }

    fn to(engine: &Arc<Engine>) -> Connection {
        let mailbox = Arc::new(Mailbox::new(Overflow::CutOff(1 << 20)));
        let info = ClientInfo {
            address: "127.0.0.1:5000".to_owned(),
            local_address: "127.0.0.1:6379".to_owned(),
            descriptor: Some(7),
            since_us: NOW.unix_us(),
        };
        Connection {
            engine: Arc::clone(engine),
            session: Session::connected(engine, info, mailbox),
        }
    }

    /// Sends a request, and gives its answer in RESP.
    fn send(&mut self, request: &str) -> String {
        let mut words = ArgumentBuffer::new();
        request
            .split(' ')
            .for_each(|word| words.push(word.as_bytes()));
        let mut out = Vec::new();
        let mut reply = RespReply::new(&mut out, self.session.is_resp3());
        let arguments = words.as_arguments();
        match self
            .engine
            .execute(&mut self.session, arguments, &NOW, &mut reply)
        {
            Outcome::Done => {}
            Outcome::Blocked(_) => out.extend_from_slice(b"(waits)"),
            Outcome::Parked(_) => out.extend_from_slice(b"(parked)"),
            Outcome::Close => out.extend_from_slice(b"(closed)"),
        }
        String::from_utf8(out)
            .expect("answers are text")
            .replace("\r\n", "\n")
    }

    /// Sends a request whose answer must be this, in RESP with line feeds alone.
    fn expect(&mut self, request: &str, wanted: &str) {
        let answer = self.send(request);
        assert_eq!(answer.trim_end(), wanted.trim_end(), "{request}");
    }
}

#[test]
fn a_client_has_a_name_and_a_library() {
    let mut client = Connection::open();
    client.expect("CLIENT GETNAME", "$-1");
    client.expect("CLIENT SETNAME ann", "+OK");
    client.expect("CLIENT GETNAME", "$3\nann");
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
    let engine = Engine::new([7; 32], NOW);
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
    let engine = Engine::new([7; 32], NOW);
    let (mut one, other) = (Connection::to(&engine), Connection::to(&engine));
    one.expect("CLIENT KILL ID 2", ":1");
    assert!(
        other
            .session
            .client()
            .is_some_and(|client| client.is_killed())
    );
    one.expect("CLIENT KILL ID 1", ":0");
    one.expect("CLIENT KILL ID 1 SKIPME no", ":1\n(closed)");
}

#[test]
fn the_table_describes_itself() {
    let mut client = Connection::open();
    client.expect(
        "COMMAND INFO get nope",
        "*2\n*10\n$3\nget\n:2\n*2\n+readonly\n+fast\n:1\n:1\n:1\n*3\n+@read\n+@string\n+@fast\n*0\n\
         *1\n*6\n$5\nflags\n*2\n+RO\n+access\n$12\nbegin_search\n*4\n$4\ntype\n$5\nindex\n$4\nspec\n\
         *2\n$5\nindex\n:1\n$9\nfind_keys\n*4\n$4\ntype\n$5\nrange\n$4\nspec\n*6\n$7\nlastkey\n:0\n\
         $7\nkeystep\n:1\n$5\nlimit\n:0\n*0\n$-1",
    );
    client.expect("COMMAND GETKEYS MSET a 1 b 2", "*2\n$1\na\n$1\nb");
    client.expect(
        "COMMAND GETKEYS PING x",
        "-ERR The command has no key arguments",
    );
    client.expect("COMMAND GETKEYS NOPE x", "-ERR Invalid command specified");
    client.expect(
        "COMMAND LIST FILTERBY PATTERN pexpire*",
        "*3\n$7\npexpire\n$9\npexpireat\n$11\npexpiretime",
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
        "*4\n$10\nmaxclients\n$5\n10000\n$7\ntimeout\n$1\n0",
    );
    client.expect(
        "CONFIG SET timeout 60 maxclients 0",
        "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be \
         between 1 and 4294967295 inclusive",
    );
    client.expect("CONFIG GET timeout", "*2\n$7\ntimeout\n$1\n0");
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
        "*2\n$25\nhash-max-listpack-entries\n$1\n1",
    );
    client.expect("HSET small a 1", ":1");
    client.expect("HSET large a 1 b 2", ":2");
    client.expect("OBJECT ENCODING small", "$8\nlistpack");
    client.expect("OBJECT ENCODING large", "$9\nhashtable");
}

#[test]
fn what_this_server_does_not_do_can_not_be_configured() {
    let mut client = Connection::open();
    client.expect("CONFIG SET appendonly no", "+OK");
    client.expect(
        "CONFIG SET appendonly yes",
        "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - nothing is kept on \
         disk by this server",
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
    client.expect("EXEC", "*1\n+PONG");
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
    let engine = Engine::new([7; 32], NOW);
    let (mut one, mut other) = (Connection::to(&engine), Connection::to(&engine));
    one.expect("WATCH bits", "+OK");
    other.expect("BITFIELD bits OVERFLOW FAIL INCRBY u2 6 7", "*1\n$-1");
    other.expect("STRLEN bits", ":1");
    one.expect("MULTI", "+OK");
    one.expect("PING", "+QUEUED");
    one.expect("EXEC", "*-1");
}

#[test]
fn where_it_listens_can_be_set_to_what_it_is_alone() {
    let mut client = Connection::open();
    let bind = client.send("CONFIG GET bind");
    assert!(bind.contains("127.0.0.1 -::1"), "{bind}");
    assert_eq!(
        client.send("CONFIG SET port 6379 shutdown-timeout 10"),
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
