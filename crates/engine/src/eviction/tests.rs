use larder_resp::ArgumentBuffer;
use proptest::prelude::*;

use super::*;
use crate::engine::Now;
use crate::pubsub::{Mailbox, Overflow};
use crate::reply::RespReply;
use crate::session::{Buffers, ClientInfo, Session};

const START_US: u64 = 1_700_000_000_000_000;

fn at(seconds: u64) -> Now {
    Now::from_unix_us(START_US + seconds * 1_000_000)
}

struct Caller {
    engine: Arc<Engine>,
    session: Session,
    now: Now,
}

impl Caller {
    fn new() -> Caller {
        Caller {
            engine: Engine::new([3; 32], at(0)),
            session: Session::local(),
            now: at(0),
        }
    }

    fn call(&mut self, request: &str) -> String {
        let mut words = ArgumentBuffer::new();
        let request = request.split(' ');
        request.for_each(|word| words.push(word.as_bytes()));
        let mut out = Vec::new();
        let mut reply = RespReply::new(&mut out, false);
        let arguments = words.as_arguments();
        let _ = self
            .engine
            .execute(&mut self.session, arguments, &self.now, &mut reply);
        String::from_utf8_lossy(&out).trim_end().to_owned()
    }

    fn set(&mut self, parameter: &str, value: &str) {
        let request = format!("CONFIG SET {parameter} {value}");
        assert_eq!(self.call(&request), "+OK", "{request}");
    }

    /// Sets so many keys of a kilobyte each.
    fn fill(&mut self, prefix: &str, keys: usize, options: &str) {
        let value = "x".repeat(1000);
        for key in 0..keys {
            let request = format!("SET {prefix}:{key} {value}{options}");
            assert_eq!(self.call(&request), "+OK", "key {key}");
        }
    }

    fn count(&mut self, prefix: &str, keys: usize) -> usize {
        let exists = (0..keys).map(|key| self.call(&format!("EXISTS {prefix}:{key}")));
        exists.filter(|answer| answer == ":1").count()
    }
}

/// The bytes of every database as a walk over all entries counts them.
fn walked_bytes(engine: &Engine) -> u64 {
    let shards = (0..SHARDS).map(|index| {
        let shard = engine.shards.try_take(index).expect("nobody holds a shard");
        let bytes = shard.dbs.iter().map(|db| {
            let entries: usize = db
                .table
                .iter()
                .map(crate::keyspace::entry::Entry::bytes)
                .sum();
            entries + db.table.bytes() + db.expiries.bytes()
        });
        bytes.sum::<usize>() as u64
    });
    shards.sum()
}

/// A request that may change how much memory its key takes.
fn request() -> impl Strategy<Value = String> {
    let key = 0..6u8;
    let text = prop_oneof!["[a-z]{0,8}", "[a-z]{100,1500}", "-?[0-9]{1,5}"];
    (0..26u8, key, text, 1..900u32).prop_map(|(which, key, text, number)| match which {
        0 => format!("SET s{key} {text}"),
        1 => format!("SET s{key} {text} PX {number}"),
        2 => format!("APPEND s{key} {text}"),
        3 => format!("SETRANGE s{key} {number} {text}"),
        4 => format!("INCR s{key}"),
        5 => format!("PEXPIRE s{key} {number}"),
        6 => format!("PERSIST s{key}"),
        7 => format!("DEL s{key} h{key}"),
        8 => format!("RPUSH l{key} {text} {text}"),
        9 => format!("LPOP l{key}"),
        10 => format!("LTRIM l{key} 0 {number}"),
        11 => format!("LINSERT l{key} BEFORE {text} {number}"),
        12 => format!("HSET h{key} {number} {text}"),
        13 => format!("HDEL h{key} {number}"),
        14 => format!("SADD t{key} {number}"),
        15 => format!("SADD t{key} {text}"),
        16 => format!("SPOP t{key} 3"),
        17 => format!("ZADD z{key} {number} {text} {number} {number}"),
        18 => format!("ZREMRANGEBYRANK z{key} 0 {number}"),
        19 => format!("XADD x{key} * {text} {number}"),
        20 => format!("XTRIM x{key} MAXLEN {key}"),
        21 => format!("XGROUP CREATE x{key} {number} 0 MKSTREAM"),
        22 => format!("XREADGROUP GROUP {number} c STREAMS x{key} >"),
        23 => format!("COPY h{key} l{key} REPLACE"),
        24 => format!("RENAME z{key} s{key}"),
        _ => format!("MOVE s{key} {}", key % 3),
    })
}

