//! What is seen of a store's servers, and of its calls, from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::error::Error as StdError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_remote::Config;
use larder_store::{
    BreakerState, Call, Command, ConnectionEvent, NodeStatus, Observer, Part, Role, Store, Value,
    slot,
};
use larder_testkit::{Cluster, PATIENCE, Sentinels, Server, ServerKind, words};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

type Outcome = Result<(), Box<dyn StdError>>;

fn open(url: &str) -> Store {
    let config = Config::default().retries(1).breaker_failures(1);
    larder_testkit::open(url, config)
}

fn count(nodes: &[NodeStatus], role: Role) -> usize {
    nodes.iter().filter(|node| node.role == role).count()
}

/// The role that a node has by its own word.
async fn role_of(store: &Store, node: &NodeStatus) -> Result<Role, Box<dyn StdError>> {
    let role: Vec<Value> = store.run(words("ROLE").on(&node.part)).await?;
    match &role[0] {
        Value::Bytes(role) if role == "master" => Ok(Role::Master),
        Value::Bytes(role) if role == "slave" => Ok(Role::Replica),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_of_a_cluster_is_seen_and_can_be_asked_about_itself() -> Outcome {
    let Some(cluster) = block_in_place(|| Cluster::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let store = open(&cluster.url());
    assert_eq!(store.nodes(), [], "nobody was asked yet");
    store.call(words("PING")).await?;
    let nodes = store.nodes();
    assert_eq!(count(&nodes, Role::Master), 3, "{nodes:?}");
    assert_eq!(count(&nodes, Role::Replica), 3, "{nodes:?}");
    for node in &nodes {
        assert_eq!(role_of(&store, node).await?, node.role, "{node:?}");
    }
    assert!(store.nodes().iter().all(|node| node.connections == 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_away_is_seen_all_the_time_and_answers_when_it_is_back() -> Outcome {
    let Some(mut sentinels) = block_in_place(|| Sentinels::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let store = open(&sentinels.url());
    store.call(words("PING")).await?;
    let nodes = store.nodes();
    assert_eq!(count(&nodes, Role::Master), 1, "{nodes:?}");
    assert_eq!(count(&nodes, Role::Replica), 2, "{nodes:?}");
    for node in &nodes {
        assert_eq!(role_of(&store, node).await?, node.role, "{node:?}");
    }
    let place = sentinels.replicas()[0];
    let address = sentinels.nodes[place].address();
    let seen = |store: &Store| {
        let nodes = store.nodes().into_iter();
        nodes
            .filter(|node| node.part.as_str() == address)
            .collect::<Vec<_>>()
    };
    block_in_place(|| sentinels.nodes[place].kill());
    let part = Part::new(&*address);
    let ask = || store.call(words("PING").on(&part));
    while ask().await.is_ok() {}
    assert_eq!(seen(&store)[0].breaker, BreakerState::Open);
    // Reads that a replica may answer go to the others.
    for _ in 0..10 {
        store.call(words("GET a").from_replica()).await?;
    }
    block_in_place(|| sentinels.nodes[place].restart());
    let back = async {
        while ask().await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, back).await?;
    assert_eq!(seen(&store)[0].breaker, BreakerState::Closed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_connections_is_told_until_the_store_is_closed() -> Outcome {
    let Some(mut server) = block_in_place(|| Server::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let store = open(&server.url());
    let mut events = store.within(PATIENCE).connection_events();
    store.call(words("PING")).await?;
    let address = store.nodes()[0].part.to_string();
    assert_eq!(
        events.next().await,
        Some(ConnectionEvent::Connected(address.clone()))
    );
    block_in_place(|| server.kill());
    while store.call(words("PING")).await.is_ok() {}
    let lost = events.next().await;
    assert!(
        matches!(&lost, Some(ConnectionEvent::Lost(at, _)) if *at == address),
        "{lost:?}"
    );
    let opened = async {
        while !matches!(
            events.next().await,
            Some(ConnectionEvent::BreakerOpened(..))
        ) {}
    };
    timeout(PATIENCE, opened).await?;
    assert_eq!(store.nodes()[0].breaker, BreakerState::Open);
    store.close().await?;
    assert_eq!(timeout(PATIENCE, events.next()).await?, None);
    Ok(())
}

/// The node, the database and the tries of a call.
type Way = (Option<String>, Option<u32>, u32);

/// The way of each call.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Way>>>);

impl Observer for Seen {
    fn done(&self, call: &Call<'_>) {
        let seen = (call.node.map(str::to_owned), call.db, call.tries);
        self.0.lock().unwrap().push(seen);
    }
}

impl Seen {
    fn take(&self) -> Vec<Way> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_learns_which_node_was_asked_of_which_database() -> Outcome {
    let Some(server) = block_in_place(|| Server::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let seen = Seen::default();
    let store = open(&format!("{}/3", server.url())).observed(seen.clone());
    let once = (Some(format!("127.0.0.1:{}", server.port())), Some(3), 1);
    store.call(words("SET a 1")).await?;
    let _ = store.call(words("BLPOP none 0.01")).await?;
    let _ = store.call_all(vec![words("GET a"), words("GET b")]).await?;
    assert_eq!(seen.take(), [once.clone(), once.clone(), once]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirection_is_another_try_and_a_batch_on_several_nodes_names_none() -> Outcome {
    let Some(cluster) = block_in_place(|| Cluster::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let seen = Seen::default();
    let store = open(&cluster.url()).observed(seen.clone());
    store.call(words("SET a 1")).await?;
    let first = seen.take();
    block_in_place(|| {
        let from = cluster.owner(slot(b"a"));
        let others = cluster.masters().into_iter().find(|node| *node != from);
        cluster.migrate(slot(b"a"), others.unwrap());
    });
    store.call(words("GET a")).await?;
    let moved = seen.take();
    assert_eq!((first[0].2, moved[0].2), (1, 2), "{first:?} {moved:?}");
    assert_ne!(first[0].0, moved[0].0);
    let sets = (0..100).map(|number| Command::new("SET").arg(number).arg(1));
    store.call_all(sets.collect()).await?;
    assert_eq!(seen.take()[0].0, None);
    Ok(())
}
