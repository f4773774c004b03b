//! Real servers.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to answer its first PING.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Redis: `LARDER_REDIS_SERVER`, or `redis-server` on the path.
    Redis,
    /// Valkey: `LARDER_VALKEY_SERVER`, or `valkey-server` on the path.
    Valkey,
}

/// A real server on a free port of 127.0.0.1, with nothing kept. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    child: Child,
    port: u16,
    dir: PathBuf,
    options: Vec<String>,
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
        let dir = temporary_dir();
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        // Another process may take a free port before the server does: then it gets another.
        for _ in 0..5 {
            let port = free_port();
            let child = spawn(&program, port, &dir, &options);
            let mut server = Server {
                program: program.clone(),
                child,
                port,
                dir: dir.clone(),
                options: options.clone(),
            };
            if server.is_up() {
                return Some(server);
            }
        }
        panic!(
            "{} does not start; see {}",
            program.display(),
            dir.join("log").display()
        );
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The URL of the server's Unix socket.
    pub fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        // One that has ended already can't be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the server again, on the same port and without data, after [`Server::kill`].
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.program, self.port, &self.dir, &self.options);
        assert!(
            self.is_up(),
            "{} does not start again",
            self.program.display()
        );
    }

    /// Waits until the server answers. False if it has ended instead.
    fn is_up(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            if answers(self.port) && UnixStream::connect(self.socket()).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // What is left behind is in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Whether a server answers PING, be it by asking for a password.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut answer = [0; 7];
    let wants = stream
        .write_all(b"PING\r\n")
        .and_then(|()| stream.read_exact(&mut answer));
    wants.is_ok() && (&answer == b"+PONG\r\n" || answer.starts_with(b"-NOAUTH"))
}

fn spawn(program: &Path, port: u16, dir: &Path, options: &[String]) -> Child {
    let log = File::create(dir.join("log")).expect("the temporary directory can be written");
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(dir)
        .arg("--unixsocket")
        .arg(dir.join("socket"))
        .args(options)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .expect("the server was found and can be started")
}

/// The server's program. `None`, with a word on standard error, if there is none.
fn find(kind: ServerKind) -> Option<PathBuf> {
    match kind {
        ServerKind::Redis => find_program("LARDER_REDIS_SERVER", "redis-server"),
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

/// A port of 127.0.0.1 on which nobody listens.
///
/// # Panics
///
/// If there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("127.0.0.1 has a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

pub(crate) fn temporary_dir() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("larder-test-{}-{count}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("the temporary directory can be written");
    dir
}
