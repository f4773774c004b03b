//! Each fault does what it says, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::time::Duration;

use larder_store::{Capability, Channels, Command, Error, Event, Message, Script, Store, Value};
use larder_testing::{
    Calls, Data, Fault, Faulty, Plan, Refuse, Simulation, World, at_every_await, dropped_at,
    simulate,
};
use larder_testkit::words;

const SECOND: Duration = Duration::from_secs(1);

async fn run(store: &Store, line: &str) -> Result<Value, Error> {
    store.call(words(line)).await
}

/// What the store holds, without any faults.
async fn count(world: &World, key: &str) -> i64 {
    let store = world.without_faults();
    let count: Option<i64> = store.run(Command::new("GET").arg(key)).await.unwrap();
    count.unwrap_or(0)
}

/// Runs a test with one fault, at the first INCR.
fn with_fault(fault: Fault, test: impl AsyncFn(World) -> TestResult + Sync) {
    let plan = Plan::new().with(Calls::named("INCR").nth(1), fault);
    Simulation::new().plan(plan).run(test);
}

type TestResult = Result<(), Box<dyn std::error::Error>>;

#[test]
fn a_call_to_a_store_that_is_away_is_not_sent() {
    with_fault(Fault::Away, async |world| {
        let store = world.store("a");
        assert!(store.incr("n").await.unwrap_err().is_away());
        assert_eq!(store.incr("n").await?, 1);
        Ok(())
    });
}

#[test]
fn a_lost_request_does_not_run_and_a_lost_answer_did() {
    for (fault, counted) in [(Fault::LoseRequest, 0), (Fault::LoseAnswer, 1)] {
        with_fault(fault, async |world| {
            let store = world.store("a");
            assert!(store.incr("n").await.unwrap_err().is_in_doubt());
            world.settled().await;
            assert_eq!(count(&world, "n").await, counted);
            Ok(())
        });
    }
}

#[test]
fn a_late_request_runs_after_its_caller_has_given_up() {
    with_fault(Fault::Late(SECOND), async |world| {
        let store = world.store("a");
        assert!(store.incr("n").await.unwrap_err().is_in_doubt());
        assert_eq!(count(&world, "n").await, 0);
        world.pass(SECOND * 2).await;
        assert_eq!(count(&world, "n").await, 1);
        Ok(())
    });
}

/// A late wait once went on for ever at the store of before a failover, and nothing ever settled.
#[test]
fn a_late_wait_takes_nothing_and_leaves_nothing_under_way() {
    let plan = Plan::new().with(Calls::named("BLPOP"), Fault::Late(SECOND));
    Simulation::new().plan(plan).run(async |world| {
        let store = world.store("a");
        assert!(run(&store, "BLPOP queue 0").await.is_err());
        world.settled().await;
        run(&store, "RPUSH queue job").await?;
        assert_eq!(run(&store, "LLEN queue").await?, Value::Int(1));
        Ok(())
    });
}

#[test]
fn a_slow_request_and_a_slow_answer_take_their_time() {
    for fault in [Fault::SlowRequest(SECOND), Fault::SlowAnswer(SECOND)] {
        with_fault(fault, async |world| {
            let asked = tokio::time::Instant::now();
            assert_eq!(world.store("a").incr("n").await?, 1);
            assert_eq!(asked.elapsed(), SECOND);
            Ok(())
        });
    }
}

#[test]
fn callers_wait_for_a_lost_answer_as_long_as_the_plan_says() {
    let lost = Plan::new().with(Calls::all(), Fault::LoseAnswer);
    Simulation::new()
        .plan(lost.patience(SECOND * 5))
        .run(async |world| {
            let asked = tokio::time::Instant::now();
            assert!(world.store("a").incr("n").await.is_err());
            assert_eq!(asked.elapsed(), SECOND * 5);
            Ok(())
        });
}

#[test]
fn a_pipeline_that_is_cut_has_the_answers_from_before() {
    let plan = Plan::new().with(Calls::named("INCR").nth(2), Fault::LoseAnswer);
    Simulation::new().plan(plan).run(async |world| {
        let pipeline = vec![words("INCR n"); 3];
        let answers = world.store("a").call_all(pipeline).await?;
        assert_eq!(answers[0], Ok(Value::Int(1)));
        assert!(answers[1].as_ref().unwrap_err().is_in_doubt());
        assert!(answers[2].as_ref().unwrap_err().is_in_doubt());
        assert_eq!(count(&world, "n").await, 3);
        Ok(())
    });
}

