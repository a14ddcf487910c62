//! Many limbs to one stream.
//!
//! A block is a few cache lines of each of some hundred limbs: too short for the processor to see where the next one lies, so
//! it is fetched ahead while this one is copied, and arrives while this one is multiplied.

use std::arch::x86_64::*;
use std::ops::Range;

use super::vector::{LANES, load, store};

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn interleave(limbs: &[&[u64]], block: Range<usize>, out: &mut [u64]) {
    let len = block.len();
    for (number, limb) in limbs.iter().enumerate() {
        let words = limb[block.clone()].as_ptr();
        let ahead = limb.len() >= block.end + len;
        for (vector, start) in (0..len).step_by(LANES).enumerate() {
            let out = &mut out[(vector * limbs.len() + number) * LANES..][..LANES];
            // SAFETY: blocks are whole vectors, so that eight words follow `start`; fetching is a hint at any address.
            unsafe {
                let from = words.add(start);
                store(out.as_mut_ptr(), load(from));
                if ahead {
                    _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(len).cast());
                }
            }
        }
    }
}
