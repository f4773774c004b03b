//! Concurrent requests on one engine have an order, and a checker says so that can say otherwise.
//!
//! `LARDER_HISTORIES=100000 cargo test -p larder-testkit --test linear` checks more of them.

#![allow(clippy::panic, reason = "a test that can not go on fails")]

use larder_testkit::linear::{
    Answer, Command, Fault, Histories, Operation, Request, Verdict, check,
};

const HISTORIES: Histories = Histories {
    seed: 1,
    count: 300,
    clients: 3,
    requests: 10,
    fault: Fault::None,
};

#[test]
fn commands_transactions_and_scripts_of_several_threads_have_an_order() {
    let count = std::env::var("LARDER_HISTORIES").ok();
    let count = count.and_then(|count| count.parse().ok());
    let histories = Histories {
        count: count.unwrap_or(HISTORIES.count),
        ..HISTORIES
    };
    if let Err(text) = histories.check() {
        panic!("there is no order:\n{text}");
    }
}

/// Whether threads meet is up to the machine: it gets many tries, and one find is enough.
fn is_found(fault: Fault) -> bool {
    let histories = Histories {
        count: 20_000,
        fault,
        ..HISTORIES
    };
    histories
        .check()
        .is_err_and(|text| !text.contains("given up"))
}

#[test]
fn transactions_that_are_torn_are_found() {
    assert!(is_found(Fault::TornTransactions));
}

#[test]
fn stale_reads_are_found() {
    assert!(is_found(Fault::StaleReads));
}

#[test]
fn transactions_that_do_not_watch_are_found() {
    assert!(is_found(Fault::NoWatch));
}

fn operation(client: usize, time: [u64; 2], command: Command, answer: Answer) -> Operation {
    Operation {
        client,
        time,
        request: Request::Command(command),
        answer,
    }
}

#[test]
fn what_overlaps_comes_in_any_order() {
    let history = [
        operation(0, [0, 3], Command::Set(0, 1), Answer::Done),
        operation(1, [1, 2], Command::Get(0), Answer::Nothing),
        operation(2, [4, 7], Command::Get(0), Answer::Number(1)),
        operation(1, [5, 6], Command::Get(1), Answer::Nothing),
    ];
    assert_eq!(check(&history), Verdict::Linearizable);
}

#[test]
fn a_read_that_began_after_a_write_had_ended_sees_it() {
    let history = [
        operation(0, [0, 1], Command::Set(0, 1), Answer::Done),
        operation(1, [2, 3], Command::Get(0), Answer::Nothing),
        operation(1, [4, 5], Command::Get(1), Answer::Nothing),
    ];
    // The other key has no part in it.
    let guilty = history[..2].to_vec();
    let Verdict::NotLinearizable(mut found) = check(&history) else {
        panic!("the read was too old");
    };
    found.sort_by_key(|operation| operation.time);
    assert_eq!(found, guilty);
}

#[test]
fn two_who_increment_never_see_the_same_number() {
    let history = [
        operation(0, [0, 3], Command::Increment(0), Answer::Number(1)),
        operation(1, [1, 2], Command::Increment(0), Answer::Number(1)),
    ];
    assert!(matches!(check(&history), Verdict::NotLinearizable(_)));
}

/// Each key by itself has an order, and both together have none.
#[test]
fn keys_that_one_request_brings_together_have_one_order() {
    let both = Command::GetBoth([0, 1]);
    let seen = |one: Answer, other: Answer| Answer::All(vec![one, other]);
    let history = [
        operation(0, [0, 7], Command::Set(0, 1), Answer::Done),
        operation(1, [1, 8], Command::Set(1, 1), Answer::Done),
        operation(2, [2, 4], both, seen(Answer::Number(1), Answer::Nothing)),
        operation(3, [3, 5], both, seen(Answer::Nothing, Answer::Number(1))),
    ];
    assert!(matches!(check(&history), Verdict::NotLinearizable(_)));
}

#[test]
fn a_transaction_fails_only_if_what_it_watches_has_changed() {
    let step = |time, request, answer| Operation {
        client: 0,
        time,
        request,
        answer,
    };
    let history = |changes_between: bool| {
        let set_at = if changes_between { [2, 3] } else { [6, 7] };
        [
            step([0, 1], Request::Watch(0), Answer::Done),
            operation(1, set_at, Command::Set(0, 1), Answer::Done),
            step(
                [4, 5],
                Request::Transaction(vec![Command::Get(1)]),
                Answer::Nothing,
            ),
        ]
    };
    assert_eq!(check(&history(true)), Verdict::Linearizable);
    assert!(matches!(
        check(&history(false)),
        Verdict::NotLinearizable(_)
    ));
}
