//! Exact conversion of centred integers between bases.
//!
//! Residues modulo D = d_1·…·d_m are turned into mixed-radix digits (Garner, "The residue number
//! system", 1959): x = v_1 + v_2·d_1 + v_3·d_1·d_2 + …, 0 ≤ v_i < d_i, from which residues modulo any
//! other prime are one sum of products. Adding h = (D−1)/2 before and taking it off after makes x the
//! representative in [−h, h], without a comparison and the same on every machine.

use crate::{
    Basis, Modulus, Ring, RingError,
    kernels::{Backend, MAX_COMBINED},
};

/// Coefficients that [`BaseConverter::convert_all`] takes through all its steps at once: 4 KiB of a limb.
const STRETCH: usize = 512;

/// Most primes that it does so for: 32 KiB of digits.
const MAX_STRETCHES: usize = 8;

/// How one limb follows from others: `addend + own·itself + Σ factors·digits`.
#[derive(Debug, Clone)]
struct Combination {
    prime: usize,
    own: u64,
    addend: u64,
    factors: Vec<u64>,
}

/// Conversion from the residues of one basis to those of primes outside it.
#[derive(Debug, Clone)]
pub(crate) struct BaseConverter {
    degree: usize,
    backend: Backend,
    digits: Vec<Combination>,
    targets: Vec<Combination>,
}

/// The product of some primes, modulo another.
pub(crate) fn product_mod(ring: &Ring, primes: &Basis, modulus: &Modulus) -> u64 {
    primes
        .iter()
        .fold(1, |product, prime| modulus.mul(product, modulus.reduce(ring.modulus(prime).value())))
}

impl BaseConverter {
    /// Takes x modulo the product of `source`, multiplied by `source_scale`, to its centred
    /// representative modulo each prime of `targets`, multiplied by `target_scale`.
    pub(crate) fn new(
        ring: &Ring,
        source: &Basis,
        source_scale: impl Fn(&Modulus) -> u64,
        targets: &Basis,
        target_scale: impl Fn(&Modulus) -> u64,
    ) -> Result<Self, RingError> {
        if source.len() > MAX_COMBINED {
            return Err(RingError::UnsuitableBasis("too many primes to convert from at once"));
        }
        // 1, d_1, d_1·d_2, … and h, modulo m.
        let radices = |m: &Modulus| -> Vec<u64> {
            source
                .iter()
                .scan(1, |radix, prime| {
                    let current = *radix;
                    *radix = m.mul(current, m.reduce(ring.modulus(prime).value()));
                    Some(current)
                })
                .collect()
        };
        let half = |m: &Modulus| m.mul(m.sub(product_mod(ring, source, m), 1), m.inv(2));
        let digits = source
            .iter()
            .enumerate()
            .map(|(position, prime)| {
                let m = ring.modulus(prime);
                let radices = radices(m);
                let inverse = m.inv(radices[position]);
                let minus_inverse = m.neg(inverse);
                Combination {
                    prime,
                    own: m.mul(source_scale(m), inverse),
                    addend: m.mul(half(m), inverse),
                    factors: radices[..position].iter().map(|&r| m.mul(r, minus_inverse)).collect(),
                }
            })
            .collect();
        let targets = targets
            .iter()
            .map(|prime| {
                let m = ring.modulus(prime);
                let scale = target_scale(m);
                Combination {
                    prime,
                    own: 0,
                    addend: m.neg(m.mul(half(m), scale)),
                    factors: radices(m).iter().map(|&r| m.mul(r, scale)).collect(),
                }
            })
            .collect();
        Ok(Self { degree: ring.degree(), backend: ring.backend(), digits, targets })
    }

    /// Turns the coefficient limbs of the source basis, one after the other, into mixed-radix digits.
    pub(crate) fn to_digits(&self, ring: &Ring, limbs: &mut [u64]) {
        self.stretch_to_digits(ring, limbs, self.degree);
    }

    /// [`Self::to_digits`] of `len` coefficients of every limb.
    fn stretch_to_digits(&self, ring: &Ring, limbs: &mut [u64], len: usize) {
        for (position, step) in self.digits.iter().enumerate() {
            let (before, rest) = limbs.split_at_mut(position * len);
            let before: Vec<&[u64]> = before.chunks_exact(len).collect();
            self.backend.combine_assign(
                ring.modulus(step.prime),
                step.addend,
                step.own,
                &step.factors,
                &before,
                &mut rest[..len],
            );
        }
    }

    /// Residues modulo all targets, one limb after the other, from the coefficient limbs of the source basis. It goes through memory once, in stretches that stay in the first-level cache. With `LAZY` residues are as
    /// [`Self::convert`] makes them.
    pub(crate) fn convert_all<const LAZY: bool>(
        &self,
        ring: &Ring,
        limbs: &[&[u64]],
        out: &mut [u64],
    ) {
        let stretch = STRETCH.min(self.degree);
        let mut digits = [0; MAX_STRETCHES * STRETCH];
        let Some(digits) = digits.get_mut(..self.digits.len() * stretch) else {
            // So many primes that a stretch of each is no longer small.
            let mut limbs = limbs.concat();
            self.to_digits(ring, &mut limbs);
            for (position, out) in out.chunks_exact_mut(self.degree).enumerate() {
                self.convert::<LAZY>(ring, &limbs, position, out);
            }
            return;
        };
        for start in (0..self.degree).step_by(stretch) {
            for (limb, digits) in limbs.iter().zip(digits.chunks_exact_mut(stretch)) {
                digits.copy_from_slice(&limb[start..start + stretch]);
            }
            self.stretch_to_digits(ring, digits, stretch);
            let digits: Vec<&[u64]> = digits.chunks_exact(stretch).collect();
            for (target, out) in self.targets.iter().zip(out.chunks_exact_mut(self.degree)) {
                self.combine::<LAZY>(ring, target, &digits, &mut out[start..start + stretch]);
            }
        }
    }

    /// Residues modulo the target at `position`, from digits that [`Self::to_digits`] made. With `LAZY`
    /// they are any representatives below 2^47, as forward transforms take.
    pub(crate) fn convert<const LAZY: bool>(
        &self,
        ring: &Ring,
        digits: &[u64],
        position: usize,
        out: &mut [u64],
    ) {
        let digits: Vec<&[u64]> = digits.chunks_exact(self.degree).collect();
        self.combine::<LAZY>(ring, &self.targets[position], &digits, out);
    }

    fn combine<const LAZY: bool>(
        &self,
        ring: &Ring,
        target: &Combination,
        digits: &[&[u64]],
        out: &mut [u64],
    ) {
        match digits {
            [digit] if LAZY && target.factors == [1] => {
                self.backend.offset(digit, target.addend, out);
            }
            _ => {
                let modulus = ring.modulus(target.prime);
                self.backend.combine(modulus, target.addend, &target.factors, digits, out);
            }
        }
    }
}
