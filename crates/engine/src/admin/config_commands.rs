//! CONFIG and its subcommands.

use super::help;
use super::parameters::{PARAMETERS, Parameter};
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result, shown};
use crate::keyspace::Figures;
use crate::pubsub::glob;

const FLAGS: Flags = Flags::ADMIN.and(Flags::NO_SCRIPT);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "CONFIG GET",
        run: get,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "parameter [parameter ...]",
        summary: "Gives the values of the parameters whose names match.",
        complexity: "O(n), n the number of parameters.",
        since: "2.0.0",
    },
    Row {
        name: "CONFIG SET",
        run: set,
        arity: Arity::AtLeast(4),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "parameter value [parameter value ...]",
        summary: "Gives parameters their values: all of them, or none.",
        complexity: "O(n), n the number of parameters.",
        since: "2.0.0",
    },
    Row {
        name: "CONFIG RESETSTAT",
        run: resetstat,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Begins all counters of INFO anew.",
        complexity: "O(1)",
        since: "2.0.0",
    },
    Row {
        name: "CONFIG REWRITE",
        run: rewrite,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Writes the values of the parameters into the configuration file.",
        complexity: "O(n), n the number of parameters.",
        since: "2.8.0",
    },
    help::row("CONFIG HELP", "5.0.0"),
];

fn get(call: &mut Call<'_, '_>) -> Result<()> {
    let mut found: Vec<(Vec<u8>, &Parameter)> = Vec::new();
    for pattern in call.args.rest() {
        let is_pattern = pattern.iter().any(|byte| b"[*?".contains(byte));
        let more: Vec<(Vec<u8>, &Parameter)> = match is_pattern {
            true => matching(&pattern.to_ascii_lowercase()).collect(),
            // A name is answered as it was written.
            false => configured(pattern)
                .map(|parameter| (pattern.to_vec(), parameter))
                .into_iter()
                .collect(),
        };
        for (name, parameter) in more {
            if !found
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(&name))
            {
                found.push((name, parameter));
            }
        }
    }
    // Redis has them in no order, and Valkey in this.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    call.reply.map(found.len());
    for (name, parameter) in found {
        call.reply.bulk(&name);
        call.reply.bulk(&parameter.get(call.engine));
    }
    Ok(())
}

/// The parameters that match a pattern, by each of their names that does.
fn matching(pattern: &[u8]) -> impl Iterator<Item = (Vec<u8>, &'static Parameter)> {
    let configured = PARAMETERS
        .iter()
        .filter(|parameter| parameter.is_configured());
    configured.flat_map(move |parameter| {
        let names = [Some(parameter.name), parameter.alias]
            .into_iter()
            .flatten();
        let names = names.filter(|name| glob::matches(pattern, name.as_bytes()));
        names.map(move |name| (name.as_bytes().to_vec(), parameter))
    })
}

fn set(call: &mut Call<'_, '_>) -> Result<()> {
    if !call.args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    let mut words = call.args.rest();
    let mut pairs: Vec<(&'static Parameter, &[u8])> = Vec::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        let parameter = configured(name).ok_or_else(|| {
            let name = shown(name);
            Error::text(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            ))
        })?;
        if pairs.iter().any(|(other, _)| other.name == parameter.name) {
            return Err(failed(parameter, "duplicate parameter"));
        }
        pairs.push((parameter, value));
    }
    let change = call.engine.change_of(&pairs);
    let change = change.map_err(|(parameter, why)| failed(parameter, &why))?;
    change();
    call.reply.ok();
    Ok(())
}

/// The parameter of this name that CONFIG knows.
fn configured(name: &[u8]) -> Option<&'static Parameter> {
    Parameter::find(name).filter(|parameter| parameter.is_configured())
}

fn failed(parameter: &Parameter, why: &str) -> Error {
    Error::text(format!(
        "ERR CONFIG SET failed (possibly related to argument '{}') - {why}",
        parameter.name
    ))
}

fn resetstat(call: &mut Call<'_, '_>) -> Result<()> {
    call.engine.stats.reset();
    call.engine.scripts.reset_forgotten();
    call.engine.acl.reset_denials();
    call.engine.clients.reset_seen();
    let figures = call.engine.shards.figures();
    figures.for_each(Figures::reset);
    call.reply.ok();
    Ok(())
}

fn rewrite(call: &mut Call<'_, '_>) -> Result<()> {
    call.engine.rewrite_config().map_err(Error::text)?;
    call.reply.ok();
    Ok(())
}
