//! Where the server is, and how patient to be with it.

use std::time::Duration;

use larder_store::span;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisResult};
use serde::Deserialize;

use crate::open_error::OpenError;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// How patient a store is with its server, and whom it trusts.
///
/// In a file of settings each setter is a field of its name, and times are written as in `"250ms"`:
///
/// ```
/// use larder_remote::Config;
///
/// let written = Config::default().retries(5);
/// let read: Config = serde_json::from_str(r#"{"retries": 5, "response_timeout": "5s"}"#)?;
/// assert_eq!(read, written);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    #[serde(deserialize_with = "span::deserialize")]
    pub(crate) connect_timeout: Duration,
    #[serde(deserialize_with = "span::deserialize")]
    pub(crate) response_timeout: Duration,
    pub(crate) retries: u32,
    #[serde(deserialize_with = "span::deserialize")]
    pub(crate) backoff: Duration,
    #[serde(deserialize_with = "span::deserialize")]
    pub(crate) backoff_max: Duration,
    pub(crate) in_flight_max: usize,
    pub(crate) waiting_max: usize,
    pub(crate) idle_max: usize,
    /// Certificates come from files of their own.
    #[cfg(feature = "tls")]
    #[serde(skip)]
    pub(crate) tls: Tls,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            retries: 3,
            backoff: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            in_flight_max: 10_000,
            waiting_max: 10_000,
            idle_max: 16,
            #[cfg(feature = "tls")]
            tls: Tls::default(),
        }
    }
}

impl Config {
    /// How long making a connection may take: two seconds by default. Once so much time is over, it
    /// is not tried again for the same caller.
    #[must_use]
    pub fn connect_timeout(mut self, time: Duration) -> Config {
        self.connect_timeout = time;
        self
    }

    /// How long an answer may take: five seconds by default. A command that waits by itself may take
    /// as long as it said, and this on top.
    #[must_use]
    pub fn response_timeout(mut self, time: Duration) -> Config {
        self.response_timeout = time;
        self
    }

    /// How often a command that was certainly not executed is tried again, until the response timeout
    /// is over: three times by default.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Config {
        self.retries = retries;
        self
    }

    /// The pause before the first retry, 50 milliseconds by default. It doubles with each one, up to
    /// [`Config::backoff_max`]; a random part of it is left out, so that many callers do not come back
    /// at once.
    #[must_use]
    pub fn backoff(mut self, pause: Duration) -> Config {
        self.backoff = pause;
        self
    }

    /// The longest pause between two tries: two seconds by default.
    #[must_use]
    pub fn backoff_max(mut self, pause: Duration) -> Config {
        self.backoff_max = pause;
        self
    }

    /// How many commands may be under way at once: 10,000 by default, and at least one. Others wait
    /// for their turn.
    #[must_use]
    pub fn in_flight_max(mut self, commands: usize) -> Config {
        self.in_flight_max = commands;
        self
    }

    /// How many callers may wait while there is no connection: 10,000 by default. Others are refused
    /// at once.
    #[must_use]
    pub fn waiting_max(mut self, callers: usize) -> Config {
        self.waiting_max = callers;
        self
    }

    /// How many idle connections for commands that wait are kept: 16 by default.
    #[must_use]
    pub fn idle_max(mut self, connections: usize) -> Config {
        self.idle_max = connections;
        self
    }

    /// The certificates of `rediss://`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Config {
        self.tls = tls;
        self
    }

    /// Refuses what would fail every call.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if self.in_flight_max == 0 {
            return Err(OpenError::Setting {
                name: "in_flight_max",
                wanted: "at least one command has to be under way",
            });
        }
        for (name, time) in [
            ("connect_timeout", self.connect_timeout),
            ("response_timeout", self.response_timeout),
        ] {
            if time.is_zero() {
                let wanted = "no server answers in no time at all";
                return Err(OpenError::Setting { name, wanted });
            }
        }
        Ok(())
    }

    /// The pause before the given retry, the first of which is 0.
    pub(crate) fn pause(&self, retry: u32) -> Duration {
        let longest = self
            .backoff
            .saturating_mul(2u32.saturating_pow(retry))
            .min(self.backoff_max);
        longest.mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// Which servers make up a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Topology {
    /// One server.
    Single(ConnectionInfo),
}

impl Topology {
    /// A client of the server.
    pub(crate) fn client(self, config: &Config) -> Result<Client, OpenError> {
        let Topology::Single(info) = self;
        client(info, config)?.map_err(|error| OpenError::Tls {
            reason: error.to_string(),
        })
    }
}

#[cfg(feature = "tls")]
fn client(server: ConnectionInfo, config: &Config) -> Result<RedisResult<Client>, OpenError> {
    config.tls.client(server)
}

