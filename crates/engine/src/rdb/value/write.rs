//! Writing values.

use super::super::{Writer, packed};
use super::{
    HASH, HASH_LISTPACK, HASH_METADATA, LIST_QUICKLIST_2, NODE_PACKED, SET, SET_INTSET,
    STREAM_LISTPACKS_2, STRING, ZSET_2, ZSET_LISTPACK, stream,
};
use crate::keyspace::entry::{Entry, Held, Kind, Object, Str};
use crate::keyspace::table::Keyed as _;
use crate::types::hash::{FieldMap, Hash, TimedHash};
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;
use crate::types::stream::Stream;

/// Writes the value of an entry, behind the byte that says its form.
pub(crate) fn write(entry: &Entry, writer: &mut Writer) {
    write_behind(None, entry, writer);
}

/// Writes a key and the value of its entry, as they stand in a file: the key behind the byte that says the
/// value's form.
pub(crate) fn write_with_key(entry: &Entry, writer: &mut Writer) {
    write_behind(Some(entry.key()), entry, writer);
}

/// What stands behind the byte that says the form, before the value.
type Key<'a> = Option<&'a [u8]>;

fn begin(form: u8, key: Key<'_>, writer: &mut Writer) {
    writer.byte(form);
    if let Some(key) = key {
        writer.string(key);
    }
}

fn write_behind(key: Key<'_>, entry: &Entry, writer: &mut Writer) {
    match entry.kind() {
        Kind::Inline | Kind::Edited | Kind::Int | Kind::Raw => {
            begin(STRING, key, writer);
            write_string(entry.str().unwrap_or(Str::Bytes(b"")), writer);
        }
        Kind::List => with(entry, key, writer, write_list),
        Kind::Set => with(entry, key, writer, write_set),
        Kind::Hash => with(entry, key, writer, write_hash),
        Kind::TimedHash => with(entry, key, writer, write_timed_hash),
        Kind::SortedSet => with(entry, key, writer, write_sorted_set),
        Kind::Stream => with(entry, key, writer, |stream: &Stream, key, writer| {
            begin(STREAM_LISTPACKS_2, key, writer);
            stream::write(stream, writer);
        }),
    }
}

fn with<T: Object>(
    entry: &Entry,
    key: Key<'_>,
    writer: &mut Writer,
    write: impl FnOnce(&T, Key<'_>, &mut Writer),
) {
    if let Some(object) = entry.object::<T>() {
        write(object, key, writer);
    }
}

fn write_string(string: Str<'_>, writer: &mut Writer) {
    match string {
        Str::Int(number) => writer.int(number),
        Str::Bytes(bytes) => writer.string(bytes),
    }
}

fn write_list(list: &List, key: Key<'_>, writer: &mut Writer) {
    let nodes = list.listpacks();
    begin(LIST_QUICKLIST_2, key, writer);
    writer.length(nodes.len() as u64);
    for node in nodes {
        writer.length(NODE_PACKED);
        writer.string(node.bytes());
    }
}

fn write_set(set: &Set, key: Key<'_>, writer: &mut Writer) {
    if set.encoding() == "intset" {
        let integers = set.iter().filter_map(|member| match member {
            Str::Int(number) => Some(number),
            Str::Bytes(_) => None,
        });
        begin(SET_INTSET, key, writer);
        writer.string(&packed::write_integers(&integers.collect::<Vec<_>>()));
        return;
    }
    begin(SET, key, writer);
    writer.length(set.len() as u64);
    set.iter().for_each(|member| write_string(member, writer));
}

fn write_hash(hash: &Hash, key: Key<'_>, writer: &mut Writer) {
    if let Held::Packed(packed) = hash.held() {
        begin(HASH_LISTPACK, key, writer);
        return writer.string(packed.bytes());
    }
    begin(HASH, key, writer);
    write_fields(hash, writer, |_, _| {});
}

/// Where a field may expire, in a form that Redis knows since 7.4: each time stands behind the first.
fn write_timed_hash(hash: &TimedHash, key: Key<'_>, writer: &mut Writer) {
    let deadline = |field: Str<'_>| field.with_bytes(|field| hash.deadline(field)).flatten();
    let Some(first) = hash.iter().filter_map(|(field, _)| deadline(field)).min() else {
        begin(HASH, key, writer);
        return write_fields(hash, writer, |_, _| {});
    };
    begin(HASH_METADATA, key, writer);
    writer.time_ms(first.cast_signed());
    write_fields(hash, writer, |field, writer| {
        writer.length(deadline(field).map_or(0, |at_ms| at_ms - first + 1));
    });
}

fn write_fields(hash: &impl FieldMap, writer: &mut Writer, before: impl Fn(Str<'_>, &mut Writer)) {
    writer.length(hash.count() as u64);
    for (field, value) in hash.iter() {
        before(field, writer);
        write_string(field, writer);
        write_string(value, writer);
    }
}

fn write_sorted_set(set: &SortedSet, key: Key<'_>, writer: &mut Writer) {
    if let Held::Packed(packed) = set.held() {
        begin(ZSET_LISTPACK, key, writer);
        return writer.string(packed.bytes());
    }
    begin(ZSET_2, key, writer);
    writer.length(set.len() as u64);
    // As in Redis, which adds each before those that it has.
    for (member, score) in set.iter().rev() {
        write_string(member, writer);
        writer.double(score.get());
    }
}
