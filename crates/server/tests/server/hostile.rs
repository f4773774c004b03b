//! Clients that mean no good: others are served, and memory stays within bounds.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use larder_resp::Frame;
use larder_server::{ClientsMemory, Config};

use crate::support::{Client, TestServer, bulk, request, status, until};

/// A server whose clients may take so many bytes together.
fn with_memory(bytes: u64) -> TestServer {
    let config = Config {
        maxmemory_clients: ClientsMemory::Bytes(bytes),
        ..Config::default()
    };
    TestServer::with(config, None)
}

/// What the clients take together.
fn memory(client: &mut Client<TcpStream>) -> usize {
    let list = client.list();
    let fields = list.split_ascii_whitespace();
    let fields = fields.filter_map(|field| field.strip_prefix("tot-mem="));
    fields.map(|bytes| bytes.parse::<usize>().unwrap()).sum()
}

// --- answers that are not taken, or late -----------------------------------------------------------

/// redis-py's `pipeline(transaction=False)` writes all of it before it reads. It hung for ever.
#[test]
fn a_pipeline_that_is_written_whole_before_it_is_read_is_answered_whole() {
    let server = TestServer::start();
    let mut client = server.connect();
    let value = "x".repeat(1000);
    assert_eq!(client.ask(&format!("SET key {value}")), status("OK"));
    let (gets, words) = (30_000, 30);
    client.send(request(&["GET", "key"]).repeat(gets));
    let word = "y".repeat(1_000_000);
    client.send(request(&["ECHO", &word]).repeat(words));
    client.socket.shutdown(Shutdown::Write).unwrap();

    let mut answers = Vec::new();
    client.socket.read_to_end(&mut answers).unwrap();
    let wanted = format!("$1000\r\n{value}\r\n").repeat(gets)
        + &format!("$1000000\r\n{word}\r\n").repeat(words);
    assert!(answers == wanted.as_bytes(), "{} bytes came", answers.len());
}

#[test]
fn the_list_of_clients_counts_the_answers_that_wait() {
    let server = TestServer::start();
    let (mut greedy, mut other) = (server.connect(), server.connect());
    greedy.ask(&format!("SET long {}", "x".repeat(1_000_000)));
    greedy.send("GET long\r\n".repeat(30));
    // What the system takes off the server's hands is less than a half of it.
    until(|| {
        let list = other.list();
        let fields = list.split_ascii_whitespace();
        let mut waiting = fields.filter_map(|field| field.strip_prefix("omem="));
        waiting.any(|bytes| bytes.parse::<usize>().unwrap() > 15_000_000)
    });
    (0..30).for_each(|_| drop(greedy.answer()));
    until(|| memory(&mut other) < 1_000_000);
}

#[test]
fn those_who_take_most_are_closed_when_all_take_too_much() {
    let server = with_memory(30_000_000);
    let (mut modest, mut other) = (server.connect(), server.connect());
    modest.ask(&format!("SET long {}", "x".repeat(1_000_000)));
    let mut greedy: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut greedy {
        // It may be closed while it asks.
        let _ = client
            .socket
            .write_all("GET long\r\n".repeat(40).as_bytes());
    }
    until(|| other.list().lines().count() <= 6);
    assert!(memory(&mut other) <= 31_000_000);
    assert_eq!(modest.ask("PING"), status("PONG"));
}

#[test]
fn a_client_that_asked_for_it_is_spared_when_all_take_too_much() {
    let server = with_memory(10_000_000);
    let (mut kept, mut other) = (server.connect(), server.connect());
    kept.ask(&format!("SET long {}", "x".repeat(1_000_000)));
    kept.ask("CLIENT NO-EVICT on");
    kept.send("GET long\r\n".repeat(30));
    until(|| memory(&mut other) > 12_000_000);
    (0..30).for_each(|_| drop(kept.answer()));
    assert_eq!(kept.ask("PING"), status("PONG"));
}

/// Sixty bytes ask for more than there is memory, and no limit of the client's own is set.
#[test]
fn a_single_answer_takes_no_more_than_all_clients_may() {
    let server = with_memory(20_000_000);
    let (mut greedy, mut other) = (server.connect(), server.connect());
    greedy.ask(&format!("SADD set {}", "x".repeat(100_000)));
    greedy.send("SRANDMEMBER set -1000000\r\n");
    assert_eq!(greedy.rest(), "");
    assert_eq!(other.ask("SCARD set"), Frame::Integer(1));
}

#[test]
fn a_transaction_that_is_never_run_counts_as_memory() {
    let server = with_memory(5_000_000);
    let (mut greedy, mut other) = (server.connect(), server.connect());
    greedy.ask("MULTI");
    let set = request(&["SET", "key", &"x".repeat(100_000)]);
    // It is closed while it sends.
    let _ = greedy.socket.write_all(&set.repeat(200));
    until(|| other.list().lines().count() == 1);
    assert_eq!(other.ask("EXISTS key"), Frame::Integer(0));
    until(|| match other.ask("INFO stats") {
        Frame::Bulk(stats) => String::from_utf8_lossy(&stats).contains("evicted_clients:1\r\n"),
        other => panic!("INFO answers a text, not {other:?}"),
    });
}

