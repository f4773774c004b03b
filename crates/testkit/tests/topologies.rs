//! The program that holds topologies for other processes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use larder_testkit::{Cluster, Node, PATIENCE, Sentinels, Server, ServerKind, Shelf, until};

/// The program, with one topology of each kind on its shelf; or nothing, where there is no server.
fn start() -> Option<(Child, Shelf)> {
    Server::start(ServerKind::Redis)?;
    let mut program = Command::new(env!("CARGO_BIN_EXE_topologies"))
        .arg("1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut folder = String::new();
    let output = program.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut folder).unwrap();
    Some((program, Shelf::at(folder.trim_end().into())))
}

/// The ports of all servers of the program.
fn ports(shelf: &Shelf) -> Vec<u16> {
    let cluster = shelf.lend::<Cluster>(ServerKind::Redis);
    let sentinels = shelf.lend::<Sentinels>(ServerKind::Redis);
    let of_sentinels = sentinels
        .topology
        .nodes
        .iter()
        .chain(&sentinels.topology.sentinels);
    let all = cluster.topology.nodes.iter().chain(of_sentinels);
    all.map(Node::port).collect()
}

fn until_all_is_gone(ports: &[u16], folder: &Path) {
    until("no server is left", PATIENCE, || {
        ports
            .iter()
            .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_err())
    });
    until("the folder is gone", PATIENCE, || !folder.exists());
}

#[test]
fn what_the_program_holds_ends_when_its_input_is_closed() {
    let Some((mut program, shelf)) = start() else {
        return;
    };
    let ports = ports(&shelf);
    assert_eq!(ports.len(), 12);
    drop(program.stdin.take());
    assert!(program.wait().unwrap().success());
    until_all_is_gone(&ports, shelf.folder());
}

/// A process that is killed runs no destructor, and its servers stayed for ever.
#[test]
fn what_the_program_holds_ends_when_it_is_killed() {
    let Some((mut program, shelf)) = start() else {
        return;
    };
    let ports = ports(&shelf);
    program.kill().unwrap();
    program.wait().unwrap();
    until_all_is_gone(&ports, shelf.folder());
}

#[test]
fn a_topology_that_is_beyond_repair_is_replaced() {
    let Some((mut program, shelf)) = start() else {
        return;
    };
    let lease = shelf.lend::<Cluster>(ServerKind::Redis);
    let lost = lease.topology.nodes[0].port();
    lease.topology.nodes[0].try_ask(&["SHUTDOWN", "NOSAVE"]);
    drop(lease);
    let lease = shelf.lend::<Cluster>(ServerKind::Redis);
    assert!(lease.topology.nodes.iter().all(|node| node.port() != lost));
    drop(program.stdin.take());
    program.wait().unwrap();
}