#[test]
fn a_transaction_is_lost_as_a_whole() {
    let plan = Plan::new().with(Calls::named("INCR").nth(2), Fault::LoseRequest);
    Simulation::new().plan(plan).run(async |world| {
        let pipeline = ["SET a 1", "MULTI", "INCR n", "INCR n", "EXEC"].map(words);
        let answers = world.store("a").call_all(pipeline.to_vec()).await?;
        assert_eq!(answers[0], Ok(Value::ok()));
        assert!(answers[1..].iter().all(Result::is_err));
        assert_eq!(count(&world, "n").await, 0);
        Ok(())
    });
}

#[test]
fn a_transaction_with_a_refused_command_is_aborted() {
    let plan = Plan::new().with(Calls::named("INCR"), Fault::Refuse(Refuse::ReadOnly));
    Simulation::new().plan(plan).run(async |world| {
        let pipeline = ["MULTI", "GET n", "INCR n", "EXEC"].map(words);
        let answers = world.store("a").call_all(pipeline.to_vec()).await?;
        assert_eq!(answers[0], Ok(Value::ok()));
        assert_eq!(answers[1], Ok(Value::Status("QUEUED".into())));
        assert!(answers[2].as_ref().unwrap_err().is_refusal("READONLY"));
        assert!(answers[3].as_ref().unwrap_err().is_refusal("EXECABORT"));
        Ok(())
    });
}

#[test]
fn a_store_that_refuses_writes_answers_reads() {
    simulate(async |world| {
        let store = world.store("a");
        run(&store, "SET n 1").await?;
        for refuse in [
            Refuse::Oom,
            Refuse::ReadOnly,
            Refuse::Misconf,
            Refuse::NoReplicas,
        ] {
            world
                .faulty()
                .follow(Plan::new().with(Calls::all(), Fault::Refuse(refuse)));
            assert_eq!(run(&store, "GET n").await?, Value::Bytes("1".into()));
            let error = run(&store, "INCR n").await.unwrap_err();
            assert_eq!(
                error,
                Error::Refused(larder_store::Refusal::new(refuse.text()))
            );
        }
        Ok(())
    });
}

#[test]
fn a_full_store_lets_go_of_what_it_has() {
    let plan = Plan::new().with(Calls::named("DEL"), Fault::Refuse(Refuse::Oom));
    Simulation::new().plan(plan).run(async |world| {
        let store = world.store("a");
        run(&store, "SET n 1").await?;
        assert_eq!(run(&store, "DEL n").await?, Value::Int(1));
        Ok(())
    });
}

#[test]
fn a_store_that_loads_is_busy_or_has_lost_a_part_refuses_everything() {
    for refuse in [Refuse::Loading, Refuse::Busy, Refuse::ClusterDown] {
        let plan = Plan::new().with(Calls::all(), Fault::Refuse(refuse));
        Simulation::new().plan(plan).run(async |world| {
            let store = world.store("a");
            assert!(run(&store, "GET n").await.unwrap_err().is_refused());
            assert!(
                store
                    .subscribe(Channels::default().channel("c"))
                    .await
                    .is_err()
            );
            Ok(())
        });
    }
}

static READS: Script = Script::new("return redis.call('GET', KEYS[1])");
static WRITES: Script = Script::new("return redis.call('SET', KEYS[1], 'x')");
static ASKS_FIRST: Script = Script::new(
    "local done = redis.pcall('SET', KEYS[1], 'x')
     return {tostring(done.err), redis.call('GET', KEYS[1])}",
);
static LETS_GO_FIRST: Script = Script::new(
    "redis.call('DEL', KEYS[1])
     return redis.call('SET', KEYS[1], 'x')",
);
static MAKES_A_GROUP: Script =
    Script::new("return redis.call('xgroup', 'create', KEYS[1], 'g', '$', 'MKSTREAM')");

