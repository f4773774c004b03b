//! What a worker does: it waits until there is something to do, and gives each connection that has
//! something to do a turn.
//!
//! ```text
//! the system ── events ──┐
//!                        ├─> due ── a turn each ── unwritten ── a write each ──> nothing, or due again,
//! others ── [`Letter`] ──┘                                                    or the end
//! ```
//!
//! All of it lies in one box, [`Rounds`], which one thread at a time has. While a connection has its
//! turn the box lies beside it ([`RUNNING`]): so if the turn lasts long, because a script does, the box
//! is handed to another thread, which goes on with the next turn. The connection then belongs to its
//! thread until the turn is over, and comes back by letter.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::connection::{Connection, Turn};
use crate::listener::Accepted;
use crate::readiness::Readiness;
use crate::shared::Shared;
use crate::sync::{AtomicBool, Mutex, Waker as SystemWaker};
use crate::threads::Threads;

/// How many events are taken from the system at once.
const EVENTS: usize = 1024;

/// How many connections have their turns before their answers are written. One whose requests take
/// long keeps the answers of so many waiting.
const UNWRITTEN_MAX: usize = 16;

/// What wakes a worker that others have written a letter.
const LETTERS: Token = Token(usize::MAX);

thread_local! {
    /// The rounds of this thread while a connection has its turn. It is empty on threads that serve
    /// nobody, and after the rounds were handed over.
    static RUNNING: Cell<Option<Box<Rounds>>> = const { Cell::new(None) };
}

/// The connections of a worker, and which of them have something to do.
pub(crate) struct Rounds {
    poll: Poll,
    events: Events,
    places: Slab<Place>,
    /// The places of those that get a turn, in order.
    due: VecDeque<usize>,
    /// The places of those that have had their turns but for the write.
    unwritten: Vec<usize>,
    /// How many connections are away, each on a thread of its own.
    away: usize,
    letters: Arc<Letters>,
    /// Those that are being read. It is empty between rounds, and keeps its memory.
    reading: Vec<Letter>,
    threads: Arc<Threads>,
}

/// The place of a connection.
struct Place {
    /// None while the connection is away.
    served: Option<Box<Served>>,
    /// What the system has said of its socket since its last turn.
    readiness: Readiness,
    is_due: bool,
}

/// A connection that is served.
struct Served {
    connection: Connection,
    waker: Waker,
    call: Arc<Call>,
    /// What it is counted by, until it has ended.
    _counted: TaskTrackerToken,
}

/// What a connection is woken by.
pub(crate) struct Call {
    place: usize,
    /// Whether a letter says so already.
    is_sent: AtomicBool,
    letters: Arc<Letters>,
}

/// What others tell a worker.
pub(crate) enum Letter {
    /// Serve this connection.
    Serve(Accepted, Arc<Shared>, TaskTrackerToken),
    /// The connection in this place has something to do.
    Wake(usize),
    /// The turn of a connection that was away is over.
    Back(Away),
    /// End.
    End,
}

/// A connection whose turn has lasted for long, and what came of it.
pub(crate) struct Away {
    place: usize,
    served: Box<Served>,
    turn: Turn,
}

/// The letters to a worker, wherever its rounds are.
pub(crate) struct Letters {
    box_: Mutex<LetterBox>,
    /// Whether the worker waits for the system, which has to wake it then.
    is_asleep: AtomicBool,
    waker: SystemWaker,
}

#[derive(Default)]
struct LetterBox {
    unread: Vec<Letter>,
    /// Whether nobody reads any more.
    is_closed: bool,
}

impl Rounds {
    /// Rounds without a connection.
    pub(crate) fn new(threads: &Arc<Threads>) -> io::Result<Box<Rounds>> {
        let poll = Poll::new()?;
        let waker = SystemWaker::new(poll.registry(), LETTERS)?;
        let letters = Arc::new(Letters::new(waker));
        Ok(Box::new(Rounds {
            poll,
            events: Events::with_capacity(EVENTS),
            places: Slab::new(),
            due: VecDeque::new(),
            unwritten: Vec::new(),
            away: 0,
            letters,
            reading: Vec::new(),
            threads: Arc::clone(threads),
        }))
    }

    /// Where others write to.
    pub(crate) fn letters(&self) -> &Arc<Letters> {
        &self.letters
    }

    /// Those who count the threads that do rounds.
    pub(crate) fn threads(&self) -> &Arc<Threads> {
        &self.threads
    }

    /// How many connections are away.
    pub(crate) fn away(&self) -> usize {
        self.away
    }

    /// Goes on until a letter says that it is the end, or another thread does.
    pub(crate) fn run(mut self: Box<Rounds>) {
        // Those whose neighbour has gone away, and took the thread with it.
        self.write_all();
        let mut rounds = Some(self);
        while let Some(running) = rounds {
            rounds = running.round();
        }
    }

