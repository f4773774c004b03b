//! What can go wrong.

use std::fmt;
use std::time::Duration;

use larder_store::Error;

use crate::refuse::Refuse;

/// Something that goes wrong, with a call or with the store.
///
/// Faults of a call happen to the call for which a [`Plan`] has them. Faults of the store happen just
/// before that call is sent, and concern everybody.
///
/// [`Plan`]: crate::Plan
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The store can't be reached: the call never leaves the process, and its caller is told so.
    Away,
    /// The request is lost on its way. It does not run, and nobody answers.
    LoseRequest,
    /// The command runs, and its answer is lost.
    LoseAnswer,
    /// Nobody answers, and the request still arrives this long after its caller was told so: what was
    /// in the buffers of an old connection.
    Late(Duration),
    /// The request takes this much longer.
    SlowRequest(Duration),
    /// The command runs, and its answer takes this much longer.
    SlowAnswer(Duration),
    /// The store refuses.
    Refuse(Refuse),

    /// The store goes away for so long: what waits for an answer gets none, calls are not sent, and
    /// subscriptions have a [`Gap`]. With no time at all the connections are cut and made again.
    ///
    /// [`Gap`]: larder_store::Event::Gap
    Down {
        /// How long it is away.
        lasts: Duration,
        /// With what it comes back.
        data: Data,
    },
    /// The client that asks can't reach the store for so long; others can.
    CutOff(Duration),
    /// A copy takes over: the store of before is cut off, and nothing more runs there. Only of
    /// [`Faulty::memory`].
    ///
    /// [`Faulty::memory`]: crate::Faulty::memory
    FailOver {
        /// How many of the last commands that may write the copy has not seen.
        lost: usize,
        /// How far its clock is behind.
        behind: Duration,
    },
    /// A part of the store goes away for so long, and with it the keys of its slots; which one is chance.
    /// Only of a store of several parts: see [`Faulty::spread`].
    ///
    /// [`Faulty::spread`]: crate::Faulty::spread
    PartAway(Duration),
    /// A slot, in which there is a key, is on its way from one part to another for so long. Meanwhile who
    /// asks for one of its keys waits a little longer, and who asks for several is refused with `TRYAGAIN`
    /// if it lasts. Only of a store of several parts.
    MoveSlot(Duration),
    /// The store evicts a key: one of those that match this glob pattern, if there is one.
    Evict(String),
    /// All keys expire that match this glob pattern and have a time to live.
    Expire(String),
    /// The store's clock is set forward. Only of [`Faulty::memory`].
    ///
    /// [`Faulty::memory`]: crate::Faulty::memory
    ClockForward(Duration),
    /// The store's clock is set back. Only of [`Faulty::memory`].
    ///
    /// [`Faulty::memory`]: crate::Faulty::memory
    ClockBack(Duration),
}

/// With what a store comes back that was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// With all that it had.
    Kept,
    /// Empty, without the scripts that it knew, as a server that keeps nothing on a disk.
    Lost,
}

impl Fault {
    /// What happens on every network: lost, slow and late requests and answers, and a store that is
    /// away for a moment. Nothing that a store has acknowledged is lost.
    pub fn network() -> Vec<Fault> {
        let (short, long) = (Duration::from_millis(200), Duration::from_secs(3));
        vec![
            Fault::Away,
            Fault::LoseRequest,
            Fault::LoseAnswer,
            Fault::Late(short),
            Fault::Late(long),
            Fault::SlowRequest(short),
            Fault::SlowRequest(long),
            Fault::SlowAnswer(short),
            Fault::SlowAnswer(long),
            Fault::Down {
                lasts: Duration::ZERO,
                data: Data::Kept,
            },
            Fault::Down {
                lasts: long,
                data: Data::Kept,
            },
            Fault::CutOff(long),
        ]
    }

    /// What happens to a store of several parts beside that: a part that is away, and slots that move.
    pub fn parts() -> Vec<Fault> {
        let (short, long) = (Duration::from_millis(100), Duration::from_secs(3));
        vec![
            Fault::PartAway(short),
            Fault::PartAway(long),
            Fault::MoveSlot(short),
            Fault::MoveSlot(long),
        ]
    }

    /// All that stores refuse with for a time.
    pub fn refusals() -> Vec<Fault> {
        Refuse::ALL.map(Fault::Refuse).to_vec()
    }

    /// Whether it happens to the store and not to a call.
    pub(crate) fn is_of_store(&self) -> bool {
        !matches!(
            self,
            Fault::Away
                | Fault::LoseRequest
                | Fault::LoseAnswer
                | Fault::Late(_)
                | Fault::SlowRequest(_)
                | Fault::SlowAnswer(_)
                | Fault::Refuse(_)
        )
    }

    /// Whether it needs a store whose clock and whose copies are ours.
    pub(crate) fn needs_memory(&self) -> bool {
        matches!(
            self,
            Fault::FailOver { .. } | Fault::ClockForward(_) | Fault::ClockBack(_)
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Away => f.write_str("the store is away"),
            Fault::LoseRequest => f.write_str("the request is lost"),
            Fault::LoseAnswer => f.write_str("the answer is lost"),
            Fault::Late(by) => write!(f, "nobody answers, and it still arrives {by:?} late"),
            Fault::SlowRequest(by) => write!(f, "the request takes {by:?} longer"),
            Fault::SlowAnswer(by) => write!(f, "the answer takes {by:?} longer"),
            Fault::Refuse(refuse) => write!(f, "refused with {refuse:?}"),
            Fault::Down { lasts, data } => match data {
                Data::Kept => write!(f, "the store is down for {lasts:?}"),
                Data::Lost => write!(f, "the store is down for {lasts:?} and loses its data"),
            },
            Fault::CutOff(lasts) => write!(f, "its client is cut off for {lasts:?}"),
            Fault::FailOver { lost, behind } => write!(
                f,
                "a copy takes over that lacks {lost} commands and is {behind:?} behind"
            ),
            Fault::PartAway(lasts) => write!(f, "a part of the store is away for {lasts:?}"),
            Fault::MoveSlot(lasts) => write!(f, "a slot is on its way for {lasts:?}"),
            Fault::Evict(glob) => write!(f, "a key like {glob} is evicted"),
            Fault::Expire(glob) => write!(f, "keys like {glob} expire"),
            Fault::ClockForward(by) => write!(f, "the clock goes forward by {by:?}"),
            Fault::ClockBack(by) => write!(f, "the clock goes back by {by:?}"),
        }
    }
}

/// What the caller of an [away](Fault::Away) store is told.
pub(crate) fn away() -> Error {
    Error::away("the plan says that the store is away")
}

/// What a caller is told whose request or answer is lost.
pub(crate) fn unanswered() -> Error {
    Error::unanswered("the plan says that the answer is lost")
}
