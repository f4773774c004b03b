//! What users of a store inside the process may rely on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::time::Duration;

use larder_embedded::{Clock, Config, Embedded};
use larder_engine::{Now, Outcome, Session, Ticks, TimeSource, ValueReply};
use larder_store::{Capability, Channels, Command, Error, Event, Part, Store, Value};

fn open() -> (Embedded, Store) {
    let clock = Clock::Manual(Clock::manual());
    let embedded = Embedded::open(Config::default().clock(clock)).unwrap();
    (embedded.clone(), Store::new(embedded))
}

/// The same with keys in the same places each time: beside those that are held, others are free.
fn open_still() -> (Embedded, Store) {
    let clock = Clock::Manual(Clock::manual());
    let embedded = Embedded::open_still(Config::default().clock(clock), [7; 32]);
    (embedded.clone(), Store::new(embedded))
}

async fn run(store: &Store, command: &str) -> Result<Value, Error> {
    let mut words = command.split(' ');
    let name = words.next().unwrap_or_default();
    store.call(Command::new(name).args(words)).await
}

#[tokio::test]
async fn what_is_set_is_got_until_it_expires() {
    let (embedded, store) = open();
    assert_eq!(run(&store, "SET a 1 PX 1500").await, Ok(Value::ok()));
    embedded.pass(Duration::from_millis(1499));
    assert_eq!(run(&store, "GET a").await, Ok(Value::Bytes("1".into())));
    assert_eq!(run(&store, "PTTL a").await, Ok(Value::Int(1)));
    embedded.pass(Duration::from_millis(1));
    assert_eq!(run(&store, "GET a").await, Ok(Value::Null));
}

#[tokio::test]
async fn expired_keys_leave_memory_though_nobody_asks() {
    let (embedded, store) = open();
    for key in 0..1000 {
        run(&store, &format!("SET key:{key} x PX {}", 1 + key))
            .await
            .unwrap();
    }
    embedded.pass(Duration::from_millis(1500));
    assert_eq!(run(&store, "DBSIZE").await, Ok(Value::Int(0)));
}

#[tokio::test]
async fn a_clock_that_is_set_lets_keys_expire_and_no_time_pass() {
    let clock = Clock::manual();
    let config = Config::default().clock(clock.clone());
    let store = Store::new(Embedded::open_still(config, [7; 32]));
    assert_eq!(run(&store, "SET a 1 EX 60").await, Ok(Value::ok()));
    assert_eq!(run(&store, "SET b 1 EX 600").await, Ok(Value::ok()));

    clock.set_forward(Duration::from_secs(60));
    assert_eq!(run(&store, "EXISTS a").await, Ok(Value::Int(0)));
    clock.set_back(Duration::from_secs(60));
    assert_eq!(run(&store, "TTL b").await, Ok(Value::Int(600)));
}

#[tokio::test]
async fn still_stores_of_one_seed_draw_the_same() {
    let mut drawn = Vec::new();
    for _ in 0..2 {
        let store = Store::new(Embedded::open_still(Config::default(), [7; 32]));
        for key in 0..100 {
            let set = format!("SET key:{key} x");
            assert_eq!(run(&store, &set).await, Ok(Value::ok()));
        }
        drawn.push((run(&store, "RANDOMKEY").await, run(&store, "SCAN 0").await));
    }
    assert_eq!(drawn[0], drawn[1]);
}

/// Answers that are there at once once kept a task from ever being interrupted.
#[tokio::test]
async fn a_task_that_asks_without_end_lets_the_timers_and_tasks_of_its_thread_run() {
    let (_, store) = open();
    let other = tokio::spawn(async {});
    let asks = async {
        loop {
            run(&store, "GET a").await.unwrap();
        }
    };
    let soon = Duration::from_millis(1);
    let timed: Result<(), _> = tokio::time::timeout(soon, asks).await;
    assert!(timed.is_err());
    other.await.unwrap();
}

/// Whether a call has to wait.
async fn waits(call: &mut std::pin::Pin<&mut impl Future>) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(call.as_mut().poll(context).is_pending()))
        .await
}

/// A script that holds a key until all scripts are stopped.
fn hold(embedded: &Embedded) -> std::thread::JoinHandle<Result<Value, Error>> {
    let embedded = embedded.clone();
    std::thread::spawn(move || {
        let script = "while true do end return redis.call('GET', KEYS[1])";
        let eval = Command::new("EVAL").arg(script).arg(1).arg("held");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(Store::new(embedded).call(eval))
    })
}

/// Waits until the script runs, and holds its keys. That a call has to wait would not say it: a script
/// that has yet to take them holds some of them for a moment as well.
async fn until_held(embedded: &Embedded) {
    while !embedded.engine().is_busy(&Later) {
        tokio::task::yield_now().await;
    }
}

/// A time at which each script that runs now has been running for long.
struct Later;

