//! Key switching to the result key: sums with one mod-down, hoisted rotations, relinearization.
//!
//! Hybrid key switching with α primes a digit and several special primes (Han, Ki, ePrint 2019/688). A sum works prime by
//! prime: the limbs of all digits modulo one prime are made, multiplied with the keys in one lazily reduced sum, rotated and
//! accumulated over Q_ℓ·P, so that scratch is a few limbs and the division by P happens once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use adyton_ring::{AlignedBuffer, Automorphism, Digits, ModUp, Ntt, Poly, Ring, SingleTerm};

use super::{Common, Evaluator};
use crate::{
    Ciphertext, CkksError, Degree2, EvaluationKey, InputKey, KeySet, KeySource, KeySpec,
    OperandRole, ProductSum, ResultKey, Role,
};

/// One term of [`Evaluator::switch_sum`].
#[derive(Clone, Copy, Debug)]
pub enum SwitchTerm<'a> {
    /// Products with operands under the input key.
    InputProducts(&'a ProductSum<InputKey>),
    /// Products with operands under the result key.
    ResultProducts(&'a ProductSum<ResultKey>),
    /// A ciphertext that is under the result key already.
    Result(&'a Ciphertext<ResultKey>),
}

/// All components that take one rotation, summed by the secret they stand with. `Result` needs no key without a rotation.
#[derive(Default)]
struct Gathered<'a> {
    one: Option<Cow<'a, Poly<Ntt>>>,
    by_source: BTreeMap<KeySource, Cow<'a, Poly<Ntt>>>,
}

/// One component with its digits and key.
struct Switched<'a> {
    poly: &'a Poly<Ntt>,
    digits: Digits<'a>,
    key: Arc<EvaluationKey>,
}

/// What one rotation contributes to a sum.
struct Rotated<'a> {
    one: Option<&'a Poly<Ntt>>,
    /// A component under `s_R` that needs no key; only without a rotation.
    direct: Option<&'a Poly<Ntt>>,
    switched: Vec<Switched<'a>>,
}

/// Buffers of one limb each, reused for every prime and rotation.
struct Scratch {
    digits: AlignedBuffer,
    sums: [AlignedBuffer; 2],
    limb: AlignedBuffer,
}

