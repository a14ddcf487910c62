//! `adyton evidence verify`: evidence of any known format, alone or as `fetch` stored it.

use crate::appraisal;
use crate::args::{self, Answering};
use crate::error::CliError;
use crate::output::{self, Table};
use crate::owner::trust;
use adyton_appraise::{
    Accepted, Claims, Expected, Kind, MAX_EVIDENCE, Reason, UnixTime, Verdict, VerifyError,
    appraise_challenged, eventlog, recognise, verify,
};
use adyton_client::ClientError;
use adyton_client::trust::{AppraisalError, Challenge, Trust};
use adyton_wire::Nonce;
use adyton_wire::message::Evidence as WireEvidence;
use serde::Serialize;
use std::path::Path;

/// What is printed, in JSON and as text.
#[derive(Serialize)]
struct Report {
    kind: Option<Kind>,
    signature_valid: bool,
    verdict: &'static str,
    reasons: Vec<Reason>,
    warnings: Vec<Reason>,
    claims: Option<Claims>,
    expires_at: Option<UnixTime>,
    verified_at: UnixTime,
    policy: String,
    /// The registers beside the event log's, where one was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    event_log: Vec<Register>,
}

/// A register and what an event log says of it.
#[derive(Serialize)]
struct Register {
    register: String,
    agrees: bool,
    events: usize,
}

/// Bytes of an event log, at most.
const MAX_EVENT_LOG: usize = 1 << 22;

/// Verifies the evidence in `file` and judges it by what the command line demands.
pub(super) fn run(
    file: &Path,
    trust: &args::Trust,
    answering: &Answering,
    json: bool,
) -> Result<(), CliError> {
    let (trust, at) = trust::demanded(trust)?;
    let bytes = appraisal::read(file, MAX_EVIDENCE)?;
    let hash = trust.policy.hash().map_err(CliError::part("the policy has no hash"))?;
    let mut report = Report {
        kind: None,
        signature_valid: false,
        verdict: "refused",
        reasons: Vec::new(),
        warnings: Vec::new(),
        claims: None,
        expires_at: None,
        verified_at: at,
        policy: hash.to_string(),
        event_log: Vec::new(),
    };
    match super::opened(file, &bytes)? {
        None => report.judge(&bytes, &trust, answering),
        Some((nonce, evidence)) => report.judge_enclave(nonce, &evidence, &trust, answering)?,
    }
    if let Some(path) = &answering.event_log {
        report.hold_against(&appraisal::read(path, MAX_EVENT_LOG)?);
    }
    if json {
        output::json(&report)?;
    } else {
        output::text(&report.render())?;
    }
    if report.claims.as_ref().is_some_and(|claims| claims.simulated) {
        output::note(trust::SIMULATED);
    }
    match report.reasons.len() {
        0 => Ok(()),
        reasons => Err(CliError::Refused { reasons }),
    }
}

impl Report {
    /// Evidence that came from elsewhere.
    fn judge(&mut self, evidence: &[u8], trust: &Trust, answering: &Answering) {
        self.kind = recognise(evidence).ok().map(|recognised| recognised.kind);
        let at = self.verified_at;
        let claims = match verify(evidence, &trust.endorsements, &trust.roots, at) {
            Ok(claims) => claims,
            Err(error) => return self.proves_nothing(error),
        };
        let Answering { report_data, nonce, .. } = answering.clone();
        match appraise_challenged(&claims, &trust.policy, &Expected { report_data, nonce }, at) {
            Verdict::Accepted(accepted) => self.accept(&accepted),
            Verdict::Refused { reasons } => self.refuse(claims, reasons),
        }
    }

    /// Evidence that `fetch` stored: as owners' commands judge it, bound to the enclave's keys and to the nonce beside it.
    fn judge_enclave(
        &mut self,
        nonce: Nonce,
        evidence: &[u8],
        trust: &Trust,
        answering: &Answering,
    ) -> Result<(), CliError> {
        if answering.report_data.is_some() || answering.nonce.is_some() {
            return Err(CliError::Argument {
                what: "--report-data",
                value: String::new(),
                reason:
                    "what `fetch` stored holds the report data and the nonce that it must answer"
                        .to_owned(),
            });
        }
        if let Ok(stored) = WireEvidence::decode(evidence) {
            self.kind = recognise(&stored.evidence).ok().map(|recognised| recognised.kind);
        }
        let refused = |code, sentence: String| Reason {
            code,
            sentence,
            help: "challenge the enclave anew; trust nothing that it says until it answers rightly"
                .to_owned(),
        };
        match Challenge::of_nonce(nonce).appraise(evidence, trust, self.verified_at) {
            Ok(enclave) => self.accept(enclave.accepted()),
            Err(ClientError::Appraisal(error)) => match error {
                AppraisalError::Verification(error) => self.proves_nothing(error),
                AppraisalError::Refused { reasons, claims } => self.refuse(*claims, reasons),
                error @ AppraisalError::Nonce => {
                    self.reasons.push(refused("nonce", error.to_string()));
                }
                error @ (AppraisalError::Kind { .. }
                | AppraisalError::Simulated
                | AppraisalError::SealingKey) => {
                    self.reasons.push(refused("statement", error.to_string()));
                }
            },
            Err(error) => return Err(CliError::part("the evidence is malformed")(error)),
        }
        Ok(())
    }

    /// Replays an event log and demands that it give the registers of the claims, where there are any.
    fn hold_against(&mut self, log: &[u8]) {
        let Some(claims) = &self.claims else { return };
        let replayed = eventlog::replay(log).and_then(|replay| {
            let registers = replay.compare(claims).into_iter();
            self.event_log = registers
                .map(|one| Register {
                    agrees: one.agrees(),
                    register: one.register,
                    events: one.events,
                })
                .collect();
            replay.matches(claims)
        });
        if let Err(error) = replayed {
            self.verdict = "refused";
            self.expires_at = None;
            self.proves_nothing(error);
        }
    }

