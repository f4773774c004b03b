//! What an answer, or its absence, means for what is done next. The one judge of refusals and losses.

use larder_store::{Error, Refusal, Value};

use crate::address::Address;
use crate::wire::{Answered, Failure};

/// Codes of refusals after which nothing was executed, and which may be over soon.
pub(crate) const PASSING: [&str; 6] = [
    "LOADING",
    "BUSY",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "READONLY",
];

/// What an answer, or its absence, means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is what the caller gets: a value, or a refusal that will not change.
    Final,
    /// Nothing was executed, and the same server may do it soon: LOADING, BUSY.
    Later,
    /// Nothing was executed, since some of the keys have gone to another node and the rest will follow, however
    /// long that takes. TRYAGAIN.
    Split,
    /// Nothing was executed, since the server is not the master (any more), or has lost sight of its
    /// cluster: another may do it. READONLY, MASTERDOWN, CLUSTERDOWN, UNBLOCKED.
    Elsewhere,
    /// Nothing was executed, since the keys of this slot are at that node now. MOVED.
    Moved(u16, Address),
    /// Nothing was executed: that node has to be asked, this once. ASK.
    Ask(Address),
    /// Nothing was executed, since the server has forgotten who we are. NOAUTH.
    Stranger,
    /// It was not sent.
    NotSent,
    /// Nobody knows.
    Unknown,
}

impl Verdict {
    /// Of what came for a command.
    pub(crate) fn of(outcome: &Answered) -> Verdict {
        match outcome {
            Ok(Value::Error(refusal)) => Verdict::of_refusal(refusal),
            Ok(_) => Verdict::Final,
            Err(Failure::NotSent(_)) => Verdict::NotSent,
            Err(Failure::Unanswered(_)) => Verdict::Unknown,
        }
    }

    /// Of a refusal.
    pub(crate) fn of_refusal(refusal: &Refusal) -> Verdict {
        match refusal.code() {
            "LOADING" | "BUSY" => Verdict::Later,
            "TRYAGAIN" => Verdict::Split,
            "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "UNBLOCKED" => Verdict::Elsewhere,
            "MOVED" => {
                redirection(refusal).map_or(Verdict::Final, |(slot, to)| Verdict::Moved(slot, to))
            }
            "ASK" => redirection(refusal).map_or(Verdict::Final, |(_, to)| Verdict::Ask(to)),
            "NOAUTH" => Verdict::Stranger,
            _ => Verdict::Final,
        }
    }

    /// Whether the command was certainly not executed, and may be when it is sent again.
    pub(crate) fn is_unexecuted(&self) -> bool {
        !matches!(self, Verdict::Final | Verdict::Unknown)
    }
}

/// The answer that a caller gets.
pub(crate) fn given(outcome: Answered) -> Result<Value, Error> {
    match outcome {
        Ok(Value::Error(refusal)) => Err(Error::Refused(refusal)),
        Ok(value) => Ok(value),
        Err(failure) => Err(failure.into()),
    }
}

/// Reads `MOVED 3999 127.0.0.1:6381`.
fn redirection(refusal: &Refusal) -> Option<(u16, Address)> {
    let mut words = refusal.text().split(' ').skip(1);
    Some((words.next()?.parse().ok()?, Address::parse(words.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Loss;

    fn of(refusal: &str) -> Verdict {
        Verdict::of(&Ok(Value::Error(Refusal::new(refusal))))
    }

    #[test]
    fn each_refusal_has_its_meaning() {
        let node = Address::tcp("127.0.0.1", 6381);
        for (text, wanted) in [
            (
                "LOADING Redis is loading the dataset in memory",
                Verdict::Later,
            ),
            ("BUSY Redis is busy running a script", Verdict::Later),
            (
                "BUSYGROUP Consumer Group name already exists",
                Verdict::Final,
            ),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                Verdict::Split,
            ),
            (
                "READONLY You can't write against a read only replica.",
                Verdict::Elsewhere,
            ),
            ("MASTERDOWN Link with MASTER is down", Verdict::Elsewhere),
            ("CLUSTERDOWN The cluster is down", Verdict::Elsewhere),
            (
                "UNBLOCKED force unblock from blocking operation",
                Verdict::Elsewhere,
            ),
            (
                "MOVED 3999 127.0.0.1:6381",
                Verdict::Moved(3999, node.clone()),
            ),
            ("ASK 3999 127.0.0.1:6381", Verdict::Ask(node)),
            ("MOVED somewhere", Verdict::Final),
            ("NOAUTH Authentication required.", Verdict::Stranger),
            ("OOM command not allowed", Verdict::Final),
            (
                "NOREPLICAS Not enough good replicas to write.",
                Verdict::Final,
            ),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                Verdict::Final,
            ),
            ("WRONGTYPE Operation against a key", Verdict::Final),
        ] {
            assert_eq!(of(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_node_may_have_an_address_of_ipv6() {
        let wanted = Verdict::Moved(1, Address::tcp("::1", 7000));
        assert_eq!(of("MOVED 1 ::1:7000"), wanted);
    }

    #[test]
    fn what_nobody_knows_is_told_from_what_was_not_sent() {
        let unknown = Verdict::of(&Err(Failure::Unanswered(Loss::Closed)));
        assert!(!unknown.is_unexecuted());
        let unsent = Verdict::of(&Err(Failure::NotSent(Loss::Closed)));
        assert!(unsent.is_unexecuted());
    }
}
