//! The keys that everything else is signed by.

use crate::claims::{Bytes, Digest, Root};
use crate::error::VerifyError;
use crate::x509;

/// Whose root it is: a root vouches for one vendor's evidence alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Vendor {
    /// SGX and TDX.
    Intel,
    /// SEV-SNP.
    Amd,
    /// Nitro enclaves.
    Aws,
    /// A TPM's attestation key or the authority that certifies it.
    Tpm,
}

/// A root that the verifier believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedRoot {
    /// Its name, its key's digest, and whether it is a test root.
    pub root: Root,
    /// Whose evidence it vouches for.
    pub vendor: Vendor,
    /// Its `SubjectPublicKeyInfo` in DER.
    pub key: Bytes,
    /// Its certificate in DER, where it has one.
    pub certificate: Option<Bytes>,
}

/// The roots that a verification may end at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustStore {
    roots: Vec<TrustedRoot>,
}

/// The vendors' roots; `roots/README.md` says where each came from.
const PRODUCTION: [(Vendor, &str, &[u8]); 5] = [
    (Vendor::Intel, "Intel SGX Root CA", include_bytes!("../roots/intel-sgx-root-ca.der")),
    (Vendor::Amd, "AMD ARK-Milan", include_bytes!("../roots/amd-ark-milan.der")),
    (Vendor::Amd, "AMD ARK-Genoa", include_bytes!("../roots/amd-ark-genoa.der")),
    (Vendor::Amd, "AMD ARK-Turin", include_bytes!("../roots/amd-ark-turin.der")),
    (Vendor::Aws, "AWS Nitro Enclaves Root G1", include_bytes!("../roots/aws-nitro-root-g1.der")),
];

/// Name of the simulated platform's roots, one in each vendor's place.
#[cfg(feature = "simulated")]
pub(crate) const SIMULATED: &str = "SIMULATED root";
#[cfg(feature = "simulated")]
const SIMULATED_ROOTS: [(Vendor, &[u8]); 3] = [
    (Vendor::Amd, include_bytes!("../roots/simulated/amd-ark.der")),
    (Vendor::Intel, include_bytes!("../roots/simulated/intel-root.der")),
    (Vendor::Aws, include_bytes!("../roots/simulated/aws-root.der")),
];
#[cfg(feature = "simulated")]
const SIMULATED_TPM: &[u8] = include_bytes!("../roots/simulated/tpm-key.der");

impl TrustStore {
    /// A store that believes nobody.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The vendors' published roots, and no test root.
    pub fn production() -> Self {
        let mut store = Self::empty();
        for (vendor, name, certificate) in PRODUCTION {
            // A compiled-in root that could not be read would be left out: the store then believes less, never more.
            // A test holds that each is there, by the fingerprint its vendor publishes.
            if let Ok(root) = certified(vendor, name, certificate, false) {
                store.roots.push(root);
            }
        }
        store
    }

    /// This store and the test roots of the simulated platform, whose evidence proves nothing: its claims are simulated, and
    /// policies refuse those unless they name them. Intel's form needs [`Endorsements::with_simulated`](crate::Endorsements::with_simulated)
    /// besides.
    ///
    /// # Errors
    /// [`VerifyError`] never in practice: the certificates are compiled in.
    #[cfg(feature = "simulated")]
    pub fn with_simulated(self) -> Result<Self, VerifyError> {
        let certified = SIMULATED_ROOTS.into_iter().try_fold(self, |store, (vendor, root)| {
            store.with_certificate(vendor, SIMULATED, root, true)
        })?;
        Ok(certified.with_key(Vendor::Tpm, SIMULATED, SIMULATED_TPM, true))
    }

    /// This store and a root given by its certificate (PEM or DER). `test` marks one that vouches for nothing:
    /// claims under it are simulated.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed` unless there is exactly one certificate.
    pub fn with_certificate(
        mut self,
        vendor: Vendor,
        name: &str,
        certificate: &[u8],
        test: bool,
    ) -> Result<Self, VerifyError> {
        self.roots.push(certified(vendor, name, certificate, test)?);
        Ok(self)
    }

