//! Waiting can always end: what happens beside a script that holds keys for ever.
//!
//! Each test has a script hold keys and never end, and drives another way into the engine against it.
//! Nothing here may wait for longer than a moment, so a test that hangs has found a fault.

#![allow(clippy::panic, reason = "a test that can not go on fails")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use larder_engine::{
    ClientInfo, Engine, Mailbox, Now, Outcome, Overflow, Parked, RespReply, Session, Ticks,
    TimeSource, Waiting,
};
use larder_resp::ArgumentBuffer;

const START_US: u64 = 1_700_000_000_000_000;

/// Holds every key, for it may touch any.
const HOLDS_ALL: &str =
    "EVAL (tostring)(redis.call('GET','a'..'b'))while(true)do(tostring)(1)end 0";

/// The answer to who needs what a script holds for too long.
const BUSY: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

/// The time at which scripts begin, and a time at which they have been running for too long.
const SOON: Clock = Clock { s: 0 };
const LATE: Clock = Clock { s: 6 };

/// A clock that stands still.
#[derive(Clone, Copy)]
struct Clock {
    s: u64,
}

impl TimeSource for Clock {
    fn now(&self) -> Now {
        Now::from_unix_us(START_US + self.s * 1_000_000)
    }

    fn ticks(&self) -> Ticks {
        Ticks::from_us(self.s * 1_000_000)
    }
}

fn engine() -> Arc<Engine> {
    Engine::new([7; 32], SOON.now())
}

struct Connection {
    engine: Arc<Engine>,
    session: Session,
}

enum Answer {
    Here(String),
    Waits(Waiting),
    Parked(Parked),
}

impl Connection {
    fn to(engine: &Arc<Engine>) -> Connection {
        let mailbox = Arc::new(Mailbox::new(Overflow::CutOff(1 << 20)));
        Connection {
            engine: Arc::clone(engine),
            session: Session::connected(engine, ClientInfo::default(), mailbox),
        }
    }

    fn call(&mut self, clock: Clock, request: &str) -> Answer {
        let mut words = ArgumentBuffer::new();
        let request = request.split(' ');
        request.for_each(|word| words.push(word.as_bytes()));
        let mut out = Vec::new();
        let mut reply = RespReply::new(&mut out, false);
        let arguments = words.as_arguments();
        match self
            .engine
            .execute(&mut self.session, arguments, &clock, &mut reply)
        {
            Outcome::Done | Outcome::Close => Answer::Here(text(&out)),
            Outcome::Blocked(waiting) => Answer::Waits(waiting),
            Outcome::Parked(parked) => Answer::Parked(parked),
        }
    }

    /// Sends a request that is answered with this, also by a machine on which threads take turns.
    fn expect(&mut self, clock: Clock, request: &str, wanted: &str) {
        loop {
            match self.call(clock, request) {
                Answer::Here(answer) => return assert_eq!(answer, wanted, "{request}"),
                Answer::Waits(_) => panic!("{request} waits"),
                Answer::Parked(_) => thread::yield_now(),
            }
        }
    }

    fn wait(&mut self, request: &str) -> Waiting {
        match self.call(SOON, request) {
            Answer::Waits(waiting) => waiting,
            _ => panic!("{request} does not wait"),
        }
    }
}

fn text(resp: &[u8]) -> String {
    String::from_utf8_lossy(resp)
        .trim_end()
        .replace("\r\n", " ")
}

