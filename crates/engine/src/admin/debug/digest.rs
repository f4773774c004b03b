//! DEBUG DIGEST: signatures of values, which are the same on each server of the family.
//!
//! What has an order is mixed into a digest one after the other; what has none is added to it by an
//! exclusive or, so that no order changes it.

use sha1_smol::Sha1;

use crate::command::Call;
use crate::error::Result;
use crate::keyspace::DATABASES;
use crate::keyspace::entry::{Collection, Entry, Str};
use crate::keyspace::table::Keyed;
use crate::scripting::number::text_g;
use crate::types::hash::{FieldMap, Hash, TimedHash};
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;
use crate::types::stream::{Id, Stream};

#[derive(Clone, Copy, Default)]
struct Digest([u8; 20]);

impl Digest {
    /// Adds bytes whose place does not matter.
    fn add(&mut self, bytes: &[u8]) {
        let added = Sha1::from(bytes).digest().bytes();
        for (byte, added) in self.0.iter_mut().zip(added) {
            *byte ^= added;
        }
    }

    /// Adds bytes behind all that have been added.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::from(self.0).digest().bytes();
    }

    fn text(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

pub(super) fn digest(call: &mut Call<'_, '_>) -> Result<()> {
    let mut all = Digest::default();
    let selected = call.keyspace.db();
    for db in 0..DATABASES {
        if call.engine.keys(db) == 0 {
            continue;
        }
        all.mix(&(db as u32).to_be_bytes());
        call.keyspace.select(db);
        call.keyspace.each_entry(&mut |entry| {
            let mut digest = Digest::default();
            digest.mix(entry.key());
            add_value(entry, &mut digest);
            all.add(&digest.0);
        })?;
    }
    call.keyspace.select(selected);
    call.reply.status(&all.text());
    Ok(())
}

pub(super) fn digest_value(call: &mut Call<'_, '_>) -> Result<()> {
    let keys = call.args.rest();
    call.reply.array(keys.len());
    for key in keys {
        let mut digest = Digest::default();
        if let Some(entry) = call.keyspace.entry(key) {
            add_value(entry, &mut digest);
        }
        call.reply.status(&digest.text());
    }
    Ok(())
}

/// What Redis calls the types, as numbers.
const TYPES: &[&str] = &["string", "list", "set", "zset", "hash", "module", "stream"];

fn add_value(entry: &Entry, digest: &mut Digest) {
    let name = entry.kind().type_name();
    let number = TYPES.iter().position(|other| *other == name).unwrap_or(0);
    digest.mix(&(number as u32).to_be_bytes());
    if let Some(string) = entry.str() {
        string.with_bytes(|bytes| digest.mix(bytes));
    } else if entry.object::<List>().is_some() {
        let elements = entry.collection().and_then(Collection::elements);
        elements
            .unwrap_or_default()
            .iter()
            .for_each(|element| digest.mix(element));
    } else if let Some(set) = entry.object::<Set>() {
        set.iter()
            .for_each(|member| member.with_bytes(|member| digest.add(member)));
    } else if let Some(set) = entry.object::<SortedSet>() {
        for (member, score) in set.iter() {
            let score = text_g(score.get(), 17);
            digest.add(&pair(member, Str::Bytes(score.as_bytes())));
        }
    } else if let Some(hash) = entry.object::<Hash>() {
        add_fields(hash, digest);
    } else if let Some(hash) = entry.object::<TimedHash>() {
        add_fields(hash, digest);
    } else if let Some(stream) = entry.object::<Stream>() {
        for entry in stream.log.range(Id::MIN, Id::MAX) {
            digest.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            for (name, value) in entry.fields {
                digest.mix(name);
                digest.mix(value);
            }
        }
    }
    if entry.expires_at().is_some() {
        digest.add(b"!!expire!!");
    }
}

fn add_fields(hash: &impl FieldMap, digest: &mut Digest) {
    for (field, value) in hash.iter() {
        digest.add(&pair(field, value));
        if field
            .with_bytes(|field| hash.deadline(field))
            .flatten()
            .is_some()
        {
            digest.add(b"!!hexpire!!");
        }
    }
}

/// The digest of two texts that belong together.
fn pair(one: Str<'_>, other: Str<'_>) -> [u8; 20] {
    let mut digest = Digest::default();
    one.with_bytes(|bytes| digest.mix(bytes));
    other.with_bytes(|bytes| digest.mix(bytes));
    digest.0
}
