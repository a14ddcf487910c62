//! A network as the planner sees it: sparse affine maps, and between two of them squares of some of the values.

mod ports;
mod sparse;

pub use ports::{Input, Output, OutputForm};
pub use sparse::SparseMatrix;

/// Numbers that do not fit each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A vector or a factor of the wrong length.
    #[error("expected {expected} values, got {actual}")]
    Length {
        /// What fits.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// A matrix entry outside its row.
    #[error("column {column} in a matrix of {cols} columns")]
    Column {
        /// The entry's column.
        column: usize,
        /// The matrix's width.
        cols: usize,
    },
    /// More squares than values.
    #[error("{squared} of {values} values are to be squared")]
    Squared {
        /// How many are to be squared.
        squared: usize,
        /// How many there are.
        values: usize,
    },
    /// Layers that do not start and end with an affine map, or do not alternate.
    #[error("layer {layer} breaks the turn affine, square, affine, …, affine")]
    Turn {
        /// The first layer out of turn (counted from 0), or their number when a last affine map is missing.
        layer: usize,
    },
}

impl ShapeError {
    pub(crate) fn expect_length(expected: usize, actual: usize) -> Result<(), Self> {
        if expected == actual { Ok(()) } else { Err(Self::Length { expected, actual }) }
    }
}

/// The map `x ↦ matrix · x + bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// One row for each output, one column for each input.
    pub matrix: SparseMatrix,
    /// One value for each output.
    pub bias: Vec<f64>,
}

impl Affine {
    /// `x ↦ matrix · x + bias`.
    ///
    /// # Errors
    /// `bias` has not one value for each row.
    pub fn new(matrix: SparseMatrix, bias: Vec<f64>) -> Result<Self, ShapeError> {
        ShapeError::expect_length(matrix.rows(), bias.len())?;
        Ok(Self { matrix, bias })
    }

    /// `x ↦ x` on `n` values.
    pub fn identity(n: usize) -> Self {
        Self { matrix: SparseMatrix::identity(n), bias: vec![0.0; n] }
    }

    /// `matrix · input + bias`.
    ///
    /// # Errors
    /// `input` has not one value for each column.
    pub fn apply(&self, input: &[f64]) -> Result<Vec<f64>, ShapeError> {
        let mut output = self.matrix.apply(input)?;
        ShapeError::expect_length(output.len(), self.bias.len())?;
        output.iter_mut().zip(&self.bias).for_each(|(value, bias)| *value += bias);
        Ok(output)
    }

    /// This map followed by `next`, as one map.
    ///
    /// # Errors
    /// `next` does not take as many values as this map gives.
    pub fn then(&self, next: &Self) -> Result<Self, ShapeError> {
        Self::new(next.matrix.matmul(&self.matrix)?, next.apply(&self.bias)?)
    }
}

/// One layer of a [`Network`].
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// An affine map.
    Affine(Affine),
    /// `x ↦ x²` for the first values, the rest as they are.
    Square {
        /// How many are squared: 0 when the layer stands between two linear maps that are kept apart because their product
        /// would be denser than both.
        squared: usize,
    },
}

/// A network in alternating form: affine, square, affine, …, affine. What goes past a square (a residual branch, one of several results)
/// is a value that the square passes through.
///
/// The ONNX importer and [`Network::new`] guarantee the form: layers 0, 2, 4, … are affine, the others squares, their
/// number is odd, and neighbouring sizes fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// For people: the graph's name, or the file's.
    pub name: String,
    /// Shape of one sample without the batch dimension, e.g. `[1, 28, 28]`; values run in row-major order.
    pub input_shape: Vec<usize>,
    /// Affine and square in turn.
    pub layers: Vec<Layer>,
    /// What the input is made of; one after the other they are the flat sample.
    pub inputs: Vec<Input>,
    /// What the outputs are made of, and the forms in which they are read. They cover all logits.
    pub outputs: Vec<Output>,
}

