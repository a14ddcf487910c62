//! Functions of one value: sums and products of it, constants and named functions.

use std::rc::Rc;

use super::function::Function;

/// Most nodes of an expression: what is larger is applied first and goes on as an activation.
pub(crate) const MAX_NODES: usize = 64;
/// Highest degree up to which products of polynomials are multiplied out.
pub(crate) const MAX_DEGREE: usize = 16;

/// A function of one value; a constant may differ from value to value of the activation.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Variable,
    /// One value for all, or one for each value of the activation.
    Constant(Rc<Vec<f64>>),
    Sum(Rc<Expression>, Rc<Expression>),
    Product(Rc<Expression>, Rc<Expression>),
    Of(Function, Rc<Expression>),
}

/// Coefficients of 1, x, x², …: each one value for all, or one for each value of the activation.
pub(crate) type Polynomial = Vec<Vec<f64>>;

impl Expression {
    pub(crate) fn constant(value: f64) -> Rc<Self> {
        Rc::new(Self::Constant(Rc::new(vec![value])))
    }

    pub(crate) fn constants(values: Vec<f64>) -> Rc<Self> {
        Rc::new(Self::Constant(Rc::new(values)))
    }

    pub(crate) fn of(function: Function, inner: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self::Of(function, Rc::clone(inner)))
    }

    pub(crate) fn sum(left: &Rc<Self>, right: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self::Sum(Rc::clone(left), Rc::clone(right)))
    }

    pub(crate) fn product(left: &Rc<Self>, right: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self::Product(Rc::clone(left), Rc::clone(right)))
    }

    /// Nodes, shared ones counted each time.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Variable | Self::Constant(_) => 1,
            Self::Sum(left, right) | Self::Product(left, right) => 1 + left.size() + right.size(),
            Self::Of(_, inner) => 1 + inner.size(),
        }
    }

    /// Numbers in its constants.
    pub(crate) fn numbers(&self) -> usize {
        match self {
            Self::Variable => 0,
            Self::Constant(values) => values.len(),
            Self::Sum(left, right) | Self::Product(left, right) => left.numbers() + right.numbers(),
            Self::Of(_, inner) => inner.numbers(),
        }
    }

    /// The function's value at `x`, for value `index` of the activation.
    pub(crate) fn at(&self, index: usize, x: f64) -> f64 {
        match self {
            Self::Variable => x,
            Self::Constant(values) => match values.as_slice() {
                [one] => *one,
                all => all[index],
            },
            Self::Sum(left, right) => left.at(index, x) + right.at(index, x),
            Self::Product(left, right) => left.at(index, x) * right.at(index, x),
            Self::Of(function, inner) => function.at(inner.at(index, x)),
        }
    }

    /// Whether it is the same function for two values of the activation.
    pub(crate) fn same_at(&self, one: usize, other: usize) -> bool {
        match self {
            Self::Variable => true,
            Self::Constant(values) => values.len() == 1 || values[one] == values[other],
            Self::Sum(left, right) | Self::Product(left, right) => {
                left.same_at(one, other) && right.same_at(one, other)
            }
            Self::Of(_, inner) => inner.same_at(one, other),
        }
    }

    pub(crate) fn is_finite(&self) -> bool {
        match self {
            Self::Variable => true,
            Self::Constant(values) => values.iter().all(|value| value.is_finite()),
            Self::Sum(left, right) | Self::Product(left, right) => {
                left.is_finite() && right.is_finite()
            }
            Self::Of(_, inner) => inner.is_finite(),
        }
    }

    /// The function with `inner` in the variable's place.
    pub(crate) fn substituted(self: &Rc<Self>, inner: &Rc<Self>) -> Rc<Self> {
        match &**self {
            Self::Variable => Rc::clone(inner),
            Self::Constant(_) => Rc::clone(self),
            Self::Sum(left, right) => {
                Self::sum(&left.substituted(inner), &right.substituted(inner))
            }
            Self::Product(left, right) => {
                Self::product(&left.substituted(inner), &right.substituted(inner))
            }
            Self::Of(function, of) => Self::of(*function, &of.substituted(inner)),
        }
    }

    /// The degree, where it is a polynomial.
    pub(crate) fn degree(&self) -> Option<usize> {
        match self {
            Self::Variable => Some(1),
            Self::Constant(_) => Some(0),
            Self::Sum(left, right) => Some(left.degree()?.max(right.degree()?)),
            Self::Product(left, right) => Some(left.degree()? + right.degree()?),
            Self::Of(..) => None,
        }
    }

    /// The u of a function that is sigmoid(u), or 1 − sigmoid(u) = sigmoid(−u).
    pub(crate) fn within_sigmoid(&self) -> Option<Rc<Self>> {
        let is = |expression: &Self, value: f64| matches!(expression, Self::Constant(values) if values.iter().all(|&v| v == value));
        match self {
            Self::Of(Function::Sigmoid, inner) => Some(Rc::clone(inner)),
            Self::Sum(one, negative) if is(one, 1.0) => match &**negative {
                Self::Product(minus, function) if is(minus, -1.0) => match &**function {
                    Self::Of(Function::Sigmoid, inner) => Some(Self::product(minus, inner)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// The coefficients, where it is a polynomial.
    pub(crate) fn polynomial(&self) -> Option<Polynomial> {
        match self {
            Self::Variable => Some(vec![vec![0.0], vec![1.0]]),
            Self::Constant(values) => Some(vec![values.to_vec()]),
            Self::Sum(left, right) => {
                let (mut sum, mut other) = (left.polynomial()?, right.polynomial()?);
                if sum.len() < other.len() {
                    std::mem::swap(&mut sum, &mut other);
                }
                for (coefficient, addend) in sum.iter_mut().zip(&other) {
                    *coefficient = zip(coefficient, addend, |x, y| x + y);
                }
                Some(sum)
            }
            Self::Product(left, right) => {
                let (left, right) = (left.polynomial()?, right.polynomial()?);
                let mut product = vec![vec![0.0]; left.len() + right.len() - 1];
                for (i, x) in left.iter().enumerate() {
                    for (j, y) in right.iter().enumerate() {
                        let term = zip(x, y, |x, y| x * y);
                        product[i + j] = zip(&product[i + j], &term, |x, y| x + y);
                    }
                }
                Some(product)
            }
            Self::Of(..) => None,
        }
    }
}

impl std::fmt::Display for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable => write!(f, "x"),
            // Constants may be weights, which stay out of reports.
            Self::Constant(_) => write!(f, "c"),
            Self::Sum(left, right) => write!(f, "({left} + {right})"),
            Self::Product(left, right) => write!(f, "{left}·{right}"),
            Self::Of(function, inner) => write!(f, "{}({inner})", function.name()),
        }
    }
}

/// An operation value by value, where a list of one stands for that value everywhere.
pub(crate) fn zip(left: &[f64], right: &[f64], operation: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    match (left, right) {
        ([x], right) => right.iter().map(|&y| operation(*x, y)).collect(),
        (left, [y]) => left.iter().map(|&x| operation(x, *y)).collect(),
        (left, right) => left.iter().zip(right).map(|(&x, &y)| operation(x, y)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_multiplied_out() {
        let x = Rc::new(Expression::Variable);
        // (x + c) · (2 x) with c = 1 and 3.
        let shifted = Expression::sum(&x, &Expression::constants(vec![1.0, 3.0]));
        let doubled = Expression::product(&x, &Expression::constant(2.0));
        let product = Expression::product(&shifted, &doubled);
        assert_eq!(product.degree(), Some(2));
        let expected = vec![vec![0.0, 0.0], vec![2.0, 6.0], vec![2.0]];
        assert_eq!(product.polynomial(), Some(expected));
        assert_eq!((product.at(0, 5.0), product.at(1, 5.0)), (60.0, 80.0));
        let square = product.substituted(&Expression::product(&x, &x));
        assert_eq!((square.degree(), square.at(1, 2.0)), (Some(4), 56.0));
        assert!(!square.same_at(0, 1) && x.same_at(0, 1));
        assert_eq!(Expression::of(Function::Relu, &square).degree(), None);
    }
}
