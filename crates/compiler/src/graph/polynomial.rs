//! Polynomials of an activation by squares, in the least depth: degree d takes ⌈log2 d⌉ squares in a row.
//!
//! A polynomial of even powers and a linear term is one in the square, of half the degree, plus the linear term: one square for
//! each value and level. Others are split at the largest power of two below their degree, p = q · B + r (Paterson and Stockmeyer's
//! giant step), q · B being a product of two activations; what can be, is completed to a square.

use super::context::Context;
use super::expression::{Polynomial, zip};
use super::product;
use super::value::Activation;
use crate::onnx::NodeError;

/// What the coefficients belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// 1, x, x², …
    Power,
    /// Chebyshev's T0, T1, T2, … of an x within [−1, 1].
    Chebyshev,
}

/// Farthest shift by which a square is completed, in units of the variable: (x + h)² loses 2·log2 h bits.
const MAX_SHIFT: f64 = 16.0;
/// The same for the inner square of a quartic, whose remainder is subtracted.
const MAX_INNER_SHIFT: f64 = 2.0;

/// `Σ coefficients[k] · B_k(x)`, value by value.
pub(crate) fn evaluate(
    context: &mut Context<'_>,
    x: &Activation,
    basis: Basis,
    coefficients: &[Vec<f64>],
) -> Result<Activation, NodeError> {
    let mut powers = Powers { basis, doubled: vec![x.clone()] };
    sum_of(context, &mut powers, 0, coefficients.to_vec(), None)
}

/// B_1, B_2, B_4, … of the variable, as far as they were asked for.
struct Powers {
    basis: Basis,
    doubled: Vec<Activation>,
}

impl Powers {
    /// `B_(2^log)` of the variable.
    fn get(&mut self, context: &mut Context<'_>, log: usize) -> Result<Activation, NodeError> {
        while self.doubled.len() <= log {
            let square = context.square(&self.doubled[self.doubled.len() - 1])?;
            self.doubled.push(match self.basis {
                Basis::Power => square,
                Basis::Chebyshev => square.scaled(&[2.0], &[-1.0])?,
            });
        }
        Ok(self.doubled[log].clone())
    }
}

/// The polynomial in the variable `B_(2^log)`, and `addend`: what is added early passes the squares together with what they leave over.
fn sum_of(
    context: &mut Context<'_>,
    powers: &mut Powers,
    log: usize,
    mut coefficients: Polynomial,
    addend: Option<Activation>,
) -> Result<Activation, NodeError> {
    while coefficients.len() > 1 && coefficients.last().is_some_and(|last| is_zero(last)) {
        coefficients.pop();
    }
    let x = powers.get(context, log)?;
    let of = |k: usize| coefficients.get(k).map_or(&[0.0][..], Vec::as_slice);
    match coefficients.len() {
        0..=2 => {
            let line = x.scaled(of(1), of(0))?;
            added(context, line, addend)
        }
        3 => quadratic(context, powers, log, &coefficients, addend),
        _ if (3..coefficients.len()).step_by(2).all(|k| is_zero(of(k))) => {
            let even = coefficients.iter().step_by(2).cloned().collect();
            let addend = match (is_zero(of(1)), addend) {
                (true, addend) => addend,
                (false, addend) => Some(added(context, x.scaled(of(1), &[0.0])?, addend)?),
            };
            sum_of(context, powers, log + 1, even, addend)
        }
        4 | 5 => match quartic(context, powers, log, &coefficients, &addend)? {
            Some(done) => Ok(done),
            None => split(context, powers, log, coefficients, addend),
        },
        _ => split(context, powers, log, coefficients, addend),
    }
}

fn added(
    context: &mut Context<'_>,
    x: Activation,
    addend: Option<Activation>,
) -> Result<Activation, NodeError> {
    match addend {
        None => Ok(x),
        Some(addend) => context.plus(&x, 1.0, &addend),
    }
}

