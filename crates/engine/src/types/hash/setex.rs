//! HSETEX: fields, their values and when they expire, in one command.

use larder_resp::Arguments;

use super::expiry_commands::{
    Change, EX, EXAT, PX, PXAT, Seen, Unit, change_time, check_hash, read_time,
};
use super::{FieldMap, Hash, TimedHash};
use crate::command::Call;
use crate::error::{Error, Result, shown};
use crate::keyspace::WriteGuard;
use crate::keyspace::entry::Kind;
use crate::types::Limits;

pub(super) fn hsetex(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let given = Given::read(call)?;
    check_hash(call, key)?;

    let (over_ms, limits) = (call.keyspace.over_ms(), call.keyspace.limits());
    match (given.presence, given.key) {
        // Where all have expired, others follow in any case.
        (Presence::Any | Presence::None, KeyPresence::Any) => {
            call.keyspace.expire_fields_before_others(key);
        }
        _ => drop(call.keyspace.expire_fields(key)),
    }
    let kind = call.keyspace.kind(key);
    let is_allowed = match kind {
        _ if !given.key.allows(kind.is_some()) => false,
        Some(Kind::TimedHash) => given.is_allowed_in(call.keyspace.read::<TimedHash>(key)?),
        _ => given.is_allowed_in(call.keyspace.read::<Hash>(key)?),
    };
    if !is_allowed {
        call.reply.int(0);
        return Ok(());
    }
    match (given.change, kind) {
        // A hash that is new is one of which fields may expire, if they are to.
        (Some(Change::At(_)), None) | (_, Some(Kind::TimedHash)) => {
            given.set(call.keyspace.write::<TimedHash>(key)?, limits);
        }
        _ => given.set(call.keyspace.write::<Hash>(key)?, limits),
    }
    // That fields have values is one change, and when they expire another.
    if let Some(change @ Change::At(_)) = given.change
        && let Some(guard) = call.keyspace.write_timed(key)?
    {
        given.set_times(guard, change, over_ms, limits);
    }
    call.reply.int(1);
    Ok(())
}

/// Which fields have to be there, or not, for HSETEX to set any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Any,
    /// FNX: none of them.
    None,
    /// FXX: all of them.
    All,
}

/// Whether the key has to be there, or not, for HSETEX to set any field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyPresence {
    Any,
    /// NX, as in Valkey.
    None,
    /// XX, as in Valkey.
    There,
}

impl KeyPresence {
    fn allows(self, is_there: bool) -> bool {
        match self {
            KeyPresence::Any => true,
            KeyPresence::None => !is_there,
            KeyPresence::There => is_there,
        }
    }
}

/// What HSETEX was given.
struct Given<'a> {
    key: KeyPresence,
    presence: Presence,
    change: Option<Change>,
    pairs: Arguments<'a>,
}

impl<'a> Given<'a> {
    fn read(call: &mut Call<'a, '_>) -> Result<Given<'a>> {
        let (mut key, mut presence, mut change) = (KeyPresence::Any, Presence::Any, None);
        while let Some(word) = call.args.peek() {
            match () {
                () if call.args.option("FIELDS") => {
                    let pairs = read_pairs(call)?;
                    return Ok(Given {
                        key,
                        presence,
                        change,
                        pairs,
                    });
                }
                () if call.args.option("EX") => read_change(call, &mut change, EX)?,
                () if call.args.option("PX") => read_change(call, &mut change, PX)?,
                () if call.args.option("EXAT") => read_change(call, &mut change, EXAT)?,
                () if call.args.option("PXAT") => read_change(call, &mut change, PXAT)?,
                () if call.args.option("KEEPTTL") => {
                    refuse_second(change)?;
                    change = Some(Change::Keep);
                }
                () if call.args.option("FXX") => read_presence(&mut presence, Presence::All)?,
                () if call.args.option("FNX") => read_presence(&mut presence, Presence::None)?,
                () if call.args.option("XX") => read_key_presence(&mut key, KeyPresence::There)?,
                () if call.args.option("NX") => read_key_presence(&mut key, KeyPresence::None)?,
                () => {
                    let word = shown(word);
                    return Err(Error::text(format!("ERR unknown argument: {word}")));
                }
            }
        }
        Err(Error::WrongArity(call.command.full_name()))
    }

    fn is_allowed_in<H: FieldMap>(&self, hash: Option<&H>) -> bool {
        let is_there = |field| hash.is_some_and(|hash| hash.contains(field));
        let mut fields = self.pairs.iter().step_by(2);
        match self.presence {
            Presence::Any => true,
            Presence::None => !fields.any(is_there),
            Presence::All => fields.all(is_there),
        }
    }

    /// Sets the fields.
    fn set<H: FieldMap>(&self, mut guard: WriteGuard<'_, '_, H>, limits: &Limits) {
        guard.event("hset");
        let hash = &mut *guard;
        for (field, value) in pairs(self.pairs) {
            match self.change {
                None => hash.set(field, value, limits),
                Some(_) => hash.update(field, value, limits),
            };
        }
    }

    /// Has the fields expire at a time.
    fn set_times(
        &self,
        mut guard: WriteGuard<'_, '_, TimedHash>,
        change: Change,
        over_ms: u64,
        limits: &Limits,
    ) {
        let hash = &mut *guard;
        let mut seen = Seen::default();
        for (field, _) in pairs(self.pairs) {
            seen.see(change_time(hash, field, change, over_ms, limits));
        }
        seen.name(guard, "hexpire");
    }
}

fn pairs(words: Arguments<'_>) -> impl Iterator<Item = (&[u8], &[u8])> {
    let values = words.iter().skip(1).step_by(2);
    words.iter().step_by(2).zip(values)
}

/// Reads `numfields field value ...`, which the request ends with.
fn read_pairs<'a>(call: &mut Call<'a, '_>) -> Result<Arguments<'a>> {
    if call.args.len() < 3 {
        return Err(Error::WrongArity(call.command.full_name()));
    }
    let refusal = Error::text("ERR invalid number of fields");
    let count = call.args.positive_or(refusal.clone())?;
    if i32::try_from(count).is_err() {
        return Err(refusal);
    }
    if count * 2 != call.args.len() {
        return Err(Error::WrongArity(call.command.full_name()));
    }
    call.args.take(count * 2)
}

fn read_change(call: &mut Call<'_, '_>, change: &mut Option<Change>, unit: Unit) -> Result<()> {
    refuse_second(*change)?;
    if call.args.is_empty() {
        return Err(Error::text("ERR missing expire time"));
    }
    *change = Some(Change::At(read_time(call, unit)?));
    Ok(())
}

fn refuse_second(change: Option<Change>) -> Result<()> {
    match change {
        None => Ok(()),
        Some(_) => Err(Error::text(
            "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
        )),
    }
}

fn read_presence(presence: &mut Presence, read: Presence) -> Result<()> {
    if *presence != Presence::Any {
        return Err(Error::text(
            "ERR Only one of FXX or FNX arguments can be specified",
        ));
    }
    *presence = read;
    Ok(())
}

fn read_key_presence(presence: &mut KeyPresence, read: KeyPresence) -> Result<()> {
    if *presence != KeyPresence::Any && *presence != read {
        return Err(Error::Syntax);
    }
    *presence = read;
    Ok(())
}
