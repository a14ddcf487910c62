//! Binary formats: canonical, of known length, and strict.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

mod common;

use adyton_ckks::codec::{DecodeError, HEADER_LEN};
use adyton_ckks::{
    Ciphertext, CkksError, InputKey, KeySource, KeySpec, ModelKey, Parameters, ParametersError,
    Plaintext, ResultKey, RingKind, Scale, SeededCiphertext, SeededEvaluationKey,
};
use adyton_ckks_secret::{KeyGenerator, PublicKey};
use common::{World, chain, sets};

fn world() -> World {
    World::new(&Parameters::new_insecure_for_tests(&sets(RingKind::Standard, 5)).unwrap())
}

/// Every prefix, every longer input, and every change to the header is refused.
#[track_caller]
fn assert_strict<T: std::fmt::Debug + PartialEq>(
    bytes: &[u8],
    object: &T,
    decode: impl Fn(&[u8]) -> Result<T, CkksError>,
) {
    assert_eq!(decode(bytes).as_ref(), Ok(object));
    for len in 0..bytes.len() {
        let error = decode(&bytes[..len]).unwrap_err();
        assert!(
            matches!(error, CkksError::Decode(DecodeError::Truncated { .. })),
            "{len}: {error:?}"
        );
    }
    let longer = [bytes, &[0]].concat();
    assert_eq!(decode(&longer), Err(DecodeError::TrailingBytes(1).into()));
    for position in 0..HEADER_LEN {
        let mut changed = bytes.to_vec();
        changed[position] ^= 0x40;
        let error = decode(&changed).unwrap_err();
        let expected = match position {
            0..4 => matches!(error, CkksError::Decode(DecodeError::BadMagic)),
            4 => matches!(error, CkksError::Decode(DecodeError::UnsupportedVersion(0x42))),
            5 => matches!(error, CkksError::Decode(DecodeError::WrongKind { .. })),
            _ => matches!(error, CkksError::Decode(DecodeError::WrongParameters)),
        };
        assert!(expected, "{position}: {error:?}");
    }
    // The last limb's last residue all ones: not below any prime.
    let mut large = bytes.to_vec();
    let end = large.len();
    large[end - 8..].fill(0xff);
    assert!(matches!(decode(&large), Err(CkksError::Decode(DecodeError::ResidueTooLarge { .. }))));
}

#[test]
fn plaintexts_and_ciphertexts() {
    let mut world = world();
    let parameters = world.parameters.clone();
    let values = world.values(1);
    for level in 0..=parameters.top_level() {
        let scale = Scale::pow2(25).mul(&Scale::prime(parameters.literal().primes[1]));
        let scale = if level == 0 { Scale::pow2(30) } else { scale.div(&Scale::pow2(40)) };
        let plaintext = world.encoder.encode(&values, level, &scale).unwrap();
        let bytes = plaintext.encode(&parameters).unwrap();
        assert_eq!(bytes.len(), Plaintext::encoded_len(&parameters, level, &scale).unwrap());
        assert_strict(&bytes, &plaintext, |bytes| Plaintext::decode(bytes, &parameters));

        let seeded = world.secrets.model.encrypt(&plaintext, &mut world.randomness).unwrap();
        let bytes = seeded.encode(&parameters).unwrap();
        let len = SeededCiphertext::<ModelKey>::encoded_len(&parameters, level, &scale).unwrap();
        assert_eq!(bytes.len(), len);
        assert_strict(&bytes, &seeded, |bytes| SeededCiphertext::decode(bytes, &parameters));
        assert_eq!(
            SeededCiphertext::<InputKey>::decode(&bytes, &parameters),
            Err(DecodeError::WrongRole { expected: adyton_ckks::Role::Input, found: 1 }.into())
        );

        let full = seeded.expand(&parameters).unwrap();
        let bytes = full.encode(&parameters).unwrap();
        let len = Ciphertext::<ModelKey>::encoded_len(&parameters, level, &scale).unwrap();
        assert_eq!(bytes.len(), len);
        assert_strict(&bytes, &full, |bytes| Ciphertext::decode(bytes, &parameters));
        assert!(Ciphertext::<ResultKey>::decode(&bytes, &parameters).is_err());
        let mut no_level = bytes;
        no_level[HEADER_LEN + 1] = 200;
        assert_eq!(
            Ciphertext::<ModelKey>::decode(&no_level, &parameters),
            Err(DecodeError::BadLevel(200).into())
        );
    }
}

