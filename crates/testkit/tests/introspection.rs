//! What a server says of itself and of its commands, beside what real servers say: each difference is
//! meant, and stands in a table with its reason.

#![allow(clippy::panic, reason = "a test that can not go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use larder_embedded::{Config, Embedded};
use larder_engine::absent_fields;
use larder_resp::{Frame, write_request};
use larder_testkit::{Server, ServerKind};

/// A connection that speaks RESP2.
struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Connection {
    fn to(address: SocketAddr) -> Connection {
        Connection {
            stream: TcpStream::connect(address).expect("the server listens"),
            input: Vec::new(),
        }
    }

    fn to_server(server: &Server) -> Connection {
        Connection::to(SocketAddr::from(([127, 0, 0, 1], server.port())))
    }

    fn send(&mut self, request: &str) -> Frame {
        let words: Vec<&str> = request.split(' ').collect();
        let mut bytes = Vec::new();
        write_request(&mut bytes, &words);
        self.stream.write_all(&bytes).expect("the server reads");
        let mut buffer = [0; 1 << 16];
        loop {
            if let Some((frame, len)) = Frame::read(&self.input).expect("it is RESP") {
                self.input.drain(..len);
                return frame;
            }
            let len = self.stream.read(&mut buffer);
            let len = len.expect("the server answers");
            self.input.extend_from_slice(&buffer[..len]);
        }
    }
}

/// A server of ours with what it stands on, and a connection to it.
fn ours() -> ((Embedded, larder_server::Server), Connection) {
    let embedded = Embedded::open(Config::default()).expect("the system gives a thread");
    let config = larder_server::Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        ..larder_server::Config::default()
    };
    let server = larder_server::Server::start(config, &embedded).expect("there is a free port");
    let connection = Connection::to(server.addresses()[0]);
    ((embedded, server), connection)
}

fn text(frame: &Frame) -> String {
    match frame {
        Frame::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Frame::Status(text) => text.clone(),
        other => panic!("a text, and not {other:?}"),
    }
}

fn items(frame: &Frame) -> &[Frame] {
    match frame {
        Frame::Array(items) => items,
        other => panic!("an array, and not {other:?}"),
    }
}

// --- INFO ---------------------------------------------------------------------------------------

/// Sections whose fields are made of what has happened, or that stand for what is not here.
const OTHER_SECTIONS: &[&str] = &["Commandstats", "Errorstats", "Latencystats", "Keyspace"];

/// The sections of INFO, and their fields.
fn fields(connection: &mut Connection) -> BTreeMap<String, BTreeSet<String>> {
    let info = text(&connection.send("INFO everything"));
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in info.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            title.clone_into(&mut section);
        } else if let Some((name, _)) = line.split_once(':') {
            // There is one for each kind of socket.
            let name = match name.starts_with("listener") {
                true => "listener",
                false => name,
            };
            let fields = sections.entry(section.clone()).or_default();
            fields.insert(name.to_owned());
        }
    }
    sections
}

fn every_field_is_there_or_is_said_to_be_absent(kind: ServerKind) {
    let Some(server) = Server::start(kind) else {
        return;
    };
    let (_server, mut connection) = ours();
    let ours = fields(&mut connection);
    let theirs = fields(&mut Connection::to_server(&server));

    let mut forgotten = Vec::new();
    for (section, fields) in &theirs {
        if OTHER_SECTIONS.contains(&section.as_str()) {
            continue;
        }
        for field in fields {
            let is_there = ours.get(section).is_some_and(|ours| ours.contains(field));
            let is_absent = absent_fields().iter().any(|absent| absent.contains(field));
            if is_there == is_absent {
                forgotten.push(format!("{section}: {field}"));
            }
        }
    }
    assert!(forgotten.is_empty(), "{forgotten:#?}");
}

#[test]
fn every_field_of_redis_is_there_or_is_said_to_be_absent() {
    every_field_is_there_or_is_said_to_be_absent(ServerKind::Redis);
}

#[test]
fn every_field_of_valkey_is_there_or_is_said_to_be_absent() {
    every_field_is_there_or_is_said_to_be_absent(ServerKind::Valkey);
}

// --- COMMAND ------------------------------------------------------------------------------------

/// What COMMAND INFO says of a command, by the names of its parts.
type Facts = BTreeMap<&'static str, String>;

