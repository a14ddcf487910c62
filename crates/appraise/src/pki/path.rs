//! Certification paths (RFC 5280, section 6), as strict as vendors' chains allow: signatures, names, dates, basic constraints,
//! key usage, and no critical extension that is not understood.

use super::{Hash, PublicKey, Scheme};
use crate::claims::Validity;
use crate::error::VerifyError;
use crate::time::UnixTime;
use crate::x509;
use der::asn1::ObjectIdentifier as Oid;
use der::oid::AssociatedOid;
use der::{Decode, Encode};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies, ExtendedKeyUsage, KeyUsage,
    SubjectAltName, SubjectKeyIdentifier,
};

/// Certificates below the root, at most.
const MAX_PATH: usize = 6;
/// Issuers tried while a path is sought, at most: bounds the work when many certificates share a name.
const MAX_TRIES: usize = 64;

const ECDSA_SHA256: Oid = Oid::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: Oid = Oid::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA512: Oid = Oid::new_unwrap("1.2.840.10045.4.3.4");
const RSA_SHA256: Oid = Oid::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: Oid = Oid::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: Oid = Oid::new_unwrap("1.2.840.113549.1.1.13");

/// Extensions that may be critical: those that are checked here, and those that restrict nothing that is used.
const UNDERSTOOD: [Oid; 7] = [
    BasicConstraints::OID,
    KeyUsage::OID,
    ExtendedKeyUsage::OID,
    SubjectKeyIdentifier::OID,
    AuthorityKeyIdentifier::OID,
    // An attestation key's certificate names the TPM here, its subject being empty.
    SubjectAltName::OID,
    // No policy is demanded, so none can be missing.
    CertificatePolicies::OID,
];

/// What a path's first certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use<'a> {
    /// Its name in errors and claims.
    pub(crate) what: &'a str,
    /// The purpose that its extended key usage, if it has one, must name.
    pub(crate) purpose: Option<Oid>,
}

/// Verifies a path: the certificate in use first, then its issuers; `root` issued the last. Gives the dates of all of them.
///
/// # Errors
/// [`VerifyError`] `bad-signature`, `certificate-mismatch`, `certificate-expired`, `certificate-not-yet-valid`,
/// `unsupported-format`, `too-large`.
pub(crate) fn verify_path(
    path: &[&Certificate],
    root: &Certificate,
    usage: Use<'_>,
    at: UnixTime,
) -> Result<Vec<Validity>, VerifyError> {
    if path.is_empty() || path.len() > MAX_PATH {
        return Err(VerifyError::new(
            "too-large",
            format!("{} certificates lead to the root, more than {MAX_PATH}", path.len()),
            "give the certificates of this evidence alone",
        ));
    }
    let mut validity = Vec::with_capacity(path.len() + 1);
    // From the root downwards, so that nothing is read of a certificate before its issuer is known to be good.
    let issuers = path.iter().skip(1).copied().chain([root]);
    let links: Vec<_> = path.iter().copied().zip(issuers).enumerate().collect();
    check_issuer(root, path.len().saturating_sub(1), "root certificate")?;
    validity.push(dated(root, "root certificate", at)?);
    for (depth, (certificate, issuer)) in links.into_iter().rev() {
        let what = match depth {
            0 => usage.what.to_owned(),
            _ => format!("intermediate {depth} certificate"),
        };
        if certificate.tbs_certificate().issuer() != issuer.tbs_certificate().subject() {
            let why = format!("the {what} names another issuer than the certificate above it");
            return Err(mismatch(why));
        }
        if !issued(certificate, issuer)? {
            return Err(VerifyError::new(
                "bad-signature",
                format!("the signature of the {what} does not verify"),
                "fetch the evidence and its certificates again, unaltered",
            ));
        }
        validity.push(dated(certificate, &what, at)?);
        check_extensions(certificate, &what)?;
        match depth {
            0 => check_use(certificate, usage)?,
            _ => check_issuer(certificate, depth - 1, &what)?,
        }
    }
    validity.reverse();
    Ok(validity)
}

/// Finds a path from `certificate` through `pool` to one of `roots`, by names and signatures; gives it, `certificate` first, and
/// the root's place in `roots`. It is not verified yet.
pub(crate) fn find_path<'a>(
    certificate: &'a Certificate,
    pool: &'a [Certificate],
    roots: &[Certificate],
) -> Option<(Vec<&'a Certificate>, usize)> {
    let mut path = vec![certificate];
    let mut tries = MAX_TRIES;
    let root = extend(&mut path, pool, roots, &mut tries)?;
    Some((path, root))
}

fn extend<'a>(
    path: &mut Vec<&'a Certificate>,
    pool: &'a [Certificate],
    roots: &[Certificate],
    tries: &mut usize,
) -> Option<usize> {
    let last = *path.last()?;
    let mut issues = |issuer: &Certificate| {
        last.tbs_certificate().issuer() == issuer.tbs_certificate().subject() && {
            *tries = tries.saturating_sub(1);
            *tries > 0 && issued(last, issuer).unwrap_or(false)
        }
    };
    if let Some(root) = roots.iter().position(&mut issues) {
        return Some(root);
    }
    let issuers: Vec<_> = pool.iter().filter(|next| !path.contains(next) && issues(next)).collect();
    for issuer in issuers {
        if path.len() == MAX_PATH {
            return None;
        }
        path.push(issuer);
        if let Some(root) = extend(path, pool, roots, tries) {
            return Some(root);
        }
        path.pop();
    }
    None
}

