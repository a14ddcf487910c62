//! Weights, ready to be multiplied: read or encoded, checked against the program, and laid out for the steps that read them.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    iter::repeat_n,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use adyton_ckks::{
    CkksError, Encoder, Evaluator, ModelKey, Plaintext, PreparedMasks, PreparedWeights, Seed,
    SeededCiphertext,
};
use adyton_program::{ModelPrivacy, Program, Step, VerifiedProgram};

use crate::load::{LoadError, check_seeded, load};

/// All weights of one deployment, ready for use and independent of any session.
#[derive(Debug)]
pub struct Weights {
    program: [u8; 32],
    /// By step; only product steps have weights.
    steps: Vec<Option<PreparedWeights>>,
    /// By mask set.
    masks: Vec<Option<PreparedMasks>>,
    sets: MaskSets,
}

/// The distinct lists of masks of a program's product steps: steps with one list share their masks' products.
#[derive(Debug)]
pub(crate) struct MaskSets {
    /// By step.
    of_step: Vec<Option<usize>>,
    /// How many masks each set has, and a step that has it.
    sets: Vec<(usize, usize)>,
}

impl MaskSets {
    pub(crate) fn new(program: &Program) -> Self {
        let mut numbers = BTreeMap::new();
        let mut sets = Vec::new();
        let of_step = program.steps.iter().enumerate().map(|(index, step)| {
            let masks = program.masks(step);
            if masks.is_empty() {
                return None;
            }
            let len = masks.len();
            Some(*numbers.entry(masks).or_insert_with(|| {
                sets.push((len, index));
                sets.len() - 1
            }))
        });
        let of_step = of_step.collect();
        Self { of_step, sets }
    }

    /// The set of a step, if it has masks.
    pub(crate) fn of_step(&self, step: usize) -> Option<usize> {
        self.of_step.get(step).copied().flatten()
    }

    /// For each set, how many masks it has, and a step that has it.
    pub(crate) fn sets(&self) -> &[(usize, usize)] {
        &self.sets
    }
}

impl Weights {
    /// Lays out encrypted weights, given in the order of the program's weights, on `threads` threads.
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
        let (specs, evaluator) = (&program.program().weights, Evaluator::new(program.parameters()));
        let sets = MaskSets::new(program.program());
        let assembly = Assembly::<SeededCiphertext<ModelKey>>::new(program);
        let masks = Masks::new(&sets);
        let prepared = load(specs, items, threads, |index, spec, item| {
            let weight = decode(item).map_err(|source| LoadError::Item { index, source })?;
            check_seeded(index, &weight, spec.level, &spec.scale)?;
            if !masks.agrees(spec.mask, weight.seed()) {
                return Err(LoadError::Mask { index, mask: spec.mask });
            }
            let complete = assembly.add(index, weight).into_iter();
            let prepare = |(step, weights): (usize, StepWeights<_>)| {
                let terms: Vec<_> = weights.terms.iter().map(|weight| &**weight).collect();
                if let Some(set) = sets.of_step(step).filter(|&set| masks.claim(set)) {
                    masks.keep(set, evaluator.prepare_masks(&terms)?);
                }
                let row = weights.first.and_then(|weight| specs.get(weight)).map_or(0, |w| w.row);
                Ok((step, evaluator.prepare_encrypted(row, &terms, weights.bias.as_deref())?))
            };
            let prepared: Result<Vec<_>, CkksError> = complete.map(prepare).collect();
            prepared.map_err(|source| LoadError::Unfit { index, source })
        })?;
        let masks = masks.into_prepared();
        Ok(Self { masks, sets, ..Self::of_steps(program, prepared) })
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
        let evaluator = Evaluator::new(program.parameters());
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
            let prepare = |(step, weights): (usize, StepWeights<_>)| {
                let terms: Vec<_> = weights.terms.iter().map(|weight| &**weight).collect();
                Ok((step, evaluator.prepare_plain(&terms, weights.bias.as_deref())?))
            };
            let prepared = encoder
                .encode(&slots, spec.level, &spec.scale)
                .and_then(|weight| assembly.add(index, weight).into_iter().map(prepare).collect());
            prepared.map_err(|source| LoadError::Unfit { index, source })
        })?;
        Ok(Self::of_steps(program, prepared))
    }

    fn of_steps(program: &VerifiedProgram, prepared: Vec<Vec<(usize, PreparedWeights)>>) -> Self {
        let mut steps: Vec<_> = program.program().steps.iter().map(|_| None).collect();
        for (step, weights) in prepared.into_iter().flatten() {
            steps[step] = Some(weights);
        }
        let sets = MaskSets { of_step: Vec::new(), sets: Vec::new() };
        Self { program: program.id(), steps, masks: Vec::new(), sets }
    }

    /// Id of the program that the weights were checked against.
    #[must_use]
    pub const fn program(&self) -> &[u8; 32] {
        &self.program
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let weights = self.steps.iter().flatten().map(PreparedWeights::bytes);
        weights.chain(self.masks.iter().flatten().map(PreparedMasks::bytes)).sum()
    }

    /// The weights of a product step.
    pub(crate) fn of_step(&self, step: usize) -> Option<&PreparedWeights> {
        self.steps.get(step)?.as_ref()
    }

    /// The masks of a product step's weights, when they are encrypted.
    pub(crate) fn masks_of_step(&self, step: usize) -> Option<&PreparedMasks> {
        self.masks.get(self.sets.of_step(step)?)?.as_ref()
    }
}

