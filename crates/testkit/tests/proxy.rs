//! The proxy does to connections what it is told to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use larder_resp::Frame;
use larder_testkit::{Conversation, Direction, Proxy, Server, ServerKind, until};

const SHORT: Duration = Duration::from_millis(150);

/// A server, a proxy before it, and a connection through it.
fn start() -> Option<(Server, Proxy, Conversation)> {
    let server = Server::start(ServerKind::Redis)?;
    let proxy = Proxy::before(server.port());
    let through = Conversation::open(proxy.port()).unwrap();
    Some((server, proxy, through))
}

/// Another connection through the proxy, for bytes that are no whole answers.
fn raw(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

/// A number that only the server itself is asked for.
fn count(server: &Server) -> Frame {
    let mut direct = Conversation::open(server.port()).unwrap();
    direct.ask(&["GET", "n"]).unwrap()
}

fn is(number: &str) -> Frame {
    Frame::Bulk(number.into())
}

#[test]
fn what_is_sent_arrives_and_so_does_the_answer() {
    let Some((_server, proxy, mut through)) = start() else {
        return;
    };
    assert_eq!(through.ask(&["INCR", "n"]).unwrap(), Frame::Integer(1));
    let large = vec![b'x'; 1_000_000];
    through.ask(&[&b"SET"[..], b"large", &large]).unwrap();
    assert_eq!(through.ask(&["GET", "large"]).unwrap(), Frame::Bulk(large));
    assert_eq!((proxy.accepted(), proxy.open()), (1, 1));
    drop(through);
    until("the connection is closed", Duration::from_secs(5), || {
        proxy.open() == 0
    });
}

#[test]
fn each_way_can_be_made_long_without_being_made_narrow() {
    let Some((server, proxy, mut through)) = start() else {
        return;
    };
    for direction in [Direction::Requests, Direction::Answers] {
        proxy.delay(direction, SHORT);
        let start = Instant::now();
        through.ask(&["PING"]).unwrap();
        assert!(start.elapsed() >= SHORT);
        proxy.delay(direction, Duration::ZERO);
    }
    proxy.delay(Direction::Requests, SHORT);
    let start = Instant::now();
    let mut stream = raw(&proxy);
    for _ in 0..10 {
        stream.write_all(b"INCR n\r\n").unwrap();
        std::thread::yield_now();
    }
    until("all have arrived", Duration::from_secs(5), || {
        count(&server) == is("10")
    });
    assert!(start.elapsed() < SHORT * 10);
}

#[test]
fn a_black_hole_lets_nothing_through_until_it_is_closed() {
    let Some((server, proxy, mut through)) = start() else {
        return;
    };
    through.ask(&["PING"]).unwrap();
    proxy.black_hole(true);
    let mut stream = raw(&proxy);
    stream.set_read_timeout(Some(SHORT)).unwrap();
    stream.write_all(b"INCR n\r\n").unwrap();
    let answer = stream.read(&mut [0; 10]).unwrap_err();
    assert_eq!(answer.kind(), ErrorKind::WouldBlock);
    assert_eq!(count(&server), Frame::Null);
    assert_eq!(proxy.open(), 2);

    // A request that was given up long ago is carried out after all.
    proxy.black_hole(false);
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b":1\r\n");
}

#[test]
fn all_connections_are_cut_and_new_ones_are_made_or_turned_away() {
    let Some((_server, proxy, mut through)) = start() else {
        return;
    };
    let mut other = Conversation::open(proxy.port()).unwrap();
    for connection in [&mut through, &mut other] {
        connection.ask(&["PING"]).unwrap();
    }
    proxy.cut();
    for connection in [&mut through, &mut other] {
        assert!(connection.ask(&["PING"]).is_err());
    }
    Conversation::open(proxy.port())
        .unwrap()
        .ask(&["PING"])
        .unwrap();
    proxy.turn_away(true);
    let refused = Conversation::open(proxy.port()).and_then(|mut to| to.ask(&["PING"]));
    assert!(refused.is_err());
    proxy.turn_away(false);
    Conversation::open(proxy.port())
        .unwrap()
        .ask(&["PING"])
        .unwrap();
    assert_eq!(proxy.accepted(), 5);
}

#[test]
fn an_answer_is_broken_off_in_the_middle() {
    let Some((_server, proxy, mut through)) = start() else {
        return;
    };
    through.ask(&["SET", "a", "0123456789"]).unwrap();
    proxy.truncate_answer(8);
    let mut stream = raw(&proxy);
    stream.write_all(b"GET a\r\n").unwrap();
    let mut came = Vec::new();
    stream.read_to_end(&mut came).unwrap();
    assert_eq!(came, b"$10\r\n012");
    assert!(proxy.is_done());
    through.ask(&["PING"]).unwrap();
}

#[test]
fn so_many_answers_come_and_the_next_is_lost_after_its_command_ran() {
    let Some((server, proxy, mut through)) = start() else {
        return;
    };
    proxy.cut_after(2);
    for number in 1..=2 {
        assert_eq!(through.ask(&["INCR", "n"]).unwrap(), Frame::Integer(number));
    }
    assert!(!proxy.is_done());
    assert!(through.ask(&["INCR", "n"]).is_err());
    assert_eq!(count(&server), is("3"));

    // Three answers in one chunk: two of them come.
    proxy.cut_after(2);
    let mut stream = raw(&proxy);
    stream.write_all(b"INCR n\r\nINCR n\r\nINCR n\r\n").unwrap();
    let mut came = Vec::new();
    stream.read_to_end(&mut came).unwrap();
    assert_eq!(came, b":4\r\n:5\r\n");
    assert_eq!(count(&server), is("6"));
}

#[test]
fn the_answer_to_one_request_is_lost() {
    let Some((server, proxy, mut through)) = start() else {
        return;
    };
    proxy.lose_answer_to("INCR");
    through.ask(&["PING"]).unwrap();
    assert!(through.ask(&["INCR", "n"]).is_err());
    assert_eq!(count(&server), is("1"));
    assert!(proxy.is_done());
    let mut again = Conversation::open(proxy.port()).unwrap();
    assert_eq!(again.ask(&["INCR", "n"]).unwrap(), Frame::Integer(2));
}

#[test]
fn a_way_can_be_made_narrow() {
    let Some((_server, proxy, mut through)) = start() else {
        return;
    };
    through.ask(&[&b"SET"[..], b"a", &[b'x'; 20_000]]).unwrap();
    proxy.throttle(Some(50_000));
    let start = Instant::now();
    through.ask(&["GET", "a"]).unwrap();
    // 400 ms, of which the last part need not have passed.
    assert!(start.elapsed() >= SHORT * 2);
    proxy.throttle(None);
}
