//! Scripts that were, or could have been, attacks on Redis through its Lua. None of them may do more
//! here than be refused: each test says which attack it is, and the rule that keeps it out.
//!
//! Lua is 5.1.5 as it was published. What stands between scripts and it is in
//! `scripting/guards`; the libraries that Redis adds are written in Rust.

use std::sync::Arc;

use larder_engine::Engine;

use crate::support::{START, call, engine};

struct Redis {
    engine: Arc<Engine>,
}

impl Redis {
    /// An engine whose scripts may hold 16 MB.
    fn new() -> Redis {
        let redis = Redis { engine: engine() };
        let answer = redis.call(&[b"CONFIG", b"SET", b"lua-memory-limit", b"16mb"]);
        assert_eq!(answer, "+OK\r\n");
        redis
    }

    fn call(&self, words: &[&[u8]]) -> String {
        call(&self.engine, &START, words)
    }

    fn eval(&self, script: &str) -> String {
        self.call(&[b"EVAL", script.as_bytes(), b"0"])
    }
}

/// The script is refused with a text that says this, and others run after it.
fn refused(script: &str, text: &str) {
    let redis = Redis::new();
    let answer = redis.eval(script);
    assert!(answer.starts_with("-ERR "), "{script}: {answer}");
    assert!(answer.contains(text), "{script}: {answer}");
    assert_eq!(redis.eval("return 1"), ":1\r\n", "{script}");
}

/// The script answers this, and others run after it.
fn answers(script: &str, wanted: &str) {
    let redis = Redis::new();
    assert_eq!(redis.eval(script), wanted, "{script}");
    assert_eq!(redis.eval("return 1"), ":1\r\n", "{script}");
}

/// CVE-2025-46817: the number of values was counted in 32 bits, and the values were written behind
/// the stack. The range is counted in 64 bits, and no more than 8000 values are given.
#[test]
fn unpack_gives_no_more_values_than_the_stack_holds() {
    for range in [
        "-2, 2147483647",
        "0, 2147483647",
        "1, 2147483647",
        "-2147483648, 2147483647",
        "-2147483648, -1",
        "1, 2^31 - 2",
        "1, 8000",
        "-7999, 0",
    ] {
        refused(
            &format!("return unpack({{1, 2, 3}}, {range})"),
            "too many results to unpack",
        );
    }
    answers("return select('#', unpack({}, 1, 7000))", ":7000\r\n");
    answers("return {unpack({1, 2, 3}, 2, 3)}", "*2\r\n:2\r\n:3\r\n");
    answers(
        "return select('#', unpack({}, 2^31 - 1, 2^31 - 1))",
        ":1\r\n",
    );
    answers("return select('#', unpack({1, 2}, 3, -3))", ":0\r\n");
}

/// CVE-2025-49844: the name of a text was let go while the text was being compiled. Nothing is
/// collected while a text is compiled, whatever the script did to the collector before.
#[test]
fn nothing_is_collected_while_a_text_is_compiled() {
    answers(
        "collectgarbage('setpause', 0) collectgarbage('setstepmul', 1e9)
         local long = string.rep('local a = {} a.b = [[c]] ', 200)
         for i = 1, 300 do
             local name = string.rep('n', i) .. i
             local f = assert(loadstring(long .. 'error(' .. i .. ')', name .. '\\0' .. i))
             name = nil
             collectgarbage('step', 1)
             assert(not pcall(f))
         end
         return 1",
        ":1\r\n",
    );
}

