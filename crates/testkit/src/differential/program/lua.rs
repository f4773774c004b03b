//! Scripts that are made at random: arithmetic, tables, texts, the libraries, and commands on keys that
//! meet each other.
//!
//! A script grows from templates. `$N` stands for a number, `$S` for a text, `$P` for a pattern, `$T` for
//! a table, `$B` for a condition, `$X` for any value, `$C` for a call of a command and `$Q` for statements.
//! What a script finds is written down by `L`, as arrays of plain values, so that tables are compared
//! whole and numbers to their last digit. What it keeps it copies by `G`, which cuts off what grows. Nothing here depends on an address, a time or the order of a
//! table's fields, but in answers that are maps or sets: names of fields are shorter than 32 bytes, since of
//! longer ones Lua hashes only every second byte, and the Lua of Redis each.

use larder_engine::Flags;
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::{Row, Words, Writer, is_never_spoilt, is_random_write, values, words};
use crate::differential::compare;
use crate::differential::named::has_any;
use crate::server::ServerKind;

/// What every script begins with.
const HEAD: &str = "\
local function D(x, depth)
  local kind = type(x)
  if kind == 'number' then return string.format('%.17g', x) end
  if kind == 'string' then return x end
  if kind == 'nil' or kind == 'boolean' then return tostring(x) end
  if kind ~= 'table' or depth > 4 then return kind end
  local names, all = {}, {'table'}
  for name in pairs(x) do
    if name ~= 'ignore_error_stats_update' then names[#names + 1] = name end
  end
  table.sort(names, function(a, b) return type(a) .. tostring(a) < type(b) .. tostring(b) end)
  for _, name in ipairs(names) do
    all[#all + 1] = D(name, depth + 1)
    all[#all + 1] = D(x[name], depth + 1)
  end
  return all
end
local function copy(x, left)
  if type(x) ~= 'table' then return x end
  local all = {}
  for name, value in pairs(x) do
    left.count = left.count - 1
    if left.count < 0 then return 'large' end
    all[name] = copy(value, left)
  end
  return all
end
local function G(x) return copy(x, {count = 60}) end
local log = {}
local function L(...)
  for i = 1, select('#', ...) do log[#log + 1] = D((select(i, ...)), 0) end
end
local n1, n2, s1, s2, t1, t2, x = 3, 0.5, 'text', ARGV[1], {3, 1, 2}, {a = 1}, nil
";

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "7",
    "10",
    "3.5",
    "-0.5",
    "0.1",
    "1e15",
    "1e20",
    "2^31",
    "2^53",
    "2^63",
    "1/0",
    "0/0",
    "-2^31",
    "0xff",
    "n1",
    "n1",
    "n2",
    "n2",
    "#t1",
    "#s1",
    "$N + $N",
    "$N - $N",
    "$N * $N",
    "$N / $N",
    "$N % $N",
    "$N ^ 2",
    "-$N",
    "#$S",
    "#$T",
    "($N)",
    "math.floor($N)",
    "math.ceil($N)",
    "math.abs($N)",
    "math.max($N, $N)",
    "math.min($N, $N, $N)",
    "math.sqrt($N)",
    "math.fmod($N, $N)",
    "math.modf($N)",
    "math.pow($N, 2)",
    "math.log($N)",
    "math.exp(1)",
    "math.ldexp($N, 3)",
    "math.frexp($N)",
    "tonumber($S)",
    "tonumber($S, 16)",
    "string.byte($S)",
    "string.len($S)",
    "select('#', $X, $X)",
    "table.getn($T)",
    "table.maxn($T)",
    "bit.band($N, $N)",
    "bit.bor($N, $N)",
    "bit.bxor($N, $N)",
    "bit.bnot($N)",
    "bit.lshift($N, $N)",
    "bit.rshift($N, $N)",
    "bit.arshift($N, $N)",
    "bit.rol($N, $N)",
    "bit.ror($N, $N)",
    "bit.bswap($N)",
    "bit.tobit($N)",
    "struct.size('>I2i4')",
    "struct.unpack('<i4', struct.pack('<i4', $N))",
    "struct.unpack('>d', struct.pack('>d', $N))",
    "cmsgpack.unpack(cmsgpack.pack($N))",
    "cjson.decode(cjson.encode($N))",
    "($S):len()",
    "string.find($S, $P)",
    "(function() math.randomseed(3) return math.random(10) end)()",
    "(function() math.randomseed($N) return math.random(7, 100) end)()",
    "(function() math.randomseed(1) return math.random($N) end)()",
];

const TEXTS: &[&str] = &[
    "''",
    "'a'",
    "'abc'",
    "'10'",
    "' 7 '",
    "'0x1F'",
    "'1e3'",
    "'-3.25'",
    "'a b  c'",
    "'\\0\\255x'",
    "'%d'",
    "'key=value, other=2'",
    "'[1,2.5,{\"a\":null,\"b\":[]}]'",
    "s1",
    "s1",
    "s2",
    "ARGV[1]",
    "KEYS[1]",
    "$S .. $S",
    "$S .. $N",
    "string.sub($S, $N, $N)",
    "string.sub($S, -2)",
    "string.upper($S)",
    "string.lower($S)",
    "string.reverse($S)",
    "string.rep($S, 3)",
    "tostring($N)",
    "tostring(not ($B))",
    "type($X)",
    "string.char(65, 66, 0)",
    "string.format('%d', $N)",
    "string.format('%5.2f|%-5s|%05d', $N, $S, 42)",
    "string.format('%q', $S)",
    "string.format('%s %s', $S, tostring($N))",
    "string.format('%x %X %o', 255, 255, 8)",
    "string.format('%g %e', $N, $N)",
    "string.format('%c%i%u', 65, $N, 7)",
    "string.format('%.3s', $S)",
    "string.gsub($S, $P, $S)",
    "string.gsub($S, $P, '%0%0')",
    "string.gsub($S, '%w', {a = 'x', b = false})",
    "string.gsub($S, '.', function(c) return c:upper() end, 2)",
    "string.match($S, $P)",
    "($S):sub(2)",
    "cjson.encode($T)",
    "cjson.encode($X)",
    "cmsgpack.pack($X)",
    "cmsgpack.pack($X, $N)",
    "struct.pack('>I2', 513)",
    "struct.pack('<i2s', $N, 'z')",
    "struct.pack('bBhHlL', 1, 2, 3, 4, 5, 6)",
    "redis.sha1hex($S)",
    "bit.tohex($N)",
    "bit.tohex($N, 4)",
    "table.concat(t1, ',')",
    "table.concat($T, $S)",
    "table.concat({1, 'b', 2.5}, '-', 2)",
    "redis.status_reply($S).ok",
    "redis.error_reply($S).err",
];

const PATTERNS: &[&str] = &[
    "'.'",
    "'a'",
    "'%d+'",
    "'(%w+)=(%w+)'",
    "'^%s*(.-)%s*$'",
    "'[^a-c]'",
    "'%s'",
    "'b*'",
    "'.-c'",
    "'()b'",
    "'%f[%w]%w+'",
    "'%b[]'",
    "'%'",
    "'['",
    "'(a'",
    "'x?'",
    "''",
];

const TABLES: &[&str] = &[
    "{}",
    "{1, 2, 3}",
    "{3, 'a', true}",
    "{a = 1, b = 'two'}",
    "{1, nil, 3}",
    "t1",
    "t1",
    "t2",
    "KEYS",
    "ARGV",
    "{$X, $X}",
    "{$T}",
    "{a = $X, $N}",
    "{[($S):sub(1, 31)] = $X}",
    "cjson.decode(cjson.encode($T))",
    "cjson.decode($S)",
    "cjson.decode('{\"a\":[1,{\"b\":null}],\"c\":\"\\\\u00e9\\\\ud83d\\\\ude00\"}')",
    "cmsgpack.unpack(cmsgpack.pack($T))",
    "{cmsgpack.unpack(cmsgpack.pack($X, $X))}",
    "{string.find($S, $P)}",
    "{string.byte($S, 1, -1)}",
    "{unpack($T)}",
    "{struct.unpack('>I2i4', 'abcdefgh')}",
    "{struct.unpack('<hbz', $S)}",
    "{math.modf($N)}",
    "{pcall(error, $X)}",
    "{next({a = 1})}",
    "{select(2, $X, $X, $X)}",
    "{math.frexp($N)}",
    "{cmsgpack.unpack_one(cmsgpack.pack(1, 2), 1)}",
    "{cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2, 0)}",
    "{err = $S}",
    "{ok = $S}",
];

const CONDITIONS: &[&str] = &[
    "true",
    "false",
    "x",
    "n1 > 2",
    "$N < $N",
    "$N <= $N",
    "$S == $S",
    "$S < $S",
    "$X == nil",
    "not $B",
    "$B and $B",
    "$B or $B",
    "$N == $N",
    "$X",
    "rawequal($X, $X)",
    "rawget($T, 1) == 1",
];

const VALUES: &[&str] = &[
    "nil",
    "true",
    "false",
    "x",
    "x",
    "cjson.null",
    "n1",
    "s1",
    "t1",
    "t2",
    "$N",
    "$N",
    "$S",
    "$S",
    "$T",
    "$T",
    "$B",
    "$C",
    "$C",
    "t1[$N]",
    "t2[$S]",
    "x and x[1]",
];

const CALLS: &[&str] = &[
    "redis.call($R)",
    "redis.pcall($R)",
    "redis.pcall($R)",
    "redis.pcall($R)",
];

const STATEMENTS: &[&str] = &[
    "n1 = $N",
    "n2 = $N",
    "s1 = ($S):sub(1, 99)",
    "s2 = ($S):sub(1, 99)",
    "t1 = G($T)",
    "t2 = G($T)",
    "x = G($X)",
    "x = $C",
    "x = $C",
    "L($X)",
    "L($C)",
    "L(pcall(function() return $X end))",
    "L($N)",
    "L($S)",
    "L(string.find($S, $P))",
    "L(string.gsub($S, $P, $S))",
    "L(table.remove($T))",
    "table.insert(t1, G($X))",
    "table.insert(t1, 1, G($X))",
    "table.sort(t1)",
    "table.sort(t1, function(a, b) return a > b end)",
    "t1[$N] = G($X)",
    "t2[($S):sub(1, 31)] = G($X)",
    "t2.a = G($X)",
    "if $B then $Q else $Q end",
    "for i = 1, 3 do n1 = i $Q end",
    "for i = 3, 1, -1 do $Q end",
    "for i, v in ipairs($T) do x = G(v) $Q if i > 4 then break end end",
    "for w in string.gmatch($S, '%w+') do L(w) end",
    "local i = 0 while i < 3 and ($B) do i = i + 1 $Q end",
    "repeat x = G($X) until true",
    "L(pcall(function() $Q end))",
    "L(pcall(redis.call, $R))",
    "L(pcall(error, $X))",
    "L(cjson.encode($X))",
    "L(pcall(cjson.decode, $S))",
    "L(pcall(cmsgpack.unpack, $S))",
    "L(pcall(struct.unpack, '>I2s', $S))",
    "L(select(-1, $X, $X))",
    "local f = function(...) return select('#', ...), ... end L(f($X, $X))",
    "L(loadstring('return ' .. $N)())",
    "local co = coroutine.wrap(function(a) local b = coroutine.yield(a) L(b) return $X end) L(co($N)) L(co($S))",
    "redis.setresp(3)",
    "redis.setresp(2)",
    "L(tostring($X):sub(1, 4))",
    "L(xpcall(function() $Q end, function(e) return type(e) end))",
    "x = {redis.call('TIME')} x = #x",
    // It is no value elsewhere: whether a thrown table is an error Larder asks the table alone, not what stands behind it.
    "L(setmetatable({}, {__index = function(_, k) return k end})[$S])",
    "undefined = 1",
    "L(undefined)",
    "error('E' .. $S)",
    "error({err = 'E ' .. $S})",
    "L($T == $T, $S ~= $S)",
    "for k in pairs({a = 1}) do L(k) end",
    "math.randomseed(7)",
    "L(redis.log(redis.LOG_DEBUG, 'x'))",
];

const RETURNS: &[&str] = &[
    "return log",
    "return log",
    "return log",
    "return log",
    "return $X",
    "return $C",
    "return {log, $X}",
    "return {ok = $S}",
    "return {err = $S}",
    "return {double = $N}",
    "return {map = $T}",
    "return {set = $T}",
    "return redis.error_reply($S)",
    "return redis.status_reply($S)",
    "return {$X, $X, nil, $X}",
    "redis.setresp(3) return $X",
    "redis.setresp(3) return {map = {a = $X}}",
    "return {big_number = $S}",
    "return {verbatim_string = {string = $S, format = 'txt'}}",
    "return $N",
    "return #log",
    "error(type(x))",
    "",
];

/// Requests that scripts may not make, or that are wrong.
const WRONG_CALLS: &[&str] = &[
    "NONSENSE a",
    "GET",
    "GET s1 s2",
    "SUBSCRIBE c1",
    "MULTI",
    "WATCH s1",
    "SELECT 1",
    "EVAL x 0",
    "CLIENT NO",
    "CONFIG NO",
    "INCR l1",
    "LPUSH s1 a",
    "HSET h1 a",
    "SET s1",
    "PUBLISH c1 a",
    "SPUBLISH c1 a",
    "SCRIPT LOAD x",
    "HGETALL h1 h2",
    "DEBUG x",
    "AUTH a",
    "QUIT",
];

impl Writer<'_> {
    /// Writes a program of scripts, with other requests between them.
    pub(super) fn write_scripts(&mut self) {
        if self.random.random_bool(0.3) {
            self.push(words("HELLO 3"));
        }
        self.fill();
        for _ in 0..self.random.random_range(4..12) {
            match self.random.random_bool(0.85) {
                true => self.random_script(),
                false => self.request(),
            }
        }
    }

    fn random_script(&mut self) {
        let kind = self.theme.unwrap_or("generic");
        let keys: Words = (0..self.random.random_range(0..3))
            .map(|_| values::key(&mut self.random, kind))
            .collect();
        let mut text = HEAD.as_bytes().to_vec();
        for _ in 0..self.random.random_range(1..8) {
            let depth = self.random.random_range(1..4);
            self.grow(&mut text, "$Q", depth);
            text.push(b'\n');
        }
        let end = RETURNS.choose(&mut self.random).copied();
        self.grow(&mut text, end.unwrap_or_default(), 2);
        let count = keys.len().to_string().into_bytes();
        let mut request = vec![b"EVAL".to_vec(), text, count];
        request.extend(keys);
        let odd = values::odd(&mut self.random);
        request.extend([odd, b"b".to_vec()]);
        self.push(request);
    }

    /// Writes a template, with something in place of each `$`.
    fn grow(&mut self, text: &mut Vec<u8>, template: &str, depth: usize) {
        let mut parts = template.split('$');
        text.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
        for part in parts {
            let (name, rest) = part.split_at(1);
            match name {
                "N" => self.choose(text, NUMBERS, depth),
                "S" => self.choose(text, TEXTS, depth),
                "P" => self.choose(text, PATTERNS, depth),
                "T" => self.choose(text, TABLES, depth),
                "B" => self.choose(text, CONDITIONS, depth),
                "X" => self.choose(text, VALUES, depth),
                "C" => self.choose(text, CALLS, depth.max(1)),
                "R" => self.command_words(text),
                _ => self.choose(text, STATEMENTS, depth),
            }
            text.extend_from_slice(rest.as_bytes());
        }
    }

    /// One of the templates: where nothing may grow any more, one that has no part to grow.
    fn choose(&mut self, text: &mut Vec<u8>, templates: &[&str], depth: usize) {
        let is_leaf = |template: &&&str| !template.contains('$');
        let leaves: Vec<&str> = templates.iter().filter(is_leaf).copied().collect();
        let from = match depth {
            0 if !leaves.is_empty() => &leaves,
            _ => templates,
        };
        let template = from.choose(&mut self.random).copied();
        self.grow(text, template.unwrap_or_default(), depth.saturating_sub(1));
    }

    /// The words of a command that answers everywhere the same, as arguments of a call.
    fn command_words(&mut self, text: &mut Vec<u8>) {
        let is_fit = |row: &Row| {
            let is_blocking = row.command.flags.has(Flags::BLOCKING);
            !is_random_write(row.command)
                && !is_blocking
                && row.family != "stream"
                && !row.command.name.starts_with("FUNCTION")
                && compare::is_strict(row.command.name)
        };
        let request = match self.random.random_bool(0.15) {
            true => values::one_of(&mut self.random, WRONG_CALLS)
                .split(|byte| *byte == b' ')
                .map(<[u8]>::to_vec)
                .collect(),
            false => self.command(is_fit).1,
        };
        let may_be_spoilt = self.may_be_spoilt(&request);
        let number = match self.programs.server {
            // Redis 7.0 writes all digits of the fractions, and of large numbers, that scripts give to commands.
            ServerKind::Redis => "(n1 % 1 == 0 and n1 * n1 < 1e30 and n1 + 0 or 7)",
            _ => "n1",
        };
        for (place, word) in request.iter().enumerate() {
            if place > 0 {
                text.extend_from_slice(b", ");
            }
            match self.random.random_range(0..30) {
                0 if place > 0 && may_be_spoilt => text.extend_from_slice(b"KEYS[1]"),
                1 if place > 0 && may_be_spoilt => text.extend_from_slice(b"s1"),
                2 if place > 0 && may_be_spoilt => text.extend_from_slice(number.as_bytes()),
                _ => text.extend_from_slice(quoted(word).as_bytes()),
            }
        }
    }

    /// Whether what a script has computed may stand in the request: not where wrong words are taken in another
    /// way, nor where it might be a short time.
    fn may_be_spoilt(&self, request: &Words) -> bool {
        let is_row =
            |name: &[u8]| is_never_spoilt(&String::from_utf8_lossy(name), self.programs.server);
        !request.first().is_some_and(|name| is_row(name)) && !has_any(request, LIVES)
    }
}

/// Commands and options behind which a time stands that begins now.
const LIVES: &[&str] = &[
    "EXPIRE", "PEXPIRE", "HEXPIRE", "HPEXPIRE", "SETEX", "PSETEX", "EX", "PX",
];

/// A word as a text of Lua.
fn quoted(word: &[u8]) -> String {
    let escaped = |byte: &u8| match byte {
        b' '..=b'~' if !b"'\\".contains(byte) => char::from(*byte).to_string(),
        byte => format!("\\{byte:03}"),
    };
    format!("'{}'", word.iter().map(escaped).collect::<String>())
}
