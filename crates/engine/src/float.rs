//! Floating-point numbers as Redis reads them.

/// A number as Redis reads an argument: what [`strtod`] reads, and not NaN, nor after a space, nor
/// beyond what a double can hold.
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    if text.first().is_none_or(u8::is_ascii_whitespace) {
        return None;
    }
    let number = strtod(text)?;
    let is_written = |digit: &u8| digit.is_ascii_digit();
    let overflows = number.is_infinite() && text.iter().any(is_written);
    (!number.is_nan() && !overflows && !underflows(number, text)).then_some(number)
}

/// Whether a number became 0 because it is too small, not because its digits say so.
fn underflows(number: f64, text: &[u8]) -> bool {
    let mut digits = text
        .iter()
        .take_while(|byte| !matches!(byte, b'e' | b'E' | b'p' | b'P'));
    number == 0.0 && digits.any(|digit| matches!(digit, b'1'..=b'9' | b'a'..=b'f' | b'A'..=b'F'))
}

/// A number as C's `strtod` reads it, if that reads all of the text. Nothing at all is 0.
pub(crate) fn strtod(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.trim_ascii_start();
    let (is_negative, unsigned) = match text.as_bytes() {
        [] => return Some(0.0),
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = match unsigned.strip_prefix("0x").or(unsigned.strip_prefix("0X")) {
        Some(hex) => parse_hex(hex)?,
        None if unsigned.starts_with(['-', '+']) => return None,
        // Rust reads the same decimals, and the same names of what is no number.
        None => unsigned.parse().ok()?,
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

/// The nearest number to some hexadecimal digits.
fn parse_hex(text: &str) -> Option<f64> {
    let (mantissa, exponent) = read_hex(text)?;
    // In two steps, so that neither power of two is out of range where the result is not.
    let half = exponent.clamp(-2400, 2400) / 2;
    let rest = exponent.clamp(-2400, 2400) - half;
    Some(mantissa as f64 * 2f64.powi(half) * 2f64.powi(rest))
}

/// Reads hexadecimal digits, perhaps with a point, perhaps with `p` and a power of two, as a mantissa
/// and the power of two that it is multiplied with. Of a mantissa that does not fit, the last bit says
/// whether there is more.
pub(crate) fn read_hex(text: &str) -> Option<(u128, i32)> {
    let (digits, exponent) = match text.split_once(['p', 'P']) {
        Some((digits, exponent)) => (digits, exponent.parse().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (mut mantissa, mut dropped) = (0u128, 0i32);
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u128::from(digit.to_digit(16)?);
        if mantissa >> 124 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            // Digits that do not fit only matter for which way the last bit is rounded.
            mantissa |= u128::from(digit != 0);
            dropped += 4;
        }
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let bits = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some((
        mantissa,
        dropped.checked_sub(bits)?.saturating_add(exponent),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_redis_reads_them() {
        for (text, wanted) in [
            ("1", 1.0),
            ("+1", 1.0),
            ("-1.5e3", -1500.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("INF", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("4.9e-324", 4.9e-324),
            ("0e-400", 0.0),
            ("0x10", 16.0),
            ("-0x1.8p3", -12.0),
            ("0X.8", 0.5),
            ("0x1p-1074", 4.9e-324),
            (
                "0x123456789abcdef01",
                0x1234_5678_9abc_df00_u64 as f64 * 16.0,
            ),
        ] {
            assert_eq!(parse_float(text.as_bytes()), Some(wanted), "{text:?}");
        }
        for text in [
            "",
            "nan",
            "-nan",
            " 1",
            "1 ",
            "abc",
            "1e400",
            "1e-400",
            "--1",
            "+-1",
            "1_0",
            "1e",
            "0x",
            "0x1p",
            "0x1p5000",
            "0x1p-5000",
            "1d",
            "infx",
        ] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn bounds_of_ranges_may_be_beyond_doubles() {
        assert_eq!(strtod(b""), Some(0.0));
        assert_eq!(strtod(b" 1"), Some(1.0));
        assert_eq!(strtod(b"-1e400"), Some(f64::NEG_INFINITY));
        assert!(strtod(b"nan").is_some_and(f64::is_nan));
        assert_eq!(strtod(b"1 "), None);
    }
}
