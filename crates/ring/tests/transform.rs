//! Transforms, products and automorphisms against their definitions.

#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;

use adyton_ring::{Automorphism, Modulus, Poly, Ring, RingKind, is_prime, max_prime};
use common::{KINDS, Random, kernels, mul_mod, multiply, ring, substitute};

/// The value at every slot, from the slots of the generator: powers of X, or the recurrence
/// X^(j+1) + X^−(j+1) = (X + X⁻¹)(X^j + X^−j) − (X^(j−1) + X^−(j−1)).
fn evaluate(kind: RingKind, coefficients: &[u64], generator: u64, p: u64) -> u64 {
    let (mut before, mut now) = match kind {
        RingKind::Standard => (1, generator),
        RingKind::ConjugateInvariant => (2, generator),
    };
    let mut sum = coefficients[0];
    for &a in &coefficients[1..] {
        sum = (sum + mul_mod(a, now, p)) % p;
        let next = match kind {
            RingKind::Standard => mul_mod(now, generator, p),
            RingKind::ConjugateInvariant => (mul_mod(now, generator, p) + p - before) % p,
        };
        (before, now) = (now, next);
    }
    sum
}

#[test]
fn slots_are_evaluations_at_distinct_points() {
    for kernel in kernels() {
        for kind in KINDS {
            for log_n in [4, 6, 7, 8, 9, 10] {
                let ring = ring(kind, log_n, 46, 1, kernel);
                let (residue, n) = (ring.residue(0), ring.degree());
                let p = residue.modulus().value();
                let mut points = vec![0; n];
                points[1] = 1;
                residue.forward_in_place(&mut points).unwrap();
                let mut x = Random(1).residues(p, n);
                let coefficients = x.clone();
                residue.forward_in_place(&mut x).unwrap();
                for (slot, &point) in points.iter().enumerate() {
                    assert_eq!(x[slot], evaluate(kind, &coefficients, point, p), "{kernel} {slot}");
                }
                points.sort_unstable();
                points.dedup();
                assert_eq!(points.len(), n);
                residue.inverse_in_place(&mut x).unwrap();
                assert_eq!(x, coefficients);
            }
        }
    }
}

#[test]
fn products_are_ring_products() {
    for kernel in kernels() {
        for kind in KINDS {
            for (log_n, bits) in [(4, 20), (5, 46), (6, 30), (8, 46), (9, 25)] {
                let ring = ring(kind, log_n, bits, 2, kernel);
                let basis = ring.full_basis();
                let mut random = Random(u64::from(log_n));
                let mut x = Poly::zero(&ring, &basis).unwrap();
                let mut y = x.clone();
                let primes: Vec<u64> = ring.primes().collect();
                for (limb, &p) in primes.iter().enumerate() {
                    x.limb_mut(limb).copy_from_slice(&random.residues(p, ring.degree()));
                    y.limb_mut(limb).copy_from_slice(&random.residues(p, ring.degree()));
                }
                let mut product = ring.forward(x.clone()).unwrap();
                ring.mul_assign(&mut product, &ring.forward(y.clone()).unwrap()).unwrap();
                let product = ring.inverse(product).unwrap();
                for (limb, &p) in primes.iter().enumerate() {
                    let expected = multiply(kind, x.limb(limb), y.limb(limb), p);
                    assert_eq!(product.limb(limb), expected, "{kernel} {kind:?} {log_n}");
                }
            }
        }
    }
}