/// What stores that refuse do to scripts, on a store of their own.
async fn scripts_that_write_are_refused(store: &Store, follow: impl Fn(Plan)) -> TestResult {
    let key = larder_store::Keys::new("shop", "thing").of("a");
    let refusing = |refuse| Plan::new().with(Calls::scripts(), Fault::Refuse(refuse));
    store.set(&key, "old").await?;

    follow(refusing(Refuse::ReadOnly));
    assert_eq!(
        READS.on(store).key(key.clone()).run::<String>().await?,
        "old"
    );
    let error = WRITES.on(store).key(key.clone()).run::<()>().await;
    assert!(
        error.clone().unwrap_err().is_refusal("READONLY"),
        "{error:?}"
    );
    let error = LETS_GO_FIRST.on(store).key(key.clone()).run::<()>().await;
    assert!(error.unwrap_err().is_refusal("READONLY"));
    let stream = key.part("stream");
    let error = MAKES_A_GROUP.on(store).key(stream).run::<()>().await;
    assert!(error.unwrap_err().is_refusal("READONLY"));
    let (said, held): (String, String) = ASKS_FIRST.on(store).key(key.clone()).run().await?;
    assert_eq!(
        (said.as_str(), held.as_str()),
        (Refuse::ReadOnly.text(), "old")
    );

    follow(refusing(Refuse::Oom));
    let error = WRITES.on(store).key(key.clone()).run::<()>().await;
    assert!(error.unwrap_err().is_refusal("OOM"));
    LETS_GO_FIRST.on(store).key(key.clone()).run::<()>().await?;
    assert_eq!(store.get(&key).await?.as_deref(), Some(&b"x"[..]));

    follow(Plan::new());
    WRITES.on(store).key(key).run::<()>().await?;
    Ok(())
}

#[test]
fn scripts_are_refused_at_their_first_write_in_memory() {
    simulate(async |world| {
        let store = world.store("a");
        scripts_that_write_are_refused(&store, |plan| world.faulty().follow(plan)).await
    });
}

#[tokio::test]
async fn scripts_are_refused_at_their_first_write_on_a_server() -> TestResult {
    let kind = larder_testkit::ServerKind::Redis;
    let Some(server) = larder_testkit::TestStore::server(kind) else {
        return Ok(());
    };
    let faulty = Faulty::new(&server.store, Plan::new(), 1);
    scripts_that_write_are_refused(&faulty.client("a"), |plan| faulty.follow(plan)).await
}

#[test]
fn a_store_that_is_down_answers_nobody_and_comes_back_with_its_data() {
    simulate(async |world| {
        let store = world.store("a");
        run(&store, "SET n 1").await?;
        world
            .happen(Fault::Down {
                lasts: SECOND,
                data: Data::Kept,
            })
            .await?;
        assert!(run(&store, "GET n").await.unwrap_err().is_away());
        world.pass(SECOND).await;
        assert_eq!(run(&store, "GET n").await?, Value::Bytes("1".into()));
        Ok(())
    });
}

#[test]
fn a_client_that_is_cut_off_is_so_alone() {
    let plan = Plan::new().with(Calls::named("PING").of("a"), Fault::CutOff(SECOND));
    Simulation::new().plan(plan).run(async |world| {
        let (store, other) = (world.store("a"), world.store("b"));
        let waiting = {
            let store = store.clone();
            tokio::spawn(async move { run(&store, "BLPOP queue 0").await })
        };
        world.pass(SECOND).await;
        assert!(run(&store, "PING").await.unwrap_err().is_away());
        assert!(waiting.await?.unwrap_err().is_in_doubt());
        assert!(run(&store, "GET n").await.unwrap_err().is_away());
        assert!(run(&other, "PING").await.is_ok());
        world.pass(SECOND).await;
        assert!(run(&store, "GET n").await.is_ok());
        Ok(())
    });
}

/// The end of the first outage once ended the second as well.
#[test]
fn a_store_that_goes_down_twice_is_down_until_the_later_end() {
    simulate(async |world| {
        let store = world.store("a");
        for lasts in [SECOND, SECOND * 5] {
            let data = Data::Kept;
            world.happen(Fault::Down { lasts, data }).await?;
        }
        world.pass(SECOND * 2).await;
        assert!(run(&store, "PING").await.unwrap_err().is_away());
        world.pass(SECOND * 3).await;
        assert!(run(&store, "PING").await.is_ok());
        Ok(())
    });
}

#[test]
fn a_store_that_comes_back_empty_knows_no_keys_and_no_scripts() {
    simulate(async |world| {
        let store = world.store("a");
        let key = larder_store::Keys::new("shop", "thing").of("a");
        WRITES.on(&store).key(key.clone()).run::<()>().await?;
        let lost = Fault::Down {
            lasts: Duration::ZERO,
            data: Data::Lost,
        };
        world.happen(lost).await?;
        assert_eq!(store.get(&key).await?, None);
        let known = words(&format!("SCRIPT EXISTS {}", WRITES.digest()));
        assert_eq!(store.run::<Vec<bool>>(known).await?, [false]);
        Ok(())
    });
}

