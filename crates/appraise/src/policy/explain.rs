//! A policy in sentences.

use super::{ANY, Allowance, Policy, Rule, identifying, is_of};
use crate::claims::{Kind, TcbStatus};
use std::fmt::Display;

impl Policy {
    /// What the policy accepts and refuses, in sentences, each a line; those on one kind's rule are indented.
    pub fn explain(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.accept.is_empty() {
            lines.push("Nothing is accepted: the policy names no kind of evidence.".to_owned());
            return lines;
        }
        for (kind, rule) in &self.canonical().accept {
            lines.push(format!("Evidence of kind {kind} is accepted under these rules:"));
            lines.extend(rule.explain(*kind).into_iter().map(|line| format!("  {line}")));
        }
        let others = Kind::ALL.iter().filter(|kind| !self.accept.contains_key(kind));
        lines.push(format!("Refused is all evidence of other kinds: {}.", list(others)));
        lines.push(match self.warn_before_expiry_seconds {
            0 => "No warning is given before something expires.".to_owned(),
            seconds => {
                format!("A warning is given when something expires within {}.", span(seconds))
            }
        });
        lines
    }
}

impl Rule {
    fn explain(&self, kind: Kind) -> Vec<String> {
        let mut lines = vec![self.roots_line()];
        if !matches!(kind, Kind::Nitro | Kind::Tpm) {
            lines.push(self.generations_line());
        }
        lines.extend(self.measurement_lines(kind));
        if !matches!(kind, Kind::Nitro | Kind::Tpm) {
            lines.extend(self.tcb_lines());
        }
        for (name, least) in &self.minimum {
            lines.push(format!("{name} must be {least} or more."));
        }
        lines.extend(self.allowance_lines());
        if matches!(kind, Kind::SevSnp | Kind::AzureSnp) {
            lines.push(match self.vmpl.as_slice() {
                [] => "No privilege level is accepted, so everything is refused.".to_owned(),
                levels => {
                    format!("Asked for by privilege level {}; any other is refused.", list(levels))
                }
            });
        }
        for (name, values) in &self.identity {
            lines.push(format!("{name} must be {}.", list(values)));
        }
        lines.push(match self.report_data.as_slice() {
            [] => "The report data is not checked here: give it when verifying, or old evidence passes.".to_owned(),
            values => format!("The report data must be {}.", list(values)),
        });
        lines.extend(self.age_lines());
        lines
    }

    fn roots_line(&self) -> String {
        match self.roots.as_slice() {
            [] => "No root is accepted, so everything is refused.".to_owned(),
            roots => format!("Signed under {}; any other root is refused.", list(roots)),
        }
    }

    fn generations_line(&self) -> String {
        match self.generations.as_slice() {
            [] => "No processor generation is accepted, so everything is refused.".to_owned(),
            named if named.iter().any(|g| g == ANY) => "Of any processor generation.".to_owned(),
            named => format!("Of the generation {}; any other is refused.", list(named)),
        }
    }

    fn measurement_lines(&self, kind: Kind) -> Vec<String> {
        let mut lines = Vec::new();
        for group in identifying(kind) {
            if !self.measurements.keys().any(|name| is_of(group, name)) {
                lines.push(format!(
                    "No value is named of {group}, which identifies the program, so everything is refused."
                ));
            }
        }
        for (name, values) in &self.measurements {
            lines.push(match values.as_slice() {
                [] => format!("{name} has no accepted value, so everything is refused."),
                values => format!("{name} must be {}.", list(values)),
            });
        }
        lines
    }

    fn tcb_lines(&self) -> [String; 2] {
        let statuses = self.tcb_statuses.iter().filter(|s| **s != TcbStatus::Revoked);
        let statuses = list(statuses);
        let first = if statuses.is_empty() {
            "No TCB status is accepted; evidence of a vendor that publishes any is refused."
                .to_owned()
        } else {
            format!(
                "The TCB status must be {statuses}; any other is refused, unknown and out of date among them unless named."
            )
        };
        let second = match self.advisories.as_slice() {
            [] => "Refused when any security advisory applies to the platform.".to_owned(),
            named => format!(
                "Accepted although these advisories apply: {}; refused when another does.",
                list(named)
            ),
        };
        [first, second]
    }

    fn allowance_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .allow
            .iter()
            .map(|allowance| {
                format!("ACCEPTED although it weakens the protection: {}.", meaning(*allowance))
            })
            .collect();
        let refused = Allowance::ALL.iter().filter(|a| !self.allows(**a));
        let refused = list(refused);
        if !refused.is_empty() {
            lines.push(format!("Refused where it is found: {refused}."));
        }
        lines
    }

    fn age_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self.max_collateral_age_seconds {
            Some(age) => lines.push(format!("Collateral may be {} old at most.", span(age))),
            None if self.allows(Allowance::ExpiredCollateral) => {
                lines.push("Expired collateral is refused all the same, since no `max_collateral_age_seconds` bounds it.".to_owned());
            }
            None => {}
        }
        if let Some(age) = self.max_evidence_age_seconds {
            lines.push(format!(
                "The evidence may be {} old at most; evidence without a date is refused.",
                span(age)
            ));
        }
        lines
    }
}

fn meaning(allowance: Allowance) -> &'static str {
    match allowance {
        Allowance::Debug => "a debugger may enter (debug)",
        Allowance::Simulated => "the evidence may be simulated, which proves nothing (simulated)",
        Allowance::Migratable => "the guest may move to another machine (migratable)",
        Allowance::Smt => "hyperthreading may be on (smt)",
        Allowance::DynamicPlatform => "processor packages may be added (dynamic-platform)",
        Allowance::CachedKeys => {
            "Intel's registration service may keep the platform's keys (cached-keys)"
        }
        Allowance::ZeroMeasurements => {
            "the program may be unmeasured: any program passes (zero-measurements)"
        }
        Allowance::ExpiredCollateral => "collateral may be past its date (expired-collateral)",
    }
}

/// `a, b or c`.
fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Seconds in the largest unit that divides them.
fn span(seconds: u64) -> String {
    for (unit, name) in [(86_400, "days"), (3600, "hours"), (60, "minutes")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return format!("{} {name}", seconds / unit);
        }
    }
    format!("{seconds} seconds")
}
