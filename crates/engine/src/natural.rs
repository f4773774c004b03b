//! Natural numbers of any size, as far as [`crate::long_double`] needs them.
//!
//! They are a few hundred bits most often, and some 17,000 at the most, so each function is the way it
//! is done on paper.

use std::cmp::Ordering;
use std::fmt;

/// The greatest power of ten that is a limb, and its number of zeros.
const LIMB_OF_TENS: u32 = 1_000_000_000;
const TENS: u32 = 9;

/// A natural number: limbs of 32 bits, the lowest first. The last is not 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Natural {
    limbs: Vec<u32>,
}

impl From<u128> for Natural {
    fn from(number: u128) -> Natural {
        let limbs = (0..4).map(|limb| (number >> (32 * limb)) as u32);
        Natural::trimmed(limbs.collect())
    }
}

impl Natural {
    fn trimmed(mut limbs: Vec<u32>) -> Natural {
        let len = limbs.iter().rposition(|&limb| limb != 0);
        limbs.truncate(len.map_or(0, |last| last + 1));
        Natural { limbs }
    }

    /// The number that these decimal digits say, and no other characters.
    pub(crate) fn of_digits(digits: impl Iterator<Item = u8>) -> Natural {
        digits.fold(Natural::default(), |number, digit| {
            number.times_plus(10, u32::from(digit - b'0'))
        })
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// How many bits it has: 0 has none.
    pub(crate) fn bits(&self) -> u64 {
        let last = self.limbs.last();
        last.map_or(0, |last| {
            self.limbs.len() as u64 * 32 - u64::from(last.leading_zeros())
        })
    }

    /// Whether this bit is set.
    pub(crate) fn bit(&self, place: u64) -> bool {
        let limb = self.limbs.get((place / 32) as usize);
        limb.is_some_and(|limb| limb >> (place % 32) & 1 == 1)
    }

    /// Whether any bit below this one is set.
    pub(crate) fn has_bits_below(&self, place: u64) -> bool {
        let first = self.limbs.iter().position(|&limb| limb != 0);
        first.is_some_and(|first| {
            first as u64 * 32 + u64::from(self.limbs[first].trailing_zeros()) < place
        })
    }

    /// Its lowest 64 bits.
    pub(crate) fn low(&self) -> u64 {
        let limb = |place: usize| self.limbs.get(place).map_or(0, |&limb| u64::from(limb));
        limb(1) << 32 | limb(0)
    }

    /// `self * factor + summand`.
    fn times_plus(mut self, factor: u32, summand: u32) -> Natural {
        let mut carry = u64::from(summand);
        for limb in &mut self.limbs {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.limbs.push(carry as u32);
        }
        Natural::trimmed(self.limbs)
    }

    /// `self * 10^power`.
    pub(crate) fn times_ten_to(self, power: u32) -> Natural {
        let whole = (0..power / TENS).fold(self, |number, _| number.times_plus(LIMB_OF_TENS, 0));
        whole.times_plus(10_u32.pow(power % TENS), 0)
    }

    /// `self * 2^bits`.
    pub(crate) fn shifted_left(&self, bits: u64) -> Natural {
        let mut limbs = vec![0; (bits / 32) as usize];
        let mut carry = 0;
        for &limb in &self.limbs {
            let shifted = u64::from(limb) << (bits % 32);
            limbs.push(shifted as u32 | carry);
            carry = (shifted >> 32) as u32;
        }
        limbs.push(carry);
        Natural::trimmed(limbs)
    }

    /// `self / 2^bits`, without the rest.
    pub(crate) fn shifted_right(&self, bits: u64) -> Natural {
        let from = self.limbs.len().min((bits / 32) as usize);
        let limbs = &self.limbs[from..];
        let shifted = limbs.iter().enumerate().map(|(place, &limb)| {
            let above = limbs.get(place + 1).map_or(0, |&limb| u64::from(limb));
            ((above << 32 | u64::from(limb)) >> (bits % 32)) as u32
        });
        Natural::trimmed(shifted.collect())
    }

    /// The sum.
    pub(crate) fn plus(&self, other: &Natural) -> Natural {
        let (mut limbs, mut carry) = (Vec::new(), 0);
        for place in 0..=self.limbs.len().max(other.limbs.len()) {
            let limb =
                |number: &Natural| number.limbs.get(place).map_or(0, |&limb| u64::from(limb));
            carry += limb(self) + limb(other);
            limbs.push(carry as u32);
            carry >>= 32;
        }
        Natural::trimmed(limbs)
    }

    /// The difference, of a number that is not greater.
    pub(crate) fn minus(&self, less: &Natural) -> Natural {
        let (mut limbs, mut borrow) = (Vec::new(), 0);
        for (place, &limb) in self.limbs.iter().enumerate() {
            let less = less.limbs.get(place).map_or(0, |&limb| i64::from(limb));
            let difference = i64::from(limb) - less - borrow;
            limbs.push(difference as u32);
            borrow = i64::from(difference < 0);
        }
        Natural::trimmed(limbs)
    }

    /// The quotient, which has to be shorter than 128 bits, and whether there is a rest.
    pub(crate) fn divided_by(&self, divisor: &Natural) -> (u128, bool) {
        let longest = (self.bits() + 1).saturating_sub(divisor.bits());
        let (mut quotient, mut rest) = (0, self.clone());
        for place in (0..longest).rev() {
            let part = divisor.shifted_left(place);
            quotient <<= 1;
            if rest >= part {
                rest = rest.minus(&part);
                quotient |= 1;
            }
        }
        (quotient, !rest.is_zero())
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Natural) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Natural) -> Ordering {
        let by_limbs = || self.limbs.iter().rev().cmp(other.limbs.iter().rev());
        self.limbs.len().cmp(&other.limbs.len()).then_with(by_limbs)
    }
}

