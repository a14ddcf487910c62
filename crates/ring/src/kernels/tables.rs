//! Twiddle factors of one prime.
//!
//! # The transform
//!
//! The evaluation points are the roots of X^N − c. In the standard ring c = −1 = ψ^N with ψ of order
//! M = 2N; in the conjugate-invariant ring c = i = ψ^N, a square root of −1, with ψ of order M = 4N.
//! Both are a binary tree: node (l, k) of level l stands for X^(N/2^l) − ψ^e with
//! e = (N + M·brv_l(k))/2^l, where brv_l reverses l bits, and splits by the twiddle ψ^(e/2). Leaf k is
//! the evaluation at ψ^(1 + (M/N)·brv(k)).
//!
//! An element a_0 + Σ a_j (X^j + X^−j) of the conjugate-invariant ring (Kim, Song, ePrint 2018/952)
//! has at a root ζ with ζ^N = i the value of the polynomial with coefficients
//! b_0 = a_0, b_j = a_j − i·a_{N−j}, since ζ^−j = −i·ζ^(N−j). This fold precedes the transform.
//!
//! # The order of slots
//!
//! From N = 64 on, each block of 64 leaves is stored as the transpose of its 8×8 matrix, which is how
//! the vector kernels leave it: slot 64·i + 8·u + v holds leaf 64·i + 8·v + u.

use crate::{
    RingError, RingKind,
    buffer::AlignedBuffer,
    kernels::Backend,
    modulus::{Modulus, ShoupFactor},
};

#[cfg(target_arch = "x86_64")]
use super::avx512::LaneTwiddles;

/// Twiddle factors of one prime, for transforms of both directions.
#[derive(Debug)]
pub(crate) struct NttTables {
    pub(crate) modulus: Modulus,
    pub(crate) log_n: u8,
    pub(crate) forward: Twiddles,
    pub(crate) inverse: Twiddles,
    /// N⁻¹: closes the inverse transform.
    pub(crate) inverse_degree: ShoupFactor,
    /// What the conjugate-invariant ring needs besides.
    pub(crate) fold: Option<Fold>,
    /// For the vector kernel, forward and inverse, unless the degree is too small for it.
    #[cfg(target_arch = "x86_64")]
    pub(crate) lanes: Option<[LaneTwiddles; 2]>,
}

/// Constants of the fold between coefficients of the conjugate-invariant ring and of X^N − i.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fold {
    /// −i mod p.
    pub(crate) minus_i: ShoupFactor,
    /// (1 + i)/(4N) and (1 − i)/(4N) mod p, which take the sum and the difference of entries j and
    /// N − j of an unscaled inverse transform to coefficients.
    pub(crate) unfold: [ShoupFactor; 2],
}

/// Multiplicands and their quotients in tree order: entry 2^l + k belongs to node (l, k); entry 0 is
/// not used.
#[derive(Debug)]
pub(crate) struct Twiddles {
    pub(crate) values: AlignedBuffer,
    pub(crate) quotients: AlignedBuffer,
}

impl Twiddles {
    #[inline]
    pub(crate) fn get(&self, node: usize) -> ShoupFactor {
        ShoupFactor { value: self.values[node], quotient: self.quotients[node] }
    }

    /// Twiddles of the tree whose evaluation points are the odd-indexed powers that `root`, ψ or its
    /// inverse, generates; `step` is `root`^(M/N).
    fn new(modulus: &Modulus, log_n: u8, root: u64, step: u64) -> Self {
        let half = 1usize << (log_n - 1);
        let mut values = AlignedBuffer::zeroed(2 * half);
        // On level log_n − 1 node k splits by ψ·(ψ^(M/N))^brv(k): powers in bit-reversed places.
        let step = modulus.shoup(step);
        let mut power = root;
        for k in 0..half {
            values[half + reverse_bits(k, log_n - 1)] = power;
            power = modulus.mul_shoup(power, step);
        }
        // A node's twiddle is the square of its left child's.
        for node in (1..half).rev() {
            let child = values[2 * node];
            values[node] = modulus.mul(child, child);
        }
        let mut quotients = AlignedBuffer::zeroed(2 * half);
        for (quotient, &value) in quotients.iter_mut().zip(values.iter()) {
            *quotient = modulus.shoup(value).quotient;
        }
        Self { values, quotients }
    }
}

/// The lowest `bits` bits of `k`, reversed.
pub(crate) fn reverse_bits(k: usize, bits: u8) -> usize {
    if bits == 0 { 0 } else { k.reverse_bits() >> (usize::BITS - u32::from(bits)) }
}

/// The leaf that stands in slot `slot`, and the reverse: the map is its own inverse.
pub(crate) fn slot_to_leaf(log_n: u8, slot: usize) -> usize {
    if log_n < 6 {
        return slot;
    }
    let (block, u, v) = (slot & !63, (slot >> 3) & 7, slot & 7);
    block | (v << 3) | u
}

/// The root of unity of order `order` that this crate uses: x^((p−1)/order) for the smallest
/// x ≥ 2 where that has exactly this order. The choice fixes the order of slots, so it is part of
/// every stored format.
fn primitive_root(modulus: &Modulus, order: u64) -> Result<u64, RingError> {
    let p = modulus.value();
    if p % order != 1 {
        return Err(RingError::NotNttFriendly { prime: p, order });
    }
    // Half of all x serve, so this ends after a few of them.
    (2..p)
        .map(|x| modulus.pow(x, (p - 1) / order))
        .find(|&root| modulus.pow(root, order / 2) == p - 1)
        .ok_or(RingError::NotNttFriendly { prime: p, order })
}

impl NttTables {
    pub(crate) fn new(
        kind: RingKind,
        log_n: u8,
        modulus: Modulus,
        backend: Backend,
    ) -> Result<Self, RingError> {
        let order = kind.root_order(log_n);
        let root = primitive_root(&modulus, order)?;
        let step_exponent = order >> log_n;
        let inverse_root = modulus.inv(root);
        let fold = (kind == RingKind::ConjugateInvariant).then(|| {
            let i = modulus.pow(root, 1 << log_n);
            let quarter = modulus.inv(4 << log_n);
            let unfold = [modulus.add(1, i), modulus.sub(1, i)]
                .map(|factor| modulus.shoup(modulus.mul(factor, quarter)));
            Fold { minus_i: modulus.shoup(modulus.neg(i)), unfold }
        });
        let twiddles =
            |root| Twiddles::new(&modulus, log_n, root, modulus.pow(root, step_exponent));
        let (forward, inverse) = (twiddles(root), twiddles(inverse_root));
        #[cfg(target_arch = "x86_64")]
        let lanes = match backend {
            Backend::Portable => None,
            Backend::Avx512(_) => LaneTwiddles::pair(log_n, &forward, &inverse),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let Backend::Portable = backend;
        Ok(Self {
            modulus,
            log_n,
            forward,
            inverse,
            inverse_degree: modulus.shoup(modulus.inv(1 << log_n)),
            fold,
            #[cfg(target_arch = "x86_64")]
            lanes,
        })
    }
}
