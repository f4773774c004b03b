//! Why there is no connection, in words that say what to put right.

use std::io;

use larder_store::{Error, Refusal};
use tokio::time::Instant;

use crate::verdict::PASSING;
use crate::wire::{ConnectError, Loss, Mode, Target};

/// What a server says that has as many clients as it may. It has no code of its own.
const FULL: &str = "max number of clients";

/// Why those who were asked one after the other could not help, as the most telling of them has it.
#[derive(Debug, Default)]
pub(crate) struct Reason(Option<Error>);

impl Reason {
    /// Takes the reason of one who had until `by`: the newest, but one whose time was over says less than
    /// one before.
    pub(crate) fn note(&mut self, error: Error, by: Instant) {
        if self.0.is_none() || Instant::now() < by {
            self.0 = Some(error);
        }
    }

    /// The reason, if anybody was asked.
    pub(crate) fn into_error(self) -> Option<Error> {
        self.0
    }
}

/// Whether a failure to connect may be over soon: a password does not become right by waiting, nor
/// does a certificate.
pub(crate) fn may_pass(error: &ConnectError) -> bool {
    match error {
        ConnectError::Io(error) => !is_about_certificate(error),
        ConnectError::NoAddress(_) | ConnectError::Late => true,
        ConnectError::Refused(refusal) => {
            PASSING.contains(&refusal.code()) || refusal.text().contains(FULL)
        }
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
        ConnectError::NoAddress(error) => no_address(target, error.as_ref()),
        ConnectError::Refused(refusal) => {
            format!(
                "{server} turned the connection away: {}",
                refused(refusal, target)
            )
        }
        ConnectError::Lost(Loss::Malformed(_)) => {
            format!(
                "what answers at {server} does not speak the protocol of Redis: is it the right port?"
            )
        }
        ConnectError::Unfit(found) => unfit(target, *found),
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

/// The reason alone, without the word that nothing was sent.
pub(crate) fn reason(error: &Error) -> String {
    match error {
        Error::Away(away) => away.reason().to_owned(),
        error => error.to_string(),
    }
}

/// The host of a URL that is on no map.
fn no_address(target: &Target, error: Option<&io::Error>) -> String {
    let server = &target.address;
    let host = server.host().unwrap_or_default();
    let why = match error {
        Some(error) => format!("no address is known for the name {host:?} ({error})"),
        None => format!("nobody said in time which address has the name {host:?}"),
    };
    format!(
        "can't connect to {server}: {why}: is it spelled rightly, and does this machine have a resolver?"
    )
}

/// What a server said, and what to do about it.
fn refused(refusal: &Refusal, target: &Target) -> String {
    let text = refusal.text();
    match (refusal.code(), target.wanted) {
        ("NOAUTH", Mode::Sentinel) => {
            "it wants a password, and was given none: Sentinels have one of \
             their own, which is `sentinel_password` in the URL or the configuration"
                .to_owned()
        }
        ("NOAUTH", _) => format!(
            "it wants a password, and was given none: write it into the URL, as {}:password@host",
            scheme(target.wanted, is_tls(target))
        ),
        ("WRONGPASS", Mode::Sentinel) => format!(
            "{text} Sentinels have users of their own: `sentinel_user` and `sentinel_password` in the URL \
             or the configuration"
        ),
        ("WRONGPASS", _) => format!("{text} The URL's user and password are meant"),
        _ if text.contains("DB index is out of range") => format!(
            "{text}; the URL asks for database {}, and the server's setting `databases` says how many it \
             has",
            target.db
        ),
        _ if text.contains("unknown command") => {
            format!("{text}; Larder needs Redis 6.2, Valkey 7.2 or younger")
        }
        _ => text.to_owned(),
    }
}

/// A server of another kind than the URL says: what was found, what was expected, what to do.
fn unfit(target: &Target, found: Mode) -> String {
    let server = &target.address;
    let name = |mode| match mode {
        Mode::Standalone => "a single server",
        Mode::Sentinel => "a Sentinel",
        Mode::Cluster => "a node of a cluster",
    };
    let scheme = scheme(found, is_tls(target));
    let advice = match found {
        Mode::Standalone => format!("its URL begins with {scheme}"),
        Mode::Sentinel => format!("its URL is {scheme}{server}/NAME-OF-THE-MASTER"),
        Mode::Cluster => format!("its URL is {scheme}{server}"),
    };
    format!(
        "{server} is {}, and not {}: {advice}",
        name(found),
        name(target.wanted)
    )
}

/// With what the URL of such a server begins.
fn scheme(of: Mode, is_tls: bool) -> &'static str {
    match (of, is_tls) {
        (Mode::Standalone, false) => "redis://",
        (Mode::Standalone, true) => "rediss://",
        (Mode::Sentinel, false) => "redis-sentinel://",
        (Mode::Sentinel, true) => "rediss-sentinel://",
        (Mode::Cluster, false) => "redis-cluster://",
        (Mode::Cluster, true) => "rediss-cluster://",
    }
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
fn advice(error: &io::Error, target: &Target) -> String {
    match is_tls(target) {
        _ if error.kind() == io::ErrorKind::ConnectionRefused => {
            "; nobody listens there: does the server run, and is the port the right one?".to_owned()
        }
        true if error.to_string().contains("UnknownIssuer") => {
            "; nobody who is trusted has signed it: the configuration's `Tls::authority` says whom \
             to trust"
                .to_owned()
        }
        // A server without TLS takes the greeting for a request, and answers in its own protocol.
        true if error.to_string().contains("corrupt message") => advice_on_tls(target),
        _ if is_cut(error) => advice_on_cut(target),
        _ => String::new(),
    }
}

/// Whether the other side hung up.
fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn advice_on_cut(target: &Target) -> String {
    match is_tls(target) {
        true => advice_on_tls(target),
        false => format!(
            "; it hung up, as a server does that wants TLS (its URL begins with {}) or has as many clients \
             as it may",
            scheme(target.wanted, true)
        ),
    }
}

fn advice_on_tls(target: &Target) -> String {
    match is_tls(target) {
        true => format!(
            "; if the server does not speak TLS, its URL begins with {}",
            scheme(target.wanted, false)
        ),
        false => String::new(),
    }
}

fn is_about_certificate(error: &io::Error) -> bool {
    error.to_string().contains("invalid peer certificate")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reason_stands_when_a_later_try_is_cut_off_by_the_end_of_its_time() {
        let by = Instant::now() + Duration::from_secs(1);
        let (early, late) = (Error::away("nobody listens there"), Error::away("late"));
        let mut reason = Reason::default();
        reason.note(Error::away("it is loading"), by);
        reason.note(early.clone(), by);
        tokio::time::advance(Duration::from_secs(1)).await;
        reason.note(late.clone(), by);
        assert_eq!(reason.into_error(), Some(early));

        let mut nothing_else = Reason::default();
        nothing_else.note(late.clone(), by);
        assert_eq!(nothing_else.into_error(), Some(late));
    }
}
