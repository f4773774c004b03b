//! What callers see when the server is away, slow, or not what they thought, and what they do not
//! lose when they lose patience.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::error::Error as StdError;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use larder_remote::Config;
use larder_store::{Channels, Error, Event, Store, Value};
use larder_testkit::{Server, ServerKind, open, words};

type Outcome = Result<(), Box<dyn StdError>>;

/// A server and a store on it, or nothing where this machine has no server.
fn start(options: &[&str]) -> Option<(Server, Store)> {
    let server = Server::start_with(ServerKind::Redis, options)?;
    let store = open(&server.url(), Config::default());
    Some((server, store))
}

/// Waits until `count` clients of the server wait for a key.
async fn until_blocked(store: &Store, count: usize) -> Result<(), Error> {
    let wanted = format!("blocked_clients:{count}\r");
    while !store
        .run::<String>(words("INFO clients"))
        .await?
        .contains(&wanted)
    {
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_is_used_again() -> Outcome {
    let Some((mut server, store)) = start(&[]) else {
        return Ok(());
    };
    store.run::<()>(words("SET a 1")).await?;
    server.kill();
    server.restart();
    // The server keeps nothing, so this is certainly the new one.
    assert_eq!(store.call(words("GET a")).await?, Value::Null);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_in_time_is_waited_for() -> Outcome {
    let Some((mut server, store)) = start(&[]) else {
        return Ok(());
    };
    server.kill();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.run::<i64>(words("INCR a")).await }
    });
    server.restart();
    assert_eq!(waiting.await??, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_all_callers_learn_so_soon() -> Outcome {
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let store = open(&format!("redis://{free}"), Config::default());
    let start = Instant::now();
    let call = || {
        let store = store.clone();
        tokio::spawn(async move { store.call(words("PING")).await })
    };
    let callers: Vec<_> = (0..100).map(|_| call()).collect();
    for caller in callers {
        let Err(Error::Away(away)) = caller.await? else {
            panic!("there is no server")
        };
        assert!(away.reason().contains("can't connect"), "{away}");
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_callers_wait_for_a_server_than_may() -> Outcome {
    let config = Config::default().waiting_max(0);
    let store = open("redis://127.0.0.1:1", config);
    let Err(Error::Away(away)) = store.call(words("PING")).await else {
        panic!("nobody may wait")
    };
    assert!(away.reason().contains("callers wait"), "{away}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_in_time_leaves_open_what_happened() -> Outcome {
    let Some((server, _)) = start(&["--enable-debug-command", "local"]) else {
        return Ok(());
    };
    let config = Config::default().response_timeout(Duration::from_millis(100));
    let store = open(&server.url(), config);
    let answer = store.call(words("DEBUG SLEEP 0.3")).await;
    assert!(
        matches!(answer, Err(Error::Unanswered { .. })),
        "{answer:?}"
    );
    // The next caller gets another connection, made as soon as the server listens again.
    assert_eq!(store.run::<i64>(words("INCR a")).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pop_that_is_given_up_takes_nothing() -> Outcome {
    let Some((_server, store)) = start(&[]) else {
        return Ok(());
    };
    for _ in 0..3 {
        let pop = tokio::spawn({
            let store = store.clone();
            async move { store.call(words("BLPOP queue 0")).await }
        });
        until_blocked(&store, 1).await?;
        pop.abort();
        until_blocked(&store, 0).await?;
    }
    store.run::<()>(words("RPUSH queue job")).await?;
    let popped: Vec<String> = store.run(words("BLPOP queue 0")).await?;
    assert_eq!(popped, ["queue", "job"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_longer_than_answers_may_take_is_waited_out() -> Outcome {
    let Some((server, _)) = start(&[]) else {
        return Ok(());
    };
    let config = Config::default().response_timeout(Duration::from_millis(200));
    let store = open(&server.url(), config);
    assert_eq!(store.call(words("BLPOP queue 0.4")).await?, Value::Null);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_waits_holds_up_nobody() -> Outcome {
    let Some((_server, store)) = start(&[]) else {
        return Ok(());
    };
    let batch = tokio::spawn({
        let store = store.clone();
        async move {
            let commands = ["SET a 1", "BLPOP queue 0", "GET a"].map(words);
            store.call_all(commands.to_vec()).await
        }
    });
    until_blocked(&store, 1).await?;
    store.run::<()>(words("RPUSH queue job")).await?;
    assert_eq!(batch.await??[2], Ok(Value::Bytes("1".into())));

    let commands = ["SET a 2", "WAIT 0 100"].map(words).to_vec();
    assert_eq!(store.call_all(commands).await?[1], Ok(Value::Int(0)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_outlives_its_connection_and_tells_of_the_gap() -> Outcome {
    let Some((mut server, store)) = start(&[]) else {
        return Ok(());
    };
    let channels = Channels::default().channel("news");
    let mut events = store.subscribe(channels).await?;
    store.run::<()>(words("PUBLISH news one")).await?;
    assert!(matches!(events.next().await, Some(Event::Message(_))));
    server.kill();
    server.restart();
    assert_eq!(events.next().await, Some(Event::Gap));
    assert_eq!(store.run::<i64>(words("PUBLISH news two")).await?, 1);
    let Some(Event::Message(message)) = events.next().await else {
        panic!("no message")
    };
    assert_eq!(&message.payload[..], b"two");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_is_slow_learns_how_much_was_lost() -> Outcome {
    let Some((_server, store)) = start(&[]) else {
        return Ok(());
    };
    let channels = Channels::default().channel("news").buffer(2);
    let mut events = store.subscribe(channels).await?;
    for number in 0..5 {
        let publish = format!("PUBLISH news {number}");
        store.run::<()>(words(&publish)).await?;
    }
    let (mut lost, mut read) = (0, 0);
    while lost + read < 5 {
        match events.next().await {
            Some(Event::Lagged(count)) => lost += count,
            Some(Event::Message(_)) => read += 1,
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_waits_and_subscriptions() -> Outcome {
    let Some((_server, store)) = start(&[]) else {
        return Ok(());
    };
    let mut events = store.subscribe(Channels::default().pattern("*")).await?;
    let pop = tokio::spawn({
        let store = store.clone();
        async move { store.call(words("BLPOP queue 0")).await }
    });
    until_blocked(&store, 1).await?;
    store.close().await?;
    assert!(matches!(pop.await?, Err(Error::Unanswered { .. })));
    assert_eq!(events.next().await, None);
    for line in ["PING", "BLPOP a 0"] {
        let answer = store.call(words(line)).await;
        assert!(matches!(answer, Err(Error::Closed)), "{answer:?}");
    }
    assert!(store.subscribe(Channels::default()).await.is_err());
    Ok(())
}

#[test]
fn outside_of_a_runtime_a_store_says_that_it_needs_one() {
    let store = open("redis://127.0.0.1:1", Config::default());
    let wanted = Error::invalid("a store on a server has to be used within a tokio runtime");
    for line in ["PING", "BLPOP a 1"] {
        let answer = store.call(words(line)).now_or_never();
        assert_eq!(answer, Some(Err(wanted.clone())));
    }
    let all = store.call_all(vec![words("PING")]).now_or_never();
    assert_eq!(all, Some(Err(wanted.clone())));
    let channels = Channels::default().channel("a");
    let subscription = store.subscribe(channels).now_or_never();
    assert_eq!(subscription.unwrap().unwrap_err(), wanted);
}

/// A store that tests share, each with a runtime of its own, failed in every second of them: the
/// connection had died with the runtime in which it was made, and nobody had noticed.
#[test]
fn a_store_outlives_the_runtime_in_which_it_was_used() -> Outcome {
    let Some((_server, store)) = start(&[]) else {
        return Ok(());
    };
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    };
    for _ in 0..3 {
        runtime()?.block_on(async {
            store.run::<()>(words("PING")).await?;
            store.call(words("BLPOP a 0.01")).await
        })?;
    }

    let channels = Channels::default().channel("news");
    let mut listening = runtime()?.block_on(async { store.subscribe(channels).await })?;
    let next = runtime()?
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), listening.next()).await });
    assert_eq!(next, Ok(None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_at_once() -> Outcome {
    let Some((server, none)) = start(&["--requirepass", "secret"]) else {
        return Ok(());
    };
    let port = server.port();
    let wrong = format!("redis://:wrong@127.0.0.1:{port}");
    for store in [none, open(&wrong, Config::default())] {
        let start = Instant::now();
        let Err(Error::Away(away)) = store.call(words("PING")).await else {
            panic!("the password is wrong")
        };
        assert!(
            away.reason().contains("turned the connection away"),
            "{away}"
        );
        assert!(!away.reason().contains("wrong@"), "{away}");
        assert!(start.elapsed() < Duration::from_secs(1));
        assert!(store.call(words("BLPOP a 1")).await.is_err());
        let channels = Channels::default().channel("a");
        assert!(store.subscribe(channels).await.is_err());
    }
    let right = format!("redis://:secret@127.0.0.1:{port}/3");
    let right = open(&right, Config::default());
    let clients: String = right.run(words("CLIENT LIST")).await?;
    assert!(clients.contains(" db=3 "), "{clients}");
    Ok(())
}

/// What a caller is told who finds no connection.
async fn why_not(url: &str) -> String {
    let config = Config::default()
        .retries(0)
        .connect_timeout(Duration::from_millis(500));
    match open(url, config).call(words("PING")).await {
        Err(Error::Away(away)) => away.reason().to_owned(),
        answer => panic!("{url} answered {answer:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_turned_away_learns_by_whom_and_why() -> Outcome {
    let Some((open, _)) = start(&[]) else {
        return Ok(());
    };
    let Some((locked, _)) = start(&["--requirepass", "secret"]) else {
        return Ok(());
    };
    let address = format!("127.0.0.1:{} turned the connection away: ", locked.port());
    assert_eq!(
        why_not(&locked.url()).await,
        format!(
            "{address}it wants a password, and was given none: write it into the URL, as \
             redis://:password@host"
        )
    );
    let wrong = locked.url().replace("//", "//:wrong@");
    assert_eq!(
        why_not(&wrong).await,
        format!(
            "{address}WRONGPASS invalid username-password pair or user is disabled. The URL's user and \
             password are meant"
        )
    );
    let far = format!("{}/99", open.url());
    assert_eq!(
        why_not(&far).await,
        format!(
            "127.0.0.1:{} turned the connection away: ERR DB index is out of range; the URL asks for \
             database 99, and the server's setting `databases` says how many it has",
            open.port()
        )
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_server_is_named() {
    let refused = why_not("redis://127.0.0.1:1").await;
    assert!(
        refused.starts_with("can't connect to 127.0.0.1:1: Connection refused"),
        "{refused}"
    );
    let absent = why_not("redis+unix:///no/such/socket").await;
    assert!(
        absent.starts_with("can't connect to /no/such/socket: No such file"),
        "{absent}"
    );
}

/// A server that accepts and says this, or nothing; and how often it has accepted.
fn stranger(says: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            connection.write_all(says.as_bytes()).unwrap();
            open.push(connection);
        }
    });
    (url, accepted)
}

/// A server that loaded its data took seconds to say so, and its callers waited for four such
/// answers, one after the other, longer than one answer may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_not_sent_again_when_its_time_is_over() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("redis://{}", listener.local_addr()?);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let late = Duration::from_millis(400);
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 1000];
        while let Ok(1..) = connection.read(&mut request) {
            let text = String::from_utf8_lossy(&request);
            match text.contains("GET") {
                true => {
                    count.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(late);
                    connection.write_all(b"-LOADING still\r\n").unwrap();
                }
                // What a connection begins with.
                false => connection
                    .write_all("%0\r\n+OK\r\n+OK\r\n".as_bytes())
                    .unwrap(),
            }
            request.fill(0);
        }
    });
    let config = Config::default()
        .response_timeout(late * 7 / 4)
        .backoff(Duration::from_millis(1));
    let answer = open(&url, config).call(words("GET a")).await;
    assert!(answer.unwrap_err().is_refusal("LOADING"));
    // Where the machine is slow, the first answer may already take up all of the time.
    let asked = asked.load(Ordering::SeqCst);
    assert!((1..=2).contains(&asked), "{asked}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_is_told_from_that_of_redis() {
    let (url, _) = stranger("HTTP/1.1 400 Bad Request\r\n\r\n");
    let reason = why_not(&url).await;
    assert!(
        reason.ends_with("does not speak the protocol of Redis: is it the right port?"),
        "{reason}"
    );
}

/// A server that was stopped accepted connections and said nothing, and each caller waited as long
/// as four tries take, each of them as long as a connection may.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_not_tried_again_for_the_same_caller() -> Outcome {
    let (url, accepted) = stranger("");
    let config = Config::default().connect_timeout(Duration::from_millis(50));
    let store = open(&url, config);
    assert!(store.call(words("PING")).await.is_err());
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    assert!(store.call(words("BLPOP a 1")).await.is_err());
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
    let channels = Channels::default().channel("a");
    assert!(store.subscribe(channels).await.is_err());
    assert_eq!(accepted.load(Ordering::SeqCst), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_as_good_as_a_port() -> Outcome {
    let Some((server, _)) = start(&[]) else {
        return Ok(());
    };
    let store = open(&format!("{}?db=2", server.unix_url()), Config::default());
    assert_eq!(store.run::<i64>(words("INCR a")).await?, 1);
    assert_eq!(store.call(words("BLPOP queue 0.01")).await?, Value::Null);
    store.subscribe(Channels::default().channel("news")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_a_server_that_has_none_is_an_error() -> Outcome {
    let Some((server, _)) = start(&[]) else {
        return Ok(());
    };
    let reason = why_not(&server.url().replace("redis://", "rediss://")).await;
    assert!(
        reason.ends_with("if the server does not speak TLS, its URL begins with redis://"),
        "{reason}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_would_change_the_shared_connection_are_refused() -> Outcome {
    let Some((_server, store)) = start(&[]) else {
        return Ok(());
    };
    for line in [
        "MULTI",
        "watch a",
        "SELECT 1",
        "UNSUBSCRIBE",
        "CLIENT REPLY OFF",
        "WAIT 0 1",
    ] {
        let answer = store.call(words(line)).await;
        assert!(matches!(answer, Err(Error::Invalid { .. })), "{line}");
    }
    for batch in [&["MULTI", "SET a 1"][..], &["WATCH a", "GET a"], &["EXEC"]] {
        let commands = batch.iter().map(|line| words(line)).collect();
        let answers = store.call_all(commands).await;
        assert!(matches!(answers, Err(Error::Invalid { .. })));
    }
    assert_eq!(store.run::<i64>(words("EXISTS a")).await?, 0);
    Ok(())
}
