//! The arithmetic of key switching: digits, inner products with keys, one division.
//!
//! Hybrid key switching with α primes a digit and several special primes (Han, Ki, ePrint 2019/688). A sum goes component by component
//! and prime by prime: the limbs of one component's digits modulo one prime are made, multiplied with its key in one lazily reduced sum,
//! and accumulated over Q_ℓ·P. So the working set is a few limbs, which stay in the second-level cache, while the keys stream by.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use adyton_ring::{AlignedBuffer, Digits, ModUp, Ntt, Poly, ResidueRing, SingleTerm};

use super::Evaluator;
use crate::{CkksError, EvaluationKey, Parameters};

/// What one rotation contributes to a sum.
#[derive(Default)]
pub(super) struct Rotated<'a> {
    /// The component that stands with 1.
    pub(super) one: Option<&'a Poly<Ntt>>,
    /// A component under `s_R` that needs no key; only without a rotation.
    pub(super) direct: Option<&'a Poly<Ntt>>,
    /// Components with their keys; all keys have one rotation.
    pub(super) switched: Vec<(&'a Poly<Ntt>, Arc<EvaluationKey>)>,
}

/// One component with its digits and key.
struct Component<'a> {
    poly: &'a Poly<Ntt>,
    digits: Digits<'a>,
    key: Arc<EvaluationKey>,
}

/// Scratch memory by level, kept between calls: fresh pages cost as much as the transforms that fill them.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<BTreeMap<u8, Vec<Scratch>>>);

/// Scratch memory of one sum. It holds nothing secret: evaluators see ciphertexts only.
#[derive(Debug)]
struct Scratch {
    /// The sum over Q_ℓ·P.
    sums: [Poly<Ntt>; 2],
    /// One limb of every digit of one component.
    digits: AlignedBuffer,
    /// One limb each.
    limbs: [AlignedBuffer; 3],
    /// All digits over Q_ℓ·P, once something was hoisted.
    hoisted: Vec<Poly<Ntt>>,
    /// A polynomial over Q_ℓ.
    divided: Poly<Ntt>,
}

/// A sum over Q_ℓ·P on its way to the result key.
pub(super) struct Accumulator<'e> {
    parameters: &'e Parameters,
    pool: &'e Pool,
    level: u8,
    mod_up: &'e ModUp,
    /// α.
    digit_primes: usize,
    /// `Some` until dropped.
    scratch: Option<Scratch>,
    /// Whether nothing was added yet; then `sums` holds another sum's remains.
    empty: bool,
}

impl Drop for Accumulator<'_> {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            let mut pool = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
            pool.entry(self.level).or_default().push(scratch);
        }
    }
}

impl<'e> Accumulator<'e> {
    /// An empty sum at a level that has keys.
    pub(super) fn new(evaluator: &'e Evaluator, level: u8) -> Result<Self, CkksError> {
        let (parameters, pool) = (&evaluator.parameters, &*evaluator.scratch);
        let mod_up = parameters.mod_up(level)?;
        let pooled =
            pool.0.lock().unwrap_or_else(PoisonError::into_inner).entry(level).or_default().pop();
        let scratch = match pooled {
            Some(scratch) => scratch,
            None => Scratch::new(parameters, mod_up)?,
        };
        let digit_primes = usize::from(parameters.gadget(level)?.digit_primes);
        let (scratch, empty) = (Some(scratch), true);
        Ok(Self { parameters, pool, level, mod_up, digit_primes, scratch, empty })
    }

    /// Adds one rotation's contribution.
    pub(super) fn add(&mut self, rotated: &Rotated<'_>) -> Result<(), CkksError> {
        let Some(mut scratch) = self.scratch.take() else { return Err(CkksError::Empty) };
        let result = self.add_with(rotated, &mut scratch);
        self.scratch = Some(scratch);
        self.empty = false;
        result
    }

