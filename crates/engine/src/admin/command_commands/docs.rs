//! COMMAND DOCS: what the rows say of commands, for people.

use super::described::Described;
use super::facts::applying;
use super::{specs, standing};
use crate::admin::syntax::{self, Argument, Kind};
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
    let deprecated = standing::deprecated(described.name);
    let (deprecated_since, replaced_by) = deprecated.unwrap_or_default();
    let is_of_system = standing::is_of_system(described.name);
    let flags = [
        (deprecated.is_some(), "deprecated"),
        (is_of_system, "syscmd"),
    ];
    let flags: Vec<&str> = applying(&flags);
    let texts = [
        ("summary", described.summary()),
        ("since", described.since().to_owned()),
        ("group", standing::group(described).to_owned()),
        ("complexity", complexity.to_owned()),
        ("deprecated_since", deprecated_since.to_owned()),
        ("replaced_by", replaced_by.to_owned()),
    ];
    let texts = texts.iter().filter(|(_, text)| !text.is_empty());
    let more = [!flags.is_empty(), has_arguments, has_subcommands];
    reply.map(texts.clone().count() + more.iter().filter(|has| **has).count());
    for (name, text) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    write_flags("doc_flags", &flags, reply);
    if has_arguments {
        reply.bulk(b"arguments");
        reply.array(arguments.len());
        let mut rules = Rules::of(described);
        for argument in &arguments {
            write_argument(argument, &mut rules, reply);
        }
    }
    if has_subcommands {
        reply.bulk(b"subcommands");
        reply.map(described.subcommands.len());
        for subcommand in described.subcommands() {
            document(subcommand, reply);
        }
    }
}

/// Writes flags under a name, if there are some.
fn write_flags(name: &str, flags: &[&str], reply: &mut dyn Reply) {
    if !flags.is_empty() {
        reply.bulk(name.as_bytes());
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.status(flag));
    }
}

/// Which of the rules for keys in COMMAND INFO an argument goes by: they stand in the same order.
struct Rules {
    next: usize,
    len: usize,
    has_patterns: bool,
}

impl Rules {
    fn of(described: Described<'_>) -> Rules {
        Rules {
            next: 0,
            len: specs::count(described),
            has_patterns: matches!(described.name, "SORT" | "SORT_RO"),
        }
    }

    /// The number of the rule, if the argument is a key or, for SORT, makes names of keys. What comes
    /// after the last rule goes by it as well.
    fn number(&mut self, kind: Kind) -> Option<usize> {
        let number = match kind {
            Kind::Key => self.next,
            // The patterns have one rule together, behind that of the key.
            Kind::Pattern if self.has_patterns => 1,
            _ => return None,
        };
        self.next = number + 1;
        self.len.checked_sub(1).map(|last| number.min(last))
    }
}

fn write_argument(argument: &Argument, rules: &mut Rules, reply: &mut dyn Reply) {
    let flags = [
        (argument.is_optional, "optional"),
        (argument.is_multiple, "multiple"),
        (argument.repeats_token, "multiple_token"),
    ];
    let flags = applying(&flags);
    let (token, parts) = (&argument.token, &argument.parts);
    let rule = rules.number(argument.kind);
    let more = [
        rule.is_some(),
        token.is_some(),
        !flags.is_empty(),
        !parts.is_empty(),
    ];

    reply.map(2 + more.iter().filter(|has| **has).count());
    reply.bulk(b"name");
    reply.bulk(argument.name.as_bytes());
    reply.bulk(b"type");
    reply.bulk(argument.kind.name().as_bytes());
    if let Some(rule) = rule {
        reply.bulk(b"key_spec_index");
        reply.int(rule as i64);
    }
    if let Some(token) = token {
        reply.bulk(b"token");
        reply.bulk(token.as_bytes());
    }
    write_flags("flags", &flags, reply);
    if !parts.is_empty() {
        reply.bulk(b"arguments");
        reply.array(parts.len());
        for part in parts {
            write_argument(part, rules, reply);
        }
    }
}
