//! Values go by DUMP and RESTORE from a real server to the engine, and from the engine to the server,
//! which looks at every byte of them.
//!
//! `LARDER_DUMP_VALUES=10000 LARDER_DUMP_SEED=1` sends more of them, and others.

#![allow(clippy::panic, reason = "a test that can not go on fails")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use larder_engine::{DebugAccess, Engine, Host, Now, RespReply, Session};
use larder_resp::{ArgumentBuffer, Frame, write_request};
use larder_testkit::{Server, ServerKind};

/// How many values go each way where nothing else is asked for.
const VALUES: u64 = 300;

const NOW: Now = Now::from_unix_us(1_700_000_000_000_000);

/// Says all of a collection in one order, scores in one notation, and the groups of a stream.
const SHOWN: &str = "
    local kind = redis.call('TYPE', KEYS[1]).ok
    if kind == 'zset' then
        local scores = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
        for i = 2, #scores, 2 do scores[i] = string.format('%.17g', scores[i]) end
        return scores
    end
    local shown = {kind}
    if kind == 'set' then
        shown = redis.call('SMEMBERS', KEYS[1])
    elseif kind == 'hash' then
        local pairs = redis.call('HGETALL', KEYS[1])
        for i = 1, #pairs, 2 do shown[#shown + 1] = pairs[i] .. '=' .. pairs[i + 1] end
    elseif kind == 'stream' then
        -- Not the lag, which versions tell differently.
        for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
            for i = 2, 10, 2 do shown[#shown + 1] = group[2] .. i .. tostring(group[i]) end
        end
    end
    table.sort(shown)
    return shown";

/// Whatever answers requests.
trait Answers {
    fn ask(&mut self, words: &[Vec<u8>]) -> Frame;

    fn say(&mut self, words: &[&[u8]]) -> Frame {
        let words: Vec<_> = words.iter().map(|word| word.to_vec()).collect();
        self.ask(&words)
    }
}

struct OfEngine(Arc<Engine>);

impl Answers for OfEngine {
    fn ask(&mut self, words: &[Vec<u8>]) -> Frame {
        let mut request = ArgumentBuffer::new();
        words.iter().for_each(|word| request.push(word));
        let mut out = Vec::new();
        let mut reply = RespReply::new(&mut out, false);
        let session = &mut Session::local();
        let _ = self
            .0
            .execute(session, request.as_arguments(), &NOW, &mut reply);
        read(&out).unwrap_or_else(|| panic!("no whole answer: {out:?}"))
    }
}

struct OfServer(TcpStream);

impl Answers for OfServer {
    fn ask(&mut self, words: &[Vec<u8>]) -> Frame {
        let mut request = Vec::new();
        write_request(&mut request, words);
        let sent = self.0.write_all(&request);
        let (mut out, mut part) = (Vec::new(), [0; 1 << 16]);
        while sent.is_ok() {
            match self.0.read(&mut part) {
                Ok(len @ 1..) => out.extend_from_slice(&part[..len]),
                _ => break,
            }
            if let Some(frame) = read(&out) {
                return frame;
            }
        }
        panic!("the server is gone, after {words:?}");
    }
}

fn read(bytes: &[u8]) -> Option<Frame> {
    match Frame::read(bytes) {
        Ok(Some((frame, _))) => Some(frame),
        _ => None,
    }
}

#[test]
fn values_go_from_the_engine_to_redis_and_back() {
    exchange(ServerKind::Redis);
}

#[test]
fn values_go_from_the_engine_to_valkey_and_back() {
    exchange(ServerKind::Valkey);
}

fn exchange(kind: ServerKind) {
    let options = [
        "--sanitize-dump-payload",
        "yes",
        "--enable-debug-command",
        "yes",
    ];
    let Some(server) = Server::start_with(kind, &options) else {
        return;
    };
    let connected = TcpStream::connect(("127.0.0.1", server.port()));
    let Ok(connection) = connected else {
        panic!("the server is not there");
    };
    let mut server = OfServer(connection);
    let mut engine = OfEngine(Engine::new([7; 32], NOW));
    engine.0.set_host(Host {
        debug_access: DebugAccess::Yes,
        ..Host::default()
    });
    let mut random = Random(number("LARDER_DUMP_SEED", 1) | 1 << 40);
    for _ in 0..number("LARDER_DUMP_VALUES", VALUES) {
        let program = random.program();
        send(kind, &program, &mut engine, &mut server);
        send(kind, &program, &mut server, &mut engine);
    }
}

/// Makes a value with one, and sends it to the other.
fn send(kind: ServerKind, program: &[Vec<Vec<u8>>], from: &mut dyn Answers, to: &mut dyn Answers) {
    from.say(&[b"DEL", b"k"]);
    for words in program {
        from.ask(words);
    }
    let Frame::Bulk(payload) = from.say(&[b"DUMP", b"k"]) else {
        return;
    };
    let answer = to.say(&[b"RESTORE", b"k", b"0", &payload, b"REPLACE"]);
    assert_eq!(
        answer,
        Frame::Status("OK".into()),
        "{program:?} {payload:?}"
    );
    for words in looks(kind) {
        assert_eq!(to.ask(&words), from.ask(&words), "{program:?} {words:?}");
    }
}

/// What shows a value, whatever it is: of those that are of another type both say so.
fn looks(kind: ServerKind) -> Vec<Vec<Vec<u8>>> {
    let look = |line: &str| {
        line.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    };
    let mut looks: Vec<Vec<Vec<u8>>> = [
        "TYPE k",
        "GET k",
        "LRANGE k 0 -1",
        "XRANGE k - +",
        "XLEN k",
        "XPENDING k readers",
        "XPENDING k late",
    ]
    .into_iter()
    .map(look)
    .collect();
    let words: [&[u8]; 4] = [b"EVAL", SHOWN.as_bytes(), b"1", b"k"];
    looks.push(words.iter().map(|word| word.to_vec()).collect());
    if kind == ServerKind::Redis {
        // Valkey writes scores otherwise in digests.
        looks.extend(["DEBUG DIGEST-VALUE k", "DEBUG DIGEST"].map(look));
    }
    looks
}

/// Makes programs. The same seed makes the same ones.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }

    /// An integer of any width, a short text, or a long one.
    fn word(&mut self) -> Vec<u8> {
        match self.below(6) {
            0 => self.below(200).to_string().into_bytes(),
            1 => {
                let number = i64::MIN.wrapping_add((self.below(1 << 31) as i64) << 32);
                (number >> self.below(64)).to_string().into_bytes()
            }
            2 => vec![b'a' + self.below(26) as u8; self.below(6000)],
            3 => (0..self.below(300))
                .map(|_| self.below(256) as u8)
                .collect(),
            _ => format!("word{}", self.below(1000)).into_bytes(),
        }
    }

    /// The requests that make a value.
    fn program(&mut self) -> Vec<Vec<Vec<u8>>> {
        let count = match self.below(4) {
            0 => 1 + self.below(600),
            _ => 1 + self.below(12),
        };
        match self.below(6) {
            0 => vec![self.request(&["SET", "k"], 1)],
            1 => (0..count)
                .map(|_| self.request(&["RPUSH", "k"], 1))
                .collect(),
            2 => (0..count)
                .map(|_| self.request(&["SADD", "k"], 1))
                .collect(),
            3 => (0..count)
                .map(|_| self.request(&["HSET", "k"], 2))
                .collect(),
            4 => (0..count)
                .map(|_| {
                    let score = ["1", "-7", "1.5", "0.1", "inf", "1e300", "-3e-7"][self.below(7)];
                    self.request(&["ZADD", "k", score], 1)
                })
                .collect(),
            _ => self.stream(count),
        }
    }

    fn stream(&mut self, count: usize) -> Vec<Vec<Vec<u8>>> {
        let mut program = Vec::new();
        for place in 0..count {
            let id = format!("{}-{place}", 1 + place / 3);
            let name = ["a", "b", "12"][self.below(3)];
            let more = self.below(2);
            let mut words = self.request(&["XADD", "k", &id, name], 1 + 2 * more);
            if self.below(9) == 0 {
                words.truncate(5);
            }
            program.push(words);
            if self.below(5) == 0 {
                program.push(self.request(&["XDEL", "k", &id], 0));
            }
            if self.below(10) == 0 {
                program.push(self.request(&["XGROUP", "CREATE", "k", "readers", "0"], 0));
                program.push(self.request(&["XGROUP", "CREATE", "k", "late", "$"], 0));
            }
            if self.below(4) == 0 {
                let consumer = ["ann", "bob"][self.below(2)];
                let read = ["XREADGROUP", "GROUP", "readers", consumer, "COUNT", "3"];
                let read = [&read[..], &["STREAMS", "k", ">"]].concat();
                program.push(self.request(&read, 0));
            }
        }
        program
    }

    /// A request that begins so, and ends with so many random words.
    fn request(&mut self, beginning: &[&str], words: usize) -> Vec<Vec<u8>> {
        let mut request: Vec<_> = beginning
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect();
        request.extend((0..words).map(|_| self.word()));
        request
    }
}

/// The number in a variable of the environment.
fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else {
        return otherwise;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{variable} is not a number: {text}"))
}
