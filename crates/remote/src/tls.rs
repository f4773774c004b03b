//! Who is trusted over TLS.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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

    /// What speaks TLS to servers.
    ///
    /// # Errors
    ///
    /// If a certificate or a key is none, or they can't be used.
    pub(crate) fn connector(&self) -> Result<Connector, OpenError> {
        choose_cryptography();
        let trusted = ClientConfig::builder().with_root_certificates(self.roots()?);
        let config = match &self.identity {
            None => trusted.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate, "the store's certificate")?;
                let key = match holds(key, "PRIVATE KEY-----") {
                    true => PrivateKeyDer::from_pem_slice(key).map_err(unusable)?,
                    false => return Err(no_pem("the store's key")),
                };
                trusted
                    .with_client_auth_cert(chain, key)
                    .map_err(unusable)?
            }
        };
        Ok(Connector(TlsConnector::from(Arc::new(config))))
    }

    fn roots(&self) -> Result<RootCertStore, OpenError> {
        let mut roots = RootCertStore::empty();
        match &self.authority {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for certificate in certificates(pem, "the authority's certificate")? {
                    roots.add(certificate).map_err(unusable)?;
                }
            }
        }
        Ok(roots)
    }
}

/// Speaks TLS to servers.
#[derive(Clone)]
pub(crate) struct Connector(TlsConnector);

impl Connector {
    /// Greets the server of this name over a connection.
    pub(crate) async fn connect(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, tcp).await
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// The certificates in a text, at least one: to trust nobody by mistake would show only at the first
/// command.
fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    if !holds(pem, "-----BEGIN CERTIFICATE-----") {
        return Err(no_pem(what));
    }
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all.map_err(unusable)? {
        none if none.is_empty() => Err(unusable("there is no certificate in it")),
        some => Ok(some),
    }
}

fn holds(pem: &[u8], what: &str) -> bool {
    String::from_utf8_lossy(pem).contains(what)
}

fn no_pem(what: &'static str) -> OpenError {
    OpenError::NoPem { what }
}

fn unusable(error: impl ToString) -> OpenError {
    OpenError::Tls {
        reason: error.to_string(),
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

    /// Two implementations of cryptography in one program made rustls panic at the first connection.
    #[test]
    fn a_store_over_tls_leaves_no_choice_of_cryptography_open() {
        Tls::new().connector().unwrap();
        assert!(CryptoProvider::get_default().is_some());
    }
}
