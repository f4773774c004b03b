//! A cluster as a store: what a caller sees of its nodes, and what it does not.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::error::Error as StdError;

use larder_remote::Config;
use larder_store::{Channels, Command, Error, Event, Store, Value, slot};
use larder_testkit::{Cluster, PATIENCE, ServerKind, words};
use tokio::task::block_in_place;
use tokio::time::timeout;

type Outcome = Result<(), Box<dyn StdError>>;

fn open(cluster: &Cluster) -> Store {
    larder_testkit::open(&cluster.url(), Config::default())
}

/// A cluster and a store on it, or nothing where this machine has no server.
fn start() -> Option<(Cluster, Store)> {
    let cluster = block_in_place(|| Cluster::start(ServerKind::Redis))?;
    let store = open(&cluster);
    Some((cluster, store))
}

/// Keys that lie on all nodes.
fn keys() -> Vec<String> {
    (0..100).map(|number| format!("key.{number}")).collect()
}

fn sets(value: &str) -> Vec<Command> {
    let set = |key| Command::new("SET").arg(key).arg(value);
    keys().into_iter().map(set).collect()
}

fn gets() -> Vec<Command> {
    keys()
        .into_iter()
        .map(|key| Command::new("GET").arg(key))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_cut_by_the_owners_of_its_keys_and_put_back_in_order() -> Outcome {
    let Some((cluster, store)) = start() else {
        return Ok(());
    };
    let mut commands = Vec::new();
    for key in keys() {
        commands.push(Command::new("SET").arg(&key).arg(&key));
        commands.push(Command::new("GET").arg(&key));
    }
    let answers = store.call_all(commands).await?;
    for (key, pair) in keys().iter().zip(answers.chunks(2)) {
        assert_eq!(pair[1], Ok(Value::Bytes(key.clone().into())));
    }
    for key in keys() {
        let text: String = store.run(Command::new("GET").arg(&key)).await?;
        assert_eq!(text, key);
    }
    assert_eq!(block_in_place(|| cluster.crossslots()), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_goes_as_one_and_one_across_slots_is_refused() -> Outcome {
    let Some((_cluster, store)) = start() else {
        return Ok(());
    };
    let batch = [
        "SET {b}x 0",
        "MULTI",
        "SET {a}1 1",
        "SET {a}2 2",
        "EXEC",
        "GET {b}x",
    ]
    .map(words);
    let answers = store.call_all(batch.to_vec()).await?;
    assert_eq!(answers[4], Ok(Value::Array(vec![Value::ok(), Value::ok()])));
    assert_eq!(answers[5], Ok(Value::Bytes("0".into())));
    let batch = ["MULTI", "SET a 1", "SET b 2", "EXEC", "SET c 3"].map(words);
    let answers = store.call_all(batch.to_vec()).await?;
    assert!(
        answers[..4]
            .iter()
            .all(|answer| matches!(answer, Err(Error::Invalid { .. })))
    );
    assert_eq!(answers[4], Ok(Value::ok()));
    assert_eq!(store.run::<i64>(words("EXISTS a")).await?, 0);
    let error = store.call(words("MGET a b")).await.unwrap_err();
    assert!(error.to_string().contains("CROSSSLOT"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_finds_the_keys_of_all_masters() -> Outcome {
    let Some((_cluster, store)) = start() else {
        return Ok(());
    };
    store.call_all(sets("1")).await?;
    let mut scan = store.scan("key.*");
    let mut found = Vec::new();
    while let Some(some) = scan.next().await {
        found.extend(
            some?
                .into_iter()
                .map(|key| String::from_utf8_lossy(&key).into_owned()),
        );
    }
    found.sort();
    let mut wanted = keys();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(store.parts().await?.len(), 3);
    let error = store.call(words("DBSIZE")).await.unwrap_err();
    assert!(error.to_string().contains("Command::on"), "{error}");
    let mut sum = 0;
    for part in store.parts().await? {
        sum += store.run::<i64>(words("DBSIZE").on(&part)).await?;
    }
    assert_eq!(sum, 100);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_is_followed_without_an_error() -> Outcome {
    let Some((cluster, store)) = start() else {
        return Ok(());
    };
    let tagged = |number: u32| format!("{{moving}}{number}");
    for number in 0..50 {
        store
            .run::<()>(Command::new("SET").arg(tagged(number)).arg(number))
            .await?;
    }
    let moving = slot(b"moving");
    let from = block_in_place(|| cluster.owner(moving));
    let to = block_in_place(|| cluster.masters())
        .into_iter()
        .find(|node| *node != from)
        .unwrap();
    let migration = block_in_place(|| cluster.begin_migration(moving, to));
    // In the middle some keys are here and some there, and new ones are made there.
    let check = |upto: u32| {
        let store = store.clone();
        async move {
            for number in 0..upto {
                let got: u32 = store.run(Command::new("GET").arg(tagged(number))).await?;
                assert_eq!(got, number);
            }
            let gets = (0..upto).map(|number| Command::new("GET").arg(tagged(number)));
            let answers = store.call_all(gets.collect()).await?;
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            Ok::<_, Error>(())
        }
    };
    check(50).await?;
    block_in_place(|| cluster.move_keys(&migration, 20));
    check(50).await?;
    store
        .run::<()>(Command::new("SET").arg(tagged(50)).arg(50))
        .await?;
    check(51).await?;
    // A command whose keys are apart is tried again until they are together.
    let both = tokio::spawn({
        let store = store.clone();
        let all: Vec<String> = (0..50).map(tagged).collect();
        async move {
            let mget = || Command::new("MGET").args(&all);
            loop {
                match store.call(mget()).await {
                    Err(error) if error.is_refusal("TRYAGAIN") => {}
                    answer => return answer,
                }
            }
        }
    });
    while block_in_place(|| cluster.move_keys(&migration, 10)) > 0 {}
    block_in_place(|| cluster.finish_migration(migration));
    assert!(both.await?.is_ok());
    check(51).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_killed_is_replaced_by_its_replica() -> Outcome {
    let Some((mut cluster, store)) = start() else {
        return Ok(());
    };
    store.call_all(sets("1")).await?;
    let owner = block_in_place(|| cluster.owner(slot(b"key.0")));
    block_in_place(|| cluster.failover_by_killing(owner));
    let served = async {
        while store.run::<()>(words("SET key.0 2")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, served).await?;
    let answers = timeout(PATIENCE, store.call_all(gets())).await??;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_goes_to_the_owner_of_its_key() -> Outcome {
    let Some((_cluster, store)) = start() else {
        return Ok(());
    };
    for key in ["a", "b", "c", "d"] {
        let pop = Command::new("BLPOP").arg(key).arg(10);
        let push = Command::new("RPUSH").arg(key).arg("job");
        let (popped, pushed) = tokio::join!(store.call(pop), store.call(push));
        pushed?;
        assert!(matches!(popped?, Value::Array(_)));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_heard_wherever_they_belong() -> Outcome {
    let Some((cluster, store)) = start() else {
        return Ok(());
    };
    let mut channels = Channels::default().channel("news").pattern("p.*");
    for number in 0..10 {
        channels = channels.shard(format!("shard.{number}"));
    }
    let mut events = store.subscribe(channels).await?;
    store.run::<()>(words("PUBLISH news 1")).await?;
    store.run::<()>(words("PUBLISH p.x 2")).await?;
    for number in 0..10 {
        let publish = Command::new("SPUBLISH")
            .arg(format!("shard.{number}"))
            .arg("x");
        assert_eq!(store.run::<i64>(publish).await?, 1);
    }
    for _ in 0..12 {
        let event = timeout(PATIENCE, events.next()).await?;
        assert!(matches!(event, Some(Event::Message(_))), "{event:?}");
    }
    // A channel follows its slot, and its listener learns that something may be lost.
    let moving = slot(b"shard.0");
    let from = block_in_place(|| cluster.owner(moving));
    let to = block_in_place(|| cluster.masters())
        .into_iter()
        .find(|node| *node != from)
        .unwrap();
    block_in_place(|| cluster.migrate(moving, to));
    assert_eq!(timeout(PATIENCE, events.next()).await?, Some(Event::Gap));
    assert_eq!(store.run::<i64>(words("SPUBLISH shard.0 y")).await?, 1);
    assert!(matches!(
        timeout(PATIENCE, events.next()).await?,
        Some(Event::Message(_))
    ));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_answer_reads_that_allow_it() -> Outcome {
    let Some((cluster, store)) = start() else {
        return Ok(());
    };
    store.run::<()>(words("SET a 1")).await?;
    let owner = block_in_place(|| cluster.owner(slot(b"a")));
    let replica = block_in_place(|| cluster.replicas(owner))[0];
    let asked =
        || block_in_place(|| cluster.nodes[replica].figure("stats", "total_commands_processed"));
    let read = || words("GET a").from_replica();
    while store.call(read()).await? != Value::Bytes("1".into()) {}
    let before = asked();
    for _ in 0..20 {
        store.call(read()).await?;
    }
    assert!(asked() >= before + 20);
    // A write goes to the master all the same.
    store.run::<()>(words("SET a 2").from_replica()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_told_from_a_single_server() -> Outcome {
    let Some((cluster, _)) = start() else {
        return Ok(());
    };
    let single = cluster.url().replace("redis-cluster", "redis");
    let single = single.split(',').next().unwrap();
    let store = larder_testkit::open(single, Config::default());
    let error = store.call(words("GET a")).await.unwrap_err().to_string();
    assert!(
        error.contains("is a node of a cluster, and not a single server"),
        "{error}"
    );
    assert!(error.contains("redis-cluster://"), "{error}");
    Ok(())
}
