//! What a verified report says.

use super::chain::Chain;
use super::key::{Endorsed, is_masked};
use super::product::Generation;
use super::report::{Firmware, Report};
use super::revocation::Checked;
use super::tcb::TcbVersion;
use crate::claims::{Bytes, Claims, Kind, TcbClaim, TcbStatus, Validity};
use crate::error::VerifyError;
use std::collections::BTreeMap;

/// The claims of a report whose chain, key and dates were verified.
///
/// # Errors
/// [`VerifyError`] `malformed` where a firmware version is not laid out as the product line does it.
pub(super) fn claims(
    report: &Report,
    chain: &Chain<'_>,
    endorsed: &Endorsed,
    mut validity: Vec<Validity>,
    revocation: Checked,
) -> Result<Claims, VerifyError> {
    validity.extend(revocation.validity);
    let mut notes = revocation.notes;
    if is_masked(&report.chip_id) {
        notes.push("the report leaves the chip's id out (MASK_CHIP_ID)".to_owned());
    }
    Ok(Claims {
        kind: Kind::SevSnp,
        format: format!("report v{}", report.version),
        root: chain.root.root.clone(),
        generation: Some(chain.generation.name().to_owned()),
        tcb: tcb(report, chain.generation)?,
        measurements: measurements(report),
        report_data: report.report_data.into(),
        nonce: None,
        public_key: None,
        debug: report.policy.allows_debug(),
        migratable: Some(report.policy.allows_migration_agent()),
        smt: Some(report.policy.allows_smt() || report.platform.smt()),
        vmpl: Some(report.vmpl),
        simulated: chain.root.root.test,
        identity: identity(report, endorsed),
        validity,
        issued_at: None,
        notes,
    })
}

/// AMD publishes no list that says which versions are current, so the status is unknown; a policy bounds the versions.
fn tcb(report: &Report, generation: Generation) -> Result<TcbClaim, VerifyError> {
    let sets = [
        ("current", report.current_tcb),
        ("reported", report.reported_tcb),
        ("committed", report.committed_tcb),
        ("launch", report.launch_tcb),
    ];
    let mut detail = BTreeMap::new();
    for (set, raw) in sets {
        let version = TcbVersion::read(raw, generation)?;
        let parts =
            version.parts().map(|(part, value)| (format!("{set}.{part}"), value.to_string()));
        detail.extend(parts);
    }
    let firmware = |f: Firmware| format!("{}.{}.{}", f.major, f.minor, f.build);
    detail.insert("current.firmware".to_owned(), firmware(report.current));
    detail.insert("committed.firmware".to_owned(), firmware(report.committed));
    if let Some(mitigations) = report.mitigations {
        // Bits, not numbers that could be bounded from below.
        let bits = |vector: u64| format!("{vector:#x}");
        detail.insert("launch.mitigations".to_owned(), bits(mitigations.launch));
        detail.insert("current.mitigations".to_owned(), bits(mitigations.current));
    }
    Ok(TcbClaim { status: TcbStatus::Unknown, advisories: Vec::new(), detail })
}

fn measurements(report: &Report) -> BTreeMap<String, Bytes> {
    let named: [(&str, &[u8]); 6] = [
        ("launch", &report.measurement),
        ("host-data", &report.host_data),
        ("id-key-digest", &report.id_key_digest),
        ("author-key-digest", &report.author_key_digest),
        ("family-id", &report.family_id),
        ("image-id", &report.image_id),
    ];
    named.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.into())).collect()
}

fn identity(report: &Report, endorsed: &Endorsed) -> BTreeMap<String, String> {
    let hex = |bytes: &[u8]| Bytes::from(bytes).to_string();
    let (major, minor) = report.policy.abi();
    let mut identity = BTreeMap::from([
        ("report-id".to_owned(), hex(&report.report_id)),
        ("report-id-ma".to_owned(), hex(&report.report_id_ma)),
        ("signing-key".to_owned(), report.signer.key.name().to_owned()),
        ("product".to_owned(), endorsed.product.clone()),
        ("guest-svn".to_owned(), report.guest_svn.to_string()),
        ("policy.abi".to_owned(), format!("{major}.{minor}")),
    ]);
    let flags = report.policy.demands().into_iter().chain(report.platform.properties());
    identity.extend(flags.map(|(name, set)| (name.to_owned(), set.to_string())));
    if let Some(cpuid) = report.cpuid {
        let text =
            format!("family {} model {} stepping {}", cpuid.family, cpuid.model, cpuid.stepping);
        identity.insert("cpu".to_owned(), text);
    }
    // A certified id says more than the report's, which may be left out.
    let reported = (!is_masked(&report.chip_id)).then(|| hex(&report.chip_id));
    if let Some(chip) = endorsed.chip.as_ref().map(Bytes::to_string).or(reported) {
        identity.insert("chip-id".to_owned(), chip);
    }
    if let Some(cloud) = &endorsed.cloud {
        identity.insert("cloud".to_owned(), cloud.clone());
    }
    identity
}
