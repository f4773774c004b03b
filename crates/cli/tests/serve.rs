//! `larder serve` as an operator meets it: limits of the system, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod process;

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use process::Process;

/// A running server. It ends when this is dropped.
struct Serve {
    process: Process,
    address: String,
}

impl Serve {
    /// Starts it from a shell that first does what `before` says.
    fn start(before: &str, arguments: &str) -> Serve {
        let larder = env!("CARGO_BIN_EXE_larder");
        let line = format!("{before}; exec '{larder}' serve --listen 127.0.0.1:0 {arguments}");
        let mut process = Process::start_logging(Command::new("sh").args(["-c", &line]));
        let address = process.says("listening on ");
        Serve { process, address }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    /// How long it has worked, in hundredths of a second. A server that is asked nothing does not.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Sends a signal, and waits for the end.
    fn end(mut self, signal: &str) -> ExitStatus {
        self.process.signal(signal);
        self.process.end()
    }
}

fn ask(client: &mut TcpStream, request: &str, answer: &str) {
    client.write_all(request.as_bytes()).unwrap();
    let mut got = vec![0; answer.len()];
    client.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), answer);
}

/// Test containers wait for this line of Redis's log before they connect.
#[test]
fn who_reads_that_it_is_ready_to_accept_connections_can_connect() {
    let mut server = Serve::start(":", "");
    server.process.says("Ready to accept connections");
    ask(&mut server.connect(), "PING\r\n", "+PONG\r\n");
}

/// The soft limit on open files is often 1024, far below `maxclients`; the server raises it.
#[test]
fn more_clients_are_served_than_the_soft_limit_on_open_files_allows() {
    let server = Serve::start("ulimit -Sn 64", "--maxclients 150");
    let mut clients: Vec<TcpStream> = (0..150).map(|_| server.connect()).collect();
    for client in &mut clients {
        ask(client, "PING\r\n", "+PONG\r\n");
    }
}

/// Finding V1: a server on all addresses without a password was open, and nobody was told.
#[test]
fn an_address_that_strangers_can_reach_without_a_password_is_warned_of() {
    let larder = env!("CARGO_BIN_EXE_larder");
    for (arguments, warned) in [
        (&[][..], "clients from other machines are refused"),
        (
            &["--protected-mode", "no"],
            "is open to everybody who can reach it",
        ),
    ] {
        let mut command = Command::new(larder);
        command
            .args(["serve", "--listen", "0.0.0.0:0"])
            .args(arguments);
        Process::start_logging(&mut command).says(warned);
    }
    let mut command = Command::new(larder);
    command.args(["serve", "--listen", "0.0.0.0:0", "--requirepass", "secret"]);
    let before = Process::start_logging(&mut command).lines_until("listening on ");
    let warned = before.iter().any(|line| line.contains("0.0.0.0"));
    assert!(!warned, "{before:?}");
}

/// Where the hard limit is lower, CONFIG says how many clients there can be.
#[test]
fn maxclients_is_what_the_system_allows() {
    let server = Serve::start("ulimit -n 100", "--maxclients 150");
    let answer = "*2\r\n$10\r\nmaxclients\r\n$2\r\n68\r\n";
    ask(&mut server.connect(), "CONFIG GET maxclients\r\n", answer);
}

#[test]
fn a_signal_ends_it_at_once_though_clients_wait_and_listen_and_send() {
    for signal in ["-TERM", "-INT"] {
        let server = Serve::start(":", "");
        let (mut waiting, mut listening) = (server.connect(), server.connect());
        waiting.write_all(b"BLPOP jobs 0\r\n").unwrap();
        ask(
            &mut listening,
            "SUBSCRIBE a\r\n",
            "*3\r\n$9\r\nsubscribe\r\n",
        );
        let mut sending = server.connect();
        let load = std::thread::spawn(move || {
            let mut answers = sending.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
            while sending.write_all(b"INCR load\r\n").is_ok() {}
        });
        assert_eq!(server.end(signal).code(), Some(0), "{signal}");
        load.join().unwrap();
    }
}

