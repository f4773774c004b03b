//! Requests as a server takes them: without what it is known to take in another way than Larder.

use super::{Step, Subject, Words};
use crate::differential::compare::unix_ms;
use crate::differential::named::{has_any, integer_of, is};
use crate::server::ServerKind;

/// Changes a request into one that such a server takes as Larder does.
pub(super) fn fit(server: ServerKind, words: &mut Words) {
    if server == ServerKind::Redis {
        with_login_first(words);
        without_fractions(words);
        with_old_operation(words);
    } else {
        without_hexadecimal(words);
        begin_at_the_start(words);
        with_short_index(words);
    }
    if server == ServerKind::Redis8 {
        without_login(words);
    }
    if server != ServerKind::Valkey {
        end_what_starts(words);
    }
    if server == ServerKind::Valkey {
        let_live(words);
    }
}

/// Takes out of a transaction what such a server takes otherwise there.
pub(super) fn fit_transaction(server: ServerKind, subject: Subject, words: &mut Words) {
    let is_any = |names: &[&str]| names.iter().any(|name| is(words, name));
    // In Valkey, what is refused before it is queued ends the transaction.
    let ends_it = server == ServerKind::Valkey && is_any(&["MULTI", "WATCH"]);
    // Larder writes a message when it is sent, Redis when it is published: between them the client changes
    // its protocol.
    let is_torn = subject == Subject::Connections && is_any(&["HELLO", "RESET"]);
    if ends_it || is_torn {
        *words = vec![b"PING".to_vec()];
    }
}

/// Changes a request into one that may stand in or between scripts, which look into what they are answered.
pub(super) fn fit_scripts(server: ServerKind, words: &mut Words) {
    // Redis 7.0 answers with all digits of a score.
    let is_about_scores = |name: &Vec<u8>| name.starts_with(b"Z") || name.starts_with(b"BZ");
    if server == ServerKind::Redis && words.first().is_some_and(is_about_scores) {
        let long = words
            .iter_mut()
            .skip(1)
            .filter(|word| has_more_digits(word));
        long.for_each(|word| *word = b"1.5".to_vec());
    }
}

/// Whether a word is a number with a fraction, or an exponent, that is none of a few bits.
fn has_more_digits(word: &[u8]) -> bool {
    let number = std::str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    let is_plain = |number: f64| (number * 64.0).fract() == 0.0 && number.abs() < 1e15;
    let is_written_so = word.iter().any(|byte| b".eE".contains(byte));
    is_written_so && number.is_some_and(|number| number.is_finite() && !is_plain(number))
}

/// Changes the requests of a program into those that servers take as Larder does.
pub(super) fn fit_together(steps: &mut [Step]) {
    // Ids that the clock has made come again when the last one is taken back within a millisecond.
    if steps.iter().any(|step| has_any(&step.words, &["XSETID"])) {
        let adds = steps
            .iter_mut()
            .filter(|step| has_any(&step.words, &["XADD"]));
        for word in adds.flat_map(|step| &mut step.words) {
            if word == b"*" {
                *word = b"19-*".to_vec();
            }
        }
    }
    // A command that has nothing to store says in Redis that it removes what is there, though its time is over.
    let destinations: Words = steps
        .iter()
        .flat_map(|step| destinations(&step.words))
        .collect();
    let is_destination = |word: &Vec<u8>| destinations.contains(word);
    steps
        .iter_mut()
        .filter(|step| step.words.iter().any(is_destination))
        .for_each(|step| let_live(&mut step.words));
}

/// Commands and options behind which a key stands that becomes what was found.
const STORES: &[&str] = &[
    "STORE",
    "STOREDIST",
    "SINTERSTORE",
    "SUNIONSTORE",
    "SDIFFSTORE",
    "ZINTERSTORE",
    "ZUNIONSTORE",
    "ZDIFFSTORE",
    "ZRANGESTORE",
    "GEOSEARCHSTORE",
];

/// The keys that a request stores at what it has found, or nothing.
fn destinations(words: &Words) -> impl Iterator<Item = Vec<u8>> {
    let place = |(at, word): (usize, &Vec<u8>)| {
        let is_named = |name: &&str| word.eq_ignore_ascii_case(name.as_bytes());
        match STORES.iter().any(is_named) {
            true => Some(at + 1),
            false => is_named(&"BITOP").then_some(at + 2),
        }
    };
    let places = words.iter().enumerate().filter_map(place);
    places.filter_map(|at| words.get(at).cloned())
}

/// A refused `AUTH` leaves what stands before it done in Redis 7.0.
fn with_login_first(words: &mut Words) {
    if is(words, "HELLO") {
        let is_login = |word: &Vec<u8>| word == b"AUTH";
        let again = words.iter().skip(3).position(is_login);
        words.truncate(again.map_or(usize::MAX, |at| at + 3));
    }
}

/// Redis 7.0 writes all digits of the fractions that scripts give to commands.
fn without_fractions(words: &mut Words) {
    let has_fraction = |text: &[u8]| text.ends_with(b"3.7)") || text.ends_with(b"0.1)");
    let scripts = words.iter_mut().filter(|word| has_fraction(word));
    scripts.for_each(|script| *script = b"return 1".to_vec());
}

