//! Streams: nodes of entries, counters, groups.
//!
//! ```text
//! stream: | count of nodes | node | ... | length | last id |
//!         | first id | greatest removed id | entries ever added |         since version 7.0
//!         | count of groups | group | ... |
//! node:   | id | listpack |
//! group:  | name | last id | entries read | pending | ... | consumers | ... |
//! ```
//!
//! A listpack begins with its master entry: how many entries there are and were removed, and the
//! names that most of them have. Ids are differences from the node's. The last element of each entry
//! says how many the entry has:
//!
//! ```text
//! master: | count | removed | names | name | ... | 0 |
//! entry:  | flags | ms | seq | value | ... | elements |                   with the master's names
//!         | flags | ms | seq | fields | name | value | ... | elements |   with its own
//! ```

use std::collections::HashSet;

use super::super::packed::Listpack;
use super::super::{Malformed, Reader, Writer};
use super::{STREAM_LISTPACKS, STREAM_LISTPACKS_3};
use crate::keyspace::entry::Str;
use crate::types::Limits;
use crate::types::listpack::{Gapped, ListpackMut, Room};
use crate::types::stream::{Entry, Group, Id, Log, Stream};

/// An entry has been removed, and has the names of the master entry.
const REMOVED: i64 = 1;
const SAME_NAMES: i64 = 2;

/// How many entries a node is written with, and after how many bytes no more are added.
const NODE_ENTRIES: usize = 100;
const NODE_BYTES: usize = 4096;

/// How long an id is in binary, and the least that a node, a pending entry or a consumer takes.
const ID_LEN: usize = 16;

// --- writing ---------------------------------------------------------------------------------

pub(super) fn write(stream: &Stream, writer: &mut Writer) {
    let log = &stream.log;
    let nodes = nodes_of(log);
    writer.length(nodes.len() as u64);
    for (id, node) in nodes {
        writer.string(&id.to_bytes());
        writer.string(node.bytes());
    }
    writer.length(log.len());
    write_id(log.last_id(), writer);
    write_id(log.first_id(), writer);
    write_id(log.max_removed_id(), writer);
    writer.length(log.entries_added());
    writer.length(stream.groups.len() as u64);
    for (name, group) in &stream.groups {
        writer.string(name);
        write_group(group, writer);
    }
}

fn write_id(id: Id, writer: &mut Writer) {
    writer.length(id.ms);
    writer.length(id.seq);
}

/// The entries in nodes, each with the id of its first one.
fn nodes_of(log: &Log) -> Vec<(Id, Gapped)> {
    let mut entries = log.range(Id::MIN, Id::MAX).peekable();
    let mut nodes = Vec::new();
    while let Some(first) = entries.peek() {
        let id = first.id;
        let names: Vec<&[u8]> = first.fields.clone().map(|(name, _)| name).collect();
        let (mut body, mut count) = (Gapped::default(), 0);
        while count < NODE_ENTRIES && body.bytes().len() < NODE_BYTES {
            let Some(entry) = entries.next() else { break };
            write_entry(id, &names, &entry, &mut body);
            count += 1;
        }
        let mut node = Gapped::default();
        write_master(count, &names, &mut node);
        ListpackMut::new(&mut node).append(crate::types::listpack::Listpack::new(body.bytes()));
        nodes.push((id, node));
    }
    nodes
}

fn write_master(count: usize, names: &[&[u8]], node: &mut Gapped) {
    let mut listpack = ListpackMut::new(node);
    listpack.push([
        Str::Int(count as i64),
        Str::Int(0),
        Str::Int(names.len() as i64),
    ]);
    for name in names {
        listpack.push([Str::Bytes(name)]);
    }
    listpack.push([Str::Int(0)]);
}