/// The parts of what COMMAND INFO says of a command, but for its name and its subcommands.
const PARTS: [&str; 8] = [
    "arity",
    "flags",
    "first key",
    "last key",
    "step",
    "categories",
    "tips",
    "key specs",
];

/// Parts whose items come in no order.
const UNORDERED: [&str; 3] = ["flags", "categories", "tips"];

/// What all commands and subcommands are, by name.
fn table(connection: &mut Connection) -> BTreeMap<String, Facts> {
    let mut table = BTreeMap::new();
    items(&connection.send("COMMAND"))
        .iter()
        .for_each(|command| collect(command, &mut table));
    table
}

fn collect(command: &Frame, table: &mut BTreeMap<String, Facts>) {
    let parts = items(command);
    let (name, facts) = parts.split_first().expect("a command has a name");
    let described = PARTS.iter().zip(facts).map(|(part, fact)| {
        let fact = match UNORDERED.contains(part) {
            true => sorted(fact),
            false => shown(fact),
        };
        (*part, fact)
    });
    table.insert(text(name), described.collect());
    let subcommands = parts.last().expect("there is a list of subcommands");
    items(subcommands)
        .iter()
        .for_each(|subcommand| collect(subcommand, table));
}

fn sorted(frame: &Frame) -> String {
    let mut texts: Vec<String> = items(frame).iter().map(text).collect();
    texts.sort_unstable();
    texts.join(" ")
}

fn shown(frame: &Frame) -> String {
    match frame {
        Frame::Integer(number) => number.to_string(),
        Frame::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("({})", items.join(" "))
        }
        other => text(other),
    }
}

/// Differences from Redis 7.0 that are meant: a command, what differs, and why.
const OF_REDIS: &[(&str, &str, &str)] = &[
    ("blmove", "flags", OF_SCRIPTS),
    ("blpop", "flags", OF_SCRIPTS),
    ("brpop", "flags", OF_SCRIPTS),
    ("brpoplpush", "flags", OF_SCRIPTS),
    ("bzpopmax", "flags", OF_SCRIPTS),
    ("bzpopmin", "flags", OF_SCRIPTS),
    ("command|getkeys", "arity", OF_7_2),
    ("command|getkeysandflags", "arity", OF_7_2),
    ("pfdebug", "last key", OF_LAST),
    ("pfdebug", "key specs", OF_LAST),
    ("wait", "flags", WAIT_OF_7_2),
    ("wait", "categories", WAIT_OF_7_2),
    ("zrank", "arity", WITH_SCORE),
    ("zrevrank", "arity", WITH_SCORE),
];

const OF_SCRIPTS: &str = "as of 7.2 scripts may call it, where it does not wait";
const OF_7_2: &str = "as of 7.2 a request of one word is refused as one without keys";
const WAIT_OF_7_2: &str = "as of 7.2 it blocks, and scripts may call it";
const OF_LAST: &str = "its key is its last word, and is found from there";
const WITH_SCORE: &str = "as of 7.2 it has WITHSCORE";

/// The same of Valkey's commands that Redis 7.0 has not.
const OF_VALKEY: &[(&str, &str, &str)] = &[
    ("client|no-touch", "flags", OF_8_0),
    ("clusterscan", "flags", OF_ONE),
    ("clusterscan", "first key", OF_ONE),
    ("clusterscan", "last key", OF_ONE),
    ("clusterscan", "step", OF_ONE),
    ("clusterscan", "categories", OF_ONE),
    ("clusterscan", "tips", OF_ONE),
    ("clusterscan", "key specs", OF_ONE),
    ("cluster|flushslot", "flags", OF_ONE),
    ("cluster|flushslot", "categories", OF_ONE),
    ("cluster|myshardid", "flags", OF_8_0),
    ("cluster|slot-stats", "flags", OF_ONE),
    ("client|setinfo", "flags", OF_8_0),
    ("hgetex", "key specs", OF_8_0),
    ("hpttl", "tips", OF_8_0),
    ("hsetex", "key specs", OF_8_0),
    ("httl", "tips", OF_8_0),
];

const OF_ONE: &str = "there is no cluster: it is refused, and touches nothing";
const OF_8_0: &str = "Redis 8.0 has it as well, and says so";

