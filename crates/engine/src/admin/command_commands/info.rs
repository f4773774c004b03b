//! COMMAND, COMMAND COUNT and COMMAND INFO: what the table of commands says, for clients to read.

use super::described::Described;
use super::specs;
use crate::command::Call;
use crate::commands;
use crate::error::Result;
use crate::reply::Reply;

pub(super) fn all(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.array(commands::first_words().len());
    for top in commands::first_words() {
        describe(Described::top(top), call.reply);
    }
    Ok(())
}

pub(super) fn count(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.int(commands::first_words().len() as i64);
    Ok(())
}

pub(super) fn info(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.is_empty() {
        return all(call);
    }
    let names = call.args.rest();
    call.reply.array(names.len());
    for name in names {
        match Described::find(name) {
            Some(described) => describe(described, call.reply),
            None => call.reply.null(),
        }
    }
    Ok(())
}

/// The ten values that COMMAND INFO gives for a command.
fn describe(described: Described<'_>, reply: &mut dyn Reply) {
    let (keys, first) = (described.keys(), described.first());
    let flags = described.flags();
    let (first_key, last_key, step) = specs::range(keys, first);

    reply.array(10);
    reply.bulk(described.full_name().as_bytes());
    reply.int(described.arity());
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.status(flag));
    reply.int(first_key);
    reply.int(last_key);
    reply.int(step);
    let categories = described.categories();
    reply.set(categories.len());
    categories
        .iter()
        .for_each(|category| reply.status(category));
    let tips = described.tips();
    reply.array(tips.len());
    tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    specs::write(described, reply);
    reply.array(described.subcommands.len());
    for subcommand in described.subcommands() {
        describe(subcommand, reply);
    }
}
