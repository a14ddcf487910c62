//! The bit-packed codec.

#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;

use adyton_ring::{
    Coeff, Kernel, Modulus, Poly, RingError, RingKind,
    codec::{self, pack, packed_len, unpack},
    is_prime, sampler,
};
use common::ring;
use proptest::prelude::*;

fn naive(modulus: &Modulus, residues: &[u64]) -> Vec<u8> {
    let bits = modulus.bits() as usize;
    let mut bytes = vec![0; packed_len(modulus, residues.len())];
    for (i, &x) in residues.iter().enumerate() {
        for bit in (0..bits).filter(|bit| x >> bit & 1 == 1) {
            bytes[(i * bits + bit) / 8] |= 1 << ((i * bits + bit) % 8);
        }
    }
    bytes
}

proptest! {
    #[test]
    fn round_trip_and_layout(bits in 2u32..=46, raw in prop::collection::vec(any::<u64>(), 0..70)) {
        let p = (1u64 << (bits - 1)..1 << bits).rev().find(|&p| p > 2 && is_prime(p)).unwrap();
        let modulus = Modulus::new(p).unwrap();
        let residues: Vec<u64> = raw.iter().map(|x| x % p).collect();
        let mut bytes = Vec::new();
        pack(&modulus, &residues, &mut bytes);
        prop_assert_eq!(&bytes, &naive(&modulus, &residues));
        let mut back = vec![0; residues.len()];
        unpack(&modulus, &bytes, &mut back).unwrap();
        prop_assert_eq!(back, residues);
    }

    #[test]
    fn whatever_decodes_is_canonical(bytes in prop::collection::vec(any::<u8>(), 30)) {
        let modulus = Modulus::new(97).unwrap();
        let mut residues = [0; 34];
        if unpack(&modulus, &bytes, &mut residues).is_ok() {
            let mut again = Vec::new();
            pack(&modulus, &residues, &mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}

#[test]
fn malformed_limbs_are_named() {
    let modulus = Modulus::new(97).unwrap();
    let mut out = [0; 3];
    assert_eq!(
        unpack(&modulus, &[0; 2], &mut out),
        Err(RingError::Length { expected: 3, found: 2 })
    );
    assert_eq!(
        unpack(&modulus, &[0; 4], &mut out),
        Err(RingError::Length { expected: 3, found: 4 })
    );
    assert_eq!(
        unpack(&modulus, &[0x80, 0x30, 0], &mut out),
        Err(RingError::ResidueOutOfRange { position: 1, prime: 97 })
    );
    assert_eq!(unpack(&modulus, &[0, 0, 0x20], &mut out), Err(RingError::Padding));
    assert_eq!(unpack(&modulus, &[96, 0, 0], &mut out), Ok(()));
}

#[test]
fn polynomials_round_trip() {
    let ring = ring(RingKind::ConjugateInvariant, 6, 41, 3, Kernel::Portable);
    let basis = ring.basis([2, 0]).unwrap();
    let poly: Poly<Coeff> = sampler::uniform(&ring, &basis, &[1; 32], 0).unwrap();
    let mut bytes = Vec::new();
    codec::encode(&ring, &poly, &mut bytes).unwrap();
    assert_eq!(bytes.len(), codec::encoded_len(&ring, &basis).unwrap());
    assert_eq!(bytes.len(), 2 * 64 * 41 / 8);
    assert_eq!(codec::decode(&ring, &basis, &bytes), Ok(poly));
    assert!(codec::decode::<Coeff>(&ring, &basis, &bytes[1..]).is_err());
    assert!(codec::decode::<Coeff>(&ring, &ring.full_basis(), &bytes).is_err());
}
