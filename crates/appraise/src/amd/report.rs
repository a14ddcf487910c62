//! The attestation report: 1184 bytes (SEV-SNP firmware ABI, AMD 56860, section 7.3, ATTESTATION_REPORT).

use super::flags::{Platform, Policy, Signer};
use super::product::Cpuid;
use crate::error::VerifyError;

/// Bytes of a report of every version.
pub(crate) const REPORT_LEN: usize = 0x4A0;
/// Bytes of it that the signature covers.
const SIGNED_LEN: usize = 0x2A0;
/// Versions whose layout is known. 3 added the processor's identity, 4 or 5 the
/// mitigation vectors, as zero where the firmware has none.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=5;
/// ECDSA on P-384 with SHA-384 (ABI, chapter 10).
const ECDSA_P384_SHA384: u32 = 1;

/// Version of the SNP firmware.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Firmware {
    pub(super) build: u8,
    pub(super) minor: u8,
    pub(super) major: u8,
}

/// Mitigations of known attacks that the firmware applies, a bit each (since version 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mitigations {
    pub(super) launch: u64,
    pub(super) current: u64,
}

/// A report, every field read and every reserved byte seen to be zero; nothing verified. Firmware versions stay eight bytes
/// until the product line, which decides their layout, is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Report {
    pub(super) version: u32,
    pub(super) guest_svn: u32,
    pub(super) policy: Policy,
    pub(super) family_id: [u8; 16],
    pub(super) image_id: [u8; 16],
    /// Privilege level of the asking guest, 0 (highest) to 3.
    pub(super) vmpl: u32,
    pub(super) current_tcb: [u8; 8],
    pub(super) platform: Platform,
    pub(super) signer: Signer,
    pub(super) report_data: [u8; 64],
    pub(super) measurement: [u8; 48],
    pub(super) host_data: [u8; 32],
    pub(super) id_key_digest: [u8; 48],
    pub(super) author_key_digest: [u8; 48],
    pub(super) report_id: [u8; 32],
    pub(super) report_id_ma: [u8; 32],
    pub(super) reported_tcb: [u8; 8],
    pub(super) cpuid: Option<Cpuid>,
    pub(super) chip_id: [u8; 64],
    pub(super) committed_tcb: [u8; 8],
    pub(super) current: Firmware,
    pub(super) committed: Firmware,
    pub(super) launch_tcb: [u8; 8],
    pub(super) mitigations: Option<Mitigations>,
    /// The bytes that the signature covers.
    pub(super) signed: Vec<u8>,
    /// r and s of the signature, big endian.
    pub(super) signature: [[u8; 48]; 2],
}

/// Whether the bytes start as a report does, whatever its version: a small number, and 52 bytes on, the one algorithm.
pub(super) fn looks_like_report(bytes: &[u8]) -> bool {
    let mut fields = Fields { rest: bytes };
    let version = fields.u32();
    let algorithm = fields.take::<0x30>().and_then(|_| fields.u32());
    version.is_ok_and(|version| (1..0x100).contains(&version))
        && algorithm.is_ok_and(|algorithm| algorithm == ECDSA_P384_SHA384)
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// [`VerifyError`] `truncated`, `malformed` (another length, or a reserved field in use), `unsupported-version`,
    /// `unsupported-format` (the host asked for it), `unsigned`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, VerifyError> {
        if bytes.len() > REPORT_LEN {
            return Err(VerifyError::malformed(format!(
                "the report is {} bytes long, and a report has {REPORT_LEN}",
                bytes.len()
            )));
        }
        let mut fields = Fields { rest: bytes };
        let version = fields.u32()?;
        if !VERSIONS.contains(&version) {
            return Err(VerifyError::new(
                "unsupported-version",
                format!("the report is of version {version}"),
                "versions 2 to 5 are known",
            ));
        }
        let guest_svn = fields.u32()?;
        let policy = Policy::read(fields.u64()?)?;
        let family_id = fields.take()?;
        let image_id = fields.take()?;
        let vmpl = vmpl(fields.u32()?)?;
        let algorithm = fields.u32()?;
        if algorithm != ECDSA_P384_SHA384 {
            return Err(VerifyError::malformed(format!(
                "the report names signature algorithm {algorithm}, and the firmware knows 1 alone"
            )));
        }
        let current_tcb = fields.take()?;
        let platform = Platform::read(fields.u64()?)?;
        let signer = Signer::read(fields.u32()?)?;
        fields.reserved::<4>()?;
        let report_data = fields.take()?;
        let measurement = fields.take()?;
        let host_data = fields.take()?;
        let id_key_digest = fields.take()?;
        let author_key_digest = author_key(fields.take()?, signer.author_key)?;
        let report_id = fields.take()?;
        let report_id_ma = fields.take()?;
        let reported_tcb = fields.take()?;
        let cpuid = fields.cpuid(version)?;
        fields.reserved::<21>()?;
        let chip_id = fields.take()?;
        let committed_tcb = fields.take()?;
        let current = fields.firmware()?;
        let committed = fields.firmware()?;
        let launch_tcb = fields.take()?;
        let mitigations = fields.mitigations(version)?;
        fields.reserved::<152>()?;
        let signature = [fields.scalar()?, fields.scalar()?];
        fields.reserved::<368>()?;
        let signed = bytes.get(..SIGNED_LEN).ok_or_else(truncated)?.to_vec();
        Ok(Self {
            version,
            guest_svn,
            policy,
            family_id,
            image_id,
            vmpl,
            current_tcb,
            platform,
            signer,
            report_data,
            measurement,
            host_data,
            id_key_digest,
            author_key_digest,
            report_id,
            report_id_ma,
            reported_tcb,
            cpuid,
            chip_id,
            committed_tcb,
            current,
            committed,
            launch_tcb,
            mitigations,
            signed,
            signature,
        })
    }
}

