//! Functions as polynomials: exactly where they are polynomials, else by a fit over the range that calibration samples show.

use std::ops::Range;
use std::rc::Rc;

use super::context::Context;
use super::expression::{Expression, MAX_NODES};
use super::least_squares::{Projection, cell, nodes};
use super::polynomial::{Basis, evaluate};
use super::value::{Activation, one_if_same};
use crate::onnx::{Fit, NodeError};

/// Degrees that are tried: the highest that their depth allows.
const DEGREES: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Points at which a function is looked at.
const POINTS: usize = 1025;
/// Fewest samples of a channel for a range of its own.
const CHANNEL_SAMPLES: usize = 512;
/// A range is made symmetric up to this growth where that makes the polynomial even.
const SYMMETRY: f64 = 1.25;
/// Coefficients below this part of the largest are rounding.
const ROUNDING: f64 = 1e-13;
/// Most different functions in one activation.
const MAX_FUNCTIONS: usize = 1 << 12;

/// The function of each value.
pub(crate) fn apply(
    context: &mut Context<'_>,
    x: &Activation,
    expression: &Rc<Expression>,
    node: &(String, String),
) -> Result<Activation, NodeError> {
    if matches!(**expression, Expression::Variable) {
        return Ok(x.clone());
    }
    if let Some(polynomial) = expression.polynomial() {
        return evaluate(context, x, Basis::Power, &polynomial);
    }
    if x.is_constant() {
        let constant =
            x.map.bias.iter().enumerate().map(|(i, &x)| expression.at(i, x)).collect::<Vec<_>>();
        return x.scaled(&[0.0], &constant);
    }
    let samples = context.samples(x)?;
    if samples.is_empty() {
        return Err(NodeError::NeedsSamples);
    }
    let groups = Group::all(x, &samples, context.options.margin);
    let fitted = chosen(context, &groups, expression)?;
    let t = x.scaled(&fitted.slopes, &fitted.offsets)?;
    let result = evaluate(context, &t, Basis::Chebyshev, &fitted.coefficients)?;
    let (node, operator) = node.clone();
    context.fits.push(Fit { node, operator, ..fitted.report });
    Ok(result)
}

/// Values that share a range.
struct Group {
    /// Consecutive values of the activation.
    values: Range<usize>,
    least: f64,
    most: f64,
    /// What the samples show.
    seen: Vec<f64>,
}

impl Group {
    /// One for each channel (axis 1) that has samples enough, else one for all values.
    fn all(x: &Activation, samples: &[Vec<f64>], margin: f64) -> Vec<Self> {
        let plane = match x.dims.as_slice() {
            [1, _, spatial @ ..] => spatial.iter().product(),
            _ => 1,
        };
        let channels = x.len() / plane.max(1);
        let own = plane * samples.len() >= CHANNEL_SAMPLES && channels <= MAX_FUNCTIONS;
        let size = if own { plane } else { x.len() };
        let ranges = (0..x.len()).step_by(size.max(1)).map(|start| start..start + size);
        let group = |values: Range<usize>| {
            let seen: Vec<f64> =
                samples.iter().flat_map(|sample| sample[values.clone()].iter().copied()).collect();
            let least = seen.iter().copied().fold(f64::INFINITY, f64::min);
            let most = seen.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // A value that never changes in the samples may change elsewhere.
            let room =
                (margin * (most - least) / 2.0).max(1e-3 * least.abs().max(most.abs())).max(1e-6);
            Self { values, least: least - room, most: most + room, seen }
        };
        ranges.map(group).collect()
    }

    fn symmetric(&self) -> Self {
        let most = self.least.abs().max(self.most.abs());
        Self { values: self.values.clone(), least: -most, most, seen: self.seen.clone() }
    }

    fn center(&self) -> f64 {
        (self.least + self.most) / 2.0
    }

    fn half(&self) -> f64 {
        (self.most - self.least) / 2.0
    }
}

/// One number of each group for all its values; one alone where there is one group.
fn spread(groups: &[Group], of: fn(&Group) -> f64) -> Vec<f64> {
    if let [one] = groups {
        return vec![of(one)];
    }
    let mut list = Vec::new();
    groups.iter().for_each(|group| list.resize(group.values.end, of(group)));
    list
}

/// A fit that will do.
struct Fitted {
    /// From the value to the variable of the polynomial, within [−1, 1].
    slopes: Vec<f64>,
    offsets: Vec<f64>,
    coefficients: Vec<Vec<f64>>,
    report: Fit,
}

