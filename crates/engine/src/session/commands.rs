//! Commands on the connection itself.

use crate::acl;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result, shown};

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "PING",
        run: ping,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: Flags::FAST.and(Flags::SUBSCRIBED),
        syntax: "[message]",
        summary: "Answers PONG, or the message.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "ECHO",
        run: echo,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: Flags::FAST,
        syntax: "message",
        summary: "Answers the message.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "SELECT",
        run: select,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: Flags::FAST,
        syntax: "index",
        summary: "Changes the connection's database.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "AUTH",
        run: auth,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: Flags::FAST.and(Flags::NO_SCRIPT).and(Flags::NO_AUTH),
        syntax: "[username] password",
        summary: "Authenticates the connection.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "HELLO",
        run: hello,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: Flags::FAST.and(Flags::NO_SCRIPT).and(Flags::NO_AUTH),
        syntax: "[protover [AUTH username password] [SETNAME clientname]]",
        summary: "Changes the protocol, and says what the server is.",
        complexity: "O(1)",
        since: "6.0.0",
    },
    Row {
        name: "QUIT",
        run: quit,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: Flags::FAST
            .and(Flags::NO_SCRIPT)
            .and(Flags::NO_AUTH)
            .and(Flags::SUBSCRIBED)
            .and(Flags::UNQUEUED),
        syntax: "",
        summary: "Closes the connection.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "RESET",
        run: reset,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: Flags::FAST
            .and(Flags::NO_SCRIPT)
            .and(Flags::NO_AUTH)
            .and(Flags::SUBSCRIBED)
            .and(Flags::UNQUEUED),
        syntax: "",
        summary: "Makes the connection as if it were new.",
        complexity: "O(1)",
        since: "6.2.0",
    },
];

fn ping(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.len() > 1 {
        return Err(Error::WrongArity("ping".into()));
    }
    let message = call.args.next();
    if call.session.is_subscriber_only() {
        call.reply.array(2);
        call.reply.bulk(b"pong");
        call.reply.bulk(message.unwrap_or_default());
        return Ok(());
    }
    match message {
        Some(message) => call.reply.bulk(message),
        None => call.reply.pong(),
    }
    Ok(())
}

fn echo(call: &mut Call<'_, '_>) -> Result<()> {
    let message = call.args.bytes()?;
    call.reply.bulk(message);
    Ok(())
}

fn select(call: &mut Call<'_, '_>) -> Result<()> {
    let index = call.args.db()?;
    call.session.db = index;
    call.keyspace.select(index);
    call.reply.ok();
    Ok(())
}

fn auth(call: &mut Call<'_, '_>) -> Result<()> {
    let (user, password) = match (call.args.bytes()?, call.args.next()) {
        (password, None) => (None, password),
        (user, Some(password)) => (Some(user), password),
    };
    call.args.end()?;
    if user.is_none() && call.engine.acl.is_open() {
        return Err(Error::NoPasswordSet);
    }
    log_in(call, (user.unwrap_or(acl::DEFAULT), password))?;
    call.reply.ok();
    Ok(())
}

fn log_in(call: &Call<'_, '_>, login: (&[u8], &[u8])) -> Result<()> {
    let (session, now) = (&*call.session, call.now());
    call.engine.log_in(session, call.request(), login, now)
}

fn hello(call: &mut Call<'_, '_>) -> Result<()> {
    let mut resp3 = call.session.resp3;
    let (mut login, mut name) = (None, None);
    if let Some(version) = call.args.next() {
        let version = crate::args::parse_int(version).ok_or(Error::ProtocolNotInteger)?;
        if !(2..=3).contains(&version) {
            return Err(Error::UnsupportedProtocol);
        }
        resp3 = version == 3;
    }
    while let Some(option) = call.args.peek() {
        if call.args.option("AUTH") && call.args.len() >= 2 {
            login = Some((call.args.bytes()?, call.args.bytes()?));
        } else if call.args.option("SETNAME") && !call.args.is_empty() {
            name = Some(super::client_commands::client_name(call.args.bytes()?)?);
        } else {
            let option = shown(option).into_owned();
            return Err(Error::text(format!(
                "ERR Syntax error in HELLO option '{option}'"
            )));
        }
    }

    match login {
        Some(login) => log_in(call, login)?,
        None if !call.session.is_authenticated() => return Err(Error::HelloNotAuthenticated),
        None => {}
    }
    if let (Some(name), Some(client)) = (name, call.session.client()) {
        client.names().name = name;
    }
    call.session.resp3 = resp3;
    greet(call, resp3);
    Ok(())
}

/// What the server is, in the protocol that was just chosen.
fn greet(call: &mut Call<'_, '_>, resp3: bool) {
    let id = call.session.id() as i64;
    let reply = &mut call.reply;
    reply.set_resp3(resp3);
    reply.map(7);
    for (name, value) in [
        ("server", "redis"),
        ("version", crate::admin::REDIS_VERSION),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.int(if resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.int(id);
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

fn quit(call: &mut Call<'_, '_>) -> Result<()> {
    call.session.close();
    call.reply.ok();
    Ok(())
}

fn reset(call: &mut Call<'_, '_>) -> Result<()> {
    call.session.reset(call.engine);
    call.reply.set_resp3(false);
    call.reply.status("RESET");
    Ok(())
}
