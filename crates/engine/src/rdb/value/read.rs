//! Reading values.

use super::super::packed::{Element, Listpack, Ziplist, Zipmap, read_integers};
use super::super::{Malformed, Reader};
use super::*;
use crate::float::parse_float;
use crate::keyspace::entry::Str;
use crate::types::Limits;
use crate::types::hash::{FieldMap, TimedHash, Written};
use crate::types::list::Side;
use crate::types::sorted_set::{Inserted, Score};

/// Reads a value: the byte that says its form, and all that follows.
///
/// # Errors
///
/// If there is no such form, something in it is not as it should be, a collection is empty, or
/// something follows.
pub(crate) fn read(reader: &mut Reader<'_>, limits: &Limits) -> Result<Value, Malformed> {
    let form = reader.byte()?;
    let value = read_form(form, reader, limits)?;
    match reader.is_empty() && !value.is_empty() {
        true => Ok(value),
        false => Err(Malformed),
    }
}

/// Reads a value of this form, which may be empty, and behind which something may follow.
///
/// # Errors
///
/// If there is no such form, or something in it is not as it should be.
pub(crate) fn read_form(
    form: u8,
    reader: &mut Reader<'_>,
    limits: &Limits,
) -> Result<Value, Malformed> {
    Ok(match form {
        STRING => Value::String(reader.string()?.into_owned()),
        LIST | LIST_ZIPLIST | LIST_QUICKLIST | LIST_QUICKLIST_2 => {
            Value::List(read_list(form, reader, limits)?)
        }
        SET | SET_INTSET | SET_LISTPACK => Value::Set(read_set(form, reader, limits)?),
        HASH | HASH_ZIPMAP | HASH_ZIPLIST | HASH_LISTPACK => {
            Value::Hash(read_hash(form, reader, limits)?)
        }
        HASH_2 | HASH_METADATA | HASH_LISTPACK_EX => {
            Value::TimedHash(read_timed_hash(form, reader, limits)?)
        }
        ZSET | ZSET_2 | ZSET_ZIPLIST | ZSET_LISTPACK => {
            Value::SortedSet(read_sorted_set(form, reader, limits)?)
        }
        STREAM_LISTPACKS | STREAM_LISTPACKS_2 | STREAM_LISTPACKS_3 => {
            Value::Stream(Box::new(stream::read(form, reader, limits)?))
        }
        _ => return Err(Malformed),
    })
}

