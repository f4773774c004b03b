//! The toolkit's operations, on a store in the process.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use larder_toolkit::Ttl;
use larder_toolkit::cache::Cache;
use larder_toolkit::rate_limit::{Limit, Limiter, Quota};
use larder_toolkit::session::Sessions;

use crate::contenders::{Contender, Row, block_on, contender, map_get, moka_get, row, store};
use crate::keys::{self, Key, VALUE};

/// How many sessions there are: each is a hash and an index, so a million would measure the
/// machine's memory rather than ours.
const SESSIONS: usize = 100_000;

/// The operations of the toolkit.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "cache hit",
            contenders: vec![
                ("larder", cache_hit),
                ("dashmap", map_get),
                ("moka", moka_get),
            ],
        },
        row("limiter check", limiter_check),
        row("session load", session_load),
    ]
}

fn cache_hit() -> Result<Contender> {
    let cache: Cache<String> = Cache::new(&store()?, "bench", Ttl::hours(1));
    let value = String::from_utf8_lossy(&VALUE).into_owned();
    block_on(async {
        for key in keys::all() {
            cache.set(name(key), &value).await?;
        }
        Ok(())
    })?;
    contender(cache, async |cache, keys| {
        for key in keys {
            let value = cache.get(name(key)).await?;
            ensure!(black_box(value).is_some(), "an entry is missing");
        }
        Ok(())
    })
}

fn limiter_check() -> Result<Contender> {
    let quota = Quota::per_second(100_000);
    let limiter = Limiter::new(&store()?, "bench", Limit::gcra(quota));
    contender(limiter, async |limiter, keys| {
        for key in keys {
            black_box(limiter.take_one(name(key)).await?);
        }
        Ok(())
    })
}

fn session_load() -> Result<Contender> {
    let sessions = Sessions::<String>::new(&store()?, "bench");
    let data = String::from_utf8_lossy(&VALUE).into_owned();
    let tokens = block_on(async {
        let mut tokens = Vec::with_capacity(SESSIONS);
        for key in &keys::all()[..SESSIONS] {
            let session = sessions.create(name(key), data.clone()).await?;
            tokens.push(session.token().to_owned());
        }
        Ok(tokens)
    })?;
    contender((sessions, tokens), async |(sessions, tokens), keys| {
        for key in keys {
            let session = sessions.load(&tokens[keys::index(key) % SESSIONS]).await?;
            black_box(session.context("a session is missing")?);
        }
        Ok(())
    })
}

/// A key as the toolkit takes names.
fn name(key: &Key) -> &str {
    str::from_utf8(key).unwrap_or_default()
}
