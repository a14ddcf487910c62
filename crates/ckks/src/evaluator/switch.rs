//! Key switching to the result key: sums with one mod-down, hoisted rotations, relinearization.
//!
//! Here terms are gathered by rotation and secret and keys are looked up; the arithmetic is in [`super::accumulate`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use adyton_ring::{Ntt, Poly, Ring};

use super::accumulate::{Rotated, Switcher};
use super::{Common, Evaluator};
use crate::ciphertext::Masked;
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
        let needed: Vec<Arc<EvaluationKey>> = found.iter().flatten().cloned().collect();
        let switched = match needed.is_empty() {
            true => Vec::new(),
            false => Switcher::new(self, x.level)?.hoisted([&x.b, &x.a], &needed)?,
        };
        let mut switched = switched.into_iter();
        let new = |b, a| Ciphertext::new(b, a, x.level, x.scale.clone());
        let copy = || new(x.b.clone(), x.a.clone());
        let image = |key: Option<_>| match key {
            Some(_) => switched.next().map(|[b, a]| new(b, a)).ok_or(CkksError::Empty),
            None => Ok(copy()),
        };
        found.into_iter().map(image).collect()
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
        let [b, a] = if found.is_empty() {
            let sums = self.sum_without_keys(level, groups)?;
            if rescale {
                let divider = self.parameters().rescale_divider(level)?;
                [divider.apply(&sums[0])?, divider.apply(&sums[1])?]
            } else {
                sums
            }
        } else {
            let contributions: Vec<Rotated<'_>> = groups
                .iter()
                .map(|(&rotation, group)| {
                    let mut rotated = Rotated { one: group.one.as_deref(), ..Rotated::default() };
                    for (&source, poly) in &group.by_source {
                        match found.get(&(rotation, source)) {
                            None => rotated.direct = Some(poly),
                            Some(key) => rotated.switched.push((poly, Arc::clone(key))),
                        }
                    }
                    rotated
                })
                .collect();
            Switcher::new(self, level)?.sum(&contributions, rescale)?
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
            if let Some(Masked { row, model, both }) = &sum.masked {
                components.push((Some(KeySource::Model(*row)), model));
                components.push((Some(K::times_model(*row)), both));
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
