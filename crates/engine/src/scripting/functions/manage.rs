//! FUNCTION: what its subcommands do.

use std::sync::Arc;

use super::super::Purpose;
use super::super::work::Work;
use super::Registered;
use super::library::{FirstLine, Library};
use super::payload;
use crate::command::Call;
use crate::error::{Error, Result, shown};
use crate::pubsub::glob;
use crate::session::Session;

pub(in super::super) fn load(call: &mut Call<'_, '_>) -> Result<()> {
    let mut replaces = false;
    while call.args.len() > 1 {
        if !call.args.option("REPLACE") {
            let option = shown(call.args.bytes()?);
            return Err(Error::text(format!("ERR Unknown option given: {option}")));
        }
        replaces = true;
    }
    let missing = |_| Error::text("ERR Function code is missing");
    let text = call.args.bytes().map_err(missing)?;
    let first = FirstLine::read(text)?;
    let functions = &call.engine.scripts.functions;
    let name = first.name.clone();
    let exists = || Error::text(format!("ERR Library '{name}' already exists"));
    if !replaces && functions.has(&name) {
        return Err(exists());
    }
    let library = Arc::new(read_library(call, text, first)?);
    let mut libraries = functions.libraries.write();
    if !replaces && libraries.by_name.contains_key(&*name) {
        return Err(exists());
    }
    let has_replaced = libraries.add(vec![library])?;
    drop(libraries);
    if has_replaced {
        call.engine.scripts.forget_machines(Purpose::Functions);
    }
    call.engine.saving.note_change();
    call.engine.measure_beside();
    call.reply.bulk(name.as_bytes());
    Ok(())
}

/// Loads a library into a machine, to learn which functions it registers.
pub(super) fn read_library(
    call: &mut Call<'_, '_>,
    text: &[u8],
    first: FirstLine,
) -> Result<Library> {
    let scripts = &call.engine.scripts;
    let mut vm = scripts.take(Purpose::Functions)?;
    vm.limit_memory(call.engine.config.script_memory_max());
    let mut session = Session::in_script(call.session);
    let mut work = Work {
        engine: call.engine,
        session: &mut session,
        keyspace: call.keyspace,
        bounds: None,
        is_readonly: true,
        may_take_memory: true,
    };
    let loaded = vm.load(&text[first.len..], &mut work);
    let registered = loaded.inspect(|registered| vm.release(registered));
    scripts.give_back(vm);
    let infos = registered?.into_iter().map(|Registered { info, .. }| info);
    let infos: Vec<_> = infos.collect();
    if infos.is_empty() {
        return Err(Error::text("ERR No functions registered"));
    }
    Ok(Library::new(
        scripts.functions.fresh_number(),
        text,
        first,
        infos,
    ))
}

pub(in super::super) fn delete(call: &mut Call<'_, '_>) -> Result<()> {
    let name = larder_resp::text_of(call.args.bytes()?);
    let scripts = &call.engine.scripts;
    let was_there = scripts.functions.libraries.write().remove(&name);
    if !was_there {
        return Err(Error::text("ERR Library not found"));
    }
    scripts.forget_machines(Purpose::Functions);
    call.engine.saving.note_change();
    call.reply.ok();
    Ok(())
}

pub(in super::super) fn flush(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.len() > 1 {
        return Err(call.args.subcommand_syntax());
    }
    let has_option = !call.args.is_empty();
    if has_option && !call.args.option("ASYNC") && !call.args.option("SYNC") {
        return Err(Error::text(
            "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
        ));
    }
    let scripts = &call.engine.scripts;
    let gone = std::mem::take(&mut *scripts.functions.libraries.write());
    drop(gone);
    *scripts.shared(Purpose::Functions).settings.lock() = Arc::default();
    scripts.forget_machines(Purpose::Functions);
    call.engine.saving.note_change();
    call.reply.ok();
    Ok(())
}

pub(in super::super) fn kill(call: &mut Call<'_, '_>) -> Result<()> {
    let threshold_ms = call.engine.config.script_busy_ms();
    let watchdogs = &call.engine.scripts.watchdogs;
    watchdogs.kill(Purpose::Functions, call.keyspace.ticks(), threshold_ms)?;
    call.reply.ok();
    Ok(())
}

pub(in super::super) fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let (mut pattern, mut with_code) = (None, false);
    while let Some(word) = call.args.next() {
        match word {
            word if !with_code && word.eq_ignore_ascii_case(b"WITHCODE") => with_code = true,
            word if pattern.is_none() && word.eq_ignore_ascii_case(b"LIBRARYNAME") => {
                let missing = |_| Error::text("ERR library name argument was not given");
                pattern = Some(call.args.bytes().map_err(missing)?);
            }
            word => {
                let word = shown(word);
                let word = word.replace(['\r', '\n'], " ");
                return Err(Error::text(format!("ERR Unknown argument {word}")));
            }
        }
    }
    let mut libraries = call.engine.scripts.functions.all();
    if let Some(pattern) = pattern {
        let pattern = pattern.to_ascii_lowercase();
        let name = |library: &Library| library.name().to_ascii_lowercase();
        libraries.retain(|library| glob::matches(&pattern, name(library).as_bytes()));
    }
    call.reply.array(libraries.len());
    for library in libraries {
        list_library(call, &library, with_code);
    }
    Ok(())
}

fn list_library(call: &mut Call<'_, '_>, library: &Library, with_code: bool) {
    let reply = &mut *call.reply;
    reply.map(3 + usize::from(with_code));
    reply.bulk(b"library_name");
    reply.bulk(library.name().as_bytes());
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions().len());
    for function in library.functions() {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(function.name.as_bytes());
        reply.bulk(b"description");
        reply.bulk_or_null(function.description.as_deref());
        reply.bulk(b"flags");
        reply.set(function.flags.names().count());
        for flag in function.flags.names() {
            reply.status(flag);
        }
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(library.text());
    }
}

pub(in super::super) fn stats(call: &mut Call<'_, '_>) -> Result<()> {
    let scripts = &call.engine.scripts;
    let threshold_ms = call.engine.config.script_busy_ms();
    let (libraries, functions) = scripts.functions.count();
    let reply = &mut *call.reply;
    let now = call.keyspace.ticks();
    scripts
        .watchdogs
        .show_function(now, threshold_ms, |started| {
            reply.map(2);
            reply.bulk(b"running_script");
            match started {
                None => reply.null(),
                Some((started, duration_ms)) => {
                    let words = started.request.arguments();
                    reply.map(3);
                    reply.bulk(b"name");
                    reply.bulk(started.name.as_bytes());
                    reply.bulk(b"command");
                    reply.array(words.len());
                    words.iter().for_each(|word| reply.bulk(word));
                    reply.bulk(b"duration_ms");
                    reply.int(duration_ms as i64);
                }
            }
        })?;
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.int(libraries as i64);
    reply.bulk(b"functions_count");
    reply.int(functions as i64);
    Ok(())
}

pub(in super::super) fn dump(call: &mut Call<'_, '_>) -> Result<()> {
    let libraries = call.engine.scripts.functions.all();
    call.reply.bulk(&payload::write(&libraries));
    Ok(())
}

pub(in super::super) fn restore(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.len() > 2 {
        return Err(call.args.subcommand_syntax());
    }
    let payload = call.args.bytes()?;
    let policy = payload::Policy::read(&mut call.args)?;
    payload::restore(call, payload, policy)?;
    call.engine.measure_beside();
    call.reply.ok();
    Ok(())
}
