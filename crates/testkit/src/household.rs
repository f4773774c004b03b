//! What ends with this process, however it ends: its servers, and its folder.
//!
//! A static is never dropped, and a test that is killed drops nothing at all. So a shell stands by and
//! reads from a pipe whose other end this process alone holds. When the pipe is closed, which the
//! kernel does at the latest, the shell removes the folder and kills its process group, in which all
//! servers of this process are.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const STAND_BY: &str = r#"read -r _; rm -rf -- "$1"; kill -KILL 0"#;

#[derive(Debug)]
struct Household {
    /// Its standard input is the pipe.
    shell: Child,
    folder: PathBuf,
}

/// Makes this command start in the group that ends with this process.
pub(crate) fn adopt(command: &mut Command) -> &mut Command {
    let group = household().shell.id();
    command.process_group(i32::try_from(group).expect("the id of a process is small"))
}

/// A new folder, which is removed at the end of this process if nobody did so before.
pub(crate) fn temporary_dir() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = household().folder.join(count.to_string());
    std::fs::create_dir_all(&dir).expect("the temporary directory can be written");
    dir
}

fn household() -> &'static Household {
    static HOUSEHOLD: OnceLock<Household> = OnceLock::new();
    HOUSEHOLD.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("larder-test-{}", std::process::id()));
        // Another process of this number may have left one: then there is something to remove.
        let _ = std::fs::remove_dir_all(&folder);
        let shell = Command::new("sh")
            .args(["-c", STAND_BY, "larder-household"])
            .arg(&folder)
            .stdin(Stdio::piped())
            // Whoever reads what this process prints would wait for the shell to end as well.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("there is a shell");
        Household { shell, folder }
    })
}
