//! What docs/coming-from-redis.md says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::path::Path;

use larder_engine::{Group, described, recognize};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/coming-from-redis.md");
    std::fs::read_to_string(path).unwrap()
}

fn refusal(line: &str) -> Option<String> {
    let mut words = split(line);
    let name = words.remove(0);
    let name = String::from_utf8(name).unwrap();
    recognize(&name, &words)
        .err()
        .map(|error| error.to_string())
}

fn split(line: &str) -> Vec<Vec<u8>> {
    line.split(' ')
        .map(|word| word.trim_matches('"').as_bytes().to_vec())
        .collect()
}

#[test]
fn the_errors_on_the_page_are_those_that_are_told() {
    let page = page();
    let block = page
        .split("the configuration is not one:\n")
        .nth(1)
        .unwrap();
    let lines: Vec<&str> = block
        .lines()
        .take_while(|line| !line.starts_with("```"))
        .collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        let (_, told) = line.split_once(": '").unwrap();
        let (written, told) = told.split_once("': ").unwrap();
        assert_eq!(refusal(written).as_deref(), Some(told));
    }
}

#[test]
fn lines_that_are_to_be_taken_out_are_refused_and_the_others_stay() {
    for line in [
        "appendonly yes",
        "appendfsync always",
        "aof-use-rdb-preamble yes",
        "replicaof 10.0.0.1 6379",
        "repl-timeout 60",
        "masterauth secret",
        "cluster-node-timeout 15000",
        "daemonize yes",
        "pidfile /run/redis.pid",
        "syslog-enabled no",
        "rename-command FLUSHALL \"\"",
        "databases 32",
        "tls-ca-cert-dir /etc/ssl",
    ] {
        let told = refusal(line).unwrap_or_else(|| panic!("{line} is taken"));
        assert!(!told.contains("there is no such parameter"), "{told}");
    }
    for line in [
        "save \"\"",
        "save 900 1 300 10",
        "dir /var/lib/redis",
        "dbfilename dump.rdb",
        "rdbcompression yes",
        "appendonly no",
        "supervised systemd",
        "bind 127.0.0.1 -::1",
        "port 6379",
        "requirepass secret",
        "user ann on",
        "aclfile users.acl",
        "maxmemory 2gb",
        "maxmemory-policy allkeys-lru",
        "maxclients 10000",
        "timeout 0",
        "tls-port 6380",
        "io-threads 4",
        "loglevel notice",
        "client-output-buffer-limit pubsub 32mb 8mb 60",
        "notify-keyspace-events KEA",
        "slowlog-max-len 128",
    ] {
        assert_eq!(refusal(line), None, "{line}");
    }
}

#[test]
fn the_defaults_that_the_page_tells_of_are_those_of_the_server() {
    let default = |name: &str| {
        let all = described();
        let parameter = all.into_iter().find(|known| known.name == name).unwrap();
        parameter.default.unwrap_or_default()
    };
    assert!(default("maxmemory").starts_with("four fifths of the memory"));
    assert_eq!(default("supervised"), "auto");
    assert_eq!(default("databases"), "16");
    assert_eq!(default("tls-auth-clients"), "yes");
    assert!(described().iter().any(|known| known.group == Group::Tls));
}

/// Every parameter of a real server is ours, or we say why it is not: none is called a typing error.
#[test]
fn no_parameter_of_redis_server_is_taken_for_a_typing_error() {
    let Some(server) = larder_testkit::Server::start_with(larder_testkit::ServerKind::Redis, &[])
    else {
        return;
    };
    let asked = std::process::Command::new("redis-cli")
        .args(["-p", &server.port().to_string(), "CONFIG", "GET", "*"])
        .output()
        .unwrap();
    let text = String::from_utf8(asked.stdout).unwrap();
    let names: Vec<&str> = text.lines().step_by(2).collect();
    assert!(names.len() > 150, "{text}");
    let unknown = names.into_iter().filter(|name| {
        let told = recognize(name, &[]).err().map(|error| error.to_string());
        told.is_some_and(|told| told.contains("there is no such parameter"))
    });
    assert_eq!(unknown.collect::<Vec<_>>(), Vec::<&str>::new());
}
