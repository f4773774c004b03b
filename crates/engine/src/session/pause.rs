//! CLIENT PAUSE: connections whose requests wait until a time, or until somebody lets them go on.
//!
//! A bit in the login of each connection says that there is a pause, so that others need not look. A
//! request that has to wait is refused by everything that would refuse it at another time, and is then
//! parked as one whose keys others hold: it is executed again when the pause is over.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use larder_resp::Arguments;

use super::Session;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::engine::{Engine, Ticks};
use crate::error::{Error, Result};
use crate::sync::Mutex;

const FLAGS: Flags = Flags::NO_SCRIPT.and(Flags::ADMIN);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "CLIENT PAUSE",
        run: pause,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "timeout [WRITE | ALL]",
        summary: "Has the requests of all connections wait for so many milliseconds, or those that write.",
        complexity: "O(n), n the number of connections.",
        since: "2.9.50",
    },
    Row {
        name: "CLIENT UNPAUSE",
        run: unpause,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Has requests wait no more.",
        complexity: "O(n), n the number of connections.",
        since: "6.2.0",
    },
];

/// The pause that there is, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    current: Mutex<Option<Pause>>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    end: Ticks,
    kind: Kind,
}

/// Which requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Those that may change something.
    Writes,
    All,
}

impl Pauses {
    /// Begins a pause, or has the one that there is go on: it ends no earlier, and for nobody who has
    /// to wait already. A pause of no time does the latter alone.
    fn begin(&self, end: Ticks, kind: Kind, now: Ticks) {
        let mut current = self.current.lock();
        let old = current.filter(|old| old.end > now);
        *current = Some(match old {
            None if end <= now => return,
            None => Pause { end, kind },
            Some(old) => Pause {
                end: old.end.max(end),
                kind: match old.kind {
                    Kind::All => Kind::All,
                    Kind::Writes => kind,
                },
            },
        });
    }

    /// When the pause ends, if there is one.
    pub(crate) fn end(&self) -> Option<Ticks> {
        self.current.lock().map(|pause| pause.end)
    }

    fn current(&self, now: Ticks) -> Option<Kind> {
        let current = self.current.lock().filter(|pause| pause.end > now);
        current.map(|pause| pause.kind)
    }

    /// Takes the pause away if it is over.
    fn take_over(&self, now: Ticks) -> bool {
        let mut current = self.current.lock();
        current.take_if(|pause| pause.end <= now).is_some()
    }
}

impl Engine {
    /// Has a request wait if there is a pause that it has to wait for.
    ///
    /// # Errors
    ///
    /// [`Error::Paused`], which is no answer.
    pub(crate) fn wait_for_pause(
        &self,
        session: &Session,
        command: &'static Row,
        request: Arguments<'_>,
        now: Ticks,
    ) -> Result<()> {
        // Before the pause is looked at: if it ends meanwhile, this epoch is over.
        let epoch = self.shards.parking().epoch();
        let has_to_wait = match self.pauses.current(now) {
            None => false,
            Some(Kind::All) => true,
            Some(Kind::Writes) => self.may_change(session, command, request),
        };
        if !has_to_wait {
            return Ok(());
        }
        if let Some(client) = session.client() {
            client.login().put_off();
        }
        Err(Error::Paused { epoch })
    }

    /// Whether a request may change something that others see.
    fn may_change(&self, session: &Session, command: &Row, request: Arguments<'_>) -> bool {
        let changes = |command: &Row, request| {
            command.flags.has(Flags::WRITE)
                || command.flags.has(Flags::MAY_REPLICATE)
                || command.flags.has(Flags::SCRIPT) && self.scripts.may_write(command, request)
        };
        changes(command, request)
            || command.name == "EXEC" && { session.queued() }
                .any(|(command, queued)| changes(command, queued.arguments()))
    }

    /// What has to wait, if there is a pause, in Redis's words, and for how many milliseconds yet.
    pub(crate) fn pause(&self, now: Ticks) -> (Option<&'static str>, u64) {
        let kind = self.pauses.current(now).map(|kind| match kind {
            Kind::All => "all",
            Kind::Writes => "write",
        });
        let left_us = self.pauses.end().map_or(0, |end| end.us_since(now));
        (kind, left_us / 1000)
    }

    /// Whether nothing expires and nothing is evicted now: in a pause and in import mode.
    pub(crate) fn keeps_expired(&self, now: Ticks) -> bool {
        self.shards.imports().load(Relaxed) || self.pauses.current(now).is_some()
    }

    /// Ends a pause whose time is over.
    pub(crate) fn end_pause(&self, now: Ticks) {
        if self.pauses.take_over(now) {
            self.show_pause();
            self.shards.parking().wake_all();
        }
    }
}

fn pause(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.len() > 2 {
        return Err(call.args.subcommand_syntax());
    }
    let mut mode = call.args;
    mode.next();
    let kind = match () {
        () if mode.is_empty() || mode.option("ALL") => Kind::All,
        () if mode.option("WRITE") => Kind::Writes,
        () => return Err(Error::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let timeout_us = call.timeout_ms()?;

    let now = call.keyspace.ticks();
    let end = now.after_us(timeout_us.unwrap_or(0));
    call.engine.pauses.begin(end, kind, now);
    call.engine.show_pause();
    if let Some(end) = call.engine.pauses.end() {
        call.engine.expect_at(end);
    }
    call.reply.ok();
    Ok(())
}

fn unpause(call: &mut Call<'_, '_>) -> Result<()> {
    let engine: &Arc<Engine> = call.engine;
    engine.end_pause(Ticks::NEVER);
    // What has expired during the pause goes now.
    engine.expire_all(&call.now());
    call.reply.ok();
    Ok(())
}
