//! `larder check` as an operator meets it: what it prints, and its exit status.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use larder_testkit::{Cluster, ClusterOptions, SentinelOptions, Sentinels, Server, ServerKind};

/// What the command said, and its status.
#[derive(Debug)]
struct Checked {
    status: i32,
    said: String,
}

/// Nothing takes longer than the time that looking may take, and a little.
const TIMEOUT: Duration = Duration::from_secs(3);

fn check(arguments: &[&str]) -> Checked {
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_larder"))
        .args(["check", "--timeout", &TIMEOUT.as_secs().to_string()])
        .args(arguments)
        .env_remove("LARDER_URL")
        .output()
        .unwrap();
    assert!(begun.elapsed() < TIMEOUT * 2, "{:?}", begun.elapsed());
    assert!(output.stderr.is_empty(), "{output:?}");
    Checked {
        status: output.status.code().unwrap(),
        said: String::from_utf8(output.stdout).unwrap(),
    }
}

/// What it found, as JSON.
fn json(url: &str) -> (i32, serde_json::Value) {
    let checked = check(&[url, "--json"]);
    let found = serde_json::from_str(&checked.said);
    (
        checked.status,
        found.unwrap_or_else(|error| panic!("{error}: {checked:?}")),
    )
}

fn warns(found: &serde_json::Value, of: &str) -> bool {
    let warnings = found["warnings"].as_array().unwrap();
    warnings
        .iter()
        .any(|warning| warning.as_str().unwrap().contains(of))
}

#[test]
fn a_store_inside_the_process_is_well() {
    let checked = check(&["memory:"]);
    assert_eq!(checked.status, 0, "{checked:?}");
    assert!(
        checked.said.contains("an engine inside the process"),
        "{checked:?}"
    );
    assert!(checked.said.ends_with("all is well\n"), "{checked:?}");
}

#[test]
fn one_server_is_warned_of_for_what_it_lacks() {
    let options = ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"];
    let Some(server) = Server::start_with(ServerKind::Redis, &options) else {
        return;
    };
    let (status, found) = json(&server.url());
    assert_eq!(
        (status, &found["status"]),
        (1, &"warnings".into()),
        "{found:#}"
    );
    assert_eq!(found["topology"], "single");
    let node = &found["nodes"][0];
    assert_eq!(node["address"], format!("127.0.0.1:{}", server.port()));
    assert_eq!(
        (&node["role"], &node["report"]["version"]),
        (&"master".into(), &"7.0.15".into())
    );
    assert_eq!(node["report"]["memory"]["max_bytes"], 64 << 20);
    assert!(node["latency_us"].as_u64().unwrap() < 1_000_000);
    assert!(node["clock_skew_us"].as_i64().unwrap().abs() < 1_000_000);
    let capabilities = found["capabilities"].as_array().unwrap();
    assert!(
        capabilities.contains(&"ReadOnlyScripts".into()),
        "{found:#}"
    );
    for warned in [
        "this is one server",
        "evicts keys when",
        "(allkeys-lru)",
        "keeps nothing on disk",
    ] {
        assert!(warns(&found, warned), "{warned}: {found:#}");
    }
    assert_eq!(found["warnings"].as_array().unwrap().len(), 3, "{found:#}");
    let checked = check(&[&server.url()]);
    assert!(
        checked.said.contains("\nwarning: this is one server"),
        "{checked:?}"
    );
    assert!(
        checked.said.contains("MiB of 64.0 MiB, allkeys-lru"),
        "{checked:?}"
    );
}

#[test]
fn a_server_that_lets_everybody_in_is_warned_of() {
    let options = ["--protected-mode", "no", "--bind", "*"];
    let Some(server) = Server::start_with(ServerKind::Redis, &options) else {
        return;
    };
    let (_, found) = json(&server.url());
    assert!(
        warns(&found, "is open to everybody who can reach it"),
        "{found:#}"
    );
}

#[test]
fn a_master_with_replicas_and_a_log_behind_sentinels_is_well_until_a_replica_is_gone() {
    let options = SentinelOptions {
        lines: &["appendonly yes"],
        ..SentinelOptions::default()
    };
    let Some(mut sentinels) = Sentinels::start_with(ServerKind::Redis, &options) else {
        return;
    };
    let (status, found) = json(&sentinels.url());
    assert_eq!(
        (status, &found["topology"]),
        (0, &"sentinel".into()),
        "{found:#}"
    );
    assert_eq!(found["nodes"].as_array().unwrap().len(), 3, "{found:#}");
    let replica = sentinels.replicas()[0];
    sentinels.nodes[replica].pause();
    let (status, found) = json(&sentinels.url());
    assert_eq!(status, 1, "{found:#}");
    sentinels.nodes[replica].resume();
}

#[test]
fn a_cluster_is_shown_with_all_its_nodes_and_slots_that_nobody_serves_are_missed() {
    let options = ClusterOptions {
        lines: &["appendonly yes"],
        ..ClusterOptions::default()
    };
    let Some(cluster) = Cluster::start_with(ServerKind::Redis, &options) else {
        return;
    };
    let (status, found) = json(&cluster.url());
    assert_eq!(
        (status, &found["topology"]),
        (0, &"cluster".into()),
        "{found:#}"
    );
    assert_eq!(found["nodes"].as_array().unwrap().len(), 6, "{found:#}");
    for node in &cluster.nodes {
        node.ask(&["CLUSTER", "DELSLOTS", "7"]);
    }
    let (status, found) = json(&cluster.url());
    assert_eq!(status, 1, "{found:#}");
    assert!(warns(&found, "1 slots of the cluster"), "{found:#}");
}