proptest! {
    /// Whatever is done, the account of bytes is what a walk over all keys counts.
    #[test]
    fn the_account_of_bytes_is_exact(
        steps in prop::collection::vec((request(), 0..40u64), 1..120),
    ) {
        let mut caller = Caller::new();
        let mut now_ms = 0;
        for (request, pass_ms) in steps {
            now_ms += pass_ms;
            caller.now = Now::from_unix_us(START_US + now_ms * 1000);
            caller.call(&request);
            if pass_ms % 7 == 0 {
                caller.engine.tick(&caller.now);
            }
            prop_assert_eq!(caller.engine.shards.bytes(), walked_bytes(&caller.engine), "{}", request);
        }
        caller.call("FLUSHALL");
        prop_assert_eq!(caller.engine.shards.bytes(), walked_bytes(&caller.engine));
        prop_assert_eq!(caller.engine.keys(0), 0);
    }
}

#[test]
fn without_a_policy_what_takes_memory_is_refused_and_what_frees_it_is_not() {
    let mut caller = Caller::new();
    caller.fill("key", 100, "");
    caller.set("maxmemory", "50kb");
    let refusal = "-OOM command not allowed when used memory > 'maxmemory'.";
    assert_eq!(caller.call("SET more 1"), refusal);
    assert_eq!(caller.call("LPUSH list 1"), refusal);
    assert!(caller.call("GET key:1").starts_with("$1000"));
    assert_eq!(caller.count("key", 100), 100);
    (0..60).for_each(|key| assert_eq!(caller.call(&format!("DEL key:{key}")), ":1"));
    assert_eq!(caller.call("SET more 1"), "+OK");
}

/// Nothing makes room for what is brought, so there is none, as in Valkey.
#[test]
fn in_import_mode_nothing_is_evicted() {
    let mut caller = Caller::new();
    caller.fill("key", 100, "");
    caller.set("maxmemory-policy", "allkeys-lru");
    caller.set("import-mode", "yes");
    caller.set("maxmemory", "50kb");
    let refusal = "-OOM command not allowed when used memory > 'maxmemory'.";
    assert_eq!(caller.call("SET more 1"), refusal);
    caller.engine.tick(&caller.now);
    assert_eq!(caller.count("key", 100), 100);
    caller.set("import-mode", "no");
    assert_eq!(caller.call("SET more 1"), "+OK");
    assert!(caller.count("key", 100) < 60);
}

#[test]
fn a_transaction_and_a_script_are_refused_what_takes_memory_too() {
    let mut caller = Caller::new();
    caller.call("MULTI");
    assert_eq!(caller.call("SET a 1"), "+QUEUED");
    caller.set_aside(|other| {
        other.fill("key", 100, "");
        other.set("maxmemory", "50kb");
    });
    let refusal = "OOM command not allowed when used memory > 'maxmemory'.";
    let aborted = format!("-EXECABORT Transaction discarded because of: {refusal}");
    assert_eq!(caller.call("EXEC"), aborted);
    caller.call("MULTI");
    assert_eq!(caller.call("SET a 1"), format!("-{refusal}"));
    assert!(caller.call("EXEC").starts_with("-EXECABORT"));
    let script = "EVAL return(redis.call('SET',KEYS[1],1)) 1 a";
    assert!(caller.call(script).starts_with(&format!("-{refusal}")));
    let script =
        "EVAL assert(redis.call('DEL',KEYS[1]))return(redis.call('SET',KEYS[1],1)) 1 key:1";
    assert_eq!(caller.call(script), "+OK");
}

impl Caller {
    /// Lets another session of the same engine do something.
    fn set_aside(&mut self, work: impl FnOnce(&mut Caller)) {
        let mut other = Caller {
            engine: Arc::clone(&self.engine),
            session: Session::local(),
            now: self.now,
        };
        work(&mut other);
    }
}

#[test]
fn every_policy_keeps_the_store_below_its_limit() {
    for policy in EvictionPolicy::NAMES
        .iter()
        .filter(|name| **name != "noeviction")
    {
        let mut caller = Caller::new();
        caller.set("maxmemory", "1mb");
        caller.set("maxmemory-policy", policy);
        caller.fill("key", 3000, " EX 1000");
        let used = caller.engine.used_memory();
        assert!(used < 1060 << 10, "{policy}: {used}");
        let left = caller.count("key", 3000);
        assert!((600..1000).contains(&left), "{policy}: {left}");
    }
}

/// Shards kept what they had held for the expiries of evicted keys: some five kilobytes each, so a
/// store with a small limit was far above it when its last key had gone.
#[test]
fn every_policy_keeps_a_small_store_below_its_limit() {
    let names = EvictionPolicy::NAMES.iter();
    for policy in names.filter(|name| **name != "noeviction") {
        let mut caller = Caller::new();
        caller.set("maxmemory", "100kb");
        caller.set("maxmemory-policy", policy);
        caller.fill("key", 500, " EX 10000");
        let used = caller.engine.used_memory();
        assert!(used < 104 << 10, "{policy}: {used}");
    }
}

