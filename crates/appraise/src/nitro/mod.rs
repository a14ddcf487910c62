//! AWS Nitro Enclaves: the attestation document of the Nitro Security Module, a COSE_Sign1 (RFC 9052) over CBOR.
//!
//! [`envelope`] takes it out of its wrappers, [`document`] reads it within bounds, and [`verify`] follows its certificates to a
//! root of the trust store; the root in the document's own bundle merely has to be that one.

mod cbor;
mod document;
mod envelope;

use crate::claims::{Bytes, Claims, Kind, Root, TcbClaim, TcbStatus, Validity};
use crate::error::VerifyError;
use crate::pki::{Hash, PublicKey, Scheme, Use, verify_path};
use crate::roots::{TrustStore, TrustedRoot, Vendor};
use crate::time::UnixTime;
use crate::{Endorsements, x509};
use coset::iana::{self, EnumI64};
use coset::{CborSerializable, CoseSign1, RegisteredLabelWithPrivate, TaggedCborSerializable};
use document::Document;
use envelope::Envelope;
use std::collections::BTreeMap;
use x509_cert::Certificate;

/// Bytes of a signed document, at most. The device answers in at most 12 KiB.
const MAX_DOCUMENT: usize = 1 << 15;
/// The document's own certificate, in errors and claims.
const CERTIFICATE: &str = "Nitro enclave certificate";

/// Whether the bytes begin as a Nitro document does, with or without a wrapper.
pub(crate) fn recognise(bytes: &[u8]) -> bool {
    Envelope::open(bytes).is_some()
}

/// Verifies a document up to a root of `roots`. The endorsements are not needed: a document brings its certificates.
///
/// # Errors
/// [`VerifyError`] `malformed`, `too-large`, `unsupported-format`, `untrusted-root`, `bad-signature`, `certificate-expired`,
/// `certificate-not-yet-valid`, `certificate-mismatch`.
pub(crate) fn verify(
    bytes: &[u8],
    _endorsements: &Endorsements,
    roots: &TrustStore,
    at: UnixTime,
) -> Result<Claims, VerifyError> {
    let envelope =
        Envelope::open(bytes).ok_or_else(|| malformed("it is cut short, or no COSE_Sign1"))?;
    let signed = read_signed(&envelope)?;
    let document = Document::read(signed.payload.as_deref().unwrap_or_default())?;
    let certificate = x509::read_certificate(&document.certificate)?;
    // The cheaper check first; the certificate is not believed before the second one.
    verify_signature(&signed, &certificate)?;
    let (root, validity) = verify_certificates(&document, &certificate, roots, at)?;
    Ok(claims(document, root, validity, &envelope))
}

fn malformed(what: &str) -> VerifyError {
    VerifyError::malformed(format!("the Nitro document is malformed: {what}"))
}

/// The COSE structure: algorithm ES384 in the protected header and nothing beside it, a payload, a signature of 96 bytes.
fn read_signed(envelope: &Envelope<'_>) -> Result<CoseSign1, VerifyError> {
    if envelope.document.len() > MAX_DOCUMENT {
        return Err(VerifyError::new(
            "too-large",
            format!("the Nitro document is longer than {MAX_DOCUMENT} bytes"),
            "the device never makes such a one; fetch the file again",
        ));
    }
    let signed = match envelope.tagged {
        true => CoseSign1::from_tagged_slice(envelope.document),
        false => CoseSign1::from_slice(envelope.document),
    }
    .map_err(|_| malformed("it is no COSE_Sign1"))?;
    let protected = &signed.protected.header;
    let es384 = RegisteredLabelWithPrivate::Assigned(iana::Algorithm::ES384);
    if protected.alg != Some(es384.clone()) {
        return Err(VerifyError::new(
            "unsupported-format",
            "the Nitro document is not signed by ES384",
            format!(
                "the device signs by ES384 (COSE algorithm {})",
                iana::Algorithm::ES384.to_i64()
            ),
        ));
    }
    let only_algorithm = coset::Header { alg: Some(es384), ..coset::Header::default() };
    if *protected != only_algorithm || !signed.unprotected.is_empty() {
        return Err(malformed("its headers say more than the algorithm"));
    }
    Ok(signed)
}

