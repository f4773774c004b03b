//! Running a model under each order of its steps.

use std::cell::Cell;
use std::sync::Arc;

use loom::thread::JoinHandle;

/// How many words the stack of a thread has: a command of the engine takes more than loom gives.
const STACK: usize = 1 << 17;

/// How many steps a run may have.
const STEPS_MAX: usize = 20_000;

/// For how long those wait who say how long they would, in a model in which no time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until they have what they want: so if all wait for each other, the model ends there.
    Endless,
    /// Not at all: so all ways are gone on which they do without.
    None,
}

thread_local! {
    static PATIENCE: Cell<Patience> = const { Cell::new(Patience::None) };
    /// The number of the run that goes on.
    static RUN: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn patience() -> Patience {
    PATIENCE.get()
}

pub(crate) fn run() -> u64 {
    RUN.get()
}

/// A model, and how far it is explored.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    preemptions: Option<usize>,
    patience: Patience,
}

impl Model {
    /// A model that is explored to its end.
    pub fn exhaustive() -> Model {
        Model {
            preemptions: None,
            patience: Patience::None,
        }
    }

    /// A model in which threads are stopped so many times in the middle of what they do: most faults
    /// need no more than two. `LOOM_MAX_PREEMPTIONS` in the environment is another bound.
    pub fn bounded(preemptions: usize) -> Model {
        Model {
            preemptions: Some(preemptions),
            patience: Patience::None,
        }
    }

    /// The same model with this patience.
    #[must_use]
    pub fn with(mut self, patience: Patience) -> Model {
        self.patience = patience;
        self
    }

    /// Runs it, and says from how many orders nothing came that is wrong.
    pub fn check(self, run: impl Fn() + Send + Sync + 'static) {
        PATIENCE.set(self.patience);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(self.preemptions);
        builder.max_branches = builder.max_branches.max(STEPS_MAX);
        let (run, before) = (Arc::new(run), RUN.get());
        builder.check(move || {
            RUN.set(RUN.get() + 1);
            let run = Arc::clone(&run);
            spawn(move || run()).join().expect("it has not panicked");
        });
        let (runs, patience) = (RUN.get() - before, self.patience);
        let bound = builder.preemption_bound;
        println!("{runs} orders, preemptions {bound:?}, patience {patience:?}");
    }
}

/// A thread of the model.
pub fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let started = loom::thread::Builder::new().stack_size(STACK).spawn(run);
    started.expect("a model has its threads for nothing")
}

/// Does what others are not to come between: what a model prepares, and what it looks at when it is over.
pub fn quietly<T>(work: impl FnOnce() -> T) -> T {
    loom::stop_exploring();
    let done = work();
    loom::explore();
    done
}
