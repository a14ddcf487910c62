//! Where features stand: blocks of positions, and the first layer's inputs.
//!
//! A block is one ciphertext (for each group of lanes). `positions` = t of them hold features; a layout whose `period` is
//! smaller than t holds every feature t/period times, computed identically in every place.

use super::pool::Pool;
use crate::network::{Affine, SparseMatrix};

/// A matrix is sparse enough for im2col when its rows have at most one column in this many.
const SPARSE: usize = 8;

/// Which feature stands at each position of each block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Positions of a block, t: a power of two.
    pub positions: usize,
    /// Every block repeats after this many positions: a power of two, at most t.
    pub period: usize,
    /// How far to the right an output looks for features at most: a power of two, at most the period. A dense layer finds every feature
    /// within this many positions of some place of each output.
    pub reach: usize,
    /// Positions from one channel to the next, where features are channels of a grid; 0 where nothing is known of such. A layer that reads
    /// neighbours on the grid has few diagonals when its outputs keep it: see [`super::spread`].
    pub slot: usize,
    /// For each block, the feature at each position; `None` holds zero.
    pub blocks: Vec<Vec<Option<u32>>>,
}

impl Layout {
    /// `features` in order, as many to a block as fit, repeated where they leave room.
    #[must_use]
    pub(super) fn sequential(features: usize, positions: usize) -> Self {
        let period = features.next_power_of_two().min(positions);
        let blocks = (0..features.div_ceil(period).max(1))
            .map(|block| {
                let at = |p: usize| index(block * period + p % period, features);
                (0..positions).map(at).collect()
            })
            .collect();
        Self { positions, period, reach: period, slot: 0, blocks }
    }

    /// As [`Layout::sequential`], but the features from `first` on begin in a block of their own. All blocks have one period. Also the number of
    /// blocks before those.
    #[must_use]
    pub(super) fn split(features: usize, first: usize, positions: usize) -> (Self, usize) {
        let rest = features.saturating_sub(first);
        if first == 0 || rest == 0 {
            let layout = Self::sequential(features, positions);
            let blocks = if first == 0 { 0 } else { layout.blocks.len() };
            return (layout, blocks);
        }
        let period = first.max(rest).next_power_of_two().min(positions);
        let part = |offset: usize, count: usize| {
            (0..count.div_ceil(period)).map(move |block| {
                let at = |p: usize| {
                    let place = block * period + p % period;
                    if place < count { index(offset + place, features) } else { None }
                };
                (0..positions).map(at).collect()
            })
        };
        let blocks: Vec<_> = part(0, first).chain(part(first, rest)).collect();
        (Self { positions, period, reach: period, slot: 0, blocks }, first.div_ceil(period))
    }

    /// As [`Layout::sequential`], but every copy of the features begins a little further on than the copy before: an output that stands in
    /// every `outputs`-th position finds different features to the right of each of its places. So fewer shifts meet them all, which
    /// pays when many positions serve one sample.
    ///
    /// Copies are k' features long and their starts D = k'·outputs/period apart, which is also the reach: the places p = T·i + k'·c of an
    /// output (T = `outputs`) see, at shifts 0 … D − 1, the features T·i + D·c + 0 … D − 1, and those are all of them.
    #[must_use]
    pub(super) fn skewed(features: usize, positions: usize, outputs: usize) -> Self {
        let copy = features.next_power_of_two();
        let outputs = outputs.next_power_of_two();
        if copy >= positions || outputs >= copy {
            return Self::sequential(features, positions);
        }
        let period = positions.min(copy * outputs);
        let reach = copy * outputs / period;
        let at = |p: usize| {
            let place = p % period;
            index((place % copy + reach * (place / copy)) % copy, features)
        };
        Self { positions, period, reach, slot: 0, blocks: vec![(0..positions).map(at).collect()] }
    }

