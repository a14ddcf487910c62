//! Product lines: each has a root of its own, and a layout of firmware versions.

/// A line of EPYC processors that share one AMD root key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Generation {
    /// EPYC 7003 (Zen 3).
    Milan,
    /// EPYC 9004, 8004, 97x4 (Zen 4): Genoa, Siena, Bergamo.
    Genoa,
    /// EPYC 9005 (Zen 5).
    Turin,
}

/// Family, model and stepping that a report carries since version 3, extended fields added in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cpuid {
    pub(super) family: u8,
    pub(super) model: u8,
    pub(super) stepping: u8,
}

impl Generation {
    const ALL: [Self; 3] = [Self::Milan, Self::Genoa, Self::Turin];

    /// Its name, as AMD's key service spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// Common name of the certificate that signs chip keys (VCEK).
    pub(super) fn chip_authority(self) -> String {
        format!("SEV-{}", self.name())
    }

    /// Common name of the certificate that signs keys loaded by a cloud (VLEK).
    pub(super) fn loaded_authority(self) -> String {
        format!("SEV-VLEK-{}", self.name())
    }

    /// The line whose root has this common name.
    pub(super) fn of_root(common_name: &str) -> Option<Self> {
        let name = common_name.strip_prefix("ARK-")?;
        Self::ALL.into_iter().find(|line| line.name() == name)
    }

    /// The line of a processor (AMD's processor programming references; key service specification 57230, section 3).
    pub(super) fn of_cpuid(cpuid: Cpuid) -> Option<Self> {
        match (cpuid.family, cpuid.model) {
            (0x19, 0x00..=0x0F) => Some(Self::Milan),
            (0x19, 0x10..=0x1F | 0xA0..=0xAF) => Some(Self::Genoa),
            (0x1A, 0x00..=0x1F) => Some(Self::Turin),
            _ => None,
        }
    }

    /// The line of a key certificate's product name: a name, or a name, a hyphen and a stepping (`Milan-B0`).
    pub(super) fn of_product(product: &str) -> Option<Self> {
        match product.split_once('-').map_or(product, |(name, _)| name) {
            "Milan" => Some(Self::Milan),
            "Genoa" | "Siena" | "Bergamo" => Some(Self::Genoa),
            "Turin" => Some(Self::Turin),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let of = |family, model| Generation::of_cpuid(Cpuid { family, model, stepping: 0 });
        assert_eq!(of(0x19, 0x01), Some(Generation::Milan));
        assert_eq!(of(0x19, 0x11), Some(Generation::Genoa));
        assert_eq!(of(0x19, 0xA0), Some(Generation::Genoa));
        assert_eq!(of(0x1A, 0x11), Some(Generation::Turin));
        assert_eq!(of(0x1A, 0x50), None);
        assert_eq!(of(0x17, 0x31), None);
        assert_eq!(Generation::of_product("Milan-B0"), Some(Generation::Milan));
        assert_eq!(Generation::of_product("Siena"), Some(Generation::Genoa));
        assert_eq!(Generation::of_product("Milano"), None);
        assert_eq!(Generation::of_root("ARK-Turin"), Some(Generation::Turin));
        assert_eq!(Generation::of_root("ARK-Venice"), None);
    }
}
