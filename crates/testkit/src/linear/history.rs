//! What was asked, what was answered, and when.

/// A command, on keys that are named by their number. Strings and lists have keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `GET`
    Get(usize),
    /// `SET`
    Set(usize, i64),
    /// `GETSET`
    Swap(usize, i64),
    /// `INCR`
    Increment(usize),
    /// `DEL` of a string.
    Delete(usize),
    /// `MSET` of two strings.
    SetBoth([usize; 2], i64),
    /// `MGET` of two strings.
    GetBoth([usize; 2]),
    /// `RPUSH`
    Push(usize, i64),
    /// `LPOP`
    Pop(usize),
    /// `LMOVE source destination LEFT RIGHT`
    Move(usize, usize),
    /// `LRANGE key 0 -1`
    List(usize),
}

/// The number of a list's key among all keys: the first ones are those of strings.
pub(super) const FIRST_LIST: usize = 100;

impl Command {
    /// The words of the command.
    pub(super) fn words(self) -> Vec<String> {
        let string = |key: usize| format!("string:{key}");
        let list = |key: usize| format!("list:{key}");
        let (name, words) = match self {
            Command::Get(key) => ("GET", vec![string(key)]),
            Command::Set(key, value) => ("SET", vec![string(key), value.to_string()]),
            Command::Swap(key, value) => ("GETSET", vec![string(key), value.to_string()]),
            Command::Increment(key) => ("INCR", vec![string(key)]),
            Command::Delete(key) => ("DEL", vec![string(key)]),
            Command::SetBoth([one, other], value) => {
                let value = value.to_string();
                (
                    "MSET",
                    vec![string(one), value.clone(), string(other), value],
                )
            }
            Command::GetBoth([one, other]) => ("MGET", vec![string(one), string(other)]),
            Command::Push(key, value) => ("RPUSH", vec![list(key), value.to_string()]),
            Command::Pop(key) => ("LPOP", vec![list(key)]),
            Command::Move(from, to) => {
                let ends = ["LEFT".to_owned(), "RIGHT".to_owned()];
                (
                    "LMOVE",
                    [vec![list(from), list(to)], ends.to_vec()].concat(),
                )
            }
            Command::List(key) => ("LRANGE", vec![list(key), "0".to_owned(), "-1".to_owned()]),
        };
        [vec![name.to_owned()], words].concat()
    }

    /// The numbers of its keys among all keys.
    pub(super) fn keys(self) -> Vec<usize> {
        match self {
            Command::Get(key)
            | Command::Set(key, _)
            | Command::Swap(key, _)
            | Command::Increment(key)
            | Command::Delete(key) => vec![key],
            Command::SetBoth(keys, _) | Command::GetBoth(keys) => keys.to_vec(),
            Command::Push(key, _) | Command::Pop(key) | Command::List(key) => {
                vec![FIRST_LIST + key]
            }
            Command::Move(from, to) => vec![FIRST_LIST + from, FIRST_LIST + to],
        }
    }
}

/// What is done in one step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// A command by itself.
    Command(Command),
    /// `MULTI`, the commands and `EXEC`.
    Transaction(Vec<Command>),
    /// A script that runs the commands and returns their answers.
    Script(Vec<Command>),
    /// `WATCH` of a string.
    Watch(usize),
}

impl Request {
    fn commands(&self) -> &[Command] {
        match self {
            Request::Command(command) => std::slice::from_ref(command),
            Request::Transaction(commands) | Request::Script(commands) => commands,
            Request::Watch(_) => &[],
        }
    }

    /// The numbers of its keys among all keys.
    pub(super) fn keys(&self) -> Vec<usize> {
        let mut keys: Vec<usize> = self.commands().iter().flat_map(|one| one.keys()).collect();
        if let Request::Watch(key) = self {
            keys.push(*key);
        }
        keys
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// `OK`
    Done,
    /// Nothing: there is no such key, or the transaction did not happen.
    Nothing,
    /// A number.
    Number(i64),
    /// Several answers.
    All(Vec<Answer>),
    /// A text that the model never gives.
    Other(String),
}

/// A request with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whose request it is. The requests of a client follow each other.
    pub client: usize,
    /// When it began, and when it had ended: counted, so that no two are the same.
    pub time: [u64; 2],
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub answer: Answer,
}