    fn add_with(&self, rotated: &Rotated<'_>, scratch: &mut Scratch) -> Result<(), CkksError> {
        let mut components = Vec::with_capacity(rotated.switched.len());
        for &(poly, ref key) in &rotated.switched {
            let digits = self.mod_up.decompose(poly)?;
            components.push(Component { poly, digits, key: Arc::clone(key) });
        }
        let rotation = rotated.switched.iter().find_map(|(_, key)| key.automorphism.as_ref());
        let residues = self.parameters.ring().residues(self.mod_up.extended_basis())?;
        let Scratch { sums: [sum_b, sum_a], digits, limbs: [image, own_b, own_a], .. } = scratch;
        let outs = sum_b.limbs_mut().zip(sum_a.limbs_mut());
        for (limb, (residue, (out_b, out_a))) in residues.zip(outs).enumerate() {
            // A rotated contribution is summed apart and then moved; others go straight to the sum.
            let ([b, a], overwrite): ([&mut [u64]; 2], bool) = match rotation {
                Some(_) => ([&mut *own_b, &mut *own_a], true),
                None => ([&mut *out_b, &mut *out_a], self.empty),
            };
            self.inner_products(limb, residue, &components, overwrite, [&mut *b, &mut *a], digits)?;
            self.add_times_p(limb, residue, rotated.one, b, image)?;
            self.add_times_p(limb, residue, rotated.direct, a, image)?;
            let Some(rotation) = rotation else { continue };
            for (own, out) in [(&*own_b, out_b), (&*own_a, out_a)] {
                if self.empty {
                    rotation.apply_limb(own, out)?;
                } else {
                    rotation.apply_limb(own, image)?;
                    residue.add_assign(out, image)?;
                }
            }
        }
        Ok(())
    }

