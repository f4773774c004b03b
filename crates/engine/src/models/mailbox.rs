//! What waits for one listener.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use larder_model::{Model, block_on, spawn};

use crate::pubsub::{Mail, Mailbox, Message, Overflow, Topic};

fn mailbox() -> Arc<Mailbox> {
    Arc::new(Mailbox::new(Overflow::CutOff(1 << 20)))
}

/// Puts a message in, and wakes who is to be woken.
fn put(mailbox: &Mailbox, text: &'static str) {
    let text = Bytes::from_static(text.as_bytes());
    let message = Message::new(Topic::Channel, &text, text.clone(), text.clone());
    if let Some(reader) = mailbox.put(&Arc::new(message)) {
        reader.wake();
    }
}

fn text(mail: &Mail) -> Bytes {
    match mail {
        Mail::Message(message) => message.payload.clone(),
        other => panic!("{other:?}"),
    }
}

/// What a listener gets that is woken when there is something, until it has so much.
fn read(mailbox: &Mailbox, count: usize) -> Vec<Bytes> {
    let mut read = Vec::new();
    while read.len() < count {
        let mail = block_on(poll_fn(|context| mailbox.poll(context)));
        read.push(text(&mail.expect("it is open")));
    }
    read
}

/// The same for one that takes all that there is.
fn read_all(mailbox: &Mailbox, count: usize) -> Vec<Bytes> {
    let (mut read, mut mails) = (Vec::new(), VecDeque::new());
    while read.len() < count {
        let polled = block_on(poll_fn(|context| {
            mailbox.poll_all(context, 1 << 20, &mut mails)
        }));
        polled.expect("it is open");
        read.extend(mails.drain(..).map(|mail| text(&mail)));
    }
    read
}

#[test]
fn a_listener_hears_each_message_once_and_those_of_one_sender_in_their_order() {
    for read in [read, read_all] {
        Model::bounded(4).check(move || {
            let mailbox = mailbox();
            let send = |texts: &'static [&'static str]| {
                let mailbox = Arc::clone(&mailbox);
                spawn(move || texts.iter().for_each(|text| put(&mailbox, text)))
            };
            let senders = [send(&["a", "b"]), send(&["c"])];
            let heard = read(&mailbox, 3);
            let place = |wanted: &str| heard.iter().position(|text| text == wanted);
            assert!(place("a") < place("b") && place("c").is_some(), "{heard:?}");
            for sender in senders {
                sender.join().unwrap();
            }
            assert_eq!(mailbox.take(), None);
        });
    }
}

#[test]
fn a_listener_whose_mailbox_is_closed_is_told_so_however_long_it_waits() {
    Model::exhaustive().check(|| {
        let mailbox = mailbox();
        let act = |act: fn(&Mailbox)| {
            let mailbox = Arc::clone(&mailbox);
            spawn(move || act(&mailbox))
        };
        let others = [act(|mailbox| put(mailbox, "a")), act(Mailbox::close)];
        let mut heard = 0;
        while block_on(poll_fn(|context| mailbox.poll(context))).is_some() {
            heard += 1;
        }
        assert!(heard <= 1);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(mailbox.take(), None, "what comes later is dropped");
    });
}
