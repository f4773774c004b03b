//! Long doubles: the numbers of INCRBYFLOAT and HINCRBYFLOAT.
//!
//! Redis adds these in the processor's extended precision, 64 bits of mantissa, and writes what
//! comes out with 17 decimals. The digits that it answers can be had in no other way, so this is
//! the same arithmetic, in integers: a number is read to the nearest of 64 bits, sums are rounded
//! to the nearest, and ties go to the even one.

use std::cmp::Ordering;
use std::fmt;

use crate::error::{Error, Result};
use crate::float::{parse_float, read_hex, strtod};
use crate::natural::Natural;

/// Texts of numbers that are longer than this are refused, as Redis refuses them.
const TEXT_LEN_MAX: usize = 5 * 1024;
/// No power of ten that is greater, or smaller than its inverse, makes of such a text a number
/// within extended precision.
const POWER_MAX: u32 = 5000 + TEXT_LEN_MAX as u32;
/// How many decimals are written.
const DECIMALS: usize = 17;
/// The exponents of extended precision, of a mantissa that is a whole number.
const EXPONENT_MAX: i32 = 16384 - 64;
const EXPONENT_MIN: i32 = -16445 - 63;
/// No exponent that is greater, or smaller than its negative, is within that range once the mantissa is
/// one of extended precision.
const EXPONENT_BOUND: i32 = 20_000;
/// When one number is so many powers of two above another, their sum is the greater one.
const NEGLIGIBLE: i32 = 140;

