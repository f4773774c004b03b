//! Floating-point numbers as Redis writes them.

use std::io::Write as _;

use crate::grisu::{self, Digits};

/// The longest text of a number: a sign, a dot, 18 digits, and zeros or an exponent.
const LEN_MAX: usize = 32;

/// The largest number that Redis takes for an integer if it is whole.
const WHOLE_MAX: f64 = (1_i64 << 62) as f64;

/// Appends a number as Redis writes a score: few digits that read back as the same number, found as
/// servers find them; whole numbers up to 2^62 with all their digits; `inf`, `-inf` and `nan` for what is
/// no number. The notations are those of `fpconv_dtoa`, with which Redis writes since 7.2.
pub fn write_double(out: &mut Vec<u8>, number: f64) {
    with_double(number, |text| out.extend_from_slice(text));
}

/// Shows what [`write_double`] appends, made on the stack.
pub fn with_double<T>(number: f64, show: impl FnOnce(&[u8]) -> T) -> T {
    if number.is_nan() {
        return show(b"nan");
    }
    if number.is_infinite() {
        return show(if number > 0.0 { b"inf" } else { b"-inf" });
    }
    if number == 0.0 && number.is_sign_negative() {
        return show(b"-0");
    }
    if number == number.trunc() && number.abs() <= WHOLE_MAX {
        return show(itoa::Buffer::new().format(number as i64).as_bytes());
    }
    let mut text = Text::default();
    write_digits(&grisu::digits(number.abs()), number < 0.0, &mut text);
    show(text.as_bytes())
}

/// Writes the digits of a number in its notation.
fn write_digits(digits: &Digits, is_negative: bool, text: &mut Text) {
    let (len, exponent) = (digits.len as i32, digits.exponent);
    let digits = &digits.digits[..digits.len];
    // The exponent of the first digit.
    let leading = exponent + len - 1;
    if is_negative {
        text.push(b"-");
    }
    if exponent >= 0 && leading < len + 7 {
        text.push(digits);
        (0..exponent).for_each(|_| text.push(b"0"));
    } else if exponent < 0 && (exponent > -7 || leading.abs() < 4) {
        let whole = len + exponent;
        if whole > 0 {
            let (whole, fraction) = digits.split_at(whole as usize);
            text.push(whole);
            text.push(b".");
            text.push(fraction);
        } else {
            text.push(b"0.");
            (whole..0).for_each(|_| text.push(b"0"));
            text.push(digits);
        }
    } else {
        let (first, others) = digits.split_at(1);
        text.push(first);
        if !others.is_empty() {
            text.push(b".");
            text.push(others);
        }
        text.format(format_args!("e{leading:+}"));
    }
}

/// A short text on the stack.
#[derive(Default)]
struct Text {
    bytes: [u8; LEN_MAX],
    len: usize,
}

impl Text {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn format(&mut self, text: std::fmt::Arguments<'_>) {
        let mut place = &mut self.bytes[self.len..];
        let free = place.len();
        // The longest text fits.
        let _ = place.write_fmt(text);
        self.len += free - place.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(number: f64) -> String {
        let mut out = Vec::new();
        write_double(&mut out, number);
        String::from_utf8(out).expect("digits")
    }

    /// What Redis 7.2 answers to ZSCORE.
    #[test]
    fn numbers_are_written_as_redis_writes_them() {
        for text in [
            "1",
            "-0.5",
            "3000000000000000",
            "10000000000000000",
            "12345672500000000",
            "0.1",
            "123456789.5",
            "0.30000000000000004",
            "0.0001",
            "0.00001",
            "1.5e-7",
            "1e-7",
            "1.2345e-6",
            "1.23456789e-4",
            "1.2345678901234e-5",
            "12345678901234567000",
            "1e+20",
            "1e+21",
            "1.2345e+22",
            "1.5e+300",
            "-1.7976931348623157e+308",
            "5e-324",
        ] {
            let number: f64 = text.parse().expect("a number");
            assert_eq!(text_of(number), text);
        }
        for text in [
            "100000000000000000",
            "1541815603606036480",
            "-1541815603606036480",
            "4611686018427387904",
        ] {
            assert_eq!(text_of(text.parse().expect("a number")), text);
        }
        assert_eq!(text_of(4_611_686_018_427_388_928.0), "4611686018427389000");
        assert_eq!(text_of(-0.0), "-0");
        assert_eq!(text_of(f64::NEG_INFINITY), "-inf");
        assert_eq!(text_of(f64::NAN), "nan");
    }

    proptest! {
        #[test]
        fn a_number_reads_back_as_itself(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(!number.is_nan());
            prop_assert_eq!(text_of(number).parse::<f64>(), Ok(number));
        }

        #[test]
        fn a_fraction_reads_back_as_itself(number in -1e9..1e9) {
            prop_assert_eq!(text_of(number).parse::<f64>(), Ok(number));
        }
    }
}
