//! Opening a store by its URL.

use std::env::{self, VarError};
use std::net::Ipv6Addr;

use larder_embedded::{Config as EmbeddedConfig, Embedded, EvictionPolicy, MaxMemory};
use larder_remote::{Config as RemoteConfig, Remote};
use larder_store::Store;

/// Why a store could not be opened. It is always something to put right by hand: whether a server
/// is there is not looked at before the first command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL's scheme is none that a store has.
    #[error(
        "{url:?} is no URL of a store: use memory:, redis://host:port/db, rediss://... for TLS, or \
         redis+unix:///path"
    )]
    UnknownScheme {
        /// The URL, up to its scheme's end.
        url: String,
    },

    /// The URL's scheme is one that a later version will have.
    #[error("{scheme} stores are not there yet: use memory:, redis://, rediss:// or redis+unix://")]
    NotYet {
        /// The scheme.
        scheme: &'static str,
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
    #[error(transparent)]
    Remote(#[from] larder_remote::OpenError),

    /// The system gave no thread to a memory store.
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
    open_with(url, RemoteConfig::default())
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
pub fn open_with(url: &str, config: RemoteConfig) -> Result<Store, OpenError> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "memory" => match rest.strip_prefix('?') {
            Some(query) => Ok(Store::new(Embedded::open(memory_config(query)?)?)),
            None if rest.is_empty() => Ok(Store::new(Embedded::open(memory_config("")?)?)),
            None => Err(OpenError::MemoryWithAddress {
                url: url.to_owned(),
            }),
        },
        "redis" | "rediss" | "valkey" | "valkeys" | "redis+unix" => {
            Ok(Store::new(Remote::open(url, config)?))
        }
        "file" => Err(OpenError::NotYet { scheme: "file:" }),
        "redis-sentinel" => Err(OpenError::NotYet {
            scheme: "redis-sentinel://",
        }),
        "redis-cluster" => Err(OpenError::NotYet {
            scheme: "redis-cluster://",
        }),
        // Behind the scheme there may be a password.
        scheme => Err(OpenError::UnknownScheme {
            url: scheme.to_owned(),
        }),
    }
}

/// Reads what stands behind the `?` in the URL of a memory store.
fn memory_config(query: &str) -> Result<EmbeddedConfig, OpenError> {
    let mut config = EmbeddedConfig::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let wanted = |wanted: String| OpenError::MemoryParameter {
            name: name.clone().into_owned(),
            value: value.clone().into_owned(),
            wanted,
        };
        match &*name {
            "maxmemory" => {
                let max_memory = value.parse::<MaxMemory>();
                config.max_memory = max_memory.map_err(|error| wanted(error.to_string()))?;
            }
            "policy" | "maxmemory-policy" => {
                let policy = value.parse::<EvictionPolicy>();
                config.eviction_policy = policy.map_err(|error| wanted(error.to_string()))?;
            }
            _ => return Err(wanted("the parameters are maxmemory and policy".into())),
        }
    }
    Ok(config)
}

/// Opens the store that the environment names.
///
/// `LARDER_URL` counts before `REDIS_URL`; both are URLs as [`open`] knows them. Without them, one
/// of `REDIS_HOST`, `REDIS_PORT`, `REDIS_PASSWORD` and `REDIS_DB` makes it a server, where those
/// that are missing are `localhost`, 6379, none and 0. Without any of them it is `memory:`.
///
/// # Errors
///
/// As [`open`], and [`OpenError::Variable`] if a variable is no port, no number, or no text.
pub fn open_env() -> Result<Store, OpenError> {
    open(&url_from(&|name| match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(value)) => Err(value.to_string_lossy().into_owned()),
    })?)
}

