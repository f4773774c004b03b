//! What a worker has in hand.
//!
//! It is kept by *task*, a number that each delivery gets when it is taken into hand. An entry may be
//! in hand twice: its delivery was lost to another worker, and later it came back, while the handler
//! of the first is still at work. So each entry has one task that is *current*, and an end counts
//! only for that:
//!
//! ```text
//! take ----> waiting ----> at work ----> ended ----> settled
//!              |  until an earlier task    |  until the store knows
//!              |  of the entry has ended   |
//!              +------------ lost ---------+   whatever becomes of it then is of no account
//! ```
//!
//! Invariants: of the tasks of one entry at most one is at work, and at most one is current; each
//! task that waits waits for the one at work.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::end::{End, How};
use crate::stream::Id;

/// An entry that was delivered to this worker.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) id: Id,
    pub(super) deliveries: u32,
    pub(super) body: Option<Bytes>,
}

/// A delivery in hand: a number that does not come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Task(u64);

/// A handler that is to begin.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) task: Task,
    pub(super) delivery: Delivery,
    pub(super) cancel: CancellationToken,
}

/// What a worker has in hand, shared by the tasks of the worker.
#[derive(Debug, Default)]
pub(super) struct Hands {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    last: u64,
    tasks: BTreeMap<Task, InHand>,
    /// The task of each entry whose end counts.
    current: BTreeMap<Id, Task>,
    /// The task of each entry whose handler is at work.
    at_work: BTreeMap<Id, Task>,
    /// Ends that the store does not know yet.
    ends: BTreeMap<Task, Ended>,
}

#[derive(Debug)]
struct InHand {
    id: Id,
    deliveries: u32,
    cancel: CancellationToken,
    /// What is to be handled, if its handler has not begun.
    waiting: Option<Delivery>,
}

#[derive(Debug)]
struct Ended {
    how: How,
    /// Whether the store may know of it: it was told, and did not answer.
    in_doubt: bool,
}

impl Hands {
    /// Everything in hand. It is held for a moment only, and never while something is waited for.
    pub(super) fn lock(&self) -> MutexGuard<'_, Held> {
        // Each change is whole before anything can panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// How many tasks there are.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether the ends of all tasks are settled.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The entries in hand, whichever of their tasks is current.
    pub(super) fn ids(&self) -> Vec<Id> {
        self.tasks.values().map(|task| task.id).collect()
    }

    /// The deliveries in hand that have not ended, and are not known to be lost.
    pub(super) fn unended(&self) -> Vec<(Task, Id, u32)> {
        let is_unended = |(task, entry): &(&Task, &InHand)| {
            self.is_current(**task, entry.id) && !self.ends.contains_key(task)
        };
        let unended = self.tasks.iter().filter(is_unended);
        unended
            .map(|(task, entry)| (*task, entry.id, entry.deliveries))
            .collect()
    }

    /// Takes a delivery into hand, which is the current one of its entry from here on. Whether there
    /// was one before, which is lost by that; and the handler that may begin. If the handler of an
    /// earlier delivery is at work it is cancelled, and [`Held::end`] tells when the new one may begin.
    pub(super) fn take(&mut self, delivery: Delivery) -> (bool, Option<Begin>) {
        let id = delivery.id;
        let before = self.current.get(&id).copied();
        if let Some(before) = before {
            // An end that the store does not know yet is of no account any more.
            self.ends.remove(&before);
            self.lose(before);
        }

        self.last += 1;
        let task = Task(self.last);
        self.current.insert(id, task);
        let in_hand = InHand {
            id,
            deliveries: delivery.deliveries,
            cancel: CancellationToken::new(),
            waiting: Some(delivery),
        };
        self.tasks.insert(task, in_hand);
        (before.is_some(), self.begin(id))
    }

    /// Notes that a handler has ended, and how, if it is to be settled. Gives the handler that waited
    /// for this end.
    pub(super) fn end(&mut self, task: Task, how: Option<How>) -> Option<Begin> {
        let id = self.tasks.get(&task)?.id;
        self.at_work.remove(&id);
        match how {
            Some(how) if self.is_current(task, id) => {
                let in_doubt = false;
                self.ends.insert(task, Ended { how, in_doubt });
            }
            // It stays in hand: it is left to others when the worker leaves.
            None if self.is_current(task, id) => {}
            _ => self.forget(task),
        }
        self.begin(id)
    }

    /// Notes that a delivery has gone to another worker, and cancels its handler. `false` if that is
    /// known, or it has ended: whether that end counts is told where it is settled.
    pub(super) fn lose(&mut self, task: Task) -> bool {
        let Some(entry) = self.tasks.get(&task) else {
            return false;
        };
        let id = entry.id;
        if !self.is_current(task, id) || self.ends.contains_key(&task) {
            return false;
        }
        entry.cancel.cancel();
        self.current.remove(&id);
        if self.at_work.get(&id) != Some(&task) {
            self.forget(task);
        }
        true
    }