#[test]
fn automorphisms_substitute() {
    for kernel in kernels() {
        for kind in KINDS {
            for log_n in [4, 5, 6, 7, 8, 9] {
                let ring = ring(kind, log_n, 40, 1, kernel);
                let p = ring.modulus(0).value();
                let coefficients = Random(7).residues(p, ring.degree());
                let mut x = Poly::zero(&ring, &ring.full_basis()).unwrap();
                x.limb_mut(0).copy_from_slice(&coefficients);
                let x = ring.forward(x).unwrap();
                let order = kind.root_order(log_n);
                let rotations =
                    [0, 1, 2, 3, 7, 11].map(|r| Automorphism::rotation_exponent(&ring, r));
                for g in [3, 7, order - 1, order + 5].into_iter().chain(rotations) {
                    let image = Automorphism::new(&ring, g).unwrap().apply(&x).unwrap();
                    let image = ring.inverse(image).unwrap();
                    let expected = substitute(kind, &coefficients, g, p);
                    assert_eq!(image.limb(0), expected, "{kernel} {kind:?} {log_n} {g}");
                }
                assert!(Automorphism::new(&ring, 4).is_err());
            }
        }
    }
}

#[test]
fn kernels_permute_alike() {
    for kind in KINDS {
        for log_n in [10, 13, 16] {
            let reference = ring(kind, log_n, 40, 1, adyton_ring::Kernel::Portable);
            let x = Random(2).residues(1 << 40, reference.degree());
            for g in [1, 3, 25, kind.root_order(log_n) - 1, 3 * reference.degree() as u64 + 13] {
                let mut expected = vec![0; x.len()];
                Automorphism::new(&reference, g).unwrap().apply_limb(&x, &mut expected).unwrap();
                for kernel in kernels() {
                    let ring = ring(kind, log_n, 40, 1, kernel);
                    let mut out = vec![0; x.len()];
                    Automorphism::new(&ring, g).unwrap().apply_limb(&x, &mut out).unwrap();
                    assert!(out == expected, "{kernel} {kind:?} {log_n} {g}");
                }
            }
        }
    }
}

/// NTT-friendly primes of every bit length: the largest, the smallest, and some in between.
fn assorted_primes(kind: RingKind, log_n: u8) -> Vec<u64> {
    let order = kind.root_order(log_n);
    let max = max_prime(log_n);
    let mut primes = Vec::new();
    let mut random = Random(u64::from(log_n));
    for bits in (order.ilog2() + 2)..=46 {
        let (low, high) =
            ((1u64 << (bits - 1)) / order, (((1u64 << bits) - 1).min(max) - 1) / order);
        let friendly = |k: &u64| *k > low && is_prime(k * order + 1);
        primes.extend((low + 1..=high).rev().find(friendly).map(|k| k * order + 1));
        primes.extend((low + 1..=high).find(friendly).map(|k| k * order + 1));
        for _ in 0..3 {
            let start = low + 1 + random.below(high - low);
            primes.extend((start..=high).find(friendly).map(|k| k * order + 1));
        }
    }
    primes.sort_unstable();
    primes.dedup();
    primes
}

/// Where lazy bounds go wrong: every prime length, extreme inputs, each kernel against the portable one
/// and its own inverse.
#[test]
fn kernels_agree_on_extreme_inputs() {
    for kind in KINDS {
        for log_n in [7, 8, 10, 11, 12, 13] {
            let all = assorted_primes(kind, log_n);
            for primes in all.chunks(40) {
                kernels_agree(kind, log_n, primes);
            }
        }
        for log_n in [14, 15, 16] {
            let all = assorted_primes(kind, log_n);
            kernels_agree(kind, log_n, &all[all.len() - 3..]);
        }
    }
}

