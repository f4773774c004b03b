//! COMMAND and its subcommands: what the table of commands says, for clients to read.

use super::help;
use super::syntax::{self, Argument};
use crate::command::{Arity, Call, Command, Flags, Keys};
use crate::error::{Error, Result};
use crate::pubsub::glob;
use crate::reply::Reply;
use crate::table::{self, Top};

const FLAGS: Flags = Flags::NONE;

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "COMMAND",
        run: all,
        arity: Arity::AtLeast(1),
        keys: Keys::None,
        flags: FLAGS,
        syntax: "",
        summary: "Describes all commands.",
        complexity: "O(n), n the number of commands.",
        since: "2.8.13",
    },
    Command {
        name: "COMMAND COUNT",
        run: count,
        arity: Arity::Exactly(2),
        keys: Keys::None,
        flags: FLAGS,
        syntax: "",
        summary: "Counts the commands.",
        complexity: "O(1)",
        since: "2.8.13",
    },
    Command {
        name: "COMMAND DOCS",
        run: docs,
        arity: Arity::AtLeast(2),
        keys: Keys::None,
        flags: FLAGS,
        syntax: "[command-name [command-name ...]]",
        summary: "Gives the documentation of commands, or of all.",
        complexity: "O(n), n the number of commands.",
        since: "7.0.0",
    },
    Command {
        name: "COMMAND GETKEYS",
        run: getkeys,
        arity: Arity::AtLeast(3),
        keys: Keys::None,
        flags: FLAGS,
        syntax: "command [arg [arg ...]]",
        summary: "Lists the keys of a request.",
        complexity: "O(n), n the number of its words.",
        since: "2.8.13",
    },
    Command {
        name: "COMMAND GETKEYSANDFLAGS",
        run: getkeysandflags,
        arity: Arity::AtLeast(3),
        keys: Keys::None,
        flags: FLAGS,
        syntax: "command [arg [arg ...]]",
        summary: "Lists the keys of a request, and whether they are read or written.",
        complexity: "O(n), n the number of its words.",
        since: "7.0.0",
    },
    Command {
        name: "COMMAND INFO",
        run: info,
        arity: Arity::AtLeast(2),
        keys: Keys::None,
        flags: FLAGS,
        syntax: "[command-name [command-name ...]]",
        summary: "Describes commands, or all.",
        complexity: "O(n), n the number of commands.",
        since: "2.8.13",
    },
    Command {
        name: "COMMAND LIST",
        run: list,
        arity: Arity::AtLeast(2),
        keys: Keys::None,
        flags: FLAGS,
        syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
        summary: "Lists the names of commands.",
        complexity: "O(n), n the number of commands.",
        since: "7.0.0",
    },
    help::row("COMMAND HELP", "5.0.0"),
];

// --- what is described ------------------------------------------------------------------------

/// A command or a container, as clients know it.
#[derive(Clone, Copy)]
struct Described<'a> {
    family: &'static str,
    /// The name in capitals, with a space before a subcommand.
    name: &'static str,
    /// None for a mere container.
    command: Option<&'static Command>,
    subcommands: &'a [&'static Command],
}

impl<'a> Described<'a> {
    fn top(top: &'a Top) -> Described<'a> {
        Described {
            family: top.family,
            name: top.name,
            command: top.command,
            subcommands: &top.subcommands,
        }
    }

    fn subcommand(family: &'static str, command: &'static Command) -> Described<'a> {
        Described {
            family,
            name: command.name,
            command: Some(command),
            subcommands: &[],
        }
    }

