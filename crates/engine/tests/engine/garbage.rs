//! What takes long to free is given to whoever has asked for it, and nobody waits for that.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use larder_engine::{Engine, Garbage};

use crate::support::{Connection, engine, later_ms};

/// More members than are freed on the spot.
const MANY: usize = 1000;

fn open() -> (Arc<Engine>, Receiver<Garbage>) {
    let engine = engine();
    let (sender, garbage) = channel();
    engine.on_garbage(Box::new(move |garbage| {
        sender.send(garbage).expect("the test looks at it");
    }));
    (engine, garbage)
}

fn call(engine: &Arc<Engine>, request: &str) -> String {
    Connection::to(engine).call(request)
}

/// Makes sets with so many members.
fn add(engine: &Arc<Engine>, keys: &[&str], members: usize) {
    let members: Vec<String> = (0..members).map(|number| format!("m{number}")).collect();
    for key in keys {
        let added = call(engine, &format!("SADD {key} {}", members.join(" ")));
        assert_eq!(added, format!(":{}", members.len()));
    }
}

#[test]
fn large_values_are_given_away_however_their_keys_lose_them() {
    for request in [
        "DEL big",
        "UNLINK big",
        "SET big small",
        "GETEX big PXAT 1",
        "PEXPIRE big 0",
        "RENAME small big",
        "COPY small big REPLACE",
        "SUNIONSTORE big small",
        "SINTERSTORE big small none",
        "FLUSHDB",
        "FLUSHALL SYNC",
    ] {
        let (engine, garbage) = open();
        add(&engine, &["big"], MANY);
        add(&engine, &["small"], 3);
        let answer = call(&engine, request);
        // GETEX is for strings, and an error must not cost anything.
        let is_refused = answer.starts_with('-');
        assert_eq!(
            garbage.try_iter().count(),
            usize::from(!is_refused),
            "{request}"
        );
        let left = call(&engine, "SCARD big");
        assert_eq!(left == format!(":{MANY}"), is_refused, "{request}: {left}");
    }
}

#[test]
fn what_is_given_away_is_pending_until_it_has_been_freed() {
    let (engine, garbage) = open();
    let figure = |name: &str| Connection::to(&engine).figure(name);
    add(&engine, &["one", "other", "third"], MANY);
    call(&engine, "DEL one");
    let of_one = garbage.try_recv().expect("it takes long to free");
    assert_eq!(figure("lazyfree_pending_objects"), 1);
    assert_eq!(figure("lazyfreed_objects"), 0);

    drop(of_one);
    call(&engine, "FLUSHALL");
    assert_eq!(figure("lazyfree_pending_objects"), 2);
    assert_eq!(figure("lazyfreed_objects"), 1);

    call(&engine, "CONFIG RESETSTAT");
    assert_eq!(figure("lazyfree_pending_objects"), 2);
    assert_eq!(figure("lazyfreed_objects"), 0);
    drop(garbage);
    assert_eq!(figure("lazyfree_pending_objects"), 0);
    assert_eq!(figure("lazyfreed_objects"), 2);
}

#[test]
fn what_expires_is_given_away_too() {
    let (engine, garbage) = open();
    add(&engine, &["one", "other"], MANY);
    for key in ["one", "other"] {
        assert_eq!(call(&engine, &format!("PEXPIRE {key} 5000")), ":1");
    }
    engine.tick(&later_ms(6000));
    assert_eq!(garbage.try_iter().count(), 2);
    assert_eq!(call(&engine, "DBSIZE"), ":0");
}

#[test]
fn a_script_gives_away_all_that_it_removed_at_its_end() {
    let (engine, garbage) = open();
    add(&engine, &["a", "b", "c"], MANY);
    let script = "for _, key in ipairs(KEYS) do redis.call('DEL', key) end";
    let answer = Connection::to(&engine).send_words(&["EVAL", script, "3", "a", "b", "c"]);
    assert_eq!(answer, "$-1\n");
    let given: Vec<String> = garbage
        .try_iter()
        .map(|garbage| format!("{garbage:?}"))
        .collect();
    assert_eq!(given, ["Garbage { entries: 3, dbs: [] }"]);
}

#[test]
fn small_values_and_strings_are_freed_on_the_spot() {
    let (engine, garbage) = open();
    add(&engine, &["small"], 100);
    assert_eq!(
        call(&engine, &format!("SET text {}", "x".repeat(100_000))),
        "+OK"
    );
    assert_eq!(call(&engine, "DEL small text"), ":2");
    assert_eq!(call(&engine, "FLUSHALL"), "+OK");
    assert_eq!(garbage.try_iter().count(), 0);
}

#[test]
fn without_anybody_who_takes_it_the_call_frees_it() {
    let engine = engine();
    add(&engine, &["big"], MANY);
    assert_eq!(call(&engine, "DEL big"), ":1");
    assert_eq!(call(&engine, "EXISTS big"), ":0");
}
