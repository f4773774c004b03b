//! Programs that run random and hostile cases until their time is over.
//!
//! ```text
//! PROGRAM [--seconds N] [--cases N] [--seed S] [--last FILE]
//! ```
//!
//! Each case is written to FILE before it runs, so that one that ends the process is found there. The
//! same seed makes the same cases. A case that takes longer than [`CASE_MAX`] ends the process. `cargo
//! xtask fuzz` runs such a program as a child that gets no more memory than it should need.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder_engine::{ClientInfo, Engine, Mailbox, Now, Outcome, Overflow, RespReply, Session};
use larder_resp::ArgumentBuffer;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::options::Given;

/// How long a case may take.
pub const CASE_MAX: Duration = Duration::from_secs(30);

/// When the engine's clock stands.
const START: Now = Now::from_unix_us(1_700_000_000_000_000);

/// What a program is told.
#[derive(Debug)]
pub struct Fuzz {
    time: Duration,
    cases: u64,
    seed: u64,
    last: Option<PathBuf>,
}

impl Fuzz {
    /// Reads the words that the program was called with.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn from_arguments() -> Result<Fuzz, String> {
        let mut fuzz = Fuzz {
            time: Duration::from_secs(10),
            cases: u64::MAX,
            seed: 0,
            last: None,
        };
        for given in Given::all(std::env::args().skip(1))? {
            match given.name.as_str() {
                "--seconds" => fuzz.time = Duration::from_secs(given.number()?),
                "--cases" => fuzz.cases = given.number()?,
                "--seed" => fuzz.seed = given.number()?,
                "--last" => fuzz.last = Some(given.value.into()),
                name => return Err(format!("there is no option {name}")),
            }
        }
        Ok(fuzz)
    }

    /// Runs cases until the time is over, and answers how many. A case gets its own seed, and a
    /// function that it gives what it is about to do.
    ///
    /// # Errors
    ///
    /// The first that a case answers.
    pub fn run(
        &self,
        mut case: impl FnMut(StdRng, &dyn Fn(&[u8])) -> Result<(), String>,
    ) -> Result<u64, String> {
        let begun = Instant::now();
        let number = Arc::new(AtomicU64::new(0));
        end_long_cases(Arc::clone(&number));
        let note = |bytes: &[u8]| {
            if let Some(file) = &self.last {
                // What can't be written is missed only if something is found.
                let _ = std::fs::write(file, bytes);
            }
        };
        let mut count = 0;
        while begun.elapsed() < self.time && count < self.cases {
            let seed = self.seed.wrapping_add(count);
            case(StdRng::seed_from_u64(seed), &note)
                .map_err(|text| format!("seed {seed}: {text}"))?;
            count += 1;
            number.store(count, Ordering::Relaxed);
        }
        Ok(count)
    }
}

/// Ends the process when a case takes too long.
#[allow(clippy::exit, reason = "nobody else can end a case that hangs")]
fn end_long_cases(number: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        loop {
            let before = number.load(Ordering::Relaxed);
            std::thread::sleep(CASE_MAX);
            if number.load(Ordering::Relaxed) == before {
                std::process::exit(3);
            }
        }
    });
}

/// A connection to an engine whose clock stands still, and whose values may take 64 MB.
pub struct Caller {
    engine: Arc<Engine>,
    session: Session,
}

impl Caller {
    /// A connection to a new engine.
    pub fn new() -> Caller {
        let engine = Engine::new([7; 32], START);
        let mut caller = Caller::to(&engine);
        caller.call(&words("CONFIG SET maxmemory 64mb proto-max-bulk-len 16mb"));
        caller
    }

    fn to(engine: &Arc<Engine>) -> Caller {
        let mailbox = Arc::new(Mailbox::new(Overflow::DropOldest(64)));
        Caller {
            engine: Arc::clone(engine),
            session: Session::connected(engine, ClientInfo::default(), mailbox),
        }
    }

    /// Another connection to the same engine.
    pub fn another(&self) -> Caller {
        Caller::to(&self.engine)
    }

    /// Sends a request, and gives up waiting for what does not come at once.
    pub fn call(&mut self, words: &[Vec<u8>]) -> Vec<u8> {
        let mut arguments = ArgumentBuffer::new();
        words.iter().for_each(|word| arguments.push(word));
        let mut out = Vec::new();
        let mut reply = RespReply::new(&mut out, self.session.is_resp3()).up_to(ANSWER_MAX);
        let outcome = self.engine.execute(
            &mut self.session,
            arguments.as_arguments(),
            &START,
            &mut reply,
        );
        match outcome {
            Outcome::Done | Outcome::Close => {}
            Outcome::Blocked(waiting) => drop(waiting),
            Outcome::Parked(parked) => drop(parked),
        }
        out
    }

    /// Lets the engine do what it does from time to time.
    pub fn tick(&self) {
        self.engine.tick(&START);
    }
}

impl Default for Caller {
    fn default() -> Caller {
        Caller::new()
    }
}

/// How many bytes an answer may have.
const ANSWER_MAX: usize = 64 << 20;

/// The words of a line.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(Into::into).collect()
}