/// CVE-2025-46819: the signs of a long bracket were counted in 32 bits, and an error at the first
/// word read a word that was none. Texts are shorter than what 32 bits count.
#[test]
fn a_text_is_never_too_long_for_its_parser() {
    let redis = Redis::new();
    let long = vec![b'='; (64 << 20) + 1];
    let answer = redis.call(&[b"EVAL", &long, b"0"]);
    assert_eq!(answer, "-ERR script text is too long\r\n");
    let answer = redis.call(&[b"SCRIPT", b"LOAD", &long]);
    assert_eq!(answer, "-ERR script text is too long\r\n");

    let answer = redis.call(&[b"CONFIG", b"SET", b"lua-memory-limit", b"1gb"]);
    assert_eq!(answer, "+OK\r\n");
    let script = "local f, text = loadstring('[' .. string.rep('=', 2^26)) return text";
    assert_eq!(redis.eval(script), "$23\r\nscript text is too long\r\n");
    refused(
        "return loadstring('[' .. string.rep('=', 1e6))()",
        "call a nil value",
    );
    for text in ["", "[", "[=", "[==", "--[", "--[=", "\\0", "'", "0x", "1e+"] {
        let script = format!(
            "local f, e = loadstring('{}') return 1",
            text.replace('\'', "\\'")
        );
        answers(&script, ":1\r\n");
    }
}

/// CVE-2025-46818, CVE-2022-24735: a script changed what all scripts share, and later scripts ran
/// its functions as other users. What scripts share can't be changed in any way.
#[test]
fn a_script_changes_nothing_that_other_scripts_see() {
    for change in [
        "string.x = 1",
        "redis.call = 1",
        "cjson.decode = 1",
        "x = 1",
        "_G.x = 1",
        "rawset(string, 'x', 1)",
        "rawset(_G, 'x', 1)",
        "rawset(getmetatable('x'), '__index', {})",
        "table.insert(string, 1)",
        "table.insert(KEYS, 1, 1) table.insert(redis, 1, 1)",
        "setmetatable(string, {})",
        "setmetatable(_G, {})",
        "setmetatable(getmetatable('x'), {})",
        "getmetatable('x').__index = {}",
        "getmetatable('x').__add = function() end",
        "getmetatable('x').__index.rep = 1",
        "getmetatable(_G).__index = function() end",
        "for _, library in pairs(_G) do if type(library) == 'table' then library.x = 1 end end",
        "local _, t = pairs(string) t.x = 1",
        "local f = pairs({}) local t = {f(string)} string[t[1] or 1] = 1",
        "table.foreach(_G, function(name, value) if value == _G then value.x = 1 end end)",
        "coroutine.wrap(function() string.x = 1 end)()",
        "loadstring('x = 1')()",
        "load(function() if not done then return nil end end) x = 1",
    ] {
        let redis = Redis::new();
        let answer = redis.eval(change);
        let is_refused = answer.contains("Attempt to modify a readonly table");
        assert!(
            answer.starts_with("-ERR ") && is_refused,
            "{change}: {answer}"
        );
        for (seen, value) in [
            ("tostring(rawget(string, 'x'))", "nil"),
            ("tostring(rawget(string, 1))", "nil"),
            ("tostring(rawget(redis, 1))", "nil"),
            ("tostring(rawget(_G, 'x'))", "nil"),
            ("type(redis.call)", "function"),
            ("('x'):rep(3)", "xxx"),
            ("tostring(rawget(getmetatable('x'), '__add'))", "nil"),
        ] {
            let wanted = format!("${}\r\n{value}\r\n", value.len());
            assert_eq!(redis.eval(&format!("return {seen}")), wanted, "{change}");
        }
    }
    for name in [
        "getfenv", "setfenv", "newproxy", "debug", "require", "dofile", "io", "package",
    ] {
        refused(&format!("return {name}"), "nonexistent global variable");
    }
}

/// CVE-2022-24736: a script without a body, and one that raised what is no text, followed a null.
#[test]
fn a_script_may_raise_anything() {
    for value in [
        "nil",
        "{}",
        "true",
        "redis",
        "cjson.null",
        "function() end",
        "{err = {}}",
    ] {
        refused(&format!("error({value})"), "");
        refused(
            &format!("return pcall(error, {value}) and 1 or error({value})"),
            "",
        );
    }
    answers("", "$-1\r\n");
    answers("return ...", "$-1\r\n");
    answers("local function f(...) return ... end return f()", "$-1\r\n");
}

