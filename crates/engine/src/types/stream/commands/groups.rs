//! XGROUP.

use super::super::{Group, Id, Log, Stream};
use super::{INVALID_ID, no_group, parse_id};
use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result};
use crate::keyspace::WriteGuard;

const NO_KEY: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE \
                      you may want to use the MKSTREAM option to create an empty stream \
                      automatically.";

/// The options behind the position of a group.
#[derive(Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn read(args: &mut Args<'_>, subcommand: &'static str) -> Result<Options> {
        let mut options = Options::default();
        while !args.is_empty() {
            if subcommand == "CREATE" && args.option("MKSTREAM") {
                options.make_stream = true;
            } else if args.len() > 1 && args.option("ENTRIESREAD") {
                options.entries_read = match args.int()? {
                    -1 => None,
                    number => Some(u64::try_from(number).map_err(|_| {
                        Error::text("ERR value for ENTRIESREAD must be positive or -1")
                    })?),
                };
            } else {
                return Err(args.subcommand_syntax());
            }
        }
        Ok(options)
    }
}

/// A position in a stream: an id, or `$` for its end.
fn position(word: &[u8], log: Option<&Log>) -> Result<Id> {
    match word {
        b"$" => Ok(log.map_or(Id::MIN, Log::last_id)),
        _ => parse_id(word),
    }
}

pub(super) fn create(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name, word) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    let has_too_many = call.args.len() > 3;
    let options = Options::read(&mut call.args, "CREATE")?;

    let stream = call.keyspace.read::<Stream>(key)?;
    if stream.is_none() && !options.make_stream {
        return Err(Error::text(NO_KEY));
    }
    if has_too_many {
        return Err(call.args.subcommand_syntax());
    }
    let position = position(word, stream.map(|stream| &stream.log))?;
    if stream.is_some_and(|stream| stream.groups.contains_key(name)) {
        return Err(Error::text("BUSYGROUP Consumer Group name already exists"));
    }
    let is_new = stream.is_none();
    let mut stream = call.keyspace.write::<Stream>(key)?;
    if !is_new {
        stream.unwatched();
    }
    stream
        .groups
        .insert(name.into(), Group::new(position, options.entries_read));
    call.reply.ok();
    Ok(())
}

/// A stream that has a group of this name, to be changed.
fn write_group<'a, 'e>(
    call: &'a mut Call<'_, 'e>,
    key: &[u8],
    name: &[u8],
) -> Result<WriteGuard<'a, 'e, Stream>> {
    let mut stream = call
        .keyspace
        .write_existing::<Stream>(key)?
        .ok_or(Error::text(NO_KEY))?;
    stream.unwatched();
    if !stream.groups.contains_key(name) {
        return Err(no_group(key, name));
    }
    Ok(stream)
}

pub(super) fn set_id(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name, word) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    let options = Options::read(&mut call.args, "SETID")?;

    let mut stream = write_group(call, key, name)?;
    let position = match word {
        b"$" => stream.log.last_id(),
        _ => Id::parse_or_extreme(word, 0).ok_or(Error::text(INVALID_ID))?,
    };
    if let Some(group) = stream.groups.get_mut(name) {
        group.set_position(position, options.entries_read);
    }
    drop(stream);
    call.reply.ok();
    Ok(())
}

pub(super) fn destroy(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name) = (call.args.key()?, call.args.bytes()?);
    let stream = call.keyspace.write_existing::<Stream>(key)?;
    let mut stream = stream.ok_or(Error::text(NO_KEY))?;
    stream.lost_group();
    let is_destroyed = stream.groups.contains_key(name);
    if is_destroyed {
        stream.groups.remove(name);
    }
    drop(stream);
    call.reply.int(i64::from(is_destroyed));
    Ok(())
}

pub(super) fn create_consumer(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name, consumer) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    let now_ms = call.keyspace.now_ms();
    let mut stream = write_group(call, key, name)?;
    let group = stream.groups.get_mut(name);
    let is_new = group.is_some_and(|group| group.add_consumer(consumer, now_ms));
    if !is_new {
        stream.unchanged();
    }
    drop(stream);
    call.reply.int(i64::from(is_new));
    Ok(())
}

pub(super) fn delete_consumer(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name, consumer) = (call.args.key()?, call.args.bytes()?, call.args.bytes()?);
    let mut stream = write_group(call, key, name)?;
    let group = stream.groups.get_mut(name);
    let removed = group.and_then(|group| group.remove_consumer(consumer));
    if removed.is_none() {
        stream.unchanged();
    }
    drop(stream);
    call.reply.int(removed.unwrap_or(0) as i64);
    Ok(())
}
