//! The launch digest of an SEV-SNP guest that QEMU starts (AMD 56860, "SEV Secure Nested Paging Firmware ABI", 8.17): firmware,
//! what the firmware checks (kernel, initrd, command line), and the processors' first state.

mod firmware;
mod hashes;
mod vcpu;

pub use vcpu::{UnknownVcpu, VcpuType};

use super::ImageError;
use crate::Bytes;
use firmware::{Firmware, Kind};
use sha2::{Digest, Sha384};

const PAGE: usize = 4096;
/// Where AMD's firmware has the page of a processor's state.
const VMSA_ADDRESS: u64 = 0xFFFF_FFFF_F000;
/// Processors of a guest, at most.
const MAX_VCPUS: u32 = 1024;

/// What is started.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// OVMF.
    pub firmware: &'a [u8],
    /// Kernel and what goes with it, checked by the firmware; `None` where the firmware boots from a disk.
    pub kernel: Option<Kernel<'a>>,
    /// Virtual processors.
    pub vcpus: u32,
    /// Which processor QEMU shows.
    pub vcpu_type: VcpuType,
    /// `SEV_FEATURES`; 1 is SNP alone.
    pub guest_features: u64,
}

/// What QEMU boots directly.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    /// The kernel.
    pub kernel: &'a [u8],
    /// The initrd; empty where there is none.
    pub initrd: &'a [u8],
    /// The command line.
    pub command_line: &'a str,
}

/// The launch digest, which a report names as its measurement.
///
/// # Errors
/// [`ImageError`] for firmware that is not made for SNP, or cannot check a kernel, and for a number of processors that no guest has.
pub fn measure(guest: &Guest<'_>) -> Result<Bytes, ImageError> {
    if !(1..=MAX_VCPUS).contains(&guest.vcpus) {
        let problem = format!("cannot have {} processors; 1 to {MAX_VCPUS}", guest.vcpus);
        return Err(ImageError::new("guest", problem));
    }
    let firmware = Firmware::read(guest.firmware)?;
    let kernel = match &guest.kernel {
        None => None,
        Some(kernel) => Some(hashes::page(kernel, firmware.hash_table()?)?),
    };
    let mut launch = Launch([0; 48]);
    launch.pages(firmware.address(), guest.firmware);
    for section in firmware.sections() {
        let address = u64::from(section.address);
        match (section.kind, &kernel) {
            (Kind::Secrets, _) => launch.unmeasured(Page::Secrets, address),
            (Kind::Cpuid, _) => launch.unmeasured(Page::Cpuid, address),
            (Kind::KernelHashes, Some(page)) => launch.pages(address, page),
            (Kind::Memory | Kind::KernelHashes, _) => launch.zeros(address, section.size),
        }
    }
    let eips = std::iter::once(vcpu::RESET).chain(std::iter::repeat(firmware.reset()?));
    for eip in eips.take(guest.vcpus as usize) {
        let state = vcpu::state(eip, guest.vcpu_type, guest.guest_features);
        launch.page(Page::Vmsa, VMSA_ADDRESS, &Sha384::digest(state).into());
    }
    Ok(Bytes::from(launch.0))
}

/// Kinds of pages (`PAGE_TYPE`).
#[derive(Clone, Copy)]
enum Page {
    Normal = 1,
    Vmsa = 2,
    Zero = 3,
    Secrets = 5,
    Cpuid = 6,
}

/// A digest that every page extends.
struct Launch([u8; 48]);

impl Launch {
    /// `PAGE_INFO`: the digest so far, the contents', its own length, kind, no access for VMPL 1 to 3, address.
    fn page(&mut self, kind: Page, address: u64, contents: &[u8; 48]) {
        let hash = Sha384::new()
            .chain_update(self.0)
            .chain_update(contents)
            .chain_update([0x70, 0, kind as u8, 0, 0, 0, 0, 0])
            .chain_update(address.to_le_bytes());
        self.0 = hash.finalize().into();
    }

    fn unmeasured(&mut self, kind: Page, address: u64) {
        self.page(kind, address, &[0; 48]);
    }

    /// Whole pages.
    fn pages(&mut self, address: u64, bytes: &[u8]) {
        let addresses = (address..).step_by(PAGE);
        for (address, page) in addresses.zip(bytes.chunks(PAGE)) {
            self.page(Page::Normal, address, &Sha384::digest(page).into());
        }
    }

    fn zeros(&mut self, address: u64, size: u32) {
        for offset in (0..u64::from(size)).step_by(PAGE) {
            self.unmeasured(Page::Zero, address + offset);
        }
    }
}