    /// What this name means: `get`, `config`, or `config|get`.
    fn find(name: &[u8]) -> Option<Described<'static>> {
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        let (head, subcommand) = match name.split_once('|') {
            Some((head, subcommand)) => (head, Some(subcommand)),
            None => (name.as_str(), None),
        };
        let top = table::tops().iter().find(|top| top.name == head)?;
        let Some(subcommand) = subcommand else {
            return Some(Described::top(top));
        };
        let is_it = |command: &&&Command| {
            let (_, last) = command.name.split_once(' ').unwrap_or_default();
            last == subcommand
        };
        let command = top.subcommands.iter().find(is_it)?;
        Some(Described::subcommand(top.family, command))
    }

    fn subcommands(self) -> impl Iterator<Item = Described<'a>> {
        let family = self.family;
        let rows = self.subcommands.iter();
        rows.map(move |command| Described::subcommand(family, command))
    }

    /// The name as Redis writes it: `config|get`.
    fn full_name(self) -> String {
        self.name.to_ascii_lowercase().replace(' ', "|")
    }

    fn arity(self) -> i64 {
        self.command.map_or(-2, |command| command.arity.as_redis())
    }

    fn flags(self) -> Flags {
        self.command.map_or(Flags::NONE, |command| command.flags)
    }

    fn keys(self) -> Keys {
        self.command.map_or(Keys::None, |command| command.keys)
    }

    /// The place of the first word after the name.
    fn first(self) -> i64 {
        self.command.map_or(1, |command| command.first() as i64)
    }

    fn summary(self) -> String {
        match self.command {
            Some(command) => command.summary.to_owned(),
            None => format!("Commands that begin with {}.", self.name),
        }
    }

    /// The version that had it first: of a container, its oldest subcommand's.
    fn since(self) -> &'static str {
        let version = |since: &str| -> Vec<u32> {
            since
                .split('.')
                .filter_map(|part| part.parse().ok())
                .collect()
        };
        let oldest = || {
            let all = self.subcommands.iter().map(|command| command.since);
            all.min_by_key(|since| version(since)).unwrap_or_default()
        };
        self.command.map_or_else(oldest, |command| command.since)
    }

    /// The categories that access control lists would know it by.
    fn categories(self) -> Vec<&'static str> {
        let flags = self.flags();
        let speed = match flags.has(Flags::FAST) {
            true => "@fast",
            false => "@slow",
        };
        let family = match self.family {
            "generic" => "@keyspace",
            "string" => "@string",
            "list" => "@list",
            "hash" => "@hash",
            "set" => "@set",
            "sorted-set" => "@sortedset",
            "stream" => "@stream",
            "connection" => "@connection",
            "transactions" => "@transaction",
            "scripting" => "@scripting",
            _ => "",
        };
        let marks = [
            (flags.has(Flags::WRITE), "@write"),
            (flags.has(Flags::READONLY), "@read"),
            (flags.has(Flags::ADMIN), "@admin"),
            (flags.has(Flags::ADMIN), "@dangerous"),
            (flags.has(Flags::PUBSUB), "@pubsub"),
            (flags.has(Flags::BLOCKING), "@blocking"),
            (true, speed),
            (!family.is_empty(), family),
        ];
        let marks = marks.into_iter().filter(|(applies, _)| *applies);
        marks.map(|(_, name)| name).collect()
    }
}

// --- COMMAND INFO -----------------------------------------------------------------------------

fn all(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.array(table::tops().len());
    for top in table::tops() {
        describe(Described::top(top), call.reply);
    }
    Ok(())
}

fn count(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.int(table::tops().len() as i64);
    Ok(())
}

fn info(call: &mut Call<'_, '_>) -> Result<()> {
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
    let flags = described.flags().names();
    let is_movable = keys.are_movable();
    let (first_key, last_key, step) = keys.range(first);

    reply.array(10);
    reply.bulk(described.full_name().as_bytes());
    reply.int(described.arity());
    reply.set(flags.len() + usize::from(is_movable));
    flags.iter().for_each(|flag| reply.status(flag));
    if is_movable {
        reply.status("movablekeys");
    }
    reply.int(first_key);
    reply.int(last_key);
    reply.int(step);
    let categories = described.categories();
    reply.set(categories.len());
    categories
        .iter()
        .for_each(|category| reply.status(category));
    // Hints for cluster clients: none.
    reply.array(0);
    let specs = keys.specs(first);
    reply.array(specs.len());
    for spec in specs {
        write_spec(&spec, described.flags(), reply);
    }
    reply.array(described.subcommands.len());
    for subcommand in described.subcommands() {
        describe(subcommand, reply);
    }
}

