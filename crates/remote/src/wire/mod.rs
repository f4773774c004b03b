//! The wire: a stream of bytes to a server, requests on it and answers from it.

mod answer;
mod connection;
mod driver;
mod expected;
mod greeting;
mod loss;
mod outbox;
mod stream;

pub(crate) use connection::Connection;
pub(crate) use driver::Pushes;
pub(crate) use expected::{Answered, Until};
pub(crate) use greeting::{ConnectError, Greeting, Login, Mode, Target, connect};
pub(crate) use loss::{Failure, Loss};
pub(crate) use outbox::Patience;
