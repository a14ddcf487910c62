//! The verifier refuses every kind of malformed program, and says where.

use adyton_ckks::{KeySource, ParametersError, Security};

use super::*;
use crate::{ModelPrivacy, Step, fixture};

/// The error of the fixture after a change.
fn refusal(change: impl FnOnce(&mut Program)) -> VerifyError {
    let mut program = fixture::program();
    change(&mut program);
    VerifiedProgram::new_insecure_for_tests(program).unwrap_err()
}

/// The error of a step of the fixture after a change to the program, keys aside.
fn step_refusal(step: usize, change: impl FnOnce(&mut Program)) -> StepError {
    match refusal(change) {
        VerifyError::Step { step: found, error } if found == step => error,
        other => panic!("expected an error of step {step}, got {other:?}"),
    }
}

#[test]
fn the_fixture_is_accepted() {
    let verified = fixture::verified();
    assert_eq!(verified.id(), fixture::program().id());
    let forms: Vec<_> = verified.types().iter().map(|value| (value.form, value.level)).collect();
    assert_eq!(
        forms,
        [
            (Form::Fresh, 3),
            (Form::Fresh, 3),
            (Form::Result, 3),
            (Form::Result, 3),
            (Form::ResultProducts, 3),
            (Form::FreshProducts, 3),
            (Form::Result, 2),
            (Form::Degree2, 2),
            (Form::Result, 1),
            (Form::ResultProducts, 1),
            (Form::Result, 0),
            (Form::Result, 0),
        ]
    );
    assert_eq!(verified.first_outputs(), [2, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(verified.value_type(6).unwrap().scale, Scale::pow2(40));
    assert!(verified.value_type(12).is_none());
}

#[test]
fn values_are_released_after_their_last_reader() {
    let verified = fixture::verified();
    let released: Vec<&[ValueId]> = verified.released_after().iter().map(Vec::as_slice).collect();
    let expected: [&[ValueId]; 9] = [&[0], &[2, 3], &[1], &[4, 5], &[6], &[7], &[8], &[9], &[10]];
    assert_eq!(released, expected);
}

#[test]
fn insecure_parameters_are_refused_but_in_tests() {
    assert!(matches!(
        VerifiedProgram::new(fixture::program()),
        Err(VerifyError::Parameters(adyton_ckks::ParametersError::InsecureRefused))
    ));
    let error = refusal(|program| program.parameters.security = Security::Classical128);
    assert!(matches!(error, VerifyError::Parameters(_)));
}

#[test]
fn the_manifest_is_exact() {
    let keys = fixture::program().keys;
    for (index, &missing) in keys.iter().enumerate() {
        let error = refusal(|program| {
            program.keys.remove(index);
        });
        assert!(matches!(error, VerifyError::MissingKey(key) if key == missing));
    }
    let extra = KeySpec { source: KeySource::Result, rotation: 4, level: 1 };
    let error = refusal(|program| {
        program.keys.push(extra);
        program.keys.sort_unstable();
    });
    assert!(matches!(error, VerifyError::SurplusKey(_)));
    let error = refusal(|program| program.keys.push(keys[keys.len() - 1]));
    assert!(matches!(error, VerifyError::SurplusKey(_)));
    let error = refusal(|program| program.keys.swap(0, 1));
    assert!(matches!(error, VerifyError::SurplusKey(_)));
    // Plain weights have no components under the model key.
    let error = refusal(|program| {
        program.privacy = ModelPrivacy::Plain;
        program.weights.iter_mut().for_each(|weight| (weight.mask, weight.row) = (0, 0));
    });
    assert!(matches!(error, VerifyError::SurplusKey(_)));
}

/// A mask hides one weight of each row, no more.
#[test]
fn masks_are_shared_by_rows_alone() {
    let error = refusal(|program| program.weights[1].mask = 0);
    assert!(matches!(error, VerifyError::Weight { weight: 1, .. }), "twice in a row");
    let error = refusal(|program| program.weights[4].mask = 1);
    assert!(matches!(error, VerifyError::Weight { weight: 4, .. }), "twice in a row, far apart");
    let error = refusal(|program| (program.weights[4].mask, program.weights[4].row) = (1, 1));
    assert!(matches!(error, VerifyError::Weight { weight: 4, .. }), "at another level");
    let error = refusal(|program| program.privacy = ModelPrivacy::Plain);
    assert!(matches!(error, VerifyError::Weight { weight: 1, .. }), "plain weights have none");
}

#[test]
fn operands_are_defined_before_they_are_read() {
    let error = step_refusal(1, |program| {
        program.steps[1] = Step::Products { terms: vec![(0, 4)], bias: None };
    });
    assert!(matches!(error, StepError::UnknownValue { value: 4, defined: 4 }));
    let error = step_refusal(4, |program| program.steps[4] = Step::Square { of: u32::MAX });
    assert!(matches!(error, StepError::UnknownValue { .. }));
    let error = step_refusal(1, |program| {
        program.steps[1] = Step::Products { terms: vec![(9, 2)], bias: None };
    });
    assert!(matches!(error, StepError::UnknownWeight { weight: 9, declared: 5 }));
}

#[test]
fn forms_are_checked() {
    let error = step_refusal(4, |program| program.steps[4] = Step::Square { of: 1 });
    assert!(matches!(error, StepError::Form { value: 1, found: Form::Fresh, .. }));
    let error = step_refusal(5, |program| {
        program.steps[5] = Step::Relinearize { of: 6, rescale: true };
    });
    assert!(matches!(error, StepError::Form { value: 6, found: Form::Result, .. }));
    let error = step_refusal(0, |program| {
        program.steps.insert(0, Step::SwitchSum { terms: vec![(0, 0)], rescale: false });
    });
    assert!(matches!(error, StepError::Form { value: 0, found: Form::Fresh, .. }));
    let error = step_refusal(1, |program| {
        program.steps[1] = Step::Products { terms: vec![(0, 2), (1, 0)], bias: Some(2) };
    });
    assert!(matches!(error, StepError::MixedForms { value: 0, found: Form::Fresh, .. }));
}

#[test]
fn terms_match_exactly() {
    let error = step_refusal(8, |program| {
        program.steps[8] = Step::SwitchSum { terms: vec![(10, 0), (8, 16)], rescale: false };
    });
    assert!(matches!(error, StepError::Level { value: 8, expected: 0, found: 1 }));
    let error = step_refusal(1, |program| program.weights[1].scale = Scale::pow2(40));
    assert!(matches!(error, StepError::WeightScale { weight: 1, .. }));
    let error = step_refusal(1, |program| program.weights[2].scale = Scale::pow2(80));
    assert!(matches!(error, StepError::WeightScale { weight: 2, .. }));
    let error = step_refusal(1, |program| program.weights[1].level = 2);
    assert!(matches!(error, StepError::WeightLevel { weight: 1, expected: 3, found: 2 }));
    let error = step_refusal(1, |program| program.weights[1].row = 7);
    assert!(matches!(error, StepError::WeightRow { weight: 1, expected: 0, found: 7 }));
    // A term whose scale is close but not equal.
    let error = step_refusal(3, |program| {
        program.weights[3].scale = Scale::prime(program.parameters.primes[3]);
    });
    assert!(matches!(error, StepError::Scale { value: 5, .. }));
}

/// The fixture with what the square takes passed beside it, so that the second layer's products have operands of two scales.
fn with_passed_value(program: &mut Program) {
    let square = Scale::pow2(80).div(&Scale::prime(program.parameters.primes[3]));
    let WeightSpec { level, scale, .. } = program.weights[4].clone();
    let scale = scale.mul(&square).div(&Scale::pow2(40));
    program.weights.push(WeightSpec { level, scale, mask: 4, row: 0 });
    program.steps.insert(6, Step::Lower { of: 6 });
    program.steps[7] = Step::Products { terms: vec![(4, 8), (5, 9)], bias: None };
    program.steps[8] = Step::SwitchSum { terms: vec![(10, 12)], rescale: true };
    program.steps[9] = Step::SwitchSum { terms: vec![(11, 0), (11, 16)], rescale: false };
    program.output.value += 1;
}

#[test]
fn weights_make_up_for_the_scales_of_their_values() {
    let mut program = fixture::program();
    with_passed_value(&mut program);
    let verified = VerifiedProgram::new_insecure_for_tests(program).unwrap();
    let lowered = verified.value_type(9).unwrap();
    assert_eq!((lowered.form, lowered.level, &lowered.scale), (Form::Result, 1, &Scale::pow2(40)));
    assert_ne!(verified.value_type(8).unwrap().scale, lowered.scale);

    let error = step_refusal(7, |program| {
        with_passed_value(program);
        program.weights[5].scale = program.weights[4].scale.clone();
    });
    assert!(matches!(error, StepError::WeightScale { weight: 5, .. }));
}

#[test]
fn levels_are_left_by_results_where_primes_can_be_left_out() {
    let error = step_refusal(0, |program| program.steps.insert(0, Step::Lower { of: 0 }));
    assert!(matches!(error, StepError::Form { value: 0, found: Form::Fresh, .. }));
    let lowest = ParametersError::LowestLevel;
    let error = step_refusal(9, |program| program.steps.push(Step::Lower { of: 11 }));
    assert!(matches!(error, StepError::Lower { level: 0, error } if error == lowest));
    // A level below with a prime of its own is reached by a rescale alone.
    let error = step_refusal(6, |program| {
        with_passed_value(program);
        program.parameters.levels[1] = vec![0, 1, 4];
    });
    assert!(matches!(error, StepError::Lower { level: 2, .. }));
}

#[test]
fn rotations_are_whole_positions_within_the_ciphertext() {
    let error = step_refusal(0, |program| {
        program.steps[0] = Step::Rotations { of: 0, by: vec![0, 32] };
    });
    assert!(matches!(error, StepError::RotationTooFar { rotation: 32, slots: 32 }));
    let error = step_refusal(3, |program| {
        program.steps[3] = Step::SwitchSum { terms: vec![(4, 0), (5, 6)], rescale: true };
    });
    assert!(matches!(error, StepError::RotationMixesLanes { rotation: 6, lanes: 4 }));
    let error = step_refusal(0, |program| {
        program.steps[0] = Step::Rotations { of: 0, by: vec![4, 0] };
    });
    assert!(matches!(error, StepError::UnsortedRotations));
}

#[test]
fn empty_steps_are_refused() {
    for (step, empty) in [
        (0, Step::Rotations { of: 0, by: Vec::new() }),
        (1, Step::Products { terms: Vec::new(), bias: Some(2) }),
        (3, Step::SwitchSum { terms: Vec::new(), rescale: true }),
    ] {
        let error = step_refusal(step, |program| program.steps[step] = empty);
        assert!(matches!(error, StepError::Empty));
    }
}

#[test]
fn levels_end_at_zero_and_keys_need_a_gadget() {
    let error = step_refusal(8, |program| {
        program.steps[8] = Step::SwitchSum { terms: vec![(10, 0), (10, 16)], rescale: true };
    });
    assert!(matches!(error, StepError::NothingBelow));
    let error = step_refusal(5, |program| program.parameters.gadgets[2] = None);
    assert!(matches!(error, StepError::Key { key: KeySpec { level: 2, .. }, .. }));
}

#[test]
fn scales_fit_their_modulus() {
    // Squares without a rescale: 40, 80, 160 bits of scale under a modulus of 160.
    let error = step_refusal(6, |program| {
        program.steps.truncate(4);
        program.steps.push(Step::Square { of: 6 });
        program.steps.push(Step::Relinearize { of: 7, rescale: false });
        program.steps.push(Step::Square { of: 8 });
    });
    assert!(matches!(error, StepError::ScaleOutOfRange { .. }));
    let error = refusal(|program| program.input.scale = Scale::pow2(199));
    assert!(matches!(error, VerifyError::Step { error: StepError::ScaleOutOfRange { .. }, .. }));
}

#[test]
fn declared_scales_are_sane() {
    let weight = |scale: Scale| refusal(|program| program.weights[4].scale = scale);
    for scale in [
        Scale::prime(7),
        Scale::pow2(-1),
        Scale::pow2(i16::MAX),
        Scale::pow2(130),
        Scale::one().div(&Scale::prime(fixture::parameters().primes[0])),
    ] {
        assert!(matches!(weight(scale), VerifyError::Weight { weight: 4, .. }));
    }
    let error = refusal(|program| program.weights[4].level = 4);
    assert!(matches!(error, VerifyError::Weight { weight: 4, .. }));
    let error = refusal(|program| program.input.scale = Scale::prime(7));
    assert!(matches!(error, VerifyError::Input(_)));
}

#[test]
fn layouts_are_checked() {
    let changes: [fn(&mut Program); 8] = [
        |program| program.input.lanes = 8,
        |program| program.input.positions = 4,
        |program| program.input.shape = vec![u32::MAX, u32::MAX],
        |program| program.input.shape = vec![],
        |program| program.input.ciphertexts.clear(),
        |program| program.input.ciphertexts[0].truncate(7),
        |program| program.input.ciphertexts[0][0] = Some(10),
        |program| program.input.bound = f64::NAN,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let error = refusal(change);
        assert!(matches!(error, VerifyError::Input(_)), "change {index}: {error:?}");
    }
    let changes: [fn(&mut Program); 10] = [
        |program| program.output.value = 12,
        |program| program.output.outputs = 0,
        |program| program.output.outputs = 4,
        |program| program.output.outputs = 9,
        |program| program.output.positions.truncate(7),
        |program| program.output.positions[3] = Some(3),
        |program| program.output.range = 1e20,
        |program| program.output.deviation = 0.0,
        |program| program.output.released_deviation = 0.0,
        |program| program.output.released_deviation = 2e-7,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let error = refusal(change);
        assert!(matches!(error, VerifyError::Output(_)), "change {index}: {error:?}");
    }
    let error = refusal(|program| program.output.value = 8);
    assert!(matches!(error, VerifyError::OutputForm { found: Form::Result, level: 1 }));
    let error = refusal(|program| program.output.value = 9);
    assert!(matches!(error, VerifyError::OutputForm { found: Form::ResultProducts, .. }));
}

#[test]
fn nothing_is_idle() {
    let error = refusal(|program| {
        let weight = WeightSpec { mask: 9, ..program.weights[0].clone() };
        program.weights.push(weight);
    });
    assert!(matches!(error, VerifyError::UnusedWeight(5)));
    let error = refusal(|program| {
        let places = program.input.ciphertexts[0].clone();
        program.input.ciphertexts.push(places);
        // Everything after the inputs is one further on.
        for step in &mut program.steps {
            let shift = |value: &mut ValueId| *value += u32::from(*value > 1);
            match step {
                Step::Rotations { of, .. }
                | Step::Square { of }
                | Step::Relinearize { of, .. }
                | Step::Lower { of } => shift(of),
                Step::Products { terms, .. } => {
                    terms.iter_mut().for_each(|term| shift(&mut term.1))
                }
                Step::SwitchSum { terms, .. } => {
                    terms.iter_mut().for_each(|term| shift(&mut term.0));
                }
            }
        }
        program.output.value += 1;
    });
    assert!(matches!(error, VerifyError::UnusedValue(2)));
}

#[test]
fn sizes_are_bounded() {
    let too_many = |change: fn(&mut Program)| match refusal(change) {
        VerifyError::TooMany { what, .. } => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(too_many(|program| program.name = "x".repeat(129)), "bytes of name");
    assert_eq!(too_many(|program| program.input.shape = vec![1; 9]), "axes of input shape");
    assert_eq!(
        too_many(|program| {
            let places = program.input.ciphertexts[0].clone();
            program.input.ciphertexts = vec![places; limits::MAX_INPUTS + 1];
        }),
        "input ciphertexts"
    );
    assert_eq!(
        too_many(|program| {
            program.steps = vec![Step::Square { of: 6 }; limits::MAX_STEPS + 1];
        }),
        "steps"
    );
    assert_eq!(
        too_many(|program| {
            program.steps[3] =
                Step::SwitchSum { terms: vec![(4, 0); limits::MAX_TERMS], rescale: true };
        }),
        "terms"
    );
    assert_eq!(too_many(|program| program.output.outputs = u32::MAX), "outputs");
}

#[test]
fn listings_show_levels_scales_and_sizes() {
    let listing = crate::Listing(&fixture::verified()).to_string();
    for part in [
        "program     fixture",
        "8 positions × 4 lanes",
        "v2..v3 = rotations v0 by [0, 4]  [result, level 3, 2^40.00]",
        "v6 = switch Σ v4≪0 + v5≪8, rescale",
        "v11: 3 outputs in 6 places",
        "result² at level 2: rotations 0",
        "model at level 3: rotations 0 of row 0, 8 of row 1",
        "MiB",
    ] {
        assert!(listing.contains(part), "{part} is not in\n{listing}");
    }
}
