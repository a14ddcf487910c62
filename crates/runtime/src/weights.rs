//! Weights, ready to be multiplied: expanded from their seeded form or encoded, checked against the program, and laid out for
//! the steps that read them.

use std::{
    error::Error,
    iter::repeat_n,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use adyton_ckks::{
    Ciphertext, CkksError, Encoder, Evaluator, ModelKey, Plaintext, PreparedWeights,
    SeededCiphertext, Weight,
};
use adyton_program::{ModelPrivacy, Step, VerifiedProgram};

use crate::load::{LoadError, expand, load};

/// All weights of one deployment, ready for use and independent of any session.
#[derive(Debug)]
pub struct Weights {
    program: [u8; 32],
    /// By step; only product steps have weights.
    steps: Vec<Option<PreparedWeights>>,
}

impl Weights {
    /// Expands encrypted weights, given in the order of the program's weights, on `threads` threads.
    ///
    /// `decode` makes a seeded ciphertext of each item, on the worker threads too: an item may be bytes, or the ciphertext
    /// itself. No more than `threads` items are held at a time.
    ///
    /// # Errors
    /// [`LoadError`] naming the first weight that does not fit.
    pub fn encrypted<T, E: Error + Send + 'static>(
        program: &VerifiedProgram,
        items: impl IntoIterator<Item = T, IntoIter: Send>,
        decode: impl Fn(T) -> Result<SeededCiphertext<ModelKey>, E> + Sync,
        threads: usize,
    ) -> Result<Self, LoadError<E>> {
        require(program, ModelPrivacy::Encrypted)?;
        let parameters = program.parameters();
        let specs = &program.program().weights;
        let assembly = Assembly::<Ciphertext<ModelKey>>::new(program);
        let prepared = load(specs, items, threads, |index, spec, item| {
            let weight = decode(item).map_err(|source| LoadError::Item { index, source })?;
            let weight = expand(parameters, index, weight, spec.level, &spec.scale)?;
            let prepared = assembly.add(index, weight, |weight| Weight::Encrypted(weight));
            prepared.map_err(|source| LoadError::Unfit { index, source })
        })?;
        Ok(Self::of_steps(program, prepared))
    }

    /// Encodes plain weights, given in the order of the program's weights, on `threads` threads.
    ///
    /// `decode` makes of each item one value for every position; each is repeated over the lanes.
    ///
    /// # Errors
    /// [`LoadError`] naming the first weight that does not fit.
    pub fn plain<T, E: Error + Send + 'static>(
        program: &VerifiedProgram,
        items: impl IntoIterator<Item = T, IntoIter: Send>,
        decode: impl Fn(T) -> Result<Vec<f64>, E> + Sync,
        threads: usize,
    ) -> Result<Self, LoadError<E>> {
        require(program, ModelPrivacy::Plain)?;
        let encoder = Encoder::new(program.parameters());
        let layout = &program.program().input;
        let (positions, lanes) = (layout.positions as usize, layout.lanes as usize);
        let specs = &program.program().weights;
        let assembly = Assembly::<Plaintext>::new(program);
        let prepared = load(specs, items, threads, |index, spec, item| {
            let values = decode(item).map_err(|source| LoadError::Item { index, source })?;
            if values.len() != positions {
                let given = values.len();
                return Err(LoadError::Length { index, given, expected: positions });
            }
            let slots: Vec<f64> = values.iter().flat_map(|&value| repeat_n(value, lanes)).collect();
            let weight = encoder.encode(&slots, spec.level, &spec.scale);
            let prepared = weight
                .and_then(|weight| assembly.add(index, weight, |weight| Weight::Plain(weight)));
            prepared.map_err(|source| LoadError::Unfit { index, source })
        })?;
        Ok(Self::of_steps(program, prepared))
    }

    fn of_steps(program: &VerifiedProgram, prepared: Vec<Vec<(usize, PreparedWeights)>>) -> Self {
        let mut steps: Vec<_> = program.program().steps.iter().map(|_| None).collect();
        for (step, weights) in prepared.into_iter().flatten() {
            steps[step] = Some(weights);
        }
        Self { program: program.id(), steps }
    }

    /// Id of the program that the weights were checked against.
    #[must_use]
    pub const fn program(&self) -> &[u8; 32] {
        &self.program
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.steps.iter().flatten().map(PreparedWeights::bytes).sum()
    }

    /// The weights of a product step.
    pub(crate) fn of_step(&self, step: usize) -> Option<&PreparedWeights> {
        self.steps.get(step)?.as_ref()
    }
}

