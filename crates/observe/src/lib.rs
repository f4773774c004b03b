//! Observers of a store's calls.
//!
//! Each is given to [`Store::observed`](larder_store::Store::observed), and is told of every call once,
//! when it is over:
//!
//! - [`Otel`] makes spans and a histogram of OpenTelemetry (feature `otel`);
//! - [`Metrics`] makes a histogram and a counter of the crate `metrics` (feature `metrics`).
//!
//! Both use the names of OpenTelemetry's semantic conventions for database clients. Neither ever shows
//! a key or a value: what was asked is told by the names of commands and scripts alone.

#![forbid(unsafe_code)]

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "otel")]
mod otel;

#[cfg(any(feature = "metrics", feature = "otel"))]
mod place;

#[cfg(feature = "metrics")]
pub use self::metrics::Metrics;
#[cfg(feature = "otel")]
pub use self::otel::Otel;
