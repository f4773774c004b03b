//! Functions that run for too long or take too much, hostile libraries, and what others see of them.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use larder_engine::Engine;

use crate::support::{Connection, Hasty, START, call, engine};

const BUSY: &str =
    "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.\r\n";

/// A library of this name, whose function of the same name does this.
fn library(name: &str, body: &str) -> String {
    format!("#!lua name={name}\nredis.register_function('{name}', function(keys, args) {body} end)")
}

fn load(engine: &Arc<Engine>, text: &str) -> String {
    call(engine, &START, &["FUNCTION", "LOAD", text])
}

/// Runs a function on a thread of its own, from the time at which the test's clock starts.
fn start(engine: &Arc<Engine>, name: &'static str) -> JoinHandle<String> {
    let engine = Arc::clone(engine);
    thread::spawn(move || call(&engine, &START, &["FCALL", name, "1", "k"]))
}

/// Asks this again and again, until the answer is one that is waited for.
fn until(engine: &Arc<Engine>, words: &[&str], is_wanted: impl Fn(&str) -> bool) -> String {
    let clock = Hasty::default();
    loop {
        let answer = call(engine, &clock, words);
        if is_wanted(&answer) {
            return answer;
        }
        thread::yield_now();
    }
}

#[test]
fn a_function_that_runs_for_ever_is_killed_by_function_kill_alone() {
    let engine = engine();
    load(&engine, &library("spin", "while true do end"));
    let running = start(&engine, "spin");

    until(&engine, &["SCRIPT", "KILL"], |answer| answer == BUSY);
    assert_eq!(
        until(&engine, &["GET", "k"], |answer| answer.starts_with("-BUSY")),
        BUSY
    );
    until(&engine, &["FUNCTION", "KILL"], |answer| answer == "+OK\r\n");

    assert_eq!(
        running.join().unwrap_or_default(),
        "-ERR Script killed by user with SCRIPT KILL... script: spin, on @user_function:2.\r\n"
    );
    assert_eq!(call(&engine, &START, &["GET", "k"]), "$-1\r\n");
}

#[test]
fn a_script_that_runs_for_ever_is_not_killed_by_function_kill() {
    let engine = engine();
    let other = Arc::clone(&engine);
    let running = thread::spawn(move || call(&other, &START, &["EVAL", "while true do end", "0"]));

    let busy = until(&engine, &["FUNCTION", "KILL"], |answer| {
        answer.starts_with("-BUSY")
    });
    assert!(busy.contains("SCRIPT KILL"), "{busy}");
    let stats = until(&engine, &["FUNCTION", "STATS"], |answer| {
        answer.starts_with("-BUSY")
    });
    assert_eq!(stats, busy);
    until(&engine, &["SCRIPT", "KILL"], |answer| answer == "+OK\r\n");
    assert!(running.join().unwrap_or_default().contains("SCRIPT KILL"));
}

#[test]
fn a_function_that_has_written_can_not_be_killed_but_ends_with_the_store() {
    let engine = engine();
    let body = "redis.call('SET', keys[1], 1) while true do end";
    load(&engine, &library("writes", body));
    let running = start(&engine, "writes");

    let refusal = until(&engine, &["FUNCTION", "KILL"], |answer| {
        !answer.starts_with("-NOTBUSY")
    });
    // It may not have come to its command when it was asked first.
    if refusal != "+OK\r\n" {
        assert!(refusal.starts_with("-UNKILLABLE"), "{refusal}");
        engine.stop_scripts();
    }
    assert!(
        running
            .join()
            .unwrap_or_default()
            .starts_with("-ERR Script")
    );
}

#[test]
fn a_function_that_runs_for_long_is_seen_by_function_stats() {
    let engine = engine();
    load(&engine, &library("spin", "while true do end"));
    let running = start(&engine, "spin");

    let stats = until(&engine, &["FUNCTION", "STATS"], |answer| {
        answer.contains("spin")
    });
    assert!(
        stats.contains("$4\r\nname\r\n$4\r\nspin\r\n$7\r\ncommand\r\n*4\r\n"),
        "{stats}"
    );
    assert!(stats.contains("duration_ms\r\n:"), "{stats}");
    until(&engine, &["FUNCTION", "KILL"], |answer| answer == "+OK\r\n");
    running.join().unwrap_or_default();
    assert!(!call(&engine, &START, &["FUNCTION", "STATS"]).contains("spin"));
}

