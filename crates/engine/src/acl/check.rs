//! A request against the rules of a user.

use std::fmt;

use larder_resp::Arguments;

use super::rules::Rules;
use super::selector::Selector;
use crate::access::Access;
use crate::command::{Flags, Row};
use crate::error::shown;

/// What of a request is denied. Of several selectors that deny it, what counts is the part of the
/// request that lies furthest behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Denied<'a> {
    /// The command.
    Command,
    /// A key, after so many that are allowed.
    Key(usize, &'a [u8]),
    /// A channel, after so many that are allowed.
    Channel(usize, &'a [u8]),
}

/// Commands that name channels, and whether they are patterns.
const CHANNELS: &[(&str, bool)] = &[
    ("PSUBSCRIBE", true),
    ("PUBLISH", false),
    ("SPUBLISH", false),
    ("SSUBSCRIBE", false),
    ("SUBSCRIBE", false),
];

impl Rules {
    /// Whether a request may be run.
    ///
    /// # Errors
    ///
    /// What of it is denied, if no selector allows all of it.
    pub(crate) fn check<'a>(
        &self,
        command: &'static Row,
        request: Arguments<'a>,
    ) -> Result<(), Denied<'a>> {
        let mut denied = Denied::Command;
        for selector in &self.selectors {
            match selector.check(command, request) {
                Ok(()) => return Ok(()),
                Err(other) => denied = denied.max(other),
            }
        }
        Err(denied)
    }

    /// Whether a request may be run that reads keys which it does not name.
    pub(crate) fn allow_reading_all(&self, command: &'static Row, request: Arguments<'_>) -> bool {
        let mut selectors = self.selectors.iter();
        selectors
            .any(|selector| selector.check(command, request).is_ok() && selector.reads_all_keys())
    }
}

impl Selector {
    fn check<'a>(&self, command: &'static Row, request: Arguments<'a>) -> Result<(), Denied<'a>> {
        let word = request.get(command.first());
        if !command.flags.has(Flags::NO_AUTH) && !self.commands.has(command, word) {
            return Err(Denied::Command);
        }
        let mut denied = None;
        let mut place = 0;
        command.each_access(request, |key, access| {
            let is_key = access != Access::NotKey;
            if is_key && denied.is_none() && !self.allows_key(key, access) {
                denied = Some(Denied::Key(place, key));
            }
            place += 1;
        });
        if denied.is_none() && command.flags.has(Flags::PUBSUB) {
            denied = self.denied_channel(command, request);
        }
        denied.map_or(Ok(()), Err)
    }

    fn denied_channel<'a>(&self, command: &Row, request: Arguments<'a>) -> Option<Denied<'a>> {
        let (name, is_pattern) = CHANNELS.iter().find(|(name, _)| *name == command.name)?;
        let count = match name.ends_with("PUBLISH") {
            true => 1,
            false => request.len(),
        };
        let mut channels = request.iter().skip(1).take(count).enumerate();
        let denied = channels.find(|(_, channel)| !self.allows_channel(channel, *is_pattern));
        denied.map(|(place, channel)| Denied::Channel(place, channel))
    }
}

impl<'a> Denied<'a> {
    /// What ACL LOG calls it.
    pub(super) fn reason(self) -> super::log::Reason {
        use super::log::Reason;
        match self {
            Denied::Command => Reason::Command,
            Denied::Key(..) => Reason::Key,
            Denied::Channel(..) => Reason::Channel,
        }
    }

    /// What is denied: a key, a channel, or else the command.
    pub(super) fn object(self, command: &Row) -> Vec<u8> {
        match self {
            Denied::Command => command.full_name().into_bytes(),
            Denied::Key(_, name) | Denied::Channel(_, name) => name.to_vec(),
        }
    }

    /// What the user is told.
    pub(super) fn told<'t>(self, user: &'t [u8], command: &'t Row) -> Told<'t>
    where
        'a: 't,
    {
        Told {
            denied: self,
            user,
            command,
            names_object: false,
        }
    }

    /// What an administrator is told who has asked.
    pub(super) fn explained<'t>(self, user: &'t [u8], command: &'t Row) -> Told<'t>
    where
        'a: 't,
    {
        Told {
            names_object: true,
            ..self.told(user, command)
        }
    }

    /// Why a command of a transaction is not run, that was allowed when it was queued.
    pub(super) fn since_queued(self) -> &'static str {
        match self {
            Denied::Command => "no permission to execute the command or subcommand",
            Denied::Key(..) => "no permission to touch the specified keys",
            Denied::Channel(..) => "no permission to access one of the channels used as arguments",
        }
    }
}

/// What is said of something that is denied, in Redis's words.
pub(super) struct Told<'a> {
    denied: Denied<'a>,
    user: &'a [u8],
    command: &'a Row,
    names_object: bool,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = larder_resp::text_of(self.user);
        let (kind, name) = match self.denied {
            Denied::Command => {
                let command = self.command.full_name();
                return write!(
                    f,
                    "User {user} has no permissions to run the '{command}' command"
                );
            }
            Denied::Key(_, name) => ("key", name),
            Denied::Channel(_, name) => ("channel", name),
        };
        if !self.names_object {
            return write!(f, "No permissions to access a {kind}");
        }
        let name = shown(name);
        write!(
            f,
            "User {user} has no permissions to access the '{name}' {kind}"
        )
    }
}
