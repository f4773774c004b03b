//! A histogram and a counter of the crate `metrics`.

use larder_store::{Call, Observer, Outcome};
use metrics::{Label, Unit, counter, describe_counter, describe_histogram, histogram};

use crate::place;

/// How long calls take. The name and the labels are what Prometheus makes of OpenTelemetry's
/// `db.client.operation.duration`.
const DURATION: &str = "db_client_operation_duration_seconds";

/// How often calls were tried again.
const RETRIES: &str = "larder_retries_total";

/// Tells the crate `metrics` of a store's calls.
///
/// | metric | what it is |
/// |---|---|
/// | `db_client_operation_duration_seconds` | a histogram of how long calls take |
/// | `larder_retries_total` | a counter of how often calls were tried again or redirected |
///
/// The labels are `db_system_name` (`redis`), `db_operation_name`, `db_namespace`,
/// `db_stored_procedure_name`, `server_address`, `server_port`, and `error_type` where a call failed: the
/// code of a refusal, or `away`, `closed`, `unanswered`, `invalid`, `failed`. A call that its caller drops
/// is not counted.
///
/// # Examples
///
/// ```
/// # fn example(store: larder_store::Store) -> larder_store::Store {
/// store.observed(larder_observe::Metrics::new())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Metrics;

impl Metrics {
    /// Tells the recorder that the program has installed.
    pub fn new() -> Metrics {
        describe_histogram!(DURATION, Unit::Seconds, "How long calls of the store take.");
        describe_counter!(
            RETRIES,
            Unit::Count,
            "How often calls of the store were tried again or redirected."
        );
        Metrics
    }
}

impl Observer for Metrics {
    fn done(&self, call: &Call<'_>) {
        if call.outcome == Outcome::Dropped {
            return;
        }
        let labels = labels(call);
        if call.tries > 1 {
            counter!(RETRIES, labels.clone()).increment(u64::from(call.tries - 1));
        }
        histogram!(DURATION, labels).record(call.elapsed.as_secs_f64());
    }
}

fn labels(call: &Call<'_>) -> Vec<Label> {
    let mut labels = vec![
        Label::new("db_system_name", "redis"),
        Label::new("db_operation_name", call.operation.to_owned()),
    ];
    if let Some(db) = call.db {
        labels.push(Label::new("db_namespace", db.to_string()));
    }
    if let Some(script) = call.script {
        labels.push(Label::new("db_stored_procedure_name", script.to_owned()));
    }
    if call.outcome.is_failure() {
        labels.push(Label::new("error_type", call.outcome.as_str().to_owned()));
    }
    if let Some(node) = call.node {
        let (host, port) = place::of(node);
        labels.push(Label::new("server_address", host.to_owned()));
        if let Some(port) = port {
            labels.push(Label::new("server_port", port.to_string()));
        }
    }
    labels
}
