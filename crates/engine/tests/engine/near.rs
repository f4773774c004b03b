//! Near caches: what is kept is never older than what a writer has been told.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize};
use std::thread;

use larder_engine::{Engine, Invalidate, Invalidated, NearCache, Outcome, Session, ValueReply};
use larder_store::Value;
use parking_lot::Mutex;

use crate::support::{START, engine, request};

fn call(engine: &Arc<Engine>, session: &mut Session, line: &str) -> Value {
    let request = request(line.split(' '));
    loop {
        let mut reply = ValueReply::new();
        match engine.execute(session, request.as_arguments(), &START, &mut reply) {
            Outcome::Parked(_) => thread::yield_now(),
            _ => return reply.take_value(),
        }
    }
}

fn write(engine: &Arc<Engine>, request: &str) -> Value {
    call(engine, &mut Session::local(), request)
}

fn text(text: &str) -> Value {
    Value::Bytes(text.as_bytes().to_vec().into())
}

/// Notes all that it is told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Invalidate for Notes {
    fn invalidated(&self, what: Invalidated<'_>) {
        let note = match what {
            Invalidated::Key { db, key } => format!("{db} {}", key.escape_ascii()),
            Invalidated::Everything => "everything".to_owned(),
        };
        self.0.lock().push(note);
    }
}

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

#[test]
fn a_near_cache_is_told_once_of_a_key_that_it_has_read_before_the_writer_is_answered() {
    let (engine, notes) = (engine(), Arc::new(Notes::default()));
    let listener: Arc<dyn Invalidate> = Arc::<Notes>::clone(&notes);
    let tracking = engine.track(listener);

    call(&engine, &mut tracking.session(3), "MGET a b");
    write(&engine, "SET a 1");
    assert!(notes.take().is_empty(), "that was another database");
    call(&engine, &mut Session::local_in(3), "MSET a 1 b 1");
    assert_eq!(notes.take(), ["3 a", "3 b"]);
    call(&engine, &mut Session::local_in(3), "MSET a 2 b 2");
    assert!(notes.take().is_empty());

    call(&engine, &mut tracking.session(0), "GET a");
    write(&engine, "FLUSHDB");
    assert_eq!(notes.take(), ["everything"]);

    let mut session = tracking.session(0);
    call(&engine, &mut session, "GET a");
    drop(tracking);
    call(&engine, &mut session, "GET b");
    write(&engine, "MSET a 1 b 1");
    assert!(notes.take().is_empty(), "it has ended");
}

#[test]
fn a_near_cache_answers_without_the_engine_until_the_key_changes() {
    let engine = engine();
    let cache = NearCache::new(&engine);
    let reads = AtomicUsize::new(0);
    let get = || {
        cache.read(0, b"k", |session| {
            reads.fetch_add(1, SeqCst);
            call(&engine, session, "GET k")
        })
    };

    write(&engine, "SET k 1");
    assert_eq!([get(), get()], [text("1"), text("1")]);
    assert_eq!(reads.load(SeqCst), 1);
    write(&engine, "SET k 2");
    assert_eq!(get(), text("2"));
    write(&engine, "FLUSHALL");
    assert_eq!(get(), Value::Null);
    assert_eq!(reads.load(SeqCst), 3);
}

/// The change comes between the read and the keeping: what was read is answered, and not kept.
#[test]
fn a_value_that_its_change_overtakes_is_not_kept() {
    let engine = engine();
    let cache = NearCache::new(&engine);
    write(&engine, "SET k old");

    let overtaken = cache.read(0, b"k", |session| {
        let value = call(&engine, session, "GET k");
        write(&engine, "SET k new");
        value
    });
    assert_eq!(overtaken, text("old"));
    assert!(cache.is_empty());
    let next = cache.read(0, b"k", |session| call(&engine, session, "GET k"));
    assert_eq!(next, text("new"));
}

/// Readers that share a cache ask again and again for numbers that only grow. Once the writer has
/// been answered, nobody gets a smaller one.
#[test]
fn nobody_reads_a_value_that_is_older_than_an_answered_write() {
    const KEYS: usize = 4;
    const READERS: usize = 3;
    const WRITES: i64 = 5_000;
    let engine = engine();
    let cache = NearCache::new(&engine);
    let answered: [AtomicI64; KEYS] = std::array::from_fn(|_| AtomicI64::new(0));
    let is_over = AtomicBool::new(false);

    thread::scope(|scope| {
        for reader in 0..READERS {
            let (engine, cache, answered, is_over) = (&engine, &cache, &answered, &is_over);
            scope.spawn(move || {
                let mut turn = reader;
                while !is_over.load(SeqCst) {
                    turn += 1;
                    let name = format!("k{}", turn % KEYS);
                    let at_least = answered[turn % KEYS].load(SeqCst);
                    let value = cache.read(0, name.as_bytes(), |session| {
                        let value = call(engine, session, &format!("GET {name}"));
                        // So that the next write often comes before the value is kept.
                        thread::yield_now();
                        value
                    });
                    let number = match &value {
                        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).parse().unwrap(),
                        _ => 0,
                    };
                    assert!(number >= at_least, "{name}: {number} after {at_least}");
                }
            });
        }
        for number in 1..=WRITES {
            let key = number as usize % KEYS;
            write(&engine, &format!("SET k{key} {number}"));
            answered[key].store(number, SeqCst);
        }
        is_over.store(true, SeqCst);
    });
}

#[test]
fn a_near_cache_keeps_no_more_than_the_engine_remembers() {
    let engine = engine();
    let cache = NearCache::new(&engine);
    write(&engine, "CONFIG SET tracking-table-max-keys 50");

    for number in 0..500 {
        let key = number.to_string();
        cache.read(0, key.as_bytes(), |session| {
            call(&engine, session, &format!("GET {key}"))
        });
    }
    engine.tick(&START);
    assert_eq!(cache.len(), 50);
}
