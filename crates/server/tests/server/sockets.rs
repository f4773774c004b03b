//! What a client sees through its socket.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use larder_embedded::Embedded;
use larder_resp::{Frame, bytes_of, write_request};
use larder_server::{Config, OutputLimit, OutputLimits, Server};

use crate::support::{Client, PATIENCE, TestServer, bulk, bulks, error, request, status, until};

/// A limit on what may wait for a client.
fn hard(hard: u64) -> OutputLimit {
    OutputLimit {
        hard,
        ..OutputLimit::default()
    }
}

/// A limit on what may wait for a client that asks.
fn normal_up_to(bytes: u64) -> OutputLimits {
    OutputLimits {
        normal: hard(bytes),
        ..OutputLimits::default()
    }
}

// --- what is told ------------------------------------------------------------------------------

/// What is told of errors was made text, so that a byte which is none came back as another.
#[test]
fn bytes_that_are_no_text_come_back_in_errors_as_they_were() {
    let mut client = TestServer::start().into_client();
    let mut ask = |words: &[&[u8]]| {
        let mut bytes = Vec::new();
        write_request(&mut bytes, words);
        client.send(bytes);
        match client.answer() {
            Frame::Error(text) | Frame::Status(text) => bytes_of(&text).into_owned(),
            Frame::Bulk(bytes) => bytes,
            other => panic!("this is no text: {other:?}"),
        }
    };
    assert_eq!(
        ask(&[b"GETX\xFF", b"\xC3\xA4\xFE"]),
        b"ERR unknown command 'GETX\xFF', with args beginning with: '\xC3\xA4\xFE' "
    );
    // A character that stands for a byte is none of its own.
    assert_eq!(
        ask(&[b"CONFIG", b"\xF4\x8F\xBE\x80"]),
        b"ERR unknown subcommand '\xF4\x8F\xBE\x80'. Try CONFIG HELP."
    );
    let script = b"return redis.error_reply(ARGV[1])";
    assert_eq!(ask(&[b"EVAL", script, b"0", b"MY \xFF"]), b"MY \xFF");
    let script = b"return redis.status_reply(ARGV[1])";
    assert_eq!(ask(&[b"EVAL", script, b"0", b"\xFF"]), b"\xFF");
    let script =
        b"return redis.pcall('XREADGROUP', 'GROUP', ARGV[1], 'c', 'STREAMS', KEYS[1], '>').err";
    assert_eq!(
        ask(&[b"EVAL", script, b"1", b"k\xFE", b"\xFF"]),
        b"NOGROUP No such key 'k\xFE' or consumer group '\xFF' in XREADGROUP with GROUP option"
    );
    // 128 bytes are shown, whatever they are.
    let long = [0xFF; 200];
    let answer = ask(&[&long]);
    assert_eq!(answer.iter().filter(|byte| **byte == 0xFF).count(), 128);
}

// --- who may come ----------------------------------------------------------------------------

/// An address of this machine that is not its loopback. Nothing is sent to find it.
fn outside() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

