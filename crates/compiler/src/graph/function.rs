//! Functions of one value that are no polynomials.

/// A function of one value, with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    Abs,
    Celu(f64),
    /// Least and most.
    Clip(f64, f64),
    Cos,
    Elu(f64),
    Erf,
    Exp,
    Gelu,
    GeluTanh,
    /// Slope and offset.
    HardSigmoid(f64, f64),
    HardSwish,
    /// The slope of what is negative.
    LeakyRelu(f64),
    Log,
    Mish,
    Reciprocal,
    Relu,
    /// Alpha and gamma.
    Selu(f64, f64),
    Sigmoid,
    Sin,
    Softplus,
    Softsign,
    Sqrt,
    /// The factor of the sigmoid's argument.
    Swish(f64),
    Tanh,
    ThresholdedRelu(f64),
}

impl Function {
    /// Its name, without parameters.
    pub(crate) fn name(self) -> String {
        let full = format!("{self:?}");
        full.split('(').next().unwrap_or_default().to_owned()
    }

    pub(crate) fn at(self, x: f64) -> f64 {
        match self {
            Self::Abs => x.abs(),
            Self::Celu(alpha) => x.max(0.0) + (alpha * (x / alpha).exp_m1()).min(0.0),
            Self::Clip(least, most) => x.max(least).min(most),
            Self::Cos => x.cos(),
            Self::Elu(alpha) => {
                if x < 0.0 {
                    alpha * x.exp_m1()
                } else {
                    x
                }
            }
            Self::Erf => erf(x),
            Self::Exp => x.exp(),
            Self::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let inner = std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::HardSigmoid(alpha, beta) => (alpha * x + beta).clamp(0.0, 1.0),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::LeakyRelu(alpha) => {
                if x < 0.0 {
                    alpha * x
                } else {
                    x
                }
            }
            Self::Log => x.ln(),
            Self::Mish => x * softplus(x).tanh(),
            Self::Reciprocal => 1.0 / x,
            Self::Relu => x.max(0.0),
            Self::Selu(alpha, gamma) => gamma * if x < 0.0 { alpha * x.exp_m1() } else { x },
            Self::Sigmoid => sigmoid(x),
            Self::Sin => x.sin(),
            Self::Softplus => softplus(x),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Sqrt => x.sqrt(),
            Self::Swish(alpha) => x * sigmoid(alpha * x),
            Self::Tanh => x.tanh(),
            Self::ThresholdedRelu(alpha) => {
                if x > alpha {
                    x
                } else {
                    0.0
                }
            }
        }
    }
}

pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The error function by its series of positive terms, `2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1))`.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    let mut odd = 1.0;
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_at_known_points() {
        let cases = [
            (Function::Erf, 0.0, 0.0),
            (Function::Erf, 0.5, 0.5204998778130465),
            (Function::Erf, -2.0, -0.9953222650189527),
            (Function::Erf, 7.0, 1.0),
            (Function::Gelu, 1.0, 0.8413447460685429),
            (Function::GeluTanh, 1.0, 0.8411919906082768),
            (Function::Sigmoid, 2.0, 0.8807970779778823),
            (Function::Softplus, -40.0, 4.248354255291589e-18),
            (Function::Mish, 1.0, 0.8650983882673103),
            (Function::HardSwish, -4.0, 0.0),
            (Function::HardSwish, 1.0, 2.0 / 3.0),
            (Function::Clip(0.0, 6.0), 7.0, 6.0),
            (Function::Selu(1.6732632, 1.0507010), -1.0, -1.1113307),
            (Function::LeakyRelu(0.1), -2.0, -0.2),
        ];
        for (function, x, expected) in cases {
            let found = function.at(x);
            assert!(
                (found - expected).abs()
                    < 1e-7_f64.min(1e-6 * expected.abs() + 1e-15) + 1e-7 * expected.abs(),
                "{function:?} at {x}: {found}"
            );
        }
    }
}