#[test]
fn whoever_waits_when_the_store_goes_is_in_doubt() {
    simulate(async |world| {
        let store = world.store("a");
        let waiting = tokio::spawn(async move { run(&store, "BLPOP queue 0").await });
        world.pass(SECOND).await;
        world.faulty().go_away();
        assert!(waiting.await?.unwrap_err().is_in_doubt());
        Ok(())
    });
}

#[test]
fn a_wait_ends_by_the_time_of_tokio() {
    simulate(async |world| {
        let asked = tokio::time::Instant::now();
        assert_eq!(
            run(&world.store("a"), "BLPOP queue 1.5").await?,
            Value::Null
        );
        assert_eq!(asked.elapsed(), SECOND * 3 / 2);
        Ok(())
    });
}

#[test]
fn times_to_live_and_the_stores_clock_follow_the_time_of_tokio() {
    simulate(async |world| {
        let (store, clock) = (world.store("a"), world.clock());
        run(&store, "SET n 1 PX 1000").await?;
        world.pass(SECOND - Duration::from_millis(1)).await;
        assert_eq!(run(&store, "PTTL n").await?, Value::Int(1));
        world.pass(Duration::from_millis(1)).await;
        assert_eq!(run(&store, "GET n").await?, Value::Null);
        assert_eq!(world.clock().duration_since(clock)?, SECOND);
        Ok(())
    });
}

#[test]
fn a_clock_that_is_set_forward_lets_keys_expire_and_nobody_waits_less() {
    simulate(async |world| {
        let store = world.store("a");
        run(&store, "SET n 1 EX 60").await?;
        let waiting = tokio::spawn(async move { run(&store, "BLPOP queue 30").await });
        world.pass(SECOND).await;
        world.happen(Fault::ClockForward(SECOND * 60)).await?;
        assert_eq!(count(&world, "n").await, 0);
        let asked = tokio::time::Instant::now();
        assert_eq!(waiting.await??, Value::Null);
        assert_eq!(asked.elapsed(), SECOND * 29);
        Ok(())
    });
}

#[test]
fn a_clock_that_is_set_back_lets_keys_live_longer() {
    simulate(async |world| {
        let store = world.store("a");
        run(&store, "SET n 1 EX 60").await?;
        world.happen(Fault::ClockBack(SECOND * 60)).await?;
        assert_eq!(run(&store, "TTL n").await?, Value::Int(120));
        Ok(())
    });
}

#[test]
fn subscriptions_tell_of_the_gap_and_go_on() {
    simulate(async |world| {
        let store = world.store("a");
        let mut events = store.subscribe(Channels::default().channel("c")).await?;
        run(&store, "PUBLISH c 1").await?;
        world
            .happen(Fault::Down {
                lasts: SECOND,
                data: Data::Kept,
            })
            .await?;
        assert!(run(&store, "PUBLISH c 2").await.is_err());
        let message = |payload| {
            let channel = "c".into();
            Some(Event::Message(Message {
                channel,
                pattern: None,
                payload,
            }))
        };
        // What was not read when the connection was cut is lost with it.
        assert_eq!(events.next().await, Some(Event::Gap));
        run(&store, "PUBLISH c 3").await?;
        assert_eq!(events.next().await, message("3".into()));
        Ok(())
    });
}

#[test]
fn a_closed_client_is_closed_for_itself_alone() {
    simulate(async |world| {
        let (store, other) = (world.store("a"), world.store("b"));
        let mut events = store.subscribe(Channels::default().channel("c")).await?;
        store.close().await?;
        assert_eq!(events.next().await, None);
        assert_eq!(run(&store, "PING").await, Err(Error::Closed));
        assert!(run(&other, "PING").await.is_ok());
        Ok(())
    });
}

#[test]
fn one_key_is_evicted_of_those_that_match() {
    simulate(async |world| {
        let store = world.store("a");
        run(&store, "MSET cache:1 x cache:2 x lock:1 x").await?;
        world.happen(Fault::Evict("cache:*".into())).await?;
        assert_eq!(run(&store, "EXISTS cache:1 cache:2").await?, Value::Int(1));
        assert_eq!(run(&store, "EXISTS lock:1").await?, Value::Int(1));
        Ok(())
    });
}

