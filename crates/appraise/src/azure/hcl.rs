//! The report that Azure's paravisor ("host compatibility layer") leaves in the vTPM's index 0x01400001: the hardware's report,
//! and the runtime claims whose digest the hardware vouches for.

use crate::amd::REPORT_LEN;
use crate::claims::Kind;
use crate::error::VerifyError;
use crate::pki::Hash;
use crate::tpm::Reader;

const MAGIC: &[u8; 4] = b"HCLA";
/// Bytes before the hardware's report.
const HEADER_LEN: usize = 0x20;
/// Bytes before the runtime claims, after the hardware's report.
const RUNTIME_HEADER_LEN: usize = 20;
/// Versions of the header; they do not differ in layout.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=2;
/// The header says that it brings a report.
const REQUEST_REPORT: u32 = 2;
const RUNTIME_VERSION: u32 = 1;
const REPORT_SNP: u32 = 2;
const REPORT_TDX: u32 = 4;
const HASH_SHA256: u32 = 1;
/// Bytes of a file, at most: the vTPM's index is 2600 bytes long.
const MAX_LEN: usize = 1 << 16;
/// Bytes of a TDREPORT; zeroes follow to the length of an SNP report.
const TDREPORT_LEN: usize = 1024;
/// Where a TDREPORT has its report data (Intel TDX module ABI, REPORTMACSTRUCT).
const TDREPORT_DATA: std::ops::Range<usize> = 128..192;

/// A paravisor's report; nothing verified.
#[derive(Debug)]
pub(super) struct Hcl<'a> {
    /// [`Kind::AzureSnp`] or [`Kind::AzureTdx`].
    pub(super) kind: Kind,
    /// The hardware's report: SNP's, or a TDREPORT that only its own machine can verify.
    hardware: &'a [u8],
    /// JSON.
    pub(super) runtime: &'a [u8],
}

/// What the bytes claim to be by their first bytes and the type of the hardware's report.
pub(super) fn recognise(bytes: &[u8]) -> Option<Kind> {
    let report_type = bytes.get(HEADER_LEN + REPORT_LEN + 8..)?.first_chunk()?;
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    match u32::from_le_bytes(*report_type) {
        REPORT_TDX => Some(Kind::AzureTdx),
        _ => Some(Kind::AzureSnp),
    }
}

impl<'a> Hcl<'a> {
    /// Reads a report: lengths that agree, zeroes wherever nothing is meant.
    ///
    /// # Errors
    /// [`VerifyError`] `truncated`, `malformed`, `too-large`.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX_LEN {
            return Err(VerifyError::new(
                "too-large",
                format!("the paravisor's report is longer than {MAX_LEN} bytes"),
                "give the vTPM's index 0x01400001 alone",
            ));
        }
        let mut fields = Reader::new(bytes, "paravisor's report");
        let magic: [u8; 4] = fields.array()?;
        let version = fields.le32()?;
        let length = fields.le32()?;
        let request = fields.le32()?;
        let status = fields.le32()?;
        let reserved: [u8; 12] = fields.array()?;
        let header = magic == *MAGIC && VERSIONS.contains(&version) && request == REQUEST_REPORT;
        if !header || status != 0 || reserved != [0; 12] {
            return Err(fields.malformed("its header is of no known form"));
        }
        let hardware = fields.bytes(REPORT_LEN)?;
        let data_length = fields.le32()?;
        let runtime_version = fields.le32()?;
        let report_type = fields.le32()?;
        let hash = fields.le32()?;
        let runtime_length = fields.le32()?;
        let kind = match report_type {
            REPORT_SNP => Kind::AzureSnp,
            REPORT_TDX => Kind::AzureTdx,
            _ => return Err(fields.malformed("its hardware is neither SNP nor TDX")),
        };
        if runtime_version != RUNTIME_VERSION || hash != HASH_SHA256 {
            return Err(fields.malformed("its runtime data is of no known form"));
        }
        let size = |length: u32| usize::try_from(length).unwrap_or(usize::MAX);
        let runtime = fields.bytes(size(runtime_length))?;
        let whole = RUNTIME_HEADER_LEN + runtime.len();
        if size(data_length) != whole || size(length) != HEADER_LEN + REPORT_LEN + whole {
            return Err(fields.malformed("its lengths contradict each other"));
        }
        if fields.rest().iter().any(|&byte| byte != 0) {
            return Err(fields.malformed("it has bytes after its end"));
        }
        let hcl = Self { kind, hardware, runtime };
        hcl.check_tdreport()?;
        Ok(hcl)
    }

    /// The SNP report.
    pub(super) fn snp_report(&self) -> &'a [u8] {
        self.hardware
    }

    /// What the hardware must vouch for: SHA-256 of the runtime claims, and zeroes.
    pub(super) fn report_data(&self) -> [u8; 64] {
        let mut data = [0; 64];
        data.iter_mut().zip(Hash::Sha256.digest([self.runtime])).for_each(|(to, from)| *to = from);
        data
    }

    /// A TDREPORT proves nothing away from its machine, so nothing is taken from it; it must not contradict the runtime claims.
    fn check_tdreport(&self) -> Result<(), VerifyError> {
        if self.kind != Kind::AzureTdx {
            return Ok(());
        }
        let padding = self.hardware.get(TDREPORT_LEN..).unwrap_or_default();
        let data = self.hardware.get(TDREPORT_DATA).unwrap_or_default();
        if data == self.report_data() && padding.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        Err(not_vouched())
    }
}

/// The runtime claims are not those that the hardware vouches for.
pub(super) fn not_vouched() -> VerifyError {
    VerifyError::new(
        "report-data",
        "the hardware's report is not over these runtime claims",
        "give the paravisor's report and the quote of one and the same virtual machine, unaltered",
    )
}
