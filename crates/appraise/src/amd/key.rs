//! The key that signed a report, and what its certificate says of chip and firmware (AMD 57230, section 3.1).

use super::certificate::{amd_name, decoded, extension};
use super::flags::SigningKey;
use super::product::Generation;
use super::report::Report;
use super::tcb::TcbVersion;
use crate::claims::Bytes;
use crate::error::VerifyError;
use crate::pki::{Hash, PublicKey, Scheme};
use crate::x509;
use der::asn1::{Ia5StringRef, ObjectIdentifier};
use x509_cert::Certificate;

const PRODUCT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.2");
const BOOTLOADER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const TEE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SNP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const MICROCODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const FMC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9");
const CHIP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");
const CLOUD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.5");

/// Bytes of a chip's id on Turin; the report pads it with zeroes.
const TURIN_CHIP_ID: usize = 8;

/// What the certificate of a report's key says, held against the report.
pub(super) struct Endorsed {
    /// Product name, such as `Milan-B0`.
    pub(super) product: String,
    /// Id of the chip, from the certificate of a VCEK.
    pub(super) chip: Option<Bytes>,
    /// Who was given the VLEK, such as `CN=cc-us-east-2.amazonaws.com`.
    pub(super) cloud: Option<String>,
}

/// Whether the certificate is of a key of this kind.
pub(super) fn is_of(certificate: &Certificate, kind: SigningKey) -> bool {
    amd_name(certificate.tbs_certificate().subject())
        .is_some_and(|name| name.strip_prefix("SEV-") == Some(kind.name()))
}

/// Whether the certificate's key signed the report: ECDSA on P-384 with SHA-384.
pub(super) fn signed(certificate: &Certificate, report: &Report) -> bool {
    let key = x509::public_key(certificate).ok().and_then(|key| PublicKey::from_spki(&key));
    let signature = report.signature.as_flattened();
    key.is_some_and(|key| {
        matches!(key, PublicKey::P384(_))
            && key.verifies(Scheme::Ecdsa(Hash::Sha384), &report.signed, signature)
    })
}

fn mismatch(what: impl Into<String>) -> VerifyError {
    VerifyError::new(
        "certificate-mismatch",
        what,
        "give the certificate that AMD issued for this chip, product line and reported firmware versions",
    )
}

/// Holds the certificate's extensions against the report.
///
/// # Errors
/// [`VerifyError`] `malformed`, `certificate-mismatch`.
pub(super) fn check(
    certificate: &Certificate,
    report: &Report,
    generation: Generation,
) -> Result<Endorsed, VerifyError> {
    let product = text(certificate, PRODUCT)?
        .ok_or_else(|| mismatch("the key's certificate names no product"))?;
    if Generation::of_product(&product) != Some(generation) {
        return Err(mismatch(format!(
            "the key's certificate is of the product {product}, and AMD's root of {}",
            generation.name()
        )));
    }
    let reported = TcbVersion::read(report.reported_tcb, generation)?;
    let certified = versions(certificate)?;
    if certified != reported {
        return Err(mismatch(format!(
            "the key's certificate is of the firmware versions {}, and the report of {}",
            listed(certified),
            listed(reported)
        )));
    }
    let chip = extension(certificate, CHIP)?;
    let cloud = text(certificate, CLOUD)?;
    match report.signer.key {
        SigningKey::Vcek => {
            let chip = chip.ok_or_else(|| mismatch("the VCEK's certificate names no chip"))?;
            check_chip(chip, &report.chip_id, generation)?;
            Ok(Endorsed { product, chip: Some(chip.into()), cloud: None })
        }
        SigningKey::Vlek => {
            let cloud = cloud.ok_or_else(|| mismatch("the VLEK's certificate names no cloud"))?;
            Ok(Endorsed { product, chip: None, cloud: Some(cloud) })
        }
    }
}

/// Whether the report leaves the chip's id out (MASK_CHIP_ID).
pub(super) fn is_masked(chip: &[u8; 64]) -> bool {
    chip == &[0; 64]
}

/// A masked id contradicts no certificate: that of the key, which only its chip has, says which chip it is.
fn check_chip(
    certified: &[u8],
    reported: &[u8; 64],
    generation: Generation,
) -> Result<(), VerifyError> {
    let length = match generation {
        Generation::Milan | Generation::Genoa => reported.len(),
        Generation::Turin => TURIN_CHIP_ID,
    };
    let (id, padding) = reported.split_at(length);
    if certified.len() != length {
        return Err(mismatch("the VCEK's certificate names a chip by an id of another length"));
    }
    if is_masked(reported) || (certified == id && padding.iter().all(|&byte| byte == 0)) {
        return Ok(());
    }
    Err(mismatch("the VCEK's certificate is of another chip than the report"))
}

fn text(certificate: &Certificate, id: ObjectIdentifier) -> Result<Option<String>, VerifyError> {
    Ok(decoded::<Ia5StringRef<'_>>(certificate, id)?.map(|text| text.as_str().to_owned()))
}

fn versions(certificate: &Certificate) -> Result<TcbVersion, VerifyError> {
    let version = |id| {
        decoded::<u8>(certificate, id)?
            .ok_or_else(|| mismatch(format!("the key's certificate has no firmware version {id}")))
    };
    Ok(TcbVersion {
        fmc: decoded(certificate, FMC)?,
        bootloader: version(BOOTLOADER)?,
        tee: version(TEE)?,
        snp: version(SNP)?,
        microcode: version(MICROCODE)?,
    })
}

fn listed(version: TcbVersion) -> String {
    let parts: Vec<String> =
        version.parts().map(|(name, value)| format!("{name} {value}")).collect();
    parts.join(", ")
}