/// CVE-2015-4335, CVE-2015-0235 and others: bytecode that somebody made up reads and writes any
/// memory. Nothing is read as bytecode, not even what `string.dump` has made.
#[test]
fn bytecode_is_no_script() {
    let redis = Redis::new();
    let answer = redis.call(&[b"EVAL", b"\x1bLuaQ\0\x01\x04\x08\x04\x08\0", b"0"]);
    assert!(answer.contains("unexpected symbol near"), "{answer}");
    refused(
        "return loadstring(string.dump(function() return 1 end))()",
        "attempt to call a nil value",
    );
    answers(
        "local f, text = loadstring('\\27LuaQ\\0\\1') return text",
        "$53\r\n[string \"\u{1b}LuaQ\"]:1: unexpected symbol near 'char(27)'\r\n",
    );
    answers(
        "local sent
         local f, text = load(function() if not sent then sent = 1 return '\\27Lua' end end)
         return f == nil and 1",
        ":1\r\n",
    );
}

/// CVE-2014-5461: a function with many parameters was called without room for them.
#[test]
fn a_function_has_room_for_its_parameters() {
    answers(
        "local names = {} for i = 1, 190 do names[i] = 'p' .. i end
         local text = 'local ' .. 'f = function(' .. table.concat(names, ',') .. ', ...) '
             .. 'return select(\"#\", ...) end return f'
         local f = loadstring(text)()
         local function deep(n) if n == 0 then return f() end return deep(n - 1) + 0 end
         for n = 1, 150 do deep(n) coroutine.wrap(function() return f() end)() end
         return 1",
        ":1\r\n",
    );
}

/// CVE-2015-8080, CVE-2018-11219, CVE-2020-14147: numbers in the formats of `struct` were too large
/// for what they were counted in. They are counted with care, and no integer has more than 32 bytes.
#[test]
fn formats_of_struct_are_counted_without_overflow() {
    for (call, text) in [
        ("struct.pack('>I2147483648', 10)", "integral size overflow"),
        ("struct.pack('i99999999999', 10)", "integral size overflow"),
        (
            "struct.pack('I33', 1)",
            "integral size 33 is larger than limit of 32",
        ),
        ("struct.pack('!2147483647i', 1)", "is not a power of 2"),
        ("struct.pack('!0i', 1)", "alignment 0 is not a power of 2"),
        ("struct.pack('c2147483647', 'x')", "string too short"),
        ("struct.unpack('c2147483647', 'x')", "data string too short"),
        ("struct.unpack('i', 'abcd', -1)", "data string too short"),
        ("struct.unpack('i', 'abcd', 2^62)", "data string too short"),
        (
            "struct.unpack('i', 'abcd', 0)",
            "offset must be 1 or greater",
        ),
        ("struct.unpack('c0', 'abcd')", "needs a previous size"),
        (
            "struct.unpack('dc0', struct.pack('d', -1))",
            "data string too short",
        ),
        (
            "struct.unpack('dc0', struct.pack('d', 1e18))",
            "data string too short",
        ),
        ("struct.unpack('s', 'abc')", "unfinished string in data"),
        (
            "struct.unpack(string.rep('x', 10), '')",
            "data string too short",
        ),
        (
            "struct.unpack(string.rep('b', 9000), string.rep('x', 9000))",
            "stack overflow",
        ),
        ("struct.pack('y', 1)", "invalid format option 'y'"),
        ("struct.size('!16c0')", "no fixed size"),
        (
            "struct.pack(string.rep('s', 200), unpack({string.rep('x', 1e6)}, 1, 1))",
            "",
        ),
    ] {
        refused(&format!("return {call}"), text);
    }
    answers("return #struct.pack('>i32i1i0', -1, 1, 1)", ":33\r\n");
}

