//! Sums before weights: columns of a matrix that are equal read the sum of their values.
//!
//! Where an average pool stands before a convolution or a dense layer, the importer folds it into that layer's matrix, which then has each
//! column several times. Adding the values up first takes a rotation or two of each block of inputs and no level, and leaves that many
//! fewer diagonals. The structure is found in the matrix alone, whatever operators it came from.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::Layout;
use crate::network::{Affine, SparseMatrix};

/// A layer whose columns are equal in groups of one size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pool {
    /// For each group, its columns ascending; the groups by their first columns. Columns of zeros are in none.
    pub groups: Vec<Vec<usize>>,
    /// The map of the groups' sums.
    pub affine: Affine,
}

/// Sums of a block with rotations of itself, one after the other: the rotations of each in positions, 0 among them.
pub(super) type Stages = Vec<Vec<usize>>;

impl Pool {
    /// Looks for equal columns. `None` unless all groups have one size, of two columns or more.
    #[must_use]
    pub(super) fn find(affine: &Affine) -> Option<Self> {
        let transposed = affine.matrix.transpose();
        let mut alike: BTreeMap<Vec<(usize, u64)>, Vec<usize>> = BTreeMap::new();
        for (column, entries) in transposed.iter_rows().enumerate() {
            let entries: Vec<_> = entries.map(|(row, value)| (row, value.to_bits())).collect();
            if !entries.is_empty() {
                alike.entry(entries).or_default().push(column);
            }
        }
        let mut groups: Vec<Vec<usize>> = alike.into_values().collect();
        groups.sort_unstable();
        let size = groups.first().map_or(0, Vec::len);
        if size < 2 || groups.iter().any(|group| group.len() != size) {
            return None;
        }
        let firsts: BTreeMap<usize, usize> =
            groups.iter().enumerate().filter_map(|(g, group)| Some((*group.first()?, g))).collect();
        let merged = |row: usize| {
            let entries = affine.matrix.row(row);
            entries.filter_map(|(column, value)| Some((*firsts.get(&column)?, value))).collect()
        };
        let matrix =
            SparseMatrix::from_rows(groups.len(), (0..affine.matrix.rows()).map(merged)).ok()?;
        let affine = Affine::new(matrix, affine.bias.clone()).ok()?;
        Some(Self { groups, affine })
    }

    /// The order of each channel's `spatial` rows in which members of a group stand one phase apart, every phase a power of two of places: then
    /// the sums leave no gaps. `None` when groups reach over channels, channels differ, or the size of a group is no power of two.
    #[must_use]
    pub(super) fn phases(&self, channels: usize, spatial: usize) -> Option<Vec<Option<usize>>> {
        let size = self.groups.first().map_or(0, Vec::len);
        let each = self.groups.len() / channels.max(1);
        if !size.is_power_of_two() || each * channels != self.groups.len() {
            return None;
        }
        let phase = each.next_power_of_two();
        let mut orders = (0..channels).map(|channel| {
            let mut order = vec![None; size * phase];
            for (index, group) in self.groups.iter().skip(channel * each).take(each).enumerate() {
                for (member, &column) in group.iter().enumerate() {
                    let row = column.checked_sub(channel * spatial).filter(|&row| row < spatial)?;
                    *order.get_mut(member * phase + index)? = Some(row);
                }
            }
            Some(order)
        });
        let first = orders.next()??;
        orders.all(|order| order.as_ref() == Some(&first)).then_some(first)
    }

