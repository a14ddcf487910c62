//! Slots from coefficients. Bounds: see [`crate::max_prime`].

use super::*;

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(in super::super) fn forward(tables: &NttTables, x: &mut [u64]) {
    let Some([lanes, _]) = tables.lanes.as_ref().filter(|_| x.len() == 1 << tables.log_n) else {
        return portable::forward(tables, x);
    };
    let c = Constants::new(&tables.modulus);
    if let Some(fold) = &tables.fold {
        fold_in(&c, &tables.modulus, fold, x);
    }
    let offset = splat(2 * tables.modulus.value() * u64::from(tables.log_n));
    let context =
        Context { c, log_n: tables.log_n, tree: &tables.forward, lanes, offset, last: None };
    // SAFETY: x has N words, and the tree belongs to N.
    unsafe { subtree(&context, x.as_mut_ptr(), tables.log_n, 0) };
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
        for part in 0..1usize << layers {
            let (x, node) = (x.add(part << rest), (node << layers) + part);
            if rest == LOG_BLOCK {
                block(context, x, node);
            } else {
                subtree(context, x, rest, node);
            }
        }
    }
}

/// log2 `R` layers over a block, `R` vectors at a time. With `FIRST` the block is the whole polynomial, and
/// its first half takes the offset.
///
/// # Safety
/// As in [`subtree`].
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn pass<const R: usize, const FIRST: bool>(
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
            if FIRST {
                for v in &mut v[..R / 2] {
                    *v = _mm512_add_epi64(*v, context.offset);
                }
            }
            let mut half = R / 2;
            let mut first = root;
            while half > 0 {
                layer(&mut v, half, |x, y, subtree| {
                    cooley_tukey(c, x, y, node_factor(context.tree, first + subtree));
                });
                half /= 2;
                first *= 2;
            }
            for (i, v) in v.into_iter().enumerate() {
                store(x.add(i * stride + j), v);
            }
        }
    }
}

/// The last six layers, on the block of 64 with number `node`, and the reduction.
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
        for (half, first) in [(4, root), (2, 2 * root), (1, 4 * root)] {
            layer(&mut v, half, |x, y, subtree| {
                cooley_tukey(c, x, y, node_factor(context.tree, first + subtree));
            });
        }
        let mut v = transpose(v);
        let factors = context.lanes.block(node);
        for (half, first) in [(4, 0), (2, 1), (1, 3)] {
            layer(&mut v, half, |x, y, subtree| cooley_tukey(c, x, y, factors[first + subtree]));
        }
        for (i, v) in v.into_iter().enumerate() {
            store(x.add(i * LANES), c.reduce(v));
        }
    }
}

/// b_j = a_j − i·a_{N−j}, with the product in [0, 2p), modulo 2^52.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn fold_in(c: &Constants, m: &Modulus, fold: &Fold, x: &mut [u64]) {
    let minus_i = factor(fold.minus_i);
    fold_pairs(
        x,
        |low, high| (c.add_product(low, high, minus_i), c.add_product(high, low, minus_i)),
        |low, high| {
            (low + m.mul_shoup_lazy(high, fold.minus_i), high + m.mul_shoup_lazy(low, fold.minus_i))
        },
    );
}