/// Looks a variable up. An error is a value that is no text.
type Lookup<'a> = &'a dyn Fn(&'static str) -> Result<Option<String>, String>;

fn url_from(lookup: Lookup<'_>) -> Result<String, OpenError> {
    let get = |variable: &'static str| {
        let failed = |value| OpenError::Variable {
            variable,
            value,
            wanted: "text in UTF-8",
        };
        lookup(variable).map_err(failed)
    };
    for variable in ["LARDER_URL", "REDIS_URL"] {
        if let Some(url) = get(variable)? {
            return Ok(url);
        }
    }
    let (host, password) = (get("REDIS_HOST")?, get("REDIS_PASSWORD")?);
    let port = number::<u16>(get("REDIS_PORT")?, "REDIS_PORT", "a port from 0 to 65535")?;
    let db = number::<u32>(get("REDIS_DB")?, "REDIS_DB", "the number of a database")?;
    if host.is_none() && port.is_none() && password.is_none() && db.is_none() {
        return Ok("memory:".to_owned());
    }
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    let (port, db) = (port.unwrap_or(6379), db.unwrap_or(0));
    let failed = |()| OpenError::Variable {
        variable: "REDIS_HOST",
        value: host.clone(),
        wanted: "the name or the address of a host",
    };
    let authority = authority(&host).ok_or_else(|| failed(()))?;
    let url = url::Url::parse(&format!("redis://{authority}:{port}/{db}"));
    let mut url = url.map_err(|_| failed(()))?;
    if let Some(password) = password {
        // A URL with a host can have a password; this one has a host.
        let _ = url.set_password(Some(&password));
    }
    Ok(url.into())
}

/// A host as it stands in a URL, if it is nothing more than a host.
fn authority(host: &str) -> Option<String> {
    match host.contains(|c: char| c.is_whitespace() || "/?#@:[]\\".contains(c)) {
        false => Some(host.to_owned()),
        true => { host.parse::<Ipv6Addr>().ok() }.map(|address| format!("[{address}]")),
    }
}

fn number<T: std::str::FromStr>(
    value: Option<String>,
    variable: &'static str,
    wanted: &'static str,
) -> Result<Option<T>, OpenError> {
    let Some(value) = value else { return Ok(None) };
    match value.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(OpenError::Variable {
            variable,
            value,
            wanted,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(variables: &[(&str, &str)]) -> Result<String, String> {
        let lookup = |name: &'static str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        };
        url_from(&lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_names_the_store() {
        assert_eq!(url(&[]), Ok("memory:".into()));
        let both = [("REDIS_URL", "redis://b"), ("LARDER_URL", "memory:")];
        assert_eq!(url(&both), Ok("memory:".into()));
        assert_eq!(url(&both[..1]), Ok("redis://b".into()));
        let parts = [
            ("REDIS_HOST", "h"),
            ("REDIS_PASSWORD", "p@ss/w"),
            ("REDIS_DB", "2"),
        ];
        assert_eq!(url(&parts), Ok("redis://:p%40ss%2Fw@h:6379/2".into()));
        let ipv6 = [("REDIS_HOST", "::1")];
        assert_eq!(url(&ipv6), Ok("redis://[::1]:6379/0".into()));
    }

    #[test]
    fn a_variable_that_is_wrong_is_named_with_what_it_could_be() {
        let error = url(&[("REDIS_PORT", "64k")]).unwrap_err();
        assert_eq!(
            error,
            "REDIS_PORT is \"64k\", which is not a port from 0 to 65535"
        );
        for host in [
            "h:7000",
            "redis://h",
            "ann@h",
            "h/1",
            "h?x",
            "h#x",
            "h h",
            "[::1",
            "::g",
        ] {
            let error = url(&[("REDIS_HOST", host)]).expect_err(host);
            assert!(
                error.ends_with("not the name or the address of a host"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_url_that_names_no_store_is_refused_with_what_is_allowed() {
        for (url, wanted) in [
            ("http://user:secret@host", "\"http\" is no URL of a store"),
            ("localhost", "is no URL of a store"),
            ("memory:/x", "has no address"),
            ("memory:?maxmemory=lots", "a number of bytes, such as 256mb"),
            (
                "memory:?policy=lru",
                "the policies are noeviction, allkeys-lru",
            ),
            ("memory:?size=1", "the parameters are maxmemory and policy"),
            ("file:/tmp/x", "not there yet"),
            ("redis-cluster://a,b", "not there yet"),
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
