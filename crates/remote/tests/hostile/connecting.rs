//! How a connection begins, and does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};

use larder_remote::Config;
use larder_store::{Error, Value};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::stub::{Stub, echo};
use crate::{SHORT, SLACK, hasty, open, words};

async fn why_not(stub: &Stub) -> String {
    match open(&stub.url(), hasty()).call(words("GET a")).await {
        Err(Error::Away(away)) => away.reason().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// A server that is full says so at once, before it was asked anything, and hangs up. The callers were told
/// that it spoke another protocol, or that it had hung up.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_turns_away_at_the_door_is_quoted() {
    for refusal in [
        "ERR max number of clients reached",
        "DENIED Redis is running in protected mode",
    ] {
        for pause in [0, 1, 5] {
            let stub = Stub::start(move |mut peer| async move {
                peer.say(format!("-{refusal}\r\n")).await;
                sleep(SHORT / 100 * pause).await;
            })
            .await;
            let reason = why_not(&stub).await;
            assert!(reason.contains(refusal), "{reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_for_a_moment_is_waited_for() {
    let stub = Stub::start(|mut peer| async move {
        if peer.number < 2 {
            peer.say("-ERR max number of clients reached\r\n").await;
            return;
        }
        while peer.request().await.is_some() {
            peer.say("+OK\r\n").await;
        }
    })
    .await;
    let answer = open(&stub.url(), Config::default())
        .call(words("GET a"))
        .await;
    assert_eq!(answer, Ok(Value::ok()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_that_is_refused_is_quoted_also_if_the_server_hangs_up() {
    for refusal in [
        "ERR unknown command 'HELLO'",
        "NOPROTO unsupported protocol version",
        "NOPERM this user has no permissions to run the 'hello' command",
    ] {
        let stub = Stub::start(move |mut peer| async move {
            peer.any_request().await;
            peer.say(format!("-{refusal}\r\n")).await;
        })
        .await;
        let reason = why_not(&stub).await;
        assert!(reason.contains(refusal), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_accepts_and_says_nothing_costs_no_more_than_a_connection_may() {
    let stub = Stub::start(|mut peer| async move { peer.be_silent().await }).await;
    let store = open(&stub.url(), hasty());
    for line in ["GET a", "BLPOP queue 0"] {
        let asked = Instant::now();
        let answer = store.call(words(line)).await;
        assert!(matches!(answer, Err(Error::Away(_))), "{answer:?}");
        assert!(
            asked.elapsed() < SHORT + SLACK,
            "{line}: {:?}",
            asked.elapsed()
        );
    }
}

/// While one of several connections could not be made again, a quarter of the calls failed, and the others
/// were there.
#[tokio::test(flavor = "multi_thread")]
async fn of_several_connections_those_that_are_there_serve_all() {
    let cut = Arc::new(AtomicBool::new(false));
    let cutting = Arc::clone(&cut);
    let stub = Stub::start(move |mut peer| {
        let cut = Arc::clone(&cutting);
        async move {
            if peer.number >= 4 {
                peer.say("-ERR max number of clients reached\r\n").await;
                return;
            }
            while let Some(words) = peer.request().await {
                sleep(SHORT / 80).await;
                if peer.number == 0 && cut.load(Ordering::SeqCst) {
                    return;
                }
                peer.say(echo(&words)).await;
            }
        }
    })
    .await;
    let store = open(&stub.url(), Config::default().connections(4));
    let mut callers = JoinSet::new();
    let load = |callers: &mut JoinSet<Result<String, Error>>| {
        for number in 0..40 {
            let store = store.clone();
            let command = words(&format!("ECHO {number}"));
            callers.spawn(async move { store.run(command).await });
        }
    };
    // They are made one after the other, while there is something to do.
    while stub.connections() < 4 {
        load(&mut callers);
        while let Some(told) = callers.join_next().await {
            told.unwrap().unwrap();
        }
    }
    cut.store(true, Ordering::SeqCst);
    load(&mut callers);
    let mut lost = 0;
    while let Some(told) = callers.join_next().await {
        lost += usize::from(told.unwrap().is_err());
    }
    assert!(lost > 0, "one of four was cut");
    for _ in 0..20 {
        load(&mut callers);
        while let Some(told) = callers.join_next().await {
            let answer = told.unwrap();
            assert!(answer.is_ok(), "{answer:?}");
        }
    }
}

/// A name leads to another server by now, as one of DNS does after a failover.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_another_server_is_followed() {
    let old = Stub::answering(|_| Some("-READONLY You can't write\r\n".to_owned())).await;
    let new = Stub::answering(|_| Some("+OK\r\n".to_owned())).await;
    let leads_to = Arc::new(AtomicU16::new(old.port()));
    let name = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", name.local_addr().unwrap());
    let target = Arc::clone(&leads_to);
    let leading = tokio::spawn(async move {
        let mut passing = JoinSet::new();
        while let Ok((mut client, _)) = name.accept().await {
            let port = target.load(Ordering::SeqCst);
            passing.spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    let store = open(&url, Config::default());
    let refused = store.call(words("SET a 1")).await;
    assert!(matches!(&refused, Err(error) if error.is_refusal("READONLY")));
    leads_to.store(new.port(), Ordering::SeqCst);
    let begun = Instant::now();
    while store.call(words("SET a 1")).await.is_err() {
        assert!(begun.elapsed() < SHORT * 20, "the new server was not found");
    }
    leading.abort();
}

/// All who were told so gave up the connection that there was, also the one that had been greeted again
/// since.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_forgotten_who_we_are_is_greeted_again_once() {
    let knows = Arc::new(AtomicUsize::new(0));
    let known = Arc::clone(&knows);
    let stub = Stub::start(move |mut peer| {
        let knows = Arc::clone(&known);
        async move {
            while let Some(words) = peer.request().await {
                // Those that were greeted before are strangers.
                match peer.number < knows.load(Ordering::SeqCst) {
                    true => peer.say("-NOAUTH Authentication required.\r\n").await,
                    false => peer.say(echo(&words)).await,
                }
            }
        }
    })
    .await;
    let store = open(&stub.url(), Config::default());
    let mut callers = JoinSet::new();
    for line in ["BLPOP queue 0"; 8] {
        let store = store.clone();
        callers.spawn(async move { store.call(words(line)).await });
    }
    while let Some(told) = callers.join_next().await {
        assert!(told.unwrap().is_ok());
    }
    assert!(store.call(words("GET a")).await.is_ok());
    let before = stub.connections();
    knows.store(before, Ordering::SeqCst);
    for _ in 0..64 {
        let store = store.clone();
        callers.spawn(async move { store.call(words("ECHO a")).await });
    }
    while let Some(told) = callers.join_next().await {
        let answer = told.unwrap();
        assert!(answer.is_ok(), "{answer:?}");
    }
    let answer = store.call(words("BLPOP queue 0")).await;
    assert!(answer.is_ok(), "{answer:?}");
    let more = stub.connections() - before;
    assert!(more <= 4, "{more} connections to be known again");
}