/// Each says in one line what was found, what was expected and what to do.
#[test]
fn what_is_wrong_with_a_url_is_said_in_one_line() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("redis://{}", silent.local_addr().unwrap());
    for (url, wanted) in [
        ("mysql://localhost", "use memory:"),
        ("redis://localhost/x", "a database has a number"),
        ("redis-cluster://localhost/1", "a cluster has one database"),
        ("redis-sentinel://localhost", "NAME"),
        (
            "redis://127.0.0.1:1",
            "can't connect to 127.0.0.1:1: Connection refused",
        ),
        (
            "redis://no-such-host.invalid",
            "can't connect to no-such-host.invalid:6379",
        ),
        ("redis-sentinel://127.0.0.1:1/m", "none of 1 Sentinels says"),
        (
            "redis-cluster://127.0.0.1:1",
            "can't connect to 127.0.0.1:1",
        ),
        (&silent, "does not answer in time"),
    ] {
        let checked = check(&[url]);
        assert_eq!(checked.status, 2, "{url}: {checked:?}");
        assert_eq!(checked.said.lines().count(), 2, "{url}: {checked:?}");
        assert!(checked.said.contains(wanted), "{url}: {checked:?}");
        let (status, found) = json(url);
        assert_eq!((status, &found["status"]), (2, &"unreachable".into()));
    }
}

#[test]
fn a_server_of_another_kind_or_with_another_password_is_told_from_one_that_is_away() {
    let Some(plain) = Server::start(ServerKind::Redis) else {
        return;
    };
    let Some(locked) = Server::start_with(ServerKind::Redis, &["--requirepass", "secret"]) else {
        return;
    };
    let (plain, locked) = (plain.port(), locked.port());
    for (url, wanted) in [
        (
            format!("redis://127.0.0.1:{locked}"),
            "it wants a password, and was given none",
        ),
        (
            format!("redis://:wrong-one@127.0.0.1:{locked}"),
            "WRONGPASS",
        ),
        (
            format!("rediss://127.0.0.1:{plain}"),
            "its URL begins with redis://",
        ),
        (
            format!("redis-cluster://127.0.0.1:{plain}"),
            "is a single server, and not a node of a cluster",
        ),
        (
            format!("redis-sentinel://127.0.0.1:{plain}/m"),
            "is a single server, and not a Sentinel",
        ),
        (
            format!("redis://127.0.0.1:{plain}/99"),
            "DB index is out of range",
        ),
    ] {
        let checked = check(&[&url]);
        assert_eq!(checked.status, 2, "{url}: {checked:?}");
        assert!(checked.said.contains(wanted), "{url}: {checked:?}");
        assert!(!checked.said.contains("wrong-one"), "{url}: {checked:?}");
    }
    let checked = check(&[&format!("redis://:secret@127.0.0.1:{locked}")]);
    assert_eq!(checked.status, 1, "{checked:?}");
    assert!(!checked.said.contains("secret"), "{checked:?}");
}

#[test]
fn a_name_that_no_sentinel_knows_and_a_url_of_another_kind_are_told() {
    let Some(sentinels) = Sentinels::start(ServerKind::Redis) else {
        return;
    };
    let sentinel = sentinels.sentinels[0].address();
    for (url, wanted) in [
        (
            format!("redis-sentinel://{sentinel}/nobody"),
            "know no master called \"nobody\"",
        ),
        (
            format!("redis://{sentinel}"),
            "is a Sentinel, and not a single server",
        ),
    ] {
        let checked = check(&[&url]);
        assert_eq!(checked.status, 2, "{url}: {checked:?}");
        assert!(checked.said.contains(wanted), "{url}: {checked:?}");
    }
}

/// A server that is stopped takes connections and answers nothing.
#[test]
fn a_server_that_hangs_is_away_in_time() {
    let Some(mut server) = Server::start(ServerKind::Redis) else {
        return;
    };
    server.pause();
    let checked = check(&[&server.url()]);
    assert_eq!(checked.status, 2, "{checked:?}");
    server.resume();
}

#[test]
fn a_server_with_tls_is_told_from_one_without() {
    let Some(dir) = certificates() else {
        return;
    };
    let port = larder_testkit::free_port().to_string();
    let text = |name: &str| dir.join(name).display().to_string();
    let (authority, key) = (text("authority.pem"), text("authority.key"));
    let options = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &authority,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ];
    let Some(_server) = Server::start_with(ServerKind::Redis, &options) else {
        return;
    };
    let url = format!("rediss://127.0.0.1:{port}");
    let plain = check(&[&format!("redis://127.0.0.1:{port}")]);
    assert!(
        plain.said.contains("its URL begins with rediss://"),
        "{plain:?}"
    );
    let distrusted = check(&[&url]);
    assert!(
        distrusted
            .said
            .contains("nobody who is trusted has signed it"),
        "{distrusted:?}"
    );
    let missing = check(&[&url, "--authority", "/no/where"]);
    assert!(missing.said.contains("can't read /no/where"), "{missing:?}");
    for checked in [plain, distrusted, missing] {
        assert_eq!(checked.status, 2, "{checked:?}");
    }
    let trusted = check(&[&url, "--authority", &authority]);
    assert_eq!(trusted.status, 1, "{trusted:?}");
    std::fs::remove_dir_all(dir).unwrap();
}

/// A certificate of 127.0.0.1 that is its own authority. `None` if there is no `openssl`.
fn certificates() -> Option<PathBuf> {
    let dir = std::env::temp_dir().join(format!("larder-check-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "authority.key", "-out", "authority.pem"])
        .current_dir(&dir)
        .output();
    let Ok(made) = made else {
        larder_testkit::skip("no openssl on the path");
        return None;
    };
    assert!(made.status.success(), "{made:?}");
    Some(dir)
}
