//! Opening a store by its URL.

#[cfg(feature = "memory")]
use larder_embedded::{Config as EmbeddedConfig, Embedded, EvictionPolicy, MaxMemory};
#[cfg(feature = "remote")]
use larder_remote::{Config as RemoteConfig, Remote};
use larder_store::Store;

/// Why a store could not be opened. It is always something to put right by hand: whether a server
/// is there is not looked at before the first command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL's scheme is none that a store has.
    #[error(
        "{url:?} is no URL of a store: use memory:, redis://host:port/db, rediss://... for TLS, \
         redis-sentinel://host,.../NAME, redis-cluster://host,... or redis+unix:///path"
    )]
    UnknownScheme {
        /// The URL, up to its scheme's end.
        url: String,
    },

    /// The URL's scheme is one that a later version will have.
    #[error("{scheme} stores are not there yet: use memory: or a server")]
    NotYet {
        /// The scheme.
        scheme: &'static str,
    },

    /// The URL's scheme is one of a kind of store that this program was built without.
    #[error(
        "{scheme} stores are left out of this program: build it with larder's feature `{feature}`"
    )]
    LeftOut {
        /// The scheme.
        scheme: &'static str,
        /// The feature that brings it.
        feature: &'static str,
    },

    /// The URL has the scheme of a memory store and an address behind it.
    #[error("a memory store has no address: write memory: or memory:?maxmemory=256mb, not {url:?}")]
    MemoryWithAddress {
        /// The URL.
        url: String,
    },

    /// A parameter in the URL of a memory store is none, or has a value that it can't have.
    #[error("{name}={value:?} in the URL of a memory store: {wanted}")]
    MemoryParameter {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// What it could have been.
        wanted: String,
    },

    /// The URL of a server is malformed.
    #[cfg(feature = "remote")]
    #[error(transparent)]
    Remote(#[from] larder_remote::OpenError),

    /// The system gave no thread, or no random bytes, to a memory store.
    #[cfg(feature = "memory")]
    #[error("can't start a memory store: {0}")]
    Embedded(#[from] std::io::Error),

    /// An environment variable has a value that it can't have.
    #[error("{variable} is {value:?}, which is not {wanted}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it could have been.
        wanted: &'static str,
    },
}

/// Opens the store that a URL names.
///
/// | URL | what answers |
/// |---|---|
/// | `memory:` | an engine inside the process; nothing is kept |
/// | `memory:?maxmemory=256mb&policy=allkeys-lru` | the same, which may hold so much; see below |
/// | `redis://[user:password@]host[:port][/db]` | a Redis or Valkey server |
/// | `rediss://...` | the same, over TLS |
/// | `redis+unix:///path[?db=n&user=...&pass=...]` | the same, over a Unix socket |
/// | `redis-sentinel://[user:password@]host[:port],.../NAME[/db]` | the master of this name, whichever server that is: the hosts are its Sentinels. Their own password, if they have one, is written `?sentinel_user=...&sentinel_password=...` |
/// | `redis-cluster://[user:password@]host[:port],...` | a cluster, some of whose nodes are named |
///
/// `rediss-sentinel://` and `rediss-cluster://` are those two over TLS, and `valkey` may stand in the place
/// of `redis` in each.
///
/// A memory store holds no more than half of the memory of its machine or container, so that a store
/// without bounds does not end the application; `maxmemory` names another bound (`512mb`, `2gb`, 0 for
/// none). What would take more is then refused with `OOM`, unless `policy` has keys evicted: it is one
/// of Redis's `maxmemory-policy` (`allkeys-lru`, `allkeys-lfu`, `volatile-ttl`, ...).
///
/// Over TLS the server's certificate is checked, against the authorities that Mozilla trusts;
/// [`open_with`] can name another. A server is not connected to before the first command, so this
/// succeeds without one. A store on a server has to be used within a tokio runtime; a memory store
/// answers under any. Where a service waits (for a lock, for what somebody else loads) it needs
/// tokio's time on both.
///
/// A connection belongs to the runtime in which it was made, and ends with it: calls from another
/// runtime that are under way then end with [`Unanswered`](larder_store::Error::Unanswered). While
/// nothing drives that runtime, nobody gets an answer. A program with several runtimes on a server
/// opens a store in each.
///
/// # Errors
///
/// [`OpenError`] if the URL is none of these. It says what is wrong and what is allowed.
///
/// # Examples
///
/// ```
/// assert!(larder::open("memory:").is_ok());
/// let error = larder::open("mysql://localhost").unwrap_err();
/// assert!(error.to_string().contains("use memory:"));
/// ```
pub fn open(url: &str) -> Result<Store, OpenError> {
    match memory(url) {
        Some(opened) => opened,
        None => server(url),
    }
}

/// Opens the store that a URL names, with this patience and these certificates if it is a server.
///
/// # Errors
///
/// As [`open`], and if a certificate or a key is none.
///
/// # Examples
///
/// A server whose certificate was signed by an authority of one's own:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = larder::Tls::new()
///     .authority(std::fs::read("authority.pem")?)
///     // Only for a server that asks who comes:
///     .identity(std::fs::read("app.pem")?, std::fs::read("app.key")?);
///
/// let config = larder::RemoteConfig::default().tls(tls);
/// let store = larder::open_with("rediss://cache.internal:6380", config)?;
/// # Ok(()) }
/// ```
#[cfg(feature = "remote")]
pub fn open_with(url: &str, config: RemoteConfig) -> Result<Store, OpenError> {
    match memory(url) {
        Some(opened) => opened,
        None => server_with(url, config),
    }
}

