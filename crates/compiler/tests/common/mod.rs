//! Helpers: networks with made-up weights, and a naive interpreter of programs on slots.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses some of it; a failure here is a failure of the test"
)]

use adyton_compiler::network::{Affine, Layer, Network, SparseMatrix};
use adyton_compiler::plan::{Compiled, PackedWeights};
use adyton_program::{Program, Step};

pub(crate) mod zoo;

/// A small deterministic generator (SplitMix64): test data must be the same on every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [−1, 1).
    pub(crate) fn number(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub(crate) fn vector(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.number()).collect()
    }
}

/// A dense layer whose outputs have about the size of its inputs.
pub(crate) fn dense(random: &mut Random, rows: usize, cols: usize) -> Affine {
    sparse(random, rows, cols, 1.0)
}

/// A layer in which each entry is non-zero with the given probability.
pub(crate) fn sparse(random: &mut Random, rows: usize, cols: usize, density: f64) -> Affine {
    let size = 1.5 / (density * cols as f64).max(1.0).sqrt();
    let rows: Vec<Vec<(usize, f64)>> = (0..rows)
        .map(|_| {
            let mut row = Vec::new();
            for column in 0..cols {
                if (random.number() + 1.0) / 2.0 < density {
                    row.push((column, size * random.number()));
                }
            }
            row
        })
        .collect();
    let bias = random.vector(rows.len());
    Affine::new(SparseMatrix::from_rows(cols, rows).unwrap(), bias).unwrap()
}

/// A convolution over one square image.
pub(crate) fn convolution(
    random: &mut Random,
    side: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    channels: usize,
) -> Affine {
    let out = (side + 2 * padding - kernel) / stride + 1;
    let mut rows = Vec::new();
    let mut bias = Vec::new();
    for _ in 0..channels {
        let weights = random.vector(kernel * kernel);
        let offset = random.number();
        for y in 0..out {
            for x in 0..out {
                let mut row = Vec::new();
                for (index, weight) in weights.iter().enumerate() {
                    let iy = (y * stride + index / kernel).wrapping_sub(padding);
                    let ix = (x * stride + index % kernel).wrapping_sub(padding);
                    if iy < side && ix < side {
                        row.push((iy * side + ix, weight / kernel as f64));
                    }
                }
                rows.push(row);
                bias.push(offset);
            }
        }
    }
    Affine::new(SparseMatrix::from_rows(side * side, rows).unwrap(), bias).unwrap()
}

/// Affine maps with so many squares after each of them but the last; what is not squared is passed.
pub(crate) fn partly(
    name: &str,
    shape: &[usize],
    affines: Vec<Affine>,
    squared: &[usize],
) -> Network {
    let mut squares = squared.iter();
    let mut layers = Vec::new();
    for affine in affines {
        if !layers.is_empty() {
            layers.push(Layer::Square { squared: *squares.next().unwrap() });
        }
        layers.push(Layer::Affine(affine));
    }
    Network::new(name, shape.to_vec(), layers).unwrap()
}

/// The same values `a` and behind them those of `b`.
pub(crate) fn stacked(a: &Affine, b: &Affine) -> Affine {
    let rows =
        |affine: &Affine| affine.matrix.iter_rows().map(Iterator::collect).collect::<Vec<_>>();
    let matrix = SparseMatrix::from_rows(a.matrix.cols(), [rows(a), rows(b)].concat()).unwrap();
    Affine::new(matrix, [a.bias.clone(), b.bias.clone()].concat()).unwrap()
}

/// x + W·(V·x + b)² + c, twice: what is added goes past the squares.
pub(crate) fn residual(random: &mut Random, width: usize, hidden: usize) -> Network {
    let sum = |affine: &Affine, width: usize| {
        // The squares come first, then what was passed.
        let hidden = affine.matrix.cols();
        let row =
            |row: usize| affine.matrix.row(row).chain([(hidden + row, 1.0)]).collect::<Vec<_>>();
        let matrix = SparseMatrix::from_rows(hidden + width, (0..width).map(row)).unwrap();
        Affine::new(matrix, affine.bias.clone()).unwrap()
    };
    let mut block = || (dense(random, hidden, width), dense(random, width, hidden));
    let ((up, down), (up_again, down_again)) = (block(), block());
    let head = dense(random, 3, width);
    let begin = stacked(&up, &Affine::identity(width));
    let middle = sum(&down, width).then(&stacked(&up_again, &Affine::identity(width))).unwrap();
    let end = sum(&down_again, width).then(&head).unwrap();
    partly("residual", &[width], vec![begin, middle, end], &[hidden, hidden])
}