#[test]
fn a_library_that_takes_for_ever_to_load_is_ended_and_changes_nothing() {
    let engine = engine();
    load(&engine, &library("f", "return 1"));

    for hostile in [
        "while true do end",
        "local s = ('a'):rep(1000) while true do s:find(('a?'):rep(20) .. 'b') end",
        "redis.register_function('g', function() end) while true do end",
        "local function f() return f() end f()",
    ] {
        let text = format!("#!lua name=f\n{hostile}");
        let answer = call(&engine, &START, &["FUNCTION", "LOAD", "REPLACE", &text]);
        let wanted = "-ERR Error registering functions: ERR FUNCTION LOAD timeout\r\n";
        assert_eq!(answer, wanted, "{hostile}");
    }
    assert_eq!(call(&engine, &START, &["FCALL", "f", "0"]), ":1\r\n");
    assert_eq!(
        call(&engine, &START, &["FCALL", "g", "0"]),
        "-ERR Function not found\r\n"
    );
}

#[test]
fn a_library_that_registers_without_end_is_refused_before_memory_is_full() {
    let engine = engine();
    call(
        &engine,
        &START,
        &["CONFIG", "SET", "lua-memory-limit", "4000000"],
    );
    let text = "#!lua name=many\nlocal f = function() end\nlocal i = 0\n\
                while true do i = i + 1 redis.register_function('f' .. i, f) end";

    let answer = load(&engine, text);
    assert!(answer.contains("not enough memory"), "{answer}");
    assert_eq!(call(&engine, &START, &["FUNCTION", "LIST"]), "*0\r\n");
    assert_eq!(load(&engine, &library("f", "return 1")), "$1\r\nf\r\n");
    assert_eq!(call(&engine, &START, &["FCALL", "f", "0"]), ":1\r\n");
}

#[test]
fn a_library_that_failed_to_load_leaves_the_world_of_functions_as_it_was() {
    let engine = engine();
    load(&engine, &library("f", "return redis.call('PING')"));
    assert_eq!(call(&engine, &START, &["FCALL", "f", "0"]), "+PONG\r\n");

    assert!(load(&engine, "#!lua name=bad\nredis.call('PING')").starts_with("-ERR Error"));

    assert_eq!(call(&engine, &START, &["FCALL", "f", "0"]), "+PONG\r\n");
}

#[test]
fn every_thread_sees_a_library_that_was_replaced_deleted_or_flushed() {
    let engine = engine();
    let elsewhere = |words: &'static [&'static str]| {
        let engine = Arc::clone(&engine);
        let answer = thread::spawn(move || call(&engine, &START, words)).join();
        answer.unwrap_or_default()
    };
    let here = |words: &[&str]| call(&engine, &START, words);
    let both = |wanted: &str| {
        assert_eq!(elsewhere(&["FCALL", "f", "0"]), wanted);
        assert_eq!(here(&["FCALL", "f", "0"]), wanted);
    };
    load(&engine, &library("f", "return 1"));
    both(":1\r\n");
    here(&["FUNCTION", "LOAD", "REPLACE", &library("f", "return 2")]);
    both(":2\r\n");
    elsewhere(&["FUNCTION", "DELETE", "f"]);
    both("-ERR Function not found\r\n");
    load(&engine, &library("f", "return 3"));
    both(":3\r\n");
    elsewhere(&["FUNCTION", "FLUSH"]);
    both("-ERR Function not found\r\n");
}

#[test]
fn a_function_runs_to_its_end_though_its_library_is_flushed_meanwhile() {
    let engine = engine();
    load(&engine, &library("spin", "while true do end"));
    let running = start(&engine, "spin");
    until(&engine, &["FUNCTION", "STATS"], |answer| {
        answer.contains("spin")
    });

    assert_eq!(call(&engine, &START, &["FUNCTION", "FLUSH"]), "+OK\r\n");
    assert_eq!(load(&engine, &library("f", "return 1")), "$1\r\nf\r\n");

    until(&engine, &["FUNCTION", "KILL"], |answer| answer == "+OK\r\n");
    assert!(running.join().unwrap_or_default().contains("script: spin"));
    assert_eq!(call(&engine, &START, &["FCALL", "f", "0"]), ":1\r\n");
}

#[test]
fn threads_that_load_the_same_library_at_once_leave_one() {
    let engine = engine();
    let loads = (0..4).map(|_| {
        let engine = Arc::clone(&engine);
        thread::spawn(move || load(&engine, &library("one", "return 1")))
    });
    let loads: Vec<_> = loads.collect();
    let answers = loads
        .into_iter()
        .map(|load| load.join().unwrap_or_default());

    let loaded = answers.filter(|answer| answer == "$3\r\none\r\n").count();

    assert_eq!(loaded, 1);
    assert!(call(&engine, &START, &["INFO", "memory"]).contains("number_of_libraries:1\r\n"));
    assert!(call(&engine, &START, &["INFO", "memory"]).contains("number_of_functions:1\r\n"));
}

