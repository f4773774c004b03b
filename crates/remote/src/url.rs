//! What a URL says: which servers make up a store, and who comes.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::address::Address;
use crate::open_error::OpenError;
use crate::wire::Login;

/// The port on which Redis listens where nothing else is said.
const PORT: u16 = 6379;

/// The port on which Sentinels listen where nothing else is said.
const SENTINEL_PORT: u16 = 26379;

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) servers: Servers,
    pub(crate) login: Login,
    pub(crate) db: u32,
    pub(crate) is_tls: bool,
}

/// Which servers make up a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// One server.
    Single(Address),
    /// The master of this name, and the Sentinels that know which server that is.
    Sentinel {
        sentinels: Vec<Address>,
        master: String,
        login: Login,
    },
    /// The nodes of a cluster from which to learn the others.
    Cluster(Vec<Address>),
}

impl Place {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// If it is malformed, or none of a server. No part of it is ignored: a database that was meant and
    /// not taken is another's data.
    pub(crate) fn parse(url: &str) -> Result<Place, OpenError> {
        read(url).map_err(|reason| OpenError::Url {
            url: without_password(url),
            reason,
        })
    }
}

fn read(url: &str) -> Result<Place, String> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or("it has no scheme in front of ://")?;
    // Valkey's own names for the same; and schemes are the same in capitals (RFC 3986, section 3.1).
    let scheme = scheme.to_ascii_lowercase().replacen("valkey", "redis", 1);
    let (is_tls, kind) = match scheme.as_str() {
        "redis" => (false, ""),
        "rediss" => (true, ""),
        "redis+unix" => return unix(rest),
        _ => match scheme.split_once('-') {
            Some(("redis", kind @ ("sentinel" | "cluster"))) => (false, kind),
            Some(("rediss", kind @ ("sentinel" | "cluster"))) => (true, kind),
            _ => return Err(format!("its scheme {scheme:?} is unknown")),
        },
    };
    if is_tls && cfg!(not(feature = "tls")) {
        return Err("it asks for TLS, which needs the feature `tls`".to_owned());
    }
    let parts = Parts::of(rest)?;
    let port = if kind == "sentinel" {
        SENTINEL_PORT
    } else {
        PORT
    };
    let hosts = hosts(parts.hosts, port)?;
    let (servers, db) = match kind {
        "sentinel" => sentinel(hosts, &parts)?,
        "cluster" => (cluster(hosts, &parts)?, 0),
        _ => (single(hosts, &parts)?, database(parts.path)?),
    };
    Ok(Place {
        servers,
        login: login(parts.user)?,
        db,
        is_tls,
    })
}

/// The parts of what stands behind `://`.
struct Parts<'a> {
    user: Option<&'a str>,
    hosts: &'a str,
    path: &'a str,
    query: Vec<(String, String)>,
}

impl<'a> Parts<'a> {
    fn of(rest: &'a str) -> Result<Parts<'a>, String> {
        let (rest, query) = cut(rest)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        Ok(Parts {
            user,
            hosts,
            path,
            query: query.into_iter().map(pair).collect::<Result<_, _>>()?,
        })
    }

    /// Refuses parameters.
    fn without_parameters(&self) -> Result<(), String> {
        match self.query.first() {
            Some((name, _)) => Err(format!("it has no parameter {name:?}")),
            None => Ok(()),
        }
    }
}

/// Cuts off the parameters.
fn cut(rest: &str) -> Result<(&str, Vec<&str>), String> {
    match rest.split_once('#') {
        Some((_, "insecure")) => {
            return Err("the server's certificate is always checked".to_owned());
        }
        Some(_) => return Err("it has no part behind a #".to_owned()),
        None => {}
    }
    Ok(match rest.split_once('?') {
        Some((rest, query)) => (
            rest,
            query.split('&').filter(|pair| !pair.is_empty()).collect(),
        ),
        None => (rest, Vec::new()),
    })
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((name.to_owned(), decoded(value)?))
}

/// What `%40` and its like stand for.
fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| "what is written with % in it is no UTF-8".to_owned())
}

fn login(user: Option<&str>) -> Result<Login, String> {
    let Some(user) = user else {
        return Ok(Login::default());
    };
    let (user, password) = match user.split_once(':') {
        Some((user, password)) => (user, Some(decoded(password)?)),
        None => (user, None),
    };
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    if user.is_some() && password.is_none() {
        return Err("it has a user and no password: write user:password@ or :password@".to_owned());
    }
    Ok(Login { user, password })
}

fn hosts(text: &str, port: u16) -> Result<Vec<Address>, String> {
    text.split(',').map(|host| self::host(host, port)).collect()
}

