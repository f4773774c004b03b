//! What can be configured.

use parking_lot::RwLock;

/// What can be configured, at the start or by CONFIG SET.
#[derive(Debug, Default)]
pub(crate) struct Config {
    password: RwLock<Option<Box<[u8]>>>,
}

impl Config {
    /// Whether connections have to authenticate.
    pub(crate) fn needs_password(&self) -> bool {
        self.password.read().is_some()
    }

    /// Whether this user may come in with this password. There is one user, `default`.
    pub(crate) fn accepts(&self, user: &[u8], password: &[u8]) -> bool {
        let wanted = self.password.read();
        user == b"default" && wanted.as_ref().is_none_or(|wanted| same(wanted, password))
    }

    pub(crate) fn set_password(&self, password: Option<&[u8]>) {
        *self.password.write() = password.map(Box::from);
    }
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}
