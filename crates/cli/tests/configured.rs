//! `larder serve` as a file and flags configure it, and as CONFIG changes it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod process;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use process::Process;

/// How long is waited for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of a test, which goes with it.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("larder-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn larder(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.arg("serve").args(arguments).env_remove("RUST_LOG");
    command
}

/// One that is expected to start, and the address that it listens on.
fn serve(arguments: &[&str]) -> (Process, String) {
    let mut process = Process::start_logging(&mut larder(arguments));
    let address = process.says("listening on ");
    (process, address)
}

fn refusal(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = larder(arguments).output().unwrap();
    assert!(!status.success(), "{arguments:?}");
    String::from_utf8(stderr).unwrap()
}

/// The answer to a request as a line, which is read until it ends as it has to.
fn ask(address: &str, request: &str, end: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
        .write_all(format!("{request}\r\n").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(end.as_bytes()) {
        if client.read(&mut byte).unwrap() == 0 {
            break;
        }
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

/// The value of a parameter.
fn get(address: &str, name: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("CONFIG GET {name}\r\nQUIT\r\n");
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let lines: Vec<&str> = answer.split("\r\n").collect();
    assert_eq!(lines[0], "*2", "{name}: {answer}");
    lines[4].to_owned()
}

#[test]
fn a_file_has_redis_syntax_and_the_command_line_wins() {
    let dir = Dir::new("file");
    let more = dir.write("more.conf", "slowlog-max-len 9\r\n");
    let text = format!(
        "# A remark\n\nbind 127.0.0.1\nport 1\nlisten 127.0.0.1:0\n\
         MaxMemory 1gb\nmaxclients 50\n  timeout\t7  \n\
         requirepass \"a b\\x21\"\nnotify-keyspace-events 'KEA'\n\
         client-output-buffer-limit normal 10mb 5mb 60\n\
         client-output-buffer-limit pubsub 1mb 0 0\n\
         hash-max-ziplist-entries 99\nsave \"\"\nappendonly no\ndaemonize no\ndatabases 16\n\
         include {more}\nio-threads 1\nlatency-tracking-info-percentiles 50 99\n\
         user ann on nopass +@all ~*\n"
    );
    let file = dir.write("larder.conf", &text);
    let (_process, address) = serve(&[
        &file,
        "--maxclients",
        "60",
        "--slowlog-log-slower-than",
        "-1",
    ]);
    let mut client = TcpStream::connect(&address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut send = |request: &str, answer: &str| {
        client.write_all(request.as_bytes()).unwrap();
        let mut got = vec![0; answer.len()];
        client.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), answer);
    };
    send("AUTH \"a b!\"\r\n", "+OK\r\n");
    for (name, value) in [
        ("maxmemory", "1073741824"),
        ("maxclients", "60"),
        ("timeout", "7"),
        ("slowlog-max-len", "9"),
        ("slowlog-log-slower-than", "-1"),
        ("hash-max-listpack-entries", "99"),
        ("threads", "1"),
        ("latency-tracking-info-percentiles", "50 99"),
        (
            "client-output-buffer-limit",
            "normal 10485760 5242880 60 slave 268435456 67108864 60 pubsub 1048576 0 0",
        ),
    ] {
        let (name_len, len) = (name.len(), value.len());
        let answer = format!("*2\r\n${name_len}\r\n{name}\r\n${len}\r\n{value}\r\n");
        send(&format!("CONFIG GET {name}\r\n"), &answer);
    }
    send("AUTH ann x\r\n", "+OK\r\n");
    send("ACL WHOAMI\r\n", "$3\r\nann\r\n");
}

#[test]
fn the_files_of_a_pattern_are_read_in_order_and_there_may_be_none() {
    let dir = Dir::new("pattern");
    dir.write("10-first.conf", "maxclients 60\ntimeout 7\n");
    dir.write("20-last.conf", "maxclients 70\n");
    let folder = dir.0.display();
    let text = format!("listen 127.0.0.1:0\ninclude {folder}/*-*.conf\ninclude {folder}/none.*\n");
    let file = dir.write("larder.conf", &text);
    let (_process, address) = serve(&[&file]);
    assert_eq!(get(&address, "maxclients"), "70");
    assert_eq!(get(&address, "timeout"), "7");
}

#[test]
fn all_that_is_wrong_with_a_file_is_told_at_once_with_its_place_and_without_secrets() {
    let dir = Dir::new("wrong");
    let file = dir.write(
        "redis.conf",
        "maxmemmory 1gb\nappendfsync everysec\nport 70000\nrequirepass \"open\nsave 900\nmaxclients 1 2\n\
         include /nowhere/more.conf\nrequirepass two words\ntimeout \"\n",
    );
    let told = refusal(&[&file, "--hz", "20"]);
    for (line, wanted) in [
        (
            1,
            "'maxmemmory 1gb': maxmemmory: there is no such parameter: did you mean maxmemory?",
        ),
        (
            2,
            "'appendfsync everysec': appendfsync: there is no append-only file",
        ),
        (
            3,
            "'port 70000': port: argument must be between 0 and 65535 inclusive",
        ),
        (4, "'requirepass …': its quotes do not match"),
        (5, "'save 900': save: Invalid save parameters"),
        (6, "'maxclients 1 2': maxclients: wrong number of arguments"),
        (7, "/nowhere/more.conf: No such file"),
        (8, "'requirepass …': requirepass: wrong number of arguments"),
        (9, "'timeout \"': its quotes do not match"),
    ] {
        let wanted = format!("redis.conf:{line}: {wanted}");
        assert!(told.contains(&wanted), "{wanted} in {told}");
    }
    assert!(told.contains("--hz: hz: what has expired"), "{told}");
    assert!(
        !told.contains("open") && !told.contains("two words"),
        "{told}"
    );

    let endless = dir.0.join("endless.conf");
    let endless = endless.display().to_string();
    dir.write("endless.conf", &format!("include {endless}\n"));
    assert!(refusal(&[&endless]).contains("include each other without end"));
}

#[test]
fn a_flag_that_redis_has_and_larder_does_not_says_why() {
    assert!(refusal(&["--repl-backlog-size", "1mb"]).contains("Larder does not replicate"));
    assert!(refusal(&["--maxmemmory", "1gb"]).contains("--maxmemory"));
    assert!(refusal(&["--requirepass"]).contains("requirepass"));
}

#[test]
fn config_rewrite_writes_what_changed_and_what_is_written_is_read_again() {
    let dir = Dir::new("rewrite");
    let text = "# Ours\nmaxmemory 1gb\nlisten 127.0.0.1:0\n\ntimeout 5 \n# The end\n";
    let file = dir.write("larder.conf", text);
    let (process, address) = serve(&[&file]);
    assert_eq!(ask(&address, "CONFIG REWRITE", "\r\n"), "+OK\r\n");
    let same = text
        .replace("maxmemory 1gb", "maxmemory 1073741824")
        .replace("5 ", "5");
    assert_eq!(dir.read("larder.conf"), same);

    let set = "CONFIG SET timeout 9 maxclients 77 notify-keyspace-events KEA loglevel verbose \
               client-output-buffer-limit \"pubsub 1mb 0 0\"";
    assert_eq!(ask(&address, set, "\r\n"), "+OK\r\n");
    assert_eq!(
        ask(&address, "ACL SETUSER ann on nopass", "\r\n"),
        "+OK\r\n"
    );
    assert_eq!(ask(&address, "CONFIG REWRITE", "\r\n"), "+OK\r\n");
    let written = dir.read("larder.conf");
    assert!(written.starts_with("# Ours\nmaxmemory 1073741824\nlisten 127.0.0.1:0\n\ntimeout 9\n# The end\n# Generated by CONFIG REWRITE\n"), "{written}");
    assert!(
        written.contains("\nclient-output-buffer-limit pubsub 1048576 0 0\n"),
        "{written}"
    );
    assert!(written.contains("\nuser ann on nopass "), "{written}");
    drop(process);

    let (_process, address) = serve(&[&file]);
    for (name, value) in [
        ("timeout", "9"),
        ("maxclients", "77"),
        ("notify-keyspace-events", "AKE"),
        ("loglevel", "verbose"),
    ] {
        assert_eq!(get(&address, name), value);
    }
    assert!(ask(&address, "ACL USERS", "default\r\n").contains("ann"));
    assert!(
        std::fs::read_dir(&dir.0).unwrap().count() == 1,
        "nothing is left beside the file"
    );
}

#[test]
fn without_a_file_there_is_nothing_to_rewrite() {
    let (_process, address) = serve(&["--listen", "127.0.0.1:0"]);
    assert_eq!(
        ask(&address, "CONFIG REWRITE", "\r\n"),
        "-ERR The server is running without a config file\r\n"
    );
}

#[test]
fn the_level_of_the_log_changes_while_the_server_runs_and_the_log_can_be_a_file() {
    let dir = Dir::new("log");
    let (log, port) = (dir.0.join("larder.log"), free_port());
    let log_name = log.display().to_string();
    let port_text = port.to_string();
    let arguments = [
        "--bind",
        "127.0.0.1",
        "--port",
        &port_text,
        "--logfile",
        &log_name,
    ];
    let _process = Process::start_logging(&mut larder(&arguments));
    let address = format!("127.0.0.1:{port}");
    until(|| TcpStream::connect(&address).is_ok());
    until(|| {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("listening on")
    });
    assert_eq!(get(&address, "logfile"), log_name);
    // Nobody speaks HTTP here without a warning, unless nothing is told.
    let warnings = || {
        std::fs::read_to_string(&log)
            .unwrap()
            .matches("it speaks HTTP")
            .count()
    };
    ask(&address, "POST / HTTP/1.1", "never");
    until(|| warnings() == 1);
    assert_eq!(
        ask(&address, "CONFIG SET loglevel nothing", "\r\n"),
        "+OK\r\n"
    );
    assert_eq!(get(&address, "loglevel"), "nothing");
    ask(&address, "POST / HTTP/1.1", "never");
    assert_eq!(
        ask(&address, "CONFIG SET loglevel warning", "\r\n"),
        "+OK\r\n"
    );
    ask(&address, "POST / HTTP/1.1", "never");
    until(|| warnings() == 2);
    let refused = ask(&address, "CONFIG SET loglevel loud", "\r\n");
    assert!(
        refused.contains("must be one of the following"),
        "{refused}"
    );
}

#[test]
fn systemd_hears_when_the_server_is_ready_reads_again_and_ends() {
    let dir = Dir::new("notify");
    let path = dir.0.join("notify");
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut bytes = [0; 256];
        let len = told.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    let mut command = larder(&["--listen", "127.0.0.1:0", "--supervised", "systemd"]);
    let mut process = Process::start_logging(command.env("NOTIFY_SOCKET", &path));
    assert!(hear().starts_with("READY=1"));
    process.signal("-HUP");
    assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(hear().starts_with("READY=1"));
    process.signal("-TERM");
    assert!(hear().starts_with("STOPPING=1"));
    assert!(process.end().success());
}

/// The shell takes the place of systemd: it opens nothing, but passes on what it was given as its number 3.
#[test]
fn sockets_of_systemd_are_served_and_nothing_else_is_listened_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let line = format!(
        "LISTEN_PID=$$ LISTEN_FDS=1 exec '{}' serve 3<&0 0</dev/null",
        env!("CARGO_BIN_EXE_larder")
    );
    let mut command = Command::new("sh");
    command.args(["-c", &line]);
    let mut process = Process::start_given(&mut command, std::os::fd::OwnedFd::from(listener));
    assert_eq!(process.says("listening on "), address);
    assert_eq!(ask(&address, "PING", "\r\n"), "+PONG\r\n");
    assert_eq!(get(&address, "port"), address.rsplit_once(':').unwrap().1);
}

#[test]
fn the_help_has_every_parameter_that_can_be_chosen_with_its_default() {
    let Output { status, stdout, .. } = larder(&["--help"]).output().unwrap();
    assert!(status.success());
    let help = String::from_utf8(stdout).unwrap();
    for parameter in larder_engine::described() {
        let is_there = help.contains(&format!("--{} ", parameter.name));
        assert_eq!(is_there, !parameter.is_fixed, "{}", parameter.name);
    }
    for wanted in [
        "Network:",
        "TLS:",
        "[default: 6379]",
        "[default: noeviction]",
        "[default: four fifths",
    ] {
        assert!(help.contains(wanted), "{wanted}");
    }
}

#[test]
fn the_example_of_a_file_is_loaded_with_all_its_lines_said() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/larder.conf");
    let text = std::fs::read_to_string(&example).unwrap();
    let names: Vec<&str> = larder_engine::described()
        .iter()
        .map(|known| known.name)
        .collect();
    let dir = Dir::new("example");
    let mut said = String::from("listen 127.0.0.1:0\n");
    for line in text.lines() {
        let Some((name, value)) = line
            .strip_prefix("# ")
            .and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        let is_line = names.contains(&name)
            && ![
                "listen",
                "tls-listen",
                "user",
                "include",
                "aclfile",
                "requirepass",
            ]
            .contains(&name);
        if is_line {
            said.push_str(&format!("{name} {value}\n"));
        }
    }
    assert!(said.lines().count() > 50, "{said}");
    let said = dir.write("said.conf", &said);
    drop(serve(&[&said]));
    let plain = example.display().to_string();
    drop(serve(&[&plain, "--listen", "127.0.0.1:0"]));
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until something is so.
fn until(mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "it never came to be");
        std::thread::yield_now();
    }
}
