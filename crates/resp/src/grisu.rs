//! The digits of floating-point numbers: Grisu2 of Florian Loitsch, "Printing Floating-Point Numbers Quickly and
//! Accurately with Integers" (PLDI 2010).
//!
//! The digits read back as the same number. They are the fewest and the nearest for all but about one of a
//! thousand numbers; for that one they are those that servers write as well, since theirs come from the same
//! algorithm with the same powers of ten.
//!
//! ```text
//! lower ---- number ---- upper     what reads back as the number, with 64 bits each
//!   | * a power of ten that brings the exponent into EXPONENTS
//!   v
//! digits of upper, until what is left is less than upper - lower; then down towards the number
//! ```

use std::ops::RangeInclusive;

/// The most digits that a number has.
pub(crate) const DIGITS_MAX: usize = 18;

/// Digits, and the power of ten of the last of them.
pub(crate) struct Digits {
    pub(crate) digits: [u8; DIGITS_MAX],
    pub(crate) len: usize,
    pub(crate) exponent: i32,
}

/// The digits of a number, which is positive and finite.
pub(crate) fn digits(number: f64) -> Digits {
    let number = Scaled::of(number);
    let upper = Scaled {
        fraction: (number.fraction << 1) + 1,
        exponent: number.exponent - 1,
    }
    .normalized();
    // Below a power of two numbers are nearer to each other.
    let shift = if number.fraction == HIDDEN_BIT { 2 } else { 1 };
    let lower = Scaled {
        fraction: ((number.fraction << shift) - 1) << (number.exponent - shift - upper.exponent),
        exponent: upper.exponent,
    };

    let (power, ten_to) = Scaled::power_of_ten(upper.exponent);
    let number = number.normalized().times(power);
    let (mut lower, mut upper) = (lower.times(power), upper.times(power));
    // A product is off by less than one.
    lower.fraction += 1;
    upper.fraction -= 1;

    let mut digits = Digits {
        digits: [0; DIGITS_MAX],
        len: 0,
        exponent: -ten_to,
    };
    digits.generate(&number, &lower, &upper);
    digits
}

/// The bit of a fraction that a number of usual size has without it being written.
const HIDDEN_BIT: u64 = 1 << 52;

/// `fraction` times two to the power of `exponent`.
#[derive(Clone, Copy)]
struct Scaled {
    fraction: u64,
    exponent: i32,
}

impl Scaled {
    fn of(number: f64) -> Scaled {
        let bits = number.to_bits();
        let fraction = bits & (HIDDEN_BIT - 1);
        match (bits >> 52) as i32 & 0x7ff {
            0 => Scaled {
                fraction,
                exponent: -1074,
            },
            exponent => Scaled {
                fraction: fraction | HIDDEN_BIT,
                exponent: exponent - 1075,
            },
        }
    }

    /// The same number with the first bit of the fraction set.
    fn normalized(self) -> Scaled {
        let shift = self.fraction.leading_zeros();
        Scaled {
            fraction: self.fraction << shift,
            exponent: self.exponent - shift as i32,
        }
    }

    /// The product, to the nearest fraction.
    fn times(self, other: Scaled) -> Scaled {
        let product = u128::from(self.fraction) * u128::from(other.fraction);
        Scaled {
            fraction: ((product + (1 << 63)) >> 64) as u64,
            exponent: self.exponent + other.exponent + 64,
        }
    }

    /// A power of ten that brings a number of this exponent into [`EXPONENTS`], and which power it is.
    /// Where two do, it is the one that servers take.
    fn power_of_ten(exponent: i32) -> (Scaled, i32) {
        const LOG_2: f64 = 0.301_029_995_663_981_14;
        let about = (f64::from(-(exponent + POWERS.len() as i32)) * LOG_2) as i32;
        let mut place = (about - FIRST_POWER) / STEP;
        loop {
            let ten_to = FIRST_POWER + place * STEP;
            let power = Scaled {
                fraction: POWERS[place as usize],
                // The logarithm of ten to the base of two, times 2^19.
                exponent: ((ten_to * 1_741_647) >> 19) - 63,
            };
            match exponent + power.exponent + 64 {
                product if product < *EXPONENTS.start() => place += 1,
                product if product > *EXPONENTS.end() => place -= 1,
                _ => return (power, ten_to),
            }
        }
    }
}

impl Digits {
    /// Writes the digits of `upper` until they stand for something between the two bounds, and makes the last
    /// one as small as brings it nearest to the number. All have the same exponent, which is one of
    /// [`EXPONENTS`].
    fn generate(&mut self, number: &Scaled, lower: &Scaled, upper: &Scaled) {
        let point = -upper.exponent;
        let one = 1_u64 << point;
        let (mut whole, mut part) = (upper.fraction >> point, upper.fraction & (one - 1));
        let mut width = upper.fraction - lower.fraction;
        let mut above = upper.fraction - number.fraction;

        for power in (0..10).rev() {
            let unit = 10_u64.pow(power);
            self.push(whole / unit);
            whole %= unit;
            let rest = (whole << point) + part;
            if rest <= width {
                self.exponent += power as i32;
                return self.lower_last(width, rest, unit << point, above);
            }
        }
        loop {
            part *= 10;
            width *= 10;
            above = above.wrapping_mul(10);
            self.exponent -= 1;
            self.push(part >> point);
            part &= one - 1;
            if part < width {
                return self.lower_last(width, part, one, above);
            }
        }
    }