    /// This store and a root given by its key alone, `SubjectPublicKeyInfo` in DER: a TPM's attestation key.
    #[must_use]
    pub fn with_key(mut self, vendor: Vendor, name: &str, key: &[u8], test: bool) -> Self {
        let root = Root { name: name.to_owned(), sha256: Digest::of(key), test };
        self.roots.push(TrustedRoot { root, vendor, key: key.into(), certificate: None });
        self
    }

    /// This store and a root given by a file: a certificate, or a public key in PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`.
    pub fn with_file(
        self,
        vendor: Vendor,
        name: &str,
        file: &[u8],
        test: bool,
    ) -> Result<Self, VerifyError> {
        let text = std::str::from_utf8(file).unwrap_or_default();
        let body = text
            .split_once("-----BEGIN PUBLIC KEY-----")
            .and_then(|(_, rest)| rest.split_once("-----END PUBLIC KEY-----"));
        match body {
            None => self.with_certificate(vendor, name, file, test),
            Some((body, _)) => {
                let key =
                    crate::text::base64(body).filter(|key| !key.is_empty()).ok_or_else(|| {
                        VerifyError::malformed("a root's public key is not of PEM's form")
                    })?;
                Ok(self.with_key(vendor, name, &key, test))
            }
        }
    }

    /// This vendor's roots.
    pub fn of(&self, vendor: Vendor) -> impl Iterator<Item = &TrustedRoot> {
        self.roots.iter().filter(move |root| root.vendor == vendor)
    }

    /// Every root.
    pub fn iter(&self) -> impl Iterator<Item = &TrustedRoot> {
        self.roots.iter()
    }

    /// This vendor's root with this key (`SubjectPublicKeyInfo` in DER).
    pub fn find(&self, vendor: Vendor, key: &[u8]) -> Option<&TrustedRoot> {
        self.of(vendor).find(|root| root.key.0 == key)
    }
}

fn certified(
    vendor: Vendor,
    name: &str,
    certificate: &[u8],
    test: bool,
) -> Result<TrustedRoot, VerifyError> {
    let certificates = x509::read_certificates(certificate)?;
    let [certificate] = certificates.as_slice() else {
        return Err(VerifyError::malformed("a root's file holds more than one certificate"));
    };
    let key = x509::public_key(certificate)?;
    let der = der::Encode::to_der(certificate)
        .map_err(|_| VerifyError::malformed("a root's certificate is not of X.509's form"))?;
    Ok(TrustedRoot {
        root: Root { name: name.to_owned(), sha256: Digest::of(&key), test },
        vendor,
        key: key.into(),
        certificate: Some(der.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_root_is_there_and_no_test_root() {
        // SHA-256 of the whole certificate, as `openssl x509 -fingerprint -sha256` prints it.
        let published = [
            "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
            "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
            "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
            "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
            "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
        ];
        let store = TrustStore::production();
        let held: Vec<String> = store
            .iter()
            .map(|root| Digest::of(&root.certificate.as_ref().unwrap().0).to_string())
            .collect();
        assert_eq!(held, published);
        assert!(store.iter().all(|root| !root.root.test));
        assert_eq!(store.of(Vendor::Amd).count(), 3);
        assert_eq!(store.of(Vendor::Tpm).count(), 0);
    }

    #[test]
    fn a_key_is_found_under_its_own_vendor_alone() {
        let store = TrustStore::empty().with_key(Vendor::Tpm, "ak", b"key", true);
        assert!(store.find(Vendor::Tpm, b"key").is_some());
        assert!(store.find(Vendor::Amd, b"key").is_none());
        assert!(store.find(Vendor::Tpm, b"other").is_none());
    }
}
