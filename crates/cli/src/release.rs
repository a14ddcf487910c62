//! Release policies: from flags, and what they let out of the model.

use crate::args::{OutputForm, Release};
use crate::error::CliError;
use adyton_client::leakage::{DELTA, LeakBound, key_entropy};
use adyton_program::{VerifiedProgram, bounds};
use adyton_wire::PublicKey;
use adyton_wire::statement::{
    AUDIT_RATE_ALL, AuditPolicy, DataOwners, OutputForm as WireForm, Policy,
};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// The bound on what may leak of the model, in bits (THREATS.md, level C).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LeakReport {
    /// Most bits of one sample's result.
    pub(crate) bits_per_sample: u64,
    /// Most bits of a query of one result ciphertext.
    pub(crate) bits_per_query: u64,
    /// Most bits of one release: a query that uses up a session.
    pub(crate) bits_per_release: u64,
    /// Share of jobs that are audited.
    pub(crate) audit_rate: f64,
    /// Most bits before a cheating host is caught, except with probability `delta`; absent without audits.
    pub(crate) bits_before_caught: Option<f64>,
    /// See `bits_before_caught`.
    pub(crate) delta: f64,
    /// Most bits that one session releases: what its ledger and its number of ciphertexts allow.
    pub(crate) bits_per_session: u64,
    /// Most bits that the deployment releases: what its ledger and its number of jobs allow.
    pub(crate) bits_total: u64,
    /// Bits that a secret key has.
    pub(crate) key_bits: f64,
    /// Whether one session may release as many bits as its result key has.
    pub(crate) result_key_within_reach: bool,
    /// Whether the deployment may release as many bits as the model key has, and with them every weight, before an audit ends it.
    pub(crate) model_key_within_reach: bool,
    /// Standard deviation of the flooding noise, in units of the outputs.
    pub(crate) flooding: f64,
    /// Value of a released code's last bit; absent for labels.
    pub(crate) rounding_step: Option<f64>,
}

impl LeakReport {
    /// The bound for a policy over a program.
    pub(crate) fn new(policy: &Policy, program: &VerifiedProgram) -> Self {
        let output = &program.program().output;
        let (lanes, outputs) = (program.program().input.lanes, output.outputs);
        let values = u64::from(lanes) * u64::from(outputs);
        let norm = bounds::released_norm(values, output.deviation, output.released_deviation);
        let bound = LeakBound::new(policy, lanes, outputs, DELTA);
        let key_bits = key_entropy(1 << program.parameters().log_n());
        let rate = policy.audit.map_or(0, |audit| audit.rate_ppm);
        Self {
            bits_per_sample: policy.output.bits(1, outputs),
            bits_per_query: bound.per_ciphertext,
            bits_per_release: bound.per_release,
            audit_rate: f64::from(rate) / f64::from(AUDIT_RATE_ALL),
            bits_before_caught: bound.before_caught,
            delta: DELTA,
            bits_per_session: bound.per_session,
            bits_total: bound.ledger,
            key_bits,
            result_key_within_reach: bound.per_session as f64 >= key_bits,
            model_key_within_reach: bound.bits() >= key_bits,
            flooding: bounds::flooding(policy.ciphertexts_per_session, norm),
            rounding_step: match policy.output {
                WireForm::Logits { bits } | WireForm::TopK { bits, .. } => {
                    Some(output.range / f64::from(1u32 << (bits - 1)))
                }
                WireForm::Label => None,
            },
        }
    }

    /// In sentences, a line each: what leaves by query, session and deployment, and what that means for keys, weights and results.
    pub(crate) fn sentences(&self) -> Vec<String> {
        vec![self.query(), self.session(), self.deployment(), self.weights(), self.noise()]
    }

    fn query(&self) -> String {
        format!(
            "A query releases at most {} bits with one result ciphertext ({} a sample, and the outcome of the checks), {} with all that \
             a session may have.",
            self.bits_per_query, self.bits_per_sample, self.bits_per_release
        )
    }

    fn session(&self) -> String {
        let key = match self.result_key_within_reach {
            true => "more than its result key has",
            false => "less than its result key has, so they leave that key undetermined",
        };
        format!(
            "A session releases at most {} bits, {key} ({:.0}).",
            self.bits_per_session, self.key_bits
        )
    }

    fn deployment(&self) -> String {
        match self.bits_before_caught {
            None => format!(
                "No job is audited (--audit-rate): a host in league with a data owner learns up to {} bits about the model, all that \
                 ledger and quotas allow.",
                self.bits_total
            ),
            Some(bits) => format!(
                "A host that cheats in league with a data owner learns at most {bits:.0} bits about the model before an audit catches \
                 it (rate {}), but for one chance in a million; ledger and quotas end it at {} bits.",
                self.audit_rate, self.bits_total
            ),
        }
    }