/// Masks while weights are loaded: every weight that has one must name the same seed, and each set is laid out once.
struct Masks {
    seeds: Mutex<BTreeMap<u32, Seed>>,
    claimed: Mutex<BTreeSet<usize>>,
    prepared: Mutex<Vec<Option<PreparedMasks>>>,
}

impl Masks {
    fn new(sets: &MaskSets) -> Self {
        Self {
            seeds: Mutex::default(),
            claimed: Mutex::default(),
            prepared: Mutex::new(sets.sets().iter().map(|_| None).collect()),
        }
    }

    /// Whether this seed is that of the mask, as far as is known.
    fn agrees(&self, mask: u32, seed: &Seed) -> bool {
        let mut seeds = self.seeds.lock().unwrap_or_else(PoisonError::into_inner);
        seeds.entry(mask).or_insert(*seed) == seed
    }

    /// Whether the caller is the first to ask for a set, and so the one to lay it out.
    fn claim(&self, set: usize) -> bool {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(set)
    }

    fn keep(&self, set: usize, masks: PreparedMasks) {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = prepared.get_mut(set) {
            *place = Some(masks);
        }
    }

    fn into_prepared(self) -> Vec<Option<PreparedMasks>> {
        self.prepared.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn require<E: Error>(program: &VerifiedProgram, privacy: ModelPrivacy) -> Result<(), LoadError<E>> {
    if program.program().privacy == privacy { Ok(()) } else { Err(LoadError::Privacy(privacy)) }
}

/// Weights on their way into steps. A step is laid out as soon as its last weight is there, and a weight is dropped after the
/// last step that reads it, so that only few are held twice.
struct Assembly<'a, W> {
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
        Self { steps, readers, waiting: Mutex::new(waiting) }
    }

    /// Takes a weight; gives the steps for which it was the last one missing, with all their weights.
    fn add(&self, index: usize, weight: W) -> Vec<(usize, StepWeights<W>)> {
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
                first: terms.first().map(|&(weight, _)| weight as usize),
                terms: terms.iter().filter_map(|&(weight, _)| at(weight)).collect(),
                bias: bias.and_then(at),
            },
            _ => StepWeights { first: None, terms: Vec::new(), bias: None },
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
    /// Index of the first one.
    first: Option<usize>,
    terms: Vec<Arc<W>>,
    bias: Option<Arc<W>>,
}
