//! Weights laid out for one sequential pass, and products of many sums at once.
//!
//! Products are bound by memory: a weight is N residues a prime, used once for each group of operands. Read term by term from
//! separate polynomials, every step touches hundreds of pages; laid out block by block in the order of use, a whole sum's weights are one
//! sequential stream. And when several sums share their operands, as the rows of a linear layer do, each block of operands is gathered once
//! and stays in the second-level cache while the rows pass over it.
//!
//! A weight `(b, a)` times an operand `(b', a')` has four components: `bb'`, `ab'` (for s_M), `ba'` (for s_K), `aa'` (for s_M·s_K). Rows that
//! share masks have the same `a`, each under an s_M of its own, so that `Σ ab'` and `Σ aa'` are computed once for all of them: the
//! masks are one more row.

use std::iter::repeat_n;
use std::sync::Arc;

use adyton_ring::{AlignedBuffer, Basis, Ntt, Poly, ResidueRing, TILE_LANES, Tile, sampler};

use super::{Common, Evaluator};
use crate::ciphertext::Masked;
use crate::{
    Ciphertext, CkksError, ModelKey, OperandRole, Plaintext, ProductSum, Scale, SeededCiphertext,
};

/// Most coefficients that are laid out together: 1 KiB of each polynomial.
const BLOCK: usize = 128;

/// Words of operands that may be laid out together: a quarter of the second-level cache.
const OPERAND_WORDS: usize = 1 << 15;

/// Parts into which a prime's coefficients are cut for the crew.
const STRETCHES: usize = 4;

/// Polynomials in the order in which [`Evaluator::products_prepared`] reads them: prime by prime, vector by vector of [`TILE_LANES`]
/// coefficients, polynomial by polynomial. They take the same memory as before and may be dropped.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    basis: Basis,
    level: u8,
    count: usize,
    data: AlignedBuffer,
}

impl Stream {
    pub(super) fn new(
        evaluator: &Evaluator,
        level: u8,
        polys: &[&Poly<Ntt>],
    ) -> Result<Self, CkksError> {
        if polys.is_empty() {
            return Err(CkksError::Empty);
        }
        evaluator.check_polys(level, polys)?;
        let basis = evaluator.parameters().basis(level)?.clone();
        let degree = evaluator.parameters().degree();
        let mut data = AlignedBuffer::zeroed(polys.len() * basis.len() * degree);
        let len = BLOCK.min(degree);
        let residues = evaluator.parameters().ring().residues(&basis)?.enumerate();
        for ((limb, residue), out) in residues.zip(data.chunks_exact_mut(polys.len() * degree)) {
            let limbs: Vec<&[u64]> = polys.iter().map(|poly| poly.limb(limb)).collect();
            let blocks = (0..degree).step_by(len).zip(out.chunks_exact_mut(polys.len() * len));
            for (start, out) in blocks {
                residue.interleave(&limbs, start..start + len, out)?;
            }
        }
        Ok(Self { basis, level, count: polys.len(), data })
    }

    /// The residues from coefficient `start` of one prime on, to the last of that prime.
    fn from(&self, limb: usize, start: usize, degree: usize) -> &[u64] {
        &self.data[(limb * degree + start) * self.count..(limb + 1) * degree * self.count]
    }

    fn bytes(&self) -> usize {
        8 * self.data.len()
    }
}

/// The weights of one sum of products, without their masks, and its bias.
#[derive(Clone, Debug)]
pub struct PreparedWeights {
    pub(super) stream: Stream,
    pub(super) scales: Scales,
    /// Whose model key; `None` for plain weights.
    pub(super) row: Option<u8>,
    /// Two polynomials when encrypted, one when plain.
    pub(super) bias: Option<(Vec<Poly<Ntt>>, Scale)>,
}

/// The scales of a sum's weights in order, equal neighbours together: nearly always a single one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scales(Vec<(usize, Scale)>);

impl Scales {
    pub(super) fn push(&mut self, scale: &Scale) {
        match self.0.last_mut() {
            Some((count, last)) if last == scale => *count += 1,
            _ => self.0.push((1, scale.clone())),
        }
    }

