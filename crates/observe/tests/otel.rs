//! What OpenTelemetry is told of a store's calls, by exporters that keep it in memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::error::Error as StdError;

use larder_embedded::{Config as EmbeddedConfig, Embedded};
use larder_observe::Otel;
use larder_remote::{Config, Remote};
use larder_store::{Keys, Script, Store};
use larder_testkit::{Server, ServerKind, words};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

type Outcome = Result<(), Box<dyn StdError>>;

/// Where spans and metrics come to lie.
struct Seen {
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
}

impl Seen {
    fn new() -> Seen {
        let (spans, metrics) = (
            InMemorySpanExporter::default(),
            InMemoryMetricExporter::default(),
        );
        let reader = PeriodicReader::builder(metrics.clone()).build();
        Seen {
            tracers: SdkTracerProvider::builder()
                .with_simple_exporter(spans.clone())
                .build(),
            meters: SdkMeterProvider::builder().with_reader(reader).build(),
            spans,
            metrics,
        }
    }

    fn observe(&self, store: &Store) -> Store {
        store.observed(Otel::with(&self.tracers, &self.meters))
    }

    /// The spans since the last look.
    fn spans(&self) -> Vec<SpanData> {
        let spans = self.spans.get_finished_spans().unwrap();
        self.spans.reset();
        spans
    }
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key.as_str() == name);
    found.map(|one| one.value.to_string())
}

fn memory() -> Store {
    Store::new(Embedded::open(EmbeddedConfig::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_server_is_a_span_by_the_conventions_for_database_clients() -> Outcome {
    let Some(server) = Server::start(ServerKind::Redis) else {
        return Ok(());
    };
    let seen = Seen::new();
    let url = format!("{}/2", server.url());
    let store = seen.observe(&Store::new(Remote::open(&url, Config::default())?));
    store.call(words("SET name secret-value")).await?;
    let error = store.call(words("LPUSH name secret-value")).await;
    assert!(error.is_err());
    let spans = seen.spans();
    let [set, push] = &spans[..] else {
        panic!("{spans:?}");
    };
    let port = server.port().to_string();
    assert_eq!(set.name, format!("SET 127.0.0.1:{port}"));
    assert_eq!(set.span_kind, SpanKind::Client);
    assert_eq!(set.status, Status::Unset);
    for (name, wanted) in [
        ("db.system.name", "redis"),
        ("db.operation.name", "SET"),
        ("db.namespace", "2"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
    ] {
        assert_eq!(attribute(set, name).as_deref(), Some(wanted), "{name}");
    }
    for absent in [
        "error.type",
        "db.response.status_code",
        "db.operation.batch.size",
        "larder.tries",
    ] {
        assert_eq!(attribute(set, absent), None, "{absent}");
    }
    assert_eq!(
        attribute(push, "db.response.status_code").unwrap(),
        "WRONGTYPE"
    );
    assert_eq!(attribute(push, "error.type").unwrap(), "WRONGTYPE");
    assert!(matches!(push.status, Status::Error { .. }));
    // What was asked with is nobody's business.
    let told = format!("{spans:?}");
    assert!(
        !told.contains("secret-value") && !told.contains("db.query.text"),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn a_batch_and_a_script_are_named_and_a_store_in_the_process_has_no_address() -> Outcome {
    static ADD: Script =
        Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])").named("shop/add.lua");
    let seen = Seen::new();
    let store = seen.observe(&memory());
    store
        .call_all(vec![words("SET a 1"), words("SET b 2")])
        .await?;
    store.call_all(vec![words("GET a")]).await?;
    let call = ADD.on(&store).key(Keys::new("a", "b").of("c")).arg(3);
    assert_eq!(call.run::<i64>().await?, 3);
    let spans = seen.spans();
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    let calls = ["EVALSHA shop/add.lua", "EVAL shop/add.lua"];
    assert_eq!(names, ["PIPELINE SET", "PIPELINE GET", calls[0], calls[1]]);
    assert_eq!(
        attribute(&spans[0], "db.operation.batch.size").unwrap(),
        "2"
    );
    assert_eq!(attribute(&spans[1], "db.operation.batch.size"), None);
    assert_eq!(
        attribute(&spans[3], "db.stored_procedure.name").unwrap(),
        "shop/add.lua"
    );
    assert_eq!(attribute(&spans[0], "server.address"), None);
    Ok(())
}

#[tokio::test]
async fn a_span_is_a_child_of_the_one_that_is_current() -> Outcome {
    let seen = Seen::new();
    let store = seen.observe(&memory());
    let parent = seen.tracers.tracer("program").start("request");
    let parent = Context::current_with_span(parent);
    let id = parent.span().span_context().span_id();
    {
        let _current = parent.clone().attach();
        // It is ready at once: nothing is awaited across the guard.
        let answer = futures_now(store.get("a"));
        assert_eq!(answer?, None);
    }
    let spans = seen.spans();
    assert_eq!(spans[0].parent_span_id, id);
    assert_eq!(
        spans[0].span_context.trace_id(),
        parent.span().span_context().trace_id()
    );
    assert!(spans[0].start_time <= spans[0].end_time);
    Ok(())
}

/// What comes of something that does not wait.
fn futures_now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_or_can_not_be_made_says_so() -> Outcome {
    let seen = Seen::new();
    let store = seen.observe(&memory());
    let waits = store.call(words("BLPOP none 0"));
    let nothing = std::time::Duration::from_millis(1);
    assert!(tokio::time::timeout(nothing, waits).await.is_err());
    store.close().await?;
    let _ = store.get("a").await;
    let spans = seen.spans();
    assert_eq!(attribute(&spans[0], "larder.dropped").unwrap(), "true");
    assert_eq!(spans[0].status, Status::Unset);
    assert_eq!(attribute(&spans[1], "error.type").unwrap(), "closed");
    assert_eq!(attribute(&spans[1], "db.response.status_code"), None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_calls_take_is_a_histogram_in_seconds_with_the_buckets_of_the_conventions()
-> Outcome {
    let seen = Seen::new();
    let store = seen.observe(&memory());
    for _ in 0..3 {
        store.get("a").await?;
    }
    store.set("a", "secret-value").await?;
    seen.meters.force_flush()?;
    let told = seen.metrics.get_finished_metrics()?;
    let metrics: Vec<_> = told
        .iter()
        .flat_map(ResourceMetrics::scope_metrics)
        .collect();
    let [scope] = &metrics[..] else {
        panic!("{told:?}");
    };
    assert_eq!(scope.scope().name(), "larder");
    let metric = scope.metrics().next().unwrap();
    assert_eq!(
        (metric.name(), metric.unit()),
        ("db.client.operation.duration", "s")
    );
    let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() else {
        panic!("{metric:?}");
    };
    let is_get = |value: &Value| value.as_str() == "GET";
    let gets = histogram.data_points().find(|point| {
        let mut all = point.attributes();
        all.any(|one| one.key.as_str() == "db.operation.name" && is_get(&one.value))
    });
    let gets = gets.unwrap();
    assert_eq!(gets.count(), 3);
    let bounds: Vec<f64> = gets.bounds().collect();
    assert_eq!(bounds, [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0]);
    assert!(gets.sum() < 1.0);
    assert!(!format!("{told:?}").contains("secret-value"));
    Ok(())
}
