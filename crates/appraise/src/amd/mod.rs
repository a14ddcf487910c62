//! AMD SEV-SNP attestation reports of versions 2 to 5.
//!
//! ```text
//! report ──P-384──▶ VCEK or VLEK ──RSA-PSS──▶ ASK or ASVK ──RSA-PSS──▶ ARK of the trust store
//!    └── firmware versions, chip id, product line: each held against the key's certificate ──┘
//! ```
//!
//! Sources: AMD 56860 (firmware ABI), 57230 (certificates and key service), 56421 (certificate table). Every reserved field
//! must be zero, so a report of a firmware that gives one a meaning is refused rather than half understood.

mod certificate;
mod chain;
mod claims;
mod files;
mod flags;
mod key;
mod product;
mod pss;
mod report;
mod revocation;
mod table;
mod tcb;

use crate::Endorsements;
use crate::claims::Claims;
use crate::error::VerifyError;
use crate::roots::TrustStore;
use crate::time::UnixTime;
use chain::Chain;
use files::Files;
use product::Generation;
pub(crate) use report::REPORT_LEN;
use report::Report;

/// Whether bytes look like a report, of any version, alone or with the host's certificate table after it.
pub(crate) fn recognise(bytes: &[u8]) -> bool {
    report::looks_like_report(bytes)
}

/// Verifies a report, alone or followed by the host's certificate table.
///
/// # Errors
/// [`VerifyError`]: the report then proves nothing.
pub(crate) fn verify(
    evidence: &[u8],
    endorsements: &Endorsements,
    roots: &TrustStore,
    at: UnixTime,
) -> Result<Claims, VerifyError> {
    let (report, table) = match evidence.split_at_checked(REPORT_LEN) {
        Some((report, table)) if table::is_table(table) => (report, Some(table)),
        _ => (evidence, None),
    };
    let report = Report::read(report)?;
    let files = Files::read(endorsements, table)?;
    let chain = Chain::find(&report, &files, roots)?;
    let validity = chain.check_dates(report.signer.key, at)?;
    if let Some(cpuid) = report.cpuid
        && Generation::of_cpuid(cpuid) != Some(chain.generation)
    {
        return Err(VerifyError::new(
            "certificate-mismatch",
            format!(
                "the report's processor is none of {}, whose root signed",
                chain.generation.name()
            ),
            "give the certificate chain of the processor's own product line",
        ));
    }
    let endorsed = key::check(&chain.leaf, &report, chain.generation)?;
    let revocation = revocation::check(&chain, &files.lists, at)?;
    claims::claims(&report, &chain, &endorsed, validity, revocation)
}