fn differences(
    ours: &BTreeMap<String, Facts>,
    theirs: &BTreeMap<String, Facts>,
    meant: &[(&str, &str, &str)],
) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, facts) in ours {
        let Some(their_facts) = theirs.get(name) else {
            continue;
        };
        for part in PARTS {
            let (our, their) = (&facts[part], &their_facts[part]);
            let mut rows = meant.iter();
            let is_meant = rows.any(|(of, what, _)| of == name && *what == part);
            match our == their {
                false if !is_meant => {
                    differences.push(format!("{name}: {part}: {our:?} and not {their:?}"));
                }
                true if is_meant => {
                    differences.push(format!("{name}: {part}: is meant to differ, and does not"));
                }
                _ => {}
            }
        }
    }
    differences
}

#[test]
fn commands_of_redis_are_described_as_redis_describes_them() {
    let Some(server) = Server::start(ServerKind::Redis) else {
        return;
    };
    let (_server, mut connection) = ours();
    let theirs = table(&mut Connection::to_server(&server));
    let differences = differences(&table(&mut connection), &theirs, OF_REDIS);
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn commands_that_redis_lacks_are_described_as_valkey_describes_them() {
    let servers = (
        Server::start(ServerKind::Redis),
        Server::start(ServerKind::Valkey),
    );
    let (Some(redis), Some(valkey)) = servers else {
        return;
    };
    let (_server, mut connection) = ours();
    let of_redis = table(&mut Connection::to_server(&redis));
    let mut theirs = table(&mut Connection::to_server(&valkey));
    theirs.retain(|name, _| !of_redis.contains_key(name));
    let differences = differences(&table(&mut connection), &theirs, OF_VALKEY);
    assert!(differences.is_empty(), "{differences:#?}");
}

// --- COMMAND DOCS -------------------------------------------------------------------------------

/// What COMMAND DOCS says of a command that is no text of its own, by name.
fn docs(connection: &mut Connection) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut docs = BTreeMap::new();
    collect_docs(&connection.send("COMMAND DOCS"), &mut docs);
    docs
}

/// Adds what stands of commands in a list of their names and documents.
fn collect_docs(commands: &Frame, docs: &mut BTreeMap<String, BTreeMap<String, String>>) {
    for (name, document) in pairs(commands) {
        let mut facts = BTreeMap::new();
        for (part, value) in pairs(document) {
            match text(part).as_str() {
                "subcommands" => collect_docs(value, docs),
                "doc_flags" => drop(facts.insert("doc_flags".to_owned(), sorted(value))),
                "arguments" if !rules(value).is_empty() => {
                    facts.insert("rules".to_owned(), rules(value));
                }
                part @ ("since" | "group" | "deprecated_since" | "replaced_by") => {
                    facts.insert(part.to_owned(), shown(value));
                }
                _ => {}
            }
        }
        docs.insert(text(name), facts);
    }
}

/// By which rules for keys the arguments go, in order.
fn rules(arguments: &Frame) -> String {
    let parts = items(arguments).iter().flat_map(pairs);
    let of_parts = parts.filter_map(|(part, value)| match text(part).as_str() {
        "key_spec_index" => Some(shown(value)),
        "arguments" => Some(rules(value)),
        _ => None,
    });
    let rules: Vec<String> = of_parts.filter(|rules| !rules.is_empty()).collect();
    rules.join(" ")
}

/// Names and values that stand in turn.
fn pairs(frame: &Frame) -> impl Iterator<Item = (&Frame, &Frame)> {
    let pairs = items(frame).chunks_exact(2);
    pairs.map(|pair| (&pair[0], &pair[1]))
}

/// Commands that Redis advises against as of 7.2.
const DEPRECATED_LATER: &[&str] = &["psetex", "quit", "setex", "setnx"];

#[test]
fn documents_have_the_groups_and_the_versions_of_redis_and_name_what_is_deprecated() {
    let Some(server) = Server::start(ServerKind::Redis) else {
        return;
    };
    let (_server, mut connection) = ours();
    let (ours, theirs) = (
        docs(&mut connection),
        docs(&mut Connection::to_server(&server)),
    );
    let differ = ours.iter().filter(|(name, facts)| {
        let theirs = theirs.get(*name);
        theirs.is_some_and(|theirs| theirs != *facts)
    });
    let differ: Vec<&str> = differ.map(|(name, _)| name.as_str()).collect();
    assert_eq!(differ, DEPRECATED_LATER);
}
