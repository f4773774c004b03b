//! Random programs on the engine and on a real server, which have to be alike.
//!
//! `LARDER_DIFFERENTIAL_PROGRAMS=100000 LARDER_DIFFERENTIAL_SEED=1 cargo test -p larder-testkit
//! --test differential` runs longer, and other programs.

#![allow(clippy::panic, reason = "a test that can not go on fails")]

use larder_testkit::{Differential, Family, Length, ServerKind, Subject};

#[test]
fn random_programs_are_answered_as_redis_answers_them() {
    check(Subject::Commands, ServerKind::Redis, 600);
}

#[test]
fn connections_that_wait_watch_and_listen_are_answered_as_redis_answers_them() {
    check(Subject::Connections, ServerKind::Redis, 200);
}

#[test]
fn random_programs_are_answered_as_valkey_answers_them() {
    check(Subject::Commands, ServerKind::Valkey, 300);
}

/// Since Redis 7.2 a wait that ends looks at all of its keys again, and so does Valkey's.
#[test]
fn connections_that_wait_watch_and_listen_are_answered_as_valkey_answers_them() {
    check(Subject::Connections, ServerKind::Valkey, 200);
}

#[test]
fn random_scripts_are_answered_as_redis_answers_them() {
    check(Subject::Scripts, ServerKind::Redis, 300);
}

/// `cargo xtask compare` runs longer.
#[test]
fn programs_about_each_family_are_answered_as_redis_answers_them() {
    check_families(ServerKind::Redis);
}

#[test]
fn programs_about_each_family_are_answered_as_valkey_answers_them() {
    check_families(ServerKind::Valkey);
}

#[test]
fn programs_about_each_family_are_answered_as_redis_8_answers_them() {
    check_families(ServerKind::Redis8);
}

/// Runs programs about each family.
fn check_families(server: ServerKind) {
    for family in Family::ALL {
        let length = Length::Requests(number("LARDER_DIFFERENTIAL_REQUESTS", 1000));
        is_alike(Differential {
            server,
            length,
            ..Differential::about(*family)
        });
    }
}

/// Runs as many programs as the environment says, or this many.
fn check(subject: Subject, server: ServerKind, programs: u64) {
    is_alike(Differential {
        subject,
        family: None,
        server,
        seed: number("LARDER_DIFFERENTIAL_SEED", 0),
        length: Length::Programs(number("LARDER_DIFFERENTIAL_PROGRAMS", programs)),
    });
}

fn is_alike(run: Differential) {
    let ran = run.run(|_| {});
    let requests = ran.tally.requests();
    println!("{requests} requests from seed {}", run.seed);
    assert!(
        ran.differences.is_empty(),
        "the engine differs from {:?}:\n{}",
        run.server,
        ran.differences.join("\n")
    );
}

/// The number in a variable of the environment.
fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else {
        return otherwise;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{variable} is not a number: {text}"))
}
