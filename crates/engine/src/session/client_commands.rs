//! CLIENT and its subcommands.

use std::sync::Arc;

use larder_store::{Refusal, Value};

use super::Replies;
use super::client::{Client, ClientKind, Names};
use crate::admin::help;
use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::commands;
use crate::engine::Now;
use crate::error::{Error, Result};

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
        syntax: "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
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
        syntax: "<ip:port | <[ID client-id] [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] \
                 [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME <YES | NO>] \
                 [MAXAGE seconds]>>",
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
    let name = String::from_utf8_lossy(attribute);
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
    is_printable.then(|| String::from_utf8_lossy(text).into_owned())
}

// --- lists ------------------------------------------------------------------------------------

fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let clients = if call.args.is_empty() {
        call.engine.clients.all()
    } else if call.args.option("TYPE") {
        let kind = client_kind(call.args.bytes()?)?;
        call.args.end()?;
        let mut clients = call.engine.clients.all();
        clients.retain(|client| client.kind() == kind);
        clients
    } else if call.args.option("ID") && !call.args.is_empty() {
        let ids = call.args.rest().map(|id| {
            let id = crate::args::parse_int(id).and_then(|id| u64::try_from(id).ok());
            id.ok_or_else(|| Error::text("ERR Invalid client ID"))
        });
        let ids = ids.collect::<Result<Vec<u64>>>()?;
        let clients = ids.iter().filter_map(|id| call.engine.clients.get(*id));
        clients.collect()
    } else {
        return Err(Error::Syntax);
    };
    let lines = clients.iter().map(|client| client.line(call.now()) + "\n");
    let lines: String = lines.collect();
    call.reply.verbatim(&lines);
    Ok(())
}

fn info(call: &mut Call<'_, '_>) -> Result<()> {
    let line = call
        .session
        .client()
        .map_or_else(String::new, |client| client.line(call.now()) + "\n");
    call.reply.verbatim(&line);
    Ok(())
}

fn client_kind(name: &[u8]) -> Result<ClientKind> {
    let name = String::from_utf8_lossy(name);
    match name.to_ascii_lowercase().as_str() {
        "normal" => Ok(ClientKind::Normal),
        "pubsub" => Ok(ClientKind::PubSub),
        "master" | "slave" | "replica" => Ok(ClientKind::Replication),
        _ => Err(Error::text(format!("ERR Unknown client type '{name}'"))),
    }
}

// --- ends -------------------------------------------------------------------------------------

/// Which connections CLIENT KILL closes: those to which all that is given applies.
struct Victims<'a> {
    id: Option<u64>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    kind: Option<ClientKind>,
    age_s_min: Option<u64>,
    spares_caller: bool,
}

impl<'a> Victims<'a> {
    fn read(args: &mut Args<'a>) -> Result<Victims<'a>> {
        let mut victims = Victims {
            id: None,
            address: None,
            local_address: None,
            kind: None,
            age_s_min: None,
            spares_caller: true,
        };
        while !args.is_empty() {
            if args.len() < 2 {
                return Err(Error::Syntax);
            }
            match () {
                () if args.option("ID") => victims.id = Some(client_id(args)?),
                () if args.option("TYPE") => victims.kind = Some(client_kind(args.bytes()?)?),
                () if args.option("ADDR") => victims.address = Some(args.bytes()?),
                () if args.option("LADDR") => victims.local_address = Some(args.bytes()?),
                () if args.option("USER") => user(args.bytes()?)?,
                () if args.option("MAXAGE") => victims.age_s_min = Some(max_age_s(args)?),
                () if args.option("SKIPME") => victims.spares_caller = yes_or_no(args)?,
                () => return Err(Error::Syntax),
            }
        }
        Ok(victims)
    }

    fn has(&self, client: &Client, now: Now) -> bool {
        let info = client.info();
        self.id.is_none_or(|id| id == client.id())
            && self.kind.is_none_or(|kind| kind == client.kind())
            && self
                .age_s_min
                .is_none_or(|age_s| client.age_s(now) >= age_s)
            && self
                .address
                .is_none_or(|address| address == info.address.as_bytes())
            && self
                .local_address
                .is_none_or(|address| address == info.local_address.as_bytes())
    }
}

fn max_age_s(args: &mut Args<'_>) -> Result<u64> {
    let age_s = args
        .int()
        .map_err(|_| Error::text("ERR maxage is not an integer or out of range"))?;
    let age_s = u64::try_from(age_s).ok().filter(|age_s| *age_s > 0);
    age_s.ok_or_else(|| Error::text("ERR maxage should be greater than 0"))
}

fn client_id(args: &mut Args<'_>) -> Result<u64> {
    let id = args.int().ok().and_then(|id| u64::try_from(id).ok());
    id.filter(|id| *id > 0)
        .ok_or_else(|| Error::text("ERR client-id should be greater than 0"))
}

fn yes_or_no(args: &mut Args<'_>) -> Result<bool> {
    match () {
        () if args.option("YES") => Ok(true),
        () if args.option("NO") => Ok(false),
        () => Err(Error::Syntax),
    }
}

/// Refuses a user that there is not. All connections are the user `default`.
fn user(name: &[u8]) -> Result<()> {
    if name == b"default" {
        return Ok(());
    }
    let name = String::from_utf8_lossy(name);
    Err(Error::text(format!("ERR No such user '{name}'")))
}

fn kill(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.len() == 1 {
        return kill_address(call);
    }
    let victims = Victims::read(&mut call.args)?;

    let own_id = call.session.id();
    let mut clients = call.engine.clients.all();
    clients.retain(|client| {
        victims.has(client, call.now()) && !(victims.spares_caller && client.id() == own_id)
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
    call.engine.clients.kill(client);
    if let Some(waiter) = client.waiter().filter(|waiter| waiter.claim()) {
        waiter.answer(Value::Null);
        call.engine.forget(&waiter);
    }
}

fn unblock(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.len() > 2 {
        return Err(call.args.subcommand_syntax());
    }
    let id = call.args.int();
    let answer = match () {
        () if call.args.is_empty() || call.args.option("TIMEOUT") => Value::Null,
        () if call.args.option("ERROR") => Value::Error(Refusal::new(UNBLOCKED.to_owned())),
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
        .filter(|waiter| waiter.claim());
    call.reply.int(i64::from(waiter.is_some()));
    if let Some(waiter) = waiter {
        if let (Value::Error(_), Ok(command)) =
            (&answer, commands::find(waiter.request.arguments()))
        {
            let error = Error::text(UNBLOCKED);
            call.engine.note_failure(command, &error, false);
        }
        waiter.answer(answer);
        call.engine.forget(&waiter);
    }
    Ok(())
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
