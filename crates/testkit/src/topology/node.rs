//! One server of a topology.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::path::Path;

use larder_resp::Frame;

use super::conversation::Conversation;
use crate::process::Process;
use crate::proxy::Proxy;

/// What stands in the configuration of every server.
const PLAIN: &str = "bind 127.0.0.1\ndaemonize no\n";

/// What stands in the configuration of every server that keeps data: nothing on the disk, and replicas
/// that are there at once.
const KEEPING: &str = r#"save ""
appendonly no
repl-diskless-sync yes
repl-diskless-sync-delay 0
repl-ping-replica-period 1
"#;

/// A server of a topology: a master, a replica or a Sentinel.
#[derive(Debug)]
pub struct Node {
    port: u16,
    password: Option<String>,
    /// Absent if somebody else has started it.
    process: Option<Process>,
    /// By which clients, Sentinels and replicas come, if it is not directly.
    proxy: Option<Proxy>,
    /// What it is told after each start, since no configuration has it.
    told: Vec<Vec<&'static str>>,
}

impl Node {
    /// Starts a server that keeps data, with these further lines for its port.
    pub(crate) fn server(
        program: &Path,
        password: Option<&str>,
        lines: impl Fn(u16) -> String,
    ) -> Node {
        Node::start(program, password, &[], |port| {
            keeping(password, &lines(port))
        })
    }

    /// Starts a server that keeps data behind a proxy, with these further lines for its port. It tells
    /// others of the proxy's port in the place of its own, by the option `announce`.
    pub(crate) fn proxied(
        program: &Path,
        password: Option<&str>,
        announce: &str,
        lines: impl Fn(u16) -> String,
    ) -> Node {
        let proxy = RefCell::new(None);
        let mut node = Node::start(program, password, &[], |port| {
            // Each try has another port, and so another proxy.
            let mut proxy = proxy.borrow_mut();
            let announced = proxy.insert(Proxy::before(port)).port();
            keeping(
                password,
                &format!("{announce} {announced}\n{}", lines(port)),
            )
        });
        node.proxy = proxy.into_inner();
        node
    }

    /// Starts a Sentinel, with these further lines.
    pub(crate) fn sentinel(
        program: &Path,
        password: Option<&str>,
        told: Vec<Vec<&'static str>>,
        lines: &str,
    ) -> Node {
        let mut node = Node::start(program, password, &["--sentinel"], |_| lines.to_owned());
        node.told = told;
        node.tell();
        node
    }

    fn start(
        program: &Path,
        password: Option<&str>,
        flags: &[&str],
        lines: impl Fn(u16) -> String,
    ) -> Node {
        let process = Process::start(program, |port, dir| {
            let mut text = format!(
                "port {port}\ndir {}\n{PLAIN}{}\n",
                dir.display(),
                lines(port)
            );
            if let Some(password) = password {
                let _ = writeln!(text, "requirepass {password}");
            }
            let file = dir.join("conf");
            std::fs::write(&file, text).expect("the temporary directory can be written");
            let flags = flags.iter().map(OsString::from);
            [OsString::from(file)].into_iter().chain(flags).collect()
        });
        Node {
            port: process.port(),
            password: password.map(str::to_owned),
            process: Some(process),
            proxy: None,
            told: Vec::new(),
        }
    }

    /// A server that somebody else has started.
    pub(crate) fn of_others(port: u16) -> Node {
        Node {
            port,
            password: None,
            process: None,
            proxy: None,
            told: Vec::new(),
        }
    }

    /// The port on 127.0.0.1 on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port on 127.0.0.1 by which others come: its own, or that of its proxy.
    pub fn announced_port(&self) -> u16 {
        self.proxy.as_ref().map_or(self.port, Proxy::port)
    }

