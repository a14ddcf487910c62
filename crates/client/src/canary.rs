//! Canary lanes: samples whose answers are known, hidden among one's own.
//!
//! The data owner hides them, not the enclave: the enclave never sees an input, and the owner need trust nobody to draw the
//! lanes. The host sees ciphertexts alone, so it cannot tell which lanes are canaries. What it does to a lane without knowing shows
//! when it hits one: with c of n lanes altered and m canaries, all escape with probability C(n − m, c) / C(n, c).
//!
//! This is weaker than an audit. It catches results that are wrong by more than noise and rounding, in lanes that the host chose
//! blindly; not one that is right on the canaries, and nothing at all when the data owner itself helps the host.

use adyton_program::{OutputLayout, bounds};
use adyton_wire::statement::{OutputForm, Policy, ResultPayload, Values};

/// A sample and the network's outputs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The sample.
    pub input: Vec<f64>,
    /// Its outputs, from the model owner or from an audited job.
    pub answer: Vec<f64>,
}

/// Why canaries cannot be hidden, or what they show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanaryError {
    /// Nothing to hide.
    #[error("there are no known samples to hide")]
    None,
    /// An answer of another length than the network has outputs.
    #[error("known sample {index} has {found} answers; the network has {expected} outputs")]
    Answers {
        /// Which, from 0.
        index: usize,
        /// How many it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// No random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
    /// A result with another number of samples than was sent.
    #[error("the result is not that of this job's samples")]
    Size,
    /// The host computed something else than the program.
    #[error(
        "{wrong} of {hidden} canaries came back wrong: the host computed something else than the program"
    )]
    Wrong {
        /// How many.
        wrong: usize,
        /// Of how many.
        hidden: usize,
    },
}

/// Where canaries and own samples stand in a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Canaries {
    /// Position of each own sample.
    pub own: Vec<usize>,
    /// Position and answer of each canary.
    pub hidden: Vec<(usize, Vec<f64>)>,
}

/// A uniform number below `limit`, off by less than limit·2^−64.
fn below(limit: usize) -> Result<usize, CanaryError> {
    let bytes = adyton_wire::random_bytes().map_err(|_| CanaryError::Random)?;
    Ok(((u128::from(u64::from_le_bytes(bytes)) * limit as u128) >> 64) as usize)
}

/// A uniform permutation of 0..`count` (Fisher and Yates).
fn permutation(count: usize) -> Result<Vec<usize>, CanaryError> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, below(last + 1)?);
    }
    Ok(order)
}

impl Canaries {
    /// Hides `count` canaries, drawn from `known`, among `samples`; gives all in their new, random order.
    ///
    /// # Errors
    /// [`CanaryError`]: no known sample, or one without as many answers as the network has `outputs`.
    pub fn hide(
        samples: &[Vec<f64>],
        known: &[Known],
        count: usize,
        outputs: usize,
    ) -> Result<(Vec<Vec<f64>>, Self), CanaryError> {
        let short = known.iter().position(|known| known.answer.len() != outputs);
        if let Some((index, known)) = short.and_then(|index| Some((index, known.get(index)?))) {
            let (found, expected) = (known.answer.len(), outputs);
            return Err(CanaryError::Answers { index, found, expected });
        }
        let order = permutation(samples.len() + count)?;
        let (own, lanes) = order.split_at(samples.len());
        let mut mixed = vec![Vec::new(); order.len()];
        let mut put = |position: usize, sample: &[f64]| {
            if let Some(place) = mixed.get_mut(position) {
                *place = sample.to_vec();
            }
        };
        own.iter().zip(samples).for_each(|(&position, sample)| put(position, sample));
        let mut hidden = Vec::with_capacity(count);
        for &position in lanes {
            let chosen = known.get(below(known.len())?).ok_or(CanaryError::None)?;
            put(position, &chosen.input);
            hidden.push((position, chosen.answer.clone()));
        }
        Ok((mixed, Self { own: own.to_vec(), hidden }))
    }

