//! Which scripts can be seen to touch no key but those that they declare.
//!
//! A script may build any key while it runs, so it has to hold every shard, unless its text shows
//! that it does not. This reads the text without running it, and says yes only to the usual form:
//!
//! - a command is called by its name in quotes, as `redis.call('GET', ...)` or `redis.pcall(...)`,
//!   and by nothing else: no other name for `redis.call`, no `_G`, no `loadstring`;
//! - where the command has a key stands `KEYS[...]`, or a local name that was given `KEYS[...]` and
//!   is used for nothing else;
//! - `KEYS` itself is only indexed, in these two places, or counted, as `#KEYS`.
//!
//! The text is read once, from its beginning to its end, with a few words of look-ahead; one that is
//! longer than [`TEXT_LEN_MAX`] is not read at all.
//!
//! Whoever runs a script on the shards of its keys alone still checks each key, so a mistake here
//! could make a script fail, and could not make it see the changes of others.

use std::collections::HashSet;

use larder_resp::ArgumentBuffer;

use crate::command::{Flags, KeySpec};
use crate::commands;

/// How long a text may be that is read for what it touches.
pub(super) const TEXT_LEN_MAX: usize = 64 << 10;

/// Names that lead to `redis` or to `KEYS` in ways that can't be read off the text.
const OPAQUE: &[&str] = &[
    "_G",
    "server",
    "getfenv",
    "setfenv",
    "load",
    "loadstring",
    "rawset",
    "setmetatable",
    "table",
];

/// The functions of `redis` that touch no key.
const HARMLESS: &[&str] = &[
    "acl_check_cmd",
    "breakpoint",
    "debug",
    "error_reply",
    "log",
    "replicate_commands",
    "set_repl",
    "setresp",
    "sha1hex",
    "status_reply",
];

/// How many local names may stand for keys: as many as a function of Lua may have.
const ALIASES_MAX: usize = 200;

/// Whether this script can be seen to touch no key but those that it declares.
pub(super) fn touches_only_its_keys(text: &[u8]) -> bool {
    text.len() <= TEXT_LEN_MAX && Reader::new(text).finds_only_keys()
}

/// A word of Lua.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A name or a keyword.
    Name(&'a [u8]),
    /// A string without escapes.
    Text(&'a [u8]),
    Number,
    /// A character that is none of these; a string with escapes is a `"`.
    Symbol(u8),
    /// A string or a comment that has no end.
    Endless,
}

/// Reads the words of a script, without spaces and comments.
struct Tokens<'a> {
    left: &'a [u8],
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let [first, rest @ ..] = self.left else {
                return None;
            };
            match first {
                b' ' | b'\t' | b'\r' | b'\n' | 11 | 12 => self.left = rest,
                b'-' if rest.starts_with(b"-") => {
                    if self.comment().is_none() {
                        return Some(self.endless());
                    }
                }
                _ => return Some(self.word(*first).unwrap_or_else(|| self.endless())),
            }
        }
    }
}

impl<'a> Tokens<'a> {
    /// The word that begins with this byte. `None` if it has no end.
    fn word(&mut self, first: u8) -> Option<Token<'a>> {
        Some(match first {
            b'\'' | b'"' => return self.quoted(first),
            b'[' if long_bracket(self.left).is_some() => Token::Text(self.bracketed()?),
            b'0'..=b'9' => {
                self.number();
                Token::Number
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Token::Name(self.take_while(is_of_name)),
            symbol => {
                self.left = &self.left[1..];
                Token::Symbol(symbol)
            }
        })
    }

