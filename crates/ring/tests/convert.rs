//! Division between bases and key-switch digits against integer arithmetic.

#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;

use std::sync::Arc;

use adyton_ring::{
    AlignedBuffer, Basis, Divider, Kernel, ModUp, Poly, Ring, RingError, RingKind, ntt_primes,
};
use common::{KINDS, Random, kernels, ring};

/// round(x/d) for odd d, with the remainder in [−(d−1)/2, (d−1)/2].
fn divide_rounded(x: i128, d: i128) -> i128 {
    (x + (d - 1) / 2).div_euclid(d)
}

/// The product of a basis's primes, or the largest integer if it does not fit.
fn product(ring: &Ring, basis: &Basis) -> i128 {
    basis
        .iter()
        .fold(1, |product: i128, prime| product.saturating_mul(ring.modulus(prime).value().into()))
}

fn random_integers(ring: &Ring, bound: i128, seed: u64) -> Vec<i128> {
    let mut random = Random(seed);
    let mut values: Vec<i128> = (0..ring.degree())
        .map(|_| {
            let wide = (u128::from(random.word()) << 64) | u128::from(random.word());
            (wide % (2 * bound as u128 - 1)) as i128 - bound + 1
        })
        .collect();
    (values[0], values[1], values[2], values[3]) = (bound - 1, 1 - bound, 0, -1);
    values
}

/// Divides by every combination of dropped and added primes and compares with integers.
fn check_division(ring: &Arc<Ring>, from: &[usize], to: &[usize]) {
    let from = ring.basis(from.iter().copied()).unwrap();
    let to = ring.basis(to.iter().copied()).unwrap();
    let (dropped, added) = (from.difference(&to).unwrap(), to.difference(&from).unwrap());
    let (d, k) = (product(ring, &dropped), product(ring, &added));
    // x·K must fit the oracle's integers and x the modulus.
    let bound = ((1i128 << 125) / k).min(product(ring, &from) / 2);
    let values = random_integers(ring, bound, 5);
    let x = ring.from_i128(&from, &values).unwrap();
    let expected: Vec<i128> = values.iter().map(|x| divide_rounded(x * k, d)).collect();
    let expected = ring.from_i128(&to, &expected).unwrap();
    let divider = Divider::new(ring, &from, &to).unwrap();
    assert!(divider.apply_coeff(&x).unwrap() == expected, "{from:?} → {to:?}");
    let y = divider.apply(&ring.forward(x).unwrap()).unwrap();
    assert!(ring.inverse(y).unwrap() == expected, "{from:?} → {to:?} by slots, {}", ring.kernel());
}

#[test]
fn division_is_exact_between_any_bases() {
    for kernel in kernels() {
        for kind in KINDS {
            for log_n in [4, 8] {
                let small = ring(kind, log_n, 20, 6, kernel);
                check_division(&small, &[0, 1, 2, 3], &[0, 1, 2]);
                check_division(&small, &[0, 1, 2, 3, 4, 5], &[0, 2]);
                check_division(&small, &[3, 1, 0], &[0, 1, 3]);
                check_division(&small, &[0, 1, 2, 3], &[4, 1]);
                check_division(&small, &[0, 1, 2, 3], &[5, 3, 4]);
                check_division(&small, &[0, 1], &[0, 1, 2]);
                check_division(&small, &[0], &[1, 2, 3]);

                let mut primes = ntt_primes(kind, log_n, 46, 1, &[]).unwrap();
                primes.extend(ntt_primes(kind, log_n, 40, 3, &[]).unwrap());
                primes.extend(ntt_primes(kind, log_n, 24, 1, &[]).unwrap());
                let mixed = Ring::with_kernel(kind, log_n, &primes, kernel).unwrap();
                check_division(&mixed, &[0, 1, 2, 3], &[0]);
                check_division(&mixed, &[0, 1, 2, 3], &[4]);
                check_division(&mixed, &[1, 0], &[1]);
                check_division(&mixed, &[0, 1, 4], &[1, 4]);
                check_division(&mixed, &[0, 4], &[0]);
            }
        }
    }
}

