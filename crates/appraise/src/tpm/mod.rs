//! TPM 2.0 quotes.
//!
//! [`verify_quote`] checks the TPM's own statement, [`Values`] the registers beside it; [`verify`] adds what makes the attestation
//! key one to believe: it is pinned in the trust store, or an authority of the store certified it. A key that merely comes with
//! its quote proves nothing, since anybody can make both.

mod bank;
mod bundle;
mod pcrs;
mod public;
mod quote;
mod reader;
mod signature;

pub(crate) use bank::Bank;
pub(crate) use pcrs::Values;
pub(crate) use quote::{Quote, verify_quote};
pub(crate) use reader::Reader;

use crate::claims::{Bytes, Claims, Digest, Kind, Root, TcbClaim, TcbStatus, Validity};
use crate::error::VerifyError;
use crate::pki::{PublicKey, Use, find_path, verify_path};
use crate::roots::{TrustStore, TrustedRoot, Vendor};
use crate::time::UnixTime;
use crate::{Endorsements, x509};
use bundle::Bundle;
use der::asn1::ObjectIdentifier as Oid;
use std::collections::BTreeMap;
use x509_cert::Certificate;

/// `tcg-kp-AIKCertificate`: the purpose of attestation keys' certificates.
const ATTESTATION_KEY: Oid = Oid::new_unwrap("2.23.133.8.3");
/// Certificates of the bundle and the endorsements together, at most.
const MAX_CERTIFICATES: usize = 64;

/// Whether the bytes are a TPM quote's bundle.
pub(crate) fn recognise(bytes: &[u8]) -> bool {
    Bundle::recognise(bytes)
}

/// Verifies a bundle: the attestation key up to a root of `roots`, the quote by the key, the register values by the quote.
///
/// # Errors
/// [`VerifyError`] `malformed`, `truncated`, `too-large`, `unsupported-format`, `untrusted-root`, `bad-signature`, `pcr-mismatch`,
/// `certificate-expired`, `certificate-not-yet-valid`, `certificate-mismatch`.
pub(crate) fn verify(
    bytes: &[u8],
    endorsements: &Endorsements,
    roots: &TrustStore,
    at: UnixTime,
) -> Result<Claims, VerifyError> {
    let bundle = Bundle::read(bytes)?;
    let key = public::read_text(&bundle.ak)?;
    let spki = key
        .to_spki()
        .ok_or_else(|| VerifyError::malformed("the TPM's attestation key cannot be written"))?;
    let files = [bundle.certificates()?, endorsements.certificates.clone()].concat();
    let (root, validity) = match pinned(&spki, roots) {
        Some(root) => (root.root.clone(), Vec::new()),
        None => verify_key(&spki, &files, roots, at)?,
    };
    let quote = verify_quote(&bundle.message()?, &bundle.signature()?, &key, None)?;
    let values = bundle.values(&quote)?.map(|values| values.measurements(&quote)).transpose()?;
    Ok(claims(&quote, values, &key, &spki, root, validity))
}

/// The store's root that is this very key.
fn pinned<'a>(spki: &[u8], roots: &'a TrustStore) -> Option<&'a TrustedRoot> {
    roots.of(Vendor::Tpm).find(|root| root.certificate.is_none() && root.key.0 == spki)
}

/// Follows the key's certificate to an authority of the store.
fn verify_key(
    spki: &[u8],
    files: &[Vec<u8>],
    roots: &TrustStore,
    at: UnixTime,
) -> Result<(Root, Vec<Validity>), VerifyError> {
    let untrusted = |what: &str| {
        VerifyError::new(
            "untrusted-root",
            format!("the TPM's attestation key {} {what}", Digest::of(spki)),
            "trust this key by name, or give its certificate and trust the authority that issued it",
        )
    };
    let mut pool = Vec::new();
    for file in files {
        pool.extend(x509::read_certificates(file)?);
        if pool.len() > MAX_CERTIFICATES {
            return Err(VerifyError::new(
                "too-large",
                format!("more than {MAX_CERTIFICATES} certificates were given"),
                "give those of the attestation key alone",
            ));
        }
    }
    let certified = |certificate: &&Certificate| {
        x509::public_key(certificate).is_ok_and(|certified| certified == spki)
    };
    let certificate = pool
        .iter()
        .find(certified)
        .ok_or_else(|| untrusted("is neither trusted by name nor certified"))?;
    let authorities = roots.of(Vendor::Tpm).filter_map(|root| {
        let certificate = x509::read_certificate(&root.certificate.as_ref()?.0).ok()?;
        Some((root, certificate))
    });
    let (names, anchors): (Vec<&TrustedRoot>, Vec<Certificate>) = authorities.unzip();
    let (path, place) = find_path(certificate, &pool, &anchors)
        .ok_or_else(|| untrusted("is certified by no trusted authority"))?;
    let (Some(root), Some(anchor)) = (names.get(place), anchors.get(place)) else {
        return Err(untrusted("is certified by no trusted authority"));
    };
    let usage = Use { what: "attestation key certificate", purpose: Some(ATTESTATION_KEY) };
    let validity = verify_path(&path, anchor, usage, at)?;
    Ok((root.root.clone(), validity))
}

fn claims(
    quote: &Quote,
    values: Option<BTreeMap<String, Bytes>>,
    key: &PublicKey,
    spki: &[u8],
    root: Root,
    validity: Vec<Validity>,
) -> Claims {
    let mut notes = Vec::new();
    if values.is_none() {
        notes
            .push("no register values were given: the quote vouches for their digest alone".into());
    }
    if validity.is_empty() {
        notes.push(
            "the attestation key is trusted by name: no authority vouches that a TPM holds it"
                .into(),
        );
    }
    if !quote.safe {
        notes.push("the TPM's clock may have been set back since its last orderly shutdown".into());
    }
    let mut measurements = values.unwrap_or_default();
    measurements.insert("pcr-digest".to_owned(), Bytes::from(&quote.pcr_digest));
    let firmware = format!("{:#018x}", quote.firmware_version);
    Claims {
        kind: Kind::Tpm,
        format: format!("TPM 2.0 quote, {} with {}", key.name(), quote.hash.name()),
        simulated: root.test,
        root,
        generation: None,
        tcb: TcbClaim {
            status: TcbStatus::NotApplicable,
            advisories: Vec::new(),
            detail: BTreeMap::from([("firmware-version".to_owned(), firmware)]),
        },
        measurements,
        report_data: Bytes::from(&quote.extra_data),
        nonce: None,
        public_key: None,
        debug: false,
        migratable: None,
        smt: None,
        vmpl: None,
        identity: BTreeMap::from([
            ("attestation-key".to_owned(), Digest::of(spki).to_string()),
            ("qualified-signer".to_owned(), Bytes::from(&quote.qualified_signer).to_string()),
            ("clock-ms".to_owned(), quote.clock.to_string()),
            ("reset-count".to_owned(), quote.reset_count.to_string()),
            ("restart-count".to_owned(), quote.restart_count.to_string()),
        ]),
        validity,
        issued_at: None,
        notes,
    }
}

#[cfg(test)]
mod tests;
