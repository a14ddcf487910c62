//! Permutations t ← g·t + k of slots.
//!
//! Bit-reversed and by blocks of 64, so that t = 2^m·h + (a number that names the block), a block comes
//! whole from one block, and h from g·h + c modulo 64 with a carry c that belongs to the block. Write
//! h = 8·i + l: l names the lane and i the vector of eight (both bit-reversed). A lane comes from lane
//! g·l + c modulo 8, whichever the vector, and vector i from vector g·i + d modulo 8, where
//! d = ⌊(g·l + c)/8⌋ belongs to the lane: one permutation of lanes, and a rotation among vectors by 0 to
//! 7 that each lane chooses.

use std::arch::x86_64::*;

use super::vector::{LANES, load, store};
use crate::kernels::{permutation::Affine, tables::reverse_bits};

/// A permutation of whole blocks of 64 slots, and what happens within them.
#[derive(Debug, Clone)]
pub(crate) struct BlockPermutation {
    /// For each block where it comes from, and its carry.
    blocks: Box<[(u32, u8)]>,
    /// What happens within a block, by carry.
    moves: [LaneMove; 64],
    /// Where the vector goes that the rotations leave at number i.
    places: [u8; 8],
}

/// What a carry does to the lanes.
#[derive(Debug, Clone, Copy)]
struct LaneMove {
    /// The lane that each lane comes from.
    lanes: [u64; 8],
    /// The lanes whose rotation includes a step by 1, 2 and 4 vectors.
    rotations: [u8; 3],
}

/// Three bits reversed: vectors and lanes in the order of h, and back.
const REVERSED: [u8; 8] = [0, 4, 2, 6, 1, 5, 3, 7];

impl BlockPermutation {
    pub(crate) fn new(affine: Affine) -> Self {
        let log_blocks = affine.log_n - 6;
        let blocks = (0..1usize << log_blocks)
            .map(|block| {
                let from = affine.source(reverse_bits(block, log_blocks));
                let source = reverse_bits(from & ((1 << log_blocks) - 1), log_blocks);
                (source as u32, (from >> log_blocks) as u8)
            })
            .collect();
        let moves = std::array::from_fn(|carry| {
            let mut lane_move = LaneMove { lanes: [0; 8], rotations: [0; 3] };
            for (lane, &reversed) in REVERSED.iter().enumerate() {
                let image = affine.multiplier * usize::from(reversed) + carry;
                lane_move.lanes[lane] = u64::from(REVERSED[image % 8]);
                for (bit, rotation) in lane_move.rotations.iter_mut().enumerate() {
                    *rotation |= (((image >> (3 + bit)) & 1) << lane) as u8;
                }
            }
            lane_move
        });
        let mut places = [0; 8];
        for i in 0..8 {
            places[affine.multiplier * i % 8] = REVERSED[i];
        }
        Self { blocks, moves, places }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn permute(permutation: &BlockPermutation, x: &[u64], out: &mut [u64]) {
    let sources = x.as_chunks::<64>().0;
    for (&(source, carry), out) in permutation.blocks.iter().zip(out.as_chunks_mut::<64>().0) {
        let source = &sources[source as usize];
        let lane_move = &permutation.moves[usize::from(carry % 64)];
        // SAFETY: eight indices are read from an array of eight, and vectors from a block of 64 words.
        let mut v: [__m512i; 8] = unsafe {
            let lanes = load(lane_move.lanes.as_ptr());
            REVERSED.map(|vector| {
                let start = LANES * usize::from(vector);
                _mm512_permutexvar_epi64(lanes, load(source.as_ptr().add(start)))
            })
        };
        for (bit, &chosen) in lane_move.rotations.iter().enumerate() {
            v = std::array::from_fn(|i| {
                _mm512_mask_blend_epi64(chosen, v[i], v[(i + (1 << bit)) % 8])
            });
        }
        for (v, &place) in v.into_iter().zip(&permutation.places) {
            // SAFETY: a place is below eight, so the vector lies within the block.
            unsafe { store(out.as_mut_ptr().add(LANES * usize::from(place % 8)), v) };
        }
    }
}