#[cfg(not(feature = "tls"))]
fn client(server: ConnectionInfo, _: &Config) -> Result<RedisResult<Client>, OpenError> {
    Ok(Client::open(server))
}

impl Topology {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// If it is not `redis://`, `rediss://`, `valkey://`, `valkeys://` or `redis+unix://`, or malformed.
    pub fn parse(url: &str) -> Result<Topology, OpenError> {
        let failed = |reason: &str| OpenError::Url {
            url: without_password(url),
            reason: reason.to_owned(),
        };
        // Valkey's own names for the same.
        let url = &match url.split_once("://") {
            Some(("valkey", rest)) => format!("redis://{rest}"),
            Some(("valkeys", rest)) => format!("rediss://{rest}"),
            _ => url.to_owned(),
        };
        let scheme = url.split("://").next().unwrap_or_default();
        if !matches!(scheme, "redis" | "rediss" | "redis+unix") || !url.contains("://") {
            return Err(failed("its scheme is unknown"));
        }
        if scheme == "rediss" && cfg!(not(feature = "tls")) {
            return Err(failed("it asks for TLS, which needs the feature `tls`"));
        }
        check_rest(url).map_err(|reason| failed(&reason))?;
        let info = url
            .as_str()
            .into_connection_info()
            .map_err(|error| failed(&error.to_string().replace(" - InvalidClientConfig", "")))?;
        if i32::try_from(info.redis_settings().db()).map_or(true, i32::is_negative) {
            return Err(failed("a database has a number from 0 on"));
        }
        let settings = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        // Requests leave at once, and a server that vanished without a word is noticed also where
        // nobody waits for an answer: by a subscription.
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5));
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(keepalive);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        Ok(Topology::Single(info))
    }
}

/// Refuses what would be ignored: a database that was meant and not taken is another's data.
fn check_rest(url: &str) -> Result<(), String> {
    // What is no URL at all is told by the one who reads it.
    let Ok(url) = url::Url::parse(url) else {
        return Ok(());
    };
    let known: &[&str] = match url.scheme() {
        "redis+unix" => &["db", "user", "pass"],
        _ => &[],
    };
    if let Some((name, _)) = url
        .query_pairs()
        .find(|(name, _)| !known.contains(&&**name))
    {
        return Err(format!("it has no parameter {name:?}"));
    }
    match url.fragment() {
        Some("insecure") => Err("the server's certificate is always checked".to_owned()),
        Some(_) => Err("it has no part behind a #".to_owned()),
        None => Ok(()),
    }
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
    let user_and_host = match scheme {
        "redis+unix://" => None,
        _ => rest.rsplit_once('@'),
    };
    let rest = match user_and_host {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => rest.to_owned(),
        },
        None => rest.to_owned(),
    };
    let rest = match rest.split_once("pass=") {
        Some((before, pass)) => {
            let after = pass.find('&').map_or("", |end| &pass[end..]);
            format!("{before}pass=***{after}")
        }
        None => rest,
    };
    format!("{scheme}{rest}")
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
        ] {
            assert!(Topology::parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_url_that_is_refused_is_shown_without_its_password() {
        let error = Topology::parse("http://user:secret@localhost")
            .unwrap_err()
            .to_string();
        assert!(error.contains("http://user:***@localhost"), "{error}");
        assert!(error.contains("scheme is unknown"), "{error}");
        assert!(Topology::parse("localhost:6379").is_err());
        for url in [
            "redis://localhost/-1",
            "redis://localhost/99999999999",
            "redis+unix:///tmp/redis.sock?db=-1",
        ] {
            let error = Topology::parse(url).unwrap_err().to_string();
            assert!(error.contains("a number from 0 on"), "{error}");
        }
        let error = Topology::parse("redis://localhost/x").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("redis://localhost/x is no URL of a server: Invalid database number;"),
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
            assert!(Topology::parse(url).is_err(), "{url}");
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
        ] {
            let error = Topology::parse(url).unwrap_err().to_string();
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

    #[test]
    fn a_setting_that_would_fail_every_call_is_refused_by_its_name() {
        for (config, name) in [
            (Config::default().in_flight_max(0), "in_flight_max"),
            (
                Config::default().connect_timeout(Duration::ZERO),
                "connect_timeout",
            ),
            (
                Config::default().response_timeout(Duration::ZERO),
                "response_timeout",
            ),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let typo = serde_json::from_str::<Config>(r#"{"retrys": 5}"#)
            .unwrap_err()
            .to_string();
        assert!(
            typo.contains("`retrys`") && typo.contains("`retries`"),
            "{typo}"
        );
    }

    #[test]
    fn pauses_grow_and_are_capped() {
        let config = Config::default();
        assert!(config.pause(0) <= Duration::from_millis(50));
        assert!(config.pause(3) >= Duration::from_millis(200));
        assert!(config.pause(40) <= config.backoff_max);
    }
}
