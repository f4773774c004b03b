//! Ports of 127.0.0.1.

use std::fs::{File, TryLockError};
use std::net::TcpListener;

/// How far above its port a node of a cluster speaks to the others.
pub(crate) const BUS: u16 = 6000;

/// A port that no other test gets, together with the one that is [`BUS`] above it, for as long as this
/// lives: also while the server on it is down.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    /// It is locked.
    _file: File,
}

impl Port {
    /// Reserves a port on which nobody listens.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub(crate) fn reserve() -> Port {
        const TRIES: usize = 1000;
        let folder = std::env::temp_dir().join("larder-ports");
        std::fs::create_dir_all(&folder).expect("the temporary directory can be written");
        let reserve = |number: u16| {
            let file = File::create(folder.join(number.to_string())).ok()?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return None,
                Err(TryLockError::Error(error)) => panic!("a port can't be locked: {error}"),
            }
            let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
            let port = Port {
                number,
                _file: file,
            };
            (is_free(number) && is_free(number + BUS)).then_some(port)
        };
        // They are below those that outgoing connections are given, so that a server that was killed
        // finds its port free when it comes back.
        { std::iter::repeat_with(|| rand::random_range(20_000..20_000 + BUS)) }
            .take(TRIES)
            .find_map(reserve)
            .expect("127.0.0.1 has a free port")
    }
}

/// A port of 127.0.0.1 on which nobody listens.
///
/// # Panics
///
/// If there is none.
pub fn free_port() -> u16 {
    Port::reserve().number
}