impl TimeSource for Later {
    fn now(&self) -> Now {
        unreachable!("how long a script runs is no matter of the date")
    }

    fn ticks(&self) -> Ticks {
        Ticks::from_us(u64::MAX)
    }
}

#[tokio::test]
async fn a_call_whose_keys_are_held_leaves_its_thread_to_others() {
    let (embedded, store) = open_still();
    let hanging = hold(&embedded);
    until_held(&embedded).await;
    assert_eq!(run(&store, "SET other 1").await, Ok(Value::ok()));
    embedded.engine().stop_scripts();
    assert!(matches!(hanging.join().unwrap(), Err(Error::Refused(_))));
    assert_eq!(run(&store, "GET held").await, Ok(Value::Null));
}

#[tokio::test]
async fn a_call_that_waits_for_keys_gives_up_at_its_deadline_and_nothing_has_happened() {
    let (embedded, store) = open_still();
    let hanging = hold(&embedded);
    until_held(&embedded).await;
    let ms = Duration::from_millis(1);
    let impatient = store.within(20 * ms);
    let mut set = std::pin::pin!(impatient.set("held", "x"));
    let mut pop = std::pin::pin!(run(&impatient, "BLPOP held 0"));
    let mut both = std::pin::pin!(impatient.call_all(vec![
        Command::new("SET").arg("free").arg("1"),
        Command::new("INCR").arg("held"),
        Command::new("INCR").arg("free"),
    ]));
    for step in [19 * ms, ms] {
        assert!(waits(&mut set).await);
        assert!(waits(&mut pop).await);
        assert!(waits(&mut both).await);
        embedded.pass(step);
    }
    assert!(set.await.unwrap_err().is_away());
    assert!(pop.await.unwrap_err().is_away());
    let answers = both.await.unwrap();
    assert_eq!(answers[0], Ok(Value::ok()));
    // What stands behind it is not run before it.
    assert!(
        answers[1..]
            .iter()
            .all(|answer| answer.as_ref().is_err_and(Error::is_away))
    );

    embedded.engine().stop_scripts();
    assert!(matches!(hanging.join().unwrap(), Err(Error::Refused(_))));
    assert_eq!(run(&store, "GET held").await, Ok(Value::Null));
    assert_eq!(run(&store, "GET free").await, Ok(Value::Bytes("1".into())));
}

#[tokio::test]
async fn on_the_systems_clock_the_background_thread_ends_the_wait() {
    let embedded = Embedded::open(Config::default()).unwrap();
    let store = Store::new(embedded.clone());
    let hanging = hold(&embedded);
    until_held(&embedded).await;
    let impatient = store.within(Duration::from_millis(5));
    assert!(impatient.get("held").await.unwrap_err().is_away());
    embedded.engine().stop_scripts();
    assert!(hanging.join().unwrap().is_err());
}

#[tokio::test]
async fn a_command_that_waits_by_itself_waits_for_as_long_as_it_says() {
    let (embedded, store) = open();
    let impatient = store.within(Duration::from_millis(1));
    let mut pop = std::pin::pin!(run(&impatient, "BLPOP list 1"));
    assert!(waits(&mut pop).await);
    embedded.pass(Duration::from_millis(999));
    assert!(waits(&mut pop).await);
    embedded.pass(Duration::from_millis(1));
    assert_eq!(pop.await, Ok(Value::Null));
}

#[tokio::test]
async fn a_store_inside_the_process_is_one_part_without_shards() {
    let (_, store) = open();
    assert_eq!(store.parts().await, Ok(vec![Part::whole()]));
    let can = store.capabilities().await.unwrap();
    assert!(can.has(Capability::ReadOnlyScripts) && can.has(Capability::DelIfEq));
    assert!(!can.has(Capability::ShardedMessages));
    let shard = Channels::default().shard("news");
    assert!(matches!(
        store.subscribe(shard).await,
        Err(Error::Invalid { .. })
    ));
}

#[tokio::test]
async fn a_transaction_runs_as_one_and_answers_in_order() {
    let (_, store) = open();
    let words = [
        &["MULTI"][..],
        &["SET", "a", "1"],
        &["INCR", "a"],
        &["LLEN"],
        &["EXEC"],
    ];
    let commands = words
        .map(|words| Command::new(words[0]).args(&words[1..]))
        .to_vec();
    let results = store.call_all(commands).await.unwrap();
    assert!(results[3].is_err(), "an arity error voids the transaction");
    assert!(
        results[4]
            .as_ref()
            .is_err_and(|error| error.is_refusal("EXECABORT"))
    );

    let commands = [
        &["MULTI"][..],
        &["SET", "a", "1"],
        &["INCR", "a"],
        &["EXEC"],
    ];
    let commands = commands
        .map(|words| Command::new(words[0]).args(&words[1..]))
        .to_vec();
    let results = store.call_all(commands).await.unwrap();
    assert_eq!(
        results[3],
        Ok(Value::Array(vec![Value::ok(), Value::Int(2)]))
    );
}

