//! Ring arithmetic: NTT-friendly primes, residue polynomials, number-theoretic transforms and samplers, portable and AVX-512 IFMA.