    /// Where the sums stand, and the rotations that make them. `None` unless members of every group stand equally far apart in one block.
    #[must_use]
    pub(super) fn layout(&self, input: &Layout) -> Option<(Layout, Stages)> {
        if input.reach != input.period {
            return None;
        }
        let columns = self.groups.iter().flatten().max().map_or(0, |last| last + 1);
        let homes = input.homes(columns);
        let offsets = self.offsets(&homes, input.period)?;
        let mut group_of = vec![None; columns];
        for (index, group) in self.groups.iter().enumerate() {
            for &column in group {
                *group_of.get_mut(column)? = u32::try_from(index).ok();
            }
        }
        let sum_at = |block: &[Option<u32>], position: usize| -> Option<u32> {
            let mut members = BTreeSet::new();
            let mut found = None;
            for offset in &offsets {
                let feature = (*block.get((position + offset) % input.period)?)?;
                let group = (*group_of.get(feature as usize)?)?;
                if found.is_some_and(|found| found != group) || !members.insert(feature) {
                    return None;
                }
                found = Some(group);
            }
            found
        };
        let mut blocks: Vec<Vec<Option<u32>>> = input
            .blocks
            .iter()
            .map(|block| (0..input.period).map(|position| sum_at(block, position)).collect())
            .collect();
        let whole: BTreeSet<u32> = blocks.iter().flatten().copied().flatten().collect();
        if whole.len() != self.groups.len() {
            return None;
        }
        let mut period = input.period;
        let repeats =
            |block: &Vec<Option<u32>>, half: usize| block[..half] == block[half..2 * half];
        while period > 1 && blocks.iter().all(|block| repeats(block, period / 2)) {
            period /= 2;
        }
        for block in &mut blocks {
            *block =
                (0..input.positions).map(|p| block.get(p % period).copied().flatten()).collect();
        }
        let slot = input.slot / (input.period / period);
        let layout = Layout { positions: input.positions, period, reach: period, slot, blocks };
        Some((layout, factors(offsets)))
    }

    /// How far the members of the first group stand from one of them, which has them all close to its right.
    fn offsets(&self, homes: &[Vec<(usize, usize)>], period: usize) -> Option<Vec<usize>> {
        let places: Vec<(usize, usize)> = self
            .groups
            .first()?
            .iter()
            .map(|&column| homes.get(column)?.first().copied())
            .collect::<Option<_>>()?;
        let &(block, _) = places.first()?;
        if places.iter().any(|&(other, _)| other != block) {
            return None;
        }
        let from = |base: usize| {
            let mut offsets: Vec<usize> =
                places.iter().map(|&(_, place)| (place + period - base) % period).collect();
            offsets.sort_unstable();
            offsets
        };
        places.iter().map(|&(_, base)| from(base)).min_by_key(|offsets| offsets.last().copied())
    }
}

/// A set of offsets as sums of one of each factor, such as {0, 1, 28, 29} = {0, 1} + {0, 28}: adding up by factors takes fewer rotations.
fn factors(mut offsets: Vec<usize>) -> Stages {
    let mut stages = Stages::new();
    while let Some(&step) = offsets.get(1) {
        let runs = (2..offsets.len()).filter(|run| offsets.len().is_multiple_of(*run));
        let found =
            runs.map(|run| (run, tiles(&offsets, step, run))).find(|(_, rest)| rest.is_some());
        match found {
            Some((run, Some(rest))) => {
                stages.push((0..run).map(|index| index * step).collect());
                offsets = rest;
            }
            _ => stages.push(std::mem::take(&mut offsets)),
        }
    }
    stages
}

