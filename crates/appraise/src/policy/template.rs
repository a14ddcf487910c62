//! A policy from evidence.

use super::{Policy, Rule};
use crate::claims::{Claims, TcbStatus};

/// Seconds before an expiry from which on templates warn: one week.
const WARN: u64 = 7 * 86_400;

impl Policy {
    /// A policy for the program of these claims and no other: its root (by key), generation, privilege level and all its measurements,
    /// with the component versions as least values. It accepts the program on a platform in good order: what is weak about
    /// the platform at hand (its TCB status, advisories, whatever needs an [`Allowance`](super::Allowance)) is not named.
    pub fn for_program_of(claims: &Claims) -> Self {
        let least = |(name, value): (&String, &String)| Some((name.clone(), decimal(value)?));
        let rule = Rule {
            roots: vec![claims.root.sha256.to_string()],
            generations: claims.generation.iter().cloned().collect(),
            measurements: claims
                .measurements
                .iter()
                .map(|(name, value)| (name.clone(), vec![value.clone()]))
                .collect(),
            tcb_statuses: vec![TcbStatus::UpToDate],
            minimum: claims.tcb.detail.iter().filter_map(least).collect(),
            vmpl: claims.vmpl.into_iter().collect(),
            ..Rule::default()
        };
        let mut policy = Self { warn_before_expiry_seconds: WARN, ..Self::default() };
        policy.accept.insert(claims.kind, rule);
        policy.canonical()
    }
}

/// A number in decimal digits alone.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