fn kernels_agree(kind: RingKind, log_n: u8, primes: &[u64]) {
    let reference = Ring::with_kernel(kind, log_n, primes, adyton_ring::Kernel::Portable).unwrap();
    let n = reference.degree();
    for kernel in kernels() {
        let ring = Ring::with_kernel(kind, log_n, primes, kernel).unwrap();
        for (index, &p) in primes.iter().enumerate() {
            let mut random = Random(p);
            let extremes: Vec<u64> = (0..n).map(|_| (p - 1) * (random.word() & 1)).collect();
            let foreign: Vec<u64> = (0..n).map(|_| random.word() >> 17).collect();
            let maximal = vec![(1 << 47) - 1; n];
            for input in [vec![p - 1; n], random.residues(p, n), extremes, foreign, maximal] {
                let (mut x, mut expected) = (input.clone(), input.clone());
                ring.residue(index).forward_in_place(&mut x).unwrap();
                reference.residue(index).forward_in_place(&mut expected).unwrap();
                assert!(x == expected, "forward, {kernel}, 2^{log_n}, {p}");
                assert!(x.iter().all(|&x| x < p));
                ring.residue(index).inverse_in_place(&mut x).unwrap();
                assert!(x.iter().zip(&input).all(|(x, y)| *x == y % p), "round, {kernel}, {p}");
                // Slots, too, may all be p − 1.
                let (mut x, mut expected) = (input.clone(), input);
                x.iter_mut().chain(&mut expected).for_each(|x| *x %= p);
                ring.residue(index).inverse_in_place(&mut x).unwrap();
                reference.residue(index).inverse_in_place(&mut expected).unwrap();
                assert!(x == expected, "inverse, {kernel}, 2^{log_n}, {p}");
            }
        }
    }
}

#[test]
fn the_largest_primes_round_trip_at_every_degree() {
    for kind in KINDS {
        for log_n in 4..=16 {
            for kernel in kernels() {
                let ring = ring(kind, log_n, 46, 1, kernel);
                let p = ring.modulus(0).value();
                let mut x = vec![p - 1; ring.degree()];
                ring.residue(0).inverse_in_place(&mut x).unwrap();
                ring.residue(0).forward_in_place(&mut x).unwrap();
                assert!(x.iter().all(|&x| x == p - 1), "{kind:?} {log_n}");
            }
        }
    }
}

#[test]
fn pointwise_operations() {
    for kernel in kernels() {
        for bits in [17, 30, 46] {
            let ring = ring(RingKind::Standard, 10, bits, 1, kernel);
            let residue = ring.residue(0);
            let m: &Modulus = residue.modulus();
            let p = m.value();
            let mut random = Random(3);
            for len in [0, 1, 7, 8, 31, 64, 1000] {
                let (mut x, mut y) = (random.residues(p, len), random.residues(p, len));
                let z = random.residues(p, len);
                if len > 2 {
                    (x[0], y[0], x[1], y[1]) = (p - 1, p - 1, 0, p - 1);
                }
                let w = random.below(p);
                let run = |operation: &dyn Fn(&mut [u64])| {
                    let mut out = x.clone();
                    operation(&mut out);
                    out
                };
                let expect = |f: &dyn Fn(usize) -> u64| (0..len).map(f).collect::<Vec<_>>();
                assert_eq!(
                    run(&|out| residue.add_assign(out, &y).unwrap()),
                    expect(&|i| (x[i] + y[i]) % p)
                );
                assert_eq!(
                    run(&|out| residue.sub_assign(out, &y).unwrap()),
                    expect(&|i| (x[i] + p - y[i]) % p)
                );
                assert_eq!(run(&|out| residue.neg_assign(out)), expect(&|i| (p - x[i]) % p));
                assert_eq!(
                    run(&|out| residue.mul_assign(out, &y).unwrap()),
                    expect(&|i| mul_mod(x[i], y[i], p))
                );
                assert_eq!(
                    run(&|out| residue.mul_add_assign(out, &y, &z).unwrap()),
                    expect(&|i| (x[i] + mul_mod(y[i], z[i], p)) % p)
                );
                assert_eq!(
                    run(&|out| residue.scale_assign(out, m.shoup(w))),
                    expect(&|i| mul_mod(x[i], w, p))
                );
                assert_eq!(
                    run(&|out| residue.sub_scale(&z, &y, m.shoup(w), out).unwrap()),
                    expect(&|i| mul_mod(z[i] + p - y[i], w, p))
                );
                assert_eq!(
                    run(&|out| residue.add_scaled_assign(out, &y, w).unwrap()),
                    expect(&|i| (x[i] + mul_mod(y[i], w, p)) % p)
                );
                assert!(residue.add_assign(&mut x, &[0; 3][..(len + 1) % 3]).is_err() || len < 3);
            }
        }
    }
}
