//! Random programs on the engine and on a real `redis-server`, which have to be alike.
//!
//! `LARDER_DIFFERENTIAL_PROGRAMS=100000 LARDER_DIFFERENTIAL_SEED=1 cargo test -p larder-testkit
//! --test differential` runs longer, and other programs.

#![allow(clippy::panic, reason = "a test that can not go on fails")]

use larder_testkit::Differential;

/// How many programs are run where nothing else is asked for.
const PROGRAMS: u64 = 600;

#[test]
fn random_programs_are_answered_as_redis_answers_them() {
    let run = Differential {
        seed: number("LARDER_DIFFERENTIAL_SEED", 0),
        programs: number("LARDER_DIFFERENTIAL_PROGRAMS", PROGRAMS),
    };
    if let Err(differences) = run.check() {
        panic!("the engine differs from Redis:\n{differences}");
    }
}

/// The number in a variable of the environment.
fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else {
        return otherwise;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{variable} is not a number: {text}"))
}
