//! What the crate `metrics` is told of a store's calls.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use std::collections::HashMap;
use std::error::Error as StdError;

use larder_embedded::{Config as EmbeddedConfig, Embedded};
use larder_observe::Metrics;
use larder_remote::{Config, Remote};
use larder_store::{Call, Observer, Store};
use larder_testkit::{Cluster, ServerKind, words};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

type Outcome = Result<(), Box<dyn StdError>>;

/// Tells the metrics to a recorder of this test alone.
struct Here(DebuggingRecorder, Metrics);

impl Observer for Here {
    fn done(&self, call: &Call<'_>) {
        metrics::with_local_recorder(&self.0, || self.1.done(call));
    }
}

fn observed(store: &Store) -> (Store, Snapshotter) {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    (store.observed(Here(recorder, Metrics::new())), seen)
}

/// Each metric by its name, with its labels.
fn told(seen: &Snapshotter) -> Vec<(String, HashMap<String, String>, DebugValue)> {
    let all = seen.snapshot().into_vec().into_iter();
    all.map(|(key, _, _, value)| {
        let (name, labels) = key.key().clone().into_parts();
        let label = |label: &metrics::Label| (label.key().to_owned(), label.value().to_owned());
        let labels = labels.iter().map(label).collect();
        (name.as_str().to_owned(), labels, value)
    })
    .collect()
}

#[tokio::test]
async fn how_long_calls_take_is_told_by_what_was_asked_and_how_it_failed() -> Outcome {
    let memory = Store::new(Embedded::open(EmbeddedConfig::default())?);
    let (store, seen) = observed(&memory);
    store.set("name", "secret-value").await?;
    store.set("name", "secret-value").await?;
    let _ = store.call(words("LPUSH name x")).await;
    let waits = store.call(words("BLPOP none 0"));
    let nothing = std::time::Duration::from_millis(1);
    assert!(tokio::time::timeout(nothing, waits).await.is_err());
    let told = told(&seen);
    let of = |name: &str| {
        let is_of = |labels: &HashMap<String, String>| labels["db_operation_name"] == name;
        told.iter().find(|(_, labels, _)| is_of(labels))
    };
    let (name, labels, value) = of("SET").unwrap();
    assert_eq!(name, "db_client_operation_duration_seconds");
    assert!(matches!(value, DebugValue::Histogram(times) if times.len() == 2));
    assert_eq!(labels["db_system_name"], "redis");
    assert!(!labels.contains_key("error_type"));
    assert_eq!(of("LPUSH").unwrap().1["error_type"], "WRONGTYPE");
    assert!(of("BLPOP").is_none(), "its caller let go of it");
    assert!(!format!("{told:?}").contains("secret-value"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tried_again_is_counted_by_its_node() -> Outcome {
    let Some(cluster) = Cluster::start(ServerKind::Redis) else {
        return Ok(());
    };
    let (store, seen) = observed(&Store::new(Remote::open(
        &cluster.url(),
        Config::default(),
    )?));
    store.set("a", "1").await?;
    let slot = larder_store::slot(b"a");
    let from = cluster.owner(slot);
    let to = cluster.masters().into_iter().find(|node| *node != from);
    cluster.migrate(slot, to.unwrap());
    store.set("a", "2").await?;
    let told = told(&seen);
    let retries = told
        .iter()
        .find(|(name, ..)| name == "larder_retries_total");
    let (_, labels, value) = retries.unwrap();
    assert_eq!(*value, DebugValue::Counter(1));
    assert_eq!(labels["server_address"], "127.0.0.1");
    assert!(labels.contains_key("server_port") && labels["db_namespace"] == "0");
    Ok(())
}