/// A finite number: `mantissa * 2^exponent`, its sign apart. The mantissa's highest bit is set,
/// unless the number is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LongDouble {
    is_negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl LongDouble {
    /// Reads a number that is to be added.
    ///
    /// # Errors
    ///
    /// `refusal` if it is none, or is beyond extended precision, and
    /// [`Error::IncrementNotFinite`] if it is infinite: so would be the sum.
    pub(crate) fn read(text: &[u8], refusal: Error) -> Result<LongDouble> {
        match parse_float(text) {
            Some(number) if number.is_infinite() => Err(Error::IncrementNotFinite),
            _ => LongDouble::parse(text).ok_or(refusal),
        }
    }

    fn parse(text: &[u8]) -> Option<LongDouble> {
        let starts_well = text
            .first()
            .is_some_and(|first| !first.is_ascii_whitespace());
        let has_digits = text.iter().any(u8::is_ascii_digit);
        if !starts_well || !has_digits || text.len() >= TEXT_LEN_MAX {
            return None;
        }
        // Only to be sure that it is a number: it may be beyond a double.
        strtod(text)?;
        let is_hex = text.iter().any(|byte| matches!(byte, b'x' | b'X'));
        let number = match is_hex {
            true => LongDouble::parse_hex(text)?,
            false => LongDouble::parse_decimal(text)?,
        };
        (EXPONENT_MIN..=EXPONENT_MAX)
            .contains(&number.exponent)
            .then_some(number)
    }

    /// Reads hexadecimal digits, of which it is known that they are a number.
    fn parse_hex(text: &[u8]) -> Option<LongDouble> {
        let text = std::str::from_utf8(text).ok()?;
        let is_negative = text.starts_with('-');
        let digits = text.trim_start_matches(['+', '-']).get("0x".len()..)?;
        let (mantissa, exponent) = read_hex(digits)?;
        // What is beyond this is beyond extended precision, whatever the mantissa.
        let exponent = exponent.clamp(-EXPONENT_BOUND, EXPONENT_BOUND);
        Some(LongDouble::rounded(
            is_negative,
            &mantissa.into(),
            exponent,
            false,
        ))
    }

    /// Reads decimals, of which it is known that they are a number.
    fn parse_decimal(text: &[u8]) -> Option<LongDouble> {
        let text = std::str::from_utf8(text).ok()?;
        let (digits, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_negative = whole.starts_with('-');
        let all = whole.bytes().chain(fraction.bytes());
        let number = Natural::of_digits(all.filter(u8::is_ascii_digit));
        if number.is_zero() {
            return Some(LongDouble::default());
        }
        let power: i32 = power.parse().ok()?;
        let power = power.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        if power.unsigned_abs() > POWER_MAX {
            return None;
        }
        if power >= 0 {
            let number = number.times_ten_to(power.unsigned_abs());
            return Some(LongDouble::rounded(is_negative, &number, 0, false));
        }
        let ten = Natural::from(1).times_ten_to(power.unsigned_abs());
        // So many bits that the quotient has two more than the mantissa.
        let bits = 66 + ten.bits() as i32 - number.bits() as i32;
        let shift = u64::from(bits.unsigned_abs());
        let (quotient, has_rest) = match bits {
            0.. => number.shifted_left(shift).divided_by(&ten),
            _ => number.divided_by(&ten.shifted_left(shift)),
        };
        Some(LongDouble::rounded(
            is_negative,
            &quotient.into(),
            -bits,
            has_rest,
        ))
    }

    /// The nearest number to `magnitude * 2^exponent`, or to a little more if `has_rest`.
    fn rounded(
        is_negative: bool,
        magnitude: &Natural,
        exponent: i32,
        has_rest: bool,
    ) -> LongDouble {
        if magnitude.is_zero() {
            return LongDouble::default();
        }
        let excess = magnitude.bits() as i32 - 64;
        let (mantissa, round_up) = match excess {
            0.. => shift_out(magnitude, excess as u64, has_rest),
            _ => (magnitude.shifted_left(-excess as u64), false),
        };
        let exponent = exponent + excess;
        match mantissa.low().checked_add(u64::from(round_up)) {
            Some(mantissa) => LongDouble {
                is_negative,
                mantissa,
                exponent,
            },
            None => LongDouble {
                is_negative,
                mantissa: 1 << 63,
                exponent: exponent + 1,
            },
        }
    }

    /// The sum.
    ///
    /// # Errors
    ///
    /// If it is beyond extended precision.
    pub(crate) fn checked_add(self, other: LongDouble) -> Result<LongDouble> {
        let (low, high) = match self.exponent <= other.exponent {
            true => (self, other),
            false => (other, self),
        };
        let sum = match () {
            () if self.mantissa == 0 => other,
            () if other.mantissa == 0 => self,
            () if high.exponent - low.exponent > NEGLIGIBLE => high,
            () => {
                let by = (high.exponent - low.exponent) as u64;
                let (large, small) = (high.magnitude().shifted_left(by), low.magnitude());
                let (is_negative, sum) = match high.is_negative == low.is_negative {
                    true => (high.is_negative, large.plus(&small)),
                    false if large >= small => (high.is_negative, large.minus(&small)),
                    false => (low.is_negative, small.minus(&large)),
                };
                LongDouble::rounded(is_negative, &sum, low.exponent, false)
            }
        };
        match sum.exponent <= EXPONENT_MAX {
            true => Ok(sum),
            false => Err(Error::IncrementNotFinite),
        }
    }

    /// The number with the other sign.
    pub(crate) fn negated(self) -> LongDouble {
        let is_negative = !self.is_negative && self.mantissa != 0;
        LongDouble {
            is_negative,
            ..self
        }
    }

    /// Whether it is below 0.
    pub(crate) fn is_negative(self) -> bool {
        self.is_negative && self.mantissa != 0
    }

    /// Which of the two numbers is greater.
    pub(crate) fn order(self, other: LongDouble) -> Ordering {
        match self.checked_add(other.negated()) {
            Ok(LongDouble { mantissa: 0, .. }) => Ordering::Equal,
            Ok(difference) if difference.is_negative => Ordering::Less,
            Ok(_) => Ordering::Greater,
            // Only numbers of different signs are so far apart.
            Err(_) if self.is_negative => Ordering::Less,
            Err(_) => Ordering::Greater,
        }
    }

    fn magnitude(self) -> Natural {
        u128::from(self.mantissa).into()
    }
}

/// A number without its lowest bits, and whether it has to be rounded up for them.
fn shift_out(number: &Natural, bits: u64, has_rest: bool) -> (Natural, bool) {
    let quotient = number.shifted_right(bits);
    if bits == 0 {
        return (quotient, false);
    }
    let is_half = number.bit(bits - 1);
    let is_more = has_rest || number.has_bits_below(bits - 1);
    let round_up = is_half && (is_more || quotient.bit(0));
    (quotient, round_up)
}

/// All digits before the point, up to 17 behind it, and no zeros at the end.
impl fmt::Display for LongDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scaled = self.magnitude().times_ten_to(DECIMALS as u32);
        let bits = self.exponent.unsigned_abs().into();
        let scaled = match self.exponent {
            0.. => scaled.shifted_left(bits),
            _ => {
                let (quotient, round_up) = shift_out(&scaled, bits, false);
                quotient.plus(&u128::from(round_up).into())
            }
        };
        let digits = format!("{scaled:0>width$}", width = DECIMALS + 1);
        let (whole, decimals) = digits.split_at(digits.len() - DECIMALS);
        let decimals = decimals.trim_end_matches('0');
        let sign = if self.is_negative && !scaled.is_zero() {
            "-"
        } else {
            ""
        };
        let point = if decimals.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{decimals}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(one: &str, other: &str) -> String {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
        parse(one).checked_add(parse(other)).unwrap().to_string()
    }

    /// What redis-server 7.0.15 answered on x86-64.
    #[test]
    fn sums_are_those_of_a_real_server() {
        for (one, other, wanted) in SUMS {
            assert_eq!(sum(one, other), *wanted, "{one} + {other}");
        }
    }

    #[test]
    fn what_is_beyond_extended_precision_is_refused() {
        let max = LongDouble::parse(b"1.1e4932").unwrap();
        assert_eq!(max.checked_add(max), Err(Error::IncrementNotFinite));
        for text in [
            "1.2e4932",
            "1e-5000",
            "1e2000000000",
            "1e99999999999",
            "1e",
            "0x",
            "0x1p16384",
            "0x1p99999999999",
            "nan",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(LongDouble::parse(b"inf"), None);
        assert_eq!(LongDouble::parse(&[b'0'; TEXT_LEN_MAX]), None);
    }

    const SUMS: &[(&str, &str, &str)] = &[
        ("10.50", "0.1", "10.6"),
        ("5.6", "5.0e3", "5005.60000000000000009"),
        ("3000.1", "0.1", "3000.20000000000000018"),
        ("0.1", "0.2", "0.3"),
        ("1", "-1", "0"),
        ("-1.5", "1.25", "-0.25"),
        ("1e17", "0.3", "100000000000000000.296875"),
        ("1e20", "1", "100000000000000000000"),
        (
            "1e300",
            "1",
            "1000000000000000000008997324079559193870523944273290747938260082321265646596180935755849152083750497190350372508614274835903592556184672983913096260520748646287327135641843653294084255107606016789726652932370030551382947620994540294772781889620606179267611627097410650567187386105690089424915104006144",
        ),
        ("1e-10", "1e-11", "0.00000000011"),
        ("1e-17", "0", "0.00000000000000001"),
        ("4e-18", "1e-18", "0"),
        ("5e-18", "0", "0"),
        ("-3e-18", "0", "0"),
        ("0x1.8p1", ".5", "3.5"),
        ("0xap-1", "-0X1P1", "3"),
        ("0x0p99999", "1", "1"),
        ("0x9223372036854775808", "-1", "43132194673522839609344"),
        ("0xfedcba9876543210.8", "0", "18364758544493064720"),
        ("0xffffffffffffffff", "1", "18446744073709551616"),
        ("0x1ffffffffffffffff", "0", "36893488147419103232"),
        (
            "0x123456789abcdef0123456789abcdef01234567",
            "1",
            "6495562832581790663328737427547479735724408832",
        ),
        (
            "123456789.987654321",
            "-987654321.123456789",
            "-864197531.13580246799392626",
        ),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("18446744073709551616", "0.5", "18446744073709551616"),
        ("-0", "0", "0"),
        ("1.7e308", "-1.7e308", "0"),
        (
            "0.00000000000000001",
            "0.000000000000000005",
            "0.00000000000000002",
        ),
        (
            "3.14159265358979323846264338327950288",
            "2.71828182845904523536028747135266249",
            "5.85987448204883847",
        ),
        ("5.", "+.5", "5.5"),
        ("1E2", "1e-2", "100.01"),
        (
            "505.77042954713880633",
            "730678085937718",
            "730678085938223.77044677734375",
        ),
        ("60.91", "17933367.97544", "17933428.88544000000001688"),
        ("-0.03", "-0.00000000000960857", "-0.03000000000960857"),
        ("0.00000000000798936", "-0.80992", "-0.80991999999201064"),
        ("17333", "3615174", "3632507"),
        ("9.444157736", "0.000986684", "9.44514442"),
        (
            "-37924041060.8",
            "-981249",
            "-37925022309.80000000074505806",
        ),
        ("33.9", "-49947809021936081226", "-49947809021936081192"),
        ("-3385229574.66", "5045.94", "-3385224528.71999999997206032"),
        ("-32", "-0.00009655164080872", "-32.00009655164080872"),
        ("0.00000637271636956", "796862662987511", "796862662987511"),
        (
            "-0.00000000000004031",
            "-3887482.10266",
            "-3887482.10266000000001441",
        ),
        (
            "-664010.997979732",
            "4452298729",
            "4451634718.00202026776969433",
        ),
        (
            "8380718167.3",
            "-76032116985",
            "-67651398817.69999999925494194",
        ),
        (
            "0.00000022789831222",
            "-0.000094520",
            "-0.00009429210168778",
        ),
        (
            "-14584121884.61629",
            "-0.000000030",
            "-14584121884.61629003006964922",
        ),
        ("-0.489266673", "0.000007301", "-0.489259372"),
        (
            "2352169.793740936",
            "-237559220891.54",
            "-237556868721.74625906348228455",
        ),
        (
            "-0.00000000000007703",
            "49014.27034",
            "49014.27033999999992275",
        ),
        (
            "-99272166.779387126",
            "-52425971722611.85",
            "-52426070994778.62938690185546875",
        ),
        ("147.53", "6097491487887932", "6097491487888079.52978515625"),
        (
            "-0.09280635222236658",
            "-0.00000000000000804",
            "-0.09280635222237462",
        ),
        (
            "-6.33065181416332521",
            "-775.496350025",
            "-781.8270018391633252",
        ),
        (
            "529356744732261.9",
            "-2136254793237794.98",
            "-1606898048505533.0799560546875",
        ),
    ];
}
