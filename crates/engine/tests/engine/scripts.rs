//! Scripts that run for too long or take too much, and what becomes of them and of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use larder_engine::{Engine, Now, Ticks, TimeSource};

use crate::support::{Connection, Hasty, START, call, call_in, engine};

const BUSY: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";

/// Runs a script on a thread of its own, from the time at which the test's clock starts.
fn start(engine: &Arc<Engine>, script: &'static str) -> JoinHandle<String> {
    let engine = Arc::clone(engine);
    let clock = START;
    thread::spawn(move || call(&engine, &clock, &["EVAL", script, "0"]))
}

/// Runs a script and kills it as soon as it runs. Answers what it answered.
fn killed(script: &'static str) -> String {
    let engine = engine();
    let running = start(&engine, script);
    let clock = Hasty::default();
    while !running.is_finished() && call(&engine, &clock, &["SCRIPT", "KILL"]) != "+OK\r\n" {
        thread::yield_now();
    }
    running.join().unwrap_or_default()
}

#[test]
fn a_script_that_runs_for_ever_is_killed_by_another_caller() {
    assert_eq!(
        killed("while true do end"),
        "-ERR Script killed by user with SCRIPT KILL... script: \
         694a5fe1ddb97a4c6a1bf299d9537c7d3d0f84e7, on @user_script:1.\r\n"
    );
}

#[test]
fn a_script_can_not_catch_its_end() {
    for script in [
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function(e) return e end) end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "while true do local c = coroutine.create(function() while true do end end) \
         coroutine.resume(c) end",
        "local function f() while true do pcall(f) end end f()",
        "while true do redis.pcall('GET', 'a') end",
        "local function f() while true do end end xpcall(f, f)",
        "local function f() return f() end while true do xpcall(error, f) end",
    ] {
        let answer = killed(script);
        let end = "-ERR Script killed by user with SCRIPT KILL... script: ";
        assert!(answer.starts_with(end), "{script}: {answer}");
    }
}

/// A match of a pattern of few bytes takes longer than anybody lives, and comparing much takes long.
/// In Redis nothing ends that.
#[test]
fn a_script_is_killed_within_a_call_of_the_library() {
    for call in [
        "x:find(hostile)",
        "x:match(hostile)",
        "x:gsub(hostile, '')",
        "for word in x:gmatch(hostile) do end",
        "('x'):rep(2^20):match('.-.-.-.-.-b')",
        "('('):rep(2^22):gsub('%b()', '')",
        "('x'):rep(2^22):find('[' .. ('ab'):rep(2^21) .. ']', 1)",
        "('x'):rep(2^24):find(('x'):rep(2^23) .. 'y', 1, true)",
        "local s, t = ('x'):rep(2^20), {} for i = 1, 5e5 do t[i] = s end table.sort(t)",
        "pcall(string.find, x, hostile) while true do end",
        "coroutine.wrap(function() pcall(string.find, x, hostile) end)() while true do end",
    ] {
        let script =
            format!("local x, hostile = ('a'):rep(60), ('a?'):rep(60) .. ('a'):rep(60); {call}");
        let answer = killed(script.leak());
        let end = "-ERR Script killed by user with SCRIPT KILL... script: ";
        assert!(answer.starts_with(end), "{call}: {answer}");
        assert!(
            answer.ends_with("on @user_script:1.\r\n"),
            "{call}: {answer}"
        );
    }
}

#[test]
fn callers_who_need_the_keys_of_a_long_script_are_refused_and_others_are_not() {
    let engine = engine();
    let running = start(&engine, "redis.call('GET', 'a' .. 1) while true do end");
    let clock = Hasty::default();
    while call(&engine, &clock, &["GET", "a"]) != BUSY {
        thread::yield_now();
    }
    let script = ["EVAL", "return redis.call('GET', KEYS[1])", "1", "a"];
    assert_eq!(call(&engine, &clock, &script), BUSY);
    assert_eq!(call(&engine, &clock, &["PING"]), "+PONG\r\n");
    assert_eq!(call(&engine, &clock, &["SCRIPT", "KILL"]), "+OK\r\n");
    assert!(
        running
            .join()
            .unwrap_or_default()
            .starts_with("-ERR Script killed")
    );
    assert_eq!(call(&engine, &clock, &["GET", "a"]), "$-1\r\n");
    let answer = call(&engine, &clock, &["SCRIPT", "KILL"]);
    assert_eq!(answer, "-NOTBUSY No scripts in execution right now.\r\n");
}

