//! Writing values.

use super::super::{Writer, packed};
use super::{
    HASH, HASH_LISTPACK, HASH_METADATA, LIST_QUICKLIST_2, NODE_PACKED, SET, SET_INTSET,
    STREAM_LISTPACKS_2, STRING, ZSET_2, ZSET_LISTPACK, stream,
};
use crate::keyspace::entry::{Entry, Held, Kind, Object, Str};
use crate::types::hash::{FieldMap, Hash, TimedHash};
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;
use crate::types::stream::Stream;

/// Writes the value of an entry, behind the byte that says its form.
pub(crate) fn write(entry: &Entry, writer: &mut Writer) {
    match entry.kind() {
        Kind::Inline | Kind::Edited | Kind::Int | Kind::Raw => {
            writer.byte(STRING);
            write_string(entry.str().unwrap_or(Str::Bytes(b"")), writer);
        }
        Kind::List => with(entry, writer, write_list),
        Kind::Set => with(entry, writer, write_set),
        Kind::Hash => with(entry, writer, write_hash),
        Kind::TimedHash => with(entry, writer, write_timed_hash),
        Kind::SortedSet => with(entry, writer, write_sorted_set),
        Kind::Stream => with(entry, writer, |stream: &Stream, writer| {
            writer.byte(STREAM_LISTPACKS_2);
            stream::write(stream, writer);
        }),
    }
}

fn with<T: Object>(entry: &Entry, writer: &mut Writer, write: impl FnOnce(&T, &mut Writer)) {
    if let Some(object) = entry.object::<T>() {
        write(object, writer);
    }
}

fn write_string(string: Str<'_>, writer: &mut Writer) {
    match string {
        Str::Int(number) => writer.int(number),
        Str::Bytes(bytes) => writer.string(bytes),
    }
}

fn write_list(list: &List, writer: &mut Writer) {
    let nodes = list.listpacks();
    writer.byte(LIST_QUICKLIST_2);
    writer.length(nodes.len() as u64);
    for node in nodes {
        writer.length(NODE_PACKED);
        writer.string(node.bytes());
    }
}

fn write_set(set: &Set, writer: &mut Writer) {
    if set.encoding() == "intset" {
        let integers = set.iter().filter_map(|member| match member {
            Str::Int(number) => Some(number),
            Str::Bytes(_) => None,
        });
        writer.byte(SET_INTSET);
        writer.string(&packed::write_integers(&integers.collect::<Vec<_>>()));
        return;
    }
    writer.byte(SET);
    writer.length(set.len() as u64);
    set.iter().for_each(|member| write_string(member, writer));
}

fn write_hash(hash: &Hash, writer: &mut Writer) {
    if let Held::Packed(packed) = hash.held() {
        writer.byte(HASH_LISTPACK);
        return writer.string(packed.bytes());
    }
    writer.byte(HASH);
    write_fields(hash, writer, |_, _| {});
}

/// Where a field may expire, in a form that Redis knows since 7.4: each time stands behind the first.
fn write_timed_hash(hash: &TimedHash, writer: &mut Writer) {
    let deadline = |field: Str<'_>| field.with_bytes(|field| hash.deadline(field)).flatten();
    let Some(first) = hash.iter().filter_map(|(field, _)| deadline(field)).min() else {
        writer.byte(HASH);
        return write_fields(hash, writer, |_, _| {});
    };
    writer.byte(HASH_METADATA);
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

fn write_sorted_set(set: &SortedSet, writer: &mut Writer) {
    if let Held::Packed(packed) = set.held() {
        writer.byte(ZSET_LISTPACK);
        return writer.string(packed.bytes());
    }
    writer.byte(ZSET_2);
    writer.length(set.len() as u64);
    // As in Redis, which adds each before those that it has.
    for (member, score) in set.iter().rev() {
        write_string(member, writer);
        writer.double(score.get());
    }
}
