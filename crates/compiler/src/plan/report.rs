//! What compiling found out: layouts, sizes, predicted errors.

use std::fmt;

use adyton_program::bundle::BundleShape;
use adyton_program::{VerifiedProgram, bounds};

use super::shadow::Outcome;
use super::steps::Source;
use super::{CompileError, Plan};
use crate::cost::resident_bytes;

/// The largest of 10^4 flooded results (ten logits of a thousand samples) stays below this many standard deviations in 19 of
/// 20 runs.
const FLOODED_DEVIATIONS: f64 = 4.5;

/// Predicted errors of the result, in units of the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Precision {
    /// Standard deviation at the worst position for the worst input, before flooding: the program's `output.deviation`.
    pub std: f64,
    /// The same for the worst calibration sample.
    pub calibrated: f64,
    /// Root mean square over the outputs, for the worst input: the program's `output.released_deviation`.
    pub released: f64,
    /// Standard deviation of the flooding noise that the enclave adds.
    pub flooding: f64,
    /// Largest error to expect over some 10^4 results after flooding, as part of the range that the logits cover.
    pub relative: f64,
    /// Range that the logits of the calibration samples cover: largest less smallest.
    pub span: f64,
    /// For each source of errors, the variance that it leaves in the result.
    pub variances: Vec<f64>,
}

impl Precision {
    /// From the runs of `calibration` samples, then of inputs that make errors large; the enclave may release `releases` ciphertexts
    /// of `values` values a session.
    pub(super) fn new(
        outcomes: &[Outcome],
        calibration: usize,
        span: f64,
        (releases, values): (u32, u64),
    ) -> Self {
        let worst = |outcomes: &[Outcome]| {
            outcomes.iter().map(|outcome| outcome.worst).fold(0.0, f64::max).sqrt()
        };
        let std = worst(outcomes);
        let calibrated = worst(outcomes.get(..calibration).unwrap_or(outcomes));
        let count = outcomes.first().map_or(0, |outcome| outcome.variances.len());
        let largest = |source: usize| {
            let of = outcomes.iter().filter_map(|outcome| outcome.variances.get(source));
            of.copied().fold(0.0, f64::max)
        };
        let released = outcomes.iter().map(|outcome| outcome.released).fold(0.0, f64::max).sqrt();
        let flooding = bounds::flooding(releases, bounds::released_norm(values, std, released));
        // Flooding is 2^15 times the error, so the error itself does not show.
        let relative = FLOODED_DEVIATIONS * flooding / span;
        let variances = (0..count).map(largest).collect();
        Self { std, calibrated, released, flooding, relative, span, variances }
    }

    /// The source of the largest part of the error.
    #[must_use]
    pub fn binding(&self) -> Source {
        let largest =
            self.variances.iter().enumerate().max_by(|left, right| left.1.total_cmp(right.1));
        Source::from_index(largest.map_or(0, |(index, _)| index))
    }
}

/// How a program came about, and what it costs.
#[derive(Clone, Debug)]
pub struct Report {
    /// Layouts.
    pub plan: Plan,
    /// Predicted errors.
    pub precision: Precision,
    /// log2 of the ring degree.
    pub log_n: u8,
    /// Largest log2 of a modulus under which anything is encrypted.
    pub max_log_qp: f64,
    /// Steps of the program.
    pub steps: usize,
    /// Weight vectors, biases included.
    pub weights: usize,
    /// Bytes of the model as it is stored.
    pub model_bytes: u64,
    /// Bytes of the inputs of one group of `lanes` samples.
    pub input_bytes: u64,
    /// Evaluation keys.
    pub keys: usize,
    /// Bytes of the evaluation keys as they are stored.
    pub key_bytes: u64,
    /// Bytes of weights and of one session's keys, expanded in the host's memory.
    pub resident_bytes: u64,
}

impl Report {
    pub(super) fn new(
        program: &VerifiedProgram,
        plan: Plan,
        precision: Precision,
    ) -> Result<Self, CompileError> {
        Ok(Self {
            plan,
            precision,
            log_n: program.parameters().log_n(),
            max_log_qp: program.parameters().max_log_qp(),
            steps: program.program().steps.len(),
            weights: program.program().weights.len(),
            model_bytes: BundleShape::model(program)?.total_len(),
            input_bytes: BundleShape::inputs(program, 1)?.total_len(),
            keys: program.program().keys.len(),
            key_bytes: BundleShape::keys(program)?.total_len(),
            resident_bytes: resident_bytes(program)?,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(f, "N = 2^{}, log2 QP = {:.1}", self.log_n, self.max_log_qp)?;
        writeln!(f, "{} positions × {} lanes", self.plan.positions, self.plan.lanes)?;
        for (index, layer) in self.plan.layers.iter().enumerate() {
            let split = if layer.im2col {
                "im2col".to_owned()
            } else {
                format!("n1 = {}, n2 = {}", layer.babies, layer.giants)
            };
            let pooled: String =
                layer.pooled.iter().map(|rotations| format!("sums of {rotations:?}, ")).collect();
            writeln!(
                f,
                "affine {index}: {}×{} at level {}: {} → {} blocks, period {} → {}, {} products, {pooled}{split}, strides {:?}",
                layer.shape.0,
                layer.shape.1,
                layer.level,
                layer.blocks.0,
                layer.blocks.1,
                layer.periods.0,
                layer.periods.1,
                layer.products,
                layer.strides
            )?;
        }
        writeln!(
            f,
            "{} steps; {} weights, {:.2} MiB; inputs {:.2} MiB a group; {} keys, {:.2} MiB",
            self.steps,
            self.weights,
            mib(self.model_bytes),
            mib(self.input_bytes),
            self.keys,
            mib(self.key_bytes)
        )?;
        let precision = &self.precision;
        writeln!(
            f,
            "error 2^{:.1} (2^{:.1} for the samples), flooded by 2^{:.1}: at most {:.3} % of the logits' range {:.2}; largest part: {}",
            precision.std.log2(),
            precision.calibrated.log2(),
            precision.flooding.log2(),
            100.0 * precision.relative,
            precision.span,
            precision.binding()
        )
    }
}
