//! The arithmetic of key switching: digits, inner products with keys, one division.
//!
//! Hybrid key switching with α primes a digit and several special primes (Han, Ki, ePrint 2019/688). All work goes prime by prime: the
//! limbs of digits modulo one prime are made, multiplied with their keys in one lazily reduced sum, and accumulated. So the working
//! set is a few limbs, which stay in the second-level cache while the keys stream by, and primes can be shared out among threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use adyton_ring::{AlignedBuffer, Digits, Divider, ModUp, Ntt, Poly, ResidueRing, SingleTerm};

use super::Evaluator;
use crate::{CkksError, EvaluationKey};

/// Components of one contribution alone whose digits are kept in memory at once.
const AT_ONCE: usize = 12;

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

/// Where the digits of a component are.
#[derive(Clone, Copy)]
enum Place {
    /// Among those that several contributions share.
    Shared(usize),
    /// Among those of this contribution alone.
    Own(usize),
}

/// A [`Rotated`] with the digits of its components.
struct Decomposed<'a> {
    rotated: &'a Rotated<'a>,
    /// One for each component.
    places: Vec<Place>,
    own: Vec<Digits<'a>>,
}

/// Polynomials that stand in several contributions: masks times operands, the same for all rows that share masks.
struct Shared<'a> {
    polys: Vec<&'a Poly<Ntt>>,
    digits: Vec<Digits<'a>>,
}

impl<'a> Shared<'a> {
    /// Polynomials are told apart by where they are: equal ones in different places are merely decomposed twice.
    fn among(contributions: &'a [Rotated<'a>]) -> Vec<&'a Poly<Ntt>> {
        let mut seen: BTreeMap<*const Poly<Ntt>, (usize, &Poly<Ntt>)> = BTreeMap::new();
        for (poly, _) in contributions.iter().flat_map(|rotated| &rotated.switched) {
            seen.entry(std::ptr::from_ref(*poly)).or_insert((0, poly)).0 += 1;
        }
        seen.into_values().filter(|(uses, _)| *uses > 1).map(|(_, poly)| poly).collect()
    }

    fn place(&self, poly: &Poly<Ntt>) -> Option<usize> {
        self.polys.iter().position(|shared| std::ptr::eq(*shared, poly))
    }
}

/// Key switching at one level.
pub(super) struct Switcher<'e> {
    evaluator: &'e Evaluator,
    level: u8,
    mod_up: &'e ModUp,
    /// α.
    digit_primes: usize,
}

impl<'e> Switcher<'e> {
    /// For a level that has keys.
    pub(super) fn new(evaluator: &'e Evaluator, level: u8) -> Result<Self, CkksError> {
        let parameters = &evaluator.parameters;
        let mod_up = parameters.mod_up(level)?;
        let digit_primes = usize::from(parameters.gadget(level)?.digit_primes);
        Ok(Self { evaluator, level, mod_up, digit_primes })
    }

    fn degree(&self) -> usize {
        self.evaluator.parameters.degree()
    }

    /// Scratch of `limbs` limbs.
    fn lend(&self, limbs: usize) -> AlignedBuffer {
        self.evaluator.pool.lend(limbs * self.degree())
    }

