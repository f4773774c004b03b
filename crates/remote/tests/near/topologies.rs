//! Slots that move, masters that are followed by others, and replicas.

use larder_store::{Command, Value, slot};
use larder_testkit::{Cluster, Sentinels, ServerKind};
use tokio::task::block_in_place;

use super::{Outcome, ROOM, open, text, until, until_fresh, until_stale, words};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_of_a_slot_that_moves_is_read_at_its_new_owner() -> Outcome {
    let Some(cluster) = block_in_place(|| Cluster::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let (near, other) = (open(&cluster.url()).near(ROOM), open(&cluster.url()));
    let moving = slot(b"moving");
    let get = |number: i32| Command::new("GET").arg(format!("{{moving}}{number}"));
    for round in 0..4 {
        for number in 0..5 {
            let set = Command::new("SET").arg(format!("{{moving}}{number}"));
            other.run::<()>(set.arg(round)).await?;
        }
        let (_, freshness) = until_fresh(&near, "GET {moving}0").await?;
        for number in 0..10 {
            near.call(get(number)).await?;
        }
        let from = block_in_place(|| cluster.owner(moving));
        let to = block_in_place(|| cluster.masters())
            .into_iter()
            .find(|node| *node != from)
            .unwrap();
        block_in_place(|| cluster.migrate(moving, to));
        until_stale(&freshness).await?;
        // Also of keys that were not there, of which nobody tells.
        for number in 0..10 {
            let set = Command::new("SET").arg(format!("{{moving}}{number}"));
            other.run::<()>(set.arg("moved")).await?;
        }
        for number in 0..10 {
            until(async || near.call(get(number)).await == Ok(text("moved"))).await?;
        }
        let keys = (0..10).map(|number| format!("{{moving}}{number}"));
        other
            .run::<i64>(Command::new("DEL").args(keys.collect::<Vec<_>>()))
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_of_a_master_of_a_cluster_that_is_followed_by_another_is_stale() -> Outcome {
    let Some(mut cluster) = block_in_place(|| Cluster::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let (near, other) = (open(&cluster.url()).near(ROOM), open(&cluster.url()));
    other.run::<()>(words("SET a 1")).await?;
    let (_, freshness) = until_fresh(&near, "GET a").await?;
    // It goes on as a replica, with all its connections, and nobody asks anything meanwhile.
    let owner = block_in_place(|| cluster.owner(slot(b"a")));
    let owner = block_in_place(|| cluster.failover(owner));
    until_stale(&freshness).await?;
    let (_, freshness) = until_fresh(&near, "GET a").await?;
    block_in_place(|| cluster.failover_by_killing(owner));
    until_stale(&freshness).await?;
    until(async || other.call(words("SET a 2")).await.is_ok()).await?;
    until(async || near.call(words("GET a")).await == Ok(text("2"))).await?;
    until_fresh(&near, "GET a").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_of_a_master_that_is_followed_by_another_is_stale() -> Outcome {
    let Some(sentinels) = block_in_place(|| Sentinels::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let (near, other) = (open(&sentinels.url()).near(ROOM), open(&sentinels.url()));
    for round in 0..2 {
        other
            .run::<()>(Command::new("SET").arg("a").arg(round))
            .await?;
        until(async || near.call(words("GET a")).await == Ok(text(&round.to_string()))).await?;
        let (_, freshness) = until_fresh(&near, "GET a").await?;
        block_in_place(|| sentinels.failover());
        until_stale(&freshness).await?;
        until(async || other.call(words("SET a new")).await.is_ok()).await?;
        until(async || near.call(words("GET a")).await == Ok(text("new"))).await?;
        until_fresh(&near, "GET a").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_answers_is_never_fresh() -> Outcome {
    let Some(sentinels) = block_in_place(|| Sentinels::start(ServerKind::Redis)) else {
        return Ok(());
    };
    let replica = block_in_place(|| sentinels.replicas())[0];
    let near = open(&format!("redis://{}", sentinels.nodes[replica].address())).near(ROOM);
    for _ in 0..3 {
        let (value, freshness) = near.fresh(words("GET a")).await?;
        assert_eq!((value, freshness.is_fresh()), (Value::Null, false));
        near.call(words("GET a")).await?;
    }
    assert_eq!(near.stats().hits, 0);
    Ok(())
}
