//! The short road to single keys does what the commands do, and leaves to them what is not simple.

use std::sync::Arc;
use std::thread;

use larder_engine::{Engine, EvictionPolicy, Now, Outcome, Session, ValueReply};
use larder_store::{ByName, Command, Value};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::support::{START, later_ms};

/// A second later.
const LATER: Now = later_ms(1000);

/// An engine that this thread has called so often that calls are not timed: those are left to the
/// commands.
fn engine() -> Arc<Engine> {
    let engine = crate::support::engine();
    grow_used_to(&engine);
    engine
}

fn grow_used_to(engine: &Arc<Engine>) {
    for _ in 0..=64 {
        for line in ["SET other 1", "INCR other", "GET other", "DEL other"] {
            run(engine, line);
        }
    }
}

/// Runs a command by its name. One that waits is answered with nothing.
fn run_at(engine: &Arc<Engine>, now: Now, command: &Command) -> Value {
    run_in(engine, &mut Session::local(), now, command)
}

fn run_in(engine: &Arc<Engine>, session: &mut Session, now: Now, command: &Command) -> Value {
    let mut reply = ValueReply::new();
    let outcome = engine.execute(session, command.arguments(), &now, &mut reply);
    assert!(matches!(outcome, Outcome::Done), "{command}: {outcome:?}");
    reply.take_value()
}

fn words(line: &str) -> Command {
    let mut words = line.split(' ');
    Command::new(words.next().unwrap_or_default()).args(words)
}

fn run(engine: &Arc<Engine>, line: &str) -> Value {
    run_at(engine, START, &words(line))
}

fn get(engine: &Engine, key: &str, now: Now) -> Result<Option<String>, ByName> {
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    engine.get(key.as_bytes(), &now, read)
}

/// A figure of INFO.
fn figure(engine: &Arc<Engine>, name: &str) -> u64 {
    let Value::Verbatim(info) = run(engine, "INFO") else {
        return u64::MAX;
    };
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.strip_prefix(':')?.parse().ok());
    number.unwrap_or(u64::MAX)
}

