//! Transforms of one prime, and lazily reduced sums of products, from cache and from memory.

use super::roofline::Needs;
use super::timing::failed;
use super::{Bench, Shape};
use crate::error::CliError;
use adyton_ckks::{
    Ciphertext, Evaluator, InputKey, ModelKey, Parameters, PreparedMasks, PreparedWeights, Scale,
    SeededCiphertext,
};
use adyton_ring::{PairTerm, Ring, TILE_LANES, Tile, sampler};

/// Pairs of one sum.
const TERMS: usize = 32;
/// Coefficients that are multiplied together: their operands are 32 KiB, in the first-level cache or in one stream from memory.
const BLOCK: usize = 32;
/// Bytes that are gone through before any is read again when an operation is to find its operands in memory.
const BEYOND_CACHES: usize = 512 << 20;
/// Rows of weights and groups of operands of a tile.
const ROWS: usize = 8;
const GROUPS: [usize; 2] = [1, 4];

/// Forward and inverse transform of one prime.
pub(super) fn transforms(bench: &mut Bench<'_>, parameters: &Parameters) -> Result<(), CliError> {
    let residue = parameters.ring().residue(0);
    let mut x = residues(parameters.ring(), 0, parameters.degree(), 1);
    bench.run("ntt_forward", Shape::default(), || residue.forward_in_place(&mut x))?;
    bench.run("ntt_inverse", Shape::default(), || residue.inverse_in_place(&mut x))
}

/// Σ of 32 products of two ciphertexts of two components, without relinearization, for each pair.
pub(super) fn pairs(bench: &mut Bench<'_>, parameters: &Parameters) -> Result<(), CliError> {
    let (degree, primes) = (parameters.degree(), usize::from(bench.setting.primes));
    let coefficients = (degree * primes) as f64;
    let shape = |bytes: f64| Shape {
        terms: TERMS,
        parts: TERMS as f64,
        needs: Needs { products: 4.0 * coefficients, bytes: bytes * coefficients },
        ..Shape::default()
    };
    let block = 4 * TERMS * BLOCK;
    if bench.wants("ct_ct_sum_32_cache") {
        let words = residues(parameters.ring(), 0, block, 2);
        bench.run("ct_ct_sum_32_cache", shape(0.0), || {
            (0..degree * primes / BLOCK).try_for_each(|_| sum(parameters.ring(), 0, &words))
        })?;
    }
    if bench.wants("ct_ct_sum_32_memory") {
        // One stream, prime by prime and block by block, as evaluation lays it out.
        let whole = 4 * TERMS * degree * primes;
        let copies = (BEYOND_CACHES / 8).div_ceil(whole);
        let limb = 4 * TERMS * degree;
        let words: Vec<u64> = (0..copies * primes)
            .flat_map(|i| residues(parameters.ring(), i % primes, limb, i as u64))
            .collect();
        let mut next = 0;
        bench.run("ct_ct_sum_32_memory", shape(32.0), || {
            let from = next * whole;
            next = (next + 1) % copies;
            let mut blocks = words[from..from + whole].chunks_exact(block);
            blocks
                .by_ref()
                .enumerate()
                .try_for_each(|(i, words)| sum(parameters.ring(), i * block / limb, words))
        })?;
    }
    Ok(())
}