    /// Whether this feature stands there.
    #[must_use]
    pub(super) fn holds(&self, block: usize, position: usize, feature: usize) -> bool {
        let found = self.blocks.get(block).and_then(|block| block.get(position)).copied().flatten();
        found.is_some_and(|found| found as usize == feature)
    }

    /// As [`Layout::places`], within the first period.
    #[must_use]
    pub(super) fn homes(&self, features: usize) -> Vec<Vec<(usize, usize)>> {
        let mut homes = self.places(features);
        homes.iter_mut().for_each(|places| places.retain(|&(_, position)| position < self.period));
        homes
    }

    /// For each feature below `features`, all its places: block and position, in that order.
    #[must_use]
    pub(super) fn places(&self, features: usize) -> Vec<Vec<(usize, usize)>> {
        let mut places = vec![Vec::new(); features];
        for (block, features) in self.blocks.iter().enumerate() {
            for (position, feature) in features.iter().enumerate() {
                let feature = feature.and_then(|feature| places.get_mut(feature as usize));
                feature.into_iter().for_each(|list| list.push((block, position)));
            }
        }
        places
    }
}

/// `index` as a feature, when there is one.
fn index(index: usize, count: usize) -> Option<u32> {
    if index < count { u32::try_from(index).ok() } else { None }
}

/// A first layer whose inputs the data owner lays out for it (im2col), so that it needs no rotation of them.
///
/// The rows are `channels` times `spatial`; row `c·spatial + p` reads only columns of `taps[p]`. Tap number j of all p makes
/// one input block (or several, when `spatial` exceeds the positions of a block), and the weights of channel c for that tap another
/// vector in the same order: products fall into place, shift 0. Where a block has room for several copies of the rows, each copy takes
/// another tap, and rotate-and-sum adds them up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Im2col {
    /// Groups of rows with the same columns.
    pub channels: usize,
    /// Rows of a channel.
    pub spatial: usize,
    /// For each row of a channel, the columns that some channel reads there, ascending.
    pub taps: Vec<Vec<usize>>,
    /// The rows of a channel in the order in which they stand, with gaps.
    pub order: Vec<Option<usize>>,
}

/// How the rows of one channel and its taps are laid into blocks.
#[derive(Clone, Copy, Debug)]
struct Folding {
    /// Positions that one copy of the rows takes.
    copy: usize,
    /// Positions after which everything repeats.
    period: usize,
    /// Blocks that one channel's rows fill.
    chunks: usize,
    /// Input blocks of a chunk.
    depth: usize,
}

impl Im2col {
    /// Looks for the structure in a first layer, however the matrix came about: rows must be sparse, and `spatial` is the smallest divisor
    /// of their number for which sharing columns between channels costs no further tap. With `whole`, all rows count as one channel.
    #[must_use]
    pub(super) fn find(matrix: &SparseMatrix, whole: bool) -> Option<Self> {
        let rows = matrix.rows();
        let densest = (0..rows).map(|row| matrix.row(row).len()).max()?;
        if densest == 0 || densest * SPARSE > matrix.cols() {
            return None;
        }
        let fewest = if whole { rows } else { 1 };
        (fewest..=rows).filter(|&spatial| rows.is_multiple_of(spatial)).find_map(|spatial| {
            let taps = shared_columns(matrix, spatial, densest)?;
            let order = (0..spatial).map(Some).collect();
            Some(Self { channels: rows / spatial, spatial, taps, order })
        })
    }

    /// The same with its rows in the order that suits the pool which reads them, if there is one.
    #[must_use]
    pub(super) fn in_phases(&self, pool: &Pool) -> Option<Self> {
        let order = pool.phases(self.channels, self.spatial)?;
        Some(Self { order, ..self.clone() })
    }

    /// Positions that all rows and taps of a channel take.
    #[must_use]
    pub(super) fn extent(&self) -> usize {
        self.order.len().next_power_of_two() * self.most_taps().next_power_of_two()
    }