/// Refuses what the host asked for in its own name (`SNP_HV_REPORT_REQ`, level 2^32 − 1): its report data are no guest's.
fn vmpl(vmpl: u32) -> Result<u32, VerifyError> {
    match vmpl {
        0..=3 => Ok(vmpl),
        _ => Err(VerifyError::new(
            "unsupported-format",
            format!("the report was not asked for by a guest: its privilege level is {vmpl}"),
            "ask for the report within the guest",
        )),
    }
}

/// The digest is zero exactly where no author key was in use (ABI, AUTHOR_KEY_EN).
fn author_key(digest: [u8; 48], used: bool) -> Result<[u8; 48], VerifyError> {
    if used == (digest != [0; 48]) {
        return Ok(digest);
    }
    Err(VerifyError::malformed("the report's author key digest contradicts its author key flag"))
}

fn truncated() -> VerifyError {
    VerifyError::new(
        "truncated",
        format!("the report is shorter than {REPORT_LEN} bytes"),
        "fetch the file again, whole",
    )
}

/// Fields in their order; what is left.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], VerifyError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*field)
    }

    fn u32(&mut self) -> Result<u32, VerifyError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, VerifyError> {
        self.take().map(u64::from_le_bytes)
    }

    fn reserved<const N: usize>(&mut self) -> Result<(), VerifyError> {
        if self.take::<N>()? == [0; N] {
            return Ok(());
        }
        Err(VerifyError::malformed("a reserved field of the report is not zero"))
    }

    /// Three bytes that were reserved before version 3.
    fn cpuid(&mut self, version: u32) -> Result<Option<Cpuid>, VerifyError> {
        if version < 3 {
            return self.reserved::<3>().map(|()| None);
        }
        let [family, model, stepping] = self.take()?;
        Ok(Some(Cpuid { family, model, stepping }))
    }

    fn firmware(&mut self) -> Result<Firmware, VerifyError> {
        let [build, minor, major] = self.take()?;
        self.reserved::<1>()?;
        Ok(Firmware { build, minor, major })
    }

    /// Sixteen bytes that were reserved before version 4.
    fn mitigations(&mut self, version: u32) -> Result<Option<Mitigations>, VerifyError> {
        if version < 4 {
            return self.reserved::<16>().map(|()| None);
        }
        Ok(Some(Mitigations { launch: self.u64()?, current: self.u64()? }))
    }

    /// A scalar of P-384 in 72 bytes, little endian: the upper 24 are zero.
    fn scalar(&mut self) -> Result<[u8; 48], VerifyError> {
        let mut scalar: [u8; 48] = self.take()?;
        self.reserved::<24>()?;
        scalar.reverse();
        Ok(scalar)
    }
}
