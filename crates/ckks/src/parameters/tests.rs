use adyton_ring::{RingError, ntt_primes};

use super::*;

const KIND: RingKind = RingKind::ConjugateInvariant;

/// The `mlp` parameters: 46 + 3·40 bits and one special prime at N = 2^13, 212 of 214 bits.
fn mlp() -> ParametersLiteral {
    let large = ntt_primes(KIND, 13, 46, 2, &[]).unwrap();
    let rest = ntt_primes(KIND, 13, 40, 3, &[]).unwrap();
    ParametersLiteral {
        kind: KIND,
        log_n: 13,
        primes: [&large[..1], &rest].concat(),
        special_primes: large[1..].to_vec(),
        levels: (0..4).map(|level| (0..=level).collect()).collect(),
        gadgets: vec![Some(Gadget { digit_primes: 1, special_primes: 1 }); 4],
        security: Security::Classical128,
    }
}

#[track_caller]
fn refused(change: impl Fn(&mut ParametersLiteral)) -> ParametersError {
    let mut literal = mlp();
    change(&mut literal);
    Parameters::new(&literal).unwrap_err()
}

#[test]
fn accepted_parameters_know_their_moduli() {
    let literal = mlp();
    let parameters = Parameters::new(&literal).unwrap();
    assert_eq!(parameters.literal(), &literal);
    assert_eq!((parameters.slots(), parameters.top_level()), (8192, 3));
    assert!((211.9..212.0).contains(&parameters.max_log_qp()));
    assert_eq!(parameters.moduli(1).unwrap(), literal.primes[..2]);
    assert_eq!(parameters.basis(1).unwrap().indices(), [0, 1]);
    assert_eq!(parameters.key_basis(1).unwrap().indices(), [0, 1, 4]);
    assert_eq!(parameters.rescale_factor(3), Ok(Scale::prime(literal.primes[3])));
    assert_eq!(parameters.rescale_factor(0), Err(ParametersError::LowestLevel));
    assert_eq!(parameters.basis(4).unwrap_err(), ParametersError::NoSuchLevel { level: 4, top: 3 });
    assert_eq!(Parameters::new(&literal).unwrap(), parameters);
    let other = ParametersLiteral { security: Security::InsecureForTests, ..literal };
    let other = Parameters::new_insecure_for_tests(&other).unwrap();
    assert_ne!(other, parameters);
    assert_ne!(other.digest(), parameters.digest());
}

#[test]
fn the_security_bound_holds_per_key() {
    // With a key at the top, one more prime is too much.
    let mut literal = mlp();
    literal.primes.extend(ntt_primes(KIND, 13, 44, 1, &[]).unwrap());
    literal.levels.push(vec![0, 1, 2, 3, 4]);
    literal.gadgets.push(literal.gadgets[0]);
    let error = Parameters::new(&literal).unwrap_err();
    assert!(
        matches!(error, ParametersError::TooLarge { level: 4, bound: 214.0, log2_modulus } if log2_modulus > 255.0)
    );
    // Without one, the same primes fit: 46 + 3·40 + 44 = 210.
    literal.gadgets[4] = None;
    let parameters = Parameters::new(&literal).unwrap();
    assert_eq!(parameters.key_basis(4), Err(ParametersError::NoKeysAtLevel { level: 4 }));
    // The quantum bound is 203.
    literal.security = Security::Quantum128;
    assert!(matches!(
        Parameters::new(&literal).unwrap_err(),
        ParametersError::TooLarge { level: 3, bound: 203.0, .. }
    ));
    literal.security = Security::InsecureForTests;
    assert_eq!(Parameters::new(&literal).unwrap_err(), ParametersError::InsecureRefused);
    assert!(Parameters::new_insecure_for_tests(&literal).is_ok());
    let error = refused(|literal| literal.log_n = 10);
    assert_eq!(error, ParametersError::NoSecurityBound { log_n: 10 });
}

#[test]
fn every_broken_rule_has_a_name() {
    use ParametersError as E;
    assert_eq!(refused(|l| l.primes.clear()), E::BadCount { primes: 1, levels: 4 });
    assert_eq!(refused(|l| l.gadgets.truncate(3)), E::GadgetCount { levels: 4, gadgets: 3 });
    assert_eq!(refused(|l| l.levels[1] = vec![]), E::BadLevel { level: 1 });
    assert_eq!(refused(|l| l.levels[1] = vec![1, 0]), E::BadLevel { level: 1 });
    assert_eq!(refused(|l| l.levels[1] = vec![1, 1]), E::BadLevel { level: 1 });
    assert_eq!(refused(|l| l.levels[1] = vec![4]), E::BadLevel { level: 1 });
    // A level of smaller modulus than the one below, though of other primes.
    assert_eq!(refused(|l| l.levels[1] = vec![1]), E::LevelsNotAscending { level: 1 });
    let gadget = |digit_primes, special_primes| Some(Gadget { digit_primes, special_primes });
    assert_eq!(refused(|l| l.gadgets[2] = gadget(0, 1)), E::BadGadget { level: 2 });
    assert_eq!(refused(|l| l.gadgets[2] = gadget(1, 0)), E::BadGadget { level: 2 });
    assert_eq!(refused(|l| l.gadgets[2] = gadget(1, 2)), E::BadGadget { level: 2 });
    assert!(matches!(
        refused(|l| l.gadgets[2] = gadget(2, 1)),
        E::DigitTooLarge { level: 2, log2_digit, .. } if log2_digit > 85.0
    ));
    let error = refused(|l| l.primes[0] = l.special_primes[0]);
    assert!(matches!(error, E::Ring(RingError::DuplicatePrime(_))));
    assert!(matches!(refused(|l| l.primes[0] += 2), E::Ring(_)));
}

#[test]
fn keys_that_cannot_exist_are_refused() {
    let mut literal = mlp();
    literal.gadgets[3] = None;
    let parameters = Parameters::new(&literal).unwrap();
    let key = |source, rotation, level| KeySpec { source, rotation, level };
    for good in [key(KeySource::Model(0), 0, 2), key(KeySource::Result, 8191, 0)] {
        assert_eq!(parameters.check_key(&good), Ok(()));
    }
    for bad in [
        key(KeySource::Result, 0, 1),
        key(KeySource::ResultSquared, 1, 1),
        key(KeySource::Model(0), 8192, 1),
    ] {
        assert_eq!(parameters.check_key(&bad), Err(ParametersError::BadKey { spec: bad }));
    }
    assert_eq!(
        parameters.check_key(&key(KeySource::Model(0), 0, 3)),
        Err(ParametersError::NoKeysAtLevel { level: 3 })
    );
}