/// A rule by which clients find keys: where to begin, and how to go on.
struct KeySpec {
    begin: Begin,
    find: Find,
}

enum Begin {
    /// At this word.
    Index(i64),
    /// Behind this word, which is looked for from a place on.
    Keyword(&'static str, i64),
}

enum Find {
    /// Up to the last key, counted from where it begins (negative: from the end of the request),
    /// in steps; a limit of 2 means the first half.
    Range { last: i64, step: i64, limit: i64 },
    /// As many as the word where it begins says, from the word behind it.
    Count,
}

impl Keys {
    /// Whether the range of [`Keys::range`] does not tell all keys.
    fn are_movable(self) -> bool {
        match self {
            Keys::Counted(_) | Keys::FirstAndCounted(_) | Keys::Streams | Keys::FirstAndStore => {
                true
            }
            Keys::None
            | Keys::First
            | Keys::FirstTwo
            | Keys::All
            | Keys::EveryOther
            | Keys::AllButLast => false,
        }
    }

    /// The first key, the last one (negative: from the end) and the step between them; zeros where
    /// there is no such range.
    fn range(self, first: i64) -> (i64, i64, i64) {
        match self {
            Keys::None | Keys::Counted(_) | Keys::Streams => (0, 0, 0),
            Keys::First | Keys::FirstAndCounted(_) | Keys::FirstAndStore => (first, first, 1),
            Keys::FirstTwo => (first, first + 1, 1),
            Keys::All => (first, -1, 1),
            Keys::EveryOther => (first, -1, 2),
            Keys::AllButLast => (first, -2, 1),
        }
    }

    fn specs(self, first: i64) -> Vec<KeySpec> {
        let range = |last, step| KeySpec {
            begin: Begin::Index(first),
            find: Find::Range {
                last,
                step,
                limit: 0,
            },
        };
        let counted = |at: usize| KeySpec {
            begin: Begin::Index(at as i64),
            find: Find::Count,
        };
        let behind = |word, last, limit| KeySpec {
            begin: Begin::Keyword(word, first),
            find: Find::Range {
                last,
                step: 1,
                limit,
            },
        };
        match self {
            Keys::None => Vec::new(),
            Keys::First => vec![range(0, 1)],
            Keys::FirstTwo => vec![range(1, 1)],
            Keys::All => vec![range(-1, 1)],
            Keys::EveryOther => vec![range(-1, 2)],
            Keys::AllButLast => vec![range(-2, 1)],
            Keys::Counted(at) => vec![counted(at)],
            Keys::FirstAndCounted(at) => vec![range(0, 1), counted(at)],
            Keys::Streams => vec![behind("STREAMS", -1, 2)],
            Keys::FirstAndStore => vec![range(0, 1), behind("STORE", 0, 0)],
        }
    }
}

/// What a command does to its keys, in Redis's words.
fn key_flags(flags: Flags) -> &'static [&'static str] {
    match flags.has(Flags::READONLY) {
        true => &["RO", "access"],
        false => &["RW", "access", "update"],
    }
}

fn write_spec(spec: &KeySpec, flags: Flags, reply: &mut dyn Reply) {
    let flags = key_flags(flags);
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.status(flag));
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => write_rule("index", &[("index", Fact::Int(index))], reply),
        Begin::Keyword(word, from) => {
            let facts = [
                ("keyword", Fact::Text(word)),
                ("startfrom", Fact::Int(from)),
            ];
            write_rule("keyword", &facts, reply);
        }
    }
    reply.bulk(b"find_keys");
    let facts = match spec.find {
        Find::Range { last, step, limit } => {
            [("lastkey", last), ("keystep", step), ("limit", limit)]
        }
        Find::Count => [("keynumidx", 0), ("firstkey", 1), ("keystep", 1)],
    };
    let kind = match spec.find {
        Find::Range { .. } => "range",
        Find::Count => "keynum",
    };
    write_rule(
        kind,
        &facts.map(|(name, number)| (name, Fact::Int(number))),
        reply,
    );
}

