//! Why there is no connection, in words that say what to put right.

use std::io;

use larder_store::Error;

use crate::address::Address;
use crate::verdict::PASSING;
use crate::wire::{ConnectError, Loss, Mode, Target};

/// Whether a failure to connect may be over soon: a password does not become right by waiting, nor
/// does a certificate.
pub(crate) fn may_pass(error: &ConnectError) -> bool {
    match error {
        ConnectError::Io(error) => !is_about_certificate(error),
        ConnectError::Late => true,
        ConnectError::Refused(refusal) => PASSING.contains(&refusal.code()),
        ConnectError::Lost(Loss::Malformed(_)) | ConnectError::Unfit(_) | ConnectError::Replica => {
            false
        }
        ConnectError::Lost(_) => true,
    }
}

/// What a failed connection means to the caller of a command, who has sent nothing.
pub(crate) fn away(error: &ConnectError, target: &Target) -> Error {
    let server = &target.address;
    Error::away(match error {
        ConnectError::Refused(refusal) => {
            let text = match refusal.code() {
                "NOAUTH" => "it wants a password, and was given none",
                _ => refusal.text(),
            };
            format!(
                "{server} turned the connection away: {text}{}",
                hint(refusal.text())
            )
        }
        ConnectError::Lost(Loss::Malformed(_)) => {
            format!("what answers at {server} does not speak the protocol of Redis")
        }
        ConnectError::Unfit(found) => unfit(server, *found, target.wanted),
        ConnectError::Replica => format!("{server} is a replica (still, or by now)"),
        ConnectError::Lost(loss) => {
            format!("can't connect to {server}: {loss}{}", advice_on_cut(target))
        }
        ConnectError::Late => {
            format!(
                "can't connect to {server}: it does not answer in time{}",
                advice_on_tls(target)
            )
        }
        ConnectError::Io(error) => {
            format!(
                "can't connect to {server}: {error}{}",
                advice(error, target)
            )
        }
    })
}

/// What to do about a refusal that speaks of something else than what is wrong.
fn hint(refusal: &str) -> &'static str {
    match refusal.contains("unknown command") {
        true => "; Larder needs Redis 6.2, Valkey 7.2 or younger",
        false => "",
    }
}

/// A server of another kind than the URL says: what was found, what was expected, what to do.
fn unfit(server: &Address, found: Mode, wanted: Mode) -> String {
    let name = |mode| match mode {
        Mode::Standalone => "a single server",
        Mode::Sentinel => "a Sentinel",
        Mode::Cluster => "a node of a cluster",
    };
    let advice = match found {
        Mode::Standalone => "its URL begins with redis://".to_owned(),
        Mode::Sentinel => format!("its URL is redis-sentinel://{server}/NAME-OF-THE-MASTER"),
        Mode::Cluster => format!("its URL is redis-cluster://{server}"),
    };
    format!(
        "{server} is {}, and not {}: {advice}",
        name(found),
        name(wanted)
    )
}

fn is_tls(target: &Target) -> bool {
    #[cfg(feature = "tls")]
    return target.tls.is_some();
    #[cfg(not(feature = "tls"))]
    {
        let _ = target;
        false
    }
}

/// What may be wrong with who is trusted, or with the address.
fn advice(error: &io::Error, target: &Target) -> &'static str {
    match is_tls(target) {
        true if error.to_string().contains("UnknownIssuer") => {
            "; nobody who is trusted has signed it: the configuration's `Tls::authority` says whom \
             to trust"
        }
        // A server without TLS takes the greeting for a request, and answers in its own protocol.
        true if error.to_string().contains("corrupt message") => advice_on_tls(target),
        _ if is_cut(error) => advice_on_cut(target),
        _ => "",
    }
}

/// Whether the other side hung up.
fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn advice_on_cut(target: &Target) -> &'static str {
    match is_tls(target) {
        true => advice_on_tls(target),
        false => {
            "; it hung up, as a server does that wants TLS (its URL begins with rediss://) or has \
             as many clients as it may"
        }
    }
}

fn advice_on_tls(target: &Target) -> &'static str {
    match is_tls(target) {
        true => "; if the server does not speak TLS, its URL begins with redis://",
        false => "",
    }
}

fn is_about_certificate(error: &io::Error) -> bool {
    error.to_string().contains("invalid peer certificate")
}
