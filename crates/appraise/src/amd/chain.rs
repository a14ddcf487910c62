//! From the report's key to a root of the store.

use super::certificate::{amd_name, check_authority, check_leaf, issued_by};
use super::files::Files;
use super::flags::SigningKey;
use super::key;
use super::product::Generation;
use super::report::Report;
use crate::claims::Validity;
use crate::error::VerifyError;
use crate::roots::{TrustStore, TrustedRoot, Vendor};
use crate::time::UnixTime;
use crate::x509;
use x509_cert::Certificate;

/// AMD's certificates of the authorities between roots and keys, so that a report and the certificate of its key suffice.
/// Nobody believes them: a root of the store must have signed them.
const AUTHORITIES: &[u8] = include_bytes!("../../roots/amd/authorities.pem");

/// A verified chain: the leaf's key signed the report, the authority signed the leaf, the root signed the authority.
pub(super) struct Chain<'a> {
    pub(super) leaf: Certificate,
    pub(super) authority: Certificate,
    pub(super) root: &'a TrustedRoot,
    pub(super) root_certificate: Certificate,
    pub(super) generation: Generation,
}

impl<'a> Chain<'a> {
    /// Finds and verifies the chain of a report among the certificates given, in whatever order.
    ///
    /// # Errors
    /// [`VerifyError`] `certificates-missing`, `bad-signature`, `untrusted-root`, `certificate-mismatch`, `malformed`.
    pub(super) fn find(
        report: &Report,
        files: &Files,
        roots: &'a TrustStore,
    ) -> Result<Self, VerifyError> {
        let kind = report.signer.key;
        let leaf = leaf(report, &files.certificates)?;
        check_leaf(leaf)?;
        let own = x509::read_certificates(AUTHORITIES)?;
        let candidates = authorities(kind, leaf, files.certificates.iter().chain(&own))?;
        let (authority, root, root_certificate) = root(&candidates, roots)?;
        check_authority(authority)?;
        let generation = generation(kind, authority, &root_certificate)?;
        Ok(Self {
            leaf: leaf.clone(),
            authority: authority.clone(),
            root,
            root_certificate,
            generation,
        })
    }

    /// The dates of every certificate.
    ///
    /// # Errors
    /// [`VerifyError`] `certificate-expired`, `certificate-not-yet-valid`.
    pub(super) fn check_dates(
        &self,
        kind: SigningKey,
        at: UnixTime,
    ) -> Result<Vec<Validity>, VerifyError> {
        let authority = match kind {
            SigningKey::Vcek => "ASK",
            SigningKey::Vlek => "ASVK",
        };
        let dated = [
            (kind.name(), &self.leaf),
            (authority, &self.authority),
            ("ARK", &self.root_certificate),
        ];
        dated
            .into_iter()
            .map(|(name, certificate)| {
                let validity = x509::validity(&format!("{name} certificate"), certificate);
                x509::check_dates(&validity, at).map(|()| validity)
            })
            .collect()
    }
}

/// The certificate whose key signed the report.
fn leaf<'a>(
    report: &Report,
    certificates: &'a [Certificate],
) -> Result<&'a Certificate, VerifyError> {
    let kind = report.signer.key;
    let mut candidates = certificates.iter().filter(|c| key::is_of(c, kind)).peekable();
    if candidates.peek().is_none() {
        return Err(VerifyError::new(
            "certificates-missing",
            format!(
                "no certificate of a {} was given, which the report is signed with",
                kind.name()
            ),
            "fetch it from AMD's key service (https://kdsintf.amd.com) or the cloud's host, and give it with --certs",
        ));
    }
    candidates.find(|certificate| key::signed(certificate, report)).ok_or_else(|| {
        VerifyError::new(
            "bad-signature",
            format!("the report is not signed by the {} given", kind.name()),
            "the report was altered, or the certificate is of another chip or firmware version",
        )
    })
}

/// The certificates whose key signed the leaf; one authority may have several.
fn authorities<'a>(
    kind: SigningKey,
    leaf: &Certificate,
    certificates: impl Iterator<Item = &'a Certificate>,
) -> Result<Vec<&'a Certificate>, VerifyError> {
    let issuer = leaf.tbs_certificate().issuer();
    let named: Vec<_> = certificates.filter(|c| c.tbs_certificate().subject() == issuer).collect();
    if named.is_empty() {
        return Err(VerifyError::new(
            "certificates-missing",
            format!("no certificate of the {}'s issuer was given", kind.name()),
            "give AMD's certificate chain of the product line",
        ));
    }
    let signed = named.into_iter().filter(|own| issued_by(leaf, own).unwrap_or_default());
    let signed: Vec<_> = signed.collect();
    if signed.is_empty() {
        return Err(VerifyError::new(
            "bad-signature",
            format!("the certificate of the {} is not signed by its issuer", kind.name()),
            "the certificate was altered: fetch it again",
        ));
    }
    Ok(signed)
}

/// The first of the authorities whose certificate a root of the store signed, that root, and its certificate.
fn root<'a, 'b>(
    authorities: &[&'b Certificate],
    roots: &'a TrustStore,
) -> Result<(&'b Certificate, &'a TrustedRoot, Certificate), VerifyError> {
    for root in roots.of(Vendor::Amd) {
        let Some(certificate) = &root.certificate else { continue };
        let certificate = x509::read_certificate(&certificate.0)?;
        for authority in authorities {
            if issued_by(authority, &certificate)? {
                return Ok((authority, root, certificate));
            }
        }
    }
    Err(VerifyError::new(
        "untrusted-root",
        "no AMD root of the trust store signed the certificate of the authority",
        "evidence of real hardware leads to AMD's ARK-Milan, ARK-Genoa or ARK-Turin; another root must be trusted explicitly",
    ))
}

/// The product line, by the root's name; the authority must be its authority for keys of this kind.
fn generation(
    kind: SigningKey,
    authority: &Certificate,
    root: &Certificate,
) -> Result<Generation, VerifyError> {
    let named = |certificate: &Certificate| amd_name(certificate.tbs_certificate().subject());
    let generation = named(root).and_then(|name| Generation::of_root(&name)).ok_or_else(|| {
        VerifyError::new(
            "untrusted-root",
            "the root is of no known product line of AMD",
            "its common name must be ARK-Milan, ARK-Genoa or ARK-Turin",
        )
    })?;
    let expected = match kind {
        SigningKey::Vcek => generation.chip_authority(),
        SigningKey::Vlek => generation.loaded_authority(),
    };
    if named(authority).as_ref() == Some(&expected) {
        return Ok(generation);
    }
    Err(VerifyError::new(
        "certificate-mismatch",
        format!("the issuer of the {} is not {expected}", kind.name()),
        "chip keys (VCEK) and loaded keys (VLEK) have authorities of their own: give the right chain",
    ))
}
