//! Compiled programs, run in the clear slot by slot, against the networks they came from.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod common;

use adyton_ckks::{KeySource, RingKind, Security};
use adyton_compiler::network::Network;
use adyton_compiler::plan::{
    CompileError, CompileOptions, Compiled, Objective, PackedWeights, Part, WeightsError, compile,
};
use adyton_program::{ModelPrivacy, Step, VerifiedProgram};
use common::{
    Random, check, convolution, cryptonets, dense, e2dm, mlp, network, partly, residual, sparse,
};
use proptest::prelude::*;

fn samples(random: &mut Random, network: &Network, count: usize) -> Vec<Vec<f64>> {
    (0..count)
        .map(|_| random.vector(network.input_len()).iter().map(|x| x.abs()).collect())
        .collect()
}

/// Compiles with a loose bound on precision: made-up weights say nothing about it.
fn compiled(network: &Network, objective: Objective, samples: &[Vec<f64>]) -> Compiled {
    let options = CompileOptions { objective, precision: 0.1, ..CompileOptions::new(samples) };
    compile(network, &options).unwrap()
}

/// Options for a small ring: layouts as for large ones, in a fraction of the time.
fn small(samples: &[Vec<f64>]) -> CompileOptions<'_> {
    CompileOptions {
        security: Security::InsecureForTests,
        log_n: 6..=9,
        precision: 0.1,
        ..CompileOptions::new(samples)
    }
}

#[test]
fn shipped_shapes_run_as_the_networks_do() {
    let random = &mut Random(1);
    for network in [mlp(random), cryptonets(random), e2dm(random)] {
        let samples = samples(random, &network, 3);
        for objective in [Objective::Throughput, Objective::Latency] {
            let compiled = compiled(&network, objective, &samples);
            check(&network, &compiled, &samples);
            assert!(compiled.report.max_log_qp <= 430.0);
            assert!(compiled.report.precision.relative <= 0.1);
        }
    }
}

#[test]
fn first_convolutions_need_no_rotation() {
    let random = &mut Random(2);
    let network = cryptonets(random);
    let samples = samples(random, &network, 2);
    let compiled = compiled(&network, Objective::Throughput, &samples);
    let first = &compiled.report.plan.layers[0];
    assert!(first.im2col);
    // For each block of a channel's rows one input for each tap of the kernel, and one product for each of them and each channel.
    let chunks = first.blocks.1 / 5;
    assert_eq!((first.blocks, first.products), ((25 * chunks, 5 * chunks), 125 * chunks));
    let top = compiled.program.parameters.levels.len() - 1;
    let keys = compiled.program.keys.iter().filter(|key| usize::from(key.level) == top);
    let keys: Vec<_> = keys.map(|key| (key.source, key.rotation)).collect();
    // The channels read the same inputs: they share masks, each under a model key of its own.
    let rows = |source: fn(u8) -> KeySource| (0..5).map(source);
    let sources = rows(KeySource::Model).chain(rows(KeySource::ModelTimesInput));
    let unrotated: Vec<_> = sources.chain([KeySource::Input]).map(|source| (source, 0)).collect();
    assert_eq!(keys, unrotated);
    assert_eq!(first.masks, 25 * chunks);
}

#[test]
fn few_outputs_are_rotated_and_summed() {
    let random = &mut Random(3);
    let network = network("flat", &[64], vec![dense(random, 5, 64)]);
    let samples = samples(random, &network, 3);
    let options = CompileOptions { objective: Objective::Latency, ..small(&samples) };
    let compiled = compile(&network, &options).unwrap();
    let layer = &compiled.report.plan.layers[0];
    assert_eq!((layer.periods, layer.strides.clone()), ((64, 8), vec![8, 16, 32]));
    assert_eq!(layer.products, 8);
    check(&network, &compiled, &samples);
}

#[test]
fn plain_weights_need_fewer_keys() {
    let random = &mut Random(4);
    let network = network("two", &[40], vec![dense(random, 20, 40), dense(random, 6, 20)]);
    let samples = samples(random, &network, 3);
    let encrypted = compile(&network, &small(&samples)).unwrap();
    let options = CompileOptions { privacy: ModelPrivacy::Plain, ..small(&samples) };
    let plain = compile(&network, &options).unwrap();
    check(&network, &plain, &samples);
    assert!(plain.program.keys.len() < encrypted.program.keys.len());
    assert!(!plain.program.keys.iter().any(|key| key.source.row().is_some()));
    assert!(plain.report.model_bytes < encrypted.report.model_bytes);
}

#[test]
fn standard_rings_have_half_the_slots() {
    let random = &mut Random(5);
    let network = network("two", &[40], vec![dense(random, 20, 40), dense(random, 6, 20)]);
    let samples = samples(random, &network, 3);
    let options = CompileOptions { ring: RingKind::Standard, ..small(&samples) };
    let compiled = compile(&network, &options).unwrap();
    let slots = compiled.report.plan.positions * compiled.report.plan.lanes;
    assert_eq!(2 * slots, 1 << compiled.report.log_n);
    check(&network, &compiled, &samples);
}

