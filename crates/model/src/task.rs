//! Waiting: for a future, and for another thread of the model.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
// Of no interest to loom: a thread is stopped before a step that loom sees, and nowhere else.
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};

use loom::thread::{self, Thread};

use crate::lock::{Condvar, Mutex};

/// A thread that waits for a future.
#[derive(Debug)]
struct Sleeper {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Sleeper {
    /// Sleeps until the future has woken it: a thread is woken for other reasons as well.
    fn sleep(&self) {
        while !self.is_woken.swap(false, Relaxed) {
            thread::park();
        }
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Sleeper>) {
        self.is_woken.store(true, Relaxed);
        self.thread.unpark();
    }
}

/// Waits with this thread until a future is done. If nobody wakes it, the model ends as one in which
/// all wait for each other.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let sleeper = Arc::new(Sleeper {
        thread: thread::current(),
        is_woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => sleeper.sleep(),
        }
    }
}

/// Something that happens once, and that others wait for.
#[derive(Debug, Default)]
pub struct Signal {
    has_come: Mutex<bool>,
    news: Condvar,
}

impl Signal {
    /// It has happened.
    pub fn give(&self) {
        *self.has_come.lock() = true;
        self.news.notify_all();
    }

    /// Waits until it has happened.
    pub fn wait(&self) {
        let mut has_come = self.has_come.lock();
        while !*has_come {
            self.news.wait(&mut has_come);
        }
    }
}

/// Stands for what wakes a thread that waits for the system.
#[derive(Clone, Debug, Default)]
pub struct SystemWaker(Arc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    has_rung: Mutex<bool>,
    news: Condvar,
}

impl SystemWaker {
    /// One of its own: it is registered nowhere.
    ///
    /// # Errors
    ///
    /// None.
    pub fn new<R, T>(_: &R, _: T) -> io::Result<SystemWaker> {
        Ok(SystemWaker::default())
    }

    /// Ends the wait of the other thread, or its next one.
    ///
    /// # Errors
    ///
    /// None.
    pub fn wake(&self) -> io::Result<()> {
        *self.0.has_rung.lock() = true;
        self.0.news.notify_all();
        Ok(())
    }

    /// Waits until it is woken, if it may sleep, and forgets that it was.
    pub fn poll(&self, may_sleep: bool) {
        let mut has_rung = self.0.has_rung.lock();
        while may_sleep && !*has_rung {
            self.0.news.wait(&mut has_rung);
        }
        *has_rung = false;
    }
}
