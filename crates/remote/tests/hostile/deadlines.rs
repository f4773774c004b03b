//! Nobody waits for longer than he has said.

use std::sync::Arc;
use std::time::Duration;

use larder_remote::{Config, Remote};
use larder_store::{Backend, Channels, ConnectionEvent, Error, Store, Value};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::stub::{Stub, echo};
use crate::{SHORT, SLACK, hasty, open, words};

/// More than lies in a socket's buffers.
const LARGE: usize = 64 << 20;

async fn silent() -> Stub {
    Stub::answering(|_| None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_after_its_greeting_costs_no_more_than_a_deadline() {
    let stub = silent().await;
    let store = open(&stub.url(), hasty().breaker_failures(0));
    for within in [None, Some(SHORT / 4), Some(SHORT * 2)] {
        let store = within.map_or(store.clone(), |time| store.within(time));
        let asked = Instant::now();
        let answer = store.call(words("GET a")).await;
        assert!(
            matches!(answer, Err(Error::Unanswered { .. })),
            "{answer:?}"
        );
        let waited = asked.elapsed();
        assert!(
            waited < within.unwrap_or(SHORT) + SLACK,
            "{within:?}: {waited:?}"
        );
    }
}

/// What it took to connect, to look at an old connection, and to try again came on top.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_has_its_own_wait_and_the_deadline_once() {
    let within = SHORT * 4;
    let stub = Stub::start(move |mut peer| async move {
        // Just in time, so that there is a connection.
        sleep(within * 3 / 4).await;
        peer.greet().await;
        peer.be_silent().await;
    })
    .await;
    let config = hasty()
        .connect_timeout(within * 2)
        .response_timeout(within * 10);
    let store = open(&stub.url(), config).within(within);
    let asked = Instant::now();
    let answer = store
        .call(words("BLPOP list").arg(SHORT.as_secs_f64()))
        .await;
    let waited = asked.elapsed();
    let is_unanswered = matches!(answer, Err(Error::Unanswered { .. }));
    assert!(is_unanswered, "{answer:?}");
    assert!(waited >= within + SHORT, "{waited:?}");
    assert!(waited < within + SHORT + SLACK * 2, "{waited:?}");
}

#[tokio::test]
async fn a_deadline_beyond_all_time_is_none() {
    let stub = Stub::answering(|words| Some(echo(words))).await;
    let store = open(&stub.url(), hasty()).within(Duration::MAX);
    assert!(store.call(words("PING")).await.is_ok());
    assert!(store.call_all(vec![words("PING")]).await.is_ok());
    assert!(store.call(words("BLPOP list 0")).await.is_ok());
}

#[tokio::test]
async fn a_timeout_beyond_all_time_is_none() {
    let stub = Stub::answering(|words| Some(echo(words))).await;
    let config = hasty()
        .connect_timeout(Duration::MAX)
        .response_timeout(Duration::MAX);
    let store = open(&stub.url(), config);
    assert!(store.call(words("PING")).await.is_ok());
    assert!(store.call_all(vec![words("PING")]).await.is_ok());
    assert!(store.call(words("BLPOP list 0")).await.is_ok());
}

/// One who waits longer than usual stood in front of the others, and they waited as long as he did.
#[tokio::test(flavor = "multi_thread")]
async fn a_patient_caller_does_not_make_the_others_wait() {
    let stub = silent().await;
    let store = open(&stub.url(), hasty().breaker_failures(0));
    let patient = tokio::spawn({
        let store = store.within(SHORT * 20);
        async move { store.call(words("INCR a")).await }
    });
    while stub.requests() == 0 {
        tokio::task::yield_now().await;
    }
    let asked = Instant::now();
    let answer = timeout(SHORT * 4, store.call(words("GET a"))).await;
    let waited = asked.elapsed();
    assert!(waited < SHORT + SLACK, "{waited:?}: {answer:?}");
    patient.abort();
}

/// Each of them broke the connection that all share, and three of them opened the breaker.
#[tokio::test(flavor = "multi_thread")]
async fn callers_without_patience_disturb_nobody() {
    let stub = Stub::start(|mut peer| async move {
        while let Some(words) = peer.request().await {
            if words[1] == "slow" {
                sleep(Duration::from_millis(4)).await;
            }
            peer.say(echo(&words)).await;
        }
    })
    .await;
    let remote = Remote::open(&stub.url(), Config::default()).unwrap();
    let mut events = remote.connection_events();
    let store = Store::new(remote);
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let store = store.within(Duration::from_millis(1));
        callers.spawn(async move {
            for _ in 0..40 {
                let _ = store.call(words("ECHO slow")).await;
            }
        });
    }
    for _ in 0..100 {
        let answer: Result<String, Error> = store.run(words("ECHO patient")).await;
        assert_eq!(answer.as_deref(), Ok("patient"));
    }
    while callers.join_next().await.is_some() {}
    assert_eq!(stub.connections(), 1);
    drop(store);
    while let Some(event) = events.next().await {
        assert!(matches!(event, ConnectionEvent::Connected(_)), "{event:?}");
    }
}