/// Degree 2: one completed square.
fn quadratic(
    context: &mut Context<'_>,
    powers: &mut Powers,
    log: usize,
    coefficients: &[Vec<f64>],
    addend: Option<Activation>,
) -> Result<Activation, NodeError> {
    let [constant, linear, second] = coefficients else { return Err(NodeError::NotFinite) };
    let x = powers.get(context, log)?;
    // In powers: B2 is x², or 2x² − 1.
    let (constant, second) = match powers.basis {
        Basis::Power => (constant.clone(), second.clone()),
        Basis::Chebyshev => {
            (zip(constant, second, |c, a| c - a), zip(second, &[2.0], |a, b| a * b))
        }
    };
    if is_zero(linear) {
        let square = context.square(&x)?.scaled(&second, &constant)?;
        return added(context, square, addend);
    }
    let shift = zip(linear, &second, |b, a| {
        let shift = b / (2.0 * a);
        if a != 0.0 && shift.abs() <= MAX_SHIFT { shift } else { 0.0 }
    });
    let square = context.square(&x.scaled(&[1.0], &shift)?)?;
    let removed = zip(&second, &zip(&shift, &shift, |h, g| h * g), |a, h| a * h);
    let square = square.scaled(&second, &zip(&constant, &removed, |c, r| c - r))?;
    let rest = zip(linear, &zip(&second, &shift, |a, h| 2.0 * a * h), |b, done| b - done);
    let rest = zip(&rest, linear, |rest, b| if rest.abs() > 1e-14 * b.abs() { rest } else { 0.0 });
    if is_zero(&rest) {
        return added(context, square, addend);
    }
    let rest = added(context, x.scaled(&rest, &[0.0])?, addend)?;
    context.plus(&square, 1.0, &rest)
}

/// Degree 3 or 4 with a leading coefficient large enough to complete `α·B2² + β·x·B2` to `α (B2 + h·x)²`: one square in each of two
/// levels.
fn quartic(
    context: &mut Context<'_>,
    powers: &mut Powers,
    log: usize,
    coefficients: &[Vec<f64>],
    addend: &Option<Activation>,
) -> Result<Option<Activation>, NodeError> {
    let [_, _, _, _, _] = coefficients else { return Ok(None) };
    let (q, r) = divide(powers.basis, coefficients, 2);
    let [q0, q1, q2] = q.as_slice() else { return Ok(None) };
    let shift = zip(q1, q2, |b, a| b / (2.0 * a));
    if !shift.iter().all(|h| h.abs() <= MAX_INNER_SHIFT) {
        return Ok(None);
    }
    let (x, second) = (powers.get(context, log)?, powers.get(context, log + 1)?);
    // The variable is passed once, for the inner square and for what is left over.
    let later = if is_zero(&shift) { x } else { context.at_stage(&x, second.stage)? };
    let square = match is_zero(&shift) {
        true => second.clone(),
        false => context.plus(&second, 1.0, &later.scaled(&shift, &[0.0])?)?,
    };
    let square = context.square(&square)?.scaled(q2, &[0.0])?;
    // (h·x)² is h² B2, or h² (B2 + 1) / 2.
    let removed = zip(q2, &zip(&shift, &shift, |h, g| h * g), |a, h| a * h);
    let zero = vec![0.0];
    let (r0, r1) = (r.first().unwrap_or(&zero), r.get(1).unwrap_or(&zero));
    let (of_second, constant) = match powers.basis {
        Basis::Power => (zip(q0, &removed, |c, r| c - r), r0.clone()),
        Basis::Chebyshev => {
            (zip(q0, &removed, |c, r| c - r / 2.0), zip(r0, &removed, |c, r| c - r / 2.0))
        }
    };
    let rest = second.scaled(&of_second, &constant)?;
    let rest = match (is_zero(r1), addend) {
        (true, None) => rest,
        (_, addend) => {
            let early = added(context, later.scaled(r1, &[0.0])?, addend.clone())?;
            context.plus(&rest, 1.0, &early)?
        }
    };
    context.plus(&square, 1.0, &rest).map(Some)
}

/// `p = q · B_g + r` with g the largest power of two below the degree.
fn split(
    context: &mut Context<'_>,
    powers: &mut Powers,
    log: usize,
    coefficients: Polynomial,
    addend: Option<Activation>,
) -> Result<Activation, NodeError> {
    let degree = coefficients.len() - 1;
    let giant = degree.next_power_of_two() / 2;
    let (q, r) = divide(powers.basis, &coefficients, giant);
    let giant = powers.get(context, log + giant.ilog2() as usize)?;
    let q = sum_of(context, powers, log, q, None)?;
    let product = product::of(context, &q, &giant)?;
    let r = sum_of(context, powers, log, r, addend)?;
    context.plus(&product, 1.0, &r)
}

/// Quotient and remainder by `B_giant`; the degree is at most `2 · giant`.
fn divide(basis: Basis, coefficients: &[Vec<f64>], giant: usize) -> (Polynomial, Polynomial) {
    let mut r = coefficients[..giant].to_vec();
    let mut q = coefficients[giant..].to_vec();
    if basis == Basis::Chebyshev {
        // T_k = 2 · T_giant · T_(k − giant) − T_|k − 2·giant|
        for (k, coefficient) in coefficients.iter().enumerate().skip(giant + 1) {
            q[k - giant] = zip(coefficient, &[2.0], |c, two| c * two);
            let at = k.abs_diff(2 * giant);
            r[at] = zip(&r[at], coefficient, |r, c| r - c);
        }
    }
    (q, r)
}

