//! The wire: a stream of bytes to a server, requests on it and answers from it.

mod answer;
mod connection;
mod driver;
mod greeting;
mod stream;

pub(crate) use connection::{Answered, Connection, Failure, Loss, Patience, Until};
pub(crate) use driver::Pushes;
pub(crate) use greeting::{ConnectError, Greeting, Login, Mode, Target, connect};
