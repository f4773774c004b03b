//! The process of a server.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::household::{adopt, temporary_dir};
use crate::port::Port;
use crate::until::holds_within;

/// How long a server may take to answer its first PING.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server's process. It ends, and what it has written goes, when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    program: PathBuf,
    arguments: Vec<OsString>,
    dir: PathBuf,
    port: Port,
    child: Child,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Paused,
    Killed,
}

impl Process {
    /// Starts a program on a free port, with the arguments that are `given` for its port and its
    /// folder.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub(crate) fn start(program: &Path, given: impl Fn(u16, &Path) -> Vec<OsString>) -> Process {
        let mut log = String::new();
        // A stranger may take a free port before the server does: then it gets another.
        for _ in 0..5 {
            let (port, dir) = (Port::reserve(), temporary_dir());
            let arguments = given(port.number, &dir);
            let child = spawn(program, &arguments, &dir);
            let mut process = Process {
                program: program.to_owned(),
                arguments,
                dir,
                port,
                child,
                state: State::Running,
            };
            if process.comes_up() {
                return process;
            }
            log = std::fs::read_to_string(process.dir.join("log")).unwrap_or_default();
        }
        panic!("{} does not start:\n{log}", program.display());
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it runs: neither killed nor paused.
    pub(crate) fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        // One that has ended already can't be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.state = State::Killed;
    }

    /// Stops it where it stands (`SIGSTOP`): its connections stay, and nothing is answered.
    pub(crate) fn pause(&mut self) {
        self.signal(Signal::STOP);
        self.state = State::Paused;
    }

    /// Lets it go on (`SIGCONT`), as if no time had passed.
    pub(crate) fn resume(&mut self) {
        self.signal(Signal::CONT);
        self.state = State::Running;
    }

    fn signal(&self, signal: Signal) {
        assert!(self.state != State::Killed, "the server has been killed");
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process of a child takes signals");
    }

    /// Starts it again, on the same port and in the same folder, and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.program, &self.arguments, &self.dir);
        self.state = State::Running;
        let is_up = self.comes_up();
        assert!(is_up, "{} does not start again", self.program.display());
    }

    /// Waits until it answers. False if it has ended instead.
    fn comes_up(&mut self) -> bool {
        holds_within(PATIENCE, || match self.child.try_wait() {
            Ok(None) => answers(self.port.number).then_some(true),
            _ => Some(false),
        })
        .unwrap_or(false)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // What is left behind goes at the end of this process.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn spawn(program: &Path, arguments: &[OsString], dir: &Path) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"));
    adopt(&mut Command::new(program))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.expect("the temporary directory can be written"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the server was found and can be started")
}

/// Whether a server answers PING, be it by asking for a password.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut answer = [0; 7];
    let wants = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(b"PING\r\n"))
        .and_then(|()| stream.read_exact(&mut answer));
    wants.is_ok() && (&answer == b"+PONG\r\n" || answer.starts_with(b"-NOAUTH"))
}