#[test]
fn zero_matrices_and_unread_inputs_are_carried() {
    let random = &mut Random(6);
    let mut first = sparse(random, 40, 64, 0.0);
    first.bias[3] = 0.5;
    // Only the first of the second layer's columns is read.
    let second = sparse(random, 3, 40, 0.02);
    let network = network("hollow", &[64], vec![first, second]);
    let samples = samples(random, &network, 2);
    for objective in [Objective::Throughput, Objective::Latency] {
        let options = CompileOptions { objective, precision: f64::MAX, ..small(&samples) };
        check(&network, &compile(&network, &options).unwrap(), &samples);
    }
}

#[test]
fn residual_branches_pass_squares() {
    let random = &mut Random(11);
    let network = residual(random, 20, 12);
    let samples = samples(random, &network, 3);
    for objective in [Objective::Throughput, Objective::Latency] {
        let options = CompileOptions { objective, log_n: 6..=10, ..small(&samples) };
        let compiled = compile(&network, &options).unwrap();
        check(&network, &compiled, &samples);
        let layers = &compiled.report.plan.layers;
        assert_eq!(layers.iter().map(|layer| layer.level).collect::<Vec<_>>(), [4, 2, 0]);
        assert!(layers[0].squared < layers[0].blocks.1);
        let lowered =
            compiled.program.steps.iter().filter(|step| matches!(step, Step::Lower { .. }));
        assert_eq!(
            lowered.count(),
            layers[..2].iter().map(|layer| layer.blocks.1 - layer.squared).sum::<usize>()
        );
    }
}

#[test]
fn two_linear_maps_in_a_row_take_a_level_each() {
    let random = &mut Random(12);
    let affines = vec![dense(random, 4, 32), dense(random, 24, 4), dense(random, 3, 24)];
    let network = partly("factored", &[32], affines, &[0, 24]);
    let samples = samples(random, &network, 3);
    for objective in [Objective::Throughput, Objective::Latency] {
        let options = CompileOptions { objective, ..small(&samples) };
        let compiled = compile(&network, &options).unwrap();
        check(&network, &compiled, &samples);
        let layers = &compiled.report.plan.layers;
        assert_eq!(layers.iter().map(|layer| layer.level).collect::<Vec<_>>(), [3, 2, 0]);
        assert!(!compiled.program.steps.iter().any(|step| matches!(step, Step::Lower { .. })));
    }
}

#[test]
fn the_smallest_ring_that_does_is_taken() {
    let random = &mut Random(7);
    let network = network("tiny", &[16], vec![dense(random, 4, 16)]);
    let samples = samples(random, &network, 4);
    let options = CompileOptions { precision: f64::MAX, ..CompileOptions::new(&samples) };
    let compiled = compile(&network, &options).unwrap();
    // One affine layer needs 106 bits at most, which N = 2^12 has.
    assert_eq!(compiled.report.log_n, 12);
    assert!(compiled.report.max_log_qp <= 106.0);
}

