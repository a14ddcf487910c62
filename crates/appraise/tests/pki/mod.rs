//! A test vendor: certificates of any shape under a root of our own.
#![allow(dead_code, reason = "each test uses a part")]

use der::asn1::{GeneralizedTime, ObjectIdentifier, OctetString};
use der::flagset::FlagSet;
use der::{Decode, Encode};
use p384::ecdsa::{DerSignature, SigningKey};
use std::str::FromStr;
use std::time::Duration;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

/// The middle of every test certificate's dates, and half their length.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const HALF: u64 = 86_400;

/// What a certificate says; the defaults are those of an issuing one.
#[derive(Clone)]
pub(crate) struct Shape {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) dates: (u64, u64),
    pub(crate) authority: Option<bool>,
    pub(crate) below: Option<u8>,
    pub(crate) usage: Option<FlagSet<KeyUsages>>,
    pub(crate) purposes: Vec<ObjectIdentifier>,
    pub(crate) more: Vec<Extension>,
}

impl Shape {
    pub(crate) fn authority(subject: &str, issuer: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            dates: (NOW - HALF, NOW + HALF),
            authority: Some(true),
            below: None,
            usage: Some(KeyUsages::KeyCertSign | KeyUsages::CRLSign),
            purposes: Vec::new(),
            more: Vec::new(),
        }
    }

    pub(crate) fn leaf(subject: &str, issuer: &str) -> Self {
        Self {
            authority: None,
            usage: Some(KeyUsages::DigitalSignature.into()),
            ..Self::authority(subject, issuer)
        }
    }
}

impl BuilderProfile for Shape {
    fn get_issuer(&self, _: &Name) -> Name {
        Name::from_str(&self.issuer).unwrap()
    }

    fn get_subject(&self) -> Name {
        Name::from_str(&self.subject).unwrap()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let mut extensions = self.more.clone();
        if let Some(ca) = self.authority {
            let constraints = BasicConstraints { ca, path_len_constraint: self.below };
            extensions.push(extension("2.5.29.19", true, &constraints));
        }
        if let Some(usage) = self.usage {
            extensions.push(extension("2.5.29.15", true, &KeyUsage(usage)));
        }
        if !self.purposes.is_empty() {
            let purposes = ExtendedKeyUsage(self.purposes.clone());
            extensions.push(extension("2.5.29.37", false, &purposes));
        }
        Ok(extensions)
    }
}

pub(crate) fn extension(id: &str, critical: bool, value: &impl Encode) -> Extension {
    Extension {
        extn_id: ObjectIdentifier::new_unwrap(id),
        critical,
        extn_value: OctetString::new(value.to_der().unwrap()).unwrap(),
    }
}

/// The key number `seed`.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 48]).unwrap()
}

/// `SubjectPublicKeyInfo` in DER.
pub(crate) fn spki(key: &SigningKey) -> Vec<u8> {
    SubjectPublicKeyInfo::from_key(key.verifying_key()).unwrap().to_der().unwrap()
}

/// A certificate for `subject`'s key, signed by `issuer`'s, in DER.
pub(crate) fn issue(shape: Shape, subject: &[u8], issuer: &SigningKey) -> Vec<u8> {
    let date = |seconds| {
        Time::GeneralTime(
            GeneralizedTime::from_unix_duration(Duration::from_secs(seconds)).unwrap(),
        )
    };
    let validity = Validity::new(date(shape.dates.0), date(shape.dates.1));
    let subject = SubjectPublicKeyInfo::from_der(subject).unwrap();
    let serial = SerialNumber::from(7u32);
    let builder = CertificateBuilder::new(shape, serial, validity, subject).unwrap();
    builder.build::<_, DerSignature>(issuer).unwrap().to_der().unwrap()
}