/// The first who came made the connection, and had no time for it: all who waited for him were told that
/// there was no server.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_made_also_if_those_who_wait_for_it_have_no_time() {
    let may_greet = Arc::new(Semaphore::new(0));
    let greets = Arc::clone(&may_greet);
    let stub = Stub::start(move |mut peer| {
        let greets = Arc::clone(&greets);
        async move {
            greets.acquire().await.unwrap().forget();
            while peer.request().await.is_some() {
                peer.say("+OK\r\n").await;
            }
        }
    })
    .await;
    let config = hasty().connect_timeout(SHORT * 20);
    let store = open(&stub.url(), config.clone());
    let hurried = store.within(Duration::from_millis(1));
    let late = async {
        let late = hurried.call(words("GET a")).await;
        may_greet.add_permits(1);
        late
    };
    let (late, answer) = tokio::join!(late, store.call(words("GET a")));
    assert!(matches!(late, Err(Error::Away(_))), "{late:?}");
    assert_eq!(answer, Ok(Value::ok()));

    let hurried = open(&stub.url(), config).within(SHORT / 20);
    // More than it takes to open a breaker.
    for _ in 0..5 {
        let late = hurried.call(words("GET a")).await.unwrap_err();
        assert!(late.is_away() && late.retry_after().is_none(), "{late}");
    }
    may_greet.add_permits(1);
    let answered = async { while hurried.call(words("GET a")).await.is_err() {} };
    assert!(timeout(SHORT * 20, answered).await.is_ok());
    assert_eq!(stub.connections(), 2, "each store has made one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_read_takes_no_more_memory_or_time_than_it_may() {
    let stub = Stub::start(|mut peer| async move {
        peer.greet().await;
        std::future::pending::<()>().await;
    })
    .await;
    let config = hasty().in_flight_max(40).breaker_failures(0);
    let store = open(&stub.url(), config);
    let large = Arc::new("x".repeat(256 << 10));
    let mut callers = JoinSet::new();
    for number in 0..60 {
        let (store, large) = (store.clone(), Arc::clone(&large));
        let within = (number % 2 == 0).then_some(SHORT / 2);
        let store = within.map_or(store.clone(), |time| store.within(time));
        callers.spawn(async move {
            let asked = Instant::now();
            let answer = store.call(words(&format!("SET a {large}"))).await;
            (within.unwrap_or(SHORT), asked.elapsed(), answer)
        });
    }
    while let Some(told) = callers.join_next().await {
        let (within, waited, answer) = told.unwrap();
        assert!(answer.is_err());
        assert!(waited < within + SLACK, "{within:?}: {waited:?}");
    }
}

