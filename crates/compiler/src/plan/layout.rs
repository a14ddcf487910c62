//! Where features stand: blocks of positions, and the first layer's inputs.
//!
//! A block is one ciphertext (for each group of lanes). `positions` = t of them hold features; a layout whose `period` is
//! smaller than t holds every feature t/period times, computed identically in every place.

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
        Self { positions, period, blocks }
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

/// A first layer whose inputs the data owner lays out for it (im2col), so that it needs no rotation.
///
/// The rows are `channels` times `spatial`; row `c·spatial + p` reads only columns of `taps[p]`. Tap number j of all p makes
/// one input block (or several, when `spatial` exceeds the positions of a block), and the weights of channel c for that tap another
/// vector in the same order: products fall into place, shift 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Im2col {
    /// Groups of rows with the same columns.
    pub channels: usize,
    /// Rows of a channel.
    pub spatial: usize,
    /// For each row of a channel, the columns that some channel reads there, ascending.
    pub taps: Vec<Vec<usize>>,
}

impl Im2col {
    /// Looks for the structure in a first layer, however the matrix came about: rows must be sparse, and `spatial` is the smallest divisor
    /// of their number for which sharing columns between channels costs no further tap.
    #[must_use]
    pub(super) fn find(matrix: &SparseMatrix) -> Option<Self> {
        let rows = matrix.rows();
        let densest = (0..rows).map(|row| matrix.row(row).len()).max()?;
        if densest == 0 || densest * SPARSE > matrix.cols() {
            return None;
        }
        (1..=rows).filter(|&spatial| rows.is_multiple_of(spatial)).find_map(|spatial| {
            let taps = shared_columns(matrix, spatial, densest)?;
            Some(Self { channels: rows / spatial, spatial, taps })
        })
    }

    /// How many input blocks a group of positions needs.
    #[must_use]
    pub(super) fn depth(&self) -> usize {
        self.taps.iter().map(Vec::len).max().unwrap_or(0)
    }

    fn period(&self, positions: usize) -> usize {
        self.spatial.next_power_of_two().min(positions)
    }

    /// Blocks that one channel's rows fill.
    #[must_use]
    pub(super) fn chunks(&self, positions: usize) -> usize {
        self.spatial.div_ceil(self.period(positions))
    }

    /// The row within its channel that stands at a position of a chunk.
    fn row_at(&self, positions: usize, chunk: usize, position: usize) -> Option<usize> {
        let period = self.period(positions);
        let row = chunk * period + position % period;
        (row < self.spatial).then_some(row)
    }

    /// The input blocks: for each chunk, one for each tap.
    #[must_use]
    pub(super) fn inputs(&self, positions: usize) -> Layout {
        let mut blocks = Vec::new();
        for chunk in 0..self.chunks(positions) {
            for tap in 0..self.depth() {
                let at = |position| {
                    let row = self.row_at(positions, chunk, position)?;
                    self.taps.get(row)?.get(tap).and_then(|&column| u32::try_from(column).ok())
                };
                blocks.push((0..positions).map(at).collect());
            }
        }
        Layout { positions, period: self.period(positions), blocks }
    }

    /// The output blocks: for each channel, its chunks.
    #[must_use]
    pub(super) fn outputs(&self, positions: usize) -> Layout {
        let mut blocks = Vec::new();
        for channel in 0..self.channels {
            for chunk in 0..self.chunks(positions) {
                let at = |position| {
                    let row = self.row_at(positions, chunk, position)?;
                    u32::try_from(channel * self.spatial + row).ok()
                };
                blocks.push((0..positions).map(at).collect());
            }
        }
        Layout { positions, period: self.period(positions), blocks }
    }

    /// The weights of output block `output` (as [`Im2col::outputs`] counts) for tap `tap`, and the input block (as
    /// [`Im2col::inputs`] counts) that they meet.
    #[must_use]
    pub(super) fn weights(
        &self,
        affine: &Affine,
        positions: usize,
        output: usize,
        tap: usize,
    ) -> (usize, Vec<f64>) {
        let chunks = self.chunks(positions);
        let (channel, chunk) = (output / chunks, output % chunks);
        let at = |position| {
            let row = self.row_at(positions, chunk, position)?;
            let column = *self.taps.get(row)?.get(tap)?;
            Some(affine.matrix.get(channel * self.spatial + row, column))
        };
        let weights = (0..positions).map(|position| at(position).unwrap_or(0.0)).collect();
        (chunk * self.depth() + tap, weights)
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
