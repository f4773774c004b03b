//! What the twin of a script may rely on, and what others may rely on while it runs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::time::Duration;

use larder_embedded::{Clock, Config, Embedded};
use larder_store::{
    Channels, Command, End, Error, Event, Expires, Key, Keys, Refusal, Script, Step, Store, Value,
    Words,
};

fn open() -> (Embedded, Store) {
    let clock = Clock::Manual(Clock::manual());
    let embedded = Embedded::open(Config::default().clock(clock)).unwrap();
    (embedded.clone(), Store::new(embedded))
}

async fn run(store: &Store, command: &str) -> Result<Value, Error> {
    let mut words = command.split(' ');
    let name = words.next().unwrap_or_default();
    store.call(Command::new(name).args(words)).await
}

/// The key `{n:k:NAME}`.
fn key(name: &str) -> Key {
    Keys::new("n", "k").of(name)
}

/// Which none of these tests looks at: they are about the twins.
const NO_LUA: &str = "return redis.error_reply('ERR this is the Lua')";

static ADD: Script = Script::new(NO_LUA).with_twin(add);

/// Adds as INCRBY does, in two commands.
fn add(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let sum = step.get_int(&keys[0])?.unwrap_or(0) + words.number::<i64>(0)?;
    step.set_int(&keys[0], sum, Expires::AsBefore)?;
    Ok(Value::Int(sum))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_between_the_commands_of_a_twin() {
    let (_, store) = open();
    let adding = |store: Store| async move {
        for _ in 0..5_000 {
            ADD.on(&store).key(key("a")).arg(1).run::<i64>().await?;
        }
        Ok::<(), Error>(())
    };

    let both = [store.clone(), store.clone()].map(|store| tokio::spawn(adding(store)));
    for adding in both {
        adding.await.unwrap().unwrap();
    }

    let sum: i64 = ADD.on(&store).key(key("a")).arg(0).run().await.unwrap();
    assert_eq!(sum, 10_000);
}

#[tokio::test]
async fn a_twin_waits_for_keys_that_others_hold_and_holds_up_nobody_else() {
    let (embedded, store) = open();
    let held = key("a");
    static HOLD: Script = Script::new(NO_LUA).with_twin(|step, keys, _| {
        let end = std::time::Instant::now() + Duration::from_millis(100);
        while std::time::Instant::now() < end {}
        step.set(&keys[0], "held", Expires::Never)?;
        Ok(Value::Null)
    });
    let holder = std::thread::spawn({
        let store = store.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(HOLD.on(&store).key(key("a")).run::<()>())
        }
    });
    static READ: Script = Script::new(NO_LUA).with_twin(|step, keys, _| {
        let string = step.get(&keys[0])?;
        Ok(string.map_or(Value::Null, Value::Bytes))
    });
    // Until the other one has begun this reads nothing, and then it has to wait for its end.
    let read = || async {
        READ.on(&store)
            .key(held.clone())
            .run::<Option<String>>()
            .await
    };
    while read().await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    holder.join().unwrap().unwrap();
    assert!(!embedded.is_closed());
}

static WRITE_AND_FAIL: Script = Script::new(NO_LUA).with_twin(write_and_fail);

fn write_and_fail(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    step.set(&keys[0], "written", Expires::Never)?;
    match words.bytes(0)? {
        b"panic" => panic!("a defect"),
        b"refuse" => Err(Refusal::new("MINE it is")),
        _ => step.run(Command::new("INCR").arg(&keys[0])),
    }
}

#[tokio::test]
async fn a_twin_that_fails_leaves_what_it_has_done_and_a_store_that_goes_on() {
    let (_, store) = open();
    for (how, code) in [("panic", "ERR"), ("refuse", "MINE"), ("incr", "ERR")] {
        let call = WRITE_AND_FAIL.on(&store).key(key(how)).arg(how);
        let error = call.run::<()>().await.unwrap_err();
        assert!(error.is_refusal(code), "{how}: {error}");
        assert_eq!(store.get(key(how)).await, Ok(Some("written".into())));
    }
}

#[tokio::test]
async fn a_twin_touches_no_key_that_it_was_not_called_with() {
    static STRAY: Script = Script::new(NO_LUA).with_twin(|step, keys, words| {
        let stray = keys[0].part("stray");
        match words.bytes(0)? {
            b"typed" => step.set(&stray, "x", Expires::Never)?,
            _ => step.run(Command::new("SADD").arg(&stray).arg("x"))?,
        }
        Ok(Value::Null)
    });
    let (_, store) = open();
    for how in ["typed", "by name"] {
        let call = STRAY.on(&store).key(key("a")).arg(how);
        let error = call.run::<()>().await.unwrap_err();
        assert!(error.to_string().contains("not among its KEYS"), "{error}");
    }
    assert_eq!(run(&store, "DBSIZE").await, Ok(Value::Int(0)));
}

