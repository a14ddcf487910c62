//! What Intel says of its platforms: TCB info, QE identity, revocation lists, and the dates of them all.

use super::quote::Parsed;
use crate::claims::{Bytes, Kind, Validity};
use crate::error::VerifyError;
use crate::text;
use crate::time::UnixTime;
use crate::x509;
use dcap_qvl::QuoteCollateralV3;
use der::Decode;
use serde::Deserialize;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;

/// Bytes of one collateral file, at most; those seen have about 20,000.
const MAX_FILE: usize = 1 << 20;

/// The collateral of one platform. Nothing in it is verified yet.
#[derive(Debug)]
pub(super) struct Collateral {
    /// As dcap-qvl takes it.
    pub(super) parts: QuoteCollateralV3,
    /// Dates of TCB info, QE identity and revocation lists.
    pub(super) documents: Vec<Validity>,
    /// Dates of the certificates that sign them and the quote, without the root.
    pub(super) certificates: Vec<Validity>,
    pce: Bytes,
}

/// What is read of TCB info before its signature is verified.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TcbInfo {
    id: String,
    fmspc: Bytes,
    pce_id: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dated {
    issue_date: String,
    next_update: String,
}

impl Collateral {
    /// The first of the files that is of this quote's platform.
    ///
    /// # Errors
    /// `collateral-missing`, `collateral-mismatch`, `too-large`, `malformed`.
    pub(super) fn choose(files: &[Vec<u8>], quote: &Parsed<'_>) -> Result<Self, VerifyError> {
        let kind = if quote.quote.header.is_sgx() { Kind::Sgx } else { Kind::Tdx };
        let fmspc = dcap_qvl::intel::quote_fmspc(&quote.quote).ok();
        let mut other = None;
        // What is no JSON is another vendor's.
        for file in files.iter().filter(|file| text::is_json(file)) {
            let parts = read(file)?;
            let info: TcbInfo = json(&parts.tcb_info, "TCB info")?;
            let fits = info.id.eq_ignore_ascii_case(kind.name())
                && fmspc.is_none_or(|own| own.as_slice() == info.fmspc.0);
            if fits {
                return Self::dated(parts, info.pce_id, quote);
            }
            other = Some(info);
        }
        let own = fmspc.map_or_else(|| "(unknown)".to_owned(), |own| Bytes::from(own).to_string());
        Err(match other {
            None => VerifyError::new(
                "collateral-missing",
                format!("a quote needs Intel's collateral, here for {kind} on FMSPC {own}"),
                format!(
                    "fetch from a PCCS or Intel's PCS the TCB info of FMSPC {own} ({kind}), the QE identity, the PCK CRL ({} CA) and the root \
                     CA's CRL, with the issuer chains, as one JSON object in dcap-qvl's form, and give it as collateral",
                    dcap_qvl::intel::quote_ca(&quote.quote).map_or("processor or platform", |ca| {
                        match ca {
                            dcap_qvl::config::PckCa::Processor => "processor",
                            dcap_qvl::config::PckCa::Platform => "platform",
                        }
                    }),
                ),
            ),
            Some(info) => VerifyError::new(
                "collateral-mismatch",
                format!(
                    "the collateral is for {} on FMSPC {}, the quote is {kind} on FMSPC {own}",
                    info.id, info.fmspc
                ),
                "fetch the collateral of this quote's own FMSPC",
            ),
        })
    }

    fn dated(
        parts: QuoteCollateralV3,
        pce: Bytes,
        quote: &Parsed<'_>,
    ) -> Result<Self, VerifyError> {
        let documents = vec![
            document("TCB info", &parts.tcb_info)?,
            document("QE identity", &parts.qe_identity)?,
            revocation_list("root CA CRL", &parts.root_ca_crl)?,
            revocation_list("PCK CRL", &parts.pck_crl)?,
        ];
        let tcb = signer(&parts.tcb_info_issuer_chain)?;
        let qe = signer(&parts.qe_identity_issuer_chain)?;
        let mut certificates = vec![x509::validity("TCB signing certificate", &tcb)];
        if qe != tcb {
            certificates.push(x509::validity("QE identity signing certificate", &qe));
        }
        let chain = match &parts.pck_certificate_chain {
            Some(chain) => x509::read_certificates(chain.as_bytes())?,
            None => {
                let chain = quote.quote.raw_cert_chain().map_err(|_| pck_missing())?;
                x509::read_certificates(until_zero(chain))?
            }
        };
        certificates.extend(pck_dates(&chain)?);
        Ok(Self { parts, documents, certificates, pce })
    }

