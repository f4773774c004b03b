//! The scripts on the sessions of a user, and what they answer.

use bytes::Bytes;
use larder_store::{Error, FromValue, Script, ScriptCall, Value};

use super::loaded::Times;
use super::twins;

macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(include_str!("common.lua"), include_str!($file)))
            .named(concat!("session/", $file))
    };
}

pub(super) static CREATE: Script = script!("create.lua").with_twin(twins::create);
pub(super) static LOAD: Script = script!("load.lua").with_twin(twins::load).repeatable();
pub(super) static SAVE: Script = script!("save.lua").with_twin(twins::save).repeatable();
pub(super) static LEAVE: Script = script!("leave.lua").with_twin(twins::leave);
pub(super) static DESTROY: Script = script!("destroy.lua").with_twin(twins::destroy);
pub(super) static DESTROY_ALL: Script = script!("destroy_all.lua").with_twin(twins::destroy_all);
pub(super) static LIST: Script = script!("list.lua").with_twin(twins::list).repeatable();
pub(super) static COUNT: Script = script!("count.lua").with_twin(twins::count).repeatable();

/// How many fields of the hash a session has: its data, and what is known of it.
pub(super) const FIELDS: u64 = 2;

/// What the scripts know of a session.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) version: u64,
    pub(super) times: Times,
}

impl FromValue for Known {
    fn from_value(value: Value) -> Result<Known, Error> {
        let (version, created, seen, expires, ends) = FromValue::from_value(value)?;
        let times = Times {
            created,
            seen,
            expires,
            ends,
        };
        Ok(Known { version, times })
    }
}

/// A session as it is in the store.
pub(super) struct Stored {
    pub(super) sealed: Bytes,
    pub(super) known: Known,
}

/// What is found by a digest.
pub(super) enum Found {
    Session(Stored),
    /// No session, but maybe word of where it went.
    Gone {
        word: Option<Bytes>,
    },
}

impl FromValue for Found {
    fn from_value(value: Value) -> Result<Found, Error> {
        Ok(match FromValue::from_value(value)? {
            (Some(sealed), Some(known), _) => Found::Session(Stored { sealed, known }),
            (_, _, word) => Found::Gone { word },
        })
    }
}

/// What became of a change.
pub(super) enum Changed {
    /// It was made.
    Made(Known),
    /// Somebody else was first: the session as it is now.
    Conflict(Stored),
    /// There is no such session, but maybe word of where it went.
    Gone { word: Option<Bytes> },
}

impl FromValue for Changed {
    fn from_value(value: Value) -> Result<Changed, Error> {
        let (outcome, known, bytes): (u8, Option<Known>, Option<Bytes>) =
            FromValue::from_value(value)?;
        Ok(match (outcome, known, bytes) {
            (2, Some(known), _) => Changed::Made(known),
            (1, Some(known), Some(sealed)) => Changed::Conflict(Stored { sealed, known }),
            (_, _, word) => Changed::Gone { word },
        })
    }
}

/// An answer, and whether an earlier one was lost on the way.
pub(super) struct Answered<R> {
    pub(super) answer: R,
    pub(super) lost: Option<Error>,
}

/// Makes a call that does the same when it is made again: once more if it is not answered.
///
/// # Errors
///
/// Those of the call. If the first was not answered, it stays in doubt whatever the second says.
pub(super) async fn settled<'a, R: FromValue>(
    call: impl Fn() -> ScriptCall<'a>,
) -> Result<Answered<R>, Error> {
    let lost = match call().run().await {
        Ok(answer) => return Ok(Answered { answer, lost: None }),
        Err(error) if error.is_in_doubt() => error,
        Err(error) => return Err(error),
    };
    match call().run().await {
        Ok(answer) => Ok(Answered {
            answer,
            lost: Some(lost),
        }),
        Err(_) => Err(lost),
    }
}
