//! Activation functions: each waits as a function of its input till something needs its values.

use std::rc::Rc;

use super::context::Context;
use super::expression::{Expression, MAX_NODES};
use super::function::Function;
use super::index::{broadcast, broadcast_strides, offsets};
use super::operators::{Operands, Outcome};
use super::value::{Data, Pending, Tensor, Value};
use crate::onnx::NodeError;

/// `function` of input 0.
fn unary(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
    function: Function,
) -> Result<Outcome, NodeError> {
    Ok(of(context, operands.input(0)?, |inner| Expression::of(function, inner))?.into())
}

/// A function of a value: computed for a constant, joined to the value's own function else.
pub(crate) fn of(
    context: &mut Context<'_>,
    value: &Value,
    function: impl Fn(&Rc<Expression>) -> Rc<Expression>,
) -> Result<Value, NodeError> {
    let variable = Rc::new(Expression::Variable);
    Ok(match value {
        Value::Constant(tensor) => {
            let expression = function(&variable);
            let values = tensor.reals(0)?.iter().enumerate();
            let values = values.map(|(index, &x)| expression.at(index, x)).collect();
            Value::Constant(Tensor::new(tensor.dims.clone(), Data::Real(values)))
        }
        Value::Pending(pending) => {
            let expression = function(&pending.expression);
            if expression.size() <= MAX_NODES {
                Value::Pending(Pending::new(pending.base.clone(), expression, &context.node))
            } else {
                let base = context.forced(value)?;
                Value::Pending(Pending::new(base, function(&variable), &context.node))
            }
        }
        other => {
            let base = context.forced(other)?;
            Value::Pending(Pending::new(base, function(&variable), &context.node))
        }
    })
}

/// Defines an operator that is a function without parameters.
macro_rules! plain {
    ($($name:ident: $function:ident),*) => {
        $(
            pub(crate) fn $name(
                operands: &Operands<'_>,
                context: &mut Context<'_>,
            ) -> Result<Outcome, NodeError> {
                unary(operands, context, Function::$function)
            }
        )*
    };
}

plain!(abs: Abs, cos: Cos, erf: Erf, exp: Exp, hard_swish: HardSwish, log: Log, mish: Mish, reciprocal: Reciprocal);
plain!(relu: Relu, sigmoid: Sigmoid, sin: Sin, softplus: Softplus, softsign: Softsign, sqrt: Sqrt, tanh: Tanh);

/// An attribute that is a float, as ONNX stores it: an f32.
fn parameter(operands: &Operands<'_>, name: &'static str, default: f32) -> Result<f64, NodeError> {
    Ok(operands.attributes.float(name)?.unwrap_or(f64::from(default)))
}

pub(crate) fn celu(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let alpha = parameter(operands, "alpha", 1.0)?;
    unary(operands, context, Function::Celu(alpha))
}

pub(crate) fn elu(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let alpha = parameter(operands, "alpha", 1.0)?;
    unary(operands, context, Function::Elu(alpha))
}

pub(crate) fn leaky_relu(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let alpha = parameter(operands, "alpha", 0.01)?;
    unary(operands, context, Function::LeakyRelu(alpha))
}

pub(crate) fn thresholded_relu(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let alpha = parameter(operands, "alpha", 1.0)?;
    unary(operands, context, Function::ThresholdedRelu(alpha))
}

pub(crate) fn swish(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let alpha = parameter(operands, "alpha", 1.0)?;
    unary(operands, context, Function::Swish(alpha))
}

pub(crate) fn selu(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let alpha = parameter(operands, "alpha", 1.673_263_2)?;
    let gamma = parameter(operands, "gamma", 1.050_701)?;
    unary(operands, context, Function::Selu(alpha, gamma))
}

pub(crate) fn hard_sigmoid(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let (alpha, beta) = (parameter(operands, "alpha", 0.2)?, parameter(operands, "beta", 0.5)?);
    unary(operands, context, Function::HardSigmoid(alpha, beta))
}

pub(crate) fn gelu(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let function = match operands.attributes.string("approximate")?.unwrap_or("none") {
        "none" => Function::Gelu,
        "tanh" => Function::GeluTanh,
        other => {
            return Err(NodeError::Attribute {
                name: "approximate",
                found: other.to_owned(),
                supported: "none, tanh",
            });
        }
    };
    unary(operands, context, function)
}

/// Between two bounds, either of which may be missing; attributes before operator set 11, inputs since.
pub(crate) fn clip(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let bound = |index: usize, name: &'static str, none: f64| -> Result<f64, NodeError> {
        if operands.opset < 11 {
            return Ok(operands.attributes.float(name)?.unwrap_or(none));
        }
        match operands.optional(index) {
            None => Ok(none),
            Some(_) => operands.real(index),
        }
    };
    let least = bound(1, "min", f64::MIN)?;
    let most = bound(2, "max", f64::MAX)?;
    unary(operands, context, Function::Clip(least, most))
}

/// `slope · x` where x is negative, the slope by channel or value.
pub(crate) fn prelu(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let (dims, slopes) = operands.reals(1)?;
    if broadcast(value.dims(), dims)? != value.dims() {
        return Err(NodeError::Shapes {
            shapes: vec![value.dims().to_vec(), dims.to_vec()],
            rule: "the slope must broadcast to the input's shape",
        });
    }
    let places = offsets(value.dims(), &broadcast_strides(dims, value.dims()));
    let slopes: Vec<f64> = match slopes {
        [one] => vec![*one],
        all => places.into_iter().map(|place| all[place]).collect(),
    };
    // x · (1 + slope) / 2 + |x| · (1 − slope) / 2
    let half =
        |of: fn(f64) -> f64| Expression::constants(slopes.iter().map(|&s| of(s) / 2.0).collect());
    let (linear, bent) = (half(|s| 1.0 + s), half(|s| 1.0 - s));
    let function = |x: &Rc<Expression>| {
        let bent = Expression::product(&bent, &Expression::of(Function::Abs, x));
        Expression::sum(&Expression::product(&linear, x), &bent)
    };
    Ok(of(context, value, function)?.into())
}
