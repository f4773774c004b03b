//! `larder serve` over TLS with clients that others have written.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod process;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use process::Process;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../server/tests/certificates")
        .join(name)
}

/// A server whose clients have to show a certificate, and its port for TLS.
fn serve(cert: &Path, key: &Path) -> (Process, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--tls-listen",
        "127.0.0.1:0",
    ]);
    command.arg("--tls-cert-file").arg(cert);
    command.arg("--tls-key-file").arg(key);
    command.arg("--tls-ca-cert-file").arg(file("authority.pem"));
    let mut process = Process::start_logging(&mut command);
    let address = process.says("listening for TLS on ");
    let port = address.rsplit_once(':').unwrap().1.to_owned();
    (process, port)
}

fn serve_as_usual() -> (Process, String) {
    serve(&file("server.pem"), &file("server.key"))
}

/// Runs a client, or says that there is none.
fn run(command: &mut Command, input: &str) -> Option<Output> {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        let name = command.get_program().display();
        larder_testkit::skip(&format!("no {name} on the path"));
        return None;
    };
    // Who ends early reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Some(child.wait_with_output().unwrap())
}

fn redis_cli(port: &str, certificate: Option<&str>, request: &[&str]) -> Option<String> {
    let mut command = Command::new("redis-cli");
    command.args(["-h", "127.0.0.1", "-p", port, "--tls", "--cacert"]);
    command.arg(file("authority.pem"));
    if let Some(name) = certificate {
        command.arg("--cert").arg(file(&format!("{name}.pem")));
        command.arg("--key").arg(file(&format!("{name}.key")));
    }
    let output = run(command.args(request), "")?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn redis_cli_comes_in_with_its_certificate_and_not_with_that_of_another_authority() {
    let (_process, port) = serve_as_usual();
    let Some(answer) = redis_cli(&port, Some("client"), &["SET", "key", "value"]) else {
        return;
    };
    assert_eq!(answer, "OK\n");
    let long = redis_cli(
        &port,
        Some("client"),
        &["EVAL", "return string.rep('x', 1000000)", "0"],
    );
    assert_eq!(long.unwrap().trim_end().len(), 1_000_000);
    for certificate in [None, Some("strange-client")] {
        let answer = redis_cli(&port, certificate, &["GET", "key"]).unwrap();
        assert!(!answer.contains("value"), "{certificate:?}: {answer}");
    }
    let answer = redis_cli(&port, Some("client"), &["GET", "key"]);
    assert_eq!(answer.unwrap(), "value\n");
}

#[test]
fn redis_cli_without_tls_hears_that_the_port_speaks_it() {
    let (_process, port) = serve_as_usual();
    let mut command = Command::new("redis-cli");
    let Some(output) = run(command.args(["-p", &port, "PING"]), "") else {
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("this port speaks TLS"), "{told}");
}

#[test]
fn a_signal_has_the_certificate_read_again_and_a_broken_one_is_told_of() {
    let dir = std::env::temp_dir().join(format!("larder-cli-tls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::copy(file("server.pem"), &cert).unwrap();
    std::fs::copy(file("server.key"), &key).unwrap();
    let (mut process, port) = serve(&cert, &key);
    std::fs::write(&cert, "nothing").unwrap();
    process.signal("-HUP");
    let told = process.says("the certificates stay as they are: ");
    assert!(told.contains("there is no certificate in it"), "{told}");
    std::fs::copy(file("renewed.pem"), &cert).unwrap();
    std::fs::copy(file("renewed.key"), &key).unwrap();
    process.signal("-HUP");
    process.says("the certificates have been read again");

    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]);
    if let Some(output) = run(&mut command, "") {
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            told.contains("CN = renewed") || told.contains("CN=renewed"),
            "{told}"
        );
    }
    std::fs::remove_dir_all(dir).unwrap();
}

/// OpenSSL takes a line that is `R` as the wish for another handshake in the middle of a connection.
#[test]
fn a_second_handshake_in_a_connection_is_refused_and_others_are_served() {
    let (mut process, port) = serve_as_usual();
    let mut command = Command::new("openssl");
    command.args([
        "s_client",
        "-tls1_2",
        "-connect",
        &format!("127.0.0.1:{port}"),
    ]);
    command
        .arg("-cert")
        .arg(file("client.pem"))
        .arg("-key")
        .arg(file("client.key"));
    let Some(output) = run(&mut command, "R\nPING\n") else {
        return;
    };
    let all = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&all).into_owned();
    assert!(told.contains("RENEGOTIATING"), "{told}");
    assert!(told.contains("no renegotiation"), "{told}");
    assert!(process.is_running());
    if let Some(answer) = redis_cli(&port, Some("client"), &["PING"]) {
        assert_eq!(answer, "PONG\n");
    }
}

#[test]
fn redis_py_works_over_tls() {
    let (_process, port) = serve_as_usual();
    let text = format!(
        "import redis\n\
         r = redis.Redis(host='127.0.0.1', port={port}, ssl=True, ssl_ca_certs={:?},\n\
         \x20   ssl_certfile={:?}, ssl_keyfile={:?})\n\
         pipe = r.pipeline(transaction=False)\n\
         for n in range(5000): pipe.incr('n')\n\
         assert pipe.execute()[-1] == 5000\n\
         r.set('long', b'x' * 3000000)\n\
         assert len(r.get('long')) == 3000000\n\
         p = r.pubsub(); p.subscribe('news'); p.get_message(timeout=5)\n\
         r.publish('news', 'hello')\n\
         assert p.get_message(timeout=5)['data'] == b'hello'\n",
        file("authority.pem").display().to_string(),
        file("client.pem").display().to_string(),
        file("client.key").display().to_string(),
    );
    let python = std::env::var_os("LARDER_PYTHON").unwrap_or_else(|| "python3".into());
    let has_it = run(Command::new(&python).args(["-c", "import redis"]), "");
    if !has_it.is_some_and(|output| output.status.success()) {
        larder_testkit::skip("no redis-py");
        return;
    }
    let output = run(Command::new(&python).args(["-c", &text]), "").unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
}
