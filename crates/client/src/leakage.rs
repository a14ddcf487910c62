//! What a host in league with a data owner may learn of the model before an audit catches it.

use adyton_wire::statement::{AUDIT_RATE_ALL, Checks, Policy};

/// The chance that [`LeakBound`] leaves to a host which is luckier: 2^−20.
pub const DELTA: f64 = 1.0 / (1u64 << 20) as f64;

/// Bound on the bits of the model that a deployment may leak, level C of the threat model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeakBound {
    /// Most bits of a release of one ciphertext, the outcome of its checks included.
    pub per_ciphertext: u64,
    /// β: most bits that one release carries. The largest is one that uses up a session.
    pub per_release: u64,
    /// β·ln(1/δ)/p: most bits before the host is caught, except with probability δ; `None` without audits.
    pub before_caught: Option<f64>,
    /// What one session releases at most, by the ledger and by its number of ciphertexts: of its result key as of the model.
    pub per_session: u64,
    /// What the deployment releases at most in all, caught or not, by the ledger and by its number of jobs.
    pub ledger: u64,
}

impl LeakBound {
    /// The bound for a policy over a program of `lanes` samples a ciphertext and `outputs` outputs, except with probability `delta`
    /// (above 0, at most 1).
    ///
    /// A host that cheats in k jobs passes with probability (1 − p)^k ≤ e^(−p·k), so k ≥ ln(1/δ)/p jobs pass with probability
    /// δ at most. Each gives at most β bits.
    #[must_use]
    pub fn new(policy: &Policy, lanes: u32, outputs: u32, delta: f64) -> Self {
        let ciphertexts = u64::from(policy.ciphertexts_per_session);
        let values = |ciphertexts: u64| {
            policy.output.bits(ciphertexts.saturating_mul(u64::from(lanes)), outputs)
        };
        let allowed = |bits: u64| bits.min(policy.bits_per_session).min(policy.bits_total);
        let per_release = allowed(values(ciphertexts).saturating_add(Checks::BITS));
        let before_caught = policy.audit.map(|audit| {
            let rate = f64::from(audit.rate_ppm) / f64::from(AUDIT_RATE_ALL);
            leak_before_caught(per_release as f64, rate, delta)
        });
        // A job has a ciphertext at least, so there are no more outcomes of checks than ciphertexts.
        let checks = Checks::BITS.saturating_mul(ciphertexts);
        Self {
            per_ciphertext: allowed(values(ciphertexts.min(1)).saturating_add(Checks::BITS)),
            per_release,
            before_caught,
            per_session: allowed(values(ciphertexts).saturating_add(checks)),
            ledger: policy.bits_total.min(per_release.saturating_mul(policy.jobs_total.into())),
        }
    }

    /// The smaller of the two bounds, in bits.
    #[must_use]
    pub fn bits(&self) -> f64 {
        let ledger = self.ledger as f64;
        self.before_caught.map_or(ledger, |bits| bits.min(ledger))
    }
}

/// The entropy of a secret key of `degree` uniform ternary coefficients, in bits. Whoever may learn as many bits may learn the key: crafted
/// ciphertexts (0, m) decrypt to m·s, and pass every check when m is zero where nothing is declared. (`testing/attacks` does it.)
#[must_use]
pub fn key_entropy(degree: usize) -> f64 {
    degree as f64 * 3f64.log2()
}

/// β·ln(1/δ)/p.
#[must_use]
pub fn leak_before_caught(bits: f64, rate: f64, delta: f64) -> f64 {
    bits * (1.0 / delta).ln() / rate
}

#[cfg(test)]
mod tests {
    use super::*;
    use adyton_wire::PublicKey;
    use adyton_wire::statement::{AuditPolicy, OutputForm};

    fn policy(rate_ppm: u32) -> Policy {
        Policy {
            ciphertexts_per_session: 4,
            jobs_total: u32::MAX,
            bits_per_session: 1 << 30,
            bits_total: 1 << 40,
            output: OutputForm::Label,
            audit: Some(AuditPolicy { rate_ppm, auditor: PublicKey([1; 32]) }),
            ..Policy::deny()
        }
    }

    #[test]
    fn the_bound_is_the_formulas() {
        // Labels of 10 outputs: 4 bits; 4 ciphertexts of 256 lanes: 4,096 bits and 3 for the checks.
        let bound = LeakBound::new(&policy(100_000), 256, 10, DELTA);
        assert_eq!((bound.per_ciphertext, bound.per_release), (1027, 4099));
        // Four jobs of one ciphertext each.
        assert_eq!(bound.per_session, 4108);
        let bits = bound.before_caught.unwrap();
        assert!((bits - 4099.0 * 20.0 * 2f64.ln() / 0.1).abs() < 1e-6 * bits, "{bits}");
        assert_eq!(bound.bits(), bits);
        let none = LeakBound::new(&Policy { audit: None, ..policy(1) }, 256, 10, DELTA);
        assert_eq!((none.before_caught, none.bits()), (None, (1u64 << 40) as f64));
    }

    #[test]
    fn the_ledger_is_a_bound_too() {
        let policy = Policy { bits_per_session: 1000, bits_total: 5000, ..policy(1000) };
        let bound = LeakBound::new(&policy, 256, 10, DELTA);
        assert_eq!((bound.per_release, bound.bits()), (1000, 5000.0));
        assert_eq!((bound.per_ciphertext, bound.per_session), (1000, 1000));
    }

    #[test]
    fn quotas_are_bounds_too() {
        let bound = LeakBound::new(&Policy { jobs_total: 3, ..policy(1000) }, 256, 10, DELTA);
        assert_eq!((bound.ledger, bound.bits()), (3 * 4099, 3.0 * 4099.0));
        let none = LeakBound::new(&Policy::deny(), 256, 10, DELTA);
        assert_eq!((none.per_release, none.per_session, none.ledger), (0, 0, 0));
    }

    #[test]
    fn a_key_has_its_entropy() {
        assert!((key_entropy(1 << 14) - 25_968.03).abs() < 0.1);
    }

    #[test]
    fn so_many_cheats_pass_with_probability_delta_at_most() {
        for rate in [0.001, 0.01, 0.1, 0.5, 1.0] {
            for delta in [0.5, 1e-3, DELTA] {
                let cheats = leak_before_caught(1.0, rate, delta);
                assert!((1.0 - rate).powf(cheats) <= delta * (1.0 + 1e-9), "{rate} {delta}");
            }
        }
    }
}
