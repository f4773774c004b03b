//! Servers that are started for a while: ours, Redis and Valkey.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// How long a server may take until it answers.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Larder,
    Redis,
    Valkey,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Larder => "larder",
            Kind::Redis => "redis",
            Kind::Valkey => "valkey",
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
        let port = free_port()?;
        let folder = workspace::scratch("servers")?;
        let log = folder.join(format!("{kind}-{port}.log"));
        let mut command = pinned(program, core);
        match kind {
            Kind::Larder => command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]),
            Kind::Redis | Kind::Valkey => command
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no"])
                .arg("--dir")
                .arg(&folder),
        };
        let process = command
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

    fn answers(&self) -> bool {
        let ping = || -> std::io::Result<[u8; 7]> {
            let mut stream = self.connect()?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 7];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        ping().is_ok_and(|answer| &answer == b"+PONG\r\n")
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

/// The programs of the three kinds.
pub(crate) struct Programs {
    pub(crate) larder: PathBuf,
    pub(crate) redis: PathBuf,
    pub(crate) valkey: PathBuf,
}

impl Programs {
    /// The program of this kind.
    pub(crate) fn of(&self, kind: Kind) -> &Path {
        match kind {
            Kind::Larder => &self.larder,
            Kind::Redis => &self.redis,
            Kind::Valkey => &self.valkey,
        }
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