#[test]
fn keys_without_an_expiry_are_not_evicted_by_a_volatile_policy() {
    for policy in EvictionPolicy::NAMES
        .iter()
        .filter(|name| name.starts_with("volatile"))
    {
        let mut caller = Caller::new();
        caller.set("maxmemory", "600kb");
        caller.set("maxmemory-policy", policy);
        caller.fill("kept", 200, "");
        caller.fill("volatile", 500, " EX 1000");
        assert_eq!(caller.count("kept", 200), 200, "{policy}");
        caller.call("FLUSHALL");
        caller.fill("kept", 550, "");
        let more = |key: usize| format!("SET more:{key} {}", "x".repeat(1000));
        let answers = (0..100).map(|key| caller.call(&more(key)));
        let refused = answers.filter(|answer| answer.starts_with("-OOM")).count();
        assert!(refused > 50, "{policy}: {refused}");
        assert_eq!(caller.count("kept", 550), 550, "{policy}");
    }
}

#[test]
fn what_has_not_been_used_for_long_goes_first() {
    let mut caller = Caller::new();
    caller.set("maxmemory-policy", "allkeys-lru");
    caller.fill("old", 100, "");
    caller.fill("used", 100, "");
    for second in 1..4 {
        caller.now = at(second * 10);
        caller.engine.tick(&caller.now);
        caller.count("used", 100);
        (0..100).for_each(|key| drop(caller.call(&format!("GET used:{key}"))));
    }
    caller.set("maxmemory", "230kb");
    caller.fill("new", 90, "");
    let (old, used) = (caller.count("old", 100), caller.count("used", 100));
    assert!(used >= 95 && old <= 45, "old {old}, used {used}");
}

/// Uses were dated by the second, so of a cache that is replaced within a few seconds any went.
#[test]
fn what_was_used_before_goes_first_within_a_second_too() {
    let mut caller = Caller::new();
    caller.set("maxmemory", "1gb");
    caller.set("maxmemory-policy", "allkeys-lru");
    for (tenth, prefix) in ["old", "used", "new"].into_iter().enumerate() {
        caller.now = Now::from_unix_us(START_US + tenth as u64 * 100_000);
        caller.engine.tick(&caller.now);
        if prefix == "new" {
            caller.set("maxmemory", "230kb");
        }
        caller.fill(prefix, 95, "");
    }
    let (old, used) = (caller.count("old", 95), caller.count("used", 95));
    assert!(used >= 90 && old <= 45, "old {old}, used {used}");
}

#[test]
fn what_is_used_seldom_goes_first() {
    let mut caller = Caller::new();
    caller.set("maxmemory-policy", "allkeys-lfu");
    caller.engine.tick(&at(0));
    caller.fill("seldom", 100, "");
    caller.fill("often", 100, "");
    for _ in 0..60 {
        (0..100).for_each(|key| drop(caller.call(&format!("GET often:{key}"))));
    }
    assert_eq!(caller.call("OBJECT FREQ seldom:1"), ":5");
    assert!(
        caller
            .call("OBJECT IDLETIME often:1")
            .starts_with("-ERR An LFU")
    );
    caller.set("maxmemory", "230kb");
    caller.fill("new", 90, "");
    let (seldom, often) = (caller.count("seldom", 100), caller.count("often", 100));
    assert!(
        often >= 90 && seldom <= 70,
        "seldom {seldom}, often {often}"
    );
}

#[test]
fn a_policy_holds_from_the_next_command_on() {
    let mut caller = Caller::new();
    caller.call("SET key 5");
    caller.set("maxmemory-policy", "allkeys-lfu");
    assert!(caller.call("OBJECT FREQ key").starts_with(':'));
    assert!(
        caller
            .call("OBJECT IDLETIME key")
            .starts_with("-ERR An LFU")
    );
    caller.set("maxmemory-policy", "allkeys-lru");
    assert!(caller.call("OBJECT FREQ key").starts_with("-ERR An LFU"));
    assert!(caller.call("OBJECT IDLETIME key").starts_with(':'));
}

#[test]
fn a_small_integer_is_shared_where_nobody_asks_when_its_key_was_used() {
    let mut caller = Caller::new();
    caller.call("SET key 5");
    for (max, policy, wanted) in [
        ("0", "allkeys-lru", ":2147483647"),
        ("1gb", "allkeys-lru", ":1"),
        ("1gb", "volatile-lfu", ":1"),
        ("1gb", "allkeys-random", ":2147483647"),
        ("1gb", "volatile-ttl", ":2147483647"),
        ("1gb", "noeviction", ":2147483647"),
    ] {
        caller.set("maxmemory", max);
        caller.set("maxmemory-policy", policy);
        assert_eq!(caller.call("OBJECT REFCOUNT key"), wanted, "{max} {policy}");
    }
}