/// What works here works on a server, where callers share a connection: `SELECT` was answered with
/// `OK`, and nothing was selected.
#[tokio::test]
async fn what_would_change_the_state_of_a_connection_is_refused() {
    let (_, store) = open();
    for line in [
        "SELECT 1",
        "multi",
        "WATCH a",
        "QUIT",
        "CLIENT REPLY OFF",
        "SUBSCRIBE a",
    ] {
        let error = run(&store, line).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{line}: {error}");
    }
    let command = |line: &str| {
        let mut words = line.split(' ');
        Command::new(words.next().unwrap()).args(words)
    };
    for batch in [&["MULTI", "SET a 1"][..], &["WATCH a", "GET a"], &["EXEC"]] {
        let batch = batch.iter().map(|line| command(line)).collect();
        let error = store.call_all(batch).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    assert_eq!(run(&store, "EXISTS a").await, Ok(Value::Int(0)));
}

#[tokio::test]
async fn messages_reach_those_who_listen() {
    let (_, store) = open();
    let mut events = store
        .subscribe(Channels::default().channel("a").pattern("a*"))
        .await
        .unwrap();
    assert_eq!(run(&store, "PUBLISH a hello").await, Ok(Value::Int(2)));
    for pattern in [None, Some("a*".into())] {
        let Some(Event::Message(message)) = events.next().await else {
            panic!("no message")
        };
        assert_eq!(
            (message.pattern, &message.payload[..]),
            (pattern, &b"hello"[..])
        );
    }
    drop(events);
    assert_eq!(run(&store, "PUBLISH a hello").await, Ok(Value::Int(0)));
}

#[tokio::test]
async fn a_listener_that_does_not_read_is_told_what_it_lost() {
    let (_, store) = open();
    let mut events = store
        .subscribe(Channels::default().channel("a").buffer(2))
        .await
        .unwrap();
    for _ in 0..5 {
        run(&store, "PUBLISH a x").await.unwrap();
    }
    assert_eq!(events.next().await, Some(Event::Lagged(3)));
    assert!(matches!(events.next().await, Some(Event::Message(_))));
}

#[tokio::test]
async fn a_closed_store_refuses_calls_and_ends_subscriptions() {
    let (_, store) = open();
    let mut events = store
        .subscribe(Channels::default().channel("a"))
        .await
        .unwrap();
    store.close().await.unwrap();
    assert_eq!(events.next().await, None);
    assert!(matches!(run(&store, "PING").await, Err(Error::Closed)));
}

/// Nobody looked at deadlines any more, so even a wait of a second had no end.
#[tokio::test]
async fn a_wait_ends_when_the_store_is_closed() {
    let (embedded, store) = open();
    let answer = store.call(Command::new("BLPOP").arg("queue").arg(1));

    embedded.close();

    let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
    assert_eq!(answer, Ok(Ok(Value::Null)));
}

#[tokio::test]
async fn a_scan_finds_every_key() {
    let (_, store) = open();
    for key in 0..5000 {
        run(&store, &format!("SET key:{key} x")).await.unwrap();
    }
    let (mut cursor, mut found) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let scan = Command::new("SCAN").arg(&cursor).arg("COUNT").arg(100);
        let (next, keys): (String, Vec<String>) = store.run(scan).await.unwrap();
        found.extend(keys);
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), 5000);
}

/// The short road knows nothing of transactions: what somebody watches is changed by the command.
#[tokio::test]
async fn a_single_key_that_is_set_makes_transactions_void_that_watch_it() {
    let (embedded, store) = open();
    let mut session = Session::local();
    let mut in_session = |words: &str| {
        let mut words = words.split(' ');
        let command = Command::new(words.next().unwrap()).args(words);
        let mut reply = ValueReply::new();
        let engine = embedded.engine();
        let outcome = engine.execute(&mut session, command.arguments(), &embedded, &mut reply);
        assert!(matches!(outcome, Outcome::Done));
        reply.take_value()
    };
    in_session("WATCH a");

    store.set("a", "x").await.unwrap();

    in_session("MULTI");
    in_session("SET a y");
    assert_eq!(in_session("EXEC"), Value::Null);
    assert_eq!(store.get("a").await, Ok(Some("x".into())));
}

#[tokio::test]
async fn a_closed_store_gives_no_single_keys() {
    let (_, store) = open();
    store.set("a", "x").await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.get("a").await, Err(Error::Closed)));
    assert!(matches!(store.set("a", "y").await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_full_store_refuses_a_single_key_with_oom_until_it_may_evict() {
    let (_, store) = open();
    store.set("a", "x".repeat(10_000)).await.unwrap();
    run(&store, "CONFIG SET maxmemory 1").await.unwrap();
    let refused = store.set("b", "x").await.unwrap_err();
    assert!(refused.is_refusal("OOM"), "{refused}");
    assert!(store.get("a").await.unwrap().is_some());
}
