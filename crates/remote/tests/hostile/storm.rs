//! Thousands of callers and a server that goes and comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_remote::Config;
use larder_store::{Error, Value};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::stub::Stub;
use crate::{SHORT, open, words};

const CALLERS: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_callers_do_not_storm_a_server_that_restarts() {
    let is_up = Arc::new(AtomicBool::new(true));
    let up = Arc::clone(&is_up);
    let stub = Stub::start(move |mut peer| {
        let up = Arc::clone(&up);
        async move {
            while up.load(Ordering::SeqCst) && peer.request().await.is_some() {
                if up.load(Ordering::SeqCst) {
                    peer.say("+OK\r\n").await;
                }
            }
        }
    })
    .await;
    let store = open(&stub.url(), Config::default());
    assert_eq!(store.call(words("GET a")).await, Ok(Value::ok()));
    let before = (stub.connections(), stub.requests());

    is_up.store(false, Ordering::SeqCst);
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let store = store.clone();
        let line = if number % 2 == 0 { "GET a" } else { "INCR a" };
        callers.spawn(async move { store.call(words(line)).await });
    }
    let mut answers = 0;
    while let Some(told) = callers.join_next().await {
        answers += usize::from(told.unwrap().is_ok());
    }
    let took = begun.elapsed();
    let connections = stub.connections() - before.0;
    let requests = stub.requests() - before.1;
    assert_eq!(answers, 0);
    assert!(took < SHORT * 20, "{took:?}");
    assert!(connections <= 150, "{connections} connections");
    assert!(requests <= CALLERS + CALLERS / 5, "{requests} commands");

    is_up.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    while store.call(words("GET a")).await != Ok(Value::ok()) {
        assert!(begun.elapsed() < SHORT * 10, "it is not used again");
        sleep(SHORT / 40).await;
    }
}

/// It takes writes and refuses them in turns, as while names and roles change.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_changes_its_mind_costs_few_connections() {
    let refuses = Arc::new(AtomicBool::new(false));
    let flapping = Arc::clone(&refuses);
    let stub = Stub::answering(move |_| {
        let refuses = flapping.fetch_xor(true, Ordering::SeqCst);
        Some(match refuses {
            true => "-READONLY You can't write against a read only replica.\r\n".to_owned(),
            false => "+OK\r\n".to_owned(),
        })
    })
    .await;
    let store = open(&stub.url(), Config::default());
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let store = store.clone();
        callers.spawn(async move { store.call(words("SET a 1")).await });
    }
    let mut refused = 0;
    while let Some(told) = callers.join_next().await {
        match told.unwrap() {
            Ok(_) => {}
            Err(error) if error.is_refusal("READONLY") => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused < 50, "{refused}");
    assert!(stub.connections() <= 3, "{}", stub.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_ends_tells_those_who_wait_in_others() {
    let stub = Stub::answering(|words| (words[0] != "INCR").then(|| "+OK\r\n".to_owned())).await;
    let store = open(&stub.url(), Config::default());
    let lent = store.clone();
    let (is_made, made) = tokio::sync::oneshot::channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(lent.call(words("GET a"))).unwrap();
        is_made.send(()).unwrap();
        ends.recv().unwrap();
    });
    made.await.unwrap();
    // Its connection is driven by the other runtime.
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.call(words("INCR a")).await }
    });
    while stub.requests() < 2 {
        tokio::task::yield_now().await;
    }
    end.send(()).unwrap();
    let answer = waiting.await.unwrap();
    assert!(
        matches!(answer, Err(Error::Unanswered { .. })),
        "{answer:?}"
    );
    tokio::task::spawn_blocking(|| other.join().unwrap())
        .await
        .unwrap();
    assert_eq!(store.call(words("GET a")).await, Ok(Value::ok()));
}
