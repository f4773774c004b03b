//! Numbers of scripts as texts.

/// Writes a number as C's `%.{digits}g` does.
#[cfg_attr(
    not(feature = "lua"),
    expect(dead_code, reason = "only scripts write numbers so")
)]
pub(super) fn format_g(out: &mut Vec<u8>, number: f64, digits: usize) {
    // Whole numbers of so few digits are written as they are.
    let beyond = 10f64.powi(digits.min(15) as i32);
    if number.fract() == 0.0 && number.abs() < beyond {
        if number == 0.0 && number.is_sign_negative() {
            out.push(b'-');
        }
        let mut whole = itoa::Buffer::new();
        return out.extend_from_slice(whole.format(number as i64).as_bytes());
    }
    let text = text_g(number, digits);
    out.extend_from_slice(text.as_bytes());
}

/// A number as C's `%.{digits}g` writes it.
pub(crate) fn text_g(number: f64, digits: usize) -> String {
    if !number.is_finite() {
        let name = if number.is_nan() { "nan" } else { "inf" };
        return format!("{}{name}", if number.is_sign_negative() { "-" } else { "" });
    }
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..digits as i32).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        return trim(&format!("{number:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (number, digits, wanted) in [
            (1.0, 17, "1"),
            (0.1, 17, "0.10000000000000001"),
            (0.1, 14, "0.1"),
            (1e15, 14, "1e+15"),
            (1e14, 14, "1e+14"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (1e16, 17, "10000000000000000"),
            (-2.5e-7, 14, "-2.5e-07"),
            (3.0, 14, "3"),
            (-0.0, 14, "-0"),
            (123.0, 2, "1.2e+02"),
            (f64::NEG_INFINITY, 14, "-inf"),
        ] {
            let mut text = Vec::new();
            format_g(&mut text, number, digits);
            assert_eq!(String::from_utf8_lossy(&text), wanted);
        }
    }
}
