//! Runs random and hostile scripts on an engine, for as long as it is told to.
//!
//! ```text
//! fuzz_scripts [--seconds N] [--scripts N] [--seed S] [--killed-after MS] [--last FILE]
//! ```
//!
//! Each script is written to FILE before it runs, so that one that ends the process is found there.
//! The same seed makes the same scripts. `cargo xtask fuzz scripts` runs this as a child; under
//! valgrind or AddressSanitizer it finds what does not crash as well.

#![allow(clippy::print_stdout, reason = "it is a program for a terminal")]

use std::error::Error;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use larder_engine::{Engine, Now, RespReply, Session};
use larder_resp::ArgumentBuffer;

/// When the engine's clock begins, in microseconds.
const START: u64 = 1_700_000_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let running = Arc::new(Running::new());
    let killer = kill_long_scripts(Arc::clone(&running), options.killed_after);

    let begun = Instant::now();
    let mut count: u64 = 0;
    while begun.elapsed() < options.time && count < options.scripts {
        let script = Generator::new(options.seed.wrapping_add(count)).script();
        if let Some(file) = &options.last {
            std::fs::write(file, &script)?;
        }
        let engine = running.engine();
        let words: &[&[u8]] = &[
            b"EVAL",
            &script,
            b"2",
            b"key",
            b"other",
            b"argument",
            b"\xff\0",
        ];
        call(&engine, words);
        call(&engine, &[b"FLUSHALL"]);
        if count.is_multiple_of(50) {
            call(&engine, &[b"SCRIPT", b"FLUSH"]);
        }
        count += 1;
    }
    running.is_over.store(true, Ordering::Relaxed);
    killer
        .join()
        .map_err(|_| "the thread that kills scripts has failed")?;
    println!("{count} scripts from seed {}", options.seed);
    Ok(())
}

/// What the thread that runs scripts shares with the one that ends them.
struct Running {
    engine: Mutex<Arc<Engine>>,
    is_over: AtomicBool,
}

impl Running {
    fn new() -> Running {
        Running {
            engine: Mutex::new(new_engine()),
            is_over: AtomicBool::new(false),
        }
    }

