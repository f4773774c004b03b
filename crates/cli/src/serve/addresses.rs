//! Where is listened: `bind` and `port` in Redis's way, or addresses in full.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};

use super::settings::Settings;

/// What is bound to if nobody says otherwise, as in redis.conf.
const BIND: &str = "127.0.0.1 -::1";

/// The port if nobody says otherwise.
const PORT: u64 = 6379;

/// The addresses for plain connections. Where sockets are given, none are listened on that nobody has
/// asked for.
pub(crate) fn plain(settings: &Settings, is_given: bool) -> Result<Vec<SocketAddr>, String> {
    let is_asked_for = settings.has("port") || settings.has("bind");
    let port = match is_given && !is_asked_for {
        true => 0,
        false => settings.number("port").unwrap_or(PORT),
    };
    all(settings, "listen", port)
}

/// The addresses for TLS.
pub(crate) fn tls(settings: &Settings) -> Result<Vec<SocketAddr>, String> {
    all(
        settings,
        "tls-listen",
        settings.number("tls-port").unwrap_or(0),
    )
}

fn all(settings: &Settings, in_full: &str, port: u64) -> Result<Vec<SocketAddr>, String> {
    let listed = settings.each(in_full);
    if !listed.is_empty() {
        let words = listed.iter().flat_map(|text| text.split_ascii_whitespace());
        let read = words
            .map(|word| crate::address(word).map_err(|why| format!("{in_full} {word}: {why}")));
        return read.collect();
    }
    let port = u16::try_from(port).unwrap_or(0);
    let bind = settings.last("bind");
    let mut addresses = Vec::new();
    if port > 0 {
        for word in bind.as_deref().unwrap_or(BIND).split_ascii_whitespace() {
            addresses.extend(resolve(word, port)?);
        }
    }
    Ok(addresses)
}

/// The addresses that a word of `bind` stands for. Behind `-` stands one that may be missing.
fn resolve(word: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let (name, may_be_missing) = match word.strip_prefix('-') {
        Some(name) => (name, true),
        None => (word, false),
    };
    let ip = match name {
        "*" => Some(IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        "::*" => Some(IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        _ => name.parse().ok(),
    };
    let found = match ip {
        Some(ip) => vec![SocketAddr::from((ip, port))],
        None => match (name, port).to_socket_addrs() {
            Ok(found) => found.collect(),
            Err(_) if may_be_missing => Vec::new(),
            Err(error) => return Err(format!("bind {word}: {error}")),
        },
    };
    let is_there = |address: &SocketAddr| {
        let anywhere = TcpListener::bind((address.ip(), 0));
        !may_be_missing || anywhere.is_ok()
    };
    Ok(found.into_iter().filter(is_there).collect())
}
