//! HGETDEL and HGETEX: the values of fields, and what becomes of the fields.

use larder_resp::Arguments;

use super::either::{self, of_either};
use super::expiry_commands::{
    Change, EX, EXAT, NOT_POSITIVE, PX, PXAT, Seen, change_time, check_hash, read_fields, read_time,
};
use super::{FieldMap, Hash, TimedHash};
use crate::command::Call;
use crate::error::{Error, Result};
use crate::keyspace::entry::Str;

/// HGETDEL on a hash of either kind.
pub(super) const HGETDEL: fn(&mut Call<'_, '_>) -> Result<()> = of_either!(hgetdel);

fn hgetdel<H: FieldMap>(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    check_hash(call, key)?;
    let fields = read_fields(call, NOT_POSITIVE)?;

    let mut guard = call.keyspace.write_existing::<H>(key)?;
    call.reply.array(fields.len());
    let Some(guard) = &mut guard else {
        fields.iter().for_each(|_| call.reply.null());
        return Ok(());
    };
    guard.event("hdel");
    let mut is_changed = false;
    for field in fields.iter() {
        Str::write_or_null(guard.get(field), call.reply);
        is_changed |= guard.remove(field);
    }
    if !is_changed {
        guard.unchanged();
    }
    Ok(())
}

pub(super) fn hgetex(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    check_hash(call, key)?;
    let change = match () {
        () if call.args.option("EX") => Change::At(read_time(call, EX)?),
        () if call.args.option("PX") => Change::At(read_time(call, PX)?),
        () if call.args.option("EXAT") => Change::At(read_time(call, EXAT)?),
        () if call.args.option("PXAT") => Change::At(read_time(call, PXAT)?),
        () if call.args.option("PERSIST") => Change::Persist,
        () => Change::Keep,
    };
    if call.args.len() < 2 {
        return Err(Error::WrongArity(call.command.full_name()));
    }
    let fields = read_fields(call, NOT_POSITIVE)?;

    let (over_ms, limits) = (call.keyspace.over_ms(), call.keyspace.limits());
    if change == Change::Keep || !call.keyspace.exists(key) {
        return either::run(
            call,
            |call| get_fields::<Hash>(call, key, fields),
            |call| get_fields::<TimedHash>(call, key, fields),
        );
    }
    let Some(mut guard) = call.keyspace.write_timed(key)? else {
        // The last of its fields has expired.
        call.reply.array(fields.len());
        fields.iter().for_each(|_| call.reply.null());
        return Ok(());
    };
    let hash = &mut *guard;
    let mut seen = Seen::default();
    call.reply.array(fields.len());
    for field in fields.iter() {
        Str::write_or_null(hash.get(field), call.reply);
        seen.see(change_time(hash, field, change, over_ms, limits));
    }
    let name = match change {
        Change::Persist => "hpersist",
        Change::At(_) | Change::Keep => "hexpire",
    };
    seen.name(guard, name);
    Ok(())
}

/// HGETEX where it changes nothing.
fn get_fields<H: FieldMap>(
    call: &mut Call<'_, '_>,
    key: &[u8],
    fields: Arguments<'_>,
) -> Result<()> {
    let hash = call.keyspace.read::<H>(key)?;
    call.reply.array(fields.len());
    for field in fields.iter() {
        Str::write_or_null(hash.and_then(|hash| hash.get(field)), call.reply);
    }
    Ok(())
}
