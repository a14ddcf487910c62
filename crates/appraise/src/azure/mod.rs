//! Azure confidential machines: a vTPM whose key an SNP report or a TD quote vouches for.
//!
//! ```text
//! vTPM quote ──▶ attestation key ∈ runtime claims ──SHA-256──▶ report data of the hardware's report ──▶ vendor's root
//! ```
//!
//! Between hardware and vTPM stands Microsoft's paravisor: the launch measurement (SNP) or MRTD (TDX) is the paravisor's, and the
//! key is the vTPM's only if that code says so. A policy for Azure must name these measurements; PCRs of a machine with another
//! paravisor are whatever it likes.

mod bundle;
mod hcl;
mod runtime;

use crate::claims::{Bytes, Claims, Digest, Kind};
use crate::error::VerifyError;
use crate::pki::PublicKey;
use crate::roots::TrustStore;
use crate::time::UnixTime;
use crate::tpm::{Values, verify_quote};
use crate::{Endorsements, amd, intel};
use bundle::{Bundle, TpmQuote};
use hcl::Hcl;
use runtime::Runtime;

/// Privilege level that the paravisor runs at; the machine's own system runs below.
const PARAVISOR_VMPL: u32 = 0;

/// Whether the bytes are a paravisor's report, or JSON that holds one.
pub(crate) fn recognise(bytes: &[u8]) -> Option<Kind> {
    if let Some(kind) = hcl::recognise(bytes) {
        return Some(kind);
    }
    // JSON is parsed only where it can be of this form.
    let starts = bytes.trim_ascii_start().starts_with(b"{");
    let bundle = starts.then(|| Bundle::read(bytes).ok())??;
    hcl::recognise(&bundle.hcl().ok()?)
}

/// Verifies an Azure machine's evidence. With a vTPM quote, the report data are its qualifying data; without, the user data of the
/// runtime claims.
///
/// # Errors
/// [`VerifyError`]: the evidence then proves nothing.
pub(crate) fn verify(
    evidence: &[u8],
    endorsements: &Endorsements,
    roots: &TrustStore,
    at: UnixTime,
) -> Result<Claims, VerifyError> {
    let bundle = Bundle::read(evidence)?;
    let bytes = bundle.hcl()?;
    let hcl = Hcl::read(&bytes)?;
    let hardware = match hcl.kind {
        Kind::AzureTdx => verify_td_quote(&bundle, endorsements, roots, at)?,
        _ => verify_snp_report(&bundle, &hcl, endorsements, roots, at)?,
    };
    bind(hardware, &hcl, &bundle)
}

/// Follows the hardware's verified word to the runtime claims, to the vTPM's key, to the quote.
fn bind(hardware: Claims, hcl: &Hcl<'_>, bundle: &Bundle) -> Result<Claims, VerifyError> {
    if hardware.report_data.0 != hcl.report_data() {
        return Err(hcl::not_vouched());
    }
    let runtime = Runtime::read(hcl.runtime)?;
    let key = runtime.attestation_key()?;
    let mut claims = describe(hardware, hcl.kind, &runtime, &key)?;
    match bundle.tpm_quote() {
        Some(quote) => add_quote(&mut claims, quote, &key)?,
        None => claims.notes.push(
            "no vTPM quote was given: nothing is known of the machine's registers (PCRs)"
                .to_owned(),
        ),
    }
    Ok(claims)
}

fn verify_snp_report(
    bundle: &Bundle,
    hcl: &Hcl<'_>,
    endorsements: &Endorsements,
    roots: &TrustStore,
    at: UnixTime,
) -> Result<Claims, VerifyError> {
    let mut endorsements = endorsements.clone();
    endorsements.certificates.extend(bundle.certificate()?);
    let claims = amd::verify(hcl.snp_report(), &endorsements, roots, at)?;
    if claims.vmpl == Some(PARAVISOR_VMPL) {
        return Ok(claims);
    }
    Err(VerifyError::new(
        "report-data",
        "the SNP report was not asked for by the paravisor, but by what runs below it",
        "give the report that the paravisor left in the vTPM's index 0x01400001",
    ))
}

fn verify_td_quote(
    bundle: &Bundle,
    endorsements: &Endorsements,
    roots: &TrustStore,
    at: UnixTime,
) -> Result<Claims, VerifyError> {
    let quote = bundle.td_quote()?.ok_or_else(|| {
        VerifyError::new(
            "collateral-missing",
            "the paravisor's report has a TDREPORT, which only its own machine can verify",
            "give JSON with the TD quote beside it, from the machine's metadata service (169.254.169.254/acc/tdquote)",
        )
    })?;
    if intel::recognise(&quote) != Some(Kind::Tdx) {
        return Err(VerifyError::malformed("the TD quote of the Azure evidence is none"));
    }
    intel::verify(&quote, endorsements, roots, at)
}

