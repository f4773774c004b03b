//! The binary `larder` as a process that says what it does.

use std::io::{BufRead, BufReader, Lines, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running process. It ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<Box<dyn Read>>>,
}

impl Process {
    /// One of which is heard what it prints.
    #[allow(dead_code, reason = "not every test asks for it")]
    pub(crate) fn start(command: &mut Command) -> Process {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let says: Box<dyn Read> = Box::new(child.stdout.take().unwrap());
        let lines = BufReader::new(says).lines();
        Process { child, lines }
    }

    /// One of which is heard what it logs, on its standard error.
    #[allow(dead_code, reason = "not every test asks for it")]
    pub(crate) fn start_logging(command: &mut Command) -> Process {
        let command = command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let says: Box<dyn Read> = Box::new(child.stderr.take().unwrap());
        let lines = BufReader::new(says).lines();
        Process { child, lines }
    }

    /// The same, with this as its standard input.
    #[allow(dead_code, reason = "not every test asks for it")]
    pub(crate) fn start_given(command: &mut Command, input: OwnedFd) -> Process {
        let command = command.stdin(Stdio::from(input)).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let says: Box<dyn Read> = Box::new(child.stderr.take().unwrap());
        let lines = BufReader::new(says).lines();
        Process { child, lines }
    }

    /// Waits until it says this, and gives the rest of that line.
    #[allow(dead_code, reason = "not every test asks for it")]
    pub(crate) fn says(&mut self, wanted: &str) -> String {
        let rest = self.lines.find_map(|line| {
            let line = line.unwrap();
            Some(line.split_once(wanted)?.1.to_owned())
        });
        rest.expect(wanted)
    }

    /// What it says before it says this.
    #[allow(dead_code, reason = "not every test asks for it")]
    pub(crate) fn lines_until(&mut self, wanted: &str) -> Vec<String> {
        let lines = self.lines.by_ref().map(Result::unwrap);
        lines.take_while(|line| !line.contains(wanted)).collect()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    #[allow(dead_code, reason = "not every test asks for it")]
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal, such as `-TERM`.
    #[allow(dead_code, reason = "not every test asks for it")]
    pub(crate) fn signal(&self, signal: &str) {
        let line = format!("kill {signal} {}", self.id());
        let sent = Command::new("sh").args(["-c", &line]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    #[allow(dead_code, reason = "not every test asks for it")]
    pub(crate) fn end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