    /// For each weight the scale that its operand must have for a product of this scale.
    fn operands(&self, product: &Scale) -> Vec<(usize, Scale)> {
        self.0.iter().map(|(count, scale)| (*count, product.div(scale))).collect()
    }
}

/// The masks of the weights of one or more rows.
#[derive(Clone, Debug)]
pub struct PreparedMasks(pub(super) Stream);

impl PreparedWeights {
    /// Number of weights.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.stream.count
    }

    /// The weights' level.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.stream.level
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bias = self.bias.iter().flat_map(|(polys, _)| polys);
        self.stream.bytes() + bias.map(|poly| 8 * poly.as_slice().len()).sum::<usize>()
    }
}

impl PreparedMasks {
    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl Evaluator {
    /// Lays out the encrypted weights of one sum, and its bias, for [`Evaluator::products_prepared`]. All are under the model key of `row`.
    ///
    /// # Errors
    /// [`CkksError::Empty`], [`CkksError::LevelMismatch`], [`CkksError::ScaleMismatch`], [`CkksError::ForeignOperand`].
    pub fn prepare_encrypted(
        &self,
        row: u8,
        weights: &[&SeededCiphertext<ModelKey>],
        bias: Option<&SeededCiphertext<ModelKey>>,
    ) -> Result<PreparedWeights, CkksError> {
        let bias = match bias {
            None => None,
            Some(bias) => {
                let Ciphertext { b, a, level, scale, .. } = bias.expand(self.parameters())?;
                Some((vec![b, a], level, scale))
            }
        };
        let polys = weights.iter().map(|weight| (&weight.b, weight.level, &weight.scale));
        self.prepare(Some(row), polys, bias)
    }

    /// Lays out the plain weights of one sum, and its bias, for [`Evaluator::products_prepared`].
    ///
    /// # Errors
    /// As [`Evaluator::prepare_encrypted`].
    pub fn prepare_plain(
        &self,
        weights: &[&Plaintext],
        bias: Option<&Plaintext>,
    ) -> Result<PreparedWeights, CkksError> {
        let bias = bias.map(|bias| (vec![bias.poly().clone()], bias.level(), bias.scale().clone()));
        let polys = weights.iter().map(|weight| (weight.poly(), weight.level(), weight.scale()));
        self.prepare(None, polys, bias)
    }

    fn prepare<'w>(
        &self,
        row: Option<u8>,
        weights: impl Iterator<Item = (&'w Poly<Ntt>, u8, &'w Scale)>,
        bias: Option<(Vec<Poly<Ntt>>, u8, Scale)>,
    ) -> Result<PreparedWeights, CkksError> {
        let mut weights = weights.peekable();
        let Some(&(_, level, scale)) = weights.peek() else { return Err(CkksError::Empty) };
        let common = Common { level, scale };
        let (mut polys, mut scales) = (Vec::new(), Scales::default());
        for (poly, level, scale) in weights {
            Common { scale, ..common }.check(level, scale)?;
            polys.push(poly);
            scales.push(scale);
        }
        let bias = match bias {
            None => None,
            Some((polys, level, scale)) => {
                Common { level: common.level, scale: &scale }.check(level, &scale)?;
                self.check_polys(level, &polys.iter().collect::<Vec<_>>())?;
                Some((polys, scale))
            }
        };
        let stream = Stream::new(self, level, &polys)?;
        Ok(PreparedWeights { stream, scales, row, bias })
    }

    /// Draws the masks of encrypted weights from their seeds and lays them out. Rows that share masks have the same seeds, so the weights of
    /// any of them do.
    ///
    /// # Errors
    /// [`CkksError::Empty`], [`CkksError::LevelMismatch`], [`CkksError::ForeignOperand`].
    pub fn prepare_masks(
        &self,
        weights: &[&SeededCiphertext<ModelKey>],
    ) -> Result<PreparedMasks, CkksError> {
        let Some(first) = weights.first() else { return Err(CkksError::Empty) };
        let (ring, basis) = (self.parameters().ring(), self.parameters().basis(first.level)?);
        let mut masks = Vec::with_capacity(weights.len());
        for weight in weights {
            Common { level: first.level, scale: &weight.scale }
                .check(weight.level, &weight.scale)?;
            masks.push(sampler::uniform(ring, basis, &weight.seed, 0)?);
        }
        let masks: Vec<_> = masks.iter().collect();
        Ok(PreparedMasks(Stream::new(self, first.level, &masks)?))
    }