    /// The time to verify at: `at`, or the last second of the collateral that ends first when that is earlier.
    ///
    /// # Errors
    /// `collateral-not-yet-valid`, `collateral-expired` where no time has all of it valid.
    pub(super) fn as_of(&self, at: UnixTime) -> Result<UnixTime, VerifyError> {
        let at = self.documents.iter().map(|d| d.not_after).fold(at, UnixTime::min);
        match self.documents.iter().find(|d| at < d.not_before) {
            None => Ok(at),
            Some(late) => Err(VerifyError::new(
                "collateral-not-yet-valid",
                format!("the {} was issued at {}, after {at}", late.what, late.not_before),
                "verify at a later time, or fetch all of the collateral at once",
            )),
        }
    }

    /// Refuses TCB info of another provisioning certification enclave than the quote's PCK certificate names.
    ///
    /// # Errors
    /// `collateral-mismatch`.
    pub(super) fn check_pce(&self, pce: &[u8]) -> Result<(), VerifyError> {
        if self.pce.0 == pce {
            return Ok(());
        }
        Err(VerifyError::new(
            "collateral-mismatch",
            format!(
                "the TCB info is for PCE {}, the quote's certificate for {}",
                self.pce,
                Bytes::from(pce)
            ),
            "fetch the collateral of this quote's own platform",
        ))
    }
}

fn read(file: &[u8]) -> Result<QuoteCollateralV3, VerifyError> {
    if file.len() > MAX_FILE {
        return Err(VerifyError::new(
            "too-large",
            format!("a collateral file is longer than {MAX_FILE} bytes"),
            "give the collateral of one platform a file",
        ));
    }
    serde_json::from_slice(file).map_err(|error| {
        VerifyError::malformed(format!("a collateral file is not collateral in JSON: {error}"))
    })
}

fn json<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, VerifyError> {
    serde_json::from_str(text).map_err(|error| {
        VerifyError::malformed(format!("the collateral's {what} is malformed: {error}"))
    })
}

/// `next` update is the first second in which the thing holds no more.
fn until(what: &str, issued: UnixTime, next: UnixTime) -> Validity {
    let not_after = UnixTime(next.0.saturating_sub(1));
    Validity { what: what.to_owned(), not_before: issued, not_after }
}

fn document(what: &str, text: &str) -> Result<Validity, VerifyError> {
    let Dated { issue_date, next_update } = json(text, what)?;
    let date = |text: &str| {
        text.parse().map_err(|error| {
            VerifyError::malformed(format!(
                "a date of the collateral's {what} is malformed: {error}"
            ))
        })
    };
    Ok(until(what, date(&issue_date)?, date(&next_update)?))
}

fn revocation_list(what: &str, der: &[u8]) -> Result<Validity, VerifyError> {
    let malformed = || VerifyError::malformed(format!("the collateral's {what} is malformed"));
    let list: CertificateList = CertificateList::from_der(der).map_err(|_| malformed())?;
    let seconds = |time: &x509_cert::time::Time| UnixTime(time.to_unix_duration().as_secs());
    let next = list.tbs_cert_list.next_update.as_ref().ok_or_else(malformed)?;
    Ok(until(what, seconds(&list.tbs_cert_list.this_update), seconds(next)))
}

/// The certificate that signed a document: the first of its chain, which the root issues directly.
fn signer(chain: &str) -> Result<Certificate, VerifyError> {
    let chain = x509::read_certificates(chain.as_bytes())?;
    chain.into_iter().next().ok_or_else(pck_missing)
}

fn pck_missing() -> VerifyError {
    VerifyError::new(
        "certificates-missing",
        "the quote carries no PCK certificate chain",
        "give collateral that holds it (`pck_certificate_chain`)",
    )
}

/// Certification data may end with zeros (C strings).
fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Dates of the PCK certificate and of the authority that issued it. That authority's name must be the name of one
/// certificate alone, so that the dates are those of the certificate that the signature is verified with.
fn pck_dates(chain: &[Certificate]) -> Result<[Validity; 2], VerifyError> {
    let (leaf, others) = chain.split_first().ok_or_else(pck_missing)?;
    let issuer = leaf.tbs_certificate().issuer();
    let mut named = others.iter().filter(|other| other.tbs_certificate().subject() == issuer);
    match (named.next(), named.next()) {
        (Some(authority), None) => Ok([
            x509::validity("PCK certificate", leaf),
            x509::validity("PCK CA certificate", authority),
        ]),
        (None, _) => Err(pck_missing()),
        (Some(_), Some(_)) => Err(VerifyError::malformed(
            "the PCK certificate chain holds two authorities of one name",
        )),
    }
}
