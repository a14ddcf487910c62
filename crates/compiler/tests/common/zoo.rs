//! Networks like those that people have, with made-up weights: shapes and sparsity are what matters here.

use adyton_compiler::network::{Affine, Layer, Network, SparseMatrix};

use super::{Random, dense};

/// Channels of square or flat images: channels, height, width.
pub(crate) type Shape = (usize, usize, usize);

/// A convolution, every output with about the size of its inputs.
pub(crate) struct Convolution {
    pub(crate) channels: usize,
    pub(crate) kernel: (usize, usize),
    pub(crate) stride: usize,
    pub(crate) padding: (usize, usize),
}

impl Convolution {
    pub(crate) fn square(channels: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        Self { channels, kernel: (kernel, kernel), stride, padding: (padding, padding) }
    }

    pub(crate) fn output(&self, (_, height, width): Shape) -> Shape {
        let size = |size: usize, kernel: usize, padding: usize| {
            (size + 2 * padding - kernel) / self.stride + 1
        };
        let height = size(height, self.kernel.0, self.padding.0);
        (self.channels, height, size(width, self.kernel.1, self.padding.1))
    }

    pub(crate) fn affine(&self, random: &mut Random, input: Shape) -> Affine {
        let (depth, height, width) = input;
        let (_, rows, columns) = self.output(input);
        let taps = depth * self.kernel.0 * self.kernel.1;
        let size = 1.2 / (taps as f64).sqrt();
        let mut matrix = Vec::new();
        let mut bias = Vec::new();
        for _ in 0..self.channels {
            let weights = random.vector(taps);
            let offset = 0.2 * random.number();
            for place in 0..rows * columns {
                let (y, x) = (place / columns * self.stride, place % columns * self.stride);
                let row = weights.iter().enumerate().filter_map(|(tap, weight)| {
                    let area = self.kernel.0 * self.kernel.1;
                    let (channel, at) = (tap / area, tap % area);
                    let y = (y + at / self.kernel.1).wrapping_sub(self.padding.0);
                    let x = (x + at % self.kernel.1).wrapping_sub(self.padding.1);
                    (y < height && x < width)
                        .then(|| ((channel * height + y) * width + x, size * weight))
                });
                matrix.push(row.collect());
                bias.push(offset);
            }
        }
        let matrix = SparseMatrix::from_rows(depth * height * width, matrix).unwrap();
        Affine::new(matrix, bias).unwrap()
    }
}

/// Average pooling over windows of `by` × `by`.
pub(crate) fn pool((channels, height, width): Shape, by: usize) -> (Affine, Shape) {
    let (rows, columns) = (height / by, width / by);
    let mut matrix = Vec::new();
    for channel in 0..channels {
        for place in 0..rows * columns {
            let (y, x) = (place / columns * by, place % columns * by);
            let at = |tap: usize| (channel * height + y + tap / by) * width + x + tap % by;
            matrix.push((0..by * by).map(|tap| (at(tap), 1.0 / (by * by) as f64)).collect());
        }
    }
    let matrix = SparseMatrix::from_rows(channels * height * width, matrix).unwrap();
    let affine = Affine::new(matrix, vec![0.0; channels * rows * columns]).unwrap();
    (affine, (channels, rows, columns))
}

/// What a network is made of, one after another.
pub(crate) enum Part {
    Convolution(Convolution),
    Dense(usize),
    Pool(usize),
    Square,
    /// Linear parts before and after are kept apart.
    Apart,
}

/// Folds linear parts that follow each other, as the importer does.
pub(crate) fn chain(random: &mut Random, name: &str, input: Shape, parts: &[Part]) -> Network {
    let mut shape = input;
    let mut layers: Vec<Layer> = Vec::new();
    let mut open: Option<Affine> = None;
    for part in parts {
        let next = match part {
            Part::Convolution(convolution) => {
                let affine = convolution.affine(random, shape);
                shape = convolution.output(shape);
                affine
            }
            Part::Dense(rows) => {
                let affine = dense(random, *rows, shape.0 * shape.1 * shape.2);
                shape = (1, 1, *rows);
                affine
            }
            Part::Pool(by) => {
                let (affine, pooled) = pool(shape, *by);
                shape = pooled;
                affine
            }
            Part::Square | Part::Apart => {
                let all = shape.0 * shape.1 * shape.2;
                let squared = if matches!(part, Part::Square) { all } else { 0 };
                layers.extend(open.take().map(Layer::Affine));
                layers.push(Layer::Square { squared });
                continue;
            }
        };
        open = Some(match open {
            Some(before) => before.then(&next).unwrap(),
            None => next,
        });
    }
    layers.extend(open.map(Layer::Affine));
    let shape = [input.0, input.1, input.2];
    Network::new(name, shape.to_vec(), layers).unwrap()
}

/// A 1D network on 360 samples of a signal.
pub(crate) fn signal(random: &mut Random) -> Network {
    let conv = |channels, kernel, stride| {
        let convolution =
            Convolution { channels, kernel: (1, kernel), stride, padding: (0, kernel / 2) };
        [Part::Convolution(convolution), Part::Square]
    };
    let mut parts: Vec<Part> = conv(8, 7, 2).into_iter().chain(conv(16, 5, 2)).collect();
    parts.extend([Part::Dense(32), Part::Square, Part::Dense(5)]);
    chain(random, "signal", (1, 1, 360), &parts)
}

/// 784 → 32 → 784.
pub(crate) fn autoencoder(random: &mut Random) -> Network {
    let parts = [Part::Dense(128), Part::Square, Part::Dense(32), Part::Square, Part::Dense(784)];
    chain(random, "autoencoder", (1, 28, 28), &parts)
}

/// Logistic regression without its sigmoid.
pub(crate) fn logistic(random: &mut Random) -> Network {
    chain(random, "logistic", (1, 1, 30), &[Part::Dense(1)])
}

/// A perceptron of so many layers, whose values shrink: squares of large ones would leave every range.
pub(crate) fn deep(random: &mut Random, layers: usize, width: usize) -> Network {
    let small = |random: &mut Random| {
        let affine = dense(random, width, width);
        let scale = Affine::new(SparseMatrix::diagonal(&vec![0.2; width]), vec![0.0; width]);
        affine.then(&scale.unwrap()).unwrap()
    };
    let affines = (0..layers).map(|_| small(random)).collect();
    super::network("deep", &[width], affines)
}
