//! What an observer is told.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder_store::{
    Answer, Backend, Call, Channels, Command, Error, Keys, Observer, Refusal, Script, Store,
    Subscription, Value,
};

/// What was told, a line a call.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn done(&self, call: &Call<'_>) {
        let mut line = format!("{} {}", call.operation, call.outcome.as_str());
        if let Some(script) = call.script {
            line += &format!(" script {script}");
        }
        if let Some(batch) = call.batch {
            line += &format!(" batch {batch}");
        }
        if let (Some(node), Some(db)) = (call.node, call.db) {
            line += &format!(" on {node} {db}");
        }
        if call.tries > 0 {
            line += &format!(" tries {}", call.tries);
        }
        self.0.lock().unwrap().push(line);
    }
}

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A server that answers by the command's name.
struct Server;

impl Server {
    fn answer(command: &Command) -> Result<Value, Error> {
        if let Some(trail) = &command.delivery().trail {
            trail.asked("a:1", 2);
        }
        match command.name() {
            b"AWAY" => Err(Error::away("gone")),
            b"LOST" => Err(Error::unanswered("lost")),
            b"EVALSHA" => Err(Error::Refused(Refusal::new("NOSCRIPT No matching script."))),
            b"LPUSH" => Err(Error::Refused(Refusal::new("WRONGTYPE it is none"))),
            _ => Ok(Value::Int(1)),
        }
    }
}

impl Backend for Server {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        match command.name() {
            b"BLPOP" => Answer::later(std::future::pending()),
            _ => Answer::ready(Server::answer(&command)),
        }
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        Answer::ready(Ok(commands.iter().map(Server::answer).collect()))
    }

    fn subscribe(&self, _: Channels) -> Answer<'_, Subscription> {
        Answer::ready(Err(Error::Closed))
    }
}

/// What comes of something that does not wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = poll_once(future.as_mut()) {
            return done;
        }
    }
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn observed() -> (Store, Notes) {
    let notes = Notes::default();
    (Store::new(Server).observed(notes.clone()), notes)
}

fn command(name: &str) -> Command {
    Command::new(name).arg("key").arg("secret")
}

#[test]
fn each_call_is_told_once_with_its_name_its_node_and_what_came_of_it() {
    let (store, notes) = observed();
    for name in ["get", "LPUSH", "AWAY", "LOST"] {
        let _ = now(store.call(command(name)));
    }
    let _ = now(store.call(Command::new("config").arg("get").arg("save")));
    let _ = now(store.get("key"));
    let _ = now(store.subscribe(Channels::default()));
    assert_eq!(
        notes.take(),
        [
            "GET answered on a:1 2 tries 1",
            "LPUSH WRONGTYPE on a:1 2 tries 1",
            "AWAY away on a:1 2 tries 1",
            "LOST unanswered on a:1 2 tries 1",
            "CONFIG GET answered on a:1 2 tries 1",
            "GET answered on a:1 2 tries 1",
            "SUBSCRIBE closed",
        ]
    );
}

#[test]
fn a_batch_is_one_call_named_by_what_all_of_it_is() {
    let (store, notes) = observed();
    let batch = |names: &[&str]| {
        let commands = names.iter().map(|name| command(name)).collect();
        let _ = now(store.call_all(commands));
    };
    batch(&["SET", "set"]);
    batch(&["SET", "GET"]);
    batch(&["MULTI", "INCR", "INCR", "EXEC"]);
    batch(&["MULTI", "INCR", "GET", "EXEC"]);
    batch(&["GET", "LPUSH", "LOST"]);
    batch(&[]);
    let on = "on a:1 2 tries 1";
    assert_eq!(
        notes.take(),
        [
            format!("PIPELINE SET answered batch 2 {on}"),
            format!("PIPELINE answered batch 2 {on}"),
            format!("MULTI INCR answered batch 2 {on}"),
            format!("MULTI answered batch 2 {on}"),
            format!("PIPELINE WRONGTYPE batch 3 {on}"),
        ]
    );
}

#[test]
fn a_script_has_the_name_of_its_file_or_its_digest() {
    static NAMED: Script = Script::new("return 1").named("shop/add.lua");
    static NAMELESS: Script = Script::new("return 2");
    let (store, notes) = observed();
    for script in [&NAMED, &NAMELESS] {
        let call = script.on(&store).key(Keys::new("a", "b").of("c"));
        let _ = now(call.run::<i64>());
    }
    let on = "on a:1 2 tries 1";
    assert_eq!(
        notes.take(),
        [
            "EVALSHA NOSCRIPT script shop/add.lua".to_owned(),
            "EVAL answered script shop/add.lua".to_owned(),
            format!("EVALSHA NOSCRIPT script {}", NAMELESS.digest()),
            "EVAL answered".to_owned(),
        ]
        .map(|line| match line.split_once(" script") {
            Some((before, script)) => format!("{before} script{script} {on}"),
            None => format!("{line} {on}"),
        })
    );
}

#[test]
fn a_call_that_its_caller_drops_is_told_once_as_dropped() {
    let (store, notes) = observed();
    let mut waits = Box::pin(store.call(command("BLPOP")));
    assert!(poll_once(waits.as_mut()).is_pending());
    assert!(notes.take().is_empty());
    drop(waits);
    assert_eq!(notes.take(), ["BLPOP dropped"]);
    drop(store.call(command("GET")));
    assert_eq!(notes.take(), ["GET dropped on a:1 2 tries 1"]);
}

#[test]
fn several_observers_and_a_deadline_see_the_same_call() {
    let (store, inner) = observed();
    let outer = Notes::default();
    let store = store
        .within(Duration::from_secs(1))
        .observed(Arc::new(outer.clone()));
    let _ = now(store.call(command("GET")));
    assert_eq!(outer.take().len(), 1);
    assert_eq!(inner.take().len(), 1);
}

#[test]
fn who_uses_another_handle_is_not_observed() {
    let notes = Notes::default();
    let plain = Store::new(Server);
    let observed = plain.observed(notes.clone());
    let _ = now(plain.call(command("GET")));
    assert!(notes.take().is_empty());
    drop(observed);
}
