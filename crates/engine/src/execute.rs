//! From a request to its answer.
//!
//! [`Engine::execute`] finds the command's row, checks the request against it, takes the shards
//! that it needs, runs it, and serves those who waited for what it changed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use larder_resp::Arguments;
use larder_store::Command as Request;

use crate::ahead::Foreseen;
use crate::args::Args;
use crate::command::{Call, Flags, KeySpec, Row, derived};
use crate::commands;
use crate::engine::{Engine, TimeSource};
use crate::error::{Error, Result};
use crate::generic::sort;
use crate::keyspace::waiting::{Wait, Waiter, Waiting};
use crate::keyspace::{Contended, HashedKeys, Keyspace, Needs, Parked};
use crate::observe::Occasion;
use crate::reply::{Reply, Unwanted};
use crate::session::{Replies, Session};

/// What is left to do after a request.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// Nothing: it has been answered.
    Done,
    /// The answer comes later.
    Blocked(Waiting),
    /// Nothing has happened, since others hold its keys: the request is to be executed again when
    /// this future is done. Requests of the same session that come behind it have to wait as well.
    Parked(Parked),
    /// It has been answered, and the connection is to be closed.
    Close,
}

/// What came of a command that ran.
pub(crate) enum Ran {
    Answered,
    /// It wants to wait.
    Waits(Box<Wait>),
    /// It needs a shard that others hold, and has neither changed nor answered anything.
    Contended(Contended),
}

impl Engine {
    /// Runs one request of `session`, and answers it through `reply`.
    ///
    /// `arguments` must have at least one word. The caller's thread does all the work. It waits for
    /// nobody for longer than a moment: see [`Outcome::Parked`]. The time is that at which it has the
    /// keys.
    #[inline]
    pub fn execute(
        self: &Arc<Engine>,
        session: &mut Session,
        arguments: Arguments<'_>,
        clock: &dyn TimeSource,
        reply: &mut dyn Reply,
    ) -> Outcome {
        session.seen(clock);
        let foreseen = self.foresee(arguments);
        self.execute_foreseen(session, arguments, foreseen, clock, reply)
    }

    /// The same for a request of which something is known already: by [`Engine::foresee`], and by
    /// [`Session::seen`] when it came.
    #[inline]
    pub fn execute_foreseen(
        self: &Arc<Engine>,
        session: &mut Session,
        arguments: Arguments<'_>,
        foreseen: Foreseen,
        clock: &dyn TimeSource,
        reply: &mut dyn Reply,
    ) -> Outcome {
        match session.replies() {
            Replies::On => self.answer(session, arguments, foreseen, clock, reply),
            _ => self.answer_unwanted(session, arguments, foreseen, clock, reply),
        }
    }

    /// Runs a request whose answer is not wanted, most often.
    #[cold]
    fn answer_unwanted(
        self: &Arc<Engine>,
        session: &mut Session,
        arguments: Arguments<'_>,
        foreseen: Foreseen,
        clock: &dyn TimeSource,
        reply: &mut dyn Reply,
    ) -> Outcome {
        // The answer may be wanted after all: that of CLIENT REPLY ON, and of RESET.
        let mut unwanted = Unwanted::new(session.is_resp3(), reply);
        session.begin_unanswered();
        let outcome = self.answer(session, arguments, foreseen, clock, &mut unwanted);
        match outcome {
            Outcome::Parked(parked) => {
                session.not_yet_unanswered();
                Outcome::Parked(parked)
            }
            outcome => {
                if session.replies() == Replies::On
                    && let Some(status) = unwanted.into_status()
                {
                    reply.status(&status);
                }
                session.end_unanswered();
                match outcome {
                    Outcome::Blocked(waiting) => Outcome::Blocked(waiting.silent()),
                    outcome => outcome,
                }
            }
        }
    }