fn write_entry(base: Id, names: &[&[u8]], entry: &Entry<'_>, body: &mut Gapped) {
    let mut listpack = ListpackMut::new(body);
    let fields = entry.fields.clone();
    let has_names = fields.len() == names.len()
        && fields
            .clone()
            .zip(names)
            .all(|((name, _), other)| name == *other);
    let flags = if has_names { SAME_NAMES } else { 0 };
    let ms = entry.id.ms.wrapping_sub(base.ms).cast_signed();
    let seq = entry.id.seq.wrapping_sub(base.seq).cast_signed();
    listpack.push([Str::Int(flags), Str::Int(ms), Str::Int(seq)]);
    let count = fields.len() as i64;
    let mut elements = 3 + count;
    if !has_names {
        listpack.push([Str::Int(count)]);
        elements += 1 + count;
    }
    for (name, value) in fields {
        if !has_names {
            listpack.push([Str::Bytes(name)]);
        }
        listpack.push([Str::Bytes(value)]);
    }
    listpack.push([Str::Int(elements)]);
}

fn write_group(group: &Group, writer: &mut Writer) {
    write_id(group.last_delivered_id(), writer);
    // Where it is not known, -1 stands for it.
    writer.length(group.entries_read().unwrap_or(u64::MAX));
    writer.length(group.pending_len() as u64);
    for (id, pending) in group.pending_range(Id::MIN, Id::MAX) {
        writer.raw(&id.to_bytes());
        // What was given back has been delivered to nobody, ever.
        let delivered_at_ms = pending.delivered_at_ms().unwrap_or(0);
        writer.time_ms(delivered_at_ms.cast_signed());
        writer.length(pending.deliveries);
    }
    writer.length(group.consumers().len() as u64);
    for (name, consumer) in group.consumers() {
        writer.string(name);
        writer.time_ms(consumer.seen_ms().cast_signed());
        writer.length(consumer.pending_len() as u64);
        for (id, _) in group.pending_range_of(consumer, Id::MIN, Id::MAX) {
            writer.raw(&id.to_bytes());
        }
    }
}

// --- reading ---------------------------------------------------------------------------------

pub(super) fn read(
    form: u8,
    reader: &mut Reader<'_>,
    limits: &Limits,
) -> Result<Stream, Malformed> {
    let mut stream = Stream::default();
    let log = &mut stream.log;
    for _ in 0..reader.count(ID_LEN)? {
        let id = id_of(&reader.string()?)?;
        read_node(id, &reader.string()?, log, limits)?;
    }
    if reader.length()? != log.len() {
        return Err(Malformed);
    }
    let last_id = read_id(reader)?;
    if last_id < log.last_id() {
        return Err(Malformed);
    }
    let (mut entries_added, mut max_removed_id) = (log.len(), Id::MIN);
    if form != STREAM_LISTPACKS {
        // The first id is that of the first entry.
        read_id(reader)?;
        max_removed_id = read_id(reader)?;
        entries_added = reader.length()?;
    }
    if max_removed_id > last_id || entries_added < log.len() {
        return Err(Malformed);
    }
    log.set_counters(last_id, Some(entries_added), Some(max_removed_id));
    for _ in 0..reader.count(1)? {
        let name = reader.string()?.into_owned().into_boxed_slice();
        let group = read_group(form, reader, &stream.log)?;
        if stream.groups.insert(name, group).is_some() {
            return Err(Malformed);
        }
    }
    Ok(stream)
}

fn read_id(reader: &mut Reader<'_>) -> Result<Id, Malformed> {
    Ok(Id {
        ms: reader.length()?,
        seq: reader.length()?,
    })
}

fn id_of(bytes: &[u8]) -> Result<Id, Malformed> {
    let bytes = bytes.try_into().map_err(|_| Malformed)?;
    Ok(Id::from_bytes(bytes))
}

