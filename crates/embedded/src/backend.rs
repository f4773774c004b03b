//! The engine as a store.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use larder_engine::{
    Engine, Mailbox, Outcome, Overflow, Parked, Session, Subscriber, Ticks, TimeSource,
    TwinOutcome, ValueReply, Waiting, commands,
};
use larder_store::near::ReadNear;
use larder_store::{
    Answer, Backend, ByName, Capabilities, Channels, Command, Direct, Error, Native, Server,
    Subscription, TwinCall, Value, refuse_batch, refuse_state,
};

use crate::embedded::{Core, Embedded};
use crate::listen::Events;
use crate::near::Reads;

impl Backend for Embedded {
    #[inline]
    fn call(&self, command: Command) -> Answer<'_, Value> {
        if let Some(error) = refuse_state(&command) {
            return Answer::ready(Err(error));
        }
        let mut session = Session::local();
        match run(self.core(), &mut session, &command) {
            Step::Done(result) => Answer::ready(result),
            step => {
                let deadline = self.core().deadline(command.delivery().within);
                Answer::later(async move {
                    let core = self.core();
                    core.finish(step, &mut session, &command, deadline).await
                })
            }
        }
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        if let Some(error) = refuse_batch(&commands) {
            return Answer::ready(Err(error));
        }
        // One session for all, so that MULTI means to the commands behind it what it means on a
        // connection.
        let mut session = Session::local();
        let mut results = Vec::with_capacity(commands.len());
        let within = commands
            .iter()
            .filter_map(|command| command.delivery().within)
            .min();
        let mut commands = commands.into_iter();
        let (command, step) = loop {
            let Some(command) = commands.next() else {
                return Answer::ready(Ok(results));
            };
            match run(self.core(), &mut session, &command) {
                Step::Done(result) => results.push(result),
                step => break (command, step),
            }
        };
        Answer::later(async move {
            let core = self.core();
            let deadline = core.deadline(within);
            results.push(core.finish(step, &mut session, &command, deadline).await);
            for command in commands {
                // One that was given up is not followed by those behind it.
                if results.last().is_some_and(is_given_up) {
                    results.push(Err(given_up()));
                    continue;
                }
                let step = run(core, &mut session, &command);
                results.push(core.finish(step, &mut session, &command, deadline).await);
            }
            Ok(results)
        })
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        if self.is_closed() {
            return Answer::ready(Err(closed()));
        }
        if let Some(shard) = channels.shards.first() {
            return Answer::ready(Err(Error::invalid(format_args!(
                "a store inside the process has no shards: listen to {:?} by name",
                String::from_utf8_lossy(shard)
            ))));
        }
        let buffer = channels.buffer.unwrap_or(Channels::BUFFER).max(1);
        let mailbox = Arc::new(Mailbox::new(Overflow::DropOldest(buffer)));
        let mut subscriber = Subscriber::new(self.engine(), Arc::clone(&mailbox));
        channels
            .names
            .iter()
            .for_each(|name| subscriber.subscribe(name));
        channels
            .patterns
            .iter()
            .for_each(|pattern| subscriber.subscribe_pattern(pattern));
        self.core().keep(&mailbox);
        Answer::ready(Ok(Subscription::new(Events {
            mailbox,
            _subscriber: subscriber,
        })))
    }

    #[inline]
    fn direct(&self) -> Option<&dyn Direct> {
        Some(&**self.core())
    }

    #[inline]
    fn native(&self) -> Option<&dyn Native> {
        Some(&**self.core())
    }

    fn near(&self, bytes: usize) -> Option<Arc<dyn ReadNear>> {
        Some(Arc::new(Reads::open(self, bytes)))
    }

    fn capabilities(&self) -> Answer<'_, Capabilities> {
        static OURS: OnceLock<Capabilities> = OnceLock::new();
        Answer::ready(Ok(*OURS.get_or_init(|| {
            Capabilities::of(Server {
                name: "larder",
                version: env!("CARGO_PKG_VERSION"),
                is_cluster: false,
                has_command: &|name| commands().any(|(_, row)| row.name == name),
            })
        })))
    }

    fn close(&self) -> Answer<'_, ()> {
        Embedded::close(self);
        Answer::ready(Ok(()))
    }
}

impl Direct for Core {
    #[inline]
    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, ByName> {
        self.open_engine()?.get(key, self, |bytes| Box::from(bytes))
    }

    #[inline]
    fn set(&self, key: &[u8], value: &[u8]) -> Result<(), ByName> {
        self.open_engine()?.set(key, value, self)
    }

    #[inline]
    fn incr(&self, key: &[u8]) -> Result<i64, ByName> {
        self.open_engine()?.incr(key, self)
    }