/// The lowest degree whose largest error is within the budget, or the degree that was asked for.
fn chosen(
    context: &mut Context<'_>,
    groups: &[Group],
    expression: &Expression,
) -> Result<Fitted, NodeError> {
    let options = context.options;
    let even = groups.iter().all(|group| is_even_but_linear(&group.symmetric(), expression));
    let symmetric: Vec<Group> = groups.iter().map(Group::symmetric).collect();
    let near = groups.iter().zip(&symmetric).all(|(g, s)| s.half() <= SYMMETRY * g.half());
    let mut last = None;
    let degrees: Vec<usize> = match options.degree {
        Some(degree) => vec![degree.clamp(1, 32)],
        None => DEGREES.to_vec(),
    };
    for degree in degrees {
        let groups = if even && (near || degree > 4) { &symmetric } else { groups };
        context.spend(groups.len() * POINTS * degree * degree)?;
        let (fitted, functions) = fit(groups, expression, degree)?;
        context.spend(functions * POINTS * (degree + MAX_NODES))?;
        let enough = fitted.report.relative_error <= options.max_error;
        if enough || options.degree.is_some() {
            return Ok(fitted);
        }
        last = Some(fitted.report.relative_error);
    }
    Err(NodeError::Fit { error: last.unwrap_or(f64::INFINITY), budget: options.max_error })
}

/// Whether f(x) − f(−x) is linear over a symmetric range, as it is for ReLU, GELU or |x|.
fn is_even_but_linear(group: &Group, expression: &Expression) -> bool {
    let first = group.values.start;
    let odd = |x: f64| expression.at(first, x) - expression.at(first, -x);
    let slope = odd(group.most) / group.most;
    let nodes = nodes(POINTS).into_iter().map(|t| t * group.most);
    let size = nodes.clone().fold(0.0, |size: f64, x| size.max(expression.at(first, x).abs()));
    nodes.into_iter().all(|x| (odd(x) - slope * x).abs() <= 1e-9 * size)
}

/// The fit of one degree for every value, and how many functions were looked at.
fn fit(
    groups: &[Group],
    expression: &Expression,
    degree: usize,
) -> Result<(Fitted, usize), NodeError> {
    let mut coefficients: Vec<Vec<f64>> = vec![Vec::new(); degree + 1];
    let (mut largest, mut span, mut functions) = (0f64, 0f64, 0);
    let (mut squares, mut weight) = (0.0, 0.0);
    for group in groups {
        let density = density(group);
        let weights = density.iter().map(|d| 0.5 * d + 0.5 / POINTS as f64).collect();
        let projection = Projection::new(weights, degree);
        let mut found: Vec<f64> = Vec::new();
        for value in group.values.clone() {
            if found.is_empty() || !expression.same_at(value, value - 1) {
                functions += 1;
                if functions > MAX_FUNCTIONS {
                    let limit = MAX_FUNCTIONS;
                    return Err(NodeError::TooLarge { what: "different functions", limit });
                }
                let wanted: Vec<f64> = nodes(POINTS)
                    .into_iter()
                    .map(|t| expression.at(value, group.center() + t * group.half()))
                    .collect();
                if wanted.iter().any(|value| !value.is_finite()) {
                    return Err(NodeError::NotFinite);
                }
                found = cleaned(projection.coefficients(&wanted));
                let errors = projection.values(&found).zip(&wanted).map(|(a, b)| (a - b).abs());
                for (error, density) in errors.zip(&density) {
                    largest = largest.max(error);
                    squares += density * error * error;
                    weight += density;
                }
                let (low, high) = wanted
                    .iter()
                    .fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
                span = span.max(high - low);
            }
            coefficients.iter_mut().zip(&found).for_each(|(list, &c)| list.push(c));
        }
    }
    let bound = |of: fn(&Group) -> f64, pick: fn(f64, f64) -> f64, from| {
        groups.iter().map(of).fold(from, pick)
    };
    let report = Fit {
        node: String::new(),
        operator: String::new(),
        function: expression.to_string(),
        degree,
        ranges: groups.len(),
        least: bound(|g| g.least, f64::min, f64::INFINITY),
        most: bound(|g| g.most, f64::max, f64::NEG_INFINITY),
        largest_error: largest,
        relative_error: if span > 0.0 { largest / span } else { 0.0 },
        typical_error: (squares / weight).sqrt(),
    };
    let fitted = Fitted {
        slopes: spread(groups, |group| 1.0 / group.half()),
        offsets: spread(groups, |group| -group.center() / group.half()),
        coefficients: coefficients.into_iter().map(one_if_same).collect(),
        report,
    };
    Ok((fitted, functions))
}

/// Which part of the samples lies near each node; symmetric where the range is.
fn density(group: &Group) -> Vec<f64> {
    let mut density = vec![0.0; POINTS];
    let share = 1.0 / group.seen.len() as f64;
    for value in &group.seen {
        density[cell((value - group.center()) / group.half(), POINTS)] += share;
    }
    if group.least == -group.most {
        for j in 0..POINTS / 2 {
            let mean = (density[j] + density[POINTS - 1 - j]) / 2.0;
            (density[j], density[POINTS - 1 - j]) = (mean, mean);
        }
    }
    density
}

/// Coefficients without what is rounding alone.
fn cleaned(mut coefficients: Vec<f64>) -> Vec<f64> {
    let largest = coefficients.iter().fold(0.0, |largest: f64, c| largest.max(c.abs()));
    coefficients.iter_mut().filter(|c| c.abs() <= ROUNDING * largest).for_each(|c| *c = 0.0);
    coefficients
}
