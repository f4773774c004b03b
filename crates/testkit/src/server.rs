//! Real servers.

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Process;
use crate::until::until;

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Redis 7.0, as Debian has it: `LARDER_REDIS_SERVER`, or `redis-server` on the path.
    Redis,
    /// Redis 8.0: `LARDER_REDIS8_SERVER`, or `redis8-server` on the path. Its source is in a suite of
    /// Debian that moves on, so a machine may go without: then the variable is empty.
    Redis8,
    /// Valkey: `LARDER_VALKEY_SERVER`, or `valkey-server` on the path.
    Valkey,
}

/// A real server on a free port of 127.0.0.1, with nothing kept. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
}

impl Server {
    /// Starts a server. `None` if this machine has none, and is allowed not to.
    ///
    /// # Panics
    ///
    /// If it does not start, or if there is none and `LARDER_TEST_REQUIRE=all`.
    pub fn start(kind: ServerKind) -> Option<Server> {
        Server::start_with(kind, &[])
    }

    /// Starts a server with these options, such as `["--requirepass", "secret"]`.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub fn start_with(kind: ServerKind, options: &[&str]) -> Option<Server> {
        let program = find(kind)?;
        let process = Process::start(&program, |port, dir| arguments(port, dir, options));
        let server = Server { process };
        server.wait_for_the_socket();
        Some(server)
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// The URL of the server's Unix socket.
    pub fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.process.port()
    }

    fn socket(&self) -> PathBuf {
        self.process.dir().join("socket")
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops the server where it stands (`SIGSTOP`): its connections stay, and nothing is answered.
    ///
    /// # Panics
    ///
    /// If it has been killed.
    pub fn pause(&mut self) {
        self.process.pause();
    }

    /// Lets the server go on (`SIGCONT`) after [`Server::pause`], as if no time had passed.
    ///
    /// # Panics
    ///
    /// If it has been killed.
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// Starts the server again, on the same port and without data, after [`Server::kill`].
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn restart(&mut self) {
        self.process.restart();
        self.wait_for_the_socket();
    }

    /// The Unix socket is there a moment after the port.
    fn wait_for_the_socket(&self) {
        let is_there = || UnixStream::connect(self.socket()).is_ok();
        until(
            "the Unix socket is there",
            Duration::from_secs(20),
            is_there,
        );
    }
}

fn arguments(port: u16, dir: &Path, options: &[&str]) -> Vec<OsString> {
    let port = port.to_string();
    let fixed = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
    ];
    let mut arguments: Vec<OsString> = fixed.iter().map(Into::into).collect();
    arguments.extend(["--dir".into(), dir.into()]);
    arguments.extend(["--unixsocket".into(), dir.join("socket").into()]);
    arguments.extend(options.iter().map(Into::into));
    arguments
}

const REDIS_8: &str = "LARDER_REDIS8_SERVER";

/// Whether the machine goes without the program that this variable is for.
fn is_done_without(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value.is_empty())
}

/// The server's program. `None`, with a word on standard error, if there is none.
pub(crate) fn find(kind: ServerKind) -> Option<PathBuf> {
    match kind {
        ServerKind::Redis => find_program("LARDER_REDIS_SERVER", "redis-server"),
        ServerKind::Redis8 if is_done_without(REDIS_8) => None,
        ServerKind::Redis8 => find_program(REDIS_8, "redis8-server"),
        ServerKind::Valkey => find_program("LARDER_VALKEY_SERVER", "valkey-server"),
    }
}

/// The program that the variable names, or that is on the path. `None`, with a word on standard
/// error, if there is none.
///
/// # Panics
///
/// If there is none and `LARDER_TEST_REQUIRE=all`.
pub(crate) fn find_program(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(program) = std::env::var_os(variable) {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        skip(&format!("no {name} on the path and no {variable}"));
    }
    found
}

/// Says that a test is skipped, or fails it where nothing may be.
///
/// # Panics
///
/// If `LARDER_TEST_REQUIRE=all`.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let all = std::env::var("LARDER_TEST_REQUIRE").is_ok_and(|require| require == "all");
    assert!(!all, "{test} may not be skipped: {why}");
    eprintln!("skipped: {test}: {why}");
}
