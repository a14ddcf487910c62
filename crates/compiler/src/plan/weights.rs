//! The packed weights: secret, in the clear, laid out as the program wants them.

use adyton_program::VerifiedProgram;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// First eight bytes of the file.
const MAGIC: [u8; 8] = *b"ADYTPACK";
/// Version of the format.
const VERSION: u32 = 1;
/// Length of the header: magic, version, program id, positions (u32), vectors (u32).
const HEADER_LEN: usize = 8 + 4 + 32 + 4 + 4;

/// Why bytes are not the packed weights of a program.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WeightsError {
    /// Another length than the program's weights have.
    #[error("{found} bytes, expected {expected}")]
    Length {
        /// What the program fixes.
        expected: usize,
        /// What was found.
        found: usize,
    },
    /// The header differs from what the program fixes.
    #[error("the header is not that of packed weights for this program")]
    Header,
    /// A weight is infinite or not a number.
    #[error("weight vector {vector} holds a value that is not finite")]
    NotFinite {
        /// Its index.
        vector: usize,
    },
}

/// For each weight of a program a vector with one value for each position. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Zeroize, ZeroizeOnDrop)]
pub struct PackedWeights {
    #[zeroize(skip)]
    program: [u8; 32],
    vectors: Vec<Vec<f64>>,
}

impl PackedWeights {
    /// Weights of the program with this id, in order of its weights.
    #[must_use]
    pub fn new(program: [u8; 32], vectors: Vec<Vec<f64>>) -> Self {
        Self { program, vectors }
    }

    /// Id of the program that they belong to.
    #[must_use]
    pub fn program(&self) -> [u8; 32] {
        self.program
    }

    /// The vectors in order of the program's weights. A ciphertext repeats each value over the lanes.
    #[must_use]
    pub fn vectors(&self) -> &[Vec<f64>] {
        &self.vectors
    }

    /// The vector of one weight spread over the slots: slot `position · lanes + lane`. `None` when there is no such weight.
    #[must_use]
    pub fn slots(&self, weight: u32, lanes: u32) -> Option<Vec<f64>> {
        let vector = self.vectors.get(weight as usize)?;
        let repeat = |&value| std::iter::repeat_n(value, lanes as usize);
        Some(vector.iter().flat_map(repeat).collect())
    }

    /// The file: a header and little-endian f64 values. Secret: the caller wipes it, and keeps it where only the owner reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let positions = self.vectors.first().map_or(0, Vec::len);
        let mut out = header(&self.program, positions, self.vectors.len()).to_vec();
        // Reserved at once: growing would leave copies of weights behind in freed memory.
        out.reserve_exact(self.vectors.len() * positions * size_of::<f64>());
        self.vectors.iter().flatten().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        out
    }

    /// Reads the weights of `program`, whose id, positions and number of weights fix every length.
    ///
    /// # Errors
    /// [`WeightsError`] for anything that [`PackedWeights::encode`] would not have written for this program.
    pub fn decode(bytes: &[u8], program: &VerifiedProgram) -> Result<Self, WeightsError> {
        let positions = program.program().input.positions as usize;
        let count = program.program().weights.len();
        let expected = HEADER_LEN + count * positions * size_of::<f64>();
        if bytes.len() != expected {
            return Err(WeightsError::Length { expected, found: bytes.len() });
        }
        let (head, body) = bytes.split_at(HEADER_LEN);
        if head != header(&program.id(), positions, count) {
            return Err(WeightsError::Header);
        }
        let value = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap_or([0xff; 8]));
        let vectors: Vec<Vec<f64>> = body
            .chunks(positions * size_of::<f64>())
            .map(|vector| vector.chunks_exact(size_of::<f64>()).map(value).collect())
            .collect();
        let weights = Self { program: program.id(), vectors };
        match weights.vectors.iter().position(|vector| !vector.iter().all(|x| x.is_finite())) {
            Some(vector) => Err(WeightsError::NotFinite { vector }),
            None => Ok(weights),
        }
    }
}

impl std::fmt::Debug for PackedWeights {
    /// Shows how many there are, never what they are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedWeights")
            .field("vectors", &self.vectors.len())
            .finish_non_exhaustive()
    }
}

fn header(program: &[u8; 32], positions: usize, count: usize) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let word = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let fields =
        [&MAGIC[..], &VERSION.to_le_bytes(), program, &word(positions), &word(count)].concat();
    header.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
    header
}
