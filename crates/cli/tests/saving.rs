//! Snapshots of `larder serve`: what is saved is there after a restart, on Larder, Redis and Valkey alike.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod process;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use larder_testkit::{Server, ServerKind, until};
use process::Process;

/// A directory that is removed when this is dropped.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("larder-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Dir(dir)
    }

    fn file(&self) -> PathBuf {
        self.0.join("dump.rdb")
    }

    fn is_saved(&self) -> bool {
        self.file().exists()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn larder(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--enable-debug-command",
        "local",
    ]);
    command.arg("--dir").arg(dir).args(arguments);
    command
}

/// A running server. It ends when this is dropped.
struct Serve {
    process: Process,
    client: Client,
}

impl Serve {
    fn start(dir: &Dir, arguments: &[&str]) -> Serve {
        let mut process = Process::start_logging(&mut larder(&dir.0, arguments));
        let client = Client::to(&process.says("listening on "));
        Serve { process, client }
    }

    fn kill(mut self) {
        self.process.signal("-KILL");
        self.process.end();
    }
}

/// A connection on which each answer is one line, a string, or an array of lines.
struct Client(BufReader<TcpStream>);

impl Client {
    fn to(address: &str) -> Client {
        Client(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    /// Sends a request as a line. Empty if the connection ends.
    fn call(&mut self, request: &str) -> String {
        self.0
            .get_mut()
            .write_all(format!("{request}\r\n").as_bytes())
            .unwrap();
        let mut answer = self.line();
        if answer.starts_with('$') && answer != "$-1" {
            answer = self.line();
        } else if let Some(len) = answer.strip_prefix('*') {
            let lines = (0..len.parse().unwrap()).map(|_: usize| self.line());
            answer = lines.collect::<Vec<_>>().join(" ");
        }
        answer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn expect(&mut self, request: &str, answer: &str) {
        assert_eq!(self.call(request), answer, "{request}");
    }
}

/// Something of every type that Redis 7.0 knows, small and large, in two databases.
fn fill(client: &mut Client) {
    let large = "x".repeat(70);
    for request in [
        "SET text something",
        "SET number -12345678901",
        "SET fleeting soon PX 10000000",
        "RPUSH list a 1 \"\" b",
        "SADD integers 1 2 300000",
        "SADD set a b 3",
        "HSET hash field value other 7",
        "ZADD board 1.5 ann -inf bob 3 cid",
        "XADD stream 5-1 field value",
        "XADD stream 6-1 field other",
        "XGROUP CREATE stream group 0",
        "PFADD visitors a b c",
        "SETBIT bits 100000 1",
        "SELECT 5",
        "SET elsewhere 1",
        "SELECT 0",
    ] {
        let answer = client.call(request);
        assert!(!answer.starts_with('-'), "{request}: {answer}");
    }
    for number in 0..200 {
        client.call(&format!("RPUSH long {number} {large}{number}"));
        client.call(&format!("SADD wide {large}{number}"));
        client.call(&format!("HSET deep field{number} {large}"));
        client.call(&format!("ZADD high {number}.25 {large}{number}"));
        client.call(&format!("SET key{number} {large}{number}"));
    }
}

#[test]
fn what_was_saved_is_there_after_the_server_was_killed() {
    let dir = Dir::new("killed");
    let mut server = Serve::start(&dir, &[]);
    fill(&mut server.client);
    server.client.call("HSET timed field value other 7");
    server
        .client
        .expect("HPEXPIRE timed 9000000 FIELDS 1 field", ":1");
    let digest = server.client.call("DEBUG DIGEST");
    server.client.expect("SAVE", "+OK");
    server.client.expect("SET late 1", "+OK");
    server.kill();

    let mut server = Serve::start(&dir, &[]);
    server.client.expect("DEBUG DIGEST", &digest);
    server.client.expect("EXISTS late", ":0");
    let left = server.client.call("PTTL fleeting");
    assert!(left[1..].parse::<u64>().unwrap() > 9_000_000, "{left}");
    server.client.expect("BGSAVE", "+Background saving started");
}

#[test]
fn a_file_moves_from_and_to_redis_and_valkey() {
    for kind in [ServerKind::Redis, ServerKind::Valkey] {
        let dir = Dir::new(&format!("moves-{kind:?}"));
        let mut server = Serve::start(&dir, &[]);
        fill(&mut server.client);
        let digest = server.client.call("DEBUG DIGEST");
        server.client.expect("SAVE", "+OK");
        server.kill();

        let path = dir.0.to_str().unwrap();
        let options = ["--dir", path, "--enable-debug-command", "yes"];
        let Some(real) = Server::start_with(kind, &options) else {
            return;
        };
        let mut client = Client::to(&format!("127.0.0.1:{}", real.port()));
        client.expect("DEBUG DIGEST", &digest);
        client.expect("RPUSH more of it", ":2");
        let digest = client.call("DEBUG DIGEST");
        client.expect("SAVE", "+OK");
        drop(real);

        let mut server = Serve::start(&dir, &[]);
        server.client.expect("DEBUG DIGEST", &digest);
    }
}

#[test]
fn a_server_with_save_points_saves_when_it_ends() {
    let dir = Dir::new("ends");
    let mut server = Serve::start(&dir, &["--save", "3600 1"]);
    server.client.expect("SET key one", "+OK");
    server.process.signal("-TERM");
    assert!(server.process.end().success());

    let mut server = Serve::start(&dir, &[]);
    server.client.expect("GET key", "one");
    server.client.expect("SET key two", "+OK");
    server.client.expect("SHUTDOWN SAVE", "");
    assert!(server.process.end().success());

    let mut server = Serve::start(&dir, &["--save", "3600 1"]);
    server.client.expect("GET key", "two");
    server.client.expect("SET key three", "+OK");
    server.client.expect("SHUTDOWN NOSAVE", "");
    assert!(server.process.end().success());

    let mut server = Serve::start(&dir, &[]);
    server.client.expect("GET key", "two");
}

#[test]
fn a_server_without_save_points_leaves_no_file() {
    let dir = Dir::new("none");
    let mut server = Serve::start(&dir, &[]);
    server.client.expect("SET key one", "+OK");
    server.process.signal("-TERM");
    assert!(server.process.end().success());
    assert!(!dir.is_saved());
}

/// A snapshot that is being written is given up for that of the end, and nothing is left of it.
#[test]
fn an_end_during_a_snapshot_leaves_one_whole_file() {
    let dir = Dir::new("during");
    let mut server = Serve::start(&dir, &[]);
    server.client.expect("DEBUG POPULATE 200000 key 200", "+OK");
    server.client.expect("BGSAVE", "+Background saving started");
    server.client.expect("SET last 1", "+OK");
    server.client.expect("SHUTDOWN SAVE", "");
    assert!(server.process.end().success());
    let names = fs::read_dir(&dir.0).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["dump.rdb"]);

    let mut server = Serve::start(&dir, &[]);
    server.client.expect("DBSIZE", ":200001");
    server.client.expect("BGSAVE", "+Background saving started");
    server.process.signal("-TERM");
    assert!(server.process.end().success());
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1);
}

#[test]
fn a_server_that_can_not_save_says_so_and_does_not_end() {
    let dir = Dir::new("gone");
    let mut server = Serve::start(&dir, &["--save", "3600 1"]);
    server.client.expect("SET key one", "+OK");
    fs::remove_dir(&dir.0).unwrap();
    server.client.expect("SAVE", "-ERR");
    let refused = server.client.call("SET key two");
    assert!(refused.starts_with("-MISCONF "), "{refused}");
    server
        .client
        .expect("SHUTDOWN", "-ERR Errors trying to SHUTDOWN. Check logs.");
    server.client.expect("GET key", "one");

    fs::create_dir(&dir.0).unwrap();
    server.client.expect("BGSAVE", "+Background saving started");
    until("it is saved", Duration::from_secs(20), || dir.is_saved());
    until("writes are taken again", Duration::from_secs(20), || {
        server.client.call("SET key two") == "+OK"
    });
    fs::remove_dir_all(&dir.0).unwrap();
    server.client.expect("SHUTDOWN SAVE FORCE", "");
    assert!(!server.process.end().success());
}

#[test]
fn a_file_that_is_damaged_is_not_overwritten_by_a_server_that_starts_without_it() {
    let dir = Dir::new("damaged");
    let mut server = Serve::start(&dir, &[]);
    fill(&mut server.client);
    server.client.expect("SAVE", "+OK");
    server.kill();
    let mut file = fs::read(dir.file()).unwrap();
    let middle = file.len() / 2;
    file[middle] ^= 0x20;
    fs::write(dir.file(), &file).unwrap();

    let ended = larder(&dir.0, &[]).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    assert!(told.contains("dump.rdb: byte "), "{told}");
    assert_eq!(fs::read(dir.file()).unwrap(), file);
}