    /// Sums of products for several rows that share their operands and, when encrypted, their masks: `sums[row][group]` = Σ weight ⊗ operand +
    /// bias. Operands may differ in scale, as long as every product with its weight has one scale. Each weight is read from memory once, and so is each operand. Memory for all sums is allocated: bound rows × groups.
    ///
    /// # Errors
    /// [`CkksError::Empty`], [`CkksError::GroupLength`] unless all rows, masks and groups have one length, [`CkksError::MixedWeights`] unless
    /// all rows are encrypted and have masks or all plain and have none, [`CkksError::LevelMismatch`], [`CkksError::ScaleMismatch`],
    /// [`CkksError::ForeignOperand`].
    pub fn products_prepared<K: OperandRole>(
        &self,
        rows: &[&PreparedWeights],
        masks: Option<&PreparedMasks>,
        groups: &[&[&Ciphertext<K>]],
    ) -> Result<Vec<Vec<ProductSum<K>>>, CkksError> {
        let (Some(row), Some(operand)) =
            (rows.first(), groups.first().and_then(|group| group.first()))
        else {
            return Err(CkksError::Empty);
        };
        let level = operand.level;
        let Some((_, weight)) = row.scales.0.first() else { return Err(CkksError::Empty) };
        let scale = weight.mul(&operand.scale);
        self.check_rows(rows, masks, Common { level, scale: &scale })?;
        let needed = row.scales.operands(&scale);
        let needed: Vec<_> =
            needed.iter().flat_map(|(count, scale)| repeat_n(scale, *count)).collect();
        for (x, scale) in groups.iter().flat_map(|group| group.iter().zip(&needed)) {
            Common { level, scale }.check(x.level, &x.scale)?;
            self.check_polys(x.level, &[&x.b, &x.a])?;
        }
        if let Some(group) = groups.iter().find(|group| group.len() != row.len()) {
            return Err(CkksError::GroupLength { weights: row.len(), operands: group.len() });
        }

        let streams: Vec<&Stream> =
            rows.iter().map(|row| &row.stream).chain(masks.map(|masks| &masks.0)).collect();
        let mut sums = Vec::with_capacity(streams.len() * groups.len());
        for _ in 0..streams.len() * groups.len() {
            sums.push([self.unset(&row.stream.basis)?, self.unset(&row.stream.basis)?]);
        }
        self.multiply(&streams, groups, sums.iter_mut().map(<[_; 2]>::each_mut).collect())?;

        let masked = sums.split_off(rows.len() * groups.len());
        let masked: Vec<[Arc<Poly<Ntt>>; 2]> =
            masked.into_iter().map(|parts| parts.map(Arc::new)).collect();
        let mut sums = sums.into_iter();
        rows.iter()
            .map(|row| {
                let groups = sums.by_ref().take(groups.len()).enumerate();
                groups
                    .map(|(group, parts)| self.with_bias(row, parts, masked.get(group), &scale))
                    .collect()
            })
            .collect()
    }

    /// That all rows, with their masks, fit each other and the products' level and scale.
    fn check_rows(
        &self,
        rows: &[&PreparedWeights],
        masks: Option<&PreparedMasks>,
        products: Common<'_>,
    ) -> Result<(), CkksError> {
        let Some(first) = rows.first() else { return Err(CkksError::Empty) };
        let basis = self.parameters().basis(products.level)?;
        for row in rows {
            products.check(row.level(), products.scale)?;
            if row.scales != first.scales {
                return Err(CkksError::MixedScales);
            }
            if row.row.is_some() != masks.is_some() {
                return Err(CkksError::MixedWeights);
            }
            if let Some((_, bias)) = &row.bias {
                products.check(products.level, bias)?;
            }
        }
        for stream in rows.iter().map(|row| &row.stream).chain(masks.map(|masks| &masks.0)) {
            if stream.basis != *basis {
                return Err(CkksError::ForeignOperand { level: stream.level });
            }
            if stream.count != first.len() {
                let (weights, operands) = (stream.count, first.len());
                return Err(CkksError::GroupLength { weights, operands });
            }
        }
        Ok(())
    }

