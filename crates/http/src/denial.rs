//! Why a request is not let through, and what is answered.
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers-10 for the types of problems, RFC 9457 for the body.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use crate::caller::{Head, NoCaller};

/// Why a request is not let through. Its text is for whoever sent the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// There were too many requests.
    #[error("There were too many requests")]
    TooMany {
        /// The name of the limit.
        limit: String,
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The request costs more than a limit ever has.
    #[error("The request costs more than is ever allowed at once")]
    Never {
        /// The name of the limit.
        limit: String,
        /// The most that can be taken from it at once.
        size: u32,
    },
    /// The store gave no answer.
    #[error("The limit of requests can't be checked at the moment")]
    Unchecked,
    /// Nobody knows from whom the request is.
    #[error("{reason}")]
    NoCaller {
        /// What is missing.
        reason: NoCaller,
        /// The status that it is answered with.
        status: StatusCode,
    },
}

/// Makes the answers to requests that are not let through. A closure will do.
pub trait OnDenied<R>: Send + Sync + 'static {
    /// The answer, to which the layer adds its headers.
    fn answer(&self, denial: &Denial, head: &Head<'_>) -> Response<R>;
}

impl<R, F> OnDenied<R> for F
where
    F: Fn(&Denial, &Head<'_>) -> Response<R> + Send + Sync + 'static,
{
    fn answer(&self, denial: &Denial, head: &Head<'_>) -> Response<R> {
        self(denial, head)
    }
}

/// What is answered if nothing else is said: a problem in JSON, in any body that can be made of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Problem;

impl<R: From<Bytes>> OnDenied<R> for Problem {
    fn answer(&self, denial: &Denial, _: &Head<'_>) -> Response<R> {
        let mut response = denial
            .status_only()
            .map(|()| R::from(denial.problem().into()));
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

impl Denial {
    /// The status that says it.
    pub fn status(&self) -> StatusCode {
        match self {
            Denial::TooMany { .. } | Denial::Never { .. } => StatusCode::TOO_MANY_REQUESTS,
            Denial::Unchecked => StatusCode::SERVICE_UNAVAILABLE,
            Denial::NoCaller { status, .. } => *status,
        }
    }

    /// When it is worth trying again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Denial::TooMany { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// An answer of the status and an empty body, for bodies of any type.
    pub fn status_only<R: Default>(&self) -> Response<R> {
        let mut response = Response::new(R::default());
        *response.status_mut() = self.status();
        response
    }

    /// A problem of RFC 9457.
    fn problem(&self) -> String {
        let (title, status) = (json(&self.to_string()), self.status().as_u16());
        let about = format!("\"title\":{title},\"status\":{status}");
        let kind =
            |kind| format!("\"type\":\"https://iana.org/assignments/http-problem-types#{kind}\"");
        match self {
            Denial::TooMany { limit, .. } | Denial::Never { limit, .. } => {
                let (kind, limit) = (kind("quota-exceeded"), json(limit));
                format!("{{{kind},{about},\"violated-policies\":[{limit}]}}")
            }
            Denial::Unchecked => format!("{{{},{about}}}", kind("temporary-reduced-capacity")),
            Denial::NoCaller { .. } => format!("{{{about}}}"),
        }
    }
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