    /// Waits until there is something to do, and does it. Answers `None` when there is nothing more to
    /// be done here.
    pub(crate) fn round(mut self: Box<Rounds>) -> Option<Box<Rounds>> {
        if let Err(error) = self.wait() {
            tracing::error!(%error, "a worker can't wait for its sockets");
            return None;
        }
        let mut reading = std::mem::take(&mut self.reading);
        self.letters.take(&mut reading);
        for letter in reading.drain(..) {
            self.read(letter)?;
        }
        self.reading = reading;
        // Whoever becomes due meanwhile has a turn in the next round.
        for _ in 0..self.due.len() {
            let place = self.due.pop_front()?;
            self = self.turn(place)?;
            if self.unwritten.len() >= UNWRITTEN_MAX {
                self.write_all();
            }
        }
        self.write_all();
        Some(self)
    }

    /// Waits for the system or a letter, unless there is something to do already.
    fn wait(&mut self) -> io::Result<()> {
        let may_sleep = self.due.is_empty() && self.letters.begin_sleep();
        let timeout = (!may_sleep).then_some(Duration::ZERO);
        let waited = self.poll.poll(&mut self.events, timeout);
        if may_sleep {
            self.letters.end_sleep();
        }
        match waited {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            let Token(place) = event.token();
            if let Some(slot) = self.places.get_mut(place) {
                slot.readiness.add(readiness(event));
                slot.become_due(place, &mut self.due);
            }
        }
        Ok(())
    }

    /// Does what a letter says. Answers `None` if it is the end.
    fn read(&mut self, letter: Letter) -> Option<()> {
        match letter {
            Letter::Wake(place) => {
                if let Some(slot) = self.places.get_mut(place) {
                    if let Some(served) = &slot.served {
                        served.call.hear();
                    }
                    slot.become_due(place, &mut self.due);
                }
            }
            Letter::Serve(accepted, shared, counted) => {
                if let Err(error) = self.serve(accepted, shared, counted) {
                    tracing::debug!(%error, "a connection was lost");
                }
            }
            Letter::Back(away) => {
                self.away -= 1;
                away.served.call.hear();
                // What came meanwhile was not for whoever was away.
                let turn = match away.turn {
                    Turn::End => Turn::End,
                    Turn::Write | Turn::Wait | Turn::Yield => Turn::Yield,
                };
                self.after_turn(away.place, away.served, turn);
            }
            Letter::End => return None,
        }
        Some(())
    }

    /// Takes a connection, which has its first turn in this round.
    fn serve(
        &mut self,
        accepted: Accepted,
        shared: Arc<Shared>,
        counted: TaskTrackerToken,
    ) -> io::Result<()> {
        let Some(connection) = Connection::new(accepted, shared)? else {
            return Ok(());
        };
        let entry = self.places.vacant_entry();
        let place = entry.key();
        let descriptor = connection.descriptor();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&descriptor), Token(place), interest)?;
        let call = Call::new(place, &self.letters);
        let waker = Waker::from(Arc::clone(&call));
        connection.on_order(&waker);
        let slot = entry.insert(Place {
            served: Some(Box::new(Served {
                connection,
                waker,
                call,
                _counted: counted,
            })),
            readiness: Readiness::UNKNOWN,
            is_due: false,
        });
        slot.become_due(place, &mut self.due);
        Ok(())
    }

    /// Gives a connection its turn. Answers `None` if these rounds go on elsewhere.
    fn turn(mut self: Box<Rounds>, place: usize) -> Option<Box<Rounds>> {
        let Some(slot) = self.places.get_mut(place) else {
            return Some(self);
        };
        slot.is_due = false;
        let Some(mut served) = slot.served.take() else {
            return Some(self);
        };
        let readiness = std::mem::take(&mut slot.readiness);
        RUNNING.set(Some(self));
        let turn = served.turn(readiness);
        match RUNNING.take() {
            Some(mut rounds) => {
                rounds.after_turn(place, served, turn);
                Some(rounds)
            }
            None => {
                let turn = match turn {
                    Turn::Write => served.write_turn(),
                    other => other,
                };
                let letters = Arc::clone(&served.call.letters);
                letters.send(Letter::Back(Away {
                    place,
                    served,
                    turn,
                }));
                None
            }
        }
    }

    /// Writes the answers of those that have had their turns.
    fn write_all(&mut self) {
        let mut unwritten = std::mem::take(&mut self.unwritten);
        for place in unwritten.drain(..) {
            let served = self.places.get_mut(place).and_then(|it| it.served.take());
            if let Some(mut served) = served {
                let turn = served.write_turn();
                self.after_turn(place, served, turn);
            }
        }
        self.unwritten = unwritten;
    }

    #[inline]
    fn after_turn(&mut self, place: usize, served: Box<Served>, turn: Turn) {
        let Some(slot) = self.places.get_mut(place) else {
            return;
        };
        match turn {
            Turn::Wait => slot.served = Some(served),
            Turn::Write => {
                slot.served = Some(served);
                self.unwritten.push(place);
            }
            Turn::Yield => {
                slot.served = Some(served);
                slot.become_due(place, &mut self.due);
            }
            Turn::End => {
                let descriptor = served.connection.descriptor();
                if let Err(error) = self.poll.registry().deregister(&mut SourceFd(&descriptor)) {
                    tracing::debug!(%error, "a socket was not known");
                }
                self.places.remove(place);
            }
        }
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        // What is away comes back to nobody then, and ends where it is.
        self.letters.close();
    }
}

