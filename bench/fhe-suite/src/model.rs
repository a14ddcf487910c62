//! The network, its program, and the secret keys of all roles.

use crate::place::{Place, read};
use adyton_ckks::{InputKey, ModelKey, Parameters, ResultKey};
use adyton_ckks_secret::{Randomness, SecretKey};
use adyton_compiler::network::Network;
use adyton_compiler::onnx;
use adyton_compiler::plan::{self, CompileOptions, Compiled, Objective};
use adyton_program::{ModelPrivacy, Program, VerifiedProgram};
use adyton_samples::Samples;
use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use std::io::Read;

/// The shipped network 784 → 128 → square → 10; its recipe is in networks/README.md.
const NETWORK: &[u8] = include_bytes!("../../../networks/mlp.onnx");
/// Training images on which the compiler measures ranges.
const CALIBRATION: &[u8] = include_bytes!("../../../networks/data/calibration-images.idx3.gz");
/// Chooses the variant: `plain` (as the suite has it) or `encrypted`.
const VARIANT: &str = "ADYTON_MODEL";
/// Bytes of a seed.
const SEED: usize = 32;
/// Domain of the keys here.
const EPOCH: &[u8] = b"adyton fhe-suite";

/// The variant that the environment asks for; plain unless it says otherwise.
pub(crate) fn variant() -> Result<ModelPrivacy> {
    match std::env::var(VARIANT).as_deref() {
        Err(_) | Ok("plain") => Ok(ModelPrivacy::Plain),
        Ok("encrypted") => Ok(ModelPrivacy::Encrypted),
        Ok(other) => bail!("{VARIANT}={other}: expected `plain` or `encrypted`"),
    }
}

/// The network in the clear.
pub(crate) fn network() -> Result<Network> {
    onnx::import("mlp", NETWORK).context("the network cannot be read")
}

/// Images of a compressed idx file.
pub(crate) fn samples(compressed: &[u8]) -> Result<Samples> {
    let mut bytes = Vec::new();
    GzDecoder::new(compressed).read_to_end(&mut bytes)?;
    Ok(Samples::from_bytes(&bytes)?)
}

/// Compiles the network: for one image, or for many.
pub(crate) fn compile(single: bool, privacy: ModelPrivacy) -> Result<Compiled> {
    let network = network()?;
    let samples = samples(CALIBRATION).context("the calibration images cannot be read")?;
    let samples: Vec<Vec<f64>> = samples.iter().map(<[f64]>::to_vec).collect();
    let mut options = CompileOptions::new(&samples);
    options.privacy = privacy;
    options.objective = if single { Objective::Latency } else { Objective::Throughput };
    plan::compile(&network, &options).context("the network cannot be compiled")
}

/// The program that key generation left.
pub(crate) fn program(place: &Place) -> Result<VerifiedProgram> {
    let program = Program::decode(&read(&place.program())?).context("the program is malformed")?;
    VerifiedProgram::new(program).context("the program does not hold together")
}

/// The client's seeds of all three keys. In this workload the client owns them all; in Adyton proper the model key is its owner's and the result
/// key the enclave's.
pub(crate) struct Seeds([[u8; SEED]; 3]);

impl Seeds {
    /// New ones.
    pub(crate) fn draw(randomness: &mut Randomness) -> Self {
        Self(std::array::from_fn(|_| *randomness.seed()))
    }

    /// As they are stored.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// From where they are stored.
    pub(crate) fn load(place: &Place) -> Result<Self> {
        let bytes = read(&place.seeds())?;
        let (seeds, rest) = bytes.as_chunks::<SEED>();
        match (<[[u8; SEED]; 3]>::try_from(seeds), rest) {
            (Ok(seeds), []) => Ok(Self(seeds)),
            _ => bail!("{} should have {} bytes", place.seeds().display(), 3 * SEED),
        }
    }

    /// The model key of a row.
    pub(crate) fn model(&self, parameters: &Parameters, row: u8) -> Result<SecretKey<ModelKey>> {
        let basis = parameters.ring().full_basis();
        Ok(SecretKey::derive_row(parameters, &basis, &self.0[0], row, EPOCH)?)
    }

    /// The key of inputs.
    pub(crate) fn input(&self, parameters: &Parameters) -> Result<SecretKey<InputKey>> {
        Ok(SecretKey::derive(parameters, &self.0[1], EPOCH)?)
    }

    /// The key of results.
    pub(crate) fn result(&self, parameters: &Parameters) -> Result<SecretKey<ResultKey>> {
        Ok(SecretKey::derive(parameters, &self.0[2], EPOCH)?)
    }
}
