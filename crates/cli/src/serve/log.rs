//! What the server says while it runs: `loglevel` and `logfile`.
//!
//! Redis's levels are those of `tracing` under other names: `debug` is everything, `verbose` tells of
//! each connection that was lost, `notice` of what an administrator wants to know, and `warning` of what
//! he has to.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use larder_engine::{Change, Keeper};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

const DEFAULT: &str = "notice";

/// The log of a running server, whose level changes.
pub(crate) struct Log {
    level: Arc<Mutex<String>>,
    file: String,
    filter: reload::Handle<EnvFilter, Registry>,
}

/// A file that everything is put at the end of. It is opened for each line, as Redis does it, so that
/// it can be moved away at any time.
#[derive(Clone)]
struct Append(PathBuf);

impl Log {
    /// Has what happens told from now on.
    ///
    /// # Errors
    ///
    /// If the file can't be written.
    pub(crate) fn start(level: Option<String>, file: Option<String>) -> io::Result<Arc<Log>> {
        let level = level.unwrap_or_else(|| DEFAULT.to_owned());
        let file = file.unwrap_or_default();
        // Who looks for a fault in the program says it in the words of `tracing`.
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter_of(&level));
        let (filter, handle) = reload::Layer::new(filter);
        let registry = tracing_subscriber::registry().with(filter);
        let layer = tracing_subscriber::fmt::layer().with_target(false);
        if file.is_empty() {
            let is_terminal = io::stderr().is_terminal();
            let layer = layer.with_writer(io::stderr).with_ansi(is_terminal);
            registry.with(layer).init();
        } else {
            let append = Append(PathBuf::from(&file));
            append
                .open()
                .map_err(|error| io::Error::other(format!("logfile {file}: {error}")))?;
            registry
                .with(layer.with_writer(append).with_ansi(false))
                .init();
        }
        Ok(Arc::new(Log {
            level: Arc::new(Mutex::new(level)),
            file,
            filter: handle,
        }))
    }
}

/// What is told at a level of Redis.
fn filter_of(level: &str) -> EnvFilter {
    let level = match level.to_ascii_lowercase().as_str() {
        "debug" => "trace",
        "verbose" => "debug",
        "warning" => "warn",
        "nothing" => "off",
        _ => "info",
    };
    EnvFilter::new(level)
}

impl Keeper for Log {
    fn names(&self) -> &'static [&'static str] {
        &["loglevel", "logfile"]
    }

    fn get(&self, name: &str) -> String {
        match name {
            "loglevel" => self
                .level
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            _ => self.file.clone(),
        }
    }

    fn prepare(&self, changes: &[(&'static str, &[u8])]) -> Result<Change, String> {
        let mut level = self.get("loglevel");
        for (name, value) in changes {
            if *name == "logfile" {
                return Err("can't set immutable config".to_owned());
            }
            let words = [value.to_vec()];
            let checked = larder_engine::recognize(name, &words);
            checked.map_err(|_| {
                "argument(s) must be one of the following: debug, verbose, notice, warning, nothing".to_owned()
            })?;
            level = String::from_utf8_lossy(value).to_ascii_lowercase();
        }
        let (handle, kept) = (self.filter.clone(), Arc::clone(&self.level));
        Ok(Box::new(move || {
            kept.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone_from(&level);
            if let Err(error) = handle.reload(filter_of(&level)) {
                tracing::warn!(%error, "the level of the log stays as it was");
            }
        }))
    }
}

impl Append {
    fn open(&self) -> io::Result<File> {
        let path: &Path = &self.0;
        OpenOptions::new().create(true).append(true).open(path)
    }
}

impl<'a> MakeWriter<'a> for Append {
    type Writer = Box<dyn Write>;

    fn make_writer(&'a self) -> Box<dyn Write> {
        match self.open() {
            Ok(file) => Box::new(file),
            // Its directory has gone: that is to be seen somewhere.
            Err(_) => Box::new(io::stderr()),
        }
    }
}
