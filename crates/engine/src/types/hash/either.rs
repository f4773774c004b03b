//! Commands on a hash of either kind: plain, or with fields that may expire.
//!
//! A command is written once, for any [`FieldMap`](super::FieldMap). It is run for a plain hash, and
//! does not know of the other kind: a key that holds that refuses it as one of the wrong type, before
//! anything has happened. Only then is it asked for the other kind. So plain hashes pay nothing.

use crate::command::{Call, Flags};
use crate::error::{Error, Result};

/// The function of a row whose command runs on a hash of either kind.
macro_rules! of_either {
    ($command:ident) => {
        |call| {
            $crate::types::hash::either::run(
                call,
                $command::<$crate::types::hash::Hash>,
                $command::<$crate::types::hash::TimedHash>,
            )
        }
    };
}
pub(super) use of_either;

/// Runs `plain`, or `timed` where fields of the hash may expire.
#[inline(always)]
pub(super) fn run(
    call: &mut Call<'_, '_>,
    plain: impl Fn(&mut Call<'_, '_>) -> Result<()>,
    timed: impl Fn(&mut Call<'_, '_>) -> Result<()>,
) -> Result<()> {
    match plain(call) {
        Err(Error::WrongType) => match is_timed(call) {
            None => Err(Error::WrongType),
            Some(true) => timed(call),
            // The last of its fields has expired, and there is no such key any more.
            Some(false) => plain(call),
        },
        done => done,
    }
}

/// Whether the key holds a hash whose fields may expire, now that those have left which have. None if
/// it did not. The command is to be run once more, from its first word on.
#[cold]
#[inline(never)]
fn is_timed(call: &mut Call<'_, '_>) -> Option<bool> {
    let request = call.args.whole();
    let key = call.command.first_key(request)?;
    if !call.keyspace.is_timed_hash(key) {
        return None;
    }
    call.args = call.command.args(request);
    // The key has been looked up already.
    call.keyspace.count_no_lookups();
    if call.command.flags.has(Flags::DENY_OOM) {
        // It puts a field into the hash, whatever is left there.
        call.keyspace.expire_fields_before_others(key);
        return Some(true);
    }
    Some(call.keyspace.expire_fields(key))
}