    /// Compares what came back for the canaries with what is known: logits to within `tolerance`; of labels and top-k the largest,
    /// which must be the known largest or one as close to it as `tolerance` on both sides allows.
    ///
    /// # Errors
    /// [`CanaryError::Wrong`] when one differs, [`CanaryError::Size`] for a result of another size.
    pub fn check(&self, payload: &ResultPayload, tolerance: f64) -> Result<(), CanaryError> {
        let (samples, outputs) = (payload.samples as usize, payload.outputs as usize);
        if samples != self.own.len() + self.hidden.len() || outputs == 0 {
            return Err(CanaryError::Size);
        }
        let is_right = |position: usize, answer: &[f64]| match &payload.values {
            Values::Logits { step, codes } => {
                codes.chunks(outputs).nth(position).is_some_and(|row| {
                    let close = |(&code, known): (&i32, &f64)| {
                        (f64::from(code) * step - known).abs() <= tolerance
                    };
                    row.len() == answer.len() && row.iter().zip(answer).all(close)
                })
            }
            Values::TopK { entries, .. } => {
                let first = entries.chunks(entries.len() / samples).nth(position);
                first
                    .and_then(<[_]>::first)
                    .is_some_and(|&(label, _)| leads(answer, label, tolerance))
            }
            Values::Labels(labels) => {
                labels.get(position).is_some_and(|&label| leads(answer, label, tolerance))
            }
        };
        let wrong = self.hidden.iter().filter(|(at, answer)| !is_right(*at, answer)).count();
        match wrong {
            0 => Ok(()),
            _ => Err(CanaryError::Wrong { wrong, hidden: self.hidden.len() }),
        }
    }

    /// The own samples' part of a list that has one entry for each sample of the job, in their own order.
    #[must_use]
    pub fn own<T: Clone>(&self, all: &[T]) -> Vec<T> {
        self.own.iter().filter_map(|&position| all.get(position).cloned()).collect()
    }
}

/// Whether `label` may be the largest of outputs that are off by at most `tolerance`.
fn leads(answer: &[f64], label: u32, tolerance: f64) -> bool {
    let largest = answer.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    answer.get(label as usize).is_some_and(|&value| value >= largest - 2.0 * tolerance)
}

/// How far a released output and a known one may lie apart when both were released by this policy: errors, flooding (eight standard
/// deviations) and rounding, on both sides. An honest host fails a canary once in 2^40 jobs or less often.
#[must_use]
pub fn tolerance(policy: &Policy, lanes: u32, output: &OutputLayout) -> f64 {
    let values = u64::from(output.outputs) * u64::from(lanes);
    let norm = bounds::released_norm(values, output.deviation, output.released_deviation);
    let flooding = bounds::flooding(policy.ciphertexts_per_session, norm);
    let error = output.deviation * bounds::largest_error(values, bounds::FALSE_REFUSAL_BITS);
    let step = match policy.output {
        OutputForm::Logits { bits } | OutputForm::TopK { bits, .. } => {
            output.range / f64::from(1u32 << (bits - 1))
        }
        OutputForm::Label => output.range / f64::from(1u32 << 29),
    };
    2.0 * (error + 8.0 * flooding + step)
}

/// Probability that a host which alters `altered` of `lanes` lanes blindly alters one of `canaries` canaries:
/// 1 − C(lanes − canaries, altered) / C(lanes, altered).
#[must_use]
pub fn detection(lanes: u64, canaries: u64, altered: u64) -> f64 {
    if canaries == 0 || altered == 0 {
        return 0.0;
    }
    if altered + canaries > lanes {
        return 1.0;
    }
    let escape: f64 =
        (0..altered).map(|i| (lanes - canaries - i) as f64 / (lanes - i) as f64).product();
    1.0 - escape
}

#[cfg(test)]
mod tests {
    use super::*;
    use adyton_wire::statement::Checks;
    use adyton_wire::{JobId, SessionId};

    const OUTPUTS: usize = 3;

    fn network(sample: &[f64]) -> Vec<f64> {
        vec![sample[0], -sample[0], 2.0 * sample[0]]
    }

