//! Tower middleware on a store: rate limits.
//!
//! [`RateLimitLayer`] asks a [`Limiter`](larder_toolkit::rate_limit::Limiter) before each request,
//! and answers those that are denied.

#![forbid(unsafe_code)]

mod layer;

mod address;
mod caller;
mod denial;
mod headers;

pub use address::{InvalidNetwork, Network};
pub use caller::{Caller, Head, Header, NoCaller, PeerAddress, PeerIp};
pub use denial::{Denial, OnDenied, Problem};
pub use layer::{Costs, RateLimit, RateLimitLayer, WithoutCaller};
