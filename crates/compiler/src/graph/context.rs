//! Stages: what stands behind k squares, and how activations of different stages meet.
//!
//! Stage 0 is the model's input. A value of stage k + 1 is the square of an affine map of stage k, or such a map passed on as
//! it is. So every activation is an affine map of one stage; where two stages meet, the earlier one's values are passed on.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::value::{Activation, Pending, Value};
use super::{fit, volume};
use crate::network::{Affine, SparseMatrix};
use crate::onnx::{
    Fit, ImportOptions, MAX_ACTIVATION_VALUES, MAX_LAYER_WEIGHTS, MAX_NETWORK_WEIGHTS, MAX_SQUARES,
    MAX_WORK, NodeError,
};

/// Most calibration samples that are followed through the network.
const MAX_SAMPLES: usize = 100;
/// Fewest weights of a product for which it may pay to stay factored.
const FACTORED_FROM: usize = 1 << 16;
/// Most multiplications that folding two maps may take.
const FOLDED_BELOW: usize = 1 << 34;
/// A product stays factored where it has this many times the weights of its factors.
const FACTORED_GAIN: usize = 4;

/// Values that were made together from the stage before.
pub(crate) struct Block {
    /// The first one's number in the stage.
    pub(crate) start: usize,
    /// Squared, or passed on.
    pub(crate) squared: bool,
    pub(crate) map: Rc<Affine>,
}

/// The values behind k squares.
#[derive(Default)]
pub(crate) struct Stage {
    pub(crate) blocks: Vec<Block>,
    pub(crate) len: usize,
    /// For each sample what the stage holds, as far as something asked for it.
    samples: Vec<Vec<f64>>,
    /// How many blocks `samples` holds.
    sampled: usize,
    /// By the address of their map: what was squared into this stage, and what was passed on to it. The map is kept, so its
    /// address belongs to it alone.
    squares: HashMap<*const Affine, (Rc<Affine>, Activation)>,
    passes: HashMap<*const Affine, (Rc<Affine>, Activation)>,
    /// Values of the stage before that are passed on as they are: their numbers there and here.
    passed: HashMap<usize, usize>,
}

impl Stage {
    /// Forgets what only further nodes would look up, so that the blocks alone hold their maps.
    pub(crate) fn settle(&mut self) {
        self.squares.clear();
        self.passes.clear();
        self.samples.clear();
    }
}

/// What the import of one model has come to.
pub(crate) struct Context<'a> {
    pub(crate) options: &'a ImportOptions<'a>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) fits: Vec<Fit>,
    /// Weights of all blocks, and what the import has cost so far, in multiplications.
    weights: usize,
    work: usize,
    /// The node at work and its operator, for reports.
    pub(crate) node: Rc<(String, String)>,
}

impl<'a> Context<'a> {
    /// For a model whose input has `inputs` values.
    pub(crate) fn new(options: &'a ImportOptions<'a>, inputs: usize) -> Self {
        let samples = options.samples.iter().take(MAX_SAMPLES).cloned().collect();
        let stage = Stage { len: inputs, samples, ..Stage::default() };
        Self {
            options,
            stages: vec![stage],
            fits: Vec::new(),
            weights: 0,
            work: 0,
            node: Default::default(),
        }
    }

    /// Counts so many multiplications, or numbers written.
    pub(crate) fn spend(&mut self, work: usize) -> Result<(), NodeError> {
        self.work = self.work.saturating_add(work);
        let limit = MAX_WORK;
        if self.work <= limit {
            Ok(())
        } else {
            Err(NodeError::TooLarge { what: "multiplications in all", limit })
        }
    }

