//! What the owners encrypt is what the program says, under the keys whose seeds they seal to the enclave.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use adyton_ckks::{Encoder, InputKey, KeyRole, ModelKey, SeededCiphertext};
use adyton_ckks_secret::{Decryptor, SecretKey};
use adyton_client::{DataOwner, Identity, lay_out};
use adyton_program::VerifiedProgram;
use adyton_program::bundle::{BundleReader, BundleShape};
use adyton_wire::Signed;
use adyton_wire::digest::{seed_commitment, sha256};
use adyton_wire::message::OpenSession;
use adyton_wire::statement::{INPUT_KEY_LABEL, MODEL_KEY_LABEL, SessionOpened};
use common::{Enclave, publish, samples};

/// Decrypts every item of a bundle with the key of an opened seed.
fn decrypt<K: KeyRole>(
    program: &VerifiedProgram,
    shape: BundleShape,
    bytes: &[u8],
    seed: &[u8],
    label: &[u8],
) -> Vec<Vec<f64>> {
    let parameters = program.parameters();
    let key = SecretKey::<K>::derive(parameters, seed.try_into().unwrap(), label).unwrap();
    decrypt_with(program, shape, bytes, |_| &key)
}

/// The slots of every ciphertext, decrypted with the key that belongs to its index.
fn decrypt_with<'k, K: KeyRole>(
    program: &VerifiedProgram,
    shape: BundleShape,
    bytes: &[u8],
    key: impl Fn(usize) -> &'k SecretKey<K>,
) -> Vec<Vec<f64>> {
    let parameters = program.parameters();
    shape.check_total(bytes.len() as u64).unwrap();
    BundleReader::new(shape, bytes)
        .unwrap()
        .enumerate()
        .map(|(index, item)| {
            let seeded = SeededCiphertext::<K>::decode(&item.unwrap(), parameters).unwrap();
            let ciphertext = seeded.into_expanded(parameters).unwrap();
            Decryptor::new(key(index)).decrypt_slots(&ciphertext).unwrap().to_vec()
        })
        .collect()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (slot, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < 1e-5, "{what}, slot {slot}: {a} for {b}");
    }
}

#[test]
fn the_model_decrypts_to_the_weights_over_all_lanes() {
    let enclave = Enclave::new();
    let data_owner = DataOwner::new(Identity::from_secret([2; 32])).public_key();
    let published = publish(&enclave, data_owner);
    let statement = published.message.statement.verify_self().unwrap();
    assert_eq!(statement.model, published.written.object);
    assert_eq!(published.written.object.0, sha256(&published.model));
    let info = statement.id().seed_info(&enclave.instance);
    let seed = enclave.opening.open(&info, b"", &published.message.seed).unwrap();
    assert_eq!(seed_commitment(seed.as_slice().try_into().unwrap()), statement.seed_commitment);
    let program = &published.program;
    let shape = BundleShape::model(program).unwrap();
    let (parameters, specs) = (program.parameters(), &program.program().weights);
    let rows = specs.iter().map(|spec| spec.row).max().unwrap();
    let keys: Vec<_> = (0..=rows)
        .map(|row| {
            let (basis, seed) =
                (parameters.ring().full_basis(), seed.as_slice().try_into().unwrap());
            SecretKey::<ModelKey>::derive_row(parameters, &basis, seed, row, MODEL_KEY_LABEL)
                .unwrap()
        })
        .collect();
    let key = |index: usize| &keys[usize::from(specs[index].row)];
    let slots = decrypt_with(program, shape, &published.model, key);
    let weights = common::compiled().weights;
    let lanes = program.program().input.lanes;
    assert_eq!(slots.len(), weights.vectors().len());
    for (index, found) in slots.iter().enumerate() {
        let expected = weights.slots(index as u32, lanes).unwrap();
        assert_close(found, &expected, &format!("weight {index}"));
    }
}

#[test]
fn inputs_decrypt_to_the_layout_group_by_group() {
    let enclave = Enclave::new();
    let owner = DataOwner::new(Identity::from_secret([2; 32]));
    let published = publish(&enclave, owner.public_key());
    let opening = owner.open(&enclave.appraised(), &published.deployment, 0).unwrap();
    let message = OpenSession::decode(opening.message()).unwrap();
    let statement = message.statement.verify_self().unwrap();
    let info = statement.id().seed_info(&enclave.instance);
    let seed = enclave.opening.open(&info, b"", &message.seed).unwrap();
    let opened = SessionOpened {
        session: statement.id(),
        deployment: published.deployment.id(),
        program: published.deployment.statement().program,
        instance: enclave.instance,
        epoch: 1,
        keys: published.program.program().keys.len() as u32,
    };
    let session = opening.confirm(&Signed::new(&opened, &enclave.signing).encode()).unwrap();
    let program = &published.program;
    let input = &program.program().input;
    // Two groups, the second with one sample.
    let samples = samples(input.lanes as usize + 1);
    let (bytes, written) = session.encrypt_inputs(&samples, Vec::new()).unwrap();
    assert_eq!(written.object.0, sha256(&bytes));
    let shape = BundleShape::inputs(program, 2).unwrap();
    let slots = decrypt::<InputKey>(program, shape, &bytes, &seed, INPUT_KEY_LABEL);
    assert_eq!(slots.len(), 2 * input.ciphertexts.len());
    let groups: Vec<&[Vec<f64>]> = samples.chunks(input.lanes as usize).collect();
    for (index, found) in slots.iter().enumerate() {
        let (group, ciphertext) =
            (index / input.ciphertexts.len(), index % input.ciphertexts.len());
        assert_close(found, &lay_out(input, ciphertext, groups[group]), &format!("input {index}"));
    }
    // Encrypting the same again gives other bytes: nothing is reused.
    let (again, _) = session.encrypt_inputs(&samples, Vec::new()).unwrap();
    assert_ne!(bytes, again);
    assert!(Encoder::new(program.parameters()).encode(&slots[0], 0, &input.scale).is_ok());
}

#[test]
fn samples_outside_the_programs_bound_are_not_encrypted() {
    let enclave = Enclave::new();
    let owner = DataOwner::new(Identity::from_secret([2; 32]));
    let published = publish(&enclave, owner.public_key());
    let opening = owner.open(&enclave.appraised(), &published.deployment, 0).unwrap();
    let opened = SessionOpened {
        session: OpenSession::decode(opening.message())
            .unwrap()
            .statement
            .verify_self()
            .unwrap()
            .id(),
        deployment: published.deployment.id(),
        program: published.deployment.statement().program,
        instance: enclave.instance,
        epoch: 1,
        keys: 0,
    };
    let session = opening.confirm(&Signed::new(&opened, &enclave.signing).encode()).unwrap();
    let mut samples = samples(2);
    samples[1][3] = 1e6;
    let mut output = Vec::new();
    let error = session.encrypt_inputs(&samples, &mut output).unwrap_err();
    assert!(error.to_string().contains("sample 1, value 3"), "{error}");
    assert!(output.is_empty());
}
