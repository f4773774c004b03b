//! What is said about limits in headers.
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers-10 for `RateLimit-Policy` and `RateLimit`; RFC 9110,
//! section 10.2.3, for `Retry-After`; RFC 9651 for the syntax.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use larder_toolkit::rate_limit::{Decision, Limit};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// Which headers are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Headers {
    pub(crate) standard: bool,
    pub(crate) legacy: bool,
}

/// Says in the headers of an answer what is left. Other layers may have done so too.
pub(crate) fn write_headers(
    headers: &mut HeaderMap,
    which: Headers,
    limits: &[Limit],
    decision: &Decision,
) {
    // Of the limits, the store tells of the one that matters most.
    let (left, reset_after, limit) = match decision {
        Decision::Allowed {
            left,
            reset_after,
            limit,
            ..
        } => (left, reset_after, limit),
        Decision::Denied {
            left,
            retry_after,
            limit,
            ..
        } => (left, retry_after, limit),
        Decision::Never { .. } if which.standard => return write_policies(headers, limits),
        _ => return,
    };
    let Some(limit) = limits.get(*limit) else {
        return;
    };
    let reset_s = seconds(*reset_after);
    if which.standard {
        write_policies(headers, limits);
        let now = format!("{};r={left};t={reset_s}", quoted(limit.name()));
        append(headers, RATE_LIMIT, &now);
    }
    if which.legacy {
        let [size_name, left_name, reset_name] = LEGACY;
        insert(headers, size_name, &limit.size().to_string());
        insert(headers, left_name, &left.to_string());
        insert(headers, reset_name, &reset_s.to_string());
    }
}

/// Says when to come back, unless the answer says so already.
pub(crate) fn write_retry_after(headers: &mut HeaderMap, retry_after: Duration) {
    if !headers.contains_key(RETRY_AFTER) {
        insert(headers, RETRY_AFTER, &seconds(retry_after).to_string());
    }
}

fn write_policies(headers: &mut HeaderMap, limits: &[Limit]) {
    let policies: Vec<String> = limits.iter().map(policy).collect();
    append(headers, POLICY, &policies.join(", "));
}

/// One limit in `RateLimit-Policy`: its size, and the seconds in which so many permits come back.
fn policy(limit: &Limit) -> String {
    let (quota, size) = (limit.quota(), limit.size());
    let window = quota.per() * size / quota.permits();
    format!("{};q={size};w={}", quoted(limit.name()), seconds(window))
}

/// Whole seconds, rounded up: who comes back then must not come too early.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// A string of RFC 9651. What it can't hold becomes a question mark.
fn quoted(text: &str) -> String {
    let escaped = text.chars().flat_map(|character| match character {
        '"' | '\\' => vec!['\\', character],
        ' '..='~' => vec![character],
        _ => vec!['?'],
    });
    format!("\"{}\"", escaped.collect::<String>())
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Names are made of what headers may hold; the rest is numbers.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
