//! Samplers: known answers, statistics, independence of the basis.

#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;

use adyton_ring::{
    Coeff, Kernel, Ntt, Poly, Ring, RingKind, ntt_primes,
    sampler::{self, GAUSSIAN_MAX, GAUSSIAN_SIGMA},
};
use common::ring;

fn centred(ring: &Ring, poly: &Poly<Coeff>) -> Vec<i64> {
    let limbs: Vec<Vec<i64>> = poly
        .basis()
        .iter()
        .zip(poly.limbs())
        .map(|(prime, limb)| limb.iter().map(|&x| ring.modulus(prime).centre(x)).collect())
        .collect();
    assert!(limbs.windows(2).all(|pair| pair[0] == pair[1]), "one integer polynomial");
    limbs[0].clone()
}

#[test]
fn uniform_follows_its_specification() {
    let ring = ring(RingKind::Standard, 10, 20, 3, Kernel::Portable);
    let seed = [7; 32];
    let poly: Poly<Ntt> = sampler::uniform(&ring, &ring.full_basis(), &seed, 42).unwrap();
    for (limb, p) in ring.primes().enumerate() {
        let mut message = b"adyton/ring/uniform/1".to_vec();
        message.extend(p.to_le_bytes());
        message.extend(42u64.to_le_bytes());
        let mut bytes = vec![0; 6 * 4096];
        let mut hasher = blake3::Hasher::new_keyed(&seed);
        hasher.update(&message).finalize_xof().fill(&mut bytes);
        let expected: Vec<u64> = bytes
            .chunks(6)
            .map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])) & 0xf_ffff)
            .filter(|&candidate| candidate < p)
            .take(1024)
            .collect();
        assert_eq!(poly.limb(limb), expected);
    }
    let one = ring.basis([2]).unwrap();
    let alone: Poly<Ntt> = sampler::uniform(&ring, &one, &seed, 42).unwrap();
    assert_eq!(alone.limb(0), poly.limb(2));
    let other: Poly<Ntt> = sampler::uniform(&ring, &one, &seed, 43).unwrap();
    assert_ne!(alone, other);
}

#[test]
fn uniform_fills_the_range_at_any_length() {
    for bits in [17, 30, 45] {
        // Just above a power of two, where nearly half the candidates are rejected.
        let order = RingKind::Standard.root_order(12);
        let p = (1u64 << bits) / order * order + order + 1;
        let p = (p..).step_by(order as usize).find(|&p| adyton_ring::is_prime(p)).unwrap();
        let modulus = adyton_ring::Modulus::new(p).unwrap();
        let mut out = vec![u64::MAX; 40_000];
        sampler::uniform_limb(&modulus, &[1; 32], 0, &mut out);
        assert!(out.iter().all(|&x| x < p));
        let mean = out.iter().map(|&x| x as f64 / p as f64).sum::<f64>() / 40_000.0;
        // Standard deviation of the mean is 0.0014.
        assert!((mean - 0.5).abs() < 0.008, "{mean}");
        let octaves = out.iter().fold([0; 8], |mut count, &x| {
            count[(8 * x / p) as usize] += 1;
            count
        });
        assert!(octaves.iter().all(|count: &i32| (count - 5000).abs() < 400), "{octaves:?}");
    }
}

#[test]
fn ternary_is_balanced() {
    let ring = ring(RingKind::ConjugateInvariant, 14, 40, 2, Kernel::Portable);
    let poly = sampler::ternary(&ring, &ring.full_basis(), &[3; 32], 0).unwrap();
    let values = centred(&ring, &poly);
    for value in -1..=1 {
        let count = values.iter().filter(|&&x| x == value).count() as f64;
        // Six standard deviations of a binomial(16384, 1/3).
        assert!((count - 16_384.0 / 3.0).abs() < 6.0 * 60.4, "{value}: {count}");
    }
    assert!(values.iter().all(|x| x.abs() <= 1));
    assert_ne!(poly, sampler::ternary(&ring, &ring.full_basis(), &[3; 32], 1).unwrap());
}

#[test]
fn gaussian_has_its_moments() {
    let primes = ntt_primes(RingKind::Standard, 16, 40, 1, &[]).unwrap();
    let ring = Ring::new(RingKind::Standard, 16, &primes).unwrap();
    let (mut values, count) = (Vec::new(), 4 << 16);
    for number in 0..4 {
        let poly = sampler::gaussian(&ring, &ring.full_basis(), &[9; 32], number).unwrap();
        values.extend(centred(&ring, &poly));
    }
    let moment =
        |k: i32| values.iter().map(|&x| (x as f64).powi(k)).sum::<f64>() / f64::from(count);
    let variance = GAUSSIAN_SIGMA * GAUSSIAN_SIGMA;
    assert!(moment(1).abs() < 6.0 * GAUSSIAN_SIGMA / f64::from(count).sqrt());
    // The variance of x² is 2σ⁴, that of x⁴ is 96σ⁸.
    assert!((moment(2) / variance - 1.0).abs() < 6.0 * (2.0 / f64::from(count)).sqrt());
    assert!((moment(4) / (3.0 * variance * variance) - 1.0).abs() < 0.04);
    assert!(values.iter().all(|x| x.unsigned_abs() <= GAUSSIAN_MAX));
    // The worst of 2^18 samples lies near 4.7 standard deviations.
    let worst = values.iter().map(|x| x.unsigned_abs()).max().unwrap();
    assert!((12..=23).contains(&worst), "{worst}");
}
