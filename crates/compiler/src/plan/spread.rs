//! Outputs that stay on the grid of their inputs.
//!
//! A layer that reads neighbours (a convolution, a pool) has as many diagonals as there are distinct distances from an output to what it
//! reads. Outputs in order lose the grid: distances differ from row to row. So here an output stands where the first thing that it reads
//! stands, or wherever else its distances are those of the outputs before it; channels go into slots of one size, side by side as far as a
//! block reaches (Gazelle's packed convolution; a stride leaves gaps). The structure is found in the matrix alone, whatever operators it came from.

use std::collections::BTreeSet;
use std::ops::Range;

use super::layout::Layout;
use crate::network::SparseMatrix;

/// Taps of an output from which places are tried.
const TAPS_TRIED: usize = 3;

/// Where one part of the outputs, those squared or those passed, may stand: place `places[p]` for row p of the first channel.
struct Part {
    rows: Range<usize>,
    /// Rows with the same columns in each.
    channels: usize,
    places: Vec<Place>,
}

/// Block (0 when there are several channels: their slots decide) and position.
type Place = (usize, usize);

/// Outputs of a layer on the grid of its inputs, the first `squared` in blocks of their own, and the number of those blocks. `None` when
/// the inputs have no grid or the outputs do not fit it.
#[must_use]
pub(super) fn spread(
    matrix: &SparseMatrix,
    input: &Layout,
    squared: usize,
) -> Option<(Layout, usize)> {
    if input.slot == 0 || input.reach != input.period {
        return None;
    }
    let homes: Vec<Option<Place>> =
        input.homes(matrix.cols()).iter().map(|places| places.first().copied()).collect();
    let parts = [0..squared, squared..matrix.rows()].into_iter().filter(|rows| !rows.is_empty());
    let found: Vec<(Range<usize>, usize, Vec<Vec<usize>>)> = parts
        .map(|rows| {
            let (channels, taps) = channels(matrix, rows.clone())?;
            Some((rows, channels, taps))
        })
        .collect::<Option<_>>()?;
    let fitting = (input.positions / input.slot).max(1);
    let period_of = |channels: usize| match channels {
        1 => input.period,
        _ => (channels.min(fitting) * input.slot).next_power_of_two().min(input.positions),
    };
    let period = found.iter().map(|(_, channels, _)| period_of(*channels)).max()?;
    let mut blocks: Vec<Vec<Option<u32>>> = Vec::new();
    let mut before = 0;
    for (rows, channels, taps) in found {
        let places = places(&taps, &homes, period.min(input.period), channels == 1)?;
        let part = Part { rows, channels, places };
        let (first, end) = (blocks.len(), part.rows.end);
        part.fill(&mut blocks, period, input, fitting)?;
        blocks.retain(|block| block.iter().any(Option::is_some));
        if end == squared {
            before = blocks.len() - first;
        }
    }
    for block in &mut blocks {
        *block = (0..input.positions).map(|p| block.get(p % period).copied().flatten()).collect();
    }
    let layout =
        Layout { positions: input.positions, period, reach: period, slot: input.slot, blocks };
    Some((layout, before))
}

impl Part {
    /// Adds blocks of `period` positions; `None` when two outputs would stand in one place.
    fn fill(
        &self,
        blocks: &mut Vec<Vec<Option<u32>>>,
        period: usize,
        input: &Layout,
        fitting: usize,
    ) -> Option<()> {
        let first = blocks.len();
        for channel in 0..self.channels {
            for (row, &(block, position)) in self.places.iter().enumerate() {
                let (block, position) = match self.channels {
                    1 => (block, position),
                    _ => (channel / fitting, position + channel % fitting * input.slot),
                };
                if blocks.len() <= first + block {
                    blocks.resize(first + block + 1, vec![None; period]);
                }
                let place = blocks.get_mut(first + block)?.get_mut(position % period)?;
                let output = self.rows.start + channel * self.places.len() + row;
                if place.replace(u32::try_from(output).ok()?).is_some() {
                    return None;
                }
            }
        }
        Some(())
    }
}

/// The number of channels among these rows, and for each row of a channel what the channels read there together: the most channels for
/// which that is hardly more than what one reads. `None` for dense rows.
fn channels(matrix: &SparseMatrix, rows: Range<usize>) -> Option<(usize, Vec<Vec<usize>>)> {
    let densest = rows.clone().map(|row| matrix.row(row).len()).max()?;
    if densest == 0 || 2 * densest > matrix.cols() {
        return None;
    }
    let count = rows.len();
    (1..=count).filter(|&spatial| count.is_multiple_of(spatial)).find_map(|spatial| {
        let limit = if spatial == count { densest } else { densest * 3 / 2 };
        let taps = (0..spatial)
            .map(|p| {
                let mut columns = BTreeSet::new();
                for row in (rows.start + p..rows.end).step_by(spatial) {
                    columns.extend(matrix.row(row).map(|(column, _)| column));
                    if columns.len() > limit {
                        return None;
                    }
                }
                Some(columns.into_iter().collect())
            })
            .collect::<Option<Vec<_>>>()?;
        Some((count / spatial, taps))
    })
}

/// Gives every row of a channel a place, such that few distances occur, modulo `period`. With `own`, a row stands in the block of the first thing
/// that it reads.
fn places(
    taps: &[Vec<usize>],
    homes: &[Option<Place>],
    period: usize,
    own: bool,
) -> Option<Vec<Place>> {
    let home = |column: &usize| homes.get(*column).copied().flatten();
    let mut places: Vec<Option<Place>> = vec![None; taps.len()];
    // By block that is read and block that stands there: distances so far.
    let mut known: BTreeSet<(usize, usize, usize)> = BTreeSet::new();
    let fullest = (0..taps.len()).max_by_key(|&row| (taps[row].len(), std::cmp::Reverse(row)))?;
    let order = std::iter::once(fullest).chain((0..taps.len()).filter(|&row| row != fullest));
    let mut last: Option<(Place, usize)> = None;
    let mut taken: BTreeSet<Place> = BTreeSet::new();
    for row in order {
        let read: Vec<Place> = taps[row].iter().filter_map(home).collect();
        let &(block, first) = read.first()?;
        let to = if own { block } else { 0 };
        let distance = |from: usize, place: usize| (from + period - place % period) % period;
        let new = |place: usize| {
            read.iter()
                .filter(|&&(from, at)| !known.contains(&(from, to, distance(at % period, place))))
                .count()
        };
        // As far on as what is read first is, or where some distance is a known one.
        let onward =
            last.map(|((_, place), before)| (place + first + period - before % period) % period);
        let tried = read.iter().take(TAPS_TRIED).flat_map(|&(from, at)| {
            let range = (from, to, 0)..=(from, to, usize::MAX);
            known.range(range).map(move |&(_, _, shift)| (at + period - shift) % period)
        });
        let candidates = onward.into_iter().chain(tried).chain([first % period]);
        let mut best: Option<(usize, usize)> = None;
        for place in candidates.filter(|&place| !taken.contains(&(to, place))) {
            let count = new(place);
            if best.is_none_or(|(least, _)| count < least) {
                best = Some((count, place));
            }
            if count == 0 {
                break;
            }
        }
        let (_, place) = best?;
        known.extend(read.iter().map(|&(from, at)| (from, to, distance(at % period, place))));
        taken.insert((to, place));
        last = Some(((to, place), first));
        *places.get_mut(row)? = Some((to, place));
    }
    places.into_iter().collect()
}