#[test]
fn libraries_are_in_the_account_of_memory() {
    let engine = engine();
    let long = format!("return '{}'", "x".repeat(1_000_000));
    let used = || {
        let info = call(&engine, &START, &["INFO", "memory"]);
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        line.and_then(|bytes| bytes.parse::<usize>().ok())
            .unwrap_or(0)
    };
    let before = used();
    load(&engine, &library("long", &long));
    assert!(used() > before + 1_000_000);

    call(&engine, &START, &["CONFIG", "SET", "maxmemory", "500000"]);
    let refusal = load(&engine, &library("more", "return 1"));
    assert!(refusal.starts_with("-OOM"), "{refusal}");
    let refusal = call(&engine, &START, &["FCALL", "long", "0"]);
    assert!(refusal.starts_with("-OOM"), "{refusal}");
    assert_eq!(call(&engine, &START, &["FUNCTION", "FLUSH"]), "+OK\r\n");
    engine.tick(&START);
    assert_eq!(used(), before);
}

#[test]
fn scripts_and_functions_see_nothing_of_each_other() {
    let engine = engine();
    load(
        &engine,
        &library("f", "return redis.replicate_commands == nil"),
    );
    assert_eq!(call(&engine, &START, &["FCALL", "f", "0"]), ":1\r\n");
    let script = "return redis.register_function == nil";
    assert_eq!(call(&engine, &START, &["EVAL", script, "0"]), ":1\r\n");
    // What a script has set for its own kind stays there.
    let script = "cjson.encode_keep_buffer(false) cjson.decode_max_depth(1) return 1";
    assert_eq!(call(&engine, &START, &["EVAL", script, "0"]), ":1\r\n");
    call(&engine, &START, &["FUNCTION", "DELETE", "f"]);
    load(&engine, &library("f", "return #cjson.decode('[[[1]]]')"));
    assert_eq!(call(&engine, &START, &["FCALL", "f", "0"]), ":1\r\n");
}

#[test]
fn a_dump_of_all_libraries_brings_them_back() {
    let engine = engine();
    load(&engine, &library("one", "return 1"));
    load(&engine, &library("two", "return 2"));
    let dumped = dump(&engine);

    assert_eq!(call(&engine, &START, &["FUNCTION", "FLUSH"]), "+OK\r\n");
    assert_eq!(restore(&engine, &dumped, &[]), "+OK\r\n");
    assert_eq!(call(&engine, &START, &["FCALL", "two", "0"]), ":2\r\n");

    assert_eq!(
        restore(&engine, &dumped, &["APPEND"]),
        "-ERR Library one already exists\r\n"
    );
    call(
        &engine,
        &START,
        &["FUNCTION", "LOAD", "REPLACE", &library("two", "return 3")],
    );
    load(&engine, &library("three", "return 3"));
    assert_eq!(restore(&engine, &dumped, &["REPLACE"]), "+OK\r\n");
    assert_eq!(call(&engine, &START, &["FCALL", "two", "0"]), ":2\r\n");
    assert_eq!(call(&engine, &START, &["FCALL", "three", "0"]), ":3\r\n");
    assert_eq!(restore(&engine, &dumped, &["FLUSH"]), "+OK\r\n");
    assert_eq!(
        call(&engine, &START, &["FCALL", "three", "0"]),
        "-ERR Function not found\r\n"
    );
}

#[test]
fn a_restore_whose_functions_are_taken_changes_nothing() {
    let engine = engine();
    load(&engine, &library("f", "return 'restored'"));
    let dumped = dump(&engine);
    call(&engine, &START, &["FUNCTION", "FLUSH"]);
    let other = "#!lua name=other\nredis.register_function('F', function() return 'other' end)";
    load(&engine, other);

    for policy in ["APPEND", "REPLACE"] {
        assert_eq!(
            restore(&engine, &dumped, &[policy]),
            "-ERR Function f already exists\r\n"
        );
    }
    assert_eq!(
        call(&engine, &START, &["FCALL", "f", "0"]),
        "$5\r\nother\r\n"
    );
}

/// The bytes of FUNCTION DUMP.
fn dump(engine: &Arc<Engine>) -> Vec<u8> {
    let (_, out) = Connection::to(engine).execute(&["FUNCTION", "DUMP"]);
    let line = out.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    out[line + 1..out.len() - 2].to_vec()
}

fn restore(engine: &Arc<Engine>, payload: &[u8], policy: &[&str]) -> String {
    let mut words = vec![b"FUNCTION", &b"RESTORE"[..], payload];
    words.extend(policy.iter().map(|word| word.as_bytes()));
    call(engine, &START, &words)
}
