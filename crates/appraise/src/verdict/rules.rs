//! The rules, each on its own.

use super::{Expected, Reason};
use crate::claims::{Bytes, Claims, TcbStatus, Validity};
use crate::policy::{ANY, Allowance, Policy, Rule, decimal, identifying, is_of};
use crate::time::UnixTime;

/// What all rules together say.
pub(super) struct Outcome {
    pub(super) reasons: Vec<Reason>,
    pub(super) warnings: Vec<Reason>,
    pub(super) expires_at: UnixTime,
}

impl Outcome {
    fn refuse(&mut self, code: &'static str, sentence: impl Into<String>, help: impl Into<String>) {
        self.reasons.push(Reason { code, sentence: sentence.into(), help: help.into() });
    }

    fn warn(&mut self, code: &'static str, sentence: impl Into<String>, help: impl Into<String>) {
        self.warnings.push(Reason { code, sentence: sentence.into(), help: help.into() });
    }
}

/// Tries every rule.
pub(super) fn hold(claims: &Claims, policy: &Policy, expected: &Expected, at: UnixTime) -> Outcome {
    let mut out = Outcome { reasons: Vec::new(), warnings: Vec::new(), expires_at: UnixTime::MAX };
    let nothing = Rule::default();
    let rule = policy.accept.get(&claims.kind).unwrap_or_else(|| {
        out.refuse(
            "kind",
            format!("the policy accepts no evidence of kind {}", claims.kind),
            format!("name `{}` under `accept`, with its rules", claims.kind),
        );
        &nothing
    });
    root(&mut out, claims, rule);
    generation(&mut out, claims, rule);
    measurements(&mut out, claims, rule);
    tcb(&mut out, claims, rule);
    weaknesses(&mut out, claims, rule);
    identity(&mut out, claims, rule);
    report_data(&mut out, claims, rule, expected);
    dates(&mut out, claims, rule, at);
    evidence_age(&mut out, claims, rule, at);
    expiry_warnings(&mut out, claims, policy, at);
    out
}

fn root(out: &mut Outcome, claims: &Claims, rule: &Rule) {
    let root = &claims.root;
    let digest = root.sha256.to_string();
    let named = rule.roots.iter().any(|r| *r == root.name || r.eq_ignore_ascii_case(&digest));
    if !named {
        out.refuse(
            "root",
            format!("the policy does not accept the root {} ({digest})", root.name),
            "name it under `roots`, by its name or its digest, if it is the vendor's",
        );
    }
}

fn generation(out: &mut Outcome, claims: &Claims, rule: &Rule) {
    let Some(generation) = &claims.generation else { return };
    let named = rule.generations.iter().any(|g| g == ANY || g.eq_ignore_ascii_case(generation));
    if !named {
        out.refuse(
            "generation",
            format!("the policy does not accept the processor generation {generation}"),
            format!("name it under `generations`, or `{ANY}`"),
        );
    }
}

fn measurements(out: &mut Outcome, claims: &Claims, rule: &Rule) {
    for group in identifying(claims.kind) {
        if !rule.measurements.keys().any(|name| is_of(group, name)) {
            out.refuse(
                "measurement-unnamed",
                format!("the policy names no value of {group}, which identifies the program"),
                "name the expected value under `measurements`; without it any program would do",
            );
        }
        let mut values = claims.measurements.iter().filter(|(name, _)| is_of(group, name));
        // Single registers may stay unset; when all of them are, nothing was measured.
        if values.all(|(_, value)| value.is_zero()) && !rule.allows(Allowance::ZeroMeasurements) {
            out.refuse(
                "zero-measurement",
                format!("{group} is all zero or missing: nothing was measured, as in an enclave started for debugging"),
                "start the enclave without debug mode; `zero-measurements` under `allow` would accept any program",
            );
        }
    }
    for (name, values) in &rule.measurements {
        match claims.measurements.get(name) {
            Some(value) if values.contains(value) => {}
            Some(value) => out.refuse(
                "measurement",
                format!("{name} is {value}, which the policy does not name"),
                "compare it with the measurement of a build of your own, and name it if it is the same",
            ),
            None => out.refuse(
                "measurement-missing",
                format!("the evidence says nothing of {name}, which the policy names"),
                "ask for evidence that holds it, or take it out of the policy",
            ),
        }
    }
}

