//! Who the server is, and which clients it lets in: certificates, keys and authorities from files.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::sync::RwLock;
use crate::tls_config::{AuthClients, TlsConfig, TlsError};

/// What handshakes go by. It changes when its files are read again, for those who come from then on.
pub(crate) struct Keys {
    state: RwLock<State>,
}

struct State {
    from: TlsConfig,
    current: Arc<ServerConfig>,
}

impl Keys {
    /// Reads the files.
    pub(crate) fn read(from: &TlsConfig) -> Result<Keys, TlsError> {
        let current = Arc::new(server_config(from)?);
        let from = from.clone();
        Ok(Keys {
            state: RwLock::new(State { from, current }),
        })
    }

    /// Those for a handshake that begins now.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.state.read().current)
    }

    /// Where they come from.
    pub(crate) fn from(&self) -> TlsConfig {
        self.state.read().from.clone()
    }

    /// Takes the place of these, from now on.
    pub(crate) fn replace(&self, other: Keys) {
        *self.state.write() = other.state.into_inner();
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

fn server_config(from: &TlsConfig) -> Result<ServerConfig, TlsError> {
    if !from.key_file_pass.is_empty() {
        return Err(TlsError::Sealed);
    }
    let (chain, key) = (chain(from)?, key(from)?);
    let provider = Arc::new(ring::default_provider());
    let versions = versions(&from.protocols)?;
    let verifier = verifier(from, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|source| TlsError::Refused(source.to_string()))?;
    let builder = builder.with_client_cert_verifier(verifier);
    let config = builder.with_single_cert(chain, key);
    // Above all: that the key is not the certificate's.
    config.map_err(|source| {
        TlsError::Refused(format!(
            "the certificate in {} and the key in {} do not go together: {source}",
            from.cert_file.display(),
            from.key_file.display()
        ))
    })
}

fn chain(from: &TlsConfig) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = certificates(&from.cert_file, "tls-cert-file")?;
    match chain.is_empty() {
        true => Err(TlsError::empty("tls-cert-file", &from.cert_file)),
        false => Ok(chain),
    }
}

fn key(from: &TlsConfig) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path = &from.key_file;
    if path.as_os_str().is_empty() {
        return Err(TlsError::Missing("tls-key-file"));
    }
    let wrong = |why: String| TlsError::file("tls-key-file", path, why);
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    if memchr_of(&text, b"ENCRYPTED") {
        return Err(TlsError::Sealed);
    }
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(wrong("there is no private key in it".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Whether a word stands in a text.
fn memchr_of(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

fn certificates(
    path: &Path,
    parameter: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    if path.as_os_str().is_empty() {
        return Err(TlsError::Missing(parameter));
    }
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| TlsError::file(parameter, path, error.to_string()))
}

fn versions(text: &str) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let mut versions = Vec::new();
    for word in text.split_ascii_whitespace() {
        versions.push(match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => &TLS12,
            "tlsv1.3" => &TLS13,
            _ => return Err(TlsError::Protocol(word.to_owned())),
        });
    }
    match versions.is_empty() {
        true => Ok(vec![&TLS12, &TLS13]),
        false => Ok(versions),
    }
}

fn verifier(
    from: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if from.auth_clients == AuthClients::No {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    if from.ca_cert_file.as_os_str().is_empty() {
        return Err(TlsError::NoAuthority);
    }
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(&from.ca_cert_file, "tls-ca-cert-file")? {
        let added = authorities.add(certificate);
        added.map_err(|error| {
            TlsError::file("tls-ca-cert-file", &from.ca_cert_file, error.to_string())
        })?;
    }
    if authorities.is_empty() {
        return Err(TlsError::empty("tls-ca-cert-file", &from.ca_cert_file));
    }
    let provider = Arc::clone(provider);
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
    let builder = match from.auth_clients {
        AuthClients::Optional => builder.allow_unauthenticated(),
        _ => builder,
    };
    let built = builder.build();
    built.map_err(|error| TlsError::Refused(error.to_string()))
}
