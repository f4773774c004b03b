//! Glob patterns, as KEYS, SCAN MATCH and PSUBSCRIBE know them.

/// How many runs of stars a pattern may need, each with something behind it. One that needs more
/// matches nothing, as in Redis, which follows no more of them.
const STARS_MAX: usize = 1000;

/// Whether `text` matches `pattern`, byte for byte.
///
/// `*` is any run of bytes, `?` one byte, `[a-c]` one of a class, `[^a-c]` one not of it, and `\`
/// takes away what is special about the next byte. An unclosed class ends with the pattern.
///
/// Takes time proportional to the product of the lengths at worst, whatever the pattern.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where to go on when a match after a star fails: behind the star, with one byte more eaten.
    let mut retry: Option<(usize, usize)> = None;
    let mut stars = 0;
    loop {
        if pattern.get(at) == Some(&b'*') {
            while pattern.get(at) == Some(&b'*') {
                at += 1;
            }
            if at == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            retry = Some((at, read));
            continue;
        }
        if read == text.len() {
            if at == pattern.len() {
                return true;
            }
            // The text is used up and the pattern wants more: eating more of it helps nobody.
            return false;
        }
        match one(&pattern[at..], text[read]) {
            Some(len) => {
                at += len;
                read += 1;
            }
            None => {
                let Some((star, eaten)) = retry else {
                    return false;
                };
                retry = Some((star, eaten + 1));
                (at, read) = (star, eaten + 1);
            }
        }
    }
}

/// The length of the first item of the pattern, if it matches this byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (matched, len) = class_matches(class, byte);
            matched.then_some(len + 1)
        }
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

/// Whether a byte is in the class that begins here, and how long the class is.
fn class_matches(class: &[u8], byte: u8) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut matched = false;
    loop {
        match &class[at..] {
            [] => break,
            [b'\\', literal, ..] => {
                matched |= *literal == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [first, b'-', last, ..] => {
                let (low, high) = (*first.min(last), *first.max(last));
                matched |= (low..=high).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                matched |= *literal == byte;
                at += 1;
            }
        }
    }
    (matched != negated, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_redis_do() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("h?llo", "hallo", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hello", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("[\\]]", "]", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("[abc", "b", true),
            ("**", "x", true),
            ("", "x", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                wanted,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_pattern_that_needs_more_than_a_thousand_stars_matches_nothing() {
        for (stars, wanted) in [(1000, true), (1001, false)] {
            let (pattern, text) = ("*?".repeat(stars), "a".repeat(2000));
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), wanted);
            // A star that ends the pattern needs no following.
            let pattern = pattern + "*";
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), wanted);
        }
        assert!(matches("*".repeat(2000).as_bytes(), b"a"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "a*".repeat(50) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(1000).as_bytes()));
    }
}
