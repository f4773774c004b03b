//! A server that is there and of no use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_remote::{Config, Remote};
use larder_store::{Backend, ConnectionEvent, Store};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::stub::Stub;
use crate::{SHORT, hasty, words};

/// The answers of calls that had been sent before closed the breaker that had just opened, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_slow_is_left_alone_until_it_is_not() {
    let is_slow = Arc::new(AtomicBool::new(true));
    let slow = Arc::clone(&is_slow);
    let stub = Stub::start(move |mut peer| {
        let slow = Arc::clone(&slow);
        async move {
            while peer.request().await.is_some() {
                if slow.load(Ordering::SeqCst) {
                    sleep(SHORT / 20).await;
                }
                peer.say("+OK\r\n").await;
            }
        }
    })
    .await;
    let remote = Remote::open(&stub.url(), Config::default().retries(0)).unwrap();
    let mut events = remote.connection_events();
    let store = Store::new(remote);
    // Answers come one after the other, so among fifty callers each waits for a second.
    let mut callers = JoinSet::new();
    for number in 0..50 {
        let store = store.within(if number % 10 == 0 {
            SHORT * 4
        } else {
            SHORT / 4
        });
        callers.spawn(async move {
            let mut refused = 0;
            for _ in 0..20 {
                if let Err(error) = store.call(words("GET a")).await
                    && error.retry_after().is_some()
                {
                    refused += 1;
                    sleep(SHORT / 40).await;
                }
            }
            refused
        });
    }
    let mut refused = 0;
    while let Some(told) = callers.join_next().await {
        refused += told.unwrap();
    }
    assert!(
        refused > 100,
        "only {refused} of 1,000 were refused at once"
    );
    is_slow.store(false, Ordering::SeqCst);
    let answered = async {
        // Who is refused is told when to come again.
        while let Err(error) = store.call(words("GET a")).await {
            sleep(error.retry_after().unwrap_or_default()).await;
        }
    };
    let answered = timeout(SHORT * 20, answered).await;
    assert!(answered.is_ok(), "the breaker does not close");
    drop(store);
    let (mut opened, mut closed) = (0, 0);
    while let Some(event) = events.next().await {
        match event {
            ConnectionEvent::BreakerOpened(..) => opened += 1,
            ConnectionEvent::BreakerClosed(_) => closed += 1,
            _ => {}
        }
    }
    assert_eq!(opened, closed, "as often as it opens it closes");
    assert!((1..=4).contains(&opened), "it opened {opened} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_tries_in_vain_the_others_are_refused_at_once() {
    let stub = Stub::answering(|_| None).await;
    let remote = Remote::open(&stub.url(), hasty()).unwrap();
    let store = Store::new(remote);
    for _ in 0..3 {
        assert!(store.call(words("GET a")).await.is_err());
    }
    let begun = Instant::now();
    let mut waited = 0;
    while begun.elapsed() < SHORT * 8 {
        let asked = Instant::now();
        assert!(store.call(words("GET a")).await.is_err());
        waited += usize::from(asked.elapsed() > SHORT / 2);
        sleep(SHORT / 100).await;
    }
    assert!(waited <= 5, "{waited} callers had to wait");
}
