//! Transforms.
//!
//! Both directions work on blocks of 64 coefficients in registers: three layers between vectors, an 8×8
//! transpose, three layers whose twiddles differ by lane. The layers above go three or four at a time,
//! depth first, so that from the second pass on a block stays in the first-level cache.

mod forward;
mod inverse;

use std::arch::x86_64::*;

use super::vector::{Constants, Factor, LANES, factor, load, splat, store};
use crate::{
    buffer::AlignedBuffer,
    kernels::{
        NttTables, portable,
        tables::{Fold, Twiddles},
    },
    modulus::{MASK52, Modulus, ShoupFactor},
};

pub(super) use forward::forward;
pub(super) use inverse::inverse;

/// Smallest degree for which there is a vector transform.
const MIN_LOG_N: u8 = 7;

/// log2 of the coefficients that the innermost layers keep in registers.
const LOG_BLOCK: u8 = 6;

/// Twiddles of the last three levels of the tree in the order in which a transform reads them: for each
/// block of 64 leaves seven vectors of multiplicands and quotients in turn, namely one of level
/// log2 N − 3, two of the next (even nodes, odd nodes), four of the last.
#[derive(Debug)]
pub(crate) struct LaneTwiddles(AlignedBuffer);

/// Words of a block in [`LaneTwiddles`].
const LANE_WORDS: usize = 7 * 2 * LANES;

impl LaneTwiddles {
    fn new(log_n: u8, tree: &Twiddles) -> Self {
        let blocks = 1usize << (log_n - LOG_BLOCK);
        let mut words = AlignedBuffer::zeroed(blocks * LANE_WORDS);
        let mut pairs = words.chunks_exact_mut(2 * LANES);
        for block in 0..blocks {
            for level in 0..3 {
                let children = 1usize << level;
                let first = (blocks * LANES + block * LANES) * children;
                for child in 0..children {
                    let Some(pair) = pairs.next() else { return Self(words) };
                    let (values, quotients) = pair.split_at_mut(LANES);
                    for lane in 0..LANES {
                        let ShoupFactor { value, quotient } =
                            tree.get(first + lane * children + child);
                        (values[lane], quotients[lane]) = (value, quotient);
                    }
                }
            }
        }
        Self(words)
    }

    /// The twiddles of both directions, if the degree is large enough for vector transforms.
    pub(crate) fn pair(log_n: u8, forward: &Twiddles, inverse: &Twiddles) -> Option<[Self; 2]> {
        (log_n >= MIN_LOG_N).then(|| [Self::new(log_n, forward), Self::new(log_n, inverse)])
    }

    /// The seven factors of one block.
    ///
    /// # Safety
    /// `block` is below N/64.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    unsafe fn block(&self, block: usize) -> [Factor; 7] {
        let words = self.0.as_ptr();
        std::array::from_fn(|i| {
            // SAFETY: by the caller's promise the block's words are within the buffer.
            unsafe {
                let pair = words.add(block * LANE_WORDS + i * 2 * LANES);
                Factor { value: load(pair), quotient: load(pair.add(LANES)) }
            }
        })
    }
}

/// The factor of a tree node in every lane.
///
/// # Safety
/// `node` is below N.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn node_factor(tree: &Twiddles, node: usize) -> Factor {
    // SAFETY: the tables have N entries.
    unsafe {
        Factor {
            value: splat(*tree.values.as_ptr().add(node)),
            quotient: splat(*tree.quotients.as_ptr().add(node)),
        }
    }
}

/// (X, Y) → (X + w·Y, X − w·Y), the product in [0, 2p): X must be at least 2p.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn cooley_tukey(c: &Constants, x: &mut __m512i, y: &mut __m512i, w: Factor) {
    let sum = c.add_product(*x, *y, w);
    *y = _mm512_sub_epi64(_mm512_add_epi64(*x, *x), sum);
    *x = sum;
}

/// (X, Y) → (X + Y, (X − Y)·w), the product in [0, 2p): `offset` is a multiple of p above Y.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn gentleman_sande(c: &Constants, x: &mut __m512i, y: &mut __m512i, w: Factor, offset: __m512i) {
    let difference = _mm512_sub_epi64(_mm512_add_epi64(*x, offset), *y);
    *x = _mm512_add_epi64(*x, *y);
    *y = c.product(difference, w);
}

/// One layer between `R` vectors: pairs at distance `half`, the factor chosen by subtree.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn layer<const R: usize>(
    x: &mut [__m512i; R],
    half: usize,
    mut butterfly: impl FnMut(&mut __m512i, &mut __m512i, usize),
) {
    for (subtree, pair) in x.chunks_exact_mut(2 * half).enumerate() {
        let (left, right) = pair.split_at_mut(half);
        for (x, y) in left.iter_mut().zip(right) {
            butterfly(x, y, subtree);
        }
    }
}

