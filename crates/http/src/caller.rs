//! Who sends a request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Once;

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri};

use crate::address::{Network, network_of};

/// A request without its body.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// What is asked for.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What layers and the server have added, such as the peer's address.
    pub extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    pub(crate) fn of<B>(request: &'a Request<B>) -> Head<'a> {
        Head {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

/// Finds out on whose account a request goes.
///
/// A closure will do: `|head: &Head<'_>| Some(head.uri.path().to_owned())`.
pub trait Caller: Send + Sync + 'static {
    /// The caller's name, or `None` if the request does not say.
    fn name(&self, head: &Head<'_>) -> Option<String>;
}

impl<F: Fn(&Head<'_>) -> Option<String> + Send + Sync + 'static> Caller for F {
    fn name(&self, head: &Head<'_>) -> Option<String> {
        self(head)
    }
}

/// Where a request comes from, as an extension of the request, for servers other than axum's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// Callers by their address.
///
/// The address is that of the connection, which the server has to add to the request's extensions:
/// as axum's `into_make_service_with_connect_info::<SocketAddr>()` does, or as a [`PeerAddress`].
///
/// Behind a proxy that address is the proxy's. Where the proxies are known
/// ([`PeerIp::behind`]), the caller is the last address in `X-Forwarded-For` that is none of
/// theirs: what stands before that could have been written by anybody. From a connection of
/// somebody else the header is not even read.
///
/// IPv6 addresses count by networks of 64 bits, since a caller has a whole one to choose from.
#[derive(Clone, Debug)]
pub struct PeerIp {
    proxies: Vec<Network>,
    ipv6_prefix_len: u8,
}

/// What is said when the server was not told to add the peer's address: every request is refused
/// then, and the answer can't say why.
const NO_ADDRESS: &str = "requests have no address of their peer: serve them with \
    `into_make_service_with_connect_info::<SocketAddr>()`, or add a `PeerAddress`";

static TOLD: Once = Once::new();

impl Default for PeerIp {
    fn default() -> PeerIp {
        PeerIp {
            proxies: Vec::new(),
            ipv6_prefix_len: 64,
        }
    }
}

impl PeerIp {
    /// Callers by the address of their connection.
    pub fn new() -> PeerIp {
        PeerIp::default()
    }

    /// Callers behind these proxies, which write `X-Forwarded-For`.
    #[must_use]
    pub fn behind(mut self, proxies: impl IntoIterator<Item = Network>) -> PeerIp {
        self.proxies = proxies.into_iter().collect();
        self
    }

    /// Takes IPv6 addresses that share so many leading bits for one caller, 64 by default; 128 and
    /// more tells all addresses apart.
    #[must_use]
    pub fn ipv6_prefix_len(mut self, bits: u8) -> PeerIp {
        self.ipv6_prefix_len = bits.min(128);
        self
    }

    fn address(&self, head: &Head<'_>) -> Option<IpAddr> {
        let Some(address) = connection(head.extensions) else {
            // It is the same with every request.
            TOLD.call_once(|| tracing::warn!("{NO_ADDRESS}"));
            return None;
        };
        let mut address = address.to_canonical();
        let forwarded = head.headers.get_all("x-forwarded-for");
        let hops: Vec<&[u8]> = { forwarded.iter() }
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .collect();
        for hop in hops.into_iter().rev() {
            if !self.proxies.iter().any(|proxy| proxy.contains(address)) {
                break;
            }
            // A trusted proxy that writes what is no address can't be followed further.
            let Some(hop) = read_hop(hop) else { break };
            address = hop.to_canonical();
        }
        Some(address)
    }
}

impl Caller for PeerIp {
    fn name(&self, head: &Head<'_>) -> Option<String> {
        let address = self.address(head)?;
        Some(match address {
            IpAddr::V4(_) => address.to_string(),
            IpAddr::V6(_) => network_of(address, self.ipv6_prefix_len).to_string(),
        })
    }
}

/// The address of the connection.
fn connection(extensions: &Extensions) -> Option<IpAddr> {
    if let Some(PeerAddress(address)) = extensions.get() {
        return Some(*address);
    }
    let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(address.ip())
}

/// An address in `X-Forwarded-For`, which some proxies write with a port or in brackets.
fn read_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    if let Ok(address) = hop.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    hop.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

/// Callers by a header, such as an API key.
///
/// The value is part of a key in the store (values above 200 bytes as a digest): check it before,
/// so that nobody invents callers.
#[derive(Clone, Debug)]
pub struct Header {
    name: HeaderName,
}

impl Header {
    /// Callers by this header.
    pub fn new(name: HeaderName) -> Header {
        Header { name }
    }
}

impl Caller for Header {
    fn name(&self, head: &Head<'_>) -> Option<String> {
        let value = head.headers.get(&self.name)?.to_str().ok()?;
        (!value.is_empty()).then(|| value.to_owned())
    }
}
