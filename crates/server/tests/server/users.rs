//! Users of a server: from its configuration, and from a file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_embedded::Embedded;
use larder_resp::Frame;
use larder_server::{Config, Server};

use crate::support::{TestServer, bulk, error, status, until};

/// A directory that goes with this value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("larder-users-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    /// A file of users with this in it.
    fn file(&self, text: &str) -> PathBuf {
        let path = self.0.join("users.acl");
        fs::write(&path, text).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn with_file(path: PathBuf) -> Config {
    Config {
        aclfile: Some(path),
        ..Config::default()
    }
}

/// Why a server does not start.
fn refusal(config: Config) -> String {
    let store = Embedded::open(larder_embedded::Config::default()).unwrap();
    Server::start(config, &store).unwrap_err().to_string()
}

#[test]
fn the_users_of_a_file_may_come_in_and_the_file_decides_on_the_password_too() {
    let directory = Directory::new();
    let path = directory.file("user default off\nuser ann on >secret ~a:* +@all\n");
    let server = TestServer::with(with_file(path), Some("sesame"));
    let mut client = server.connect();
    assert_eq!(
        client.ask("GET a:1"),
        error("NOAUTH Authentication required.")
    );
    let wrong = error("WRONGPASS invalid username-password pair or user is disabled.");
    assert_eq!(client.ask("AUTH sesame"), wrong);
    assert_eq!(client.ask("AUTH ann secret"), status("OK"));
    assert_eq!(client.ask("SET a:1 x"), status("OK"));
    let denied = error("NOPERM No permissions to access a key");
    assert_eq!(client.ask("SET b:1 x"), denied);
}

#[test]
fn a_file_is_written_whole_or_not_at_all_and_keeps_who_may_read_it() {
    let directory = Directory::new();
    let path = directory.file("user ann on nopass +@all\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let server = TestServer::with(with_file(path.clone()), None);
    let mut client = server.connect();
    assert_eq!(client.ask("ACL SETUSER bob on >secret"), status("OK"));
    assert_eq!(client.ask("ACL SAVE"), status("OK"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("user ann on nopass ") && text.contains("\nuser bob on "));
    assert!(!text.contains("secret"));
    assert_eq!(
        directory.names(),
        ["users.acl"],
        "nothing else stays behind"
    );
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);

    // Where it can't be written it stays as it is.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("in the way"), "").unwrap();
    let Frame::Error(why) = client.ask("ACL SAVE") else {
        unreachable!("a directory is no file");
    };
    assert!(why.starts_with("ERR There was an error trying to save the ACLs."));
    assert_eq!(
        directory.names(),
        ["users.acl"],
        "nothing else stays behind"
    );
}

#[test]
fn whose_user_is_in_the_file_no_more_is_cut_off_when_it_is_loaded() {
    let directory = Directory::new();
    let path = directory.file("user ann on nopass +@all\nuser bob on nopass +@all ~*\n");
    let server = TestServer::with(with_file(path), None);
    let (mut ann, mut bob) = (server.connect(), server.connect());
    assert_eq!(ann.ask("AUTH ann x"), status("OK"));
    assert_eq!(bob.ask("AUTH bob x"), status("OK"));
    bob.request("BLPOP jobs 0");
    until(|| ann.list().contains("cmd=blpop"));
    directory.file("user ann on nopass +@all +echo\n");
    assert_eq!(ann.ask("ACL LOAD"), status("OK"));
    assert_eq!(bob.answer_or_end(), None);
    assert_eq!(ann.ask("ACL WHOAMI"), bulk("ann"));
}

#[test]
fn a_server_does_not_start_with_users_that_can_not_be_read() {
    let directory = Directory::new();
    let path = directory.0.join("nothing.acl");
    let name = path.display().to_string();
    let text = refusal(with_file(path));
    assert_eq!(
        text,
        format!(
            "the users can't be read: Error loading ACLs, opening file '{name}': No such file or \
             directory"
        )
    );
    let text = refusal(with_file(directory.file("user ann on +nonsense")));
    assert!(text.contains("Unknown command or category name"), "{text}");
    let config = Config {
        users: vec!["ann on +nonsense".to_owned()],
        ..Config::default()
    };
    let text = refusal(config);
    assert!(text.contains("user:1: Error in applying"), "{text}");
    let config = Config {
        users: vec!["ann on".to_owned()],
        ..with_file(directory.file(""))
    };
    assert!(refusal(config).contains("not in both"));
}

#[test]
fn users_of_the_configuration_leave_the_default_user_as_it_is_unless_one_is_named_so() {
    let users = |lines: &[&str]| Config {
        users: lines.iter().map(|line| (*line).to_owned()).collect(),
        ..Config::default()
    };
    let server = TestServer::with(users(&["ann on >secret +ping"]), Some("sesame"));
    let mut client = server.connect();
    assert_eq!(client.ask("AUTH sesame"), status("OK"));
    assert_eq!(client.ask("AUTH ann secret"), status("OK"));

    let server = TestServer::with(users(&["default on >other +@all ~*"]), Some("sesame"));
    let mut client = server.connect();
    assert_eq!(client.ask("AUTH other"), status("OK"));
    let denied = error("NOPERM No permissions to access a channel");
    assert_eq!(client.ask("PUBLISH news x"), denied);
}

#[test]
fn who_waits_for_a_pause_may_be_closed_and_is_never_idle() {
    let config = Config {
        timeout: Some(std::time::Duration::from_secs(1)),
        ..Config::default()
    };
    let server = TestServer::with(config, None);
    let (mut admin, mut first, mut second) = (server.connect(), server.connect(), server.connect());
    let Frame::Integer(id) = first.ask("CLIENT ID") else {
        unreachable!("each client has a number");
    };
    assert_eq!(second.ask("PING"), status("PONG"));
    assert_eq!(admin.ask("CLIENT PAUSE 2500 WRITE"), status("OK"));
    first.request("SET a 1");
    second.request("SET b 1");
    until(|| admin.list().matches(" flags=b ").count() == 2);
    let kill = format!("CLIENT KILL FLAGS b ID {id} MAXAGE 1");
    until(|| admin.ask(&kill) == Frame::Integer(1));
    assert_eq!(first.answer_or_end(), None);
    assert_eq!(second.answer(), status("OK"));
    assert_eq!(server.connect().ask("EXISTS a b"), Frame::Integer(1));
}

#[test]
fn a_request_that_a_pause_puts_off_is_run_when_it_is_over() {
    let server = TestServer::start();
    let (mut admin, mut client) = (server.connect(), server.connect());
    assert_eq!(admin.ask("CLIENT PAUSE 300"), status("OK"));
    // Neither is answered before the time is over, and then both are, in their order.
    client.send("SET a 1\r\nGET a\r\n");
    assert_eq!(client.answer(), status("OK"));
    assert_eq!(client.answer(), bulk("1"));

    assert_eq!(admin.ask("CLIENT PAUSE 60000 WRITE"), status("OK"));
    client.send("SET a 2\r\nGET a\r\n");
    until(|| admin.list().contains(" flags=b "));
    assert_eq!(admin.ask("GET a"), bulk("1"));
    assert_eq!(admin.ask("CLIENT UNPAUSE"), status("OK"));
    assert_eq!(client.answer(), status("OK"));
    assert_eq!(client.answer(), bulk("2"));
}