/// Transposes an 8×8 matrix.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn transpose(x: [__m512i; 8]) -> [__m512i; 8] {
    // Pairs of words, then of pairs (128 bits), then of quadruples (256 bits).
    let [a0, a1, a2, a3, a4, a5, a6, a7] = x;
    let b0 = _mm512_unpacklo_epi64(a0, a1);
    let b1 = _mm512_unpackhi_epi64(a0, a1);
    let b2 = _mm512_unpacklo_epi64(a2, a3);
    let b3 = _mm512_unpackhi_epi64(a2, a3);
    let b4 = _mm512_unpacklo_epi64(a4, a5);
    let b5 = _mm512_unpackhi_epi64(a4, a5);
    let b6 = _mm512_unpacklo_epi64(a6, a7);
    let b7 = _mm512_unpackhi_epi64(a6, a7);
    // Each b holds columns c, c+2, c+4, c+6 of two rows.
    let c0 = _mm512_shuffle_i64x2::<0x88>(b0, b2);
    let c1 = _mm512_shuffle_i64x2::<0x88>(b1, b3);
    let c2 = _mm512_shuffle_i64x2::<0xdd>(b0, b2);
    let c3 = _mm512_shuffle_i64x2::<0xdd>(b1, b3);
    let c4 = _mm512_shuffle_i64x2::<0x88>(b4, b6);
    let c5 = _mm512_shuffle_i64x2::<0x88>(b5, b7);
    let c6 = _mm512_shuffle_i64x2::<0xdd>(b4, b6);
    let c7 = _mm512_shuffle_i64x2::<0xdd>(b5, b7);
    [
        _mm512_shuffle_i64x2::<0x88>(c0, c4),
        _mm512_shuffle_i64x2::<0x88>(c1, c5),
        _mm512_shuffle_i64x2::<0x88>(c2, c6),
        _mm512_shuffle_i64x2::<0x88>(c3, c7),
        _mm512_shuffle_i64x2::<0xdd>(c0, c4),
        _mm512_shuffle_i64x2::<0xdd>(c1, c5),
        _mm512_shuffle_i64x2::<0xdd>(c2, c6),
        _mm512_shuffle_i64x2::<0xdd>(c3, c7),
    ]
}

/// What a transform of one direction needs, for the recursion over the tree.
struct Context<'a> {
    c: Constants,
    log_n: u8,
    tree: &'a Twiddles,
    lanes: &'a LaneTwiddles,
    /// Forward: 2p·log2 N, what keeps differences non-negative.
    offset: __m512i,
    /// Inverse: N⁻¹ and the root's twiddle times N⁻¹, or `None` where the fold takes care of it.
    last: Option<[Factor; 2]>,
}

/// Layers of the next pass over a block of 2^`log_block` coefficients: threes, so that no pass has more than
/// eight streams a power of two apart, but a four rather than a three and a one.
#[inline]
fn pass_layers(log_block: u8) -> u8 {
    match log_block - LOG_BLOCK {
        layers @ (1 | 2) => layers,
        4 => 4,
        _ => 3,
    }
}

/// Offsets p, 2p, 4p, … of the inverse's layers.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn multiple(c: &Constants, log2: u32) -> __m512i {
    _mm512_sll_epi64(c.p, _mm_cvtsi32_si128(log2 as i32))
}

/// Replaces the entries j and N − j of a limb, for 0 < j < N/2 eight at a time, by a function of both;
/// the entry N/2 is its own partner.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn fold_pairs(
    x: &mut [u64],
    vector: impl Fn(__m512i, __m512i) -> (__m512i, __m512i),
    scalar: impl Fn(u64, u64) -> (u64, u64),
) {
    let n = x.len();
    let reverse = _mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    for j in 1..LANES {
        (x[j], x[n - j]) = scalar(x[j], x[n - j]);
    }
    x[n / 2] = scalar(x[n / 2], x[n / 2]).0;
    let x = x.as_mut_ptr();
    for j in (LANES..n / 2).step_by(LANES) {
        // SAFETY: the words j to j + 7 and N − j − 7 to N − j lie within the limb and do not overlap.
        unsafe {
            let (low, high) = (x.add(j), x.add(n - j - (LANES - 1)));
            let mirrored = _mm512_permutexvar_epi64(reverse, load(high));
            let (new_low, new_high) = vector(load(low), mirrored);
            store(low, new_low);
            store(high, _mm512_permutexvar_epi64(reverse, new_high));
        }
    }
}