    fn known() -> Vec<Known> {
        (1..6)
            .map(|n| {
                let input = vec![f64::from(n)];
                Known { answer: network(&input), input }
            })
            .collect()
    }

    fn samples(count: usize) -> Vec<Vec<f64>> {
        (0..count).map(|n| vec![100.0 + n as f64]).collect()
    }

    fn payload(rows: &[Vec<f64>]) -> ResultPayload {
        let codes = rows.iter().flatten().map(|value| (value * 100.0).round() as i32).collect();
        ResultPayload {
            session: SessionId([1; 32]),
            job: JobId([2; 16]),
            checks: Checks(0),
            blind: [0; 32],
            samples: rows.len() as u32,
            outputs: OUTPUTS as u32,
            values: Values::Logits { step: 0.01, codes },
        }
    }

    #[test]
    fn own_samples_come_back_in_order_and_honest_results_pass() {
        let own = samples(20);
        let (mixed, canaries) = Canaries::hide(&own, &known(), 7, OUTPUTS).unwrap();
        assert_eq!((mixed.len(), canaries.hidden.len()), (27, 7));
        assert_eq!(canaries.own(&mixed), own);
        let rows: Vec<Vec<f64>> = mixed.iter().map(|sample| network(sample)).collect();
        assert_eq!(canaries.check(&payload(&rows), 0.02), Ok(()));
        let labels = ResultPayload { values: Values::Labels(vec![2; 27]), ..payload(&rows) };
        assert_eq!(canaries.check(&labels, 0.02), Ok(()));
        let labels = ResultPayload { values: Values::Labels(vec![1; 27]), ..payload(&rows) };
        let wrong = Err(CanaryError::Wrong { wrong: 7, hidden: 7 });
        assert_eq!(canaries.check(&labels, 0.02), wrong);
        assert_eq!(canaries.check(&payload(&rows[1..]), 0.02), Err(CanaryError::Size));
    }

    #[test]
    fn what_cannot_be_hidden_is_named() {
        assert_eq!(Canaries::hide(&samples(2), &[], 1, OUTPUTS), Err(CanaryError::None));
        let found = Canaries::hide(&samples(2), &known(), 1, 4);
        assert_eq!(found, Err(CanaryError::Answers { index: 0, found: 3, expected: 4 }));
    }

    /// A host that alters c lanes blindly, against the formula.
    #[test]
    fn blind_changes_are_caught_as_often_as_the_formula_says() {
        const TRIALS: u32 = 2000;
        for (own, hidden, altered) in
            [(28usize, 4usize, 1usize), (28, 4, 8), (60, 4, 32), (3, 1, 2)]
        {
            let lanes = own + hidden;
            let caught = (0..TRIALS).filter(|_| {
                let (mixed, canaries) =
                    Canaries::hide(&samples(own), &known(), hidden, OUTPUTS).unwrap();
                let mut rows: Vec<Vec<f64>> = mixed.iter().map(|sample| network(sample)).collect();
                // The lanes are random, so the host may as well take the first.
                rows.iter_mut().take(altered).for_each(|row| row[0] += 1.0);
                canaries.check(&payload(&rows), 0.02).is_err()
            });
            let (n, caught) = (f64::from(TRIALS), caught.count() as f64);
            let p = detection(lanes as u64, hidden as u64, altered as u64);
            let allowed = 5.0 * (n * p * (1.0 - p)).sqrt();
            assert!((caught - n * p).abs() <= allowed, "{caught} of {n}, formula {p}");
        }
        assert_eq!(detection(32, 4, 29), 1.0);
        assert!((detection(32, 1, 8) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn near_ties_are_nobodys_fault() {
        assert!(leads(&[1.0, 1.01, 0.5], 0, 0.01) && leads(&[1.0, 1.01, 0.5], 1, 0.0));
        assert!(!leads(&[1.0, 1.01, 0.5], 0, 0.001) && !leads(&[1.0, 1.01, 0.5], 3, 1.0));
    }
}
