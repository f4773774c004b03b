//! A memory store that runs all scripts in Lua.

use std::sync::Arc;

use larder_embedded::Embedded;
use larder_store::near::ReadNear;
use larder_store::{
    Answer, Backend, Capabilities, Channels, Command, Direct, Error, Part, Subscription, Value,
};

/// A memory store on which scripts have no twins.
#[derive(Debug)]
pub(crate) struct WithoutTwins(pub(crate) Embedded);

impl Backend for WithoutTwins {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        self.0.call(command)
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        self.0.call_all(commands)
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.0.subscribe(channels)
    }

    fn direct(&self) -> Option<&dyn Direct> {
        self.0.direct()
    }

    fn near(&self, bytes: usize) -> Option<Arc<dyn ReadNear>> {
        self.0.near(bytes)
    }

    fn parts(&self) -> Answer<'_, Vec<Part>> {
        self.0.parts()
    }

    fn capabilities(&self) -> Answer<'_, Capabilities> {
        self.0.capabilities()
    }

    fn close(&self) -> Answer<'_, ()> {
        Backend::close(&self.0)
    }
}
