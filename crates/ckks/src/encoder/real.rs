//! Coefficients to slots in the conjugate-invariant ring, where both are real: a transform of half the length.
//!
//! Slot `i` is `a_0 + 2·Σ a_j·cos(2π·j·e/4n)` with `e = 5^i mod 4n`, always `e = 4t + 1`. In the order of t these are the values of a
//! discrete cosine transform of type III, hence of a Fourier transform of n points that ends in reals (Makhoul, "A fast cosine
//! transform in one and two dimensions", 1980):
//!
//! `v_t = Σ_k V_k·exp(2πi·kt/n)`, `V_k = ζ^k·(a_k − i·a_(n−k))`, `V_0 = a_0`, ζ = exp(2πi/4n).
//!
//! Its even and odd t are the real and imaginary parts of one transform of n/2 points, of
//! `Z_k = V_k + V_(k+n/2) + i·exp(2πi·k/n)·(V_k − V_(k+n/2))`.

use super::roots::Complex;

/// A complex number as it lies in memory, so that a vector of them is also one of reals.
pub(super) type Pair = [f64; 2];

/// Tables for n slots.
#[derive(Debug)]
pub(super) struct RealTransform {
    /// For `k < n/2` what `a_k − i·a_(n−k)` and `a_(k+n/2) − i·a_(n/2−k)` are multiplied by to make `Z_k`.
    folds: Vec<[Complex; 2]>,
    /// Per pass over blocks of length n/2, n/8, …, down to 4: `ω^j, ω^2j, ω^3j` for `j < length/4`, ω of that order.
    passes: Vec<Vec<[Complex; 3]>>,
    /// Where the passes leave each slot.
    order: Vec<u32>,
}

impl RealTransform {
    /// `roots` are the powers of ζ, 4n of them; n is a power of two, at least 2.
    pub(super) fn new(roots: &[Complex]) -> Self {
        let (order, slots) = (roots.len(), roots.len() / 4);
        let root = |exponent: usize| roots[exponent % order];
        let half = slots / 2;
        // ζ^n = i and ζ^(n/2) = √i; exp(2πi·k/n) = ζ^4k.
        let folds = (0..half)
            .map(|k| {
                let even = root(k).add(root(5 * k + slots));
                [even, root(k + half).sub(root(5 * k + slots + half))]
            })
            .collect();
        let lengths = std::iter::successors(Some(half), |length| Some(length / 4));
        let passes = lengths
            .take_while(|&length| length >= 4)
            .map(|length| {
                let step = order / length;
                (0..length / 4).map(|j| [1, 2, 3].map(|power| root(power * j * step))).collect()
            })
            .collect();
        let mut places = vec![0; half];
        for place in 0..half {
            places[frequency(place, half)] = place;
        }
        let mut exponent = 1;
        let order = (0..slots)
            .map(|_| {
                let t = exponent / 4;
                exponent = exponent * 5 % order;
                (2 * places[t / 2] + t % 2) as u32
            })
            .collect();
        Self { folds, passes, order }
    }

    /// Writes the n slots of n coefficients; `values` is room for n/2 pairs.
    pub(super) fn to_slots(&self, coefficients: &[f64], values: &mut [Pair], slots: &mut [f64]) {
        let (low, high) = coefficients.split_at(self.folds.len());
        // a_(n−k) and a_(n/2−k) for k = 0: there is no a_n, and a_(n/2) is the first of the upper half.
        let last = std::iter::once(&0.0).chain(high.iter().rev());
        let middle = std::iter::once(&high[0]).chain(low.iter().rev());
        let coefficients = low.iter().zip(last).zip(high.iter().zip(middle));
        for ((value, fold), ((x, last), (y, middle))) in
            values.iter_mut().zip(&self.folds).zip(coefficients)
        {
            let x = Complex { re: *x, im: -last }.mul(fold[0]);
            let y = Complex { re: *y, im: -middle }.mul(fold[1]);
            *value = x.add(y).into();
        }
        for twiddles in &self.passes {
            for block in values.chunks_exact_mut(4 * twiddles.len()) {
                pass(block, twiddles);
            }
        }
        if values.len().trailing_zeros() % 2 == 1 {
            for pair in values.as_chunks_mut::<2>().0 {
                let (x, y) = (Complex::from(pair[0]), Complex::from(pair[1]));
                *pair = [x.add(y).into(), x.sub(y).into()];
            }
        }
        let values = values.as_flattened();
        for (slot, &place) in slots.iter_mut().zip(&self.order) {
            *slot = values[place as usize];
        }
    }
}

/// One block of a pass, by fours: decimation in frequency, so that the four quarters of the block are transforms of their own after it.
fn pass(block: &mut [Pair], twiddles: &[[Complex; 3]]) {
    let (low, high) = block.split_at_mut(2 * twiddles.len());
    let (a, b) = low.split_at_mut(twiddles.len());
    let (c, d) = high.split_at_mut(twiddles.len());
    let quarters = a.iter_mut().zip(b).zip(c.iter_mut().zip(d));
    for (((a, b), (c, d)), [w1, w2, w3]) in quarters.zip(twiddles) {
        let [x, y, z, u] = [*a, *b, *c, *d].map(Complex::from);
        let (sum, difference) = (x.add(z), x.sub(z));
        let (other, turned) = (y.add(u), y.sub(u));
        let turned = Complex { re: -turned.im, im: turned.re };
        *a = sum.add(other).into();
        *b = difference.add(turned).mul(*w1).into();
        *c = sum.sub(other).mul(*w2).into();
        *d = difference.sub(turned).mul(*w3).into();
    }
}

/// Which output the passes leave at `place` of a block.
fn frequency(place: usize, length: usize) -> usize {
    match length {
        1 => 0,
        2 => place,
        _ => {
            let quarter = length / 4;
            4 * frequency(place % quarter, quarter) + place / quarter
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::roots::roots_of_unity;
    use super::*;

    #[test]
    fn slots_are_sums_of_cosines() {
        for log_n in 1..=8 {
            let slots = 1usize << log_n;
            let coefficients: Vec<f64> = (0..slots).map(|j| (j as f64 * 0.7 + 0.2).sin()).collect();
            let (mut values, mut found) = (vec![[0.0; 2]; slots / 2], vec![0.0; slots]);
            let transform = RealTransform::new(&roots_of_unity(log_n + 2));
            transform.to_slots(&coefficients, &mut values, &mut found);
            let mut exponent = 1;
            for value in found {
                let unit = std::f64::consts::TAU / (4 * slots) as f64;
                let cosine = |j: usize| (unit * ((j * exponent) % (4 * slots)) as f64).cos();
                let sum: f64 = (1..slots).map(|j| 2.0 * coefficients[j] * cosine(j)).sum::<f64>()
                    + coefficients[0];
                assert!((sum - value).abs() < 1e-12, "{slots} {exponent}");
                exponent = exponent * 5 % (4 * slots);
            }
        }
    }
}
