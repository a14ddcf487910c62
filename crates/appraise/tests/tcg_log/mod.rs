//! Writes crypto-agile event logs.
#![allow(dead_code, reason = "each test uses a part")]

use sha2::{Digest, Sha256, Sha384};

/// `EV_NO_ACTION`, `EV_SEPARATOR`, and `EV_IPL`, whose data need not be what was measured.
pub(crate) const NO_ACTION: u32 = 3;
pub(crate) const SEPARATOR: u32 = 4;
pub(crate) const IPL: u32 = 13;

/// `TPM_ALG_ID`s.
pub(crate) const SHA1: u16 = 0x0004;
pub(crate) const SHA256: u16 = 0x000b;
pub(crate) const SHA384: u16 = 0x000c;

pub(crate) struct Log {
    algorithms: Vec<u16>,
    pub(crate) bytes: Vec<u8>,
}

fn length(algorithm: u16) -> u16 {
    match algorithm {
        SHA1 => 20,
        SHA256 => 32,
        _ => 48,
    }
}

impl Log {
    /// A log of these digests, its header alone.
    pub(crate) fn new(algorithms: &[u16]) -> Self {
        let mut id = b"Spec ID Event03\0".to_vec();
        id.extend([0, 0, 0, 0, 0, 2, 0, 2]);
        id.extend(u32::try_from(algorithms.len()).unwrap().to_le_bytes());
        for &algorithm in algorithms {
            id.extend(algorithm.to_le_bytes());
            id.extend(length(algorithm).to_le_bytes());
        }
        id.push(0);
        let mut bytes = [0u32.to_le_bytes(), NO_ACTION.to_le_bytes()].concat();
        bytes.extend([0; 20]);
        bytes.extend(u32::try_from(id.len()).unwrap().to_le_bytes());
        bytes.extend(id);
        Self { algorithms: algorithms.to_vec(), bytes }
    }

    /// An event whose digest is of `measured`, and which carries `data`.
    pub(crate) fn event(mut self, register: u32, kind: u32, measured: &[u8], data: &[u8]) -> Self {
        self.bytes.extend(register.to_le_bytes());
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(u32::try_from(self.algorithms.len()).unwrap().to_le_bytes());
        for &algorithm in &self.algorithms {
            self.bytes.extend(algorithm.to_le_bytes());
            match algorithm {
                SHA1 => self.bytes.extend([0xaa; 20]),
                SHA256 => self.bytes.extend(Sha256::digest(measured)),
                _ => self.bytes.extend(Sha384::digest(measured)),
            }
        }
        self.bytes.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        self.bytes.extend(data);
        self
    }
}
