//! Holding shards.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use larder_model::{Model, Patience, block_on, spawn};

use super::{Answer, EARLY, assert_apart, assert_nothing_is_left, call, engine, try_call};

/// Each takes several shards, as one names them in one order and one in the other, and a third looks on.
/// With endless patience whoever takes them in another order than by their indices waits for ever; without
/// any, whoever is not woken does.
#[test]
fn commands_on_several_keys_neither_mix_nor_wait_in_a_circle() {
    for patience in [Patience::Endless, Patience::None] {
        Model::bounded(2).with(patience).check(|| {
            let engine = engine(&[]);
            assert_apart(&engine, "a", "b");
            let run = |request: &'static str| {
                let engine = Arc::clone(&engine);
                spawn(move || call(&engine, request))
            };
            let writers = [run("MSET a 1 b 1"), run("MSET b 2 a 2")];
            let seen = run("MGET a b").join().unwrap();
            let unmixed = ["*2 $-1 $-1", "*2 $1 1 $1 1", "*2 $1 2 $1 2"];
            assert!(unmixed.contains(&&*seen), "{seen}");
            for writer in writers {
                assert_eq!(writer.join().unwrap(), "+OK");
            }
            let left = call(&engine, "MGET a b");
            assert!(unmixed[1..].contains(&&*left), "{left}");
            assert_nothing_is_left(&engine, "a");
        });
    }
}

/// Who finds the shard held and has no patience is parked: it has to be woken by whoever lets go, since
/// nothing else happens here. Each changes what the other has left.
#[test]
fn who_could_not_have_a_shard_is_woken_when_it_is_let_go() {
    Model::bounded(4).check(|| {
        let engine = engine(&[]);
        let run = || {
            let engine = Arc::clone(&engine);
            spawn(move || call(&engine, "INCR a"))
        };
        let callers = [run(), run()];
        let mut answers = callers.map(|caller| caller.join().unwrap());
        answers.sort();
        assert_eq!(answers, [":1", ":2"]);
        assert_nothing_is_left(&engine, "a");
    });
}

/// Whoever is parked may go: it leaves no lock and no place, and whoever is parked behind it is woken.
#[test]
fn who_gives_up_what_others_hold_leaves_nothing_behind() {
    Model::bounded(2).check(|| {
        let engine = engine(&[]);
        let run = || {
            let engine = Arc::clone(&engine);
            spawn(move || call(&engine, "INCR a"))
        };
        let callers = [run(), run()];
        let gone = {
            let engine = Arc::clone(&engine);
            spawn(move || match try_call(&engine, &EARLY, "INCR a") {
                Answer::Here(_) => 1,
                Answer::Parked(mut parked) => {
                    let mut context = Context::from_waker(Waker::noop());
                    let _ = pin!(&mut parked).poll(&mut context);
                    0
                }
                Answer::Waits(_) => unreachable!("INCR waits for nothing"),
            })
        };
        callers
            .into_iter()
            .for_each(|caller| drop(caller.join().unwrap()));
        let more = gone.join().unwrap();
        assert_eq!(call(&engine, "GET a"), format!("$1 {}", 2 + more));
        assert_nothing_is_left(&engine, "a");
    });
}

/// What was let go before somebody waits for it is no news that it misses.
#[test]
fn a_place_that_is_taken_after_all_have_been_woken_is_ready_at_once() {
    Model::exhaustive().check(|| {
        let engine = engine(&[]);
        let lot = engine.shards.parking().clone();
        let epoch = lot.epoch();
        let waker = spawn(move || lot.wake_all());
        block_on(crate::keyspace::Parked::new(&engine, epoch));
        waker.join().unwrap();
        assert_eq!(engine.shards.parking().len(), 0);
    });
}