#[test]
fn what_expires_soonest_goes_first() {
    let mut caller = Caller::new();
    caller.set("maxmemory-policy", "volatile-ttl");
    caller.fill("late", 100, " EX 100000");
    caller.fill("soon", 100, " EX 100");
    caller.set("maxmemory", "520kb");
    caller.fill("new", 150, " EX 100000");
    let (late, soon) = (caller.count("late", 100), caller.count("soon", 100));
    assert!(late > soon + 40, "late {late}, soon {soon}");
}

#[test]
fn a_limit_that_is_lowered_is_kept_at_the_next_tick() {
    let mut caller = Caller::new();
    caller.set("maxmemory-policy", "allkeys-random");
    caller.set("maxmemory-eviction-tenacity", "100");
    caller.fill("key", 1000, "");
    caller.set("maxmemory", "100kb");
    caller.engine.tick(&caller.now);
    assert!(caller.engine.used_memory() < 110 << 10);
}

/// It was counted from the next tick on, and until then an empty store was within any limit.
#[test]
fn a_client_is_counted_from_the_moment_it_comes_until_it_goes() {
    let caller = Caller::new();
    let before = caller.engine.used_memory();
    let mailbox = Arc::new(Mailbox::new(Overflow::DropOldest(1)));
    let session = Session::connected(&caller.engine, ClientInfo::default(), mailbox);
    let bytes = session.client().unwrap().bytes() as u64;
    assert_eq!(caller.engine.used_memory(), before + bytes);
    caller.engine.tick(&caller.now);
    assert_eq!(caller.engine.used_memory(), before + bytes);
    drop(session);
    assert_eq!(caller.engine.used_memory(), before);
    caller.engine.tick(&caller.now);
    assert_eq!(caller.engine.used_memory(), before);
}

/// What clients held was looked at by the tick alone, so that it could be far above the limit until
/// then.
#[test]
fn keys_are_evicted_at_once_for_a_client_that_holds_much() {
    let mut caller = Caller::new();
    caller.fill("key", 100, "");
    caller.set("maxmemory-policy", "allkeys-random");
    caller.set("maxmemory-eviction-tenacity", "100");
    caller.set("maxmemory", "300kb");
    let mailbox = Arc::new(Mailbox::new(Overflow::DropOldest(1)));
    let session = Session::connected(&caller.engine, ClientInfo::default(), mailbox);
    let client = Arc::clone(session.client().unwrap());
    for (chunk_bytes, left) in [(60_000, 100..101), (250_000, 30..60), (0, 30..60)] {
        client.show_buffers(Buffers {
            chunk_bytes,
            ..Buffers::default()
        });
        caller
            .engine
            .account_for(&client, client.bytes(), &caller.now);
        let keys = caller.count("key", 100);
        assert!(left.contains(&keys), "{chunk_bytes} bytes: {keys} keys");
    }
    assert!(caller.engine.used_memory() < 300 << 10);
}

/// Keys were evicted for the answers of clients that had gone, until the next tick.
#[test]
fn nothing_is_evicted_for_a_client_that_has_gone() {
    let mut caller = Caller::new();
    caller.fill("key", 100, "");
    let mailbox = Arc::new(Mailbox::new(Overflow::DropOldest(1)));
    let session = Session::connected(&caller.engine, ClientInfo::default(), mailbox);
    session.client().unwrap().show_buffers(Buffers {
        chunk_bytes: 1_000_000,
        ..Buffers::default()
    });
    caller.engine.tick(&caller.now);
    assert!(caller.engine.used_memory() > 1_000_000);
    drop(session);
    caller.set("maxmemory-policy", "allkeys-random");
    caller.set("maxmemory", "300kb");
    assert_eq!(caller.call("SET more 1"), "+OK");
    assert_eq!(caller.count("key", 100), 100);
}

#[test]
fn a_waiter_hears_that_a_key_was_evicted_and_a_transaction_that_watches_it_is_void() {
    let mut caller = Caller::new();
    caller.fill("key", 100, "");
    assert_eq!(caller.call("WATCH key:1 key:2 key:3 key:4 key:5"), "+OK");
    caller.set_aside(|other| {
        other.set("maxmemory-policy", "allkeys-random");
        other.set("maxmemory-eviction-tenacity", "100");
        other.set("maxmemory", "1kb");
        other.engine.tick(&other.now);
    });
    assert_eq!(caller.count("key", 100), 0);
    caller.set("maxmemory", "0");
    caller.call("MULTI");
    caller.call("PING");
    assert_eq!(caller.call("EXEC"), "*-1");
}