#[test]
fn what_has_no_time_to_live_does_not_expire() {
    simulate(async |world| {
        let store = world.store("a");
        run(&store, "SET a:1 x").await?;
        run(&store, "SET a:2 x EX 60").await?;
        world.happen(Fault::Expire("a:*".into())).await?;
        assert_eq!(run(&store, "EXISTS a:1 a:2").await?, Value::Int(1));
        Ok(())
    });
}

#[test]
fn a_copy_lacks_the_last_writes_and_its_clock_is_behind() {
    simulate(async |world| {
        let store = world.store("a");
        run(&store, "SET n 1 EX 60").await?;
        world.pass(SECOND * 10).await;
        run(&store, "SET n 2 EX 60").await?;
        run(&store, "GET n").await?;
        run(&store, "SET m 1").await?;
        world
            .happen(Fault::FailOver {
                lost: 2,
                behind: SECOND * 5,
            })
            .await?;
        assert_eq!(run(&store, "GET n").await?, Value::Bytes("1".into()));
        assert_eq!(run(&store, "TTL n").await?, Value::Int(55));
        assert_eq!(run(&store, "EXISTS m").await?, Value::Int(0));
        Ok(())
    });
}

/// The copy of a stream gave an entry to somebody else, where one of its readers had waited for it.
#[test]
fn a_copy_gives_to_those_who_waited_what_they_were_given() {
    simulate(async |world| {
        let store = world.store("a");
        run(&store, "XGROUP CREATE s g $ MKSTREAM").await?;
        let read = |consumer: &str| format!("XREADGROUP GROUP g {consumer} BLOCK 0 STREAMS s >");
        for consumer in ["ann", "bob"] {
            let (store, read) = (store.clone(), read(consumer));
            tokio::spawn(async move { run(&store, &read).await });
            world.pass(SECOND).await;
        }
        run(&store, "XADD s * f 1").await?;
        run(&store, "XADD s * f 2").await?;
        world.settled().await;
        let pending = run(&store, "XPENDING s g - + 10").await?;
        let clock = world.clock();
        world
            .happen(Fault::FailOver {
                lost: 0,
                behind: Duration::ZERO,
            })
            .await?;
        assert_eq!(run(&store, "XPENDING s g - + 10").await?, pending);
        assert_eq!(world.clock(), clock);
        Ok(())
    });
}

#[test]
fn who_is_dropped_before_a_request_leaves_has_asked_nothing() {
    simulate(async |world| {
        let store = world.store("a");
        let mut asked = 0;
        let dropped = at_every_await(
            async || store.incr("n").await,
            async |done| {
                world.settled().await;
                asked += 1;
                // Of the first call alone nothing was sent.
                assert_eq!(count(&world, "n").await, asked - 1, "{done:?}");
            },
        );
        assert_eq!(dropped.await, 3);
        Ok(())
    });
}

#[test]
fn who_is_dropped_while_waiting_takes_nothing() {
    simulate(async |world| {
        let store = world.store("a");
        for n in 1..4 {
            assert_eq!(dropped_at(n, run(&store, "BLPOP queue 0")).await, None);
        }
        run(&store, "RPUSH queue job").await?;
        assert_eq!(run(&store, "LLEN queue").await?, Value::Int(1));
        Ok(())
    });
}

#[test]
#[should_panic(expected = "it hangs")]
fn a_run_that_waits_for_ever_fails() {
    Simulation::new().longest(SECOND).run(async |_| {
        std::future::pending::<()>().await;
        Ok(())
    });
}

#[test]
#[should_panic(expected = "only the store of `Faulty::memory`")]
fn a_store_of_somebody_else_has_no_clock_to_set() {
    let plan = Plan::new().with(Calls::all(), Fault::ClockBack(SECOND));
    let _ = Faulty::new(&larder_testkit::TestStore::memory().store, plan, 1);
}

