//! Fields of hashes that expire: many of them, and those that nobody comes to.

use std::sync::Arc;

use larder_engine::{Engine, Mail, Now};

use crate::support::{Connection, START, call, engine};

const START_MS: u64 = START.unix_us() / 1000;

/// An engine and its clock.
struct Store {
    engine: Arc<Engine>,
    now_ms: u64,
}

impl Store {
    fn open() -> Store {
        Store {
            engine: engine(),
            now_ms: START_MS,
        }
    }

    fn now(&self) -> Now {
        Now::from_unix_us(self.now_ms * 1000)
    }

    fn call(&self, request: &str) -> String {
        let words: Vec<&str> = request.split(' ').collect();
        call(&self.engine, &self.now(), &words).trim().to_owned()
    }

    /// Lets the time pass, with a tick at its end.
    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.engine.tick(&self.now());
    }

    /// A figure of INFO.
    fn figure(&self, name: &str) -> u64 {
        let info = self.call("INFO everything");
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        let figure = line.and_then(|line| line.strip_prefix(':'));
        figure
            .and_then(|figure| figure.parse().ok())
            .expect("INFO has it")
    }

    /// Adds fields to `hash`, from `first` on, which expire after so many milliseconds.
    fn add(&self, first: usize, fields: usize, ms: u64) {
        let pairs: Vec<String> = { first..first + fields }
            .map(|n| format!("f{n} v{n}"))
            .collect();
        let pairs = pairs.join(" ");
        let answer = self.call(&format!("HSETEX hash PX {ms} FIELDS {fields} {pairs}"));
        assert_eq!(answer, ":1");
    }
}

/// All at once they would keep the shard for a second.
#[test]
fn a_command_on_a_hash_of_which_very_many_fields_have_expired_removes_some_of_them() {
    let mut store = Store::open();
    store.add(0, 20_000, 100);
    store.call("HSET hash other value");
    store.now_ms += 200;

    assert_eq!(store.call("HGET hash f19999"), "$-1");
    assert_eq!(store.figure("expired_subkeys"), 1024);
    assert_eq!(store.call("HLEN hash"), ":1");
    assert_eq!(store.call("HKEYS hash"), "*1\r\n$5\r\nother");
    assert_eq!(store.call("HSET hash f19999 new"), ":1");
    assert_eq!(store.call("HRANDFIELD hash 10").lines().next(), Some("*2"));

    store.pass(300);
    assert_eq!(
        store.figure("expired_subkeys"),
        20_000 - 1,
        "one was set anew"
    );
    assert_eq!(store.call("HLEN hash"), ":2");
}

#[test]
fn fields_that_nobody_comes_to_leave_with_the_ticks_and_so_does_their_memory() {
    let mut store = Store::open();
    let empty = store.figure("used_memory_dataset");
    for turn in 0..20 {
        store.add(turn * 1000, 1000, 1000 + 100 * turn as u64);
    }
    assert!(store.figure("used_memory_dataset") > empty + 1_000_000);
    (0..40).for_each(|_| store.pass(100));
    assert_eq!(store.call("DBSIZE"), ":0");
    assert_eq!(store.figure("expired_subkeys"), 20_000);
    let left = store.figure("used_memory_dataset");
    assert!(left < empty + 50_000, "{left} bytes of {empty}");
}

#[test]
fn hashes_that_are_overwritten_or_removed_leave_no_records_behind() {
    let store = Store::open();
    let run = |times: usize| {
        for turn in 0..times {
            store.call("HSETEX hash EX 1000000 FIELDS 1 f v");
            store.call(["SET hash v", "DEL hash", "RENAME hash other", "HDEL hash f"][turn % 4]);
            store.call("DEL hash");
        }
        store.figure("used_memory_dataset")
    };
    let few = run(2_000);
    let many = run(40_000);
    assert!(many < few + 20_000, "{few}, then {many}");
}

/// As in Redis 8.0 and Valkey 9.1, of which the first lets the key go when somebody asks for a field, and
/// the other not before its own tick.
#[test]
fn a_hash_of_which_all_fields_have_expired_exists_until_somebody_asks_for_one_or_a_tick_comes() {
    for end in ["HEXISTS hash f0", "tick"] {
        let mut store = Store::open();
        store.add(0, 3, 100);
        store.now_ms += 200;
        assert_eq!(store.call("EXISTS hash"), ":1");
        assert_eq!(store.call("TYPE hash"), "+hash");
        match end {
            "tick" => store.pass(0),
            request => assert_eq!(store.call(request), ":0"),
        }
        assert_eq!(store.call("EXISTS hash"), ":0", "{end}");
    }
}

