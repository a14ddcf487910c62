//! Versions of the platform's firmware (ABI, section 2.2, TCB_VERSION).

use super::product::Generation;
use crate::error::VerifyError;

/// Security versions of the parts that a report's key depends on. Each only grows when a weakness is fixed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TcbVersion {
    /// Firmware of the memory controller; Turin and later.
    pub(super) fmc: Option<u8>,
    pub(super) bootloader: u8,
    /// The secure processor's operating system.
    pub(super) tee: u8,
    pub(super) snp: u8,
    pub(super) microcode: u8,
}

impl TcbVersion {
    /// Reads the eight bytes as this product line lays them out.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed` where a reserved byte is not zero.
    pub(super) fn read(raw: [u8; 8], generation: Generation) -> Result<Self, VerifyError> {
        let (version, reserved) = match generation {
            Generation::Milan | Generation::Genoa => {
                let [bootloader, tee, r0, r1, r2, r3, snp, microcode] = raw;
                (Self { fmc: None, bootloader, tee, snp, microcode }, [r0, r1, r2, r3])
            }
            Generation::Turin => {
                let [fmc, bootloader, tee, snp, r0, r1, r2, microcode] = raw;
                (Self { fmc: Some(fmc), bootloader, tee, snp, microcode }, [r0, r1, r2, 0])
            }
        };
        if reserved == [0; 4] {
            return Ok(version);
        }
        Err(VerifyError::malformed(format!(
            "a firmware version of the report is not laid out as {} does it",
            generation.name()
        )))
    }

    /// The parts by name.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&'static str, u8)> {
        let legacy = [
            ("bootloader", self.bootloader),
            ("tee", self.tee),
            ("snp", self.snp),
            ("microcode", self.microcode),
        ];
        self.fmc.map(|fmc| ("fmc", fmc)).into_iter().chain(legacy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_differ() {
        let milan = TcbVersion::read([3, 1, 0, 0, 0, 0, 8, 115], Generation::Milan).unwrap();
        let parts = [("bootloader", 3), ("tee", 1), ("snp", 8), ("microcode", 115)];
        assert!(milan.parts().eq(parts));
        let turin = TcbVersion::read([1, 3, 2, 8, 0, 0, 0, 115], Generation::Turin).unwrap();
        let parts = [("fmc", 1), ("bootloader", 3), ("tee", 2), ("snp", 8), ("microcode", 115)];
        assert!(turin.parts().eq(parts));
        for reserved in 2..6 {
            let mut raw = [3, 1, 0, 0, 0, 0, 8, 115];
            raw[reserved] = 1;
            assert_eq!(TcbVersion::read(raw, Generation::Genoa).unwrap_err().code, "malformed");
        }
        for reserved in 4..7 {
            let mut raw = [1, 3, 2, 8, 0, 0, 0, 115];
            raw[reserved] = 1;
            assert_eq!(TcbVersion::read(raw, Generation::Turin).unwrap_err().code, "malformed");
        }
    }
}
