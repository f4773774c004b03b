//! What a memory store was asked, so that a copy of it can be made as it was at any time.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use larder_embedded::{Clock, Config, Embedded, ManualClock};
use larder_engine::TimeSource;
use larder_store::{Answer, Backend, Command, Error, Value};
use parking_lot::Mutex;

use crate::rows;

/// All that a memory store was asked that may have changed it, or made it keep somebody waiting.
///
/// A copy is made by asking another engine the same, with the same seed and at the same times. So it
/// has the same keys, the same times to live and the same ids, and a wait of before has taken what it
/// took.
#[derive(Debug)]
pub(crate) struct Log {
    steps: Mutex<Vec<Step>>,
}

#[derive(Clone, Debug)]
struct Step {
    at: At,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// These commands, one or a transaction.
    Asked(Vec<Command>),
    /// The wait that began at this step has had its answer.
    Answered(usize),
    /// The one who waited since this step has gone.
    Left(usize),
}

/// A moment by both clocks of a store, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) unix_us: u64,
    pub(crate) ticks_us: u64,
}

impl Log {
    pub(crate) fn new() -> Log {
        Log {
            steps: Mutex::default(),
        }
    }

    /// Writes down what is asked. Gives its place, by which its end is told if it waits; none if it can
    /// neither change anything nor wait.
    pub(crate) fn asked(&self, at: At, commands: &[Command]) -> Option<usize> {
        let counts = |command| rows::may_write(command) || rows::waits(command);
        commands.iter().any(counts).then(|| {
            let what = What::Asked(commands.to_vec());
            let mut steps = self.steps.lock();
            steps.push(Step { at, what });
            steps.len() - 1
        })
    }

    /// Writes down how a wait ended.
    pub(crate) fn ended(&self, at: At, place: usize, is_answered: bool) {
        let what = match is_answered {
            true => What::Answered(place),
            false => What::Left(place),
        };
        self.steps.lock().push(Step { at, what });
    }

    /// A copy of the store that has not seen the last `lost` commands that may write, and the log that
    /// the copy goes on with.
    pub(crate) fn copy(
        &self,
        seed: [u8; 32],
        now: At,
        lost: usize,
    ) -> (Embedded, ManualClock, Log) {
        let mut steps = self.steps.lock().clone();
        steps.truncate(place_of_last(lost, &steps));

        let began = steps.first().map_or(now, |step| step.at);
        let clock = clock_at(began);
        let embedded = open(&clock, seed);
        let mut waits: HashMap<usize, Answer<'_, Vec<Result<Value, Error>>>> = HashMap::new();
        for (place, Step { at, what }) in steps.iter().enumerate() {
            move_clock(&clock, &embedded, *at);
            match what {
                What::Asked(commands) => {
                    let answer = embedded.call_all(commands.clone());
                    if commands.iter().any(rows::waits) {
                        waits.insert(place, answer);
                    }
                }
                What::Answered(place) => take_answer(waits.remove(place)),
                What::Left(place) => drop(waits.remove(place)),
            }
        }
        // Nobody waits at a copy: those who wait are connected to the store that it was copied from.
        let mut left: Vec<usize> = waits.keys().copied().collect();
        left.sort_unstable();
        steps.extend(left.into_iter().map(|place| Step {
            at: now,
            what: What::Left(place),
        }));
        drop(waits);
        move_clock(&clock, &embedded, now);
        let steps = Mutex::new(steps);
        (embedded, clock, Log { steps })
    }
}

/// Where the last `count` commands begin that may write.
fn place_of_last(count: usize, steps: &[Step]) -> usize {
    let writes = |what: &What| matches!(what, What::Asked(all) if all.iter().any(rows::may_write));
    let places = (0..steps.len()).rev();
    match count {
        0 => steps.len(),
        count => { places.filter(|&place| writes(&steps[place].what)) }
            .take(count)
            .last()
            .unwrap_or(steps.len()),
    }
}

/// Takes an answer that is there.
fn take_answer(answer: Option<Answer<'_, Vec<Result<Value, Error>>>>) {
    let mut context = Context::from_waker(Waker::noop());
    let mut answer = answer;
    if let Some(answer) = &mut answer {
        // An answer that is there lets others have their turn now and then, and is there the second time.
        for _ in 0..2 {
            if Pin::new(&mut *answer).poll(&mut context).is_ready() {
                break;
            }
        }
    }
}

/// An engine on this clock that does nothing by itself.
pub(crate) fn open(clock: &ManualClock, seed: [u8; 32]) -> Embedded {
    let config = Config::default().clock(clock.clone());
    Embedded::open_still(config, seed)
}

/// A new clock that shows this time.
pub(crate) fn clock_at(at: At) -> ManualClock {
    let clock = Clock::manual();
    clock.advance(Duration::from_micros(at.ticks_us));
    set_clock(&clock, at.unix_us);
    clock
}

/// Moves a clock to a later moment, as time passes and as somebody sets it, and lets the store feel it.
fn move_clock(clock: &ManualClock, embedded: &Embedded, to: At) {
    let passed = to.ticks_us.saturating_sub(embedded.ticks().us());
    clock.advance(Duration::from_micros(passed));
    set_clock(clock, to.unix_us);
    let next = embedded.engine().next_deadline();
    if next.is_some_and(|deadline| deadline <= embedded.ticks()) {
        embedded.pass(Duration::ZERO);
    }
}

fn set_clock(clock: &ManualClock, unix_us: u64) {
    let shown = Clock::Manual(clock.clone()).now().unix_us();
    clock.set_forward(Duration::from_micros(unix_us.saturating_sub(shown)));
    clock.set_back(Duration::from_micros(shown.saturating_sub(unix_us)));
}
