//! The page of hashes by which the firmware knows kernel, initrd and command line (QEMU, `target/i386/sev.c`).

use super::{Kernel, PAGE};
use crate::expected::ImageError;
use sha2::{Digest, Sha256};

const TABLE: [u8; 16] = *b"\x06\xd6\x38\x94\x22\x4f\xc9\x4c\xb4\x79\xa7\x93\xd4\x11\xfd\x21";
const COMMAND_LINE: [u8; 16] = *b"\xd8\x2d\xd0\x97\x20\xbd\x94\x4c\xaa\x78\xe7\x71\x4d\x36\xab\x2a";
const INITRD: [u8; 16] = *b"\x31\xf7\xba\x44\x2f\x3a\xd7\x4b\x9a\xf1\x41\xe2\x91\x69\x78\x1d";
const KERNEL: [u8; 16] = *b"\x37\x94\xe7\x4d\xd2\xab\x7f\x42\xb8\x35\xd5\xb1\x72\xd2\x04\x5b";
/// A GUID and a length of 16 bits.
const HEAD: usize = 18;
const ENTRY: u16 = HEAD as u16 + 32;
const LENGTH: u16 = HEAD as u16 + 3 * ENTRY;

/// The page, its table at `offset`.
pub(super) fn page(kernel: &Kernel<'_>, offset: usize) -> Result<[u8; PAGE], ImageError> {
    if kernel.command_line.contains('\0') {
        return Err(ImageError::new("command line", "holds a zero byte, which would end it"));
    }
    let mut table = TABLE.to_vec();
    table.extend(LENGTH.to_le_bytes());
    // The command line with the zero that ends it.
    let command_line = Sha256::new().chain_update(kernel.command_line).chain_update([0]);
    for (name, hash) in [
        (COMMAND_LINE, command_line.finalize()),
        (INITRD, Sha256::digest(kernel.initrd)),
        (KERNEL, Sha256::digest(kernel.kernel)),
    ] {
        table.extend(name);
        table.extend(ENTRY.to_le_bytes());
        table.extend(hash);
    }
    let mut page = [0; PAGE];
    let place = page.get_mut(offset..).and_then(|rest| rest.get_mut(..table.len()));
    let outside = "has its place for a kernel's hashes across two pages";
    place.ok_or_else(|| ImageError::new("firmware", outside))?.copy_from_slice(&table);
    Ok(page)
}
