//! Sums of products against wide arithmetic.

#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;

use adyton_ring::{PairTerm, RingKind, SingleTerm};
use common::{Random, kernels, mul_mod, ring};

/// Σ x_j·y_j at position i.
fn sum(pairs: &[(&[u64], &[u64])], i: usize, p: u64) -> u64 {
    pairs.iter().fold(0, |sum, (x, y)| (sum + mul_mod(x[i], y[i], p)) % p)
}

fn check(bits: u32, terms: usize, len: usize, extreme: bool) {
    for kernel in kernels() {
        let ring = ring(RingKind::ConjugateInvariant, 8, bits, 1, kernel);
        let residue = ring.residue(0);
        let p = residue.modulus().value();
        let mut random = Random(u64::from(bits) + terms as u64);
        let polys: Vec<[Vec<u64>; 4]> = (0..terms)
            .map(|_| {
                [(); 4].map(|()| if extreme { vec![p - 1; len] } else { random.residues(p, len) })
            })
            .collect();
        let pairs: Vec<PairTerm<'_>> =
            polys.iter().map(|[b, a, b2, a2]| PairTerm { b, a, b2, a2 }).collect();
        let singles: Vec<SingleTerm<'_>> =
            polys.iter().map(|[w, b, a, _]| SingleTerm { w, b, a }).collect();
        let of = |choices: &[(usize, usize)]| -> Vec<u64> {
            (0..len)
                .map(|i| {
                    choices.iter().fold(0, |total, &(x, y)| {
                        let pairs: Vec<_> = polys.iter().map(|t| (&t[x][..], &t[y][..])).collect();
                        (total + sum(&pairs, i, p)) % p
                    })
                })
                .collect()
        };
        let doubled = |x: &[u64]| x.iter().map(|x| 2 * x % p).collect::<Vec<_>>();
        // Outputs start with what must be overwritten, residues or not.
        let fresh = || vec![u64::MAX; len];

        let expected = [of(&[(0, 2)]), of(&[(1, 2)]), of(&[(0, 3)]), of(&[(1, 3)])];
        let mut outs = [fresh(), fresh(), fresh(), fresh()];
        residue.dot4(&pairs, outs.each_mut().map(|out| &mut out[..])).unwrap();
        assert_eq!(outs, expected, "{kernel} {bits} {terms} {len}");
        residue.dot4_add(&pairs, outs.each_mut().map(|out| &mut out[..])).unwrap();
        assert_eq!(outs, expected.each_ref().map(|x| doubled(x)));

        let expected = [of(&[(0, 2)]), of(&[(1, 2), (0, 3)]), of(&[(1, 3)])];
        let mut outs = [fresh(), fresh(), fresh()];
        residue.dot3(&pairs, outs.each_mut().map(|out| &mut out[..])).unwrap();
        assert_eq!(outs, expected);

        let expected = [of(&[(0, 1)]), of(&[(0, 2)])];
        let mut outs = [fresh(), fresh()];
        residue.dot2(&singles, outs.each_mut().map(|out| &mut out[..])).unwrap();
        assert_eq!(outs, expected);
        residue.dot2_add(&singles, outs.each_mut().map(|out| &mut out[..])).unwrap();
        assert_eq!(outs, expected.each_ref().map(|x| doubled(x)));
    }
}

#[test]
fn sums_of_few_and_many_products() {
    for bits in [17, 31, 45, 46] {
        for terms in [0, 1, 2, 3, 32] {
            for len in [0, 1, 8, 13, 16, 200] {
                check(bits, terms, len, false);
            }
        }
    }
}

#[test]
fn accumulators_do_not_overflow() {
    for bits in [17, 40, 46] {
        for terms in [1023, 1024, 1025, 5000] {
            check(bits, terms, 24, true);
        }
    }
}

#[test]
fn lengths_are_checked() {
    let ring = ring(RingKind::Standard, 5, 40, 1, kernels()[0]);
    let (x, y) = ([0; 8], [0; 9]);
    let term = SingleTerm { w: &x, b: &x, a: &y };
    let (mut b, mut a) = ([0; 8], [0; 8]);
    assert!(ring.residue(0).dot2(&[term], [&mut b, &mut a]).is_err());
    assert!(ring.residue(0).dot2(&[], [&mut b, &mut a[..7]]).is_err());
}
