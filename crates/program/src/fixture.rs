//! A small program that has one of everything, for tests: two products, baby rotations, a rescale, a square, rotate-and-sum.

use adyton_ckks::{Gadget, KeySource, KeySpec, ParametersLiteral, RingKind, Scale, Security};
use adyton_ring::ntt_primes;

use crate::{InputLayout, ModelPrivacy, OutputLayout, Program, Step, VerifiedProgram, WeightSpec};

pub(crate) const LOG_N: u8 = 5;
pub(crate) const LANES: u32 = 4;
const POSITIONS: u32 = 8;

/// Parameters with four levels: level 0 of two primes, one prime more for each further level, keys wherever the program needs
/// them.
pub(crate) fn parameters() -> ParametersLiteral {
    let kind = RingKind::ConjugateInvariant;
    let primes = ntt_primes(kind, LOG_N, 40, 5, &[]).unwrap();
    let special_primes = ntt_primes(kind, LOG_N, 40, 1, &primes).unwrap();
    let gadget = Some(Gadget { digit_primes: 1, special_primes: 1 });
    ParametersLiteral {
        kind,
        log_n: LOG_N,
        levels: (2..=5).map(|end| (0..end).collect()).collect(),
        gadgets: vec![gadget; 4],
        primes,
        special_primes,
        security: Security::InsecureForTests,
    }
}

/// Value numbers: 0, 1 inputs; 2 rotated twice: 2, 3; 4 products of them; 5 products with input 1; 6 result; 7 square; 8 relinearized;
/// 9 products; 10 switched; 11 rotated and summed, the output.
pub(crate) fn program() -> Program {
    let parameters = parameters();
    let prime = |index: usize| Scale::prime(parameters.primes[index]);
    let input = Scale::pow2(40);
    let weight = |mask: u32, row: u8, level: u8, scale: &Scale| WeightSpec {
        level,
        scale: scale.clone(),
        mask,
        row,
    };
    let first = prime(4);
    let product = input.mul(&first);
    let second = prime(2);
    // Level 3 to 2 after the first layer, 2 to 1 after the square, 1 to 0 after the second.
    let keys = |level: u8, sources: &[(KeySource, u32)]| {
        sources
            .iter()
            .map(|&(source, rotation)| KeySpec { source, rotation, level })
            .collect::<Vec<_>>()
    };
    let mut manifest = [
        keys(3, &[(KeySource::Input, 0), (KeySource::Input, 4), (KeySource::Input, 8)]),
        keys(3, &[(KeySource::Model(0), 0), (KeySource::ModelTimesResult(0), 0)]),
        keys(3, &[(KeySource::Model(1), 8), (KeySource::ModelTimesInput(1), 8)]),
        keys(2, &[(KeySource::ResultSquared, 0)]),
        keys(
            1,
            &[
                (KeySource::Model(0), 12),
                (KeySource::ModelTimesResult(0), 12),
                (KeySource::Result, 12),
            ],
        ),
        keys(0, &[(KeySource::Result, 16)]),
    ]
    .concat();
    manifest.sort_unstable();
    manifest.dedup();
    Program {
        name: "fixture".to_owned(),
        privacy: ModelPrivacy::Encrypted,
        input: InputLayout {
            shape: vec![2, 5],
            lanes: LANES,
            positions: POSITIONS,
            ciphertexts: vec![
                (0..8).map(Some).collect(),
                vec![Some(8), Some(9), None, None, Some(8), Some(9), None, None],
            ],
            scale: input,
            bound: 1.0,
        },
        weights: vec![
            weight(0, 0, 3, &first),
            weight(1, 0, 3, &first),
            weight(2, 0, 3, &product),
            weight(0, 1, 3, &first),
            weight(3, 0, 1, &second),
        ],
        steps: vec![
            Step::Rotations { of: 0, by: vec![0, 4] },
            Step::Products { terms: vec![(0, 2), (1, 3)], bias: Some(2) },
            Step::Products { terms: vec![(3, 1)], bias: None },
            Step::SwitchSum { terms: vec![(4, 0), (5, 8)], rescale: true },
            Step::Square { of: 6 },
            Step::Relinearize { of: 7, rescale: true },
            Step::Products { terms: vec![(4, 8)], bias: None },
            Step::SwitchSum { terms: vec![(9, 12)], rescale: true },
            Step::SwitchSum { terms: vec![(10, 0), (10, 16)], rescale: false },
        ],
        output: OutputLayout {
            value: 11,
            outputs: 3,
            positions: vec![Some(0), Some(1), Some(2), None, Some(0), Some(1), Some(2), None],
            range: 8.0,
            deviation: 1e-7,
            released_deviation: 8e-8,
        },
        keys: manifest,
        parameters,
    }
}

pub(crate) fn verified() -> VerifiedProgram {
    VerifiedProgram::new_insecure_for_tests(program()).unwrap()
}
