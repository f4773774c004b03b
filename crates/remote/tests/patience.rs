//! What a server that hangs, vanishes or takes no writes any more costs those who ask it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use larder_remote::Config;
use larder_store::{Channels, Command, Error, Event, Store, Value};
use larder_testkit::{Server, ServerKind, words};
use tokio::time::timeout;

type Outcome = Result<(), Box<dyn StdError>>;

const SHORT: Duration = Duration::from_millis(200);

/// A server, a store on it that is patient for a short time, and one by which a test looks at it.
fn start(config: Config) -> Option<(Server, Store, Store)> {
    let server = Server::start_with(ServerKind::Redis, &["--enable-debug-command", "local"])?;
    let open = |config| larder_testkit::open(&server.url(), config);
    let (store, looking) = (open(config), open(Config::default()));
    Some((server, store, looking))
}

/// A number of INFO.
async fn figure(store: &Store, section: &str, name: &str) -> Result<u64, Error> {
    let info: String = store.run(Command::new("INFO").arg(section)).await?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.unwrap().parse().unwrap())
}

/// Makes a server hang for two seconds.
async fn hang(looking: &Store) {
    let hung = looking.clone();
    tokio::spawn(async move { hung.call(words("DEBUG SLEEP 2")).await });
    while timeout(SHORT / 4, looking.call(words("PING")))
        .await
        .is_ok()
    {}
}

/// Makes a server refuse writes, as one does that is not the master any more.
async fn demote(looking: &Store) -> Result<(), Error> {
    looking.run(words("REPLICAOF 127.0.0.1 1")).await
}

/// an outage should cost the first callers their patience, and the others nothing.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_server_was_found_to_hang_callers_are_refused_at_once() {
    let what = "has to wait as the first one did";
    let config = Config::default()
        .response_timeout(SHORT)
        .connect_timeout(SHORT)
        .retries(0);
    let Some((_server, store, looking)) = start(config) else {
        return;
    };
    store.run::<()>(words("SET a 1")).await.unwrap();
    hang(&looking).await;
    for _ in 0..3 {
        assert!(store.call(words("GET a")).await.is_err());
    }
    let asked = Instant::now();
    assert!(store.call(words("GET a")).await.is_err());
    assert!(asked.elapsed() < SHORT / 4, "the fourth caller {what}");
}

/// the subscriptions of a store should share a connection.
#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_share_a_connection() {
    let what = "connections for 10 subscriptions";
    let Some((_server, store, looking)) = start(Config::default()) else {
        return;
    };
    let mut subscriptions = Vec::new();
    for number in 0..10 {
        let channels = Channels::default().channel(format!("news.{number}"));
        subscriptions.push(store.subscribe(channels).await.unwrap());
    }
    let clients: String = looking.run(words("CLIENT LIST TYPE PUBSUB")).await.unwrap();
    assert_eq!(
        clients.lines().count(),
        1,
        "{} {what}",
        clients.lines().count()
    );
}

/// a subscription should notice that its server says nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_notices_a_silent_server() {
    let what = "nobody noticed that the server was silent";
    let Some((_server, store, looking)) = start(Config::default().response_timeout(SHORT)) else {
        return;
    };
    let mut events = store
        .subscribe(Channels::default().channel("news"))
        .await
        .unwrap();
    hang(&looking).await;
    let noticed = timeout(SHORT * 50, events.next()).await;
    assert_eq!(noticed, Ok(Some(Event::Gap)), "{what}");
}

/// a batch that was refused by a replica should not find the same connection again.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_a_replica_refused_gives_its_connection_up() {
    let what = "stays on the connection of a server that takes no writes";
    let Some((_server, store, looking)) = start(Config::default()) else {
        return;
    };
    let before: u64 = store.run(words("CLIENT ID")).await.unwrap();
    demote(&looking).await.unwrap();
    let answers = store.call_all(vec![words("DEL a")]).await.unwrap();
    assert!(matches!(&answers[0], Err(error) if error.is_refusal("READONLY")));
    assert_ne!(
        store.run::<u64>(words("CLIENT ID")).await.unwrap(),
        before,
        "it {what}"
    );
}

/// while a name leads to a replica, each write should not cost a connection.
#[tokio::test(flavor = "multi_thread")]
async fn writes_that_are_refused_do_not_cost_a_connection_each() {
    let what = "connections for 20 writes";
    let Some((_server, store, looking)) = start(Config::default().retries(0)) else {
        return;
    };
    demote(&looking).await.unwrap();
    let received = || figure(&looking, "stats", "total_connections_received");
    let before = received().await.unwrap();
    for _ in 0..20 {
        assert!(store.call(words("SET a 1")).await.is_err());
    }
    let more = received().await.unwrap() - before;
    assert!(more <= 5, "{more} {what}");
}

/// who waits for a turn should not wait longer than for an answer.
#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_a_turn_is_part_of_the_wait_for_an_answer() {
    let what = "for an answer that may take";
    let config = Config::default()
        .response_timeout(SHORT)
        .in_flight_max(1)
        .retries(0);
    let Some((_server, store, looking)) = start(config) else {
        return;
    };
    store.run::<()>(words("SET a 1")).await.unwrap();
    hang(&looking).await;
    let asked = Instant::now();
    let callers: Vec<_> = (0..6)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.call(words("GET a")).await })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap().is_err());
    }
    let waited = asked.elapsed();
    assert!(waited < SHORT * 2, "{waited:?} {what} {SHORT:?}");
}

/// a connection for waiting that leads to a replica should not be kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_waits_on_a_replica_is_not_kept() {
    let what = "the connection to a replica is kept for the next who waits";
    let Some((_server, store, looking)) = start(Config::default().retries(0)) else {
        return;
    };
    let outcome: Outcome = async {
        store.run::<()>(words("RPUSH queue a")).await?;
        assert_ne!(store.call(words("BLPOP queue 1")).await?, Value::Null);
        demote(&looking).await?;
        let idle = "CLIENT LIST TYPE NORMAL";
        assert!(store.call(words("BLPOP queue 1")).await.is_err());
        // Its end takes a moment to arrive.
        let is_gone = async {
            while looking
                .run::<String>(words(idle))
                .await?
                .contains("cmd=blpop")
            {}
            Ok::<(), Error>(())
        };
        timeout(SHORT * 10, is_gone).await.expect(what)?;
        Ok(())
    }
    .await;
    outcome.unwrap();
}

/// By default nobody waits for a server that is known to be away. Who is told to may wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn callers_who_may_wait_out_an_outage_do() {
    let config = Config::default()
        .retries(0)
        .connect_timeout(SHORT)
        .wait_while_away(true);
    let Some((mut server, store, _)) = start(config) else {
        return;
    };
    server.kill();
    // Nobody can connect, until the breaker opens.
    for _ in 0..3 {
        assert!(store.call(words("PING")).await.is_err());
    }
    let mut waiting = tokio::spawn({
        let store = store.clone();
        async move {
            let batch = vec![words("SET a 1"), words("GET a")];
            (store.call(words("PING")).await, store.call_all(batch).await)
        }
    });
    // Were it refused, it would have its answer at once.
    assert!(timeout(SHORT / 4, &mut waiting).await.is_err());
    tokio::task::block_in_place(|| server.restart());
    let (answer, answers) = waiting.await.unwrap();
    assert_eq!(answer, Ok(Value::Status("PONG".into())));
    assert_eq!(answers.unwrap()[1], Ok(Value::Bytes("1".into())));
}