/// Opens a memory store, if the URL names one.
fn memory(url: &str) -> Option<Result<Store, OpenError>> {
    let (scheme, rest) = url.split_at_checked("memory".len())?;
    if !scheme.eq_ignore_ascii_case("memory") {
        return None;
    }
    let rest = if rest.is_empty() {
        rest
    } else {
        rest.strip_prefix(':')?
    };
    Some(match rest.strip_prefix('?') {
        Some(query) => memory_with(query),
        None if rest.is_empty() => memory_with(""),
        None => Err(OpenError::MemoryWithAddress {
            url: url.to_owned(),
        }),
    })
}

/// Opens a memory store with what stands behind the `?` in its URL.
#[cfg(feature = "memory")]
fn memory_with(query: &str) -> Result<Store, OpenError> {
    Ok(Store::new(Embedded::open(memory_config(query)?)?))
}

#[cfg(not(feature = "memory"))]
fn memory_with(_: &str) -> Result<Store, OpenError> {
    Err(OpenError::LeftOut {
        scheme: "memory:",
        feature: "memory",
    })
}

/// Opens a store on a server, which is what every other URL has to name.
fn server(url: &str) -> Result<Store, OpenError> {
    #[cfg(feature = "remote")]
    return server_with(url, RemoteConfig::default());
    #[cfg(not(feature = "remote"))]
    Err(scheme_of(url).err().unwrap_or(OpenError::LeftOut {
        scheme: "redis://",
        feature: "remote",
    }))
}

#[cfg(feature = "remote")]
fn server_with(url: &str, config: RemoteConfig) -> Result<Store, OpenError> {
    match scheme_of(url)? {
        scheme if needs_tls(&scheme) && cfg!(not(feature = "tls")) => Err(OpenError::LeftOut {
            scheme: "rediss://",
            feature: "tls",
        }),
        _ => Ok(Store::new(Remote::open(url, config)?)),
    }
}

/// The scheme of a server's URL, in small letters.
fn scheme_of(url: &str) -> Result<String, OpenError> {
    // Behind the scheme there may be a password, so nothing else is shown.
    let scheme = url.split(':').next().unwrap_or_default();
    let scheme = scheme.to_ascii_lowercase();
    let not_yet = |scheme| Err(OpenError::NotYet { scheme });
    let has_rest = url[scheme.len()..].starts_with("://");
    match &*scheme {
        "redis+unix" if has_rest => Ok(scheme),
        "file" => not_yet("file:"),
        // What stands behind it, such as `-cluster`, is for those to judge who read the rest.
        _ if ["redis", "valkey"].iter().any(|name| is_of(&scheme, name)) && has_rest => Ok(scheme),
        _ => Err(OpenError::UnknownScheme { url: scheme }),
    }
}

/// Whether a scheme is one of Redis's or Valkey's: `redis`, `rediss`, `redis-cluster`, ...
fn is_of(scheme: &str, name: &str) -> bool {
    let rest = scheme
        .strip_prefix(name)
        .map(|rest| rest.strip_prefix('s').unwrap_or(rest));
    rest.is_some_and(|rest| matches!(rest, "" | "-sentinel" | "-cluster"))
}

/// Whether a scheme asks for TLS.
#[cfg(feature = "remote")]
fn needs_tls(scheme: &str) -> bool {
    let kind = scheme.split('-').next().unwrap_or(scheme);
    matches!(kind, "rediss" | "valkeys")
}

/// Reads what stands behind the `?` in the URL of a memory store. No value that is allowed there has a
/// character that a URL would write otherwise.
#[cfg(feature = "memory")]
fn memory_config(query: &str) -> Result<EmbeddedConfig, OpenError> {
    let mut config = EmbeddedConfig::default();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let wanted = |wanted: String| OpenError::MemoryParameter {
            name: name.to_owned(),
            value: value.to_owned(),
            wanted,
        };
        match name {
            "maxmemory" => {
                let max_memory = value.parse::<MaxMemory>();
                let max_memory = max_memory.map_err(|error| wanted(error.to_string()))?;
                config = config.max_memory(max_memory);
            }
            "policy" | "maxmemory-policy" => {
                let policy = value.parse::<EvictionPolicy>();
                let policy = policy.map_err(|error| wanted(error.to_string()))?;
                config = config.eviction_policy(policy);
            }
            _ => return Err(wanted("the parameters are maxmemory and policy".into())),
        }
    }
    Ok(config)
}

#[cfg(all(test, feature = "memory", feature = "remote"))]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_the_same_in_capitals() {
        for url in ["MEMORY:", "Memory:?maxmemory=1mb"] {
            assert!(open(url).is_ok(), "{url}");
        }
        for url in ["REDIS://host/x", "Valkey://host/x"] {
            let error = open(url).unwrap_err().to_string();
            assert!(error.contains("is no URL of a server"), "{url}: {error}");
        }
    }

    #[test]
    fn a_url_that_names_no_store_is_refused_with_what_is_allowed() {
        for (url, wanted) in [
            ("http://user:secret@host", "\"http\" is no URL of a store"),
            ("localhost", "is no URL of a store"),
            (
                "redis:localhost",
                "\"redis\" is no URL of a store: use memory:, redis://host",
            ),
            ("memory:/x", "has no address"),
            ("memory:?maxmemory=lots", "a number of bytes, such as 256mb"),
            (
                "memory:?policy=lru",
                "the policies are volatile-lru, volatile-lfu",
            ),
            ("memory:?size=1", "the parameters are maxmemory and policy"),
            ("file:/tmp/x", "not there yet"),
            ("redis-clusters://a,b", "is no URL of a store"),
            ("redis-sentinel://a,b", "which master is meant"),
            ("redis://host/x", "is no URL of a server"),
        ] {
            let error = open(url).unwrap_err().to_string();
            assert!(
                error.contains(wanted) && !error.contains("secret"),
                "{url}: {error}"
            );
        }
    }
}
