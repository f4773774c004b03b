//! Random calls of the libraries that Redis adds to Lua, on the engine and on a real `redis-server`,
//! which have to be answered alike, to the letter.
//!
//! `LARDER_SCRIPT_CALLS=100000 LARDER_SCRIPT_SEED=1` makes more of them, and others.

#![allow(clippy::panic, reason = "a test that can not go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use larder_engine::{Engine, Now, RespReply, Session};
use larder_resp::{ArgumentBuffer, write_request};
use larder_testkit::{Server, ServerKind};

/// How many calls are made where nothing else is asked for.
const CALLS: u64 = 3000;

/// Shows what a call gave, whatever it is.
const SHOWN: &str = "
    local function show(value)
        if type(value) == 'number' then return string.format('%.17g', value) end
        if type(value) ~= 'table' then return type(value) .. ':' .. tostring(value) end
        local parts = {}
        for name, field in pairs(value) do parts[#parts + 1] = show(name) .. '=' .. show(field) end
        table.sort(parts)
        return '{' .. table.concat(parts, ',') .. '}'
    end
    local given, parts = {pcall(function() return CALL end)}, {}
    for place = 1, 12 do parts[place] = show(given[place]) end
    return table.concat(parts, ';')";

const NUMBERS: &[&str] = &[
    "0", "-0", "1", "-1", "3.999", "-7", "127", "128", "-33", "255", "256", "65535", "65536",
    "2^31", "-2^31", "2^32", "2^53", "2^63", "-2^63", "2^64", "1.5", "0.1", "1e300", "-1e-300",
    "1/0", "0/0",
];

const JSON: &[&str] = &[
    "0",
    "-1",
    "1.5e3",
    "01",
    "+1",
    "5.",
    "-.5",
    ".5",
    "0x1F",
    "0x1.8p-2",
    "nan",
    "-NaN",
    "inf",
    "Infinity",
    "1e400",
    "1e",
    "-",
    "0x",
    "1E+2",
    "12345678901234567890",
    "true",
    "false",
    "null",
    "tru",
    "\"\"",
    "\"a\"",
    "\"\\n\"",
    "\"\\u0041\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\x\"",
    "\"\\/\"",
    "\"\t\"",
    "\"\u{fe}\"",
    "\"\\uDC00\"",
    "\"",
];

const LETTERS: &[&str] = &[
    "b", "B", "h", "H", "l", "L", "T", "i", "I", "i3", "I16", "i40", "f", "d", "s", "c0", "c3",
    "x", "<", ">", "!", "!2", "!8", "!3", " ", "y",
];

const BITS: &[&str] = &[
    "tobit", "tohex", "bnot", "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror",
    "bswap",
];

#[test]
fn random_calls_of_libraries_are_answered_as_redis_answers_them() {
    let Some(server) = Server::start(ServerKind::Redis) else {
        return;
    };
    let address = ("127.0.0.1", server.port());
    let Ok(stream) = TcpStream::connect(address) else {
        panic!("the server does not answer");
    };
    let mut stream = BufReader::new(stream);
    let engine = Engine::new([7; 32], Now::from_unix_us(1_700_000_000_000_000));
    let mut random = Random(
        number("LARDER_SCRIPT_SEED", 0)
            .wrapping_mul(2)
            .wrapping_add(1),
    );
    for _ in 0..number("LARDER_SCRIPT_CALLS", CALLS) {
        let call = random.call();
        let script = SHOWN.replace("CALL", &call);
        let words: [&[u8]; 3] = [b"EVAL", script.as_bytes(), b"0"];
        let ours = String::from_utf8_lossy(&on_engine(&engine, &words)).into_owned();
        let real = String::from_utf8_lossy(&on_server(&mut stream, &words)).into_owned();
        assert_eq!(ours, real, "{call}");
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(otherwise, |text| match text.parse() {
        Ok(number) => number,
        Err(_) => panic!("{variable} is not a number: {text}"),
    })
}

fn on_engine(engine: &Arc<Engine>, words: &[&[u8]]) -> Vec<u8> {
    let mut request = ArgumentBuffer::new();
    words.iter().for_each(|word| request.push(word));
    let mut out = Vec::new();
    let mut reply = RespReply::new(&mut out, false);
    let clock = Now::from_unix_us(1_700_000_000_000_000);
    let mut session = Session::local();
    let _ = engine.execute(&mut session, request.as_arguments(), &clock, &mut reply);
    out
}

/// What a server answers with a text or an error.
fn on_server(stream: &mut BufReader<TcpStream>, words: &[&[u8]]) -> Vec<u8> {
    let mut request = Vec::new();
    write_request(&mut request, words);
    let mut answer = Vec::new();
    let read = stream.get_mut().write_all(&request).and_then(|()| {
        stream.read_until(b'\n', &mut answer)?;
        let line = String::from_utf8_lossy(&answer).into_owned();
        if let Some(len) = line.strip_prefix('$') {
            let len = len.trim_end().parse().unwrap_or(0);
            stream.by_ref().take(len + 2).read_to_end(&mut answer)?;
        }
        Ok(())
    });
    match read {
        Ok(()) => answer,
        Err(error) => panic!("the server is gone: {error}"),
    }
}

/// Makes calls. The same seed makes the same ones.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }

    fn call(&mut self) -> String {
        match self.below(9) {
            0 => format!("cmsgpack.pack({})", self.values(4)),
            1 => format!("cmsgpack.unpack({})", self.bytes(14)),
            2 => {
                let (text, limit) = (self.bytes(10), self.pick(&["0", "1", "2", "-1", "1.7"]));
                let offset = self.pick(&["0", "1", "3", "20", "-1", "nil"]);
                format!("cmsgpack.unpack_limit({text}, {limit}, {offset})")
            }
            3 => format!("cjson.encode({})", self.value(3)),
            4 => {
                let json = self.json(4);
                let end = self.pick(&["", "", "", " x", "\0", ","]);
                format!("cjson.decode({})", quoted((json + end).as_bytes()))
            }
            5 => format!("struct.pack({}, {})", self.format(), self.scalars(7)),
            6 => {
                let from = self.pick(&["1", "1", "2", "0", "-1"]);
                format!(
                    "struct.unpack({}, {}, {from})",
                    self.format(),
                    self.bytes(40)
                )
            }
            7 => format!("struct.size({})", self.format()),
            _ => {
                let name = self.pick(BITS);
                // One argument too few is named otherwise where all are missing.
                let numbers: Vec<_> = (0..=self.below(3)).map(|_| self.pick(NUMBERS)).collect();
                format!("bit.{name}({}, 5)", numbers.join(", "))
            }
        }
    }

    /// Arguments that may be anything.
    fn values(&mut self, end: usize) -> String {
        let values: Vec<_> = (0..1 + self.below(end)).map(|_| self.value(3)).collect();
        values.join(", ")
    }

    /// Arguments that are numbers and texts.
    fn scalars(&mut self, end: usize) -> String {
        let scalar = |random: &mut Random| match random.below(3) {
            0 => random.bytes(6),
            _ => random.pick(&NUMBERS[..24]).to_owned(),
        };
        let scalars: Vec<_> = (0..1 + self.below(end)).map(|_| scalar(self)).collect();
        scalars.join(", ")
    }

    fn value(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0..=2 => self.pick(NUMBERS).to_owned(),
            3 | 4 => self.bytes(6),
            5 => self.pick(&["true", "false", "cjson.null"]).to_owned(),
            6 => {
                let items: Vec<_> = (0..self.below(4)).map(|_| self.value(depth - 1)).collect();
                format!("{{{}}}", items.join(", "))
            }
            7 => format!("{{a = {}}}", self.value(depth - 1)),
            _ => {
                let name = self.pick(&NUMBERS[..24]);
                format!("{{[{name}] = {}}}", self.value(depth - 1))
            }
        }
    }

    fn json(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 6 } else { 10 }) {
            0..=5 => self.pick(JSON).to_owned(),
            6 | 7 => {
                let items: Vec<_> = (0..self.below(4)).map(|_| self.json(depth - 1)).collect();
                let end = self.pick(&["]", "]", "]", "]", " ]", "", "}", ",]"]);
                format!("[{}{end}", items.join(self.pick(&[",", " ,\n"])))
            }
            _ => {
                let field = |random: &mut Random| {
                    let name = random.pick(&["a", "b", "1", ""]);
                    format!("\"{name}\":{}", random.json(depth - 1))
                };
                let fields: Vec<_> = (0..self.below(4)).map(|_| field(self)).collect();
                let end = self.pick(&["}", "}", "}", "}", " }", "", "]", ",}"]);
                format!("{{{}{end}", fields.join(", "))
            }
        }
    }

    fn format(&mut self) -> String {
        let letters: String = (0..self.below(7)).map(|_| self.pick(LETTERS)).collect();
        quoted(letters.as_bytes())
    }

    /// A text of bytes, many of which begin something in MessagePack.
    fn bytes(&mut self, end: usize) -> String {
        const KINDS: &[u8] = b"\x01\x80\x81\x82\x90\x91\x92\xa1\xc0\xc3\xca\xcb\xcc\xcd\xce\xcf\
                               \xd0\xd1\xd2\xd3\xd9\xda\xdc\xde";
        let byte = |random: &mut Random| match random.below(2) {
            0 => random.below(256) as u8,
            _ => KINDS[random.below(KINDS.len())],
        };
        let bytes: Vec<_> = (0..self.below(end)).map(|_| byte(self)).collect();
        quoted(&bytes)
    }
}

/// Bytes as a text of Lua.
fn quoted(bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:03}")).collect();
    format!("'{escaped}'")
}
