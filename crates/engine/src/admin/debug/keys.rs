//! DEBUG: keys and how their values are held.

use std::fmt::Write as _;

use crate::command::Call;
use crate::error::{Error, Result};
use crate::keyspace::entry::{Entry, Object};
use crate::keyspace::table::Keyed;
use crate::keyspace::{DATABASES, Expiry};
use crate::rdb::{Reader, Writer, value};
use crate::types::list::List;

/// The value of an entry as it would be written.
fn written(entry: &Entry) -> Vec<u8> {
    let mut writer = Writer::default();
    value::write(entry, &mut writer);
    writer.into_bytes()
}

pub(super) fn object(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.args.key()?;
    let list_size = call.keyspace.limits().list_max_listpack_size.get();
    let idle_s = call.keyspace.idle_s(key).unwrap_or(0);
    // To look at a key through DEBUG is no use of it: one that has expired stays.
    let _ = call.keyspace.has_met_expired();
    let entry = call.keyspace.stored(key).ok_or(Error::NoSuchKey)?;
    let mut text = format!(
        "Value at:{:p} refcount:{} encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{idle_s}",
        entry,
        entry.refcount(),
        entry.encoding(),
        // Without the byte that says the form.
        written(entry).len() - 1,
        entry.clock() & 0x00ff_ffff,
    );
    if let Some(list) = entry
        .object::<List>()
        .filter(|list| list.encoding() == "quicklist")
    {
        let nodes = list.listpacks();
        let count = nodes.len();
        let average = list.len() as f64 / count as f64;
        let bytes: usize = nodes.map(|node| node.bytes().len()).sum();
        let _ = write!(
            text,
            " ql_nodes:{count} ql_avg_node:{average:.2} ql_listpack_max:{list_size} \
             ql_compressed:0 ql_uncompressed_size:{bytes}",
        );
    }
    call.reply.status(&text);
    Ok(())
}

pub(super) fn listpack(call: &mut Call<'_, '_>) -> Result<()> {
    let entry = call.keyspace.entry(call.args.key()?);
    match entry.ok_or(Error::NoSuchKey)?.encoding() {
        "listpack" => call.reply.status("Listpack structure printed on stdout"),
        _ => return Err(Error::text("ERR Not a listpack encoded object.")),
    }
    Ok(())
}

pub(super) fn populate(call: &mut Call<'_, '_>) -> Result<()> {
    let count = call.args.natural()?;
    let prefix = call.args.next().unwrap_or(b"key");
    let size = match call.args.is_empty() {
        true => 0,
        false => call.args.natural()?,
    };
    if size > call.engine.config.bulk_len_max() {
        return Err(Error::StringTooLong);
    }
    for number in 0..count {
        let number = number.to_string();
        let key = [prefix, b":", number.as_bytes()].concat();
        if call.keyspace.exists(&key) {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if size > 0 {
            value.resize(size as usize, 0);
        }
        call.keyspace.put_string(&key, &value, Expiry::Clear);
    }
    call.reply.ok();
    Ok(())
}

pub(super) fn reload(call: &mut Call<'_, '_>) -> Result<()> {
    let (mut merges, mut flushes) = (false, true);
    while !call.args.is_empty() {
        match () {
            () if call.args.option("MERGE") => merges = true,
            () if call.args.option("NOFLUSH") => flushes = false,
            // There is nothing else that could be loaded.
            () if call.args.option("NOSAVE") => return Err(nothing_loaded()),
            () => {
                return Err(Error::text(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    let has_any = (0..DATABASES).any(|db| call.engine.keys(db) > 0);
    let has_any = has_any || call.engine.scripts.count_functions().0 > 0;
    if !flushes && !merges && has_any {
        return Err(nothing_loaded());
    }
    let selected = call.keyspace.db();
    for db in 0..DATABASES {
        call.keyspace.select(db);
        reload_selected(call)?;
    }
    call.keyspace.select(selected);
    call.reply.ok();
    Ok(())
}

fn nothing_loaded() -> Error {
    Error::text("ERR Error trying to load the RDB dump, check server logs.")
}

/// Writes all values of the selected database, and reads them again.
fn reload_selected(call: &mut Call<'_, '_>) -> Result<()> {
    let limits = call.keyspace.limits();
    let mut keys: Vec<Vec<u8>> = Vec::new();
    call.keyspace
        .each_entry(&mut |entry| keys.push(entry.key().to_vec()))?;
    for key in keys {
        let Some(entry) = call.keyspace.entry(&key) else {
            continue;
        };
        let read = value::read(&mut Reader::new(&written(entry)), limits);
        let mut again = read.map_err(|_| nothing_loaded())?.into_entry(&key);
        again.set_expiry(entry.expires_at());
        call.keyspace.put_entry(again);
    }
    Ok(())
}
