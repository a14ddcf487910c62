//! Primes for which the number-theoretic transform exists.

use crate::{MAX_LOG_DEGREE, MAX_PRIME_BITS, MIN_LOG_DEGREE, RingError, RingKind};

/// Deterministic Miller–Rabin: the first twelve primes as bases decide every `n < 2^64`
/// (Sorenson, Webster, "Strong pseudoprimes to twelve prime bases", 2015).
#[must_use]
pub fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    if let Some(&p) = BASES.iter().find(|&&p| n.is_multiple_of(p)) {
        return n == p;
    }
    let mul = |a: u64, b: u64| ((u128::from(a) * u128::from(b)) % u128::from(n)) as u64;
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    BASES.iter().all(|&base| {
        let (mut x, mut square, mut e) = (1, base, odd);
        while e > 0 {
            if e & 1 == 1 {
                x = mul(x, square);
            }
            square = mul(square, square);
            e >>= 1;
        }
        if x == 1 || x == n - 1 {
            return true;
        }
        (1..twos).any(|_| {
            x = mul(x, x);
            x == n - 1
        })
    })
}

/// The largest prime the kernels take at degree 2^`log_n`.
///
/// A forward transform adds at most 2p a layer to an offset of 2p·log2 N and to an input below
/// 2^47, and takes one more 2p for the conjugate-invariant fold; the sum must stay below 2^52.
#[must_use]
pub fn max_prime(log_n: u8) -> u64 {
    let lazy = ((1u64 << 52) - (1 << (MAX_PRIME_BITS + 1))) / (4 * u64::from(log_n) + 2);
    lazy.min((1 << MAX_PRIME_BITS) - 1)
}

/// The `count` largest primes below 2^`bits` (and below [`max_prime`]) that are 1 modulo the order
/// of the root of unity which `kind` needs at degree 2^`log_n`, in descending order, leaving out
/// those in `exclude`.
///
/// The search is deterministic: the same arguments give the same primes on every platform.
///
/// # Errors
/// [`RingError::Degree`] for an unsupported degree, [`RingError::NotEnoughPrimes`] when fewer than
/// `count` primes of exactly `bits` bits exist.
pub fn ntt_primes(
    kind: RingKind,
    log_n: u8,
    bits: u32,
    count: usize,
    exclude: &[u64],
) -> Result<Vec<u64>, RingError> {
    if !(MIN_LOG_DEGREE..=MAX_LOG_DEGREE).contains(&log_n) {
        return Err(RingError::Degree(log_n));
    }
    let mut found = Vec::new();
    let order = kind.root_order(log_n);
    if (2..=MAX_PRIME_BITS).contains(&bits) {
        let upper = ((1u64 << bits) - 1).min(max_prime(log_n));
        let lower = 1u64 << (bits - 1);
        let mut candidate = (upper - 1) / order * order + 1;
        while found.len() < count && candidate > lower {
            if !exclude.contains(&candidate) && is_prime(candidate) {
                found.push(candidate);
            }
            candidate -= order;
        }
    }
    if found.len() < count {
        return Err(RingError::NotEnoughPrimes { bits, found: found.len(), wanted: count });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primality_agrees_with_trial_division() {
        for n in 0..20_000u64 {
            let naive = n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0);
            assert_eq!(is_prime(n), naive, "{n}");
        }
        assert!(is_prime(18_446_744_073_709_551_557));
        // A strong pseudoprime to the first nine prime bases.
        assert!(!is_prime(3_825_123_056_546_413_051));
    }

    #[test]
    fn search_is_ordered_friendly_and_excludes() {
        let first = ntt_primes(RingKind::ConjugateInvariant, 13, 46, 4, &[]).unwrap();
        assert!(first.is_sorted_by(|a, b| a > b));
        assert!(first.iter().all(|p| p % (4 << 13) == 1 && *p < 1 << 46));
        let rest = ntt_primes(RingKind::ConjugateInvariant, 13, 46, 3, &first[..1]).unwrap();
        assert_eq!(rest, first[1..]);
    }

    #[test]
    fn absent_primes_are_a_named_error() {
        let error = ntt_primes(RingKind::Standard, 16, 17, 5, &[]).unwrap_err();
        assert_eq!(error, RingError::NotEnoughPrimes { bits: 17, found: 0, wanted: 5 });
        assert!(ntt_primes(RingKind::Standard, 13, 50, 1, &[]).is_err());
    }
}
