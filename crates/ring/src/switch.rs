//! Digits for hybrid key switching (Han, Ki, ePrint 2019/688, section 3).
//!
//! The primes of Q_ℓ, in the basis's order, are cut into groups of α; the digit of a group G is x modulo
//! ΠG, centred, as an integer, so that Σ digit_G·g_G = x modulo Q_ℓ with g_G = 1 modulo the primes of
//! G and 0 modulo the others. An evaluation key holds for every group an encryption of P·g_G·s′.
//! Conversion is exact, so digits are at most ΠG/2. Mod-down is [`Divider`](crate::Divider).

use std::sync::Arc;

use crate::{
    AlignedBuffer, Basis, Ntt, Poly, Ring, RingError,
    convert::{BaseConverter, product_mod},
};

/// One group of primes.
#[derive(Debug, Clone)]
struct Group {
    /// Positions in the basis, and so in the extended basis too.
    first: usize,
    len: usize,
    converter: BaseConverter,
}

/// Decomposition of a polynomial over Q_ℓ into digits over Q_ℓ·P.
#[derive(Debug, Clone)]
pub struct ModUp {
    ring: Arc<Ring>,
    basis: Basis,
    extended: Basis,
    special: Basis,
    groups: Vec<Group>,
}

/// A decomposed polynomial: mixed-radix digits by group, from which [`ModUp::limb_into`] makes any
/// limb of any digit.
#[derive(Debug)]
pub struct Digits<'a> {
    source: &'a Poly<Ntt>,
    /// Limb by limb.
    radix: AlignedBuffer,
}

impl ModUp {
    /// Precomputes digits of `digit_primes` primes each (the last group may be smaller) of
    /// polynomials over `basis`, extended by the primes of `special`.
    ///
    /// # Errors
    /// [`RingError::UnsuitableBasis`] if `basis` is empty, `digit_primes` is 0 or above 60, or the
    /// bases overlap; [`RingError::RingMismatch`].
    pub fn new(
        ring: &Arc<Ring>,
        basis: &Basis,
        special: &Basis,
        digit_primes: usize,
    ) -> Result<Self, RingError> {
        ring.check_basis(basis)?;
        let extended = basis.union(special)?;
        if basis.is_empty() || digit_primes == 0 {
            return Err(RingError::UnsuitableBasis("a digit needs at least one prime"));
        }
        if extended.len() != basis.len() + special.len() {
            return Err(RingError::UnsuitableBasis("special primes overlap the ciphertext's"));
        }
        let mut groups = Vec::with_capacity(basis.len().div_ceil(digit_primes));
        for (number, indices) in basis.indices().chunks(digit_primes).enumerate() {
            let source = ring.basis(indices.iter().map(|&index| usize::from(index)))?;
            let targets = extended.difference(&source)?;
            let converter = BaseConverter::new(ring, &source, |_| 1, &targets, |_| 1)?;
            groups.push(Group { first: number * digit_primes, len: indices.len(), converter });
        }
        Ok(Self {
            ring: Arc::clone(ring),
            basis: basis.clone(),
            extended,
            special: special.clone(),
            groups,
        })
    }

    /// Number of digits: ⌈primes of Q_ℓ / α⌉.
    #[must_use]
    pub fn digit_count(&self) -> usize {
        self.groups.len()
    }

    /// The basis of arguments, Q_ℓ.
    #[must_use]
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The basis of digits: Q_ℓ's primes, then P's.
    #[must_use]
    pub fn extended_basis(&self) -> &Basis {
        &self.extended
    }

    /// P·g_G modulo the prime at position `limb` of the extended basis, for the group of digit
    /// `digit`: what an evaluation key multiplies s′ by. It is P for primes of the group and 0 for all
    /// others, as for a digit or limb out of range.
    #[must_use]
    pub fn gadget_factor(&self, digit: usize, limb: usize) -> u64 {
        match (self.groups.get(digit), self.extended.iter().nth(limb)) {
            (Some(group), Some(prime))
                if (group.first..group.first + group.len).contains(&limb) =>
            {
                product_mod(&self.ring, &self.special, self.ring.modulus(prime))
            }
            _ => 0,
        }
    }

    /// Brings a polynomial into the form from which limbs of digits are made: one inverse transform
    /// a prime, and α(α−1)/2 products a coefficient and group. `radix` is memory for them: as many words as the polynomial, holding
    /// anything.
    ///
    /// # Errors
    /// [`RingError::BasisMismatch`], [`RingError::RingMismatch`], [`RingError::Length`].
    pub fn decompose<'a>(
        &self,
        x: &'a Poly<Ntt>,
        mut radix: AlignedBuffer,
    ) -> Result<Digits<'a>, RingError> {
        self.basis.check_same(x.basis())?;
        let n = self.ring.degree();
        if radix.len() != x.as_slice().len() {
            return Err(RingError::Length { expected: x.as_slice().len(), found: radix.len() });
        }
        let residues = self.ring.residues(&self.basis)?.enumerate();
        for ((position, residue), radix) in residues.zip(radix.chunks_exact_mut(n)) {
            radix.copy_from_slice(x.limb(position));
            residue.inverse_in_place(radix)?;
        }
        for group in &self.groups {
            let limbs = group.first * n..(group.first + group.len) * n;
            group.converter.to_digits(&self.ring, &mut radix[limbs]);
        }
        Ok(Digits { source: x, radix })
    }

    /// Writes the limb at position `limb` of the extended basis of digit `digit`, in the NTT domain. A
    /// limb of the digit's own group is a copy of the argument's; others take a base conversion and
    /// a forward transform.
    ///
    /// # Errors
    /// [`RingError::OutOfRange`], [`RingError::Length`], [`RingError::BasisMismatch`].
    pub fn limb_into(
        &self,
        digits: &Digits<'_>,
        digit: usize,
        limb: usize,
        out: &mut [u64],
    ) -> Result<(), RingError> {
        self.basis.check_same(digits.source.basis())?;
        let n = self.ring.degree();
        if out.len() != n {
            return Err(RingError::Length { expected: n, found: out.len() });
        }
        let count = self.groups.len();
        let group = self.groups.get(digit).ok_or(RingError::OutOfRange {
            what: "digit",
            index: digit,
            count,
        })?;
        let count = self.extended.len();
        let prime = self.extended.iter().nth(limb).ok_or(RingError::OutOfRange {
            what: "limb",
            index: limb,
            count,
        })?;
        let end = group.first + group.len;
        if (group.first..end).contains(&limb) {
            out.copy_from_slice(digits.source.limb(limb));
            return Ok(());
        }
        // The converter's targets are the extended basis without the group.
        let target = if limb < group.first { limb } else { limb - group.len };
        let radix = &digits.radix[group.first * n..end * n];
        group.converter.convert::<true>(&self.ring, radix, target, out);
        self.ring.residue(prime).forward_in_place(out)
    }

    /// One whole digit over the extended basis: for hoisting, where many automorphisms permute it.
    ///
    /// # Errors
    /// [`RingError::OutOfRange`], [`RingError::BasisMismatch`].
    pub fn digit(&self, digits: &Digits<'_>, digit: usize) -> Result<Poly<Ntt>, RingError> {
        let mut out = Poly::zero(&self.ring, &self.extended)?;
        for (limb, residues) in out.limbs_mut().enumerate() {
            self.limb_into(digits, digit, limb, residues)?;
        }
        Ok(out)
    }
}
