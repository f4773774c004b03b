//! The list of the commands of servers, from which COMMANDS.md says what is missing.

#![allow(clippy::panic, reason = "a test that can not go on fails")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use larder_engine::commands;
use larder_resp::{Frame, write_request};
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

/// What the server answers to COMMAND LIST.
fn names_of(server: &Server) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("the server listens");
    let mut request = Vec::new();
    write_request(&mut request, &["COMMAND", "LIST"]);
    stream.write_all(&request).expect("the server reads");
    let (mut input, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some((Frame::Array(names), _)) = Frame::read(&input).expect("it is RESP") {
            let name = |frame| match frame {
                Frame::Bulk(name) => String::from_utf8_lossy(&name).to_uppercase(),
                other => panic!("a name, and not {other:?}"),
            };
            return names.into_iter().map(name).collect();
        }
        let len = stream.read(&mut buffer).expect("the server answers");
        input.extend_from_slice(&buffer[..len]);
    }
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