impl Evaluator {
    /// Σ rotate(term, r): every component is switched to the result key with the key for (its secret, r), everything is summed over
    /// Q_ℓ·P, and one division by P, or by P and the level's factor when `rescale` is set, ends the sum. All terms have one level and
    /// scale; r is in slots to the left. Components that share secret and rotation are added first and switched once.
    ///
    /// # Errors
    /// [`CkksError::Empty`], [`CkksError::LevelMismatch`], [`CkksError::ScaleMismatch`], [`CkksError::ForeignOperand`],
    /// [`CkksError::MissingKey`], or [`CkksError::Parameters`] when the level admits no keys, the rotation is out of range, or there is
    /// no level to rescale to.
    pub fn switch_sum(
        &self,
        terms: &[(SwitchTerm<'_>, u32)],
        rescale: bool,
        keys: &(impl KeySet + ?Sized),
    ) -> Result<Ciphertext<ResultKey>, CkksError> {
        let Some((first, _)) = terms.first() else { return Err(CkksError::Empty) };
        let common = first.common();
        let mut groups: BTreeMap<u32, Gathered<'_>> = BTreeMap::new();
        for (term, rotation) in terms {
            let own = term.common();
            common.check(own.level, own.scale)?;
            let group = groups.entry(*rotation).or_default();
            for (source, poly) in term.components() {
                self.check_polys(common.level, &[poly])?;
                group.add(self.parameters().ring(), source, poly)?;
            }
        }
        self.switch(common, &groups, rescale, keys)
    }

    /// A square back to a degree-1 ciphertext; with `rescale` to the level below at the same cost.
    ///
    /// # Errors
    /// As [`Evaluator::switch_sum`].
    pub fn relinearize(
        &self,
        square: &Degree2,
        rescale: bool,
        keys: &(impl KeySet + ?Sized),
    ) -> Result<Ciphertext<ResultKey>, CkksError> {
        let [one, linear, quadratic] = &square.parts;
        self.check_polys(square.level, &[one, linear, quadratic])?;
        let by_source = [(KeySource::Result, linear), (KeySource::ResultSquared, quadratic)];
        let group = Gathered {
            one: Some(Cow::Borrowed(one)),
            by_source: by_source.map(|(source, poly)| (source, Cow::Borrowed(poly))).into(),
        };
        let common = Common { level: square.level, scale: &square.scale };
        self.switch(common, &[(0, group)].into(), rescale, keys)
    }

    /// The ciphertext rotated to the left by each of `rotations`, under the result key, at the same level and scale. Its digits are
    /// made once for all. Rotation 0 of a result ciphertext is a copy, of an input ciphertext a key switch.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`], [`CkksError::MissingKey`], or [`CkksError::Parameters`] when the level admits no keys or a rotation is out
    /// of range.
    pub fn rotations_hoisted<K: OperandRole>(
        &self,
        x: &Ciphertext<K>,
        rotations: &[u32],
        keys: &(impl KeySet + ?Sized),
    ) -> Result<Vec<Ciphertext<ResultKey>>, CkksError> {
        self.check_polys(x.level, &[&x.b, &x.a])?;
        let is_copy = |rotation: u32| rotation == 0 && K::ROLE == Role::Result;
        let key_of = |&rotation: &u32| match is_copy(rotation) {
            true => Ok(None),
            false => {
                let spec = KeySpec { source: K::SOURCE, rotation, level: x.level };
                self.find_key(spec, keys).map(Some)
            }
        };
        // All keys first: nothing is computed if one is missing.
        let found = rotations.iter().map(key_of).collect::<Result<Vec<_>, CkksError>>()?;
        let digits = match found.iter().any(Option::is_some) {
            false => Vec::new(),
            true => {
                let mod_up = self.parameters().mod_up(x.level)?;
                let digits = mod_up.decompose(&x.a)?;
                (0..mod_up.digit_count())
                    .map(|digit| mod_up.digit(&digits, digit))
                    .collect::<Result<Vec<_>, _>>()?
            }
        };
        let new = |b, a| Ciphertext::new(b, a, x.level, x.scale.clone());
        found
            .into_iter()
            .map(|key| match key {
                None => Ok(new(x.b.clone(), x.a.clone())),
                Some(key) => self.rotate_digits(&x.b, &digits, &key).map(|[b, a]| new(b, a)),
            })
            .collect()
    }

    /// One rotation to the left.
    ///
    /// # Errors
    /// As [`Evaluator::rotations_hoisted`].
    pub fn rotate<K: OperandRole>(
        &self,
        x: &Ciphertext<K>,
        rotation: u32,
        keys: &(impl KeySet + ?Sized),
    ) -> Result<Ciphertext<ResultKey>, CkksError> {
        self.rotations_hoisted(x, &[rotation], keys)?.pop().ok_or(CkksError::Empty)
    }

    fn find_key(
        &self,
        spec: KeySpec,
        keys: &(impl KeySet + ?Sized),
    ) -> Result<Arc<EvaluationKey>, CkksError> {
        self.parameters().check_key(&spec)?;
        let key = keys.key(&spec).ok_or(CkksError::MissingKey(spec))?;
        key.check(self.parameters(), &spec)?;
        Ok(key)
    }

    /// σ(digits · key / P + (b, 0)).
    fn rotate_digits(
        &self,
        b: &Poly<Ntt>,
        digits: &[Poly<Ntt>],
        key: &EvaluationKey,
    ) -> Result<[Poly<Ntt>; 2], CkksError> {
        let ring = self.parameters().ring();
        let basis = self.parameters().key_basis(key.spec().level)?;
        let mut sums = [Poly::zero(ring, basis)?, Poly::zero(ring, basis)?];
        let [sum_b, sum_a] = &mut sums;
        let mut terms = Vec::with_capacity(digits.len());
        let outs = sum_b.limbs_mut().zip(sum_a.limbs_mut());
        for ((limb, residue), (out_b, out_a)) in ring.residues(basis)?.enumerate().zip(outs) {
            terms.clear();
            terms.extend(digits.iter().zip(&key.digits).map(|(digit, [b, a])| SingleTerm {
                w: digit.limb(limb),
                b: b.limb(limb),
                a: a.limb(limb),
            }));
            residue.dot2(&terms, [out_b, out_a])?;
        }
        let divider = self.parameters().mod_down(key.spec().level, false)?;
        let mut switched_b = divider.apply(&sums[0])?;
        // P·b over P is b exactly, so it may as well be added after the division.
        ring.add_assign(&mut switched_b, b)?;
        let switched_a = divider.apply(&sums[1])?;
        Ok(match &key.automorphism {
            None => [switched_b, switched_a],
            Some(rotation) => [rotation.apply(&switched_b)?, rotation.apply(&switched_a)?],
        })
    }

    fn switch(
        &self,
        common: Common<'_>,
        groups: &BTreeMap<u32, Gathered<'_>>,
        rescale: bool,
        keys: &(impl KeySet + ?Sized),
    ) -> Result<Ciphertext<ResultKey>, CkksError> {
        let level = common.level;
        let (level_after, scale) = match rescale {
            false => (level, common.scale.clone()),
            // Errs at level 0, so the subtraction is safe.
            true => {
                let factor = self.parameters().rescale_factor(level)?;
                (level - 1, common.scale.div(&factor))
            }
        };
        // All keys first: nothing is computed if one is missing.
        let mut found = BTreeMap::new();
        for (&rotation, group) in groups {
            for &source in group.by_source.keys() {
                if rotation != 0 || source != KeySource::Result {
                    let spec = KeySpec { source, rotation, level };
                    found.insert((rotation, source), self.find_key(spec, keys)?);
                }
            }
        }
        let sums = if found.is_empty() {
            self.sum_without_keys(level, groups)?
        } else {
            self.sum_with_keys(level, groups, &found)?
        };
        let [b, a] = match (found.is_empty(), rescale) {
            (true, false) => sums,
            (true, true) => {
                let divider = self.parameters().rescale_divider(level)?;
                [divider.apply(&sums[0])?, divider.apply(&sums[1])?]
            }
            (false, _) => {
                let divider = self.parameters().mod_down(level, rescale)?;
                [divider.apply(&sums[0])?, divider.apply(&sums[1])?]
            }
        };
        Ok(Ciphertext::new(b, a, level_after, scale))
    }

    /// The sum when nothing needs a key: no rotation, everything under the result key.
    fn sum_without_keys(
        &self,
        level: u8,
        groups: &BTreeMap<u32, Gathered<'_>>,
    ) -> Result<[Poly<Ntt>; 2], CkksError> {
        let ring = self.parameters().ring();
        let mut sums = [self.zero(level)?, self.zero(level)?];
        for group in groups.values() {
            if let Some(one) = &group.one {
                ring.add_assign(&mut sums[0], one)?;
            }
            for poly in group.by_source.values() {
                ring.add_assign(&mut sums[1], poly)?;
            }
        }
        Ok(sums)
    }

    /// The sum over Q_ℓ·P.
    fn sum_with_keys(
        &self,
        level: u8,
        groups: &BTreeMap<u32, Gathered<'_>>,
        keys: &BTreeMap<(u32, KeySource), Arc<EvaluationKey>>,
    ) -> Result<[Poly<Ntt>; 2], CkksError> {
        let ring = self.parameters().ring();
        let mod_up = self.parameters().mod_up(level)?;
        let basis = mod_up.extended_basis();
        let mut sums = [Poly::zero(ring, basis)?, Poly::zero(ring, basis)?];
        let most = groups.values().map(|group| group.by_source.len()).max().unwrap_or(0);
        let mut scratch = Scratch::new(ring.degree(), most * mod_up.digit_count());
        for (&rotation, group) in groups {
            let mut rotated =
                Rotated { one: group.one.as_deref(), direct: None, switched: Vec::new() };
            for (&source, poly) in &group.by_source {
                match keys.get(&(rotation, source)) {
                    None => rotated.direct = Some(poly),
                    Some(key) => rotated.switched.push(Switched {
                        poly,
                        digits: mod_up.decompose(poly)?,
                        key: Arc::clone(key),
                    }),
                }
            }
            let [sum_b, sum_a] = &mut sums;
            for (limb, (out_b, out_a)) in sum_b.limbs_mut().zip(sum_a.limbs_mut()).enumerate() {
                self.add_rotated(level, limb, &rotated, [out_b, out_a], &mut scratch)?;
            }
        }
        Ok(sums)
    }

    /// Adds one rotation's contribution modulo the prime at position `limb` of Q_ℓ·P.
    fn add_rotated(
        &self,
        level: u8,
        limb: usize,
        rotated: &Rotated<'_>,
        [out_b, out_a]: [&mut [u64]; 2],
        scratch: &mut Scratch,
    ) -> Result<(), CkksError> {
        let parameters = self.parameters();
        let ring = parameters.ring();
        let mod_up = parameters.mod_up(level)?;
        let digit_primes = usize::from(parameters.gadget(level)?.digit_primes);
        let degree = ring.degree();
        let prime = usize::from(mod_up.extended_basis().indices()[limb]);
        let residue = ring.residue(prime);
        // The digit that the limb's own prime is in; none for special primes.
        let own_digit = (limb < mod_up.basis().len()).then_some(limb / digit_primes);

        make_digits(mod_up, limb, own_digit, &rotated.switched, &mut scratch.digits)?;
        let mut made = scratch.digits.chunks_exact(degree);
        let mut terms = Vec::with_capacity(rotated.switched.len() * mod_up.digit_count());
        for switched in &rotated.switched {
            for (digit, [b, a]) in switched.key.digits.iter().enumerate() {
                // A limb of the digit's own primes is the component's limb as it stands.
                let w = if own_digit == Some(digit) {
                    switched.poly.limb(limb)
                } else {
                    made.next().unwrap_or_default()
                };
                terms.push(SingleTerm { w, b: b.limb(limb), a: a.limb(limb) });
            }
        }
        let rotation = rotated.switched.iter().find_map(|s| s.key.automorphism.as_ref());
        let [sum_b, sum_a] = &mut scratch.sums;
        match rotation {
            None => {
                residue.dot2_add(&terms, [&mut *out_b, &mut *out_a])?;
            }
            Some(_) => residue.dot2(&terms, [&mut *sum_b, &mut *sum_a])?,
        }
        // P·x has no part modulo the special primes.
        if let Some(digit) = own_digit {
            let special = residue.modulus().shoup(mod_up.gadget_factor(digit, limb));
            let mut add_times_p = |x: &Poly<Ntt>, out: &mut [u64]| {
                scratch.limb.copy_from_slice(x.limb(limb));
                residue.scale_assign(&mut scratch.limb, special);
                residue.add_assign(out, &scratch.limb)
            };
            if let Some(one) = rotated.one {
                add_times_p(one, if rotation.is_none() { &mut *out_b } else { &mut *sum_b })?;
            }
            if let Some(direct) = rotated.direct {
                add_times_p(direct, &mut *out_a)?;
            }
        }
        if let Some(rotation) = rotation {
            add_image(residue, rotation, sum_b, &mut scratch.limb, out_b)?;
            add_image(residue, rotation, sum_a, &mut scratch.limb, out_a)?;
        }
        Ok(())
    }
}

/// `out += σ(x)`.
fn add_image(
    residue: &adyton_ring::ResidueRing,
    rotation: &Automorphism,
    x: &[u64],
    image: &mut [u64],
    out: &mut [u64],
) -> Result<(), CkksError> {
    rotation.apply_limb(x, image)?;
    Ok(residue.add_assign(out, image)?)
}

/// Fills `out` with the limbs, modulo one prime, of all digits but those that contain the prime.
fn make_digits(
    mod_up: &ModUp,
    limb: usize,
    own_digit: Option<usize>,
    switched: &[Switched<'_>],
    out: &mut AlignedBuffer,
) -> Result<(), CkksError> {
    let Some(degree) = switched.first().map(|switched| switched.poly.degree()) else {
        return Ok(());
    };
    let mut limbs = out.chunks_exact_mut(degree);
    for switched in switched {
        for digit in (0..mod_up.digit_count()).filter(|&digit| own_digit != Some(digit)) {
            if let Some(out) = limbs.next() {
                mod_up.limb_into(&switched.digits, digit, limb, out)?;
            }
        }
    }
    Ok(())
}

impl Scratch {
    fn new(degree: usize, digits: usize) -> Self {
        Self {
            digits: AlignedBuffer::zeroed(digits * degree),
            sums: [AlignedBuffer::zeroed(degree), AlignedBuffer::zeroed(degree)],
            limb: AlignedBuffer::zeroed(degree),
        }
    }
}

impl<'a> SwitchTerm<'a> {
    fn common(&self) -> Common<'a> {
        match *self {
            Self::InputProducts(sum) => Common { level: sum.level, scale: &sum.scale },
            Self::ResultProducts(sum) => Common { level: sum.level, scale: &sum.scale },
            Self::Result(x) => Common { level: x.level, scale: &x.scale },
        }
    }

    /// The polynomials with the secret that each stands with; `None` is 1.
    fn components(&self) -> Vec<(Option<KeySource>, &'a Poly<Ntt>)> {
        fn of<K: OperandRole>(sum: &ProductSum<K>) -> Vec<(Option<KeySource>, &Poly<Ntt>)> {
            let mut components = vec![(None, &sum.one), (Some(K::SOURCE), &sum.operand)];
            if let Some([model, both]) = &sum.encrypted {
                components.push((Some(KeySource::Model), model));
                components.push((Some(K::TIMES_MODEL), both));
            }
            components
        }
        match *self {
            Self::InputProducts(sum) => of(sum),
            Self::ResultProducts(sum) => of(sum),
            Self::Result(x) => vec![(None, &x.b), (Some(KeySource::Result), &x.a)],
        }
    }
}

impl<'a> Gathered<'a> {
    fn add(
        &mut self,
        ring: &Ring,
        source: Option<KeySource>,
        poly: &'a Poly<Ntt>,
    ) -> Result<(), CkksError> {
        let place = match source {
            None => &mut self.one,
            Some(source) => match self.by_source.entry(source) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(Cow::Borrowed(poly));
                    return Ok(());
                }
                std::collections::btree_map::Entry::Occupied(entry) => {
                    return Ok(ring.add_assign(entry.into_mut().to_mut(), poly)?);
                }
            },
        };
        match place {
            Some(sum) => ring.add_assign(sum.to_mut(), poly)?,
            None => *place = Some(Cow::Borrowed(poly)),
        }
        Ok(())
    }
}
