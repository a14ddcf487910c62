//! What a data owner finds in a sealed result: always the same size for one job shape and output form.

use super::{Fields, OutputForm, Source, Statement};
use crate::digest::tagged;
use crate::ids::{JobId, SessionId};
use crate::limits::{MAX_OUTPUTS, MAX_SAMPLES};
use crate::{WireError, ids};

/// Checks on the decrypted slots that did not hold; none set means that the result is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks(
    /// Bit 0: a slot without an output was not ≈ 0. Bit 1: copies of an output disagreed. Bit 2: an output beyond the
    /// program's range.
    pub u32,
);

impl Checks {
    /// Bits that the outcome itself tells: charged to the ledger with the values.
    pub const BITS: u64 = 3;
    /// A slot without an output was not ≈ 0.
    pub const UNDECLARED: u32 = 1;
    /// Copies of an output disagreed.
    pub const COPIES: u32 = 2;
    /// An output beyond the program's range.
    pub const RANGE: u32 = 4;

    /// Whether every check held.
    pub fn passed(self) -> bool {
        self.0 == 0
    }
}

/// The values in the policy's output form, sample by sample; zeros when a check failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `samples · outputs` codes; a value is code · step.
    Logits {
        /// Value of code 1.
        step: f64,
        /// Rounded values.
        codes: Vec<i32>,
    },
    /// `samples · k` pairs of output index and code, largest first.
    TopK {
        /// Value of code 1.
        step: f64,
        /// Indices and rounded values.
        entries: Vec<(u32, i32)>,
    },
    /// Index of the largest output of each sample.
    Labels(Vec<u32>),
}

/// A released result.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultPayload {
    /// The session.
    pub session: SessionId,
    /// The job.
    pub job: JobId,
    /// Outcome of the checks.
    pub checks: Checks,
    /// Opens the receipt's commitment to the outcome.
    pub blind: [u8; 32],
    /// Samples.
    pub samples: u32,
    /// Outputs of one sample.
    pub outputs: u32,
    /// The values.
    pub values: Values,
}

impl ResultPayload {
    /// Commitment to an outcome, as the receipt carries it.
    pub fn outcome_commitment(checks: Checks, blind: &[u8; 32]) -> [u8; 32] {
        tagged("adyton/v1/outcome", &[&checks.0.to_le_bytes(), blind])
    }

    /// The output form of the values.
    pub fn form_matches(&self, form: &OutputForm) -> bool {
        let samples = self.samples as usize;
        let outputs = self.outputs as usize;
        match (form, &self.values) {
            (OutputForm::Logits { .. }, Values::Logits { codes, .. }) => {
                codes.len() == samples * outputs
            }
            (OutputForm::TopK { k, .. }, Values::TopK { entries, .. }) => {
                entries.len() == samples * usize::from(*k).min(outputs)
            }
            (OutputForm::Label, Values::Labels(labels)) => labels.len() == samples,
            _ => false,
        }
    }
}

/// Joined four-byte words.
fn words(values: impl Iterator<Item = [u8; 4]>) -> Vec<u8> {
    values.flatten().collect()
}

/// Reads joined four-byte words.
fn read_words<T>(bytes: &[u8], word: impl Fn([u8; 4]) -> T) -> Result<Vec<T>, WireError> {
    bytes.chunks(4).map(|chunk| ids::array("value", chunk).map(&word)).collect()
}

impl Statement for ResultPayload {
    const DOMAIN: &'static str = "adyton/v1/result";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.session.as_bytes());
        fields.bytes(self.job.as_bytes());
        fields.u32(self.checks.0);
        fields.bytes(&self.blind);
        fields.u32(self.samples);
        fields.u32(self.outputs);
        let (form, step, indices, codes) = match &self.values {
            Values::Logits { step, codes } => {
                (0, *step, Vec::new(), words(codes.iter().map(|code| code.to_le_bytes())))
            }
            Values::TopK { step, entries } => (
                1,
                *step,
                words(entries.iter().map(|entry| entry.0.to_le_bytes())),
                words(entries.iter().map(|entry| entry.1.to_le_bytes())),
            ),
            Values::Labels(labels) => {
                (2, 0.0, words(labels.iter().map(|label| label.to_le_bytes())), Vec::new())
            }
        };
        fields.u32(form);
        fields.u64(step.to_bits());
        fields.bytes(&indices);
        fields.bytes(&codes);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        let session = SessionId(fields.array("session id")?);
        let job = JobId(fields.array("job id")?);
        let checks = Checks(fields.u32()?);
        let blind = fields.array("blind")?;
        let (samples, outputs) = (fields.u32()?, fields.u32()?);
        if samples == 0 || samples > MAX_SAMPLES || outputs == 0 || outputs > MAX_OUTPUTS {
            return Err(WireError::Statement("samples or outputs out of range"));
        }
        let form = fields.u32()?;
        let step = f64::from_bits(fields.u64()?);
        let indices = read_words(fields.bytes()?, u32::from_le_bytes)?;
        let codes = read_words(fields.bytes()?, i32::from_le_bytes)?;
        if !step.is_finite() || step < 0.0 || indices.iter().any(|&index| index >= outputs) {
            return Err(WireError::Statement("a value out of range"));
        }
        let (samples_long, outputs_long) = (samples as usize, outputs as usize);
        let values = match form {
            0 if indices.is_empty() && codes.len() == samples_long * outputs_long => {
                Values::Logits { step, codes }
            }
            1 if indices.len() == codes.len()
                && indices.len().is_multiple_of(samples_long)
                && (1..=outputs_long).contains(&(indices.len() / samples_long)) =>
            {
                Values::TopK { step, entries: indices.into_iter().zip(codes).collect() }
            }
            2 if codes.is_empty() && indices.len() == samples_long && step.to_bits() == 0 => {
                Values::Labels(indices)
            }
            _ => return Err(WireError::Statement("values of another form or number")),
        };
        Ok(Self { session, job, checks, blind, samples, outputs, values })
    }
}
