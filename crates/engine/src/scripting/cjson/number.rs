//! Numbers as C's `strtod` reads them.

/// The number that a text begins with, and how many bytes it takes. `None` if there is none.
pub(super) fn strtod(text: &[u8]) -> Option<(f64, usize)> {
    let sign_len = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let (number, len) = magnitude(&text[sign_len..])?;
    let number = if text[0] == b'-' { -number } else { number };
    Some((number, sign_len + len))
}

fn magnitude(text: &[u8]) -> Option<(f64, usize)> {
    if begins_with(text, b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if begins_with(text, b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if begins_with(text, b"nan") {
        return Some((f64::NAN, 3 + nan_payload_len(&text[3..])));
    }
    if begins_with(text, b"0x") {
        // Without digits behind the `x`, the zero before it is the number.
        return hexadecimal(&text[2..])
            .map(|(number, len)| (number, len + 2))
            .or(Some((0.0, 1)));
    }
    decimal(text)
}

/// Whether a text begins with this one, in either case.
pub(super) fn begins_with(text: &[u8], beginning: &[u8]) -> bool {
    let found = text.get(..beginning.len());
    found.is_some_and(|found| found.eq_ignore_ascii_case(beginning))
}

/// How long the parenthesis is that may stand behind `nan`.
fn nan_payload_len(text: &[u8]) -> usize {
    if text.first() != Some(&b'(') {
        return 0;
    }
    let is_payload = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let len = text[1..].iter().take_while(|byte| is_payload(byte)).count();
    match text.get(len + 1) {
        Some(b')') => len + 2,
        _ => 0,
    }
}

fn digits_len(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_digit(byte)).count()
}

/// How long the exponent is that begins with this letter, and its digits; 0 if there is none.
fn exponent(text: &[u8], letter: u8) -> (usize, &[u8]) {
    if !begins_with(text, &[letter]) {
        return (0, b"");
    }
    let sign_len = usize::from(matches!(text.get(1), Some(b'-' | b'+')));
    let digits = digits_len(&text[1 + sign_len..], u8::is_ascii_digit);
    match digits {
        0 => (0, b""),
        _ => (1 + sign_len + digits, &text[1..1 + sign_len + digits]),
    }
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits_len(text, u8::is_ascii_digit);
    let mut len = whole;
    let mut digits = whole;
    if text.get(len) == Some(&b'.') {
        let fraction = digits_len(&text[len + 1..], u8::is_ascii_digit);
        digits += fraction;
        len += 1 + fraction;
    }
    if digits == 0 {
        return None;
    }
    len += exponent(&text[len..], b'e').0;
    let number = std::str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    Some((number, len))
}

/// What stands behind `0x`.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits_len(text, u8::is_ascii_hexdigit);
    let mut len = whole;
    let mut fraction: &[u8] = b"";
    if text.get(len) == Some(&b'.') {
        let digits = digits_len(&text[len + 1..], u8::is_ascii_hexdigit);
        fraction = &text[len + 1..len + 1 + digits];
        len += 1 + digits;
    }
    if whole + fraction.len() == 0 {
        return None;
    }
    let (exponent_len, digits) = exponent(&text[len..], b'p');
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    // One that is too long for a number is beyond all numbers, in either direction.
    let beyond = if digits.starts_with('-') {
        i64::MIN / 4
    } else {
        i64::MAX / 4
    };
    let mut power: i64 = match digits {
        "" => 0,
        digits => digits.parse().unwrap_or(beyond),
    };
    // Digits beyond those that a number can have only say whether it lies behind the half.
    let mut mantissa: u64 = 0;
    for (place, &digit) in text[..whole].iter().chain(fraction).enumerate() {
        let value = u64::from((digit as char).to_digit(16).unwrap_or(0));
        power = power.saturating_sub(if place < whole { 0 } else { 4 });
        match mantissa >> 59 {
            0 => mantissa = mantissa << 4 | value,
            _ => {
                mantissa |= u64::from(value != 0);
                power = power.saturating_add(4);
            }
        }
    }
    Some((scale(mantissa as f64, power), len + exponent_len))
}

/// A number times two to a power.
fn scale(mut number: f64, mut power: i64) -> f64 {
    if number == 0.0 {
        return number;
    }
    while power > 1000 && number.is_finite() {
        number *= 2f64.powi(1000);
        power -= 1000;
    }
    while power < -1000 && number != 0.0 {
        number *= 2f64.powi(-1000);
        power += 1000;
    }
    number * 2f64.powi(power.clamp(-1000, 1000) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, number, len) in [
            ("1", 1.0, 1),
            ("-12.5x", -12.5, 5),
            ("+1", 1.0, 2),
            ("5.", 5.0, 2),
            ("-.5", -0.5, 3),
            ("1e", 1.0, 1),
            ("1e+", 1.0, 1),
            ("1e-400", 0.0, 6),
            ("1e400", f64::INFINITY, 5),
            ("0x10", 16.0, 4),
            ("0x1.8p1", 3.0, 7),
            ("0x.8", 0.5, 4),
            ("0x", 0.0, 1),
            ("0xg", 0.0, 1),
            ("0x1p99999999999999999999", f64::INFINITY, 24),
            ("0x1p-99999999999999999999", 0.0, 25),
            ("Infinity", f64::INFINITY, 8),
            ("-INFINIT", f64::NEG_INFINITY, 4),
            ("0x20000000000001", 9_007_199_254_740_992.0, 16),
            ("0x20000000000003", 9_007_199_254_740_996.0, 16),
        ] {
            assert_eq!(strtod(text.as_bytes()), Some((number, len)), "{text}");
        }
        for (text, len) in [("nan", 3), ("NaN(x_1)", 8), ("nan(", 3), ("nan(-)", 3)] {
            let (number, read) = strtod(text.as_bytes()).unwrap_or_default();
            assert!(number.is_nan() && read == len, "{text}");
        }
        for text in ["", "-", ".", "e5", "x", "-.e"] {
            assert_eq!(strtod(text.as_bytes()), None, "{text}");
        }
    }
}
