//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Between MULTI and EXEC requests are checked and queued. EXEC takes the shards of all of them at
//! once, so nobody sees a transaction half done. It is void if a queued request was refused, and
//! answers nothing if a watched key has changed.

use std::sync::{Arc, Weak};

use larder_store::Command as Request;

use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::keyspace::Keyspace;
use crate::keyspace::watch::Watch;
use crate::observe::Occasion;

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "MULTI",
        run: multi,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: Flags::FAST.and(Flags::NO_SCRIPT).and(Flags::UNQUEUED),
        syntax: "",
        summary: "Begins a transaction: requests are queued until EXEC.",
        complexity: "O(1)",
        since: "1.2.0",
    },
    Row {
        name: "EXEC",
        run: exec,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: Flags::NO_SCRIPT.and(Flags::UNQUEUED),
        syntax: "",
        summary: "Runs the queued requests as one step.",
        complexity: "That of the queued requests.",
        since: "1.2.0",
    },
    Row {
        name: "DISCARD",
        run: discard,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: Flags::FAST.and(Flags::NO_SCRIPT).and(Flags::UNQUEUED),
        syntax: "",
        summary: "Forgets the queued requests.",
        complexity: "O(n), n the number of queued requests.",
        since: "2.0.0",
    },
    Row {
        name: "WATCH",
        run: watch,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: Flags::FAST.and(Flags::NO_SCRIPT).and(Flags::UNQUEUED),
        syntax: "key [key ...]",
        summary: "Makes the next transaction void if one of these keys changes before it.",
        complexity: "O(1) for each key.",
        since: "2.2.0",
    },
    Row {
        name: "UNWATCH",
        run: unwatch,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: Flags::FAST.and(Flags::NO_SCRIPT),
        syntax: "",
        summary: "Watches no key any more.",
        complexity: "O(1)",
        since: "2.2.0",
    },
];

/// Requests between MULTI and EXEC.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(super) queue: Vec<(&'static Row, Request)>,
    /// How many bytes the words of the queue take.
    pub(super) bytes: usize,
    /// Whether a request was refused.
    pub(super) is_void: bool,
}

/// Keys that must not change before EXEC. Dropping it stops watching.
#[derive(Debug)]
pub(crate) struct Watching {
    engine: Arc<Engine>,
    watch: Arc<Watch>,
    keys: Vec<Watched>,
    /// How many bytes the keys take, here and in their shards.
    bytes: usize,
}

/// How many bytes a watched key takes beside its name, which is kept twice.
const WATCHED_BYTES: usize = size_of::<Watched>() + 96;

#[derive(Debug)]
struct Watched {
    db: usize,
    key: Box<[u8]>,
    /// Whether the key was there when it was watched: one that is not there can't expire.
    existed: bool,
}

impl Watching {
    pub(super) fn keys(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.keys.iter().map(|watched| (watched.db, &*watched.key))
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn watch(&self) -> Weak<Watch> {
        Arc::downgrade(&self.watch)
    }
}

impl Watching {
    /// Ends it where its keys are held.
    fn end_in(mut self, keyspace: &mut Keyspace<'_>) {
        for Watched { db, key, .. } in std::mem::take(&mut self.keys) {
            keyspace.shard_of(&key).unwatch(db, &key, &self.watch);
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.watch.end();
        let shards = &self.engine.shards;
        for Watched { db, key, .. } in &self.keys {
            let index = shards.index(shards.seed().hash(key));
            match shards.try_take(index) {
                Some(mut shard) => shard.unwatch(*db, key, &self.watch),
                None => shards.leave_behind(index),
            }
        }
    }
}

fn multi(call: &mut Call<'_, '_>) -> Result<()> {
    if call.session.is_queueing() {
        return Err(Error::NestedMulti);
    }
    call.session.begin_transaction();
    call.reply.ok();
    Ok(())
}

fn exec(call: &mut Call<'_, '_>) -> Result<()> {
    let transaction = call
        .session
        .end_transaction()
        .ok_or(Error::ExecWithoutMulti)?;
    let has_changed = watched_key_has_changed(call);
    if let Some(watching) = call.session.end_watching() {
        watching.end_in(call.keyspace);
    }
    if transaction.is_void {
        return Err(Error::TransactionAborted);
    }
    if has_changed {
        call.reply.null_array();
        return Ok(());
    }

    call.reply.array(transaction.queue.len());
    for (command, request) in &transaction.queue {
        if call.session.is_checked() {
            let now = call.now();
            let request = request.arguments();
            if let Err(error) = call
                .engine
                .guard_queued(call.session, command, request, now)
            {
                call.reply.error(&error);
                continue;
            }
        }
        let args = command.args(request.arguments());
        let db = call.session.db;
        call.keyspace.select(db);
        let mut part = Call {
            engine: call.engine,
            session: call.session,
            command,
            args,
            keyspace: call.keyspace,
            reply: call.reply,
            wait: None,
            occasion: Occasion::Part,
            is_passed_on: false,
        };
        if let Err(error) = part.run() {
            call.reply.error(&error);
        }
    }
    Ok(())
}

/// Whether a key that is watched was written, or has expired since.
fn watched_key_has_changed(call: &mut Call<'_, '_>) -> bool {
    let Some(watching) = call.session.watching() else {
        return false;
    };
    if watching.watch.is_touched() {
        return true;
    }
    let db = call.keyspace.db();
    let has_expired = watching.keys.iter().any(|watched| {
        call.keyspace.select(watched.db);
        watched.existed && !call.keyspace.exists(&watched.key)
    });
    call.keyspace.select(db);
    has_expired
}

fn discard(call: &mut Call<'_, '_>) -> Result<()> {
    call.session
        .end_transaction()
        .ok_or(Error::DiscardWithoutMulti)?;
    call.session.unwatch();
    call.reply.ok();
    Ok(())
}

fn watch(call: &mut Call<'_, '_>) -> Result<()> {
    if call.session.is_queueing() {
        return Err(Error::WatchInsideMulti);
    }
    let db = call.session.db;
    let engine = call.engine;
    let watching = call.session.state_mut().watching.get_or_insert_with(|| {
        let (engine, watch) = (Arc::clone(engine), Arc::default());
        Box::new(Watching {
            engine,
            watch,
            bytes: 0,
            keys: Vec::new(),
        })
    });
    for key in call.args.rest() {
        let shard = call.keyspace.shard_of(key);
        if !shard.watch(db, key, &watching.watch) {
            continue;
        }
        watching.bytes += WATCHED_BYTES + 2 * key.len();
        let existed = call.keyspace.exists(key);
        watching.keys.push(Watched {
            db,
            key: key.into(),
            existed,
        });
    }
    call.reply.ok();
    Ok(())
}

fn unwatch(call: &mut Call<'_, '_>) -> Result<()> {
    call.session.unwatch();
    call.reply.ok();
    Ok(())
}
