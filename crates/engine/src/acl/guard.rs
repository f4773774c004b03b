//! Requests that are looked at before they run, since something has to be checked of them.

use std::sync::atomic::Ordering::Relaxed;

use larder_resp::Arguments;

use super::check::Denied;
use super::log::{Context, What};
use crate::command::{Flags, Row};
use crate::engine::{Engine, Now};
use crate::error::{Error, Result};
use crate::session::Session;

impl Engine {
    /// Looks whether a connection may send a request, of which something has to be checked.
    ///
    /// # Errors
    ///
    /// [`Error::NotAuthenticated`] and [`Error::NoPermission`].
    #[cold]
    #[inline(never)]
    pub(crate) fn guard(
        &self,
        session: &Session,
        command: &'static Row,
        request: Arguments<'_>,
        now: Now,
    ) -> Result<()> {
        if !session.is_authenticated() && !command.flags.has(Flags::NO_AUTH) {
            return Err(Error::NotAuthenticated);
        }
        // ACL LOG shows the client with the command that it is denied, not with the one before.
        session.note(Some(command));
        self.check(session, command, request, (context_of(session), now))
            .map_err(|told| Error::NoPermission(told.told))
    }

    /// The same for a command of a transaction that is being run.
    #[cold]
    #[inline(never)]
    pub(crate) fn guard_queued(
        &self,
        session: &Session,
        command: &'static Row,
        request: Arguments<'_>,
        now: Now,
    ) -> Result<()> {
        self.check(session, command, request, (Context::Transaction, now))
            .map_err(|told| {
                Error::NoPermission(format!(
                    "ACLs rules changed between the moment the transaction was accumulated and the \
                     EXEC call. This command is no longer allowed for the following reason: {}",
                    told.since_queued
                ))
            })
    }

    /// The same for a command of a script.
    #[cold]
    #[inline(never)]
    pub(crate) fn guard_in_script(
        &self,
        session: &Session,
        command: &'static Row,
        request: Arguments<'_>,
        now: Now,
    ) -> Result<()> {
        self.check(session, command, request, (Context::Script, now))
            .map_err(|told| Error::text(format!("ERR ACL failure in script: {}", told.told)))
    }

    fn check(
        &self,
        session: &Session,
        command: &'static Row,
        request: Arguments<'_>,
        (context, now): (Context, Now),
    ) -> Result<(), Refused> {
        let Some(client) = session.client() else {
            return Ok(());
        };
        let login = client.login();
        let denied = match login.rules().check(command, request) {
            Ok(()) => return Ok(()),
            Err(denied) => denied,
        };
        let user = login.user();
        let what = What {
            reason: denied.reason(),
            context,
            object: denied.object(command),
            user: user.to_vec(),
        };
        self.note_denial(session, what, now);
        Err(Refused {
            told: denied.told(&user, command).to_string(),
            since_queued: Denied::since_queued(denied),
        })
    }

    /// Notes a denial for ACL LOG.
    pub(super) fn note_denial(&self, session: &Session, what: What, now: Now) {
        let client = session.client();
        let client = client.map_or_else(String::new, |client| client.line(now, 0));
        let len_max = self.config.acl_log_len_max.load(Relaxed);
        let len_max = usize::try_from(len_max).unwrap_or(usize::MAX);
        self.acl.log.note(what, client, now, len_max);
    }
}

/// What somebody is told whose request was denied.
struct Refused {
    told: String,
    since_queued: &'static str,
}

/// Where a request of this session stands.
pub(super) fn context_of(session: &Session) -> Context {
    match session.is_queueing() {
        true => Context::Transaction,
        false => Context::TopLevel,
    }
}
