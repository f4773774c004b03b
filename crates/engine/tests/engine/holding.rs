//! Waiting can always end: what happens beside a script that holds keys for ever.
//!
//! Each test has a script hold keys and never end, and drives another way into the engine against it.
//! Nothing here may wait for longer than a moment, so a test that hangs has found a fault.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread::{self, JoinHandle};

use larder_engine::{Engine, Now, Outcome, Ticks, TimeSource};

use crate::support::{Connection, START, engine, later_ms, poll};

/// Holds every key, for it may touch any.
const HOLDS_ALL: &str =
    "EVAL (tostring)(redis.call('GET','a'..'b'))while(true)do(tostring)(1)end 0";

/// The answer to who needs what a script holds for too long.
const BUSY: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

/// The time at which scripts begin, and a time at which they have been running for too long.
const SOON: Now = START;
const LATE: Now = later_ms(6000);

/// A script that holds keys on a thread of its own until it is killed.
struct Hanging {
    engine: Arc<Engine>,
    thread: Option<JoinHandle<()>>,
}

impl Hanging {
    /// Begins one, and waits until it runs.
    fn begun(engine: &Arc<Engine>, script: &'static str) -> Hanging {
        let thread = {
            let mut connection = Connection::to(engine);
            thread::spawn(move || {
                let answer = connection.send(script);
                assert!(answer.starts_with("-ERR Script"), "{answer}");
            })
        };
        while !engine.is_busy(&LATE) {
            thread::yield_now();
        }
        Hanging {
            engine: Arc::clone(engine),
            thread: Some(thread),
        }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.engine.stop_scripts();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}

/// Holds the key `x` alone.
const HOLDS_X: &str = "EVAL while(true)do(tostring)(1)end(tostring)(redis.call('GET',KEYS[1])) 1 x";

#[test]
fn a_request_for_a_held_key_is_parked_at_first_and_refused_when_the_script_is_overdue() {
    let engine = engine();
    let _hanging = Hanging::begun(&engine, HOLDS_X);
    let mut client = Connection::to(&engine);
    assert_eq!(client.send("GET x"), "(parked)");
    client.at(LATE).expect("GET x", BUSY);
    client.at(LATE).expect("PING", "+PONG");
}

/// An administrator who looks why nobody is answered has to be.
#[test]
fn info_answers_while_a_script_holds_every_key() {
    let engine = engine();
    let _hanging = Hanging::begun(&engine, HOLDS_ALL);
    let mut client = Connection::to(&engine);
    for now in [SOON, LATE] {
        let info = client.at(now).send("INFO everything");
        assert!(info.contains("used_memory:"), "{info}");
        assert!(info.contains("cmdstat_eval:"), "{info}");
    }
}

#[test]
fn who_needs_other_keys_is_served_beside_a_script_that_hangs() {
    let engine = engine();
    let _hanging = Hanging::begun(&engine, HOLDS_X);
    let mut client = Connection::to(&engine);
    for now in [SOON, LATE] {
        client.at(now).expect("SET other 1", "+OK");
        client.at(now).expect("GET other", "$1 1");
    }
}

#[test]
fn who_is_parked_goes_on_as_soon_as_the_keys_are_free() {
    let engine = engine();
    let hanging = Hanging::begun(&engine, HOLDS_X);
    let mut client = Connection::to(&engine);
    let (Outcome::Parked(mut parked), _) = client.execute(&["SET", "x", "1"]) else {
        panic!("the key is held");
    };
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut parked).poll(&mut context).is_pending());
    drop(hanging);
    assert!(Pin::new(&mut parked).poll(&mut context).is_ready());
    client.expect("SET x 1", "+OK");
}

#[test]
fn a_push_does_not_wait_for_the_other_key_of_the_waiter_that_it_would_serve() {
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BLPOP a x 0");
    let hanging = Hanging::begun(&engine, HOLDS_X);
    Connection::to(&engine).expect("LPUSH a 1", ":1");
    assert_eq!(poll(&mut waiting), None);
    drop(hanging);
    engine.tick(&SOON);
    assert_eq!(poll(&mut waiting).as_deref(), Some("*2 $1 a $1 1"));
}