    /// Puts a block into the stage after `stage` and gives its first value's number.
    fn append(&mut self, stage: usize, squared: bool, map: Rc<Affine>) -> Result<usize, NodeError> {
        if stage >= MAX_SQUARES {
            return Err(NodeError::TooLarge { what: "squares in a row", limit: MAX_SQUARES });
        }
        self.weights += map.matrix.nonzeros();
        if self.weights > MAX_NETWORK_WEIGHTS {
            let limit = MAX_NETWORK_WEIGHTS;
            return Err(NodeError::TooLarge { what: "weights in all layers", limit });
        }
        if self.stages.len() == stage + 1 {
            self.stages.push(Stage::default());
        }
        let next = &mut self.stages[stage + 1];
        let start = next.len;
        next.len += map.matrix.rows();
        if next.len > MAX_ACTIVATION_VALUES {
            let limit = MAX_ACTIVATION_VALUES;
            return Err(NodeError::TooLarge { what: "values behind as many squares", limit });
        }
        next.blocks.push(Block { start, squared, map });
        Ok(start)
    }

    /// The square of each value.
    pub(crate) fn square(&mut self, x: &Activation) -> Result<Activation, NodeError> {
        let known = self.stages.get(x.stage + 1).and_then(|s| s.squares.get(&Rc::as_ptr(&x.map)));
        if let Some((_, square)) = known {
            return Ok(square.reshaped(x.dims.clone()));
        }
        let start = self.append(x.stage, true, Rc::clone(&x.map))?;
        let stage = &mut self.stages[x.stage + 1];
        let rows = (0..x.len()).map(|index| vec![(start + index, 1.0)]);
        let map = plain(stage.len, rows, x.len())?;
        let square = Activation { dims: x.dims.clone(), stage: x.stage + 1, map };
        stage.squares.insert(Rc::as_ptr(&x.map), (Rc::clone(&x.map), square.clone()));
        Ok(square)
    }

    /// The same values, one stage later: their rows are passed on, or the stage's values that they are made of where those
    /// are fewer.
    pub(crate) fn lifted(&mut self, x: &Activation) -> Result<Activation, NodeError> {
        let known = self.stages.get(x.stage + 1).and_then(|s| s.passes.get(&Rc::as_ptr(&x.map)));
        if let Some((_, lifted)) = known {
            return Ok(lifted.reshaped(x.dims.clone()));
        }
        let matrix = &x.map.matrix;
        let used: BTreeSet<usize> = matrix.columns().iter().copied().collect();
        let filled = matrix.iter_rows().filter(|row| row.len() > 0).count();
        let rows: Vec<Vec<(usize, f64)>> = if used.len() <= filled {
            self.pass_values(x.stage, &used)?;
            let passed = &self.stages[x.stage + 1].passed;
            let moved = |(column, value): (usize, f64)| (passed[&column], value);
            matrix.iter_rows().map(|row| row.map(moved).collect()).collect()
        } else {
            let full = matrix.iter_rows().filter(|row| row.len() > 0).map(Iterator::collect);
            let pass = plain(matrix.cols(), full, filled)?;
            let mut next = self.append(x.stage, false, pass)?;
            let place = |row: usize| {
                let filled = matrix.row(row).len() > 0;
                next += usize::from(filled);
                if filled { vec![(next - 1, 1.0)] } else { Vec::new() }
            };
            (0..x.len()).map(place).collect()
        };
        if self.stages.len() == x.stage + 1 {
            // Constants alone: nothing to pass on, but there must be a stage.
            self.append(x.stage, false, plain(matrix.cols(), [], 0)?)?;
        }
        let stage = &mut self.stages[x.stage + 1];
        let matrix = SparseMatrix::from_rows(stage.len, rows)?;
        let map = Rc::new(Affine::new(matrix, x.map.bias.clone())?);
        let lifted = Activation { dims: x.dims.clone(), stage: x.stage + 1, map };
        stage.passes.insert(Rc::as_ptr(&x.map), (Rc::clone(&x.map), lifted.clone()));
        Ok(lifted)
    }

    /// Passes values of a stage on that were not yet.
    fn pass_values(&mut self, stage: usize, used: &BTreeSet<usize>) -> Result<(), NodeError> {
        let known = self.stages.get(stage + 1).map(|stage| &stage.passed);
        let new: Vec<usize> = used
            .iter()
            .copied()
            .filter(|value| known.is_none_or(|known| !known.contains_key(value)))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let rows = new.iter().map(|&value| vec![(value, 1.0)]);
        let map = plain(self.stages[stage].len, rows, new.len())?;
        let start = self.append(stage, false, map)?;
        self.stages[stage + 1].passed.extend(new.into_iter().zip(start..));
        Ok(())
    }

