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
    sum_of(context, &mut powers, 0, coefficients.to_vec())
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

/// The polynomial in the variable `B_(2^log)`.
fn sum_of(
    context: &mut Context<'_>,
    powers: &mut Powers,
    log: usize,
    mut coefficients: Polynomial,
) -> Result<Activation, NodeError> {
    while coefficients.len() > 1 && coefficients.last().is_some_and(|last| is_zero(last)) {
        coefficients.pop();
    }
    let x = powers.get(context, log)?;
    let of = |k: usize| coefficients.get(k).map_or(&[0.0][..], Vec::as_slice);
    match coefficients.len() {
        0..=2 => x.scaled(of(1), of(0)),
        3 => quadratic(context, powers, log, &coefficients),
        _ if (3..coefficients.len()).step_by(2).all(|k| is_zero(of(k))) => {
            let even = coefficients.iter().step_by(2).cloned().collect();
            let even = sum_of(context, powers, log + 1, even)?;
            if is_zero(of(1)) {
                return Ok(even);
            }
            let linear = x.scaled(of(1), &[0.0])?;
            context.plus(&even, 1.0, &linear)
        }
        4 | 5 => match quartic(context, powers, log, &coefficients)? {
            Some(done) => Ok(done),
            None => split(context, powers, log, coefficients),
        },
        _ => split(context, powers, log, coefficients),
    }
}

/// Degree 2: one completed square.
fn quadratic(
    context: &mut Context<'_>,
    powers: &mut Powers,
    log: usize,
    coefficients: &[Vec<f64>],
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
        powers.get(context, log + 1)?;
        return context.square(&x)?.scaled(&second, &constant);
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
        return Ok(square);
    }
    let rest = x.scaled(&rest, &[0.0])?;
    context.plus(&square, 1.0, &rest)
}

/// Degree 3 or 4 with a leading coefficient large enough to complete `α·B2² + β·x·B2` to `α (B2 + h·x)²`: one square in each of two
/// levels.
fn quartic(
    context: &mut Context<'_>,
    powers: &mut Powers,
    log: usize,
    coefficients: &[Vec<f64>],
) -> Result<Option<Activation>, NodeError> {
    let [_, _, _, _, _] = coefficients else { return Ok(None) };
    let (q, r) = divide(powers.basis, coefficients, 2);
    let [q0, q1, q2] = q.as_slice() else { return Ok(None) };
    let shift = zip(q1, q2, |b, a| b / (2.0 * a));
    if !shift.iter().all(|h| h.abs() <= MAX_INNER_SHIFT) {
        return Ok(None);
    }
    let (x, second) = (powers.get(context, log)?, powers.get(context, log + 1)?);
    let inner = x.scaled(&shift, &[0.0])?;
    let square = context.plus(&second, 1.0, &inner)?;
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
    let rest = if is_zero(r1) { rest } else { context.plus(&rest, 1.0, &x.scaled(r1, &[0.0])?)? };
    context.plus(&square, 1.0, &rest).map(Some)
}

/// `p = q · B_g + r` with g the largest power of two below the degree.
fn split(
    context: &mut Context<'_>,
    powers: &mut Powers,
    log: usize,
    coefficients: Polynomial,
) -> Result<Activation, NodeError> {
    let degree = coefficients.len() - 1;
    let giant = degree.next_power_of_two() / 2;
    let (q, r) = divide(powers.basis, &coefficients, giant);
    let giant = powers.get(context, log + giant.ilog2() as usize)?;
    let q = sum_of(context, powers, log, q)?;
    let product = product::of(context, &q, &giant)?;
    let r = sum_of(context, powers, log, r)?;
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
