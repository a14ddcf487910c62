//! From stages to alternating layers: what the outputs do not need drops out, squares come before what is passed on.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::context::{Block, Stage};
use super::value::Activation;
use crate::network::{Affine, Layer, ShapeError, SparseMatrix};

/// The alternating layers that end in `output`. The stages' maps go as they are used: large ones are not held twice.
pub(crate) fn layers(stages: Vec<Stage>, output: Activation) -> Result<Vec<Layer>, ShapeError> {
    let inputs = stages.first().map_or(0, |stage| stage.len);
    let mut layers = Vec::new();
    let mut later = Rows::of(&output.map);
    let depth = output.stage;
    drop(output);
    for stage in stages.into_iter().skip(1).take(depth).rev() {
        let (order, squared) = needed(&stage, &later);
        let mut place = vec![usize::MAX; stage.len];
        order.iter().enumerate().for_each(|(new, &old)| place[old] = new);
        layers.push(Layer::Affine(later.affine(order.len(), &place)?));
        layers.push(Layer::Square { squared });
        later = Rows::values(stage, &order);
    }
    let same: Vec<usize> = (0..inputs).collect();
    layers.push(Layer::Affine(later.affine(inputs, &same)?));
    layers.reverse();
    Ok(layers)
}

/// Rows of maps that share their stage.
struct Rows {
    list: Vec<(Rc<Affine>, usize)>,
}

impl Rows {
    fn of(map: &Rc<Affine>) -> Self {
        Self { list: (0..map.matrix.rows()).map(|row| (Rc::clone(map), row)).collect() }
    }

    /// The rows that make the values `order` of a stage.
    fn values(stage: Stage, order: &[usize]) -> Self {
        let row = |&value: &usize| {
            let block = block(&stage.blocks, value);
            (Rc::clone(&block.map), value - block.start)
        };
        Self { list: order.iter().map(row).collect() }
    }

    /// The rows as one map, whose columns move to where `place` says.
    fn affine(self, cols: usize, place: &[usize]) -> Result<Affine, ShapeError> {
        let stay = cols == place.len() && place.iter().enumerate().all(|(old, &new)| old == new);
        match self.whole() {
            Ok(map) if stay && map.matrix.cols() == cols => Ok(Rc::unwrap_or_clone(map)),
            Ok(map) => {
                let rows = map
                    .matrix
                    .iter_rows()
                    .map(|row| row.map(|(column, value)| (place[column], value)).collect());
                Affine::new(SparseMatrix::from_rows(cols, rows)?, map.bias.clone())
            }
            Err(Self { list }) => {
                let rows = list.iter().map(|(map, row)| {
                    map.matrix.row(*row).map(|(column, value)| (place[column], value)).collect()
                });
                let bias = list.iter().map(|(map, row)| map.bias[*row]).collect();
                Affine::new(SparseMatrix::from_rows(cols, rows)?, bias)
            }
        }
    }

    /// The one map that these are the rows of, all and in order.
    fn whole(self) -> Result<Rc<Affine>, Self> {
        let one = match self.list.first() {
            Some((map, _)) if map.matrix.rows() == self.list.len() => Rc::clone(map),
            _ => return Err(self),
        };
        let mut rows = self.list.iter().enumerate();
        if rows.all(|(index, (map, row))| index == *row && Rc::ptr_eq(map, &one)) {
            Ok(one)
        } else {
            Err(self)
        }
    }
}

fn block(blocks: &[Block], value: usize) -> &Block {
    &blocks[blocks.partition_point(|block| block.start <= value) - 1]
}

/// The values of a stage that later rows use, squares first, and how many are squares.
fn needed(stage: &Stage, later: &Rows) -> (Vec<usize>, usize) {
    let rows = later.list.iter().flat_map(|(map, row)| map.matrix.row(*row));
    let used: BTreeSet<usize> = rows.map(|(column, _)| column).collect();
    let (mut order, passed): (Vec<usize>, Vec<usize>) =
        used.into_iter().partition(|&value| block(&stage.blocks, value).squared);
    let squared = order.len();
    order.extend(passed);
    (order, squared)
}
