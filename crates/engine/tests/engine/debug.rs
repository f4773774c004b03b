//! DEBUG: who may use it, and what test suites rely on.

use std::sync::Arc;

use larder_engine::{DebugAccess, Engine, Host, Now};

use crate::support::{Connection, later_ms};

/// A second after the beginning.
const LATER: Now = later_ms(1000);

/// An engine on which these may use DEBUG.
fn engine(debug_access: DebugAccess) -> Arc<Engine> {
    let engine = crate::support::engine();
    engine.set_host(Host {
        debug_access,
        sleep: Some(|_| {}),
        ..Host::default()
    });
    engine
}

fn call(engine: &Arc<Engine>, line: &str) -> String {
    Connection::local(engine).send(line)
}

fn call_later(engine: &Arc<Engine>, line: &str) -> String {
    Connection::local(engine).at(LATER).send(line)
}

#[test]
fn nobody_may_use_debug_where_it_is_not_said() {
    let engine = engine(DebugAccess::No);
    for line in ["DEBUG SLEEP 1000", "DEBUG HELP", "DEBUG nothing"] {
        let refusal = call(&engine, line);
        assert!(
            refusal.starts_with("-ERR DEBUG command not allowed."),
            "{refusal}"
        );
    }
    let asked = call(&engine, "CONFIG GET enable-debug-command");
    assert!(asked.ends_with("$2\nno\n"), "{asked}");
    let refusal = call(&engine, "CONFIG SET enable-debug-command yes");
    assert!(refusal.starts_with("-ERR CONFIG SET failed"), "{refusal}");
}

#[test]
fn local_clients_may_use_debug_where_it_is_for_those() {
    let engine = engine(DebugAccess::Local);
    let from = |address: &str| Connection::from(&engine, address).send("DEBUG SET-ACTIVE-EXPIRE 1");
    for local in [
        "127.0.0.1:5000",
        "[::1]:5000",
        "[::ffff:127.0.0.1]:5000",
        "/tmp/socket",
    ] {
        assert_eq!(from(local), "+OK\n", "{local}");
    }
    for strange in ["10.0.0.1:5000", "[2001:db8::1]:5000", ""] {
        assert!(
            from(strange).starts_with("-ERR DEBUG command not"),
            "{strange}"
        );
    }
    assert_eq!(call(&engine, "DEBUG SLEEP 0"), "+OK\n");
}

#[test]
fn a_reload_leaves_every_value_as_it_is() {
    let engine = engine(DebugAccess::Yes);
    for line in [
        "SET s text",
        "SET n 17 PX 100000",
        "RPUSH l a b c",
        "SADD t a b",
        "HSET h f v",
        "ZADD z 1.5 a -inf b",
        "XADD x 1-1 f v",
        "XGROUP CREATE x g 0",
        "XREADGROUP GROUP g ann STREAMS x >",
    ] {
        call(&engine, line);
    }
    call(&engine, "DEBUG POPULATE 1000 many 100");
    let before = call(&engine, "DEBUG DIGEST");
    assert_ne!(before, format!("+{}\n", "0".repeat(40)));
    let used = call(&engine, "DBSIZE");

    assert_eq!(call(&engine, "DEBUG RELOAD"), "+OK\n");
    assert_eq!(call(&engine, "DEBUG RELOAD NOFLUSH MERGE"), "+OK\n");
    assert_eq!(call(&engine, "DEBUG LOADAOF"), "+OK\n");

    assert_eq!(call(&engine, "DEBUG DIGEST"), before);
    assert_eq!(call(&engine, "DBSIZE"), used);
    assert_eq!(call(&engine, "PTTL n"), ":100000\n");
    assert_eq!(call(&engine, "XPENDING x g").matches("ann").count(), 1);
    for refused in [
        "DEBUG RELOAD NOFLUSH",
        "DEBUG RELOAD NOSAVE",
        "DEBUG RELOAD more",
    ] {
        assert!(call(&engine, refused).starts_with("-ERR"), "{refused}");
    }
}

#[test]
fn a_digest_knows_no_order_of_keys_and_members_but_every_change() {
    let (one, other) = (engine(DebugAccess::Yes), engine(DebugAccess::Yes));
    for line in ["SADD t a b c", "HSET h f v g w", "SET k v"] {
        call(&one, line);
    }
    for line in ["SET k v", "HSET h g w f v", "SADD t c b a"] {
        call(&other, line);
    }
    let digest = |engine| call(engine, "DEBUG DIGEST");
    assert_eq!(digest(&one), digest(&other));

    let mut seen = vec![digest(&one)];
    for change in [
        "SADD t d",
        "HSET h f w",
        "EXPIRE k 100",
        "SELECT 0",
        "DEL t",
    ] {
        call(&one, change);
        if change != "SELECT 0" {
            assert!(!seen.contains(&digest(&one)), "{change}");
        }
        seen.push(digest(&one));
    }
}

#[test]
fn expired_keys_stay_in_memory_while_that_is_asked_for() {
    let engine = engine(DebugAccess::Yes);
    call(&engine, "DEBUG SET-ACTIVE-EXPIRE 0");
    call(&engine, "SET k v PX 1");
    let keys = || call(&engine, "DBSIZE");

    engine.tick(&LATER);
    assert_eq!(keys(), ":1\n");
    call(&engine, "DEBUG SET-ACTIVE-EXPIRE 1");
    engine.tick(&LATER);
    assert_eq!(keys(), ":0\n");
}