/// The sum of one block of coefficients.
fn sum(ring: &Ring, prime: usize, words: &[u64]) -> Result<(), adyton_ring::RingError> {
    let mut outs = [[0; BLOCK]; 3];
    let mut polys = words.chunks_exact(BLOCK);
    let mut next = || polys.next().unwrap_or_default();
    let terms: [PairTerm<'_>; TERMS] =
        std::array::from_fn(|_| PairTerm { b: next(), a: next(), b2: next(), a2: next() });
    ring.residue(prime).dot3(&terms, outs.each_mut().map(|out| &mut out[..]))?;
    std::hint::black_box(&outs);
    Ok(())
}

/// Rows of weights times groups of operands, masks included, for each pair: as evaluation does it.
pub(super) fn tiles(bench: &mut Bench<'_>, parameters: &Parameters) -> Result<(), CliError> {
    for groups in GROUPS {
        cached_tile(bench, parameters, groups)?;
    }
    if bench.wants("tile_memory") {
        let layers = Layers::new(parameters)?;
        for groups in GROUPS {
            layers.measure(bench, parameters, groups)?;
        }
    }
    Ok(())
}

/// What a pair of a tile needs: two products for its row and a share of the masks' two; from memory, if they are there, a share of its weight and of its
/// operand, each read once.
fn tile_shape(coefficients: f64, rows: usize, groups: usize, memory: bool) -> Shape {
    let masks = (rows + 1) as f64 / rows as f64;
    let bytes = if memory { 8.0 * (masks / groups as f64 + 2.0 / rows as f64) } else { 0.0 };
    Shape {
        rows,
        groups,
        terms: TERMS,
        parts: (rows * groups * TERMS) as f64,
        needs: Needs { products: 2.0 * masks * coefficients, bytes: bytes * coefficients },
    }
}

fn cached_tile(
    bench: &mut Bench<'_>,
    parameters: &Parameters,
    groups: usize,
) -> Result<(), CliError> {
    // A short block, so that weights of all rows and operands of all groups stay in the second-level cache.
    const LEN: usize = 4 * TILE_LANES;
    let (degree, primes) = (parameters.degree(), usize::from(bench.setting.primes));
    let ring = parameters.ring();
    let rows: Vec<Vec<u64>> =
        (0..=ROWS).map(|row| residues(ring, 0, TERMS * LEN, row as u64)).collect();
    let rows: Vec<&[u64]> = rows.iter().map(Vec::as_slice).collect();
    let operands = residues(ring, 0, 2 * TERMS * LEN * groups, 99);
    let mut sums = vec![[0; LEN]; 2 * rows.len() * groups];
    let shape = tile_shape((degree * primes) as f64, ROWS, groups, false);
    bench.run("tile_cache", shape, || {
        (0..degree * primes / LEN).try_for_each(|_| {
            let mut pairs = sums.chunks_exact_mut(2);
            let mut outs: Vec<[&mut [u64]; 2]> = Vec::with_capacity(rows.len() * groups);
            while let Some([one, operand]) = pairs.next() {
                outs.push([one, operand]);
            }
            let tile = Tile { rows: &rows, operands: &operands, terms: TERMS, outs: &mut outs };
            ring.residue(0).tile(tile)
        })
    })
}

/// Prepared layers, more than the caches hold, and operands.
struct Layers {
    evaluator: Evaluator,
    layers: Vec<(Vec<PreparedWeights>, PreparedMasks)>,
    operands: Vec<Ciphertext<InputKey>>,
}

impl Layers {
    fn new(parameters: &Parameters) -> Result<Self, CliError> {
        let evaluator = Evaluator::new(parameters);
        let level = parameters.top_level();
        let basis = parameters.basis(level).map_err(failed)?;
        let (ring, scale) = (parameters.ring(), Scale::pow2(20));
        let row_bytes = 8 * TERMS * basis.len() * parameters.degree();
        // Large parameters have fewer rows and groups: memory is bounded by twice what is gone through.
        let rows = (BEYOND_CACHES / row_bytes).clamp(2, ROWS);
        let count = BEYOND_CACHES.div_ceil(row_bytes * (rows + 1)).max(1);
        let uniform = |stream| sampler::uniform(ring, basis, &[7; 32], stream);
        let layer = |number: usize| {
            let mut prepared = Vec::new();
            let mut masks = None;
            for row in 0..rows {
                let weights = (0..TERMS)
                    .map(|term| {
                        let b = uniform(((number * rows + row) * TERMS + term) as u64)
                            .map_err(failed)?;
                        let mut seed = [8; 32];
                        seed[0] = term as u8;
                        let scale = scale.clone();
                        SeededCiphertext::<ModelKey>::from_parts(parameters, b, seed, level, scale)
                            .map_err(failed)
                    })
                    .collect::<Result<Vec<_>, CliError>>()?;
                let weights: Vec<&_> = weights.iter().collect();
                if masks.is_none() {
                    masks = Some(evaluator.prepare_masks(&weights).map_err(failed)?);
                }
                let row = evaluator.prepare_encrypted(row as u8, &weights, None);
                prepared.push(row.map_err(failed)?);
            }
            masks.map(|masks| (prepared, masks)).ok_or_else(|| failed(std::fmt::Error))
        };
        let layers = (0..count).map(layer).collect::<Result<Vec<_>, CliError>>()?;
        let largest = GROUPS.iter().copied().max().unwrap_or(1).min(rows);
        let operand = |i: usize| {
            let b = uniform(1 << 40 | i as u64).map_err(failed)?;
            let a = uniform(1 << 41 | i as u64).map_err(failed)?;
            Ciphertext::from_parts(parameters, b, a, level, scale.clone()).map_err(failed)
        };
        let operands = (0..TERMS * largest).map(operand).collect::<Result<_, _>>()?;
        Ok(Self { evaluator, layers, operands })
    }

    fn measure(
        &self,
        bench: &mut Bench<'_>,
        parameters: &Parameters,
        groups: usize,
    ) -> Result<(), CliError> {
        let coefficients = (parameters.degree() * usize::from(bench.setting.primes)) as f64;
        let rows = self.layers.first().map_or(0, |layer| layer.0.len());
        let groups: Vec<Vec<&Ciphertext<InputKey>>> =
            self.operands.chunks(TERMS).take(groups).map(|group| group.iter().collect()).collect();
        let groups: Vec<&[&Ciphertext<InputKey>]> = groups.iter().map(Vec::as_slice).collect();
        let shape = tile_shape(coefficients, rows, groups.len(), true);
        let mut layers = self.layers.iter().cycle();
        bench.run("tile_memory", shape, || match layers.next() {
            None => Ok(Vec::new()),
            Some((rows, masks)) => {
                let rows: Vec<&PreparedWeights> = rows.iter().collect();
                self.evaluator.products_prepared(&rows, Some(masks), &groups)
            }
        })
    }
}

/// Residues of one prime that look random; the times do not depend on them.
fn residues(ring: &Ring, prime: usize, count: usize, seed: u64) -> Vec<u64> {
    let p = ring.modulus(prime).value();
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 8) % p
    };
    (0..count).map(|_| next()).collect()
}
