//! Clients that speak TLS, and those that pretend to.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder_resp::Frame;
use larder_server::{AuthClients, Config, Server, StartError, TlsConfig};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::support::{Client, PATIENCE, TestServer, bulk, error, status, until};

type Secure = StreamOwned<ClientConnection, TcpStream>;

const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/certificates")
        .join(name)
}

fn tls() -> TlsConfig {
    TlsConfig {
        cert_file: file("server.pem"),
        key_file: file("server.key"),
        ca_cert_file: file("authority.pem"),
        auth_clients: AuthClients::No,
        ..TlsConfig::default()
    }
}

fn start(tls: TlsConfig) -> TestServer {
    start_with(Config {
        tls,
        ..Config::default()
    })
}

fn start_with(config: Config) -> TestServer {
    let tls_listen = vec![([127, 0, 0, 1], 0).into()];
    TestServer::with(
        Config {
            tls_listen,
            ..config
        },
        None,
    )
}

fn dial(server: &TestServer) -> TcpStream {
    let socket = TcpStream::connect(server.server.tls_addresses()[0]).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// A client with a certificate of this name, or without one, which has not shaken hands yet.
fn secure(
    server: &TestServer,
    certificate: Option<&str>,
    versions: &[&'static SupportedProtocolVersion],
) -> Secure {
    let mut authorities = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(file("authority.pem")).unwrap();
    authorities.add(authority).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(authorities);
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = vec![CertificateDer::from_pem_file(file(&format!("{name}.pem"))).unwrap()];
            let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(session, dial(server))
}

fn connect(server: &TestServer) -> Client<Secure> {
    Client::new(secure(server, None, BOTH))
}

/// Why a client is not let in. In TLS 1.3 it hears of it when it reads first.
fn refusal(mut client: Secure) -> String {
    let mut byte = [0];
    let read = client
        .write_all(b"PING\r\n")
        .and_then(|()| client.read_exact(&mut byte));
    read.unwrap_err().to_string()
}

/// What the server sends to who speaks no TLS, until it ends the connection.
fn all(mut socket: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection was not ended: {error}"),
    }
    bytes
}

#[test]
fn clients_are_served_over_each_version_and_over_plain_sockets_beside_them() {
    let server = start(tls());
    assert_eq!(server.connect().ask("SET key value"), status("OK"));
    for version in BOTH {
        let mut client = Client::new(secure(&server, None, &[version]));
        assert_eq!(client.ask("GET key"), bulk("value"));
        assert_eq!(
            client.ask("HELLO 4"),
            error("NOPROTO unsupported protocol version")
        );
    }
}

#[test]
fn a_version_that_is_not_wanted_is_not_spoken() {
    let server = start(TlsConfig {
        protocols: "TLSv1.3".to_owned(),
        ..tls()
    });
    let mut client = Client::new(secure(&server, None, &[&TLS13]));
    assert_eq!(client.ask("PING"), status("PONG"));
    let why = refusal(secure(&server, None, &[&TLS12]));
    assert!(why.contains("ProtocolVersion"), "{why}");
}

#[test]
fn long_requests_and_answers_pass_whole_and_pipelines_in_order() {
    let server = start(tls());
    let mut client = connect(&server);
    let long = "x".repeat(3_000_000);
    assert_eq!(client.ask(&format!("ECHO {long}")), bulk(&long));
    client.send("INCR counter\r\n".repeat(20_000));
    for count in 1..=20_000 {
        assert_eq!(client.answer(), Frame::Integer(count));
    }
}

#[test]
fn messages_come_over_tls_though_the_client_says_nothing() {
    let server = start(tls());
    let mut listener = connect(&server);
    listener.request("SUBSCRIBE news");
    listener.answer();
    let mut waiting = connect(&server);
    waiting.request("BLPOP jobs 0");
    let mut other = server.connect();
    until(|| other.list().contains("cmd=blpop"));
    assert_eq!(other.ask("PUBLISH news hello"), Frame::Integer(1));
    assert_eq!(other.ask("LPUSH jobs one"), Frame::Integer(1));
    let message = vec![bulk("message"), bulk("news"), bulk("hello")];
    assert_eq!(listener.answer(), Frame::Array(message));
    assert!(matches!(waiting.answer(), Frame::Array(_)));
}

#[test]
fn clients_show_a_certificate_of_the_right_authority_if_they_have_to() {
    let server = start(TlsConfig {
        auth_clients: AuthClients::Yes,
        ..tls()
    });
    let mut client = Client::new(secure(&server, Some("client"), BOTH));
    assert_eq!(client.ask("PING"), status("PONG"));
    for certificate in [None, Some("strange-client")] {
        for version in BOTH {
            let why = refusal(secure(&server, certificate, &[version]));
            assert!(why.contains("fatal alert"), "{certificate:?}: {why}");
        }
    }

    let server = start(TlsConfig {
        auth_clients: AuthClients::Optional,
        ..tls()
    });
    for certificate in [None, Some("client")] {
        let mut client = Client::new(secure(&server, certificate, BOTH));
        assert_eq!(client.ask("PING"), status("PONG"));
    }
    let why = refusal(secure(&server, Some("strange-client"), BOTH));
    assert!(why.contains("fatal alert"), "{why}");
}

#[test]
fn certificates_change_while_clients_are_served_and_a_broken_one_changes_nothing() {
    let server = start(tls());
    let mut old = connect(&server);
    assert_eq!(old.ask("PING"), status("PONG"));
    let (cert, key) = (file("renewed.pem"), file("renewed.key"));
    let (cert, key) = (cert.display(), key.display());

    let mut plain = server.connect();
    let refused = plain.ask(&format!("CONFIG SET tls-cert-file {cert}"));
    let Frame::Error(why) = refused else {
        panic!("a certificate without its key was taken");
    };
    assert!(why.contains("do not go together"), "{why}");
    let set = plain.ask("CONFIG SET tls-key-file /nowhere maxclients 77");
    assert!(matches!(set, Frame::Error(_)), "{set:?}");
    let kept = plain.ask("CONFIG GET maxclients");
    assert_eq!(kept, Frame::Array(vec![bulk("maxclients"), bulk("10000")]));
    assert_eq!(shown_name(&server), "server");

    let set = format!("CONFIG SET tls-cert-file {cert} tls-key-file {key}");
    assert_eq!(plain.ask(&set), status("OK"));
    assert_eq!(shown_name(&server), "renewed");
    assert_eq!(old.ask("PING"), status("PONG"));
    let shown = plain.ask("CONFIG GET tls-cert-file");
    assert_eq!(
        shown,
        Frame::Array(vec![bulk("tls-cert-file"), bulk(&cert.to_string())])
    );
}

/// The common name in the certificate that the server shows.
fn shown_name(server: &TestServer) -> &'static str {
    let mut stream = secure(server, None, BOTH);
    stream.write_all(b"PING\r\n").unwrap();
    stream.read_exact(&mut [0; 7]).unwrap();
    let shown = stream.conn.peer_certificates().unwrap()[0].clone();
    let is = |name: &str| shown == CertificateDer::from_pem_file(file(name)).unwrap();
    match (is("server.pem"), is("renewed.pem")) {
        (true, _) => "server",
        (_, true) => "renewed",
        _ => "neither",
    }
}