    /// The same values at a later stage.
    pub(crate) fn at_stage(
        &mut self,
        x: &Activation,
        stage: usize,
    ) -> Result<Activation, NodeError> {
        let mut x = x.clone();
        while x.stage < stage {
            x = self.lifted(&x)?;
        }
        Ok(x)
    }

    /// `left + sign · right`, value by value; both have the same shape.
    pub(crate) fn plus(
        &mut self,
        left: &Activation,
        sign: f64,
        right: &Activation,
    ) -> Result<Activation, NodeError> {
        let stage = left.stage.max(right.stage);
        let (x, y) = (self.at_stage(left, stage)?, self.at_stage(right, stage)?);
        let (left, right) = (&x.map, &y.map);
        expect_weights(left.matrix.nonzeros() + right.matrix.nonzeros())?;
        let rows = left.matrix.iter_rows().zip(right.matrix.iter_rows());
        let rows = rows.map(|(left, right)| {
            left.chain(right.map(|(column, value)| (column, sign * value))).collect()
        });
        let cols = left.matrix.cols().max(right.matrix.cols());
        let matrix = SparseMatrix::from_rows(cols, rows)?;
        let bias = left.bias.iter().zip(&right.bias).map(|(left, right)| left + sign * right);
        let map = Rc::new(Affine::new(matrix, bias.collect())?);
        Ok(Activation { dims: x.dims, stage, map })
    }

    /// Value `i` of the result is value `place` of activation `part`, where `sources[i]` is `(part, place)`.
    pub(crate) fn joined(
        &mut self,
        dims: Vec<usize>,
        parts: &[Activation],
        sources: &[(usize, usize)],
    ) -> Result<Activation, NodeError> {
        activation_volume(&dims)?;
        let stage = parts.iter().map(|part| part.stage).max().unwrap_or(0);
        let parts = parts.iter().map(|part| self.at_stage(part, stage));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let weights = sources.iter().map(|&(part, place)| parts[part].map.matrix.row(place).len());
        expect_weights(weights.sum())?;
        let rows = sources.iter().map(|&(part, place)| parts[part].map.matrix.row(place).collect());
        let cols = parts.iter().map(|part| part.map.matrix.cols()).max().unwrap_or(0);
        let matrix = SparseMatrix::from_rows(cols, rows)?;
        let bias = sources.iter().map(|&(part, place)| parts[part].map.bias[place]).collect();
        Ok(Activation { dims, stage, map: Rc::new(Affine::new(matrix, bias)?) })
    }

    /// Value `i` of the result is value `sources[i]` of `value`; `dims` has as many values as `sources`.
    pub(crate) fn gathered(
        &mut self,
        value: &Value,
        dims: Vec<usize>,
        sources: &[usize],
    ) -> Result<Value, NodeError> {
        if let Value::Constant(tensor) = value {
            return Ok(Value::Constant(tensor.gathered(dims, sources)));
        }
        let x = self.forced(value)?;
        expect_some(&dims)?;
        let sources: Vec<(usize, usize)> = sources.iter().map(|&place| (0, place)).collect();
        Ok(self.joined(dims, &[x], &sources)?.into())
    }

