//! Clusters and Sentinels that tests share: started once, lent to a test at a time.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::tools::Tools;
use crate::workspace::{self, Profile};

/// How many there are of each kind. A test that finds none free waits.
const SETS: &str = "2";

/// The program that holds them, which ends, with all of them, when its standard input is closed: so it
/// ends with this process, however that ends.
pub(crate) struct Topologies {
    program: Child,
    /// Where the tests find them.
    shelf: String,
}

impl Topologies {
    /// Starts them and waits until they are in order.
    pub(crate) fn start(tools: &Tools) -> Result<Topologies> {
        let program = workspace::binary("topologies", Profile::Dev)?;
        let mut command = Command::new(program);
        command
            .arg(SETS)
            .envs(tools.environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // The terminal's Ctrl-C is for this process: the other one learns of it by its end.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut program = command
            .spawn()
            .context("could not start the program `topologies`")?;
        let output = program.stdout.take().context("its output is a pipe")?;
        let mut topologies = Topologies {
            program,
            shelf: String::new(),
        };
        BufReader::new(output).read_line(&mut topologies.shelf)?;
        ensure!(!topologies.shelf.is_empty(), "not all of them have started");
        Ok(topologies)
    }

    /// What tells the tests where they are.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 1] {
        [("LARDER_TEST_TOPOLOGIES", self.shelf.trim_end())]
    }
}

impl Drop for Topologies {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        // One that has ended already is as good.
        let _ = self.program.wait();
    }
}