fn is_zero(coefficient: &[f64]) -> bool {
    coefficient.iter().all(|&value| value == 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::emit;
    use super::super::least_squares::basis;
    use super::*;
    use crate::network::{Layer, Network};
    use crate::onnx::ImportOptions;

    /// The polynomial of `inputs` values as a network.
    fn network(basis: Basis, coefficients: &[Vec<f64>], inputs: usize) -> Network {
        let options = ImportOptions::default();
        let mut context = Context::new(&options, inputs);
        let x = Activation::part(vec![1, inputs], inputs, 0).unwrap();
        let result = evaluate(&mut context, &x, basis, coefficients).unwrap();
        let layers = emit::layers(context.stages, result).unwrap();
        Network::new("polynomial", vec![inputs], layers).unwrap()
    }

    fn value(kind: Basis, coefficients: &[Vec<f64>], index: usize, x: f64) -> f64 {
        let at = |list: &Vec<f64>| if list.len() == 1 { list[0] } else { list[index] };
        let terms: Vec<f64> = match kind {
            Basis::Power => (0..coefficients.len()).map(|k| x.powi(k as i32)).collect(),
            Basis::Chebyshev => basis(x, coefficients.len().max(2) - 1),
        };
        coefficients.iter().zip(terms).map(|(list, term)| at(list) * term).sum()
    }

    /// How many values each layer squares and passes.
    fn shape(network: &Network) -> Vec<(usize, usize)> {
        let mut values = 0;
        let mut shape = Vec::new();
        for layer in &network.layers {
            match layer {
                Layer::Affine(affine) => values = affine.matrix.rows(),
                Layer::Square { squared } => shape.push((*squared, values - squared)),
            }
        }
        shape
    }

    proptest! {
        #[test]
        fn polynomials_in_least_depth(
            coefficients in prop::collection::vec(
                prop_oneof![prop::collection::vec(-2.0..2.0f64, 1), prop::collection::vec(-2.0..2.0f64, 3)],
                2..18,
            ),
            chebyshev: bool,
            inputs in prop::collection::vec(-1.0..1.0f64, 3),
        ) {
            let kind = if chebyshev { Basis::Chebyshev } else { Basis::Power };
            let network = network(kind, &coefficients, 3);
            let degree = coefficients.len() - 1;
            let depth = degree.next_power_of_two().ilog2() as usize;
            prop_assert!(network.squares() <= depth, "degree {degree}: {} squares", network.squares());
            let results = network.run(&inputs).unwrap();
            for (index, (result, &x)) in results.iter().zip(&inputs).enumerate() {
                let expected = value(kind, &coefficients, index, x);
                prop_assert!((result - expected).abs() < 1e-9, "degree {degree}: {result} {expected}");
            }
        }
    }

    #[test]
    fn what_is_a_square_costs_one() {
        let one = |list: &[f64]| list.iter().map(|&c| vec![c]).collect::<Vec<_>>();
        let of = |kind, list: &[f64]| shape(&network(kind, &one(list), 5));
        // 1 + 2x + 3x² is one completed square; so is any quadratic of every value.
        assert_eq!(of(Basis::Power, &[1.0, 2.0, 3.0]), [(5, 0)]);
        assert_eq!(of(Basis::Chebyshev, &[1.0, 2.0, 3.0]), [(5, 0)]);
        assert_eq!(of(Basis::Power, &[0.0, 0.0, 0.0, 0.0, 1.0]), [(5, 0), (5, 0)]);
        assert_eq!(of(Basis::Power, &[0.0; 9].map(|_| 0.0)), []);
        // Even but for a linear term, as a fit of ReLU: one square a level, and the linear term passes.
        let even = [0.3, 0.5, 0.4, 0.0, -0.1, 0.0, 0.05, 0.0, -0.02];
        assert_eq!(of(Basis::Chebyshev, &even), [(5, 5), (5, 10), (5, 5)]);
        // Degree 4 with a cubic term still squares once a level.
        assert_eq!(of(Basis::Power, &[1.0, 1.0, 1.0, 1.0, 1.0]), [(5, 5), (5, 5)]);
    }

    #[test]
    fn a_quadratic_by_channel_passes_where_it_is_linear() {
        let coefficients = [vec![1.0], vec![2.0, 3.0], vec![0.5, 0.0]];
        let network = network(Basis::Power, &coefficients, 2);
        assert_eq!(shape(&network), [(1, 1)]);
        assert_eq!(network.run(&[2.0, 2.0]).unwrap(), [7.0, 7.0]);
    }
}
