//! Fills a server before it is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::{Result, bail};

use crate::servers::Server;

/// How many commands are on their way at a time.
const BATCH: usize = 1000;
/// What a server is told by.
const TOLD: [&str; 5] = [
    "redis_version",
    "valkey_version",
    "larder_version",
    "kevy_version",
    "mem_allocator",
];

/// Sends `count` commands, each answered by one line, and checks that none is refused.
pub(super) fn load(
    server: &Server,
    count: usize,
    command: impl Fn(usize) -> Vec<String>,
) -> Result<()> {
    let stream = server.connect()?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut sent = 0;
    while sent < count {
        let batch = BATCH.min(count - sent);
        send(&stream, (sent..sent + batch).map(&command))?;
        (0..batch).try_for_each(|_| expect_one_line(&mut answers))?;
        sent += batch;
    }
    Ok(())
}

/// Sends one command that is answered by one line.
pub(super) fn send_one(server: &Server, command: &[&str]) -> Result<()> {
    load(server, 1, |_| {
        command.iter().map(|&word| word.into()).collect()
    })
}

fn send(mut stream: &TcpStream, commands: impl Iterator<Item = Vec<String>>) -> Result<()> {
    let mut bytes = Vec::new();
    for words in commands {
        write!(bytes, "*{}\r\n", words.len())?;
        for word in words {
            write!(bytes, "${}\r\n{word}\r\n", word.len())?;
        }
    }
    Ok(stream.write_all(&bytes)?)
}

fn expect_one_line(answers: &mut impl BufRead) -> Result<()> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    match line.as_bytes().first() {
        Some(b'+' | b':') => Ok(()),
        _ => bail!(
            "the server answered {:?} while it was filled",
            line.trim_end()
        ),
    }
}

/// The version of a server and whose memory it allocates, as it says itself.
pub(super) fn info(server: &Server) -> Result<String> {
    let mut said = Vec::new();
    for section in ["server", "memory"] {
        let stream = server.connect()?;
        send(
            &stream,
            std::iter::once(vec!["INFO".into(), section.into()]),
        )?;
        let mut answers = BufReader::new(stream);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let len = line.trim_end().trim_start_matches('$').parse()?;
        let mut text = vec![0; len];
        answers.read_exact(&mut text)?;
        for line in String::from_utf8_lossy(&text).lines() {
            let field = line.split_once(':').unwrap_or_default().0;
            if TOLD.contains(&field) {
                said.push(line.to_owned());
            }
        }
    }
    Ok(said.join(", "))
}
