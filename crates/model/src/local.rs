//! What each thread has of its own, and what the process has once: anew in each run of a model.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::thread;

use crate::explore::run;

/// Declares what each thread has of its own, as the macro of `std` does.
#[macro_export]
macro_rules! thread_local {
    ($($(#[$meta:meta])* static $name:ident: $type:ty = const { $init:expr };)+) => {$(
        $(#[$meta])*
        static $name: $crate::LocalKey<$type> = $crate::LocalKey::new(|| $init);
    )+};
}

/// Declares a number that the process has once.
#[macro_export]
macro_rules! process_wide {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $init:expr;) => {
        $(#[$meta])*
        static $name: $crate::ProcessWide<$type> = {
            ::std::thread_local! {
                static CURRENT: $crate::Current<$type> = const { $crate::Current::new() };
            }
            $crate::ProcessWide::new(|| $init, &CURRENT)
        };
    };
}

/// What each thread has of its own.
#[derive(Debug)]
pub struct LocalKey<T: 'static>(loom::thread::LocalKey<T>);

impl<T: 'static> LocalKey<T> {
    /// What a thread has is made when the thread first asks for it.
    pub const fn new(init: fn() -> T) -> LocalKey<T> {
        LocalKey(loom::thread::LocalKey {
            init,
            _p: PhantomData,
        })
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    /// What this thread has.
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.0.with(Cell::get)
    }

    /// Gives this thread something else. A thread that ends may have nothing any more.
    pub fn set(&'static self, value: T) {
        let _ = self.0.try_with(|cell| cell.set(value));
    }
}

/// What the process has once. A static of loom is gone before the threads are that use it when they end.
#[derive(Debug)]
pub struct ProcessWide<T: 'static> {
    init: fn() -> T,
    current: &'static thread::LocalKey<Current<T>>,
}

/// What there is in the run that goes on: all threads of a model share one thread of the process.
#[derive(Debug)]
pub struct Current<T: 'static>(Cell<Option<(u64, &'static T)>>);

impl<T: 'static> Current<T> {
    /// There is nothing yet.
    #[expect(clippy::new_without_default, reason = "a default is no constant")]
    pub const fn new() -> Current<T> {
        Current(Cell::new(None))
    }
}

impl<T: 'static> ProcessWide<T> {
    /// It is made when somebody first asks for it: in a model, before there are other threads.
    pub const fn new(
        init: fn() -> T,
        current: &'static thread::LocalKey<Current<T>>,
    ) -> ProcessWide<T> {
        ProcessWide { init, current }
    }
}

impl<T: 'static> Deref for ProcessWide<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.current.with(|current| match current.0.get() {
            Some((number, value)) if number == run() => value,
            _ => {
                // It is never freed: nothing is that lives as long as the process.
                let value: &'static T = Box::leak(Box::new((self.init)()));
                current.0.set(Some((run(), value)));
                value
            }
        })
    }
}
