//! Floating-point numbers as Redis writes them.

use std::io::Write as _;

/// Appends a number as Redis writes a score: the shortest digits that read back as the same
/// number, in the notation of C's `%.17g`; `inf`, `-inf` and `nan` for what is no number.
pub fn write_double(out: &mut Vec<u8>, number: f64) {
    if number.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if number.is_infinite() {
        return out.extend_from_slice(if number > 0.0 { b"inf" } else { b"-inf" });
    }
    if number == number.trunc() && number.abs() < 1e17 {
        if number == 0.0 && number.is_sign_negative() {
            return out.extend_from_slice(b"-0");
        }
        return out.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
    }
    // Shortest digits d.ddd and the decimal exponent, as `{:e}` gives them.
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        let _ = write!(out, "{number}");
        return;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "{digits}e{sign}{:02}", exponent.abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_redis_writes_them() {
        for (number, wanted) in [
            (1.0, "1"),
            (-0.5, "-0.5"),
            (3.0e15, "3000000000000000"),
            (1e17, "1e+17"),
            (1e20, "1e+20"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let mut out = Vec::new();
            write_double(&mut out, number);
            assert_eq!(String::from_utf8_lossy(&out), wanted);
        }
    }
}