/// As Redis does, which has one thread, for those who tell by PING whether a server is well.
#[test]
fn every_client_is_refused_beside_a_long_script_if_that_is_wanted() {
    let engine = engine();
    let clock = Hasty::default();
    let mut client = Connection::to(&engine).session;
    let mut ask = |words: &[&str]| call_in(&engine, &mut client, &clock, words);
    assert_eq!(
        ask(&["CONFIG", "SET", "busy-reply-for-all", "yes"]),
        "+OK\r\n"
    );
    let running = start(&engine, "while true do end");
    while ask(&["PING"]) != BUSY {
        engine.tick(&clock);
        thread::yield_now();
    }
    assert_eq!(ask(&["MULTI"]), "+OK\r\n");
    assert_eq!(ask(&["GET", "a"]), BUSY);
    let answer = ask(&["EXEC"]);
    assert!(
        answer.starts_with("-EXECABORT Transaction discarded because of: BUSY "),
        "{answer}"
    );
    let mut newcomer = Connection::to(&engine).session;
    assert_eq!(call_in(&engine, &mut newcomer, &clock, &["PING"]), BUSY);
    // Whoever calls from within the process has come to no server.
    assert_eq!(call(&engine, &clock, &["PING"]), "+PONG\r\n");
    assert_eq!(ask(&["SCRIPT", "KILL"]), "+OK\r\n");
    let answer = running.join().unwrap_or_default();
    assert!(answer.starts_with("-ERR Script killed"), "{answer}");
    // At once, and not with the next tick.
    assert_eq!(ask(&["PING"]), "+PONG\r\n");
}

#[test]
fn a_script_that_has_written_is_not_killed_but_ends_with_the_store() {
    let engine = engine();
    let script = "redis.call('SET', 'a', 1) while true do end";
    let mut running = start(&engine, script);
    let clock = Hasty::default();
    loop {
        let answer = call(&engine, &clock, &["SCRIPT", "KILL"]);
        if answer.starts_with("-UNKILLABLE Sorry the script already executed write commands") {
            break;
        }
        if answer == "+OK\r\n" {
            // It was killed before it wrote.
            let answer = running.join().unwrap_or_default();
            assert!(answer.starts_with("-ERR Script killed by user"), "{answer}");
            running = start(&engine, script);
        }
        thread::yield_now();
    }
    engine.stop_scripts();
    let answer = running.join().unwrap_or_default();
    let end = "-ERR Script ended because the store is closing script: ";
    assert!(answer.starts_with(end), "{answer}");
    // What it had written stays, as after an error.
    assert_eq!(call(&engine, &clock, &["GET", "a"]), "$1\r\n1\r\n");
}

#[test]
fn a_script_that_takes_too_much_memory_is_refused_and_others_go_on() {
    let engine = engine();
    let clock = START;
    assert_eq!(
        call(
            &engine,
            &clock,
            &["CONFIG", "SET", "lua-memory-limit", "4mb"]
        ),
        "+OK\r\n"
    );
    for script in [
        "return #string.rep('x', 1e10)",
        "local t = {} while true do t[#t + 1] = {1, 2, 3} end",
        "local s = 'x' while true do s = s .. s end",
        "local s = string.rep('x', 1000000) local t = {} for i = 1, 100000 do t[i] = s end \
         return table.concat(t)",
        "local s = string.rep('x', 1000000) local t = {} for i = 1, 10000 do t[i] = s end \
         return cjson.encode(t)",
        "local s = string.rep('x', 1000000) local t = {} for i = 1, 10000 do t[i] = s end return t",
        "local t = {1, 2} for i = 1, 40 do t = {t, t} end return t",
        "local t = {1, 2} for i = 1, 40 do t = {t, t} end return cjson.encode(t)",
        "return {pcall(string.rep, 'x', 1e10)}[2]",
    ] {
        let answer = call(&engine, &clock, &["EVAL", script, "0"]);
        assert!(answer.starts_with("-ERR "), "{script}: {answer}");
        assert_eq!(call(&engine, &clock, &["EVAL", "return 1", "0"]), ":1\r\n");
    }
}

#[test]
fn a_script_that_recurses_or_nests_without_end_is_refused() {
    let engine = engine();
    let clock = START;
    for script in [
        "local function f() return 1 + f() end return f()",
        "local function f() return pcall(f) end return f()",
        "local function f() return xpcall(f, f) end return f()",
        "local function f(e) error(e) end return xpcall(f, f)",
        "return unpack({}, 1, 1e8)",
        "local t = {} t[1] = t return t",
        "local t = {} t[1] = t return cjson.encode(t)",
        "return cjson.decode(string.rep('[', 100000))",
        "return string.rep('a', 100000):find(string.rep('(', 1000))",
        "return string.format('%' .. string.rep('9', 100) .. 'd', 1)",
        "error(setmetatable({}, {__tostring = function() error('again') end}))",
        "error(nil)",
        "error({})",
        "error({err = {}})",
        "error(function() end)",
        "error(cjson.null)",
        "error(coroutine.create(function() end))",
        "coroutine.yield(1)",
        "return redis.call(unpack({}, 1, 7000))",
        "local t = {'SET'} for i = 1, 100000 do t[i] = 'x' end return redis.call(unpack(t))",
        "return loadstring('\\27Lua')()",
        "return select('#', string.byte(string.rep('x', 1e7), 1, -1))",
        "return setmetatable({}, {__index = function(t, k) return t[k] end}).x",
        "local s = setmetatable({}, {__gc = error}) s = nil collectgarbage() return nope",
        "return redis.error_reply(nil).x.y",
        "table.sort({3, 1, 2, 5, 4}, function() return true end) error('x')",
        "return string.dump(function() end)",
        "local t = {} for i = 1, 30000 do t['k' .. i] = 'v' .. i end return #cjson.encode(t)",
        "local t = {} for i = 1, 30000 do t[i] = {'v' .. i} end return t",
        "local t = {} for i = 1, 30000 do t['k' .. i] = 'v' .. i end return {map = t}",
        "local t = {} for i = 1, 30000 do t['k' .. i] = true end return {set = t}",
        "local t = {'MGET'} for i = 2, 7990 do t[i] = 'k' .. i end return #redis.call(unpack(t))",
        "local t = {} for i = 1, 1000 do t = {t} end return redis.call('SET', 'a', cjson.encode(t))",
    ] {
        let answer = call(&engine, &clock, &["EVAL", script, "0"]);
        assert!(!answer.contains("internal error"), "{script}: {answer}");
        assert_eq!(call(&engine, &clock, &["EVAL", "return 1", "0"]), ":1\r\n");
    }
}

