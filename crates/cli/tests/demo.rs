//! `larder demo` as a person meets it: the command, its page in a real browser, and its messages.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod process;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use larder_testkit::{Browser, Server, ServerKind};
use process::Process;

/// A running demo. It ends when this is dropped.
struct Demo {
    process: Process,
    url: String,
}

impl Demo {
    fn start(store: &str) -> Demo {
        let mut command = larder(&["demo", "--http", "127.0.0.1:0", "--visitors", "10"]);
        let mut process = Process::start(command.args(["--store", store]));
        let opened = process.says("the shop is open on ");
        let (url, _) = opened.split_once(',').unwrap();
        let url = url.to_owned();
        Demo { process, url }
    }

    fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The head and the body of an answer.
    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path}"), "", "")
    }

    /// The head and the body of an answer to a request with these header lines and this body.
    fn ask(&self, what: &str, lines: &str, body: &str) -> String {
        let (address, len) = (self.address(), body.len());
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "{what} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {len}\r\n{lines}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn larder(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Another device than the page: it has cookies of its own. A second login from the same browser goes
/// on with the session that is there.
struct Device<'a> {
    demo: &'a Demo,
    cookie: String,
}

impl Device<'_> {
    fn log_in<'a>(demo: &'a Demo, name: &str) -> Device<'a> {
        let body = format!("{{\"name\":\"{name}\"}}");
        let json = "Content-Type: application/json\r\n";
        let answer = demo.ask("POST /api/login", json, &body);
        let (_, rest) = answer.split_once("\r\nset-cookie: ").unwrap();
        let (cookie, _) = rest.split_once(';').unwrap();
        let cookie = cookie.to_owned();
        Device { demo, cookie }
    }

    /// Who the shop says is logged in here.
    fn me(&self) -> String {
        let cookie = format!("Cookie: {}\r\n", self.cookie);
        self.demo.ask("GET /api/me", &cookie, "")
    }
}

/// What the page shows on both kinds of store, and what each click does.
fn every_service_can_be_seen_and_clicked(store: &str) {
    let demo = Demo::start(store);
    let Some(mut page) = Browser::open(&demo.url) else {
        return;
    };
    let number = |id: &str| format!("Number(document.getElementById('{id}').textContent)");
    page.wait_until("document.body.dataset.ready === 'yes'");

    // The crowd keeps every service busy.
    page.wait_until(&format!(
        "{} === 10 && {} > 0",
        number("crowd-visitors"),
        number("crowd-rate")
    ));
    page.wait_until(&format!("{} > 0", number("sessions-active")));
    page.wait_until(&format!(
        "parseFloat({}) > 10",
        "document.getElementById('cache-ratio').textContent"
    ));
    page.wait_until(&format!("{} > 0", number("limit-allowed")));
    page.wait_until(&format!("{} > 0", number("queue-processed")));
    page.wait_until("document.querySelectorAll('#board tr').length > 0");
    page.wait_until("document.querySelectorAll('#events li').length > 0");
    assert_eq!(page.text_of("store-url"), store);

    // The crowd goes home, so that only this page acts.
    page.evaluate("$('crowd').value = 0, $('crowd').dispatchEvent(new Event('change'))");
    page.wait_until(&format!("{} === 0", number("crowd-visitors")));

    // A login, with two devices.
    let device = Device::log_in(&demo, "Grace");
    page.evaluate("$('name').value = 'Grace', $('login').requestSubmit()");
    page.wait_until(
        "$('me-name').textContent === 'Grace' && $('me-sessions').textContent === '2 devices'",
    );
    page.wait_until("$('me').checkVisibility() && !$('login').checkVisibility()");
    let me = device.me();
    assert!(me.contains("\"name\":\"Grace\""), "{me}");

    // A page is made once, then cached, and made anew when its tag is void.
    page.click("clear");
    page.wait_until("$('cache-result').textContent.includes('is void')");
    page.click("look");
    page.wait_until("$('cache-result').textContent.includes('made')");
    page.click("look");
    page.wait_until("$('cache-result').textContent.includes('from the cache')");
    page.click("reprice");
    page.wait_until("$('cache-result').textContent.includes('New price')");
    page.click("look");
    page.wait_until("$('cache-result').textContent.includes('made')");

    // Twenty calls at once are more than are let in.
    page.click("storm");
    page.wait_until("$('limit-result').textContent.includes('come back in')");
    page.wait_until(&format!("{} > 0", number("limit-denied")));

    // A lock that is held can be seen, and an order on it waits and is done in the end.
    page.click("hold");
    page.wait_until("$('locks').textContent.includes('Plum jam')");
    page.click("buy");
    page.wait_until("$('order-result').textContent.includes('is in the stream')");
    page.wait_until("$('lock-result').textContent.includes('released')");
    page.wait_until("$('events').textContent.includes('Grace bought Plum jam')");
    page.click("around");
    page.wait_until("$('board-result').textContent.includes('Grace')");

    // Logged out everywhere: the other device too.
    page.click("logout-all");
    page.wait_until(
        "$('login').checkVisibility() && $('session-result').textContent.includes('all devices')",
    );
    let me = device.me();
    assert!(me.starts_with("HTTP/1.0 401"), "{me}");

    // The longest name fits.
    page.evaluate("$('name').value = 'W'.repeat(40), $('login').requestSubmit()");
    page.wait_until("$('me').checkVisibility()");
    page.evaluate("for (let i = 0; i < 15; i++) ask('POST', '/api/orders', { product: 8 })");
    page.wait_until("$('board').textContent.includes('W'.repeat(40))");
    page.wait_until("[...document.querySelectorAll('section')].every((card) => card.scrollWidth <= card.clientWidth)");
}

