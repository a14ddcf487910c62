//! The discrete Gaussian distribution by a cumulative table.

/// Standard deviation of the noise (before the cut, which changes it by less than 2^−60).
pub const GAUSSIAN_SIGMA: f64 = 3.19;

/// Largest magnitude that can occur, about 9.1 standard deviations: beyond it lies less than 2^−62 of the
/// probability, which is what a 63-bit table can resolve.
pub const GAUSSIAN_MAX: u64 = CUMULATIVE.len() as u64;

/// Entry k is ⌊2^63·Pr(|x| ≤ k)⌋ for Pr(x) proportional to exp(−x²/(2·3.19²)), computed with 400 bits.
const CUMULATIVE: [u64; 29] = [
    0x1001_f9a1_b2ca_9468,
    0x2e7c_f3ef_0783_6cb5,
    0x48ca_7e85_d834_a579,
    0x5d5d_5177_8f76_0880,
    0x6bf3_5598_5504_21b0,
    0x7552_dc90_807b_bed5,
    0x7ac8_8205_61a4_c974,
    0x7daa_6596_524b_7ffd,
    0x7f0b_8114_bba4_ecb9,
    0x7fa4_a9fc_5ea5_74e8,
    0x7fe0_e107_7aef_3919,
    0x7ff6_563f_810f_15d0,
    0x7ffd_4490_999b_c594,
    0x7fff_4c08_04cd_386d,
    0x7fff_d5e1_8e7f_da18,
    0x7fff_f709_c679_c2ed,
    0x7fff_fe44_5c79_0f6b,
    0x7fff_ffb2_0f7a_a54a,
    0x7fff_fff3_903d_235d,
    0x7fff_fffe_32b0_6d1d,
    0x7fff_ffff_c351_25cc,
    0x7fff_ffff_f8c1_1764,
    0x7fff_ffff_ff36_fe33,
    0x7fff_ffff_ffec_3bf7,
    0x7fff_ffff_fffe_3c8b,
    0x7fff_ffff_ffff_db75,
    0x7fff_ffff_ffff_fd51,
    0x7fff_ffff_ffff_ffd2,
    0x7fff_ffff_ffff_fffd,
];

/// A sample from 64 uniform bits: the magnitude is the number of table entries that do not exceed the
/// upper 63. Every entry is looked at, and nothing branches on the word.
pub(super) fn from_word(word: u64) -> i64 {
    let uniform = word >> 1;
    let magnitude =
        CUMULATIVE.iter().map(|&entry| 1 - (uniform.wrapping_sub(entry) >> 63)).sum::<u64>() as i64;
    let sign = -((word & 1) as i64);
    (magnitude ^ sign) - sign
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_the_distribution() {
        let rho = |k: usize| (-((k * k) as f64) / (2.0 * GAUSSIAN_SIGMA * GAUSSIAN_SIGMA)).exp();
        let total = 1.0 + 2.0 * (1..60).map(rho).sum::<f64>();
        let mut sum = 0.0;
        for (k, &entry) in CUMULATIVE.iter().enumerate() {
            sum += if k == 0 { 1.0 } else { 2.0 * rho(k) } / total;
            assert!((entry as f64 / 2f64.powi(63) - sum).abs() < 1e-14, "{k}");
        }
        assert!(CUMULATIVE.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn words_at_the_borders() {
        assert_eq!(from_word(0), 0);
        assert_eq!(from_word(1), 0);
        for (k, &entry) in CUMULATIVE.iter().enumerate() {
            let k = k as i64;
            assert_eq!(from_word((entry - 1) << 1), k);
            assert_eq!(from_word(entry << 1), k + 1);
            assert_eq!(from_word(entry << 1 | 1), -(k + 1));
        }
        assert_eq!(from_word(u64::MAX), -(GAUSSIAN_MAX as i64));
    }
}