fn require<E: Error>(program: &VerifiedProgram, privacy: ModelPrivacy) -> Result<(), LoadError<E>> {
    if program.program().privacy == privacy { Ok(()) } else { Err(LoadError::Privacy(privacy)) }
}

/// Weights on their way into steps. A step is laid out as soon as its last weight is there, and a weight is dropped after the
/// last step that reads it, so that only few are held twice.
struct Assembly<'a, W> {
    evaluator: Evaluator,
    steps: &'a [Step],
    /// The steps that read each weight, ascending.
    readers: Vec<Vec<usize>>,
    waiting: Mutex<Waiting<W>>,
}

struct Waiting<W> {
    /// By weight, while a step waits for others.
    weights: Vec<Option<Arc<W>>>,
    /// By weight: steps that read it and are not laid out.
    uses: Vec<usize>,
    /// By step: weights that are not there.
    missing: Vec<usize>,
}

impl<'a, W> Assembly<'a, W> {
    fn new(program: &'a VerifiedProgram) -> Self {
        let steps = &program.program().steps;
        let mut readers = vec![Vec::new(); program.program().weights.len()];
        let mut missing = vec![0; steps.len()];
        for (index, step) in steps.iter().enumerate() {
            for weight in step.weights() {
                // The verifier has refused weights that do not exist.
                let readers = &mut readers[weight as usize];
                if readers.last() != Some(&index) {
                    readers.push(index);
                    missing[index] += 1;
                }
            }
        }
        let waiting = Waiting {
            weights: readers.iter().map(|_| None).collect(),
            uses: readers.iter().map(Vec::len).collect(),
            missing,
        };
        let evaluator = Evaluator::new(program.parameters());
        Self { evaluator, steps, readers, waiting: Mutex::new(waiting) }
    }

    /// Takes a weight and lays out the steps that have all of theirs now.
    fn add(
        &self,
        index: usize,
        weight: W,
        reference: for<'w> fn(&'w W) -> Weight<'w>,
    ) -> Result<Vec<(usize, PreparedWeights)>, CkksError> {
        let complete = self.complete_steps(index, weight);
        let prepare = |(step, weights): (usize, StepWeights<W>)| {
            let terms: Vec<Weight<'_>> = weights.terms.iter().map(|w| reference(w)).collect();
            let bias = weights.bias.as_deref().map(reference);
            Ok((step, self.evaluator.prepare(&terms, bias)?))
        };
        complete.into_iter().map(prepare).collect()
    }

    /// The steps for which this was the last missing weight, with all their weights.
    fn complete_steps(&self, index: usize, weight: W) -> Vec<(usize, StepWeights<W>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.weights[index] = Some(Arc::new(weight));
        let mut complete = Vec::new();
        for &step in &self.readers[index] {
            waiting.missing[step] -= 1;
            if waiting.missing[step] == 0 {
                complete.push((step, self.collect(&mut waiting, step)));
            }
        }
        complete
    }

    fn collect(&self, waiting: &mut MutexGuard<'_, Waiting<W>>, step: usize) -> StepWeights<W> {
        let at = |weight: u32| waiting.weights[weight as usize].clone();
        let collected = match &self.steps[step] {
            Step::Products { terms, bias } => StepWeights {
                terms: terms.iter().filter_map(|&(weight, _)| at(weight)).collect(),
                bias: bias.and_then(at),
            },
            _ => StepWeights { terms: Vec::new(), bias: None },
        };
        let mut weights: Vec<u32> = self.steps[step].weights().collect();
        weights.sort_unstable();
        weights.dedup();
        for weight in weights {
            let weight = weight as usize;
            waiting.uses[weight] -= 1;
            if waiting.uses[weight] == 0 {
                waiting.weights[weight] = None;
            }
        }
        collected
    }
}

/// All weights of one step.
struct StepWeights<W> {
    terms: Vec<Arc<W>>,
    bias: Option<Arc<W>>,
}
