//! Values for the arguments of requests: a few that meet each other often, and the odd ones.
//!
//! Time decides nothing: a life is either over at once or long, so that no key is gone on one side
//! alone because that side was slower.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::scripts::SCRIPTS;
use super::{Words, functions, parameters};
use crate::transcript::words::quote;

/// The word in a request for what DUMP has answered last, on each side its own answer.
pub(super) const DUMP: &[u8] = b"<dump>";

/// The word in a request for what the server has dumped last.
pub(super) const THEIR_DUMP: &[u8] = b"<their-dump>";

/// Whether the word stands for what was dumped.
pub(super) fn is_dump(word: &[u8]) -> bool {
    [DUMP, THEIR_DUMP].contains(&word)
}

/// Where in a request a value stands.
pub(super) struct Place<'a> {
    /// The command's name.
    pub(super) command: &'a str,
    /// The command's family.
    pub(super) family: &'a str,
    /// The value's name in the syntax.
    pub(super) name: &'a str,
    /// The literal word before it, if there is one.
    pub(super) token: Option<&'a str>,
}

/// The start of the keys that hold values of a family's type.
const TYPES: &[(&str, &str)] = &[
    ("string", "s"),
    ("bitmap", "s"),
    ("hyperloglog", "p"),
    ("geo", "g"),
    ("list", "l"),
    ("hash", "h"),
    ("set", "e"),
    ("sorted-set", "z"),
    ("stream", "x"),
];

/// What is easily read wrong. None of these is a short time.
const ODD: &[&str] = &[
    "",
    " 1",
    "1 ",
    "+1",
    "-0",
    "01",
    "0",
    "-1",
    "0x10",
    "3.0",
    "abc",
    "nan",
    "-nan",
    "inf",
    "-inf",
    "+inf",
    "infinity",
    "1e308",
    "-1e308",
    ".5",
    "5.",
    "1e3",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
    "a\r\nb",
];

const TEXTS: &[&str] = &[
    "a", "b", "c", "1", "2", "3", "10", "-5", "3.5", "foo bar", "ab", "abc",
];

const SCORES: &str = "0 1 1 2 3 -1 1.5 0.1 0.2 1e3 -2.5 3.0 inf -inf 1e308 17 \
    1e16 1e21 123456789.123456789 1e-300 -0 0.30000000000000004 4503599627370497.5";

const PATTERNS: &[&str] = &[
    "*", "a*", "*b", "?", "[a-c]", "[^a]*", "s?", "\\*", "[", "*[1-3]", "", "1*", "h\\1", "[c-a]",
];

const INTS: &str = "0 1 2 3 5 10 -1 -2 -3 -10 100";

/// Places of bits.
const BIT_OFFSETS: &str = "0 1 2 7 8 9 15 16 31 63 64 100 #0 #1 #3 #10 4095 -1 # #-1 5000000000";

/// What integers inside strings become.
const BIT_FIELDS: &str =
    "0 1 -1 127 128 255 256 -128 -129 1000 9223372036854775807 -9223372036854775808";

/// Seconds that are over, or that are not over during the longest run. Multiples of 1000 are in
/// the middle of what counts as the same time.
const SECONDS: &str =
    "1000 5000 20000 20000 0 -1 9223372036854775807 9223372036854775 -9223372036854775808";

const MILLISECONDS: &str = "1000000 5000000 20000000 0 -1 9223372036854775807 -9223372036854775808";

/// One of `choices`, as bytes.
pub(super) fn one_of(random: &mut StdRng, choices: &[&str]) -> Vec<u8> {
    let chosen = choices.choose(random).copied().unwrap_or_default();
    chosen.as_bytes().to_vec()
}

/// One of the words of a text.
fn one_word_of(random: &mut StdRng, text: &str) -> Vec<u8> {
    one_of(random, &text.split(' ').collect::<Vec<_>>())
}

/// A word that is easily read wrong.
pub(super) fn odd(random: &mut StdRng) -> Vec<u8> {
    one_of(random, ODD)
}

/// A key, mostly one that holds the type of the family.
pub(super) fn key(random: &mut StdRng, family: &str) -> Vec<u8> {
    let own = TYPES.iter().find(|(name, _)| *name == family);
    let other = TYPES.choose(random);
    let start = match own {
        Some((_, start)) if random.random_bool(0.9) => start,
        _ => other.map_or("n", |(_, start)| start),
    };
    format!("{start}{}", random.random_range(1..=3)).into_bytes()
}

