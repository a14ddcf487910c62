//! From claims to a verdict.

mod rules;

use crate::claims::{Bytes, Claims};
use crate::policy::Policy;
use crate::time::UnixTime;
use serde::Serialize;

/// One thing that speaks against evidence, or that its reader should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Stable, kebab-case.
    pub code: &'static str,
    /// What is so.
    pub sentence: String,
    /// What would help.
    pub help: String,
}

/// Claims that a policy accepts. Only [`appraise`] makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    claims: Claims,
    warnings: Vec<Reason>,
    expires_at: UnixTime,
}

impl Accepted {
    /// What the evidence says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What its reader should know.
    pub fn warnings(&self) -> &[Reason] {
        &self.warnings
    }

    /// The last second in which the verdict holds: the earliest end of a dated thing, or of an age that the policy bounds.
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
}

/// What an appraisal comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The policy accepts the claims.
    Accepted(Box<Accepted>),
    /// It does not.
    Refused {
        /// Every reason, never none.
        reasons: Vec<Reason>,
    },
}

/// What the verifier itself asked for, beside the policy: the answer to its challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Report data; a shorter value is followed by zeros.
    pub report_data: Option<Bytes>,
    /// Nonce (Nitro).
    pub nonce: Option<Bytes>,
}

/// Holds claims against a policy at a time. Every rule is tried, so that a refusal tells every reason.
pub fn appraise(claims: &Claims, policy: &Policy, at: UnixTime) -> Verdict {
    appraise_challenged(claims, policy, &Expected::default(), at)
}

/// As [`appraise`], and the evidence must answer the verifier's challenge.
pub fn appraise_challenged(
    claims: &Claims,
    policy: &Policy,
    expected: &Expected,
    at: UnixTime,
) -> Verdict {
    let rules::Outcome { reasons, warnings, expires_at } =
        rules::hold(claims, policy, expected, at);
    if reasons.is_empty() {
        Verdict::Accepted(Box::new(Accepted { claims: claims.clone(), warnings, expires_at }))
    } else {
        Verdict::Refused { reasons }
    }
}

#[cfg(test)]
mod tests;
