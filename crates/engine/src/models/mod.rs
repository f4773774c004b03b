//! Models: what the threads of the engine owe each other, in every order of their steps.
//!
//! Each model states a law, and runs the engine as it is on a few threads of `larder_model`, whose locks
//! and atomics say where one thread can come between the steps of another. There is no tick in them but
//! where one is named: what a law says holds without it.
//!
//! `cargo xtask models` runs them.

mod holding;
mod lanes;
mod mailbox;
#[cfg(feature = "lua")]
mod scripts;
mod waiting;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use larder_model::{block_on, quietly};
use larder_resp::ArgumentBuffer;

use crate::engine::{Engine, Now, Ticks, TimeSource};
use crate::execute::Outcome;
use crate::keyspace::entry::Kind;
use crate::keyspace::waiting::Waiting;
use crate::keyspace::{Parked, SHARDS};
use crate::reply::RespReply;
use crate::session::Session;

/// Clocks that stand still: when everything begins, and when waits of a second are over and scripts have
/// been running for too long.
const EARLY: Clock = Clock { s: 0 };
const LATE: Clock = Clock { s: 10 };

#[derive(Clone, Copy, Debug)]
struct Clock {
    s: u64,
}

impl TimeSource for Clock {
    fn now(&self) -> Now {
        Now::from_unix_us(1_700_000_000_000_000 + self.s * 1_000_000)
    }

    fn ticks(&self) -> Ticks {
        Ticks::from_us(self.s * 1_000_000)
    }
}

/// An engine on which these requests have been run.
fn engine(requests: &[&str]) -> Arc<Engine> {
    quietly(|| {
        let engine = Engine::new([7; 32], EARLY.now());
        // What the process has once is there before its threads are.
        assert_eq!(call(&engine, "PING"), "+PONG");
        for request in requests {
            assert!(!call(&engine, request).starts_with('-'), "{request}");
        }
        engine
    })
}

/// What came of a request.
enum Answer {
    Here(String),
    Waits(Waiting),
    Parked(Parked),
}

/// Runs a request once.
fn try_call(engine: &Arc<Engine>, clock: &dyn TimeSource, request: &str) -> Answer {
    let mut words = ArgumentBuffer::new();
    request
        .split(' ')
        .for_each(|word| words.push(word.as_bytes()));
    let mut out = Vec::new();
    let mut reply = RespReply::new(&mut out, false);
    let mut session = Session::local();
    match engine.execute(&mut session, words.as_arguments(), clock, &mut reply) {
        Outcome::Done | Outcome::Close => Answer::Here(text(&out)),
        Outcome::Blocked(waiting) => Answer::Waits(waiting),
        Outcome::Parked(parked) => Answer::Parked(parked),
    }
}

/// Runs a request until it is answered, as its connection does.
fn call_at(engine: &Arc<Engine>, clock: &dyn TimeSource, request: &str) -> String {
    loop {
        match try_call(engine, clock, request) {
            Answer::Here(answer) => return answer,
            Answer::Waits(mut waiting) => {
                let value = block_on(&mut waiting);
                let mut out = Vec::new();
                waiting.write(&value, &mut RespReply::new(&mut out, false));
                return text(&out);
            }
            Answer::Parked(parked) => block_on(parked),
        }
    }
}

fn call(engine: &Arc<Engine>, request: &str) -> String {
    call_at(engine, &EARLY, request)
}

/// Begins a wait.
fn wait(engine: &Arc<Engine>, request: &str) -> Waiting {
    match quietly(|| try_call(engine, &EARLY, request)) {
        Answer::Waits(waiting) => waiting,
        _ => panic!("{request} does not wait"),
    }
}

/// The answer that a wait has by now, if it has one.
fn answer(waiting: &mut Waiting) -> Option<String> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(&mut *waiting).poll(&mut context) {
        Poll::Pending => None,
        Poll::Ready(value) => {
            let mut out = Vec::new();
            waiting.write(&value, &mut RespReply::new(&mut out, false));
            Some(text(&out))
        }
    }
}

fn text(resp: &[u8]) -> String {
    String::from_utf8_lossy(resp)
        .trim_end()
        .replace("\r\n", " ")
}

/// The part of a tick in which waits end: the other parts take every shard.
fn tick_waits(engine: &Arc<Engine>, clock: Clock) {
    engine.config.cron_paused.store(true, Relaxed);
    engine.tick(&clock);
}

/// A whole tick, when everything else is over.
fn tick(engine: &Arc<Engine>, clock: Clock) {
    engine.config.cron_paused.store(false, Relaxed);
    quietly(|| engine.tick(&clock));
}

/// These keys are in shards of their own.
fn assert_apart(engine: &Engine, one: &str, other: &str) {
    let shard = |key: &str| {
        engine
            .shards
            .index(engine.shards.seed().hash(key.as_bytes()))
    };
    assert_ne!(shard(one), shard(other));
}

/// Nothing is held, nobody is parked, and nobody is left in the queue of a key.
fn assert_nothing_is_left(engine: &Arc<Engine>, key: &str) {
    quietly(|| {
        for index in 0..SHARDS {
            assert!(engine.shards.try_take(index).is_some(), "{index} is held");
        }
        assert_eq!(engine.shards.parking().len(), 0, "somebody is parked");
        assert_eq!(engine.awaited_keys(), (0, 0), "somebody is noted");
        let index = engine
            .shards
            .index(engine.shards.seed().hash(key.as_bytes()));
        let shard = engine.shards.try_take(index).expect("it is free");
        let waiter = shard.next_waiter(0, key.as_bytes(), 0, Some(Kind::List));
        assert!(waiter.is_none(), "somebody is in the queue of {key}");
    });
}
