//! Code that knows only the `redis` crate, on stores of both kinds and on a connection of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::error::Error;

use futures_util::StreamExt;
use larder_embedded::{Config, Embedded};
use larder_redis::StoreConnection;
use larder_store::Store;
use larder_testkit::{Server, ServerKind, TestStore};
use redis::aio::ConnectionLike;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, ErrorKind, RedisResult, Script, ServerErrorKind};
use tokio::task::block_in_place;

type Outcome = Result<(), Box<dyn Error>>;

/// Runs each of these functions on a memory store, on a store on a real server, and on a connection
/// of the `redis` crate itself, which is the measure of the two.
macro_rules! everywhere {
    ($($name:ident)*) => {
        #[tokio::test]
        async fn code_for_the_redis_crate_runs_on_a_memory_store() -> Outcome {
            $($name(memory()?).await?;)*
            Ok(())
        }

        #[tokio::test]
        async fn code_for_the_redis_crate_runs_on_a_store_on_a_server() -> Outcome {
            $(
                let Some(server) = TestStore::server(ServerKind::Redis) else { return Ok(()) };
                $name(StoreConnection::new(&server.store)).await?;
            )*
            Ok(())
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn code_for_the_redis_crate_runs_on_a_master_that_sentinels_watch() -> Outcome {
            $(
                let Some(watched) = block_in_place(TestStore::sentinel) else { return Ok(()) };
                $name(StoreConnection::new(&watched.store)).await?;
                block_in_place(|| drop(watched));
            )*
            Ok(())
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn code_for_the_redis_crate_runs_on_a_cluster() -> Outcome {
            $(
                // What says something else of each node is refused: see below.
                if stringify!($name) != "scans" {
                    let Some(cluster) = block_in_place(TestStore::cluster) else { return Ok(()) };
                    $name(StoreConnection::new(&cluster.store)).await?;
                    block_in_place(|| drop(cluster));
                }
            )*
            Ok(())
        }

        #[tokio::test]
        async fn code_for_the_redis_crate_runs_on_a_connection_of_its_own() -> Outcome {
            let Some(server) = Server::start(ServerKind::Redis) else { return Ok(()) };
            let client = redis::Client::open(format!("{}/?protocol=resp3", server.url()))?;
            $(
                let mut connection = client.get_multiplexed_async_connection().await?;
                let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await?;
                $name(connection).await?;
            )*
            Ok(())
        }
    };
}

everywhere! { typed_commands scans pipelines refusals transactions scripts streams waits }

fn memory() -> std::io::Result<StoreConnection> {
    Ok(StoreConnection::from(Store::new(Embedded::open(
        Config::default(),
    )?)))
}

async fn typed_commands(mut connection: impl ConnectionLike + Send + Sync + Clone) -> Outcome {
    let _: () = connection.set_ex("name", "ann", 100).await?;
    assert_eq!(connection.get::<_, String>("name").await?, "ann");
    assert_eq!(connection.get::<_, Option<i64>>("none").await?, None);
    assert_eq!(connection.incr::<_, _, i64>("count", 5).await?, 5);
    let ttl: i64 = connection.ttl("name").await?;
    assert!((1..=100).contains(&ttl), "{ttl}");

    let _: () = connection
        .hset_multiple("user", &[("a", "1"), ("b", "2")])
        .await?;
    let user: std::collections::BTreeMap<String, i64> = connection.hgetall("user").await?;
    assert_eq!(
        user.into_iter().collect::<Vec<_>>(),
        [("a".into(), 1), ("b".into(), 2)]
    );

    let _: () = connection
        .zadd_multiple("board", &[(1.5, "ann"), (2.5, "bob")])
        .await?;
    let board: Vec<(String, f64)> = connection.zrange_withscores("board", 0, -1).await?;
    assert_eq!(board, [("ann".into(), 1.5), ("bob".into(), 2.5)]);
    assert_eq!(connection.zscore::<_, _, f64>("board", "ann").await?, 1.5);

    let _: () = connection.rpush("list", &["x", "y"]).await?;
    assert_eq!(
        connection.lrange::<_, Vec<String>>("list", 0, -1).await?,
        ["x", "y"]
    );
    assert!(connection.sadd::<_, _, bool>("set", "m").await?);
    assert!(connection.sismember::<_, _, bool>("set", "m").await?);
    let _: () = connection.set("bytes", &b"\x00\xff\r\n"[..]).await?;
    assert_eq!(
        connection.get::<_, Vec<u8>>("bytes").await?,
        b"\x00\xff\r\n"
    );
    Ok(())
}

async fn scans(mut connection: impl ConnectionLike + Send + Sync + Clone) -> Outcome {
    let mut pipeline = redis::pipe();
    for number in 0..500 {
        pipeline.set(format!("key:{number}"), number).ignore();
    }
    pipeline.exec_async(&mut connection).await?;
    let found: Vec<String> = {
        let keys = connection.scan_match::<_, String>("key:*").await?;
        keys.filter_map(async |key| key.ok()).collect().await
    };
    let found: std::collections::HashSet<String> = found.into_iter().collect();
    assert_eq!(found.len(), 500);
    Ok(())
}

async fn pipelines(mut connection: impl ConnectionLike + Send + Sync + Clone) -> Outcome {
    let (one, two): (i64, String) = redis::pipe()
        .set("a", 41)
        .ignore()
        .incr("a", 1)
        .get("a")
        .query_async(&mut connection)
        .await?;
    assert_eq!((one, two.as_str()), (42, "42"));
    Ok(())
}

async fn refusals(mut connection: impl ConnectionLike + Send + Sync + Clone) -> Outcome {
    let _: () = connection.set("a", "x").await?;
    let error = connection.lpush::<_, _, ()>("a", 1).await.unwrap_err();
    assert_eq!(error.code(), Some("WRONGTYPE"));
    let error = connection.incr::<_, _, ()>("a", 1).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ResponseError)
    );
    assert_eq!(
        error.detail(),
        Some("value is not an integer or out of range")
    );

    let failed: RedisResult<(i64,)> = redis::pipe()
        .incr("a", 1)
        .query_async(&mut connection)
        .await;
    assert!(failed.is_err());
    assert_eq!(connection.get::<_, String>("a").await?, "x");
    Ok(())
}

