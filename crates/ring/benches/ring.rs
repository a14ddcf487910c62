//! Times of the inner loops, with the kernel named: `cargo bench -p adyton-ring`.
//!
//! Primes have 46 bits. Buffers are reused, so that N = 2^13 runs in the second-level cache.

#![expect(clippy::unwrap_used, reason = "a benchmark has nobody to report to")]

use std::sync::Arc;

use adyton_ring::{
    Automorphism, BufferPool, Divider, Kernel, ModUp, Ntt, Poly, Ring, RingKind, SingleTerm, Tile,
    ntt_primes, sampler,
};
use divan::{Bencher, black_box};

const KERNELS: [Kernel; 2] = [Kernel::Portable, Kernel::Avx512Ifma];
const DEGREES: [u8; 4] = [12, 13, 14, 15];

fn main() {
    divan::main();
}

/// Every kernel this processor has, at every degree.
fn cases() -> impl Iterator<Item = (Kernel, u8)> {
    let kernels = KERNELS.into_iter().filter(|kernel| kernel.is_supported());
    kernels.flat_map(|kernel| DEGREES.map(|log_n| (kernel, log_n)))
}

fn ring(kind: RingKind, (kernel, log_n): (Kernel, u8), primes: usize) -> Arc<Ring> {
    let primes = ntt_primes(kind, log_n, 46, primes, &[]).unwrap();
    Ring::with_kernel(kind, log_n, &primes, kernel).unwrap()
}

fn random(ring: &Ring, number: u64) -> Poly<Ntt> {
    sampler::uniform(ring, &ring.full_basis(), &[1; 32], number).unwrap()
}

#[divan::bench(args = cases())]
fn forward_standard(bencher: Bencher<'_, '_>, case: (Kernel, u8)) {
    let ring = ring(RingKind::Standard, case, 1);
    let mut x = random(&ring, 0);
    bencher.bench_local(|| ring.residue(0).forward_in_place(black_box(x.limb_mut(0))));
}

#[divan::bench(args = cases())]
fn inverse_standard(bencher: Bencher<'_, '_>, case: (Kernel, u8)) {
    let ring = ring(RingKind::Standard, case, 1);
    let mut x = random(&ring, 0);
    bencher.bench_local(|| ring.residue(0).inverse_in_place(black_box(x.limb_mut(0))));
}

#[divan::bench(args = cases())]
fn forward_conjugate_invariant(bencher: Bencher<'_, '_>, case: (Kernel, u8)) {
    let ring = ring(RingKind::ConjugateInvariant, case, 1);
    let mut x = random(&ring, 0);
    bencher.bench_local(|| ring.residue(0).forward_in_place(black_box(x.limb_mut(0))));
}

#[divan::bench(args = cases())]
fn inverse_conjugate_invariant(bencher: Bencher<'_, '_>, case: (Kernel, u8)) {
    let ring = ring(RingKind::ConjugateInvariant, case, 1);
    let mut x = random(&ring, 0);
    bencher.bench_local(|| ring.residue(0).inverse_in_place(black_box(x.limb_mut(0))));
}

/// Groups of a tile of 8 rows and 32 terms on 64 coefficients: 128 KiB of weights, 32 KiB of operands a group. A group takes 32·8·64
/// products.
#[divan::bench(args = [1, 2, 3, 4, 8])]
fn tile_8_rows_32_terms_64_coefficients(bencher: Bencher<'_, '_>, groups: usize) {
    const LEN: usize = 64;
    let ring = ring(RingKind::Standard, (Kernel::detect().unwrap(), 12), 1);
    let words = |count: usize, number: u64| -> Vec<u64> {
        let polys = (0..).map(|i| random(&ring, 1000 * number + i));
        polys.flat_map(|poly| poly.limb(0).to_vec()).take(count).collect()
    };
    let rows: Vec<Vec<u64>> = (0..8).map(|row| words(32 * LEN, row)).collect();
    let rows: Vec<&[u64]> = rows.iter().map(Vec::as_slice).collect();
    let operands = words(2 * 32 * LEN * groups, 8);
    let mut sums = vec![vec![0; LEN]; 8 * groups * 2];
    bencher.bench_local(|| {
        let mut sums = sums.iter_mut().map(Vec::as_mut_slice);
        let mut outs: Vec<[&mut [u64]; 2]> =
            (0..8 * groups).map(|_| [(); 2].map(|()| sums.next().unwrap())).collect();
        let tile = Tile { rows: &rows, operands: &operands, terms: 32, outs: &mut outs };
        ring.residue(0).tile(black_box(tile))
    });
}

