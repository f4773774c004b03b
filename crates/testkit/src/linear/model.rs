//! A store that runs one request after the other: obvious, and slow.

use std::collections::BTreeMap;

use super::history::{Answer, Command, FIRST_LIST, Request};

/// Numbers, lists of numbers, and what clients watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Model {
    strings: BTreeMap<usize, i64>,
    lists: BTreeMap<usize, Vec<i64>>,
    /// The keys that a client watches, and whether any has changed since.
    watched: BTreeMap<usize, (Vec<usize>, bool)>,
}

impl Model {
    /// Runs a request of a client, and answers it.
    pub fn run(&mut self, client: usize, request: &Request) -> Answer {
        match request {
            Request::Command(command) => self.command(*command),
            Request::Script(commands) => self.all(commands),
            Request::Transaction(commands) => match self.watched.remove(&client) {
                Some((_, true)) => Answer::Nothing,
                _ => self.all(commands),
            },
            Request::Watch(key) => {
                self.watched.entry(client).or_default().0.push(*key);
                Answer::Done
            }
        }
    }

    fn all(&mut self, commands: &[Command]) -> Answer {
        let answers = commands.iter().map(|command| self.command(*command));
        Answer::All(answers.collect())
    }

    fn command(&mut self, command: Command) -> Answer {
        match command {
            Command::Get(key) => number(self.strings.get(&key).copied()),
            Command::Set(key, value) => {
                self.set(key, value);
                Answer::Done
            }
            Command::Swap(key, value) => number(self.set(key, value)),
            Command::Increment(key) => {
                let value = self.strings.get(&key).copied().unwrap_or_default() + 1;
                self.set(key, value);
                Answer::Number(value)
            }
            Command::Delete(key) => {
                let had = self.strings.remove(&key);
                if had.is_some() {
                    self.touch(key);
                }
                Answer::Number(i64::from(had.is_some()))
            }
            Command::SetBoth(keys, value) => {
                for key in keys {
                    self.set(key, value);
                }
                Answer::Done
            }
            Command::GetBoth(keys) => {
                let values = keys.map(|key| number(self.strings.get(&key).copied()));
                Answer::All(values.to_vec())
            }
            Command::Push(key, value) => Answer::Number(self.push(key, value)),
            Command::Pop(key) => number(self.pop(key)),
            Command::Move(from, to) => {
                let moved = self.pop(from);
                if let Some(value) = moved {
                    self.push(to, value);
                }
                number(moved)
            }
            Command::List(key) => {
                let values = self.lists.get(&key).cloned().unwrap_or_default();
                Answer::All(values.into_iter().map(Answer::Number).collect())
            }
        }
    }

    fn set(&mut self, key: usize, value: i64) -> Option<i64> {
        self.touch(key);
        self.strings.insert(key, value)
    }

    fn push(&mut self, key: usize, value: i64) -> i64 {
        self.touch(FIRST_LIST + key);
        let list = self.lists.entry(key).or_default();
        list.push(value);
        list.len() as i64
    }

    fn pop(&mut self, key: usize) -> Option<i64> {
        let list = self.lists.get_mut(&key)?;
        let value = list.remove(0);
        if list.is_empty() {
            self.lists.remove(&key);
        }
        self.touch(FIRST_LIST + key);
        Some(value)
    }

    /// A key changes.
    fn touch(&mut self, key: usize) {
        for (keys, has_changed) in self.watched.values_mut() {
            *has_changed |= keys.contains(&key);
        }
    }
}

fn number(value: Option<i64>) -> Answer {
    value.map_or(Answer::Nothing, Answer::Number)
}
