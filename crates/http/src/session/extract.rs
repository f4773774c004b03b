//! The session as an argument of axum's handlers.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use super::visit::Session;

/// Why a handler got no [`Session`]: no layer of that type is around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no SessionLayer of this type of data around the handler")]
pub struct NoSessionLayer;

impl IntoResponse for NoSessionLayer {
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl<S: Sync, T: Send + Sync + 'static> FromRequestParts<S> for Session<T> {
    type Rejection = NoSessionLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Session<T>, NoSessionLayer> {
        parts.extensions.get().cloned().ok_or(NoSessionLayer)
    }
}