    /// The sum of all contributions over P; with `rescale` over the level's factor too.
    pub(super) fn sum(
        &self,
        contributions: &[Rotated<'_>],
        rescale: bool,
    ) -> Result<[Poly<Ntt>; 2], CkksError> {
        let n = self.degree();
        let limbs = self.mod_up.extended_basis().len();
        let [mut b, mut a] = [self.lend(limbs), self.lend(limbs)];
        let polys = Shared::among(contributions);
        let digits = self.evaluator.share(&polys, |poly| self.digits(poly))?;
        let shared = Shared { polys, digits };
        let mut rest = contributions;
        let mut empty = true;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.fitting(rest, &shared));
            let decomposed = self.decompose(now, &shared)?;
            let residues =
                self.evaluator.parameters.ring().residues(self.mod_up.extended_basis())?;
            let outs = b.chunks_exact_mut(n).zip(a.chunks_exact_mut(n));
            self.evaluator.share(residues.zip(outs).enumerate(), |(limb, (residue, (b, a)))| {
                let made = self.make_all(limb, &shared.digits)?;
                let mut sum = LimbSum { limb, residue, outs: [b, a], empty };
                decomposed.iter().try_for_each(|rotated| self.add(rotated, &made, &mut sum))
            })?;
            (rest, empty) = (later, false);
        }
        self.divide([&mut b, &mut a], rescale)
    }

    /// The digits of one polynomial.
    fn digits<'a>(&self, poly: &'a Poly<Ntt>) -> Result<Digits<'a>, CkksError> {
        Ok(self.mod_up.decompose(poly, self.lend(self.mod_up.basis().len()))?)
    }

    /// How many contributions to take at once: at least one.
    fn fitting(&self, contributions: &[Rotated<'_>], shared: &Shared<'_>) -> usize {
        let mut own = 0;
        let fits = contributions.iter().take_while(|rotated| {
            let polys = rotated.switched.iter().map(|(poly, _)| poly);
            own += polys.filter(|poly| shared.place(poly).is_none()).count();
            own <= AT_ONCE
        });
        fits.count().max(1)
    }

    /// Makes the digits of all components that are not shared.
    fn decompose<'a>(
        &self,
        contributions: &'a [Rotated<'a>],
        shared: &Shared<'_>,
    ) -> Result<Vec<Decomposed<'a>>, CkksError> {
        let components = contributions.iter().flat_map(|rotated| &rotated.switched);
        let own = components.map(|(poly, _)| *poly).filter(|poly| shared.place(poly).is_none());
        let own = self.evaluator.share(own, |poly| self.digits(poly))?;
        let mut own = own.into_iter();
        let of = |rotated: &'a Rotated<'a>| {
            let mut count = 0;
            let places = rotated.switched.iter().map(|(poly, _)| match shared.place(poly) {
                Some(place) => Place::Shared(place),
                None => {
                    count += 1;
                    Place::Own(count - 1)
                }
            });
            let places = places.collect();
            Decomposed { rotated, places, own: own.by_ref().take(count).collect() }
        };
        Ok(contributions.iter().map(of).collect())
    }

    /// Adds one rotation's contribution modulo one prime; `shared` has the limbs of shared digits modulo this prime.
    fn add(
        &self,
        decomposed: &Decomposed<'_>,
        shared: &[u64],
        sum: &mut LimbSum<'_>,
    ) -> Result<(), CkksError> {
        let Decomposed { rotated, places, own } = decomposed;
        let rotation = rotated.switched.iter().find_map(|(_, key)| key.automorphism.as_ref());
        let (limb, residue) = (sum.limb, sum.residue);
        let [mut own_b, mut own_a, mut image] = [(); 3].map(|()| self.lend(1));
        // A rotated contribution is summed apart and then moved; others go straight to the sum.
        let [out_b, out_a] = &mut sum.outs;
        let ([b, a], overwrite): ([&mut [u64]; 2], bool) = match rotation {
            Some(_) => ([&mut own_b, &mut own_a], true),
            None => ([out_b, out_a], sum.empty),
        };
        let own = self.make_all(limb, own)?;
        let each = self.mod_up.digit_count() * self.degree();
        let mut terms = Vec::with_capacity(places.len() * self.mod_up.digit_count());
        for (place, (poly, key)) in places.iter().zip(&rotated.switched) {
            let made = match *place {
                Place::Shared(number) => &shared[number * each..(number + 1) * each],
                Place::Own(number) => &own[number * each..(number + 1) * each],
            };
            terms.extend(self.terms(limb, poly, made, key));
        }
        if overwrite {
            residue.dot2(&terms, [&mut *b, &mut *a])?;
        } else {
            residue.dot2_add(&terms, [&mut *b, &mut *a])?;
        }
        self.add_times_p(limb, residue, rotated.one, b)?;
        self.add_times_p(limb, residue, rotated.direct, a)?;
        if let Some(rotation) = rotation {
            for (own, out) in [(&own_b, out_b), (&own_a, out_a)] {
                if sum.empty {
                    rotation.apply_limb(own, out)?;
                } else {
                    rotation.apply_limb(own, &mut image)?;
                    residue.add_assign(out, &image)?;
                }
            }
        }
        sum.empty = false;
        Ok(())
    }

    /// The limbs modulo one prime of all digits of some components, one component after the other.
    fn make_all(&self, limb: usize, digits: &[Digits<'_>]) -> Result<AlignedBuffer, CkksError> {
        let count = self.mod_up.digit_count();
        let mut made = self.lend(digits.len() * count);
        for (digits, made) in digits.iter().zip(made.chunks_exact_mut(count * self.degree())) {
            self.make_digits(limb, digits, made)?;
        }
        Ok(made)
    }

    /// Makes the limbs of all digits modulo the prime at position `limb` of Q_ℓ·P, but for the digit that contains that prime.
    fn make_digits(
        &self,
        limb: usize,
        digits: &Digits<'_>,
        made: &mut [u64],
    ) -> Result<(), CkksError> {
        let own = self.own_digit(limb);
        for (digit, out) in made.chunks_exact_mut(self.degree()).enumerate() {
            if own != Some(digit) {
                self.mod_up.limb_into(digits, digit, limb, out)?;
            }
        }
        Ok(())
    }

    /// Digits times key modulo one prime; the limb of the digit that contains the prime is the component's own.
    fn terms<'d>(
        &self,
        limb: usize,
        poly: &'d Poly<Ntt>,
        made: &'d [u64],
        key: &'d EvaluationKey,
    ) -> impl Iterator<Item = SingleTerm<'d>> {
        let own = self.own_digit(limb);
        made.chunks_exact(self.degree()).zip(&key.digits).enumerate().map(
            move |(digit, (made, [b, a]))| {
                let w = if own == Some(digit) { poly.limb(limb) } else { made };
                SingleTerm { w, b: b.limb(limb), a: a.limb(limb) }
            },
        )
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
    ) -> Result<(), CkksError> {
        if let (Some(x), Some(digit)) = (x, self.own_digit(limb)) {
            let factor = self.mod_up.gadget_factor(digit, limb);
            residue.add_scaled_assign(out, x.limb(limb), factor)?;
        }
        Ok(())
    }

    /// Divides sums over Q_ℓ·P, which are spent, by P, with `rescale` by the level's factor too.
    fn divide(
        &self,
        mut sums: [&mut [u64]; 2],
        rescale: bool,
    ) -> Result<[Poly<Ntt>; 2], CkksError> {
        let (evaluator, n) = (self.evaluator, self.degree());
        let divider = evaluator.parameters.mod_down(self.level, rescale)?;
        let mut corrections = evaluator.share(sums.each_mut(), |sum| {
            let mut corrections = self.lend(divider.to().len());
            divider.corrections(&mut divider.dropped_limbs(sum), &mut corrections)?;
            Ok(corrections)
        })?;
        let mut out = [evaluator.unset(divider.to())?, evaluator.unset(divider.to())?];
        let parts = out.iter_mut().zip(sums.each_ref()).zip(&mut corrections);
        let parts = parts.flat_map(|((out, sum), corrections)| {
            let limbs = out.limbs_mut().zip(corrections.chunks_exact_mut(n)).enumerate();
            limbs.map(move |(target, (limb, correction))| (target, limb, correction, sum))
        });
        evaluator.share(parts, |(target, limb, correction, sum)| {
            let source = divider.source(target);
            let source = source.map_or(&[][..], |position| &sum[position * n..(position + 1) * n]);
            Ok(divider.finish_limb(target, source, correction, limb)?)
        })?;
        Ok(out)
    }

    /// For each key σ(a's digits · key / P + (b, 0)) with the key's automorphism σ; the digits are made once for all.
    pub(super) fn hoisted(
        &self,
        [b, a]: [&Poly<Ntt>; 2],
        keys: &[Arc<EvaluationKey>],
    ) -> Result<Vec<[Poly<Ntt>; 2]>, CkksError> {
        let digits = self.digits(a)?;
        let (count, limbs) = (self.mod_up.digit_count(), self.mod_up.extended_basis().len());
        let mut made = self.lend(limbs * count);
        let parts = made.chunks_exact_mut(count * self.degree()).enumerate();
        self.evaluator.share(parts, |(limb, made)| self.make_digits(limb, &digits, made))?;
        let divider = self.evaluator.parameters.mod_down(self.level, false)?;
        let hoisted = Hoisted { b, a, made: &made, divider };
        self.evaluator.share(keys, |key| self.rotation(&hoisted, key))
    }

    /// One of [`Switcher::hoisted`]: a limb goes from the inner product through the division to its place while it is in the cache.
    fn rotation(
        &self,
        hoisted: &Hoisted<'_>,
        key: &EvaluationKey,
    ) -> Result<[Poly<Ntt>; 2], CkksError> {
        let (n, ring) = (self.degree(), self.evaluator.parameters.ring());
        let Hoisted { b, a, made, divider } = *hoisted;
        let residues: Vec<&ResidueRing> = ring.residues(self.mod_up.extended_basis())?.collect();
        let made = |limb: usize| {
            let len = self.mod_up.digit_count() * n;
            &made[limb * len..(limb + 1) * len]
        };
        let terms =
            |limb: usize| -> Vec<SingleTerm<'_>> { self.terms(limb, a, made(limb), key).collect() };
        let count = divider.dropped().len();
        let mut dropped = [self.lend(count), self.lend(count)];
        let [dropped_b, dropped_a] = &mut dropped;
        let outs = dropped_b.chunks_exact_mut(n).zip(dropped_a.chunks_exact_mut(n));
        for (position, (b, a)) in divider.dropped().zip(outs) {
            residues[position].dot2(&terms(position), [b, a])?;
        }
        let kept = divider.to().len();
        let mut corrections = [self.lend(kept), self.lend(kept)];
        for (dropped, corrections) in dropped.iter_mut().zip(&mut corrections) {
            let mut dropped: Vec<_> = dropped.chunks_exact_mut(n).collect();
            divider.corrections(&mut dropped, corrections)?;
        }
        let mut out = [self.evaluator.unset(divider.to())?, self.evaluator.unset(divider.to())?];
        let [mut own_b, mut own_a, mut image] = [(); 3].map(|()| self.lend(1));
        for (limb, residue) in residues.iter().take(kept).enumerate() {
            residue.dot2(&terms(limb), [&mut own_b, &mut own_a])?;
            // P·b over P is b exactly, so it may as well be added after the division.
            let parts = [(&own_b, Some(b)), (&own_a, None)].into_iter();
            for (((own, added), corrections), out) in parts.zip(&mut corrections).zip(&mut out) {
                let (correction, out) =
                    (&mut corrections[limb * n..(limb + 1) * n], out.limb_mut(limb));
                let divided = if key.automorphism.is_some() { &mut image[..] } else { &mut *out };
                divider.finish_limb(limb, own, correction, divided)?;
                if let Some(added) = added {
                    residue.add_assign(divided, added.limb(limb))?;
                }
                if let Some(rotation) = &key.automorphism {
                    rotation.apply_limb(&image, out)?;
                }
            }
        }
        Ok(out)
    }
}

/// A sum over Q_ℓ·P modulo one of its primes.
struct LimbSum<'a> {
    limb: usize,
    residue: &'a ResidueRing,
    /// b and a.
    outs: [&'a mut [u64]; 2],
    /// Whether nothing was added yet; then `outs` hold another sum's remains.
    empty: bool,
}

/// A ciphertext whose digits were made.
#[derive(Clone, Copy)]
struct Hoisted<'a> {
    b: &'a Poly<Ntt>,
    a: &'a Poly<Ntt>,
    /// Prime by prime, one limb of every digit.
    made: &'a [u64],
    divider: &'a Divider,
}
