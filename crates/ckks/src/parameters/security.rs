//! The security table that every parameter set is held against.

/// The attacker that a parameter set must withstand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Security {
    /// 128 bits against classical attackers.
    #[default]
    Classical128 = 1,
    /// 128 bits against attackers with a quantum computer.
    Quantum128 = 2,
    /// No bound at all. [`Parameters::new`](crate::Parameters::new) refuses it; only
    /// [`Parameters::new_insecure_for_tests`](crate::Parameters::new_insecure_for_tests) takes it.
    InsecureForTests = 255,
}

/// `log_n`, then the largest log2 of the modulus under which a key may encrypt: classical, quantum.
///
/// Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption" (ePrint 2024/463), Table 5.2: uniform ternary
/// secret, error σ = 3.19. In the conjugate-invariant ring the same row holds at the ring's own degree (Kim, Song, ePrint 2018/952).
const TABLE: [(u8, u32, u32); 6] = [
    (11, 53, 50),
    (12, 106, 101),
    (13, 214, 203),
    (14, 430, 409),
    (15, 868, 825),
    (16, 1747, 1663),
];

impl Security {
    /// Largest permitted log2 of a modulus at ring degree `2^log_n`; `None` when the table has no such row
    /// (then nothing is permitted). [`Security::InsecureForTests`] permits every modulus.
    #[must_use]
    pub fn max_log2_modulus(self, log_n: u8) -> Option<f64> {
        let row = TABLE.iter().find(|row| row.0 == log_n);
        match self {
            Self::Classical128 => row.map(|row| f64::from(row.1)),
            Self::Quantum128 => row.map(|row| f64::from(row.2)),
            Self::InsecureForTests => Some(f64::INFINITY),
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Classical128, Self::Quantum128, Self::InsecureForTests]
            .into_iter()
            .find(|security| *security as u8 == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_published_ones() {
        assert_eq!(Security::Classical128.max_log2_modulus(13), Some(214.0));
        assert_eq!(Security::Quantum128.max_log2_modulus(16), Some(1663.0));
        assert_eq!(Security::Classical128.max_log2_modulus(10), None);
        assert_eq!(Security::InsecureForTests.max_log2_modulus(4), Some(f64::INFINITY));
        assert_eq!(Security::from_byte(2), Some(Security::Quantum128));
        assert_eq!(Security::from_byte(0), None);
    }
}
