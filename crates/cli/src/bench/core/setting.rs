//! What an operation runs at: ring, primes, digits, kernel.

use super::timing::failed;
use crate::args::{BenchCore, KernelChoice, Ring};
use crate::error::CliError;
use adyton_ckks::{Gadget, Kernel, Parameters, ParametersLiteral, RingKind, Security};
use adyton_ring::{MAX_PRIME_BITS, ntt_primes};
use serde::{Deserialize, Serialize};

/// log2 N and the number of primes that are measured unless others are asked for: with one special prime, what the bound
/// admits at about 35 bits (2^12 and 2^13) and 45 bits.
const DEFAULTS: [(u8, u8); 5] = [(12, 2), (13, 5), (14, 8), (15, 16), (16, 30)];

/// Smallest primes that are tried.
const FEWEST_BITS: u32 = 20;

/// One combination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Setting {
    /// `standard` or `conjugate-invariant`.
    pub(super) ring: String,
    pub(super) log_n: u8,
    /// Primes of a ciphertext.
    pub(super) primes: u8,
    pub(super) special_primes: u8,
    pub(super) digits: u8,
    /// Size of the primes in bits.
    pub(super) prime_bits: u32,
    /// log2 of the modulus of evaluation keys.
    pub(super) log_qp: f64,
    /// `portable` or `avx512`.
    pub(super) kernel: String,
}

/// All combinations that were asked for, with their parameters, one after the other.
pub(super) fn all(args: &BenchCore) -> Vec<(Ring, u8, Kernel)> {
    let rings = match args.rings.as_slice() {
        [] => vec![Ring::Standard, Ring::ConjugateInvariant],
        rings => rings.to_vec(),
    };
    let sizes = match args.log_n.as_slice() {
        [] => vec![12, 13, 14, 15],
        sizes => sizes.to_vec(),
    };
    let kernels: Vec<Kernel> = match args.kernels.as_slice() {
        [] => [Kernel::Portable, Kernel::Avx512Ifma]
            .into_iter()
            .filter(|k| k.is_supported())
            .collect(),
        kernels => kernels.iter().map(|&kernel| kernel.into()).collect(),
    };
    let mut all = Vec::new();
    for &ring in &rings {
        for &log_n in &sizes {
            all.extend(kernels.iter().map(|&kernel| (ring, log_n, kernel)));
        }
    }
    all
}

impl From<KernelChoice> for Kernel {
    fn from(choice: KernelChoice) -> Self {
        match choice {
            KernelChoice::Portable => Self::Portable,
            KernelChoice::Avx512 => Self::Avx512Ifma,
        }
    }
}

impl Ring {
    fn kind(self) -> RingKind {
        match self {
            Self::Standard => RingKind::Standard,
            Self::ConjugateInvariant => RingKind::ConjugateInvariant,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::ConjugateInvariant => "conjugate-invariant",
        }
    }
}

/// The parameters of a combination: the largest primes that the bound of 128 bits and the kernels admit. The top level has all primes and
/// the keys; below it are the level that a rescale leads to and, where there is room, one of two primes.
pub(super) fn parameters(
    (ring, log_n, kernel): (Ring, u8, Kernel),
    args: &BenchCore,
) -> Result<(Setting, Parameters), CliError> {
    let default = DEFAULTS.iter().find(|default| default.0 == log_n).map_or(2, |default| default.1);
    let primes = args.primes.unwrap_or(default);
    let digit_primes = primes.div_ceil(args.digits.unwrap_or(primes).min(primes));
    let special = args.special.unwrap_or(digit_primes);
    let bound = Security::Classical128.max_log2_modulus(log_n).unwrap_or(0.0);
    let most = (bound / f64::from(primes + special)) as u32;
    let mut last = None;
    for bits in (FEWEST_BITS..=most.min(MAX_PRIME_BITS)).rev() {
        let literal = literal(ring, log_n, bits, (primes, special, digit_primes));
        match literal.and_then(|literal| Parameters::with_kernel(&literal, kernel).map_err(failed))
        {
            Ok(parameters) => {
                let setting = Setting {
                    ring: ring.name().to_owned(),
                    log_n,
                    primes,
                    special_primes: special,
                    digits: primes.div_ceil(digit_primes),
                    prime_bits: bits,
                    log_qp: parameters.max_log_qp(),
                    kernel: kernel.to_string(),
                };
                return Ok((setting, parameters));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| CliError::Argument {
        what: "--primes",
        value: primes.to_string(),
        reason: format!(
            "with {special} special primes each would have {most} bits under the bound of {bound} at N = 2^{log_n}; take fewer"
        ),
    }))
}

fn literal(
    ring: Ring,
    log_n: u8,
    bits: u32,
    (primes, special, digit_primes): (u8, u8, u8),
) -> Result<ParametersLiteral, CliError> {
    let kind = ring.kind();
    let found =
        ntt_primes(kind, log_n, bits, usize::from(primes + special), &[]).map_err(failed)?;
    // Special primes are the largest, so that no digit exceeds them.
    let (special_primes, own) = found.split_at(usize::from(special));
    let lower = [2, primes.saturating_sub(1)];
    let mut counts: Vec<u8> = lower.into_iter().filter(|&n| n > 0 && n < primes).collect();
    counts.dedup();
    counts.sort_unstable();
    counts.push(primes);
    let gadget = Gadget { digit_primes, special_primes: special };
    Ok(ParametersLiteral {
        kind,
        log_n,
        primes: own.to_vec(),
        special_primes: special_primes.to_vec(),
        gadgets: counts.iter().map(|&count| (count == primes).then_some(gadget)).collect(),
        levels: counts.into_iter().map(|count| (0..count).collect()).collect(),
        security: Security::Classical128,
    })
}