/// CVE-2018-11218, CVE-2021-32626: deep or wide MessagePack and JSON overflowed Lua's stack, and
/// C's. Containers are no calls in calls, and each value is asked room for.
#[test]
fn no_depth_or_width_of_a_text_overflows_a_stack() {
    for (call, text) in [
        (
            "cmsgpack.unpack(string.rep('\\145', 1e6))",
            "stack overflow",
        ),
        (
            "cmsgpack.unpack(string.rep('\\129', 1e6))",
            "stack overflow",
        ),
        (
            "cmsgpack.unpack(string.rep('\\1', 1e6))",
            "too many return values at once",
        ),
        (
            "cmsgpack.unpack('\\221\\255\\255\\255\\255')",
            "Missing bytes in input.",
        ),
        (
            "cmsgpack.unpack('\\223\\255\\255\\255\\255')",
            "Missing bytes in input.",
        ),
        (
            "cmsgpack.unpack('\\219\\255\\255\\255\\255x')",
            "Missing bytes in input.",
        ),
        ("cmsgpack.unpack('\\129\\192\\1')", "table index is nil"),
        (
            "cmsgpack.unpack('\\129\\203\\127\\248\\0\\0\\0\\0\\0\\0\\1')",
            "table index is NaN",
        ),
        ("cmsgpack.unpack('\\193')", "Bad data format in input."),
        (
            "cmsgpack.unpack_limit('\\1', -1)",
            "Invalid request to unpack",
        ),
        (
            "cmsgpack.unpack_one('\\1', 2)",
            "Start offset 2 greater than input length 1.",
        ),
        (
            "cmsgpack.unpack_one('\\1', -1)",
            "Invalid request to unpack",
        ),
        (
            "cjson.decode(string.rep('[', 1e6))",
            "Found too many nested data structures (1001)",
        ),
        (
            "cjson.decode(string.rep('{\"a\":', 1e5))",
            "too many nested",
        ),
        (
            "cjson.decode_max_depth(2^31 - 1) and cjson.decode(string.rep('[', 1e6))",
            "too many",
        ),
    ] {
        refused(&format!("return {call}"), text);
    }
    refused(
        "cjson.encode_max_depth(2^31 - 1) local t = {} for i = 1, 1e5 do t = {t} end
         return cjson.encode(t)",
        "excessive nesting",
    );
    refused(
        "cjson.encode_max_depth(2^31 - 1) local t = {} t.t = t return cjson.encode(t)",
        "excessive nesting",
    );
    answers("local t = {} t[1] = t return #cmsgpack.pack(t)", ":17\r\n");
    answers(
        "local t = {1} for i = 1, 100 do t = {t} end return #cmsgpack.pack(t)",
        ":17\r\n",
    );
    refused("return cmsgpack.pack()", "MessagePack pack needs input.");
}

/// CVE-2024-31449: `bit.tohex` with the least number of digits wrote behind its buffer.
#[test]
fn tohex_writes_eight_digits_at_most() {
    for (digits, text) in [
        ("-2147483648", "FFFFFFFF"),
        ("2147483647", "ffffffff"),
        ("-1", "F"),
        ("0", ""),
        ("4294967295", "F"),
        ("0/0", ""),
    ] {
        let script = format!("return bit.tohex(-1, {digits})");
        answers(&script, &format!("${}\r\n{text}\r\n", text.len()));
    }
}

/// CVE-2024-46981: a script made values with destructors, which ran while the machine was torn
/// down. Scripts make no value that has one: there is no `newproxy`, and `__gc` of a table is
/// nothing.
#[test]
fn no_code_of_a_script_runs_when_its_values_are_let_go() {
    let redis = Redis::new();
    let script = "setmetatable({}, {__gc = function() redis.call('SET', 'k', 1) end})
                  collectgarbage() return 1";
    for _ in 0..3 {
        assert_eq!(redis.eval(script), ":1\r\n");
        assert_eq!(redis.call(&[b"SCRIPT", b"FLUSH"]), "+OK\r\n");
    }
    assert_eq!(redis.call(&[b"GET", b"k"]), "$-1\r\n");
}