    /// The activation after an affine map, given as rows of `(index in this activation, weight)` and a bias (none: zeros).
    ///
    /// `weights` is how many entries the rows have together: checked before the first row is made. The map is folded into the
    /// one before it, unless the two stay much smaller apart.
    pub(crate) fn linear(
        &mut self,
        x: &Activation,
        dims: Vec<usize>,
        weights: usize,
        rows: impl IntoIterator<Item = Vec<(usize, f64)>>,
        bias: Option<Vec<f64>>,
    ) -> Result<Activation, NodeError> {
        let outputs = expect_some(&dims)?;
        expect_weights(weights)?;
        let matrix = SparseMatrix::from_rows(x.len(), rows)?;
        let next = Affine::new(matrix, bias.unwrap_or_else(|| vec![0.0; outputs]))?;
        let x =
            if stays_factored(&next.matrix, &x.map.matrix) { self.lifted(x)? } else { x.clone() };
        let (_, multiplications) = next.matrix.product_cost(&x.map.matrix);
        self.spend(multiplications)?;
        Ok(Activation { dims, stage: x.stage, map: Rc::new(x.map.then(&next)?) })
    }

    /// The activation that `value` is, its functions applied.
    pub(crate) fn forced(&mut self, value: &Value) -> Result<Activation, NodeError> {
        match value {
            Value::Activation(activation) => Ok(activation.clone()),
            Value::Pending(pending) => self.applied(pending),
            Value::Constant(tensor) => {
                let bias = tensor.reals(0)?.to_vec();
                let rows = bias.iter().map(|_| Vec::new());
                let map = Rc::new(Affine::new(SparseMatrix::from_rows(0, rows)?, bias)?);
                Ok(Activation { dims: tensor.dims.clone(), stage: 0, map })
            }
            Value::Formed(formed) => Err(NodeError::Form(formed.operator)),
        }
    }

    pub(crate) fn applied(&mut self, pending: &Pending) -> Result<Activation, NodeError> {
        if let Some(done) = pending.forced.get() {
            return Ok(done.reshaped(pending.base.dims.clone()));
        }
        let done = fit::apply(self, &pending.base, &pending.expression, &pending.node).map_err(
            |fault| {
                let (node, operator) = (*pending.node).clone();
                NodeError::At { node, operator, fault: Box::new(fault) }
            },
        )?;
        Ok(pending.forced.get_or_init(|| done).clone())
    }

    /// What `x` is for each calibration sample.
    pub(crate) fn samples(&mut self, x: &Activation) -> Result<Vec<Vec<f64>>, NodeError> {
        let count = self.stages.first().map_or(0, |stage| stage.samples.len());
        self.spend(count * x.map.matrix.nonzeros())?;
        for stage in 1..=x.stage {
            let blocks = &self.stages[stage].blocks[self.stages[stage].sampled..];
            let weights: usize = blocks.iter().map(|block| block.map.matrix.nonzeros()).sum();
            self.spend(count * weights)?;
            let (before, from) = self.stages.split_at_mut(stage);
            let (Some(before), Some(stage)) = (before.last(), from.first_mut()) else { break };
            stage.samples.resize(before.samples.len(), Vec::new());
            for block in &stage.blocks[stage.sampled..] {
                let cols = block.map.matrix.cols();
                for (values, earlier) in stage.samples.iter_mut().zip(&before.samples) {
                    let made = block.map.apply(&earlier[..cols])?;
                    values.extend(made.iter().map(|&v| if block.squared { v * v } else { v }));
                }
            }
            stage.sampled = stage.blocks.len();
        }
        let cols = x.map.matrix.cols();
        let stage = &self.stages[x.stage];
        Ok(stage.samples.iter().map(|v| x.map.apply(&v[..cols])).collect::<Result<_, _>>()?)
    }
}

/// A map without bias.
fn plain(
    cols: usize,
    rows: impl IntoIterator<Item = Vec<(usize, f64)>>,
    count: usize,
) -> Result<Rc<Affine>, NodeError> {
    Ok(Rc::new(Affine::new(SparseMatrix::from_rows(cols, rows)?, vec![0.0; count])?))
}

/// Whether `next · map` would have so many more weights than the two that a level is well spent on keeping them apart.
fn stays_factored(next: &SparseMatrix, map: &SparseMatrix) -> bool {
    if map.nonzeros() <= map.rows() {
        // At most one entry in each row: the product has no more weights than `next`.
        return false;
    }
    let (most, multiplications) = next.product_cost(map);
    if multiplications > FOLDED_BELOW {
        return true;
    }
    let apart = next.nonzeros() + map.nonzeros();
    if most < FACTORED_FROM || most <= FACTORED_GAIN * apart {
        return false;
    }
    let together = next.product_nonzeros(map, 64);
    together > FACTORED_GAIN * apart || together > MAX_LAYER_WEIGHTS
}

