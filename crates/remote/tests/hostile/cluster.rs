//! Nodes of a cluster that send callers in circles.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use larder_remote::Config;
use larder_store::{Error, Store, Value};
use larder_testkit::free_port;
use tokio::time::{Instant, sleep};

use crate::stub::{Peer, Stub, hello};
use crate::{SHORT, SLACK, hasty, open, words};

/// A node that answers so beside its greeting.
async fn node(answer: impl Fn(&[String]) -> String + Send + Sync + 'static) -> Stub {
    let answer = Arc::new(answer);
    Stub::start(move |mut peer: Peer| {
        let answer = Arc::clone(&answer);
        async move {
            while let Some(words) = peer.any_request().await {
                match words[0].as_str() {
                    "HELLO" => peer.say(hello("cluster", "master")).await,
                    "CLIENT" => peer.say("+OK\r\n").await,
                    _ => peer.say(answer(&words)).await,
                }
            }
        }
    })
    .await
}

/// A map in which the node at this port owns all slots.
fn all_at(port: u16) -> String {
    format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n")
}

/// A map in which each of two nodes owns half of the slots.
fn halves([one, other]: [u16; 2]) -> String {
    let half = |first, last, port| {
        format!("*3\r\n:{first}\r\n:{last}\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n")
    };
    format!("*2\r\n{}{}", half(0, 8191, one), half(8192, 16383, other))
}

fn cluster(stub: &Stub, config: Config) -> Store {
    open(
        &format!("redis-cluster://127.0.0.1:{}", stub.port()),
        config,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_point_at_each_other_are_left_in_time() {
    for word in ["MOVED", "ASK"] {
        let ports = Arc::new(OnceLock::<[u16; 2]>::new());
        let make = |other: usize| {
            let ports = Arc::clone(&ports);
            node(move |words| {
                let ports = ports.get().unwrap();
                match words[0].as_str() {
                    "CLUSTER" => all_at(ports[0]),
                    "ASKING" => "+OK\r\n".to_owned(),
                    _ => format!("-{word} 15495 127.0.0.1:{}\r\n", ports[other]),
                }
            })
        };
        let (one, other) = (make(1).await, make(0).await);
        ports.set([one.port(), other.port()]).unwrap();
        let store = cluster(&one, hasty().retries(3));
        for within in [None, Some(SHORT / 2)] {
            let store = within.map_or(store.clone(), |time| store.within(time));
            let asked = Instant::now();
            // When the time is over, what was asked last may have no answer yet, or not have been sent.
            let is_told =
                |error: &Error| error.is_refusal(word) || error.is_in_doubt() || error.is_away();
            let answer = store.call(words("GET a")).await;
            assert!(answer.as_ref().is_err_and(is_told), "{answer:?}");
            match store.call_all(vec![words("GET a"); 3]).await {
                Ok(batch) => assert!(batch.iter().all(Result::is_err), "{batch:?}"),
                Err(error) => assert!(is_told(&error), "{error}"),
            }
            let most = within.unwrap_or(SHORT * 2) * 2 + SLACK;
            assert!(asked.elapsed() < most, "{word}: {:?}", asked.elapsed());
        }
        let asked = one.requests() + other.requests();
        assert!(asked < 400, "{asked} requests for four calls");
    }
}

/// For a moment after a slot has moved, one node knows it and the other does not. The callers ran in
/// circles between them sixteen times within a millisecond, and were given the redirection.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_disagree_for_a_moment_are_waited_for() {
    let agree = Arc::new(AtomicBool::new(false));
    let ports = Arc::new(OnceLock::<[u16; 2]>::new());
    let make = |itself: usize| {
        let (ports, agree) = (Arc::clone(&ports), Arc::clone(&agree));
        node(move |words| {
            let ports = ports.get().unwrap();
            match words[0].as_str() {
                "CLUSTER" => all_at(ports[0]),
                _ if itself == 1 && agree.load(Ordering::SeqCst) => "+OK\r\n".to_owned(),
                _ => format!("-MOVED 15495 127.0.0.1:{}\r\n", ports[1 - itself]),
            }
        })
    };
    let (one, other) = (make(0).await, make(1).await);
    ports.set([one.port(), other.port()]).unwrap();
    let store = cluster(&one, Config::default());
    let (single, batch, ()) = tokio::join!(
        store.call(words("SET a 1")),
        store.call_all(vec![words("SET a 1"); 2]),
        async {
            sleep(SHORT / 2).await;
            agree.store(true, Ordering::SeqCst);
        }
    );
    assert_eq!(single, Ok(Value::ok()));
    assert_eq!(batch, Ok(vec![Ok(Value::ok()); 2]));
}

/// The map that a node gives may be older than the redirection. Callers who had to pause on the way were
/// back then where they had been sent away.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirection_is_followed_though_the_map_says_otherwise() {
    for is_batch in [false, true] {
        let ports = Arc::new(OnceLock::<[u16; 2]>::new());
        let asked = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let make = |itself: usize| {
            let (ports, asked) = (Arc::clone(&ports), Arc::clone(&asked[itself]));
            node(move |words| {
                let ports = ports.get().unwrap();
                match words[0].as_str() {
                    "CLUSTER" => all_at(ports[0]),
                    "SET" if asked.fetch_add(1, Ordering::SeqCst) == 5 && itself == 1 => {
                        "+OK\r\n".to_owned()
                    }
                    "SET" => format!("-MOVED 15495 127.0.0.1:{}\r\n", ports[1 - itself]),
                    _ => "+PONG\r\n".to_owned(),
                }
            })
        };
        let (one, other) = (make(0).await, make(1).await);
        ports.set([one.port(), other.port()]).unwrap();
        let pause = SHORT / 4;
        let store = cluster(&one, Config::default().backoff(pause).backoff_max(pause));
        let command = words("SET a 1");
        let answer = match is_batch {
            false => store.call(command).await,
            true => store.call_all(vec![command]).await.unwrap().remove(0),
        };
        assert_eq!(answer, Ok(Value::ok()));
        let asked = asked.map(|asked| asked.load(Ordering::SeqCst));
        assert_eq!(
            asked,
            [6, 6],
            "each node as often as the other has sent it there"
        );
    }
}

