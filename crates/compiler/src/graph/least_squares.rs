//! Weighted least squares in Chebyshev's basis.

/// `count` Chebyshev points of [−1, 1], rising; exactly symmetric about 0.
pub(crate) fn nodes(count: usize) -> Vec<f64> {
    let at = |j: usize| (std::f64::consts::PI * (j as f64 + 0.5) / count as f64).cos();
    let mut nodes: Vec<f64> =
        (0..count).map(|j| if 2 * j + 1 == count { 0.0 } else { -at(j) }).collect();
    for j in 0..count / 2 {
        nodes[count - 1 - j] = -nodes[j];
    }
    nodes
}

/// The node of [`nodes`] whose cell `t` lies in; what lies outside belongs to the last one.
pub(crate) fn cell(t: f64, count: usize) -> usize {
    let angle = (-t.clamp(-1.0, 1.0)).acos() / std::f64::consts::PI;
    ((angle * count as f64) as usize).min(count - 1)
}

/// `T_0(t), …, T_degree(t)`.
pub(crate) fn basis(t: f64, degree: usize) -> Vec<f64> {
    let mut values = vec![1.0, t];
    for k in 2..=degree {
        values.push(2.0 * t * values[k - 1] - values[k - 2]);
    }
    values.truncate(degree + 1);
    values
}

/// From a function's values at the nodes to the coefficients that fit them best.
pub(crate) struct Projection {
    /// One row for each node.
    design: Vec<Vec<f64>>,
    weights: Vec<f64>,
    /// The Cholesky factor of the normal equations, rows of the lower triangle.
    factor: Vec<Vec<f64>>,
}

impl Projection {
    /// For positive weights, one for each node.
    pub(crate) fn new(weights: Vec<f64>, degree: usize) -> Self {
        let design: Vec<Vec<f64>> =
            nodes(weights.len()).into_iter().map(|t| basis(t, degree)).collect();
        let mut factor: Vec<Vec<f64>> = Vec::with_capacity(degree + 1);
        for i in 0..=degree {
            let mut row: Vec<f64> = Vec::with_capacity(i + 1);
            for j in 0..=i {
                let known = factor.get(j).unwrap_or(&row);
                let done: f64 = row.iter().zip(known).take(j).map(|(x, y)| x * y).sum();
                let terms = design.iter().zip(&weights);
                let sum: f64 = terms.map(|(values, w)| w * values[i] * values[j]).sum();
                row.push(if i == j { (sum - done).sqrt() } else { (sum - done) / factor[j][j] });
            }
            factor.push(row);
        }
        Self { design, weights, factor }
    }

    /// The coefficients for the values of a function at the nodes.
    pub(crate) fn coefficients(&self, values: &[f64]) -> Vec<f64> {
        let size = self.factor.len();
        let mut c = vec![0.0; size];
        for ((row, weight), value) in self.design.iter().zip(&self.weights).zip(values) {
            c.iter_mut().zip(row).for_each(|(c, basis)| *c += weight * value * basis);
        }
        for i in 0..size {
            let done: f64 = (0..i).map(|j| self.factor[i][j] * c[j]).sum();
            c[i] = (c[i] - done) / self.factor[i][i];
        }
        for i in (0..size).rev() {
            let done: f64 = (i + 1..size).map(|j| self.factor[j][i] * c[j]).sum();
            c[i] = (c[i] - done) / self.factor[i][i];
        }
        c
    }

    /// The series' values at the nodes.
    pub(crate) fn values<'a>(&'a self, coefficients: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.design.iter().map(move |row| row.iter().zip(coefficients).map(|(b, c)| b * c).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_found_again() {
        let nodes = nodes(101);
        let weights = (0..101).map(|j| 1.0 + f64::from(j % 7)).collect();
        let projection = Projection::new(weights, 5);
        let values: Vec<f64> = nodes.iter().map(|t| 1.0 - 2.0 * t + 4.0 * t.powi(5)).collect();
        let found = projection.coefficients(&values);
        // t⁵ = (10 T1 + 5 T3 + T5) / 16
        for (found, expected) in found.iter().zip([1.0, 0.5, 0.0, 1.25, 0.0, 0.25]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        for (value, expected) in projection.values(&found).zip(&values) {
            assert!((value - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn every_node_lies_in_its_cell() {
        for (index, t) in nodes(33).into_iter().enumerate() {
            assert_eq!(cell(t, 33), index);
        }
        assert_eq!((cell(-2.0, 33), cell(2.0, 33)), (0, 32));
    }
}
