//! A master that Sentinels know as a store: it may be another server from one moment to the next.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::error::Error as StdError;
use std::time::Duration;

use larder_remote::Config;
use larder_store::{Channels, Command, ConnectionEvent, Error, Event, Store, Value};
use larder_testkit::{PATIENCE, SentinelOptions, Sentinels, ServerKind, open, words};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

type Outcome = Result<(), Box<dyn StdError>>;

fn start() -> Option<(Sentinels, Store)> {
    let sentinels = block_in_place(|| Sentinels::start(ServerKind::Redis))?;
    let store = open(&sentinels.url(), Config::default());
    Some((sentinels, store))
}

/// Asks until it goes well.
async fn until_served(store: &Store, line: &str) -> Outcome {
    let served = async {
        while store.call(words(line)).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    Ok(timeout(PATIENCE, served).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_to_the_master_before_and_after_a_failover() -> Outcome {
    let Some((sentinels, store)) = start() else {
        return Ok(());
    };
    store.run::<()>(words("SET a 1")).await?;
    let mut events = store.subscribe(Channels::default().channel("news")).await?;
    block_in_place(|| sentinels.failover());
    until_served(&store, "SET a 2").await?;
    assert_eq!(timeout(PATIENCE, events.next()).await?, Some(Event::Gap));
    let role: Vec<Value> = store.run(words("ROLE")).await?;
    assert_eq!(role[0], Value::Bytes("master".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_killed_is_replaced_and_nobody_waits_on_it() -> Outcome {
    let Some((mut sentinels, store)) = start() else {
        return Ok(());
    };
    let watching = open(&sentinels.url(), Config::default());
    let mut events = watching.connection_events();
    watching.call(words("PING")).await?;
    let pop = tokio::spawn({
        let store = store.clone();
        async move { store.call(words("BLPOP queue 0")).await }
    });
    store.run::<()>(words("SET a 1")).await?;
    block_in_place(|| sentinels.failover_by_killing());
    until_served(&store, "SET a 2").await?;
    let answer = timeout(PATIENCE, pop).await??;
    assert!(
        matches!(answer, Err(Error::Unanswered { .. })),
        "{answer:?}"
    );
    let told =
        async { while !matches!(events.next().await, Some(ConnectionEvent::MasterChanged(_))) {} };
    timeout(PATIENCE, told).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_master_that_comes_back_is_not_asked_again() -> Outcome {
    let Some((mut sentinels, store)) = start() else {
        return Ok(());
    };
    store.run::<()>(words("SET a 1")).await?;
    let old = block_in_place(|| {
        let old = sentinels.master();
        sentinels.nodes[old].pause();
        sentinels.until_master_is_not(old);
        old
    });
    until_served(&store, "SET a 2").await?;
    // It believes that it leads, until somebody tells it otherwise.
    block_in_place(|| sentinels.nodes[old].resume());
    for number in 0..200 {
        store
            .run::<()>(Command::new("SET").arg("a").arg(number))
            .await?;
        assert_eq!(store.run::<i64>(words("GET a")).await?, number);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_is_gone_is_missed_by_nobody() -> Outcome {
    let Some((mut sentinels, _)) = start() else {
        return Ok(());
    };
    block_in_place(|| sentinels.sentinels[0].kill());
    let store = open(&sentinels.url(), Config::default());
    store.run::<()>(words("SET a 1")).await?;
    // The Sentinel that was asked knows the others.
    let one = sentinels.sentinels[1].address();
    let name = sentinels.url().rsplit_once('/').unwrap().1.to_owned();
    let store = open(&format!("redis-sentinel://{one}/{name}"), Config::default());
    store.run::<()>(words("SET a 2")).await?;
    Ok(())
}

/// One that was stopped accepted the connection, and took all the time that making one may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_says_nothing_leaves_time_for_the_others() -> Outcome {
    let Some((mut sentinels, _)) = start() else {
        return Ok(());
    };
    block_in_place(|| sentinels.sentinels[0].pause());
    let store = open(&sentinels.url(), Config::default());
    store.run::<()>(words("SET a 1")).await?;
    block_in_place(|| sentinels.sentinels[0].resume());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_a_sentence() -> Outcome {
    let Some((sentinels, _)) = start() else {
        return Ok(());
    };
    let asked = |url: &str| {
        let store = open(url, Config::default());
        async move { store.call(words("PING")).await.unwrap_err().to_string() }
    };
    let (hosts, name) = sentinels
        .url()
        .rsplit_once('/')
        .map(|(hosts, name)| (hosts.to_owned(), name.to_owned()))
        .unwrap();
    let wrong = asked(&format!("{hosts}/nobody")).await;
    assert!(
        wrong.contains("know no master called \"nobody\"; they know") && wrong.contains(&name),
        "{wrong}"
    );
    let sentinel = sentinels.sentinels[0].address();
    let wrong = asked(&format!("redis://{sentinel}")).await;
    assert!(
        wrong.contains("is a Sentinel, and not a single server"),
        "{wrong}"
    );
    let node = sentinels.nodes[0].address();
    let wrong = asked(&format!("redis-sentinel://{node}/{name}")).await;
    assert!(
        wrong.contains("is a single server, and not a Sentinel"),
        "{wrong}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_servers_have_passwords_of_their_own() -> Outcome {
    let options = SentinelOptions {
        password: Some("of-servers@1"),
        sentinel_password: Some("of-sentinels"),
        ..SentinelOptions::default()
    };
    let Some(sentinels) = block_in_place(|| Sentinels::start_with(ServerKind::Redis, &options))
    else {
        return Ok(());
    };
    let url = sentinels.url();
    let bare = url
        .split_once("://")
        .unwrap()
        .1
        .rsplit_once('@')
        .map_or(url.clone(), |(_, rest)| format!("redis-sentinel://{rest}"));
    let bare = bare.split('?').next().unwrap().to_owned();
    let with = bare.replace("://", "://:of-servers%401@");
    let both = format!("{with}?sentinel_password=of-sentinels");
    open(&both, Config::default())
        .run::<()>(words("SET a 1"))
        .await?;
    let config = Config::default().sentinel_password("of-sentinels");
    open(&with, config.clone())
        .run::<()>(words("SET a 2"))
        .await?;
    let error = open(&with, Config::default())
        .call(words("PING"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("wants a password, and was given none"),
        "{error}"
    );
    let error = open(&bare, config)
        .call(words("PING"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("wants a password, and was given none"),
        "{error}"
    );
    Ok(())
}