fn host(text: &str, port: u16) -> Result<Address, String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (
            host,
            rest.strip_prefix(':').map_or(Ok(port), number_of_port)?,
        ),
        None => match text.split_once(':') {
            Some((host, port)) => (host, number_of_port(port)?),
            None => (text, port),
        },
    };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() {
        return Err("it has no host where one belongs".to_owned());
    }
    match host.chars().all(is_name) {
        true => Ok(Address::tcp(host, port)),
        // What stands there may be a part of a password.
        false => Err("a host is a name or an address: host, host:port or [::1]:port".to_owned()),
    }
}

fn number_of_port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port != 0);
    // What stands there may be a part of a password.
    port.ok_or_else(|| "a port is a number from 1 to 65535".to_owned())
}

fn database(text: &str) -> Result<u32, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = text
        .parse()
        .ok()
        .filter(|number| i32::try_from(*number).is_ok());
    number.ok_or_else(|| "a database has a number from 0 on".to_owned())
}

fn single(hosts: Vec<Address>, parts: &Parts<'_>) -> Result<Servers, String> {
    parts.without_parameters()?;
    match <[Address; 1]>::try_from(hosts) {
        Ok([address]) => Ok(Servers::Single(address)),
        Err(_) => Err(
            "it has several hosts: several servers are redis-cluster:// or \
                       redis-sentinel://"
                .to_owned(),
        ),
    }
}

fn sentinel(sentinels: Vec<Address>, parts: &Parts<'_>) -> Result<(Servers, u32), String> {
    let (master, db) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    if master.is_empty() {
        return Err("it has to say which master is meant: redis-sentinel://host/NAME".to_owned());
    }
    let mut login = Login::default();
    for (name, value) in &parts.query {
        match name.as_str() {
            "sentinel_user" => login.user = Some(value.clone()),
            "sentinel_password" => login.password = Some(value.clone()),
            _ => {
                return Err(format!(
                    "it has no parameter {name:?}, but sentinel_user and sentinel_password"
                ));
            }
        }
    }
    let servers = Servers::Sentinel {
        sentinels,
        master: decoded(master)?,
        login,
    };
    Ok((servers, database(db)?))
}

fn cluster(nodes: Vec<Address>, parts: &Parts<'_>) -> Result<Servers, String> {
    parts.without_parameters()?;
    match database(parts.path)? {
        0 => Ok(Servers::Cluster(nodes)),
        _ => Err("a cluster has one database, which is number 0".to_owned()),
    }
}

/// `/path[?db=n&user=...&pass=...]`.
fn unix(rest: &str) -> Result<Place, String> {
    let (path, query) = cut(rest)?;
    if path.is_empty() {
        return Err("it has no path".to_owned());
    }
    let (mut login, mut db) = (Login::default(), 0);
    for (name, value) in query.into_iter().map(pair).collect::<Result<Vec<_>, _>>()? {
        match name.as_str() {
            "db" => db = database(&value)?,
            "user" => login.user = Some(value),
            "pass" => login.password = Some(value),
            _ => {
                return Err(format!(
                    "it has no parameter {name:?}, but db, user and pass"
                ));
            }
        }
    }
    Ok(Place {
        servers: Servers::Single(Address::Unix(PathBuf::from(decoded(path)?))),
        login,
        db,
        is_tls: false,
    })
}

/// A URL as it may be shown: with `***` in the place of its password.
///
/// The URL may be malformed, and a password may hold any sign, so what is doubtful is taken for a
/// part of the password.
///
/// ```
/// let shown = larder_remote::without_password("redis://ann:secret@localhost/1");
/// assert_eq!(shown, "redis://ann:***@localhost/1");
/// ```
pub fn without_password(url: &str) -> String {
    // Taken apart by hand: a parser would give up where the URL is malformed.
    let (scheme, rest) = match url.find("://") {
        Some(end) => url.split_at(end + "://".len()),
        None => ("", url),
    };
    // The URL of a Unix socket has no user in front of an `@`.
    let user_and_host = match scheme.eq_ignore_ascii_case("redis+unix://") {
        true => None,
        false => rest.rsplit_once('@'),
    };
    let rest = match user_and_host {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => rest.to_owned(),
        },
        None => rest.to_owned(),
    };
    let rest = hide(&rest, "pass=");
    format!("{scheme}{}", hide(&rest, "password="))
}