impl Network {
    /// A network whose layers are already in alternating form.
    ///
    /// # Errors
    /// A layer out of turn, or one that does not fit the values before it.
    pub fn new(
        name: impl Into<String>,
        input_shape: Vec<usize>,
        layers: Vec<Layer>,
    ) -> Result<Self, ShapeError> {
        let mut length = input_shape.iter().product();
        for (index, layer) in layers.iter().enumerate() {
            match (layer, index % 2 == 0) {
                (Layer::Affine(affine), true) => {
                    ShapeError::expect_length(affine.matrix.cols(), length)?;
                    ShapeError::expect_length(affine.matrix.rows(), affine.bias.len())?;
                    length = affine.matrix.rows();
                }
                (&Layer::Square { squared }, false) if squared > length => {
                    return Err(ShapeError::Squared { squared, values: length });
                }
                (Layer::Square { .. }, false) => {}
                _ => return Err(ShapeError::Turn { layer: index }),
            }
        }
        if layers.len().is_multiple_of(2) {
            return Err(ShapeError::Turn { layer: layers.len() });
        }
        let inputs = vec![Input { name: "input".to_owned(), shape: input_shape.clone() }];
        let output = Output {
            name: "output".to_owned(),
            shape: vec![length],
            first: 0,
            form: OutputForm::Logits,
        };
        Ok(Self { name: name.into(), input_shape, layers, inputs, outputs: vec![output] })
    }

    /// The network with names, shapes and forms of its inputs and outputs.
    ///
    /// # Errors
    /// Inputs that are not as long as a sample, or an output behind the last logit.
    pub fn with_ports(self, inputs: Vec<Input>, outputs: Vec<Output>) -> Result<Self, ShapeError> {
        let length = inputs.iter().map(|input| input.shape.iter().product::<usize>()).sum();
        ShapeError::expect_length(self.input_len(), length)?;
        let end = outputs.iter().map(|output| output.first + output.len()).max().unwrap_or(0);
        ShapeError::expect_length(self.output_len(), end)?;
        Ok(Self { inputs, outputs, ..self })
    }

    /// Values in one sample.
    pub fn input_len(&self) -> usize {
        self.input_shape.iter().product()
    }

    /// Values (logits) that one sample gives.
    pub fn output_len(&self) -> usize {
        let affine = self.affines().last();
        affine.map_or_else(|| self.input_len(), |affine| affine.matrix.rows())
    }

    /// The affine maps, first to last.
    pub fn affines(&self) -> impl DoubleEndedIterator<Item = &Affine> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Affine(affine) => Some(affine),
            Layer::Square { .. } => None,
        })
    }

    /// For each affine map, how many of its outputs are squared; 0 for the last one.
    pub fn squared(&self) -> impl Iterator<Item = usize> + '_ {
        let squared = self.layers.iter().filter_map(|layer| match layer {
            Layer::Affine(_) => None,
            &Layer::Square { squared } => Some(squared),
        });
        squared.chain(std::iter::once(0))
    }

    /// Layers that square anything: the network's result is a polynomial in its input of degree `2^squares()` at most.
    pub fn squares(&self) -> usize {
        self.squared().filter(|&squared| squared > 0).count()
    }

    /// Products of ciphertexts on the longest way from input to output: one for each affine map and each layer that squares.
    pub fn depth(&self) -> usize {
        self.affines().count() + self.squares()
    }

    /// Runs one sample in the clear, in f64.
    ///
    /// # Errors
    /// `input` has not [`Self::input_len`] values.
    pub fn run(&self, input: &[f64]) -> Result<Vec<f64>, ShapeError> {
        ShapeError::expect_length(self.input_len(), input.len())?;
        self.layers.iter().try_fold(input.to_vec(), |values, layer| layer.apply(values))
    }

    /// Runs one sample in the clear and gives what comes out of every layer, the last being the logits.
    ///
    /// # Errors
    /// `input` has not [`Self::input_len`] values.
    pub fn trace(&self, input: &[f64]) -> Result<Vec<Vec<f64>>, ShapeError> {
        ShapeError::expect_length(self.input_len(), input.len())?;
        let mut values = input.to_vec();
        let layers = self.layers.iter();
        layers
            .map(|layer| {
                values = layer.apply(std::mem::take(&mut values))?;
                Ok(values.clone())
            })
            .collect()
    }
}

