//! How a store is, on every kind of store and while it is not well.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use larder::{BreakerState, Command, Health, Role, Store, health, health_within};
use larder_testkit::{Cluster, PATIENCE, Sentinels, Server, ServerKind};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

type Outcome = Result<(), Box<dyn StdError>>;

/// Asks until the store is as it is to be.
async fn until(store: &Store, holds: impl Fn(&Health) -> bool) -> Health {
    let asked = async {
        loop {
            let health = health(store).await;
            if holds(&health) {
                return health;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap()
}

#[tokio::test]
async fn a_memory_store_is_ready_until_it_is_closed() -> Outcome {
    let store = larder::open("memory:?maxmemory=64mb&policy=allkeys-lru")?;
    let health = health(&store).await;
    assert!(health.live && health.ready, "{health:?}");
    let [node] = &health.nodes[..] else {
        panic!("{health:?}");
    };
    let report = node.report.as_ref().unwrap();
    assert_eq!((&node.address, &*report.server), (&None, "larder"));
    assert_eq!(report.memory.max_bytes, Some(64 << 20));
    assert_eq!(report.eviction_policy, "allkeys-lru");
    store.close().await?;
    let health = larder::health(&store).await;
    assert!(!health.live && !health.ready, "{health:?}");
    assert_eq!(health.problems, ["the store: the store is closed"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_is_found_to_be_back_by_itself() -> Outcome {
    let Some(mut server) = block_in_place(|| Server::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let store = larder::open(&server.url())?;
    let health = health(&store).await;
    assert!(health.ready, "{health:?}");
    block_in_place(|| server.kill());
    let away = until(&store, |health| {
        health.nodes[0].breaker == BreakerState::Open
    })
    .await;
    assert!(away.live && !away.ready && away.latency.is_none());
    assert!(away.problems[0].contains("Connection refused"), "{away:?}");
    block_in_place(|| server.restart());
    let back = until(&store, |health| health.ready).await;
    assert_eq!(back.problems, [""; 0]);
    Ok(())
}

/// A server that is stopped keeps its connections, and answers nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_keeps_nobody_waiting() -> Outcome {
    let Some(mut server) = block_in_place(|| Server::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let store = larder::open(&server.url())?;
    assert!(health(&store).await.ready);
    block_in_place(|| server.pause());
    for _ in 0..5 {
        let asked = Instant::now();
        let health = health_within(&store, Duration::from_millis(100)).await;
        assert!(!health.ready && health.live, "{health:?}");
        assert!(asked.elapsed() < Duration::from_millis(600));
    }
    block_in_place(|| server.resume());
    until(&store, |health| health.ready).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_never_there_is_away_in_a_second() -> Outcome {
    for url in [
        "redis://127.0.0.1:1",
        "redis-sentinel://127.0.0.1:1/mymaster",
        "redis-cluster://127.0.0.1:1",
    ] {
        let store = larder::open(url)?;
        let asked = Instant::now();
        let health = health(&store).await;
        assert!(health.live && !health.ready, "{url}: {health:?}");
        assert_eq!(health.problems.len(), 1, "{url}: {health:?}");
        assert!(asked.elapsed() < Duration::from_millis(1500), "{url}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_not_ready_for_writes() -> Outcome {
    let Some(master) = block_in_place(|| Server::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let port = master.port().to_string();
    let options = ["--replicaof", "127.0.0.1", &port];
    let Some(replica) = block_in_place(|| Server::start_with(ServerKind::Redis, &options)) else {
        return Ok(());
    };
    let store = larder::open(&replica.url())?;
    let is_linked = |health: &Health| {
        let report = health.nodes.first().and_then(|node| node.report.as_ref());
        report.is_some_and(|report| report.link.as_ref().is_some_and(|link| link.is_up))
    };
    let health = until(&store, is_linked).await;
    assert!(!health.ready && health.nodes[0].role == Role::Replica);
    assert!(health.problems[0].ends_with("is a replica, and takes no writes"));
    let store = larder::open(&master.url())?;
    let health = until(&store, |health| {
        let report = health.nodes[0].report.as_ref().unwrap();
        report.replicas.iter().any(|replica| replica.is_online)
    })
    .await;
    assert!(health.ready);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_sentinels_the_master_and_its_replicas_are_seen_through_a_failover() -> Outcome {
    let Some(mut sentinels) = block_in_place(|| Sentinels::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let old = sentinels.master();
    let store = larder::open(&sentinels.url())?;
    let before = until(&store, |health| health.ready).await;
    assert_eq!(before.nodes.len(), 3, "{before:?}");
    let master = before.masters().next().unwrap().address.clone();
    assert_eq!(before.masters().count(), 1, "{before:?}");
    block_in_place(|| sentinels.failover_by_killing());
    let after = until(&store, |health| {
        health.ready && health.masters().next().unwrap().address != master
    })
    .await;
    assert_eq!(after.masters().count(), 1, "{after:?}");
    block_in_place(|| sentinels.nodes[old].restart());
    // It believes that it leads, until a Sentinel tells it otherwise.
    let is_back = |health: &Health| {
        let nodes = health.nodes.iter();
        nodes.filter(|node| node.role == Role::Replica).count() == 2
    };
    assert!(until(&store, is_back).await.ready);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cluster_all_masters_and_replicas_are_seen_and_slots_without_owner_are_missed()
-> Outcome {
    let Some(cluster) = block_in_place(|| Cluster::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let store = larder::open(&cluster.url())?;
    let health = until(&store, |health| health.ready).await;
    assert_eq!(health.nodes.len(), 6, "{health:?}");
    assert_eq!(health.masters().count(), 3, "{health:?}");
    let master = cluster.owner(5);
    block_in_place(|| {
        for node in 0..cluster.nodes.len() {
            if cluster.nodes[node].is_reachable() {
                cluster.nodes[node].ask(&["CLUSTER", "DELSLOTS", "5"]);
            }
        }
    });
    assert_eq!(cluster.owner(6), master);
    let health = until(&store, |health| !health.ready).await;
    let told = health
        .problems
        .iter()
        .any(|problem| problem.contains("1 slots"));
    assert!(told && health.live, "{health:?}");
    Ok(())
}

/// The name of a server may lead to another machine after a failover. A process that gets no visitors
/// while it is not ready would never learn so.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_server_became_a_replica_connects_anew() -> Outcome {
    let Some(server) = block_in_place(|| Server::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let store = larder::open(&server.url())?;
    assert!(health(&store).await.ready);
    let mut events = store.connection_events();
    let demote = ["127.0.0.1", "1"];
    store
        .run::<()>(Command::new("REPLICAOF").args(demote))
        .await?;
    assert!(!health(&store).await.ready);
    let event = timeout(PATIENCE, events.next()).await?;
    assert!(
        matches!(event, Some(larder::ConnectionEvent::Connected(_))),
        "{event:?}"
    );
    let admin = larder::open(&server.url())?;
    let promote = ["NO", "ONE"];
    admin
        .run::<()>(Command::new("REPLICAOF").args(promote))
        .await?;
    until(&store, |health| health.ready).await;
    Ok(())
}

/// Nobody but the one who asks how it is uses the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_in_a_cluster_is_seen_by_whoever_only_looks() -> Outcome {
    let Some(cluster) = block_in_place(|| Cluster::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let store = larder::open(&cluster.url())?;
    until(&store, |health| health.ready).await;
    let promoted = block_in_place(|| cluster.failover(cluster.masters()[0]));
    let address = cluster.nodes[promoted].address();
    let health = until(&store, |health| {
        let mut masters = health.masters();
        health.ready && masters.any(|node| node.address.as_ref() == Some(&address))
    })
    .await;
    assert_eq!(health.masters().count(), 3, "{health:?}");
    Ok(())
}

/// INFO counts as dangerous, so users of an application may not have it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_tell_its_user_how_it_is_is_ready_if_it_serves_him() -> Outcome {
    let Some(server) = block_in_place(|| Server::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let user = ["SETUSER", "app", "on", ">pw", "~*", "+@all", "-@dangerous"];
    let admin = larder::open(&server.url())?;
    admin.run::<()>(Command::new("ACL").args(user)).await?;
    let store = larder::open(&format!("redis://app:pw@127.0.0.1:{}", server.port()))?;
    let health = health(&store).await;
    assert!(health.ready && health.latency.is_some(), "{health:?}");
    let [node] = &health.nodes[..] else {
        panic!("{health:?}");
    };
    assert!(node.report.is_none() && node.error.as_ref().unwrap().contains("NOPERM"));
    Ok(())
}

#[tokio::test]
async fn it_serializes_for_whoever_asks_over_http() -> Outcome {
    let store = larder::open("memory:")?;
    store.run::<()>(Command::new("SET").arg("a").arg(1)).await?;
    let health = serde_json::to_value(health(&store).await)?;
    assert_eq!(health["ready"], true);
    assert!(health["latency_us"].is_u64(), "{health}");
    let node = &health["nodes"][0];
    assert_eq!(
        (&node["role"], &node["breaker"]),
        (&"master".into(), &"closed".into())
    );
    assert!(node["report"]["memory"]["used_bytes"].as_u64().unwrap() > 0);
    Ok(())
}
