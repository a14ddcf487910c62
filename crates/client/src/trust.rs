//! From a challenge to a trusted enclave.

use crate::ClientError;
use adyton_attest::{AppraisalPolicy, VerifiedEnclave, appraise};
use adyton_wire::message::Evidence;
use adyton_wire::{Nonce, random_bytes};

/// One challenge: a fresh nonce that evidence must answer.
#[derive(Debug)]
pub struct Challenge {
    nonce: Nonce,
}

impl Challenge {
    /// A challenge with a random nonce.
    ///
    /// # Errors
    /// [`ClientError::Random`].
    pub fn new() -> Result<Self, ClientError> {
        Ok(Self { nonce: Nonce(random_bytes().map_err(ClientError::Random)?) })
    }

    /// A challenge made earlier, whose evidence was stored with its nonce.
    #[must_use]
    pub fn of_nonce(nonce: Nonce) -> Self {
        Self { nonce }
    }

    /// The nonce to send.
    #[must_use]
    pub fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Judges the evidence that came back, wire's `Evidence` encoded.
    ///
    /// # Errors
    /// [`ClientError::Message`] or [`ClientError::Appraisal`]: then nothing may be sealed to that enclave.
    pub fn appraise(
        self,
        evidence: &[u8],
        policy: &AppraisalPolicy,
    ) -> Result<VerifiedEnclave, ClientError> {
        let evidence = Evidence::decode(evidence).map_err(ClientError::message("the evidence"))?;
        Ok(appraise(&evidence, &self.nonce, policy)?)
    }
}