/// A command of a batch for which no try was left took the others with it, and those who were only to go
/// elsewhere were given the redirection.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_sent_elsewhere_goes_there_though_another_of_the_batch_has_no_try_left() {
    let has_moved = AtomicBool::new(false);
    let new = node(|_| "+OK\r\n".to_owned()).await;
    let port = new.port();
    let own_port = Arc::new(OnceLock::<u16>::new());
    let own = Arc::clone(&own_port);
    let old = node(move |words| match words.get(1).map(String::as_str) {
        Some("down") => "-CLUSTERDOWN The cluster is down\r\n".to_owned(),
        Some("moved") => {
            has_moved.store(true, Ordering::SeqCst);
            let slot = larder_store::slot(b"moved");
            format!("-MOVED {slot} 127.0.0.1:{port}\r\n")
        }
        _ if has_moved.load(Ordering::SeqCst) => all_at(port),
        _ => all_at(*own.get().unwrap()),
    })
    .await;
    own_port.set(old.port()).unwrap();
    let store = cluster(&old, hasty().retries(0));
    for batch in [["down", "moved"], ["moved", "down"]] {
        let commands = batch.map(|key| words(&format!("SET {key} 1")));
        let answers = store.call_all(commands.to_vec()).await.unwrap();
        let moved = batch.iter().position(|key| *key == "moved").unwrap();
        assert_eq!(answers[moved], Ok(Value::ok()), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirection_without_a_host_is_to_the_host_that_gave_it() {
    let new = node(|_| "+OK\r\n".to_owned()).await;
    let port = new.port();
    let old = node(move |words| match words[0].as_str() {
        "CLUSTER" => "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$0\r\n\r\n:PORT\r\n$2\r\nid\r\n"
            .replace("PORT", &port.to_string()),
        _ => format!("-MOVED 15495 :{port}\r\n"),
    })
    .await;
    let store = cluster(&old, hasty());
    assert_eq!(store.call(words("SET a 1")).await, Ok(Value::ok()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_map_of_slots_is_told_in_time() {
    let huge = format!(
        "*100000\r\n{}",
        "*3\r\n:0\r\n:16383\r\n*3\r\n+h\r\n:1\r\n+i\r\n".repeat(10)
    );
    let many: String = (0..16384)
        .map(|slot| format!("*3\r\n:{slot}\r\n:{slot}\r\n*3\r\n+127.0.0.1\r\n:{slot}\r\n+i\r\n"))
        .collect();
    for map in [
        "*0\r\n",
        "_\r\n",
        "+OK\r\n",
        ":1\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*3\r\n:5\r\n:3\r\n*3\r\n+h\r\n:1\r\n+i\r\n",
        "*1\r\n*3\r\n:0\r\n:99999\r\n*3\r\n+h\r\n:1\r\n+i\r\n",
        "*1\r\n*3\r\n:-1\r\n:5\r\n*3\r\n+h\r\n:1\r\n+i\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*3\r\n+h\r\n:70000\r\n+i\r\n",
        "-ERR This instance has cluster support disabled\r\n",
        &huge,
        &format!("*16384\r\n{many}"),
    ] {
        let text = map.to_owned();
        let stub = node(move |_| text.clone()).await;
        let asked = Instant::now();
        let answer = cluster(&stub, hasty()).call(words("GET a")).await;
        let start: String = map.chars().take(60).collect();
        assert!(
            matches!(answer, Err(Error::Away(_))),
            "{start:?}: {answer:?}"
        );
        assert!(
            asked.elapsed() < SHORT * 2 + SLACK,
            "{start:?}: {:?}",
            asked.elapsed()
        );
    }
}

/// A command that waits was sent to the new owner without the word that it is asked, was refused, and ran
/// in circles.
#[tokio::test(flavor = "multi_thread")]
async fn commands_that_wait_are_asked_of_the_new_owner_of_a_slot_on_its_way() {
    let asking = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&asking);
    let back = Arc::new(AtomicUsize::new(0));
    let home = Arc::clone(&back);
    let new = node(move |words| match words[0].as_str() {
        "ASKING" => {
            asked.fetch_add(1, Ordering::SeqCst);
            "+OK\r\n".to_owned()
        }
        _ => match asked.load(Ordering::SeqCst) {
            0 => format!("-MOVED 15495 127.0.0.1:{}\r\n", home.load(Ordering::SeqCst)),
            _ => {
                asked.fetch_sub(1, Ordering::SeqCst);
                "+OK\r\n".to_owned()
            }
        },
    })
    .await;
    let (port, home) = (new.port(), Arc::clone(&back));
    let old = node(move |words| match words[0].as_str() {
        "CLUSTER" => all_at(u16::try_from(home.load(Ordering::SeqCst)).unwrap()),
        _ => format!("-ASK 15495 127.0.0.1:{port}\r\n"),
    })
    .await;
    back.store(usize::from(old.port()), Ordering::SeqCst);
    let store = cluster(&old, hasty());
    assert_eq!(store.call(words("BLPOP a 0")).await, Ok(Value::ok()));
    assert_eq!(store.call(words("SET a 1")).await, Ok(Value::ok()));
    let batch = store
        .call_all(vec![words("INCR a"), words("BLPOP a 0")])
        .await;
    assert_eq!(batch, Ok(vec![Ok(Value::ok()); 2]));
}

/// Three tries were over before a slot with many keys had moved, and callers were given the refusal.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_on_their_way_are_waited_for() {
    let arrived = Arc::new(AtomicBool::new(false));
    let port = Arc::new(AtomicUsize::new(0));
    let (there, at) = (Arc::clone(&arrived), Arc::clone(&port));
    let stub = node(move |words| match words[0].as_str() {
        "CLUSTER" => all_at(u16::try_from(at.load(Ordering::SeqCst)).unwrap()),
        _ if there.load(Ordering::SeqCst) => "+OK\r\n".to_owned(),
        _ => "-TRYAGAIN Multiple keys request during rehashing of slot\r\n".to_owned(),
    })
    .await;
    port.store(usize::from(stub.port()), Ordering::SeqCst);
    let store = cluster(&stub, Config::default());
    let (single, batch, ()) = tokio::join!(
        store.call(words("MSET {a}1 1 {a}2 2")),
        store.call_all(vec![words("MSET {a}1 1 {a}2 2"); 2]),
        async {
            sleep(SHORT * 4).await;
            arrived.store(true, Ordering::SeqCst);
        }
    );
    assert_eq!(single, Ok(Value::ok()));
    assert_eq!(batch, Ok(vec![Ok(Value::ok()); 2]));
}

/// The order of messages is that in which they were published, and nodes tell each other at their leisure.
#[tokio::test(flavor = "multi_thread")]
async fn messages_on_one_channel_go_by_one_node() {
    let ports = Arc::new(OnceLock::<[u16; 2]>::new());
    let published = Arc::new(std::sync::Mutex::new(Vec::new()));
    let make = |itself: usize| {
        let (ports, published) = (Arc::clone(&ports), Arc::clone(&published));
        node(move |words| match words[0].as_str() {
            "CLUSTER" => halves(*ports.get().unwrap()),
            _ => {
                published.lock().unwrap().push(itself);
                ":1\r\n".to_owned()
            }
        })
    };
    let (one, other) = (make(0).await, make(1).await);
    ports.set([one.port(), other.port()]).unwrap();
    let store = cluster(&one, hasty());
    for number in 0..30 {
        let publish = words(&format!("PUBLISH news {number}"));
        store.call(publish).await.unwrap();
    }
    let mut published = published.lock().unwrap().clone();
    published.dedup();
    assert_eq!(published.len(), 1, "{published:?}");
}

/// One of them was not sent, of the other nobody knows; and the caller was told that nothing was sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_which_a_part_is_in_doubt_is_in_doubt() {
    let gone = free_port();
    let port = Arc::new(AtomicUsize::new(0));
    let at = Arc::clone(&port);
    let stub = Stub::start(move |mut peer: Peer| {
        let port = u16::try_from(at.load(Ordering::SeqCst)).unwrap();
        async move {
            while let Some(words) = peer.any_request().await {
                match words[0].as_str() {
                    "HELLO" => peer.say(hello("cluster", "master")).await,
                    "CLIENT" => peer.say("+OK\r\n").await,
                    "CLUSTER" => peer.say(halves([gone, port])).await,
                    _ => return,
                }
            }
        }
    })
    .await;
    port.store(usize::from(stub.port()), Ordering::SeqCst);
    let store = cluster(&stub, hasty());
    // The slot of `b` is 3300, that of `a` 15495.
    let batch = store.call_all(vec![words("INCR b"), words("INCR a")]).await;
    assert!(matches!(batch, Err(Error::Unanswered { .. })), "{batch:?}");
}

/// They went each on its way, and the later could overtake the earlier.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_a_batch_keep_their_order_on_a_slot_that_is_on_its_way() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let new = node(move |words| {
        if words[0] == "APPEND" {
            noted.lock().unwrap().push(words[2].clone());
        }
        "+OK\r\n".to_owned()
    })
    .await;
    let home = Arc::new(AtomicUsize::new(0));
    let (port, at) = (new.port(), Arc::clone(&home));
    let old = node(move |words| match words[0].as_str() {
        "CLUSTER" => all_at(u16::try_from(at.load(Ordering::SeqCst)).unwrap()),
        _ => format!("-ASK 15495 127.0.0.1:{port}\r\n"),
    })
    .await;
    home.store(usize::from(old.port()), Ordering::SeqCst);
    let store = cluster(&old, hasty().connections(8));
    let commands = |from: usize| {
        let commands = (from..from + 20).map(|number| words(&format!("APPEND a {number}")));
        commands.collect::<Vec<_>>()
    };
    for round in 0..10 {
        seen.lock().unwrap().clear();
        assert!(store.call_all(commands(round * 20)).await.is_ok());
        let wanted: Vec<String> = (round * 20..round * 20 + 20)
            .map(|n| n.to_string())
            .collect();
        assert_eq!(*seen.lock().unwrap(), wanted);
    }
}
