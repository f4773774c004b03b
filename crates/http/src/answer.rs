//! What is said about limits in HTTP.
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers-10 for `RateLimit-Policy`, `RateLimit` and the
//! types of problems; RFC 9110, section 10.2.3, for `Retry-After`; RFC 9457 for the body; RFC 9651
//! for the syntax of the headers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
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
    decision: Decision,
) {
    // Of the limits, the store tells of the one that matters most.
    let (left, reset_after, limit) = match decision {
        Decision::Allowed {
            left,
            reset_after,
            limit,
        } => (left, reset_after, limit),
        Decision::Denied {
            left,
            retry_after,
            limit,
            ..
        } => (left, retry_after, limit),
        _ => return,
    };
    let Some(limit) = limits.get(limit) else {
        return;
    };
    let reset_s = seconds(reset_after);
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

/// The answer to a request that is denied.
pub(crate) fn denial<B: From<Bytes>>(
    which: Headers,
    limits: &[Limit],
    decision: Decision,
) -> Response<B> {
    let Decision::Denied {
        retry_after, limit, ..
    } = decision
    else {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporary-reduced-capacity",
            "The limit of requests can't be checked at the moment",
            "",
        );
    };
    let violated = limits.get(limit).map(Limit::name).unwrap_or_default();
    let mut response = problem(
        StatusCode::TOO_MANY_REQUESTS,
        "quota-exceeded",
        "There were too many requests",
        &format!(",\"violated-policies\":[{}]", json(violated)),
    );
    let headers = response.headers_mut();
    insert(headers, RETRY_AFTER, &seconds(retry_after).to_string());
    write_headers(headers, which, limits, decision);
    response
}

/// The answer to a request that costs more than a limit ever has.
pub(crate) fn never<B: From<Bytes>>(which: Headers, limits: &[Limit]) -> Response<B> {
    let mut response = problem(
        StatusCode::TOO_MANY_REQUESTS,
        "quota-exceeded",
        "The request costs more than is ever allowed at once",
        "",
    );
    if which.standard {
        write_policies(response.headers_mut(), limits);
    }
    response
}

/// The answer to a request that does not say from whom it is.
pub(crate) fn no_caller<B: From<Bytes>>(status: StatusCode) -> Response<B> {
    let body = format!(
        "{{\"title\":\"The request does not say from whom it is\",\"status\":{}}}",
        status.as_u16()
    );
    json_response(status, body)
}

fn problem<B: From<Bytes>>(status: StatusCode, kind: &str, title: &str, more: &str) -> Response<B> {
    let body = format!(
        "{{\"type\":\"https://iana.org/assignments/http-problem-types#{kind}\",\
         \"title\":\"{title}\",\"status\":{}{more}}}",
        status.as_u16()
    );
    json_response(status, body)
}

fn json_response<B: From<Bytes>>(status: StatusCode, body: String) -> Response<B> {
    let mut response = Response::new(B::from(Bytes::from(body)));
    *response.status_mut() = status;
    insert(
        response.headers_mut(),
        CONTENT_TYPE,
        "application/problem+json",
    );
    response
}

fn write_policies(headers: &mut HeaderMap, limits: &[Limit]) {
    let policies: Vec<String> = limits.iter().map(policy).collect();
    append(headers, POLICY, &policies.join(", "));
}

/// One limit in `RateLimit-Policy`: its size, and the seconds in which so many permits come back.
fn policy(limit: &Limit) -> String {
    let (quota, size) = (limit.quota(), limit.size());
    let window = quota.per() * size.get() / quota.permits().get();
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

/// A string of JSON.
fn json(text: &str) -> String {
    let escaped = text.chars().flat_map(|character| match character {
        '"' | '\\' => vec!['\\', character],
        '\0'..='\u{1f}' => format!("\\u{:04x}", u32::from(character)).chars().collect(),
        _ => vec![character],
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
