//! Output forms computed without branches or memory accesses that depend on the values.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};

/// Rounds values to multiples of `step`: codes in [−2^(bits−1), 2^(bits−1) − 1]. Not-a-number becomes 0.
pub(super) fn round(values: &[f64], step: f64, bits: u8) -> Vec<i32> {
    // Adding and subtracting 1.5·2^52 rounds to the nearest integer, ties to even, for all |x| < 2^51.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let half = f64::from(1u32 << (bits - 1));
    let code = |value: f64| ((value / step).clamp(-half, half - 1.0) + ROUND - ROUND) as i32;
    values.iter().map(|&value| code(value)).collect()
}

/// Order-preserving map to unsigned numbers.
fn rank(code: i32) -> u32 {
    (code as u32) ^ 0x8000_0000
}

/// The `k` largest codes with their indices, largest first; among equals the lowest index first.
pub(super) fn largest(codes: &[i32], k: usize) -> Vec<(u32, i32)> {
    let mut taken = vec![Choice::from(0); codes.len()];
    let mut chosen = Vec::with_capacity(k);
    for _ in 0..k.min(codes.len()) {
        let (mut index, mut best, mut found) = (0u32, 0i32, Choice::from(0));
        for ((candidate, &code), &taken) in (0u32..).zip(codes).zip(&taken) {
            let better = !taken & (!found | rank(code).ct_gt(&rank(best)));
            index.conditional_assign(&candidate, better);
            best.conditional_assign(&code, better);
            found |= better;
        }
        for (candidate, taken) in (0u32..).zip(&mut taken) {
            *taken |= candidate.ct_eq(&index);
        }
        chosen.push((index, best));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounding_clamps_and_ties_to_even() {
        let got = round(&[0.24, 0.25, 0.75, -0.25, 1e9, -1e9, f64::NAN, f64::INFINITY], 0.5, 8);
        assert_eq!(got, [0, 0, 2, 0, 127, -128, 0, 127]);
    }

    proptest! {
        #[test]
        fn the_largest_are_those_of_a_stable_sort(
            codes in proptest::collection::vec(-4i32..4, 1..20),
            k in 1usize..25,
        ) {
            let mut want: Vec<(u32, i32)> = (0..).zip(codes.iter().copied()).collect();
            want.sort_by_key(|&(index, code)| (-i64::from(code), index));
            want.truncate(k);
            prop_assert_eq!(largest(&codes, k), want);
        }
    }

    #[test]
    fn extreme_codes_are_in_order() {
        assert_eq!(largest(&[i32::MIN, i32::MAX, 0], 3), [(1, i32::MAX), (2, 0), (0, i32::MIN)]);
    }
}
