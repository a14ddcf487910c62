//! A policy from evidence.

use super::{Allowance, Policy, Rule, identifying};
#[cfg(feature = "simulated")]
use crate::claims::{Bytes, Digest};
use crate::claims::{Claims, Kind, TcbStatus};
#[cfg(feature = "simulated")]
use crate::pki::Hash;

/// Seconds before an expiry from which on templates warn: one week.
const WARN: u64 = 7 * 86_400;

/// SHA-384 of these words is what the simulated Azure machine's hardware measured.
#[cfg(feature = "simulated")]
const PARAVISOR: &[u8] = b"adyton simulated paravisor: protects nothing";

/// A measurement's name and the values that are accepted of it.
#[cfg(feature = "simulated")]
type Named<'a> = (&'a str, &'a [Bytes]);

impl Policy {
    /// A policy to fill in: every kind with the measurements that must be named, and no value of any, so that it refuses everything.
    pub fn template() -> Self {
        let mut policy = Self { warn_before_expiry_seconds: WARN, ..Self::default() };
        for kind in Kind::ALL {
            let names = identifying(kind).iter().map(|name| name.replace('*', "0"));
            let measurements = names.map(|name| (name, Vec::new())).collect();
            policy.accept.insert(kind, Rule { measurements, ..Rule::default() });
        }
        policy
    }

    /// A policy for one of these programs on the simulated platform, in whichever vendor's form, and for nothing else. That platform
    /// protects nothing.
    #[cfg(feature = "simulated")]
    pub fn simulated(programs: impl IntoIterator<Item = Bytes>) -> Self {
        let programs: Vec<Bytes> = programs.into_iter().collect();
        // Where a form has 32 bytes for the program, they are SHA-256 of its measurement.
        let short: Vec<Bytes> = programs.iter().map(|p| Bytes::from(Digest::of(&p.0).0)).collect();
        let paravisor = vec![Bytes::from(Hash::Sha384.digest([PARAVISOR]))];
        let forms: [(Kind, &[Named<'_>]); 7] = [
            (Kind::SevSnp, &[("launch", &programs)]),
            (Kind::Tdx, &[("mrtd", &programs), ("rtmr0", &programs)]),
            (Kind::Sgx, &[("mrenclave", &short)]),
            (Kind::Nitro, &[("pcr0", &programs)]),
            (Kind::Tpm, &[("pcr4-sha384", &programs)]),
            (Kind::AzureSnp, &[("launch", &paravisor), ("pcr4", &short)]),
            (Kind::AzureTdx, &[("mrtd", &paravisor), ("pcr4", &short)]),
        ];
        let rule = |values: &[Named<'_>]| Rule {
            roots: vec![crate::roots::SIMULATED.to_owned()],
            // Of the simulated chip, and the FMSPC of the simulated platform in Intel's place.
            generations: vec!["Milan".to_owned(), "53494d554c41".to_owned()],
            measurements: values
                .iter()
                .map(|(name, values)| ((*name).to_owned(), values.to_vec()))
                .collect(),
            tcb_statuses: vec![TcbStatus::Unknown, TcbStatus::UpToDate],
            allow: vec![Allowance::Simulated],
            vmpl: vec![0],
            ..Rule::default()
        };
        let mut policy = Self { warn_before_expiry_seconds: WARN, ..Self::default() };
        policy.accept.extend(forms.map(|(kind, values)| (kind, rule(values))));
        policy.canonical()
    }

    /// A policy for the program of these claims and no other: its root (by key), generation, privilege level and the program's
    /// measurements,
    /// with the component versions as least values. It accepts the program on a platform in good order: what is weak about
    /// the platform at hand (a TCB status other than up to date, advisories, whatever needs an [`Allowance`]) is not named.
    /// Two things are, since they are ordinary: hyperthreading where it is on or allowed, and AMD's unknown TCB status, since AMD
    /// publishes none and the least versions stand in for it.
    pub fn for_program_of(claims: &Claims) -> Self {
        let least = |(name, value): (&String, &String)| Some((name.clone(), decimal(value)?));
        let mut tcb_statuses = vec![TcbStatus::UpToDate];
        if matches!(claims.kind, Kind::SevSnp | Kind::AzureSnp) {
            tcb_statuses.push(TcbStatus::Unknown);
        }
        let rule = Rule {
            roots: vec![claims.root.sha256.to_string()],
            generations: claims.generation.iter().cloned().collect(),
            measurements: claims
                .measurements
                .iter()
                .filter(|(name, _)| of_program(claims.kind, name))
                .map(|(name, value)| (name.clone(), vec![value.clone()]))
                .collect(),
            tcb_statuses,
            minimum: claims.tcb.detail.iter().filter_map(least).collect(),
            allow: claims.smt.filter(|on| *on).map(|_| Allowance::Smt).into_iter().collect(),
            vmpl: claims.vmpl.into_iter().collect(),
            ..Rule::default()
        };
        let mut policy = Self { warn_before_expiry_seconds: WARN, ..Self::default() };
        policy.accept.insert(claims.kind, rule);
        policy.canonical()
    }
}

/// Whether a measurement is of the program, not of the machine below it.
fn of_program(kind: Kind, name: &str) -> bool {
    match kind {
        // Image, kernel, application, signer; 3 and 4 tell the role and the instance that started the enclave.
        Kind::Nitro => matches!(name, "pcr0" | "pcr1" | "pcr2" | "pcr8"),
        // The TDX module's are judged by Intel's TCB info.
        Kind::Tdx | Kind::AzureTdx => !matches!(name, "mrseam" | "mrsignerseam"),
        Kind::Sgx | Kind::SevSnp | Kind::AzureSnp | Kind::Tpm => true,
    }
}

/// A number in decimal digits alone.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
