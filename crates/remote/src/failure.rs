//! Why there is no connection, in words that say what to put right.

use larder_store::Error;
use redis::{ConnectionAddr, ErrorKind, RedisError};

use crate::convert::{PASSING, refusal_of};

/// Whether a failure to connect may be over soon: a password does not become right by waiting, nor
/// does a certificate.
pub(crate) fn may_pass(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io => !is_about_certificate(error),
        ErrorKind::Server(_) => true,
        _ => error.code().is_some_and(|code| PASSING.contains(&code)),
    }
}

/// What a failed connection means to the caller of a command, who has sent nothing.
pub(crate) fn connect_error(error: &RedisError, server: &ConnectionAddr) -> Error {
    let reason = match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
            let refusal = refusal_of(error);
            let text = match refusal.code() {
                "NOAUTH" => "it wants a password, and was given none",
                _ => refusal.text(),
            };
            format!("{server} turned the connection away: {text}")
        }
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
            format!("what answers at {server} does not speak the protocol of Redis")
        }
        _ => format!(
            "can't connect to {server}: {error}{}",
            advice(error, server)
        ),
    };
    Error::away(reason)
}

/// What may be wrong with the address, or with who is trusted.
fn advice(error: &RedisError, server: &ConnectionAddr) -> &'static str {
    let is_cut = error.is_connection_dropped() && !error.is_connection_refusal();
    match server {
        ConnectionAddr::Tcp(..) if is_cut => {
            "; it hung up, as a server does that wants TLS (its URL begins with rediss://) or has \
             as many clients as it may"
        }
        ConnectionAddr::TcpTls { .. } if is_about_issuer(error) => {
            "; nobody who is trusted has signed it: the configuration's `Tls::authority` says whom \
             to trust"
        }
        ConnectionAddr::TcpTls { .. } if is_no_tls(error) => {
            "; if the server does not speak TLS, its URL begins with redis://"
        }
        _ => "",
    }
}

// The `redis` crate gives the errors of TLS as text alone.

fn is_about_certificate(error: &RedisError) -> bool {
    error.to_string().starts_with("invalid peer certificate")
}

fn is_about_issuer(error: &RedisError) -> bool {
    is_about_certificate(error) && error.to_string().contains("UnknownIssuer")
}

/// Whether this is how a server fails that takes the greeting of TLS for a request: it waits for the
/// rest of it, or answers in its own protocol.
fn is_no_tls(error: &RedisError) -> bool {
    error.is_timeout() || error.to_string().contains("corrupt message")
}
