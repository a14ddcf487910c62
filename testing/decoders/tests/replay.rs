//! Every target over its kept corpus and over mutations of it: a smoke test that runs without a fuzzer.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::fs;
use std::path::Path;

use adyton_decoders::TARGETS;
use adyton_wire::SigningKey;
use adyton_wire::message::AuditProof;

const MUTATIONS: u32 = 400;

/// xorshift64*: repeatable, so that a failure can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16;
        usize::try_from(value).unwrap() % limit.max(1)
    }
}

/// Flips, overwrites, cuts, repeats or inserts.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(6) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
        2 => bytes.truncate(at),
        3 => bytes.extend_from_within(at..),
        4 if bytes.len() >= at + 4 => bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes()),
        _ => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
    }
}

#[test]
fn corpora_and_their_mutations_break_no_invariant() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for target in TARGETS {
        let mut seeds: Vec<_> = fs::read_dir(corpus.join(target.name))
            .unwrap_or_else(|error| panic!("no corpus for {}: {error}", target.name))
            .map(|entry| entry.unwrap().path())
            .collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "no corpus for {}", target.name);
        for path in seeds {
            let seed = fs::read(&path).unwrap();
            (target.run)(&seed);
            let mut random = Random(0x9E37_79B9_7F4A_7C15);
            for _ in 0..MUTATIONS {
                let mut bytes = seed.clone();
                for _ in 0..=random.below(3) {
                    mutate(&mut bytes, &mut random);
                }
                (target.run)(&bytes);
            }
        }
    }
}

/// The kept proof is a golden file: what this version signed stays verifiable.
#[test]
fn the_kept_proof_verifies() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/audit_proof/proof");
    let proof = AuditProof::decode(&fs::read(path).unwrap()).unwrap();
    let enclave = SigningKey::from_seed(&[17; 32]).public_key();
    let mismatch = proof.verify(&enclave).unwrap();
    assert_eq!(mismatch.quarantine.committed.result, [25; 32]);
    assert_eq!(mismatch.finding.execution.result, [24; 32]);
}
