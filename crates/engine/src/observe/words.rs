//! The words of requests as others may see them, in SLOWLOG and MONITOR: without secrets.

use std::borrow::Cow;
use std::fmt::Write as _;

use larder_resp::Arguments;

use crate::command::Row;

/// What stands in the place of a secret.
const REDACTED: &[u8] = b"(redacted)";

/// How many words of a request the slow log keeps.
const SLOWLOG_WORDS: usize = 32;

/// How many bytes of a word it keeps.
const SLOWLOG_WORD_LEN: usize = 128;

/// The words of a request of this command, and something else in the place of each secret.
pub(crate) fn shown<'a>(
    command: &'static Row,
    words: Arguments<'a>,
) -> impl Iterator<Item = &'a [u8]> {
    let secrets = secrets(command, words);
    let words = words.iter().enumerate();
    words.map(move |(place, word)| match secrets.contains(&place) {
        true => REDACTED,
        false => word,
    })
}

/// The places of the words that nobody else may see.
fn secrets(command: &Row, words: Arguments<'_>) -> Vec<usize> {
    let is = |place: usize, name: &str| {
        let word = words.get(place).unwrap_or_default();
        word.eq_ignore_ascii_case(name.as_bytes())
    };
    let places = 1..words.len();
    match command.name {
        "AUTH" => places.collect(),
        "HELLO" => match places.clone().find(|&place| is(place, "AUTH")) {
            Some(auth) => vec![auth + 1, auth + 2],
            None => Vec::new(),
        },
        "CONFIG SET" => places
            .step_by(2)
            .filter(|&name| is(name + 1, "requirepass"))
            .map(|name| name + 2)
            .collect(),
        "ACL SETUSER" | "ACL GETUSER" | "ACL DELUSER" => places.skip(1).collect(),
        _ => Vec::new(),
    }
}

/// The words of a request as the slow log keeps them: so many, and so much of each.
pub(super) fn for_slowlog(command: &'static Row, words: Arguments<'_>) -> Vec<Box<[u8]>> {
    let len = words.len();
    let kept = match len > SLOWLOG_WORDS {
        true => SLOWLOG_WORDS - 1,
        false => len,
    };
    let mut shown: Vec<Box<[u8]>> = shown(command, words).take(kept).map(cut).collect();
    if kept < len {
        let rest = format!("... ({} more arguments)", len - kept);
        shown.push(rest.into_bytes().into());
    }
    shown
}

fn cut(word: &[u8]) -> Box<[u8]> {
    let Some((kept, rest)) = word.split_at_checked(SLOWLOG_WORD_LEN) else {
        return word.into();
    };
    if rest.is_empty() {
        return word.into();
    }
    let more = format!("... ({} more bytes)", rest.len());
    [kept, more.as_bytes()].concat().into()
}

/// A word in quotes, with escapes for what is no visible ASCII.
pub(super) fn quote(word: &[u8], text: &mut String) {
    text.push('"');
    for &byte in word {
        let escape: Cow<'_, str> = match byte {
            b'\\' => "\\\\".into(),
            b'"' => "\\\"".into(),
            b'\n' => "\\n".into(),
            b'\r' => "\\r".into(),
            b'\t' => "\\t".into(),
            0x07 => "\\a".into(),
            0x08 => "\\b".into(),
            b' '..=b'~' => {
                text.push(char::from(byte));
                continue;
            }
            byte => {
                let _ = write!(text, "\\x{byte:02x}");
                continue;
            }
        };
        text.push_str(&escape);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands;
    use larder_resp::ArgumentBuffer;

    fn shown_of(request: &str) -> String {
        let mut words = ArgumentBuffer::new();
        request
            .split(' ')
            .for_each(|word| words.push(word.as_bytes()));
        let words = words.as_arguments();
        let command = commands::find(words).expect("there is such a command");
        let words: Vec<_> = shown(command, words).map(String::from_utf8_lossy).collect();
        words.join(" ")
    }

    #[test]
    fn secrets_are_not_shown() {
        for (request, wanted) in [
            ("AUTH ann secret", "AUTH (redacted) (redacted)"),
            (
                "hello 3 auth ann secret setname me",
                "hello 3 auth (redacted) (redacted) setname me",
            ),
            (
                "CONFIG SET maxclients 9 RequirePass secret timeout 1",
                "CONFIG SET maxclients 9 RequirePass (redacted) timeout 1",
            ),
            ("SET auth secret", "SET auth secret"),
        ] {
            assert_eq!(shown_of(request), wanted);
        }
    }

    #[test]
    fn words_are_quoted_as_redis_does() {
        let mut text = String::new();
        quote(b"a b\n\"q\\\xff\x00", &mut text);
        assert_eq!(text, r#""a b\n\"q\\\xff\x00""#);
    }
}
