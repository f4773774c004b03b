//! Transcripts: conversations with a server as text, checked on every kind of target.
//!
//! A file of `testdata/commands` holds cases; a case begins with nothing stored and sends commands
//! on one or several connections. `testdata/commands/README.md` describes the format. A file is
//! run on the engine in this process, on the engine through a socket, and on a real server; all of
//! them have to answer what the text says.
//!
//! ```text
//! file ── parse ── cases, steps ── run ── target ── engine | socket | server
//!                                   │
//!                                 value: what came, beside what the text says
//! ```

mod run;

mod parse;
pub(crate) mod target;
pub(crate) mod value;
pub(crate) mod words;

use std::path::{Path, PathBuf};

use crate::server::ServerKind;

/// What a transcript is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The engine, called in this process.
    Engine,
    /// The engine, through a socket.
    Socket,
    /// A real `redis-server` 7.0.
    Redis,
    /// A real `redis-server` 8.0.
    Redis8,
    /// A real `valkey-server`.
    Valkey,
}

/// A file of cases.
#[derive(Clone, Debug)]
pub struct Transcript {
    path: PathBuf,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 5] = [
        Target::Engine,
        Target::Socket,
        Target::Redis,
        Target::Redis8,
        Target::Valkey,
    ];

    /// The target's name in the names of tests.
    pub fn name(self) -> &'static str {
        match self {
            Target::Engine => "engine",
            Target::Socket => "socket",
            Target::Redis => "redis",
            Target::Redis8 => "redis8",
            Target::Valkey => "valkey",
        }
    }

    fn open(self) -> Option<Box<dyn target::Open>> {
        match self {
            Target::Engine => Some(Box::new(target::InProcess::default())),
            Target::Socket => Some(Box::new(target::Sockets::default())),
            Target::Redis => target::Real::start(ServerKind::Redis),
            Target::Redis8 => target::Real::start(ServerKind::Redis8),
            Target::Valkey => target::Real::start(ServerKind::Valkey),
        }
    }
}

impl Transcript {
    /// The transcripts of the directory, by name.
    ///
    /// # Errors
    ///
    /// If the directory can't be read.
    pub fn all(dir: &Path) -> std::io::Result<Vec<Transcript>> {
        let mut paths = std::fs::read_dir(dir)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        Ok(paths.into_iter().map(|path| Transcript { path }).collect())
    }

    /// The file's name without its extension.
    pub fn name(&self) -> String {
        let name = self.path.file_stem().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Runs every case on the target. Where the target is a real server and there is none, the
    /// cases are skipped, and this is said on standard error.
    ///
    /// # Errors
    ///
    /// The differences between what was wanted and what came, as a text for people.
    pub fn check(&self, target: Target) -> Result<(), String> {
        let text = self.read()?;
        let cases = parse::cases(&text).map_err(|error| self.locate(&error))?;
        let name = target.name();
        let Some(mut target) = target.open() else {
            eprintln!("skipped: {}::{name}", self.name());
            return Ok(());
        };
        let differences: Vec<String> = cases
            .iter()
            .flat_map(|case| run::check(target.as_mut(), case))
            .map(|difference| self.locate(&difference))
            .collect();
        match differences.is_empty() {
            true => Ok(()),
            false => Err(differences.join("\n")),
        }
    }

    /// Writes what a real server answers into the file, wherever that is not what stands there.
    /// Valkey is asked first, then Redis 7.0, then Redis 8.0, where a case is not meant for the one
    /// before; cases that no server of this machine is meant for stay as they are.
    ///
    /// # Errors
    ///
    /// If the file can't be read, understood or written.
    pub fn record(&self) -> Result<(), String> {
        let text = self.read()?;
        let cases = parse::cases(&text).map_err(|error| self.locate(&error))?;
        let mut targets: Vec<_> = [Target::Valkey, Target::Redis, Target::Redis8]
            .into_iter()
            .filter_map(Target::open)
            .collect();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // From the end, so that what is yet to be replaced stays where it was.
        for case in cases.iter().rev() {
            let mut asked = targets
                .iter_mut()
                .filter_map(|target| run::record(target.as_mut(), case));
            for (place, answers) in asked.next().into_iter().flatten().rev() {
                lines.splice(place, answers);
            }
        }
        std::fs::write(&self.path, lines.join("\n") + "\n").map_err(|error| error.to_string())
    }

    fn read(&self) -> Result<String, String> {
        std::fs::read_to_string(&self.path)
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn locate(&self, (line, text): &(usize, String)) -> String {
        format!("{}.txt:{line}: {text}", self.name())
    }
}
