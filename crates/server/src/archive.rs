//! Snapshots on disk: `dir` and `dbfilename`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use larder_embedded::Clock;
use larder_engine::{Archive, Engine, LoadError, Loaded, Piece, Snapshot, TimeSource};

use crate::users::take_place;

/// How long the writer waits for a key that a script holds.
const PAUSE: Duration = Duration::from_millis(2);

/// A file that holds all keys, in Redis's format.
#[derive(Clone, Debug)]
pub struct RdbFile {
    path: PathBuf,
    /// Those who write it.
    writers: Arc<Mutex<Vec<JoinHandle<bool>>>>,
}

/// Why nothing is loaded.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct NotLoaded {
    path: PathBuf,
    why: LoadError,
}

impl RdbFile {
    /// The file of this name in this directory.
    ///
    /// # Errors
    ///
    /// If there is no such directory.
    pub fn new(dir: &Path, name: &str) -> io::Result<RdbFile> {
        let dir = fs::canonicalize(dir)
            .map_err(|error| io::Error::other(format!("dir {}: {error}", dir.display())))?;
        let path = dir.join(name);
        Ok(RdbFile {
            path,
            writers: Arc::default(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all that it holds into an empty store. `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// If it can't be read, is damaged, or holds what Larder does not have.
    pub fn load(
        &self,
        engine: &Arc<Engine>,
        clock: &dyn TimeSource,
    ) -> Result<Option<Loaded>, NotLoaded> {
        let failed = |why| {
            let path = self.path.clone();
            NotLoaded { path, why }
        };
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        engine.load(&mut file, clock).map(Some).map_err(failed)
    }

    /// Writes a snapshot beside the file, and then has it take the file's place, so that there is always a
    /// whole one. Waits until it is on the disk, and answers whether it is.
    pub fn keep(&self, mut snapshot: Snapshot) -> bool {
        let beside = self.beside(&snapshot);
        let written = self.write(&beside, &mut snapshot);
        match written {
            Ok(()) => {
                tracing::info!("all keys are saved in {}", self.path.display());
                snapshot.kept(Clock::System.now());
                true
            }
            Err(error) => {
                tracing::warn!(%error, "{} is not saved", self.path.display());
                let _ = fs::remove_file(&beside);
                false
            }
        }
    }

    /// Gives up what is being written, and waits until nothing is left of it.
    pub fn give_up(&self, engine: &Engine) {
        engine.cancel_snapshot();
        let writers = std::mem::take(&mut *self.writers());
        for writer in writers {
            let _ = writer.join();
        }
    }

    fn writers(&self) -> MutexGuard<'_, Vec<JoinHandle<bool>>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the next version of the file is written. One that was given up may still be there.
    fn beside(&self, snapshot: &Snapshot) -> PathBuf {
        let name = format!("temp-{}-{}.rdb", std::process::id(), snapshot.number());
        self.path.with_file_name(name)
    }

    fn write(&self, beside: &Path, snapshot: &mut Snapshot) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(beside)?);
        loop {
            match snapshot.next_piece() {
                Piece::Bytes(bytes) => file.write_all(&bytes)?,
                Piece::Later => std::thread::sleep(PAUSE),
                Piece::End => break,
                Piece::Void => return Err(io::Error::other("it was given up")),
            }
        }
        let file = file.into_inner().map_err(io::Error::other)?;
        file.sync_all()?;
        take_place(beside, &self.path)
    }
}

impl Archive for RdbFile {
    fn begin(&self, snapshot: Snapshot) -> io::Result<()> {
        let file = self.clone();
        let writer = std::thread::Builder::new().name("larder-save".to_owned());
        let writer = writer.spawn(move || file.keep(snapshot))?;
        let mut writers = self.writers();
        writers.retain(|writer| !writer.is_finished());
        writers.push(writer);
        Ok(())
    }
}
