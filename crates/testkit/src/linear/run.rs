//! Random requests of several threads on one engine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use larder_engine::{ClientInfo, Engine, Mailbox, Now, Outcome, Overflow, RespReply, Session};
use larder_resp::{ArgumentBuffer, Frame};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::checker::{Verdict, check};
use super::history::{Answer, Command, Operation, Request};

/// When the engine's clock stands.
const START: Now = Now::from_unix_us(1_700_000_000_000_000);

/// How many keys of each kind there are: few, so that requests meet.
const KEYS: usize = 3;

/// Something that is done wrong on purpose, so that it is seen whether that would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The commands of a transaction are sent one by one.
    TornTransactions,
    /// What is read is what was there at a client's request before.
    StaleReads,
    /// WATCH is not sent.
    NoWatch,
}

/// Random histories.
#[derive(Clone, Copy, Debug)]
pub struct Histories {
    /// The seed of the first history. The others follow.
    pub seed: u64,
    /// How many histories.
    pub count: u64,
    /// How many threads make requests at the same time.
    pub clients: usize,
    /// How many requests each makes. A WATCH and its transaction are two.
    pub requests: usize,
    /// What is done wrong.
    pub fault: Fault,
}

impl Histories {
    /// Runs and checks the histories.
    ///
    /// # Errors
    ///
    /// The first that has no order, or whose search was given up, as a text for people.
    pub fn check(self) -> Result<(), String> {
        for seed in self.seed..self.seed + self.count {
            let history = self.history(seed);
            match check(&history) {
                Verdict::Linearizable => {}
                Verdict::Undecided => return Err(format!("seed {seed}: the search was given up")),
                Verdict::NotLinearizable(mut operations) => {
                    operations.sort_by_key(|operation| operation.time);
                    let lines = operations.iter().map(|one| format!("  {one:?}\n"));
                    return Err(format!("seed {seed}\n{}", lines.collect::<String>()));
                }
            }
        }
        Ok(())
    }

    /// What happens on a new engine. The seed says what is asked, the machine how it meets.
    pub fn history(&self, seed: u64) -> Vec<Operation> {
        let engine = Engine::new([7; 32], START);
        let (clock, barrier) = (AtomicU64::new(0), Barrier::new(self.clients));
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.clients)
                .map(|number| {
                    let (clock, barrier) = (&clock, &barrier);
                    let random = StdRng::seed_from_u64(seed.wrapping_mul(1000) + number as u64);
                    let mut client = Client::new(&engine, number, random, self.fault);
                    scope.spawn(move || {
                        barrier.wait();
                        client.requests(self.requests, clock)
                    })
                })
                .collect();
            let parts = threads.into_iter().map(thread::ScopedJoinHandle::join);
            parts
                .flat_map(|part| part.expect("no client fails"))
                .collect()
        })
    }
}

/// Whoever makes requests, one after the other.
struct Client<'a> {
    engine: &'a Arc<Engine>,
    session: Session,
    number: usize,
    random: StdRng,
    fault: Fault,
    /// Numbers that no other client stores.
    next_value: i64,
    /// What was read last.
    stale: Option<Answer>,
    history: Vec<Operation>,
}

