//! What goes into a network and comes out of it, by name.

/// One of a network's inputs: a stretch of the flat sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name in the model.
    pub name: String,
    /// Its shape without the batch dimension; inputs follow each other in the sample, each row-major.
    pub shape: Vec<usize>,
}

/// One of a network's outputs: a stretch of the logits, and what its reader applies to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name in the model.
    pub name: String,
    /// Its shape without the batch dimension.
    pub shape: Vec<usize>,
    /// The number of its first logit; two outputs may be forms of the same logits.
    pub first: usize,
    /// What the model applies to the logits at its end. The released result is the logits.
    pub form: OutputForm,
}

/// The last operator of a model where it is no part of what is computed: whoever reads the logits applies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputForm {
    /// The logits as they are.
    Logits,
    /// e^x / Σ e^x over groups of `classes` logits that lie `stride` apart.
    Softmax {
        /// Logits in a group.
        classes: usize,
        /// From one to the next.
        stride: usize,
    },
    /// The logarithm of the softmax.
    LogSoftmax {
        /// Logits in a group.
        classes: usize,
        /// From one to the next.
        stride: usize,
    },
    /// The number of the largest logit in each group; the first of equal ones.
    ArgMax {
        /// Logits in a group.
        classes: usize,
        /// From one to the next.
        stride: usize,
    },
    /// 1 / (1 + e^−x).
    Sigmoid,
    /// The sigmoids of each group, divided by their sum.
    NormalizedSigmoid {
        /// Logits in a group.
        classes: usize,
    },
}

impl Output {
    /// Logits that belong to it.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The output in its form, from all of a sample's logits; nothing where they are too few.
    pub fn read(&self, logits: &[f64]) -> Vec<f64> {
        let own = logits.get(self.first..self.first + self.len()).unwrap_or_default();
        match self.form {
            OutputForm::Logits => own.to_vec(),
            OutputForm::Sigmoid => own.iter().map(|&x| sigmoid(x)).collect(),
            OutputForm::NormalizedSigmoid { classes } => over_groups(own, classes, 1, |group| {
                let values: Vec<f64> = group.iter().map(|&x| sigmoid(x)).collect();
                let sum: f64 = values.iter().sum();
                values.into_iter().map(|value| value / sum).collect()
            }),
            OutputForm::Softmax { classes, stride } => over_groups(own, classes, stride, |group| {
                log_softmax(group).into_iter().map(f64::exp).collect()
            }),
            OutputForm::LogSoftmax { classes, stride } => {
                over_groups(own, classes, stride, log_softmax)
            }
            OutputForm::ArgMax { classes, stride } => {
                let numbers = over_groups(own, classes, stride, |group| {
                    let best =
                        (0..group.len()).rev().max_by(|&i, &j| group[i].total_cmp(&group[j]));
                    vec![best.unwrap_or(0) as f64; group.len()]
                });
                // One number for each group: that at the place of its first logit.
                let first = |&(place, _): &(usize, f64)| begins_group(place, classes, stride);
                numbers.into_iter().enumerate().filter(first).map(|(_, number)| number).collect()
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn log_softmax(group: &[f64]) -> Vec<f64> {
    let largest = group.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = group.iter().map(|x| (x - largest).exp()).sum();
    group.iter().map(|x| x - largest - sum.ln()).collect()
}

/// Whether a group's first value stands at `place`.
fn begins_group(place: usize, classes: usize, stride: usize) -> bool {
    (place / stride.max(1)).is_multiple_of(classes.max(1))
}

/// Applies `form` to each group and puts its values back in the group's places.
fn over_groups(
    values: &[f64],
    classes: usize,
    stride: usize,
    form: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let mut result = vec![0.0; values.len()];
    for place in 0..values.len() {
        if !begins_group(place, classes, stride) {
            continue;
        }
        let places: Vec<usize> = (0..classes).map(|k| place + k * stride).collect();
        let group: Vec<f64> =
            places.iter().filter_map(|&place| values.get(place)).copied().collect();
        for (place, value) in places.into_iter().zip(form(&group)) {
            if let Some(slot) = result.get_mut(place) {
                *slot = value;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: OutputForm, shape: &[usize], logits: &[f64]) -> Vec<f64> {
        Output { name: "y".into(), shape: shape.to_vec(), first: 1, form }.read(logits)
    }

    #[test]
    fn forms_are_applied_to_groups() {
        let logits = [9.0, 0.0, 3.0, 0.0, 1.0, 7.0, 2.0];
        assert_eq!(read(OutputForm::Logits, &[6], &logits), logits[1..]);
        assert_eq!(
            read(OutputForm::ArgMax { classes: 3, stride: 1 }, &[2, 3], &logits),
            [1.0, 1.0]
        );
        assert_eq!(
            read(OutputForm::ArgMax { classes: 2, stride: 3 }, &[2, 3], &logits),
            [1.0, 1.0, 1.0]
        );
        let halves = read(OutputForm::Softmax { classes: 2, stride: 1 }, &[2], &[0.0, 5.0, 5.0]);
        assert!(halves.iter().all(|half| (half - 0.5).abs() < 1e-15));
        let form = OutputForm::NormalizedSigmoid { classes: 2 };
        assert_eq!(read(form, &[2], &[0.0, 0.0, 0.0]), [0.5, 0.5]);
        assert_eq!(read(OutputForm::Sigmoid, &[1], &[0.0, 0.0]), [0.5]);
        assert_eq!(read(OutputForm::Sigmoid, &[4], &[0.0, 0.0]), [0.0; 0]);
    }
}
