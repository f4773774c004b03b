//! What stands before Lua's library, beside Lua's library.

use std::sync::Arc;

use mlua::{Lua, LuaOptions, StdLib, Table, Value};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{Guards, install};
use crate::scripting::Purpose;
use crate::scripting::watchdog::Watchdogs;

/// A machine with Lua's own functions, and one with guards before them.
struct Pair {
    own: Lua,
    guarded: Lua,
    guards: Arc<Guards>,
}

impl Pair {
    fn new() -> Pair {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let machine = || Lua::new_with(libraries, LuaOptions::default()).unwrap();
        let pair = Pair {
            own: machine(),
            guarded: machine(),
            guards: Guards::new(Watchdogs::default().add(Purpose::Scripts)),
        };
        let shown: Table = pair.guarded.create_table().unwrap();
        // SAFETY: the guards live as long as the machine.
        unsafe { install(&pair.guarded, &pair.guards, &shown).unwrap() };
        pair
    }

    /// Both say the same of a call of these functions, or raise the same.
    fn agree(&self, call: &str) {
        let said = |lua: &Lua| match lua.load(call).set_name("=call").eval::<Value>() {
            Ok(Value::String(text)) => text.as_bytes().escape_ascii().to_string(),
            Ok(value) => value.to_string().unwrap(),
            // Behind the first line it is said who called whom.
            Err(error) => error.to_string().lines().next().unwrap().to_owned(),
        };
        self.guards.begin();
        assert_eq!(said(&self.own), said(&self.guarded), "{call}");
    }
}

/// Everything that a call answers, with its bytes, in one text.
const SHOW: &str = "local function show(...)
    local out = {select('#', ...)}
    for i = 1, select('#', ...) do
        out[#out + 1] = type((select(i, ...))) .. ':' .. tostring((select(i, ...)))
    end
    return (table.concat(out, '|'):gsub('%z', '<0>'))
end ";

/// Pieces of patterns, and of what is hardly one.
const PIECES: &[&str] = &[
    "a",
    "b",
    "x",
    ".",
    "%a",
    "%A",
    "%d",
    "%D",
    "%s",
    "%S",
    "%w",
    "%W",
    "%p",
    "%P",
    "%c",
    "%l",
    "%u",
    "%x",
    "%z",
    "%Z",
    "%.",
    "%%",
    "%-",
    "[ab]",
    "[^ab]",
    "[a-c]",
    "[%a_]",
    "[]a]",
    "[^]a]",
    "[a-]",
    "[-a]",
    "[%]]",
    "[a%-c]",
    "[%a-z]",
    "[z-a]",
    "[",
    "[a",
    "[^",
    "[%",
    "%",
    "(",
    ")",
    "()",
    "(a*)",
    "(.)",
    "(.-)",
    "((a)b)",
    "%1",
    "%2",
    "%9",
    "%0",
    "%b()",
    "%bab",
    "%baa",
    "%b",
    "%bx",
    "%f[%a]",
    "%f[^%a]",
    "%f[%z]",
    "%f",
    "%fa",
    "^",
    "$",
    "*",
    "+",
    "-",
    "?",
    "a*",
    "a+",
    "a-",
    "a?",
    ".*",
    ".-",
    "[ab]*",
    "[^a]-",
    "%a+",
    "(a?)",
    "\\0",
    "\\0a",
    "\\255",
    "[\\200-\\255]",
    "\\9\\11",
];

const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "ab",
    "aab",
    "x",
    " ",
    "(",
    ")",
    "(ab)",
    "((a)(b))",
    "1",
    "-",
    "%",
    "]",
    "_",
    "A",
    "\\0",
    "\\255",
    "\\200",
    "\\9",
    "\\11",
    "\\127",
    "abc",
    "aaaa",
    "word word",
];

const REPLACEMENTS: &[&str] = &[
    "''",
    "'r'",
    "'<%0>'",
    "'%1'",
    "'%2%1'",
    "'%'",
    "'%%'",
    "'%x'",
    "'\\0%0'",
    "7",
    "{a='t', b=false}",
    "{}",
    "string.upper",
    "function(...) return show(...) end",
    "function() end",
    "function() return false end",
    "function() return {} end",
    "function() error('no') end",
    "nil",
    "true",
];

const PLACES: &[&str] = &[
    "nil", "1", "0", "2", "3", "-1", "-2", "-9", "9", "2^31", "-2^31", "1e308",
];

fn pick<'t>(random: &mut SmallRng, texts: &[&'t str]) -> &'t str {
    texts[random.random_range(0..texts.len())]
}

fn some(random: &mut SmallRng, texts: &[&str], most: usize) -> String {
    let count = random.random_range(0..=most);
    (0..count).map(|_| pick(random, texts)).collect()
}

#[test]
fn patterns_match_as_they_do_in_lua() {
    let pair = Pair::new();
    let mut random = SmallRng::seed_from_u64(5);
    for _ in 0..40_000 {
        let text = some(&mut random, TEXTS, 8);
        let pattern = some(&mut random, PIECES, 5);
        let place = pick(&mut random, PLACES);
        let replacement = pick(&mut random, REPLACEMENTS);
        let call = match random.random_range(0..5) {
            0 => format!("string.find('{text}', '{pattern}', {place})"),
            1 => format!("string.find('{text}', '{pattern}', {place}, true)"),
            2 => format!("string.match('{text}', '{pattern}', {place})"),
            3 => format!("string.gsub('{text}', '{pattern}', {replacement}, {place})"),
            _ => {
                let next = "table.concat({...}, ',')";
                pair.agree(&format!(
                    "{SHOW} local all = {{}} for a, b in string.gmatch('{text}', '{pattern}') do
                     all[#all + 1] = show(a, b) end return table.concat(all, ';')"
                ));
                format!("string.gsub('{text}', '{pattern}', function(...) return {next} end)")
            }
        };
        pair.agree(&format!("{SHOW} return show({call})"));
    }
}

#[test]
fn long_texts_are_found_as_they_are_in_lua() {
    let pair = Pair::new();
    for wanted in [
        "('a'):rep(6000) .. 'b'",
        "'b' .. ('a'):rep(6500)",
        "('ab'):rep(3000)",
    ] {
        for place in ["nil", "1002", "-7000"] {
            pair.agree(&format!(
                "{SHOW} local text = ('a'):rep(1000) .. 'b' .. ('a'):rep(6001) .. ('b'):rep(6000)
                 return show(text:find({wanted}, {place}, true))"
            ));
        }
    }
}

#[test]
fn much_is_sorted_as_it_is_in_lua() {
    let pair = Pair::new();
    for fill in [
        "i * 7919 % 10007",
        "'x' .. i * 7919 % 10007",
        "('y'):rep(200) .. i % 100",
        "i % 2 == 0 and i or 'x'",
    ] {
        pair.agree(&format!(
            "local all = {{}} for i = 1, 20000 do all[i] = {fill} end
             table.sort(all) return table.concat(all, ',')"
        ));
    }
    pair.agree("return table.sort({3, 1, 2}, nil, 'and more')");
}