impl Client<'_> {
    fn new(engine: &Arc<Engine>, number: usize, random: StdRng, fault: Fault) -> Client<'_> {
        let mailbox = Arc::new(Mailbox::new(Overflow::DropOldest(16)));
        Client {
            engine,
            session: Session::connected(engine, ClientInfo::default(), mailbox),
            number,
            random,
            fault,
            next_value: 1000 * (number as i64 + 1),
            stale: None,
            history: Vec::new(),
        }
    }

    fn requests(&mut self, count: usize, clock: &AtomicU64) -> Vec<Operation> {
        while self.history.len() < count {
            let request = self.request();
            if let (Request::Transaction(_), true) = (&request, self.random.random_bool(0.5)) {
                let key = self.key();
                self.step(Request::Watch(key), clock);
                let read = Request::Command(Command::Get(key));
                self.step(read, clock);
            }
            self.step(request, clock);
        }
        std::mem::take(&mut self.history)
    }

    fn step(&mut self, request: Request, clock: &AtomicU64) {
        let begun = clock.fetch_add(1, Ordering::SeqCst);
        let answer = self.run(&request);
        let ended = clock.fetch_add(1, Ordering::SeqCst);
        self.history.push(Operation {
            client: self.number,
            time: [begun, ended],
            request,
            answer,
        });
    }

    fn key(&mut self) -> usize {
        self.random.random_range(0..KEYS)
    }

    fn request(&mut self) -> Request {
        match self.random.random_range(0..10) {
            0..2 => Request::Transaction(self.commands()),
            2..4 => Request::Script(self.commands()),
            _ => Request::Command(self.command()),
        }
    }

    fn commands(&mut self) -> Vec<Command> {
        let count = self.random.random_range(2..5);
        (0..count).map(|_| self.command()).collect()
    }

    fn command(&mut self) -> Command {
        self.next_value += 1;
        let (one, other, value) = (self.key(), self.key(), self.next_value);
        match self.random.random_range(0..14) {
            0..2 => Command::Get(one),
            2 => Command::Set(one, value),
            3 => Command::Swap(one, value),
            4..6 => Command::Increment(one),
            6 => Command::Delete(one),
            7 => Command::SetBoth([one, other], value),
            8 => Command::GetBoth([one, other]),
            9..11 => Command::Push(one, value),
            11 => Command::Pop(one),
            12 => Command::Move(one, other),
            _ => Command::List(one),
        }
    }

    fn run(&mut self, request: &Request) -> Answer {
        match request {
            Request::Command(command @ Command::Get(_)) if self.fault == Fault::StaleReads => {
                let answer = self.send(&command.words());
                self.stale.replace(answer.clone()).unwrap_or(answer)
            }
            Request::Command(command) => self.send(&command.words()),
            Request::Transaction(commands) if self.fault == Fault::TornTransactions => {
                let answers = commands.iter().map(|command| {
                    thread::yield_now();
                    self.send(&command.words())
                });
                Answer::All(answers.collect())
            }
            Request::Transaction(commands) => {
                self.send(&["MULTI".to_owned()]);
                for command in commands {
                    self.send(&command.words());
                }
                self.send(&["EXEC".to_owned()])
            }
            Request::Script(commands) => self.send(&script(commands)),
            Request::Watch(_) if self.fault == Fault::NoWatch => Answer::Done,
            Request::Watch(key) => self.send(&["WATCH".to_owned(), format!("string:{key}")]),
        }
    }

    fn send(&mut self, words: &[String]) -> Answer {
        let mut arguments = ArgumentBuffer::new();
        words
            .iter()
            .for_each(|word| arguments.push(word.as_bytes()));
        loop {
            let mut out = Vec::new();
            let mut reply = RespReply::new(&mut out, false);
            let arguments = arguments.as_arguments();
            let outcome = self
                .engine
                .execute(&mut self.session, arguments, &START, &mut reply);
            match outcome {
                Outcome::Parked(_) => thread::yield_now(),
                _ => return answer(&out),
            }
        }
    }
}

/// A script that runs commands, whose keys are declared, and returns what they answer.
fn script(commands: &[Command]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut text = "return {".to_owned();
    for command in commands {
        let words = command.words();
        let word = |word: &String| format!("'{word}'");
        let call: Vec<String> = words.iter().map(word).collect();
        text += &format!("redis.call({}),", call.join(", "));
        let is_key = |word: &&String| word.contains(':');
        keys.extend(words.iter().filter(is_key).cloned());
    }
    let mut script = vec!["EVAL".to_owned(), text + "}", keys.len().to_string()];
    script.extend(keys);
    script
}

fn answer(bytes: &[u8]) -> Answer {
    match Frame::read(bytes) {
        Ok(Some((frame, _))) => answer_of(frame),
        other => Answer::Other(format!("{other:?}")),
    }
}

fn answer_of(frame: Frame) -> Answer {
    match frame {
        Frame::Null | Frame::NullArray => Answer::Nothing,
        Frame::Integer(number) => Answer::Number(number),
        Frame::Status(text) if text == "OK" => Answer::Done,
        Frame::Array(items) => Answer::All(items.into_iter().map(answer_of).collect()),
        Frame::Bulk(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.parse().map_or(Answer::Other(text), Answer::Number)
        }
        other => Answer::Other(format!("{other:?}")),
    }
}
