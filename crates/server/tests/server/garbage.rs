//! Whatever bytes come, the server answers or closes, and goes on serving others.
//!
//! `LARDER_GARBAGE_CONNECTIONS=100000 LARDER_GARBAGE_SEED=1 cargo test -p larder-server garbage`
//! runs longer, and with other bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use larder_engine::commands;
use larder_resp::write_request;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::support::{PATIENCE, TestServer, status};

/// How many connections send something where nothing else is asked for.
const CONNECTIONS: u64 = 400;

/// Words that requests are made of. The first few are keys.
const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "",
    "0",
    "1",
    "-1",
    "2",
    "100",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "*",
    ">",
    "$",
    "+",
    "-",
    "(1",
    "[a",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "LIMIT",
    "COUNT",
    "WITHSCORES",
    "STREAMS",
    "GROUP",
    "LEFT",
    "RIGHT",
    "MATCH",
    "EX",
    "PX",
    "GET",
    "STORE",
    "BY",
    "return redis.call(unpack(ARGV))",
    "return {KEYS, ARGV}",
    "1-1",
    "5-*",
    "\0\u{ff}",
];

#[test]
fn no_bytes_keep_the_server_from_serving_others() {
    let server = TestServer::start();
    let mut other = server.connect();
    let first = number("LARDER_GARBAGE_SEED", 0);
    for seed in first..first + number("LARDER_GARBAGE_CONNECTIONS", CONNECTIONS) {
        let mut random = StdRng::seed_from_u64(seed);
        let bytes = bytes(&mut random);
        let socket = TcpStream::connect(server.address()).unwrap();
        let answers = exchange(socket, &bytes, &mut random);
        let shown = || format!("seed {seed}: {}", bytes.escape_ascii());
        let answers = answers.unwrap_or_else(|error| panic!("{error}: {}", shown()));
        let defect = b"internal error";
        let is_broken = answers.windows(defect.len()).any(|window| window == defect);
        assert!(!is_broken, "{}", shown());
        assert_eq!(other.ask("PING"), status("PONG"), "{}", shown());
    }
}

/// Sends the bytes in pieces, and reads until the server closes, which it does when there is no
/// more to come.
fn exchange(mut socket: TcpStream, bytes: &[u8], random: &mut StdRng) -> std::io::Result<Vec<u8>> {
    socket.set_read_timeout(Some(PATIENCE))?;
    for piece in bytes.chunks(random.random_range(1..2000)) {
        // A server that has closed takes no more.
        if socket.write_all(piece).is_err() {
            break;
        }
    }
    // One that has closed can't be told.
    let _ = socket.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    match socket.read_to_end(&mut answers) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error),
        _ => Ok(answers),
    }
}

fn bytes(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(1..12) {
        match random.random_range(0..10) {
            0..7 => request(random, &mut bytes),
            7 => bytes.extend((0..random.random_range(0..40)).map(|_| random.random::<u8>())),
            8 => {
                let marks = b"*$-019\r\n\r\n \"'+:_";
                let mark = |random: &mut StdRng| *marks.choose(random).unwrap_or(&b'*');
                bytes.extend((0..random.random_range(0..20)).map(|_| mark(random)));
            }
            _ => {
                let mut broken = Vec::new();
                request(random, &mut broken);
                let place = random.random_range(0..broken.len());
                broken[place] = random.random();
                bytes.extend(broken);
            }
        }
    }
    bytes
}

/// A request with the name of a command, and any words behind it.
fn request(random: &mut StdRng, bytes: &mut Vec<u8>) {
    // What changes the server for the others is not sent: CONFIG SET, CLIENT KILL.
    let names: Vec<&str> = commands()
        .map(|(_, command)| command.name)
        .filter(|name| !name.starts_with("CONFIG") && *name != "CLIENT KILL")
        .collect();
    let name = names.choose(random).copied().unwrap_or("PING");
    let mut words: Vec<&str> = name.split(' ').collect();
    for _ in 0..random.random_range(0..7) {
        words.extend(WORDS.choose(random));
    }
    write_request(bytes, &words);
}

/// The number in a variable of the environment.
fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