/// A connection on which nobody waits any more stayed open as long as its server did not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_callers_have_gone_is_closed_also_if_the_server_does_not_read() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let stub = Stub::start(move |mut peer| {
        let tell = tell.clone();
        async move {
            peer.greet().await;
            // Hangs, and looks after a while what there is.
            sleep(SHORT * 2).await;
            let mut rest = Vec::new();
            let _ = peer.stream.read_to_end(&mut rest).await;
            tell.send(rest.len()).unwrap();
        }
    })
    .await;
    let store = open(&stub.url(), Config::default());
    let large = "x".repeat(LARGE);
    let batch = vec![words(&format!("SET a {large}")), words("BLPOP queue 0")];
    let dropped = timeout(SHORT / 2, store.call_all(batch)).await;
    assert!(dropped.is_err());
    // What was on its way when the caller went comes, and no more than that.
    let len = told.recv().await.unwrap();
    assert!(len < LARGE, "all was written for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_turn_callers_take_turns_and_none_is_lost() {
    let stub = Stub::answering(|words| Some(echo(words))).await;
    let store = open(&stub.url(), Config::default().in_flight_max(1));
    let mut callers = JoinSet::new();
    for number in 0..200 {
        let store = store.clone();
        callers.spawn(async move {
            let number = number.to_string();
            let call = store.run::<String>(words(&format!("ECHO {number}")));
            match number.ends_with('7') {
                // Some lose interest at some point of the way.
                true => drop(timeout(Duration::from_micros(50), call).await),
                false => assert_eq!(call.await, Ok(number)),
            }
        });
    }
    while let Some(told) = callers.join_next().await {
        told.unwrap();
    }
    assert_eq!(stub.connections(), 1);
    let silent = silent().await;
    let store = open(&silent.url(), hasty().in_flight_max(1).breaker_failures(0));
    let asked = Instant::now();
    let (one, other) = tokio::join!(store.call(words("INCR a")), store.call(words("INCR a")));
    let is_unsent = |answer: &&Result<Value, Error>| matches!(answer, Err(Error::Away(_)));
    let unsent = [&one, &other].into_iter().filter(is_unsent).count();
    assert_eq!(unsent, 1, "{one:?}, {other:?}");
    assert!(asked.elapsed() < SHORT + SLACK);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_as_many_waiting_as_may_is_told_so_in_time() {
    let stub = silent().await;
    let store = open(&stub.url(), hasty().blocking_max(2));
    let waiting = || {
        let store = store.clone();
        tokio::spawn(async move { store.call(words("BLPOP queue 0")).await })
    };
    let (first, second) = (waiting(), waiting());
    while stub.requests() < 2 {
        tokio::task::yield_now().await;
    }
    let asked = Instant::now();
    let Err(Error::Away(away)) = store.call(words("BLPOP queue 0")).await else {
        panic!("two wait already")
    };
    assert!(away.reason().contains("blocking_max"), "{away}");
    assert!(asked.elapsed() < SHORT + SLACK);
    first.abort();
    let _ = first.await;
    // The turn of one who has gone is the next one's.
    let third = waiting();
    while stub.requests() < 3 {
        tokio::task::yield_now().await;
    }
    second.abort();
    third.abort();
}

/// Drops a call after it was polled so many times, and looks whether others are served.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_anywhere_harms_nobody() {
    let stub = Stub::start(|mut peer| async move {
        while let Some(words) = peer.request().await {
            match words[0].as_str() {
                "SUBSCRIBE" => peer.say(">3\r\n+subscribe\r\n+news\r\n:1\r\n").await,
                "UNSUBSCRIBE" => peer.say(">3\r\n+unsubscribe\r\n+news\r\n:0\r\n").await,
                _ => {
                    tokio::task::yield_now().await;
                    peer.say("+OK\r\n").await;
                }
            }
        }
    })
    .await;
    for polls in 0..12 {
        let store = open(&stub.url(), hasty().in_flight_max(2).blocking_max(1));
        for _ in 0..5 {
            polled(polls, store.call(words("SET a 1"))).await;
            polled(polls, store.call_all(vec![words("SET a 1"); 3])).await;
            polled(polls, store.call(words("BLPOP queue 1"))).await;
            let channels = Channels::default().channel("news");
            polled(polls, store.subscribe(channels)).await;
        }
        assert_eq!(
            store.call(words("SET a 1")).await,
            Ok(Value::ok()),
            "{polls}"
        );
        assert_eq!(
            store.call(words("BLPOP queue 1")).await,
            Ok(Value::ok()),
            "{polls}"
        );
        let channels = Channels::default().channel("news");
        assert!(store.subscribe(channels).await.is_ok(), "{polls}");
    }
}

/// Polls a future so many times, each when it asks for it, and drops it then.
async fn polled(times: usize, future: impl Future) {
    let mut future = std::pin::pin!(future);
    let mut left = times;
    let polls = std::future::poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(());
        }
        left -= 1;
        future.as_mut().poll(context).map(drop)
    });
    // Where it is not asked for again, that was the last.
    let _ = timeout(SHORT / 20, polls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_at_any_moment_leaves_nobody_waiting() {
    let stub = Stub::start(|mut peer| async move {
        sleep(Duration::from_millis(2)).await;
        while let Some(words) = peer.request().await {
            match words[0].as_str() {
                "SUBSCRIBE" => peer.say(">3\r\n+subscribe\r\n+news\r\n:1\r\n").await,
                "BLPOP" => {}
                _ => {
                    sleep(Duration::from_millis(1)).await;
                    peer.say("+OK\r\n").await;
                }
            }
        }
    })
    .await;
    for step in 0..30 {
        let store = open(&stub.url(), hasty());
        let mut callers = JoinSet::new();
        for line in ["SET a 1", "BLPOP queue 0", "GET a"] {
            let store = store.clone();
            callers.spawn(async move { store.call(words(line)).await.map(drop) });
        }
        let listening = store.clone();
        callers.spawn(async move {
            let mut events = listening
                .subscribe(Channels::default().channel("news"))
                .await?;
            while events.next().await.is_some() {}
            Ok(())
        });
        sleep(Duration::from_micros(200) * step).await;
        store.close().await.unwrap();
        let closed = Instant::now();
        while let Some(told) = callers.join_next().await {
            // Answered, in doubt, never sent or closed: but told.
            let _ = told.unwrap();
        }
        assert!(
            closed.elapsed() < SHORT + SLACK,
            "{step}: {:?}",
            closed.elapsed()
        );
        assert!(matches!(
            store.call(words("GET a")).await,
            Err(Error::Closed)
        ));
    }
}
