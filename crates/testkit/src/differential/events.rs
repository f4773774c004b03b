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

    /// What has happened on each side since this was asked last.
    pub(super) fn events(&mut self) -> [Vec<Event>; 2] {
        let mut ours = Vec::new();
        while let Some(event) = event(self.ours.as_mut(), Duration::ZERO) {
            ours.push(event);
        }
        // The answer comes behind all that has been published before.
        self.theirs.send(&[b"PING".to_vec()]);
        let mut theirs = Vec::new();
        while let Some(event) = event(self.theirs.as_mut(), PATIENCE) {
            theirs.push(event);
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

/// A connection that keeps apart what CLIENT TRACKING pushes: it comes between answers, and sooner or
/// later.
pub(super) struct Tracking {
    connection: Box<dyn Connection>,
    /// What was pushed.
    pub(super) pushed: Vec<Vec<u8>>,
    /// What came otherwise while pushes were looked for.
    arrived: Option<Arrived>,
}

impl Tracking {
    pub(super) fn new(connection: Box<dyn Connection>) -> Tracking {
        Tracking {
            connection,
            pushed: Vec::new(),
            arrived: None,
        }
    }

    /// Takes what has been pushed to a connection in this process, before it changes its protocol.
    pub(super) fn collect(&mut self) {
        if self.arrived.is_none() {
            let arrived = self.receive_bytes(Duration::ZERO);
            self.arrived = Some(arrived).filter(|arrived| *arrived != Arrived::Nothing);
        }
    }
}

impl Connection for Tracking {
    fn send(&mut self, words: &[Vec<u8>]) {
        self.connection.send(words);
    }

    fn receive_bytes(&mut self, patience: Duration) -> Arrived {
        if let Some(arrived) = self.arrived.take() {
            return arrived;
        }
        loop {
            match self.connection.receive_bytes(patience) {
                Arrived::Bytes(bytes) if bytes.starts_with(b">2\r\n$10\r\ninvalidate") => {
                    self.pushed.push(bytes);
                }
                arrived => return arrived,
            }
        }
    }
}
