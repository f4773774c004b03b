//! ACL and its subcommands.

use larder_resp::Arguments;

use super::log::Entry;
use super::rules::Rules;
use super::selector::Selector;
use super::{DEFAULT, file};
use crate::admin::command_commands::categories::Category;
use crate::admin::help;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::commands;
use crate::error::{Error, Result, shown};

const FLAGS: Flags = Flags::NO_SCRIPT;
const ADMIN: Flags = FLAGS.and(Flags::ADMIN);

/// How many bits a password has at most.
const PASSWORD_BITS_MAX: i64 = 4096;

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "ACL CAT",
        run: cat,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "[category]",
        summary: "Lists the categories of commands, or the commands of one.",
        complexity: "O(n), n the number of commands.",
        since: "6.0.0",
    },
    Row {
        name: "ACL DELUSER",
        run: deluser,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "username [username ...]",
        summary: "Removes users, and closes their connections.",
        complexity: "O(n+m), n the number of users, m the number of connections.",
        since: "6.0.0",
    },
    Row {
        name: "ACL DRYRUN",
        run: dryrun,
        arity: Arity::AtLeast(4),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "username command [arg [arg ...]]",
        summary: "Says whether a user may send a request, and does not run it.",
        complexity: "O(1)",
        since: "7.0.0",
    },
    Row {
        name: "ACL GENPASS",
        run: genpass,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "[bits]",
        summary: "Makes a password that nobody can guess.",
        complexity: "O(1)",
        since: "6.0.0",
    },
    Row {
        name: "ACL GETUSER",
        run: getuser,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "username",
        summary: "Shows the rules of a user.",
        complexity: "O(n), n the number of rules.",
        since: "6.0.0",
    },
    Row {
        name: "ACL LIST",
        run: list,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "",
        summary: "Shows all users, as the file of users holds them.",
        complexity: "O(n), n the number of users.",
        since: "6.0.0",
    },
    Row {
        name: "ACL LOAD",
        run: load,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "",
        summary: "Reads the users from their file: all of them, or none.",
        complexity: "O(n), n the number of users.",
        since: "6.0.0",
    },
    Row {
        name: "ACL LOG",
        run: log,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "[count | RESET]",
        summary: "Shows what was denied lately, or forgets it.",
        complexity: "O(n), n the number of entries.",
        since: "6.0.0",
    },
    Row {
        name: "ACL SAVE",
        run: save,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "",
        summary: "Writes the users into their file.",
        complexity: "O(n), n the number of users.",
        since: "6.0.0",
    },
    Row {
        name: "ACL SETUSER",
        run: setuser,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "username [rule [rule ...]]",
        summary: "Makes a user, or changes it, by rules.",
        complexity: "O(n+m), n the number of rules, m the number of connections.",
        since: "6.0.0",
    },
    Row {
        name: "ACL USERS",
        run: users,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "",
        summary: "Lists the names of all users.",
        complexity: "O(n), n the number of users.",
        since: "6.0.0",
    },
    Row {
        name: "ACL WHOAMI",
        run: whoami,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Gives the name of the user that the connection is.",
        complexity: "O(1)",
        since: "6.0.0",
    },
    help::row("ACL HELP", "6.0.0"),
];

// --- users ------------------------------------------------------------------------------------

fn setuser(call: &mut Call<'_, '_>) -> Result<()> {
    let user = call.args.bytes()?;
    let rules = call.args.rest();
    let changed = call.engine.set_user_but(user, rules, call.session.client());
    end_if(call, changed.map_err(refusal)?);
    call.reply.ok();
    Ok(())
}

fn deluser(call: &mut Call<'_, '_>) -> Result<()> {
    let names = call.args.rest();
    if names.clone().any(|name| name == DEFAULT) {
        return Err(Error::text("ERR The 'default' user cannot be removed"));
    }
    let (removed, is_cut_off) = call.engine.remove_users(names, call.session.client());
    end_if(call, is_cut_off);
    call.reply.int(removed as i64);
    Ok(())
}

/// Closes the connection of the caller when it has been answered, if that is no user's any more.
fn end_if(call: &mut Call<'_, '_>, is_cut_off: bool) {
    if is_cut_off {
        call.session.close();
    }
}

fn refusal(why: String) -> Error {
    Error::text(format!("ERR {why}"))
}

fn users(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.array(call.engine.acl.len());
    call.engine.acl.each(|(name, _)| call.reply.bulk(name));
    Ok(())
}

fn list(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.array(call.engine.acl.len());
    call.engine
        .acl
        .each(|(name, rules)| call.reply.bulk(&file::line(name, rules)));
    Ok(())
}

fn getuser(call: &mut Call<'_, '_>) -> Result<()> {
    let user = call.args.bytes()?;
    let Some(rules) = call.engine.acl.rules(user) else {
        call.reply.null();
        return Ok(());
    };
    let Rules {
        passwords,
        selectors,
        ..
    } = &*rules;
    let (root, others) = selectors.split_at(1);
    call.reply.map(3 + SELECTOR_FIELDS);
    call.reply.bulk(b"flags");
    let flags = rules.flags();
    call.reply.set(flags.len());
    flags
        .iter()
        .for_each(|flag| call.reply.bulk(flag.as_bytes()));
    call.reply.bulk(b"passwords");
    call.reply.array(passwords.len());
    for password in passwords {
        call.reply.bulk(password.shown().as_bytes());
    }
    root.iter().for_each(|root| write_selector(call, root));
    call.reply.bulk(b"selectors");
    call.reply.array(others.len());
    for selector in others {
        call.reply.map(SELECTOR_FIELDS);
        write_selector(call, selector);
    }
    Ok(())
}

