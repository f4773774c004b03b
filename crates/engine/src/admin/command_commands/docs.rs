//! COMMAND DOCS: what the rows say of commands, for people.

use super::described::Described;
use crate::admin::syntax::{self, Argument};
use crate::command::Call;
use crate::commands;
use crate::error::Result;
use crate::reply::Reply;

pub(super) fn docs(call: &mut Call<'_, '_>) -> Result<()> {
    let wanted: Vec<Described<'_>> = match call.args.is_empty() {
        true => commands::first_words().iter().map(Described::top).collect(),
        false => call.args.rest().filter_map(Described::find).collect(),
    };
    call.reply.map(wanted.len());
    for described in wanted {
        document(described, call.reply);
    }
    Ok(())
}

/// A command's name and its documentation.
fn document(described: Described<'_>, reply: &mut dyn Reply) {
    let arguments = described
        .command
        .map_or_else(Vec::new, |command| syntax::arguments(command.syntax));
    let has_arguments = !arguments.is_empty();
    let has_subcommands = !described.subcommands.is_empty();

    reply.bulk(described.full_name().as_bytes());
    let complexity = described.command.map_or("", |command| command.complexity);
    let texts = [
        ("summary", described.summary()),
        ("since", described.since().to_owned()),
        ("group", described.family.to_owned()),
        ("complexity", complexity.to_owned()),
    ];
    let texts = texts.iter().filter(|(_, text)| !text.is_empty());
    let len = texts.clone().count() + usize::from(has_arguments) + usize::from(has_subcommands);
    reply.map(len);
    for (name, text) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if has_arguments {
        reply.bulk(b"arguments");
        reply.array(arguments.len());
        arguments
            .iter()
            .for_each(|argument| write_argument(argument, reply));
    }
    if has_subcommands {
        reply.bulk(b"subcommands");
        reply.map(described.subcommands.len());
        for subcommand in described.subcommands() {
            document(subcommand, reply);
        }
    }
}

fn write_argument(argument: &Argument, reply: &mut dyn Reply) {
    let flags = [
        (argument.is_optional, "optional"),
        (argument.is_multiple, "multiple"),
    ];
    let flags: Vec<&str> = flags
        .iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, name)| *name)
        .collect();
    let (token, parts) = (&argument.token, &argument.parts);
    let more = [token.is_some(), !flags.is_empty(), !parts.is_empty()];

    reply.map(2 + more.iter().filter(|has| **has).count());
    reply.bulk(b"name");
    reply.bulk(argument.name.as_bytes());
    reply.bulk(b"type");
    reply.bulk(argument.kind.name().as_bytes());
    if let Some(token) = token {
        reply.bulk(b"token");
        reply.bulk(token.as_bytes());
    }
    if !flags.is_empty() {
        reply.bulk(b"flags");
        reply.array(flags.len());
        flags.iter().for_each(|flag| reply.status(flag));
    }
    if !parts.is_empty() {
        reply.bulk(b"arguments");
        reply.array(parts.len());
        parts.iter().for_each(|part| write_argument(part, reply));
    }
}
