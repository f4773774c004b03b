//! Who sends a request.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Once};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use sha2::{Digest, Sha256};

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
    /// The caller's name, which becomes part of a key in the store.
    ///
    /// # Errors
    ///
    /// [`NoCaller`] if the request does not say.
    fn name(&self, head: &Head<'_>) -> Result<String, NoCaller>;
}

impl<F: Fn(&Head<'_>) -> Option<String> + Send + Sync + 'static> Caller for F {
    fn name(&self, head: &Head<'_>) -> Result<String, NoCaller> {
        self(head).ok_or_else(|| NoCaller::new("the request does not say from whom it is"))
    }
}

/// Why nobody knows from whom a request is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NoCaller {
    reason: Cow<'static, str>,
    is_of_the_server: bool,
}

impl NoCaller {
    /// What is missing in the request, for whoever sent it.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> NoCaller {
        NoCaller {
            reason: reason.into(),
            is_of_the_server: false,
        }
    }

    /// What is missing in the server, so that no request says from whom it is.
    pub fn of_the_server(reason: impl Into<Cow<'static, str>>) -> NoCaller {
        NoCaller {
            is_of_the_server: true,
            ..NoCaller::new(reason)
        }
    }

    /// Whether it is the server that was set up wrongly, and not the request that is.
    pub fn is_of_the_server(&self) -> bool {
        self.is_of_the_server
    }
}

/// Where a request comes from, as an extension of the request, for servers other than axum's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// Callers by their address.
///
/// The address is that of the connection, which the server has to add to the request's extensions: as
/// a [`PeerAddress`], or, with the feature `axum`, as axum's
/// `into_make_service_with_connect_info::<SocketAddr>()` does. Without it each request is answered with
/// status 500, which says so.
///
/// Behind a proxy that address is the proxy's. Where the proxies are known
/// ([`PeerIp::behind`]), the caller is the last address in `X-Forwarded-For` that is none of
/// theirs: what stands before that could have been written by anybody. From a connection of
/// somebody else the header is not believed; that there is one is logged once, as it may be a proxy that
/// was forgotten, behind which all are one caller.
///
/// IPv6 addresses count by networks of 64 bits, since a caller has a whole one to choose from.
#[derive(Clone, Debug)]
pub struct PeerIp {
    proxies: Vec<Network>,
    ipv6_prefix_len: u8,
    told: Arc<Told>,
}

/// What is the same with every request, and logged with the first.
#[derive(Debug)]
struct Told {
    no_address: Once,
    undeclared_proxy: Once,
}

/// What is said when the server was not told to add the peer's address.
const NO_ADDRESS: &str = "requests have no address of their peer: serve them with axum's \
    `into_make_service_with_connect_info::<SocketAddr>()` and the feature `axum` of Larder, or add a \
    `PeerAddress` to their extensions";

impl Default for PeerIp {
    fn default() -> PeerIp {
        PeerIp {
            proxies: Vec::new(),
            ipv6_prefix_len: 64,
            told: Arc::new(Told {
                no_address: Once::new(),
                undeclared_proxy: Once::new(),
            }),
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

    /// The caller's address itself.
    pub(crate) fn address(&self, head: &Head<'_>) -> Result<IpAddr, NoCaller> {
        let Some(address) = connection(head.extensions) else {
            let log = || tracing::error!("{NO_ADDRESS}");
            self.told.no_address.call_once(log);
            return Err(NoCaller::of_the_server(NO_ADDRESS));
        };
        let mut address = address.to_canonical();
        let forwarded = head.headers.get_all(FORWARDED_FOR);
        if head.headers.contains_key(FORWARDED_FOR) && !self.is_proxy(address) {
            let log = || {
                tracing::warn!(
                    %address,
                    "{FORWARDED_FOR} comes from an address that `PeerIp::behind` does not name: if it is a \
                     proxy, all who come through it count as one caller"
                );
            };
            self.told.undeclared_proxy.call_once(log);
        }
        let hops: Vec<&[u8]> = { forwarded.iter() }
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .collect();
        for hop in hops.into_iter().rev() {
            if !self.is_proxy(address) {
                break;
            }
            // A trusted proxy that writes what is no address can't be followed further.
            let Some(hop) = read_hop(hop) else { break };
            address = hop.to_canonical();
        }
        Ok(address)
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(address))
    }
}

const FORWARDED_FOR: &str = "x-forwarded-for";

impl Caller for PeerIp {
    fn name(&self, head: &Head<'_>) -> Result<String, NoCaller> {
        let address = self.address(head)?;
        Ok(match address {
            IpAddr::V4(_) => address.to_string(),
            IpAddr::V6(_) => network_of(address, self.ipv6_prefix_len).to_string(),
        })
    }
}

/// The address of the connection.
fn connection(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get().map(|PeerAddress(address)| *address);
    peer.or_else(|| axum_connection(extensions))
}

#[cfg(feature = "axum")]
fn axum_connection(extensions: &Extensions) -> Option<IpAddr> {
    use axum::extract::ConnectInfo;

    let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(address.ip())
}

#[cfg(not(feature = "axum"))]
fn axum_connection(_: &Extensions) -> Option<IpAddr> {
    None
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
/// Check the value before, so that nobody invents callers. The store does not see it: what becomes part of
/// a key is its SHA-256, so that nobody who may look at keys finds secrets there.
#[derive(Clone, Debug)]
pub struct Header {
    name: HeaderName,
    is_plain: bool,
}

impl Header {
    /// Callers by this header.
    pub fn new(name: HeaderName) -> Header {
        Header {
            name,
            is_plain: false,
        }
    }

    /// The same, with the value itself as the caller's name: for values that are no secrets, and may be
    /// read in the store.
    #[must_use]
    pub fn plain(mut self) -> Header {
        self.is_plain = true;
        self
    }
}

impl Caller for Header {
    fn name(&self, head: &Head<'_>) -> Result<String, NoCaller> {
        let value = head.headers.get(&self.name).map(HeaderValue::as_bytes);
        let value = value.filter(|value| !value.is_empty());
        let missing = || NoCaller::new(format!("the request has no header {}", self.name));
        let value = value.ok_or_else(missing)?;
        match self.is_plain {
            true => Ok(String::from_utf8_lossy(value).into_owned()),
            false => Ok(hex::encode(Sha256::digest(value))),
        }
    }
}
