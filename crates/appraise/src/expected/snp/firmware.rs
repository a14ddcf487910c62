//! OVMF's own tables: a list of entries, each named by a GUID, that ends 32 bytes before the image does; one of them tells where the
//! description of the memory for SNP stands (edk2, `OvmfPkg/ResetVector`).

use super::PAGE;
use crate::expected::ImageError;
use crate::expected::reader::Image;

/// Bytes of firmware, at most.
const MAX: usize = 64 << 20;
/// Sections of SNP's description, at most.
const MAX_SECTIONS: u32 = 256;
/// Bytes of one section, at most.
const MAX_SECTION: u32 = 1 << 28;
/// After the table.
const TAIL: usize = 32;
/// An entry's length and GUID, which stand behind its contents.
const ENTRY: usize = 18;

/// GUIDs as they stand in memory.
type Guid = [u8; 16];
const fn guid(a: u32, b: u16, c: u16, rest: [u8; 8]) -> Guid {
    let ([a0, a1, a2, a3], [b0, b1], [c0, c1]) =
        (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    let [d0, d1, d2, d3, d4, d5, d6, d7] = rest;
    [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, d2, d3, d4, d5, d6, d7]
}
const FOOTER: Guid =
    guid(0x96b5_82de, 0x1fb2, 0x45f7, [0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d]);
const HASH_TABLE: Guid =
    guid(0x7255_371f, 0x3a3b, 0x4b04, [0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54]);
const RESET_BLOCK: Guid =
    guid(0x00f7_71de, 0x1a7e, 0x4fcb, [0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e]);
const METADATA: Guid =
    guid(0xdc88_6566, 0x984a, 0x4798, [0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc]);

/// What a section of memory holds at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Zeros.
    Memory,
    Secrets,
    Cpuid,
    KernelHashes,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) address: u32,
    pub(super) size: u32,
    pub(super) kind: Kind,
}

/// Firmware made for SNP.
pub(super) struct Firmware<'a> {
    image: Image<'a>,
    address: u64,
    sections: Vec<Section>,
}

impl<'a> Firmware<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let image = Image::new("firmware", bytes);
        if bytes.is_empty() || bytes.len() > MAX || !bytes.len().is_multiple_of(PAGE) {
            let length = bytes.len();
            return Err(image.wrong(format!(
                "has {length} bytes; OVMF has whole pages of {PAGE}, {MAX} bytes at most"
            )));
        }
        let sections = sections(image)?;
        // It ends where the first four GiB do.
        Ok(Self { image, address: (1 << 32) - bytes.len() as u64, sections })
    }

    pub(super) fn address(&self) -> u64 {
        self.address
    }

    pub(super) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Where processors begin, all but the first.
    pub(super) fn reset(&self) -> Result<u32, ImageError> {
        entry(self.image, &RESET_BLOCK)?.le32(0)
    }

    /// Where within its page QEMU puts the kernel's hashes.
    pub(super) fn hash_table(&self) -> Result<usize, ImageError> {
        let address = entry(self.image, &HASH_TABLE)?.le32(0)?;
        if address == 0 || !self.sections.iter().any(|section| section.kind == Kind::KernelHashes) {
            return Err(self.image.wrong(
                "has no place for a kernel's hashes, so it would start any kernel; OVMF's AmdSev build has one",
            ));
        }
        Ok(address as usize % PAGE)
    }
}

/// The contents of the table's entry of this name. Entries are read from the last to the first.
fn entry<'a>(image: Image<'a>, name: &Guid) -> Result<Image<'a>, ImageError> {
    let none = || image.wrong("has no table at its end; OVMF made for SEV has one");
    let footer = image.bytes().len().checked_sub(TAIL + ENTRY).ok_or_else(none)?;
    if image.array::<16>(footer + 2)? != FOOTER {
        return Err(none());
    }
    // The whole table's length, the footer included.
    let length = usize::from(image.le16(footer)?);
    let start = (footer + ENTRY).checked_sub(length).ok_or_else(none)?;
    let mut end = footer;
    while end >= start + ENTRY {
        let length = usize::from(image.le16(end - ENTRY)?);
        let begin = end.checked_sub(length).filter(|begin| *begin >= start && length >= ENTRY);
        let begin = begin.ok_or_else(|| image.wrong("has a table with an entry of no length"))?;
        if image.array::<16>(end - ENTRY + 2)? == *name {
            let contents = image.slice(begin, length - ENTRY)?;
            return Ok(Image::new("firmware's table", contents));
        }
        end = begin;
    }
    Err(image.wrong("has no entry for SNP in its table; name OVMF's AmdSev build"))
}

fn sections(image: Image<'_>) -> Result<Vec<Section>, ImageError> {
    let from_end = entry(image, &METADATA)?.le32(0)? as usize;
    let outside = || image.wrong("has its description of memory outside of itself");
    let at = image.bytes().len().checked_sub(from_end).ok_or_else(outside)?;
    if image.slice(at, 4)? != b"ASEV" || image.le32(at + 8)? != 1 {
        return Err(image.wrong("has a description of memory that is no ASEV of version 1"));
    }
    let count = image.le32(at + 12)?;
    if count > MAX_SECTIONS {
        return Err(image.wrong(format!("describes {count} sections; {MAX_SECTIONS} at most")));
    }
    (0..count as usize).map(|index| section(image, at + 16 + 12 * index)).collect()
}

fn section(image: Image<'_>, at: usize) -> Result<Section, ImageError> {
    let (address, size) = (image.le32(at)?, image.le32(at + 4)?);
    let aligned = [address, size].iter().all(|n| (*n as usize).is_multiple_of(PAGE));
    if !aligned || size == 0 || size > MAX_SECTION {
        return Err(image.wrong(format!("describes {size} bytes at {address:#x}: no whole pages")));
    }
    let kind = match image.le32(at + 8)? {
        // Memory, and the area of a service module.
        1 | 4 => Kind::Memory,
        2 => Kind::Secrets,
        3 => Kind::Cpuid,
        0x10 => Kind::KernelHashes,
        other => return Err(image.wrong(format!("describes memory of unknown kind {other:#x}"))),
    };
    if kind != Kind::Memory && size as usize != PAGE {
        return Err(image.wrong(format!("describes {size} bytes where one page would be right")));
    }
    Ok(Section { address, size, kind })
}
