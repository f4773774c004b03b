//! Values that can be had again, kept for a time.
//!
//! ```
//! # larder_testkit::doctest(async |store| {
//! use larder_toolkit::{Ttl, cache::{Cache, Keep}};
//!
//! let prices = Cache::new(&store, "prices", Ttl::minutes(5).jitter(10));
//!
//! // Whoever comes first loads the price; the others wait for it, in this process and in others.
//! let price: u32 = prices.get_or_set("book.42", || async { Ok(1999) }).await?;
//! assert_eq!(price, 1999);
//! assert_eq!(prices.get("book.42").await?, Some(1999));
//!
//! // Entries with a tag go together.
//! let keep = Keep::new().ttl(Ttl::hours(1)).tags(["books"]);
//! prices.set_with("book.43", &2500, keep).await?;
//! prices.invalidate_tags(["books"]).await?;
//! assert_eq!(prices.get("book.43").await?, None);
//! # Ok(()) });
//! ```
//!
//! Each entry is a string `{ns:cache:NAME}`, with a time to live. While a value is loaded,
//! `{ns:cache:NAME}:lease` says by whom. `{ns:cache-tag:TAG}` is the version of a tag (see [`Keep`]),
//! `{ns:cache}` that of the namespace, and `{ns:cache-tag}` has what a load needs that names its tags late.
//! Caches of different namespaces share nothing, tags included.
//!
//! # What is promised
//!
//! - **A miss is told from a cached nothing.** With `T = Option<U>` the value `None` is a hit.
//! - **One load at a time.** Of the callers of [`Cache::get_or_set`] within a process one leads, and
//!   of the leaders one has the lease, which it extends while it loads. The rest wait. When a
//!   loader fails, those in its process get its error; when it is cancelled or panics, the next one
//!   in its process takes over at once, and another process when the lease is over.
//! - **Nothing from before a change is given to who comes after it.** Whoever writes or deletes an entry
//!   takes the lease away, and a load without a lease does not get into the store. An entry has the
//!   versions that its tags and its namespace had before it was loaded, so it is void if they change
//!   meanwhile. A value that is handed on without the store goes to those alone who were there before its
//!   load began.
//! - **Every wait has an end.** Nobody waits longer than [`Cache::wait`] for what others do, and a load
//!   that would wait for itself is told so at once.
//! - **An outage of the store is none of the application**, unless [`Cache::without_store`] says so: what
//!   can't be looked up, leased or kept, as the store is away, full or read only, is loaded and given out.
//!   So many loads run at once then and no more.
//! - **What can't be read is a miss.** An entry of another format, or of another type, is loaded
//!   and written anew.
//! - **Nothing stays for ever**, unless [`Ttl::forever`](crate::Ttl::forever) says so: entries,
//!   leases and versions have a time to live. A version that is lost makes its entries void.
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
//! | `invalidate_tags`, `clear` | 1 | 1 |
//! | `get_many`, `set_many`, of a thousand | 1 | 2 |
//! | `get_many_or_set`, of a thousand hits | 1 | 2 |
//! | `get_many_or_set` that loads, of a thousand | 3 | 4 |
//! | `delete_many`, of a thousand | 1 | 1 |
//!
//! Once a day, a process makes sure that the version of the namespace lasts: one more, by the call that
//! happens to write then.
//!
//! Sources: R. Nishtala and others, "Scaling Memcache at Facebook" (NSDI 2013), for leases.

mod keep;
mod policy;
mod settings;

mod invalidate;
mod read;
mod write;

mod background;
mod fill;
mod fill_many;
mod loading;
mod right;

mod entry;
mod era;
mod flight;
mod found;
mod landing;
mod lease;
mod stats;
mod tasks;
mod twins;
mod versions;
mod waits;

#[cfg(test)]
mod tests;

pub use keep::Keep;
pub use larder_store::literal;
pub use loading::Loading;
pub use policy::WithoutStore;
pub use settings::Cache;
pub use stats::Stats;