fn read_list(form: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<List, Malformed> {
    let mut list = List::default();
    let mut push = |element: &[u8]| list.push(Side::Right, element, limits);
    match form {
        LIST => {
            for _ in 0..reader.count(1)? {
                push(&reader.string()?);
            }
        }
        LIST_ZIPLIST => each(Ziplist::new(&reader.string()?), push)?,
        LIST_QUICKLIST => {
            for _ in 0..reader.count(1)? {
                each(Ziplist::new(&reader.string()?), &mut push)?;
            }
        }
        _ => {
            for _ in 0..reader.count(1)? {
                match reader.length()? {
                    NODE_PLAIN => push(&reader.string()?),
                    NODE_PACKED => each(Listpack::new(&reader.string()?), &mut push)?,
                    _ => return Err(Malformed),
                }
            }
        }
    }
    Ok(list)
}

fn read_set(form: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<Set, Malformed> {
    let mut set = Set::default();
    let mut add = |member: &[u8]| match set.insert(member, limits) {
        true => Ok(()),
        false => Err(Malformed),
    };
    match form {
        SET => {
            for _ in 0..reader.count(1)? {
                add(&reader.string()?)?;
            }
        }
        SET_INTSET => {
            for number in read_integers(&reader.string()?)? {
                Str::Int(number).with_bytes(&mut add)?;
            }
        }
        _ => {
            for member in Listpack::new(&reader.string()?) {
                member?.with_bytes(&mut add)?;
            }
        }
    }
    Ok(set)
}

fn read_hash(form: u8, reader: &mut Reader<'_>, limits: &Limits) -> Result<Hash, Malformed> {
    let mut hash = Hash::default();
    let mut add = |field: &[u8], value: &[u8]| match hash.set(field, value, limits) {
        Written::Added => Ok(()),
        Written::Updated => Err(Malformed),
    };
    match form {
        HASH => {
            for _ in 0..reader.count(2)? {
                let (field, value) = (reader.string()?, reader.string()?);
                add(&field, &value)?;
            }
        }
        HASH_ZIPMAP => {
            for pair in Zipmap::new(&reader.string()?) {
                let (field, value) = pair?;
                add(field, value)?;
            }
        }
        _ => each_pair(form == HASH_ZIPLIST, &reader.string()?, |field, value| {
            field.with_bytes(|field| value.with_bytes(|value| add(field, value)))
        })?,
    }
    Ok(hash)
}

/// The time behind which none may lie, as in Redis: 2^48 - 2 milliseconds.
const DEADLINE_MAX: u64 = (1 << 48) - 2;

fn read_timed_hash(
    form: u8,
    reader: &mut Reader<'_>,
    limits: &Limits,
) -> Result<TimedHash, Malformed> {
    let mut hash = TimedHash::default();
    let mut add = |field: &[u8], value: &[u8], at_ms: Option<u64>| {
        let is_new = hash.set(field, value, limits) == Written::Added;
        let may_be = at_ms.is_none_or(|at_ms| at_ms <= DEADLINE_MAX);
        hash.set_deadline(field, at_ms, limits);
        (is_new && may_be).then_some(()).ok_or(Malformed)
    };
    if form == HASH_2 {
        for _ in 0..reader.count(10)? {
            let (field, value) = (reader.string()?, reader.string()?);
            let at_ms = match reader.time_ms()? {
                -1 => None,
                at_ms => Some(u64::try_from(at_ms).map_err(|_| Malformed)?),
            };
            add(&field, &value, at_ms)?;
        }
        return Ok(hash);
    }
    let first_ms = reader.time_ms()?.cast_unsigned();
    if form == HASH_METADATA {
        for _ in 0..reader.count(3)? {
            let behind = reader.length()?;
            let (field, value) = (reader.string()?, reader.string()?);
            // It is one more than it lies behind the first; 0 is none.
            let at_ms = behind.checked_sub(1).map(|ms| first_ms.saturating_add(ms));
            add(&field, &value, at_ms)?;
        }
        return Ok(hash);
    }
    let packed = reader.string()?;
    let mut elements = Listpack::new(&packed);
    while let Some(field) = elements.next() {
        let (field, value) = (field?, elements.expect()?);
        let at_ms = u64::try_from(elements.expect_int()?).map_err(|_| Malformed)?;
        let at_ms = (at_ms > 0).then_some(at_ms);
        field.with_bytes(|field| value.with_bytes(|value| add(field, value, at_ms)))?;
    }
    Ok(hash)
}

fn read_sorted_set(
    form: u8,
    reader: &mut Reader<'_>,
    limits: &Limits,
) -> Result<SortedSet, Malformed> {
    let mut set = SortedSet::default();
    let mut add = |member: &[u8], score: f64| {
        let score = Score::new(score).ok_or(Malformed)?;
        match set.insert(member, score, limits) {
            Inserted::Added => Ok(()),
            Inserted::Moved | Inserted::Unchanged => Err(Malformed),
        }
    };
    match form {
        ZSET | ZSET_2 => {
            for _ in 0..reader.count(2)? {
                let member = reader.string()?;
                let score = match form {
                    ZSET => read_score_text(reader)?,
                    _ => reader.double()?,
                };
                add(&member, score)?;
            }
        }
        _ => each_pair(form == ZSET_ZIPLIST, &reader.string()?, |member, score| {
            let score = match score {
                Str::Int(number) => number as f64,
                Str::Bytes(text) => parse_float(text).ok_or(Malformed)?,
            };
            member.with_bytes(|member| add(member, score))
        })?,
    }
    Ok(set)
}

/// A score as it was written until Redis 3.2: its text behind a length, or one of three lengths that
/// stand for what has no digits.
fn read_score_text(reader: &mut Reader<'_>) -> Result<f64, Malformed> {
    match reader.byte()? {
        255 => Ok(f64::NEG_INFINITY),
        254 => Ok(f64::INFINITY),
        253 => Err(Malformed),
        len => parse_float(reader.raw(len.into())?).ok_or(Malformed),
    }
}

/// Visits each element.
fn each<'a>(
    elements: impl Iterator<Item = Element<'a>>,
    mut visit: impl FnMut(&[u8]),
) -> Result<(), Malformed> {
    for element in elements {
        element?.with_bytes(&mut visit);
    }
    Ok(())
}

/// Visits the elements of a ziplist or a listpack two by two.
fn each_pair(
    is_ziplist: bool,
    bytes: &[u8],
    mut visit: impl FnMut(Str<'_>, Str<'_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let (ziplist, listpack) = match is_ziplist {
        true => (Some(Ziplist::new(bytes)), None),
        false => (None, Some(Listpack::new(bytes))),
    };
    let mut elements = ziplist
        .into_iter()
        .flatten()
        .chain(listpack.into_iter().flatten());
    while let Some(first) = elements.next() {
        let second = elements.next().unwrap_or(Err(Malformed));
        visit(first?, second?)?;
    }
    Ok(())
}
