use adyton_ring::ntt_primes;
use proptest::prelude::*;

use super::*;
use crate::{ParametersLiteral, Security};

fn parameters(kind: RingKind) -> Parameters {
    let primes = ntt_primes(kind, 6, 45, 3, &[]).unwrap();
    Parameters::new_insecure_for_tests(&ParametersLiteral {
        kind,
        log_n: 6,
        primes,
        special_primes: vec![],
        levels: vec![vec![1], vec![0, 1, 2]],
        gadgets: vec![None, None],
        security: Security::InsecureForTests,
    })
    .unwrap()
}

fn both() -> [Encoder; 2] {
    [RingKind::ConjugateInvariant, RingKind::Standard].map(|kind| Encoder::new(&parameters(kind)))
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(values in proptest::collection::vec(-1.0f64..1.0, 32)) {
        for encoder in both() {
            for (level, bits, tolerance) in [(0, 30, 1e-7), (1, 40, 1e-10), (1, 90, 1e-14)] {
                let scale = Scale::pow2(bits);
                let plaintext = encoder.encode(&values, level, &scale).unwrap();
                let found = encoder.decode(&plaintext).unwrap();
                prop_assert_eq!(found.len(), encoder.parameters.slots());
                for (slot, x) in found.iter().enumerate() {
                    let expected = values.get(slot).copied().unwrap_or(0.0);
                    prop_assert!((x - expected).abs() < tolerance, "{x} {expected} at 2^{bits}");
                }
            }
        }
    }

    #[test]
    fn residues_of_floats_are_residues_of_integers(mantissa in any::<i64>(), shift in 0u32..60) {
        let modulus = Modulus::new(ntt_primes(RingKind::Standard, 6, 45, 1, &[]).unwrap()[0]).unwrap();
        // What the float holds exactly is what must be reduced.
        let x = mantissa as f64 * 2.0f64.powi(shift as i32);
        prop_assert_eq!(residue_of(&modulus, x), modulus.reduce_i128(x as i128));
    }
}

#[test]
fn products_of_encodings_are_slotwise() {
    for encoder in both() {
        let parameters = &encoder.parameters;
        let x: Vec<f64> = (0..parameters.slots()).map(|i| (i as f64).sin()).collect();
        let y: Vec<f64> = (0..parameters.slots()).map(|i| (i as f64 * 0.3).cos()).collect();
        let scale = Scale::pow2(40);
        let mut product = encoder.encode(&x, 1, &scale).unwrap().poly().clone();
        let other = encoder.encode(&y, 1, &scale).unwrap();
        parameters.ring().mul_assign(&mut product, other.poly()).unwrap();
        let found = encoder.decode_poly(&product, &scale.square()).unwrap();
        for ((found, x), y) in found.iter().zip(&x).zip(&y) {
            assert!((found - x * y).abs() < 1e-9);
        }
    }
}

#[test]
fn small_coefficients_are_exact_under_a_large_modulus() {
    for encoder in both() {
        let parameters = &encoder.parameters;
        let integers: Vec<i64> =
            (0..parameters.degree() as i64).map(|i| (i - 30) * 140_737_488_355_328 / 32).collect();
        let poly = parameters.ring().from_signed(parameters.basis(1).unwrap(), &integers).unwrap();
        let poly = parameters.ring().forward(poly).unwrap();
        let found = encoder.centred_coefficients(&poly).unwrap();
        assert!(found.iter().zip(&integers).all(|(x, &y)| *x == y as f64));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for encoder in both() {
        let slots = encoder.parameters.slots();
        let scale = Scale::pow2(40);
        assert_eq!(
            encoder.encode(&vec![0.0; slots + 1], 0, &scale),
            Err(CkksError::TooManyValues { values: slots + 1, slots })
        );
        for bad in [f64::NAN, f64::INFINITY, 100.0] {
            let result = encoder.encode(&vec![bad; slots], 0, &scale);
            assert!(matches!(result, Err(CkksError::ValueTooLarge { level: 0, .. })), "{bad}");
        }
        assert!(encoder.encode(&vec![100.0; slots], 1, &scale).is_ok());
        assert!(matches!(encoder.encode(&[0.0], 2, &scale), Err(CkksError::Parameters(_))));
    }
}