    fn engine(&self) -> Arc<Engine> {
        let engine = self.engine.lock();
        Arc::clone(&engine.unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends what runs, and has the next scripts run on another engine: one that stopped a script
    /// runs no more of them.
    fn replace(&self) {
        let engine = self.engine.lock();
        let mut engine = engine.unwrap_or_else(PoisonError::into_inner);
        engine.stop_scripts();
        *engine = new_engine();
    }
}

/// An engine whose scripts may hold 8 MB.
fn new_engine() -> Arc<Engine> {
    let engine = Engine::new([7; 32], Now::from_unix_us(START));
    call(&engine, &[b"CONFIG", b"SET", b"lua-memory-limit", b"8mb"]);
    engine
}

/// What the program is told.
struct Options {
    time: Duration,
    scripts: u64,
    seed: u64,
    /// How long a script may run before it is killed.
    killed_after: Duration,
    last: Option<String>,
}

impl Options {
    fn read() -> Result<Options, Box<dyn Error>> {
        let mut options = Options {
            time: Duration::from_secs(10),
            scripts: u64::MAX,
            seed: 0,
            killed_after: Duration::from_millis(10),
            last: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(name) = words.next() {
            let value = words.next().ok_or(format!("{name} has no value"))?;
            match name.as_str() {
                "--seconds" => options.time = Duration::from_secs(value.parse()?),
                "--scripts" => options.scripts = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                "--killed-after" => options.killed_after = Duration::from_millis(value.parse()?),
                "--last" => options.last = Some(value),
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        Ok(options)
    }
}

fn call(engine: &Arc<Engine>, words: &[&[u8]]) -> Vec<u8> {
    let mut request = ArgumentBuffer::new();
    words.iter().for_each(|word| request.push(word));
    let mut out = Vec::new();
    let mut reply = RespReply::new(&mut out, false);
    let clock = Now::from_unix_us(START);
    let mut session = Session::local();
    let _ = engine.execute(&mut session, request.as_arguments(), &clock, &mut reply);
    out
}

/// Ends each script that runs for long, in a thread of its own.
fn kill_long_scripts(running: Arc<Running>, after: Duration) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        while !running.is_over.load(Ordering::Relaxed) {
            thread::sleep(after);
            running.replace();
        }
    })
}

/// Functions that scripts have, with what they take: `n` numbers, `s` texts, `p` patterns, `t`
/// tables, `f` functions, `x` anything.
const FUNCTIONS: &[(&str, &str)] = &[
    ("assert", "xs"),
    ("collectgarbage", "sn"),
    ("error", "xn"),
    ("gcinfo", ""),
    ("getmetatable", "x"),
    ("ipairs", "t"),
    ("load", "fs"),
    ("loadstring", "ss"),
    ("next", "tx"),
    ("pairs", "t"),
    ("pcall", "fxx"),
    ("rawequal", "xx"),
    ("rawget", "tx"),
    ("rawset", "txx"),
    ("select", "nxxx"),
    ("setmetatable", "tt"),
    ("tonumber", "sn"),
    ("tostring", "x"),
    ("type", "x"),
    ("unpack", "tnn"),
    ("xpcall", "ff"),
    ("string.byte", "snn"),
    ("string.char", "nnn"),
    ("string.dump", "f"),
    ("string.find", "spnx"),
    ("string.format", "sxxx"),
    ("string.gfind", "sp"),
    ("string.gmatch", "sp"),
    ("string.gsub", "spxn"),
    ("string.len", "s"),
    ("string.lower", "s"),
    ("string.match", "spn"),
    ("string.rep", "sn"),
    ("string.reverse", "s"),
    ("string.sub", "snn"),
    ("string.upper", "s"),
    ("table.concat", "tsnn"),
    ("table.foreach", "tf"),
    ("table.foreachi", "tf"),
    ("table.getn", "t"),
    ("table.insert", "tnx"),
    ("table.maxn", "t"),
    ("table.remove", "tn"),
    ("table.setn", "tn"),
    ("table.sort", "tf"),
    ("math.abs", "n"),
    ("math.ceil", "n"),
    ("math.floor", "n"),
    ("math.fmod", "nn"),
    ("math.frexp", "n"),
    ("math.ldexp", "nn"),
    ("math.max", "nnn"),
    ("math.min", "nnn"),
    ("math.mod", "nn"),
    ("math.modf", "n"),
    ("math.pow", "nn"),
    ("math.random", "nn"),
    ("math.randomseed", "n"),
    ("math.sqrt", "n"),
    ("coroutine.create", "f"),
    ("coroutine.resume", "xxx"),
    ("coroutine.running", ""),
    ("coroutine.status", "x"),
    ("coroutine.wrap", "f"),
    ("coroutine.yield", "xx"),
    ("os.clock", ""),
    ("redis.call", "ssss"),
    ("redis.pcall", "ssss"),
    ("redis.sha1hex", "s"),
    ("redis.error_reply", "s"),
    ("redis.status_reply", "s"),
    ("redis.setresp", "n"),
    ("redis.set_repl", "n"),
    ("redis.replicate_commands", ""),
    ("redis.acl_check_cmd", "ss"),
    ("redis.log", "ns"),
    ("redis.breakpoint", ""),
    ("redis.debug", "xx"),
    ("cjson.encode", "x"),
    ("cjson.decode", "s"),
    ("cjson.encode_sparse_array", "xnn"),
    ("cjson.encode_max_depth", "n"),
    ("cjson.decode_max_depth", "n"),
    ("cjson.encode_number_precision", "n"),
    ("cjson.encode_keep_buffer", "x"),
    ("cjson.encode_invalid_numbers", "x"),
    ("cjson.decode_invalid_numbers", "x"),
    ("cjson.new", ""),
    ("cmsgpack.pack", "xxx"),
    ("cmsgpack.unpack", "s"),
    ("cmsgpack.unpack_one", "sn"),
    ("cmsgpack.unpack_limit", "snn"),
    ("struct.pack", "snsx"),
    ("struct.unpack", "ssn"),
    ("struct.size", "s"),
    ("bit.tobit", "n"),
    ("bit.tohex", "nn"),
    ("bit.bnot", "n"),
    ("bit.band", "nnn"),
    ("bit.bor", "nnn"),
    ("bit.bxor", "nnn"),
    ("bit.lshift", "nn"),
    ("bit.rshift", "nn"),
    ("bit.arshift", "nn"),
    ("bit.rol", "nn"),
    ("bit.ror", "nn"),
    ("bit.bswap", "n"),
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "16",
    "255",
    "1e3",
    "7999",
    "8000",
    "8001",
    "65536",
    "1e6",
    "2^26",
    "2^31-1",
    "2^31",
    "-2^31",
    "-2^31-1",
    "2^32",
    "2^32+1",
    "2^53",
    "2^63",
    "-2^63",
    "2^64",
    "1e308",
    "-1e308",
    "1/0",
    "-1/0",
    "0/0",
    "0.5",
    "-0.5",
    "1e-300",
    "0x7fffffff",
];

const TEXTS: &[&str] = &[
    "''",
    "'a'",
    "'abc'",
    "'\\0'",
    "'a\\0b'",
    "'\\27Lua'",
    "'10'",
    "'0x10'",
    "' 1 '",
    "'%'",
    "'%%'",
    "'%d%s%q%c%5.2f'",
    "'%99.99f'",
    "'%1'",
    "'(a*(.)b)'",
    "'[^%w'",
    "'%b()'",
    "'%f[%a]'",
    "'(()'",
    "'a-b?.*'",
    "'^$'",
    "'return 1'",
    "'return ...'",
    "'local function f() return f() end f()'",
    "'[1,2,{\"a\":null}]'",
    "'{\"a\":[1e5,-0.1,true]}'",
    "'\"\\\\ud83d\\\\ude00\"'",
    "'[nan,inf,0x1p5]'",
    "'\\148\\1\\162ab\\192\\203'",
    "'\\221\\255\\255\\255\\255'",
    "'\\223\\255\\255\\255\\255\\1'",
    "'\\219\\255\\255\\255\\255'",
    "'>I4s!8di3c0x'",
    "'i32'",
    "'c2147483647'",
    "'!3i'",
    "'<b h l T f d'",
    "'k'",
    "'v'",
    "'count'",
    "'stop'",
    "'step'",
    "'setpause'",
    "'GET'",
    "'SET'",
    "'HSET'",
    "'LPUSH'",
    "'SORT'",
    "'key'",
    "'__index'",
    "'__gc'",
    "'__metatable'",
    "'off'",
    "'null'",
    "'#'",
    "KEYS[1]",
    "ARGV[2]",
    "string.rep('a?', 300)",
    "string.rep('(', 40)",
    "string.rep('x', 1e5)",
    "string.rep('[', 3000)",
    "string.rep('\\145', 5000)",
    "string.rep('i4', 500)",
    "string.rep('{', 250)",
    "string.rep('=', 5000)",
];

const PATTERNS: &[&str] = &[
    "''",
    "'.'",
    "'.-'",
    "'(.-)%1'",
    "'%f[%w]%w+'",
    "'%b()'",
    "'%b'",
    "'[^%w_-]+$'",
    "'[a-'",
    "'[]]'",
    "'[^]'",
    "'()'",
    "'((a)(b))'",
    "'(a'",
    "'a)'",
    "'%9'",
    "'%'",
    "'[%'",
    "'%f'",
    "'\\0+'",
    "'^(x*)*$'",
    "'.-.-.-.-.-.-b'",
    "string.rep('a?', 90)..string.rep('a', 90)",
    "string.rep('(.)', 33)",
    "string.rep('x*', 40)..'y'",
    "string.rep('[', 3000)",
    "string.rep('%', 201)",
];

const TABLES: &[&str] = &[
    "{}",
    "{1,2,3}",
    "{n=5}",
    "{[2^31]=1}",
    "{[-2^31]=1}",
    "{[1e308]=2}",
    "{err='e'}",
    "{ok='o'}",
    "{map={a=1}}",
    "{set={a=true}}",
    "{double=1.5}",
    "KEYS",
    "ARGV",
    "string",
    "table",
    "redis",
    "cjson",
    "_G",
    "getmetatable('')",
    "setmetatable({}, {__index=function(t,k) return k end})",
    "setmetatable({}, {__newindex=rawset})",
    "setmetatable({}, {__call=function(...) return ... end})",
    "setmetatable({}, {__mode='kv'})",
    "setmetatable({}, {__lt=function() return true end})",
    "setmetatable({}, {__tostring=error})",
    "setmetatable({}, {__metatable=1})",
];

const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "%", "^", "..", "==", "~=", "<", "<=", "and", "or",
];

const VARIABLES: &[&str] = &["a", "b", "c", "d"];

/// Makes scripts. The same seed makes the same one.
struct Generator {
    state: u64,
    out: String,
}

impl Generator {
    fn new(seed: u64) -> Generator {
        let state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D;
        Generator {
            state: state.max(1),
            out: String::new(),
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// A whole script, some of which are no Lua.
    fn script(mut self) -> Vec<u8> {
        self.put("local a, b, c, d = {}, 'text', 3, function(...) return ... end\n");
        for _ in 0..=self.below(12) {
            self.put("pcall(function()\n");
            for _ in 0..=self.below(3) {
                self.statement(4);
            }
            self.put("end)\n");
        }
        self.put("return ");
        self.expression(3);
        let mut script = std::mem::take(&mut self.out).into_bytes();
        if self.below(6) == 0 {
            self.spoil(&mut script);
        }
        script
    }

    /// Changes some bytes, so that the parser sees what it does not expect.
    fn spoil(&mut self, script: &mut Vec<u8>) {
        for _ in 0..=self.below(8) {
            let place = self.below(script.len());
            match self.below(4) {
                0 => script[place] = self.below(256) as u8,
                1 if script.len() > 1 => drop(script.remove(place)),
                2 => script.insert(place, b"[]{}()=\"'-\\\n\0"[self.below(13)]),
                _ => script.truncate(place + 1),
            }
        }
    }

    fn statement(&mut self, depth: usize) {
        let depth = depth.saturating_sub(1);
        match self.below(if depth == 0 { 4 } else { 12 }) {
            0 | 1 => {
                let name = self.pick(VARIABLES);
                let _ = write!(self.out, "{name} = ");
                self.expression(depth);
            }
            2 | 3 => self.call(depth),
            4 => {
                self.put("local e ");
                self.put("= ");
                self.expression(depth);
            }
            5 => self.nested("if ", " then ", depth),
            6 => {
                let count = self.pick(&["3", "10", "300"]);
                let _ = write!(self.out, "for i = 1, {count} do ");
                self.statement(depth);
                self.put(" end");
            }
            7 => self.nested("for k, v in pairs(", ") do ", depth),
            8 => {
                self.put("while true do ");
                self.statement(depth);
                self.put(" if a then break end end");
            }
            9 => {
                let name = self.pick(VARIABLES);
                let _ = write!(self.out, "{name}[");
                self.expression(depth);
                self.put("] = ");
                self.expression(depth);
            }
            10 => {
                self.put("local function f(...) ");
                self.statement(depth);
                self.put(" return f(...) end ");
                self.put(self_calls(self.state));
            }
            _ => {
                let table = self.pick(&["string", "redis", "_G", "getmetatable('')", "cjson"]);
                let _ = write!(self.out, "{table}.x = 1");
            }
        }
        self.put("\n");
    }

    /// A statement that asks for a value, with a statement in it.
    fn nested(&mut self, before: &str, between: &str, depth: usize) {
        self.put(before);
        self.expression(depth);
        self.put(between);
        self.statement(depth);
        self.put(" end");
    }

    fn call(&mut self, depth: usize) {
        let (function, takes) = match self.below(8) {
            0 => (self.pick(VARIABLES), ""),
            _ => FUNCTIONS[self.below(FUNCTIONS.len())],
        };
        self.put(function);
        self.put("(");
        // Mostly what it takes, so that it does not refuse the first of them.
        let takes = if self.below(4) == 0 { "" } else { takes };
        let count = match takes.len() {
            0 => self.below(5),
            all if self.below(4) > 0 => all,
            all => self.below(all + 1),
        };
        for place in 0..count {
            if place > 0 {
                self.put(", ");
            }
            match takes.as_bytes().get(place) {
                _ if self.below(8) == 0 => self.expression(depth),
                Some(b'n') => self.put_one_of(NUMBERS),
                Some(b's') => self.put_one_of(TEXTS),
                Some(b'p') => self.put_one_of(PATTERNS),
                Some(b't') => self.put_one_of(TABLES),
                Some(b'f') => self.function(depth),
                _ => self.expression(depth),
            }
        }
        self.put(")");
    }

    /// A function: of the library, or one with a statement in it.
    fn function(&mut self, depth: usize) {
        if depth == 0 || self.below(2) == 0 {
            let (name, _) = FUNCTIONS[self.below(FUNCTIONS.len())];
            return self.put(name);
        }
        self.put("function(...) ");
        self.statement(depth);
        self.put(" return ... end");
    }

    fn expression(&mut self, depth: usize) {
        let depth = depth.saturating_sub(1);
        match self.below(if depth == 0 { 9 } else { 15 }) {
            0 => self.put_one_of(&["nil", "true", "false"]),
            1 | 2 => self.put_one_of(NUMBERS),
            3 | 4 => self.put_one_of(TEXTS),
            5 | 6 => self.put_one_of(TABLES),
            7 => self.put_one_of(VARIABLES),
            8 => self.function(0),
            9..=11 => self.call(depth),
            12 => {
                self.put("(");
                self.expression(depth);
                let operator = self.pick(OPERATORS);
                let _ = write!(self.out, " {operator} ");
                self.expression(depth);
                self.put(")");
            }
            13 => self.function(depth),
            _ => {
                self.put("{");
                for _ in 0..self.below(4) {
                    self.expression(depth);
                    self.put(", ");
                }
                self.put("}");
            }
        }
    }

    fn put_one_of(&mut self, texts: &[&str]) {
        let text = self.pick(texts);
        self.put(text);
    }
}

/// Ways to call a function `f` from itself.
fn self_calls(state: u64) -> &'static str {
    let calls = [
        "f(1)",
        "pcall(f)",
        "coroutine.wrap(f)()",
        "coroutine.wrap(function() coroutine.wrap(f)() end)()",
        "string.gsub('x', 'x', f)",
        "string.gsub('xx', '.', function() return string.gsub('x', 'x', f) end)",
        "table.sort({3, 2, 1}, f)",
        "xpcall(f, f)",
        "setmetatable({}, {__index = f}).x()",
    ];
    calls[state as usize % calls.len()]
}