#[test]
fn files_are_read_again_when_they_have_changed() {
    let dir = std::env::temp_dir().join(format!("larder-tls-reload-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let copy = |from: &str, to: &str| std::fs::copy(file(from), dir.join(to)).unwrap();
    copy("server.pem", "cert.pem");
    copy("server.key", "key.pem");
    let server = start(TlsConfig {
        cert_file: dir.join("cert.pem"),
        key_file: dir.join("key.pem"),
        ..tls()
    });
    copy("renewed.pem", "cert.pem");
    let why = server.server.reload_tls().unwrap_err().to_string();
    assert!(why.contains("do not go together"), "{why}");
    assert_eq!(shown_name(&server), "server");
    copy("renewed.key", "key.pem");
    server.server.reload_tls().unwrap();
    assert_eq!(shown_name(&server), "renewed");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_server_does_not_start_without_what_tls_needs_and_says_what_that_is() {
    let refusal = |tls: TlsConfig| {
        let store = larder_embedded::Embedded::open(Default::default()).unwrap();
        let config = Config {
            listen: Vec::new(),
            tls_listen: vec![([127, 0, 0, 1], 0).into()],
            tls,
            ..Config::default()
        };
        match Server::start(config, &store) {
            Err(StartError::Tls(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refusal(TlsConfig::default()), "TLS needs tls-cert-file");
    let sealed = TlsConfig {
        key_file: file("sealed.key"),
        ..tls()
    };
    assert!(refusal(sealed).contains("a key with a password can't be read"));
    let sealed = TlsConfig {
        key_file_pass: "secret".to_owned(),
        ..tls()
    };
    assert!(refusal(sealed).contains("tls-key-file-pass"));
    let nobody = TlsConfig {
        auth_clients: AuthClients::Yes,
        ca_cert_file: PathBuf::new(),
        ..tls()
    };
    assert!(refusal(nobody).contains("tls-auth-clients"));
    let old = TlsConfig {
        protocols: "TLSv1.1".to_owned(),
        ..tls()
    };
    assert!(refusal(old).contains("'TLSv1.1' is not spoken"));
}

// --- those who mean no good ------------------------------------------------------------------------

#[test]
fn who_speaks_plainly_to_a_port_for_tls_is_told_so() {
    let server = start(tls());
    let mut socket = dial(&server);
    socket.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    let told = String::from_utf8(all(socket)).unwrap();
    assert!(told.starts_with("-ERR this port speaks TLS"), "{told}");
}

#[test]
fn a_handshake_that_does_not_end_is_ended_and_a_silent_client_with_it() {
    let server = start_with(Config {
        tls: tls(),
        handshake_timeout: Duration::from_millis(100),
        ..Config::default()
    });
    let silent = dial(&server);
    let mut half = dial(&server);
    // The beginning of a record of a handshake, of which the rest never comes.
    half.write_all(&[22, 3, 1, 2, 0, 1, 0]).unwrap();
    // Who has shaken hands may be silent for as long as he likes.
    let mut done = connect(&server);
    assert_eq!(done.ask("PING"), status("PONG"));
    // A word of TLS at most: that it is over.
    assert!(all(silent).len() <= 7);
    assert!(all(half).len() <= 7);
    assert_eq!(done.ask("PING"), status("PONG"));
}

#[test]
fn a_handshake_that_is_too_long_is_refused_and_others_are_served() {
    let server = start(tls());
    let mut socket = dial(&server);
    // Records of a handshake, as long as they may be, whose message says that it has 16 MiB.
    let mut record = vec![22, 3, 1, 0x40, 0];
    record.extend([1, 0xff, 0xff, 0xff]);
    record.resize(5 + 0x4000, 0);
    let sent = (0..1024).try_for_each(|_| socket.write_all(&record));
    let mut rest = Vec::new();
    let end = socket.read_to_end(&mut rest);
    assert!(sent.is_err() || end.is_ok() || rest.len() < 64, "{end:?}");
    assert_eq!(connect(&server).ask("PING"), status("PONG"));
    let mut plain = server.connect();
    until(|| plain.list().lines().count() <= 2);
}

#[test]
fn what_is_sealed_wrongly_ends_its_connection_and_no_other() {
    let server = start(tls());
    let (mut broken, mut whole) = (connect(&server), connect(&server));
    assert_eq!(broken.ask("PING"), status("PONG"));
    assert_eq!(whole.ask("PING"), status("PONG"));
    // A record of data that nobody has sealed.
    broken
        .socket
        .sock
        .write_all(&[23, 3, 3, 0, 5, 1, 2, 3, 4, 5])
        .unwrap();
    let mut bytes = Vec::new();
    let _ = broken.socket.sock.read_to_end(&mut bytes);
    assert!(bytes.len() < 64, "an alert at most: {} bytes", bytes.len());
    assert_eq!(whole.ask("PING"), status("PONG"));
}

/// What waits for a client that does not read is bounded as on a plain socket.
#[test]
fn a_client_that_reads_too_slowly_over_tls_is_cut_off() {
    let server = start(tls());
    let mut plain = server.connect();
    let mut words = Vec::new();
    let limit = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "normal 1mb 0 0",
    ];
    larder_resp::write_request(&mut words, &limit);
    plain.send(words);
    assert_eq!(plain.answer(), status("OK"));
    plain.ask(&format!("SET long {}", "x".repeat(500_000)));
    let mut greedy = connect(&server);
    assert_eq!(greedy.ask("CLIENT SETNAME greedy"), status("OK"));
    greedy.send("GET long\r\n".repeat(200));
    until(|| !plain.list().contains("name=greedy"));
}

#[test]
fn a_client_that_says_goodbye_gets_all_its_answers_first() {
    let server = start(tls());
    let mut client = connect(&server);
    let word = "y".repeat(100_000);
    (0..20).for_each(|_| client.request(&format!("ECHO {word}")));
    client.socket.conn.send_close_notify();
    client.socket.flush().unwrap();
    for _ in 0..20 {
        assert_eq!(client.answer(), bulk(&word));
    }
    assert_eq!(client.answer_or_end(), None);
}

#[test]
fn the_server_says_goodbye_when_it_ends() {
    let server = start(tls());
    let mut client = connect(&server);
    assert_eq!(client.ask("PING"), status("PONG"));
    let TestServer { server, .. } = server;
    assert!(server.shutdown());
    // An end without a word would be an error.
    assert_eq!(client.socket.read(&mut [0; 16]).unwrap(), 0);
}