/// Threads that hang, in a script or waiting for what it holds, are no reason to go on: a signal ends
/// the script that keeps others waiting, whatever it has written.
#[test]
fn a_signal_ends_it_at_once_though_its_threads_hang() {
    let server = Serve::start(":", "--threads 2");
    let mut first = server.connect();
    ask(
        &mut first,
        "CONFIG SET busy-reply-threshold 50\r\n",
        "+OK\r\n",
    );
    let mut waiting = server.connect();
    waiting.write_all(b"BLPOP a x 0\r\n").unwrap();
    let mut hanging = server.connect();
    let script = "redis.call('SET', KEYS[1], 1) while true do end";
    let request = format!("EVAL \"{script}\" 1 x\r\n");
    hanging.write_all(request.as_bytes()).unwrap();
    while server.cpu_ticks() < 30 {
        std::thread::yield_now();
    }
    let mut others: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
    for other in &mut others {
        other.write_all(b"LPUSH a 1\r\n").unwrap();
    }
    let begun = Instant::now();
    assert_eq!(server.end("-TERM").code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn the_memory_of_clients_is_bounded_unless_it_is_said_otherwise() {
    let server = Serve::start(":", "--maxmemory-clients 1gb");
    let answer = "*2\r\n$17\r\nmaxmemory-clients\r\n$10\r\n1073741824\r\n";
    ask(
        &mut server.connect(),
        "CONFIG GET maxmemory-clients\r\n",
        answer,
    );

    let server = Serve::start(":", "");
    let mut client = server.connect();
    client
        .write_all(b"CONFIG GET maxmemory-clients\r\n")
        .unwrap();
    let mut lines = BufReader::new(client).lines().skip(4);
    let bytes: u64 = lines.next().unwrap().unwrap().parse().unwrap();
    assert!(bytes > 64 << 20, "{bytes}");
}

#[test]
fn users_come_from_the_command_line_or_from_a_file_and_not_from_both() {
    // The digest of `secret`.
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let server = Serve::start(
        ":",
        &format!("--user 'ann on #{digest} +ping' --user 'bob off'"),
    );
    let mut client = server.connect();
    ask(&mut client, "AUTH ann secret\r\n", "+OK\r\n");
    ask(&mut client, "PING\r\n", "+PONG\r\n");
    ask(
        &mut client,
        "GET a\r\n",
        "-NOPERM User ann has no permissions to run the 'get' command\r\n",
    );

    let larder = env!("CARGO_BIN_EXE_larder");
    let words = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--aclfile",
        "/nowhere/users.acl",
    ];
    let refused = Command::new(larder).args(words).output().unwrap();
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("opening file '/nowhere/users.acl'"), "{told}");

    let words = words.iter().chain(&["--user", "ann on"]);
    let refused = Command::new(larder).args(words).output().unwrap();
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("not in both"), "{told}");
}

/// One call of a function of Lua can't be interrupted, so the first signal waits for it.
#[test]
fn a_second_signal_ends_it_though_a_script_never_ends() {
    for (signal, status) in [("-TERM", 143), ("-INT", 130)] {
        let mut server = Serve::start(":", "");
        let mut client = server.connect();
        let endless = "return string.find(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40))";
        let request = format!("EVAL \"{endless}\" 0\r\n");
        client.write_all(request.as_bytes()).unwrap();
        while server.cpu_ticks() < 30 {
            std::thread::yield_now();
        }
        server.process.signal(signal);
        server.process.says("shutting down");
        assert!(server.process.is_running());
        assert_eq!(server.end(signal).code(), Some(status), "{signal}");
    }
}

// --- SHUTDOWN ---------------------------------------------------------------------------------

/// Sends a request whose answer is the end of the connection.
fn expect_end(client: &mut TcpStream, request: &str) {
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "", "{request}");
}

#[test]
fn shutdown_ends_it_without_an_answer_and_what_stands_behind_it_is_not_run() {
    let mut server = Serve::start(":", "");
    let (mut client, mut waiting) = (server.connect(), server.connect());
    ask(&mut waiting, "PING\r\n", "+PONG\r\n");
    waiting.write_all(b"BLPOP a 0\r\n").unwrap();
    expect_end(&mut client, "SHUTDOWN\r\nPING\r\n");
    expect_end(&mut waiting, "");
    server.process.says("a client has sent SHUTDOWN");
    server.process.says("shutting down");
    assert_eq!(server.process.end().code(), Some(0));
    assert!(TcpStream::connect(&server.address).is_err());
}

#[test]
fn several_clients_may_send_shutdown_at_once() {
    let mut server = Serve::start(":", "--threads 2");
    let mut clients: Vec<TcpStream> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        ask(client, "PING\r\n", "+PONG\r\n");
    }
    for client in &mut clients {
        client.write_all(b"SHUTDOWN NOSAVE NOW FORCE\r\n").unwrap();
    }
    for client in &mut clients {
        expect_end(client, "");
    }
    assert_eq!(server.process.end().code(), Some(0));
}

#[test]
fn a_shutdown_that_is_refused_ends_nothing() {
    let server = Serve::start(":", "--user 'default on nopass +@all -@admin'");
    let refusal = "-NOPERM User default has no permissions to run the 'shutdown' command\r\n";
    ask(&mut server.connect(), "SHUTDOWN NOSAVE\r\n", refusal);

    let server = Serve::start(":", "");
    let mut client = server.connect();
    ask(
        &mut client,
        "SHUTDOWN ABORT\r\n",
        "-ERR No shutdown in progress.\r\n",
    );
    ask(&mut client, "PING\r\n", "+PONG\r\n");
    expect_end(&mut client, "SHUTDOWN NOSAVE\r\n");
}

/// As the refusal says that others are answered: `You can only call SCRIPT KILL or SHUTDOWN NOSAVE.`
#[test]
fn shutdown_nosave_ends_it_while_a_script_hangs_that_can_not_be_killed() {
    let mut server = Serve::start(":", "--threads 1 --busy-reply-threshold 50");
    let mut hanging = server.connect();
    let script = "redis.call('SET', KEYS[1], 1) while true do end";
    let request = format!("EVAL \"{script}\" 1 x\r\n");
    hanging.write_all(request.as_bytes()).unwrap();
    while server.cpu_ticks() < 30 {
        std::thread::yield_now();
    }
    let mut client = server.connect();
    let busy = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";
    ask(&mut client, "SHUTDOWN\r\n", busy);
    ask(&mut client, "SHUTDOWN SAVE FORCE\r\n", busy);
    let begun = Instant::now();
    expect_end(&mut client, "SHUTDOWN NOSAVE\r\n");
    assert_eq!(server.process.end().code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}
