//! What the enclave keeps of a program: parameters, key manifest, and where the results stand. The steps it forgets.

use adyton_ckks::{Ciphertext, CkksError, Encoder, KeySpec, Parameters, ResultKey, Scale};
use adyton_program::{Program, VerifiedProgram};
use adyton_wire::ProgramId;

/// Why bytes are not a program to run.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// They do not decode.
    #[error(transparent)]
    Decode(#[from] adyton_program::DecodeError),
    /// The program does not verify, or its parameters are not secure.
    #[error(transparent)]
    Verify(#[from] adyton_program::VerifyError),
    /// The output's form has no encoding.
    #[error(transparent)]
    Ckks(#[from] CkksError),
    /// More than this enclave serves.
    #[error("the program asks for more than this enclave serves")]
    TooLarge,
}

/// Which parameters a program may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Those of the security table.
    #[default]
    Secure,
    /// Any: small rings for the crate's own tests.
    #[cfg(any(test, adyton_attacks))]
    InsecureForTests,
}

/// A copy of an output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    /// Position of the copy.
    pub(crate) position: usize,
    /// Position of the output's first occurrence.
    pub(crate) first: usize,
}

/// A verified program's part in a release.
pub(crate) struct Plan {
    pub(crate) id: ProgramId,
    pub(crate) parameters: Parameters,
    /// Tables to decode results with.
    pub(crate) encoder: Encoder,
    pub(crate) keys: Vec<KeySpec>,
    /// Samples in a ciphertext.
    pub(crate) lanes: usize,
    /// Level and scale of the result ciphertext, and the length of its encoding.
    pub(crate) level: u8,
    pub(crate) scale: Scale,
    pub(crate) ciphertext_len: usize,
    /// For each output the position where it first stands.
    pub(crate) first: Vec<usize>,
    /// Further positions of outputs.
    pub(crate) copies: Vec<Copy>,
    /// Positions without an output.
    pub(crate) undeclared: Vec<usize>,
    /// Largest absolute output.
    pub(crate) range: f64,
    /// Standard deviation of the worst slot's error.
    pub(crate) deviation: f64,
    /// Root mean square of the deviations of what is released.
    pub(crate) released_deviation: f64,
}

impl Plan {
    /// Positions of a ciphertext.
    pub(crate) fn positions(&self) -> usize {
        self.first.len() + self.copies.len() + self.undeclared.len()
    }

    /// Decodes and verifies a program.
    pub(crate) fn new(bytes: &[u8], gate: Gate) -> Result<Self, PlanError> {
        let program = Program::decode(bytes)?;
        let verified = match gate {
            Gate::Secure => VerifiedProgram::new(program)?,
            #[cfg(any(test, adyton_attacks))]
            Gate::InsecureForTests => VerifiedProgram::new_insecure_for_tests(program)?,
        };
        let (program, parameters) = (verified.program(), verified.parameters());
        let output = &program.output;
        // The verifier has seen to it that the value exists and that every output stands somewhere.
        let form = verified.value_type(output.value).ok_or(PlanError::TooLarge)?;
        let ciphertext_len =
            Ciphertext::<ResultKey>::encoded_len(parameters, form.level, &form.scale)?;
        if output.outputs > adyton_wire::limits::MAX_OUTPUTS
            || ciphertext_len > adyton_wire::limits::MAX_CIPHERTEXTS
        {
            return Err(PlanError::TooLarge);
        }
        let mut first = vec![None; output.outputs as usize];
        let (mut copies, mut undeclared) = (Vec::new(), Vec::new());
        for (position, &declared) in output.positions.iter().enumerate() {
            match declared.and_then(|declared| first.get_mut(declared as usize)) {
                None => undeclared.push(position),
                Some(Some(first)) => copies.push(Copy { position, first: *first }),
                Some(slot) => *slot = Some(position),
            }
        }
        let first: Option<Vec<usize>> = first.into_iter().collect();
        Ok(Self {
            id: ProgramId(verified.id()),
            parameters: parameters.clone(),
            encoder: Encoder::new(parameters),
            keys: program.keys.clone(),
            lanes: program.input.lanes as usize,
            level: form.level,
            scale: form.scale.clone(),
            ciphertext_len,
            first: first.ok_or(PlanError::TooLarge)?,
            copies,
            undeclared,
            range: output.range,
            deviation: output.deviation,
            released_deviation: output.released_deviation,
        })
    }
}