/// How often a command was called, by INFO commandstats.
fn calls(engine: &Arc<Engine>, name: &str) -> Option<String> {
    let Value::Verbatim(info) = run(engine, "INFO commandstats") else {
        return None;
    };
    let prefix = format!("cmdstat_{name}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&prefix))?;
    line.split(',').next().map(str::to_owned)
}

#[test]
fn what_has_expired_is_not_there() {
    let engine = engine();
    run(&engine, "SET a x PX 1000");

    assert_eq!(get(&engine, "a", START), Ok(Some("x".into())));
    // The command finds that it is to go.
    assert_eq!(get(&engine, "a", LATER), Err(ByName));
    assert_eq!(run_at(&engine, LATER, &words("GET a")), Value::Null);
    assert_eq!(run(&engine, "DBSIZE"), Value::Int(0));
    assert_eq!(get(&engine, "a", LATER), Ok(None));
    assert_eq!(engine.incr(b"a", &LATER), Ok(1));
    assert_eq!(run_at(&engine, LATER, &words("PTTL a")), Value::Int(-1));

    run(&engine, "SET b x PX 1000");
    assert_eq!(engine.del(b"b", &LATER), Ok(false));
}

#[test]
fn an_increment_keeps_the_expiry_and_a_new_string_clears_it() {
    let engine = engine();
    run(&engine, "SET a 1 PX 1000");

    assert_eq!(engine.incr(b"a", &START), Ok(2));
    assert_eq!(run(&engine, "PTTL a"), Value::Int(1000));
    assert_eq!(engine.set(b"a", b"7", &START), Ok(()));
    assert_eq!(run(&engine, "PTTL a"), Value::Int(-1));
    assert_eq!(get(&engine, "a", START), Ok(Some("7".into())));
}

#[test]
fn a_read_counts_as_a_hit_or_a_miss_and_each_call_as_a_command() {
    let engine = engine();
    let counted = |engine: &Arc<Engine>| {
        let names = [
            "keyspace_hits",
            "keyspace_misses",
            "total_commands_processed",
        ];
        names.map(|name| figure(engine, name))
    };
    let before = counted(&engine);

    assert_eq!(engine.set(b"a", b"x", &START), Ok(()));
    assert!(get(&engine, "a", START).is_ok());
    assert!(get(&engine, "b", START).is_ok());
    assert_eq!(engine.incr(b"c", &START), Ok(1));
    assert_eq!(engine.del(b"c", &START), Ok(true));

    let after = counted(&engine);
    // The three questions for figures before are commands too.
    assert_eq!([0, 1, 2].map(|at| after[at] - before[at]), [1, 1, 5 + 3]);
}

#[test]
fn a_read_counts_as_a_use() {
    let engine = engine();
    let tick = |s: u64| {
        let now = later_ms(s * 1000);
        engine.tick(&now);
        now
    };
    run(&engine, "SET a x");

    let now = tick(10);
    let idle = |now| run_at(&engine, now, &words("OBJECT IDLETIME a"));
    assert_eq!(idle(now), Value::Int(10));
    assert!(get(&engine, "a", now).is_ok());
    assert_eq!(idle(now), Value::Int(0));
}

#[test]
fn what_the_command_would_refuse_is_left_to_it_and_counted_by_it() {
    let engine = engine();
    run(&engine, "RPUSH list x");
    run(&engine, "SET text x");
    run(&engine, "SET most 9223372036854775807");
    let names = ["keyspace_hits", "keyspace_misses"];
    let before = names.map(|name| figure(&engine, name));

    assert_eq!(get(&engine, "list", START), Err(ByName));
    for key in ["list", "text", "most"] {
        assert_eq!(engine.incr(key.as_bytes(), &START), Err(ByName), "{key}");
    }

    assert_eq!(names.map(|name| figure(&engine, name)), before);
    assert_eq!(run(&engine, "LLEN list"), Value::Int(1));
}

#[test]
fn a_key_that_others_hold_is_left_to_the_command() {
    let engine = engine();
    run(&engine, "SET a x");
    let elsewhere = |call: &(dyn Fn() -> bool + Sync)| {
        let call = || {
            grow_used_to(&engine);
            call()
        };
        thread::scope(|scope| scope.spawn(call).join())
    };
    assert!(elsewhere(&|| engine.incr(b"n", &START).is_ok()).is_ok_and(|is_counted| is_counted));

    let held = engine.get(b"a", &START, |_| {
        [
            elsewhere(&|| get(&engine, "a", START) == Err(ByName)),
            elsewhere(&|| engine.set(b"a", b"y", &START) == Err(ByName)),
            elsewhere(&|| engine.incr(b"a", &START) == Err(ByName)),
            elsewhere(&|| engine.del(b"a", &START) == Err(ByName)),
        ]
        .map(|left| left.is_ok_and(|left| left))
    });

    assert_eq!(held, Ok(Some([true; 4])));
    assert_eq!(get(&engine, "a", START), Ok(Some("x".into())));
}

#[test]
fn a_change_that_somebody_watches_is_left_to_the_command() {
    let engine = engine();
    let mut session = Session::local();
    run_in(&engine, &mut session, START, &words("WATCH a"));

    assert_eq!(engine.set(b"a", b"x", &START), Err(ByName));
    assert_eq!(engine.incr(b"a", &START), Err(ByName));
    assert_eq!(engine.del(b"a", &START), Err(ByName));
    assert_eq!(get(&engine, "a", START), Ok(None));

    run_in(&engine, &mut session, START, &words("UNWATCH"));
    assert_eq!(engine.set(b"a", b"x", &START), Ok(()));
}

#[test]
fn a_change_that_somebody_waits_for_is_left_to_the_command() {
    let engine = engine();
    let (mut session, mut reply) = (Session::local(), ValueReply::new());
    let pop = words("BLPOP a 0");
    let outcome = engine.execute(&mut session, pop.arguments(), &START, &mut reply);
    assert!(matches!(outcome, Outcome::Blocked(_)));

    assert_eq!(engine.set(b"a", b"x", &START), Err(ByName));
    drop(outcome);
    assert_eq!(engine.set(b"a", b"x", &START), Ok(()));
}

#[test]
fn a_full_store_leaves_writes_to_the_commands_and_goes_on_reading() {
    let engine = engine();
    run(&engine, "SET a x");
    engine.set_eviction_policy(EvictionPolicy::default());
    engine.set_max_memory(1);
    engine.tick(&START);

    assert_eq!(engine.set(b"b", b"x", &START), Err(ByName));
    assert_eq!(engine.incr(b"b", &START), Err(ByName));
    assert_eq!(get(&engine, "a", START), Ok(Some("x".into())));
}

#[test]
fn a_large_value_that_is_overwritten_is_given_to_be_freed() {
    let engine = engine();
    let (sender, freed) = std::sync::mpsc::channel();
    engine.on_garbage(Box::new(move |garbage| {
        // Nobody listens any more when the test is over.
        let _ = sender.send(garbage);
    }));
    for member in 0..1_000 {
        run(&engine, &format!("ZADD board {member} member:{member}"));
    }

    assert_eq!(engine.set(b"board", b"x", &START), Ok(()));
    assert!(freed.try_recv().is_ok());
}

/// Random calls on two engines, on one of them by name.
#[test]
fn the_short_road_does_what_the_commands_do() {
    let (direct, by_name) = (engine(), engine());
    let mut random = SmallRng::seed_from_u64(1);
    let mut now = START;

    for step in 0..20_000 {
        now = Now::from_unix_us(now.unix_us() + random.random_range(0..50_000));
        let key = format!("key:{}", random.random_range(0..20));
        let value = match random.random_range(0..3) {
            0 => random.random_range(-5..5_i64).to_string(),
            1 => "x".repeat(random.random_range(0..40)),
            _ => "x".repeat(random.random_range(1_000..1_100)),
        };
        let ttl_ms = random.random_range(1..500);
        let command = match random.random_range(0..9) {
            0 => words("PEXPIRE").arg(&key).arg(ttl_ms),
            1 => words("RPUSH").arg(&key).arg(&value),
            2 => words("APPEND").arg(&key).arg(&value),
            3 => words("SET").arg(&key).arg(&value).arg("PX").arg(ttl_ms),
            4 | 5 => words("GET").arg(&key),
            6 => words("SET").arg(&key).arg(&value),
            7 => words("INCR").arg(&key),
            _ => words("DEL").arg(&key),
        };
        let wanted = run_at(&by_name, now, &command);
        let (key, value) = (key.as_bytes(), value.as_bytes());
        let got = match (command.name(), command.arguments().len()) {
            (b"GET", _) => { direct.get(key, &now, <[u8]>::to_vec) }
                .map(|bytes| bytes.map_or(Value::Null, |bytes| Value::Bytes(bytes.into()))),
            (b"SET", 3) => direct.set(key, value, &now).map(|()| Value::ok()),
            (b"INCR", _) => direct.incr(key, &now).map(Value::Int),
            (b"DEL", _) => direct.del(key, &now).map(|gone| Value::Int(gone.into())),
            _ => Err(ByName),
        };
        let got = got.unwrap_or_else(|ByName| run_at(&direct, now, &command));
        assert_eq!(got, wanted, "step {step}: {command}");
        let ask = words("PTTL").arg(key);
        let wanted = run_at(&by_name, now, &ask);
        assert_eq!(run_at(&direct, now, &ask), wanted, "step {step}: {command}");
    }

    let names = [
        "keyspace_hits",
        "keyspace_misses",
        "expired_keys",
        "used_memory",
    ];
    for name in names {
        assert_eq!(figure(&direct, name), figure(&by_name, name), "{name}");
    }
    for name in ["get", "set", "incr", "del"] {
        assert_eq!(calls(&direct, name), calls(&by_name, name), "{name}");
    }
}

#[test]
fn a_call_that_somebody_looks_at_is_left_to_the_command() {
    let engine = engine();
    assert_eq!(engine.set(b"a", b"x", &START), Ok(()));

    run(&engine, "CONFIG SET slowlog-log-slower-than 0");
    assert_eq!(engine.set(b"a", b"x", &START), Err(ByName));
    assert_eq!(get(&engine, "a", START), Err(ByName));
}

#[test]
fn a_read_of_which_events_tell_is_left_to_the_command() {
    let engine = engine();
    assert_eq!(get(&engine, "a", START), Ok(None));

    run(&engine, "CONFIG SET notify-keyspace-events KEm");
    assert_eq!(get(&engine, "a", START), Err(ByName));
    assert_eq!(engine.set(b"a", b"x", &START), Err(ByName));
}
