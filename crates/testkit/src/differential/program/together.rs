//! Programs of several connections, whose requests come in a fixed order: they wait for keys, serve
//! each other, watch what others change, listen to channels, and are ended.

use rand::RngExt;
use rand::seq::IndexedRandom;

use super::{Words, Writer, values, words};
use crate::differential::client;
use crate::server::ServerKind;

/// How many connections a program has.
const CLIENTS: usize = 5;

/// Requests that wait, for keys of each kind: `K` is a key, `T` for how long.
const WAITS: &[(&str, &[&str])] = &[
    (
        "list",
        &[
            "BLPOP K T",
            "BRPOP K K T",
            "BLPOP K K K T",
            "BLMOVE K K LEFT RIGHT T",
            "BLMOVE K K RIGHT LEFT T",
            "BRPOPLPUSH K K T",
            "BLMPOP T 1 K LEFT",
            "BLMPOP T 2 K K RIGHT COUNT 2",
        ],
    ),
    (
        "sorted-set",
        &[
            "BZPOPMIN K T",
            "BZPOPMAX K K T",
            "BZMPOP T 1 K MIN",
            "BZMPOP T 2 K K MAX COUNT 2",
        ],
    ),
    (
        "stream",
        &[
            "XREAD BLOCK T STREAMS K $",
            "XREAD COUNT 1 BLOCK T STREAMS K K $ 3-0",
            "XREADGROUP GROUP g1 c1 BLOCK T STREAMS K >",
            "XREADGROUP GROUP g1 c2 COUNT 1 BLOCK T NOACK STREAMS K >",
        ],
    ),
];

/// Requests after which somebody may be served, or has to be told: `O` is a key of another kind.
const SERVERS: &[(&str, &[&str])] = &[
    (
        "list",
        &[
            "RPUSH K a",
            "LPUSH K a b",
            "RPUSH K a b c",
            "RPUSHX K a",
            "LINSERT K BEFORE a b",
            "LMOVE K K LEFT LEFT",
            "RPOPLPUSH K K",
            "LPOP K",
            "LTRIM K 1 0",
            "SORT K ALPHA STORE K",
            "SORT O BY nosort STORE K",
        ],
    ),
    (
        "sorted-set",
        &[
            "ZADD K 1 a",
            "ZADD K 2 b 1 a 3 c",
            "ZADD K XX 5 a",
            "ZINCRBY K 1 d",
            "ZUNIONSTORE K 2 K O",
            "ZRANGESTORE K K 0 -1",
            "ZPOPMIN K",
            "ZREM K a b c",
            "GEOADD K 13.361389 38.115556 a",
        ],
    ),
    (
        "stream",
        &[
            "XADD K 6-1 a 1",
            "XADD K 7-1 a 1",
            "XADD K MAXLEN 1 8-1 a 1",
            "XADD K 9-* a 1",
            "XADD K NOMKSTREAM 9-* a 1",
            "XDEL K 6-1",
            "XTRIM K MAXLEN 0",
            "XSETID K 20-1",
            "XGROUP CREATE K g1 $ MKSTREAM",
            "XGROUP CREATE K g1 0",
            "XGROUP DESTROY K g1",
            "XGROUP SETID K g1 0",
            "XACK K g1 6-1 7-1",
        ],
    ),
];

/// Requests that make, move or remove keys of all kinds.
const MOVES: &[&str] = &[
    "DEL K",
    "UNLINK K K",
    "SET K 1",
    "RENAME K K",
    "RENAMENX O K",
    "RENAME O K",
    "COPY K K REPLACE",
    "COPY K K DB 1 REPLACE",
    "MOVE K 1",
    "MOVE K 0",
    "SWAPDB 0 1",
    "SELECT 0",
    "SELECT 1",
    "FLUSHDB",
    "FLUSHALL",
    "EXPIRE K -1",
    "PEXPIRE K 0",
    "EXPIRE K 20000",
    "PERSIST K",
    "GETDEL K",
];

/// What a transaction is made of.
const TRANSACTIONS: &[&str] = &[
    "MULTI",
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH K",
    "WATCH K K",
    "WATCH K O",
    "UNWATCH",
];

/// Messages. Whoever leaves all channels at once hears of them in any order, so each is named; and
/// who has several patterns is sent a message for each in any order.
const MESSAGES: &[&str] = &[
    "SUBSCRIBE c1",
    "SUBSCRIBE c1 c2",
    "SUBSCRIBE c2 c2",
    "UNSUBSCRIBE c1",
    "UNSUBSCRIBE c2 c1",
    "PSUBSCRIBE c*",
    "PUNSUBSCRIBE c*",
    "SSUBSCRIBE c1",
    "SUNSUBSCRIBE c1",
    "PUBLISH c1 a",
    "PUBLISH c1 b",
    "PUBLISH c2 a",
    "SPUBLISH c1 s",
    "PUBSUB NUMSUB c1 c2",
    "PUBSUB NUMPAT",
    "PUBSUB SHARDNUMSUB c1",
    "PUBSUB CHANNELS",
    "PUBSUB CHANNELS c*",
    "PUBSUB SHARDCHANNELS",
    "PING",
    "PING a",
];

