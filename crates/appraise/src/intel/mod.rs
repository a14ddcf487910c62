//! Intel SGX and TDX: DCAP quotes of version 3 (SGX), 4 (SGX, TD 1.0) and 5 (SGX, TD 1.0, TD 1.5).
//!
//! Signatures, certificate chains, revocation and the matching of TCB levels are the crate `dcap-qvl`'s. Ours is what it leaves open:
//! the quote's lengths and padding, every date on its own, the PCE's id, which collateral belongs to which quote, and names for
//! every failure. Sources: "Intel SGX ECDSA QuoteLibReference DCAP API", appendix A; "Intel TDX DCAP Quoting Library API".

mod claims;
mod collateral;
mod failure;
mod form;
mod quote;

use crate::Endorsements;
use crate::claims::{Claims, Kind};
use crate::error::VerifyError;
use crate::roots::{TrustStore, TrustedRoot, Vendor};
use crate::time::UnixTime;
use crate::x509;
use collateral::Collateral;
use dcap_qvl::QuoteClaims;
use dcap_qvl::config::Config;
use dcap_qvl::configs::DefaultConfig;
use dcap_qvl::verify::QuoteVerifier;
use form::Form;
use quote::Parsed;

/// What the quote's header says: SGX or TDX, of any version.
pub(crate) fn recognise(bytes: &[u8]) -> Option<Kind> {
    quote::recognise(bytes)
}

/// Accepts every claim, since the judgement is [`appraise`](crate::appraise)'s.
struct Unjudged;

impl dcap_qvl::Policy for Unjudged {
    fn validate(&self, _: &QuoteClaims) -> Result<(), anyhow::Error> {
        Ok(())
    }
}

/// Verifies a quote with its collateral.
///
/// Collateral (TCB info, QE identity, revocation lists) that is past its date still makes claims, verified as of its last
/// second; its dates stand in [`Claims::validity`] and appraisal refuses them. Certificates past their date prove nothing.
pub(crate) fn verify(
    evidence: &[u8],
    endorsements: &Endorsements,
    roots: &TrustStore,
    at: UnixTime,
) -> Result<Claims, VerifyError> {
    let quote = Parsed::read(evidence)?;
    let collateral = Collateral::choose(&endorsements.collateral, &quote)?;
    let mut failure = VerifyError::new(
        "untrusted-root",
        "the trust store holds no Intel root",
        "verify with the production trust store",
    );
    for root in roots.of(Vendor::Intel) {
        match verify_under(root, &quote, &collateral, at) {
            Ok(claims) => return Ok(claims),
            // A root that has nothing to do with the quote says less than one that has.
            Err(error) if error.code == "untrusted-root" => failure = error,
            Err(error) => return Err(error),
        }
    }
    Err(failure)
}

fn verify_under(
    root: &TrustedRoot,
    quote: &Parsed<'_>,
    collateral: &Collateral,
    at: UnixTime,
) -> Result<Claims, VerifyError> {
    let Some(certificate) = &root.certificate else {
        return Err(VerifyError::new(
            "untrusted-root",
            format!("the root {} is a key without a certificate", root.root.name),
            "give Intel's root as a certificate",
        ));
    };
    let mut validity = collateral.certificates.clone();
    validity.push(x509::validity(
        &format!("{} certificate", root.root.name),
        &x509::read_certificate(&certificate.0)?,
    ));
    let as_of = collateral.as_of(at)?;
    let form = Form::of(quote);
    let presented = form.present(quote);
    let verified = match form {
        Form::AsItCame => crypto::<DefaultConfig>(&certificate.0, &presented, collateral, as_of),
        Form::Sgx4 => crypto::<form::Sgx4>(&certificate.0, &presented, collateral, as_of),
        Form::Sgx5 => crypto::<form::Sgx5>(&certificate.0, &presented, collateral, as_of),
        Form::Migratable4 => {
            crypto::<form::Migratable4>(&certificate.0, &presented, collateral, as_of)
        }
        Form::Migratable5 => {
            crypto::<form::Migratable5>(&certificate.0, &presented, collateral, as_of)
        }
    }?;
    for certificate in &validity {
        x509::check_dates(certificate, at)?;
    }
    collateral.check_pce(&verified.platform.pck.pce_id)?;
    validity.extend(collateral.documents.iter().cloned());
    Ok(claims::of(&verified, &quote.quote, root.root.clone(), validity))
}

/// What the crate verifies of a quote in the form that it takes.
fn crypto<C: Config>(
    root: &[u8],
    quote: &[u8],
    collateral: &Collateral,
    as_of: UnixTime,
) -> Result<QuoteClaims, VerifyError> {
    QuoteVerifier::<C>::new_with_config(root.to_vec())
        .allow_debug(true)
        .allow_service_td(true)
        .verify_with_policy(quote, &collateral.parts, as_of.0, &Unjudged)
        .map_err(|error| failure::named(&format!("{error:#}")))
}
