//! The network: y_i = w_i·x_i for three features, then z_p = y_p + y_(p+1). Four outputs stand in positions 0 to 3, a copy of the last in
//! the last position, zero elsewhere. Its rotation by one position is a key that the host has and turns against the enclave.

use adyton_ckks::{Gadget, Parameters, ParametersLiteral, RingKind, Scale, Security};
use adyton_program::{InputLayout, ModelPrivacy, OutputLayout, Program, Step, WeightSpec, infer};
use adyton_ring::ntt_primes;

use crate::common::{LANES, WEIGHTS};

/// Degree 2^6: protects nothing, so that what stops an attack is the enclave and not the lattice.
pub(crate) const LOG_N: u8 = 6;
/// Deviation of an honest slot; the honest jobs of every attack are held to it.
pub(crate) const DEVIATION: f64 = 1.0 / (1u64 << 32) as f64;
/// Positions of outputs, and of each output's first place.
pub(crate) const OUTPUTS: usize = 4;
/// Largest absolute output of the ordinary program.
pub(crate) const RANGE: f64 = 16.0;
/// Samples of the honest jobs: all lanes are used.
pub(crate) const SAMPLES: [[f64; 3]; LANES] =
    [[1.0, 2.0, 3.0], [-2.0, 0.5, -0.25], [0.0, -1.5, 2.5], [3.0, 1.0, -1.0]];

/// What stands in the result's positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Four outputs and a copy; the rest must be noise.
    Declared,
    /// An output in every position: nothing is left to be checked for noise.
    EverySlot,
}

/// The program that the parties agreed on.
pub(crate) fn program(layout: Layout, range: f64) -> anyhow::Result<Program> {
    let kind = RingKind::ConjugateInvariant;
    let large = ntt_primes(kind, LOG_N, 46, 2, &[])?;
    let small = ntt_primes(kind, LOG_N, 40, 2, &[])?;
    let positions = (1usize << LOG_N) / LANES;
    let mut features = vec![Some(0), Some(1), Some(2), Some(0)];
    features.resize(positions, None);
    let mut places = vec![Some(0), Some(1), Some(2), Some(3)];
    places.resize(positions, None);
    if let Some(last) = places.last_mut() {
        *last = Some(3);
    }
    if layout == Layout::EverySlot {
        places = (0..positions as u32).map(Some).collect();
    }
    let outputs = if layout == Layout::EverySlot { positions } else { OUTPUTS } as u32;
    let gadget = Some(Gadget { digit_primes: 1, special_primes: 1 });
    let mut program = Program {
        name: "three products and a rotation".to_owned(),
        parameters: ParametersLiteral {
            kind,
            log_n: LOG_N,
            primes: vec![large[0], small[0], small[1]],
            special_primes: vec![large[1]],
            levels: vec![vec![0], vec![0, 1], vec![0, 1, 2]],
            gadgets: vec![None, gadget, gadget],
            security: Security::InsecureForTests,
        },
        privacy: ModelPrivacy::Encrypted,
        input: InputLayout {
            shape: vec![3],
            lanes: LANES as u32,
            positions: positions as u32,
            ciphertexts: vec![features],
            scale: Scale::pow2(40),
            bound: 4.0,
        },
        weights: vec![WeightSpec {
            level: 2,
            scale: Scale::product([small[0], small[1]]),
            mask: 0,
            row: 0,
        }],
        steps: vec![
            Step::Products { terms: vec![(0, 0)], bias: None },
            Step::SwitchSum { terms: vec![(1, 0)], rescale: true },
            Step::SwitchSum { terms: vec![(2, 0), (2, LANES as u32)], rescale: true },
        ],
        output: OutputLayout {
            value: 3,
            outputs,
            positions: places,
            range,
            deviation: DEVIATION,
            released_deviation: DEVIATION,
        },
        keys: Vec::new(),
    };
    let parameters = Parameters::new_insecure_for_tests(&program.parameters)?;
    program.keys = infer(&program, &parameters)?.keys;
    Ok(program)
}

/// The four outputs of a sample.
pub(crate) fn expected(sample: &[f64; 3]) -> [f64; OUTPUTS] {
    let [a, b, c] = [0, 1, 2].map(|i| sample[i] * WEIGHTS[i]);
    [a + b, b + c, c + a, a]
}
