//! CLIENT and its subcommands.

use std::sync::Arc;

use larder_resp::Arguments;
use larder_store::{Refusal, Value};

use super::Replies;
use super::client::{Client, Names};
use super::filters::{Filters, Purpose};
use crate::admin::help;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::commands;
use crate::engine::Engine;
use crate::error::{Error, Result, shown};
use crate::keyspace::waiting::Waiter;

/// What a client is answered whose wait another one has ended.
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

const FLAGS: Flags = Flags::NO_SCRIPT;
const ADMIN: Flags = FLAGS.and(Flags::ADMIN);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "CLIENT ID",
        run: id,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Gives the connection's number.",
        complexity: "O(1)",
        since: "5.0.0",
    },
    Row {
        name: "CLIENT GETNAME",
        run: getname,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Gives the connection's name.",
        complexity: "O(1)",
        since: "2.6.9",
    },
    Row {
        name: "CLIENT SETNAME",
        run: setname,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "connection-name",
        summary: "Gives the connection a name.",
        complexity: "O(1)",
        since: "2.6.9",
    },
    Row {
        name: "CLIENT SETINFO",
        run: setinfo,
        arity: Arity::Exactly(4),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "<LIB-NAME libname | LIB-VER libver>",
        summary: "Says which library the client uses.",
        complexity: "O(1)",
        since: "7.2.0",
    },
    Row {
        name: "CLIENT LIST",
        run: list,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "[ID client-id [client-id ...]] [NOT-ID client-id [client-id ...]] \
                 [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] \
                 [NOT-TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] \
                 [USER username] [NOT-USER username] [ADDR ip:port] [NOT-ADDR ip:port] \
                 [LADDR ip:port] [NOT-LADDR ip:port] [IP ip] [NOT-IP ip] [NAME name] \
                 [NOT-NAME name] [LIB-NAME name] [NOT-LIB-NAME name] [LIB-VER version] \
                 [NOT-LIB-VER version] [DB index] [NOT-DB index] [FLAGS flags] \
                 [NOT-FLAGS flags] [CAPA capa] [NOT-CAPA capa] [IDLE seconds] \
                 [MAXAGE seconds] [SKIPME <YES | NO>]",
        summary: "Lists connections.",
        complexity: "O(n), n the number of connections.",
        since: "2.4.0",
    },
    Row {
        name: "CLIENT INFO",
        run: info,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Gives this connection's line of CLIENT LIST.",
        complexity: "O(1)",
        since: "6.2.0",
    },
    Row {
        name: "CLIENT KILL",
        run: kill,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "<ip:port | <[ID client-id [client-id ...]] [NOT-ID client-id [client-id ...]] \
                 [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] \
                 [NOT-TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] \
                 [USER username] [NOT-USER username] [ADDR ip:port] [NOT-ADDR ip:port] \
                 [LADDR ip:port] [NOT-LADDR ip:port] [IP ip] [NOT-IP ip] [NAME name] \
                 [NOT-NAME name] [LIB-NAME name] [NOT-LIB-NAME name] [LIB-VER version] \
                 [NOT-LIB-VER version] [DB index] [NOT-DB index] [FLAGS flags] \
                 [NOT-FLAGS flags] [CAPA capa] [NOT-CAPA capa] [IDLE seconds] \
                 [MAXAGE seconds] [SKIPME <YES | NO>]>>",
        summary: "Closes connections.",
        complexity: "O(n), n the number of connections.",
        since: "2.4.0",
    },
    Row {
        name: "CLIENT REPLY",
        run: reply,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "<ON | OFF | SKIP>",
        summary: "Says whether answers are wanted.",
        complexity: "O(1)",
        since: "3.2.0",
    },
    Row {
        name: "CLIENT NO-EVICT",
        run: no_evict,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "<ON | OFF>",
        summary: "Has the connection spared when memory is short.",
        complexity: "O(1)",
        since: "7.0.0",
    },
    Row {
        name: "CLIENT NO-TOUCH",
        run: no_touch,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "<ON | OFF>",
        summary: "Has the connection's commands not count as uses of keys.",
        complexity: "O(1)",
        since: "7.2.0",
    },
    Row {
        name: "CLIENT UNBLOCK",
        run: unblock,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "client-id [TIMEOUT | ERROR]",
        summary: "Ends another connection's wait.",
        complexity: "O(log n), n the number of connections.",
        since: "5.0.0",
    },
    help::row("CLIENT HELP", "5.0.0"),
];

