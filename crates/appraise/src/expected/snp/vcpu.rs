//! A virtual processor's first state, as KVM and QEMU set it (AMD 24593, table B-4, "VMSA layout").

use super::PAGE;
use std::str::FromStr;

/// Where the first processor begins.
pub(super) const RESET: u32 = 0xFFFF_FFF0;

/// Which processor a guest is shown: its signature (CPUID Fn0000_0001_EAX).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuType(u32);

/// QEMU's names, with family, model, stepping.
const KNOWN: [(&str, u32, u32, u32); 5] = [
    ("EPYC", 23, 1, 2),
    ("EPYC-Rome", 23, 49, 0),
    ("EPYC-Milan", 25, 1, 1),
    ("EPYC-Genoa", 25, 17, 0),
    ("EPYC-Turin", 26, 0, 0),
];

/// No processor of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no processor {0:?}: name QEMU's EPYC, EPYC-Rome, EPYC-Milan, EPYC-Genoa, EPYC-Turin (`-v4` and the like behind it change nothing), or its signature (CPUID 1, EAX) as 0x..."
)]
pub struct UnknownVcpu(String);

impl FromStr for VcpuType {
    type Err = UnknownVcpu;

    fn from_str(text: &str) -> Result<Self, UnknownVcpu> {
        let unknown = || UnknownVcpu(text.to_owned());
        if let Some(hex) = text.strip_prefix("0x") {
            return u32::from_str_radix(hex, 16).map(Self).map_err(|_| unknown());
        }
        let number = |version: &str| version.bytes().all(|byte| byte.is_ascii_digit());
        let name = match text.rsplit_once("-v") {
            Some((name, version)) if !version.is_empty() && number(version) => name,
            _ => text,
        };
        let found = KNOWN.iter().find(|(known, ..)| *known == name).ok_or_else(unknown)?;
        let (_, family, model, stepping) = *found;
        // Families above 15 stand in two parts, as models do.
        Ok(Self((family - 15) << 20 | (model >> 4) << 16 | 15 << 8 | (model & 15) << 4 | stepping))
    }
}

/// The page of a processor's state.
pub(super) fn state(eip: u32, vcpu: VcpuType, features: u64) -> [u8; PAGE] {
    let mut page = Fields([0; PAGE]);
    let data = (0, 0x93, 0);
    let code = (0xF000, 0x9B, eip & 0xFFFF_0000);
    // es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr.
    let table = (0, 0, 0);
    let segments = [data, code, data, data, data, data, table, (0, 0x82, 0), table, (0, 0x8B, 0)];
    for (index, (selector, attributes, base)) in segments.into_iter().enumerate() {
        page.segment(16 * index, selector, attributes, base);
    }
    let registers: [(usize, u64); 12] = [
        (0xD0, 0x1000),                   // efer: SVME
        (0x148, 0x40),                    // cr4: MCE
        (0x158, 0x10),                    // cr0: ET
        (0x160, 0x400),                   // dr7
        (0x168, 0xFFFF_0FF0),             // dr6
        (0x170, 2),                       // rflags
        (0x178, u64::from(eip & 0xFFFF)), // rip
        (0x268, 0x0007_0406_0007_0406),   // g_pat
        (0x310, vcpu.0.into()),           // rdx
        (0x3B0, features),                // sev_features
        (0x3E8, 1),                       // xcr0
        (0x410, 0x37F),                   // x87_fcw
    ];
    for (at, value) in registers {
        page.set(at, &value.to_le_bytes());
    }
    page.set(0x408, &0x1F80_u32.to_le_bytes()); // mxcsr
    page.0
}

struct Fields([u8; PAGE]);

impl Fields {
    fn set(&mut self, at: usize, value: &[u8]) {
        for (to, from) in self.0.iter_mut().skip(at).zip(value) {
            *to = *from;
        }
    }

    fn segment(&mut self, at: usize, selector: u16, attributes: u16, base: u32) {
        self.set(at, &selector.to_le_bytes());
        self.set(at + 2, &attributes.to_le_bytes());
        self.set(at + 4, &0xFFFF_u32.to_le_bytes());
        self.set(at + 8, &u64::from(base).to_le_bytes());
    }
}