/// Adds the entries of a node to a log.
fn read_node(base: Id, bytes: &[u8], log: &mut Log, limits: &Limits) -> Result<(), Malformed> {
    let mut elements = Listpack::new(bytes);
    let (count, removed) = (elements.expect_int()?, elements.expect_int()?);
    let names = Names::read(&mut elements)?;
    let (mut counted, mut counted_removed) = (0, 0);
    while let Some(flags) = elements.next() {
        let Str::Int(flags) = flags? else {
            return Err(Malformed);
        };
        let (id, fields) = read_entry(base, flags, &names, &mut elements)?;
        if flags & REMOVED != 0 {
            counted_removed += 1;
            continue;
        }
        counted += 1;
        if id <= log.last_id() {
            return Err(Malformed);
        }
        log.append(id, fields.iter().map(Vec::as_slice), limits);
    }
    match (counted, counted_removed) == (count, removed) && counted + counted_removed > 0 {
        true => Ok(()),
        false => Err(Malformed),
    }
}

/// The names of a master entry.
struct Names<'a>(Vec<Str<'a>>);

impl<'a> Names<'a> {
    fn read(elements: &mut Listpack<'a>) -> Result<Names<'a>, Malformed> {
        let count = elements.expect_int()?;
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(elements.expect()?);
        }
        match count > 0 && elements.expect_int()? == 0 {
            true => Ok(Names(names)),
            false => Err(Malformed),
        }
    }
}

/// The id of an entry, and its names and values in turn.
fn read_entry(
    base: Id,
    flags: i64,
    names: &Names<'_>,
    elements: &mut Listpack<'_>,
) -> Result<(Id, Vec<Vec<u8>>), Malformed> {
    let (ms, seq) = (elements.expect_int()?, elements.expect_int()?);
    let id = Id {
        ms: base.ms.wrapping_add_signed(ms),
        seq: base.seq.wrapping_add_signed(seq),
    };
    let mut fields = Vec::new();
    let count;
    if flags & SAME_NAMES != 0 {
        count = 3 + names.0.len() as i64;
        for name in &names.0 {
            fields.push(name.to_vec());
            fields.push(elements.expect()?.to_vec());
        }
    } else {
        let pairs = elements.expect_int()?;
        for _ in 0..pairs {
            fields.push(elements.expect()?.to_vec());
            fields.push(elements.expect()?.to_vec());
        }
        count = 4 + fields.len() as i64;
    }
    let is_known = flags & !(REMOVED | SAME_NAMES) == 0;
    match is_known && !fields.is_empty() && elements.expect_int()? == count {
        true => Ok((id, fields)),
        false => Err(Malformed),
    }
}

fn read_group(form: u8, reader: &mut Reader<'_>, log: &Log) -> Result<Group, Malformed> {
    let last_id = read_id(reader)?;
    let entries_read = match form {
        STREAM_LISTPACKS => log.entries_until(last_id),
        _ => Some(reader.length()?).filter(|read| *read != u64::MAX),
    };
    let mut group = Group::new(last_id, entries_read);
    let mut pending = std::collections::BTreeMap::new();
    for _ in 0..reader.count(ID_LEN)? {
        let id = id_of(reader.raw(ID_LEN)?)?;
        let delivered_at_ms = reader.time_ms()?.max(0).cast_unsigned();
        if pending
            .insert(id, (delivered_at_ms, reader.length()?))
            .is_some()
        {
            return Err(Malformed);
        }
    }
    let mut names = HashSet::new();
    for _ in 0..reader.count(1)? {
        let name = reader.string()?.into_owned();
        let seen_ms = reader.time_ms()?.max(0).cast_unsigned();
        // -1 stands for never.
        let active_ms = match form {
            STREAM_LISTPACKS_3 => u64::try_from(reader.time_ms()?).ok(),
            _ => Some(seen_ms),
        };
        if !names.insert(name.clone()) {
            return Err(Malformed);
        }
        group.add_consumer(&name, seen_ms);
        if let Some(active_ms) = active_ms {
            group.activate(&name, active_ms);
        }
        for _ in 0..reader.count(ID_LEN)? {
            let id = id_of(reader.raw(ID_LEN)?)?;
            // Each is pending for one consumer.
            let (delivered_at_ms, deliveries) = pending.remove(&id).ok_or(Malformed)?;
            group.assign(id, &name, delivered_at_ms, deliveries);
        }
    }
    match pending.is_empty() {
        true => Ok(group),
        false => Err(Malformed),
    }
}
