//! AWS Nitro's enclave image file (EIF): the registers that its measured boot fills.

use super::ImageError;
use super::reader::Image;
use crate::Bytes;
use sha2::{Digest, Sha384};

const MAGIC: &[u8] = b".eif";
const HEADER: usize = 548;
const SECTION_HEADER: usize = 12;
/// Sections of an image, at most.
const MAX_SECTIONS: u16 = 32;
/// Where the header has the number of sections, and how long each is.
const SECTIONS: usize = 26;
const SIZES: usize = 28 + 8 * MAX_SECTIONS as usize;

const KERNEL: u16 = 1;
const COMMAND_LINE: u16 = 2;
const RAM_DISK: u16 = 3;
const SIGNATURE: u16 = 4;
const METADATA: u16 = 5;

/// Registers of an enclave that runs an image outside of debug mode.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct EifMeasurement {
    /// The image: kernel, command line, all RAM disks.
    pub pcr0: Bytes,
    /// Kernel, command line and the first RAM disk: what boots.
    pub pcr1: Bytes,
    /// The other RAM disks: the application.
    pub pcr2: Bytes,
    /// Whether the image is signed. PCR8 is then of the signer's certificate, which is not read here.
    pub signed: bool,
}

/// Measures an image. Its checksum is not looked at: it protects from accidents alone, and no register depends on it.
///
/// # Errors
/// [`ImageError`] unless it is an image in AWS's form, without a byte left over.
pub fn measure(image: &[u8]) -> Result<EifMeasurement, ImageError> {
    let image = Image::new("enclave image", image);
    if image.slice(0, HEADER)?.get(..MAGIC.len()) != Some(MAGIC) {
        return Err(
            image.wrong("does not begin with `.eif`; name what nitro-cli build-enclave wrote")
        );
    }
    let sections = image.array(SECTIONS).map(u16::from_be_bytes)?;
    if sections > MAX_SECTIONS {
        return Err(image.wrong(format!("has {sections} sections; {MAX_SECTIONS} at most")));
    }
    let mut registers = Registers::default();
    let mut at = HEADER;
    for index in 0..sections {
        at = registers.section(image, at, index.into())?;
    }
    if at != image.bytes().len() {
        let left = image.bytes().len() - at;
        return Err(image.wrong(format!("goes on for {left} bytes after its last section")));
    }
    registers.finish(image)
}

/// Hashes of what goes into each register.
#[derive(Default)]
struct Registers {
    image: Sha384,
    boot: Sha384,
    application: Sha384,
    kernels: usize,
    disks: usize,
    signed: bool,
}

impl Registers {
    /// Takes in the section at `at`; gives where the next one begins.
    fn section(&mut self, image: Image<'_>, at: usize, index: usize) -> Result<usize, ImageError> {
        let kind = image.array(at).map(u16::from_be_bytes)?;
        let length = image.array(at + 4).map(u64::from_be_bytes)?;
        let told = image.array(SIZES + 8 * index).map(u64::from_be_bytes)?;
        if length != told {
            return Err(image.wrong(format!(
                "has a section {index} of {length} bytes, and its header says {told}"
            )));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let begins = at + SECTION_HEADER;
        let bytes = image.slice(begins, length)?;
        match kind {
            KERNEL | COMMAND_LINE => {
                self.kernels += usize::from(kind == KERNEL);
                self.image.update(bytes);
                self.boot.update(bytes);
            }
            RAM_DISK => {
                self.image.update(bytes);
                let own = if self.disks == 0 { &mut self.boot } else { &mut self.application };
                own.update(bytes);
                self.disks += 1;
            }
            SIGNATURE => self.signed = true,
            METADATA => {}
            other => {
                return Err(image.wrong(format!("has a section {index} of unknown kind {other}")));
            }
        }
        Ok(begins + length)
    }

    fn finish(self, image: Image<'_>) -> Result<EifMeasurement, ImageError> {
        if self.kernels != 1 || self.disks == 0 {
            let (kernels, disks) = (self.kernels, self.disks);
            return Err(image.wrong(format!(
                "has {kernels} kernels and {disks} RAM disks; one kernel and at least one disk boot"
            )));
        }
        let [pcr0, pcr1, pcr2] = [self.image, self.boot, self.application].map(extended);
        Ok(EifMeasurement { pcr0, pcr1, pcr2, signed: self.signed })
    }
}

/// A register of zeros, extended once.
fn extended(hash: Sha384) -> Bytes {
    let register = Sha384::new().chain_update([0; 48]).chain_update(hash.finalize()).finalize();
    Bytes::from(<[u8; 48]>::from(register))
}
