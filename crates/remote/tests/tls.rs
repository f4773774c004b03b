//! A real server over TLS, with an authority of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::path::{Path, PathBuf};
use std::process::Command as Process;

use larder_remote::{Config, Remote, Tls};
use larder_store::{Channels, Command, Error, Event, Store};
use larder_testkit::{Server, ServerKind};

/// Certificates that were made for one test, and are removed after it.
struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// An authority, and a certificate of 127.0.0.1 by it. `None` if there is no `openssl`.
    fn make(test: &str) -> Option<Certificates> {
        let dir = std::env::temp_dir().join(format!("larder-tls-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let made = Certificates { dir };
        let authority = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority \
                         -keyout authority.key -out authority.pem";
        made.openssl(authority)?;
        made.openssl(
            "req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr",
        );
        std::fs::write(
            made.dir.join("names"),
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
        )
        .unwrap();
        made.openssl(
            "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial \
             -days 2 -extfile names -out server.pem",
        );
        Some(made)
    }

    fn openssl(&self, arguments: &str) -> Option<()> {
        let made = Process::new("openssl")
            .args(arguments.split_ascii_whitespace())
            .current_dir(&self.dir)
            .output();
        let Ok(made) = made else {
            larder_testkit::skip("no openssl on the path");
            return None;
        };
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Some(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A server with a TLS port, and that port.
fn server(certificates: &Certificates, asks_clients: &str) -> Option<(Server, u16)> {
    let port = larder_testkit::free_port().to_string();
    let text = |path: &Path| path.display().to_string();
    let (cert, key) = (
        text(&certificates.path("server.pem")),
        text(&certificates.path("server.key")),
    );
    let authority = text(&certificates.path("authority.pem"));
    let server = Server::start_with(
        ServerKind::Redis,
        &[
            "--tls-port",
            &port,
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &authority,
            "--tls-auth-clients",
            asks_clients,
        ],
    )?;
    Some((server, port.parse().unwrap()))
}

fn open(port: u16, config: Config) -> Store {
    larder_testkit::open(&format!("rediss://127.0.0.1:{port}"), config)
}

#[tokio::test]
async fn a_server_whose_authority_is_trusted_is_a_store() {
    let Some(certificates) = Certificates::make("trusted") else {
        return;
    };
    let Some((_server, port)) = server(&certificates, "no") else {
        return;
    };
    let tls = Tls::new().authority(certificates.read("authority.pem"));
    let store = open(port, Config::default().tls(tls));

    store
        .run::<()>(Command::new("SET").arg("a").arg("1"))
        .await
        .unwrap();
    assert_eq!(store.run::<i64>(Command::new("GET").arg("a")).await, Ok(1));
    let mut events = store
        .subscribe(Channels::default().channel("news"))
        .await
        .unwrap();
    store
        .run::<i64>(Command::new("PUBLISH").arg("news").arg("x"))
        .await
        .unwrap();
    assert!(matches!(events.next().await, Some(Event::Message(_))));
    store
        .run::<()>(Command::new("RPUSH").arg("q").arg("x"))
        .await
        .unwrap();
    let popped: (String, String) = store
        .run(Command::new("BLPOP").arg("q").arg(1))
        .await
        .unwrap();
    assert_eq!(popped.1, "x");
}

#[tokio::test]
async fn a_server_whose_authority_is_not_trusted_is_sent_nothing() {
    let Some(certificates) = Certificates::make("stranger") else {
        return;
    };
    let Some((_server, port)) = server(&certificates, "no") else {
        return;
    };
    let error = open(port, Config::default().retries(0))
        .call(Command::new("PING"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Away(_)), "{error}");
    assert!(error.to_string().contains("`Tls::authority`"), "{error}");
}

#[tokio::test]
async fn a_server_that_asks_who_comes_is_shown_a_certificate() {
    let Some(certificates) = Certificates::make("identity") else {
        return;
    };
    let Some((_server, port)) = server(&certificates, "yes") else {
        return;
    };
    let config = Config::default().retries(0);
    let tls = Tls::new().authority(certificates.read("authority.pem"));
    let nobody = open(port, config.clone().tls(tls.clone()))
        .call(Command::new("PING"))
        .await;
    assert!(nobody.is_err());

    let (pem, key) = (
        certificates.read("server.pem"),
        certificates.read("server.key"),
    );
    let config = config.tls(tls.identity(pem, key));
    assert!(!format!("{config:?}").contains("PRIVATE"));
    open(port, config)
        .run::<()>(Command::new("PING"))
        .await
        .unwrap();
}

/// What a store says whose URL leads to this port.
async fn said(url: &str, certificates: &Certificates) -> String {
    let tls = Tls::new().authority(certificates.read("authority.pem"));
    let store = larder_testkit::open(url, Config::default().tls(tls));
    let error = store.call(Command::new("PING")).await.unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn a_port_for_tls_that_is_taken_for_a_plain_one_is_told_of_every_kind_of_store() {
    let Some(certificates) = Certificates::make("plain") else {
        return;
    };
    let Some((_server, port)) = server(&certificates, "no") else {
        return;
    };
    for (url, wanted) in [
        (format!("redis://127.0.0.1:{port}"), "rediss://"),
        (
            format!("redis-sentinel://127.0.0.1:{port}/main"),
            "rediss-sentinel://",
        ),
        (
            format!("redis-cluster://127.0.0.1:{port}"),
            "rediss-cluster://",
        ),
    ] {
        let said = said(&url, &certificates).await;
        assert!(said.contains(wanted), "{url}: {said}");
    }
}

#[tokio::test]
async fn a_plain_port_that_is_taken_for_one_for_tls_is_told_of_every_kind_of_store() {
    let Some(certificates) = Certificates::make("tls") else {
        return;
    };
    let Some(server) = Server::start(ServerKind::Redis) else {
        return;
    };
    let port = server.port();
    for (url, wanted) in [
        (format!("rediss://127.0.0.1:{port}"), "redis://"),
        (
            format!("rediss-sentinel://127.0.0.1:{port}/main"),
            "redis-sentinel://",
        ),
        (
            format!("rediss-cluster://127.0.0.1:{port}"),
            "redis-cluster://",
        ),
    ] {
        let said = said(&url, &certificates).await;
        let words = said.split(|letter: char| letter.is_whitespace() || letter == '`');
        let is_told = words.into_iter().any(|word| word.starts_with(wanted));
        assert!(is_told, "{url}: {said}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_none_is_refused_when_the_store_is_opened() {
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let empty = format!("{cut}-----END CERTIFICATE-----\n");
    for (pem, wanted) in [
        ("no certificate", "is no PEM"),
        (cut, "the certificates for TLS can't be used"),
        (&empty, "the certificates for TLS can't be used"),
    ] {
        let config = Config::default().tls(Tls::new().authority(pem));
        let error = Remote::open("rediss://127.0.0.1:1", config).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
}