#[tokio::test]
async fn a_full_store_refuses_a_twin_until_it_has_written() {
    static REMOVE_AND_ADD: Script = Script::new(NO_LUA).with_twin(|step, keys, _| {
        step.del(&keys[0])?;
        step.set(&keys[1], "x", Expires::Never)?;
        Ok(Value::Null)
    });
    let (_, store) = open();
    store.set(key("a"), "x".repeat(10_000)).await.unwrap();
    run(&store, "CONFIG SET maxmemory 1").await.unwrap();

    let refused = ADD.on(&store).key(key("b")).arg(1).run::<i64>().await;
    assert!(refused.unwrap_err().is_refusal("OOM"));
    let keys = [key("a"), key("a").part("b")];
    let call = keys
        .into_iter()
        .fold(REMOVE_AND_ADD.on(&store), larder_store::ScriptCall::key);
    assert_eq!(call.run().await, Ok(()));
}

#[tokio::test]
async fn a_twin_sees_no_key_whose_time_has_come_and_keeps_that_of_others() {
    let (embedded, store) = open();
    let name = key("a");
    run(&store, &format!("SET {name} 5 PX 1000")).await.unwrap();

    embedded.pass(Duration::from_millis(600));
    assert_eq!(ADD.on(&store).key(name.clone()).arg(1).run().await, Ok(6));
    assert_eq!(
        run(&store, &format!("PTTL {name}")).await,
        Ok(Value::Int(400))
    );

    embedded.pass(Duration::from_millis(400));
    assert_eq!(ADD.on(&store).key(name).arg(1).run().await, Ok(1));
}

#[tokio::test]
async fn what_a_twin_changes_is_told_to_those_who_want_to_hear_of_it() {
    let (_, store) = open();
    run(&store, "CONFIG SET notify-keyspace-events KA")
        .await
        .unwrap();
    let pattern = Channels::default().pattern("__keyspace@0__:*");
    let mut events = store.subscribe(pattern).await.unwrap();

    ADD.on(&store)
        .key(key("a"))
        .arg(1)
        .run::<i64>()
        .await
        .unwrap();

    let Some(Event::Message(message)) = events.next().await else {
        panic!("there is an event");
    };
    assert_eq!(&message.payload[..], b"set");
}

#[tokio::test]
async fn a_twin_serves_those_who_wait_for_what_it_adds() {
    static PUSH: Script = Script::new(NO_LUA).with_twin(|step, keys, _| {
        step.run::<i64>(Command::new("RPUSH").arg(&keys[0]).arg("job"))?;
        // Before anybody else is served, as in a script.
        step.run(Command::new("LLEN").arg(&keys[0]))
    });
    let (_, store) = open();
    let pop = Command::new("BLPOP").arg(key("queue")).arg(0);
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.run::<(String, String)>(pop).await }
    });
    tokio::task::yield_now().await;

    assert_eq!(PUSH.on(&store).key(key("queue")).run().await, Ok(1));
    let (_, job) = waiting.await.unwrap().unwrap();
    assert_eq!(job, "job");
}