/// Where the copies of {0, step, 2·step, …}, `run` numbers, begin that make up all offsets.
fn tiles(offsets: &[usize], step: usize, run: usize) -> Option<Vec<usize>> {
    let mut left: BTreeSet<usize> = offsets.iter().copied().collect();
    let mut starts = Vec::new();
    while let Some(&start) = left.first() {
        if !(0..run).all(|index| left.remove(&(start + index * step))) {
            return None;
        }
        starts.push(start);
    }
    Some(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 2×2 pool of a 4×4 map in two channels, and a dense layer.
    fn pooled() -> Affine {
        let group = |column: usize| column / 16 * 4 + column % 16 / 8 * 2 + column % 4 / 2;
        let rows = (0..3).map(|row| {
            (0..32).map(|column| (column, (1 + row * 8 + group(column)) as f64)).collect()
        });
        Affine::new(SparseMatrix::from_rows(32, rows).unwrap(), vec![0.5; 3]).unwrap()
    }

    #[test]
    fn equal_columns_are_found() {
        let pool = Pool::find(&pooled()).unwrap();
        assert_eq!(pool.groups.len(), 8);
        assert_eq!(pool.groups[0], [0, 1, 4, 5]);
        let values: Vec<f64> = (0..32).map(|x| f64::from(x) * 0.25 - 3.0).collect();
        let sums: Vec<f64> =
            pool.groups.iter().map(|group| group.iter().map(|&c| values[c]).sum()).collect();
        assert_eq!(pool.affine.apply(&sums).unwrap(), pooled().apply(&values).unwrap());
        let distinct = SparseMatrix::from_rows(2, [vec![(0, 1.0), (1, 2.0)]]).unwrap();
        assert_eq!(Pool::find(&Affine::new(distinct, vec![0.0]).unwrap()), None);
        // Column 2 stands alone.
        let uneven = SparseMatrix::from_rows(3, [vec![(0, 1.0), (1, 1.0), (2, 2.0)]]).unwrap();
        assert_eq!(Pool::find(&Affine::new(uneven, vec![0.0]).unwrap()), None);
    }

    /// Adds a block's rotations up, as the program will.
    fn summed(values: &[f64], stages: &Stages) -> Vec<f64> {
        stages.iter().fold(values.to_vec(), |values, stage| {
            let at = |p: usize| stage.iter().map(|r| values[(p + r) % values.len()]).sum();
            (0..values.len()).map(at).collect()
        })
    }

    fn check(pool: &Pool, input: &Layout, period: usize, rotations: &Stages) {
        let (layout, stages) = pool.layout(input).unwrap();
        assert_eq!((layout.period, &stages), (period, rotations));
        let value = |feature: u32| f64::from(feature * feature % 37);
        for (sums, features) in layout.blocks.iter().zip(&input.blocks) {
            let values: Vec<f64> = features.iter().map(|f| f.map_or(0.0, value)).collect();
            for (sum, group) in summed(&values, &stages).into_iter().zip(sums) {
                let Some(group) = group else { continue };
                let members = pool.groups[*group as usize].iter();
                assert_eq!(sum, members.map(|&column| value(column as u32)).sum::<f64>());
            }
        }
    }

    #[test]
    fn sums_stand_where_their_members_do() {
        let pool = Pool::find(&pooled()).unwrap();
        check(&pool, &Layout::sequential(32, 64), 32, &vec![vec![0, 1], vec![0, 4]]);
        check(&pool, &Layout::sequential(32, 16), 16, &vec![vec![0, 1], vec![0, 4]]);
        // Members of groups in other blocks than each other.
        assert_eq!(pool.layout(&Layout::sequential(32, 4)), None);
        let order = pool.phases(2, 16).unwrap();
        assert_eq!(order[..6], [Some(0), Some(2), Some(8), Some(10), Some(1), Some(3)]);
        let blocks = (0..2).map(|channel| {
            let feature = |p: usize| order[p % 16].map(|row| (channel * 16 + row) as u32);
            (0..64).map(feature).collect()
        });
        let layout =
            Layout { positions: 64, period: 16, reach: 16, slot: 16, blocks: blocks.collect() };
        check(&pool, &layout, 4, &vec![vec![0, 4], vec![0, 8]]);
        assert_eq!(pool.layout(&layout).unwrap().0.slot, 4);
    }

    #[test]
    fn offsets_fall_into_factors() {
        assert_eq!(factors(vec![0]), Stages::new());
        assert_eq!(factors(vec![0, 3]), [[0, 3]]);
        assert_eq!(factors(vec![0, 1, 2, 3]), [[0, 1], [0, 2]]);
        let square = vec![0, 1, 2, 28, 29, 30, 56, 57, 58];
        assert_eq!(factors(square), [[0, 1, 2], [0, 28, 56]]);
        assert_eq!(factors(vec![0, 1, 5]), [[0, 1, 5]]);
    }
}
