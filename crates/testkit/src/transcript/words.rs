//! Words as they are written in a transcript: quoted as for `redis-cli`.

use std::fmt::Write;

/// The words of a command, quoted as for `redis-cli`. `None` if a quote is not closed.
pub(super) fn split(line: &str) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.as_bytes()[0] {
            b'"' => unquote(rest)?,
            b'\'' => {
                let (word, after) = rest[1..].split_once('\'')?;
                (word.as_bytes().to_vec(), after)
            }
            _ => {
                let end = rest.find(' ').unwrap_or(rest.len());
                (rest.as_bytes()[..end].to_vec(), &rest[end..])
            }
        };
        if !after.is_empty() && !after.starts_with(' ') {
            return None;
        }
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

/// The bytes between the double quotes that `text` begins with, and what comes behind them.
pub(super) fn unquote(text: &str) -> Option<(Vec<u8>, &str)> {
    let mut bytes = Vec::new();
    let mut chars = text.strip_prefix('"')?.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((bytes, &text[at + 2..])),
            '\\' => match chars.next()?.1 {
                'n' => bytes.push(b'\n'),
                'r' => bytes.push(b'\r'),
                't' => bytes.push(b'\t'),
                'x' => {
                    let (high, low) = (chars.next()?.1, chars.next()?.1);
                    let byte = high.to_digit(16)? * 16 + low.to_digit(16)?;
                    bytes.push(u8::try_from(byte).ok()?);
                }
                other => bytes.extend(other.to_string().as_bytes()),
            },
            other => bytes.extend(other.to_string().as_bytes()),
        }
    }
    None
}

/// Bytes as a word in quotes.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => write!(out, "\\x{byte:02x}").expect("a string can be written to"),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_for_redis_cli() {
        let words = |line: &str| split(line);
        let wanted: Vec<Vec<u8>> = vec![b"SET".into(), b"a b".into(), b"\x00\n\"".into()];
        assert_eq!(words(r#"SET "a b" "\x00\n\"""#), Some(wanted));
        assert_eq!(
            words("SET 'a\"b' ''").unwrap()[1..],
            [b"a\"b".to_vec(), b"".to_vec()]
        );
        assert_eq!(words("SET \"a"), None);
        assert_eq!(words("SET \"a\"b"), None);
    }
}
