//! What the caller may do: the rules of the user that its connection is.
//!
//! Calls from inside the process are no user's, and may do everything.

use larder_resp::Arguments;

use super::Session;
use crate::command::Row;

impl Session {
    /// Whether it has to be checked of each request whether the connection may send it.
    #[inline]
    pub(crate) fn is_checked(&self) -> bool {
        self.client()
            .is_some_and(|client| client.login().is_checked())
    }

    /// Whether requests may have to wait for the end of a pause.
    pub(crate) fn is_paused(&self) -> bool {
        self.client()
            .is_some_and(|client| client.login().is_paused())
    }

    /// Whether requests may have to be refused, since a script runs for too long.
    pub(crate) fn is_busy(&self) -> bool {
        self.client().is_some_and(|client| client.login().is_busy())
    }

    /// Whether the connection may listen to a channel, or to a pattern of them.
    pub(crate) fn may_listen(&self, name: &[u8], is_pattern: bool) -> bool {
        let client = self.client();
        client.is_none_or(|client| {
            let login = client.login();
            !login.is_checked() || login.rules().allow_channel(name, is_pattern)
        })
    }

    /// Whether the caller may send a request.
    #[cfg(feature = "lua")]
    pub(crate) fn may_run(&self, command: &'static Row, request: Arguments<'_>) -> bool {
        let client = self.client();
        client.is_none_or(|client| {
            let login = client.login();
            !login.is_checked() || login.rules().check(command, request).is_ok()
        })
    }

    /// Whether the caller may send a request that reads keys which it does not name.
    pub(crate) fn may_read_all(&self, command: &'static Row, request: Arguments<'_>) -> bool {
        let client = self.client();
        client.is_none_or(|client| {
            let login = client.login();
            !login.is_checked() || login.rules().allow_reading_all(command, request)
        })
    }
}