/// CVE-2021-32687 and others: sizes that only settings make too large. What a script makes is
/// bounded by lua-memory-limit, also what is made for it outside of Lua.
#[test]
fn what_is_made_for_a_script_is_bounded_as_what_it_makes() {
    for script in [
        "local s = string.rep('x', 1e6) local t = {'RPUSH', 'k'}
         for i = 3, 60 do t[i] = s end return redis.call(unpack(t))",
        "local s = string.rep('x', 1e6) local t = {'GET'}
         for i = 2, 60 do t[i] = s end return redis.acl_check_cmd(unpack(t))",
        "local s = string.rep('{},', 1e6) return #cjson.decode('[' .. s .. '1]')",
        "local s = string.rep('[0,0],', 4e5) return #cjson.decode('[' .. s .. '1]')",
        "return cmsgpack.unpack('\\221\\0\\15\\255\\255' .. string.rep('\\144', 2^20))",
        "local s = string.rep('x', 1e6) local t = {} for i = 1, 60 do t[i] = s end
         return #cmsgpack.pack(unpack(t))",
        "local s = string.rep('x', 1e6) local t = {} for i = 1, 60 do t[i] = s end
         return #struct.pack(string.rep('s', 60), unpack(t))",
        "local t = {1} for i = 1, 15 do t = {t, t, t, t, t, t} end return #cmsgpack.pack(t)",
        "cjson.encode_sparse_array(true, 0) return #cjson.encode({[2^31 - 1] = 1})",
        "return ('x'):rep(2^30)",
        "return ('%99d'):rep(1e6):format(unpack({}, 1, 7000))",
        "local t = {} for i = 1, 1e8 do t[i] = i end",
        "return table.concat({}, string.rep('x', 1e6), 1, 1e8)",
    ] {
        refused(script, "");
    }
    answers(
        "local t = {} for i = 1, 2e4 do t[i] = {i} end return #cjson.decode(cjson.encode(t))",
        ":20000\r\n",
    );
}

/// Each item of a pattern may be a call of C in a call: a long one ended the process.
#[test]
fn a_pattern_has_no_more_items_than_the_stack_of_c_has_room_for() {
    for call in [
        "('x'):find(string.rep('a?', 1e6))",
        "('x'):match(string.rep('x*', 1e6))",
        "('x'):gsub(string.rep('a-', 1e6), '')",
        "('x'):gmatch(string.rep('()', 1e6))",
        "string.gfind('x', string.rep('.?', 300))",
    ] {
        refused(&format!("return {call}"), "pattern too complex");
    }
    answers("return (('x'):rep(100):find(('x?'):rep(150)))", ":1\r\n");
    answers(
        "return (('x?'):rep(1e5)):find(('x?'):rep(1e4), 1, true)",
        ":1\r\n",
    );
    answers(
        "return (('%-'):rep(1e4) .. 'x'):find(('%%%-'):rep(1e4))",
        ":1\r\n",
    );
}

/// Functions that call functions that call them use up C's stack. It is a thread's own, and small.
#[test]
fn no_recursion_uses_up_the_stack_of_c() {
    for recursion in [
        "return (string.gsub('x', 'x', f))",
        "return string.gsub('xx', '(.)', f)",
        "return pcall(f)",
        "return pcall(pcall, f)",
        "return xpcall(f, type)",
        "return xpcall(error, f)",
        "return coroutine.wrap(f)()",
        "return coroutine.resume(coroutine.create(f))",
        "table.sort({2, 1}, f)",
        "table.foreach({1}, f)",
        "return setmetatable({}, {__index = f}).x",
        "return setmetatable({}, {__concat = f}) .. 'x'",
        "return tostring(setmetatable({}, {__tostring = f}))",
        "return load(f)",
        "return loadstring(string.rep('(', 1e5))",
        "return loadstring(string.rep('a={', 1e5))",
        "return loadstring('return ' .. string.rep('function() return ', 1e4))",
        "return loadstring('return ' .. string.rep('not ', 1e5) .. '1')",
        "return loadstring(string.rep('do ', 1e5))",
    ] {
        let script = format!("local function f() {recursion} end return f()");
        let small = std::thread::Builder::new().stack_size(2 << 20);
        let run = move || {
            let redis = Redis::new();
            redis.eval(&script);
            assert_eq!(redis.eval("return 1"), ":1\r\n", "{script}");
        };
        let thread = small.spawn(run).map(std::thread::JoinHandle::join);
        assert!(matches!(thread, Ok(Ok(()))), "{recursion}");
    }
}