#[tokio::test]
async fn a_twin_counts_as_the_script_and_its_commands_as_commands() {
    let (_, store) = open();
    let calls = async |name: &str| -> u64 {
        let stats: String = store
            .run(Command::new("INFO").arg("commandstats"))
            .await
            .unwrap();
        let start = format!("cmdstat_{name}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    };
    for _ in 0..200 {
        ADD.on(&store)
            .key(key("a"))
            .arg(1)
            .run::<i64>()
            .await
            .unwrap();
    }
    assert_eq!(calls("evalsha").await, 200);
    assert_eq!(calls("get").await, 200);
    assert_eq!(calls("set").await, 200);
}

static FIELD: Script = Script::new(NO_LUA).with_twin(field);

fn field(step: &mut Step<'_>, keys: &[Key], _: Words<'_>) -> Result<Value, Refusal> {
    let value = step.hget(&keys[0], b"field")?;
    Ok(value.map_or(Value::Null, Value::Bytes))
}

#[tokio::test]
async fn a_twin_reads_a_field_as_hget_does() {
    let (_, store) = open();
    let read = || FIELD.on(&store).key(key("a")).run::<Option<String>>();

    assert_eq!(read().await, Ok(None));
    let put = Command::new("HSET").arg(key("a")).arg("field").arg("12");
    store.call(put).await.unwrap();
    assert_eq!(read().await, Ok(Some("12".into())));

    store.set(key("a"), "a string").await.unwrap();
    assert!(read().await.unwrap_err().is_refusal("WRONGTYPE"));
    let stats: String = store
        .run(Command::new("INFO").arg("commandstats"))
        .await
        .unwrap();
    let line = stats
        .lines()
        .find(|line| line.starts_with("cmdstat_hget:calls=3,"));
    assert!(
        line.is_some_and(|line| line.contains("failed_calls=1")),
        "{stats}"
    );
}

static PUT: Script = Script::new(NO_LUA).with_twin(put);

/// Notes a score in a hash and a sorted set, which end at a time. Answers the lowest score and the highest.
fn put(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
    let (member, score): (_, i64) = (words.bytes(0)?, words.number(1)?);
    step.hset(&keys[0], member, score.to_string())?;
    step.zadd(&keys[1], score, member)?;
    for key in keys {
        step.pexpireat(key, words.number(2)?)?;
    }
    let ends = [End::Lowest, End::Highest].map(|end| step.zscore_at(&keys[1], end));
    let [Some(lowest), Some(highest)] = [ends[0].clone()?, ends[1].clone()?] else {
        return Ok(Value::Null);
    };
    Ok(Value::Array(vec![
        Value::Int(lowest as i64),
        Value::Int(highest as i64),
    ]))
}

#[tokio::test]
async fn a_twin_writes_hashes_and_sorted_sets_as_their_commands_do() {
    let (_, store) = open();
    let put = async |member: &str, score: i64, at_ms: u64| {
        let call = PUT.on(&store).key(key("a")).key(key("a").part("scores"));
        let call = call.arg(member).arg(score).arg(at_ms);
        call.run::<Option<(i64, i64)>>().await
    };
    let in_an_hour = {
        let now: (u64, u64) = store.run(Command::new("TIME")).await.unwrap();
        now.0 * 1000 + 3_600_000
    };
    for number in 0..300 {
        let scores = put(&format!("m{number}"), number, in_an_hour).await;
        assert_eq!(scores, Ok(Some((0, number))));
    }
    assert_eq!(put("m0", -5, in_an_hour).await, Ok(Some((-5, 299))));
    for (name, answer) in [("HLEN", 300), ("ZCARD", 300), ("PEXPIRETIME", in_an_hour)] {
        let of = match name {
            "ZCARD" => key("a").part("scores"),
            _ => key("a"),
        };
        assert_eq!(
            store.run(Command::new(name).arg(of)).await,
            Ok(answer),
            "{name}"
        );
    }
    let stats: String = store
        .run(Command::new("INFO").arg("commandstats"))
        .await
        .unwrap();
    for line in [
        "hset:calls=301,",
        "zadd:calls=301,",
        "zrange:calls=602,",
        "pexpireat:calls=602,",
    ] {
        assert!(
            stats.contains(&format!("cmdstat_{line}")),
            "{line}: {stats}"
        );
    }

    // A time that is past removes both, and of nothing there is no score.
    assert_eq!(put("m0", 1, 1).await, Ok(None));
    assert_eq!(run(&store, "DBSIZE").await, Ok(Value::Int(0)));

    store.set(key("a"), "a string").await.unwrap();
    assert!(
        put("m0", 1, in_an_hour)
            .await
            .unwrap_err()
            .is_refusal("WRONGTYPE")
    );
    store.del(key("a")).await.unwrap();
    store
        .set(key("a").part("scores"), "a string")
        .await
        .unwrap();
    assert!(
        put("m0", 1, in_an_hour)
            .await
            .unwrap_err()
            .is_refusal("WRONGTYPE")
    );
}

/// Whoever waits for a member is served by a command.
#[tokio::test]
async fn a_twin_that_adds_a_member_serves_who_waits_for_one() {
    let (_, store) = open();
    let waiting = store.clone();
    let waiter = tokio::spawn(async move {
        let pop = Command::new("BZPOPMIN").arg(key("a").part("scores")).arg(0);
        waiting.run::<(String, String, f64)>(pop).await
    });
    // Its turn: it waits when it gives back the thread.
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    let call = PUT.on(&store).key(key("a")).key(key("a").part("scores"));
    call.arg("ann")
        .arg(7)
        .arg(4_000_000_000_000_u64)
        .run::<Value>()
        .await
        .unwrap();
    let (_, member, score) = waiter.await.unwrap().unwrap();
    assert_eq!((member.as_str(), score), ("ann", 7.0));
}

#[tokio::test]
async fn a_twin_stands_in_the_slow_log_as_the_script() {
    let (_, store) = open();
    run(&store, "CONFIG SET slowlog-log-slower-than 0")
        .await
        .unwrap();
    run(&store, "SLOWLOG RESET").await.unwrap();
    ADD.on(&store)
        .key(key("a"))
        .arg(1)
        .run::<i64>()
        .await
        .unwrap();

    let log = run(&store, "SLOWLOG GET").await.unwrap();
    let log = format!("{log:?}");
    assert!(
        log.contains("EVALSHA") && log.contains(ADD.digest()),
        "{log}"
    );
    assert!(!log.contains("\"SET\""), "{log}");
}

#[tokio::test]
async fn a_closed_store_runs_no_twin() {
    let (embedded, store) = open();
    embedded.close();
    let answer = ADD.on(&store).key(key("a")).arg(1).run::<i64>().await;
    assert_eq!(answer, Err(Error::Closed));
}