#[divan::bench(args = KERNELS.into_iter().filter(|kernel| kernel.is_supported()))]
fn dot2_8_terms_1024_coefficients(bencher: Bencher<'_, '_>, kernel: Kernel) {
    let ring = ring(RingKind::Standard, (kernel, 12), 1);
    let polys: Vec<Poly<Ntt>> = (0..24).map(|i| random(&ring, i)).collect();
    let terms: Vec<SingleTerm<'_>> = polys
        .chunks_exact(3)
        .map(|t| SingleTerm {
            w: &t[0].limb(0)[..1024],
            b: &t[1].limb(0)[..1024],
            a: &t[2].limb(0)[..1024],
        })
        .collect();
    let mut outs = [[0; 1024]; 2];
    bencher.bench_local(|| {
        ring.residue(0).dot2(black_box(&terms), outs.each_mut().map(|out| &mut out[..]))
    });
}

#[divan::bench(args = cases())]
fn pointwise_product(bencher: Bencher<'_, '_>, case: (Kernel, u8)) {
    let ring = ring(RingKind::Standard, case, 1);
    let (mut x, y) = (random(&ring, 0), random(&ring, 1));
    bencher.bench_local(|| ring.mul_assign(black_box(&mut x), &y));
}

#[divan::bench(args = cases())]
fn automorphism(bencher: Bencher<'_, '_>, case: (Kernel, u8)) {
    let ring = ring(RingKind::ConjugateInvariant, case, 1);
    let (x, mut out) = (random(&ring, 0), random(&ring, 1));
    let rotation = Automorphism::rotation(&ring, 17).unwrap();
    bencher.bench_local(|| rotation.apply_into(black_box(&x), &mut out));
}

/// Digits of two primes of a polynomial over four, extended by two.
#[divan::bench(args = cases())]
fn mod_up_4_2_2(bencher: Bencher<'_, '_>, case: (Kernel, u8)) {
    let ring = ring(RingKind::ConjugateInvariant, case, 6);
    let (basis, special) = (ring.basis(0..4).unwrap(), ring.basis(4..6).unwrap());
    let up = ModUp::new(&ring, &basis, &special, 2).unwrap();
    let x = random(&ring, 0).restrict(&basis).unwrap();
    let mut out = vec![0; ring.degree()];
    let pool = Arc::new(BufferPool::default());
    bencher.bench_local(|| {
        let digits = up.decompose(black_box(&x), pool.lend(x.as_slice().len())).unwrap();
        for digit in 0..2 {
            for limb in 0..6 {
                up.limb_into(&digits, digit, limb, &mut out).unwrap();
            }
        }
    });
}

/// Mod-down by two special primes fused with a rescale by one of four.
#[divan::bench(args = cases())]
fn mod_down_6_to_3(bencher: Bencher<'_, '_>, case: (Kernel, u8)) {
    let ring = ring(RingKind::ConjugateInvariant, case, 6);
    let to = ring.basis(0..3).unwrap();
    let divider = Divider::new(&ring, &ring.full_basis(), &to).unwrap();
    let x = random(&ring, 0);
    bencher.bench_local(|| divider.apply(black_box(&x)));
}

#[divan::bench(args = DEGREES)]
fn uniform_limb(bencher: Bencher<'_, '_>, log_n: u8) {
    let ring = ring(RingKind::Standard, (Kernel::Portable, log_n), 1);
    let mut out = vec![0; ring.degree()];
    bencher
        .bench_local(|| sampler::uniform_limb(ring.modulus(0), &[1; 32], 0, black_box(&mut out)));
}

#[divan::bench(args = DEGREES)]
fn gaussian(bencher: Bencher<'_, '_>, log_n: u8) {
    let ring = ring(RingKind::Standard, (Kernel::Portable, log_n), 1);
    bencher.bench_local(|| sampler::gaussian(&ring, &ring.full_basis(), &[1; 32], 0).unwrap());
}

/// All tables of a ring with twelve primes.
#[divan::bench(args = DEGREES)]
fn ring_tables_12_primes(bencher: Bencher<'_, '_>, log_n: u8) {
    let primes = ntt_primes(RingKind::ConjugateInvariant, log_n, 46, 12, &[]).unwrap();
    bencher.bench_local(|| Ring::new(RingKind::ConjugateInvariant, log_n, black_box(&primes)));
}
