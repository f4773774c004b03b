//! Serving callers that wait for keys.
//!
//! A change and the waiters that it serves are one step: whoever changed a key still holds its shard
//! when the waiters' requests run, in the order in which they came. What these change may serve
//! others. A waiter that needs more shards than are held gets them if they are free; if not, its key
//! is put aside, and its waiters are served when the shards are let go, or at the next tick.

use std::sync::Arc;

use larder_store::{Refusal, Value};

use crate::command::Call;
use crate::commands;
use crate::engine::{Engine, TimeSource};
use crate::execute::Ran;
use crate::keyspace::waiting::Waiter;
use crate::keyspace::{Keyspace, Leftover, Ready};
use crate::observe::Occasion;
use crate::reply::ValueReply;
use crate::session::Session;

/// What became of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// It has its answer, or waits on, or is over.
    Tried,
    /// Others hold what it needs.
    PutOff,
}

impl Engine {
    /// Serves those who wait for keys that this call has changed, before it lets them go.
    #[inline]
    pub(crate) fn serve_ready<'e>(self: &'e Arc<Engine>, keyspace: &mut Keyspace<'e>) {
        if keyspace.has_ready() {
            self.serve_all(keyspace);
        }
    }

    #[cold]
    #[inline(never)]
    fn serve_all<'e>(self: &'e Arc<Engine>, keyspace: &mut Keyspace<'e>) {
        while let Some(ready) = keyspace.next_ready() {
            let served = self.serve_key(keyspace, &ready);
            keyspace.end_serving(&ready);
            if served == Served::PutOff {
                keyspace.leftover().unserved.push(ready);
            }
        }
        keyspace.broadcast();
    }

    /// Serves those who wait for a key, whose shard is held.
    fn serve_key<'e>(self: &'e Arc<Engine>, keyspace: &mut Keyspace<'e>, ready: &Ready) -> Served {
        let mut last = 0;
        loop {
            keyspace.select(ready.db);
            let kind = keyspace.kind(&ready.key);
            let shard = keyspace.shard_of(&ready.key);
            let Some(waiter) = shard.next_waiter(ready.db, &ready.key, last, kind) else {
                return Served::Tried;
            };
            last = waiter.id;
            // Those behind it have to wait too: they came later.
            if self.serve(keyspace, &waiter) == Served::PutOff {
                return Served::PutOff;
            }
        }
    }

    /// Runs a waiter's request, if what it needs is held or free.
    fn serve<'e>(
        self: &'e Arc<Engine>,
        keyspace: &mut Keyspace<'e>,
        waiter: &Arc<Waiter>,
    ) -> Served {
        let arguments = waiter.request.arguments();
        let Ok(command) = commands::find(arguments) else {
            return Served::Tried;
        };
        let args = command.args(arguments);
        let mut session = Session::waiting(waiter);
        if !keyspace.hold_more(&self.needs(&session, command, args, None)) {
            return Served::PutOff;
        }
        if !waiter.claim() {
            // It is over and could not leave the queue, or somebody ends it right now.
            return Served::Tried;
        }
        let mut reply = ValueReply::for_protocol(waiter.resp3);
        keyspace.select(waiter.db);
        keyspace.begin_later();
        // Its user may not be allowed any more what it was when it began to wait.
        if session.is_checked()
            && let Err(error) = self.guard(&session, command, arguments, keyspace.now())
        {
            self.note_rejection(arguments, &error);
            let refusal = Refusal::new(error.to_string());
            self.end_served(keyspace, waiter, Value::Error(refusal));
            return Served::Tried;
        }
        let ran = Call {
            engine: self,
            session: &mut session,
            command,
            args,
            keyspace,
            reply: &mut reply,
            wait: None,
            occasion: Occasion::Again,
            is_passed_on: false,
        }
        .run_caught();
        if !matches!(ran, Ran::Answered) {
            self.wait_on(waiter);
            return Served::Tried;
        }
        self.end_served(keyspace, waiter, reply.take_value());
        Served::Tried
    }

    /// Answers a claimed waiter, whose keys are held.
    fn end_served(&self, keyspace: &mut Keyspace<'_>, waiter: &Arc<Waiter>, answer: Value) {
        // Here, where the keys are held, and not by `forget`, which would find them held.
        for key in &waiter.keys {
            keyspace.shard_of(key).stop_waiting(waiter.db, key, waiter);
        }
        self.forget_wait(waiter);
        waiter.answer(answer);
    }

    /// Does what a call has left, when it has let its shards go.
    #[inline(never)]
    pub(crate) fn clear_up(self: &Arc<Engine>, leftover: Leftover, clock: &dyn TimeSource) {
        self.dispose(leftover.garbage);
        if !leftover.unserved.is_empty() {
            self.leave_unserved(leftover.unserved);
            self.serve_unserved(clock);
        }
    }

    /// Serves those who could not be served, as far as what they need is free now. What is put off
    /// again waits for the next tick.
    pub(crate) fn serve_unserved(self: &Arc<Engine>, clock: &dyn TimeSource) {
        for ready in self.take_unserved() {
            let leftover = {
                let mut keyspace = Keyspace::new(&self.shards, ready.db, clock);
                if keyspace.hold(self.shards.need_of(&ready.key)).is_err() {
                    self.leave_unserved(vec![ready.clone()]);
                    continue;
                }
                keyspace.make_ready(&ready.key);
                self.serve_ready(&mut keyspace);
                keyspace.take_leftover()
            };
            if let Some(leftover) = leftover {
                self.dispose(leftover.garbage);
                self.leave_unserved(leftover.unserved);
            }
        }
    }
}
