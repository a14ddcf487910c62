//! The executor over the cleartext backend and over backends made to misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use adyton_ckks::RingKind;
use adyton_program::ModelPrivacy;
use adyton_runtime::{
    Backend, Cleartext, CleartextError, Deviations, Executor, Operands, Place, ProductRow,
    Progress, Rotatable, RunError, RunOptions, Schedule, StepKind, Switchable,
};
use proptest::prelude::*;
use support::{
    distance, interpret,
    program::{Case, Shape},
};

fn shapes() -> impl Strategy<Value = Shape> {
    (1..=2_usize, 0..3_u32, 1..=3_usize).prop_map(|(layers, log_lanes, inputs)| Shape {
        kind: RingKind::ConjugateInvariant,
        log_n: 5,
        layers,
        lanes: 1 << log_lanes,
        inputs,
        privacy: ModelPrivacy::Encrypted,
        alpha: 1,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Every value of every step equals what a plain interpreter finds.
    #[test]
    fn cleartext_agrees_with_the_oracle(shape in shapes(), seed: u64) {
        let case = Case::draw(shape, seed);
        let program = case.program.program().clone();
        let inputs = case.inputs(2, seed ^ 1);
        let expected: Vec<_> =
            inputs.iter().map(|group| interpret(&program, &case.weights, group)).collect();
        let backend = Cleartext::new(&program, case.weights).unwrap();
        let seen = AtomicUsize::new(0);
        let trace = |at: Place, value: u32, found: &adyton_runtime::Value<Cleartext>| {
            use adyton_runtime::Value::{Degree2, Fresh, Result, Sum};
            let (Fresh(slots) | Result(slots) | Sum(slots) | Degree2(slots)) = found;
            assert!(distance(slots, &expected[at.group][value as usize]) < 1e-9, "{at}");
            seen.fetch_add(1, Ordering::Relaxed);
        };
        let executor = Executor::new(Arc::new(case.program));
        let outcome = executor
            .run(&backend, inputs, &RunOptions::threads(2).trace(&trace))
            .unwrap();
        prop_assert_eq!(seen.into_inner(), 2 * (expected[0].len() - shape.inputs));
        for (result, expected) in outcome.results.iter().zip(&expected) {
            prop_assert!(distance(result, &expected[program.output.value as usize]) < 1e-9);
        }
    }

    /// Results are the same bits for any number of threads, noise included.
    #[test]
    fn threads_do_not_matter(shape in shapes(), seed: u64, groups in 1..4_usize) {
        let case = Case::draw(shape, seed);
        let program = case.program.program();
        let deviations = Deviations {
            weights: vec![1e-3; program.weights.len()],
            input: 1e-2,
            steps: vec![1e-3; program.steps.len()],
        };
        let backend = Cleartext::new(program, case.weights.clone())
            .unwrap()
            .with_noise(program, deviations, seed)
            .unwrap();
        let inputs = case.inputs(groups, seed);
        let executor = Executor::new(Arc::new(case.program));
        let run = |threads| {
            let options = RunOptions::threads(threads);
            executor.run(&backend, inputs.clone(), &options).unwrap().results
        };
        let bits = |results: Vec<Vec<f64>>| -> Vec<u64> {
            results.into_iter().flatten().map(f64::to_bits).collect()
        };
        let alone = bits(run(1));
        for threads in 2..=4 {
            prop_assert_eq!(&bits(run(threads)), &alone);
        }
    }
}

#[test]
fn noise_has_the_asked_deviation() {
    let shape = Shape { log_n: 12, layers: 1, inputs: 1, ..Shape::small(ModelPrivacy::Encrypted) };
    let case = Case::draw(shape, 5);
    let program = case.program.program();
    let quiet = Cleartext::new(program, case.weights.clone()).unwrap();
    let steps = program.steps.len();
    let mut deviations = Deviations { steps: vec![0.0; steps], ..Deviations::default() };
    deviations.steps[steps - 1] = 0.25;
    let noisy = quiet.clone().with_noise(program, deviations, 1).unwrap();
    let inputs = case.inputs(1, 9);
    let executor = Executor::new(Arc::new(case.program));
    let run = |backend: &Cleartext| {
        executor.run(backend, inputs.clone(), &RunOptions::threads(1)).unwrap().results.remove(0)
    };
    let (quiet, noisy) = (run(&quiet), run(&noisy));
    let errors: Vec<f64> = quiet.iter().zip(&noisy).map(|(quiet, noisy)| noisy - quiet).collect();
    let count = errors.len() as f64;
    let mean = errors.iter().sum::<f64>() / count;
    let deviation = (errors.iter().map(|error| error * error).sum::<f64>() / count).sqrt();
    // Standard errors at 4096 slots: 0.004 for the mean, 0.003 for the deviation.
    assert!(mean.abs() < 0.02, "{mean}");
    assert!((deviation - 0.25).abs() < 0.015, "{deviation}");
}

/// Slots that count themselves: how many are alive, and how many were at most.
#[derive(Debug)]
struct Counted {
    slots: Vec<f64>,
    alive: Arc<Alive>,
}

#[derive(Debug, Default)]
struct Alive {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Counted {
    fn new(slots: Vec<f64>, alive: &Arc<Alive>) -> Self {
        let now = alive.now.fetch_add(1, Ordering::SeqCst) + 1;
        alive.most.fetch_max(now, Ordering::SeqCst);
        Self { slots, alive: Arc::clone(alive) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a [`Wrapper`] does at one step instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mischief {
    None,
    Fail(Place),
    Panic(Place),
    /// Gives a value too few.
    Swallow(Place),
}

/// The cleartext backend with counted values, and with mischief.
struct Wrapper {
    inner: Cleartext,
    alive: Arc<Alive>,
    mischief: Mischief,
}

impl Wrapper {
    fn new(inner: Cleartext, mischief: Mischief) -> Self {
        Self { inner, alive: Arc::default(), mischief }
    }

    fn wrap(&self, slots: Vec<f64>) -> Counted {
        Counted::new(slots, &self.alive)
    }

    fn act(&self, at: Place) -> Result<bool, CleartextError> {
        match self.mischief {
            Mischief::Fail(place) if place == at => Err(CleartextError::NoTerms),
            Mischief::Panic(place) if place == at => panic!("mischief at {at}"),
            Mischief::Swallow(place) if place == at => Ok(true),
            _ => Ok(false),
        }
    }
}

impl Backend for Wrapper {
    type Fresh = Counted;
    type Result = Counted;
    type Sum = Counted;
    type Degree2 = Counted;
    type Error = CleartextError;

    fn program(&self) -> [u8; 32] {
        self.inner.program()
    }

    fn rotations(
        &self,
        at: Place,
        of: Rotatable<'_, Self>,
        by: &[u32],
    ) -> Result<Vec<Counted>, CleartextError> {
        let swallow = self.act(at)?;
        let (Rotatable::Fresh(of) | Rotatable::Result(of)) = of;
        let rotated = self.inner.rotations(at, Rotatable::Result(&of.slots), by)?;
        Ok(rotated.into_iter().skip(usize::from(swallow)).map(|slots| self.wrap(slots)).collect())
    }

    fn products(
        &self,
        rows: &[ProductRow<'_>],
        operands: Operands<'_, Self>,
    ) -> Result<Vec<Vec<Counted>>, CleartextError> {
        let swallow = self.act(Place { step: rows[0].step, group: 0 })?;
        let (Operands::Fresh(groups) | Operands::Result(groups)) = operands;
        let groups = groups
            .iter()
            .map(|operands| operands.iter().map(|operand| &operand.slots).collect())
            .collect();
        let sums = self.inner.products(rows, Operands::Result(groups))?;
        let wrap = |group: Vec<Vec<f64>>| group.into_iter().map(|slots| self.wrap(slots)).collect();
        Ok(sums.into_iter().skip(usize::from(swallow)).map(wrap).collect())
    }

    fn switch_sum(
        &self,
        at: Place,
        terms: &[(Switchable<'_, Self>, u32)],
        rescale: bool,
    ) -> Result<Counted, CleartextError> {
        self.act(at)?;
        let terms: Vec<_> = terms
            .iter()
            .map(|&(Switchable::Sum(of) | Switchable::Result(of), by)| {
                (Switchable::Result(&of.slots), by)
            })
            .collect();
        Ok(self.wrap(self.inner.switch_sum(at, &terms, rescale)?))
    }

    fn square(&self, at: Place, of: &Counted) -> Result<Counted, CleartextError> {
        self.act(at)?;
        Ok(self.wrap(self.inner.square(at, &of.slots)?))
    }

    fn relinearize(
        &self,
        at: Place,
        of: &Counted,
        rescale: bool,
    ) -> Result<Counted, CleartextError> {
        self.act(at)?;
        Ok(self.wrap(self.inner.relinearize(at, &of.slots, rescale)?))
    }

    fn lower(&self, at: Place, of: &Counted) -> Result<Counted, CleartextError> {
        self.act(at)?;
        Ok(self.wrap(self.inner.lower(at, &of.slots)?))
    }
}

/// A program with its executor, and a wrapped backend on request.
struct Bench {
    case: Case,
    executor: Executor,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let shape = Shape { log_n: 5, ..Shape::small(ModelPrivacy::Encrypted) };
        let case = Case::draw(shape, seed);
        let again = Case::draw(shape, seed);
        Self { case, executor: Executor::new(Arc::new(again.program)) }
    }

    fn backend(&self, mischief: Mischief) -> Wrapper {
        let weights = self.case.weights.clone();
        Wrapper::new(Cleartext::new(self.case.program.program(), weights).unwrap(), mischief)
    }

    fn inputs(&self, backend: &Wrapper, groups: usize) -> Vec<Vec<Counted>> {
        let inputs = self.case.inputs(groups, 3).into_iter();
        inputs.map(|group| group.into_iter().map(|slots| backend.wrap(slots)).collect()).collect()
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(&self.case.program)
    }

    /// The first step of the last stage of a kind.
    fn step(&self, kind: StepKind) -> usize {
        let schedule = self.schedule();
        let stage = (0..schedule.stages()).rfind(|&stage| schedule.kind(stage) == kind).unwrap();
        schedule.steps_of(stage)[0]
    }
}

#[test]
fn values_are_freed_at_their_last_use() {
    for seed in 0..20 {
        let bench = Bench::new(seed);
        for (threads, groups) in [(1, 1), (1, 3), (2, 2), (4, 3)] {
            let schedule = bench.schedule();
            let backend = bench.backend(Mischief::None);
            let inputs = bench.inputs(&backend, groups);
            let outcome =
                bench.executor.run(&backend, inputs, &RunOptions::threads(threads)).unwrap();
            let window = if threads == 1 { 1 } else { 2 * threads };
            // A thread that frees values does so after others were allowed to go on: one stage's operands each.
            let widest = (0..schedule.stages()).map(|stage| schedule.operands(stage).len()).max();
            let slack = (threads - 1) * widest.unwrap() * groups;
            let bound = schedule.peak(window, |_| 1) as usize * groups + slack;
            let most = backend.alive.most.load(Ordering::SeqCst);
            assert!(most <= bound, "{most} values alive, at most {bound} expected");
            assert!(most < schedule.values() * groups || window > schedule.stages());
            assert_eq!(backend.alive.now.load(Ordering::SeqCst), groups);
            drop(outcome);
            assert_eq!(backend.alive.now.load(Ordering::SeqCst), 0);
        }
    }
}

#[test]
fn a_failing_step_is_named_and_everything_is_freed() {
    let bench = Bench::new(1);
    for kind in [StepKind::Products, StepKind::SwitchSum, StepKind::Square, StepKind::Relinearize] {
        let step = bench.step(kind);
        let group = if kind == StepKind::Products { 0 } else { 1 };
        let backend = bench.backend(Mischief::Fail(Place { step, group }));
        let inputs = bench.inputs(&backend, 2);
        let error = bench.executor.run(&backend, inputs, &RunOptions::threads(2)).unwrap_err();
        match error {
            RunError::Step { step: named, kind: of, group: at, source } => {
                assert_eq!((named, of, at), (step, kind, group));
                assert_eq!(source, CleartextError::NoTerms);
            }
            other => panic!("{other}"),
        }
        assert_eq!(backend.alive.now.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_backend_that_gives_too_little_is_refused() {
    let bench = Bench::new(1);
    let step = bench.step(StepKind::Products);
    let backend = bench.backend(Mischief::Swallow(Place { step, group: 0 }));
    let inputs = bench.inputs(&backend, 2);
    let error = bench.executor.run(&backend, inputs, &RunOptions::threads(2)).unwrap_err();
    assert!(
        matches!(error, RunError::OutputCount { step: named, given, expected, .. } if named == step && 2 * given == expected),
        "{error}"
    );
}

#[test]
fn a_panic_reaches_the_caller_and_nobody_waits_for_ever() {
    let bench = Bench::new(2);
    for threads in [1, 3] {
        let step = bench.step(StepKind::SwitchSum);
        let backend = bench.backend(Mischief::Panic(Place { step, group: 0 }));
        let inputs = bench.inputs(&backend, 2);
        let run = std::panic::AssertUnwindSafe(|| {
            bench.executor.run(&backend, inputs, &RunOptions::threads(threads)).map(|_| ())
        });
        let panic = std::panic::catch_unwind(run).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().contains("mischief"));
    }
}

#[test]
fn inputs_must_fit() {
    let bench = Bench::new(3);
    let backend = bench.backend(Mischief::None);
    let run = |inputs, threads| {
        bench.executor.run(&backend, inputs, &RunOptions::threads(threads)).map(|_| ()).unwrap_err()
    };
    assert!(matches!(run(Vec::new(), 1), RunError::Nothing));
    assert!(matches!(run(bench.inputs(&backend, 1), 0), RunError::Nothing));
    let mut short = bench.inputs(&backend, 2);
    short[1].pop();
    assert!(matches!(run(short, 1), RunError::InputCount { group: 1, given: 1, expected: 2 }));
}

#[test]
fn a_backend_belongs_to_its_program() {
    let (one, other) = (Bench::new(1), Bench::new(2));
    let backend = other.backend(Mischief::None);
    let inputs = one.inputs(&backend, 1);
    let refused = one.executor.run(&backend, inputs, &RunOptions::threads(1)).map(|_| ());
    assert!(matches!(refused, Err(RunError::OtherProgram)));
}

#[test]
fn cancellation_stops_the_run() {
    let bench = Bench::new(4);
    let backend = bench.backend(Mischief::None);
    let before = AtomicBool::new(true);
    let options = RunOptions::threads(2).cancel(&before);
    let error = bench.executor.run(&backend, bench.inputs(&backend, 1), &options).unwrap_err();
    assert!(matches!(error, RunError::Cancelled));

    let flag = AtomicBool::new(false);
    let last = AtomicUsize::new(0);
    let report = |progress: Progress, _: &adyton_runtime::Profile| {
        last.store(progress.done, Ordering::SeqCst);
        flag.store(progress.done >= 3, Ordering::SeqCst);
    };
    let options = RunOptions::threads(1).cancel(&flag).progress(&report);
    let error = bench.executor.run(&backend, bench.inputs(&backend, 1), &options).unwrap_err();
    assert!(matches!(error, RunError::Cancelled));
    assert_eq!(last.load(Ordering::SeqCst), 3);
    assert_eq!(backend.alive.now.load(Ordering::SeqCst), 0);
}

#[test]
fn progress_rises_to_the_total_and_the_profile_counts_tasks() {
    let bench = Bench::new(5);
    let backend = bench.backend(Mischief::None);
    let groups = 3;
    let seen = Mutex::new(vec![0]);
    let report = |progress: Progress, profile: &adyton_runtime::Profile| {
        assert!(profile.kinds().any(|(_, share)| share.tasks > 0));
        seen.lock().unwrap().push(progress.done);
        assert_eq!(progress.total, bench.case.program.program().steps.len() * groups);
    };
    let options = RunOptions::threads(3).progress(&report);
    let outcome = bench.executor.run(&backend, bench.inputs(&backend, groups), &options).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted_by(|earlier, later| earlier < later));
    let schedule = bench.schedule();
    assert_eq!(seen.last(), Some(&(schedule.steps() * groups)));
    for kind in StepKind::ALL {
        let stages = (0..schedule.stages()).filter(|&stage| schedule.kind(stage) == kind).count();
        let tasks = if kind == StepKind::Products { stages } else { stages * groups };
        assert_eq!(outcome.profile.kind(kind).tasks, tasks as u64);
    }
    assert!(outcome.profile.wall() >= outcome.profile.busy() / 3);
}