fn poll(waiting: &mut Waiting) -> Option<String> {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(&mut *waiting).poll(&mut context) {
        Poll::Pending => None,
        Poll::Ready(value) => {
            let mut out = Vec::new();
            waiting.write(&value, &mut RespReply::new(&mut out, false));
            Some(text(&out))
        }
    }
}

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
            thread::spawn(move || match connection.call(SOON, script) {
                Answer::Here(answer) => assert!(answer.starts_with("-ERR Script"), "{answer}"),
                _ => panic!("the script has not been run"),
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
    assert!(matches!(client.call(SOON, "GET x"), Answer::Parked(_)));
    client.expect(LATE, "GET x", BUSY);
    client.expect(LATE, "PING", "+PONG");
}

/// An administrator who looks why nobody is answered has to be.
#[test]
fn info_answers_while_a_script_holds_every_key() {
    let engine = engine();
    let _hanging = Hanging::begun(&engine, HOLDS_ALL);
    let mut client = Connection::to(&engine);
    for clock in [SOON, LATE] {
        let Answer::Here(info) = client.call(clock, "INFO everything") else {
            panic!("INFO waits");
        };
        assert!(info.contains("used_memory:"), "{info}");
        assert!(info.contains("cmdstat_eval:"), "{info}");
    }
}

#[test]
fn who_needs_other_keys_is_served_beside_a_script_that_hangs() {
    let engine = engine();
    let _hanging = Hanging::begun(&engine, HOLDS_X);
    let mut client = Connection::to(&engine);
    for clock in [SOON, LATE] {
        client.expect(clock, "SET other 1", "+OK");
        client.expect(clock, "GET other", "$1 1");
    }
}

#[test]
fn who_is_parked_goes_on_as_soon_as_the_keys_are_free() {
    let engine = engine();
    let hanging = Hanging::begun(&engine, HOLDS_X);
    let mut client = Connection::to(&engine);
    let Answer::Parked(mut parked) = client.call(SOON, "SET x 1") else {
        panic!("the key is held");
    };
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut parked).poll(&mut context).is_pending());
    drop(hanging);
    assert!(Pin::new(&mut parked).poll(&mut context).is_ready());
    client.expect(SOON, "SET x 1", "+OK");
}

#[test]
fn a_push_does_not_wait_for_the_other_key_of_the_waiter_that_it_would_serve() {
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BLPOP a x 0");
    let hanging = Hanging::begun(&engine, HOLDS_X);
    Connection::to(&engine).expect(SOON, "LPUSH a 1", ":1");
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
    watcher.expect(SOON, "WATCH x y", "+OK");
    let hanging = Hanging::begun(&engine, HOLDS_ALL);
    drop(waiting);
    watcher.expect(SOON, "UNWATCH", "+OK");
    drop(watcher);
    drop(hanging);
    engine.tick(&SOON);
    Connection::to(&engine).expect(SOON, "LPUSH x kept", ":1");
    Connection::to(&engine).expect(SOON, "LRANGE x 0 -1", "*1 $4 kept");
}

#[test]
fn an_exec_that_is_refused_as_busy_has_ended_the_transaction() {
    let engine = engine();
    let _hanging = Hanging::begun(&engine, HOLDS_X);
    let mut client = Connection::to(&engine);
    client.expect(SOON, "MULTI", "+OK");
    client.expect(SOON, "SET x 1", "+QUEUED");
    let refusal = format!(
        "-EXECABORT Transaction discarded because of: {}",
        &BUSY[1..]
    );
    client.expect(LATE, "EXEC", &refusal);
    client.expect(LATE, "GET y", "$-1");
}

#[test]
fn an_exec_that_is_parked_keeps_its_transaction() {
    let engine = engine();
    let hanging = Hanging::begun(&engine, HOLDS_X);
    let mut client = Connection::to(&engine);
    client.expect(SOON, "MULTI", "+OK");
    client.expect(SOON, "SET x 1", "+QUEUED");
    assert!(matches!(client.call(SOON, "EXEC"), Answer::Parked(_)));
    drop(hanging);
    client.expect(SOON, "EXEC", "*1 +OK");
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
    client.expect(SOON, "SET x 1 EX 1", "+OK");
    client.expect(SOON, "SET other 1 EX 1", "+OK");
    let hanging = Hanging::begun(&engine, HOLDS_X);
    engine.tick(&LATE);
    client.expect(LATE, "DBSIZE", ":1");
    drop(hanging);
    engine.tick(&LATE);
    client.expect(LATE, "DBSIZE", ":0");
}

#[test]
fn a_script_that_begins_while_the_store_ends_is_ended_too() {
    let engine = engine();
    engine.stop_scripts();
    let Answer::Here(answer) = Connection::to(&engine).call(SOON, HOLDS_X) else {
        panic!("nobody else holds the key");
    };
    assert!(answer.starts_with("-ERR Script ended because the store is closing"));
}

#[test]
fn a_step_of_the_system_clock_makes_no_script_overdue_and_ends_no_wait() {
    struct Stepped;
    impl TimeSource for Stepped {
        fn now(&self) -> Now {
            Now::from_unix_us(START_US + 3_600_000_000)
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
        thread::spawn(move || drop(connection.call(LATE, script)))
    };
    let mut client = Connection::to(&engine);
    client.expect(LATE, "GET free", "$-1");
    assert!(quick.join().is_ok());
}