    /// What can't be read ends the text.
    fn endless(&mut self) -> Token<'a> {
        self.left = b"";
        Token::Endless
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let len = self.left.iter().position(|&byte| !belongs(byte));
        let (taken, left) = self.left.split_at(len.unwrap_or(self.left.len()));
        self.left = left;
        taken
    }

    /// A number as Lua reads it: digits and points, an exponent, and letters.
    fn number(&mut self) {
        self.take_while(|byte| byte.is_ascii_digit() || byte == b'.');
        if let [b'e' | b'E', rest @ ..] = self.left {
            self.left = match rest {
                [b'+' | b'-', rest @ ..] => rest,
                rest => rest,
            };
        }
        self.take_while(is_of_name);
    }

    fn comment(&mut self) -> Option<()> {
        self.left = &self.left[2..];
        if long_bracket(self.left).is_some() {
            self.bracketed()?;
        } else {
            self.take_while(|byte| byte != b'\n' && byte != b'\r');
        }
        Some(())
    }

    fn quoted(&mut self, quote: u8) -> Option<Token<'a>> {
        self.left = &self.left[1..];
        let text = self.take_while(|byte| byte != quote && byte != b'\\');
        if self.left.first() == Some(&quote) {
            self.left = &self.left[1..];
            return Some(Token::Text(text));
        }
        // It has escapes: what it says is not looked at.
        while *self.left.first()? != quote {
            let len = if self.left[0] == b'\\' { 2 } else { 1 };
            self.left = self.left.get(len..)?;
        }
        self.left = &self.left[1..];
        Some(Token::Symbol(b'"'))
    }

    /// A text in long brackets, such as `[==[...]==]`, which stands next.
    fn bracketed(&mut self) -> Option<&'a [u8]> {
        let level = long_bracket(self.left)?;
        let text = &self.left[level + 2..];
        let mut from = 0;
        loop {
            from += text[from..].iter().position(|&byte| byte == b']')? + 1;
            let equals = text[from..].iter().take_while(|&&byte| byte == b'=');
            let len = equals.take(level + 1).count();
            if len == level && text.get(from + level) == Some(&b']') {
                self.left = &text[from + level + 1..];
                return Some(&text[..from - 1]);
            }
            from += len;
        }
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many `=` stand in the long bracket that begins here, if one does.
fn long_bracket(text: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(b"[")?;
    let level = rest.iter().take_while(|&&byte| byte == b'=').count();
    (rest.get(level) == Some(&b'[')).then_some(level)
}

/// How many words are looked at ahead of the one that stands next, and behind it.
const AHEAD: usize = 4;
const BEHIND: usize = 2;

