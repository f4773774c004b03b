//! The commands of an operation, with nothing around them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use larder_store::{Answer, Backend, Channels, Command, Error, Store, Subscription, Value};

use crate::measure::{Contender, contender};
use crate::stores::Stores;

/// The commands of each round trip.
type Trips = Arc<Mutex<Vec<Vec<Command>>>>;

/// How often an operation is done before its commands are noted.
const WARM: usize = 5;

/// A store that notes what goes to another.
struct Recorder {
    store: Store,
    trips: Trips,
    /// How many calls are not answered yet.
    under_way: AtomicUsize,
}

impl Recorder {
    /// Notes commands that go out: with those before, if those are still under way.
    fn note(&self, commands: &[Command]) {
        let mut trips = self.trips.lock().unwrap_or_else(PoisonError::into_inner);
        let others = self.under_way.fetch_add(1, Ordering::SeqCst);
        match trips.last_mut() {
            Some(trip) if others > 0 => trip.extend_from_slice(commands),
            _ => trips.push(commands.to_vec()),
        }
    }

    fn answered<T>(&self, answer: T) -> T {
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        answer
    }
}

impl Backend for Recorder {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        self.note(std::slice::from_ref(&command));
        Answer::later(async move { self.answered(self.store.call(command).await) })
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        self.note(&commands);
        Answer::later(async move { self.answered(self.store.call_all(commands).await) })
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.store.subscribe(channels)
    }
}

/// A contender that sends what an operation of the toolkit sends, in as many round trips.
///
/// The operation is done before: what it sends the first times alone, such as the text of a script, is
/// not of it.
pub(crate) async fn raw<T>(
    stores: &Stores,
    make: impl AsyncFn(Store) -> Result<T>,
    operation: impl AsyncFn(&T) -> Result<()>,
) -> Result<Contender> {
    let trips = Trips::default();
    let recorder = Recorder {
        store: stores.remote.clone(),
        trips: Arc::clone(&trips),
        under_way: AtomicUsize::new(0),
    };
    let subject = make(Store::new(recorder)).await?;
    for _ in 0..WARM {
        operation(&subject).await?;
    }
    trips.lock().unwrap_or_else(PoisonError::into_inner).clear();
    operation(&subject).await?;
    let trips = std::mem::take(&mut *trips.lock().unwrap_or_else(PoisonError::into_inner));

    let connection = stores.connection().await?;
    let pipelines: Vec<redis::Pipeline> = trips.iter().map(|trip| pipeline(trip)).collect();
    let (count, pipelines) = (pipelines.len(), Arc::new(pipelines));
    let contender = contender("raw server", move |operations| {
        let (mut connection, pipelines) = (connection.clone(), Arc::clone(&pipelines));
        async move {
            for _ in 0..operations {
                for pipeline in &*pipelines {
                    pipeline
                        .query_async::<redis::Value>(&mut connection)
                        .await?;
                }
            }
            Ok(())
        }
    });
    Ok(contender.trips(count))
}

fn pipeline(commands: &[Command]) -> redis::Pipeline {
    let mut pipeline = redis::pipe();
    for command in commands {
        let mut cmd = redis::Cmd::new();
        for argument in command.arguments().iter() {
            cmd.arg(argument);
        }
        pipeline.add_command(cmd);
    }
    pipeline
}