    /// Input blocks of one group of rows, and so the products of one output block.
    #[must_use]
    pub(super) fn depth(&self, positions: usize) -> usize {
        self.folding(positions).depth
    }

    /// The input blocks: for each chunk, one for each tap, or for as many taps as there are copies.
    #[must_use]
    pub(super) fn inputs(&self, positions: usize) -> Layout {
        let folding = self.folding(positions);
        let at = |chunk, block, position| {
            let (row, tap) = self.place(folding, chunk, block, position)?;
            self.taps.get(row)?.get(tap).and_then(|&column| u32::try_from(column).ok())
        };
        let blocks = (0..folding.chunks * folding.depth)
            .map(|index| {
                let (chunk, block) = (index / folding.depth, index % folding.depth);
                (0..positions).map(|position| at(chunk, block, position)).collect()
            })
            .collect();
        Layout { positions, period: folding.period, reach: folding.period, slot: 0, blocks }
    }

    /// Blocks that the first `rows` outputs fill, which must be whole channels.
    #[must_use]
    pub(super) fn blocks_of(&self, rows: usize, positions: usize) -> usize {
        rows / self.spatial * self.folding(positions).chunks
    }

    /// The output blocks: for each channel, its chunks.
    #[must_use]
    pub(super) fn outputs(&self, positions: usize) -> Layout {
        let folding = self.folding(positions);
        let at = |channel, chunk, position| {
            let (row, _) = self.place(folding, chunk, 0, position)?;
            u32::try_from(channel * self.spatial + row).ok()
        };
        let blocks = (0..self.channels * folding.chunks)
            .map(|index| {
                let (channel, chunk) = (index / folding.chunks, index % folding.chunks);
                (0..positions).map(|position| at(channel, chunk, position)).collect()
            })
            .collect();
        let (period, slot) = (folding.copy, if folding.chunks == 1 { folding.copy } else { 0 });
        Layout { positions, period, reach: period, slot, blocks }
    }

    /// The weights of output block `output` (as [`Im2col::outputs`] counts) for its input number `block`, and which input block (as
    /// [`Im2col::inputs`] counts) that is.
    #[must_use]
    pub(super) fn weights(
        &self,
        affine: &Affine,
        positions: usize,
        output: usize,
        block: usize,
    ) -> (usize, Vec<f64>) {
        let folding = self.folding(positions);
        let (channel, chunk) = (output / folding.chunks, output % folding.chunks);
        let at = |position| {
            let (row, tap) = self.place(folding, chunk, block, position)?;
            let column = *self.taps.get(row)?.get(tap)?;
            Some(affine.matrix.get(channel * self.spatial + row, column))
        };
        let weights = (0..positions).map(|position| at(position).unwrap_or(0.0)).collect();
        (chunk * folding.depth + block, weights)
    }

    fn most_taps(&self) -> usize {
        self.taps.iter().map(Vec::len).max().unwrap_or(0)
    }

    fn folding(&self, positions: usize) -> Folding {
        let copy = self.order.len().next_power_of_two().min(positions);
        let period = positions.min(self.extent());
        let chunks = self.order.len().div_ceil(copy);
        Folding { copy, period, chunks, depth: self.most_taps().div_ceil(period / copy) }
    }

    /// The row within its channel, and the tap, that stand at a position.
    fn place(
        &self,
        folding: Folding,
        chunk: usize,
        block: usize,
        position: usize,
    ) -> Option<(usize, usize)> {
        let place = position % folding.period;
        let row = *self.order.get(chunk * folding.copy + place % folding.copy)?;
        let tap = block * (folding.period / folding.copy) + place / folding.copy;
        row.map(|row| (row, tap))
    }
}

