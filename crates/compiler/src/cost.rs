//! What steps cost: counts of elementary operations, times unit costs measured on a machine.

mod predict;

pub use predict::{Prediction, predict, resident_bytes};

/// Seconds of the elementary operations on one thread; measured by `adyton calibrate-machine`, with defaults for a machine with AVX-512.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitCosts {
    /// A number-theoretic transform: for each coefficient of a limb and each of its log2 N stages.
    pub transform: f64,
    /// Multiplying a weight with both polynomials of a value, from the cache: for each coefficient of a limb.
    pub product: f64,
    /// Multiplying a digit with both polynomials of a key: for each coefficient of a limb, the key's reading included.
    pub inner_product: f64,
    /// What a division by special primes does beside its transforms: for each coefficient of a limb that stays.
    pub division: f64,
    /// Reading from memory in one stream: for each byte.
    pub byte: f64,
    /// What a step of one group costs beside arithmetic.
    pub step: f64,
}

impl Default for UnitCosts {
    fn default() -> Self {
        Self {
            transform: 0.11e-9,
            product: 0.15e-9,
            inner_product: 1.8e-9,
            division: 1.0e-9,
            byte: 0.045e-9,
            step: 20e-6,
        }
    }
}

/// Polynomials at one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// log2 of the ring degree.
    pub log_n: u8,
    /// Primes of the level.
    pub limbs: usize,
    /// Special primes in use at the level.
    pub special: usize,
    /// Primes in a key-switching digit.
    pub digit: usize,
}

impl Shape {
    fn degree(self) -> f64 {
        f64::from(self.log_n).exp2()
    }

    fn digits(self) -> usize {
        self.limbs.div_ceil(self.digit.max(1))
    }

    /// Bytes of a polynomial.
    #[must_use]
    pub fn polynomial_bytes(self) -> f64 {
        self.degree() * (self.limbs * size_of::<u64>()) as f64
    }

    /// Bytes of an evaluation key, expanded.
    #[must_use]
    pub fn key_bytes(self) -> f64 {
        let limbs = 2 * self.digits() * (self.limbs + self.special);
        self.degree() * (limbs * size_of::<u64>()) as f64
    }
}

impl UnitCosts {
    fn transforms(&self, shape: Shape, limbs: usize) -> f64 {
        limbs as f64 * shape.degree() * f64::from(shape.log_n) * self.transform
    }

    /// Decomposing one polynomial into digits over all primes of the keys.
    #[must_use]
    pub fn decomposition(&self, shape: Shape) -> f64 {
        let digits = shape.digits();
        // Back once, then every digit to all primes but its own.
        let forward = digits * (shape.limbs + shape.special) - shape.limbs;
        self.transforms(shape, shape.limbs + forward)
    }

    /// Multiplying a decomposed polynomial with a key.
    #[must_use]
    pub fn inner_product(&self, shape: Shape) -> f64 {
        let limbs = shape.digits() * (shape.limbs + shape.special);
        limbs as f64 * shape.degree() * self.inner_product
    }

    /// Dividing both polynomials of a sum by the special primes.
    #[must_use]
    pub fn mod_down(&self, shape: Shape) -> f64 {
        let division = 2.0 * shape.limbs as f64 * shape.degree() * self.division;
        self.transforms(shape, 2 * (shape.limbs + shape.special)) + division
    }

    /// One weight's polynomial with both of a value, from the cache.
    #[must_use]
    pub fn product(&self, shape: Shape) -> f64 {
        shape.limbs as f64 * shape.degree() * self.product
    }

    /// A square before relinearization.
    #[must_use]
    pub fn square(&self, shape: Shape) -> f64 {
        2.0 * self.product(shape)
    }

    /// Reading so many bytes.
    #[must_use]
    pub fn read(&self, bytes: f64) -> f64 {
        bytes * self.byte
    }
}