async fn transactions(mut connection: impl ConnectionLike + Send + Sync + Clone) -> Outcome {
    let (length, all): (i64, Vec<String>) = redis::pipe()
        .atomic()
        .rpush("list", "a")
        .lrange("list", 0, -1)
        .query_async(&mut connection)
        .await?;
    assert_eq!((length, all), (1, vec!["a".to_owned()]));

    let refused: RedisResult<()> = redis::pipe()
        .atomic()
        .set("b", 1)
        .cmd("NOPE")
        .query_async(&mut connection)
        .await;
    assert!(refused.is_err());
    assert!(!connection.exists::<_, bool>("b").await?);
    // The connection is out of the transaction.
    let _: () = connection.set("b", 2).await?;
    Ok(())
}

async fn scripts(mut connection: impl ConnectionLike + Send + Sync + Clone) -> Outcome {
    let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1]) * 2");
    for doubled in [6, 12] {
        let got: i64 = script
            .key("count")
            .arg(3)
            .invoke_async(&mut connection)
            .await?;
        assert_eq!(got, doubled);
    }
    let error = Script::new("return redis.error_reply('MINE it is')");
    let error: RedisResult<()> = error.invoke_async(&mut connection).await;
    assert_eq!(error.unwrap_err().code(), Some("MINE"));

    let big = Script::new("redis.setresp(3) return {big_number = ARGV[1]}");
    let digits = "1234567890123456789012345678901234567890";
    let got: redis::Value = big.arg(digits).invoke_async(&mut connection).await?;
    assert_eq!(got, redis::Value::BigNumber(digits.parse()?));
    Ok(())
}

