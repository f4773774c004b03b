//! From a request to its answer.
//!
//! [`Engine::execute`] finds the command's row, checks the request against it, takes the shards
//! that it needs, runs it, and serves those who waited for what it changed.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use larder_resp::Arguments;
use larder_store::Command as Request;
use smallvec::SmallVec;

use crate::args::Args;
use crate::command::{Call, Command, Flags, Keys};
use crate::engine::{Engine, Now, TimeSource};
use crate::error::{Error, Result};
use crate::keyspace::waiting::{Wait, Waiter, Waiting};
use crate::keyspace::{Aftermath, Keyspace, Needs, Ready};
use crate::reply::{Reply, ValueReply, write_value};
use crate::session::{Replies, Session};
use crate::table;

/// What is left to do after a request.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// Nothing: it has been answered.
    Done,
    /// The answer comes later.
    Blocked(Waiting),
    /// It has been answered, and the connection is to be closed.
    Close,
}

impl Engine {
    /// Runs one request of `session`, and answers it through `reply`.
    ///
    /// `arguments` must have at least one word. The caller's thread does all the work; it waits for
    /// nobody but those who hold the same keys. The time is that at which it has the keys.
    #[inline]
    pub fn execute(
        self: &Arc<Engine>,
        session: &mut Session,
        arguments: Arguments<'_>,
        clock: &dyn TimeSource,
        reply: &mut dyn Reply,
    ) -> Outcome {
        match session.replies() {
            Replies::On => self.answer(session, arguments, clock, reply),
            _ => self.answer_unwanted(session, arguments, clock, reply),
        }
    }