fn tcb(out: &mut Outcome, claims: &Claims, rule: &Rule) {
    let status = claims.tcb.status;
    // What the vendor has withdrawn is refused whatever the policy names.
    let named = status != TcbStatus::Revoked && rule.tcb_statuses.contains(&status);
    if status != TcbStatus::NotApplicable && !named {
        out.refuse(
            "tcb-status",
            format!("the platform's TCB status is {status}, which the policy does not accept"),
            "update the platform's firmware, or name the status under `tcb_statuses`",
        );
    }
    for advisory in claims.tcb.advisories.iter().filter(|a| !rule.advisories.contains(a)) {
        out.refuse(
            "advisory",
            format!("the advisory {advisory} applies to the platform"),
            "update the platform, or name the advisory under `advisories` once it is mitigated",
        );
    }
    for (name, least) in &rule.minimum {
        let value = claims.tcb.detail.get(name).or_else(|| claims.identity.get(name));
        match value.map(|text| (text, decimal(text))) {
            Some((_, Some(number))) if number >= *least => {}
            Some((text, _)) => out.refuse(
                "tcb-version",
                format!("{name} is {text}, the policy wants at least {least}"),
                "update the platform's firmware or the program",
            ),
            None => out.refuse(
                "tcb-version",
                format!("the evidence says nothing of {name}, of which the policy wants at least {least}"),
                "take it out of `minimum` if this kind of evidence has no such component",
            ),
        }
    }
}

fn weaknesses(out: &mut Outcome, claims: &Claims, rule: &Rule) {
    let flag = |name: &str| claims.identity.get(name).is_some_and(|v| v == "true");
    let found = [
        (claims.debug, Allowance::Debug, "a debugger may enter", "start it without debug mode"),
        (
            claims.simulated || claims.root.test,
            Allowance::Simulated,
            "a test root vouches for the evidence, which proves nothing",
            "fetch evidence from real hardware",
        ),
        (
            claims.migratable == Some(true),
            Allowance::Migratable,
            "the guest may move to another machine, or a service may act on it",
            "start it without migration and without service TDs",
        ),
        (
            claims.smt == Some(true),
            Allowance::Smt,
            "hyperthreading is on or allowed, which widens side channels",
            "switch it off, or forbid it in the guest's policy",
        ),
        (
            flag("dynamic-platform"),
            Allowance::DynamicPlatform,
            "processor packages may be added to the platform",
            "use a platform that is registered as fixed",
        ),
        (
            flag("cached-keys"),
            Allowance::CachedKeys,
            "the platform's keys are kept by Intel's registration service",
            "use a platform that was registered without caching keys",
        ),
    ];
    for (present, allowance, sentence, help) in found {
        if present && !rule.allows(allowance) {
            out.refuse(
                allowance.name(),
                sentence,
                format!("{help}, or name `{allowance}` under `allow` if that is acceptable"),
            );
        }
    }
    if let Some(level) = claims.vmpl.filter(|level| !rule.vmpl.contains(level)) {
        out.refuse(
            "vmpl",
            format!("privilege level {level} asked for the report, which the policy does not name"),
            "name it under `vmpl`; 0 is the most privileged",
        );
    }
}

fn identity(out: &mut Outcome, claims: &Claims, rule: &Rule) {
    for (name, values) in &rule.identity {
        let value = claims.identity.get(name);
        if !value.is_some_and(|v| values.iter().any(|own| own.eq_ignore_ascii_case(v))) {
            let value = value.map_or("not told", String::as_str);
            out.refuse(
                "identity",
                format!("{name} is {value}, which the policy does not name"),
                "name it under `identity` if this platform is yours",
            );
        }
    }
}

