//! Sentinels that say nothing of use, or not the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use larder_remote::Config;
use larder_store::{Error, Store, Value};
use tokio::time::{Instant, sleep};

use crate::stub::{Peer, Stub, bulk, hello};
use crate::{SHORT, SLACK, hasty, open, words};

/// A server that greets as what it is, and gives all else this answer.
async fn server(
    mode: &'static str,
    role: &'static str,
    answer: impl Fn(&[String]) -> String + Send + Sync + 'static,
) -> Stub {
    let answer = Arc::new(answer);
    Stub::start(move |mut peer: Peer| {
        let answer = Arc::clone(&answer);
        async move {
            while let Some(words) = peer.any_request().await {
                match words[0].as_str() {
                    "HELLO" => peer.say(hello(mode, role)).await,
                    "CLIENT" => peer.say("+OK\r\n").await,
                    "SUBSCRIBE" => peer.say(">3\r\n+subscribe\r\n+x\r\n:1\r\n").await,
                    "PING" => peer.say("+PONG\r\n").await,
                    _ => peer.say(answer(&words)).await,
                }
            }
        }
    })
    .await
}

async fn master() -> Stub {
    server("standalone", "master", |_| "+OK\r\n".to_owned()).await
}

async fn replica() -> Stub {
    let refusal = "-READONLY You can't write against a read only replica.\r\n";
    server("standalone", "slave", move |_| refusal.to_owned()).await
}

/// A Sentinel that names the server at this port, which may change.
async fn sentinel(named: &Arc<AtomicU16>) -> Stub {
    let named = Arc::clone(named);
    server("sentinel", "sentinel", move |words| {
        match words.get(1).map(String::as_str) {
            Some("GET-MASTER-ADDR-BY-NAME") => {
                let port = named.load(Ordering::SeqCst).to_string();
                format!("*2\r\n{}{}", bulk("127.0.0.1"), bulk(&port))
            }
            _ => "*0\r\n".to_owned(),
        }
    })
    .await
}

fn store(sentinels: &[&Stub], config: Config) -> Store {
    let hosts: Vec<String> = { sentinels.iter() }
        .map(|sentinel| format!("127.0.0.1:{}", sentinel.port()))
        .collect();
    open(
        &format!("redis-sentinel://{}/mymaster", hosts.join(",")),
        config,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_whose_answer_is_none_is_told_in_time() {
    for answer in [
        "*0\r\n",
        "*1\r\n+127.0.0.1\r\n",
        "*2\r\n+127.0.0.1\r\n+port\r\n",
        "*2\r\n+127.0.0.1\r\n:-5\r\n",
        "*2\r\n:1\r\n:2\r\n",
        "*3\r\n+a\r\n+1\r\n+b\r\n",
        ":1\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "-ERR no\r\n",
        "_\r\n",
        "HTTP/1.1 200 OK\r\n",
    ] {
        let stub = server("sentinel", "sentinel", move |_| answer.to_owned()).await;
        let asked = Instant::now();
        let told = store(&[&stub], hasty()).call(words("GET a")).await;
        assert!(matches!(told, Err(Error::Away(_))), "{answer:?}: {told:?}");
        assert!(
            asked.elapsed() < SHORT * 2 + SLACK,
            "{answer:?}: {:?}",
            asked.elapsed()
        );
    }
}

/// One who does not know of the failover yet answered first, each time, and nobody asked the others.
#[tokio::test(flavor = "multi_thread")]
async fn where_sentinels_disagree_the_one_that_names_a_master_is_believed() {
    let (old, new) = (replica().await, master().await);
    let (behind, ahead) = (
        Arc::new(AtomicU16::new(old.port())),
        Arc::new(AtomicU16::new(new.port())),
    );
    let (first, second) = (sentinel(&behind).await, sentinel(&ahead).await);
    let store = store(&[&first, &second], Config::default());
    let begun = Instant::now();
    let mut answer = store.call(words("SET a 1")).await;
    while answer != Ok(Value::ok()) {
        assert!(begun.elapsed() < SHORT * 10, "{answer:?}");
        sleep(SHORT / 20).await;
        answer = store.call(words("SET a 1")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_is_silent_does_not_hide_the_others() {
    let silent = Stub::start(|mut peer| async move { peer.be_silent().await }).await;
    let right = master().await;
    let named = Arc::new(AtomicU16::new(right.port()));
    let speaking = sentinel(&named).await;
    let store = store(&[&silent, &speaking], Config::default());
    let asked = Instant::now();
    assert_eq!(store.call(words("SET a 1")).await, Ok(Value::ok()));
    assert!(asked.elapsed() < SHORT * 4, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_named_as_the_master_takes_no_write_and_costs_no_storm() {
    let named = replica().await;
    let port = Arc::new(AtomicU16::new(named.port()));
    let only = sentinel(&port).await;
    let store = store(&[&only], hasty().retries(3));
    let begun = Instant::now();
    while begun.elapsed() < SHORT * 4 {
        let asked = Instant::now();
        let answer = store.call(words("SET a 1")).await;
        assert!(matches!(answer, Err(Error::Away(_))), "{answer:?}");
        assert!(asked.elapsed() < SHORT * 2 + SLACK, "{:?}", asked.elapsed());
    }
    let made = named.connections() + only.connections();
    assert!(made < 400, "{made} connections in {:?}", begun.elapsed());
    // Once it is the master it is used.
    let right = master().await;
    port.store(right.port(), Ordering::SeqCst);
    let begun = Instant::now();
    while store.call(words("SET a 1")).await != Ok(Value::ok()) {
        assert!(begun.elapsed() < SHORT * 10);
        sleep(SHORT / 20).await;
    }
}