    /// Asks the processor for the memory of the keys of requests that are about to be executed, so
    /// that the waits for it overlap. It changes nothing, and waits for nobody.
    ///
    /// The word behind the name is taken for the key: most often it is one, and else nothing is
    /// lost but the hint.
    pub fn look_ahead<'a>(&self, session: &Session, requests: impl Iterator<Item = Arguments<'a>>) {
        let keys = requests.filter_map(|request| request.get(1));
        self.shards.look_ahead(session.db, keys);
    }

    /// Runs a request whose answer is not wanted, most often.
    #[cold]
    fn answer_unwanted(
        self: &Arc<Engine>,
        session: &mut Session,
        arguments: Arguments<'_>,
        clock: &dyn TimeSource,
        reply: &mut dyn Reply,
    ) -> Outcome {
        // The answer may be wanted after all: that of CLIENT REPLY ON, and of RESET.
        let mut unwanted = ValueReply::for_protocol(session.resp3);
        session.begin_unanswered();
        let outcome = self.answer(session, arguments, clock, &mut unwanted);
        if session.replies() == Replies::On {
            write_value(reply, &unwanted.take_value());
        }
        session.end_unanswered();
        match outcome {
            Outcome::Blocked(waiting) => Outcome::Blocked(waiting.silent()),
            outcome => outcome,
        }
    }

    fn answer(
        self: &Arc<Engine>,
        session: &mut Session,
        arguments: Arguments<'_>,
        clock: &dyn TimeSource,
        reply: &mut dyn Reply,
    ) -> Outcome {
        let command = match self.admit(session, arguments) {
            Ok(command) => command,
            Err(error) => {
                reply.error(&self.refuse(session, arguments, error));
                return Outcome::Done;
            }
        };
        if session.is_queueing() && !command.flags.has(Flags::UNQUEUED) {
            session.queue(command, arguments);
            reply.status("QUEUED");
            return Outcome::Done;
        }

        let args = command.args(arguments);
        let needs = self.needs(session, command, args);
        let is_busy = || self.is_busy(clock.now());
        // The keyspace is dropped where it was made: it is large, and moving it would cost.
        let aftermath = {
            let mut keyspace = Keyspace::new(&self.shards, session.db, clock);
            if !keyspace.hold(&needs, &is_busy) {
                session.refused();
                reply.error(&Error::Busy);
                return Outcome::Done;
            }
            if !keyspace.count_command() {
                self.stats.command();
            }
            session.note(command, &keyspace);
            let wait = self.run_caught(session, command, args, &mut keyspace, reply);
            if let Some(wait) = wait {
                let waiter = self.enqueue(session, wait, arguments, &mut keyspace);
                let aftermath = keyspace.take_aftermath();
                drop(keyspace);
                self.note_deadline(&waiter);
                if let Some(aftermath) = aftermath {
                    self.clear_up(*aftermath, clock.now());
                }
                return Outcome::Blocked(Waiting::new(Arc::clone(self), waiter));
            }
            keyspace.take_aftermath()
        };
        session.settle(self);
        if !command.flags.touches_keys() {
            session.show();
        }
        if let Some(aftermath) = aftermath {
            self.clear_up(*aftermath, clock.now());
        }
        if session.is_closing() {
            Outcome::Close
        } else {
            Outcome::Done
        }
    }

    /// Runs a command and answers its refusal. A defect in it must not take the store down with it.
    #[inline]
    fn run_caught<'e>(
        self: &'e Arc<Engine>,
        session: &mut Session,
        command: &'static Command,
        args: Args<'_>,
        keyspace: &mut Keyspace<'e>,
        reply: &mut dyn Reply,
    ) -> Option<Box<Wait>> {
        let run = || {
            let wait = self.run(session, command, args, keyspace, true, reply);
            wait.unwrap_or_else(|error| {
                reply.error(&error);
                None
            })
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            reply.error(&Error::Internal);
            session.close();
            None
        })
    }

    /// Finds the row of a request, and refuses what may not run now.
    fn admit(&self, session: &Session, arguments: Arguments<'_>) -> Result<&'static Command> {
        let command = table::find(arguments)?;
        if !command.arity.allows(arguments.len()) {
            return Err(Error::WrongArity(command.full_name()));
        }
        if !session.is_authenticated() && !command.flags.has(Flags::NO_AUTH) {
            return Err(Error::NotAuthenticated);
        }
        if session.is_subscriber_only() && !command.flags.has(Flags::SUBSCRIBED) {
            return Err(Error::Subscribed(command.full_name()));
        }
        if session.is_queueing() && command.flags.has(Flags::NO_MULTI) {
            return Err(Error::NotInTransaction);
        }
        Ok(command)
    }

    /// Notes that a request was refused before it ran. Answers what is to be said: one that was to end
    /// a transaction has ended it.
    #[cold]
    fn refuse(&self, session: &mut Session, arguments: Arguments<'_>, error: Error) -> Error {
        let name = arguments.get(0).unwrap_or_default();
        if !name.eq_ignore_ascii_case(b"EXEC") {
            session.refused();
            return error;
        }
        session.abandon_transaction(self);
        let reason = error.to_string();
        let reason = reason.strip_prefix("ERR ").unwrap_or(&reason);
        Error::text(format!(
            "EXECABORT Transaction discarded because of: {reason}"
        ))
    }

    /// The shards that a request needs.
    #[inline]
    fn needs<'k>(&self, session: &Session, command: &Command, args: Args<'k>) -> Needs<'k> {
        let is_plain = command.keys == Keys::First && !command.flags.has(Flags::WHOLE);
        match args.peek() {
            Some(key) if is_plain => self.shards.need_of(key),
            _ => self.needs_of_several(session, command, args.whole()),
        }
    }

    /// The shards that a request needs which may have several keys.
    #[inline(never)]
    fn needs_of_several<'k>(
        &self,
        session: &Session,
        command: &Command,
        arguments: Arguments<'k>,
    ) -> Needs<'k> {
        if command.flags.has(Flags::WHOLE) {
            return Needs::Everything;
        }
        if command.flags.has(Flags::SCRIPT) && !self.scripts.is_bounded(command, arguments) {
            return Needs::Everything;
        }
        if command.name == "EXEC" {
            return self.needs_of_queue(session);
        }
        let mut keys: SmallVec<[&[u8]; 8]> = SmallVec::new();
        command.each_key(arguments, |key| keys.push(key));
        match keys[..] {
            [key] => self.shards.need_of(key),
            _ => self.shards.needs_of(keys.into_iter()),
        }
    }

    /// What the commands of a transaction need together, and the keys that it watches.
    fn needs_of_queue(&self, session: &Session) -> Needs<'static> {
        let watched = session.watched_keys().map(|(_, key)| key);
        session.queued().fold(
            self.shards.needs_of(watched),
            |needs, (command, request)| {
                needs.and(
                    self.needs(session, command, command.args(request.arguments())),
                    &self.shards,
                )
            },
        )
    }

    /// Runs a command on a keyspace that holds what it needs. Answers how to wait, if the command
    /// wants to and may.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of a call, put together here alone"
    )]
    #[inline]
    pub(crate) fn run<'e>(
        self: &'e Arc<Engine>,
        session: &mut Session,
        command: &'static Command,
        args: Args<'_>,
        keyspace: &mut Keyspace<'e>,
        may_wait: bool,
        reply: &mut dyn Reply,
    ) -> Result<Option<Box<Wait>>> {
        keyspace.count_lookups(command.flags.has(Flags::READONLY));
        keyspace.set_touching(!session.leaves_no_trace());
        let mut call = Call {
            engine: self,
            session,
            command,
            args,
            keyspace,
            reply,
            wait: None,
            may_wait,
        };
        (command.run)(&mut call)?;
        Ok(call.wait)
    }

    // --- callers that wait -------------------------------------------------------------------

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
        let (id, db) = (self.fresh_id(), session.db);
        let waiter = Waiter::new(
            id,
            db,
            request,
            *wait,
            keyspace.now().unix_us(),
            session.resp3,
        );
        let waiter = Arc::new(waiter);
        if let Some(client) = session.client() {
            client.waits(&waiter);
        }
        for key in &waiter.keys {
            keyspace.shard_of(key).wait(db, key, Arc::clone(&waiter));
        }
        waiter
    }

    /// Does what calls have left: serves those who wait for keys that have changed, and has freed
    /// what takes long. What those do may make others ready.
    #[inline(never)]
    pub(crate) fn clear_up(self: &Arc<Engine>, left: Aftermath, now: Now) {
        self.dispose(left.garbage);
        let mut ready = VecDeque::from(left.ready);
        while let Some(next) = ready.pop_front() {
            let mut served = 0;
            while let Some(waiter) = self.next_waiter(&next, served, now) {
                served = waiter.id;
                if let Some(left) = self.serve_one(&waiter, now) {
                    self.dispose(left.garbage);
                    ready.extend(left.ready);
                }
            }
        }
    }

    /// Who waits longest for a key and what it holds now, of those who came after another.
    fn next_waiter(&self, ready: &Ready, after: u64, now: Now) -> Option<Arc<Waiter>> {
        let needs = self.shards.need_of(&ready.key);
        let mut keyspace = self.shards.lock(&needs, ready.db, &now);
        let kind = keyspace.kind(&ready.key);
        let shard = keyspace.shard_of(&ready.key);
        let mut waiters = shard.waiters(ready.db, &ready.key);
        waiters
            .find(|waiter| waiter.id > after && waiter.wants(kind))
            .cloned()
    }

    /// Runs a waiter's request. Answers what that left, if anything.
    fn serve_one(self: &Arc<Engine>, waiter: &Arc<Waiter>, now: Now) -> Option<Box<Aftermath>> {
        if !waiter.claim() {
            // Its deadline has come, or somebody else serves it; it leaves the queue by itself.
            return None;
        }
        let mut session = Session::waiting(waiter);
        let arguments = waiter.request.arguments();
        let Ok(command) = table::find(arguments) else {
            return None;
        };
        let args = command.args(arguments);
        let mut reply = ValueReply::for_protocol(waiter.resp3);
        let needs = self.needs(&session, command, args);
        let mut keyspace = self.shards.lock(&needs, waiter.db, &now);
        let wait = self.run_caught(&mut session, command, args, &mut keyspace, &mut reply);
        if wait.is_some() {
            self.wait_on(waiter);
            return keyspace.take_aftermath();
        }
        // While the keys are held, so that the queues are right for whoever takes them next.
        for key in &waiter.keys {
            keyspace.shard_of(key).stop_waiting(waiter.db, key, waiter);
        }
        let left = keyspace.take_aftermath();
        drop(keyspace);
        self.forget(waiter);
        waiter.answer(reply.take_value());
        left
    }
}

impl Call<'_, '_> {
    /// Says that the answer is not there yet and may come with a change of one of these keys.
    /// Where the caller can't wait, it is answered with nothing at once.
    pub(crate) fn wait_for(&mut self, wait: Wait) {
        if self.may_wait {
            self.wait = Some(Box::new(wait));
            return;
        }
        wait.nothing.write(self.reply);
    }
}