/// Redis 7.0 does not list the operations of BITOP, and has four of them.
fn with_old_operation(words: &mut Words) {
    if has_any(words, &["BITOP"]) {
        let is_newer = |word: &[u8]| [&b"DIFF"[..], b"DIFF1", b"ANDOR", b"ONE"].contains(&word);
        let newer = words.iter_mut().filter(|word| is_newer(word));
        newer.for_each(|word| *word = b"AND".to_vec());
    }
}

/// Since Redis 8 and in Valkey, a hexadecimal number is taken for a score, and not for the end of a range;
/// nor is a number behind a space. What stands in their place is no integer, and no short time.
fn without_hexadecimal(words: &mut Words) {
    let odd = words
        .iter_mut()
        .filter(|word| *word == b"0x10" || *word == b" 1");
    odd.for_each(|word| *word = b"1000000.5".to_vec());
}

/// A part of a range that begins before it is empty in Larder and in Redis 7.0. In later versions it
/// depends on the encoding.
fn begin_at_the_start(words: &mut Words) {
    if words
        .iter()
        .any(|word| word.to_ascii_uppercase().starts_with(b"Z"))
    {
        for at in 1..words.len() {
            if words[at - 1].eq_ignore_ascii_case(b"LIMIT") && words[at].starts_with(b"-") {
                words[at] = b"0".to_vec();
            }
        }
    }
}

/// Since Redis 7.2 only 32 bits of LSET's index are looked at where the list is short.
fn with_short_index(words: &mut Words) {
    if is(words, "LSET")
        && let Some(index) = words.get_mut(2)
        && integer_of(index).is_some_and(|index| i32::try_from(index).is_err())
    {
        *index = b"1000000".to_vec();
    }
}

/// Redis 8 does not answer at all to a login that it refuses in a transaction.
fn without_login(words: &mut Words) {
    if is(words, "HELLO") {
        let login = words
            .iter()
            .position(|word| word.eq_ignore_ascii_case(b"AUTH"));
        words.truncate(login.unwrap_or(words.len()));
    }
}

/// A range of BITCOUNT that has no end is Valkey's.
fn end_what_starts(words: &mut Words) {
    if words.len() == 3 && is(words, "BITCOUNT") {
        words.push(b"-1".to_vec());
    }
}

/// Valkey does not store at all what is to live until a time that is over, or finds that later; and fields
/// live for ever there until the last time that there is.
fn let_live(words: &mut Words) {
    if has_any(words, &["HPEXPIREAT", "HSETEX", "HGETEX"]) {
        let last = words
            .iter_mut()
            .filter(|word| *word == b"9223372036854775807");
        last.for_each(|word| word.push(b'0'));
    }
    for at in 1..words.len() {
        let unit_ms = match words[at - 1].to_ascii_uppercase().as_slice() {
            b"EXAT" => 1000,
            b"PXAT" => 1,
            // Here as well fields begin to live and then end.
            b"EX" | b"PX" if words[at] == b"0" => {
                words[at] = b"20000000".to_vec();
                continue;
            }
            _ => continue,
        };
        if integer_of(&words[at]).is_some_and(|time| (0..=now_ms() / unit_ms).contains(&time)) {
            words[at] = (now_ms() / unit_ms + 20_000_000 / unit_ms)
                .to_string()
                .into_bytes();
        }
    }
}

fn now_ms() -> i64 {
    i64::try_from(unix_ms()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    fn fitted(server: ServerKind, line: &str) -> Words {
        let mut request = words(line);
        fit(server, &mut request);
        request
    }

    #[test]
    fn a_range_without_an_end_is_for_valkey_alone() {
        let line = "BITCOUNT key 1";
        assert_eq!(fitted(ServerKind::Valkey, line), words(line));
        assert_eq!(fitted(ServerKind::Redis8, line), words("BITCOUNT key 1 -1"));
    }

    #[test]
    fn scores_between_scripts_have_few_digits_in_redis_7_0() {
        let fitted = |server, line| {
            let mut request = words(line);
            fit_scripts(server, &mut request);
            request
        };
        let line = "ZADD z1 0.1 a 1e21 b 2.5 c inf d";
        let short = words("ZADD z1 1.5 a 1.5 b 2.5 c inf d");
        assert_eq!(fitted(ServerKind::Redis, line), short);
        assert_eq!(fitted(ServerKind::Redis8, line), words(line));
    }

    #[test]
    fn what_a_command_may_find_nothing_for_has_no_life_that_is_over() {
        let step = |line: &str| Step {
            client: 0,
            words: words(line),
        };
        let set = "SET z2 a EXAT 1";
        for store in [
            "ZINTERSTORE z2 2 z1 z1",
            "EVAL script 0 SORT l1 STORE z2",
            "BITOP AND z2 s1",
        ] {
            let mut steps = [step(set), step(store)];
            fit_together(&mut steps);
            assert_ne!(steps[0].words, words(set), "{store}");
        }
        let mut steps = [step(set), step("ZINTERSTORE z3 2 z2 z1")];
        fit_together(&mut steps);
        assert_eq!(steps[0].words, words(set));
    }

    #[test]
    fn no_life_of_a_program_for_valkey_is_over_when_it_begins() {
        let line = "SET key value PXAT 1000";
        assert_eq!(fitted(ServerKind::Redis8, line), words(line));
        let time = fitted(ServerKind::Valkey, line).pop();
        let time = time.and_then(|time| integer_of(&time));
        assert!(time.is_some_and(|time| time > now_ms()));
    }
}
