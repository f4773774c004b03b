//! XDELEX, XACKDEL and XNACK: what becomes of entries that are done with, or given back. They are those
//! of Redis 8.2 and 8.8, after its documentation.

use larder_resp::Arguments;

use super::super::{Id, References, Removal, Stream};
use super::entries::read_references;
use super::{no_key_or_group, option_with_value, parse_id, stream_and_group};
use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result, shown};

/// What XDELEX and XACKDEL are asked.
struct Asked {
    references: References,
    ids: Vec<Id>,
}

impl Asked {
    fn read(args: &mut Args<'_>) -> Result<Asked> {
        let (mut references, mut ids) = (None, None);
        while !args.is_empty() {
            if references.is_none()
                && let Some(read) = read_references(args)
            {
                references = Some(read);
            } else if ids.is_none() && option_with_value(args, "IDS") {
                let refusal = Error::text("ERR Number of IDs must be a positive integer");
                let count = args.positive_or(refusal)?;
                let mismatch = "ERR The `numids` parameter must match the number of arguments";
                ids = Some(args.take(count).map_err(|_| Error::text(mismatch))?);
            } else {
                return Err(Error::Syntax);
            }
        }
        let ids = ids.ok_or(Error::Syntax)?;
        Ok(Asked {
            references: references.unwrap_or_default(),
            ids: parse_ids(ids)?,
        })
    }
}

fn parse_ids(words: Arguments<'_>) -> Result<Vec<Id>> {
    words.iter().map(parse_id).collect()
}

/// What is answered of each entry.
fn number_of(removal: Removal) -> i64 {
    match removal {
        Removal::Missing => -1,
        Removal::Removed => 1,
        Removal::Referenced => 2,
    }
}

pub(super) fn xdelex(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    call.keyspace.read::<Stream>(key)?;
    let asked = Asked::read(&mut call.args)?;
    remove(call, key, &asked.ids, |stream, id| {
        stream.remove(id, asked.references)
    })
}

pub(super) fn xackdel(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name) = (call.args.key()?, call.args.bytes()?);
    call.keyspace.read::<Stream>(key)?;
    let asked = Asked::read(&mut call.args)?;
    remove(call, key, &asked.ids, |stream, id| {
        let group = stream.groups.get_mut(name);
        if !group.is_some_and(|group| group.forget(id)) {
            return Removal::Missing;
        }
        match stream.remove(id, asked.references) {
            // It has been acknowledged, and there is nothing left of it.
            Removal::Missing => Removal::Removed,
            removal => removal,
        }
    })
}

/// Does something to each of these entries, and answers what came of it.
fn remove(
    call: &mut Call<'_, '_>,
    key: &[u8],
    ids: &[Id],
    mut each: impl FnMut(&mut Stream, Id) -> Removal,
) -> Result<()> {
    let mut stream = call.keyspace.write_existing::<Stream>(key)?;
    let mut is_changed = false;
    call.reply.array(ids.len());
    for &id in ids {
        let removal = match &mut stream {
            Some(stream) => each(stream, id),
            None => Removal::Missing,
        };
        is_changed |= removal != Removal::Missing;
        call.reply.int(number_of(removal));
    }
    if let Some(stream) = &mut stream {
        stream.trimmed();
        if !is_changed {
            stream.unchanged();
        }
    }
    Ok(())
}

// --- giving back ----------------------------------------------------------------------------------

/// What XNACK makes of how often an entry has been delivered.
#[derive(Clone, Copy)]
enum Deliveries {
    /// One less: this one does not count.
    Less,
    Same,
    /// As many as can be said: nobody should try it again.
    Most,
    /// So many.
    Given(u64),
}

/// The greatest number that an answer has.
const MOST: u64 = i64::MAX as u64;

impl Deliveries {
    fn of(self, before: u64) -> u64 {
        match self {
            Deliveries::Less => before.saturating_sub(1),
            Deliveries::Same => before,
            Deliveries::Most => MOST,
            Deliveries::Given(deliveries) => deliveries,
        }
    }
}

/// What XNACK is asked.
struct GivenBack {
    deliveries: Deliveries,
    /// Whether an entry that is pending for nobody is made pending.
    force: bool,
    ids: Vec<Id>,
}

