//! What a program causes on both sides beside its answers: keyspace events, and what is pushed to
//! clients that track what they have read.

use std::time::Duration;

use larder_resp::Frame;

use super::next::{PATIENCE, frame};
use crate::transcript::target::{Arrived, Connection};

/// The classes of events that are listened to.
const CLASSES: &str = "KEAn";

/// What an event says: its channel and its payload.
pub(super) type Event = [Vec<u8>; 2];

/// Connections that listen to all keyspace events, one on each side.
pub(super) struct Listeners {
    ours: Box<dyn Connection>,
    theirs: Box<dyn Connection>,
}

impl Listeners {
    pub(super) fn new(ours: Box<dyn Connection>, theirs: Box<dyn Connection>) -> Listeners {
        let mut listeners = Listeners { ours, theirs };
        for connection in [&mut listeners.ours, &mut listeners.theirs] {
            for request in [
                // New keys too, which `A` leaves out.
                &["CONFIG", "SET", "notify-keyspace-events", CLASSES][..],
                &["PSUBSCRIBE", "__key*__:*"],
            ] {
                let words = request.iter().map(|word| word.as_bytes().to_vec());
                connection.send(&words.collect::<Vec<_>>());
                frame(connection.as_mut());
            }
        }
        listeners
    }

    /// What has happened on each side since this was asked last. Whoever has caused it was answered, or
    /// waits.
    pub(super) fn events(&mut self, is_answered: bool) -> [Vec<Event>; 2] {
        let mut ours = Vec::new();
        while let Some(event) = event(self.ours.as_mut(), Duration::ZERO) {
            ours.push(event);
        }
        // The answer comes behind all that has been published before, and when the server reads what
        // asks for it, it has written all that it had for others when it answered. If it has not, it has
        // written that before it reads a second one.
        let mut theirs = Vec::new();
        for _ in 0..if is_answered { 1 } else { 2 } {
            self.theirs.send(&[b"PING".to_vec()]);
            while let Some(event) = event(self.theirs.as_mut(), PATIENCE) {
                theirs.push(event);
            }
        }
        [ours, theirs]
    }
}

/// The next event, unless something else comes next.
fn event(connection: &mut dyn Connection, patience: Duration) -> Option<Event> {
    let Arrived::Bytes(bytes) = connection.receive_bytes(patience) else {
        return None;
    };
    match Frame::read(&bytes) {
        Ok(Some((Frame::Array(parts), _))) => match &parts[..] {
            [_, _, Frame::Bulk(channel), Frame::Bulk(payload)] => {
                Some([channel.clone(), payload.clone()])
            }
            _ => None,
        },
        _ => None,
    }
}

/// A connection that keeps apart what it is told besides answers, which comes between them, and sooner
/// or later.
pub(super) struct Told {
    connection: Box<dyn Connection>,
    /// What CLIENT TRACKING has pushed.
    pub(super) pushed: Vec<Vec<u8>>,
    /// Messages of channels.
    pub(super) messages: Vec<Vec<u8>>,
}

/// How a message begins, in RESP2 and behind its first sign in RESP3.
const MESSAGES: &[&[u8]] = &[
    b"3\r\n$7\r\nmessage\r\n",
    b"4\r\n$8\r\npmessage\r\n",
    b"3\r\n$8\r\nsmessage\r\n",
];

impl Told {
    pub(super) fn new(connection: Box<dyn Connection>) -> Told {
        Told {
            connection,
            pushed: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// The next answer, if it has come.
    pub(super) fn take(&mut self) -> Arrived {
        self.next_answer(|connection| connection.take_bytes())
    }

    /// Lets the connection go.
    pub(super) fn close(&mut self) {
        self.connection = Box::new(Gone);
    }

    fn next_answer(&mut self, next: impl Fn(&mut dyn Connection) -> Arrived) -> Arrived {
        loop {
            let arrived = next(self.connection.as_mut());
            let Arrived::Bytes(bytes) = &arrived else {
                return arrived;
            };
            let is_message =
                |start: &&[u8]| bytes.get(1..).is_some_and(|rest| rest.starts_with(start));
            if bytes.starts_with(b">2\r\n$10\r\ninvalidate") {
                self.pushed.push(bytes.clone());
            } else if MESSAGES.iter().any(is_message) {
                self.messages.push(bytes.clone());
            } else {
                return arrived;
            }
        }
    }
}

impl Connection for Told {
    fn send(&mut self, words: &[Vec<u8>]) {
        self.connection.send(words);
    }

    fn send_all(&mut self, requests: &[Vec<Vec<u8>>]) {
        self.connection.send_all(requests);
    }

    fn receive_bytes(&mut self, patience: Duration) -> Arrived {
        self.next_answer(|connection| connection.receive_bytes(patience))
    }
}

/// A connection that has been closed.
struct Gone;

impl Connection for Gone {
    fn send(&mut self, _: &[Vec<u8>]) {}

    fn receive_bytes(&mut self, _: Duration) -> Arrived {
        Arrived::Closed
    }
}
