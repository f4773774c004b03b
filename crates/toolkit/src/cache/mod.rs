//! Values that can be had again, kept for a time.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use larder_toolkit::{Ttl, cache::{Cache, Keep}};
//!
//! let prices = Cache::new(&store, "prices", Ttl::minutes(5).jitter(10));
//!
//! // Whoever comes first loads the price; the others wait for it, in this process and in others.
//! let load = async || Ok::<_, std::io::Error>(1999_u32);
//! let price: u32 = prices.get_or_set("book.42", load).await?;
//! assert_eq!(price, 1999);
//! assert_eq!(prices.get("book.42").await?, Some(1999_u32));
//!
//! // Entries with a tag go together.
//! let keep = Keep::new().ttl(Ttl::hours(1)).tags(["books"]);
//! prices.set_with("book.43", &2500_u32, &keep).await?;
//! prices.invalidate_tags(["books"]).await?;
//! assert_eq!(prices.get::<u32>("book.43").await?, None);
//! # Ok(()) });
//! ```
//!
//! Each entry is a string `{ns:cache:NAME}`, with a time to live. While a value is loaded,
//! `{ns:cache:NAME}:lease` says by whom, and `{ns:cache-tag:TAG}` is the version of a tag: see
//! [`Keep`]. Caches of different namespaces share nothing, tags included.
//!
//! # What is promised
//!
//! - **A miss is told from a cached nothing.** With `T = Option<U>` the value `None` is a hit.
//! - **One load at a time.** Of the callers of [`Cache::get_or_set`] within a process one leads, and
//!   of the leaders one has the lease, which it extends while it loads. The rest wait. When a
//!   loader fails, those in its process get its error; when it is cancelled or panics, the next one
//!   in its process takes over at once, and another process when the lease is over.
//! - **What was loaded before a change is not kept after it.** Whoever writes or deletes an entry
//!   takes the lease away, and a load without a lease does not get into the store. An entry has the
//!   versions that its tags had before it was loaded, so it is invalid if they change meanwhile.
//! - **What can't be read is a miss.** An entry of another format, or of another type, is loaded
//!   and written anew.
//! - **Nothing stays for ever**, unless [`Ttl::forever`](crate::Ttl::forever) says so: entries,
//!   leases and tags have a time to live. A tag that is lost makes its entries invalid.
//!
//! What a cache does not promise: that a value stays. A store that is full may evict it.
//!
//! # Round trips
//!
//! | | without tags | with tags |
//! |---|---|---|
//! | a hit | 1 | 2: the tags of an entry are in other hash slots than the entry, and known after it |
//! | a load | 3: the miss, the lease, the value | 4 |
//! | `set`, `delete` | 1 | 2, 1 |
//! | `invalidate_tags` | 1 | 1 |
//! | `get_many`, `set_many` | 1 | 2 |
//! | `delete_many` | 1 | 1 |
//!
//! Sources: R. Nishtala and others, "Scaling Memcache at Facebook" (NSDI 2013), for leases.

mod access;
mod fill;
mod keep;

mod entry;
mod flight;
mod pattern;
mod stats;
#[cfg(test)]
mod tests;

pub use access::{Cache, Error};
pub use fill::{LoadError, WithoutStore};
pub use keep::Keep;
pub use pattern::literal;
pub use stats::Stats;