    /// A row's sum for one group, its bias added. A bias has a mask of its own, so a row with one no longer shares `model`.
    fn with_bias<K: OperandRole>(
        &self,
        row: &PreparedWeights,
        [mut one, operand]: [Poly<Ntt>; 2],
        masked: Option<&[Arc<Poly<Ntt>>; 2]>,
        scale: &Scale,
    ) -> Result<ProductSum<K>, CkksError> {
        let ring = self.parameters().ring();
        let mut masked = row.row.zip(masked).map(|(row, [model, both])| Masked {
            row,
            model: Arc::clone(model),
            both: Arc::clone(both),
        });
        if let Some((bias, _)) = &row.bias {
            let mut bias = bias.iter();
            if let Some(b) = bias.next() {
                ring.add_assign(&mut one, b)?;
            }
            if let (Some(a), Some(masked)) = (bias.next(), &mut masked) {
                ring.add_assign(Arc::make_mut(&mut masked.model), a)?;
            }
        }
        Ok(ProductSum::new(one, operand, masked, row.level(), scale.clone()))
    }

    /// Writes the products of all streams with all groups to `sums`: both components of every group of each stream.
    fn multiply<K: OperandRole>(
        &self,
        streams: &[&Stream],
        groups: &[&[&Ciphertext<K>]],
        mut sums: Vec<[&mut Poly<Ntt>; 2]>,
    ) -> Result<(), CkksError> {
        let Some(&Stream { ref basis, count: terms, .. }) = streams.first().copied() else {
            return Ok(());
        };
        let degree = self.parameters().degree();
        let polys: Vec<&Poly<Ntt>> =
            groups.iter().copied().flatten().flat_map(|x| [&x.b, &x.a]).collect();
        let fitting = (OPERAND_WORDS / polys.len().max(1)).max(1).ilog2();
        let len = (1 << fitting).clamp(4 * TILE_LANES, BLOCK).min(degree);
        // Each part is a stretch of one prime's coefficients, which is multiplied block by block.
        let stretch = (degree / STRETCHES).max(len);
        let residues: Vec<&ResidueRing> = self.parameters().ring().residues(basis)?.collect();
        let mut limbs: Vec<[_; 2]> = sums
            .iter_mut()
            .map(|sum| sum.each_mut().map(|poly| poly.as_mut_slice().chunks_exact_mut(stretch)))
            .collect();
        let parts = (0..residues.len() * degree / stretch).map(|number| {
            let outs = limbs.iter_mut().map(|limbs| limbs.each_mut().map(|limb| limb.next()));
            (number * stretch, outs.collect::<Vec<_>>())
        });
        self.share(parts.collect::<Vec<_>>(), |(first, outs)| {
            let (limb, first) = (first / degree, first % degree);
            let mut outs: Vec<[_; 2]> = outs
                .into_iter()
                .map(|outs| outs.map(|out| out.unwrap_or_default().chunks_exact_mut(len)))
                .collect();
            let limbs: Vec<&[u64]> = polys.iter().map(|poly| poly.limb(limb)).collect();
            let mut operands = self.pool.lend(polys.len() * len);
            for start in (first..first + stretch).step_by(len) {
                residues[limb].interleave(&limbs, start..start + len, &mut operands)?;
                let rows: Vec<&[u64]> =
                    streams.iter().map(|stream| stream.from(limb, start, degree)).collect();
                let mut outs: Vec<_> = outs
                    .iter_mut()
                    .map(|outs| outs.each_mut().map(|out| out.next().unwrap_or_default()))
                    .collect();
                let tile = Tile { rows: &rows, operands: &operands, terms, outs: &mut outs };
                residues[limb].tile(tile)?;
            }
            Ok(())
        })?;
        Ok(())
    }
}