/// A value for a place, mostly one that fits.
pub(super) fn value(random: &mut StdRng, place: &Place<'_>) -> Vec<u8> {
    match place.name {
        "key" | "key1" | "key2" | "newkey" | "source" | "src" | "destination" | "dst"
        | "destkey" | "sourcekey" => key(random, place.family),
        "increment" | "decrement" if takes_integers(place) => integer(random),
        "score" | "weight" | "increment" | "decrement" => one_word_of(random, SCORES),
        "pattern" if !matches!(place.token, Some("BY" | "GET")) => one_of(random, PATTERNS),
        "seconds" => one_word_of(random, SECONDS),
        // A wait that never ends on one side alone is waited for.
        "milliseconds" if place.token == Some("BLOCK") => {
            one_word_of(random, "1000000 0 5000000 0 -1")
        }
        "milliseconds" | "ms" | "min-idle-time" => one_word_of(random, MILLISECONDS),
        "script" => match random.random_bool(0.3) {
            true => b"return 1".to_vec(),
            false => one_of(random, SCRIPTS),
        },
        "parameter" => parameters::name(random),
        "username" if place.command == "ACL SETUSER" => one_of(random, &["u1", "u2", "u3"]),
        "arg" if place.command == "ACL DRYRUN" => key(random, place.family),
        "function-code" => functions::code(random),
        "serialized-value" => one_of(random, &["<dump>", "<dump>", "<their-dump>", "", "abc"]),
        "unix-time-seconds" => unix_time(random, 1),
        "unix-time-milliseconds" => unix_time(random, 1000),
        "id" | "lastid" | "last-id" | "max-deleted-id" => id(random, place),
        _ => match choices(place) {
            Some(choices) => one_word_of(random, choices),
            None => text(random),
        },
    }
}

fn takes_integers(place: &Place<'_>) -> bool {
    place.family != "sorted-set" && !place.command.ends_with("FLOAT")
}

/// What fits a place where a few words do, if it is one.
fn choices(place: &Place<'_>) -> Option<&'static str> {
    let choices = match place.name {
        "pattern" if place.token == Some("BY") => "s* h*->a nosort h*->1 * n* s*->a h*->",
        "pattern" if place.token == Some("GET") => "# s* h*->a h*->1 * n",
        "timeout" => "100 0 1000.5 -1 1e3 0x64 nan",
        "min" | "max" if place.command.ends_with("LEX") || place.command == "ZLEXCOUNT" => {
            "- + [a (a [b (b [c (ab [ ( [10 (3 a"
        }
        "min" | "max" if place.command != "ZRANGESTORE" => {
            "-inf +inf (1 1 2 (2 3 (3 0 -1 (-inf (inf 1.5 ( inf"
        }
        "start" | "end" if place.family == "stream" => {
            "- + 2 (2 3-1 (3-1 5-* (- (+ 0-0 (18446744073709551615-18446744073709551615 ("
        }
        "group" => "g1 g1 g2",
        "consumer" => "c1 c1 c2",
        "threshold" => "0 1 2 3 5-0 3-1 -1 100",
        "count" if place.command.ends_with("SCAN") => "1000 5000",
        "count" | "limit" | "num-matches" | "len" | "rank" | "min-match-len" => {
            "1 2 3 10 0 100 -1 -2"
        }
        "cursor" => "0 0 0 0 0 0 abc",
        "type" => "string list hash set zset stream nonsense STRING",
        "db" | "destination-db" | "index1" | "index2" => "0 0 1 1 16 -1",
        "longitude" => "13.361389 15.087269 13.4 15 0 -0.5 179.9 -179.9 180 -180 90 -45.123456 181",
        "latitude" => "38.115556 37.502669 38 37.6 0 -0.5 10.5 85 -85 85.05112878 -33.8 86",
        "radius" | "width" | "height" => "0 1 100 200 1000 200000 1e6 0.5 20000 1e7 5.5 -1",
        "index" if place.command == "SELECT" => "0 0 0 1 16 -1",
        "value" | "bit" if place.family == "bitmap" && place.token.is_none() => "0 1 0 1 0 1 2 -1",
        "value" if place.family == "bitmap" => BIT_FIELDS,
        "encoding" => "u1 i1 u2 u8 i8 u8 i8 i16 u13 i5 u63 i63 i64 u64 i65 u0 8 U8",
        "offset" if place.family == "bitmap" => BIT_OFFSETS,
        "offset" if place.command == "SETRANGE" => "0 1 2 5 20 -1 536870912 9223372036854775807",
        "index" | "start" | "stop" | "end" | "offset" | "min" | "max" => INTS,
        "entries-read" | "entries-added" => "0 1 5 10 -1 -2 100",
        // Since Redis 7.2 what stands behind a zero byte is not looked at.
        "connection-name" | "clientname" | "libname" | "libver" => "a b c 1 3.5 abc -",
        "protover" => "2 3 4 1",
        "sha1" => {
            "e0e1f9fabfc9d4800c877a703b823ac0578ff8db e0e1f9fabfc9d4800c877a703b823ac0578ff8db ffff \
            E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"
        }
        "channel" | "shardchannel" => "c1 c2",
        "function" => "f1 f1 f2 f2 f3 F1 f4",
        "username" => "u1 u1 u2 u2 u3 default nobody",
        "password" => "p1 p1 p2 nonsense",
        "rule" => {
            "on on on on off nopass >p1 >p1 >p2 <p1 resetpass allkeys ~* ~* ~s* ~l? %R~h* %W~e* %RW~z* resetkeys \
            allchannels &* &c1 resetchannels allcommands nocommands +@all +@all +@all +@read -@write +get +set \
            -set +config|get -config +client -client|list +@nonsense +nonsense reset (+get~s1) clearselectors \
            #e0e1 !ff sanitize-payload skip-sanitize-payload nonsense %~x ~"
        }
        "library-name" => "lib1 lib2 lib3 LIB1",
        "library-name-pattern" => "lib1 lib* * LIB? nothing",
        "ttl" => "0 0 0 1000000 20000000 -1 9223372036854775807",
        "frequency" => "0 1 255 256 -1",
        "client-id" => "9999999 0 -1",
        "command" if place.command == "ACL DRYRUN" => {
            "GET SET DEL RENAME LPUSH HGET PING FOO CONFIG"
        }
        "command" => "GET MSET ZUNIONSTORE XREAD EVAL SORT FOO PING",
        _ => return None,
    };
    Some(choices)
}

fn text(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..100) {
        0..80 => one_of(random, TEXTS),
        80..84 => vec![b'x'; 70],
        84..86 => vec![b'y'; 45],
        86..88 => vec![b'z'; 44],
        88..90 => b"\x00\xff\x80".to_vec(),
        90..93 => format!("m{}", random.random_range(0..200)).into_bytes(),
        _ => odd(random),
    }
}