#[derive(Clone, Copy)]
enum Fact {
    Int(i64),
    Text(&'static str),
}

fn write_rule(kind: &str, facts: &[(&str, Fact)], reply: &mut dyn Reply) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(facts.len());
    for (name, fact) in facts {
        reply.bulk(name.as_bytes());
        match fact {
            Fact::Int(number) => reply.int(*number),
            Fact::Text(text) => reply.bulk(text.as_bytes()),
        }
    }
}

// --- COMMAND DOCS -----------------------------------------------------------------------------

fn docs(call: &mut Call<'_, '_>) -> Result<()> {
    let wanted: Vec<Described<'_>> = match call.args.is_empty() {
        true => table::tops().iter().map(Described::top).collect(),
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

// --- COMMAND GETKEYS --------------------------------------------------------------------------

fn getkeys(call: &mut Call<'_, '_>) -> Result<()> {
    with_keys(call, |_, keys, reply| reply.bulks(keys))
}

fn getkeysandflags(call: &mut Call<'_, '_>) -> Result<()> {
    with_keys(call, |command, keys, reply| {
        let flags = key_flags(command.flags);
        reply.array(keys.len());
        for key in keys {
            reply.array(2);
            reply.bulk(key);
            reply.set(flags.len());
            flags.iter().for_each(|flag| reply.status(flag));
        }
    })
}

/// Answers something about the keys of the request that follows.
fn with_keys(
    call: &mut Call<'_, '_>,
    answer: impl FnOnce(&Command, &[&[u8]], &mut dyn Reply),
) -> Result<()> {
    let request = call.args.whole().slice(call.command.first()..);
    let command = table::find(request).map_err(|_| Error::text("ERR Invalid command specified"))?;
    if command.keys == Keys::None {
        return Err(Error::text("ERR The command has no key arguments"));
    }
    if !command.arity.allows(request.len()) {
        return Err(Error::text(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let mut keys = Vec::new();
    command.each_key(request, |key| keys.push(key));
    if keys.is_empty() {
        return Err(Error::text("ERR Invalid arguments specified for command"));
    }
    answer(command, &keys, call.reply);
    Ok(())
}

// --- COMMAND LIST -----------------------------------------------------------------------------

/// Which commands COMMAND LIST lists.
enum Filter<'a> {
    All,
    /// Those of a module: there are none.
    Module,
    Category(&'a [u8]),
    Pattern(Vec<u8>),
}

impl Filter<'_> {
    fn allows(&self, described: Described<'_>) -> bool {
        match self {
            Filter::All => true,
            Filter::Module => false,
            Filter::Category(wanted) => described
                .categories()
                .iter()
                .any(|name| name.as_bytes()[1..].eq_ignore_ascii_case(wanted)),
            Filter::Pattern(pattern) => glob::matches(pattern, described.full_name().as_bytes()),
        }
    }
}

fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let filter = match call.args.is_empty() {
        true => Filter::All,
        false if !call.args.option("FILTERBY") => return Err(Error::Syntax),
        false if call.args.option("MODULE") => {
            call.args.bytes()?;
            Filter::Module
        }
        false if call.args.option("ACLCAT") => Filter::Category(call.args.bytes()?),
        false if call.args.option("PATTERN") => {
            Filter::Pattern(call.args.bytes()?.to_ascii_lowercase())
        }
        false => return Err(Error::Syntax),
    };
    call.args.end()?;

    let mut names = Vec::new();
    for top in table::tops() {
        let top = Described::top(top);
        let all = std::iter::once(top).chain(top.subcommands());
        let allowed = all.filter(|described| match filter {
            // Without a filter, containers stand for their subcommands.
            Filter::All => !described.name.contains(' '),
            _ => filter.allows(*described),
        });
        names.extend(allowed.map(Described::full_name));
    }
    call.reply.array(names.len());
    names
        .iter()
        .for_each(|name| call.reply.bulk(name.as_bytes()));
    Ok(())
}