async fn streams(mut connection: impl ConnectionLike + Send + Sync + Clone) -> Outcome {
    let _: () = connection
        .xgroup_create_mkstream("orders", "workers", "0")
        .await?;
    let id: String = connection.xadd("orders", "*", &[("item", "tea")]).await?;
    let options = StreamReadOptions::default()
        .group("workers", "ann")
        .count(5);
    let read: StreamReadReply = connection
        .xread_options(&["orders"], &[">"], &options)
        .await?;
    let entry = &read.keys[0].ids[0];
    assert_eq!(
        (&entry.id, entry.get::<String>("item")),
        (&id, Some("tea".into()))
    );
    assert_eq!(
        connection
            .xack::<_, _, _, i64>("orders", "workers", &[&id])
            .await?,
        1
    );
    Ok(())
}

async fn waits(mut connection: impl ConnectionLike + Send + Sync + Clone) -> Outcome {
    let none: Option<(String, String)> = connection.blpop("queue", 0.01).await?;
    assert_eq!(none, None);
    let _: () = connection.rpush("queue", "job").await?;
    let some: Option<(String, String)> = connection.blpop("queue", 0.01).await?;
    assert_eq!(some, Some(("queue".into(), "job".into())));
    Ok(())
}

#[tokio::test]
async fn what_would_change_a_shared_connection_is_refused_and_says_what_to_do() -> Outcome {
    let mut connection = memory()?;
    for words in [
        "SELECT 3",
        "WATCH a",
        "MULTI",
        "SUBSCRIBE news",
        "CLIENT REPLY OFF",
    ] {
        let mut words = words.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        let error = cmd
            .arg(words.collect::<Vec<_>>())
            .exec_async(&mut connection)
            .await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Client, "{error}");
        assert!(
            error.to_string().contains("listen with `subscribe`"),
            "{error}"
        );
    }
    assert_eq!(connection.get_db(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_node_of_a_cluster_has_to_do_all_do_and_what_each_says_differently_is_refused()
-> Outcome {
    let Some(cluster) = block_in_place(TestStore::cluster) else {
        return Ok(());
    };
    let mut connection = StoreConnection::new(&cluster.store);
    for number in 0..50 {
        let _: () = connection.set(number, number).await?;
    }
    let error = connection.scan::<String>().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Client);
    assert!(
        error.to_string().contains("which with `Command::on`"),
        "{error}"
    );

    let digest: String = redis::cmd("SCRIPT")
        .arg("LOAD")
        .arg("return KEYS[1]")
        .query_async(&mut connection)
        .await?;
    for number in 0..50 {
        let mut script = redis::cmd("EVALSHA");
        let key: String = script
            .arg(&digest)
            .arg(1)
            .arg(number)
            .query_async(&mut connection)
            .await?;
        assert_eq!(key, number.to_string());
    }
    let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await?;
    assert_eq!(cluster.keys("*").await?, [""; 0]);
    Ok(())
}

/// On a shared connection the commands of others would come between.
#[tokio::test]
async fn nothing_comes_between_the_commands_of_an_atomic_pipeline() -> Outcome {
    let connection = memory()?;
    let adding = async |mut connection: StoreConnection| -> Outcome {
        for _ in 0..200 {
            let mut pipeline = redis::pipe();
            pipeline
                .atomic()
                .incr("a", 1)
                .incr("b", 1)
                .get("a")
                .get("b");
            let (_, _, a, b): (i64, i64, i64, i64) = pipeline.query_async(&mut connection).await?;
            assert_eq!(a, b);
        }
        Ok(())
    };
    let (one, other) = tokio::join!(adding(connection.clone()), adding(connection.clone()));
    one.and(other)
}

#[tokio::test]
async fn a_store_that_is_away_is_a_refused_connection() -> Outcome {
    let embedded = Embedded::open(Config::default())?;
    let mut connection = StoreConnection::from(Store::new(embedded.clone()));
    embedded.close();
    let error = connection.get::<_, String>("a").await.unwrap_err();
    assert!(error.is_connection_refusal(), "{error:?}");
    assert!(error.to_string().contains("the store is closed"), "{error}");

    let error = redis::pipe()
        .incr("a", 1)
        .exec_async(&mut connection)
        .await
        .unwrap_err();
    assert!(error.is_connection_refusal(), "{error:?}");
    Ok(())
}