    fn weights(&self) -> String {
        match (self.model_key_within_reach, self.bits_before_caught) {
            (true, None) => "That is more than the model key has: crafted ciphertexts read the key, and with it every weight. Audits or a \
                             smaller ledger (--bits-total) prevent it."
                .to_owned(),
            (true, Some(_)) => "That is more than the model key has: a host that is caught late has read the key, and with it every \
                                weight. A higher rate, smaller sessions (--max-ciphertexts) or a smaller ledger prevent it."
                .to_owned(),
            (false, _) => "That is less than the model key has, and leaves it undetermined; a part of a key known makes the rest easier to \
                           find. Of the weights no more bits than these are learned, by crafted ciphertexts or by honest queries."
                .to_owned(),
        }
    }

    fn noise(&self) -> String {
        let step = self.rounding_step.map_or_else(
            || "results are labels".to_owned(),
            |step| format!("results are rounded to multiples of {step:.2e}"),
        );
        format!("Flooding noise has standard deviation {:.2e}; {step}.", self.flooding)
    }
}

/// That the network has as many outputs as shall be released.
///
/// # Errors
/// [`CliError::Argument`] when it has fewer.
pub(crate) fn check(args: &Release, program: &VerifiedProgram) -> Result<(), CliError> {
    let outputs = program.program().output.outputs;
    match args.output {
        OutputForm::TopK { k, .. } if u32::from(k) > outputs => Err(CliError::Argument {
            what: "--output",
            value: args.output.to_string(),
            reason: format!("the network has {outputs} outputs"),
        }),
        _ => Ok(()),
    }
}

/// The release policy that the flags describe.
///
/// # Errors
/// [`CliError::Argument`] for a key that is none, or a rate that goes with no auditor.
pub(crate) fn policy(args: &Release) -> Result<Policy, CliError> {
    let mut keys = Vec::new();
    let mut any = false;
    for owner in &args.allow_owners {
        if owner == "any" {
            any = true;
        } else {
            keys.push(PublicKey::from_hex(owner).map_err(|_| CliError::Argument {
                what: "--allow-owner",
                value: owner.clone(),
                reason: "expected a public key as `adyton keygen` prints it, or `any`".into(),
            })?);
        }
    }
    keys.sort_unstable();
    keys.dedup();
    let audit = audit_policy(args)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Ok(Policy {
        owners: if any { DataOwners::Any } else { DataOwners::Listed(keys) },
        sessions_per_owner: args.max_sessions_per_owner,
        ciphertexts_per_session: args.max_ciphertexts,
        jobs_per_owner: args.max_jobs_per_owner,
        jobs_total: args.max_jobs,
        bits_per_session: args.bits_per_session,
        bits_total: args.bits_total,
        expires: now.saturating_add(u64::from(args.expires_in_days) * 86_400),
        output: match args.output {
            OutputForm::Logits { bits } => WireForm::Logits { bits },
            OutputForm::TopK { k, bits } => WireForm::TopK { k, bits },
            OutputForm::Label => WireForm::Label,
        },
        audit,
        ..Policy::deny()
    })
}

/// Which jobs are audited, and by whom.
fn audit_policy(args: &Release) -> Result<Option<AuditPolicy>, CliError> {
    let wrong = |reason: &str| CliError::Argument {
        what: "--audit-rate",
        value: args.audit_rate.to_string(),
        reason: reason.to_owned(),
    };
    if !(0.0..=1.0).contains(&args.audit_rate) {
        return Err(wrong("expected a share from 0 to 1"));
    }
    // Between 0 and a million: the rate was checked.
    let rate_ppm = (args.audit_rate * f64::from(AUDIT_RATE_ALL)).round() as u32;
    match (&args.auditor, rate_ppm) {
        (None, 0) if args.audit_rate == 0.0 => Ok(None),
        (_, 0) => Err(wrong("an auditor needs a share of at least 0.000001 to audit")),
        (None, _) => Err(wrong("name the --auditor who shall execute these jobs again")),
        (Some(key), _) => match PublicKey::from_hex(key) {
            Ok(auditor) => Ok(Some(AuditPolicy { rate_ppm, auditor })),
            Err(_) => Err(CliError::Argument {
                what: "--auditor",
                value: key.clone(),
                reason: "expected a public key as `adyton keygen` prints it".into(),
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn flags(more: &[&str]) -> Release {
        let all = [&["adyton", "publish", "net", "--host", "http://h"][..], more].concat();
        match Cli::try_parse_from(all).map(|cli| cli.command) {
            Ok(Command::Publish(publish)) => publish.release,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rate_needs_an_auditor_and_an_auditor_a_rate() {
        let key = "11".repeat(32);
        for refused in
            [&["--audit-rate", "0.5"][..], &["--auditor", &key], &["--audit-rate", "1.5"]]
        {
            assert!(policy(&flags(refused)).is_err(), "{refused:?}");
        }
        let policy = policy(&flags(&["--audit-rate", "0.5", "--auditor", &key])).unwrap();
        assert_eq!(policy.audit.map(|audit| audit.rate_ppm), Some(500_000));
        assert_eq!(policy.owners, DataOwners::Listed(Vec::new()));
    }
}
