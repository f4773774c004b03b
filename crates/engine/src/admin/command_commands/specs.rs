//! The rules by which clients find the keys of a request, for COMMAND INFO.

use super::described::Described;
use crate::access::Access;
use crate::command::{KeySpec, Row};
use crate::reply::Reply;

/// A rule: where to begin, and how to go on.
struct Rule {
    begin: Begin,
    find: Find,
    access: Access,
    /// What the rule does not tell.
    notes: Option<&'static str>,
}

enum Begin {
    /// At this word.
    Index(i64),
    /// Behind this word, which is looked for from a place on.
    Keyword(&'static str, i64),
    /// Where, the rules can't tell.
    Unknown,
}

enum Find {
    /// Up to the last key, counted from where it begins (negative: from the end of the request),
    /// in steps; a limit of 2 means the first half.
    Range {
        last: i64,
        step: i64,
        limit: i64,
    },
    /// As many as the word where it begins says, from the word behind it, in steps.
    Count {
        step: i64,
    },
    Unknown,
}

const OF_SORT: &str = "For the optional BY/GET keyword. It is marked 'unknown' because the key \
                       names derive from the content of the key we sort";
const OF_STORE: &str = "For the optional STORE keyword. It is marked 'unknown' because the keyword \
                        can appear anywhere in the argument array";
const OF_KEYS: &str = "For the optional KEYS keyword, behind which all words are keys";
/// What the access of a command's first keys does not tell.
const NOTES: &[(&str, &str)] = &[
    (
        "BITFIELD",
        "This command allows both access and modification of the key",
    ),
    (
        "EVAL",
        "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
    ),
    (
        "EVAL_RO",
        "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
    ),
    (
        "FCALL",
        "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE",
    ),
    (
        "FCALL_RO",
        "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS",
    ),
    ("GETEX", "RW and UPDATE because it changes the TTL"),
    ("HGETEX", "RW and UPDATE because it changes the TTL"),
    (
        "PFCOUNT",
        "RW because it may change the internal representation of the key, and propagate to replicas",
    ),
    ("SET", "RW and ACCESS due to the optional `GET` argument"),
    (
        "XADD",
        "UPDATE instead of INSERT because of the optional trimming feature",
    ),
];

/// Commands that do other things with their keys by their words.
const VARIABLE: &[&str] = &["BITFIELD", "SET"];

/// Whether a [`range`] does not tell all keys.
pub(super) fn are_movable(keys: KeySpec) -> bool {
    match keys {
        KeySpec::ThirdAndKeys
        | KeySpec::Counted(_)
        | KeySpec::CountedPairs(_)
        | KeySpec::FirstAndCounted(_)
        | KeySpec::Streams
        | KeySpec::FirstAndStore(_) => true,
        KeySpec::None
        | KeySpec::First
        | KeySpec::FirstTwo
        | KeySpec::All
        | KeySpec::EveryOther
        | KeySpec::AllButLast
        | KeySpec::AllButFirst => false,
    }
}

/// The first key, the last one (negative: from the end) and the step between them; zeros where there is
/// no such range. `first` is the place of the first word after the name.
pub(super) fn range(keys: KeySpec, first: i64) -> (i64, i64, i64) {
    match keys {
        KeySpec::None | KeySpec::Counted(_) | KeySpec::CountedPairs(_) | KeySpec::Streams => {
            (0, 0, 0)
        }
        KeySpec::First | KeySpec::FirstAndCounted(_) | KeySpec::FirstAndStore(_) => {
            (first, first, 1)
        }
        KeySpec::FirstTwo => (first, first + 1, 1),
        KeySpec::ThirdAndKeys => (first + 2, first + 2, 1),
        KeySpec::All => (first, -1, 1),
        KeySpec::EveryOther => (first, -1, 2),
        KeySpec::AllButLast => (first, -2, 1),
        KeySpec::AllButFirst => (first + 1, -1, 1),
    }
}

/// How many rules there are for a command.
pub(super) fn count(described: Described<'_>) -> usize {
    described.command.map_or(0, |command| specs(command).len())
}

/// Writes the rules for a command.
pub(super) fn write(described: Described<'_>, reply: &mut dyn Reply) {
    let mut specs = described.command.map_or_else(Vec::new, specs);
    let mut notes = NOTES.iter();
    if let Some((_, notes)) = notes.find(|(name, _)| *name == described.name)
        && let Some(spec) = specs.first_mut()
    {
        spec.notes = Some(notes);
    }
    reply.array(specs.len());
    for spec in specs {
        write_spec(&spec, VARIABLE.contains(&described.name), reply);
    }
}

fn specs(command: &Row) -> Vec<Rule> {
    let first = command.first() as i64;
    let (one, others) = match command.accesses() {
        [one] => (*one, None),
        [one, other, ..] => (*one, Some(*other)),
        [] => return Vec::new(),
    };
    let spec = |begin, find, access| Rule {
        begin,
        find,
        access,
        notes: None,
    };
    let range = |first, last, step, access| {
        let find = Find::Range {
            last,
            step,
            limit: 0,
        };
        spec(Begin::Index(first), find, access)
    };
    let counted = |at: usize, access| {
        let step = match command.keys {
            KeySpec::CountedPairs(_) => 2,
            _ => 1,
        };
        spec(Begin::Index(at as i64), Find::Count { step }, access)
    };
    let unknown = |access, notes| Rule {
        begin: Begin::Unknown,
        find: Find::Unknown,
        access,
        notes: Some(notes),
    };
    match (command.keys, others) {
        (KeySpec::None, _) => Vec::new(),
        (KeySpec::First, _) if command.name == "SORT_RO" => {
            vec![range(first, 0, 1, one), unknown(one, OF_SORT)]
        }
        (KeySpec::First, _) => vec![range(first, 0, 1, one)],
        (KeySpec::FirstTwo, None) => vec![range(first, 1, 1, one)],
        (KeySpec::FirstTwo, Some(other)) => {
            vec![range(first, 0, 1, one), range(first + 1, 0, 1, other)]
        }
        (KeySpec::All, None) => vec![range(first, -1, 1, one)],
        (KeySpec::All, Some(other)) => {
            vec![range(first, 0, 1, one), range(first + 1, -1, 1, other)]
        }
        (KeySpec::EveryOther, _) => vec![range(first, -1, 2, one)],
        (KeySpec::AllButLast, _) => vec![range(first, -2, 1, one)],
        (KeySpec::AllButFirst, None) => vec![range(first + 1, -1, 1, one)],
        (KeySpec::AllButFirst, Some(other)) => {
            vec![range(first + 1, 0, 1, one), range(first + 2, -1, 1, other)]
        }
        (KeySpec::Counted(at) | KeySpec::CountedPairs(at), _) => vec![counted(at, one)],
        (KeySpec::ThirdAndKeys, _) => {
            vec![range(first + 2, 0, 1, one), unknown(one, OF_KEYS)]
        }
        (KeySpec::FirstAndCounted(at), other) => {
            vec![range(first, 0, 1, one), counted(at, other.unwrap_or(one))]
        }
        (KeySpec::Streams, _) => {
            // The name of a group or a consumer may be STREAMS.
            let from = match command.name {
                "XREADGROUP" => 4,
                _ => 1,
            };
            let find = Find::Range {
                last: -1,
                step: 1,
                limit: 2,
            };
            vec![spec(Begin::Keyword("STREAMS", from), find, one)]
        }
        (KeySpec::FirstAndStore(from), Some(other)) if command.name != "SORT" => {
            let find = || Find::Range {
                last: 0,
                step: 1,
                limit: 0,
            };
            let stored = |word| spec(Begin::Keyword(word, from as i64), find(), other);
            vec![
                range(first, 0, 1, one),
                stored("STORE"),
                stored("STOREDIST"),
            ]
        }
        (KeySpec::FirstAndStore(_), other) => vec![
            range(first, 0, 1, one),
            unknown(one, OF_SORT),
            unknown(other.unwrap_or(one), OF_STORE),
        ],
    }
}

/// Writes a rule; what is done with the keys may differ from one request to another.
fn write_spec(spec: &Rule, may_differ: bool, reply: &mut dyn Reply) {
    let mut flags = spec.access.names().to_vec();
    if may_differ {
        flags.push("variable_flags");
    }
    reply.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        reply.bulk(b"notes");
        reply.bulk(notes.as_bytes());
    }
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
        Begin::Unknown => write_rule("unknown", &[], reply),
    }
    reply.bulk(b"find_keys");
    let (kind, facts) = match spec.find {
        Find::Range { last, step, limit } => (
            "range",
            [("lastkey", last), ("keystep", step), ("limit", limit)],
        ),
        Find::Count { step } => (
            "keynum",
            [("keynumidx", 0), ("firstkey", 1), ("keystep", step)],
        ),
        Find::Unknown => return write_rule("unknown", &[], reply),
    };
    let facts = facts.map(|(name, number)| (name, Fact::Int(number)));
    write_rule(kind, &facts, reply);
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