#[test]
fn keys() {
    let mut world = world();
    let parameters = world.parameters.clone();
    let secrets = &world.secrets;
    let generator = KeyGenerator::new(&secrets.model, &secrets.input, &secrets.result).unwrap();
    for level in 0..3 {
        let spec = KeySpec { source: KeySource::ModelTimesInput(0), rotation: 5, level };
        let key = generator.evaluation_key(&spec, &mut world.randomness).unwrap();
        let bytes = key.encode(&parameters).unwrap();
        assert_eq!(bytes.len(), SeededEvaluationKey::encoded_len(&parameters, &spec).unwrap());
        assert_strict(&bytes, &key, |bytes| SeededEvaluationKey::decode(bytes, &parameters));
        let mut unknown = bytes;
        unknown[HEADER_LEN] = 99;
        assert_eq!(
            SeededEvaluationKey::decode(&unknown, &parameters),
            Err(DecodeError::NotCanonical("key source").into())
        );
        let public = secrets.input.public_key(level, &mut world.randomness).unwrap();
        let bytes = public.encode(&parameters).unwrap();
        let len = PublicKey::<InputKey>::encoded_len(&parameters, level).unwrap();
        assert_eq!(bytes.len(), len);
        assert_strict(&bytes, &public, |bytes| PublicKey::decode(bytes, &parameters));
        assert!(PublicKey::<ModelKey>::decode(&bytes, &parameters).is_err());
    }
    // Level 3 admits no keys: neither made, nor read.
    let spec = KeySpec { source: KeySource::Input, rotation: 5, level: 3 };
    let refused = CkksError::Parameters(ParametersError::NoKeysAtLevel { level: 3 });
    assert_eq!(generator.evaluation_key(&spec, &mut world.randomness), Err(refused));
}

#[test]
fn objects_of_other_parameters_are_refused() {
    let mut world = world();
    let other = Parameters::new_insecure_for_tests(&chain(RingKind::Standard, 5, 3)).unwrap();
    let scale = Scale::pow2(30);
    let plaintext = world.encoder.encode(&[1.0], 0, &scale).unwrap();
    let seeded = world.secrets.model.encrypt(&plaintext, &mut world.randomness).unwrap();
    let bytes = seeded.encode(&world.parameters).unwrap();
    assert_eq!(
        SeededCiphertext::<ModelKey>::decode(&bytes, &other),
        Err(DecodeError::WrongParameters.into())
    );
    assert!(seeded.encode(&other).is_err());
    assert_eq!(seeded.expand(&other), Err(CkksError::ForeignOperand { level: 0 }));
    let foreign = World::new(&other);
    assert_eq!(
        foreign.secrets.model.encrypt(&plaintext, &mut world.randomness),
        Err(CkksError::ForeignOperand { level: 0 })
    );
}

/// The bytes themselves, by digest: a change of any format, sampler or derivation shows here and needs a new format version.
#[test]
fn golden_bytes() {
    let mut world = world();
    let parameters = world.parameters.clone();
    let plaintext = world.encoder.encode(&[1.0, -0.5], 2, &Scale::pow2(30)).unwrap();
    let seeded = world.secrets.model.encrypt(&plaintext, &mut world.randomness).unwrap();
    let full = seeded.expand(&parameters).unwrap();
    let generator =
        KeyGenerator::new(&world.secrets.model, &world.secrets.input, &world.secrets.result)
            .unwrap();
    let spec = KeySpec { source: KeySource::ModelTimesInput(0), rotation: 3, level: 2 };
    let key = generator.evaluation_key(&spec, &mut world.randomness).unwrap();
    let public = world.secrets.input.public_key(1, &mut world.randomness).unwrap();
    let found = [
        parameters.literal().to_bytes(),
        plaintext.encode(&parameters).unwrap(),
        seeded.encode(&parameters).unwrap(),
        full.encode(&parameters).unwrap(),
        key.encode(&parameters).unwrap(),
        public.encode(&parameters).unwrap(),
    ]
    .map(|bytes| blake3::hash(&bytes).to_hex().to_string());
    assert_eq!(found, GOLDEN);
}

/// Parameters, plaintext, seeded ciphertext, ciphertext, evaluation key, public key.
const GOLDEN: [&str; 6] = [
    "51da8363584cf4b7558fe8e3df7b98f3df2406e670ecddabffe8994a309da62b",
    "ee985bfd60b0f713356303eccf847a2fb4cb5cc25baefe285d50d073c15b5c9b",
    "546dc2af9ffe82107f573eecfa632baf299c431fee5bc5ee0ecaeebd2d6e1173",
    "86eeb977ebfa88b71cfee04fc2487516e8666154ea00d2f5f68ab3b44c5ee1b9",
    "3975d5c0c96966f9ca6bc91573725e750017675bf2f363bedc81430a485cdf2c",
    "2d539a05bff6399050c847c101727de5638b47e121bd5b1f4c7ba124ab9deeb0",
];
