//! Every decoder of untrusted bytes as a fuzz target, and the replay of the kept corpora.
//!
//! A target takes any bytes. It fails by panicking: because the decoder does, or because what was decoded does not encode to the same
//! bytes again (formats are canonical: one object, one encoding). The targets run under a fuzzer from `fuzz/`, and under the
//! default tests over `fuzz/corpus` and mutations of it.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use adyton_ckks::{
    Ciphertext, Gadget, InputKey, KeySource, KeySpec, ModelKey, Parameters, ParametersLiteral,
    ResultKey, RingKind, Security, SeededCiphertext, SeededEvaluationKey,
};
use adyton_program::{Program, VerifiedProgram};
use adyton_samples::Samples;
use adyton_wire::message::AuditProof;
use adyton_wire::{PublicKey, Reply, Request, frame};

/// A fuzz target.
pub struct Target {
    /// Its name, also that of its corpus folder.
    pub name: &'static str,
    /// Runs it; panics when an invariant is broken.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 9] = [
    Target { name: "program", run: program },
    Target { name: "ciphertext", run: ciphertext },
    Target { name: "evaluation_key", run: evaluation_key },
    Target { name: "request", run: request },
    Target { name: "reply", run: reply },
    Target { name: "audit_proof", run: audit_proof },
    Target { name: "frame", run: framed },
    Target { name: "onnx", run: onnx },
    Target { name: "samples", run: samples },
];

/// Small parameters for the objects whose decoders need some. Insecure: for tests.
///
/// # Panics
/// Never: the literal is constant and valid.
#[must_use]
#[expect(clippy::expect_used, reason = "a constant that the tests build first")]
pub fn parameters() -> &'static Parameters {
    static PARAMETERS: OnceLock<Parameters> = OnceLock::new();
    PARAMETERS.get_or_init(|| {
        let kind = RingKind::ConjugateInvariant;
        let literal = ParametersLiteral {
            kind,
            log_n: 4,
            primes: PRIMES[..2].to_vec(),
            special_primes: PRIMES[2..].to_vec(),
            levels: vec![vec![0], vec![0, 1]],
            gadgets: vec![Some(Gadget { digit_primes: 1, special_primes: 1 }); 2],
            security: Security::InsecureForTests,
        };
        Parameters::new_insecure_for_tests(&literal).expect("the literal is valid")
    })
}

/// Primes ≡ 1 mod 64, fit for the conjugate-invariant ring of degree 16.
const PRIMES: [u64; 3] = [1_073_741_441, 1_073_740_609, 1_073_739_649];

/// The evaluation key that the target of that name decodes.
pub const KEY: KeySpec = KeySpec { source: KeySource::Result, rotation: 3, level: 1 };

/// [`Program::decode`] and the verifier.
pub fn program(data: &[u8]) {
    if let Ok(program) = Program::decode(data) {
        assert_eq!(program.encode(), data);
        let _ = VerifiedProgram::new(program);
    }
}

/// Ciphertexts of all three roles, seeded or not.
pub fn ciphertext(data: &[u8]) {
    let parameters = parameters();
    macro_rules! round_trip {
        ($kind:ty) => {
            if let Ok(object) = <$kind>::decode(data, parameters) {
                assert_eq!(object.encode(parameters).ok().as_deref(), Some(data));
            }
        };
    }
    round_trip!(Ciphertext<ResultKey>);
    round_trip!(SeededCiphertext<ModelKey>);
    round_trip!(SeededCiphertext<InputKey>);
}

/// Evaluation keys.
pub fn evaluation_key(data: &[u8]) {
    if let Ok(key) = SeededEvaluationKey::decode(data, parameters()) {
        assert_eq!(key.encode(parameters()).ok().as_deref(), Some(data));
    }
}

/// Requests to the enclave. Protobuf is not canonical, so the second encoding is compared with the first.
pub fn request(data: &[u8]) {
    if let Ok(request) = Request::decode(data) {
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
}

/// Answers of the enclave.
pub fn reply(data: &[u8]) {
    if let Ok(reply) = Reply::decode(data) {
        assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
    }
}

/// Proofs of failed audits; what decodes is verified too, under a key that signed none of it.
pub fn audit_proof(data: &[u8]) {
    if let Ok(proof) = AuditProof::decode(data) {
        assert_eq!(AuditProof::decode(&proof.encode()), Ok(proof.clone()));
        assert!(proof.verify(&PublicKey([1; 32])).is_err());
    }
}

/// Frames: lengths within the limit, nothing allocated for what is not there.
pub fn framed(data: &[u8]) {
    let mut stream = data;
    while let Ok(Some(body)) = frame::read(&mut stream, 1 << 16) {
        assert!(body.len() <= 1 << 16);
    }
}

/// ONNX models.
pub fn onnx(data: &[u8]) {
    use adyton_compiler::onnx::{ImportError, ImportOptions, import_with};
    let whole = ImportOptions { whole_tensors: true, ..ImportOptions::default() };
    let _ = import_with("fuzz", data, &whole);
    // A sample without values tells how long one must be.
    let none = [Vec::new()];
    let asked = ImportOptions { samples: &none, ..ImportOptions::default() };
    if let Err(ImportError::Sample { expected: length @ 0..=4096, .. }) =
        import_with("fuzz", data, &asked)
    {
        let samples = [vec![0.5; length], (0..length).map(|i| (i % 7) as f64 - 3.0).collect()];
        let fitted = ImportOptions { samples: &samples, ..ImportOptions::default() };
        if let Ok(imported) = import_with("fuzz", data, &fitted) {
            let _ = imported.network.run(&samples[0]);
        }
    }
}

/// Sample files.
pub fn samples(data: &[u8]) {
    let _ = Samples::from_bytes(data);
}
