//! Certificates: reading bundles of them, their dates, their keys.

use crate::claims::Validity;
use crate::error::VerifyError;
use crate::time::UnixTime;
use der::{Decode, Encode, SliceReader};
use x509_cert::Certificate;

/// Certificates of one file, at most.
const MAX_CERTIFICATES: usize = 32;
/// Bytes of one file of certificates, at most.
const MAX_FILE: usize = 1 << 18;

/// The certificates of a file, in its order: PEM with any number of blocks (text between them is skipped), or DER, one
/// after the other.
///
/// # Errors
/// [`VerifyError`] `malformed` or `too-large`.
pub(crate) fn read_certificates(file: &[u8]) -> Result<Vec<Certificate>, VerifyError> {
    if file.len() > MAX_FILE {
        return Err(too_large());
    }
    let certificates = if file.first() == Some(&0x30) { read_der(file)? } else { read_pem(file)? };
    if certificates.is_empty() {
        return Err(VerifyError::malformed("the file holds no certificate"));
    }
    Ok(certificates)
}

fn too_large() -> VerifyError {
    VerifyError::new(
        "too-large",
        format!(
            "a file of certificates is longer than {MAX_FILE} bytes or holds more than {MAX_CERTIFICATES}"
        ),
        "give the certificates of this evidence alone",
    )
}

fn read_der(file: &[u8]) -> Result<Vec<Certificate>, VerifyError> {
    let malformed = |_| VerifyError::malformed("a certificate is not of X.509's form");
    let mut reader = SliceReader::new(file).map_err(malformed)?;
    let mut certificates = Vec::new();
    while !der::Reader::is_finished(&reader) {
        if certificates.len() == MAX_CERTIFICATES {
            return Err(too_large());
        }
        certificates.push(Certificate::decode(&mut reader).map_err(malformed)?);
    }
    Ok(certificates)
}

fn read_pem(file: &[u8]) -> Result<Vec<Certificate>, VerifyError> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let malformed = || VerifyError::malformed("a certificate is neither PEM nor DER");
    let mut rest = std::str::from_utf8(file).map_err(|_| malformed())?;
    let mut certificates = Vec::new();
    while let Some((_, body)) = rest.split_once(BEGIN) {
        if certificates.len() == MAX_CERTIFICATES {
            return Err(too_large());
        }
        let (body, after) = body.split_once(END).ok_or_else(malformed)?;
        let der = crate::text::base64(body).ok_or_else(malformed)?;
        certificates.push(read_certificate(&der)?);
        rest = after;
    }
    Ok(certificates)
}

/// One certificate in DER, no byte over.
///
/// # Errors
/// [`VerifyError`] `malformed`.
pub(crate) fn read_certificate(der: &[u8]) -> Result<Certificate, VerifyError> {
    Certificate::from_der(der)
        .map_err(|_| VerifyError::malformed("a certificate is not of X.509's form"))
}

/// The certificate's `SubjectPublicKeyInfo` in DER.
///
/// # Errors
/// [`VerifyError`] `malformed`.
pub(crate) fn public_key(certificate: &Certificate) -> Result<Vec<u8>, VerifyError> {
    let key = certificate.tbs_certificate().subject_public_key_info();
    key.to_der().map_err(|_| VerifyError::malformed("a certificate's key is not of X.509's form"))
}

/// From when until when a certificate is valid.
pub(crate) fn validity(what: &str, certificate: &Certificate) -> Validity {
    let dates = certificate.tbs_certificate().validity();
    let seconds = |time: &x509_cert::time::Time| UnixTime(time.to_unix_duration().as_secs());
    Validity {
        what: what.to_owned(),
        not_before: seconds(&dates.not_before),
        not_after: seconds(&dates.not_after),
    }
}

/// Refuses a certificate outside its dates.
///
/// # Errors
/// [`VerifyError`] `certificate-expired`, `certificate-not-yet-valid`.
pub(crate) fn check_dates(validity: &Validity, at: UnixTime) -> Result<(), VerifyError> {
    let Validity { what, not_before, not_after } = validity;
    if at < *not_before {
        return Err(VerifyError::new(
            "certificate-not-yet-valid",
            format!("the {what} is valid from {not_before}, and {at} is earlier"),
            "verify at a time within the certificate's dates",
        ));
    }
    if at > *not_after {
        return Err(VerifyError::new(
            "certificate-expired",
            format!("the {what} was valid until {not_after}, and {at} is later"),
            "fetch fresh evidence, or verify at the time when it was made",
        ));
    }
    Ok(())
}