/// The first line that a client from outside gets for a PING.
fn from_outside(address: IpAddr, server: &TestServer) -> String {
    let port = server.server.addresses()[0].port();
    let mut socket = TcpStream::connect((address, port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = Vec::new();
    // Who is turned away is told so without having asked.
    let mut byte = [0];
    let mut has_asked = false;
    while got.last() != Some(&b'\n') {
        if !has_asked && socket.write_all(b"PING\r\n").is_err() {
            break;
        }
        has_asked = true;
        match socket.read(&mut byte) {
            Ok(1) => got.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(got).unwrap()
}

/// Finding V1: a server that was started on all addresses without a password was open to everybody.
#[test]
fn without_a_password_strangers_are_turned_away_until_somebody_allows_them() {
    let Some(outside) = outside() else {
        return;
    };
    let everywhere = |password| {
        let listen = vec![SocketAddr::from(([0, 0, 0, 0], 0))];
        TestServer::listening(
            Config {
                listen,
                ..Config::default()
            },
            password,
        )
    };
    let server = everywhere(None);
    let mut local =
        Client::new(TcpStream::connect(("127.0.0.1", server.address().port())).unwrap());
    let denied = "-DENIED Redis is running in protected mode";
    assert!(from_outside(outside, &server).starts_with(denied));
    assert_eq!(local.ask("CONFIG SET protected-mode no"), status("OK"));
    assert_eq!(from_outside(outside, &server), "+PONG\r\n");
    assert_eq!(local.ask("CONFIG SET protected-mode yes"), status("OK"));
    assert!(from_outside(outside, &server).starts_with(denied));
    assert_eq!(local.ask("CONFIG SET requirepass secret"), status("OK"));
    assert!(from_outside(outside, &server).starts_with("-NOAUTH"));
    let server = everywhere(Some("secret"));
    assert!(from_outside(outside, &server).starts_with("-NOAUTH"));
}

// --- requests --------------------------------------------------------------------------------

#[test]
fn a_pipeline_is_answered_in_order_wherever_it_is_split() {
    let server = TestServer::start();
    let mut pipeline = Vec::new();
    for index in 0..20 {
        let (key, value) = (format!("key:{index}"), format!("value {index}"));
        write_request(&mut pipeline, &["SET", &key, &value]);
        write_request(&mut pipeline, &["GET", &key]);
        pipeline.extend_from_slice(b"PING inline\r\n\r\n");
    }
    for len in [1, 2, 3, 7, 16, 61, 256, pipeline.len()] {
        let mut client = server.connect();
        for piece in pipeline.chunks(len) {
            client.send(piece);
        }
        for index in 0..20 {
            assert_eq!(client.answer(), status("OK"));
            assert_eq!(client.answer(), bulk(&format!("value {index}")));
            assert_eq!(client.answer(), bulk("inline"));
        }
    }
}

#[test]
fn a_line_that_a_person_typed_is_a_request() {
    let mut client = TestServer::start().into_client();
    client.send("set greeting \"hello\\tworld\"\r\nGET greeting\n");
    assert_eq!(client.answer(), status("OK"));
    assert_eq!(client.answer(), bulk("hello\tworld"));
}

#[test]
fn long_words_and_long_answers_come_through_whole() {
    let server = TestServer::start();
    let mut client = server.connect();
    let long = "x".repeat(5_000_000);
    client.request(&format!("SET long {long}"));
    assert_eq!(client.answer(), status("OK"));
    for _ in 0..3 {
        client.request("GET long");
    }
    for _ in 0..3 {
        assert_eq!(client.answer(), bulk(&long));
    }
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_closed() {
    let server = TestServer::start();
    for (bytes, text) in [
        ("*abc\r\n", "invalid multibulk length"),
        ("*3000000000\r\n", "invalid multibulk length"),
        ("*1\r\n$536870913\r\n", "invalid bulk length"),
        ("*1\r\n:4\r\n", "expected '$', got ':'"),
        ("GET \"key\r\n", "unbalanced quotes in request"),
    ] {
        let mut client = server.connect();
        client.send(format!("PING\r\n{bytes}"));
        let wanted = format!("+PONG\r\n-ERR Protocol error: {text}\r\n");
        assert_eq!(client.rest(), wanted);
    }
}

#[test]
fn the_list_of_clients_says_how_much_each_holds() {
    let server = TestServer::start();
    let (mut one, mut other) = (server.connect(), server.connect());
    let mut says = |field: &str| until(|| one.list().contains(field));
    // A part of a request waits for the rest of it.
    other.send("*1\r\n$4\r\nPI");
    says(" qbuf=10 ");
    other.send("NG\r\n");
    assert_eq!(other.answer(), status("PONG"));
    // Answers that nobody takes.
    other.request(&format!("SET long {}", "x".repeat(1_000_000)));
    (0..100).for_each(|_| other.request("GET long"));
    says(" events=rw ");
}

#[test]
fn limits_on_requests_are_those_of_the_config() {
    let config = Config {
        proto_max_bulk_len: 1000,
        multibulk_max: 10,
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    for bytes in ["*11\r\n", "*1\r\n$1001\r\n"] {
        let mut client = server.connect();
        client.send(bytes);
        assert!(client.rest().starts_with("-ERR Protocol error: invalid "));
    }
}

#[test]
fn a_request_that_is_longer_than_the_query_buffer_closes_the_connection() {
    let config = Config {
        client_query_buffer_limit: 100_000,
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let mut client = server.connect();
    client.send("*2\r\n$3\r\nGET\r\n$1000000\r\n");
    // The server may close before all of it is sent.
    let _ = client.socket.write_all(&vec![b'x'; 1_000_000]);
    assert_eq!(client.rest(), "");
}

#[test]
fn a_request_that_is_a_few_bytes_longer_than_the_query_buffer_closes_the_connection_too() {
    let config = Config {
        client_query_buffer_limit: 100_000,
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let mut client = server.connect();
    let text = "x".repeat(99_900);
    let echo = client.ask(&format!("ECHO {text}"));
    assert_eq!(echo, Frame::Bulk(text.into_bytes()));
    // Its last bytes, up to the limit and beyond it, are read at once.
    let long = request(&["ECHO", &"x".repeat(99_990)]);
    client.send([request(&["PING"]), long].concat());
    assert_eq!(client.answer(), status("PONG"));
    assert_eq!(client.rest(), "");
}

// --- the connection --------------------------------------------------------------------------

#[test]
fn hello_chooses_the_protocol() {
    let mut client = TestServer::start().into_client();
    assert!(matches!(client.ask("HELLO 2"), Frame::Array(items) if items.len() == 14));
    assert_eq!(client.ask("GET missing"), Frame::Null);
    assert!(matches!(client.ask("HELLO 3"), Frame::Map(pairs) if pairs.len() == 7));
    client.request("GET missing");
    assert_eq!(client.answer(), Frame::Null);
    let refusal = error("NOPROTO unsupported protocol version");
    assert_eq!(client.ask("HELLO 4"), refusal);
}

#[test]
fn a_stranger_may_authenticate_and_hardly_anything_else() {
    let server = TestServer::with(Config::default(), Some("secret"));
    let mut client = server.connect();
    let stranger = error("NOAUTH Authentication required.");
    assert_eq!(client.ask("GET key"), stranger);
    let arity = error("ERR wrong number of arguments for 'get' command");
    assert_eq!(client.ask("GET"), arity);
    let aborted =
        error("EXECABORT Transaction discarded because of: NOAUTH Authentication required.");
    assert_eq!(client.ask("EXEC"), aborted);
    assert!(
        matches!(client.ask("AUTH wrong"), Frame::Error(text) if text.starts_with("WRONGPASS"))
    );
    // In one piece, so that the request behind AUTH is read under the limits of a friend.
    let mut pipeline = Vec::new();
    write_request(&mut pipeline, &["AUTH", "secret"]);
    write_request(
        &mut pipeline,
        &["DEL", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"],
    );
    client.send(pipeline);
    assert_eq!(client.answer(), status("OK"));
    assert_eq!(client.answer(), Frame::Integer(0));

    let mut client = server.connect();
    client.send("*11\r\n");
    let wanted = "-ERR Protocol error: unauthenticated multibulk length\r\n";
    assert_eq!(client.rest(), wanted);
}

#[test]
fn quit_is_answered_and_what_follows_it_is_not() {
    let mut client = TestServer::start().into_client();
    client.send("QUIT\r\nPING\r\n");
    assert_eq!(client.rest(), "+OK\r\n");
}

#[test]
fn one_client_more_than_there_may_be_is_told_so() {
    let config = Config {
        maxclients: 2,
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let (mut first, mut second) = (server.connect(), server.connect());
    assert_eq!(first.ask("PING"), status("PONG"));
    assert_eq!(second.ask("PING"), status("PONG"));
    let refusal = "-ERR max number of clients reached\r\n";
    assert_eq!(server.connect().rest(), refusal);

    drop(first);
    until(|| {
        let mut client = server.connect();
        client.request("PING");
        client.answer_or_end() == Some(status("PONG"))
    });
}

#[test]
fn an_idle_client_is_closed_and_a_waiting_one_is_not() {
    let config = Config {
        timeout: Some(Duration::from_millis(500)),
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let (mut idle, mut subscribed, mut blocked) =
        (server.connect(), server.connect(), server.connect());
    assert_eq!(idle.ask("PING"), status("PONG"));
    subscribed.ask("SUBSCRIBE news");
    blocked.request("BLPOP jobs 0");

    assert_eq!(idle.rest(), "");
    let mut other = server.connect();
    assert_eq!(other.ask("PUBLISH news hello"), Frame::Integer(1));
    assert_eq!(
        subscribed.answer(),
        Frame::Array(bulks(&["message", "news", "hello"]))
    );
    assert_eq!(other.ask("RPUSH jobs one"), Frame::Integer(1));
    assert_eq!(blocked.answer(), Frame::Array(bulks(&["jobs", "one"])));
}

/// It counted as one that waits for ever after.
/// A worker that had waited for a job for longer than `timeout` was closed when it had it.
#[test]
fn who_has_waited_has_not_been_idle() {
    let clock = larder_embedded::Clock::manual();
    let store = Embedded::open(larder_embedded::Config::default().clock(clock)).unwrap();
    let config = Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        ..Config::default()
    };
    let server = Server::start(config, &store).unwrap();
    let server = TestServer { store, server };
    let (mut worker, mut other) = (server.connect(), server.connect());
    worker.request("BLPOP jobs 0");
    until(|| other.list().contains(" flags=b "));
    server.store.pass(Duration::from_secs(60));
    assert_eq!(other.ask("RPUSH jobs one"), Frame::Integer(1));
    assert_eq!(worker.answer(), Frame::Array(bulks(&["jobs", "one"])));
    let list = other.list();
    assert_eq!(list.matches(" idle=0 ").count(), 2, "{list}");
}

#[test]
fn who_listens_to_nothing_any_more_may_be_idle() {
    let config = Config {
        timeout: Some(Duration::from_secs(1)),
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let mut client = server.connect();
    client.ask("SUBSCRIBE news");
    client.ask("UNSUBSCRIBE news");
    assert_eq!(client.rest(), "");
}

#[test]
fn who_has_been_told_of_a_kill_sees_the_client_no_more() {
    let server = TestServer::start();
    let mut killer = server.connect();
    for _ in 0..100 {
        let mut victim = server.connect();
        let Frame::Integer(id) = victim.ask("CLIENT ID") else {
            panic!("an id is a number");
        };
        killer.ask(&format!("CLIENT KILL ID {id}"));
        assert_eq!(killer.ask(&format!("CLIENT LIST ID {id}")), bulk(""));
        assert_eq!(victim.rest(), "");
    }
}

#[test]
fn a_blocked_client_that_is_killed_takes_nothing_with_it() {
    let server = TestServer::start();
    let (mut victim, mut killer) = (server.connect(), server.connect());
    let Frame::Integer(id) = victim.ask("CLIENT ID") else {
        panic!("an id is a number");
    };
    victim.request("BLPOP jobs 0");
    until(|| killer.list().contains(" flags=b "));
    killer.ask(&format!("CLIENT KILL ID {id}"));
    assert_eq!(killer.ask("RPUSH jobs one"), Frame::Integer(1));
    assert_eq!(killer.ask("LLEN jobs"), Frame::Integer(1));
}

#[test]
fn a_client_that_is_killed_is_closed_even_while_it_waits() {
    let server = TestServer::start();
    let (mut victim, mut waiting, mut killer) =
        (server.connect(), server.connect(), server.connect());
    for client in [&mut victim, &mut waiting] {
        let Frame::Integer(id) = client.ask("CLIENT ID") else {
            panic!("an id is a number");
        };
        client.request("BLPOP jobs 0");
        assert_eq!(
            killer.ask(&format!("CLIENT KILL ID {id}")),
            Frame::Integer(1)
        );
        assert_eq!(client.rest(), "");
    }
    let Frame::Integer(id) = killer.ask("CLIENT ID") else {
        panic!("an id is a number");
    };
    killer.request(&format!("CLIENT KILL ID {id} SKIPME no"));
    assert_eq!(
        killer.rest(),
        ":1\r\n",
        "who kills itself is answered first"
    );
}

#[test]
fn a_client_that_wants_no_answers_gets_none_even_to_a_wait() {
    let server = TestServer::start();
    let (mut silent, mut other) = (server.connect(), server.connect());
    silent.send("CLIENT REPLY OFF\r\nBLPOP jobs 0\r\nSET done yes\r\nCLIENT REPLY ON\r\n");
    other.request("RPUSH jobs one");
    assert_eq!(silent.answer(), status("OK"));
    assert_eq!(silent.ask("GET done"), bulk("yes"));
    assert_eq!(other.answer(), Frame::Integer(1));
    assert_eq!(other.ask("EXISTS jobs"), Frame::Integer(0));
}

/// What a listener is told of its subscriptions is pushed, as messages are. It was told nothing.
#[test]
fn a_client_that_wants_no_answers_may_listen() {
    let server = TestServer::start();
    let (mut listener, mut other) = (server.connect(), server.connect());
    listener.send("CLIENT REPLY OFF\r\nPING\r\nSUBSCRIBE news\r\nPING\r\n");
    let confirmed = |kind, count| Frame::Array(vec![bulk(kind), bulk("news"), count]);
    let one = Frame::Integer(1);
    assert_eq!(listener.answer(), confirmed("subscribe", one.clone()));
    assert_eq!(other.ask("PUBLISH news hello"), one);
    assert_eq!(listener.answer(), confirmed("message", bulk("hello")));
    listener.send("UNSUBSCRIBE\r\nPING\r\nCLIENT REPLY ON\r\n");
    assert_eq!(
        listener.answer(),
        confirmed("unsubscribe", Frame::Integer(0))
    );
    assert_eq!(listener.answer(), status("OK"));

    listener.send("CLIENT REPLY SKIP\r\nSUBSCRIBE news\r\nQUIT\r\n");
    assert_eq!(listener.answer(), confirmed("subscribe", Frame::Integer(1)));
    assert_eq!(listener.answer(), status("OK"));
}

#[test]
fn an_answer_that_is_longer_than_the_limit_closes_the_connection() {
    let config = Config {
        client_output_buffer_limit: normal_up_to(4_000_000),
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let mut client = server.connect();
    let long = "x".repeat(1_500_000);
    client.ask(&format!("RPUSH list {long} {long} {long}"));
    // Many answers, each of which is short enough.
    for _ in 0..10 {
        assert_eq!(client.ask("LINDEX list 0"), bulk(&long));
    }
    client.request("LRANGE list 0 -1");
    assert_eq!(client.rest(), "");
}

/// A member of a few bytes is asked for so often that no memory would hold the answer; and a long
/// one a hundred thousand times, which is not even a large number.
#[test]
fn an_answer_of_repeated_members_is_bounded() {
    let config = Config {
        client_output_buffer_limit: normal_up_to(10_000_000),
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let mut client = server.connect();
    client.ask(&format!("SADD set {}", "x".repeat(60_000)));
    let refusal = error("ERR value is out of range");
    assert_eq!(client.ask("SRANDMEMBER set -4611686018427387904"), refusal);
    client.request("SRANDMEMBER set -100000");
    assert_eq!(client.rest(), "");
    assert_eq!(server.connect().ask("SCARD set"), Frame::Integer(1));
}

#[test]
fn http_is_not_answered() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET key value\r\n");
    assert_eq!(client.rest(), "");
    assert_eq!(server.connect().ask("EXISTS key"), Frame::Integer(0));
}

// --- messages --------------------------------------------------------------------------------

#[test]
fn a_subscriber_receives_messages_by_channel_and_by_pattern() {
    let server = TestServer::start();
    let (mut listener, mut speaker) = (server.connect(), server.connect());
    listener.request("SUBSCRIBE news");
    listener.request("PSUBSCRIBE n*");
    let confirmed = |kind: &str, name: &str, count| {
        Frame::Array(vec![bulk(kind), bulk(name), Frame::Integer(count)])
    };
    assert_eq!(listener.answer(), confirmed("subscribe", "news", 1));
    assert_eq!(listener.answer(), confirmed("psubscribe", "n*", 2));

    assert_eq!(speaker.ask("PUBLISH news hello"), Frame::Integer(2));
    assert_eq!(
        listener.answer(),
        Frame::Array(bulks(&["message", "news", "hello"]))
    );
    let by_pattern = Frame::Array(bulks(&["pmessage", "n*", "news", "hello"]));
    assert_eq!(listener.answer(), by_pattern);

    let Frame::Error(refusal) = listener.ask("GET key") else {
        panic!("a RESP2 subscriber may not read keys");
    };
    assert!(
        refusal.starts_with("ERR Can't execute 'get': only (P|S)SUBSCRIBE"),
        "{refusal}"
    );
    assert_eq!(listener.ask("PING"), Frame::Array(bulks(&["pong", ""])));
    listener.request("UNSUBSCRIBE");
    listener.request("PUNSUBSCRIBE");
    assert_eq!(listener.answer(), confirmed("unsubscribe", "news", 1));
    assert_eq!(listener.answer(), confirmed("punsubscribe", "n*", 0));
    assert_eq!(listener.ask("GET key"), Frame::Null);
}

#[test]
fn a_resp3_subscriber_receives_pushes_and_may_do_anything_else() {
    let server = TestServer::start();
    let (mut listener, mut speaker) = (server.connect(), server.connect());
    listener.ask("HELLO 3");
    assert!(matches!(listener.ask("SUBSCRIBE news"), Frame::Push(_)));
    assert_eq!(listener.ask("SET key value"), status("OK"));
    speaker.ask("PUBLISH news hello");
    assert_eq!(
        listener.answer(),
        Frame::Push(bulks(&["message", "news", "hello"]))
    );
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_off() {
    let config = Config {
        client_output_buffer_limit: OutputLimits {
            pubsub: hard(1_000_000),
            ..OutputLimits::default()
        },
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let (mut listener, mut speaker) = (server.connect(), server.connect());
    listener.ask("SUBSCRIBE news");
    let message = "x".repeat(500_000);
    until(|| speaker.ask(&format!("PUBLISH news {message}")) == Frame::Integer(0));
}

// --- waiting ---------------------------------------------------------------------------------

#[test]
fn a_blocked_client_is_answered_and_then_its_further_requests() {
    let server = TestServer::start();
    let (mut waiting, mut other) = (server.connect(), server.connect());
    waiting.send("BLPOP jobs 0\r\nPING\r\n");
    waiting.send("GET key\r\n");
    assert_eq!(other.ask("SET key value"), status("OK"));
    until(|| other.ask("RPUSH jobs one") == Frame::Integer(1));
    assert_eq!(waiting.answer(), Frame::Array(bulks(&["jobs", "one"])));
    assert_eq!(waiting.answer(), status("PONG"));
    assert_eq!(waiting.answer(), bulk("value"));
}

#[test]
fn a_wait_ends_in_time() {
    let mut client = TestServer::start().into_client();
    assert_eq!(client.ask("BLPOP jobs 0.05"), Frame::NullArray);
    assert_eq!(client.ask("PING"), status("PONG"));
}

#[test]
fn a_blocked_client_that_leaves_takes_nothing_with_it() {
    let server = TestServer::start();
    let (mut waiting, mut other) = (server.connect(), server.connect());
    waiting.request("BLPOP jobs 0");
    until(|| other.list().contains(" flags=b "));
    waiting.socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(waiting.rest(), "");
    assert_eq!(other.ask("RPUSH jobs one"), Frame::Integer(1));
    assert_eq!(other.ask("LLEN jobs"), Frame::Integer(1));
}

// --- beginning and end -----------------------------------------------------------------------

#[test]
fn a_port_in_use_is_said_so() {
    let server = TestServer::start();
    let config = Config {
        listen: vec![server.address()],
        ..Config::default()
    };
    let refusal = Server::start(config, &server.store)
        .unwrap_err()
        .to_string();
    let beginning = format!(
        "can't listen on {}: Address already in use",
        server.address()
    );
    assert!(refusal.starts_with(&beginning), "{refusal}");
}

#[test]
fn a_unix_socket_is_served_replaced_when_stale_and_removed_at_the_end() {
    let path = std::env::temp_dir().join(format!("larder-server-{}.sock", std::process::id()));
    // What a server leaves behind that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let config = Config {
        unixsocket: Some(path.clone()),
        ..Config::default()
    };
    let server = TestServer::with(config.clone(), None);
    let mut client = Client::new(UnixStream::connect(&path).unwrap());
    assert_eq!(client.ask("PING"), status("PONG"));

    let config = Config {
        listen: vec![],
        ..config
    };
    let refusal = Server::start(config, &server.store)
        .unwrap_err()
        .to_string();
    assert!(refusal.contains("Address already in use"), "{refusal}");
    server.server.shutdown();
    assert!(!path.exists());
}

/// The suite of Perl's client and others let `tempfile` make the name of the socket; Redis removes
/// whatever is there.
#[test]
fn an_empty_file_is_replaced_by_the_unix_socket_and_one_with_content_is_left_alone() {
    let path = std::env::temp_dir().join(format!("larder-file-{}.sock", std::process::id()));
    let config = Config {
        listen: vec![],
        unixsocket: Some(path.clone()),
        ..Config::default()
    };
    let store = Embedded::open(Default::default()).unwrap();
    std::fs::write(&path, "notes").unwrap();
    let refusal = Server::start(config.clone(), &store)
        .unwrap_err()
        .to_string();
    assert!(refusal.contains("is no socket"), "{refusal}");
    assert_eq!(std::fs::read(&path).unwrap(), b"notes");

    std::fs::write(&path, "").unwrap();
    let server = TestServer::with(config, None);
    let mut client = Client::new(UnixStream::connect(&path).unwrap());
    assert_eq!(client.ask("PING"), status("PONG"));
    server.server.shutdown();
    assert!(!path.exists());
}

/// A socket of another kind does not take connections, but it may be in use.
#[test]
fn a_socket_that_is_no_servers_is_left_alone() {
    let path = std::env::temp_dir().join(format!("larder-log-{}.sock", std::process::id()));
    let log = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let config = Config {
        listen: vec![],
        unixsocket: Some(path.clone()),
        ..Config::default()
    };
    let store = Embedded::open(Default::default()).unwrap();
    let refusal = Server::start(config, &store).unwrap_err().to_string();
    assert!(refusal.contains("Address already in use"), "{refusal}");

    let sender = std::os::unix::net::UnixDatagram::unbound().unwrap();
    assert_eq!(sender.send_to(b"line", &path).unwrap(), 4);
    drop(log);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_shutdown_answers_what_was_read_and_closes_all_connections() {
    let server = TestServer::start();
    let address = server.address();
    let (mut idle, mut busy, mut blocked) = (server.connect(), server.connect(), server.connect());
    assert_eq!(idle.ask("PING"), status("PONG"));
    blocked.request("BLPOP jobs 0");
    let pipeline = "INCR counter\r\n".repeat(1000);
    busy.send(&pipeline);
    assert_eq!(busy.answer(), Frame::Integer(1));

    let shutdown = std::thread::spawn(move || server.server.shutdown());
    assert_eq!(idle.rest(), "");
    assert_eq!(blocked.rest(), "");
    let answers = busy.rest();
    assert_eq!(answers.lines().count(), 999, "all of one piece was read");
    shutdown.join().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_client_that_takes_no_answers_does_not_keep_the_server_from_ending() {
    let config = Config {
        shutdown_timeout: Duration::from_millis(200),
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let mut client = server.connect();
    let long = "x".repeat(10_000_000);
    client.ask(&format!("SET long {long}"));
    for _ in 0..10 {
        client.request("GET long");
    }
    let mut other = server.connect();
    until(|| {
        let clients = other.list();
        let mut getting = clients.lines().filter(|line| line.contains(" cmd=get "));
        getting.any(|line| !line.contains(" omem=0 "))
    });
    server.server.shutdown();
}

#[test]
fn info_says_how_much_of_the_machine_the_process_takes() {
    let server = TestServer::start();
    let Frame::Bulk(info) = server.connect().ask("INFO") else {
        panic!("INFO is a text");
    };
    let info = String::from_utf8_lossy(&info);
    for name in ["used_memory_rss", "used_cpu_sys", "used_cpu_user"] {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.strip_prefix(':')?.parse::<f64>().ok());
        assert!(number.is_some_and(|number| number >= 0.0), "{name}: {info}");
    }
}
