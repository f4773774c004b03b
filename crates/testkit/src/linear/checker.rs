//! The search for an order.

use std::collections::{BTreeMap, HashSet};

use super::history::Operation;
use super::model::Model;

/// How many requests with keys that belong together a history may have.
pub const OPERATIONS_MAX: usize = 128;

/// How many steps a search may take.
pub const STEPS_MAX: u64 = 5_000_000;

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none for these, which are all that have keys that belong together.
    NotLinearizable(Vec<Operation>),
    /// There are too many requests, or ways to order them.
    Undecided,
}

/// Looks for an order of a history, for each set of keys that belong together.
pub fn check(history: &[Operation]) -> Verdict {
    for operations in by_keys(history) {
        match Search::of(&operations) {
            None => return Verdict::Undecided,
            Some(mut search) => match search.run() {
                Some(true) => {}
                Some(false) => return Verdict::NotLinearizable(operations),
                None => return Verdict::Undecided,
            },
        }
    }
    Verdict::Linearizable
}

/// Cuts a history where no request has keys of both parts.
fn by_keys(history: &[Operation]) -> Vec<Vec<Operation>> {
    // What a client watches belongs to the transactions that it makes.
    let mut sets: Vec<(HashSet<usize>, Vec<Operation>)> = Vec::new();
    let mut watched: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for operation in history {
        let mut keys: HashSet<usize> = operation.request.keys().into_iter().collect();
        let of_client = watched.entry(operation.client).or_default();
        match operation.request {
            super::Request::Watch(key) => of_client.push(key),
            super::Request::Transaction(_) => keys.extend(of_client.drain(..)),
            _ => {}
        }
        let mut operations = vec![operation.clone()];
        sets.retain_mut(|(other, theirs)| {
            let meets = !other.is_disjoint(&keys);
            if meets {
                keys.extend(other.drain());
                operations.append(theirs);
            }
            !meets
        });
        sets.push((keys, operations));
    }
    sets.into_iter().map(|(_, operations)| operations).collect()
}

/// The beginning or the end of an operation, in a list of all that are not in order yet.
struct Event {
    operation: usize,
    is_end: bool,
    /// Neighbours in the list, by their places; the list begins and ends with places of no event.
    before: usize,
    after: usize,
}

/// A search over the events of a history.
struct Search<'a> {
    operations: &'a [Operation],
    /// The first is the head of the list.
    events: Vec<Event>,
    /// The place of each operation's end.
    ends: Vec<usize>,
}

const HEAD: usize = 0;

impl Search<'_> {
    fn of(operations: &[Operation]) -> Option<Search<'_>> {
        if operations.len() > OPERATIONS_MAX {
            return None;
        }
        let mut times: Vec<(u64, usize, bool)> = Vec::new();
        for (place, operation) in operations.iter().enumerate() {
            times.push((operation.time[0], place, false));
            times.push((operation.time[1], place, true));
        }
        times.sort_unstable();
        let mut ends = vec![HEAD; operations.len()];
        let mut events = vec![Event {
            operation: usize::MAX,
            is_end: true,
            before: times.len(),
            after: usize::from(!times.is_empty()),
        }];
        for (place, (_, operation, is_end)) in times.iter().enumerate() {
            if *is_end {
                ends[*operation] = place + 1;
            }
            events.push(Event {
                operation: *operation,
                is_end: *is_end,
                before: place,
                after: (place + 2) % (times.len() + 1),
            });
        }
        Some(Search {
            operations,
            events,
            ends,
        })
    }

    /// Whether there is an order. `None` if that would take too long to find out.
    fn run(&mut self) -> Option<bool> {
        let (mut state, mut chosen) = (Model::default(), 0u128);
        let mut tried: HashSet<(u128, Model)> = HashSet::new();
        let mut before: Vec<(usize, Model)> = Vec::new();
        let mut at = self.events[HEAD].after;
        for _ in 0..STEPS_MAX {
            if self.events[HEAD].after == HEAD {
                return Some(true);
            }
            let event = &self.events[at];
            if event.is_end {
                // What ends here had to come before, and did not: another is tried in the last's place.
                let Some((last, earlier)) = before.pop() else {
                    return Some(false);
                };
                state = earlier;
                chosen &= !(1 << self.events[last].operation);
                self.put_back(last);
                at = self.events[last].after;
                continue;
            }
            let operation = &self.operations[event.operation];
            let bit = 1u128 << event.operation;
            let mut next = state.clone();
            let is_same = next.run(operation.client, &operation.request) == operation.answer;
            if is_same && tried.insert((chosen | bit, next.clone())) {
                before.push((at, std::mem::replace(&mut state, next)));
                chosen |= bit;
                self.take_out(at);
                at = self.events[HEAD].after;
            } else {
                at = event.after;
            }
        }
        None
    }

    /// Takes an operation out of the list.
    fn take_out(&mut self, beginning: usize) {
        for place in [beginning, self.ends[self.events[beginning].operation]] {
            let Event { before, after, .. } = self.events[place];
            self.events[before].after = after;
            self.events[after].before = before;
        }
    }

    /// Puts an operation back where it was. The last that was taken out is put back first.
    fn put_back(&mut self, beginning: usize) {
        for place in [self.ends[self.events[beginning].operation], beginning] {
            let Event { before, after, .. } = self.events[place];
            self.events[before].after = place;
            self.events[after].before = place;
        }
    }
}