    #[inline]
    fn del(&self, key: &[u8]) -> Result<bool, ByName> {
        self.open_engine()?.del(key, self)
    }
}

impl Native for Core {
    #[inline]
    fn run<'a>(&'a self, call: TwinCall<'a>) -> Answer<'a, Value> {
        match self.run_twin(&call) {
            TwinOutcome::Done(answered) => Answer::ready(answered),
            TwinOutcome::Parked(parked) => Answer::later(self.run_twin_later(parked, call)),
        }
    }
}

/// What became of a command.
enum Step {
    Done(Result<Value, Error>),
    /// Its answer comes later.
    Waits(Waiting),
    /// It has not been run: others hold its keys.
    Parked(Parked),
}

impl Core {
    /// The engine, unless the store is closed: what that means, the commands say.
    #[inline]
    fn open_engine(&self) -> Result<&Arc<Engine>, ByName> {
        match self.is_closed() {
            false => Ok(&self.engine),
            true => Err(ByName),
        }
    }

    #[inline]
    fn run_twin(&self, call: &TwinCall<'_>) -> TwinOutcome<Error> {
        match self.is_closed() {
            true => TwinOutcome::Done(Err(closed())),
            false => self.engine.run_twin(call, self).map_err(Error::Refused),
        }
    }

    async fn run_twin_later(&self, mut parked: Parked, call: TwinCall<'_>) -> Result<Value, Error> {
        let deadline = self.deadline(call.within());
        loop {
            self.unparked(parked, deadline).await?;
            match self.run_twin(&call) {
                TwinOutcome::Done(answered) => return answered,
                TwinOutcome::Parked(again) => parked = again,
            }
        }
    }

    /// Runs a command in a session, and waits for its answer.
    pub(crate) async fn ask(
        &self,
        session: &mut Session,
        command: &Command,
    ) -> Result<Value, Error> {
        let deadline = self.deadline(command.delivery().within);
        let step = run(self, session, command);
        self.finish(step, session, command, deadline).await
    }

    /// The answer of a command, when it comes. One that has not begun at its deadline is given up; one
    /// that waits by itself has its own time.
    async fn finish(
        &self,
        mut step: Step,
        session: &mut Session,
        command: &Command,
        deadline: Option<Ticks>,
    ) -> Result<Value, Error> {
        loop {
            match step {
                Step::Done(result) => return result,
                Step::Waits(waiting) => return plain(waiting.await),
                Step::Parked(parked) => self.unparked(parked, deadline).await?,
            }
            step = run(self, session, command);
        }
    }

    /// When a call has to be over that begins now.
    fn deadline(&self, within: Option<Duration>) -> Option<Ticks> {
        let us = u64::try_from(within?.as_micros()).unwrap_or(u64::MAX);
        Some(self.ticks().after_us(us))
    }

    /// Waits until a request may be tried again.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] if its deadline comes first: nothing has happened.
    async fn unparked(&self, parked: Parked, deadline: Option<Ticks>) -> Result<(), Error> {
        let Some(deadline) = deadline else {
            parked.await;
            return Ok(());
        };
        let (mut parked, mut over) = (pin!(parked), pin!(self.until(deadline)));
        poll_fn(|context| match parked.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => over.as_mut().poll(context).map(|()| Err(given_up())),
        })
        .await
    }
}

/// The error of a call whose time was over before others let go of its keys.
fn given_up() -> Error {
    Error::away("others held its keys for longer than its caller waits")
}

fn is_given_up(result: &Result<Value, Error>) -> bool {
    matches!(result, Err(Error::Away(_)))
}

#[inline]
fn run(core: &Core, session: &mut Session, command: &Command) -> Step {
    if core.is_closed() {
        return Step::Done(Err(closed()));
    }
    let mut reply = ValueReply::new();
    match core
        .engine
        .execute(session, command.arguments(), core, &mut reply)
    {
        Outcome::Done | Outcome::Close => Step::Done(plain(reply.take_value())),
        Outcome::Blocked(waiting) => Step::Waits(waiting),
        Outcome::Parked(parked) => Step::Parked(parked),
    }
}

/// A refusal is an error, not a value.
#[inline]
fn plain(value: Value) -> Result<Value, Error> {
    if !matches!(value, Value::Error(_)) {
        return Ok(value);
    }
    refused(value)
}

/// Apart from [`plain`], so that a value that is none is moved as it is.
#[cold]
fn refused(value: Value) -> Result<Value, Error> {
    match value {
        Value::Error(refusal) => Err(Error::Refused(refusal)),
        value => Ok(value),
    }
}

fn closed() -> Error {
    Error::Closed
}