    /// Adds a digit, but for zeros in front.
    fn push(&mut self, digit: u64) {
        if digit > 0 || self.len > 0 {
            self.digits[self.len] = b'0' + digit as u8;
            self.len += 1;
        }
    }

    /// Makes the last digit smaller while that stays above the lower bound and comes nearer to the number. The
    /// digits lie `rest` below the upper bound, the number lies `above` below it, the lower bound `width`.
    fn lower_last(&mut self, width: u64, mut rest: u64, unit: u64, above: u64) {
        while rest < above
            && width - rest >= unit
            && (rest + unit < above || above - rest > rest + unit - above)
        {
            self.digits[self.len - 1] -= 1;
            rest += unit;
        }
    }
}

/// The exponents that products have: their whole part has 32 bits at most, and their fraction leaves room for
/// a factor of ten.
const EXPONENTS: RangeInclusive<i32> = -60..=-32;

/// The first of [`POWERS`], and the step from one to the next.
const FIRST_POWER: i32 = -348;
const STEP: i32 = 8;

/// The powers of ten from 10^-348 to 10^340, each to the nearest fraction of 64 bits, of which the first is set.
#[rustfmt::skip]
const POWERS: [u64; 87] = [
    0xfa8fd5a0081c0288, 0xbaaee17fa23ebf76, 0x8b16fb203055ac76, 0xcf42894a5dce35ea,
    0x9a6bb0aa55653b2d, 0xe61acf033d1a45df, 0xab70fe17c79ac6ca, 0xff77b1fcbebcdc4f,
    0xbe5691ef416bd60c, 0x8dd01fad907ffc3c, 0xd3515c2831559a83, 0x9d71ac8fada6c9b5,
    0xea9c227723ee8bcb, 0xaecc49914078536d, 0x823c12795db6ce57, 0xc21094364dfb5637,
    0x9096ea6f3848984f, 0xd77485cb25823ac7, 0xa086cfcd97bf97f4, 0xef340a98172aace5,
    0xb23867fb2a35b28e, 0x84c8d4dfd2c63f3b, 0xc5dd44271ad3cdba, 0x936b9fcebb25c996,
    0xdbac6c247d62a584, 0xa3ab66580d5fdaf6, 0xf3e2f893dec3f126, 0xb5b5ada8aaff80b8,
    0x87625f056c7c4a8b, 0xc9bcff6034c13053, 0x964e858c91ba2655, 0xdff9772470297ebd,
    0xa6dfbd9fb8e5b88f, 0xf8a95fcf88747d94, 0xb94470938fa89bcf, 0x8a08f0f8bf0f156b,
    0xcdb02555653131b6, 0x993fe2c6d07b7fac, 0xe45c10c42a2b3b06, 0xaa242499697392d3,
    0xfd87b5f28300ca0e, 0xbce5086492111aeb, 0x8cbccc096f5088cc, 0xd1b71758e219652c,
    0x9c40000000000000, 0xe8d4a51000000000, 0xad78ebc5ac620000, 0x813f3978f8940984,
    0xc097ce7bc90715b3, 0x8f7e32ce7bea5c70, 0xd5d238a4abe98068, 0x9f4f2726179a2245,
    0xed63a231d4c4fb27, 0xb0de65388cc8ada8, 0x83c7088e1aab65db, 0xc45d1df942711d9a,
    0x924d692ca61be758, 0xda01ee641a708dea, 0xa26da3999aef774a, 0xf209787bb47d6b85,
    0xb454e4a179dd1877, 0x865b86925b9bc5c2, 0xc83553c5c8965d3d, 0x952ab45cfa97a0b3,
    0xde469fbd99a05fe3, 0xa59bc234db398c25, 0xf6c69a72a3989f5c, 0xb7dcbf5354e9bece,
    0x88fcf317f22241e2, 0xcc20ce9bd35c78a5, 0x98165af37b2153df, 0xe2a0b5dc971f303a,
    0xa8d9d1535ce3b396, 0xfb9b7cd9a4a7443c, 0xbb764c4ca7a44410, 0x8bab8eefb6409c1a,
    0xd01fef10a657842c, 0x9b10a4e5e9913129, 0xe7109bfba19c0c9d, 0xac2820d9623bf429,
    0x80444b5e7aa7cf85, 0xbf21e44003acdd2d, 0x8e679c2f5e44ff8f, 0xd433179d9c8cb841,
    0x9e19db92b4e31ba9, 0xeb96bf6ebadf77d9, 0xaf87023b9bf0ee6b,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(number: f64) -> (String, i32) {
        let digits = digits(number);
        let text = String::from_utf8_lossy(&digits.digits[..digits.len]);
        (text.into_owned(), digits.exponent)
    }

    #[test]
    fn a_number_has_the_fewest_digits_that_read_back_as_it() {
        assert_eq!(text_of(0.1), ("1".into(), -1));
        assert_eq!(text_of(1e23), ("9999999999999999".into(), 7));
        assert_eq!(text_of(5e-324), ("5".into(), -324));
        assert_eq!(text_of(f64::MAX), ("17976931348623157".into(), 292));
    }

    /// What Redis 8 and Valkey 9 answer to ZSCORE.
    #[test]
    fn a_number_for_which_servers_find_other_digits_has_theirs() {
        assert_eq!(
            text_of(900_719_925_474_100.3),
            ("9007199254741002".into(), -1)
        );
    }
}
