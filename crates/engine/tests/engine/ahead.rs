//! What is learnt of a request before it is run, and what is asked of the clock.

use std::cell::Cell;
use std::sync::Arc;

use larder_engine::{Engine, Foreseen, Now, RespReply, Session, Ticks, TimeSource};
use larder_resp::ArgumentBuffer;

use crate::support::{Connection, START, engine, request};

/// A clock that counts how often it is asked.
#[derive(Default)]
struct Counting {
    asked: Cell<u32>,
}

impl TimeSource for Counting {
    fn now(&self) -> Now {
        self.asked.set(self.asked.get() + 1);
        START
    }

    fn ticks(&self) -> Ticks {
        Ticks::from_us(0)
    }
}

/// Runs these requests as a server does that has received all of them at once.
fn run_together(engine: &Arc<Engine>, session: &mut Session, requests: &[&str]) -> String {
    let requests: Vec<_> = requests
        .iter()
        .map(|line| request(line.split(' ')))
        .collect();
    let requests = requests.iter().map(ArgumentBuffer::as_arguments);
    let mut foreseen = vec![Foreseen::default(); requests.len()];
    engine.foresee_all(requests.clone().zip(&mut foreseen));
    engine.look_ahead(session, requests.clone().zip(foreseen.iter().copied()));

    let mut out = Vec::new();
    for (request, foreseen) in requests.zip(foreseen) {
        let mut reply = RespReply::new(&mut out, false);
        let _ = engine.execute_foreseen(session, request, foreseen, &START, &mut reply);
    }
    String::from_utf8_lossy(&out).replace("\r\n", " ")
}

fn run(engine: &Arc<Engine>, session: &mut Session, clock: &Counting, line: &str) {
    let mut out = Vec::new();
    let mut reply = RespReply::new(&mut out, false);
    let request = request(line.split(' '));
    let _ = engine.execute(session, request.as_arguments(), clock, &mut reply);
    assert!(!out.starts_with(b"-"), "{}", String::from_utf8_lossy(&out));
}

/// A key is not hashed again where the request before has the same.
#[test]
fn keys_that_are_nearly_the_same_are_told_apart() {
    let engine = engine();
    let mut session = Session::local();
    let keys = [
        "list",
        "lisp",
        "list",
        "lists",
        "list",
        "a12345678",
        "a12345678",
        "b12345678",
        "12345678",
        "b12345678",
        "a12345679",
        "b",
        "c",
    ];
    for (turn, key) in keys.iter().enumerate() {
        let (first, second) = (format!("RPUSH {key} {turn}"), format!("RPUSH {key} {turn}"));
        let next = format!("RPUSH {} next", keys[(turn + 1) % keys.len()]);
        run_together(&engine, &mut session, &[&first, &second, &next]);
    }
    for key in keys {
        let mut expected = String::new();
        let mut count = 0;
        let mut add = |text: &str| {
            count += 1;
            expected += &format!("${} {text} ", text.len());
        };
        for (turn, other) in keys.iter().enumerate() {
            if *other == key {
                add(&turn.to_string());
                add(&turn.to_string());
            }
            if keys[(turn + 1) % keys.len()] == key {
                add("next");
            }
        }
        let held = run_together(&engine, &mut session, &[&format!("LRANGE {key} 0 -1")]);
        assert_eq!(held, format!("*{count} {expected}"), "{key}");
    }
}

#[test]
fn requests_that_are_foreseen_are_answered_as_any() {
    let engine = engine();
    let mut session = Session::local();

    let answers = run_together(
        &engine,
        &mut session,
        &[
            "SET a 1",
            "MSET b 2 c 3 b 4",
            "GET b",
            "NOSUCH a",
            "EVAL return(redis.call('GET',KEYS[1])) 1 c",
            "EVAL return(1) 0",
            "EVAL return(1) many",
            "PING b",
            "DEL c a c",
            "RENAME b a",
            "SELECT 1",
            "EXISTS a a",
        ],
    );

    let wanted = [
        "+OK",
        "+OK",
        "$1 4",
        "-ERR unknown command 'NOSUCH', with args beginning with: 'a' ",
        "$1 3",
        ":1",
        "-ERR value is not an integer or out of range",
        "$1 b",
        ":2",
        "+OK",
        "+OK",
        ":0 ",
    ];
    assert_eq!(answers, wanted.join(" "));
}

/// A command with several keys finds the hashes of those keys again, whatever their order.
#[test]
fn each_of_many_keys_is_found_in_any_order() {
    let engine = engine();
    let mut session = Session::local();
    let all: String = (0..50).map(|n| format!(" key:{n} {n}")).collect();
    let set = format!("MSET{all}");
    let get: String = (0..50).rev().map(|n| format!(" key:{n}")).collect();
    let get = format!("MGET{get} key:49 key:0");

    let answers = run_together(&engine, &mut session, &[&set, &get, "DBSIZE"]);

    let found = (0..50).rev().chain([49, 0]);
    let found: String = found
        .map(|n: i32| format!("${} {n} ", n.to_string().len()))
        .collect();
    assert_eq!(answers, format!("+OK *52 {found}:50 "));
}

#[test]
fn a_key_without_an_expiry_is_changed_without_a_look_at_the_clock() {
    let engine = engine();
    let (mut session, clock) = (Session::local(), Counting::default());

    for request in ["SET a 1", "INCR a", "INCRBY b 2", "GET a"] {
        run(&engine, &mut session, &clock, request);
    }
    assert_eq!(clock.asked.get(), 0);

    run(&engine, &mut session, &clock, "SET a 3 EX 100");
    run(&engine, &mut session, &clock, "INCR a");
    assert_eq!(clock.asked.get(), 2, "once for each request");
}

/// CLIENT LIST shows for how long a connection has been idle: whoever has read a batch says so once.
#[test]
fn a_connection_is_seen_once_for_a_batch() {
    let engine = engine();
    let mut session = Connection::to(&engine).session;
    let clock = Counting::default();

    session.seen(&clock);
    run_together(&engine, &mut session, &["SET a 1", "GET a", "INCR a"]);

    let seen = session.client().map(|client| client.last_seen_us());
    assert_eq!(seen, Some(START.unix_us()));
    assert_eq!(clock.asked.get(), 1);
}