fn report_data(out: &mut Outcome, claims: &Claims, rule: &Rule, expected: &Expected) {
    let accepted = |value: &Bytes| padded_equal(&claims.report_data.0, &value.0);
    let wrong_policy = !rule.report_data.is_empty() && !rule.report_data.iter().any(accepted);
    let wrong_answer = expected.report_data.as_ref().is_some_and(|value| !accepted(value));
    if wrong_policy || wrong_answer {
        out.refuse(
            "report-data",
            format!("the report data is {}, another than expected", claims.report_data),
            "the evidence vouches for other keys or answers another challenge: challenge the enclave anew",
        );
    }
    if expected.nonce.is_some() && expected.nonce != claims.nonce {
        out.refuse(
            "nonce",
            "the evidence does not carry the expected nonce",
            "it answers another challenge: challenge the enclave anew",
        );
    }
    if rule.report_data.is_empty() && *expected == Expected::default() {
        out.warn(
            "unbound",
            "no report data was expected: the evidence may be old, or vouch for somebody else's keys",
            "give the report data that a fresh challenge must bring",
        );
    }
}

/// Whether `value` followed by zeros is `data`.
fn padded_equal(data: &[u8], value: &[u8]) -> bool {
    let rest = data.strip_prefix(value);
    !value.is_empty() && rest.is_some_and(|rest| rest.iter().all(|&byte| byte == 0))
        || value == data
}

fn dates(out: &mut Outcome, claims: &Claims, rule: &Rule, at: UnixTime) {
    for thing in &claims.validity {
        let Validity { what, not_before, not_after } = thing;
        if at < *not_before {
            out.refuse(
                "not-yet-valid",
                format!("the {what} is valid from {not_before}"),
                "verify at a later time",
            );
        }
        let bound = rule.max_collateral_age_seconds.filter(|_| !thing.is_certificate());
        let oldest = bound.map(|age| not_before.plus(age));
        if let Some(end) = oldest.filter(|end| at > *end) {
            out.refuse(
                "collateral-too-old",
                format!(
                    "the {what} was issued at {not_before}; by the policy it served until {end}"
                ),
                "fetch the collateral again",
            );
        }
        let outlives = !thing.is_certificate() && rule.allows(Allowance::ExpiredCollateral);
        let end = match oldest {
            Some(end) if outlives => end,
            Some(end) => end.min(*not_after),
            None => *not_after,
        };
        if at > *not_after && (!outlives || oldest.is_none()) {
            let code =
                if thing.is_certificate() { "certificate-expired" } else { "collateral-expired" };
            out.refuse(
                code,
                format!("the {what} was valid until {not_after}"),
                "fetch it again; the policy may name `expired-collateral` and `max_collateral_age_seconds`",
            );
        }
        out.expires_at = out.expires_at.min(end);
    }
}

fn evidence_age(out: &mut Outcome, claims: &Claims, rule: &Rule, at: UnixTime) {
    if let Some(issued) = claims.issued_at.filter(|issued| at < *issued) {
        out.refuse(
            "not-yet-valid",
            format!("the evidence was made at {issued}, after {at}"),
            "compare the clocks",
        );
    }
    let Some(age) = rule.max_evidence_age_seconds else { return };
    match claims.issued_at.map(|issued| issued.plus(age)) {
        Some(end) => {
            out.expires_at = out.expires_at.min(end);
            if at > end {
                out.refuse(
                    "evidence-too-old",
                    format!("by the policy the evidence served until {end}"),
                    "challenge the enclave anew",
                );
            }
        }
        None => out.refuse(
            "evidence-undated",
            "the policy bounds the evidence's age, and the evidence carries no date",
            "bind it to a fresh challenge instead, and take `max_evidence_age_seconds` out of the policy",
        ),
    }
}

fn expiry_warnings(out: &mut Outcome, claims: &Claims, policy: &Policy, at: UnixTime) {
    let soon = |end: UnixTime| at <= end && at.until(end) < policy.warn_before_expiry_seconds;
    let things = claims.validity.iter().filter(|thing| soon(thing.not_after));
    let warnings: Vec<String> =
        things.map(|t| format!("the {} is valid until {} only", t.what, t.not_after)).collect();
    for sentence in warnings {
        out.warn("expires-soon", sentence, "fetch it again before then");
    }
    for thing in claims.validity.iter().filter(|thing| at > thing.not_after) {
        let sentence = format!("the {} was valid until {}", thing.what, thing.not_after);
        out.warn("expired", sentence, "fetch it again");
    }
}
