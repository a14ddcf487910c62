//! Coefficients from slots.
//!
//! Between passes values are below 4p. Within one, sums double their bound a layer, products are below
//! 2p: after the six layers of a block or the four of the widest pass nothing passes 64p < 2^52, and
//! only those vectors are reduced that passed 4p.

use super::*;

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(in super::super) fn inverse(tables: &NttTables, x: &mut [u64]) {
    let Some([_, lanes]) = tables.lanes.as_ref().filter(|_| x.len() == 1 << tables.log_n) else {
        return portable::inverse(tables, x);
    };
    let (m, c) = (&tables.modulus, Constants::new(&tables.modulus));
    let last = tables.fold.is_none().then(|| {
        let root = m.mul(tables.inverse.get(1).value, tables.inverse_degree.value);
        [factor(tables.inverse_degree), factor(m.shoup(root))]
    });
    let context = Context {
        c,
        log_n: tables.log_n,
        tree: &tables.inverse,
        lanes,
        offset: _mm512_setzero_si512(),
        last,
    };
    // SAFETY: x has N words, and the tree belongs to N.
    unsafe { subtree(&context, x.as_mut_ptr(), tables.log_n, 0) };
    if let Some(fold) = &tables.fold {
        fold_out(&c, m, fold, x);
        x[0] = m.mul_shoup(x[0] & MASK52, tables.inverse_degree);
    }
}

/// Transforms the block of node `node` of the level whose blocks have 2^`log_block` coefficients.
///
/// # Safety
/// `x` points to that block of 2^log_block words; the node exists.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn subtree(context: &Context<'_>, x: *mut u64, log_block: u8, node: usize) {
    let layers = pass_layers(log_block);
    let rest = log_block - layers;
    // SAFETY: a pass covers the block; its 2^layers parts are the blocks of the nodes below.
    unsafe {
        for part in 0..1usize << layers {
            let (x, node) = (x.add(part << rest), (node << layers) + part);
            if rest == LOG_BLOCK {
                block(context, x, node);
            } else {
                subtree(context, x, rest, node);
            }
        }
        match (layers, log_block == context.log_n) {
            (1, false) => pass::<2, false>(context, x, log_block, node),
            (1, true) => pass::<2, true>(context, x, log_block, node),
            (2, false) => pass::<4, false>(context, x, log_block, node),
            (2, true) => pass::<4, true>(context, x, log_block, node),
            (4, false) => pass::<16, false>(context, x, log_block, node),
            (4, true) => pass::<16, true>(context, x, log_block, node),
            (_, false) => pass::<8, false>(context, x, log_block, node),
            (_, true) => pass::<8, true>(context, x, log_block, node),
        }
    }
}

/// The first six layers, on the block of 64 with number `node`. Slots come reduced.
///
/// # Safety
/// `x` points to that block.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn block(context: &Context<'_>, x: *mut u64, node: usize) {
    let c = &context.c;
    let root = (1usize << (context.log_n - LOG_BLOCK)) + node;
    // SAFETY: 64 words from x on are the block; nodes of the three layers below the root are below N.
    unsafe {
        let mut v: [__m512i; 8] = std::array::from_fn(|i| load(x.add(i * LANES)));
        let factors = context.lanes.block(node);
        // Bounds before the layers: p, 2p, 4p.
        for (half, first, bound) in [(1, 3, 0), (2, 1, 1), (4, 0, 2)] {
            let offset = multiple(c, bound);
            layer(&mut v, half, |x, y, subtree| {
                gentleman_sande(c, x, y, factors[first + subtree], offset);
            });
        }
        let mut v = transpose(v);
        // The transpose mixed the bounds of 8p and less: now 8p, 16p, 32p.
        for (half, first, bound) in [(1, 4 * root, 3), (2, 2 * root, 4), (4, root, 5)] {
            let offset = multiple(c, bound);
            layer(&mut v, half, |x, y, subtree| {
                gentleman_sande(c, x, y, node_factor(context.tree, first + subtree), offset);
            });
        }
        // Sums of three layers reach 64p, sums of two after a product 8p, the others 4p.
        for v in &mut v[..2] {
            *v = c.low(c.reduce_lazy(*v));
        }
        for (i, v) in v.into_iter().enumerate() {
            store(x.add(i * LANES), v);
        }
    }
}

