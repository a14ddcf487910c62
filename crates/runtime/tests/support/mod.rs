//! Programs, keys and oracles for the tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod program;
pub(crate) mod secrets;

use adyton_program::{Program, Step};

/// A program carried out the plain way: every value of one group, with nothing of the runtime in it.
pub(crate) fn interpret(
    program: &Program,
    weights: &[Vec<f64>],
    inputs: &[Vec<f64>],
) -> Vec<Vec<f64>> {
    let lanes = program.input.lanes as usize;
    let slots = lanes * program.input.positions as usize;
    let rotate = |value: &[f64], by: u32| -> Vec<f64> {
        (0..slots).map(|slot| value[(slot + by as usize) % slots]).collect()
    };
    let mut values = inputs.to_vec();
    for step in &program.steps {
        let outputs = match step {
            Step::Rotations { of, by } => {
                by.iter().map(|&by| rotate(&values[*of as usize], by)).collect()
            }
            Step::Products { terms, bias } => {
                let at = |slot: usize| {
                    let product = |&(weight, value): &(u32, u32)| {
                        weights[weight as usize][slot / lanes] * values[value as usize][slot]
                    };
                    let bias = bias.map_or(0.0, |bias| weights[bias as usize][slot / lanes]);
                    terms.iter().map(product).sum::<f64>() + bias
                };
                vec![(0..slots).map(at).collect()]
            }
            Step::SwitchSum { terms, .. } => {
                let mut sum = vec![0.0; slots];
                for &(value, by) in terms {
                    let moved = rotate(&values[value as usize], by);
                    sum.iter_mut().zip(moved).for_each(|(sum, slot)| *sum += slot);
                }
                vec![sum]
            }
            Step::Square { of } => {
                vec![values[*of as usize].iter().map(|slot| slot * slot).collect()]
            }
            Step::Relinearize { of, .. } | Step::Lower { of } => vec![values[*of as usize].clone()],
        };
        values.extend::<Vec<Vec<f64>>>(outputs);
    }
    values
}

/// The largest difference between two vectors of one length.
pub(crate) fn distance(left: &[f64], right: &[f64]) -> f64 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
}
