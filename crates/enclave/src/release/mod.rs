//! From decrypted slots to what may leave: declared slots only, checks, flooding, rounding, output form.
//!
//! The work and the size of what comes out depend on the program, the policy and the number of samples, never on a value. No check
//! ends it early: outcomes are gathered as bits, and a failed check turns all values into zeros by a mask.

mod choose;
mod gauss;

use adyton_program::bounds;
use adyton_wire::statement::{Checks, OutputForm, Policy, Values};
use chacha20::ChaCha20Rng;
use zeroize::Zeroizing;

use crate::defences::{Defence, Defences};
use crate::plan::Plan;

/// What a release is made with.
pub(crate) struct Rules<'a> {
    plan: &'a Plan,
    form: OutputForm,
    samples: usize,
    limits: Limits,
    /// The checks that count, as bits: all.
    counted: u32,
    /// Standard deviation of the flooding noise.
    flooding: f64,
}

/// How far honest results may stray; see [`bounds`].
struct Limits {
    /// The error of any one slot.
    slot: f64,
    /// The sum of the squared errors of all slots that no output stands in.
    energy: f64,
}

/// The bits of the checks whose defences stand.
const fn counted(defences: Defences) -> u32 {
    let noise =
        if defences.stands(Defence::Noise) { Checks::UNDECLARED | Checks::COPIES } else { 0 };
    noise | if defences.stands(Defence::Range) { Checks::RANGE } else { 0 }
}

/// Outputs read from the slots, sample by sample, and the checks' bits.
pub(crate) struct Outputs {
    values: Zeroizing<Vec<f64>>,
    failed: u32,
    /// Squares of the slots that no output stands in.
    energy: f64,
}

impl<'a> Rules<'a> {
    /// The rules for a job of `samples` in `groups` ciphertexts, under a policy.
    pub(crate) fn new(
        plan: &'a Plan,
        policy: &Policy,
        (samples, groups): (u32, u32),
        defences: Defences,
    ) -> Self {
        let ciphertext = |positions: usize| positions as u64 * plan.lanes as u64;
        let tested = ciphertext(plan.positions()) * u64::from(groups);
        let undeclared = ciphertext(plan.undeclared.len()) * u64::from(groups);
        let released = ciphertext(plan.first.len());
        let norm = bounds::released_norm(released, plan.deviation, plan.released_deviation);
        let bits = bounds::FALSE_REFUSAL_BITS;
        Self {
            plan,
            form: policy.output,
            samples: samples as usize,
            limits: Limits {
                slot: plan.deviation * bounds::largest_error(tested, bits),
                energy: plan.deviation.powi(2) * bounds::error_energy(undeclared, bits),
            },
            counted: counted(defences),
            flooding: match defences.stands(Defence::Flooding) {
                true => bounds::flooding(policy.ciphertexts_per_session, norm),
                false => 0.0,
            },
        }
    }

    pub(crate) fn outputs(&self) -> Outputs {
        let count = self.samples * self.plan.first.len();
        Outputs { values: Zeroizing::new(Vec::with_capacity(count)), failed: 0, energy: 0.0 }
    }

    /// Reads one group's slots; `before` samples came in earlier groups.
    pub(crate) fn read(&self, slots: &[f64], before: usize, outputs: &mut Outputs) {
        let plan = self.plan;
        let lanes = plan.lanes;
        let at = |position: usize, lane: usize| {
            slots.get(position * lanes + lane).copied().unwrap_or(f64::NAN)
        };
        // Written so that not-a-number fails.
        let fails = |holds: bool, bit: u32| u32::from(!holds) * bit;
        let error = self.limits.slot;
        let (mut failed, mut energy) = (0, 0.0);
        for &position in &plan.undeclared {
            for lane in 0..lanes {
                let value = at(position, lane);
                energy += value * value;
                failed |= fails(value.abs() <= error, Checks::UNDECLARED);
            }
        }
        for copy in &plan.copies {
            for lane in 0..lanes {
                let difference = (at(copy.position, lane) - at(copy.first, lane)).abs();
                failed |= fails(difference <= 2.0 * error, Checks::COPIES);
            }
        }
        for lane in 0..lanes.min(self.samples.saturating_sub(before)) {
            for &position in &plan.first {
                let value = at(position, lane);
                failed |= fails(value.abs() <= plan.range + error, Checks::RANGE);
                outputs.values.push(value);
            }
        }
        outputs.failed |= failed;
        outputs.energy += energy;
    }

    /// Whether a check has failed already, and the rest of the work is left out.
    #[cfg(adyton_attacks)]
    pub(crate) fn stops(&self, outputs: &mut Outputs) -> bool {
        let failed = outputs.failed & self.counted != 0;
        if failed {
            outputs.values.resize(self.samples * self.plan.first.len(), 0.0);
        }
        failed
    }

    /// Floods, rounds, and puts the values in the policy's form; zeros where a check failed.
    pub(crate) fn finish(&self, mut outputs: Outputs, rng: &mut ChaCha20Rng) -> (Checks, Values) {
        let quiet = outputs.energy <= self.limits.energy;
        outputs.failed |= u32::from(!quiet) * Checks::UNDECLARED;
        outputs.failed &= self.counted;
        gauss::flood(&mut outputs.values, self.flooding, rng);
        // All ones while every check held, else zero.
        let keep = u32::from(outputs.failed == 0).wrapping_neg();
        let keep_code = |code: i32| code & keep as i32;
        let count = self.plan.first.len();
        let values = match self.form {
            OutputForm::Logits { bits } => {
                let step = self.step(bits);
                let codes = choose::round(&outputs.values, step, bits);
                Values::Logits { step, codes: codes.into_iter().map(keep_code).collect() }
            }
            OutputForm::TopK { k, bits } => {
                let step = self.step(bits);
                let codes = Zeroizing::new(choose::round(&outputs.values, step, bits));
                let chosen = codes.chunks(count).flat_map(|codes| choose::largest(codes, k.into()));
                let kept = chosen.map(|(index, code)| (index & keep, keep_code(code)));
                Values::TopK { step, entries: kept.collect() }
            }
            OutputForm::Label => {
                // As fine as the noise allows to tell: the label is that of the flooded values.
                let codes = Zeroizing::new(choose::round(&outputs.values, self.step(30), 30));
                let labels = codes.chunks(count).flat_map(|codes| choose::largest(codes, 1));
                Values::Labels(labels.map(|(index, _)| index & keep).collect())
            }
        };
        (Checks(outputs.failed), values)
    }

    /// Value of code 1 when ±range is cut into 2^bits codes.
    fn step(&self, bits: u8) -> f64 {
        self.plan.range / f64::from(1u32 << (bits - 1))
    }
}