    fn answer(
        self: &Arc<Engine>,
        session: &mut Session,
        arguments: Arguments<'_>,
        foreseen: Foreseen,
        clock: &dyn TimeSource,
        reply: &mut dyn Reply,
    ) -> Outcome {
        let command = match self.admit(session, arguments, foreseen, clock) {
            Ok(command) => command,
            Err(Error::Paused { epoch }) => return Outcome::Parked(Parked::new(self, epoch)),
            Err(error) => {
                session.note(commands::find(arguments).ok());
                return self.refuse(session, arguments, error, reply);
            }
        };
        if is_queued(session, command) {
            session.note(Some(command));
            session.queue(command, arguments);
            reply.status("QUEUED");
            return Outcome::Done;
        }

        let args = command.args(arguments);
        let needs = self.needs(session, command, args, foreseen.hash);
        // The keyspace is dropped where it was made: it is large, and moving it would cost.
        let (waiter, leftover) = {
            let mut keyspace = Keyspace::new(&self.shards, session.db, clock);
            if let Err(contended) = keyspace.hold(needs) {
                return self.put_off(session, arguments, contended, clock, reply);
            }
            session.note(Some(command));
            let ran = Call {
                engine: self,
                session,
                command,
                args,
                keyspace: &mut keyspace,
                reply,
                wait: None,
                occasion: Occasion::Request,
                is_passed_on: false,
            }
            .run_caught();
            let waiter = match ran {
                Ran::Answered => None,
                Ran::Waits(wait) => Some(self.enqueue(session, wait, arguments, &mut keyspace)),
                Ran::Contended(contended) => {
                    drop(keyspace);
                    return self.put_off(session, arguments, contended, clock, reply);
                }
            };
            self.serve_ready(&mut keyspace);
            (waiter, keyspace.take_leftover())
        };
        if let Some(leftover) = leftover {
            self.clear_up(*leftover, clock);
        }
        if command.flags.has(derived::CONNECTION) {
            session.publish();
        }
        match waiter {
            Some(waiter) => Outcome::Blocked(Waiting::new(Arc::clone(self), waiter)),
            None if session.is_closing() => Outcome::Close,
            None => Outcome::Done,
        }
    }

    /// Has a request wait whose keys others hold, or refuses it if that may take too long.
    #[cold]
    fn put_off(
        &self,
        session: &mut Session,
        arguments: Arguments<'_>,
        contended: Contended,
        clock: &dyn TimeSource,
        reply: &mut dyn Reply,
    ) -> Outcome {
        match self.wait_or_refuse(contended, clock) {
            Ok(parked) => Outcome::Parked(parked),
            Err(error) => self.refuse(session, arguments, error, reply),
        }
    }

    /// How to wait for a shard that others hold.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if that may take too long.
    #[cold]
    pub(crate) fn wait_or_refuse(
        &self,
        contended: Contended,
        clock: &dyn TimeSource,
    ) -> Result<Parked> {
        if !self.shards.is_busy(contended.index) {
            self.note_overdue_scripts(clock.ticks());
        }
        match self.shards.is_busy(contended.index) {
            true => Err(self.busy_error(contended.index, clock)),
            false => Ok(Parked::new(self, contended.epoch)),
        }
    }

