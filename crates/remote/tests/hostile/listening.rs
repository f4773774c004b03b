//! Subscriptions on a server that does not want them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_remote::Config;
use larder_store::{Channels, Error, Event};
use tokio::time::{Instant, sleep, timeout};

use crate::stub::Stub;
use crate::{SHORT, SLACK, hasty, open};

const CONFIRMED: &str = ">3\r\n+subscribe\r\n+news\r\n:1\r\n";

fn news() -> Channels {
    Channels::default().channel("news")
}

/// A server that hangs up whenever somebody wants to listen was connected to again and again, as fast as
/// that goes, and the caller waited for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_up_on_listeners_is_not_stormed() {
    let stub = Stub::start(|mut peer| async move {
        peer.request().await;
    })
    .await;
    let store = open(&stub.url(), Config::default());
    let asked = Instant::now();
    let refused = timeout(SHORT * 20, store.subscribe(news())).await;
    assert!(
        matches!(&refused, Ok(Err(error)) if !matches!(error, Error::Closed)),
        "{refused:?}"
    );
    assert!(asked.elapsed() < SHORT * 10, "{:?}", asked.elapsed());
    assert!(
        stub.connections() < 10,
        "{} connections",
        stub.connections()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_confirms_nothing_costs_no_more_than_an_answer_may() {
    let stub = Stub::answering(|_| None).await;
    let store = open(&stub.url(), hasty());
    for within in [None, Some(SHORT / 4)] {
        let channels = within.map_or(news(), |time| news().within(time));
        let asked = Instant::now();
        let refused = timeout(SHORT * 10, store.subscribe(channels)).await;
        assert!(matches!(refused, Ok(Err(_))), "{refused:?}");
        let waited = asked.elapsed();
        assert!(
            waited < within.unwrap_or(SHORT) + SLACK,
            "{within:?}: {waited:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_who_is_refused_is_told_so_and_the_others_go_on() {
    let stub = Stub::start(|mut peer| async move {
        while let Some(words) = peer.request().await {
            match words.get(1).map(String::as_str) {
                Some("news") => peer.say(CONFIRMED).await,
                Some("secrets") => {
                    peer.say("-NOPERM No permissions to access a channel\r\n")
                        .await;
                }
                _ => peer.say("+PONG\r\n").await,
            }
        }
    })
    .await;
    let store = open(&stub.url(), hasty());
    let mut heard = store.subscribe(news()).await.unwrap();
    let secrets = Channels::default().channel("secrets");
    let refused = store.subscribe(secrets).await.unwrap_err();
    assert!(refused.is_refusal("NOPERM"), "{refused}");
    assert!(
        timeout(SHORT / 4, heard.next()).await.is_err(),
        "nothing was lost"
    );
    assert_eq!(stub.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_none_of_ours_are_nobodys() {
    let strange = ">0\r\n>1\r\n+message\r\n>1\r\n:5\r\n>2\r\n+subscribe\r\n_\r\n>4\r\n+pmessage\r\n+a*\r\n+a\r\n+x\r\n\
                   >3\r\n+message\r\n+else\r\n+x\r\n>3\r\n+sunsubscribe\r\n+news\r\n:0\r\n>2\r\n*1\r\n:1\r\n*0\r\n";
    let stub = Stub::start(move |mut peer| async move {
        while let Some(words) = peer.request().await {
            match words[0].as_str() {
                "SUBSCRIBE" => {
                    peer.say(format!("{strange}{CONFIRMED}{strange}")).await;
                    peer.say(">3\r\n+message\r\n+news\r\n+hello\r\n").await;
                }
                "UNSUBSCRIBE" => peer.say(">3\r\n+unsubscribe\r\n_\r\n:0\r\n").await,
                _ => peer.say("+PONG\r\n").await,
            }
        }
    })
    .await;
    let store = open(&stub.url(), hasty());
    let mut heard = store.subscribe(news()).await.unwrap();
    let Some(Event::Message(message)) = heard.next().await else {
        panic!("a message was published")
    };
    assert_eq!(&message.payload[..], b"hello");
}

/// One who left before the server had confirmed was listened for as long as the connection lasted.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_left_before_it_is_confirmed_is_left() {
    let left = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&left);
    let stub = Stub::start(move |mut peer| {
        let left = Arc::clone(&noted);
        async move {
            while let Some(words) = peer.request().await {
                match words[0].as_str() {
                    "SUBSCRIBE" => {
                        sleep(SHORT / 4).await;
                        peer.say(CONFIRMED).await;
                    }
                    "UNSUBSCRIBE" => {
                        left.store(true, Ordering::SeqCst);
                        peer.say(">3\r\n+unsubscribe\r\n+news\r\n:0\r\n").await;
                    }
                    _ => peer.say("+PONG\r\n").await,
                }
            }
        }
    })
    .await;
    let store = open(&stub.url(), Config::default());
    assert!(timeout(SHORT / 8, store.subscribe(news())).await.is_err());
    let begun = Instant::now();
    while !left.load(Ordering::SeqCst) {
        assert!(begun.elapsed() < SHORT * 5, "the server was not told");
        sleep(SHORT / 40).await;
    }
}
