//! Snapshots: what a file holds is what the store held when it was asked for, whatever happens meanwhile.

use std::io;
use std::sync::{Arc, Mutex};

use larder_engine::{Archive, DebugAccess, Engine, Host, Now, Piece, Snapshot};
use proptest::prelude::*;

use crate::support::{Connection, START, engine, later_ms, poll};

/// An archive that leaves the snapshots to the test.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Vec<Snapshot>>>);

impl Archive for Shelf {
    fn begin(&self, snapshot: Snapshot) -> io::Result<()> {
        self.0.lock().unwrap().push(snapshot);
        Ok(())
    }
}

/// One that can't begin.
struct Nowhere;

impl Archive for Nowhere {
    fn begin(&self, _: Snapshot) -> io::Result<()> {
        Err(io::Error::other("no thread"))
    }
}

impl Shelf {
    /// A store whose snapshots come here.
    fn with_engine() -> (Arc<Engine>, Shelf) {
        let (engine, shelf) = (open(), Shelf::default());
        engine.keep_snapshots(Box::new(shelf.clone()));
        (engine, shelf)
    }

    fn take(&self) -> Snapshot {
        self.0.lock().unwrap().pop().unwrap()
    }
}

/// An empty engine on which everybody may use DEBUG.
fn open() -> Arc<Engine> {
    let engine = engine();
    engine.set_host(Host {
        debug_access: DebugAccess::Yes,
        ..Host::default()
    });
    engine
}

/// All that is left of a snapshot.
fn rest(snapshot: &mut Snapshot) -> Vec<u8> {
    let mut file = Vec::new();
    loop {
        match snapshot.next_piece() {
            Piece::Bytes(bytes) => file.extend(bytes),
            Piece::End => return file,
            piece => panic!("{piece:?}"),
        }
    }
}

/// What a store answers that was made of a file.
fn loaded(file: &[u8], now: Now) -> Connection {
    let engine = open();
    engine.load(&mut &file[..], &now).unwrap();
    Connection::to(&engine)
}

