//! Why there is no store.

/// Why a store could not be opened by this URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting would fail every call.
    #[error("the setting `{name}` can't be: {wanted}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What is allowed.
        wanted: &'static str,
    },

    /// What should be a certificate or a key is none.
    #[error("{what} is no PEM: it begins with -----BEGIN ...-----")]
    NoPem {
        /// Which of them.
        what: &'static str,
    },

    /// The certificates or the key can't be used.
    #[error("the certificates for TLS can't be used: {reason}")]
    Tls {
        /// What is wrong with them.
        reason: String,
    },

    /// The URL is not one of a server.
    #[error(
        "{url} is no URL of a server: {reason}; write redis://[user:password@]host[:port][/db], rediss://... for TLS, redis-sentinel://host,.../NAME[/db], redis-cluster://host,... or redis+unix:///path[?db=n&user=...&pass=...]"
    )]
    Url {
        /// The URL, without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}
