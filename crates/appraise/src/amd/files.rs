//! Certificates and revocation lists out of the files that a caller gives.

use super::table;
use crate::Endorsements;
use crate::error::VerifyError;
use crate::text;
use crate::x509;
use der::Decode;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;

/// Certificates of one verification, at most.
const MAX_CERTIFICATES: usize = 64;
/// Revocation lists of one verification, at most.
const MAX_LISTS: usize = 16;
/// Bytes of a revocation list, at most.
const MAX_LIST: usize = 1 << 20;
const BEGIN_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const BEGIN_LIST: &str = "-----BEGIN X509 CRL-----";
const END_LIST: &str = "-----END X509 CRL-----";

/// What was given, in the files' order. Other vendors' files may be among them.
#[derive(Default)]
pub(super) struct Files {
    pub(super) certificates: Vec<Certificate>,
    pub(super) lists: Vec<CertificateList>,
}

impl Files {
    /// Reads every file, and the certificate table that came with the report.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`, `too-large`.
    pub(super) fn read(
        endorsements: &Endorsements,
        table: Option<&[u8]>,
    ) -> Result<Self, VerifyError> {
        let mut files = Self::default();
        for file in endorsements.certificates.iter().map(Vec::as_slice).chain(table) {
            files.add(file)?;
        }
        for file in &endorsements.collateral {
            // Collateral is of many kinds: what is neither a list nor made of certificates is another vendor's, and so is JSON, in
            // which there may be certificates too.
            if text::is_json(file) {
                continue;
            }
            if file.starts_with(&[0x30, 0x82]) || is_pem(file) || table::is_table(file) {
                files.add(file)?;
            }
        }
        Ok(files)
    }

    fn add(&mut self, file: &[u8]) -> Result<(), VerifyError> {
        if table::is_table(file) {
            return table::read(file)?.into_iter().try_for_each(|entry| self.add_plain(entry));
        }
        self.add_plain(file)
    }

    fn add_plain(&mut self, file: &[u8]) -> Result<(), VerifyError> {
        if file.len() > MAX_LIST {
            return Err(too_large());
        }
        if let Ok(list) = CertificateList::from_der(file) {
            return self.add_list(list);
        }
        let pem = std::str::from_utf8(file).unwrap_or_default();
        for list in pem_lists(pem)? {
            self.add_list(list)?;
        }
        if pem.contains(BEGIN_LIST) && !pem.contains(BEGIN_CERTIFICATE) {
            return Ok(());
        }
        self.certificates.extend(x509::read_certificates(file)?);
        if self.certificates.len() > MAX_CERTIFICATES { Err(too_large()) } else { Ok(()) }
    }

    fn add_list(&mut self, list: CertificateList) -> Result<(), VerifyError> {
        if self.lists.len() == MAX_LISTS {
            return Err(too_large());
        }
        self.lists.push(list);
        Ok(())
    }
}

fn is_pem(file: &[u8]) -> bool {
    std::str::from_utf8(file)
        .is_ok_and(|text| text.contains(BEGIN_LIST) || text.contains(BEGIN_CERTIFICATE))
}

fn pem_lists(pem: &str) -> Result<Vec<CertificateList>, VerifyError> {
    pem.split(BEGIN_LIST)
        .skip(1)
        .take(MAX_LISTS + 1)
        .map(|body| {
            body.split_once(END_LIST)
                .and_then(|(body, _)| text::base64(body))
                .and_then(|der| CertificateList::from_der(&der).ok())
                .ok_or_else(|| VerifyError::malformed("a revocation list is not of X.509's form"))
        })
        .collect()
}

fn too_large() -> VerifyError {
    VerifyError::new(
        "too-large",
        format!(
            "more than {MAX_CERTIFICATES} certificates, {MAX_LISTS} revocation lists, or {MAX_LIST} bytes in one file"
        ),
        "give the files of this evidence alone",
    )
}
