//! COMMAND GETKEYS and COMMAND GETKEYSANDFLAGS: the keys of a request.

use larder_resp::Arguments;

use crate::access::Access;
use crate::command::{Call, Flags, KeySpec};
use crate::commands;
use crate::error::{Error, Result};
use crate::reply::Reply;

pub(super) fn getkeys(call: &mut Call<'_, '_>) -> Result<()> {
    with_keys(call, |keys, reply| {
        reply.array(keys.len());
        keys.iter().for_each(|(key, _)| reply.bulk(key));
    })
}

pub(super) fn getkeysandflags(call: &mut Call<'_, '_>) -> Result<()> {
    with_keys(call, |keys, reply| {
        reply.array(keys.len());
        for (key, access) in keys {
            let flags = access.names();
            reply.array(2);
            reply.bulk(key);
            reply.set(flags.len());
            flags.iter().for_each(|flag| reply.status(flag));
        }
    })
}

const NO_KEYS: &str = "ERR The command has no key arguments";

/// Whether a request is a word alone that only stands before others.
fn is_container(request: Arguments<'_>) -> bool {
    let mut containers = commands::first_words()
        .iter()
        .filter(|first| first.command.is_none());
    let word = request.get(0).unwrap_or_default();
    request.len() == 1 && containers.any(|first| word.eq_ignore_ascii_case(first.name.as_bytes()))
}

/// Answers something about the keys of the request that follows, and what is done with them.
fn with_keys(
    call: &mut Call<'_, '_>,
    answer: impl FnOnce(&[(&[u8], Access)], &mut dyn Reply),
) -> Result<()> {
    let request = call.args.whole().slice(call.command.first()..);
    if is_container(request) {
        return Err(Error::text(NO_KEYS));
    }
    let command =
        commands::find(request).map_err(|_| Error::text("ERR Invalid command specified"))?;
    if command.keys == KeySpec::None || command.accesses() == [Access::NotKey] {
        return Err(Error::text(NO_KEYS));
    }
    if !command.arity.allows(request.len()) {
        return Err(Error::text(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let mut keys = Vec::new();
    command.each_access(request, |key, access| keys.push((key, access)));
    let len_min = match command.keys {
        // Scripts may have none. Of the others, a count that is wrong leaves the first key alone.
        _ if command.flags.has(Flags::SCRIPT) => 0,
        KeySpec::FirstAndCounted(_) => 2,
        // Each of the two rules has to find a key.
        KeySpec::All if command.accesses().len() > 1 => 2,
        _ => 1,
    };
    if keys.len() < len_min {
        return Err(Error::text("ERR Invalid arguments specified for command"));
    }
    answer(&keys, call.reply);
    Ok(())
}
