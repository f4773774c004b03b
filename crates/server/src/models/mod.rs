//! Models: what the threads of a server owe each other, in every order of their steps.
//!
//! `cargo xtask models` runs them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Wake;
use std::time::Duration;

use larder_model::atomic::AtomicUsize;
use larder_model::{Model, SystemWaker, spawn};

use crate::rounds::{Call, Letter, Letters};
use crate::threads::Threads;

/// What a worker waits by.
struct Desk {
    letters: Arc<Letters>,
    waker: SystemWaker,
}

impl Desk {
    fn new() -> Desk {
        let waker = SystemWaker::default();
        let letters = Arc::new(Letters::new(waker.clone()));
        Desk { letters, waker }
    }

    /// Waits as a worker does that has no connection, and answers what it reads then: the places of
    /// connections that are to have a turn, and `None` for the end.
    fn round(&self) -> Vec<Option<usize>> {
        let may_sleep = self.letters.begin_sleep();
        self.waker.poll(may_sleep);
        if may_sleep {
            self.letters.end_sleep();
        }
        let mut reading = Vec::new();
        self.letters.take(&mut reading);
        { reading.into_iter() }
            .map(|letter| match letter {
                Letter::Wake(place) => Some(place),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn a_worker_reads_each_letter_once_also_if_it_was_about_to_sleep() {
    Model::bounded(3).check(|| {
        let desk = Desk::new();
        let send = |count: usize, letter: fn(usize) -> Letter| {
            let letters = Arc::clone(&desk.letters);
            spawn(move || (0..count).for_each(|number| letters.send(letter(number))))
        };
        let senders = [send(2, Letter::Wake), send(1, |_| Letter::End)];
        let mut read = Vec::new();
        while read.len() < 3 {
            read.extend(desk.round());
        }
        let places: Vec<usize> = read.iter().flatten().copied().collect();
        assert_eq!(places, [0, 1]);
        for sender in senders {
            sender.join().unwrap();
        }
        let mut more = Vec::new();
        desk.letters.take(&mut more);
        assert!(more.is_empty(), "nothing is read twice");
    });
}

/// Who is woken twice before its turn gets one letter; the turn then sees what came with either.
#[test]
fn a_connection_has_a_turn_behind_each_time_that_it_is_woken() {
    Model::bounded(4).check(|| {
        let desk = Desk::new();
        let call = Call::new(7, &desk.letters);
        let work = Arc::new(AtomicUsize::new(0));
        let waker = {
            let (call, work) = (Arc::clone(&call), Arc::clone(&work));
            spawn(move || {
                for number in 1..=2 {
                    work.store(number, Relaxed);
                    call.wake_by_ref();
                }
            })
        };
        let mut seen = 0;
        while seen < 2 {
            for letter in desk.round() {
                assert_eq!(letter, Some(7));
                call.hear();
                seen = work.load(Relaxed);
            }
        }
        waker.join().unwrap();
    });
}

#[test]
fn nothing_is_left_of_what_a_worker_is_told_that_has_ended() {
    Model::exhaustive().check(|| {
        let desk = Desk::new();
        let send = || {
            let letters = Arc::clone(&desk.letters);
            spawn(move || letters.send(Letter::Wake(1)))
        };
        let senders = [send(), send()];
        desk.letters.close();
        for sender in senders {
            sender.join().unwrap();
        }
        let mut left = Vec::new();
        desk.letters.take(&mut left);
        assert!(left.is_empty());
    });
}

#[test]
fn who_waits_for_all_threads_goes_on_when_the_last_has_ended() {
    Model::exhaustive().check(|| {
        let threads: Arc<Threads> = Arc::default();
        let ended = Arc::new(AtomicUsize::new(0));
        let run = || {
            let (running, ended) = (threads.count(), Arc::clone(&ended));
            spawn(move || {
                ended.fetch_add(1, Relaxed);
                drop(running);
            })
        };
        let running = [run(), run()];
        assert!(threads.wait(Duration::ZERO));
        assert_eq!(ended.load(Relaxed), 2);
        for thread in running {
            thread.join().unwrap();
        }
    });
}