impl Place {
    #[inline]
    fn become_due(&mut self, place: usize, due: &mut VecDeque<usize>) {
        if !self.is_due {
            self.is_due = true;
            due.push_back(place);
        }
    }
}

impl Served {
    /// Lets the connection have its turn.
    fn turn(&mut self, readiness: Readiness) -> Turn {
        self.guard(|connection, context| connection.turn(context, readiness))
    }

    /// Lets it write what its turn has left to be written.
    fn write_turn(&mut self) -> Turn {
        self.guard(|connection, _| connection.write_turn())
    }

    /// A defect in the connection ends it, and nobody else.
    #[inline]
    fn guard(
        &mut self,
        turn: impl FnOnce(&mut Connection, &mut Context<'_>) -> io::Result<Turn>,
    ) -> Turn {
        let mut context = Context::from_waker(&self.waker);
        let connection = &mut self.connection;
        let turn = catch_unwind(AssertUnwindSafe(|| turn(connection, &mut context)));
        match turn {
            Ok(Ok(turn)) => turn,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a connection was lost");
                Turn::End
            }
            Err(_) => Turn::End,
        }
    }
}

fn readiness(event: &Event) -> Readiness {
    let is_over = event.is_error();
    let is_ending = event.is_read_closed() || is_over;
    Readiness {
        is_readable: event.is_readable() || is_ending,
        is_writable: event.is_writable() || event.is_write_closed() || is_over,
        is_ending,
    }
}

/// Takes the rounds of this thread, if a connection has its turn on it, for another thread to go on
/// with. The turn goes on here.
pub(crate) fn take_running() -> Option<Box<Rounds>> {
    let mut rounds = RUNNING.take()?;
    rounds.away += 1;
    Some(rounds)
}

/// Nobody could go on with what [`take_running`] took.
pub(crate) fn put_back(mut rounds: Box<Rounds>) {
    rounds.away -= 1;
    RUNNING.set(Some(rounds));
}

// --- letters ---------------------------------------------------------------------------------

impl Letters {
    pub(crate) fn new(waker: SystemWaker) -> Letters {
        Letters {
            box_: Mutex::default(),
            is_asleep: AtomicBool::new(false),
            waker,
        }
    }

    /// Tells the worker something. Once it has ended, what it is told is dropped.
    pub(crate) fn send(&self, letter: Letter) {
        let mut box_ = self.box_.lock();
        if box_.is_closed {
            // It may end a connection, which takes time.
            drop(box_);
            drop(letter);
            return;
        }
        box_.unread.push(letter);
        drop(box_);
        if self.is_asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a worker could not be woken");
        }
    }

    /// Whether the worker may wait for the system: there is no letter. Whoever sends one from here on
    /// wakes it.
    pub(crate) fn begin_sleep(&self) -> bool {
        // An exchange, as in `send`: so all who change it do so one after the other.
        self.is_asleep.swap(true, Ordering::SeqCst);
        let may_sleep = self.box_.lock().unread.is_empty();
        if !may_sleep {
            self.end_sleep();
        }
        may_sleep
    }

    pub(crate) fn end_sleep(&self) {
        self.is_asleep.swap(false, Ordering::SeqCst);
    }

    /// Takes all letters into `reading`, which is empty.
    pub(crate) fn take(&self, reading: &mut Vec<Letter>) {
        std::mem::swap(&mut self.box_.lock().unread, reading);
    }

    pub(crate) fn close(&self) {
        let mut box_ = self.box_.lock();
        box_.is_closed = true;
        let unread = std::mem::take(&mut box_.unread);
        drop(box_);
        drop(unread);
    }
}

impl Call {
    pub(crate) fn new(place: usize, letters: &Arc<Letters>) -> Arc<Call> {
        Arc::new(Call {
            place,
            is_sent: AtomicBool::new(false),
            letters: Arc::clone(letters),
        })
    }

    /// The connection has its turn after this: who wakes it from here on writes another letter.
    pub(crate) fn hear(&self) {
        self.is_sent.swap(false, Ordering::AcqRel);
    }
}

impl Wake for Call {
    fn wake(self: Arc<Call>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Call>) {
        if !self.is_sent.swap(true, Ordering::AcqRel) {
            self.letters.send(Letter::Wake(self.place));
        }
    }
}