fn integer(random: &mut StdRng) -> Vec<u8> {
    match random.random_bool(0.8) {
        true => one_word_of(random, INTS),
        false => one_word_of(
            random,
            "9223372036854775807 -9223372036854775808 4611686018427387904 -9223372036854775807",
        ),
    }
}

/// A time that is over, or that is far from now. Times are not part of a seed: the same seed asks
/// for the same distances from the day it is run on.
fn unix_time(random: &mut StdRng, unit: i64) -> Vec<u8> {
    let now = i64::try_from(super::compare::unix_ms() / 1000).unwrap_or(i64::MAX);
    let seconds = *[now + 5000, now + 20_000, now + 1_000_000, 1, now - 5000]
        .choose(random)
        .unwrap_or(&1);
    match random.random_bool(0.85) {
        true => (seconds * unit).to_string().into_bytes(),
        false => one_of(random, &["0", "-1", "9223372036854775807"]),
    }
}

fn id(random: &mut StdRng, place: &Place<'_>) -> Vec<u8> {
    match place.command {
        "XREADGROUP" if random.random_bool(0.7) => b">".to_vec(),
        // Redis goes on from the first id behind the last one there can be.
        "XREADGROUP" => one_word_of(random, "0 1-0 2-1 3 5-0 $ 20"),
        "XADD" if random.random_bool(0.15) => {
            format!("{}-*", random.random_range(1..20)).into_bytes()
        }
        "XADD" => format!(
            "{}-{}",
            random.random_range(1..20),
            random.random_range(0..3)
        )
        .into_bytes(),
        _ => one_word_of(
            random,
            "0 1-0 2-1 3 5-0 5-1 8-2 0-0 $ > - 18446744073709551615-18446744073709551615 10-1 20",
        ),
    }
}

/// A request as a line for people, in the notation of transcripts.
pub(super) fn shown(words: &Words) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\".contains(byte);
    let word = |word: &Vec<u8>| match !word.is_empty() && word.iter().all(is_plain) {
        true => String::from_utf8_lossy(word).into_owned(),
        false => quote(word),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}
