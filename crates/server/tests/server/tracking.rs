//! What a client that tracks sees through its socket, and when.

use std::net::TcpStream;

use larder_resp::Frame;

use crate::support::{Client, TestServer, bulk, status, until};

fn modern(server: &TestServer) -> Client<TcpStream> {
    let mut client = server.connect();
    client.request("HELLO 3");
    assert!(matches!(client.answer(), Frame::Map(_)));
    client
}

fn invalidated(key: &str) -> Frame {
    Frame::Push(vec![bulk("invalidate"), Frame::Array(vec![bulk(key)])])
}

#[test]
fn the_announcement_of_an_own_change_comes_behind_all_answers_of_the_pipeline() {
    let server = TestServer::start();
    let mut client = modern(&server);
    client.request("CLIENT TRACKING ON");
    assert_eq!(client.answer(), status("OK"));

    client.send("GET k\r\nSET k 1\r\nGET k\r\nGET other\r\n");
    assert_eq!(client.answer(), Frame::Null);
    assert_eq!(client.answer(), status("OK"));
    assert_eq!(client.answer(), bulk("1"));
    assert_eq!(client.answer(), Frame::Null);
    assert_eq!(client.answer(), invalidated("k"));
}

/// A connection that waits for requests alone has to be woken when it is made a listener.
#[test]
fn a_client_that_does_nothing_hears_what_another_redirects_to_it() {
    let server = TestServer::start();
    let (mut idle, mut reader, mut writer) = (modern(&server), server.connect(), server.connect());
    idle.request("CLIENT ID");
    let Frame::Integer(id) = idle.answer() else {
        panic!("an id is a number");
    };

    reader.request(&format!("CLIENT TRACKING ON REDIRECT {id}"));
    assert_eq!(reader.answer(), status("OK"));
    reader.request("GET k");
    assert_eq!(reader.answer(), Frame::Null);
    writer.request("SET k 1");
    assert_eq!(writer.answer(), status("OK"));
    assert_eq!(idle.answer(), invalidated("k"));
}

#[test]
fn a_client_that_waits_for_a_key_hears_of_another_meanwhile() {
    let server = TestServer::start();
    let (mut waiter, mut writer) = (modern(&server), server.connect());
    for request in ["CLIENT TRACKING ON", "GET k", "BLPOP list 0"] {
        waiter.request(request);
    }
    assert_eq!(waiter.answer(), status("OK"));
    assert_eq!(waiter.answer(), Frame::Null);

    writer.request("SET k 1");
    assert_eq!(waiter.answer(), invalidated("k"));
    writer.request("RPUSH list a");
    let popped = Frame::Array(vec![bulk("list"), bulk("a")]);
    assert_eq!(waiter.answer(), popped);
}

/// What is pushed is bounded as for a subscriber, though answers are not.
#[test]
fn a_client_that_tracks_and_does_not_read_is_closed() {
    let server = TestServer::start();
    let (mut deaf, mut writer) = (modern(&server), server.connect());
    for request in [
        "CONFIG SET client-output-buffer-limit \"pubsub 100000 0 0\"",
        "CLIENT SETNAME deaf",
        "CLIENT TRACKING ON BCAST",
    ] {
        deaf.send(format!("{request}\r\n"));
        assert_eq!(deaf.answer(), status("OK"), "{request}");
    }

    let key = "k".repeat(10_000);
    until(|| {
        (0..100).for_each(|_| writer.request(&format!("SET {key} 1")));
        (0..100).for_each(|_| assert_eq!(writer.answer(), status("OK")));
        writer.request("CLIENT LIST");
        matches!(writer.answer(), Frame::Bulk(list) if !String::from_utf8_lossy(&list).contains("name=deaf"))
    });
}