/// For each of `spatial` rows, the columns of that row in all channels; `None` as soon as one has more than `limit`.
fn shared_columns(matrix: &SparseMatrix, spatial: usize, limit: usize) -> Option<Vec<Vec<usize>>> {
    (0..spatial)
        .map(|p| {
            let mut columns: Vec<usize> = Vec::new();
            for row in (p..matrix.rows()).step_by(spatial) {
                columns.extend(matrix.row(row).map(|(column, _)| column));
                columns.sort_unstable();
                columns.dedup();
                if columns.len() > limit {
                    return None;
                }
            }
            Some(columns)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_repeat_where_there_is_room() {
        let layout = Layout::sequential(3, 8);
        let copy = [Some(0), Some(1), Some(2), None];
        assert_eq!((layout.period, layout.blocks), (4, vec![[copy, copy].concat()]));
        let layout = Layout::sequential(10, 4);
        assert_eq!((layout.period, layout.blocks.len()), (4, 3));
        assert_eq!(layout.blocks[2], [Some(8), Some(9), None, None]);
        assert_eq!(layout.places(10)[9], [(2, 1)]);
    }

    #[test]
    fn split_features_share_no_block() {
        let (layout, before) = Layout::split(7, 3, 8);
        assert_eq!((layout.period, before, layout.blocks.len()), (4, 1, 2));
        assert_eq!(layout.blocks[0][..4], [Some(0), Some(1), Some(2), None]);
        assert_eq!(layout.blocks[1][4..], [Some(3), Some(4), Some(5), Some(6)]);
        let (layout, before) = Layout::split(13, 3, 4);
        assert_eq!((layout.period, before, layout.blocks.len()), (4, 1, 4));
        assert_eq!(layout.blocks[3], [Some(11), Some(12), None, None]);
        for (first, before) in [(0, 0), (10, 3)] {
            assert_eq!(Layout::split(10, first, 4), (Layout::sequential(10, 4), before));
        }
    }

    /// From the places of each output, the shifts below the reach meet every feature exactly once.
    #[test]
    fn skewed_copies_meet_every_feature_once() {
        for (features, positions, outputs) in [(16, 64, 8), (13, 64, 5), (16, 256, 4), (64, 128, 2)]
        {
            let layout = Layout::skewed(features, positions, outputs);
            let stride = outputs.next_power_of_two();
            assert!(layout.period > features && layout.reach < layout.period);
            for output in 0..stride {
                let mut met = vec![0; features];
                for place in (output..layout.period).step_by(stride) {
                    for shift in 0..layout.reach.min(stride) {
                        let feature = layout.blocks[0][(place + shift) % positions];
                        feature.into_iter().for_each(|feature| met[feature as usize] += 1);
                    }
                }
                assert_eq!(met, vec![1; features], "{features}, {positions}, {outputs}");
            }
        }
    }

    #[test]
    fn structure_is_found_in_the_matrix_alone() {
        // Two channels over three positions that read two of 24 columns each.
        let row = |p: usize| vec![(4 * p, 1.0), (4 * p + 1, 2.0)];
        let rows = (0..6).map(|index| row(index % 3));
        let matrix = SparseMatrix::from_rows(24, rows).unwrap();
        let im2col = Im2col::find(&matrix, false).unwrap();
        assert_eq!((im2col.channels, im2col.spatial), (2, 3));
        assert_eq!(im2col.taps, [[0, 1], [4, 5], [8, 9]]);
        assert_eq!(Im2col::find(&matrix, true).unwrap().channels, 1);
        // With four positions the taps take a block each, with eight they stand side by side.
        let inputs = im2col.inputs(4);
        assert_eq!(inputs.blocks[1], [Some(1), Some(5), Some(9), None]);
        let inputs = im2col.inputs(8);
        let side = [Some(0), Some(4), Some(8), None, Some(1), Some(5), Some(9), None];
        assert_eq!(inputs.blocks, [side]);
        assert_eq!(im2col.outputs(8).period, 4);
        // Dense rows have no such structure.
        let dense = SparseMatrix::from_rows(4, (0..3).map(|_| vec![(0, 1.0), (2, 1.0)])).unwrap();
        assert_eq!(Im2col::find(&dense, false), None);
    }
}
