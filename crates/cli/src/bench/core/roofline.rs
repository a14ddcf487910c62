//! What this machine allows: multiply-accumulate in registers, and memory read in order.

use super::timing::{Timer, failed};
use crate::error::CliError;
use adyton_ckks::Kernel;
use adyton_ring::roofline::{PRODUCTS_A_ROUND, multiply_accumulate, read};
use serde::{Deserialize, Serialize};

/// Words of the memory that is read: beyond any cache.
const WORDS: usize = 32 << 20;
/// Rounds of one call.
const ROUNDS: u64 = 1000;

/// The limits of one thread with one kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Limits {
    /// `portable` or `avx512`.
    pub(super) kernel: String,
    /// Products of two residues, summed without reduction, in nanoseconds each.
    pub(super) product_ns: f64,
    /// Bytes read in order from memory, a nanosecond.
    pub(super) read_bytes_per_ns: f64,
}

/// What an operation cannot do without.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    /// Products of two residues.
    pub(super) products: f64,
    /// Bytes that come from memory.
    pub(super) bytes: f64,
}

impl Limits {
    /// Measures them.
    pub(super) fn measure(kernel: Kernel, timer: Timer) -> Result<Self, CliError> {
        let products = timer.time(|| multiply_accumulate(kernel, ROUNDS))?;
        let words: Vec<u64> = (0..WORDS as u64).collect();
        let reading = timer.time(|| read(kernel, &words))?;
        Ok(Self {
            kernel: kernel.to_string(),
            product_ns: products.min / (ROUNDS * PRODUCTS_A_ROUND) as f64,
            read_bytes_per_ns: (8 * WORDS) as f64 / reading.min,
        })
    }

    /// The better of two measurements: what disturbed one of them is no limit.
    pub(super) fn better(self, other: &Self) -> Self {
        Self {
            kernel: self.kernel,
            product_ns: self.product_ns.min(other.product_ns),
            read_bytes_per_ns: self.read_bytes_per_ns.max(other.read_bytes_per_ns),
        }
    }

    /// Nanoseconds below which no implementation on this machine could go: arithmetic and memory overlap at best.
    pub(super) fn floor_ns(&self, needs: Needs) -> f64 {
        (needs.products * self.product_ns).max(needs.bytes / self.read_bytes_per_ns)
    }
}

/// The limits of each kernel, not worse than those that were found `before`.
pub(super) fn measure(
    kernels: &[Kernel],
    timer: Timer,
    before: &[Limits],
) -> Result<Vec<Limits>, CliError> {
    let measure = |&kernel: &Kernel| {
        let limits = Limits::measure(kernel, timer)?;
        let old = before.iter().find(|old| old.kernel == limits.kernel).cloned();
        Ok(old.map_or(limits.clone(), |old| limits.better(&old)))
    };
    kernels.iter().map(measure).collect()
}

/// The limits of the kernel with this name.
pub(super) fn of<'l>(limits: &'l [Limits], kernel: &str) -> Result<&'l Limits, CliError> {
    let found = limits.iter().find(|limits| limits.kernel == kernel);
    found.ok_or_else(|| failed(std::io::Error::other(format!("no limits of kernel {kernel}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_arithmetic_and_memory_is_the_floor() {
        let limits = Limits { kernel: "portable".into(), product_ns: 0.5, read_bytes_per_ns: 10.0 };
        assert_eq!(limits.floor_ns(Needs { products: 100.0, bytes: 0.0 }), 50.0);
        assert_eq!(limits.floor_ns(Needs { products: 100.0, bytes: 1000.0 }), 100.0);
        let other = Limits { kernel: "portable".into(), product_ns: 0.4, read_bytes_per_ns: 8.0 };
        let better = limits.clone().better(&other);
        assert_eq!((better.product_ns, better.read_bytes_per_ns), (0.4, 10.0));
        assert!(of(&[limits], "other").is_err());
    }
}