#[test]
fn every_service_can_be_seen_and_clicked_on_a_memory_store() {
    every_service_can_be_seen_and_clicked("memory:");
}

#[test]
fn every_service_can_be_seen_and_clicked_on_a_real_server() {
    let Some(server) = Server::start(ServerKind::Redis) else {
        return;
    };
    every_service_can_be_seen_and_clicked(&server.url());
}

#[test]
fn the_page_says_when_the_store_is_away_and_goes_on_when_it_is_back() {
    let Some(mut server) = Server::start(ServerKind::Redis) else {
        return;
    };
    let demo = Demo::start(&server.url());
    let Some(mut page) = Browser::open(&demo.url) else {
        return;
    };
    let is_away = "!document.getElementById('away').hidden";
    let orders = "Number(document.getElementById('queue-processed').textContent)";
    page.wait_until(&format!("{orders} > 0"));
    page.evaluate("$('name').value = 'Grace', $('login').requestSubmit()");
    page.wait_until("$('me').checkVisibility()");
    server.kill();
    page.wait_until(is_away);

    server.restart();
    page.wait_until(&format!("!({is_away})"));
    page.wait_until(&format!("(window.before ??= {orders}) < {orders}"));
    page.wait_until("document.getElementById('events').children.length > 0");

    // The server kept nothing on disk, so the session is gone.
    page.click("buy");
    page.wait_until("$('order-result').textContent === 'log in first'");
    page.wait_until("$('login').checkVisibility() && !$('me').checkVisibility()");
}

/// A client whose request is under way is waited for, but not forever, nor after a second signal.
#[test]
fn a_client_that_sends_half_a_request_holds_the_end_up_for_a_while_only() {
    for (signals, status) in [(1, 0), (2, 143)] {
        let mut demo = Demo::start("memory:");
        let mut client = TcpStream::connect(demo.address()).unwrap();
        let head = "POST /api/login HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n";
        write!(
            client,
            "{head}Content-Length: 100\r\nExpect: 100-continue\r\n\r\n"
        )
        .unwrap();
        let mut answer = [0; 21];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue");

        demo.process.signal("-TERM");
        demo.process.says("closing the shop");
        if signals == 2 {
            assert!(demo.process.is_running());
            demo.process.signal("-TERM");
        }
        assert_eq!(demo.process.end().code(), Some(status));
    }
}

/// The limited API stands behind the layer that the README shows.
#[test]
fn the_limited_api_says_in_headers_what_is_left_and_when_to_come_back() {
    let demo = Demo::start("memory:");
    let ask = || demo.get("/api/limited");
    let first = ask();
    assert!(first.starts_with("HTTP/1.0 200"), "{first}");
    for header in ["ratelimit-policy: \"", "ratelimit: \"", "{\"left\":"] {
        assert!(first.contains(header), "{header}: {first}");
    }
    let mut rest = (0..1000).map(|_| ask());
    let denied = rest.find(|answer| answer.starts_with("HTTP/1.0 429"));
    let denied = denied.expect("nobody may ask so often");
    for header in ["retry-after: ", "ratelimit-policy: \"", "ratelimit: \""] {
        assert!(denied.contains(header), "{header}: {denied}");
    }
    assert!(denied.contains("quota-exceeded"), "{denied}");
}

#[test]
fn the_help_says_what_larder_is() {
    let help = larder(&["--help"]).output().unwrap();
    let said = String::from_utf8(help.stdout).unwrap();
    assert!(
        said.starts_with("Everything teams reach for Redis for"),
        "{said}"
    );
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, wanted) in [
        (
            &["demo", "--store", "mysql://x"][..],
            "is no URL of a store: use memory:",
        ),
        (
            &["demo", "--store", "redis://127.0.0.1:1"],
            "the store does not answer",
        ),
        (&["demo", "--http", &address], "can't listen on"),
        (&["demo", "--visitors", "500"], "500 is not in 0..=200"),
        (&["serve", "--listen", &address], "can't listen on"),
        (&["serve", "--listen", "here"], "an IP address and a port"),
        (&["serve", "--requirepass", ""], "the password is empty"),
        (&["serve", "--maxclients", "0"], "between 1 and 4294967295"),
        (&["serve", "--timeout", "-1"], "between 0 and 2147483647"),
        (
            &["serve", "--listen", "127.0.0.1:0", "--unixsocket", "/"],
            "is no socket",
        ),
        (
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--unixsocket",
                "/no/where",
            ],
            "No such file",
        ),
        (&["serve", "--nope"], "unexpected argument '--nope'"),
    ] {
        let mut child = larder(arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert!(!child.wait().unwrap().success(), "{arguments:?}");
        assert!(said.contains(wanted), "{arguments:?}: {said}");
    }
}