pub(crate) fn network(name: &str, shape: &[usize], affines: Vec<Affine>) -> Network {
    let squared: Vec<usize> = affines.iter().map(|affine| affine.matrix.rows()).collect();
    partly(name, shape, affines, &squared)
}

/// The three networks' shapes.
pub(crate) fn mlp(random: &mut Random) -> Network {
    network("mlp", &[1, 28, 28], vec![dense(random, 128, 784), dense(random, 10, 128)])
}

pub(crate) fn cryptonets(random: &mut Random) -> Network {
    let affines =
        vec![convolution(random, 28, 5, 2, 1, 5), dense(random, 100, 845), dense(random, 10, 100)];
    network("cryptonets", &[1, 28, 28], affines)
}

pub(crate) fn e2dm(random: &mut Random) -> Network {
    let affines =
        vec![convolution(random, 28, 7, 3, 0, 4), dense(random, 64, 256), dense(random, 10, 64)];
    network("e2dm", &[1, 28, 28], affines)
}

/// What every slot of the result holds when the program runs in the clear on one group of samples.
pub(crate) fn interpret(
    program: &Program,
    weights: &PackedWeights,
    samples: &[Vec<f64>],
) -> Vec<f64> {
    let lanes = program.input.lanes as usize;
    assert!(samples.len() <= lanes);
    let mut values: Vec<Vec<f64>> = Vec::new();
    for places in &program.input.ciphertexts {
        let mut slots = Vec::new();
        for place in places {
            for lane in 0..lanes {
                let sample = samples.get(lane);
                let value = place.and_then(|feature| sample.map(|s| s[feature as usize]));
                slots.push(value.unwrap_or(0.0));
            }
        }
        values.push(slots);
    }
    let slots = values[0].len();
    let rotate = |x: &[f64], by: u32| -> Vec<f64> {
        (0..slots).map(|slot| x[(slot + by as usize) % slots]).collect()
    };
    let weight = |id: u32| weights.slots(id, program.input.lanes).unwrap();
    for step in &program.steps {
        match step {
            Step::Rotations { of, by } => {
                let rotated: Vec<_> =
                    by.iter().map(|&by| rotate(&values[*of as usize], by)).collect();
                values.extend(rotated);
            }
            Step::Products { terms, bias } => {
                let mut sum = bias.map_or(vec![0.0; slots], weight);
                for &(w, x) in terms {
                    let w = weight(w);
                    for slot in 0..slots {
                        sum[slot] += w[slot] * values[x as usize][slot];
                    }
                }
                values.push(sum);
            }
            Step::SwitchSum { terms, .. } => {
                let mut sum = vec![0.0; slots];
                for &(x, by) in terms {
                    let rotated = rotate(&values[x as usize], by);
                    sum.iter_mut().zip(rotated).for_each(|(sum, x)| *sum += x);
                }
                values.push(sum);
            }
            Step::Square { of } => {
                values.push(values[*of as usize].iter().map(|x| x * x).collect());
            }
            Step::Relinearize { of, .. } | Step::Lower { of } => {
                values.push(values[*of as usize].clone());
            }
        }
    }
    values[program.output.value as usize].clone()
}

/// Checks every slot of the result: outputs in each of their places for each sample, zero where none stands.
pub(crate) fn check(network: &Network, compiled: &Compiled, samples: &[Vec<f64>]) {
    let program = &compiled.program;
    let samples = &samples[..samples.len().min(program.input.lanes as usize)];
    let slots = interpret(program, &compiled.weights, samples);
    let lanes = program.input.lanes as usize;
    for lane in 0..lanes {
        let zero = vec![0.0; network.input_len()];
        let expected = network.run(samples.get(lane).unwrap_or(&zero)).unwrap();
        assert_eq!(program.output.outputs as usize, expected.len());
        for (position, output) in program.output.positions.iter().enumerate() {
            let expected = output.map_or(0.0, |output| expected[output as usize]);
            let found = slots[position * lanes + lane];
            assert!(
                (found - expected).abs() < 1e-9,
                "lane {lane}, position {position} ({output:?}): {found} instead of {expected}"
            );
        }
    }
}