fn mismatch(what: String) -> VerifyError {
    VerifyError::new(
        "certificate-mismatch",
        what,
        "give the certificates that the vendor issued for this evidence",
    )
}

fn dated(certificate: &Certificate, what: &str, at: UnixTime) -> Result<Validity, VerifyError> {
    let validity = x509::validity(what, certificate);
    x509::check_dates(&validity, at)?;
    Ok(validity)
}

/// Whether `issuer`'s key signed `certificate`.
///
/// # Errors
/// [`VerifyError`] `unsupported-format` for a key or algorithm that is not supported.
fn issued(certificate: &Certificate, issuer: &Certificate) -> Result<bool, VerifyError> {
    let unsupported = |what: &str| {
        VerifyError::new(
            "unsupported-format",
            format!("a certificate uses {what} that is not supported"),
            "supported are ECDSA over P-256 and P-384 and RSA of 2048 to 4096 bits, with SHA-256, SHA-384 or SHA-512",
        )
    };
    let tbs = certificate.tbs_certificate();
    let algorithm = certificate.signature_algorithm();
    if tbs.signature() != algorithm {
        return Ok(false);
    }
    let scheme = match algorithm.oid {
        ECDSA_SHA256 => Scheme::Ecdsa(Hash::Sha256),
        ECDSA_SHA384 => Scheme::Ecdsa(Hash::Sha384),
        ECDSA_SHA512 => Scheme::Ecdsa(Hash::Sha512),
        RSA_SHA256 => Scheme::RsaPkcs1(Hash::Sha256),
        RSA_SHA384 => Scheme::RsaPkcs1(Hash::Sha384),
        RSA_SHA512 => Scheme::RsaPkcs1(Hash::Sha512),
        _ => return Err(unsupported("an algorithm")),
    };
    let key =
        PublicKey::from_spki(&x509::public_key(issuer)?).ok_or_else(|| unsupported("a key"))?;
    let message =
        tbs.to_der().map_err(|_| VerifyError::malformed("a certificate is not of X.509's form"))?;
    let Some(signature) = certificate.signature().as_bytes() else { return Ok(false) };
    Ok(key.verifies_der(scheme, &message, signature))
}

/// An issuing certificate, `below` issuing certificates under it.
fn check_issuer(certificate: &Certificate, below: usize, what: &str) -> Result<(), VerifyError> {
    if certificate.tbs_certificate().version() != Version::V3 {
        return Err(mismatch(format!("the {what} is not of X.509 version 3")));
    }
    let constraints: BasicConstraints = extension(certificate, what)?
        .ok_or_else(|| mismatch(format!("the {what} has no basic constraints")))?;
    if !constraints.ca {
        return Err(mismatch(format!("the {what} is not a certificate authority's")));
    }
    if constraints.path_len_constraint.is_some_and(|most| usize::from(most) < below) {
        return Err(mismatch(format!("the {what} allows fewer certificates below it")));
    }
    let usage: KeyUsage = extension(certificate, what)?
        .ok_or_else(|| mismatch(format!("the {what} has no key usage")))?;
    if !usage.key_cert_sign() {
        return Err(mismatch(format!("the {what} may not sign certificates")));
    }
    Ok(())
}

/// The certificate in use: it may sign, is no authority, and serves the purpose.
fn check_use(certificate: &Certificate, usage: Use<'_>) -> Result<(), VerifyError> {
    let what = usage.what;
    if extension::<BasicConstraints>(certificate, what)?.is_some_and(|limits| limits.ca) {
        return Err(mismatch(format!("the {what} is a certificate authority's")));
    }
    if extension::<KeyUsage>(certificate, what)?.is_some_and(|usage| !usage.digital_signature()) {
        return Err(mismatch(format!("the {what} may not sign")));
    }
    let purposes = extension::<ExtendedKeyUsage>(certificate, what)?;
    match (usage.purpose, purposes) {
        (Some(purpose), Some(purposes)) if !purposes.0.contains(&purpose) => {
            Err(mismatch(format!("the {what} serves another purpose")))
        }
        _ => Ok(()),
    }
}

/// No extension twice, and none critical that is not understood.
fn check_extensions(certificate: &Certificate, what: &str) -> Result<(), VerifyError> {
    let extensions = certificate.tbs_certificate().extensions().map_or(&[][..], Vec::as_slice);
    for (place, extension) in extensions.iter().enumerate() {
        let id = extension.extn_id;
        if extensions.iter().skip(place + 1).any(|other| other.extn_id == id) {
            return Err(mismatch(format!("the {what} has the extension {id} twice")));
        }
        if extension.critical && !UNDERSTOOD.contains(&id) {
            return Err(mismatch(format!(
                "the {what} has a critical extension, {id}, unknown here"
            )));
        }
    }
    Ok(())
}

/// The extension of this type, decoded.
fn extension<T>(certificate: &Certificate, what: &str) -> Result<Option<T>, VerifyError>
where
    T: AssociatedOid + for<'a> Decode<'a, Error = der::Error>,
{
    let extensions = certificate.tbs_certificate().extensions();
    extensions
        .and_then(|list| list.iter().find(|extension| extension.extn_id == T::OID))
        .map(|extension| T::from_der(extension.extn_value.as_bytes()))
        .transpose()
        .map_err(|_| VerifyError::malformed(format!("an extension of the {what} is malformed")))
}