/// In decimal digits.
impl fmt::Display for Natural {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut limbs, mut parts) = (self.limbs.clone(), Vec::new());
        while !limbs.is_empty() {
            let mut rest = 0;
            for limb in limbs.iter_mut().rev() {
                rest = rest << 32 | u64::from(*limb);
                *limb = (rest / u64::from(LIMB_OF_TENS)) as u32;
                rest %= u64::from(LIMB_OF_TENS);
            }
            parts.push(format!("{rest:09}"));
            limbs = Natural::trimmed(limbs).limbs;
        }
        let digits = parts.iter().rev().map(String::as_str).collect::<String>();
        let digits = digits.trim_start_matches('0');
        f.pad_integral(true, "", if digits.is_empty() { "0" } else { digits })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_fits_128_bits_is_counted_as_there(
            one: u128, other in any::<u64>().prop_filter("a divisor", |&other| other > 0), bits in 0..60_u64,
        ) {
            let (wide, narrow) = (Natural::from(one), Natural::from(u128::from(other)));
            prop_assert_eq!(wide.to_string(), one.to_string());
            prop_assert_eq!(&Natural::of_digits(one.to_string().bytes()), &wide);
            prop_assert_eq!(wide.bits(), u64::from(128 - one.leading_zeros()));
            prop_assert_eq!(wide.low(), one as u64);
            prop_assert_eq!(wide.bit(bits), one >> bits & 1 == 1);
            prop_assert_eq!(wide.has_bits_below(bits), one & ((1 << bits) - 1) != 0);
            prop_assert_eq!(wide.shifted_right(bits), Natural::from(one >> bits));
            prop_assert_eq!(narrow.shifted_left(bits), Natural::from(u128::from(other) << bits));
            prop_assert_eq!(wide.cmp(&narrow), one.cmp(&u128::from(other)));
            let divided = (one / u128::from(other), one % u128::from(other) > 0);
            prop_assert_eq!(wide.divided_by(&narrow), divided);
        }

        #[test]
        fn what_is_added_can_be_taken_away(one: u128, other: u128, bits in 0..300_u64) {
            let (one, other) = (Natural::from(one).shifted_left(bits), Natural::from(other));
            let sum = one.plus(&other);
            prop_assert_eq!(&sum.minus(&other), &one);
            prop_assert_eq!(sum.minus(&one), other);
            prop_assert_eq!(one.shifted_right(bits).shifted_left(bits), one);
        }
    }

    #[test]
    fn a_power_of_ten_has_its_zeros() {
        let thousand = Natural::from(7).times_ten_to(1000);
        assert_eq!(thousand.to_string(), format!("7{}", "0".repeat(1000)));
        assert_eq!(Natural::default().times_ten_to(3).to_string(), "0");
        assert_eq!(format!("{:0>5}", Natural::from(42)), "00042");
    }
}