/// Holds each request to it that the key `k` goes when the request meets it and it has expired, but not
/// in a pause.
fn meets_what_has_expired(requests: &[&str]) {
    let engine = engine(DebugAccess::Yes);
    let ask_later = |line: &str| call_later(&engine, line);
    for line in requests {
        call(&engine, "SET k v PX 1");
        ask_later("CLIENT PAUSE 1000 WRITE");
        ask_later(line);
        assert_eq!(ask_later("DBSIZE"), ":1\n", "{line} in a pause");
        ask_later("CLIENT UNPAUSE");
        call(&engine, "SET k v PX 1");
        ask_later(line);
        assert_eq!(ask_later("DBSIZE"), ":0\n", "{line}");
    }
}

#[test]
fn a_key_that_has_expired_goes_when_it_is_read() {
    meets_what_has_expired(&[
        "GET k",
        "MGET other k",
        "EXISTS k",
        "TTL k",
        "TYPE k",
        "HGET k f",
    ]);
}

#[test]
fn keys_that_have_expired_go_when_a_scan_or_a_random_key_meets_them() {
    meets_what_has_expired(&["SCAN 0 COUNT 1000", "RANDOMKEY"]);
}

/// Redis chooses among all keys then, and does not look for ever for one that has not expired.
#[test]
fn in_a_pause_a_random_key_may_be_one_that_has_expired() {
    let engine = engine(DebugAccess::Yes);
    let ask_later = |line: &str| call_later(&engine, line);
    call(&engine, "SET k v PX 1");
    ask_later("CLIENT PAUSE 1000 WRITE");
    assert_eq!(ask_later("RANDOMKEY"), "$1\nk\n");
    ask_later("CLIENT UNPAUSE");
    assert_eq!(ask_later("RANDOMKEY"), "_\n");
}

#[test]
fn debug_object_shows_a_key_that_has_expired_and_leaves_it() {
    let engine = engine(DebugAccess::Yes);
    let ask_later = |line: &str| call_later(&engine, line);
    call(&engine, "SET k v PX 1");
    assert!(ask_later("DEBUG OBJECT k").starts_with("+Value at:"));
    assert_eq!(ask_later("DBSIZE"), ":1\n");
    assert_eq!(ask_later("EXISTS k"), ":0\n");
    assert_eq!(ask_later("DEBUG OBJECT k"), "-ERR no such key\n");
}

#[test]
fn nothing_happens_by_itself_while_that_is_asked_for() {
    let engine = engine(DebugAccess::Yes);
    call(&engine, "SET k v PX 1");
    call(&engine, "DEBUG PAUSE-CRON 1");
    engine.tick(&LATER);
    assert_eq!(call(&engine, "DBSIZE"), ":1\n");
    call(&engine, "DEBUG PAUSE-CRON 0");
    engine.tick(&LATER);
    assert_eq!(call(&engine, "DBSIZE"), ":0\n");
}

#[cfg(feature = "lua")]
#[test]
fn scripts_may_call_debug_where_that_is_asked_for() {
    let engine = engine(DebugAccess::Yes);
    let eval = |text: &str| Connection::local(&engine).send_words(&["EVAL", text, "0"]);
    let script = "return redis.call('DEBUG', 'PROTOCOL', 'integer')";
    assert!(eval(script).starts_with("-ERR This Redis command is not allowed from script"));
    call(&engine, "DEBUG SET-DISABLE-DENY-SCRIPTS 1");
    assert_eq!(eval(script), ":12345\n");
    assert!(eval("return redis.call('MULTI')").starts_with("-ERR This Redis"));
    call(&engine, "DEBUG SET-DISABLE-DENY-SCRIPTS 0");
    assert!(eval(script).starts_with("-ERR This Redis"));
}

#[test]
fn an_attribute_stands_before_its_value_in_resp3_alone() {
    let engine = engine(DebugAccess::Yes);
    let mut client = Connection::local(&engine);
    let mut ask = |line| client.send(line);
    let value = "$39\nSome real reply following the attribute\n";
    ask("HELLO 2");
    assert_eq!(ask("DEBUG PROTOCOL attrib"), value);
    ask("HELLO 3");
    let attribute = "|1\n$14\nkey-popularity\n*2\n$7\nkey:123\n:90\n";
    let answer = ask("DEBUG PROTOCOL attrib");
    assert_eq!(answer.strip_prefix(attribute), Some(value));
}

#[test]
fn large_lists_say_how_they_are_held() {
    let engine = engine(DebugAccess::Yes);
    call(&engine, "CONFIG SET list-max-listpack-size 2");
    call(&engine, "RPUSH l a b c d e");
    let said = call(&engine, "DEBUG OBJECT l");
    assert!(said.contains("encoding:quicklist"), "{said}");
    assert!(
        said.contains("ql_nodes:3 ql_avg_node:1.67 ql_listpack_max:2 "),
        "{said}"
    );
    assert_eq!(call(&engine, "DEBUG OBJECT nothing"), "-ERR no such key\n");
    assert_eq!(call(&engine, "DEBUG ERROR oh"), "-oh\n");
    let wrong =
        "-ERR unknown subcommand or wrong number of arguments for 'OBJECT'. Try DEBUG HELP.\n";
    assert_eq!(call(&engine, "DEBUG OBJECT"), wrong);
}