/// Loops of C that no SCRIPT KILL reaches, and settings of the collector that stay.
#[test]
fn no_call_of_the_library_runs_for_ever_or_leaves_the_machine_changed() {
    refused("table.insert({}, -2^31, 1)", "position out of bounds");
    refused(
        "table.insert({1, 2}, -2^31 + 5, 1)",
        "position out of bounds",
    );
    answers("return string.rep('', 2^31 - 1)", "$0\r\n\r\n");
    answers(
        "local t = {} table.insert(t, 2^31 - 1, 1) return t[2^31 - 1]",
        ":1\r\n",
    );
    answers(
        "local t = {1, 2} table.insert(t, 1, 0) return t",
        "*3\r\n:0\r\n:1\r\n:2\r\n",
    );
    for option in [
        "'stop'",
        "'restart'",
        "'setpause', 0",
        "'setstepmul', -1",
        "'step', 1e9",
    ] {
        answers(
            &format!("collectgarbage({option}) collectgarbage() return 1"),
            ":1\r\n",
        );
    }
    let redis = Redis::new();
    assert_eq!(redis.eval("return collectgarbage('stop')"), ":0\r\n");
    let script = "for i = 1, 1e6 do local t = {i} end return 1";
    assert_eq!(redis.eval(script), ":1\r\n");
    refused("return collectgarbage('x')", "invalid option 'x'");
}

/// Wild ranges and positions in the rest of Lua's library.
#[test]
fn wild_numbers_are_refused_or_do_nothing() {
    for call in [
        "string.byte('abc', -2^31, 2^31 - 1)",
        "string.byte(string.rep('x', 1e5), 1, -1)",
        "string.sub('abc', -2^63, 2^63)",
        "string.sub('abc', 2^31, -2^31)",
        "string.char(-1)",
        "string.char(256, 1e300)",
        "select(-2^31, 1)",
        "select(2^31, 1)",
        "table.concat({1, 2}, ',', -2^31, 2^31 - 1)",
        "table.concat({}, ',', 2^31 - 1, 2^31 - 1)",
        "table.remove({1, 2}, 2^31 - 1)",
        "table.remove({1, 2}, -2^31)",
        "table.setn({}, 2^31)",
        "table.getn(setmetatable({}, {__index = error}))",
        "math.random(-2^31, 2^31 - 1)",
        "math.random(0/0)",
        "math.randomseed(1e308)",
        "math.ldexp(1, 2^31)",
        "string.format('%99.99f', 1e308)",
        "string.format('%100d', 1)",
        "string.format('%c%s%q', 0, string.rep('x', 1e5), '\\0')",
        "tostring(2^1023 * 10)",
        "tonumber(string.rep('9', 1e5), 36)",
        "tonumber('1', 2^31)",
        "next({}, 1)",
        "rawget({}, 0/0)",
        "rawset({}, 0/0, 1)",
        "rawset({}, nil, 1)",
        "table.foreachi({1}, function() return redis end)",
        "coroutine.resume(coroutine.running() or coroutine.create(error))",
        "coroutine.wrap(function() return coroutine.yield(unpack({}, 1, 5000)) end)()",
    ] {
        let redis = Redis::new();
        redis.eval(&format!("return {call}"));
        assert_eq!(redis.eval("return 1"), ":1\r\n", "{call}");
    }
    refused(
        "coroutine.yield(1)",
        "attempt to yield across metamethod/C-call boundary",
    );
}
