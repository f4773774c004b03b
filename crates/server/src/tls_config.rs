//! What a server is told of TLS.

use std::fmt;
#[cfg(feature = "tls")]
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

/// What a server is told of TLS. The names and the defaults are those of redis.conf, without `tls-`. All
/// files are in PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// The server's certificate, and those of the authorities between it and one that clients know.
    pub cert_file: PathBuf,
    /// The key of the certificate.
    pub key_file: PathBuf,
    /// The password of the key. Keys with one can't be read, so anything but an empty text is refused.
    pub key_file_pass: String,
    /// The authorities whose clients are let in.
    pub ca_cert_file: PathBuf,
    /// Whether clients have to show a certificate.
    pub auth_clients: AuthClients,
    /// Versions of the protocol, with a space between them: `TLSv1.2 TLSv1.3`, which is also what is
    /// spoken if there are none.
    pub protocols: String,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("cert_file", &self.cert_file)
            .field("key_file", &self.key_file)
            .field("ca_cert_file", &self.ca_cert_file)
            .field("auth_clients", &self.auth_clients)
            .field("protocols", &self.protocols)
            .finish_non_exhaustive()
    }
}

/// Whether clients have to show a certificate that one of the authorities has signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthClients {
    /// Who has none is refused.
    #[default]
    Yes,
    /// None is asked for.
    No,
    /// Who shows one has to show a good one.
    Optional,
}

impl AuthClients {
    const NAMES: [(&str, AuthClients); 3] = [
        ("no", AuthClients::No),
        ("yes", AuthClients::Yes),
        ("optional", AuthClients::Optional),
    ];
}

impl FromStr for AuthClients {
    type Err = String;

    fn from_str(text: &str) -> Result<AuthClients, String> {
        let mut names = AuthClients::NAMES.iter();
        let found = names.find(|(name, _)| name.eq_ignore_ascii_case(text));
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| "argument(s) must be one of the following: no, yes, optional".to_owned())
    }
}

impl fmt::Display for AuthClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthClients::No => "no",
            AuthClients::Yes => "yes",
            AuthClients::Optional => "optional",
        })
    }
}

/// Why TLS can't be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is needed that was not named.
    #[error("TLS needs {0}")]
    Missing(&'static str),
    /// A file is not what it should be.
    #[error("{parameter}: {}: {why}", path.display())]
    File {
        /// The parameter that names it.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The key has a password.
    #[error(
        "tls-key-file: a key with a password can't be read (tls-key-file-pass): take the password off with \
         `openssl pkey -in KEY -out NEWKEY`, and keep the file readable for the server alone"
    )]
    Sealed,
    /// Clients are to show certificates, and nobody says whose are good.
    #[error(
        "tls-auth-clients is yes or optional, so tls-ca-cert-file has to name the authorities whose clients \
         come in; or let everybody in who may by password: tls-auth-clients no"
    )]
    NoAuthority,
    /// A version of the protocol that is not spoken.
    #[error("tls-protocols: '{0}' is not spoken: TLSv1.2 and TLSv1.3 are")]
    Protocol(String),
    /// The files do not go together.
    #[error("{0}")]
    Refused(String),
    /// This program was built without it.
    #[error("this program was built without TLS")]
    Absent,
}

#[cfg(feature = "tls")]
impl TlsError {
    pub(crate) fn file(parameter: &'static str, path: &Path, why: String) -> TlsError {
        let path = path.to_owned();
        TlsError::File {
            parameter,
            path,
            why,
        }
    }

    pub(crate) fn empty(parameter: &'static str, path: &Path) -> TlsError {
        TlsError::file(parameter, path, "there is no certificate in it".to_owned())
    }
}