    /// Host and port by which others come.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.announced_port())
    }

    /// The proxy before it.
    ///
    /// # Panics
    ///
    /// If it was started without one.
    pub fn proxy(&self) -> &Proxy {
        self.proxy
            .as_ref()
            .expect("a topology has proxies if it is started so")
    }

    /// Whether it runs, neither killed nor paused, and is not hidden by a black hole.
    pub fn is_reachable(&self) -> bool {
        let is_hidden = self.proxy.as_ref().is_some_and(Proxy::is_black_hole);
        !is_hidden && self.process.as_ref().is_none_or(Process::is_running)
    }

    /// Ends the server as a crash would.
    ///
    /// # Panics
    ///
    /// If it belongs to a topology that tests share.
    pub fn kill(&mut self) {
        self.own().kill();
    }

    /// Stops the server where it stands (`SIGSTOP`): its connections stay, and nothing is answered.
    ///
    /// # Panics
    ///
    /// If it has been killed, or belongs to a topology that tests share.
    pub fn pause(&mut self) {
        self.own().pause();
    }

    /// Lets the server go on (`SIGCONT`), as if no time had passed.
    ///
    /// # Panics
    ///
    /// If it has been killed, or belongs to a topology that tests share.
    pub fn resume(&mut self) {
        self.own().resume();
    }

    /// Starts the server again, on the same port and with its configuration, which for a node of a
    /// cluster and for a Sentinel is what it knew of the others. Data is not kept.
    ///
    /// # Panics
    ///
    /// If it does not start, or belongs to a topology that tests share.
    pub fn restart(&mut self) {
        self.own().restart();
        self.tell();
    }

    fn own(&mut self) -> &mut Process {
        self.process
            .as_mut()
            .expect("a node that tests share is stopped by none of them: start a topology for that")
    }

    fn tell(&self) {
        for words in &self.told {
            self.run(words);
        }
    }

    /// Opens a connection, with the password if there is one.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub fn connect(&self) -> io::Result<Conversation> {
        let mut conversation = Conversation::open(self.port)?;
        if let Some(password) = &self.password {
            conversation.ask(&["AUTH", password])?;
        }
        Ok(conversation)
    }

    /// What the server answers on a connection of its own, be it an error. Nothing if it does not answer.
    pub fn try_ask<W: AsRef<[u8]>>(&self, words: &[W]) -> Option<Frame> {
        self.connect().ok()?.ask(words).ok()
    }

    /// What the server answers on a connection of its own, be it an error.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn ask<W: AsRef<[u8]>>(&self, words: &[W]) -> Frame {
        let answer = self.connect().and_then(|mut to| to.ask(words));
        answer.unwrap_or_else(|error| panic!("port {} does not answer: {error}", self.port))
    }

    /// What the server answers on a connection of its own.
    ///
    /// # Panics
    ///
    /// If it does not answer, or answers an error.
    pub fn run<W: AsRef<[u8]>>(&self, words: &[W]) -> Frame {
        match self.ask(words) {
            Frame::Error(error) => {
                let words = words
                    .iter()
                    .map(|word| String::from_utf8_lossy(word.as_ref()));
                let words = words.collect::<Vec<_>>().join(" ");
                panic!("port {} refuses {words}: {error}", self.port)
            }
            answer => answer,
        }
    }

    /// An answer that is a text, such as that of INFO. Empty if it is another, or none comes.
    pub(crate) fn text<W: AsRef<[u8]>>(&self, words: &[W]) -> String {
        self.try_ask(words).map_or_else(String::new, text)
    }

    /// The number of a field of INFO; 0 if it has none.
    pub fn figure(&self, section: &str, name: &str) -> u64 {
        let info = self.text(&["INFO", section]);
        { info.lines() }
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.parse().ok())
            .unwrap_or(0)
    }

    /// What the server says it is.
    pub(crate) fn role(&self) -> Option<Role> {
        let Some(Frame::Array(role)) = self.try_ask(&["ROLE"]) else {
            return None;
        };
        match (text(role.first()?.clone()).as_str(), &role[1..]) {
            ("master", [_, Frame::Array(replicas)]) => Some(Role::Master {
                replicas: replicas.len(),
            }),
            ("slave", [_, Frame::Integer(of), state, ..]) => Some(Role::Replica {
                of: u16::try_from(*of).ok()?,
                is_connected: text(state.clone()) == "connected",
            }),
            _ => None,
        }
    }

    pub(crate) fn is_master(&self) -> bool {
        matches!(self.role(), Some(Role::Master { .. }))
    }

    /// Empties the server, and forgets functions, scripts and what it has counted. A master waits until its
    /// `replicas` are empty as well.
    pub(crate) fn empty(&self) -> Option<()> {
        let mut conversation = self.connect().ok()?;
        if let Some(Role::Master { replicas }) = self.role() {
            conversation.ask(&["FLUSHALL"]).ok()?;
            conversation.ask(&["FUNCTION", "FLUSH"]).ok()?;
            conversation
                .ask(&["WAIT", &replicas.to_string(), "2000"])
                .ok()?;
        }
        conversation.ask(&["SCRIPT", "FLUSH"]).ok()?;
        conversation.ask(&["CONFIG", "RESETSTAT"]).ok()?;
        Some(())
    }
}

fn keeping(password: Option<&str>, lines: &str) -> String {
    let login = password.map(|password| format!("masterauth {password}\n"));
    format!("{KEEPING}{}{lines}\n", login.unwrap_or_default())
}

/// What a server says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Master { replicas: usize },
    Replica { of: u16, is_connected: bool },
}

/// The text of an answer that is one.
pub(crate) fn text(answer: Frame) -> String {
    match answer {
        Frame::Bulk(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Frame::Status(text) | Frame::Verbatim(_, text) => text,
        _ => String::new(),
    }
}
