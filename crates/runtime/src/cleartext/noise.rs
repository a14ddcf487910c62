//! Noise for the cleartext backend: Gaussian, by slot, and reproducible.

use std::f64::consts::TAU;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::Place;

/// Standard deviations of the noise in a slot, in the units of the network (ring units divided by the scale).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deviations {
    /// Of every weight.
    pub weights: Vec<f64>,
    /// Of the inputs.
    pub input: f64,
    /// Of the outputs of each step: what the step itself adds. What comes in with its operands is not counted again.
    pub steps: Vec<f64>,
}

/// Where noise enters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    Weight(usize),
    Input { group: usize, index: usize },
    Step { at: Place, output: usize },
}

/// Draws noise; each origin has its own stream, so the order of drawing does not matter.
#[derive(Clone, Debug)]
pub(super) struct Source {
    deviations: Deviations,
    seed: u64,
}

impl Source {
    pub(super) const fn new(deviations: Deviations, seed: u64) -> Self {
        Self { deviations, seed }
    }

    /// Adds noise to every slot.
    pub(super) fn disturb(&self, origin: Origin, slots: &mut [f64]) {
        let (deviation, stream) = match origin {
            Origin::Weight(index) => (self.deviations.weights.get(index), [0, index, 0, 0]),
            Origin::Input { group, index } => (Some(&self.deviations.input), [1, group, index, 0]),
            Origin::Step { at, output } => {
                (self.deviations.steps.get(at.step), [2, at.group, at.step, output])
            }
        };
        let Some(&deviation) = deviation.filter(|&&deviation| deviation > 0.0) else { return };
        let mut rng = self.stream(stream);
        for pair in slots.chunks_mut(2) {
            for (slot, gauss) in pair.iter_mut().zip(gaussians(&mut rng)) {
                *slot += deviation * gauss;
            }
        }
    }

    fn stream(&self, stream: [usize; 4]) -> ChaCha8Rng {
        let mut seed = [0; 32];
        let [kind, group, index, output] = stream;
        // Programs and runs are far smaller than 2^32 steps or groups.
        let words = [self.seed, (kind + 4 * output) as u64, group as u64, index as u64];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(seed)
    }
}

/// Two independent standard Gaussians (Box and Muller, 1958).
fn gaussians(rng: &mut impl Rng) -> [f64; 2] {
    // Uniform in (0, 1] and [0, 1), 53 bits each.
    let unit = (1_u64 << 53) as f64;
    let radius = ((((rng.next_u64() >> 11) + 1) as f64 / unit).ln() * -2.0).sqrt();
    let (sin, cos) = (TAU * (rng.next_u64() >> 11) as f64 / unit).sin_cos();
    [radius * cos, radius * sin]
}
