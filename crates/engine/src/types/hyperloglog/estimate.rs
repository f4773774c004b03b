//! What the registers tell: the estimate of O. Ertl, "New cardinality estimation algorithms for
//! HyperLogLog sketches", 2017, <https://arxiv.org/abs/1702.01284>, with the operations in Redis's
//! order, so that both come to the same number.

use super::{Histogram, INDEX_BITS, REGISTERS};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;
/// The highest value that a register gets from a hash without a one.
const HIGHEST: usize = 64 - INDEX_BITS as usize + 1;

/// The estimate of how many different elements there were. Registers that no elements can have made may
/// tell of more than there are numbers, which is `i64::MIN`, as in Redis.
pub(super) fn cardinality(histogram: &Histogram) -> i64 {
    let all = REGISTERS as f64;
    let of = |value: usize| f64::from(histogram[value]);
    let mut sum = all * tau((all - of(HIGHEST)) / all);
    for value in (1..HIGHEST).rev() {
        sum = (sum + of(value)) * 0.5;
    }
    sum += all * sigma(of(0) / all);
    let estimate = (ALPHA * all * all / sum).round();
    match estimate < i64::MAX as f64 {
        true => estimate as i64,
        false => i64::MIN,
    }
}

/// For the registers that have seen nothing: a share of them.
fn sigma(share: f64) -> f64 {
    if share == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut factor, mut sum) = (share, 1.0, share);
    loop {
        let before = sum;
        power *= power;
        sum += power * factor;
        factor += factor;
        if sum == before {
            return sum;
        }
    }
}

/// For those whose value is not the highest one: a share of them.
fn tau(share: f64) -> f64 {
    if share == 0.0 || share == 1.0 {
        return 0.0;
    }
    let (mut root, mut factor, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        let before = sum;
        root = root.sqrt();
        factor *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * factor;
        if sum == before {
            return sum / 3.0;
        }
    }
}