#[test]
fn a_hash_whose_clock_is_put_back_keeps_its_fields() {
    let mut store = Store::open();
    store.add(0, 3, 1000);
    store.pass(500);
    store.now_ms -= 400;
    store.pass(0);
    assert_eq!(store.call("HPTTL hash FIELDS 1 f1"), "*1\r\n:900");
    store.pass(1300);
    assert_eq!(store.call("EXISTS hash"), ":0");
}

/// They are called by the names of Redis 8 and of Valkey.
#[test]
fn info_counts_hashes_of_which_fields_expire_where_there_are_some() {
    let mut store = Store::open();
    let expect_timed = |store: &Store, wanted: &str| {
        let info = store.call("INFO keyspace");
        let line = info.lines().find(|line| line.starts_with("db0:"));
        let figures = line.expect("there are keys").trim_end();
        let (_, timed) = figures.split_once("avg_ttl=0").expect("there is a figure");
        assert_eq!(timed, wanted);
    };
    store.call("HSET h a 1 b 2");
    expect_timed(&store, "");
    store.call("HEXPIRE h 100 FIELDS 2 a b");
    store.call("HSETEX g EX 100 FIELDS 1 a 1");
    expect_timed(&store, ",subexpiry=2,keys_with_volatile_items=2");
    store.call("SET g text");
    expect_timed(&store, ",subexpiry=1,keys_with_volatile_items=1");
    store.call("HPERSIST h FIELDS 1 a");
    expect_timed(&store, ",subexpiry=1,keys_with_volatile_items=1");
    store.pass(100_000);
    expect_timed(&store, "");
    assert_eq!(store.figure("expired_subkeys"), 1);
    assert_eq!(store.figure("expired_fields"), 1);
}

/// What those hear who listen to a hash, of events alone.
fn events_of(listener: &Connection) -> String {
    let mut events = Vec::new();
    while let Some(Mail::Message(message)) = listener.mailbox.take() {
        let text = String::from_utf8_lossy(message.encoded(false)).into_owned();
        events.extend(text.trim().rsplit("\r\n").next().map(str::to_owned));
    }
    events.join(" ")
}

/// A hash whose two fields have expired, and who listens to it.
fn expired() -> (Store, Connection) {
    let mut store = Store::open();
    let mut listener = Connection::to(&store.engine);
    listener.send("SUBSCRIBE __keyspace@0__:hash");
    store.call("CONFIG SET notify-keyspace-events KA");
    store.add(0, 2, 100);
    store.now_ms += 200;
    assert_eq!(events_of(&listener), "hset hexpire");
    (store, listener)
}

/// It took its last field away, and gave it others: nobody is to hear that it went in between.
#[test]
fn a_key_whose_fields_have_all_expired_does_not_go_where_others_follow() {
    for presence in ["", "FNX "] {
        let (mut store, listener) = expired();
        let request = format!("HSETEX hash {presence}PX 100 FIELDS 1 f1 v");
        assert_eq!(store.call(&request), ":1");
        assert_eq!(store.call("HSETEX hash FXX PX 100 FIELDS 1 f1 w"), ":1");
        store.now_ms += 200;
        assert_eq!(store.call("HSETEX hash FXX PX 100 FIELDS 1 f1 x"), ":0");
        assert_eq!(store.call("EXISTS hash"), ":0");
        let wanted = "hexpired hset hexpire hset hexpire hexpired del";
        assert_eq!(events_of(&listener), wanted, "{presence}");
    }
    for (request, event) in [
        ("HSET hash f 1", "hset"),
        ("HMSET hash f 1", "hset"),
        ("HSETNX hash f0 1", "hset"),
        ("HINCRBY hash f0 1", "hincrby"),
        ("HINCRBYFLOAT hash f0 1", "hincrbyfloat"),
    ] {
        let (store, listener) = expired();
        store.call(request);
        assert_eq!(
            events_of(&listener),
            format!("hexpired {event}"),
            "{request}"
        );
        assert_eq!(store.call("HLEN hash"), ":1", "{request}");
    }
}
