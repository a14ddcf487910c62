//! Checks that every certificate of AMD's chains is held to.

use super::pss::AuthorityKey;
use crate::error::VerifyError;
use crate::x509;
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::name::Name;

/// Who AMD's certificates name as their organization.
const ORGANIZATION: &str = "Advanced Micro Devices";
/// Extensions that may be critical, because they are read here.
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");

/// The common name of a name whose organization is AMD.
pub(super) fn amd_name(name: &Name) -> Option<String> {
    let organization = name.organization().ok()??;
    let common = name.common_name().ok()??;
    (organization.value() == ORGANIZATION).then(|| common.value().into_owned())
}

/// The value of an extension that is there at most once.
///
/// # Errors
/// [`VerifyError`] `malformed` where it is there twice.
pub(super) fn extension(
    certificate: &Certificate,
    id: ObjectIdentifier,
) -> Result<Option<&[u8]>, VerifyError> {
    let extensions = certificate.tbs_certificate().extensions().map_or(&[][..], Vec::as_slice);
    let mut values = extensions.iter().filter(|extension| extension.extn_id == id);
    let value = values.next().map(|extension| extension.extn_value.as_bytes());
    match values.next() {
        Some(_) => Err(VerifyError::malformed(format!("a certificate has extension {id} twice"))),
        None => Ok(value),
    }
}

/// An extension's value, decoded.
///
/// # Errors
/// [`VerifyError`] `malformed`.
pub(super) fn decoded<'a, T: Decode<'a>>(
    certificate: &'a Certificate,
    id: ObjectIdentifier,
) -> Result<Option<T>, VerifyError> {
    extension(certificate, id)?.map(|value| T::from_der(value)).transpose().map_err(|_| {
        VerifyError::malformed(format!("a certificate's extension {id} is not of its form"))
    })
}

/// What certificates of authorities and keys share: version 3, one algorithm named in both places, no critical extension
/// that nobody reads here.
///
/// # Errors
/// [`VerifyError`] `malformed`.
fn check_form(certificate: &Certificate) -> Result<(), VerifyError> {
    let body = certificate.tbs_certificate();
    let mut critical = body.extensions().into_iter().flatten().filter(|e| e.critical);
    if body.version() != Version::V3
        || body.signature() != certificate.signature_algorithm()
        || body.issuer_unique_id().is_some()
        || body.subject_unique_id().is_some()
    {
        return Err(VerifyError::malformed("a certificate is not of AMD's form"));
    }
    match critical.find(|e| e.extn_id != BASIC_CONSTRAINTS && e.extn_id != KEY_USAGE) {
        Some(extension) => Err(VerifyError::malformed(format!(
            "a certificate has the unknown critical extension {}",
            extension.extn_id
        ))),
        None => Ok(()),
    }
}

/// Holds a certificate to being one of an authority: it may sign certificates, and those no further authorities.
///
/// # Errors
/// [`VerifyError`] `malformed`, `certificate-mismatch`.
pub(super) fn check_authority(certificate: &Certificate) -> Result<(), VerifyError> {
    check_form(certificate)?;
    let constraints: Option<BasicConstraints> = decoded(certificate, BASIC_CONSTRAINTS)?;
    let usage: Option<KeyUsage> = decoded(certificate, KEY_USAGE)?;
    if constraints.is_some_and(|c| c.ca) && usage.is_some_and(|usage| usage.key_cert_sign()) {
        return Ok(());
    }
    Err(VerifyError::new(
        "certificate-mismatch",
        "the certificate that signed the report's key may not sign certificates",
        "give AMD's certificate of the authority (ASK or ASVK)",
    ))
}

/// Holds a certificate to being one of a key that signs reports: no authority.
///
/// # Errors
/// [`VerifyError`] `malformed`, `certificate-mismatch`.
pub(super) fn check_leaf(certificate: &Certificate) -> Result<(), VerifyError> {
    check_form(certificate)?;
    let constraints: Option<BasicConstraints> = decoded(certificate, BASIC_CONSTRAINTS)?;
    let usage: Option<KeyUsage> = decoded(certificate, KEY_USAGE)?;
    if constraints.is_none_or(|c| !c.ca) && usage.is_none_or(|usage| usage.digital_signature()) {
        return Ok(());
    }
    Err(VerifyError::new(
        "certificate-mismatch",
        "the certificate of the report's key is one of an authority",
        "give the VCEK's or VLEK's certificate",
    ))
}

/// Whether the holder of the certificate `issuer` signed this one, and is named in it.
///
/// # Errors
/// [`VerifyError`] `malformed` where the issuer's key is none that AMD uses.
pub(super) fn issued_by(
    certificate: &Certificate,
    issuer: &Certificate,
) -> Result<bool, VerifyError> {
    let body = certificate.tbs_certificate();
    if body.issuer() != issuer.tbs_certificate().subject() {
        return Ok(false);
    }
    let body = body
        .to_der()
        .map_err(|_| VerifyError::malformed("a certificate is not of X.509's form"))?;
    let key = AuthorityKey::read(&x509::public_key(issuer)?)?;
    Ok(key.signed(&body, certificate.signature_algorithm(), certificate.signature()))
}
