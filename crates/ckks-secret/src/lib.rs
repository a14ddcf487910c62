//! RNS-CKKS, secret part: secret keys, key generation, encryption, decryption, noise measurement.
//!
//! Only owners and the enclave may depend on this crate; the host and its runtime must not.
//!
//! * [`SecretKey`] is derived from a 32-byte seed by role and epoch and wiped when dropped.
//! * [`SecretKey::encrypt`] makes seeded, half-size ciphertexts, [`Masks`] such with shared uniform halves; [`PublicKey`] encrypts without
//!   the secret.
//! * [`KeyGenerator`] makes evaluation keys, all of them encryptions under the result key.
//! * [`Decryptor`] decrypts, [`NoiseReport`] measures.
//!
//! Secret coefficients are sampled and combined without branches or memory accesses that depend on them. Memory that held them is
//! overwritten before it is freed.
//!
//! # Example
//!
//! A weight under the model key times an input under the input key, switched to the result key and decrypted:
//!
//! ```
//! use adyton_ckks::*;
//! use adyton_ckks_secret::{Decryptor, KeyGenerator, Randomness, SecretKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kind = RingKind::ConjugateInvariant;
//! let primes = adyton_ring::ntt_primes(kind, 12, 35, 3, &[])?;
//! let parameters = Parameters::new(&ParametersLiteral {
//!     kind,
//!     log_n: 12,
//!     primes: primes[..2].to_vec(),
//!     special_primes: primes[2..].to_vec(),
//!     levels: vec![vec![0], vec![0, 1]],
//!     gadgets: vec![None, Some(Gadget { digit_primes: 1, special_primes: 1 })],
//!     security: Security::Classical128,
//! })?;
//! let model = SecretKey::<ModelKey>::derive(&parameters, &[1; 32], b"deployment")?;
//! let input = SecretKey::<InputKey>::derive(&parameters, &[2; 32], b"session")?;
//! let result = SecretKey::<ResultKey>::derive(&parameters, &[3; 32], b"session, epoch 1")?;
//!
//! let mut randomness = Randomness::from_os()?;
//! let encoder = Encoder::new(&parameters);
//! let x_scale = Scale::pow2(30);
//! // A weight's scale is free: so that the rescale lands on 2^25.
//! let w_scale = Scale::pow2(25).mul(&parameters.rescale_factor(1)?).div(&x_scale);
//! let w = model.encrypt(&encoder.encode(&[0.5, -2.0], 1, &w_scale)?, &mut randomness)?;
//! let x = input.encrypt(&encoder.encode(&[3.0, 0.25], 1, &x_scale)?, &mut randomness)?;
//!
//! let generator = KeyGenerator::new(&model, &input, &result)?;
//! let mut keys = EvaluationKeys::new();
//! for source in [KeySource::Model(0), KeySource::Input, KeySource::ModelTimesInput(0)] {
//!     let spec = KeySpec { source, rotation: 0, level: 1 };
//!     keys.insert(generator.evaluation_key(&spec, &mut randomness)?.into_expanded(&parameters)?);
//! }
//!
//! let evaluator = Evaluator::new(&parameters);
//! let (w, x) = (w.expand(&parameters)?, x.expand(&parameters)?);
//! let sum = evaluator.products(&[(Weight::Encrypted(&w), &x)], None)?;
//! let y = evaluator.switch_sum(&[(SwitchTerm::InputProducts(&sum), 0)], true, &keys)?;
//! assert_eq!((y.level(), y.scale()), (0, &Scale::pow2(25)));
//! let slots = Decryptor::new(&result).decrypt_slots(&y)?;
//! assert!((slots[0] - 1.5).abs() < 1e-2 && (slots[1] + 0.5).abs() < 1e-2);
//! # Ok(())
//! # }
//! ```
//!
//! Keys and ciphertexts of different roles do not mix:
//!
//! ```compile_fail,E0308
//! use adyton_ckks::{Ciphertext, CkksError, ModelKey, ResultKey};
//! use adyton_ckks_secret::Decryptor;
//!
//! fn leak(enclave: &Decryptor<'_, ResultKey>, weight: &Ciphertext<ModelKey>) -> Result<(), CkksError> {
//!     enclave.decrypt(weight)?;
//!     Ok(())
//! }
//! ```
//!
//! ```compile_fail,E0308
//! use adyton_ckks::{Ciphertext, CkksError, Evaluator, InputKey, ResultKey};
//!
//! fn add(evaluator: &Evaluator, x: &Ciphertext<InputKey>, y: &Ciphertext<ResultKey>) -> Result<(), CkksError> {
//!     evaluator.add(x, y)?;
//!     Ok(())
//! }
//! ```
//!
//! ```compile_fail,E0277
//! use adyton_ckks::{Ciphertext, CkksError, Evaluator, ModelKey, Weight};
//!
//! // Weights are no operands: there is no key for s_M².
//! fn multiply(evaluator: &Evaluator, w: &Ciphertext<ModelKey>) -> Result<(), CkksError> {
//!     evaluator.products(&[(Weight::Encrypted(w), w)], None)?;
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

mod decrypt;
mod evaluation;
mod masks;
mod measure;
mod public;
mod randomness;
mod secret;
mod small;

pub use decrypt::{DecryptBuffer, Decryptor};
pub use evaluation::KeyGenerator;
pub use masks::Masks;
pub use measure::NoiseReport;
pub use public::PublicKey;
pub use randomness::{EntropyError, Randomness};
pub use secret::SecretKey;
