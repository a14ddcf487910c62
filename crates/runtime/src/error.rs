//! Why an execution did not give a result.

use std::error::Error;

use adyton_program::ValueId;
use thiserror::Error;

use crate::{StepKind, ValueForm};

/// Why a run gave no result. `E` is the backend's error.
#[derive(Debug, Error)]
pub enum RunError<E: Error + 'static> {
    /// There must be at least one group of inputs and one thread.
    #[error("a run needs at least one group of inputs and one thread")]
    Nothing,
    /// The backend was made for another program.
    #[error("the backend was made for another program")]
    OtherProgram,
    /// A group with another number of input ciphertexts than the program declares.
    #[error("group {group} has {given} input ciphertexts, the program takes {expected}")]
    InputCount {
        /// The group.
        group: usize,
        /// How many it has.
        given: usize,
        /// How many it should have.
        expected: usize,
    },
    /// A step was given a value in a form that it does not take.
    #[error("step {step} ({kind}) was given a {form} (value {value})")]
    Form {
        /// The step.
        step: usize,
        /// Its kind.
        kind: StepKind,
        /// The value.
        value: ValueId,
        /// The form that the value is in.
        form: ValueForm,
    },
    /// A backend returned another number of values than the step defines.
    #[error("step {step} ({kind}) gave {given} values instead of {expected}")]
    OutputCount {
        /// The step.
        step: usize,
        /// Its kind.
        kind: StepKind,
        /// How many it gave.
        given: usize,
        /// How many it should have given.
        expected: usize,
    },
    /// The backend could not carry out a step.
    #[error("step {step} ({kind}), group {group}: {source}")]
    Step {
        /// The step.
        step: usize,
        /// Its kind.
        kind: StepKind,
        /// The group; the first one if the step does all groups at once. Of rows that are done together the first step is named.
        group: usize,
        /// The backend's reason.
        source: E,
    },
    /// The result is not a ciphertext under the result key.
    #[error("the result is a {form}, not a result ciphertext")]
    ResultForm {
        /// The form that it is in.
        form: ValueForm,
    },
    /// A value was not there when it was needed: a defect of the executor, never of the program or the inputs.
    #[error("value {value} is missing")]
    Missing {
        /// The value.
        value: ValueId,
    },
    /// The cancellation flag was raised.
    #[error("cancelled")]
    Cancelled,
    /// A worker thread could not be started.
    #[error("no thread for a worker: {0}")]
    Thread(#[from] std::io::Error),
    /// A worker thread panicked.
    #[error("a worker thread panicked")]
    Panicked,
}

/// Why there is no [`crew`](crate::crew).
#[derive(Debug, Error)]
#[error("the system gives no threads")]
pub struct CrewError(#[source] pub(crate) rayon::ThreadPoolBuildError);