    /// Finds the row of a request, and refuses what may not run now.
    fn admit(
        self: &Arc<Engine>,
        session: &Session,
        arguments: Arguments<'_>,
        foreseen: Foreseen,
        clock: &dyn TimeSource,
    ) -> Result<&'static Row> {
        let command = match foreseen.command {
            Some(command) => command,
            None => commands::find(arguments)?,
        };
        if !command.arity.allows(arguments.len()) {
            return Err(Error::WrongArity(command.full_name()));
        }
        // What nobody may do is refused as such, whoever asks and in whatever state.
        if session.is_checked() || session.is_queueing() || session.is_subscriber_only() {
            self.admit_protected(session, command)?;
        }
        if session.is_queueing() && command.flags.has(Flags::NO_MULTI) {
            return Err(Error::NotInTransaction);
        }
        if session.is_checked() {
            self.guard(session, command, arguments, clock.now())?;
            self.admit_now(session, command, arguments, clock)?;
            if session.is_busy() {
                self.admit_beside_scripts(command, clock.ticks())?;
            }
            if session.is_paused() {
                self.wait_for_pause(session, command, arguments, clock.ticks())?;
            }
            return Ok(command);
        }
        self.admit_now(session, command, arguments, clock)?;
        Ok(command)
    }

    /// Refuses what may not run in the state in which the session and the store are.
    #[inline]
    fn admit_now(
        self: &Arc<Engine>,
        session: &Session,
        command: &'static Row,
        arguments: Arguments<'_>,
        clock: &dyn TimeSource,
    ) -> Result<()> {
        if session.is_subscriber_only() && !command.flags.has(Flags::SUBSCRIBED) {
            return Err(Error::Subscribed(command.full_name()));
        }
        if self.is_over_limit() {
            self.admit_to_memory(session, command, arguments, clock)?;
        }
        if self.saving.refuses_writes() {
            self.admit_unsaved(session, command)?;
        }
        Ok(())
    }

    /// Refuses what changes keys while nothing can be saved, and PING, as Redis does.
    #[cold]
    fn admit_unsaved(&self, session: &Session, command: &Row) -> Result<()> {
        let writes = |command: &Row| command.flags.has(Flags::WRITE);
        let is_refused = match command.name {
            "EXEC" => session.queued().any(|(command, _)| writes(command)),
            "PING" => true,
            _ => writes(command),
        };
        match is_refused {
            true => Err(Error::NotSaved),
            false => Ok(()),
        }
    }

    /// Makes room for a command that may write, and refuses it if there is none and it would take
    /// more memory.
    #[cold]
    fn admit_to_memory(
        self: &Arc<Engine>,
        session: &Session,
        command: &Row,
        arguments: Arguments<'_>,
        clock: &dyn TimeSource,
    ) -> Result<()> {
        let takes_memory = |command: &Row, arguments: Arguments<'_>| {
            command.flags.has(Flags::DENY_OOM)
                || command.flags.has(Flags::SCRIPT) && self.scripts.takes_memory(command, arguments)
        };
        let mut queued = session.queued();
        let mut any_queued =
            || queued.any(|(command, request)| takes_memory(command, request.arguments()));
        let is_exec = command.name == "EXEC";
        let may_write = command.flags.has(Flags::WRITE) || command.flags.has(Flags::SCRIPT);
        if !is_exec && !may_write && !is_queued(session, command) {
            return Ok(());
        }
        match self.make_room(clock) {
            Err(error)
                if takes_memory(command, arguments)
                    || is_exec && any_queued()
                    || is_queued(session, command) =>
            {
                Err(error)
            }
            // A script that does not say what it does is refused when it runs such a command.
            _ => Ok(()),
        }
    }

    /// Refuses a request before it has run. A transaction that it belongs to is void, and one that it
    /// was to end has ended.
    #[cold]
    fn refuse(
        &self,
        session: &mut Session,
        arguments: Arguments<'_>,
        error: Error,
        reply: &mut dyn Reply,
    ) -> Outcome {
        self.note_rejection(arguments, &error);
        let name = arguments.get(0).unwrap_or_default();
        if !name.eq_ignore_ascii_case(b"EXEC") {
            session.refused();
            session.end_caching(commands::find(arguments).ok());
            reply.error(&error);
            return Outcome::Done;
        }
        session.abandon_transaction();
        session.end_caching(None);
        let reason = error.to_string();
        let reason = reason.strip_prefix("ERR ").unwrap_or(&reason);
        reply.error(&Error::text(format!(
            "EXECABORT Transaction discarded because of: {reason}"
        )));
        Outcome::Done
    }

    /// The shards that a request needs, whose first key has this hash, if that is known.
    #[inline]
    pub(crate) fn needs<'k>(
        &self,
        session: &Session,
        command: &Row,
        args: Args<'k>,
        hash: Option<u64>,
    ) -> Needs<'k> {
        let is_plain = !command.flags.has(Flags::WHOLE);
        match (command.keys, args.peek()) {
            (KeySpec::First, Some(key)) if is_plain => Needs::One(self.shards.hashed(key, hash)),
            (KeySpec::None, _) if is_plain && command.name != "EXEC" => Needs::Nothing,
            _ => self.needs_of_several(session, command, args.whole(), hash),
        }
    }

    /// The shards that a request needs which may have several keys.
    #[inline(never)]
    fn needs_of_several<'k>(
        &self,
        session: &Session,
        command: &Row,
        arguments: Arguments<'k>,
        mut hash: Option<u64>,
    ) -> Needs<'k> {
        if command.keys == KeySpec::None && !command.flags.has(Flags::WHOLE) {
            return match command.name {
                "EXEC" => self.needs_of_queue(session),
                _ => Needs::Nothing,
            };
        }
        if command.flags.has(Flags::WHOLE) {
            match command.flags.has(Flags::SHARDWISE) && !session.is_queueing() {
                true => return Needs::Nothing,
                false if sort::looks_elsewhere(command, arguments) => return Needs::Everything,
                false => {}
            }
        }
        if command.flags.has(Flags::SCRIPT) && !self.scripts.is_bounded(command, arguments) {
            return Needs::Everything;
        }
        let mut keys = HashedKeys::new();
        command.each_key(arguments, |key| {
            keys.push(self.shards.hashed(key, hash.take()));
        });
        self.shards.needs_of(keys)
    }

    /// What the commands of a transaction need together, and the keys that it watches.
    fn needs_of_queue<'k>(&self, session: &Session) -> Needs<'k> {
        let watched = session.watched_keys();
        let watched = watched
            .map(|(_, key)| self.shards.hashed(key, None))
            .collect();
        let watched = self.shards.needs_of(watched).into_shards(&self.shards);
        session.queued().fold(watched, |needs, (command, request)| {
            let args = command.args(request.arguments());
            let more = self.needs(session, command, args, None);
            needs.and(more, &self.shards)
        })
    }

    /// Publishes what a command has left to publish, and remembers what its caller has read.
    #[cold]
    #[inline(never)]
    pub(crate) fn tell_of_run(
        &self,
        session: &Session,
        command: &'static Row,
        args: Args<'_>,
        keyspace: &mut Keyspace<'_>,
        is_request: bool,
    ) {
        keyspace.publish_late();
        let Some(tracker) = session.tracker() else {
            return;
        };
        if command.flags.has(Flags::READONLY) {
            keyspace.remember(command, args, tracker, self.config.tracked_keys_max());
        }
        // The commands of a transaction or a script are none of their own.
        if is_request {
            session.end_caching(Some(command));
        }
    }

    /// Puts a caller into the queues of the keys that it waits for, whose shards it still holds.
    #[inline(never)]
    fn enqueue(
        &self,
        session: &Session,
        mut wait: Box<Wait>,
        arguments: Arguments<'_>,
        keyspace: &mut Keyspace<'_>,
    ) -> Arc<Waiter> {
        let request = wait
            .request
            .take()
            .unwrap_or_else(|| Request::from(arguments));
        let (id, now) = (self.fresh_id(), keyspace.ticks());
        let waiter = Arc::new(Waiter::new(id, session, request, *wait, now));
        if let Some(client) = session.client() {
            client.waits(&waiter);
        }
        for key in &waiter.keys {
            let shard = keyspace.shard_of(key);
            shard.wait(waiter.db, key, Arc::clone(&waiter));
        }
        // While the keys are held: whoever serves it finds it noted, and takes the note away.
        self.note_wait(&waiter);
        waiter
    }
}

impl Call<'_, '_> {
    /// Runs the command and answers its refusal. A defect in it must not take the store down with it.
    #[inline]
    pub(crate) fn run_caught(mut self) -> Ran {
        let run = || match self.run() {
            Ok(None) => Ran::Answered,
            Ok(Some(wait)) => Ran::Waits(wait),
            Err(Error::Contended { index, epoch }) => Ran::Contended(Contended { index, epoch }),
            Err(error) => {
                self.reply.error(&error);
                Ran::Answered
            }
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            self.engine
                .note_failure(self.command, &Error::Internal, false);
            self.reply.error(&Error::Internal);
            self.session.close();
            Ran::Answered
        })
    }

    /// Says that the answer is not there yet and may come with a change of one of these keys.
    /// Where the caller can't wait, it is answered with nothing at once.
    pub(crate) fn wait_for(&mut self, wait: Wait) {
        if self.may_wait() {
            self.wait = Some(Box::new(wait));
            return;
        }
        wait.nothing.write(self.reply);
    }
}

/// Whether a request is kept until EXEC instead of run.
#[inline]
fn is_queued(session: &Session, command: &Row) -> bool {
    session.is_queueing() && !command.flags.has(Flags::UNQUEUED)
}
