//! Sparse matrices in compressed row form.

use super::ShapeError;

/// A real matrix in compressed sparse row form.
///
/// Within a row, columns rise strictly; no stored value is zero. Every constructor keeps this.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseMatrix {
    rows: usize,
    cols: usize,
    /// Row `r` owns entries `offsets[r]..offsets[r + 1]`; `rows + 1` numbers.
    offsets: Vec<usize>,
    columns: Vec<usize>,
    values: Vec<f64>,
}

impl SparseMatrix {
    /// The matrix with the given `(column, value)` pairs in each row, in any order; pairs that meet are summed.
    ///
    /// # Errors
    /// A column that is not below `cols`.
    pub fn from_rows<R>(cols: usize, rows: R) -> Result<Self, ShapeError>
    where
        R: IntoIterator<Item = Vec<(usize, f64)>>,
    {
        let mut matrix =
            Self { rows: 0, cols, offsets: vec![0], columns: Vec::new(), values: Vec::new() };
        for mut entries in rows {
            entries.sort_unstable_by_key(|&(column, _)| column);
            if let Some(&(column, _)) = entries.last().filter(|&&(column, _)| column >= cols) {
                return Err(ShapeError::Column { column, cols });
            }
            for run in entries.chunk_by(|left, right| left.0 == right.0) {
                let value: f64 = run.iter().map(|&(_, value)| value).sum();
                if let (Some(&(column, _)), true) = (run.first(), value != 0.0) {
                    matrix.columns.push(column);
                    matrix.values.push(value);
                }
            }
            matrix.rows += 1;
            matrix.offsets.push(matrix.values.len());
        }
        Ok(matrix)
    }

    /// The matrix whose diagonal is `values`.
    pub fn diagonal(values: &[f64]) -> Self {
        let n = values.len();
        let mut matrix =
            Self { rows: n, cols: n, offsets: vec![0], columns: Vec::new(), values: Vec::new() };
        for (index, &value) in values.iter().enumerate() {
            if value != 0.0 {
                matrix.columns.push(index);
                matrix.values.push(value);
            }
            matrix.offsets.push(matrix.values.len());
        }
        matrix
    }

    /// The identity of size `n`.
    pub fn identity(n: usize) -> Self {
        Self::diagonal(&vec![1.0; n])
    }

    /// Number of rows: the length of what [`Self::apply`] returns.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns: the length of what [`Self::apply`] takes.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Number of stored (non-zero) values.
    pub fn nonzeros(&self) -> usize {
        self.values.len()
    }