/// Several tasks under all faults; what they were told and how the store ended.
fn outcome(seed: u64) -> Vec<String> {
    let seen = parking_lot::Mutex::new(Vec::new());
    let faults = [Fault::network(), Fault::refusals(), more_faults()].concat();
    let plan = Plan::random(seed, &faults).latency(Duration::ZERO..=SECOND / 10);
    Simulation::new().plan(plan).run(async |world| {
        let tasks = ["ann", "bob", "cid"].map(|name| tokio::spawn(work(world.store(name))));
        for task in tasks {
            task.await?;
        }
        let history = world.faulty().history().entries();
        seen.lock().extend(history.iter().map(ToString::to_string));
        Ok(())
    });
    seen.into_inner()
}

fn more_faults() -> Vec<Fault> {
    vec![
        Fault::FailOver {
            lost: 5,
            behind: SECOND,
        },
        Fault::Evict("*".into()),
        Fault::Expire("*".into()),
        Fault::ClockBack(SECOND),
        Fault::ClockForward(SECOND),
    ]
}

async fn work(store: Store) {
    for line in [
        "INCR n",
        "XADD s * f v",
        "SADD set a b c d",
        "SPOP set",
        "SCAN 0",
        "BLPOP queue 0.5",
        "XRANGE s - +",
        "SET k v PX 100",
        "PTTL k",
        "RANDOMKEY",
    ] {
        for _ in 0..3 {
            let _ = run(&store, line).await;
        }
    }
}

#[test]
fn a_seed_does_the_same_each_time() {
    for seed in 0..20 {
        let (once, again) = (outcome(seed), outcome(seed));
        assert!(once.len() >= 90);
        for (line, other) in once.iter().zip(&again) {
            assert_eq!(line, other, "seed {seed}");
        }
        assert_eq!(once.len(), again.len());
    }
}

/// A request that takes too long may have arrived, and one that could not leave has not.
#[test]
fn a_caller_with_a_deadline_hears_something_within_it() {
    for fault in [Fault::SlowRequest(SECOND), Fault::SlowAnswer(SECOND)] {
        with_fault(fault, async |world| {
            let store = world.store("a").within(SECOND / 4);
            let began = tokio::time::Instant::now();
            assert!(store.incr("n").await.unwrap_err().is_in_doubt());
            assert_eq!(began.elapsed(), SECOND / 4);
            world.settled().await;
            assert_eq!(count(&world, "n").await, 1);
            assert_eq!(store.incr("n").await?, 2);
            world.faulty().go_away();
            assert!(store.incr("n").await.unwrap_err().is_away());
            Ok(())
        });
    }
}

#[test]
fn a_command_that_waits_has_its_own_time_and_the_deadline_on_top() {
    simulate(async |world| {
        let store = world.store("a").within(SECOND / 4);
        let began = tokio::time::Instant::now();
        assert_eq!(run(&store, "BLPOP list 2").await?, Value::Null);
        assert!((2 * SECOND..=2 * SECOND + SECOND / 4).contains(&began.elapsed()));

        let answers = Calls::named("BLPOP").nth(1);
        world
            .faulty()
            .follow(Plan::new().with(answers, Fault::SlowAnswer(5 * SECOND)));
        let began = tokio::time::Instant::now();
        let lost = run(&store, "BLPOP list 2").await.unwrap_err();
        assert!(lost.is_in_doubt());
        assert_eq!(began.elapsed(), 2 * SECOND + SECOND / 4);
        Ok(())
    });
}

#[test]
fn channels_have_to_be_confirmed_within_the_deadline() {
    simulate(async |world| {
        let slow = Calls::named("SUBSCRIBE").nth(1);
        world
            .faulty()
            .follow(Plan::new().with(slow, Fault::SlowAnswer(SECOND)));
        let store = world.store("a").within(SECOND / 4);
        let channels = || Channels::default().channel("news");
        let began = tokio::time::Instant::now();
        assert!(store.subscribe(channels()).await.unwrap_err().is_in_doubt());
        assert_eq!(began.elapsed(), SECOND / 4);
        assert!(store.subscribe(channels()).await.is_ok());
        Ok(())
    });
}

#[test]
fn a_client_that_is_cut_off_learns_neither_parts_nor_capabilities() {
    simulate(async |world| {
        let store = world.store("a");
        assert_eq!(store.parts().await?.len(), 1);
        assert!(store.capabilities().await?.has(Capability::ReadOnlyScripts));
        world.faulty().go_away();
        assert!(store.parts().await.unwrap_err().is_away());
        assert!(store.capabilities().await.unwrap_err().is_away());
        store.close().await?;
        assert_eq!(store.parts().await, Err(Error::Closed));
        Ok(())
    });
}