/// A program's requests about a few keys of two databases.
fn request() -> impl Strategy<Value = String> {
    let key = || (0..40_u8).prop_map(|number| format!("k{number}"));
    let text = || prop_oneof!["[a-c]{1,3}", "[xy]{60,90}", "-?[0-9]{1,6}"];
    prop_oneof![
        4 => (key(), text()).prop_map(|(key, text)| format!("SET {key} {text}")),
        2 => (key(), text()).prop_map(|(key, text)| format!("APPEND {key} {text}")),
        2 => (key(), text()).prop_map(|(key, text)| format!("RPUSH {key} {text}")),
        2 => key().prop_map(|key| format!("LPOP {key}")),
        2 => (key(), text()).prop_map(|(key, text)| format!("SADD {key} {text}")),
        2 => (key(), text(), text()).prop_map(|(key, field, text)| format!("HSET {key} {field} {text}")),
        1 => (key(), text()).prop_map(|(key, field)| format!("HPEXPIRE {key} 5000000 FIELDS 1 {field}")),
        2 => (key(), text(), -9..9).prop_map(|(key, text, score)| format!("ZADD {key} {score} {text}")),
        2 => (key(), text()).prop_map(|(key, text)| format!("XADD {key} * f {text}")),
        1 => key().prop_map(|key| format!("INCR {key}")),
        3 => key().prop_map(|key| format!("DEL {key}")),
        2 => (key(), key()).prop_map(|(one, other)| format!("RENAME {one} {other}")),
        2 => (key(), key()).prop_map(|(one, other)| format!("COPY {one} {other} REPLACE")),
        2 => (key(), 1..9_u32).prop_map(|(key, s)| format!("EXPIRE {key} {s}000")),
        1 => key().prop_map(|key| format!("PERSIST {key}")),
        1 => key().prop_map(|key| format!("MOVE {key} 1")),
        1 => Just("SWAPDB 0 1".to_owned()),
        1 => prop_oneof![3 => Just("PING"), 1 => Just("FLUSHDB")].prop_map(str::to_owned),
        1 => Just("SELECT 0".to_owned()),
        1 => Just("SELECT 1".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Requests before a snapshot, requests between its pieces, and what a store made of the file holds.
    #[test]
    fn a_file_holds_what_there_was_when_it_was_begun(
        before in prop::collection::vec(request(), 60..200),
        between in prop::collection::vec((request(), prop_oneof![5 => Just(0), 1 => Just(1)]), 0..120),
    ) {
        let (engine, shelf) = Shelf::with_engine();
        let mut connection = Connection::to(&engine);
        for request in &before {
            connection.send(request);
        }
        let digest = connection.call("DEBUG DIGEST");
        assert_eq!(digest.len(), 41, "{digest}");
        connection.expect("BGSAVE", "+Background saving started");
        let mut snapshot = shelf.take();
        let mut file = Vec::new();
        for (request, pieces) in &between {
            connection.send(request);
            for _ in 0..*pieces {
                if let Piece::Bytes(bytes) = snapshot.next_piece() {
                    file.extend(bytes);
                }
            }
        }
        file.extend(rest(&mut snapshot));
        snapshot.kept(START);
        assert_eq!(loaded(&file, START).call("DEBUG DIGEST"), digest);
    }
}

#[test]
fn what_changes_after_its_key_was_written_is_not_written_again() {
    let (engine, shelf) = Shelf::with_engine();
    let mut connection = Connection::to(&engine);
    for number in 0..500 {
        connection.send(&format!("SET key{number} before"));
    }
    connection.send("BGSAVE");
    let mut snapshot = shelf.take();
    let mut file = Vec::new();
    for number in 0..500 {
        if let Piece::Bytes(bytes) = snapshot.next_piece() {
            file.extend(bytes);
        }
        connection.send(&format!("SET key{number} after"));
        connection.send(&format!("SET new{number} after"));
    }
    file.extend(rest(&mut snapshot));
    let keys = file.windows(6).filter(|part| part == b"before").count();
    assert_eq!(keys, 500);
    assert!(!file.windows(5).any(|part| part == b"after"));
}

#[test]
fn what_expires_before_its_turn_was_there() {
    let (engine, shelf) = Shelf::with_engine();
    let mut connection = Connection::to(&engine);
    for number in 0..100 {
        connection.send(&format!("SET fleeting{number} soon PX 5000"));
        connection.send(&format!("HSET hash{number} fleeting soon stays 1"));
        connection.send(&format!("HPEXPIRE hash{number} 5000 FIELDS 1 fleeting"));
    }
    let digest = connection.call("DEBUG DIGEST");
    connection.send("BGSAVE");
    engine.tick(&later_ms(6000));
    assert_eq!(connection.call("DBSIZE"), ":100");
    let file = rest(&mut shelf.take());
    assert_eq!(loaded(&file, START).call("DEBUG DIGEST"), digest);
}

#[test]
fn save_is_answered_when_the_file_is_kept_and_others_go_on_meanwhile() {
    let (engine, shelf) = Shelf::with_engine();
    let (mut saver, mut other) = (Connection::to(&engine), Connection::to(&engine));
    let mut waiting = saver.wait("SAVE");
    other.expect("SET key value", "+OK");
    other.expect("BGSAVE", "-ERR Background save already in progress");
    other.expect("SAVE", "-ERR Background save already in progress");
    assert_eq!(poll(&mut waiting), None);
    shelf.take().kept(later_ms(7000));
    assert_eq!(poll(&mut waiting), Some("+OK".to_owned()));
    other.expect("LASTSAVE", &format!(":{}", later_ms(7000).unix_ms() / 1000));
    assert_eq!(other.figure("rdb_changes_since_last_save"), 1);
}

#[test]
fn who_waits_for_a_snapshot_that_is_lost_or_given_up_is_told() {
    let (engine, shelf) = Shelf::with_engine();
    let (mut saver, mut other) = (Connection::to(&engine), Connection::to(&engine));
    let mut waiting = saver.wait("SAVE");
    drop(shelf.take());
    assert_eq!(poll(&mut waiting), Some("-ERR".to_owned()));
    assert_eq!(
        other.info("rdb_last_bgsave_status:"),
        Some("err".to_owned())
    );

    let mut waiting = saver.wait("SAVE");
    other.expect("BGSAVE CANCEL", "+Background saving cancelled");
    assert_eq!(poll(&mut waiting), Some("-ERR".to_owned()));
    assert!(matches!(shelf.take().next_piece(), Piece::Void));
    other.expect("BGSAVE", "+Background saving started");
}

#[test]
fn who_asks_for_a_snapshot_that_can_not_begin_is_told_at_once() {
    let engine = engine();
    engine.keep_snapshots(Box::new(Nowhere));
    let mut connection = Connection::to(&engine);
    for request in ["SAVE", "BGSAVE", "SAVE"] {
        connection.expect(request, "-ERR Can't save in background: no thread");
    }
    connection.expect("SET key value", "+OK");
}

#[test]
fn after_so_many_seconds_and_changes_a_store_is_saved_by_itself() {
    let (engine, shelf) = Shelf::with_engine();
    let mut connection = Connection::to(&engine);
    connection.expect(
        "CONFIG SET save 10\u{a0}2",
        "-ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters",
    );
    assert_eq!(
        connection.send_words(&["CONFIG", "SET", "save", "10 2"]),
        "+OK\n"
    );
    connection.send("SET one 1");
    engine.tick(&later_ms(11_000));
    connection.send("SET two 2");
    engine.tick(&later_ms(10_000));
    assert!(shelf.0.lock().unwrap().is_empty());
    engine.tick(&later_ms(11_000));
    let mut snapshot = shelf.take();
    let file = rest(&mut snapshot);
    snapshot.kept(later_ms(11_000));
    loaded(&file, START).expect("MGET one two", "*2 $1 1 $1 2");
    engine.tick(&later_ms(60_000));
    assert!(shelf.0.lock().unwrap().is_empty());
}

#[test]
fn what_writes_is_refused_while_what_is_to_be_saved_can_not_be() {
    let (engine, shelf) = Shelf::with_engine();
    let mut connection = Connection::to(&engine);
    connection.send_words(&["CONFIG", "SET", "save", "10 100"]);
    connection.expect("BGSAVE", "+Background saving started");
    drop(shelf.take());
    for request in ["SET key value", "PING", "EVAL redis.call('DEL','x') 0"] {
        let answer = connection.send(request);
        assert!(answer.starts_with("-MISCONF "), "{request}: {answer}");
    }
    connection.expect("GET key", "$-1");
    connection.expect("CONFIG SET stop-writes-on-bgsave-error no", "+OK");
    connection.expect("SET key value", "+OK");
    connection.expect("CONFIG SET stop-writes-on-bgsave-error yes", "+OK");
    connection.expect("BGSAVE", "+Background saving started");
    shelf.take().kept(START);
    connection.expect("SET key value", "+OK");
}

#[test]
fn a_file_that_is_cut_off_or_damaged_is_refused_and_says_where() {
    let (engine, shelf) = Shelf::with_engine();
    let mut connection = Connection::to(&engine);
    for number in 0..100 {
        connection.send(&format!("RPUSH list{number} a b {number}"));
    }
    connection.send("BGSAVE");
    let file = rest(&mut shelf.take());
    let refused = |file: &[u8]| {
        let engine = crate::support::engine();
        engine.load(&mut &file[..], &START).unwrap_err().to_string()
    };
    for len in 0..file.len() {
        assert!(refused(&file[..len]).starts_with("byte "), "{len}");
    }
    let mut damaged = file.clone();
    damaged[file.len() / 2] ^= 0x10;
    assert!(refused(&damaged).starts_with("byte "));
    assert_eq!(
        refused(b"*1\r\n$4\r\nPING\r\n"),
        "byte 0: this is no RDB file"
    );
    assert_eq!(
        refused(b"REDIS0099"),
        "byte 0: version 99 of RDB is not known"
    );
}

/// Old servers wrote some by mistake, and those of today pass them over.
#[test]
fn a_collection_without_members_is_no_key() {
    let file = b"REDIS0009\xfe\x00\x01\x04list\x00\x00\x03key\x05value\xff\0\0\0\0\0\0\0\0";
    let mut connection = loaded(file, START);
    connection.expect("DBSIZE", ":1");
    connection.expect("GET key", "$5 value");
}

#[cfg(feature = "lua")]
#[test]
fn libraries_of_functions_are_saved_and_loaded() {
    let (engine, shelf) = Shelf::with_engine();
    let mut connection = Connection::to(&engine);
    let library = "#!lua name=lib\nredis.register_function('answer', function() return 42 end)";
    connection.send_words(&["FUNCTION", "LOAD", library]);
    connection.send("BGSAVE");
    let file = rest(&mut shelf.take());
    loaded(&file, START).expect("FCALL answer 0", ":42");
}

/// A file of every type, which ends without a checksum.
fn unsummed() -> Vec<u8> {
    let (engine, shelf) = Shelf::with_engine();
    let mut connection = Connection::to(&engine);
    for request in [
        "CONFIG SET rdbchecksum no",
        "SET text something",
        "SET number 12345",
        "SET fleeting soon PX 5000",
        "RPUSH list a 1 b",
        "SADD integers 1 2 300000",
        "SADD set a b 3",
        "HSET hash field value",
        "HSET timed field value other 7",
        "HPEXPIRE timed 5000 FIELDS 1 field",
        "ZADD board 1.5 ann -inf bob",
        "XADD stream 5-1 field value",
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group ann STREAMS stream >",
        "PFADD visitors a b c",
        "SELECT 7",
        "SETRANGE long 100 x",
    ] {
        let answer = connection.call(request);
        assert!(!answer.starts_with('-'), "{request}: {answer}");
    }
    connection.send("BGSAVE");
    rest(&mut shelf.take())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// What stands in a file may come from anybody: it is loaded or refused, and nothing breaks of it.
    #[test]
    fn a_file_of_which_bytes_are_changed_is_loaded_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = unsummed();
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        let engine = open();
        let _ = engine.load(&mut &file[..], &START);
        let mut connection = Connection::to(&engine);
        prop_assert_eq!(connection.call("DEBUG DIGEST").len(), 41);
    }
}
