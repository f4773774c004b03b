//! Scripts that hold keys for too long, and those who need them.

use std::sync::Arc;

use larder_model::{Model, Signal, spawn};

use super::{EARLY, LATE, assert_apart, assert_nothing_is_left, call_at, engine, tick_waits};
use crate::engine::{Engine, Now, Ticks, TimeSource};

/// Asks for the time while it holds its key, and for no other.
const SCRIPT: &str = "EVAL redis.call('TIME')return(redis.call('INCR',KEYS[1])) 1 a";

const BUSY: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

/// The clock of a script, which asks for the time for so long that others see it run.
struct Standing {
    engine: Arc<Engine>,
    runs: Arc<Signal>,
    may_end: Arc<Signal>,
}

impl TimeSource for Standing {
    fn now(&self) -> Now {
        if self.engine.is_busy(&LATE) {
            self.runs.give();
            self.may_end.wait();
        }
        EARLY.now()
    }

    fn ticks(&self) -> Ticks {
        EARLY.ticks()
    }
}

/// One needs the key for certain while the script runs, another at any time. Who was not refused is
/// served when the script is over, and afterwards nobody is refused.
#[test]
fn who_needs_what_a_script_holds_for_too_long_is_refused_until_it_lets_go() {
    Model::bounded(2).check(|| {
        let engine = engine(&[]);
        assert_apart(&engine, "a", "b");
        let (runs, may_end) = (Arc::new(Signal::default()), Arc::new(Signal::default()));
        let script = {
            let clock = Standing {
                engine: Arc::clone(&engine),
                runs: Arc::clone(&runs),
                may_end: Arc::clone(&may_end),
            };
            spawn(move || call_at(&clock.engine, &clock, SCRIPT))
        };
        let other = {
            let engine = Arc::clone(&engine);
            spawn(move || call_at(&engine, &LATE, "SET a 20"))
        };
        runs.wait();
        assert_eq!(call_at(&engine, &LATE, "SET a 10"), BUSY);
        assert_eq!(call_at(&engine, &LATE, "SET b 10"), "+OK");
        may_end.give();
        assert!(script.join().unwrap().starts_with(':'));
        let other = other.join().unwrap();
        assert!(other == BUSY || other == "+OK", "{other}");
        assert!(!engine.shards.any_busy(), "nobody is to be refused");
        assert_eq!(call_at(&engine, &LATE, "SET a 10"), "+OK");
        assert_nothing_is_left(&engine, "a");
    });
}

/// Nobody is left waiting for a script that is over, by whatever it was that they found.
#[test]
fn who_waits_for_a_script_is_woken_when_it_is_over() {
    Model::bounded(2).check(|| {
        let engine = engine(&[]);
        let script = {
            let engine = Arc::clone(&engine);
            spawn(move || call_at(&engine, &EARLY, SCRIPT))
        };
        for _ in 0..2 {
            // So it is known that the script runs before anybody has wanted what it holds.
            tick_waits(&engine, LATE);
            let answer = call_at(&engine, &LATE, "SET a 10");
            assert!(answer == BUSY || answer == "+OK", "{answer}");
        }
        assert!(script.join().unwrap().starts_with(':'));
        assert!(!engine.shards.any_busy(), "nobody is to be refused");
        assert_nothing_is_left(&engine, "a");
    });
}
