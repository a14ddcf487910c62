//! Weights laid out for one sequential pass, and products of many sums at once.
//!
//! Products are bound by memory: a weight is 2·N residues a prime, used once for each group of operands. Read term by term from
//! separate polynomials, every step touches hundreds of pages; laid out block by block in the order of use, a whole sum's weights are one
//! sequential stream. And when several sums share their operands, as the rows of a linear layer do, each block of operands is gathered once
//! and stays in the second-level cache while the rows pass over it.

use adyton_ring::{AlignedBuffer, Basis, Ntt, Poly, ResidueRing, TILE_LANES, Tile};

use super::products::Weight;
use super::{Common, Evaluator};
use crate::{Ciphertext, CkksError, OperandRole, ProductSum, Scale};

/// Most coefficients that are laid out together: 1 KiB of each polynomial.
const BLOCK: usize = 128;

/// Words of operands that may be laid out together: a quarter of the second-level cache.
const OPERAND_WORDS: usize = 1 << 15;

/// Parts into which a prime's coefficients are cut for the crew.
const STRETCHES: usize = 4;

/// The weights and bias of one sum of products, in the order in which [`Evaluator::products_prepared`] reads them: prime by prime, vector
/// by vector of [`TILE_LANES`] coefficients, weight by weight. It takes the same memory as the weights, which may be dropped.
#[derive(Clone, Debug)]
pub struct PreparedWeights {
    basis: Basis,
    level: u8,
    scale: Scale,
    count: usize,
    /// Polynomials of a weight: 2 encrypted, 1 plain.
    parts: usize,
    data: AlignedBuffer,
    /// As many polynomials as a weight has.
    bias: Option<(Vec<Poly<Ntt>>, Scale)>,
}

impl PreparedWeights {
    /// Number of weights.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no weight; never so for what [`Evaluator::prepare`] made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the weights are under the model key.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.parts == 2
    }

    /// The weights' level.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.level
    }

    /// The weights' scale.
    #[must_use]
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bias = self.bias.iter().flat_map(|(polys, _)| polys);
        8 * (self.data.len() + bias.map(|poly| poly.as_slice().len()).sum::<usize>())
    }

    /// The residues from coefficient `start` of one prime on, to the last of that prime.
    fn stream(&self, limb: usize, start: usize, degree: usize) -> &[u64] {
        let each = self.count * self.parts;
        &self.data[(limb * degree + start) * each..(limb + 1) * degree * each]
    }
}