#[test]
fn digits_recombine_and_are_small() {
    for kernel in kernels() {
        for kind in KINDS {
            for digit_primes in [1, 2, 3] {
                let ring = ring(kind, 8, 30, 7, kernel);
                let (basis, special) = (ring.basis(0..4).unwrap(), ring.basis(4..7).unwrap());
                let up = ModUp::new(&ring, &basis, &special, digit_primes).unwrap();
                assert_eq!(up.digit_count(), 4usize.div_ceil(digit_primes));
                let modulus = product(&ring, &basis);
                let values = random_integers(&ring, modulus / 2, digit_primes as u64);
                let x = ring.forward(ring.from_i128(&basis, &values).unwrap()).unwrap();
                let digits = up
                    .decompose(&x, AlignedBuffer::from_slice(&vec![7; x.as_slice().len()]))
                    .unwrap();
                for (number, group) in basis.indices().chunks(digit_primes).enumerate() {
                    let group = ring.basis(group.iter().map(|&i| usize::from(i))).unwrap();
                    let d = product(&ring, &group);
                    // The digit is x centred modulo the group's product, as an integer.
                    let expected: Vec<i128> =
                        values.iter().map(|x| x - divide_rounded(*x, d) * d).collect();
                    let expected = ring.from_i128(up.extended_basis(), &expected).unwrap();
                    let digit = up.digit(&digits, number).unwrap();
                    assert!(ring.inverse(digit).unwrap() == expected, "{kernel} {number}");
                }
                check_gadget(&ring, &up, &basis, &special, digit_primes);
                let mut out = vec![0; ring.degree()];
                assert!(matches!(
                    up.limb_into(&digits, 9, 0, &mut out),
                    Err(RingError::OutOfRange { what: "digit", .. })
                ));
                assert!(up.limb_into(&digits, 0, 7, &mut out).is_err());
            }
        }
    }
}

fn check_gadget(ring: &Ring, up: &ModUp, basis: &Basis, special: &Basis, digit_primes: usize) {
    let p = product(ring, special);
    for digit in 0..up.digit_count() {
        for (limb, prime) in up.extended_basis().iter().enumerate() {
            let own = basis.contains(prime) && limb / digit_primes == digit;
            let modulus = i128::from(ring.modulus(prime).value());
            let expected = if own { p % modulus } else { 0 };
            assert_eq!(i128::from(up.gadget_factor(digit, limb)), expected);
        }
    }
}

#[test]
fn unsuitable_arguments_are_named() {
    let ring = ring(RingKind::Standard, 4, 30, 3, Kernel::Portable);
    let other = common::ring(RingKind::Standard, 4, 29, 3, Kernel::Portable);
    let (basis, all) = (ring.basis(0..2).unwrap(), ring.full_basis());
    assert!(matches!(ModUp::new(&ring, &basis, &all, 1), Err(RingError::UnsuitableBasis(_))));
    assert!(ModUp::new(&ring, &basis, &ring.basis(2..3).unwrap(), 0).is_err());
    assert_eq!(
        Divider::new(&ring, &basis, &other.full_basis()).unwrap_err(),
        RingError::RingMismatch
    );
    let divider = Divider::new(&ring, &all, &basis).unwrap();
    let x = Poly::zero(&ring, &basis).unwrap();
    assert!(matches!(divider.apply(&x), Err(RingError::BasisMismatch { .. })));
    assert!(matches!(ring.basis([0, 3]), Err(RingError::PrimeIndex { index: 3, count: 3 })));
    assert!(matches!(ring.basis([1, 1]), Err(RingError::DuplicateIndex(1))));
}

#[test]
fn centred_doubles() {
    for kernel in kernels() {
        for (bits, count) in [(46, 1), (46, 2), (20, 6), (40, 3), (46, 6)] {
            let ring = ring(RingKind::ConjugateInvariant, 5, bits, count, kernel);
            let basis = ring.full_basis();
            for shift in [1, 20, 46, 80, 110] {
                let bound = (product(&ring, &basis) / 2).min(1 << shift);
                let values = random_integers(&ring, bound, shift);
                let lifted =
                    ring.to_centred_f64(&ring.from_i128(&basis, &values).unwrap()).unwrap();
                for (value, &lifted) in values.iter().zip(&lifted) {
                    let error = (lifted - *value as f64).abs();
                    assert!(error <= lifted.abs() * 2f64.powi(-52), "{value} {lifted} {count}");
                }
            }
        }
    }
    // Beyond 128 bits: the largest value of six primes.
    let ring = ring(RingKind::Standard, 4, 46, 6, Kernel::Portable);
    let mut poly = Poly::zero(&ring, &ring.full_basis()).unwrap();
    for (limb, p) in ring.primes().enumerate() {
        poly.limb_mut(limb)[0] = (p - 1) / 2;
        poly.limb_mut(limb)[1] = p.div_ceil(2);
    }
    let lifted = ring.to_centred_f64(&poly).unwrap();
    let expected = ring.primes().map(|p| p as f64).product::<f64>() / 2.0;
    assert!((lifted[0] / expected - 1.0).abs() < 1e-14);
    assert_eq!(lifted[1], -lifted[0]);
}