// --- names ------------------------------------------------------------------------------------

fn id(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.int(call.session.id() as i64);
    Ok(())
}

fn getname(call: &mut Call<'_, '_>) -> Result<()> {
    let name = call
        .session
        .client()
        .map(|client| client.names().name.clone())
        .filter(|name| !name.is_empty());
    call.reply.bulk_or_null(name.as_deref().map(str::as_bytes));
    Ok(())
}

fn setname(call: &mut Call<'_, '_>) -> Result<()> {
    let name = client_name(call.args.bytes()?)?;
    set_names(call, |names| names.name = name);
    Ok(())
}

fn setinfo(call: &mut Call<'_, '_>) -> Result<()> {
    let (attribute, value) = (call.args.bytes()?, call.args.bytes()?);
    let is = |name: &[u8]| attribute.eq_ignore_ascii_case(name);
    let name = shown(attribute);
    if !is(b"lib-name") && !is(b"lib-ver") {
        return Err(Error::text(format!("ERR Unrecognized option '{name}'")));
    }
    let Some(text) = printable(value) else {
        return Err(Error::text(format!(
            "ERR {name} cannot contain spaces, newlines or special characters."
        )));
    };
    set_names(call, |names| match is(b"lib-name") {
        true => names.library = text,
        false => names.library_version = text,
    });
    Ok(())
}

fn set_names(call: &mut Call<'_, '_>, set: impl FnOnce(&mut Names)) {
    if let Some(client) = call.session.client() {
        set(&mut client.names());
    }
    call.reply.ok();
}

/// A name for a connection: visible ASCII without spaces, as Redis wants it.
pub(super) fn client_name(name: &[u8]) -> Result<String> {
    printable(name).ok_or_else(|| {
        Error::text("ERR Client names cannot contain spaces, newlines or special characters.")
    })
}

/// A text of visible ASCII without spaces.
fn printable(text: &[u8]) -> Option<String> {
    let is_printable = text.iter().all(|byte| (b'!'..=b'~').contains(byte));
    is_printable.then(|| larder_resp::text_of(text).into_owned())
}

// --- lists ------------------------------------------------------------------------------------

fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let filters = Filters::read(&mut call.args, call.engine, Purpose::List)?;
    let clients = call.engine.clients.all();
    let (now, own_id) = (call.now(), call.session.id());
    let listed = clients.iter().filter(|client| {
        filters.have(client, now) && !(filters.spares_caller && client.id() == own_id)
    });
    let asking = |client: &Client| match client.id() == own_id {
        true => request_bytes(call.request()),
        false => 0,
    };
    let lines: String = listed
        .map(|client| client.line(now, asking(client)) + "\n")
        .collect();
    call.reply.verbatim(&lines);
    Ok(())
}

/// How many bytes a request takes on its way.
fn request_bytes(request: Arguments<'_>) -> usize {
    let head = |number: usize| "*\r\n".len() + number.to_string().len();
    let words = request.iter();
    let words = words.map(|word| head(word.len()) + word.len() + "\r\n".len());
    head(request.len()) + words.sum::<usize>()
}

fn info(call: &mut Call<'_, '_>) -> Result<()> {
    let asking = request_bytes(call.request());
    let line = call
        .session
        .client()
        .map_or_else(String::new, |client| client.line(call.now(), asking) + "\n");
    call.reply.verbatim(&line);
    Ok(())
}

// --- ends -------------------------------------------------------------------------------------