/// What is done to connections: `C` is one of them.
const CLIENT_COMMANDS: &[&str] = &[
    "CLIENT UNBLOCK C",
    "CLIENT UNBLOCK C TIMEOUT",
    "CLIENT UNBLOCK C ERROR",
    "CLIENT UNBLOCK C",
    "CLIENT KILL ID C",
    "CLIENT KILL ID C SKIPME no",
    "HELLO 2",
    "HELLO 3",
    "RESET",
    "CLIENT GETNAME",
    "CLIENT SETNAME a",
];

/// Scripts that serve and publish.
const SCRIPTS: &[&str] = &[
    "redis.call('RPUSH', KEYS[1], 'a', 'b') return redis.call('LLEN', KEYS[1])",
    "redis.call('RPUSH', KEYS[1], 'a') redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[2], 'b')",
    "redis.call('ZADD', KEYS[1], 1, 'a', 2, 'b') redis.call('ZADD', KEYS[2], 1, 'c') return 1",
    "redis.call('XADD', KEYS[1], '15-*', 'a', 1) return redis.call('EXISTS', KEYS[1], KEYS[2])",
    "redis.call('DEL', KEYS[1]) redis.call('RENAME', KEYS[2], KEYS[1])",
    "redis.call('RPUSH', KEYS[1], 'a') error('then')",
    "return redis.call('PUBLISH', 'c1', KEYS[1])",
];

/// Scripts that would wait. They are not allowed in Redis 7.0, and find nothing in later versions.
const WAITING_SCRIPTS: &[&str] = &[
    "return redis.pcall('BLPOP', KEYS[1], KEYS[2], 0)",
    "return redis.pcall('BLMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT', 0)",
    "return redis.pcall('BZPOPMIN', KEYS[1], 0)",
];

impl Writer<'_> {
    /// Writes a program of [`CLIENTS`] connections.
    pub(super) fn write_together(&mut self) {
        for client in 0..CLIENTS {
            if self.random.random_bool(0.3) {
                self.client = client;
                self.push(words("HELLO 3"));
                self.track();
            }
        }
        self.client = 0;
        if self.random.random_bool(0.5) {
            self.fill();
        }
        for _ in 0..self.random.random_range(20..80) {
            self.client = self.random.random_range(0..CLIENTS);
            match self.random.random_range(0..100) {
                0..55 if self.theme == Some("pubsub") => self.one_of(MESSAGES),
                0..28 => self.one_of_kind(WAITS),
                28..52 => self.one_of_kind(SERVERS),
                52..60 => self.one_of(MOVES),
                60..71 => self.one_of(TRANSACTIONS),
                71..83 => self.one_of(MESSAGES),
                83..89 => self.one_of(CLIENT_COMMANDS),
                89..93 => self.one_of(&["EVAL SCRIPT 2 K K"]),
                93..94 => self.push(words("WAIT 1 0")),
                _ => self.request(),
            }
        }
    }

    /// A request about the kind of keys that the program is about, or another.
    fn one_of_kind(&mut self, kinds: &[(&str, &[&str])]) {
        let own = kinds.iter().find(|(name, _)| Some(*name) == self.theme);
        let any = kinds.choose(&mut self.random);
        let chosen = own.filter(|_| self.random.random_bool(0.9)).or(any);
        let Some((kind, lines)) = chosen else { return };
        self.line(lines, kind);
    }

    fn one_of(&mut self, lines: &[&str]) {
        let kind = self.theme.unwrap_or("list");
        self.line(lines, kind);
    }

    fn line(&mut self, lines: &[&str], kind: &str) {
        let line = lines.choose(&mut self.random).copied().unwrap_or_default();
        let request: Words = line.split(' ').map(|word| self.word(word, kind)).collect();
        let before = self.preparation(line.split(' ').next().unwrap_or_default(), &request);
        before.into_iter().for_each(|words| self.push(words));
        self.push(request);
    }

    fn word(&mut self, word: &str, kind: &str) -> Vec<u8> {
        match word {
            "K" => values::key(&mut self.random, kind),
            "O" => values::key(&mut self.random, ""),
            "T" => values::one_of(&mut self.random, &["0", "0", "0", "0", "0", "1000"]),
            "C" => client::name(self.random.random_range(0..CLIENTS)),
            "SCRIPT"
                if self.programs.server != ServerKind::Redis && self.random.random_bool(0.3) =>
            {
                values::one_of(&mut self.random, WAITING_SCRIPTS)
            }
            "SCRIPT" => values::one_of(&mut self.random, SCRIPTS),
            word => word.into(),
        }
    }
}