impl GivenBack {
    fn read(args: &mut Args<'_>) -> Result<GivenBack> {
        let mut deliveries = match () {
            () if args.option("SILENT") => Deliveries::Less,
            () if args.option("FAIL") => Deliveries::Same,
            () if args.option("FATAL") => Deliveries::Most,
            () => return Err(Error::text("ERR mode must be SILENT, FAIL, or FATAL")),
        };
        let (mut force, mut ids) = (false, None);
        while !args.is_empty() {
            if args.option("FORCE") {
                force = true;
            } else if option_with_value(args, "RETRYCOUNT") {
                let refusal = "ERR Invalid RETRYCOUNT value, must be >= 0";
                let count = u64::try_from(args.int()?).map_err(|_| Error::text(refusal))?;
                deliveries = Deliveries::Given(count);
            } else if ids.is_none() && option_with_value(args, "IDS") {
                let refusal = Error::text("ERR numids must be a positive integer");
                let count = args.positive_or(refusal)?;
                let mismatch = "ERR number of IDs doesn't match numids";
                ids = Some(args.take(count).map_err(|_| Error::text(mismatch))?);
            } else {
                let word = shown(args.bytes()?);
                return Err(Error::text(format!(
                    "ERR Unrecognized XNACK option '{word}'"
                )));
            }
        }
        let missing = Error::text("ERR syntax error, expected IDS keyword");
        Ok(GivenBack {
            deliveries,
            force,
            ids: parse_ids(ids.ok_or(missing)?)?,
        })
    }
}

pub(super) fn xnack(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, name) = (call.args.key()?, call.args.bytes()?);
    if stream_and_group(call.keyspace, key, name)?.is_none() {
        return Err(no_key_or_group(key, name));
    }
    let given = GivenBack::read(&mut call.args)?;

    let mut guard = call.keyspace.write::<Stream>(key)?;
    guard.released();
    let Stream { log, groups, .. } = &mut *guard;
    let Some(group) = groups.get_mut(name) else {
        return Err(Error::Internal);
    };
    let mut released = 0;
    for &id in &given.ids {
        let before = match group.pending(id) {
            Some(pending) => pending.deliveries,
            None if given.force && log.get(id).is_some() => 0,
            None => continue,
        };
        group.release(id, given.deliveries.of(before));
        released += 1;
    }
    if released == 0 {
        guard.unchanged();
    }
    call.reply.int(released);
    Ok(())
}

// --- what is remembered of producers --------------------------------------------------------------

/// What XCFGSET allows.
const DURATIONS_S: std::ops::RangeInclusive<i64> = 1..=86_400;
const NAMES: std::ops::RangeInclusive<i64> = 1..=10_000;

pub(super) fn xcfgset(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let mut stream = call.keyspace.write_existing::<Stream>(key)?;
    let stream = stream.as_mut().ok_or(Error::NoSuchKey)?;
    stream.unwatched();
    let (mut duration_s, mut names) = (None, None);
    while !call.args.is_empty() {
        if option_with_value(&mut call.args, "IDMP-DURATION") {
            let number = call.args.int()?;
            let refusal = "ERR IDMP-DURATION must be between 1 and 86400 seconds";
            let number = Some(number).filter(|number| DURATIONS_S.contains(number));
            duration_s = Some(number.ok_or(Error::text(refusal))? as u64);
        } else if option_with_value(&mut call.args, "IDMP-MAXSIZE") {
            let number = call.args.int()?;
            let refusal = "ERR IDMP-MAXSIZE must be between 1 and 10000 entries";
            let number = Some(number).filter(|number| NAMES.contains(number));
            names = Some(number.ok_or(Error::text(refusal))? as usize);
        } else {
            return Err(Error::Syntax);
        }
    }
    if duration_s.is_none() && names.is_none() {
        return Err(Error::Syntax);
    }
    let duration_ms = duration_s.map(|seconds| seconds * 1000);
    let producers = stream.producers.get_or_insert_default();
    producers.configure(duration_ms, names);
    call.reply.ok();
    Ok(())
}
