//! A store whose calls have a deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::near::{Freshness, Keep, NearStats, ReadNear};
use crate::{
    Answer, Backend, Capabilities, Channels, Command, ConnectionEvents, Direct, Error, Native,
    NodeStatus, Part, Subscription, TwinCall, Value,
};

/// Another handle on a backend, through which everything that is asked has a deadline. It measures no
/// time itself: it says so in what it hands on, and who keeps the connections, or the keys, holds to it.
pub(crate) struct Within {
    backend: Arc<dyn Backend>,
    time: Duration,
}

impl Within {
    pub(crate) fn new(backend: Arc<dyn Backend>, time: Duration) -> Within {
        Within { backend, time }
    }
}

impl Backend for Within {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        self.backend.call(command.within(self.time))
    }

    /// The deadline of a batch is the shortest that one of its commands has, so the first has it for all.
    fn call_all(&self, mut commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        if let Some(first) = commands.first_mut() {
            first.limit(self.time);
        }
        self.backend.call_all(commands)
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.backend.subscribe(channels.within(self.time))
    }

    /// What the short road does takes no time worth a deadline: where it would, it does nothing, and
    /// the command is sent, which has one.
    fn direct(&self) -> Option<&dyn Direct> {
        self.backend.direct()
    }

    fn native(&self) -> Option<&dyn Native> {
        self.backend.native().map(|_| self as &dyn Native)
    }

    fn near(&self, bytes: usize) -> Option<Arc<dyn ReadNear>> {
        let reads = self.backend.near(bytes)?;
        let time = self.time;
        Some(Arc::new(NearWithin { reads, time }))
    }

    fn parts(&self) -> Answer<'_, Vec<Part>> {
        self.backend.parts()
    }

    fn capabilities(&self) -> Answer<'_, Capabilities> {
        self.backend.capabilities()
    }

    fn nodes(&self) -> Vec<NodeStatus> {
        self.backend.nodes()
    }

    fn connection_events(&self) -> ConnectionEvents {
        self.backend.connection_events()
    }

    fn is_observed(&self) -> bool {
        self.backend.is_observed()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.backend.close()
    }
}

impl Native for Within {
    fn run<'a>(&'a self, mut call: TwinCall<'a>) -> Answer<'a, Value> {
        call.arguments.limit(self.time);
        match self.backend.native() {
            Some(native) => native.run(call),
            None => Answer::ready(Err(Error::Closed)),
        }
    }
}

/// Near reads of which those have a deadline for which the store is asked.
struct NearWithin {
    reads: Arc<dyn ReadNear>,
    time: Duration,
}

impl ReadNear for NearWithin {
    fn kept(&self, command: &Command) -> Option<(Value, Freshness)> {
        self.reads.kept(command)
    }

    fn read(&self, command: Command, keep: Keep) -> Answer<'_, (Value, Freshness)> {
        self.reads.read(command.within(self.time), keep)
    }

    fn stats(&self) -> NearStats {
        self.reads.stats()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::Store;

    const MS: Duration = Duration::from_millis(1);

    /// Remembers the deadlines of what it is asked.
    #[derive(Clone, Default)]
    struct Listener(Arc<Mutex<Vec<Option<Duration>>>>);

    impl Listener {
        fn note(&self, within: Option<Duration>) {
            self.0.lock().unwrap().push(within);
        }

        fn heard(&self) -> Vec<Option<Duration>> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Backend for Listener {
        fn call(&self, command: Command) -> Answer<'_, Value> {
            self.note(command.delivery().within);
            Answer::ready(Ok(Value::Null))
        }

        fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
            self.note(crate::Delivery::of_all(&commands).within);
            Answer::ready(Ok(Vec::new()))
        }

        fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
            self.note(channels.within);
            Answer::ready(Err(Error::Closed))
        }

        fn parts(&self) -> Answer<'_, Vec<Part>> {
            Answer::ready(Ok(vec![Part::new("a:1"), Part::new("b:1")]))
        }

        fn capabilities(&self) -> Answer<'_, Capabilities> {
            Answer::ready(Ok(Capabilities::EMPTY.with(crate::Capability::DelEx)))
        }
    }

    fn ping() -> Command {
        Command::new("PING")
    }

    #[test]
    fn everything_that_is_asked_through_a_handle_has_its_deadline() {
        let listener = Listener::default();
        let store = Store::new(listener.clone()).within(50 * MS);
        drop(store.call(ping()));
        drop(store.call_all(vec![ping(), ping()]));
        drop(store.subscribe(Channels::default().channel("a")));
        assert_eq!(listener.heard(), [Some(50 * MS); 3]);
    }

    #[test]
    fn the_shorter_of_two_deadlines_holds() {
        let listener = Listener::default();
        let store = Store::new(listener.clone());
        drop(store.within(50 * MS).call(ping().within(20 * MS)));
        drop(store.within(50 * MS).call(ping().within(90 * MS)));
        drop(store.within(50 * MS).within(90 * MS).call(ping()));
        drop(
            store
                .within(50 * MS)
                .call_all(vec![ping(), ping().within(20 * MS)]),
        );
        let heard = listener.heard();
        assert_eq!(heard, [20, 50, 50, 20].map(|ms| Some(ms * MS)));
    }

    #[test]
    fn a_handle_with_a_deadline_has_the_parts_and_capabilities_of_its_store() {
        let store = Store::new(Listener::default());
        let near = store.within(MS);
        let ask =
            |store: &Store| format!("{:?} {:?}", now(store.parts()), now(store.capabilities()));
        assert_eq!(ask(&near), ask(&store));
        assert!(ask(&near).contains("b:1") && ask(&near).contains("DelEx"));
    }

    /// An answer that is there.
    fn now<T: Unpin>(mut answer: Answer<'_, T>) -> Result<T, Error> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            if let std::task::Poll::Ready(answered) =
                std::pin::Pin::new(&mut answer).poll(&mut context)
            {
                return answered;
            }
        }
    }
}