/// Reads the words of a script for what they say of keys.
struct Reader<'t> {
    tokens: Tokens<'t>,
    /// The last words that were read, the next ones, and nothing beyond both ends.
    around: [Option<Token<'t>>; BEHIND + AHEAD],
    /// The names that were read.
    names: HashSet<&'t [u8], foldhash::fast::RandomState>,
    /// Local names that stand for a declared key.
    aliases: HashSet<&'t [u8], foldhash::fast::RandomState>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t [u8]) -> Reader<'t> {
        let mut tokens = Tokens { left: text };
        let mut around = [None; BEHIND + AHEAD];
        for place in &mut around[BEHIND..] {
            *place = tokens.next();
        }
        Reader {
            tokens,
            around,
            names: HashSet::default(),
            aliases: HashSet::default(),
        }
    }

    fn finds_only_keys(mut self) -> bool {
        while let Some(token) = self.peek(0) {
            let is_fine = match token {
                Token::Name(_) if self.is_field() => self.skip(1),
                Token::Name(b"redis") => self.redis(),
                Token::Name(b"KEYS") => self.is_counted() && self.skip(1),
                Token::Name(b"local") => self.local(),
                Token::Name(name) => {
                    let is_opaque = OPAQUE.iter().any(|opaque| opaque.as_bytes() == name);
                    !is_opaque && !self.aliases.contains(name) && self.skip(1)
                }
                Token::Endless => false,
                _ => self.skip(1),
            };
            if !is_fine {
                return false;
            }
        }
        true
    }

    fn peek(&self, ahead: usize) -> Option<Token<'t>> {
        self.around[BEHIND + ahead]
    }

    fn is(&self, ahead: usize, symbol: u8) -> bool {
        self.peek(ahead) == Some(Token::Symbol(symbol))
    }

    fn is_behind(&self, back: usize, symbol: u8) -> bool {
        self.around[BEHIND - back] == Some(Token::Symbol(symbol))
    }

    fn skip(&mut self, count: usize) -> bool {
        for _ in 0..count {
            if let Some(Token::Name(name)) = self.peek(0) {
                self.names.insert(name);
            }
            self.around.rotate_left(1);
            self.around[BEHIND + AHEAD - 1] = self.tokens.next();
        }
        true
    }

    /// Whether the next name is a field of something: behind one dot, not two.
    fn is_field(&self) -> bool {
        self.is_behind(1, b'.') && !self.is_behind(2, b'.')
    }

    /// Whether the next name is counted: `#KEYS`.
    fn is_counted(&self) -> bool {
        self.is_behind(1, b'#') && !self.is(1, b'[') && !self.is(1, b'.')
    }

    /// `local name = KEYS[...]` makes the name an alias. Any other `local` is nothing special.
    fn local(&mut self) -> bool {
        self.skip(1);
        let Some(Token::Name(name)) = self.peek(0) else {
            return true;
        };
        if !self.is(1, b'=') || self.peek(2) != Some(Token::Name(b"KEYS")) {
            return true;
        }
        let is_taken = self.is_taken(name);
        self.skip(2);
        if is_taken || !self.key() || !self.is_end_of_statement() {
            return false;
        }
        self.aliases.insert(name);
        self.aliases.len() <= ALIASES_MAX
    }

    /// Whether a name was used before, or is one that means something else.
    fn is_taken(&self, name: &[u8]) -> bool {
        self.names.contains(name) || name == b"KEYS" || name == b"redis"
    }

    /// Whether what stands next can't go on with the expression before it.
    fn is_end_of_statement(&self) -> bool {
        match self.peek(0) {
            Some(Token::Name(name)) => name != b"and" && name != b"or",
            Some(Token::Symbol(symbol)) => symbol == b';',
            Some(_) => false,
            None => true,
        }
    }

    /// Reads a declared key, if one stands next: `KEYS[1]`, `KEYS[i]` or an alias.
    fn key(&mut self) -> bool {
        match self.peek(0) {
            Some(Token::Name(name)) if self.aliases.contains(name) => self.skip(1),
            Some(Token::Name(b"KEYS")) => {
                let is_index = match self.peek(2) {
                    Some(Token::Name(name)) => name != b"KEYS" && !self.aliases.contains(name),
                    token => token == Some(Token::Number),
                };
                self.is(1, b'[') && is_index && self.is(3, b']') && self.skip(4)
            }
            _ => false,
        }
    }

    /// What follows the name `redis`.
    fn redis(&mut self) -> bool {
        let Some(Token::Name(function)) = self.peek(2).filter(|_| self.is(1, b'.')) else {
            return false;
        };
        self.skip(3);
        match function {
            b"call" | b"pcall" => self.is(0, b'(') && self.skip(1) && self.call(),
            name if name.starts_with(b"LOG_") || name.starts_with(b"REPL_") => true,
            name => {
                let is_harmless = HARMLESS.iter().any(|harmless| harmless.as_bytes() == name);
                is_harmless && self.is(0, b'(')
            }
        }
    }

    /// The words of a call, up to those that may be anything.
    fn call(&mut self) -> bool {
        let Some(Token::Text(name)) = self.peek(0) else {
            return false;
        };
        self.skip(1);
        let mut request = ArgumentBuffer::new();
        request.push(name);
        let Ok(command) = commands::find(request.as_arguments()) else {
            return false;
        };
        if command.flags.has(Flags::WHOLE) {
            return false;
        }
        match command.keys {
            KeySpec::None => true,
            KeySpec::First => self.keys(1),
            KeySpec::FirstTwo => self.keys(2),
            KeySpec::All => self.keys(1) && self.more_keys(),
            _ => false,
        }
    }

    /// Reads `count` declared keys, each behind a comma.
    fn keys(&mut self, count: usize) -> bool {
        (0..count).all(|_| self.is(0, b',') && self.skip(1) && self.key() && self.is_separated())
    }

    /// Reads declared keys up to the end of the call.
    fn more_keys(&mut self) -> bool {
        while self.is(0, b',') {
            if !self.keys(1) {
                return false;
            }
        }
        self.is(0, b')')
    }

    fn is_separated(&self) -> bool {
        self.is(0, b',') || self.is(0, b')')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_scripts_touch_only_their_keys() {
        for text in [
            "return 1",
            "return redis.call('GET', KEYS[1])",
            "return redis.call(\"set\",KEYS[1],ARGV[1])",
            "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end",
            "for i = 1, #KEYS do redis.pcall('INCRBY', KEYS[i], ARGV[i]) end",
            "return redis.call('DEL', KEYS[1], KEYS[2])",
            "return redis.call('RENAME', KEYS[1], KEYS[2])",
            "local key = KEYS[1]\nlocal n = redis.call('incr', key)\n\
             if n == 1 then redis.call('expire', key, ARGV[1]) end return n",
            "redis.call('HSET', KEYS[1], 'a', ARGV[1] .. 'b') -- KEYS = nil\nreturn redis.status_reply('OK')",
            "redis.call('PUBLISH', 'news', ARGV[1]); return redis.call('TIME')[1]",
            "--[[ _G ]] return redis.call('RPUSH', KEYS[1], unpack(ARGV))",
            "local t = {} t.KEYS = 1 return cjson.encode(t)",
            "-- a comment\rreturn redis.call('GET', KEYS[1])",
            "return 1e5 .. redis.call('GET', KEYS[1])",
            "return redis.REPL_ALL, redis.LOG_DEBUG, redis.breakpoint()",
        ] {
            assert!(touches_only_its_keys(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_long_text_is_not_read() {
        let short = [b"return 1".to_vec(), vec![b';'; 1000]].concat();
        let long = [b"return 1".to_vec(), vec![b';'; TEXT_LEN_MAX]].concat();
        assert!(touches_only_its_keys(&short));
        assert!(!touches_only_its_keys(&long));
    }

    #[test]
    fn a_script_has_no_more_names_for_keys_than_lua_has_locals() {
        let names = |count: usize| -> String {
            (0..count)
                .map(|at| format!("local key{at} = KEYS[{at}] "))
                .collect()
        };
        assert!(touches_only_its_keys(names(ALIASES_MAX).as_bytes()));
        assert!(!touches_only_its_keys(names(ALIASES_MAX + 1).as_bytes()));
    }

    #[test]
    fn a_script_that_may_touch_other_keys_is_not_trusted() {
        for text in [
            "return redis.call('GET', 'other')",
            "return redis.call('GET', ARGV[1])",
            "return redis.call('GET', KEYS[1] .. ':lock')",
            "return redis.call('GET', KEYS[ARGV[1]] .. 'x')",
            "return redis.call('DEL', KEYS[1], ARGV[1])",
            "return redis.call('DEL', unpack(KEYS))",
            "return redis.call(ARGV[1], KEYS[1])",
            "return redis.call('GET' .. 'SET', KEYS[1], 'x')",
            "return redis.call('KEYS', '*')",
            "return redis.call('DBSIZE')",
            "return redis.call('RENAME', KEYS[1], ARGV[1])",
            "return redis.call('EVAL', KEYS[1], 0)",
            "return redis.call('SORT', KEYS[1], 'BY', 'x*')",
            "return redis.call('ZUNIONSTORE', KEYS[1], 1, KEYS[2])",
            "local call = redis.call return call('GET', 'x')",
            "return pcall(redis.call, 'GET', 'x')",
            "local r = redis return r.call('GET', 'x')",
            "return redis['call']('GET', 'x')",
            "return server.call('GET', 'x')",
            "return _G.redis.call('GET', KEYS[1])",
            "return loadstring(ARGV[1])()",
            "KEYS[1] = 'x' return redis.call('GET', KEYS[1])",
            "KEYS[1], KEYS[2] = 'x', 'y' return redis.call('GET', KEYS[1])",
            "local KEYS = {'x'} return redis.call('GET', KEYS[1])",
            "local k = KEYS k[1] = 'x' return redis.call('GET', KEYS[1])",
            "table.insert(KEYS, 'x') return redis.call('GET', KEYS[1])",
            "local key = KEYS[1] key = 'x' return redis.call('GET', key)",
            "local key = KEYS[1] local key = 'x' return redis.call('GET', key)",
            "local key = KEYS[1] .. 'x' return redis.call('GET', key)",
            "local key = KEYS[1] or 'x' return redis.call('GET', key)",
            "local key = KEYS[1] return redis.call('GET', key .. 'x')",
            "local function f(key) return redis.call('GET', key) end local key = KEYS[1] return f('x')",
            "local key = KEYS[1] local f = function(key) return redis.call('GET', key) end return f('x')",
            "for _, key in ipairs({'x'}) do redis.call('GET', key) end",
            "return 1e5..redis.call('GET', 'x')",
            "return 1e+5..redis.call('GET', 'x')",
            "-- a comment\rreturn redis.call('GET', 'x')",
            "return rawget(redis, 'call')('GET', 'x')",
            "local f = {pairs(KEYS)} f[2][1] = 'x' return redis.call('GET', KEYS[1])",
            "return 'unfinished",
            "return [[unfinished",
        ] {
            assert!(!touches_only_its_keys(text.as_bytes()), "{text}");
        }
    }
}