impl Layer {
    /// What the layer makes of `input`.
    fn apply(&self, input: Vec<f64>) -> Result<Vec<f64>, ShapeError> {
        match self {
            Self::Affine(affine) => affine.apply(&input),
            &Self::Square { squared } => {
                let mut output = input;
                output.iter_mut().take(squared).for_each(|value| *value *= *value);
                Ok(output)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affine(rows: &[&[f64]], bias: &[f64]) -> Affine {
        let entries = rows.iter().map(|row| row.iter().copied().enumerate().collect());
        Affine::new(SparseMatrix::from_rows(rows[0].len(), entries).unwrap(), bias.to_vec())
            .unwrap()
    }

    #[test]
    fn runs_in_the_clear() {
        let first = affine(&[&[1.0, 2.0], &[0.0, -1.0]], &[1.0, 0.0]);
        let second = affine(&[&[1.0, 10.0]], &[-5.0]);
        let square = Layer::Square { squared: 2 };
        let layers = vec![Layer::Affine(first.clone()), square, Layer::Affine(second.clone())];
        let network = Network::new("small", vec![2], layers).unwrap();
        assert_eq!((network.input_len(), network.output_len(), network.squares()), (2, 1, 1));
        assert_eq!(network.run(&[3.0, 4.0]).unwrap(), [144.0 + 160.0 - 5.0]);
        let trace = network.trace(&[3.0, 4.0]).unwrap();
        assert_eq!(trace, [vec![12.0, -4.0], vec![144.0, 16.0], vec![299.0]]);
        assert_eq!(network.run(&[3.0]), Err(ShapeError::Length { expected: 2, actual: 1 }));

        // The second value is passed through.
        let square = Layer::Square { squared: 1 };
        let layers = vec![Layer::Affine(first), square, Layer::Affine(second)];
        let network = Network::new("partly", vec![2], layers).unwrap();
        assert_eq!(network.run(&[3.0, 4.0]).unwrap(), [144.0 - 40.0 - 5.0]);
        assert_eq!((network.squares(), network.depth()), (1, 3));
        assert_eq!(network.squared().collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn two_maps_in_a_row_are_one() {
        let first = affine(&[&[1.0, 2.0], &[0.0, -1.0]], &[1.0, 2.0]);
        let second = affine(&[&[1.0, 10.0]], &[-5.0]);
        let both = first.then(&second).unwrap();
        let input = [3.0, 4.0];
        assert_eq!(both.apply(&input), second.apply(&first.apply(&input).unwrap()));
        assert!(second.then(&second).is_err());
    }

    #[test]
    fn layers_take_turns() {
        let turn = |layers: Vec<Layer>| Network::new("n", vec![2], layers).err();
        let map = || Layer::Affine(Affine::identity(2));
        assert_eq!(turn(vec![map()]), None);
        assert_eq!(turn(vec![]), Some(ShapeError::Turn { layer: 0 }));
        let square = || Layer::Square { squared: 2 };
        assert_eq!(turn(vec![square()]), Some(ShapeError::Turn { layer: 0 }));
        assert_eq!(turn(vec![map(), map()]), Some(ShapeError::Turn { layer: 1 }));
        assert_eq!(turn(vec![map(), square()]), Some(ShapeError::Turn { layer: 2 }));
        let most = ShapeError::Squared { squared: 3, values: 2 };
        assert_eq!(turn(vec![map(), Layer::Square { squared: 3 }, map()]), Some(most));
        let misfit = ShapeError::Length { expected: 3, actual: 2 };
        let wrong = vec![Layer::Affine(Affine::identity(3))];
        assert_eq!(turn(wrong), Some(misfit));
    }
}
