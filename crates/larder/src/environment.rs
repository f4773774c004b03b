//! Opening the store that the environment names.

use std::env::{self, VarError};
use std::net::Ipv6Addr;

use larder_store::Store;

use crate::open::{OpenError, open};

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
    let authority = authority(&host).ok_or_else(|| OpenError::Variable {
        variable: "REDIS_HOST",
        value: host.clone(),
        wanted: "the name or the address of a host",
    })?;
    let password =
        password.map_or_else(String::new, |password| format!(":{}@", escaped(&password)));
    Ok(format!("redis://{password}{authority}:{port}/{db}"))
}

/// A text as it may stand in a URL in front of the host: with `%` and two digits for each byte that is
/// no letter, no digit, and none of `-._~`.
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match is_plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
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
}
