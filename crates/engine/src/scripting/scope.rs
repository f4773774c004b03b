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
//! Whoever runs a script on the shards of its keys alone still checks each key, so a mistake here
//! could make a script fail, and could not make it see the changes of others.

use larder_resp::ArgumentBuffer;

use crate::command::{Flags, Keys};
use crate::table;

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
const HARMLESS: &[&str] = &["error_reply", "status_reply", "sha1hex", "log", "setresp"];

/// Whether this script can be seen to touch no key but those that it declares.
pub(super) fn touches_only_its_keys(text: &[u8]) -> bool {
    Tokens::read(text).is_some_and(|tokens| Reader::new(&tokens).finds_only_keys())
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
}

/// The words of a script, without spaces and comments.
struct Tokens<'a> {
    left: &'a [u8],
    tokens: Vec<Token<'a>>,
}

impl<'a> Tokens<'a> {
    /// The words of a text, or `None` if a string or a comment has no end.
    fn read(text: &'a [u8]) -> Option<Vec<Token<'a>>> {
        let mut words = Tokens {
            left: text,
            tokens: Vec::new(),
        };
        while let [first, rest @ ..] = words.left {
            match first {
                b' ' | b'\t' | b'\r' | b'\n' => words.left = rest,
                b'-' if rest.starts_with(b"-") => words.comment()?,
                b'\'' | b'"' => words.quoted(*first)?,
                b'[' if long_bracket(words.left).is_some() => {
                    let text = words.bracketed()?;
                    words.tokens.push(Token::Text(text));
                }
                b'0'..=b'9' => {
                    words.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
                    words.tokens.push(Token::Number);
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                    let name =
                        words.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                    words.tokens.push(Token::Name(name));
                }
                symbol => {
                    words.tokens.push(Token::Symbol(*symbol));
                    words.left = rest;
                }
            }
        }
        Some(words.tokens)
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let len = self.left.iter().position(|&byte| !belongs(byte));
        let (taken, left) = self.left.split_at(len.unwrap_or(self.left.len()));
        self.left = left;
        taken
    }

    fn comment(&mut self) -> Option<()> {
        self.left = &self.left[2..];
        if long_bracket(self.left).is_some() {
            self.bracketed()?;
        } else {
            self.take_while(|byte| byte != b'\n');
        }
        Some(())
    }

    fn quoted(&mut self, quote: u8) -> Option<()> {
        self.left = &self.left[1..];
        let text = self.take_while(|byte| byte != quote && byte != b'\\');
        if self.left.first() == Some(&quote) {
            self.tokens.push(Token::Text(text));
            self.left = &self.left[1..];
            return Some(());
        }
        // It has escapes: what it says is not looked at.
        while *self.left.first()? != quote {
            let len = if self.left[0] == b'\\' { 2 } else { 1 };
            self.left = self.left.get(len..)?;
        }
        self.tokens.push(Token::Symbol(b'"'));
        self.left = &self.left[1..];
        Some(())
    }

    /// A text in long brackets, such as `[==[...]==]`, which stands next.
    fn bracketed(&mut self) -> Option<&'a [u8]> {
        let level = long_bracket(self.left)?;
        let text = &self.left[level + 2..];
        let end: Vec<u8> = [b"]", &*b"=".repeat(level), b"]"].concat();
        let len = text.windows(end.len()).position(|window| window == end)?;
        self.left = &text[len + end.len()..];
        Some(&text[..len])
    }
}

/// How many `=` stand in the long bracket that begins here, if one does.
fn long_bracket(text: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(b"[")?;
    let level = rest.iter().take_while(|&&byte| byte == b'=').count();
    (rest.get(level) == Some(&b'[')).then_some(level)
}

/// Reads the words of a script for what they say of keys.
struct Reader<'t> {
    tokens: &'t [Token<'t>],
    next: usize,
    /// Local names that stand for a declared key.
    aliases: Vec<&'t [u8]>,
}

impl<'t> Reader<'t> {
    fn new(tokens: &'t [Token<'t>]) -> Reader<'t> {
        Reader {
            tokens,
            next: 0,
            aliases: Vec::new(),
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
                    !is_opaque && !self.aliases.contains(&name) && self.skip(1)
                }
                _ => self.skip(1),
            };
            if !is_fine {
                return false;
            }
        }
        true
    }

    fn peek(&self, ahead: usize) -> Option<Token<'t>> {
        self.tokens.get(self.next + ahead).copied()
    }

    fn is(&self, ahead: usize, symbol: u8) -> bool {
        self.peek(ahead) == Some(Token::Symbol(symbol))
    }

    fn skip(&mut self, count: usize) -> bool {
        self.next += count;
        true
    }

    /// Whether the next name is a field of something: behind one dot, not two.
    fn is_field(&self) -> bool {
        let before = |back: usize| {
            let at = self.next.checked_sub(back);
            at.and_then(|at| self.tokens.get(at)) == Some(&Token::Symbol(b'.'))
        };
        before(1) && !before(2)
    }

    /// Whether the next name is counted: `#KEYS`.
    fn is_counted(&self) -> bool {
        let before = self.next.checked_sub(1).and_then(|at| self.tokens.get(at));
        before == Some(&Token::Symbol(b'#')) && !self.is(1, b'[') && !self.is(1, b'.')
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
        self.skip(2);
        if self.is_taken(name) || !self.key() || !self.is_end_of_statement() {
            return false;
        }
        self.aliases.push(name);
        true
    }

    /// Whether a name was used before, or is one that means something else.
    fn is_taken(&self, name: &[u8]) -> bool {
        let before = &self.tokens[..self.next - 2];
        before.contains(&Token::Name(name)) || name == b"KEYS" || name == b"redis"
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
            Some(Token::Name(name)) if self.aliases.contains(&name) => self.skip(1),
            Some(Token::Name(b"KEYS")) => {
                let is_index = match self.peek(2) {
                    Some(Token::Name(name)) => name != b"KEYS" && !self.aliases.contains(&name),
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
            b"LOG_DEBUG" | b"LOG_VERBOSE" | b"LOG_NOTICE" | b"LOG_WARNING" => true,
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
        let Ok(command) = table::find(request.as_arguments()) else {
            return false;
        };
        if command.flags.has(Flags::WHOLE) {
            return false;
        }
        match command.keys {
            Keys::None => true,
            Keys::First => self.keys(1),
            Keys::FirstTwo => self.keys(2),
            Keys::All => self.keys(1) && self.more_keys(),
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
        ] {
            assert!(touches_only_its_keys(text.as_bytes()), "{text}");
        }
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
            "return 'unfinished",
            "return [[unfinished",
        ] {
            assert!(!touches_only_its_keys(text.as_bytes()), "{text}");
        }
    }
}
