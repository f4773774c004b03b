//! Who is trusted over TLS.

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, RedisResult, TlsCertificates,
};
use rustls::crypto::CryptoProvider;

use crate::open_error::OpenError;

/// Who is trusted over TLS, and how the store shows who it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    authority: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Tls {
    /// Says what there is, and shows no key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("authority", &self.authority.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

impl Tls {
    /// The public authorities that Mozilla trusts are taken at their word, in a list that is built in.
    /// What the system trusts beyond those does not count.
    pub fn new() -> Tls {
        Tls::default()
    }

    /// The word of this authority on the server is taken, and nobody else's: a certificate in PEM, or
    /// several of them.
    #[must_use]
    pub fn authority(mut self, pem: impl Into<Vec<u8>>) -> Tls {
        self.authority = Some(pem.into());
        self
    }

    /// The store shows this certificate, with this key, both in PEM. By default it shows none.
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Tls {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// A client of a server, over TLS if its address says so.
    ///
    /// # Errors
    ///
    /// If a certificate or a key is none; inside, if they can't be used.
    pub(crate) fn client(&self, server: ConnectionInfo) -> Result<RedisResult<Client>, OpenError> {
        self.check()?;
        Ok(match server.addr() {
            ConnectionAddr::TcpTls { .. } => {
                choose_cryptography();
                Client::build_with_tls(server, self.certificates())
            }
            _ => Client::open(server),
        })
    }

    /// Refuses what is no PEM: trusting nobody by mistake would show only at the first command.
    fn check(&self) -> Result<(), OpenError> {
        let holds = |pem: &[u8], what: &str| String::from_utf8_lossy(pem).contains(what);
        let certificate = "-----BEGIN CERTIFICATE-----";
        if self
            .authority
            .as_ref()
            .is_some_and(|pem| !holds(pem, certificate))
        {
            return Err(OpenError::NoPem {
                what: "the authority's certificate",
            });
        }
        match &self.identity {
            Some((pem, _)) if !holds(pem, certificate) => Err(OpenError::NoPem {
                what: "the store's certificate",
            }),
            Some((_, key)) if !holds(key, "PRIVATE KEY-----") => Err(OpenError::NoPem {
                what: "the store's key",
            }),
            _ => Ok(()),
        }
    }

    fn certificates(&self) -> TlsCertificates {
        let client_tls = self
            .identity
            .clone()
            .map(|(client_cert, client_key)| ClientTlsConfig {
                client_cert,
                client_key,
            });
        TlsCertificates {
            client_tls,
            root_cert: self.authority.clone(),
        }
    }
}

/// Makes sure that the process has chosen who does the cryptography of TLS.
///
/// With one implementation in the program rustls takes that one. If another crate brings a second
/// one along, it leaves the choice to the program, and panics at the first connection if there was
/// none. What the program has chosen stays.
fn choose_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // An error says that somebody else was faster, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Topology};

    /// Two implementations of cryptography in one program made rustls panic at the first connection.
    #[test]
    fn a_store_over_tls_leaves_no_choice_of_cryptography_open() {
        let topology = Topology::parse("rediss://localhost").unwrap();
        topology.client(&Config::default()).unwrap();
        assert!(CryptoProvider::get_default().is_some());
    }
}
