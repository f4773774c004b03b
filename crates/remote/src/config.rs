//! How patient to be with a server.

use std::fmt;
use std::time::Duration;

use larder_store::span::{self, LONGEST};
use serde::Deserialize;
use tokio::time::Instant;

use crate::open_error::OpenError;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::wire::{Login, Patience};

/// The most connections that callers may share.
const CONNECTIONS_MAX: usize = 64;

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
    pub(crate) wait_while_away: bool,
    pub(crate) idle_max: usize,
    pub(crate) blocking_max: usize,
    pub(crate) connections: usize,
    #[serde(deserialize_with = "span::deserialize")]
    pub(crate) ping_after: Duration,
    pub(crate) breaker_failures: u32,
    #[serde(deserialize_with = "span::deserialize")]
    pub(crate) breaker_pause: Duration,
    #[serde(deserialize_with = "span::deserialize")]
    pub(crate) breaker_pause_max: Duration,
    pub(crate) sentinel_user: Option<String>,
    pub(crate) sentinel_password: Option<Secret>,
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
            wait_while_away: false,
            idle_max: 16,
            blocking_max: 1_000,
            connections: 1,
            ping_after: Duration::from_secs(3),
            breaker_failures: 3,
            breaker_pause: Duration::from_millis(200),
            breaker_pause_max: Duration::from_secs(1),
            sentinel_user: None,
            sentinel_password: None,
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
    /// as long as it said, and this on top. With all its tries a call takes no longer than this and
    /// [`Config::connect_timeout`] together.
    #[must_use]
    pub fn response_timeout(mut self, time: Duration) -> Config {
        self.response_timeout = time;
        self
    }

    /// How often a command is tried again that was certainly not executed, or is harmless if it happens
    /// twice, such as a read: three times by default, until the response timeout is over, and for one call
    /// of ten at most when many fail.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Config {
        self.retries = retries;
        self
    }

    /// The longest pause before the first retry, 50 milliseconds by default. It doubles with each one, up to
    /// [`Config::backoff_max`]. Chance says how much of it is waited, so that many callers do not come
    /// back at once.
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

    /// How many commands may be under way at once on a connection: 10,000 by default, and at least one.
    /// Others wait for their turn, which counts as a part of the wait for their answer.
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

    /// Whether callers wait while the breaker is open, until it closes or their time is over, instead of
    /// being refused at once. By default they do not: who waits holds memory, and often a request of
    /// somebody else who waits. No more than [`Config::waiting_max`] of them wait.
    #[must_use]
    pub fn wait_while_away(mut self, is_patient: bool) -> Config {
        self.wait_while_away = is_patient;
        self
    }

    /// How many idle connections for commands that wait are kept: 16 by default.
    #[must_use]
    pub fn idle_max(mut self, connections: usize) -> Config {
        self.idle_max = connections;
        self
    }

    /// How many commands may wait on the server at once (BLPOP and its like), each on a connection of its
    /// own: 1,000 by default, and at least one. Others wait for their turn, no longer than a connection
    /// may take.
    #[must_use]
    pub fn blocking_max(mut self, commands: usize) -> Config {
        self.blocking_max = commands;
        self
    }

    /// How many connections all callers share: one by default, and at most 64. With more of them a large
    /// answer holds up fewer others; with one, requests travel in the fewest packets. They are made one
    /// after the other, while those that there are have something to do.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Config {
        self.connections = connections;
        self
    }

    /// After how long a silence a server is asked whether it is still there: three seconds by default,
    /// and never later than an answer may take. If it does not say so within the response timeout, the
    /// connection is given up.
    #[must_use]
    pub fn ping_after(mut self, silence: Duration) -> Config {
        self.ping_after = silence;
        self
    }

    /// How many failures in a row open the circuit breaker of a server, so that calls are refused at once
    /// for a while: three by default, never with 0. A failure is a connection that can't be made or is
    /// lost, or on which answers are late, however many callers it has; a refusal is none.
    #[must_use]
    pub fn breaker_failures(mut self, failures: u32) -> Config {
        self.breaker_failures = failures;
        self
    }

    /// How long the breaker stays open before one caller may try: 200 milliseconds by default. It doubles
    /// with each try that fails, up to [`Config::breaker_pause_max`].
    #[must_use]
    pub fn breaker_pause(mut self, pause: Duration) -> Config {
        self.breaker_pause = pause;
        self
    }

    /// The longest time that the breaker stays open without a try: a second by default.
    #[must_use]
    pub fn breaker_pause_max(mut self, pause: Duration) -> Config {
        self.breaker_pause_max = pause;
        self
    }

    /// The user as whom Sentinels are greeted, if they ask for one. They have users and passwords of
    /// their own; by default they are greeted without.
    #[must_use]
    pub fn sentinel_user(mut self, user: impl Into<String>) -> Config {
        self.sentinel_user = Some(user.into());
        self
    }

    /// The password of the Sentinels.
    #[must_use]
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Config {
        self.sentinel_password = Some(Secret(password.into()));
        self
    }

    /// The certificates of `rediss://`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Config {
        self.tls = tls;
        self
    }

    /// The same, without what is longer than can be waited. Refuses what would fail every call.
    pub(crate) fn checked(mut self) -> Result<Config, OpenError> {
        let refuse = |name, wanted| Err(OpenError::Setting { name, wanted });
        for (name, number) in [
            ("in_flight_max", self.in_flight_max),
            ("blocking_max", self.blocking_max),
        ] {
            if number == 0 {
                return refuse(name, "at least one command has to be under way");
            }
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return refuse("connections", "there may be from 1 to 64");
        }
        for (name, time) in [
            ("connect_timeout", self.connect_timeout),
            ("response_timeout", self.response_timeout),
            ("ping_after", self.ping_after),
        ] {
            if time.is_zero() {
                return refuse(name, "no server answers in no time at all");
            }
        }
        for time in [
            &mut self.connect_timeout,
            &mut self.response_timeout,
            &mut self.ping_after,
            &mut self.backoff,
            &mut self.backoff_max,
            &mut self.breaker_pause,
            &mut self.breaker_pause_max,
        ] {
            *time = LONGEST.min(*time);
        }
        Ok(self)
    }

    /// As whom Sentinels are greeted where the URL does not say it.
    pub(crate) fn sentinel_login(&self) -> Login {
        Login {
            user: self.sentinel_user.clone(),
            password: self
                .sentinel_password
                .clone()
                .map(|Secret(password)| password),
        }
    }

    /// Until when one server is waited for, where several may have to be asked the same until `until`.
    pub(crate) fn turn_of_one(&self, until: Instant) -> Instant {
        let patience = (self.connect_timeout / 4).max(Duration::from_millis(50));
        until.min(Instant::now() + patience)
    }

    /// Until when somebody waits for a connection who has this time of his own: no longer than making one may
    /// take.
    pub(crate) fn connect_by(&self, own: Option<Instant>) -> Instant {
        let usual = Instant::now() + self.connect_timeout;
        own.map_or(usual, |own| own.min(usual))
    }

    /// How patient connections are that callers share.
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            in_flight_max: self.in_flight_max,
            ping_after: Some(self.ping_after.min(self.response_timeout)),
            response_timeout: self.response_timeout,
        }
    }
}

/// A password in a file of settings.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_would_fail_every_call_is_refused_by_its_name() {
        for (config, name) in [
            (Config::default().in_flight_max(0), "in_flight_max"),
            (Config::default().blocking_max(0), "blocking_max"),
            (Config::default().connections(0), "connections"),
            (Config::default().connections(65), "connections"),
            (Config::default().ping_after(Duration::ZERO), "ping_after"),
            (
                Config::default().connect_timeout(Duration::ZERO),
                "connect_timeout",
            ),
            (
                Config::default().response_timeout(Duration::ZERO),
                "response_timeout",
            ),
        ] {
            let error = config.checked().unwrap_err().to_string();
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
}