impl Evaluator {
    /// Lays out the weights of one sum, and its bias, for [`Evaluator::products_prepared`].
    ///
    /// # Errors
    /// [`CkksError::Empty`], [`CkksError::MixedWeights`], [`CkksError::LevelMismatch`], [`CkksError::ScaleMismatch`],
    /// [`CkksError::ForeignOperand`].
    pub fn prepare(
        &self,
        weights: &[Weight<'_>],
        bias: Option<Weight<'_>>,
    ) -> Result<PreparedWeights, CkksError> {
        let Some(first) = weights.first() else { return Err(CkksError::Empty) };
        let common = Common { level: first.level(), scale: first.scale() };
        for weight in weights {
            self.check_weight(weight, common)?;
        }
        if let Some(bias) = &bias {
            self.check_weight(bias, Common { level: common.level, scale: bias.scale() })?;
        }
        let parts = first.polys().len();
        if weights.iter().chain(&bias).any(|weight| weight.polys().len() != parts) {
            return Err(CkksError::MixedWeights);
        }
        let (basis, degree) =
            (self.parameters().basis(common.level)?.clone(), self.parameters().degree());
        let polys: Vec<&Poly<Ntt>> = weights.iter().flat_map(|weight| weight.polys()).collect();
        let mut data = AlignedBuffer::zeroed(polys.len() * basis.len() * degree);
        let blocks = (0..basis.len())
            .flat_map(|limb| (0..degree).step_by(BLOCK).map(move |start| (limb, start)));
        let len = BLOCK.min(degree);
        for ((limb, start), out) in blocks.zip(data.chunks_exact_mut(polys.len() * len)) {
            Place { limb, start, len }.interleave(&polys, out);
        }
        Ok(PreparedWeights {
            basis,
            level: common.level,
            scale: common.scale.clone(),
            count: weights.len(),
            parts,
            data,
            bias: bias
                .map(|bias| (bias.polys().into_iter().cloned().collect(), bias.scale().clone())),
        })
    }

    /// [`Evaluator::products_grouped`] for several prepared sums that share their operands: `sums[row][group]` = Σ weight ⊗ operand + bias.
    /// Each weight is read from memory once, and so is each operand. Memory for all sums is allocated: bound rows × groups.
    ///
    /// # Errors
    /// [`CkksError::Empty`], [`CkksError::GroupLength`] unless all rows and groups have one length, [`CkksError::MixedWeights`] unless all
    /// rows are encrypted or all plain, [`CkksError::LevelMismatch`], [`CkksError::ScaleMismatch`], [`CkksError::ForeignOperand`].
    pub fn products_prepared<K: OperandRole>(
        &self,
        rows: &[&PreparedWeights],
        groups: &[&[&Ciphertext<K>]],
    ) -> Result<Vec<Vec<ProductSum<K>>>, CkksError> {
        let (Some(row), Some(operand)) =
            (rows.first(), groups.first().and_then(|group| group.first()))
        else {
            return Err(CkksError::Empty);
        };
        let level = operand.level;
        let basis = self.parameters().basis(level)?;
        let scale = row.scale.mul(&operand.scale);
        for other in rows {
            Common { level, scale: &row.scale }.check(other.level, &other.scale)?;
            if other.basis != *basis {
                return Err(CkksError::ForeignOperand { level: other.level });
            }
            if other.parts != row.parts {
                return Err(CkksError::MixedWeights);
            }
            if let Some((_, bias)) = &other.bias {
                Common { level, scale: &scale }.check(level, bias)?;
            }
        }
        for x in groups.iter().copied().flatten() {
            Common { level, scale: &operand.scale }.check(x.level, &x.scale)?;
            self.check_polys(x.level, &[&x.b, &x.a])?;
        }
        for (weights, operands) in
            rows.iter().flat_map(|row| groups.iter().map(|group| (row.count, group.len())))
        {
            if weights != operands {
                return Err(CkksError::GroupLength { weights, operands });
            }
        }
        let mut sums = Vec::with_capacity(rows.len());
        for row in rows {
            let mut sums_of_row = Vec::with_capacity(groups.len());
            for _ in groups {
                sums_of_row.push(self.unset_sum(row, &scale)?);
            }
            sums.push(sums_of_row);
        }

        if row.is_encrypted() {
            let outs = sums.iter_mut().flatten().filter_map(|sum| {
                let [model, both] = sum.encrypted.as_mut()?;
                Some([&mut sum.one, model, &mut sum.operand, both])
            });
            self.multiply(rows, groups, outs.collect())?;
        } else {
            let outs = sums.iter_mut().flatten().map(|sum| [&mut sum.one, &mut sum.operand]);
            self.multiply(rows, groups, outs.collect())?;
        }
        Ok(sums)
    }

    /// Writes all products, with each row's bias, to `sums`: the components of every group of each row.
    fn multiply<K: OperandRole, const OUTS: usize>(
        &self,
        rows: &[&PreparedWeights],
        groups: &[&[&Ciphertext<K>]],
        mut sums: Vec<[&mut Poly<Ntt>; OUTS]>,
    ) -> Result<(), CkksError> {
        let Some(row) = rows.first() else { return Ok(()) };
        let (degree, terms) = (self.parameters().degree(), row.count);
        let polys: Vec<&Poly<Ntt>> =
            groups.iter().copied().flatten().flat_map(|x| [&x.b, &x.a]).collect();
        let fitting = (OPERAND_WORDS / polys.len().max(1)).max(1).ilog2();
        let len = (1 << fitting).clamp(4 * TILE_LANES, BLOCK).min(degree);
        // Each part is a stretch of one prime's coefficients, which is multiplied block by block.
        let stretch = (degree / STRETCHES).max(len);
        let residues: Vec<&ResidueRing> = self.parameters().ring().residues(&row.basis)?.collect();
        let mut limbs: Vec<[_; OUTS]> = sums
            .iter_mut()
            .map(|sum| sum.each_mut().map(|poly| poly.as_mut_slice().chunks_exact_mut(stretch)))
            .collect();
        let parts = (0..residues.len() * degree / stretch).map(|number| {
            let outs = limbs.iter_mut().map(|limbs| limbs.each_mut().map(|limb| limb.next()));
            (number * stretch, outs.collect::<Vec<_>>())
        });
        self.share(parts.collect::<Vec<_>>(), |(first, outs)| {
            let (limb, first) = (first / degree, first % degree);
            let mut outs: Vec<[_; OUTS]> = outs
                .into_iter()
                .map(|outs| outs.map(|out| out.unwrap_or_default().chunks_exact_mut(len)))
                .collect();
            let mut operands = self.pool.lend(polys.len() * len);
            for start in (first..first + stretch).step_by(len) {
                Place { limb, start, len }.interleave(&polys, &mut operands);
                let streams: Vec<&[u64]> =
                    rows.iter().map(|row| row.stream(limb, start, degree)).collect();
                let mut outs: Vec<_> = outs
                    .iter_mut()
                    .map(|outs| outs.each_mut().map(|out| out.next().unwrap_or_default()))
                    .collect();
                let tile = Tile { rows: &streams, operands: &operands, terms, outs: &mut outs };
                residues[limb].tile(tile)?;
                for (row, outs) in rows.iter().zip(outs.chunks_exact_mut(groups.len())) {
                    for (number, poly) in row.bias.iter().flat_map(|bias| bias.0.iter().enumerate())
                    {
                        let bias = &poly.limb(limb)[start..start + len];
                        for out in outs.iter_mut() {
                            residues[limb].add_assign(out[number], bias)?;
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// A sum of a row's products that holds anything until it is written.
    fn unset_sum<K: OperandRole>(
        &self,
        row: &PreparedWeights,
        scale: &Scale,
    ) -> Result<ProductSum<K>, CkksError> {
        let unset = || self.unset(&row.basis);
        let encrypted = match row.is_encrypted() {
            true => Some([unset()?, unset()?]),
            false => None,
        };
        Ok(ProductSum::new(unset()?, unset()?, encrypted, row.level, scale.clone()))
    }
}

/// A block of coefficients of one prime.
#[derive(Clone, Copy)]
struct Place {
    limb: usize,
    start: usize,
    len: usize,
}

impl Place {
    /// Copies the block of every polynomial into the order of a [`Tile`].
    fn interleave(self, polys: &[&Poly<Ntt>], out: &mut [u64]) {
        let vectors = polys.len() * TILE_LANES;
        for (number, poly) in polys.iter().enumerate() {
            let words =
                poly.limb(self.limb)[self.start..self.start + self.len].chunks_exact(TILE_LANES);
            for (words, out) in words.zip(out.chunks_exact_mut(vectors)) {
                out[number * TILE_LANES..(number + 1) * TILE_LANES].copy_from_slice(words);
            }
        }
    }
}
