//! Spans and a histogram of OpenTelemetry.
//!
//! Names and values are those of the semantic conventions for database clients and for Redis:
//! <https://opentelemetry.io/docs/specs/semconv/db/redis/>.

use std::time::SystemTime;

use larder_store::{Call, Observer, Outcome};
use opentelemetry::metrics::{Histogram, Meter, MeterProvider};
use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue, global};

use crate::place;

/// The port that goes without saying.
const PORT: u16 = 6379;

/// The limits of the histogram's buckets, in seconds, that the conventions name.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Tells OpenTelemetry of a store's calls: a span each, and the histogram `db.client.operation.duration`.
///
/// A span is a child of the one that is current where the call is awaited. Its name is the operation and
/// what it is about, the script or the server: `GET cache:6379`, `EVALSHA lock/acquire.lua`. There is
/// never a query text.
///
/// | attribute | value |
/// |---|---|
/// | `db.system.name` | `redis` |
/// | `db.operation.name` | `GET`; `PIPELINE SET` and `MULTI` of batches |
/// | `db.operation.batch.size` | how many commands a batch had, from two on |
/// | `db.namespace` | the number of the database |
/// | `db.stored_procedure.name` | the script's name, or its SHA-1 |
/// | `db.response.status_code` | the code of a refusal, such as `WRONGTYPE` |
/// | `error.type` | the same, or `away`, `closed`, `unanswered`, `invalid`, `failed` |
/// | `server.address`, `server.port` | the node that was asked; no port if it is 6379 |
/// | `larder.tries` | how often it was tried, from two on; not on the histogram |
///
/// A call that its caller drops has a span with `larder.dropped`, and is no error.
///
/// # Examples
///
/// With the providers that the program has made known to OpenTelemetry:
///
/// ```
/// # fn example(store: larder_store::Store) -> larder_store::Store {
/// store.observed(larder_observe::Otel::new())
/// # }
/// ```
pub struct Otel {
    tracer: Box<dyn Spans>,
    durations: Histogram<f64>,
}

impl Default for Otel {
    fn default() -> Otel {
        Otel::new()
    }
}

impl Otel {
    /// Tells the providers that the program has made known, at this moment.
    pub fn new() -> Otel {
        Otel::with(&global::tracer_provider(), &*global::meter_provider())
    }

    /// Tells these providers.
    pub fn with<T>(tracers: &T, meters: &dyn MeterProvider) -> Otel
    where
        T: TracerProvider,
        T::Tracer: Send + Sync + 'static,
    {
        let tracer = tracers.tracer_with_scope(scope());
        Otel {
            tracer: Box::new(TracerOf(tracer)),
            durations: durations(&meters.meter_with_scope(scope())),
        }
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("larder")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

fn durations(meter: &Meter) -> Histogram<f64> {
    meter
        .f64_histogram("db.client.operation.duration")
        .with_description("Duration of database client operations.")
        .with_unit("s")
        .with_boundaries(BUCKETS.to_vec())
        .build()
}

impl Observer for Otel {
    fn done(&self, call: &Call<'_>) {
        let attributes = attributes(call);
        // A call that was dropped says when its caller lost interest, not how long it takes.
        if call.outcome != Outcome::Dropped {
            self.durations
                .record(call.elapsed.as_secs_f64(), &attributes);
        }
        self.tracer.tell(call, attributes);
    }
}

/// A tracer, whatever the types of its spans.
trait Spans: Send + Sync {
    /// Makes the span of a call that is over.
    fn tell(&self, call: &Call<'_>, attributes: Vec<KeyValue>);
}

struct TracerOf<T>(T);

impl<T: Tracer + Send + Sync> Spans for TracerOf<T> {
    fn tell(&self, call: &Call<'_>, attributes: Vec<KeyValue>) {
        let end = SystemTime::now();
        let parent = Context::current();
        // Without a span around it nobody may want one; that is the sampler's to decide.
        let mut span = self.0.build_with_context(
            SpanBuilder::from_name(name(call))
                .with_kind(SpanKind::Client)
                .with_start_time(end.checked_sub(call.elapsed).unwrap_or(end))
                .with_attributes(attributes),
            &parent,
        );
        if let Some(batch) = batch(call) {
            span.set_attribute(KeyValue::new("db.operation.batch.size", batch));
        }
        if call.tries > 1 {
            span.set_attribute(KeyValue::new("larder.tries", i64::from(call.tries)));
        }
        match call.outcome {
            Outcome::Dropped => span.set_attribute(KeyValue::new("larder.dropped", true)),
            outcome if outcome.is_failure() => {
                span.set_status(Status::error(outcome.as_str().to_owned()));
            }
            _ => {}
        }
        span.end_with_timestamp(end);
    }
}

/// `{operation} {target}`. The number of a database is no target: it only confuses.
fn name(call: &Call<'_>) -> String {
    match call.script.or(call.node) {
        Some(target) => format!("{} {target}", call.operation),
        None => call.operation.to_owned(),
    }
}

fn batch(call: &Call<'_>) -> Option<i64> {
    call.batch
        .filter(|len| *len > 1)
        .map(|len| i64::try_from(len).unwrap_or(i64::MAX))
}

/// What spans and the histogram have in common: values of which there are few.
fn attributes(call: &Call<'_>) -> Vec<KeyValue> {
    let mut all = vec![
        KeyValue::new("db.system.name", "redis"),
        KeyValue::new("db.operation.name", call.operation.to_owned()),
    ];
    if let Some(db) = call.db {
        all.push(KeyValue::new("db.namespace", db.to_string()));
    }
    if let Some(script) = call.script {
        all.push(KeyValue::new("db.stored_procedure.name", script.to_owned()));
    }
    if let Outcome::Refused(code) = call.outcome {
        all.push(KeyValue::new("db.response.status_code", code.to_owned()));
    }
    if call.outcome.is_failure() {
        let kind = call.outcome.as_str().to_owned();
        all.push(KeyValue::new("error.type", kind));
    }
    if let Some(node) = call.node {
        let (host, port) = place::of(node);
        all.push(KeyValue::new("server.address", host.to_owned()));
        if let Some(port) = port.filter(|port| *port != PORT) {
            all.push(KeyValue::new("server.port", i64::from(port)));
        }
    }
    all
}