    fn proves_nothing(&mut self, error: VerifyError) {
        let VerifyError { code, what, help, .. } = error;
        self.reasons.push(Reason { code, sentence: what, help });
    }

    fn refuse(&mut self, claims: Claims, reasons: Vec<Reason>) {
        self.signature_valid = true;
        self.kind = Some(claims.kind);
        self.claims = Some(claims);
        self.reasons = reasons;
    }

    fn accept(&mut self, accepted: &Accepted) {
        self.verdict = "accepted";
        self.signature_valid = true;
        self.kind = Some(accepted.claims().kind);
        self.claims = Some(accepted.claims().clone());
        self.warnings = accepted.warnings().to_vec();
        self.expires_at = Some(accepted.expires_at());
    }

    fn render(&self) -> String {
        let mut out = match self.expires_at {
            Some(end) => format!("ACCEPTED as of {}, until {end}\n", self.verified_at),
            None => format!("REFUSED as of {}\n", self.verified_at),
        };
        out.push_str(&format!("policy {}\n", self.policy));
        for reason in &self.reasons {
            out.push_str(&told("refused", reason));
        }
        for Register { register, agrees, events } in &self.event_log {
            let verdict = if *agrees { "accounts for" } else { "does NOT account for" };
            out.push_str(&format!(
                "  event log {verdict} {}, by {events} events\n",
                printable(register)
            ));
        }
        for warning in &self.warnings {
            out.push_str(&told("warning", warning));
        }
        if let Some(claims) = &self.claims {
            out.push('\n');
            out.push_str(&table(claims));
        }
        out
    }
}

fn told(what: &str, reason: &Reason) -> String {
    let Reason { code, sentence, help } = reason;
    format!("  {what} ({code}): {}\n    help: {}\n", printable(sentence), printable(help))
}

/// Evidence is written by others: no control character of it reaches the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn table(claims: &Claims) -> String {
    let mut table = Table::new(3, &["field", "meaning", "value"]);
    let mut row = |field: &str, meaning: &str, value: &str| {
        table.row(&[printable(field), meaning.to_owned(), printable(value)]);
    };
    row("kind", "what made the evidence", claims.kind.name());
    row("format", "version of its form", &claims.format);
    row("root", "who vouches for it in the end", &claims.root.name);
    row("root key", "SHA-256 of the root's public key", &claims.root.sha256.to_string());
    if let Some(generation) = &claims.generation {
        row("generation", "processor family (Intel: FMSPC)", generation);
    }
    row("debug", "a debugger may enter", yes(claims.debug));
    row("simulated", "a test root vouches: proves nothing", yes(claims.simulated));
    if let Some(migratable) = claims.migratable {
        row("migratable", "may move to another machine", yes(migratable));
    }
    if let Some(smt) = claims.smt {
        row("smt", "hyperthreading on or allowed", yes(smt));
    }
    if let Some(vmpl) = claims.vmpl {
        row("vmpl", "privilege level that asked, 0 highest", &vmpl.to_string());
    }
    row("tcb status", "how current the firmware is", claims.tcb.status.name());
    for advisory in &claims.tcb.advisories {
        row("advisory", "known weakness that applies", advisory);
    }
    for (name, value) in &claims.tcb.detail {
        row(name, "firmware or its date", value);
    }
    let mut measurements: Vec<_> = claims.measurements.iter().collect();
    measurements.sort_by_key(|(name, _)| numbered(name));
    for (name, value) in measurements {
        row(name, measurement(name), &value.to_string());
    }
    row("report data", "what the program had vouched for", &claims.report_data.to_string());
    if let Some(nonce) = &claims.nonce {
        row("nonce", "the challenge it answers", &nonce.to_string());
    }
    if let Some(key) = &claims.public_key {
        row("public key", "key it vouches for", &key.to_string());
    }
    for (name, value) in &claims.identity {
        row(name, "which machine or program", value);
    }
    if let Some(issued) = claims.issued_at {
        row("issued at", "the evidence's own date", &issued.to_string());
    }
    for thing in &claims.validity {
        row(&thing.what, "valid", &format!("{} to {}", thing.not_before, thing.not_after));
    }
    for note in &claims.notes {
        row("note", "", note);
    }
    table.render()
}

/// A name split before its number, so that `pcr2` stands before `pcr10`.
fn numbered(name: &str) -> (&str, Option<u32>) {
    let start = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (start, name.strip_prefix(start).and_then(|number| number.parse().ok()))
}

fn yes(flag: bool) -> &'static str {
    if flag { "YES" } else { "no" }
}

fn measurement(name: &str) -> &'static str {
    match name {
        "mrenclave" => "digest of the enclave",
        "mrsigner" => "digest of the key that signed it",
        "mrtd" => "digest of the domain's firmware",
        "launch" => "digest of the guest at launch",
        "host-data" => "data that the host gave at launch",
        "mrconfigid" | "mrownerconfig" | "config-id" => "configuration given at launch",
        "mrowner" => "owner given at launch",
        "mrseam" => "digest of the TDX module",
        "mrsignerseam" => "signer of the TDX module, 0 for Intel",
        "mrservicetd" => "digest of bound service domains",
        "id-key-digest" | "author-key-digest" => "digest of the key that signed the launch",
        name if name.starts_with("rtmr") => "register extended while booting and running",
        name if name.starts_with("pcr") => "platform configuration register",
        _ => "measured",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
