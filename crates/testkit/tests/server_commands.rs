//! The list of the commands of servers, from which COMMANDS.md says what is missing.

#![allow(clippy::panic, reason = "a test that can not go on fails")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use larder_engine::{Engine, Now, RespReply, Session, commands};
use larder_resp::{ArgumentBuffer, Frame, write_request};
use larder_testkit::{Server, ServerKind};

const LIST: &str = include_str!("../../engine/examples/server-commands.txt");

/// Each name with its other two columns.
fn list() -> HashMap<&'static str, (&'static str, &'static str)> {
    let lines = LIST.lines().filter(|line| !line.starts_with('#'));
    let columns = lines.map(|line| {
        let columns: Vec<&str> = line.split(" | ").collect();
        let [name, servers, why] = columns[..] else {
            panic!("three columns: {line}");
        };
        (name, (servers, why))
    });
    columns.collect()
}

/// What the server answers.
fn ask(server: &Server, words: &[&str]) -> Frame {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("the server listens");
    let mut request = Vec::new();
    write_request(&mut request, words);
    stream.write_all(&request).expect("the server reads");
    let (mut input, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some((frame, _)) = Frame::read(&input).expect("it is RESP") {
            return frame;
        }
        let len = stream.read(&mut buffer).expect("the server answers");
        input.extend_from_slice(&buffer[..len]);
    }
}

/// What the server answers to COMMAND LIST.
fn names_of(server: &Server) -> Vec<String> {
    let Frame::Array(names) = ask(server, &["COMMAND", "LIST"]) else {
        panic!("a list of names");
    };
    let name = |frame| match frame {
        Frame::Bulk(name) => String::from_utf8_lossy(&name).to_uppercase(),
        other => panic!("a name, and not {other:?}"),
    };
    names.into_iter().map(name).collect()
}

fn every_command_is_listed(kind: ServerKind, column: &str) {
    let Some(server) = Server::start(kind) else {
        return;
    };
    let list = list();
    for name in names_of(&server) {
        let name = name.replace('|', " ");
        let listed = list.get(&*name);
        let is_listed = listed.is_some_and(|(servers, _)| servers.contains(column));
        assert!(
            is_listed,
            "{name} of {kind:?} is not in the list: {listed:?}"
        );
    }
}

#[test]
fn every_command_of_redis_is_listed() {
    every_command_is_listed(ServerKind::Redis, "redis");
}

#[test]
fn every_command_of_valkey_is_listed() {
    every_command_is_listed(ServerKind::Valkey, "valkey");
}

/// COMMANDS.md is generated from the list and from the engine's table, and a test says that it is fresh:
/// so what is in neither of its tables is no command of these servers.
#[test]
fn a_command_that_is_missing_has_one_word_for_why() {
    let is_here =
        |name: &str| commands().any(|(_, row)| row.name == name || row.container() == Some(name));
    for (name, (_, why)) in list() {
        assert!(!why.is_empty() && !why.contains(' '), "{name}: {why}");
        let is_here = is_here(name);
        let document = include_str!("../../../COMMANDS.md");
        let is_named_missing = document.contains(&format!("| `{name}` | "));
        let has_row =
            document.contains(&format!("| `{name} ")) || document.contains(&format!("| `{name}`"));
        assert!(has_row, "{name} is in no table of COMMANDS.md");
        assert!(
            is_here || is_named_missing,
            "{name} is missing, and COMMANDS.md does not say so"
        );
    }
}

// --- what is said of commands -----------------------------------------------------------------

/// Commands of which something else is said here than in Redis 7.0, with the reason.
const SAID_OTHERWISE: &[(&[&str], &str)] = &[
    (
        &[
            "blmove",
            "blpop",
            "brpop",
            "brpoplpush",
            "bzpopmax",
            "bzpopmin",
            "wait",
        ],
        "scripts may call it since Redis 7.2",
    ),
    (
        &["command|getkeys", "command|getkeysandflags"],
        "wants a word less since Redis 7.2",
    ),
    (
        &["pfdebug"],
        "has its key in the same place, said otherwise",
    ),
    (&["zrank", "zrevrank"], "takes an option since Redis 7.2"),
];

/// What the engine answers.
fn ask_engine(words: &[&str]) -> Frame {
    let now = Now::from_unix_us(1_700_000_000_000_000);
    let engine = Engine::new([7; 32], now);
    let mut request = ArgumentBuffer::new();
    words.iter().for_each(|word| request.push(word.as_bytes()));
    let mut out = Vec::new();
    let mut reply = RespReply::new(&mut out, false);
    let request = request.as_arguments();
    let _ = engine.execute(&mut Session::local(), request, &now, &mut reply);
    Frame::read(&out)
        .expect("it is RESP")
        .expect("it is whole")
        .0
}

/// What COMMAND INFO says of a command: its name, arity, flags, the places of its keys, categories and
/// tips. Flags and categories are sets.
fn said_of(frames: Frame) -> Vec<Vec<String>> {
    let Frame::Array(all) = frames else {
        panic!("a list of commands");
    };
    let said = |frame| match frame {
        Frame::Array(values) => values.into_iter().take(8).map(words_of),
        other => panic!("a command, and not {other:?}"),
    };
    all.into_iter()
        .map(|frame| said(frame).collect::<Vec<String>>())
        .collect()
}

fn words_of(frame: Frame) -> String {
    match frame {
        Frame::Array(items) => {
            let mut items: Vec<String> = items.into_iter().map(words_of).collect();
            items.sort_unstable();
            items.join(" ")
        }
        Frame::Bulk(word) => String::from_utf8_lossy(&word).into_owned(),
        Frame::Status(word) => word,
        Frame::Integer(number) => number.to_string(),
        other => panic!("words, and not {other:?}"),
    }
}

#[test]
fn what_is_said_of_a_command_is_what_redis_says() {
    let Some(server) = Server::start(ServerKind::Redis) else {
        return;
    };
    let is_ours = |name: &str| commands().any(|(_, row)| row.name.replace(' ', "|") == name);
    let names = names_of(&server);
    let names = names.iter().filter(|name| is_ours(name));
    let words: Vec<&str> = names.map(String::as_str).collect();
    let words = [&["COMMAND", "INFO"], &*words].concat();
    let (ours, theirs) = (said_of(ask_engine(&words)), said_of(ask(&server, &words)));
    assert!(ours.len() > 300, "{}", ours.len());
    let mut wrong = Vec::new();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let mut known = SAID_OTHERWISE.iter();
        let is_known = known.any(|(names, _)| names.contains(&&*ours[0]));
        if (ours != theirs) != is_known {
            wrong.push(format!("{ours:?}\n  Redis: {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
