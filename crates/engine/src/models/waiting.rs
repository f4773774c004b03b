//! Callers that wait for keys.

use std::sync::Arc;

use larder_model::{Model, Patience, spawn};

use super::{
    EARLY, LATE, answer, assert_apart, assert_nothing_is_left, call, engine, quietly, tick,
    tick_waits, wait,
};

#[test]
fn a_push_that_comes_while_a_caller_begins_to_wait_is_not_missed() {
    for patience in [Patience::Endless, Patience::None] {
        Model::bounded(3).with(patience).check(|| {
            let engine = engine(&[]);
            let popper = {
                let engine = Arc::clone(&engine);
                spawn(move || call(&engine, "BLPOP queue 0"))
            };
            assert_eq!(call(&engine, "RPUSH queue a"), ":1");
            assert_eq!(popper.join().unwrap(), "*2 $5 queue $1 a");
            assert_eq!(call(&engine, "LLEN queue"), ":0");
            assert_nothing_is_left(&engine, "queue");
        });
    }
}

/// Two wait when two elements come, from two callers, and a third would take one of them.
#[test]
fn what_is_pushed_goes_to_those_who_wait_in_their_order_and_to_nobody_else() {
    Model::bounded(2).check(|| {
        let engine = engine(&[]);
        let mut first = wait(&engine, "BLPOP queue 0");
        let mut second = wait(&engine, "BLPOP queue 0");
        let run = |requests: &'static [&'static str]| {
            let engine = Arc::clone(&engine);
            spawn(move || {
                let answers = requests.iter().map(|request| call(&engine, request));
                answers.collect::<Vec<_>>()
            })
        };
        let pusher = run(&["RPUSH queue a", "RPUSH queue b"]);
        let thief = run(&["LPOP queue"]);
        // All see a list of one, which is empty again when they have been answered.
        assert_eq!(pusher.join().unwrap(), [":1", ":1"]);
        assert_eq!(thief.join().unwrap(), ["$-1"]);
        assert_eq!(answer(&mut first).as_deref(), Some("*2 $5 queue $1 a"));
        assert_eq!(answer(&mut second).as_deref(), Some("*2 $5 queue $1 b"));
        assert_nothing_is_left(&engine, "queue");
    });
}

/// The element and the deadline come at the same time: one of them ends the wait, and the other finds
/// nothing of it.
#[test]
fn a_wait_whose_deadline_comes_with_a_push_has_the_element_or_leaves_it() {
    Model::bounded(3).check(|| {
        let engine = engine(&[]);
        let mut waiting = wait(&engine, "BLPOP queue 1");
        let pusher = {
            let engine = Arc::clone(&engine);
            spawn(move || call(&engine, "RPUSH queue a"))
        };
        tick_waits(&engine, LATE);
        assert_eq!(pusher.join().unwrap(), ":1");
        tick(&engine, LATE);
        let left = call(&engine, "LLEN queue");
        match answer(&mut waiting).as_deref() {
            Some("*2 $5 queue $1 a") => assert_eq!(left, ":0"),
            Some("*-1") => assert_eq!(left, ":1"),
            other => panic!("{other:?}"),
        }
        assert_nothing_is_left(&engine, "queue");
    });
}

/// A connection ends while its keys are held, or while it is served.
#[test]
fn a_caller_that_goes_while_its_keys_are_held_is_in_no_queue_after_the_next_tick() {
    Model::bounded(3).check(|| {
        let engine = engine(&[]);
        let waiting = wait(&engine, "BLPOP queue 0");
        let pusher = {
            let engine = Arc::clone(&engine);
            spawn(move || call(&engine, "RPUSH queue a"))
        };
        drop(waiting);
        assert_eq!(pusher.join().unwrap(), ":1");
        tick(&engine, EARLY);
        assert_nothing_is_left(&engine, "queue");
        // Nobody is served any more.
        let before = call(&engine, "LLEN queue");
        call(&engine, "RPUSH queue b");
        assert_ne!(call(&engine, "LLEN queue"), before);
    });
}

/// While somebody runs the request of a waiter its deadline ends nothing. It has to end it afterwards.
#[test]
fn a_deadline_that_comes_while_a_waiter_is_served_in_vain_ends_it_at_the_next_tick() {
    Model::exhaustive().check(|| {
        let engine = engine(&[]);
        let mut waiting = wait(&engine, "BLPOP queue 1");
        let server = {
            let (engine, waiter) = (Arc::clone(&engine), Arc::clone(waiting.waiter()));
            spawn(move || {
                if waiter.claim() {
                    engine.wait_on(&waiter);
                }
            })
        };
        tick_waits(&engine, LATE);
        server.join().unwrap();
        tick(&engine, LATE);
        assert_eq!(answer(&mut waiting).as_deref(), Some("*-1"));
        assert_nothing_is_left(&engine, "queue");
    });
}

/// Whoever pushes holds the one list, and somebody else the other: the waiter is put off, and not
/// forgotten.
#[test]
fn a_waiter_whose_other_key_is_held_is_served_by_the_next_tick() {
    Model::bounded(2).check(|| {
        let engine = engine(&[]);
        assert_apart(&engine, "from", "to");
        let mut waiting = wait(&engine, "BLMOVE from to LEFT RIGHT 0");
        let run = |request: &'static str| {
            let engine = Arc::clone(&engine);
            spawn(move || call(&engine, request))
        };
        let callers = [run("RPUSH from a"), run("RPUSH to b")];
        callers
            .into_iter()
            .for_each(|caller| assert!(caller.join().unwrap().starts_with(':')));
        tick(&engine, EARLY);
        assert_eq!(answer(&mut waiting).as_deref(), Some("$1 a"));
        quietly(|| {
            assert_eq!(call(&engine, "LLEN from"), ":0");
            assert_eq!(call(&engine, "LLEN to"), ":2");
        });
        assert_nothing_is_left(&engine, "from");
    });
}