/// The text with `***` in the place of what stands behind `name`, up to the next parameter.
fn hide(text: &str, name: &str) -> String {
    match text.split_once(name) {
        Some((before, value)) => {
            let after = value.find('&').map_or("", |end| &value[end..]);
            format!("{before}{name}***{after}")
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_servers_are_read() {
        for url in [
            "redis://localhost",
            "redis://:secret@127.0.0.1:7000/3",
            "rediss://user:secret@example.com:6380",
            "valkey://localhost/1",
            "valkeys://example.com",
            "redis+unix:///tmp/redis.sock?db=2&user=ann&pass=secret",
            "redis://[::1]:7000",
            "redis-sentinel://a,b:26380,[::1]/mymaster/3?sentinel_password=x",
            "rediss-sentinel://:secret@a/mymaster",
            "redis-cluster://:secret@a:7000,b:7001",
            "valkey-cluster://a",
            "REDIS://localhost",
            "Valkeys-Sentinel://a/mymaster",
        ] {
            assert!(Place::parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn each_part_of_a_url_has_its_meaning() {
        let url = "rediss-sentinel://ann:a%40b@one,two:7,[::1]:8/m%20y/3?sentinel_user=bob&sentinel_password=c";
        let place = Place::parse(url).unwrap();
        let login = |user: &str, password: &str| Login {
            user: Some(user.into()),
            password: Some(password.into()),
        };
        let wanted = Place {
            servers: Servers::Sentinel {
                sentinels: vec![
                    Address::tcp("one", SENTINEL_PORT),
                    Address::tcp("two", 7),
                    Address::tcp("::1", 8),
                ],
                master: "m y".into(),
                login: login("bob", "c"),
            },
            login: login("ann", "a@b"),
            db: 3,
            is_tls: true,
        };
        assert_eq!(place, wanted);
        let place = Place::parse("redis-cluster://one,two:7").unwrap();
        let nodes = vec![Address::tcp("one", PORT), Address::tcp("two", 7)];
        assert_eq!(place.servers, Servers::Cluster(nodes));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for (url, wanted) in [
            ("redis://a,b", "several hosts"),
            ("redis-sentinel://a", "which master is meant"),
            ("redis-sentinel://a/m?x=1", "no parameter \"x\""),
            ("redis-cluster://a/1", "one database"),
            ("redis-cluster://a,,b", "it has no host"),
            ("redis://a:0", "a port is a number"),
            ("redis://ann@a", "a user and no password"),
            ("redis://:%ff@a", "no UTF-8"),
            ("redis-sentinels://a/m", "\"redis-sentinels\" is unknown"),
            ("redis+unix://", "it has no path"),
        ] {
            let error = Place::parse(url).unwrap_err().to_string();
            assert!(error.contains(wanted), "{url}: {error}");
        }
    }

    #[test]
    fn a_url_that_is_refused_is_shown_without_its_password() {
        let error = Place::parse("http://user:secret@localhost")
            .unwrap_err()
            .to_string();
        assert!(error.contains("http://user:***@localhost"), "{error}");
        assert!(error.contains("scheme \"http\" is unknown"), "{error}");
        assert!(Place::parse("localhost:6379").is_err());
        for url in [
            "redis://localhost/-1",
            "redis://localhost/99999999999",
            "redis+unix:///tmp/redis.sock?db=-1",
        ] {
            let error = Place::parse(url).unwrap_err().to_string();
            assert!(error.contains("a number from 0 on"), "{error}");
        }
        let error = Place::parse("redis://localhost/x").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("redis://localhost/x is no URL of a server: a database has a number"),
            "{error}"
        );
    }

    #[test]
    fn no_part_of_a_url_is_ignored() {
        for url in [
            "redis://localhost?db=3",
            "redis://localhost/1?timeout=5",
            "redis+unix:///tmp/redis.sock?password=secret",
            "rediss://localhost#insecure",
            "redis://localhost#3",
        ] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "redis://:secret@localhost:99999",
            "redis://ann:se@cret@[::1",
            "redis+unix:///tmp/redis.sock?db=x&pass=secret&user=ann",
            "redis+unix:///tmp/redis.sock?db=x&pass=secret",
            "redis+unix:///tmp/of:ann/redis.sock?db=x&pass=se@cret",
            "redis://ann:se?cret@localhost",
            "ann:secret@localhost",
            "redis-sentinel://a,b/m/x?sentinel_password=secret",
            "redis-cluster://:sec,ret@a,b/1",
        ] {
            let error = Place::parse(url).unwrap_err().to_string();
            assert!(!error.contains("cret"), "{error}");
            assert!(error.contains("***"), "{error}");
        }
    }

    #[test]
    fn a_url_is_shown_whole_but_for_its_password() {
        for (url, shown) in [
            ("memory:", "memory:"),
            ("redis://127.0.0.1:6379/2", "redis://127.0.0.1:6379/2"),
            ("redis://ann:sec@ret@host:6379", "redis://ann:***@host:6379"),
            ("redis://ann:sec?ret@host:6379", "redis://ann:***@host:6379"),
            (
                "redis://:sec@ret@host?pass=secret",
                "redis://:***@host?pass=***",
            ),
            (
                "redis+unix:///run/a:b.sock?pass=sec@ret&db=1",
                "redis+unix:///run/a:b.sock?pass=***&db=1",
            ),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