    /// Σ digits · key over all components, modulo the prime at position `limb` of Q_ℓ·P; with `overwrite` in place of what `outs` hold,
    /// else added to it.
    fn inner_products(
        &self,
        limb: usize,
        residue: &ResidueRing,
        components: &[Component<'_>],
        overwrite: bool,
        [out_b, out_a]: [&mut [u64]; 2],
        scratch: &mut AlignedBuffer,
    ) -> Result<(), CkksError> {
        if overwrite && components.is_empty() {
            out_b.fill(0);
            out_a.fill(0);
        }
        for (number, component) in components.iter().enumerate() {
            let terms: Vec<_> = self
                .digit_limbs(limb, component, scratch)?
                .zip(&component.key.digits)
                .map(|(w, [b, a])| SingleTerm { w, b: b.limb(limb), a: a.limb(limb) })
                .collect();
            if overwrite && number == 0 {
                residue.dot2(&terms, [&mut *out_b, &mut *out_a])?;
            } else {
                residue.dot2_add(&terms, [&mut *out_b, &mut *out_a])?;
            }
        }
        Ok(())
    }

    /// The limbs of a component's digits modulo the prime at position `limb` of Q_ℓ·P. Limbs that must be made are made in `scratch`; the
    /// limb of the digit that contains the prime is the component's own.
    fn digit_limbs<'d>(
        &self,
        limb: usize,
        component: &'d Component<'_>,
        scratch: &'d mut AlignedBuffer,
    ) -> Result<impl Iterator<Item = &'d [u64]>, CkksError> {
        let (own, poly) = (self.own_digit(limb), component.poly);
        for (digit, out) in scratch.chunks_exact_mut(poly.degree()).enumerate() {
            if own != Some(digit) {
                self.mod_up.limb_into(&component.digits, digit, limb, out)?;
            }
        }
        let made = scratch.chunks_exact(poly.degree()).enumerate();
        Ok(made.map(move |(digit, made)| if own == Some(digit) { poly.limb(limb) } else { made }))
    }

    /// The digit that contains the prime at position `limb` of Q_ℓ·P; `None` for special primes.
    fn own_digit(&self, limb: usize) -> Option<usize> {
        (limb < self.mod_up.basis().len()).then_some(limb / self.digit_primes)
    }

    /// `out += P·x` modulo the prime at position `limb`; P·x has no part modulo the special primes.
    fn add_times_p(
        &self,
        limb: usize,
        residue: &ResidueRing,
        x: Option<&Poly<Ntt>>,
        out: &mut [u64],
        scratch: &mut AlignedBuffer,
    ) -> Result<(), CkksError> {
        if let (Some(x), Some(digit)) = (x, self.own_digit(limb)) {
            let factor = residue.modulus().shoup(self.mod_up.gadget_factor(digit, limb));
            scratch.copy_from_slice(x.limb(limb));
            residue.scale_assign(scratch, factor);
            residue.add_assign(out, scratch)?;
        }
        Ok(())
    }

    /// Ends the sum: divides by P, with `rescale` by the level's factor too.
    pub(super) fn divide(self, rescale: bool) -> Result<[Poly<Ntt>; 2], CkksError> {
        let divider = self.parameters.mod_down(self.level, rescale)?;
        match &self.scratch {
            Some(Scratch { sums: [b, a], .. }) if !self.empty => {
                Ok([divider.apply(b)?, divider.apply(a)?])
            }
            _ => Err(CkksError::Empty),
        }
    }

    /// Makes all digits of a component, for [`Accumulator::switch_hoisted`].
    pub(super) fn hoist(&mut self, component: &Poly<Ntt>) -> Result<(), CkksError> {
        let Some(scratch) = &mut self.scratch else { return Err(CkksError::Empty) };
        let digits = self.mod_up.decompose(component)?;
        if scratch.hoisted.is_empty() {
            scratch.hoisted = (0..self.mod_up.digit_count())
                .map(|_| Poly::zero(self.parameters.ring(), self.mod_up.extended_basis()))
                .collect::<Result<_, _>>()?;
        }
        for (digit, poly) in scratch.hoisted.iter_mut().enumerate() {
            for (limb, out) in poly.limbs_mut().enumerate() {
                self.mod_up.limb_into(&digits, digit, limb, out)?;
            }
        }
        Ok(())
    }

    /// σ(hoisted digits · key / P + (b, 0)).
    pub(super) fn switch_hoisted(
        &mut self,
        b: &Poly<Ntt>,
        key: &EvaluationKey,
    ) -> Result<[Poly<Ntt>; 2], CkksError> {
        let Some(scratch) = &mut self.scratch else { return Err(CkksError::Empty) };
        let ring = self.parameters.ring();
        let Scratch { sums: [sum_b, sum_a], hoisted, divided, .. } = scratch;
        let outs = sum_b.limbs_mut().zip(sum_a.limbs_mut());
        let residues = ring.residues(self.mod_up.extended_basis())?;
        for (limb, (residue, (out_b, out_a))) in residues.zip(outs).enumerate() {
            let terms: Vec<_> = hoisted
                .iter()
                .zip(&key.digits)
                .map(|(w, [b, a])| SingleTerm { w: w.limb(limb), b: b.limb(limb), a: a.limb(limb) })
                .collect();
            residue.dot2(&terms, [out_b, out_a])?;
        }
        let divider = self.parameters.mod_down(self.level, false)?;
        let finish = |sum: &Poly<Ntt>, plus: Option<&Poly<Ntt>>, divided: &mut Poly<Ntt>| {
            divider.apply_into(sum, divided)?;
            if let Some(plus) = plus {
                ring.add_assign(divided, plus)?;
            }
            match &key.automorphism {
                None => Ok(divided.clone()),
                Some(rotation) => rotation.apply(divided),
            }
        };
        // P·b over P is b exactly, so it may as well be added after the division.
        Ok([finish(sum_b, Some(b), divided)?, finish(sum_a, None, divided)?])
    }
}

impl Scratch {
    fn new(parameters: &Parameters, mod_up: &ModUp) -> Result<Self, CkksError> {
        let (ring, basis) = (parameters.ring(), mod_up.extended_basis());
        let degree = ring.degree();
        Ok(Self {
            sums: [Poly::zero(ring, basis)?, Poly::zero(ring, basis)?],
            digits: AlignedBuffer::zeroed(mod_up.digit_count() * degree),
            limbs: [(); 3].map(|()| AlignedBuffer::zeroed(degree)),
            hoisted: Vec::new(),
            divided: Poly::zero(ring, mod_up.basis())?,
        })
    }
}