#[test]
fn a_long_answer_is_whole() {
    let engine = engine();
    let clock = START;
    for (script, beginning) in [
        (
            "local t = {} for i = 1, 30000 do t[i] = 'v' .. i end return t",
            "*30000\r\n",
        ),
        (
            "local t = {} for i = 1, 30000 do t['k' .. i] = 'v' end return {map = t}",
            "*60000\r\n",
        ),
        (
            "local t = {} for i = 1, 30000 do t['k' .. i] = true end return {set = t}",
            "*30000\r\n",
        ),
    ] {
        let answer = call(&engine, &clock, &["EVAL", script, "0"]);
        assert!(answer.starts_with(beginning), "{script}");
    }
}

/// A script that waits until `TIME` says so must end, though the time stands still at first.
#[test]
fn a_script_that_waits_by_time_ends() {
    /// The system's clock, as far as scripts can tell: it goes on whenever it is looked at.
    struct Going(AtomicU64);
    impl TimeSource for Going {
        fn now(&self) -> Now {
            START
        }

        fn ticks(&self) -> Ticks {
            Ticks::from_us(self.0.fetch_add(1000, Ordering::Relaxed))
        }
    }
    let engine = engine();
    let clock = Going(AtomicU64::new(0));
    let script = "local function now() local t = redis.call('TIME') return t[1] + t[2] / 1e6 end
                  local first = now()
                  assert(now() == first)
                  while now() < first + 0.2 do end
                  return 1";
    assert_eq!(call(&engine, &clock, &["EVAL", script, "0"]), ":1\r\n");
}

#[test]
fn of_the_scripts_that_came_by_eval_those_stay_that_were_used_last() {
    let engine = engine();
    let clock = START;
    let exists = |text: &str| {
        let script = format!("return redis.sha1hex('{text}')");
        let digest = call(&engine, &clock, &["EVAL", &script, "0"]);
        let digest = digest.lines().nth(1).unwrap_or_default();
        call(&engine, &clock, &["SCRIPT", "EXISTS", digest])
    };
    assert!(call(&engine, &clock, &["SCRIPT", "LOAD", "return 1000"]).starts_with("$40"));
    for number in 0..600 {
        let text = format!("return {number}");
        assert_eq!(
            call(&engine, &clock, &["EVAL", &text, "0"]),
            format!(":{number}\r\n")
        );
        assert_eq!(call(&engine, &clock, &["EVAL", "return 0", "0"]), ":0\r\n");
    }
    assert_eq!(exists("return 1000"), "*1\r\n:1\r\n");
    assert_eq!(exists("return 0"), "*1\r\n:1\r\n");
    assert_eq!(exists("return 599"), "*1\r\n:1\r\n");
    assert_eq!(exists("return 1"), "*1\r\n:0\r\n");
    // One that was forgotten is known again when it comes again.
    assert_eq!(call(&engine, &clock, &["EVAL", "return 1", "0"]), ":1\r\n");
    assert_eq!(exists("return 1"), "*1\r\n:1\r\n");
    assert_eq!(call(&engine, &clock, &["SCRIPT", "FLUSH"]), "+OK\r\n");
    assert_eq!(exists("return 1000"), "*1\r\n:0\r\n");
}

/// The answer of a script may be nested as deep as Lua's stack goes, on a small thread as well.
#[test]
fn a_deep_answer_is_whole() {
    let engine = engine();
    let small = thread::Builder::new().stack_size(1 << 20);
    let run = move || {
        let clock = START;
        let script = "local t = 1 for i = 1, 7000 do t = {t} end return t";
        call(&engine, &clock, &["EVAL", script, "0"])
    };
    let answer = small.spawn(run).map(JoinHandle::join);
    let wanted = "*1\r\n".repeat(7000) + ":1\r\n";
    assert!(matches!(answer, Ok(Ok(answer)) if answer == wanted));
}
