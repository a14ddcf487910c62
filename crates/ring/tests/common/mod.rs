//! Naive oracles: everything by definition, in wide arithmetic.

#![allow(dead_code, unreachable_pub, reason = "each test file includes this and uses part of it")]

use std::sync::Arc;

use adyton_ring::{Kernel, Ring, RingKind, ntt_primes};

pub const KINDS: [RingKind; 2] = [RingKind::Standard, RingKind::ConjugateInvariant];

/// The kernels to test: those this processor has, or the one that `ADYTON_KERNEL` demands.
pub fn kernels() -> Vec<Kernel> {
    if std::env::var_os("ADYTON_KERNEL").is_some() {
        return vec![Kernel::detect().unwrap()];
    }
    let all = [Kernel::Portable, Kernel::Avx512Ifma];
    all.into_iter().filter(|kernel| kernel.is_supported()).collect()
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.word() % bound
    }

    pub fn residues(&mut self, p: u64, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.below(p)).collect()
    }
}

pub fn mul_mod(x: u64, y: u64, p: u64) -> u64 {
    (u128::from(x) * u128::from(y) % u128::from(p)) as u64
}

/// A ring over `count` primes of `bits` bits.
pub fn ring(kind: RingKind, log_n: u8, bits: u32, count: usize, kernel: Kernel) -> Arc<Ring> {
    let primes = ntt_primes(kind, log_n, bits, count, &[]).unwrap();
    Ring::with_kernel(kind, log_n, &primes, kernel).unwrap()
}

/// Product modulo X^n + 1 and p.
pub fn negacyclic(x: &[u64], y: &[u64], p: u64) -> Vec<u64> {
    let n = x.len();
    let mut out = vec![0u64; n];
    for (i, &x) in x.iter().enumerate() {
        for (j, &y) in y.iter().enumerate() {
            let product = mul_mod(x, y, p);
            let k = (i + j) % n;
            out[k] = (out[k] + if i + j < n { product } else { p - product }) % p;
        }
    }
    out
}

/// The element of Z[X]/(X^2N + 1) that conjugate-invariant coefficients stand for: X^−j = −X^(2N−j).
pub fn unfold(x: &[u64], p: u64) -> Vec<u64> {
    let n = x.len();
    let mut out = vec![0; 2 * n];
    out[..n].copy_from_slice(x);
    for j in 1..n {
        out[2 * n - j] = (p - x[j]) % p;
    }
    out
}

/// Product in either ring.
pub fn multiply(kind: RingKind, x: &[u64], y: &[u64], p: u64) -> Vec<u64> {
    match kind {
        RingKind::Standard => negacyclic(x, y, p),
        RingKind::ConjugateInvariant => {
            let wide = negacyclic(&unfold(x, p), &unfold(y, p), p);
            let narrow = wide[..x.len()].to_vec();
            assert_eq!(unfold(&narrow, p), wide, "products are invariant again");
            narrow
        }
    }
}

/// X → X^g on coefficients.
pub fn substitute(kind: RingKind, x: &[u64], g: u64, p: u64) -> Vec<u64> {
    let negacyclic = |x: &[u64]| {
        let n = x.len() as u64;
        let mut out = vec![0; x.len()];
        for (j, &x) in x.iter().enumerate() {
            let k = j as u64 * g % (2 * n);
            let value = if k < n { x } else { (p - x) % p };
            out[(k % n) as usize] = value;
        }
        out
    };
    match kind {
        RingKind::Standard => negacyclic(x),
        RingKind::ConjugateInvariant => negacyclic(&unfold(x, p))[..x.len()].to_vec(),
    }
}
