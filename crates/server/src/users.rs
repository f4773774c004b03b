//! The file of users: `aclfile`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use larder_engine::UserFile;

/// What a file of users is readable for that was not there before: its owner alone.
const OWNER_ALONE: u32 = 0o600;

/// A file of users on disk.
pub(crate) struct UsersOnDisk {
    path: PathBuf,
}

impl UsersOnDisk {
    pub(crate) fn at(path: &Path) -> UsersOnDisk {
        let path = path.to_owned();
        UsersOnDisk { path }
    }

    /// Where the next version of the file is written.
    fn beside(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".tmp-{}", std::process::id()));
        name.into()
    }

    fn write(&self, beside: &Path, text: &[u8]) -> io::Result<()> {
        let permissions = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.permissions(),
            Err(_) => Permissions::from_mode(OWNER_ALONE),
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(OWNER_ALONE);
        let mut file = options.open(beside)?;
        file.set_permissions(permissions)?;
        file.write_all(text)?;
        file.sync_all()?;
        take_place(beside, &self.path)
    }
}

/// Has a file that is on the disk take the place of another, so that whoever reads it sees all of the one or all
/// of the other.
pub(crate) fn take_place(beside: &Path, path: &Path) -> io::Result<()> {
    fs::rename(beside, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

impl UserFile for UsersOnDisk {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        fs::read(&self.path)
    }

    /// Writes beside the file, and then has the new one take its place, so that whoever reads it sees all
    /// of the one or all of the other.
    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let beside = self.beside();
        // One that an earlier process of this number has left behind.
        let _ = fs::remove_file(&beside);
        self.write(&beside, text).inspect_err(|error| {
            tracing::warn!(%error, "the file of users is not written");
            let _ = fs::remove_file(&beside);
        })
    }
}
