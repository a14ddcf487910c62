//! From stages to alternating layers: what the output does not need drops out, squares come before what is passed on.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::context::{Block, Stage};
use super::value::Activation;
use crate::network::{Affine, Layer, ShapeError, SparseMatrix};

/// The alternating layers that end in `output`.
pub(crate) fn layers(stages: &[Stage], output: &Activation) -> Result<Vec<Layer>, ShapeError> {
    let mut layers = Vec::new();
    let mut later = Rows::of(&output.map);
    for stage in stages[..=output.stage].iter().rev() {
        if stage.blocks.is_empty() {
            break;
        }
        let (order, squared) = needed(stage, &later);
        let mut place = vec![usize::MAX; stage.len];
        order.iter().enumerate().for_each(|(new, &old)| place[old] = new);
        layers.push(Layer::Affine(later.affine(order.len(), |column| place[column])?));
        layers.push(Layer::Square { squared });
        later = Rows::values(stage, order);
    }
    layers.push(Layer::Affine(later.affine(stages.first().map_or(0, |s| s.len), |column| column)?));
    layers.reverse();
    Ok(layers)
}

/// Rows of maps that share their stage.
struct Rows<'a> {
    list: Vec<(&'a Rc<Affine>, usize)>,
}

impl<'a> Rows<'a> {
    fn of(map: &'a Rc<Affine>) -> Self {
        Self { list: (0..map.matrix.rows()).map(|row| (map, row)).collect() }
    }

    /// The rows that make the values `order` of a stage.
    fn values(stage: &'a Stage, order: Vec<usize>) -> Self {
        let row = |value: usize| {
            let block = block(stage, value);
            (&block.map, value - block.start)
        };
        Self { list: order.into_iter().map(row).collect() }
    }

    fn affine(&self, cols: usize, place: impl Fn(usize) -> usize) -> Result<Affine, ShapeError> {
        let rows = self.list.iter().map(|(map, row)| {
            map.matrix.row(*row).map(|(column, value)| (place(column), value)).collect()
        });
        let bias = self.list.iter().map(|(map, row)| map.bias[*row]);
        Affine::new(SparseMatrix::from_rows(cols, rows)?, bias.collect())
    }
}

fn block(stage: &Stage, value: usize) -> &Block {
    let index = stage.blocks.partition_point(|block| block.start <= value);
    &stage.blocks[index - 1]
}

/// The values of a stage that later rows use, squares first, and how many are squares.
fn needed(stage: &Stage, later: &Rows<'_>) -> (Vec<usize>, usize) {
    let rows = later.list.iter().flat_map(|(map, row)| map.matrix.row(*row));
    let used: BTreeSet<usize> = rows.map(|(column, _)| column).collect();
    let (mut order, passed): (Vec<usize>, Vec<usize>) =
        used.into_iter().partition(|&value| block(stage, value).squared);
    let squared = order.len();
    order.extend(passed);
    (order, squared)
}