#[test]
fn refusals_name_their_reason() {
    let random = &mut Random(8);
    let network = mlp(random);
    let samples = samples(random, &network, 2);
    let options = CompileOptions::new(&samples);
    let refusal = |options: &CompileOptions<'_>| compile(&network, options).unwrap_err();

    assert!(matches!(refusal(&CompileOptions::new(&[])), CompileError::NoCalibration));
    let short = vec![vec![0.0; 3]];
    assert!(matches!(refusal(&CompileOptions::new(&short)), CompileError::Shape(_)));
    let infinite = vec![vec![f64::NAN; 784]];
    assert!(matches!(refusal(&CompileOptions::new(&infinite)), CompileError::NotFinite(_)));
    let small = CompileOptions { log_n: 12..=12, ..options.clone() };
    assert!(matches!(refusal(&small), CompileError::NoRoom { layers: 2, depth: 3, log_n: 12, .. }));
    let poor = CompileOptions { memory: 1 << 20, log_n: 13..=13, ..options.clone() };
    assert!(matches!(refusal(&poor), CompileError::Memory { .. }));
    let strict = CompileOptions { precision: 1e-9, log_n: 13..=13, ..options };
    match refusal(&strict) {
        CompileError::Precision { log_n: 13, predicted, binding, .. } => {
            assert!(predicted > 1e-9);
            assert!(binding.layer < 2 && binding.part != Part::Sums || binding.layer == 0);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn packed_weights_round_trip_and_refuse() {
    let random = &mut Random(9);
    let network = network("two", &[40], vec![dense(random, 20, 40), dense(random, 6, 20)]);
    let samples = samples(random, &network, 2);
    let compiled = compile(&network, &small(&samples)).unwrap();
    let program = VerifiedProgram::new_insecure_for_tests(compiled.program).unwrap();
    let bytes = compiled.weights.encode();
    assert_eq!(PackedWeights::decode(&bytes, &program).as_ref(), Ok(&compiled.weights));
    assert!(matches!(
        PackedWeights::decode(&bytes[1..], &program),
        Err(WeightsError::Length { .. })
    ));
    let mut other = bytes.clone();
    other[20] ^= 1;
    assert_eq!(PackedWeights::decode(&other, &program), Err(WeightsError::Header));
    let mut infinite = bytes;
    let last = infinite.len() - 8;
    infinite[last..].copy_from_slice(&f64::INFINITY.to_le_bytes());
    let vector = program.program().weights.len() - 1;
    assert_eq!(PackedWeights::decode(&infinite, &program), Err(WeightsError::NotFinite { vector }));
    let vectors = compiled.weights.vectors().len();
    let shown = format!("{:?}", compiled.weights);
    assert_eq!(shown, format!("PackedWeights {{ vectors: {vectors}, .. }}"), "no weight is shown");
}

#[test]
fn calibration_sets_range_and_bound() {
    let random = &mut Random(10);
    let network = network("tiny", &[16], vec![dense(random, 4, 16)]);
    let mut samples = samples(random, &network, 4);
    samples[2][5] = -1.7;
    let compiled = compile(&network, &small(&samples)).unwrap();
    assert_eq!(compiled.program.input.bound, 2.0);
    let largest = samples.iter().flat_map(|sample| network.run(sample).unwrap());
    let largest = largest.fold(0.0, |max: f64, x| max.max(x.abs()));
    let range = compiled.program.output.range;
    assert!(range >= 2.0 * largest && range < 4.0 * largest && range.log2().fract() == 0.0);
    let (output, precision) = (&compiled.program.output, &compiled.report.precision);
    assert_eq!((output.deviation, output.released_deviation), (precision.std, precision.released));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Sparse or dense, wide or narrow, deep or flat: every slot of the result is what the network says.
    #[test]
    fn made_up_networks_run_as_they_should(
        seed: u64,
        input in 1usize..80,
        widths in proptest::collection::vec(1usize..48, 1..4),
        density in prop_oneof![Just(1.0), Just(0.3), Just(0.05)],
        latency: bool,
        plain: bool,
        part in prop_oneof![Just(1.0), 0.0..1.0, Just(0.0)],
    ) {
        let random = &mut Random(seed);
        let mut affines = Vec::new();
        let mut columns = input;
        for &rows in &widths {
            affines.push(sparse(random, rows, columns, density));
            columns = rows;
        }
        // Some of the values are squared, all, or none.
        let squared: Vec<usize> =
            widths.iter().map(|&rows| (part * rows as f64).round() as usize).collect();
        let network = partly("made up", &[input], affines, &squared);
        let samples = samples(random, &network, 2);
        let options = CompileOptions {
            objective: if latency { Objective::Latency } else { Objective::Throughput },
            privacy: if plain { ModelPrivacy::Plain } else { ModelPrivacy::Encrypted },
            precision: f64::MAX,
            ..small(&samples)
        };
        let compiled = compile(&network, &options).unwrap();
        check(&network, &compiled, &samples);
        // What is stored is what is needed: no product of a zero vector, but where a block would have none.
        let zeros = compiled.weights.vectors().iter().filter(|v| v.iter().all(|&x| x == 0.0));
        let blocks: usize =
            compiled.report.plan.layers.iter().map(|layer| layer.blocks.0 + layer.blocks.1).sum();
        prop_assert!(zeros.count() <= blocks);
    }

    #[test]
    fn made_up_convolutions_run_as_they_should(
        seed: u64,
        side in 8usize..14,
        kernel in 1usize..4,
        stride in 1usize..3,
        padding in 0usize..2,
        channels in 1usize..4,
        passed in 0usize..3,
        latency: bool,
    ) {
        let random = &mut Random(seed);
        let first = convolution(random, side, kernel, stride, padding, channels);
        let rows = first.matrix.rows();
        // Whole channels pass: the layer may keep its layout.
        let squared = rows / channels * channels.saturating_sub(passed);
        let second = dense(random, 5, rows);
        let network = partly("convolution", &[1, side, side], vec![first, second], &[squared]);
        let samples = samples(random, &network, 2);
        let objective = if latency { Objective::Latency } else { Objective::Throughput };
        let options = CompileOptions { objective, precision: f64::MAX, ..small(&samples) };
        let compiled = compile(&network, &options).unwrap();
        check(&network, &compiled, &samples);
        let first = &compiled.report.plan.layers[0];
        let rotations =
            compiled.program.steps.iter().filter(|step| matches!(step, Step::Rotations { .. }));
        prop_assert!(!first.im2col || rotations.count() <= first.blocks.1);
    }
}