/// log2 `R` layers over a block, `R` vectors at a time, from below 4p to below 4p. With `LAST` the block is
/// the whole polynomial: unless a fold follows, results are N⁻¹ times as much and fully reduced.
///
/// # Safety
/// As in [`subtree`].
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn pass<const R: usize, const LAST: bool>(
    context: &Context<'_>,
    x: *mut u64,
    log_block: u8,
    node: usize,
) {
    let c = &context.c;
    let stride = (1usize << log_block) / R;
    let root = (1usize << (context.log_n - log_block)) + node;
    // SAFETY: R·stride words from x on are the block; nodes of the layers below the root are below N.
    unsafe {
        for j in (0..stride).step_by(LANES) {
            let mut v: [__m512i; R] = std::array::from_fn(|i| load(x.add(i * stride + j)));
            let (mut half, mut first, mut bound) = (1, root * (R / 2), 2);
            while half < R / 2 {
                let offset = multiple(c, bound);
                layer(&mut v, half, |x, y, subtree| {
                    gentleman_sande(c, x, y, node_factor(context.tree, first + subtree), offset);
                });
                (half, first, bound) = (2 * half, first / 2, bound + 1);
            }
            let offset = multiple(c, bound);
            match context.last.filter(|_| LAST) {
                Some([degree, twiddle]) => {
                    layer(&mut v, R / 2, |x, y, _| {
                        gentleman_sande(c, x, y, twiddle, offset);
                        *x = c.product(*x, degree);
                    });
                    v = v.map(|v| c.correct(c.low(v)));
                }
                None => {
                    layer(&mut v, R / 2, |x, y, _| {
                        gentleman_sande(c, x, y, node_factor(context.tree, root), offset);
                    });
                    // Those that were sums in the last two layers; a product's sum is below 4p.
                    for v in &mut v[..(R / 4).max(1)] {
                        *v = c.low(c.reduce_lazy(*v));
                    }
                }
            }
            for (i, v) in v.into_iter().enumerate() {
                store(x.add(i * stride + j), v);
            }
        }
    }
}

/// a_j = (b_j + i·b_{N−j})/2, times N⁻¹: with s and d the sum and the difference of b_j and b_{N−j} this
/// is S + D, and a_{N−j} is S − D, for S = (1 + i)/4·s and D = (1 − i)/4·d.
/// Arguments are below 4p modulo 2^52.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn fold_out(c: &Constants, m: &Modulus, fold: &Fold, x: &mut [u64]) {
    let [sum, difference] = fold.unfold;
    let (sums, differences) = (factor(sum), factor(difference));
    let offset = multiple(c, 2);
    fold_pairs(
        x,
        |low, high| {
            let (low, high) = (c.low(low), c.low(high));
            let s = c.low(c.product(_mm512_add_epi64(low, high), sums));
            let d = _mm512_sub_epi64(_mm512_add_epi64(low, offset), high);
            let d = c.low(c.product(d, differences));
            let difference = _mm512_sub_epi64(_mm512_add_epi64(s, c.twice), d);
            (c.correct4(_mm512_add_epi64(s, d)), c.correct4(difference))
        },
        |low, high| {
            let (low, high) = (m.reduce(low & MASK52), m.reduce(high & MASK52));
            let s = m.mul_shoup(m.add(low, high), sum);
            let d = m.mul_shoup(m.sub(low, high), difference);
            (m.add(s, d), m.sub(s, d))
        },
    );
}
