//! Computation on ciphertexts.
//!
//! The evaluator is immutable, holds no keys, and every method is deterministic and bit-exact across kernels.
//! Operands are checked before anything is computed: levels, scales and primes must match exactly.
//!
//! # Why switching comes before rescaling
//!
//! A two-key product has a component under `s_M·s_K`. Rescaling it first would round that component, and the rounding error would
//! be multiplied by `s_M·s_K`, whose slots are about `4N/3` (2^13.4 at N = 2^13, conjugate-invariant): in all about 7 bits lost
//! against rounding a degree-1 ciphertext. Switching first costs no more transforms, since the division by P and by the rescaled
//! primes is one division ([`Evaluator::switch_sum`], [`Evaluator::relinearize`] with `rescale`).

mod accumulate;
mod crew;
mod linear;
mod prepared;
mod products;
mod switch;

pub use crew::{Alone, Crew, Task};
pub use prepared::{PreparedMasks, PreparedWeights};
pub use products::Weight;
pub use switch::SwitchTerm;

use std::sync::Arc;

use adyton_ring::{Basis, BufferPool, Ntt, Poly};

use crate::ciphertext::check_basis;
use crate::{CkksError, Parameters, Scale};

/// Adds, multiplies, rotates and rescales ciphertexts of one set of parameters.
///
/// The parts of an operation are done by the evaluator's [`Crew`]; by default that is the calling thread.
///
/// Clones share the parameters, the crew and a pool of memory, from which all results come and to which they return when they are
/// dropped; it is freed with the last of them.
#[derive(Clone, Debug)]
pub struct Evaluator {
    parameters: Parameters,
    crew: Arc<dyn Crew>,
    pool: Arc<BufferPool>,
}

impl Evaluator {
    /// An evaluator for these parameters.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        Self::with_crew(parameters, Arc::new(Alone))
    }

    /// An evaluator whose operations are shared out among a crew.
    #[must_use]
    pub fn with_crew(parameters: &Parameters, crew: Arc<dyn Crew>) -> Self {
        Self { parameters: parameters.clone(), crew, pool: Arc::default() }
    }

    /// The parameters.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn zero(&self, level: u8) -> Result<Poly<Ntt>, CkksError> {
        Ok(Poly::zero(self.parameters.ring(), self.parameters.basis(level)?)?)
    }

    /// A polynomial whose limbs hold anything until they are written.
    fn unset(&self, basis: &Basis) -> Result<Poly<Ntt>, CkksError> {
        Ok(Poly::lent(self.parameters.ring(), basis, &self.pool)?)
    }

    fn check_polys(&self, level: u8, polys: &[&Poly<Ntt>]) -> Result<(), CkksError> {
        check_basis(&self.parameters, level, polys)
    }
}

/// The level and scale that all operands of one operation share.
#[derive(Clone, Copy)]
struct Common<'a> {
    level: u8,
    scale: &'a Scale,
}

impl Common<'_> {
    fn check(&self, level: u8, scale: &Scale) -> Result<(), CkksError> {
        if level != self.level {
            return Err(CkksError::LevelMismatch { left: self.level, right: level });
        }
        if scale != self.scale {
            return Err(CkksError::ScaleMismatch {
                left: self.scale.clone(),
                right: scale.clone(),
            });
        }
        Ok(())
    }
}
