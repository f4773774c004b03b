//! Servers that are started for a while: ours and its peers.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{steps, workspace};

/// How long a server may take until it answers.
const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to answer afterwards.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Where servers listen; not every machine has the second address.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "-::1"];

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Larder,
    /// redis-server, as this Debian has it: 7.0.
    Redis,
    /// Redis 8.0.
    Redis8,
    Valkey,
    /// The crate kevy.
    Kevy,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Larder => "larder",
            Kind::Redis => "redis",
            Kind::Redis8 => "redis8",
            Kind::Valkey => "valkey",
            Kind::Kevy => "kevy",
        })
    }
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    process: Child,
}

impl Server {
    /// Starts this program on a free port and waits until it answers. With a `core`, it and its
    /// threads run on that core alone.
    pub(crate) fn start(kind: Kind, program: &Path, core: Option<usize>) -> Result<Server> {
        Server::start_with(kind, program, core, &[])
    }

    /// Starts it with these arguments as well.
    pub(crate) fn start_with(
        kind: Kind,
        program: &Path,
        core: Option<usize>,
        arguments: &[&str],
    ) -> Result<Server> {
        let port = free_port()?;
        let folder = workspace::scratch("servers")?;
        let log = folder.join(format!("{kind}-{port}.log"));
        // Nobody loads what another has saved.
        let dir = folder.join(format!("{kind}-{port}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        let mut command = pinned(program, core);
        match kind {
            // Without a limit of memory, as the others.
            Kind::Larder => command
                .args(["serve", "--port", &port.to_string()])
                .args(["--bind", &LOOPBACK.join(" ")])
                .args(["--maxmemory", "0"])
                .arg("--dir")
                .arg(&dir),
            Kind::Redis | Kind::Redis8 | Kind::Valkey => command
                .args(["--port", &port.to_string(), "--bind"])
                .args(LOOPBACK)
                .args(["--save", "", "--appendonly", "no"])
                .arg("--dir")
                .arg(&dir),
            Kind::Kevy => command
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--threads", "1", "--no-aof"])
                .arg("--dir")
                .arg(&dir),
        };
        let process = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let mut server = Server {
            kind,
            port,
            process,
        };
        server.wait_until_it_answers(&log)?;
        Ok(server)
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A new connection to it.
    pub(crate) fn connect(&self) -> std::io::Result<TcpStream> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        TcpStream::connect_timeout(&address, STARTS_WITHIN)
    }

    /// Whether it answers a new connection.
    pub(crate) fn answers(&self) -> bool {
        let ping = || -> std::io::Result<[u8; 7]> {
            let mut stream = self.connect()?;
            stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 7];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        ping().is_ok_and(|answer| &answer == b"+PONG\r\n")
    }

    /// How its process ended, if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Asks it to end, as an operator does, and says whether it did within that time.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> Result<bool> {
        steps::run(Command::new("kill").args(["-TERM", &self.pid().to_string()]))?;
        let start = Instant::now();
        while start.elapsed() < limit {
            if self.ended()?.is_some() {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(false)
    }

    fn wait_until_it_answers(&mut self, log: &Path) -> Result<()> {
        let start = Instant::now();
        while !self.answers() {
            if self.process.try_wait()?.is_some() || start.elapsed() > STARTS_WITHIN {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                bail!("{} did not start:\n{}", self.kind, said.trim_end());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to be done about either failure.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This program, to be run on that core alone.
pub(crate) fn pinned(program: &Path, core: Option<usize>) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