#[test]
fn waits_end_in_time_while_a_script_holds_every_key() {
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BLPOP other 1");
    let _hanging = Hanging::begun(&engine, HOLDS_ALL);
    engine.tick(&LATE);
    assert_eq!(poll(&mut waiting).as_deref(), Some("*-1"));
}

#[test]
fn who_waits_or_watches_can_leave_while_the_key_is_held() {
    let engine = engine();
    let waiting = Connection::to(&engine).wait("BLPOP x 0");
    let mut watcher = Connection::to(&engine);
    watcher.expect("WATCH x y", "+OK");
    let hanging = Hanging::begun(&engine, HOLDS_ALL);
    drop(waiting);
    watcher.expect("UNWATCH", "+OK");
    drop(watcher);
    drop(hanging);
    engine.tick(&SOON);
    Connection::to(&engine).expect("LPUSH x kept", ":1");
    Connection::to(&engine).expect("LRANGE x 0 -1", "*1 $4 kept");
}

#[test]
fn an_exec_that_is_refused_as_busy_has_ended_the_transaction() {
    let engine = engine();
    let _hanging = Hanging::begun(&engine, HOLDS_X);
    let mut client = Connection::to(&engine);
    client.expect("MULTI", "+OK");
    client.expect("SET x 1", "+QUEUED");
    let refusal = format!(
        "-EXECABORT Transaction discarded because of: {}",
        &BUSY[1..]
    );
    client.at(LATE).expect("EXEC", &refusal);
    client.at(LATE).expect("GET y", "$-1");
}

#[test]
fn an_exec_that_is_parked_keeps_its_transaction() {
    let engine = engine();
    let hanging = Hanging::begun(&engine, HOLDS_X);
    let mut client = Connection::to(&engine);
    client.expect("MULTI", "+OK");
    client.expect("SET x 1", "+QUEUED");
    assert_eq!(client.send("EXEC"), "(parked)");
    drop(hanging);
    client.expect("EXEC", "*1 +OK");
}

#[test]
fn ticks_and_the_end_of_all_waits_do_not_wait_for_a_script() {
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BLPOP x 0");
    let _hanging = Hanging::begun(&engine, HOLDS_ALL);
    engine.tick(&SOON);
    engine.end_all_waits();
    assert_eq!(poll(&mut waiting).as_deref(), Some("*-1"));
}

#[test]
fn keys_expire_beside_a_script_that_hangs_and_its_own_when_it_is_over() {
    let engine = engine();
    let mut client = Connection::to(&engine);
    client.expect("SET x 1 EX 1", "+OK");
    client.expect("SET other 1 EX 1", "+OK");
    let hanging = Hanging::begun(&engine, HOLDS_X);
    engine.tick(&LATE);
    client.at(LATE).expect("DBSIZE", ":1");
    drop(hanging);
    engine.tick(&LATE);
    client.at(LATE).expect("DBSIZE", ":0");
}

#[test]
fn a_script_that_begins_while_the_store_ends_is_ended_too() {
    let engine = engine();
    engine.stop_scripts();
    let answer = Connection::to(&engine).send(HOLDS_X);
    assert!(answer.starts_with("-ERR Script ended because the store is closing"));
}

#[test]
fn a_step_of_the_system_clock_makes_no_script_overdue_and_ends_no_wait() {
    struct Stepped;
    impl TimeSource for Stepped {
        fn now(&self) -> Now {
            later_ms(3_600_000)
        }

        fn ticks(&self) -> Ticks {
            SOON.ticks()
        }
    }
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BLPOP other 10");
    let _hanging = Hanging::begun(&engine, HOLDS_X);
    engine.tick(&Stepped);
    assert!(!engine.is_busy(&Stepped));
    assert_eq!(poll(&mut waiting), None);
}

#[test]
fn whoever_waits_for_an_ordinary_command_is_not_refused_for_the_sake_of_another_script() {
    let engine = engine();
    let _hanging = Hanging::begun(&engine, HOLDS_X);
    engine.tick(&LATE);
    let quick = {
        let mut connection = Connection::to(&engine);
        let script = "EVAL for(i)=1,2e7(do)end(return)redis.call('GET',KEYS[1]) 1 free";
        thread::spawn(move || drop(connection.at(LATE).send(script)))
    };
    let mut client = Connection::to(&engine);
    client.at(LATE).expect("GET free", "$-1");
    assert!(quick.join().is_ok());
}
