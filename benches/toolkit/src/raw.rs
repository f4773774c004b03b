//! The commands of an operation, sent by the `redis` crate with nothing around them.
//!
//! What an operation sends is noted on a store in the process, and sent again to the server, command by
//! command and byte for byte, in as many round trips: the same scripts by their digests, with the arguments
//! that each single operation has. A save carries the version that the one before it has left, and a
//! release the token of its lock, so nothing is refused that would not be refused to the toolkit; and if
//! something is, the contender fails. What is noted is noted before the clock runs.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use larder_embedded::{Config, Embedded};
use larder_store::{Answer, Backend, Channels, Command, Error, Store, Subscription, Value};
use redis::aio::MultiplexedConnection;

use crate::measure::{Contender, contender};
use crate::rows::NAMES;
use crate::stores::Stores;

/// How often an operation is done before its commands are noted: until then it sends the texts of scripts.
const WARM: usize = 5;

/// What is sent at once, and what was answered.
#[derive(Default)]
pub(crate) struct Trip {
    pub(crate) commands: Vec<Command>,
    outcomes: Vec<Option<i64>>,
}

/// The round trips that were noted.
#[derive(Clone, Default)]
pub(crate) struct Trips(Arc<Mutex<Vec<Trip>>>);

impl Trips {
    pub(crate) fn take(&self) -> Vec<Trip> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes commands that go out: with those before, if those are still under way.
    fn sent(&self, commands: &[Command], others: usize) {
        let mut trips = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match trips.last_mut() {
            Some(trip) if others > 0 => trip.commands.extend_from_slice(commands),
            _ => trips.push(Trip {
                commands: commands.to_vec(),
                outcomes: Vec::new(),
            }),
        }
    }

    fn answered(&self, outcome: Option<i64>) {
        let mut trips = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trip) = trips.last_mut() {
            trip.outcomes.push(outcome);
        }
    }
}

/// A store that notes what goes to another.
struct Recorder {
    store: Store,
    trips: Trips,
    /// How many calls are not answered yet.
    under_way: AtomicUsize,
}

/// A store that notes what goes to this one, and what it has noted. It is not in the process to those who
/// ask it: they send it scripts.
pub(crate) fn recorder(store: Store) -> (Store, Trips) {
    let trips = Trips::default();
    let recorder = Recorder {
        store,
        trips: trips.clone(),
        under_way: AtomicUsize::new(0),
    };
    (Store::new(recorder), trips)
}

impl Backend for Recorder {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        let others = self.under_way.fetch_add(1, Ordering::SeqCst);
        self.trips.sent(std::slice::from_ref(&command), others);
        Answer::later(async move {
            // A server takes its time: what is asked side by side is sent together.
            tokio::task::yield_now().await;
            let answer = self.store.call(command).await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            self.trips.answered(answer.as_ref().ok().and_then(outcome));
            answer
        })
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        let others = self.under_way.fetch_add(1, Ordering::SeqCst);
        self.trips.sent(&commands, others);
        Answer::later(async move {
            tokio::task::yield_now().await;
            let answers = self.store.call_all(commands).await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            for answer in answers.iter().flatten() {
                self.trips.answered(answer.as_ref().ok().and_then(outcome));
            }
            answers
        })
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.store.subscribe(channels)
    }
}

/// The number by which a script says what it has done, if it does.
fn outcome(answer: &Value) -> Option<i64> {
    match answer {
        Value::Array(items) => items.first().and_then(|first| match first {
            Value::Int(number) => Some(*number),
            _ => None,
        }),
        _ => None,
    }
}

/// The same of an answer to the `redis` crate.
fn raw_outcome(answer: &redis::Value) -> Option<i64> {
    match answer {
        redis::Value::Array(items) => items.first().and_then(|first| match first {
            redis::Value::Int(number) => Some(*number),
            _ => None,
        }),
        _ => None,
    }
}

/// A round trip that is ready to be sent.
struct Ready {
    pipeline: redis::Pipeline,
    outcomes: Vec<Option<i64>>,
}

impl Ready {
    fn new(trip: &Trip) -> Ready {
        let mut pipeline = redis::pipe();
        for command in &trip.commands {
            pipeline.add_command(cmd(command));
        }
        Ready {
            pipeline,
            outcomes: trip.outcomes.clone(),
        }
    }

    async fn send(&self, connection: &mut MultiplexedConnection) -> Result<()> {
        let answers: Vec<redis::Value> = self.pipeline.query_async(connection).await?;
        let outcomes = answers.iter().map(raw_outcome);
        ensure!(
            outcomes.eq(self.outcomes.iter().copied()),
            "it did another thing than was noted"
        );
        Ok(())
    }
}

/// A command as the `redis` crate has it.
pub(crate) fn cmd(command: &Command) -> redis::Cmd {
    let mut cmd = redis::Cmd::new();
    for argument in command.arguments().iter() {
        cmd.arg(argument);
    }
    cmd
}

/// Lets a server know the scripts whose texts were sent.
pub(crate) async fn load_scripts(
    trips: &[Trip],
    connection: &mut MultiplexedConnection,
) -> Result<()> {
    let commands = trips.iter().flat_map(|trip| &trip.commands);
    for eval in commands.filter(|command| command.name() == b"EVAL") {
        let text = eval.arguments().get(1).context("EVAL has a text")?;
        let mut load = redis::cmd("SCRIPT");
        let _: String = load.arg("LOAD").arg(text).query_async(connection).await?;
    }
    Ok(())
}

/// A contender that sends what an operation of the toolkit sends, in as many round trips.
pub(crate) async fn raw<T: 'static>(
    stores: &Stores,
    make: impl AsyncFn(Store) -> Result<T>,
    operation: impl AsyncFn(&T, usize) -> Result<()> + Copy + 'static,
) -> Result<Contender> {
    let memory = Store::new(Embedded::open(Config::default())?);
    let (store, trips) = recorder(memory.clone());
    // In a database of its own: the toolkit's keys have the same names.
    let mut connection = stores.connection_to(1).await?;

    let first = make(store.clone()).await?;
    for _ in 0..WARM {
        operation(&first, 0).await?;
    }
    load_scripts(&trips.take(), &mut connection).await?;
    memory.run::<()>(Command::new("FLUSHALL")).await?;
    redis::cmd("FLUSHDB").exec_async(&mut connection).await?;

    let subject = make(store).await?;
    for _ in 0..WARM {
        operation(&subject, 0).await?;
    }
    for trip in trips.take() {
        Ready::new(&trip).send(&mut connection).await?;
    }
    operation(&subject, 0).await?;
    let one = trips.take();
    for trip in &one {
        Ready::new(trip).send(&mut connection).await?;
    }

    let (subject, ready) = (Rc::new(subject), Rc::new(RefCell::new(VecDeque::new())));
    let noted = Rc::clone(&ready);
    let replay = contender("raw server", move |_| {
        let (mut connection, ready) = (connection.clone(), Rc::clone(&ready));
        async move {
            loop {
                let next: Option<Ready> = ready.borrow_mut().pop_front();
                let Some(next) = next else { return Ok(()) };
                next.send(&mut connection).await?;
            }
        }
    });
    let replay = replay.prepared(move |operations| {
        let (subject, trips, noted) = (Rc::clone(&subject), trips.clone(), Rc::clone(&noted));
        async move {
            for number in 0..operations {
                operation(&subject, number % NAMES).await?;
            }
            noted
                .borrow_mut()
                .extend(trips.take().iter().map(Ready::new));
            Ok(())
        }
    });
    Ok(replay.trips(one.len() as f64))
}
