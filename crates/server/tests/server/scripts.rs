//! Scripts that run for long, or for ever: who is served beside them, and how they are ended.

use std::net::TcpStream;
use std::time::Duration;

use larder_resp::Frame;
use larder_server::Config;

use crate::support::{Client, TestServer, bulk, bulks, error, request, status, until};

/// Holds the keys that it is given, and holds up nobody who needs others.
const HANGS: &str = "while true do end";

/// A server with one thread, and a client of it.
fn one_thread() -> (TestServer, Client<TcpStream>) {
    let config = Config {
        threads: Some(1),
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let mut client = server.connect();
    let soon = "CONFIG SET busy-reply-threshold 20";
    assert_eq!(client.ask(soon), status("OK"));
    (server, client)
}

/// A client whose script does not end. It runs when this returns.
fn hanging(server: &TestServer, script: &str, key: &str) -> Client<TcpStream> {
    let mut client = server.connect();
    client.send(request(&["EVAL", script, "1", key]));
    until(|| server.store.engine().is_busy(&server.store));
    client
}

/// A client whose script does not end, and holds none of the keys `free`: which keys lie beside that of
/// the script is by chance, so another one is tried if one of them does.
fn hanging_beside(
    server: &TestServer,
    other: &mut Client<TcpStream>,
    free: &[&str],
) -> (Client<TcpStream>, String) {
    let mut number = 0;
    loop {
        let held = format!("held.{number}");
        let mut client = hanging(server, HANGS, &held);
        let is_free = |key: &&str| other.ask(&format!("EXISTS {key}")) == Frame::Integer(0);
        if free.iter().all(is_free) {
            return (client, held);
        }
        assert_eq!(other.ask("SCRIPT KILL"), status("OK"));
        assert_killed(&mut client);
        number += 1;
    }
}

fn id(client: &mut Client<TcpStream>) -> i64 {
    match client.ask("CLIENT ID") {
        Frame::Integer(id) => id,
        other => panic!("an id is a number, not {other:?}"),
    }
}

/// Reads the answer of a script that was ended.
fn assert_killed(client: &mut Client<TcpStream>) {
    let answer = client.answer();
    let is_killed = |text: &str| text.starts_with("ERR Script killed by user with SCRIPT KILL");
    assert!(
        matches!(&answer, Frame::Error(text) if is_killed(text)),
        "{answer:?}"
    );
}

// --- who is served -------------------------------------------------------------------------------

/// They got neither an answer nor BUSY.
#[test]
fn clients_of_the_thread_that_runs_a_hanging_script_are_served() {
    let (server, mut other) = one_thread();
    let (_hanging, held) = hanging_beside(&server, &mut other, &["free"]);
    assert_eq!(other.ask("PING"), status("PONG"));
    assert_eq!(other.ask("SET free value"), status("OK"));
    let Frame::Error(busy) = other.ask(&format!("GET {held}")) else {
        panic!("the script holds the key");
    };
    assert!(busy.starts_with("BUSY "), "{busy}");
    assert!(other.list().contains(" cmd=eval "));
    assert_eq!(server.connect().ask("GET free"), bulk("value"));
}

/// What others wait for comes to them as well: they are woken on the thread that goes on.
#[test]
fn blocked_clients_and_listeners_beside_a_hanging_script_get_what_they_wait_for() {
    let (server, mut other) = one_thread();
    let (mut blocked, mut listener) = (server.connect(), server.connect());
    blocked.request("BLPOP queue 0");
    listener.ask("SUBSCRIBE news");
    until(|| other.list().contains(" flags=b "));
    let _hanging = hanging_beside(&server, &mut other, &["queue"]);

    assert_eq!(other.ask("RPUSH queue one"), Frame::Integer(1));
    assert_eq!(blocked.answer(), Frame::Array(bulks(&["queue", "one"])));
    assert_eq!(other.ask("PUBLISH news hello"), Frame::Integer(1));
    let message = Frame::Array(bulks(&["message", "news", "hello"]));
    assert_eq!(listener.answer(), message);
    blocked.request("BLPOP queue 0.01");
    assert_eq!(blocked.answer(), Frame::NullArray);
}

/// No script is ever known to be too long here: what hands a thread over is that it runs for long.
/// All come at once, so that a thread that has been taken over hands over while others still wait.
#[test]
fn twenty_hanging_scripts_on_one_thread_hold_up_nobody() {
    let (server, mut other) = one_thread();
    other.ask("CONFIG SET busy-reply-threshold 0");
    let mut all: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut all {
        client.send(request(&["EVAL", HANGS, "0"]));
        assert_eq!(other.ask("PING"), status("PONG"));
    }
    until(|| other.list().matches(" cmd=eval ").count() == all.len());
    assert_eq!(server.connect().ask("PING"), status("PONG"));

    other.ask("CONFIG SET busy-reply-threshold 1");
    assert_eq!(other.ask("SCRIPT KILL"), status("OK"));
    all.iter_mut().for_each(assert_killed);
    for client in &mut all {
        assert_eq!(client.ask("PING"), status("PONG"));
    }
}

#[test]
fn a_client_whose_pipeline_hangs_twice_holds_up_nobody_and_is_answered_in_order() {
    let (server, mut other) = one_thread();
    let mut hanging = server.connect();
    let script = request(&["EVAL", HANGS, "1", "held"]);
    hanging.send([&script[..], b"PING\r\n", &script[..], b"PING\r\n"].concat());
    hanging.socket.set_nonblocking(true).unwrap();
    until(|| {
        other.ask("SCRIPT KILL");
        hanging.socket.peek(&mut [0]).is_ok()
    });
    hanging.socket.set_nonblocking(false).unwrap();
    for _ in 0..2 {
        assert_killed(&mut hanging);
        assert_eq!(hanging.answer(), status("PONG"));
    }
}

/// A thread is handed over after some milliseconds, which is when these end: whichever comes first,
/// nobody is forgotten.
#[test]
fn scripts_that_end_when_their_thread_is_handed_over_are_answered() {
    let (server, mut other) = one_thread();
    let script = "local sum = 0 for i = 1, ARGV[1] do sum = sum + i end return sum";
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for round in 1..=8_i64 {
        let to = round * 300_000;
        for client in &mut clients {
            client.send(request(&["EVAL", script, "0", &to.to_string()]));
        }
        assert_eq!(other.ask("PING"), status("PONG"));
        for client in &mut clients {
            assert_eq!(client.answer(), Frame::Integer(to * (to + 1) / 2));
        }
    }
}

// --- how they are ended ----------------------------------------------------------------------------

#[test]
fn clients_of_the_thread_that_runs_a_hanging_script_can_kill_it() {
    let (server, mut other) = one_thread();
    let mut hanging = hanging(&server, HANGS, "held");
    assert_eq!(other.ask("SCRIPT KILL"), status("OK"));
    let killed = "ERR Script killed by user with SCRIPT KILL... script: \
                  694a5fe1ddb97a4c6a1bf299d9537c7d3d0f84e7, on @user_script:1.";
    assert_eq!(hanging.answer(), error(killed));
    assert_eq!(hanging.ask("PING"), status("PONG"));
    assert_eq!(other.ask("GET held"), Frame::Null);
}

#[test]
fn a_new_client_can_kill_a_hanging_script() {
    let (server, _) = one_thread();
    let mut hanging = hanging(&server, HANGS, "held");
    assert_eq!(server.connect().ask("SCRIPT KILL"), status("OK"));
    assert_killed(&mut hanging);
}

#[test]
fn a_client_that_is_killed_while_its_script_hangs_is_closed_when_that_ends() {
    let (server, mut other) = one_thread();
    let mut client = server.connect();
    let kill = format!("CLIENT KILL ID {}", id(&mut client));
    client.send(request(&["EVAL", HANGS, "1", "held"]));
    until(|| server.store.engine().is_busy(&server.store));
    assert_eq!(other.ask(&kill), Frame::Integer(1));
    assert_eq!(other.ask("SCRIPT KILL"), status("OK"));
    client.rest();
    until(|| other.list().lines().count() == 1);
}

/// It has written, so nobody can kill it.
#[test]
fn a_server_ends_though_a_script_does_not() {
    let config = Config {
        shutdown_timeout: Duration::from_millis(50),
        threads: Some(1),
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    server.connect().ask("CONFIG SET busy-reply-threshold 20");
    let script = "redis.call('SET', KEYS[1], 1) while true do end";
    let _hanging = hanging(&server, script, "a");
    assert!(server.server.shutdown());
}

#[test]
fn a_server_ends_though_twenty_scripts_do_not_and_each_is_answered() {
    let (server, mut other) = one_thread();
    let mut all = Vec::new();
    for count in 1..=20 {
        let mut client = server.connect();
        client.send(request(&["EVAL", HANGS, "0"]));
        until(|| other.list().matches(" cmd=eval ").count() == count);
        all.push(client);
    }
    until(|| server.store.engine().is_busy(&server.store));
    assert!(server.server.shutdown());
    for client in &mut all {
        let answer = client.rest();
        assert!(answer.starts_with("-ERR Script ended because the store is closing"));
    }
}