/// What is watched, subscribed to and tracked lies in the server as long as its connection lives.
#[test]
fn what_a_client_wants_to_hear_of_counts_as_memory() {
    for (begin, before_name, end) in [
        ("WATCH", "", "UNWATCH"),
        ("SUBSCRIBE", "", "UNSUBSCRIBE"),
        ("PSUBSCRIBE", "", "PUNSUBSCRIBE"),
        ("CLIENT TRACKING ON BCAST", "PREFIX", "RESET"),
    ] {
        let server = TestServer::start();
        let (mut greedy, mut other) = (server.connect(), server.connect());
        assert!(matches!(greedy.ask("HELLO 3"), Frame::Map(_)));
        for round in 0..20 {
            let name = |i| format!("{before_name} {round:02}{i:02}{}", "x".repeat(1000));
            let names: Vec<_> = (0..100).map(name).collect();
            greedy.request(&format!("{begin} {}", names.join(" ")));
            let answers = if begin.ends_with("SUBSCRIBE") { 100 } else { 1 };
            (0..answers).for_each(|_| drop(greedy.answer()));
        }
        until(|| memory(&mut other) > 2_000_000);
        greedy.request(end);
        until(|| memory(&mut other) < 500_000);
    }
}

// --- messages --------------------------------------------------------------------------------------

#[test]
fn listeners_that_never_read_keep_nobody_from_speaking_and_listening() {
    let server = TestServer::start();
    let mut speaker = server.connect();
    let set = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 1mb 0 0",
    ];
    speaker.send(request(&set));
    assert_eq!(speaker.answer(), status("OK"));
    let mut deaf: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut deaf {
        client.ask("SUBSCRIBE news");
    }
    let message = "x".repeat(100_000);
    until(|| speaker.ask(&format!("PUBLISH news {message}")) == Frame::Integer(0));
    let mut listener = server.connect();
    listener.ask("SUBSCRIBE news");
    assert_eq!(speaker.ask("PUBLISH news hello"), Frame::Integer(1));
    assert!(matches!(listener.answer(), Frame::Array(items) if items[2] == bulk("hello")));
}

// --- requests that never end -------------------------------------------------------------------------

#[test]
fn words_that_are_announced_and_never_sent_take_no_memory() {
    let server = TestServer::start();
    let mut other = server.connect();
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nand then nothing");
    }
    other.ask("PING");
    assert!(memory(&mut other) < 52 * 1_100_000);
    clients.clear();
    until(|| memory(&mut other) < 100_000);
}

/// It was never noticed when it had sent more than 64 KB, and took the next element with it.
#[test]
fn a_blocked_client_that_sends_much_and_leaves_takes_nothing_with_it() {
    let server = TestServer::start();
    let (mut blocked, mut other) = (server.connect(), server.connect());
    blocked.send("BLPOP queue 0\r\n");
    blocked.send("PING\r\n".repeat(50_000));
    until(|| other.list().contains(" flags=b "));
    drop(blocked);
    until(|| other.list().lines().count() == 1);
    assert_eq!(other.ask("RPUSH queue one"), Frame::Integer(1));
    assert_eq!(other.ask("LLEN queue"), Frame::Integer(1));
}

#[test]
fn clients_that_come_and_go_by_the_thousand_leave_nothing_behind() {
    let server = TestServer::start();
    let mut other = server.connect();
    for round in 0..2000 {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        let parts = [
            "",
            "*1\r\n$4\r\nPI",
            "BLPOP queue 0\r\n",
            "SUBSCRIBE a\r\nPI",
            "MULTI\r\nGET a\r\n",
        ];
        let _ = socket.write_all(parts[round % parts.len()].as_bytes());
    }
    // The last ones may have gone before they were accepted, and are yet to come.
    until(|| match other.ask("INFO stats") {
        Frame::Bulk(stats) => {
            let stats = String::from_utf8_lossy(&stats).into_owned();
            stats.contains("total_connections_received:2001\r")
        }
        other => panic!("INFO is a text: {other:?}"),
    });
    until(|| other.list().lines().count() == 1);
    assert_eq!(other.ask("RPUSH queue one"), Frame::Integer(1));
    assert_eq!(other.ask("LLEN queue"), Frame::Integer(1));
    assert_eq!(other.ask("PUBLISH a hello"), Frame::Integer(0));
}

#[test]
fn a_flood_on_the_only_thread_keeps_nobody_from_being_served() {
    let config = Config {
        threads: Some(1),
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let mut other = server.connect();
    let mut flood = TcpStream::connect(server.address()).unwrap();
    let mut answers = flood.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut std::io::sink());
    });
    let writer = std::thread::spawn(move || {
        let requests = request(&["INCR", "counter"]).repeat(10_000);
        while flood.write_all(&requests).is_ok() {}
    });
    until(|| other.ask("EXISTS counter") == Frame::Integer(1));
    (0..200).for_each(|_| assert_eq!(other.ask("PING"), status("PONG")));
    let Frame::Integer(own) = other.ask("CLIENT ID") else {
        panic!("an id is a number");
    };
    assert_eq!(other.ask("CLIENT KILL TYPE normal"), Frame::Integer(1));
    assert_eq!(other.ask("CLIENT ID"), Frame::Integer(own));
    writer.join().unwrap();
    reader.join().unwrap();
}