/// The number of values in an activation of shape `dims`.
pub(crate) fn activation_volume(dims: &[usize]) -> Result<usize, NodeError> {
    let limit = MAX_ACTIVATION_VALUES;
    volume(dims, limit).ok_or(NodeError::TooLarge { what: "values in its result", limit })
}

fn expect_some(dims: &[usize]) -> Result<usize, NodeError> {
    match activation_volume(dims)? {
        0 => Err(NodeError::Shapes {
            shapes: vec![dims.to_vec()],
            rule: "the result would be empty",
        }),
        some => Ok(some),
    }
}

fn expect_weights(count: usize) -> Result<(), NodeError> {
    let limit = MAX_LAYER_WEIGHTS;
    if count <= limit { Ok(()) } else { Err(NodeError::TooLarge { what: "weights", limit }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(inputs: usize) -> (Context<'static>, Activation) {
        static OPTIONS: std::sync::OnceLock<ImportOptions<'static>> = std::sync::OnceLock::new();
        let context = Context::new(OPTIONS.get_or_init(ImportOptions::default), inputs);
        (context, Activation::part(vec![1, inputs], inputs, 0).unwrap())
    }

    /// A dense map with made-up weights.
    fn dense(context: &mut Context<'_>, x: &Activation, outputs: usize) -> Activation {
        let (inputs, weight) = (x.len(), |i: usize, j: usize| 1.0 + ((3 * i + j) % 7) as f64);
        let rows = (0..outputs).map(|i| (0..inputs).map(|j| (j, weight(i, j))).collect());
        context.linear(x, vec![1, outputs], inputs * outputs, rows, None).unwrap()
    }

    #[test]
    fn a_branch_passes_as_rows_or_values_whichever_are_fewer() {
        let (mut narrow, x) = context(10);
        let few = dense(&mut narrow, &x, 3);
        assert_eq!(narrow.lifted(&few).unwrap().stage, 1);
        assert_eq!(narrow.stages[1].len, 3);
        // Again, or under another shape: nothing new.
        let again = narrow.lifted(&few.reshaped(vec![3])).unwrap();
        assert_eq!((again.dims, narrow.stages[1].len), (vec![3], 3));

        let (mut wide, x) = context(3);
        let many = dense(&mut wide, &x, 10);
        let lifted = wide.lifted(&many).unwrap();
        assert_eq!((wide.stages[1].len, lifted.map.matrix.nonzeros()), (3, 30));
        // The values themselves are there already.
        wide.lifted(&x).unwrap();
        assert_eq!(wide.stages[1].len, 3);
    }

    #[test]
    fn equal_squares_are_made_once_and_branches_meet_at_the_later_stage() {
        let (mut context, x) = context(4);
        let square = context.square(&x).unwrap();
        assert!(context.square(&x).unwrap().same_as(&square));
        let fourth = context.square(&square).unwrap();
        let sum = context.plus(&fourth, -1.0, &x).unwrap();
        assert_eq!(sum.stage, 2);
        let lengths: Vec<usize> = context.stages.iter().map(|stage| stage.len).collect();
        assert_eq!(lengths, [4, 8, 8]);
    }

    #[test]
    fn a_bottleneck_stays_factored() {
        let (mut context, x) = context(600);
        let narrow = dense(&mut context, &x, 10);
        let wide = dense(&mut context, &narrow, 600);
        assert_eq!((wide.stage, wide.map.matrix.nonzeros()), (1, 6000));
        assert!(context.stages[1].blocks.iter().all(|block| !block.squared));
        // A funnel folds: its product is smaller than its parts.
        let funnel = dense(&mut context, &narrow, 5);
        assert_eq!((funnel.stage, funnel.map.matrix.nonzeros()), (0, 3000));
    }
}