/// Follows the document's certificates to a root of the store. Gives that root and the dates of all.
fn verify_certificates(
    document: &Document,
    certificate: &Certificate,
    roots: &TrustStore,
    at: UnixTime,
) -> Result<(Root, Vec<Validity>), VerifyError> {
    let named = document.bundle.first();
    let trusted = |root: &&TrustedRoot| root.certificate.as_ref().map(|der| &der.0) == named;
    let root = roots.of(Vendor::Aws).find(trusted).ok_or_else(|| {
        VerifyError::new(
            "untrusted-root",
            "the Nitro document's certificates end at a root that is not trusted",
            "trust AWS's root G1 alone, unless this is a test",
        )
    })?;
    let anchor = root.certificate.as_ref().map_or(&[][..], |der| &der.0);
    let anchor = x509::read_certificate(anchor)?;
    let issuers: Vec<Certificate> = document
        .bundle
        .iter()
        .skip(1)
        .rev()
        .map(|der| x509::read_certificate(der))
        .collect::<Result<_, _>>()?;
    let path: Vec<&Certificate> = std::iter::once(certificate).chain(&issuers).collect();
    let usage = Use { what: CERTIFICATE, purpose: None };
    let validity = verify_path(&path, &anchor, usage, at)?;
    Ok((root.root.clone(), validity))
}

/// ES384: ECDSA over P-384 with SHA-384, the signature's two numbers in 48 bytes each.
fn verify_signature(signed: &CoseSign1, certificate: &Certificate) -> Result<(), VerifyError> {
    let key = match PublicKey::from_spki(&x509::public_key(certificate)?) {
        Some(key @ PublicKey::P384(_)) => key,
        _ => {
            return Err(VerifyError::new(
                "certificate-mismatch",
                format!("the {CERTIFICATE} holds no P-384 key"),
                "the device signs by ES384, which takes one",
            ));
        }
    };
    signed.verify_signature(&[], |signature, message| {
        match key.verifies(Scheme::Ecdsa(Hash::Sha384), message, signature) {
            true => Ok(()),
            false => Err(VerifyError::new(
                "bad-signature",
                "the Nitro document's signature does not verify",
                "fetch the document again, unaltered",
            )),
        }
    })
}

fn claims(
    document: Document,
    root: Root,
    validity: Vec<Validity>,
    envelope: &Envelope<'_>,
) -> Claims {
    let debug = document.debug();
    let measurement = |(index, value): (u64, Vec<u8>)| (format!("pcr{index}"), Bytes(value));
    let mut notes = vec!["no revocation list of AWS's authorities was consulted".to_owned()];
    if envelope.unsigned > 0 {
        let beside = "bytes beside the signed document were not read: nothing vouches for them";
        notes.push(beside.to_owned());
    }
    Claims {
        kind: Kind::Nitro,
        format: format!("COSE_Sign1 document, {} registers", document.digest),
        simulated: root.test,
        root,
        generation: None,
        tcb: TcbClaim {
            status: TcbStatus::NotApplicable,
            advisories: Vec::new(),
            detail: BTreeMap::new(),
        },
        measurements: document.pcrs.into_iter().map(measurement).collect(),
        report_data: Bytes(document.user_data.unwrap_or_default()),
        nonce: document.nonce.map(Bytes),
        public_key: document.public_key.map(Bytes),
        debug,
        migratable: None,
        smt: None,
        vmpl: None,
        identity: BTreeMap::from([("module-id".to_owned(), document.module_id)]),
        validity,
        issued_at: Some(UnixTime(document.timestamp / 1000)),
        notes,
    }
}