/// The hardware's claims as those of an Azure machine.
fn describe(
    hardware: Claims,
    kind: Kind,
    runtime: &Runtime,
    key: &PublicKey,
) -> Result<Claims, VerifyError> {
    let spki = key
        .to_spki()
        .ok_or_else(|| VerifyError::malformed("the vTPM's attestation key cannot be written"))?;
    let user_data = runtime.user_data()?;
    let mut claims = Claims {
        kind,
        format: format!("paravisor's report with {}", hardware.format),
        report_data: user_data.clone().unwrap_or_default(),
        ..hardware
    };
    claims.measurements.extend(user_data.map(|data| ("user-data".to_owned(), data)));
    claims.identity.extend(runtime.configuration());
    claims.identity.insert("attestation-key".to_owned(), Digest::of(&spki).to_string());
    claims.notes.push(
        "the launch measurement is the paravisor's, and the vTPM is only as good as that code"
            .to_owned(),
    );
    Ok(claims)
}

/// Verifies the vTPM's quote by the key that the hardware vouches for.
fn add_quote(claims: &mut Claims, quote: &TpmQuote, key: &PublicKey) -> Result<(), VerifyError> {
    let verified = verify_quote(&quote.message()?, &quote.signature()?, key, None)?;
    match quote.pcrs()? {
        Some(values) => {
            claims.measurements.extend(Values::in_order(values).measurements(&verified)?);
        }
        None => claims.notes.push(
            "no register values were given: the quote vouches for their digest alone".to_owned(),
        ),
    }
    let digest = Bytes::from(&verified.pcr_digest);
    claims.measurements.insert("pcr-digest".to_owned(), digest);
    claims.report_data = Bytes::from(&verified.extra_data);
    claims.format = format!("{}, vTPM quote", claims.format);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{Root, TcbClaim, TcbStatus};
    use std::collections::BTreeMap;

    /// What Intel's verifier would say of a TD quote v4 that has these report data.
    fn quoted(report_data: &[u8]) -> Claims {
        Claims {
            kind: Kind::Tdx,
            format: "quote v4".to_owned(),
            root: Root { name: String::new(), sha256: Digest([0; 32]), test: true },
            generation: None,
            tcb: TcbClaim {
                status: TcbStatus::Unknown,
                advisories: Vec::new(),
                detail: BTreeMap::new(),
            },
            measurements: BTreeMap::new(),
            report_data: report_data.into(),
            nonce: None,
            public_key: None,
            debug: false,
            migratable: None,
            smt: None,
            vmpl: None,
            simulated: true,
            identity: BTreeMap::new(),
            validity: Vec::new(),
            issued_at: None,
            notes: Vec::new(),
        }
    }

    /// No collateral of that quote's time is at hand, so Intel's part is left out here; the rest of the chain is real.
    #[test]
    fn a_td_quote_vouches_for_the_vtpms_key() {
        let sample = include_bytes!("../../tests/vectors/azure/trustee-tdx-v1.json");
        let bundle = Bundle::read(sample).unwrap();
        let bytes = bundle.hcl().unwrap();
        let hcl = Hcl::read(&bytes).unwrap();
        let quote = bundle.td_quote().unwrap().unwrap();
        // Report data of a quote v4 end its body of 584 bytes, which follow a header of 48.
        let report_data = quote.get(568..632).unwrap();
        let claims = bind(quoted(report_data), &hcl, &bundle).unwrap();
        assert_eq!(claims.kind, Kind::AzureTdx);
        assert_eq!(claims.report_data.0, b"challenge");
        assert!(claims.measurements.contains_key("pcr23"));
        let mut other = report_data.to_vec();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(bind(quoted(&other), &hcl, &bundle).unwrap_err().code, "report-data");
    }

    #[test]
    fn no_byte_of_a_tdreports_report_data_can_change() {
        let mut hcl = include_bytes!("../../tests/vectors/azure/kinvolk-tdx-hcl.bin").to_vec();
        assert!(Hcl::read(&hcl).is_ok());
        for at in (0..hcl.len()).filter(|at| !(0x20..0x20 + 128).contains(at)) {
            hcl[at] ^= 1;
            // The rest of a TDREPORT is not used; everything else decides.
            let unused = (0x20 + 192..0x20 + 1024).contains(&at);
            assert_eq!(Hcl::read(&hcl).is_ok(), unused, "{at}");
            hcl[at] ^= 1;
        }
    }
}
