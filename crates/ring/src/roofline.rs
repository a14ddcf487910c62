//! What the machine allows: loops of nothing but the instruction, or the memory traffic, that bounds the kernels.
//!
//! Nothing here reads a clock: callers time a call and divide by the work that it did. A kernel's distance from the roofline is the larger
//! of (its products ÷ the rate of [`multiply_accumulate`]) and (its bytes ÷ the rate of [`read`]), divided by its time.

use crate::{Kernel, RingError, kernels::Backend};

/// Products that [`multiply_accumulate`] makes in a round.
pub const PRODUCTS_A_ROUND: u64 = 96;

/// Makes `rounds` times [`PRODUCTS_A_ROUND`] products of two residues, each added to a sum of low and high halves as in a sum of
/// products, all in registers and with as many independent sums as keep the multipliers busy. Returns a mix of the sums, which means nothing.
///
/// # Errors
/// [`RingError::KernelUnavailable`] where the processor lacks the kernel.
pub fn multiply_accumulate(kernel: Kernel, rounds: u64) -> Result<u64, RingError> {
    let mut mix = 0;
    Backend::new(kernel)?.multiply_accumulate(rounds, &mut mix);
    Ok(mix)
}

/// Reads all words once, in order, and returns a mix of them, which means nothing.
///
/// # Errors
/// [`RingError::KernelUnavailable`] where the processor lacks the kernel.
pub fn read(kernel: Kernel, words: &[u64]) -> Result<u64, RingError> {
    let mut mix = 0;
    Backend::new(kernel)?.read(words, &mut mix);
    Ok(mix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_reads_every_word() {
        let words: Vec<u64> = (0..1003).map(|i| i * 0x9e37_79b9).collect();
        let sum = words.iter().fold(0, |sum: u64, &word| sum.wrapping_add(word));
        for kernel in [Kernel::Portable, Kernel::Avx512Ifma] {
            if kernel.is_supported() {
                assert_eq!(read(kernel, &words), Ok(sum), "{kernel}");
                assert!(multiply_accumulate(kernel, 3).is_ok(), "{kernel}");
            }
        }
    }
}