fn kill(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.len() == 1 {
        return kill_address(call);
    }
    let filters = Filters::read(&mut call.args, call.engine, Purpose::Kill)?;

    let (now, own_id) = (call.now(), call.session.id());
    let mut clients = call.engine.clients.all();
    clients.retain(|client| {
        filters.have(client, now) && !(filters.spares_caller && client.id() == own_id)
    });
    for client in &clients {
        close(call, client);
    }
    call.reply.int(clients.len() as i64);
    Ok(())
}

/// The old form, with an address alone.
fn kill_address(call: &mut Call<'_, '_>) -> Result<()> {
    let address = call.args.bytes()?;
    let clients = call.engine.clients.all();
    let client = clients
        .iter()
        .find(|client| client.info().address.as_bytes() == address)
        .ok_or_else(|| Error::text("ERR No such client"))?;
    close(call, client);
    call.reply.ok();
    Ok(())
}

/// Closes a connection: the caller's own when it has been answered. Another's takes nothing more
/// from the keys that it waits for.
fn close(call: &mut Call<'_, '_>, client: &Arc<Client>) {
    if client.id() == call.session.id() {
        call.session.close();
        return;
    }
    call.engine.cut_off(client);
}

impl Engine {
    /// Closes a connection. It takes nothing more from the keys that it waits for.
    pub(crate) fn cut_off(&self, client: &Client) {
        self.clients.kill(client);
        if let Some(waiter) = client.waiter().filter(|waiter| waiter.claim()) {
            waiter.answer_nothing();
            self.forget(&waiter);
        }
    }
}

fn unblock(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.len() > 2 {
        return Err(call.args.subcommand_syntax());
    }
    let id = call.args.int();
    let is_error = match () {
        () if call.args.is_empty() || call.args.option("TIMEOUT") => false,
        () if call.args.option("ERROR") => true,
        () => {
            return Err(Error::text(
                "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            ));
        }
    };
    let id = id?;

    let waiter = u64::try_from(id)
        .ok()
        .and_then(|id| call.engine.clients.get(id))
        .and_then(|client| client.waiter())
        .filter(|waiter| waiter.can_be_unblocked() && waiter.claim());
    call.reply.int(i64::from(waiter.is_some()));
    if let Some(waiter) = waiter {
        call.engine.note_vain_wait(waiter.request.arguments());
        match is_error {
            true => answer_unblocked(call.engine, &waiter),
            false => waiter.answer_nothing(),
        }
        call.engine.forget(&waiter);
    }
    Ok(())
}

/// Answers a claimed waiter that somebody has ended its wait.
fn answer_unblocked(engine: &Engine, waiter: &Waiter) {
    if let Ok(command) = commands::find(waiter.request.arguments()) {
        engine.note_failure(command, &Error::text(UNBLOCKED), false);
    }
    waiter.answer(Value::Error(Refusal::new(UNBLOCKED.to_owned())));
}

// --- switches ---------------------------------------------------------------------------------

fn reply(call: &mut Call<'_, '_>) -> Result<()> {
    match () {
        () if call.args.option("ON") => {
            call.session.set_replies(Replies::On);
            call.reply.ok();
        }
        () if call.args.option("OFF") => call.session.set_replies(Replies::Off),
        () if call.args.option("SKIP") => {
            if call.session.replies() != Replies::Off {
                call.session.set_replies(Replies::Skip);
            }
        }
        () => return Err(Error::Syntax),
    }
    Ok(())
}

fn no_evict(call: &mut Call<'_, '_>) -> Result<()> {
    switch(call, Client::keep)
}

fn no_touch(call: &mut Call<'_, '_>) -> Result<()> {
    switch(call, Client::set_untouching)
}

fn switch(call: &mut Call<'_, '_>, set: fn(&Client, bool)) -> Result<()> {
    let is_on = match () {
        () if call.args.option("ON") => true,
        () if call.args.option("OFF") => false,
        () => return Err(Error::Syntax),
    };
    if let Some(client) = call.session.client() {
        set(client, is_on);
    }
    call.reply.ok();
    Ok(())
}