    /// Up to this many ends that the store does not know yet, the oldest first.
    pub(super) fn ends(&self, most: usize) -> Vec<(Task, End)> {
        let end = |(task, ended): (&Task, &Ended)| {
            let entry = self.tasks.get(task)?;
            let how = ended.how.clone();
            let (id, deliveries) = (entry.id, entry.deliveries);
            Some((
                *task,
                End {
                    id,
                    deliveries,
                    how,
                },
            ))
        };
        self.ends.iter().take(most).filter_map(end).collect()
    }

    /// Notes that the store may know these ends.
    pub(super) fn doubt(&mut self, ends: &[(Task, End)]) {
        for (task, _) in ends {
            if let Some(ended) = self.ends.get_mut(task) {
                ended.in_doubt = true;
            }
        }
    }

    /// Puts a task down whose end is settled. Whether that had been in doubt; `None` if another
    /// delivery of its entry came in the meantime.
    pub(super) fn settle(&mut self, task: Task) -> Option<bool> {
        let ended = self.ends.remove(&task)?;
        self.forget(task);
        Some(ended.in_doubt)
    }

    /// Whether there are ends that the store does not know yet.
    pub(super) fn has_ends(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Cancels every handler. Those that have not begun never do.
    pub(super) fn cancel(&mut self) {
        for entry in self.tasks.values_mut() {
            entry.cancel.cancel();
            entry.waiting = None;
        }
    }

    /// Lets the handler of the current task of an entry begin, unless an earlier one is at work.
    fn begin(&mut self, id: Id) -> Option<Begin> {
        if self.at_work.contains_key(&id) {
            return None;
        }
        let task = *self.current.get(&id)?;
        let entry = self.tasks.get_mut(&task)?;
        let delivery = entry.waiting.take()?;
        self.at_work.insert(id, task);
        Some(Begin {
            task,
            delivery,
            cancel: entry.cancel.clone(),
        })
    }

    fn is_current(&self, task: Task, id: Id) -> bool {
        self.current.get(&id) == Some(&task)
    }

    fn forget(&mut self, task: Task) {
        self.ends.remove(&task);
        if let Some(entry) = self.tasks.remove(&task)
            && self.is_current(task, entry.id)
        {
            self.current.remove(&entry.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(deliveries: u32) -> Delivery {
        Delivery {
            id: Id { ms: 1, seq: 0 },
            deliveries,
            body: None,
        }
    }

    fn begun(taken: (bool, Option<Begin>)) -> Begin {
        taken.1.expect("nothing of the entry is at work")
    }

    #[test]
    fn the_end_of_an_old_handler_is_not_booked_on_the_new_delivery() {
        let mut held = Held::default();
        let old = begun(held.take(delivery(1)));

        let (has_lost, new) = held.take(delivery(3));
        assert!(has_lost && new.is_none() && old.cancel.is_cancelled());

        let new = held
            .end(old.task, Some(How::Done))
            .expect("it waited for that");
        assert!(held.ends(10).is_empty());
        assert_eq!(new.delivery.deliveries, 3);

        assert!(held.end(new.task, Some(How::Done)).is_none());
        let ends = held.ends(10);
        assert_eq!((ends.len(), ends[0].1.deliveries), (1, 3));
        assert_eq!(held.settle(new.task), Some(false));
        assert!(held.is_empty());
    }

    #[test]
    fn what_waits_is_replaced_by_what_comes_later() {
        let mut held = Held::default();
        let first = begun(held.take(delivery(1)));
        held.take(delivery(2));
        held.take(delivery(3));

        let last = held.end(first.task, None).expect("one waits");
        assert_eq!((last.delivery.deliveries, held.len()), (3, 1));
    }

    /// A sign of life that overtook the answer to a settle found the entry gone, and the end was not
    /// counted.
    #[test]
    fn what_has_ended_is_not_lost_before_it_is_settled() {
        let mut held = Held::default();
        let begin = begun(held.take(delivery(1)));
        held.end(begin.task, Some(How::Done));

        assert!(held.unended().is_empty() && !held.lose(begin.task));
        assert_eq!(held.settle(begin.task), Some(false));
        assert!(held.is_empty() && !held.has_ends());
    }

    #[test]
    fn an_end_is_forgotten_when_the_entry_comes_back_before_it_is_settled() {
        let mut held = Held::default();
        let first = begun(held.take(delivery(1)));
        held.end(first.task, Some(How::Done));

        let second = begun(held.take(delivery(3)));
        assert_eq!((held.settle(first.task), held.len()), (None, 1));
        assert_eq!(held.unended(), [(second.task, second.delivery.id, 3)]);
    }

    #[test]
    fn what_is_lost_stays_in_hand_while_its_handler_is_at_work() {
        let mut held = Held::default();
        let begin = begun(held.take(delivery(1)));

        assert!(held.lose(begin.task));
        assert_eq!(
            (held.len(), held.ids().len(), held.unended().len()),
            (1, 1, 0)
        );
        assert!(held.end(begin.task, Some(How::Done)).is_none());
        assert!(held.is_empty());
    }
}