    /// The stored values, row after row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The columns of the stored values, row after row.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The `(column, value)` pairs of one row, columns rising; nothing for a row that is not there.
    pub fn row(&self, row: usize) -> impl ExactSizeIterator<Item = (usize, f64)> + '_ {
        let start = self.offsets.get(row).copied().unwrap_or(self.values.len());
        let end = self.offsets.get(row + 1).copied().unwrap_or(start);
        let columns = self.columns[start..end].iter().copied();
        columns.zip(self.values[start..end].iter().copied())
    }

    /// Every row in turn, as [`Self::row`] gives it.
    pub fn iter_rows(
        &self,
    ) -> impl ExactSizeIterator<Item = impl ExactSizeIterator<Item = (usize, f64)> + '_> + '_ {
        (0..self.rows).map(|row| self.row(row))
    }

    /// The value at `(row, column)`; zero where nothing is stored.
    pub fn get(&self, row: usize, column: usize) -> f64 {
        let start = self.offsets.get(row).copied().unwrap_or(self.values.len());
        let end = self.offsets.get(row + 1).copied().unwrap_or(start);
        let columns = self.columns.get(start..end).unwrap_or_default();
        let place = columns.binary_search(&column).ok();
        place.and_then(|place| self.values.get(start + place)).copied().unwrap_or(0.0)
    }

    /// The transpose.
    pub fn transpose(&self) -> Self {
        let mut offsets = vec![0; self.cols + 1];
        for &column in &self.columns {
            offsets[column + 1] += 1;
        }
        for column in 0..self.cols {
            offsets[column + 1] += offsets[column];
        }
        let mut next = offsets.clone();
        let mut columns = vec![0; self.values.len()];
        let mut values = vec![0.0; self.values.len()];
        for row in 0..self.rows {
            for (column, value) in self.row(row) {
                columns[next[column]] = row;
                values[next[column]] = value;
                next[column] += 1;
            }
        }
        Self { rows: self.cols, cols: self.rows, offsets, columns, values }
    }

    /// What `self · right` would cost: most values it can store, and multiplications. `right` has [`Self::cols`] rows.
    pub(crate) fn product_cost(&self, right: &Self) -> (usize, usize) {
        self.iter_rows().fold((0, 0), |(stored, multiplications), row| {
            let products: usize = row.map(|(middle, _)| right.row(middle).len()).sum();
            (stored + products.min(right.cols), multiplications + products)
        })
    }

    /// About how many values `self · right` stores (those that cancel included): counted in `rows` rows, evenly spaced.
    pub(crate) fn product_nonzeros(&self, right: &Self, rows: usize) -> usize {
        let step = self.rows.div_ceil(rows.max(1)).max(1);
        let mut seen = vec![usize::MAX; right.cols];
        let (mut counted, mut found) = (0, 0);
        for row in (0..self.rows).step_by(step) {
            counted += 1;
            for (middle, _) in self.row(row) {
                for (column, _) in right.row(middle) {
                    found += usize::from(std::mem::replace(&mut seen[column], row) != row);
                }
            }
        }
        (found as u128 * self.rows as u128 / counted.max(1) as u128) as usize
    }

    /// The product `self · right`, row by row (Gustavson's algorithm).
    ///
    /// # Errors
    /// `self.cols()` differs from `right.rows()`.
    pub fn matmul(&self, right: &Self) -> Result<Self, ShapeError> {
        ShapeError::expect_length(self.cols, right.rows)?;
        let mut product = Self {
            rows: self.rows,
            cols: right.cols,
            offsets: Vec::with_capacity(self.rows + 1),
            columns: Vec::new(),
            values: Vec::new(),
        };
        product.offsets.push(0);
        let mut sums = vec![0.0; right.cols];
        let mut seen = vec![false; right.cols];
        let mut touched = Vec::new();
        for row in self.iter_rows() {
            for (middle, weight) in row {
                for (column, value) in right.row(middle) {
                    if !seen[column] {
                        seen[column] = true;
                        touched.push(column);
                    }
                    sums[column] += weight * value;
                }
            }
            touched.sort_unstable();
            for column in touched.drain(..) {
                if sums[column] != 0.0 {
                    product.columns.push(column);
                    product.values.push(sums[column]);
                }
                sums[column] = 0.0;
                seen[column] = false;
            }
            product.offsets.push(product.values.len());
        }
        Ok(product)
    }

    /// `self · vector`, in f64.
    ///
    /// # Errors
    /// `vector` has not [`Self::cols`] values.
    pub fn apply(&self, vector: &[f64]) -> Result<Vec<f64>, ShapeError> {
        ShapeError::expect_length(self.cols, vector.len())?;
        let rows = self.iter_rows();
        Ok(rows.map(|row| row.map(|(column, value)| value * vector[column]).sum()).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Dense = Vec<Vec<f64>>;

    fn sparse(dense: &Dense, cols: usize) -> SparseMatrix {
        let rows = dense.iter().map(|row| row.iter().copied().enumerate().collect());
        SparseMatrix::from_rows(cols, rows).unwrap()
    }

    fn dense(matrix: &SparseMatrix) -> Dense {
        let mut dense = vec![vec![0.0; matrix.cols()]; matrix.rows()];
        for (row, entries) in matrix.iter_rows().enumerate() {
            for (column, value) in entries {
                dense[row][column] = value;
            }
        }
        dense
    }

    /// Small integers, mostly zero: products and sums are exact, so comparisons are too.
    fn entries(rows: usize, cols: usize) -> impl Strategy<Value = Dense> {
        let value = prop_oneof![3 => Just(0.0), 1 => (-8i8..8).prop_map(f64::from)];
        prop::collection::vec(prop::collection::vec(value, cols), rows)
    }

    proptest! {
        #[test]
        fn agrees_with_dense(
            (left, right, vector) in (1usize..6, 1usize..6, 1usize..6).prop_flat_map(|(m, k, n)| {
                (entries(m, k), entries(k, n), prop::collection::vec((-8i8..8).prop_map(f64::from), k))
            })
        ) {
            let (k, n) = (right.len(), right[0].len());
            let (a, b) = (sparse(&left, k), sparse(&right, n));
            prop_assert_eq!(dense(&a), left.clone());
            prop_assert!(a.values.iter().all(|&value| value != 0.0));

            let product: Dense = left
                .iter()
                .map(|row| (0..n).map(|c| (0..k).map(|i| row[i] * right[i][c]).sum()).collect())
                .collect();
            prop_assert_eq!(dense(&a.matmul(&b).unwrap()), product);

            let transposed: Dense =
                (0..k).map(|column| left.iter().map(|row| row[column]).collect()).collect();
            prop_assert_eq!(dense(&a.transpose()), transposed);
            prop_assert_eq!(a.transpose().transpose(), a.clone());

            let applied: Vec<f64> =
                left.iter().map(|row| row.iter().zip(&vector).map(|(x, y)| x * y).sum()).collect();
            prop_assert_eq!(a.apply(&vector).unwrap(), applied);
        }
    }

    #[test]
    fn meeting_entries_are_summed_and_zeros_dropped() {
        let rows = vec![vec![(2, 1.0), (0, 3.0), (2, 4.0)], vec![(1, 1.0), (1, -1.0)]];
        let matrix = SparseMatrix::from_rows(3, rows).unwrap();
        assert_eq!(matrix.row(0).collect::<Vec<_>>(), [(0, 3.0), (2, 5.0)]);
        assert_eq!(matrix.row(1).len(), 0);
        assert_eq!(matrix.row(7).len(), 0);
        assert_eq!((matrix.nonzeros(), matrix.get(0, 2), matrix.get(1, 1)), (2, 5.0, 0.0));
    }

    #[test]
    fn misfits_are_refused() {
        let matrix = SparseMatrix::identity(3);
        assert_eq!(
            SparseMatrix::from_rows(3, [vec![(3, 1.0)]]),
            Err(ShapeError::Column { column: 3, cols: 3 })
        );
        let misfit = ShapeError::Length { expected: 3, actual: 2 };
        assert_eq!(matrix.matmul(&SparseMatrix::identity(2)), Err(misfit.clone()));
        assert_eq!(matrix.apply(&[1.0, 2.0]), Err(misfit));
    }
}
