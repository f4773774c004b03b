//! Errors as answers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use larder_store::Error;

/// When to come back if nobody knows better: a store is restarted in about so long.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(5);

/// An error of a store, or of what stands on one, as the answer to a request.
///
/// A handler that returns `Result<_, HttpError>` may use `?` on every operation. What is away, in
/// doubt or refused by the store is status 503 with `Retry-After`; what somebody else has changed or
/// ended meanwhile is 409; the rest is 500. The answer says no more than that: what has happened is
/// for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct HttpError(#[from] pub Error);

impl HttpError {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match &self.0 {
            error if error.is_refusal(larder_toolkit::session::TOO_MANY) => StatusCode::CONFLICT,
            Error::Conflict | Error::Gone => StatusCode::CONFLICT,
            Error::Invalid { .. } | Error::Codec(_) | Error::Load(_) | Error::Unexpected { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The answer: a problem in JSON (RFC 9457).
    pub fn response<B: From<Bytes>>(&self) -> Response<B> {
        let status = self.status();
        if status.is_server_error() {
            tracing::warn!(error = %self.0, "a request failed");
        }
        let title = match status {
            StatusCode::CONFLICT => "It was changed or ended meanwhile",
            StatusCode::SERVICE_UNAVAILABLE => "This can't be done at the moment",
            _ => "This can't be done",
        };
        let body = format!("{{\"title\":\"{title}\",\"status\":{}}}", status.as_u16());
        let mut response = Response::new(B::from(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let after = self.0.retry_after().unwrap_or(RETRY_AFTER_DEFAULT);
            // Rounded up: who comes back then must not come too early.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for HttpError {
    fn into_response(self) -> axum::response::Response {
        self.response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(error: Error) -> (u16, Option<String>) {
        let response: Response<Bytes> = HttpError(error).response();
        let after = response.headers().get(RETRY_AFTER);
        let text = after.map(|after| after.to_str().expect("it is a number").to_owned());
        (response.status().as_u16(), text)
    }

    #[test]
    fn what_is_away_or_in_doubt_is_to_be_tried_again() {
        let times = Error::away_for("", Duration::from_millis(1001));
        assert_eq!(after(times), (503, Some("2".into())));
        assert_eq!(after(Error::away("")), (503, Some("5".into())));
        assert_eq!(after(Error::unanswered("")), (503, Some("5".into())));
        assert_eq!(after(Error::Gone), (409, None));
        assert_eq!(after(Error::invalid("")), (500, None));
    }
}
