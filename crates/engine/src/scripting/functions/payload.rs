//! Libraries as bytes: FUNCTION DUMP and FUNCTION RESTORE.

use std::sync::Arc;

use super::super::Purpose;
use super::Libraries;
use super::library::{FirstLine, Library};
use super::manage::read_library;
use crate::args::Args;
use crate::command::Call;
use crate::error::{Error, Result};
use crate::rdb::payload::Sums;
use crate::rdb::{Reader, Writer, file, payload};

/// What becomes of the libraries that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// They go.
    Flush,
    /// They stay, and none of the same name comes.
    Append,
    /// Those go whose names come.
    Replace,
}

impl Policy {
    pub(super) fn read(args: &mut Args<'_>) -> Result<Policy> {
        match () {
            () if args.is_empty() || args.option("APPEND") => Ok(Policy::Append),
            () if args.option("REPLACE") => Ok(Policy::Replace),
            () if args.option("FLUSH") => Ok(Policy::Flush),
            () => Err(Error::text(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            )),
        }
    }
}

/// The payload that these libraries make.
pub(super) fn write(libraries: &[Arc<Library>]) -> Vec<u8> {
    let mut writer = Writer::default();
    for library in libraries {
        file::write_library(library.text(), &mut writer);
    }
    payload::seal(writer.into_bytes())
}

/// Adds the libraries of a payload to those that are there, or none of them.
pub(super) fn restore(call: &mut Call<'_, '_>, payload: &[u8], policy: Policy) -> Result<()> {
    let wrong = |_| Error::text("ERR DUMP payload version or checksum are wrong");
    let body = payload::open(payload, Sums::of(&call.engine.config)).map_err(wrong)?;
    let restored = read(call, body)?;
    let mut libraries = call.engine.scripts.functions.libraries.write();
    let mut names = restored.by_name.keys();
    let taken = names.find(|name| libraries.by_name.contains_key(*name));
    if let (Policy::Append, Some(name)) = (policy, taken) {
        return Err(Error::text(format!("ERR Library {name} already exists")));
    }
    match policy {
        Policy::Flush => *libraries = restored,
        _ => _ = libraries.add(restored.by_name.into_values().collect())?,
    }
    drop(libraries);
    call.engine.scripts.forget_machines(Purpose::Functions);
    call.engine.saving.note_change();
    Ok(())
}

/// The libraries of a body.
fn read(call: &mut Call<'_, '_>, body: &[u8]) -> Result<Libraries> {
    let mut reader = Reader::new(body);
    let mut libraries = Libraries::default();
    while !reader.is_empty() {
        match reader.byte() {
            Ok(file::FUNCTION) => {}
            Ok(file::FUNCTION_OF_PREVIEW) => {
                return Err(Error::text("ERR Pre-GA function format not supported"));
            }
            Ok(_) => return Err(Error::text("ERR given type is not a function")),
            Err(_) => return Err(Error::text("ERR can not read data type")),
        }
        let broken = |_| Error::text("ERR Failed loading library payload");
        let text = reader.string().map_err(broken)?;
        let first = FirstLine::read(&text)?;
        if libraries.by_name.contains_key(&*first.name) {
            let text = format!("ERR Library '{}' already exists", first.name);
            return Err(Error::text(text));
        }
        libraries.add(vec![Arc::new(read_library(call, &text, first)?)])?;
    }
    Ok(libraries)
}