const SELECTOR_FIELDS: usize = 3;

fn write_selector(call: &mut Call<'_, '_>, selector: &Selector) {
    for (name, value) in [
        ("commands", selector.commands.to_string().into_bytes()),
        ("keys", selector.shown_keys()),
        ("channels", selector.shown_channels()),
    ] {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(&value);
    }
}

fn whoami(call: &mut Call<'_, '_>) -> Result<()> {
    match call.session.client() {
        Some(client) => call.reply.bulk(&client.login().user()),
        None => call.reply.bulk(DEFAULT),
    }
    Ok(())
}

fn genpass(call: &mut Call<'_, '_>) -> Result<()> {
    let bits = match call.args.is_empty() {
        true => 256,
        false => call.args.int()?,
    };
    if !call.args.is_empty() {
        return Err(call.args.subcommand_syntax());
    }
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(Error::text(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive \
             number up to {PASSWORD_BITS_MAX}"
        )));
    }
    let digits = (bits as usize).div_ceil(4);
    let bytes = call
        .engine
        .acl
        .secret_bytes(call.engine.fresh_id(), digits.div_ceil(2));
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    call.reply.bulk(&text.as_bytes()[..digits]);
    Ok(())
}

// --- what may be done -------------------------------------------------------------------------

fn cat(call: &mut Call<'_, '_>) -> Result<()> {
    let Some(name) = call.args.next() else {
        let names = Category::names();
        call.reply.array(names.len());
        names
            .iter()
            .for_each(|name| call.reply.bulk(name.as_bytes()));
        return Ok(());
    };
    if !call.args.is_empty() {
        return Err(call.args.subcommand_syntax());
    }
    let name = shown(name);
    let commands = match Category::find(&name) {
        Some(category) => category.commands(),
        None => return Err(Error::text(format!("ERR Unknown category '{name}'"))),
    };
    call.reply.array(commands.len());
    commands
        .iter()
        .for_each(|name| call.reply.bulk(name.as_bytes()));
    Ok(())
}

fn dryrun(call: &mut Call<'_, '_>) -> Result<()> {
    let user = call.args.bytes()?;
    let rules = call
        .engine
        .acl
        .rules(user)
        .ok_or_else(|| Error::text(format!("ERR User '{}' not found", shown(user))))?;
    let request: Arguments<'_> = call.args.take(call.args.len())?;
    let command = commands::find(request).map_err(|error| match error {
        Error::WrongArity(_) => error,
        _ => {
            let name = request.get(0).unwrap_or_default();
            Error::text(format!("ERR Command '{}' not found", shown(name)))
        }
    })?;
    if !command.arity.allows(request.len()) {
        return Err(Error::WrongArity(command.full_name()));
    }
    match rules.check(command, request) {
        Ok(()) => call.reply.ok(),
        Err(denied) => {
            let why = denied.explained(user, command).to_string();
            call.reply.bulk(&larder_resp::bytes_of(&why));
        }
    }
    Ok(())
}

fn log(call: &mut Call<'_, '_>) -> Result<()> {
    let mut count = 10;
    if call.args.option("RESET") {
        call.engine.acl.log.clear();
        call.reply.ok();
        return Ok(());
    }
    if !call.args.is_empty() {
        count = call.args.int()?;
    }
    if !call.args.is_empty() {
        return Err(call.args.subcommand_syntax());
    }
    let now_ms = call.now().unix_ms();
    let entries = call.engine.acl.log.latest(count.max(0) as usize);
    call.reply.array(entries.len());
    for entry in &entries {
        write_entry(call, entry, now_ms);
    }
    Ok(())
}

fn write_entry(call: &mut Call<'_, '_>, entry: &Entry, now_ms: u64) {
    let what = &entry.what;
    call.reply.map(10);
    call.reply.bulk(b"count");
    call.reply.int(entry.count as i64);
    for (name, value) in [
        ("reason", what.reason.name().as_bytes()),
        ("context", what.context.name().as_bytes()),
        ("object", &what.object),
        ("username", &what.user),
    ] {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(value);
    }
    call.reply.bulk(b"age-seconds");
    let age_ms = now_ms.saturating_sub(entry.updated_ms);
    call.reply.double(age_ms as f64 / 1000.0);
    call.reply.bulk(b"client-info");
    call.reply.bulk(&larder_resp::bytes_of(&entry.client));
    for (name, number) in [
        ("entry-id", entry.id),
        ("timestamp-created", entry.created_ms),
        ("timestamp-last-updated", entry.updated_ms),
    ] {
        call.reply.bulk(name.as_bytes());
        call.reply.int(number as i64);
    }
}

// --- the file ---------------------------------------------------------------------------------

fn load(call: &mut Call<'_, '_>) -> Result<()> {
    check_file(call)?;
    let is_cut_off = call.engine.load_users_but(call.session.client());
    end_if(call, is_cut_off.map_err(refusal)?);
    call.reply.ok();
    Ok(())
}

fn save(call: &mut Call<'_, '_>) -> Result<()> {
    check_file(call)?;
    call.engine.save_users().map_err(|_| {
        Error::text(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more \
             information",
        )
    })?;
    call.reply.ok();
    Ok(())
}

/// Refuses what needs a file if there is none.
fn check_file(call: &Call<'_, '_>) -> Result<()> {
    if !call.engine.acl.file_name().is_empty() {
        return Ok(());
    }
    Err(Error::text(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via \
         the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis \
         configuration file set) in order to store users in the Redis configuration.",
    ))
}
