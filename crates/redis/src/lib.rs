//! Connections of the `redis` crate to any store of Larder.
//!
//! Code that was written against that crate's [`ConnectionLike`](redis::aio::ConnectionLike) runs on
//! a store as it is, wherever the store is: `AsyncCommands`, pipelines, scripts, and the crates that
//! are built on these.
//!
//! ```text
//! StoreConnection ── requests: commands and atomic pipelines    connection.rs
//!                 └─ words, answers and errors of either side   convert.rs
//! ```

#![forbid(unsafe_code)]

mod connection;

mod convert;

pub use connection::StoreConnection;
