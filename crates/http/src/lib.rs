//! Tower middleware on a store: sessions and rate limits.
//!
//! [`SessionLayer`] gives each request the [`Session`] of its visitor, and the browser a cookie.
//! [`RateLimitLayer`] asks a [`Limiter`](larder_toolkit::rate_limit::Limiter) before each request,
//! and answers those that are denied.

#![forbid(unsafe_code)]

mod layer;
mod session;
#[cfg(feature = "tower-sessions")]
mod tower_sessions;

mod address;
mod caller;
mod denial;
mod error;
mod headers;

pub use address::{InvalidNetwork, Network};
pub use caller::{Caller, Head, Header, NoCaller, PeerAddress, PeerIp};
pub use denial::{Denial, OnDenied, Problem};
pub use error::HttpError;
pub use layer::{Costs, RateLimit, RateLimitLayer, WithoutCaller};
#[cfg(feature = "axum")]
pub use session::NoSessionLayer;
pub use session::{SameSite, Session, SessionLayer, WithSession};
#[cfg(feature = "tower-sessions")]
pub use tower_sessions::TowerSessions;
