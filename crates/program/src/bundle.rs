//! Files of many objects of known length: the encrypted model, a batch of encrypted inputs, the evaluation keys of a session.
//!
//! A bundle is a 48-byte header (magic, version, kind, number of items, program id) and the items back to back. The program fixes
//! kind, number and length of the items, so a reader knows the total length before it reads the first byte, and items stream: a
//! bundle is never in memory as a whole.

use std::io::{self, Read, Write};

use adyton_ckks::{CkksError, InputKey, ModelKey, SeededCiphertext, SeededEvaluationKey};
use thiserror::Error;

use crate::{ModelPrivacy, VerifiedProgram};

/// First eight bytes of a bundle.
const MAGIC: [u8; 8] = *b"ADYTBNDL";
/// Version of the format.
const VERSION: u8 = 1;
/// Length of the header in bytes: magic, version, kind, two zero bytes, number of items (u32), program id.
pub const HEADER_LEN: u64 = 8 + 1 + 1 + 2 + 4 + 32;
/// Groups of one batch.
pub const MAX_GROUPS: u32 = 1 << 12;

/// What a bundle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BundleKind {
    /// One `SeededCiphertext<ModelKey>` for each weight, in order of the program's weights.
    EncryptedModel = 1,
    /// One vector of `positions` little-endian f64 for each weight, in the same order.
    PlainModel = 2,
    /// `groups` times the program's input ciphertexts, `SeededCiphertext<InputKey>` each, group by group.
    InputBatch = 3,
    /// One `SeededEvaluationKey` for each key of the program's manifest, in its order.
    KeyBundle = 4,
}

/// Why a bundle is refused or cannot be written.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Reading or writing failed.
    #[error("bundle i/o")]
    Io(#[from] io::Error),
    /// The first bytes are not those of a bundle of this version.
    #[error("not a bundle of format version {VERSION}")]
    BadMagic,
    /// Another kind of bundle.
    #[error("expected a bundle of kind {expected:?}, found kind {found}")]
    WrongKind {
        /// The kind that was asked for.
        expected: BundleKind,
        /// The kind that was found.
        found: u8,
    },
    /// A bundle for another program.
    #[error("the bundle belongs to another program")]
    WrongProgram,
    /// Another number of items than the program fixes.
    #[error("{found} items, expected {expected}")]
    WrongCount {
        /// What the program fixes.
        expected: usize,
        /// What was found.
        found: usize,
    },
    /// Another total length than the items add up to.
    #[error("{found} bytes, expected {expected}")]
    WrongLength {
        /// What the items add up to.
        expected: u64,
        /// What was found.
        found: u64,
    },
    /// An item of another length than its place in the bundle has.
    #[error("item {index} has {found} bytes, expected {expected}")]
    WrongItem {
        /// Its place.
        index: usize,
        /// Length that the program fixes.
        expected: usize,
        /// Length that was offered.
        found: usize,
    },
    /// No group, or more than [`MAX_GROUPS`].
    #[error("a batch has 1 to {MAX_GROUPS} groups, not {0}")]
    Groups(u64),
    /// The program's parameters do not admit an item.
    #[error("length of an item")]
    Ckks(#[from] CkksError),
}

/// What a program fixes about one of its bundles: kind and length of every item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleShape {
    kind: BundleKind,
    program: [u8; 32],
    lengths: Vec<usize>,
}

impl BundleShape {
    /// The model: ciphertexts or plain vectors, as the program says.
    ///
    /// # Errors
    /// [`BundleError::Ckks`] when a length cannot be computed.
    pub fn model(program: &VerifiedProgram) -> Result<Self, BundleError> {
        let parameters = program.parameters();
        let weights = program.program().weights.iter();
        let (kind, lengths) = match program.program().privacy {
            ModelPrivacy::Encrypted => (
                BundleKind::EncryptedModel,
                weights
                    .map(|weight| {
                        SeededCiphertext::<ModelKey>::encoded_len(
                            parameters,
                            weight.level,
                            &weight.scale,
                        )
                    })
                    .collect::<Result<_, _>>()?,
            ),
            ModelPrivacy::Plain => {
                let len = program.program().input.positions as usize * size_of::<f64>();
                (BundleKind::PlainModel, weights.map(|_| len).collect())
            }
        };
        Ok(Self { kind, program: program.id(), lengths })
    }

    /// A batch of `groups` times the program's input ciphertexts.
    ///
    /// # Errors
    /// [`BundleError::Groups`] for no group or too many, [`BundleError::Ckks`] when a length cannot be computed.
    pub fn inputs(program: &VerifiedProgram, groups: u32) -> Result<Self, BundleError> {
        if groups == 0 || groups > MAX_GROUPS {
            return Err(BundleError::Groups(groups.into()));
        }
        let parameters = program.parameters();
        let input = &program.program().input;
        let len = SeededCiphertext::<InputKey>::encoded_len(
            parameters,
            parameters.top_level(),
            &input.scale,
        )?;
        let lengths = vec![len; input.ciphertexts.len() * groups as usize];
        Ok(Self { kind: BundleKind::InputBatch, program: program.id(), lengths })
    }

    /// The batch that is `total` bytes long.
    ///
    /// # Errors
    /// [`BundleError::WrongLength`] when no number of groups has that length.
    pub fn inputs_of_length(program: &VerifiedProgram, total: u64) -> Result<Self, BundleError> {
        let one = Self::inputs(program, 1)?;
        let group = one.total_len() - HEADER_LEN;
        let groups = total.saturating_sub(HEADER_LEN) / group;
        let groups = u32::try_from(groups).map_err(|_| BundleError::Groups(groups))?;
        let shape = Self::inputs(program, groups)?;
        shape.check_total(total)?;
        Ok(shape)
    }

    /// The evaluation keys of a session.
    ///
    /// # Errors
    /// [`BundleError::Ckks`] when a length cannot be computed.
    pub fn keys(program: &VerifiedProgram) -> Result<Self, BundleError> {
        let lengths = program
            .program()
            .keys
            .iter()
            .map(|key| SeededEvaluationKey::encoded_len(program.parameters(), key))
            .collect::<Result<_, _>>()?;
        Ok(Self { kind: BundleKind::KeyBundle, program: program.id(), lengths })
    }

    /// What the bundle holds.
    #[must_use]
    pub fn kind(&self) -> BundleKind {
        self.kind
    }

    /// Length of each item in bytes.
    #[must_use]
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Length of the whole bundle in bytes.
    #[must_use]
    pub fn total_len(&self) -> u64 {
        HEADER_LEN + self.lengths.iter().map(|&len| len as u64).sum::<u64>()
    }

    /// Checks the announced length of a bundle before any of it is read.
    ///
    /// # Errors
    /// [`BundleError::WrongLength`].
    pub fn check_total(&self, found: u64) -> Result<(), BundleError> {
        let expected = self.total_len();
        if found == expected { Ok(()) } else { Err(BundleError::WrongLength { expected, found }) }
    }

    fn header(&self) -> [u8; HEADER_LEN as usize] {
        let mut header = [0; HEADER_LEN as usize];
        let (magic, rest) = header.split_at_mut(8);
        magic.copy_from_slice(&MAGIC);
        let (version, rest) = rest.split_at_mut(4);
        version.copy_from_slice(&[VERSION, self.kind as u8, 0, 0]);
        let (count, program) = rest.split_at_mut(4);
        // Limits keep the number of items below 2^32: MAX_WEIGHTS, MAX_KEYS, MAX_INPUTS · MAX_GROUPS.
        count.copy_from_slice(&u32::try_from(self.lengths.len()).unwrap_or(u32::MAX).to_le_bytes());
        program.copy_from_slice(&self.program);
        header
    }

    fn check_header(&self, header: &[u8; HEADER_LEN as usize]) -> Result<(), BundleError> {
        let expected = self.header();
        let field = |bytes: &[u8; HEADER_LEN as usize], from: usize, to: usize| {
            bytes.get(from..to).map(<[u8]>::to_vec)
        };
        let same = |from, to| field(header, from, to) == field(&expected, from, to);
        if !same(0, 9) || !same(10, 12) {
            return Err(BundleError::BadMagic);
        }
        if !same(9, 10) {
            return Err(BundleError::WrongKind { expected: self.kind, found: header[9] });
        }
        if !same(16, 48) {
            return Err(BundleError::WrongProgram);
        }
        let found = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
        if found != self.lengths.len() {
            return Err(BundleError::WrongCount { expected: self.lengths.len(), found });
        }
        Ok(())
    }
}

/// Writes a bundle item by item.
#[derive(Debug)]
pub struct BundleWriter<W> {
    shape: BundleShape,
    output: W,
    next: usize,
}

impl<W: Write> BundleWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// [`BundleError::Io`].
    pub fn new(shape: BundleShape, mut output: W) -> Result<Self, BundleError> {
        output.write_all(&shape.header())?;
        Ok(Self { shape, output, next: 0 })
    }

    /// Writes the next item.
    ///
    /// # Errors
    /// [`BundleError::WrongItem`] when it has not the length of its place, [`BundleError::WrongCount`] when the bundle is full,
    /// [`BundleError::Io`].
    pub fn item(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        let count = self.shape.lengths.len();
        let &expected = self
            .shape
            .lengths
            .get(self.next)
            .ok_or(BundleError::WrongCount { expected: count, found: count + 1 })?;
        if bytes.len() != expected {
            return Err(BundleError::WrongItem { index: self.next, expected, found: bytes.len() });
        }
        self.output.write_all(bytes)?;
        self.next += 1;
        Ok(())
    }

    /// Ends the bundle and gives the output back, flushed.
    ///
    /// # Errors
    /// [`BundleError::WrongCount`] when items are missing, [`BundleError::Io`].
    pub fn finish(mut self) -> Result<W, BundleError> {
        let expected = self.shape.lengths.len();
        if self.next != expected {
            return Err(BundleError::WrongCount { expected, found: self.next });
        }
        self.output.flush()?;
        Ok(self.output)
    }
}

/// Reads a bundle item by item.
#[derive(Debug)]
pub struct BundleReader<R> {
    shape: BundleShape,
    input: R,
    next: usize,
}

impl<R: Read> BundleReader<R> {
    /// Reads and checks the header. Where the total length is known beforehand (a file, an upload), hold it against
    /// [`BundleShape::check_total`] first.
    ///
    /// # Errors
    /// [`BundleError`] naming the field that differs.
    pub fn new(shape: BundleShape, mut input: R) -> Result<Self, BundleError> {
        let mut header = [0; HEADER_LEN as usize];
        input.read_exact(&mut header)?;
        shape.check_header(&header)?;
        Ok(Self { shape, input, next: 0 })
    }

    /// The bytes of the next item, `None` after the last one, which must also be the end of the input.
    ///
    /// # Errors
    /// [`BundleError::Io`] when bytes are missing, [`BundleError::WrongLength`] when bytes are left over.
    pub fn item(&mut self) -> Result<Option<Vec<u8>>, BundleError> {
        let Some(&len) = self.shape.lengths.get(self.next) else {
            return match self.input.read(&mut [0])? {
                0 => Ok(None),
                more => Err(BundleError::WrongLength {
                    expected: self.shape.total_len(),
                    found: self.shape.total_len() + more as u64,
                }),
            };
        };
        let mut bytes = vec![0; len];
        self.input.read_exact(&mut bytes)?;
        self.next += 1;
        Ok(Some(bytes))
    }
}

impl<R: Read> Iterator for BundleReader<R> {
    type Item = Result<Vec<u8>, BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.item().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn items(shape: &BundleShape) -> Vec<Vec<u8>> {
        shape.lengths().iter().enumerate().map(|(index, &len)| vec![index as u8; len]).collect()
    }

    fn written(shape: &BundleShape) -> Vec<u8> {
        let mut writer = BundleWriter::new(shape.clone(), Vec::new()).unwrap();
        items(shape).iter().for_each(|item| writer.item(item).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn bundles_round_trip() {
        let program = fixture::verified();
        let keys = BundleShape::keys(&program).unwrap();
        let model = BundleShape::model(&program).unwrap();
        let inputs = BundleShape::inputs(&program, 3).unwrap();
        assert_eq!(keys.lengths().len(), program.program().keys.len());
        assert_eq!(model.lengths().len(), program.program().weights.len());
        assert_eq!(inputs.lengths().len(), 3 * 2);
        for shape in [keys, model, inputs] {
            let bytes = written(&shape);
            assert_eq!(bytes.len() as u64, shape.total_len());
            shape.check_total(bytes.len() as u64).unwrap();
            let read: Result<Vec<_>, _> =
                BundleReader::new(shape.clone(), &bytes[..]).unwrap().collect();
            assert_eq!(read.unwrap(), items(&shape));
        }
    }

    #[test]
    fn groups_follow_from_the_length() {
        let program = fixture::verified();
        let shape = BundleShape::inputs(&program, 5).unwrap();
        assert_eq!(BundleShape::inputs_of_length(&program, shape.total_len()).unwrap(), shape);
        for wrong in [0, HEADER_LEN, shape.total_len() + 1, shape.total_len() - 1, u64::MAX] {
            assert!(BundleShape::inputs_of_length(&program, wrong).is_err(), "{wrong} bytes");
        }
        assert!(matches!(BundleShape::inputs(&program, 0), Err(BundleError::Groups(0))));
        assert!(BundleShape::inputs(&program, MAX_GROUPS + 1).is_err());
    }

    #[test]
    fn plain_models_hold_vectors() {
        let mut program = fixture::program();
        program.privacy = ModelPrivacy::Plain;
        program.weights.iter_mut().for_each(|weight| (weight.mask, weight.row) = (0, 0));
        program.keys.retain(|key| {
            use adyton_ckks::KeySource::{Input, Result, ResultSquared};
            matches!(key.source, Input | Result | ResultSquared)
        });
        let program = VerifiedProgram::new_insecure_for_tests(program).unwrap();
        let shape = BundleShape::model(&program).unwrap();
        assert_eq!(shape.kind(), BundleKind::PlainModel);
        assert_eq!(shape.lengths(), [8 * 8; 5]);
    }

    #[test]
    fn foreign_and_damaged_bundles_are_refused() {
        let program = fixture::verified();
        let shape = BundleShape::keys(&program).unwrap();
        let bytes = written(&shape);
        let open = |bytes: &[u8]| BundleReader::new(shape.clone(), bytes).map(|_| ());
        let damaged = |index: usize| {
            let mut bytes = bytes.clone();
            bytes[index] ^= 1;
            open(&bytes).unwrap_err()
        };
        assert!(matches!(damaged(0), BundleError::BadMagic));
        assert!(matches!(damaged(8), BundleError::BadMagic));
        assert!(matches!(damaged(9), BundleError::WrongKind { found: 5, .. }));
        assert!(matches!(damaged(10), BundleError::BadMagic));
        assert!(matches!(damaged(12), BundleError::WrongCount { .. }));
        assert!(matches!(damaged(20), BundleError::WrongProgram));
        assert!(matches!(open(&bytes[..40]), Err(BundleError::Io(_))));

        let mut longer = bytes.clone();
        longer.push(0);
        let read: Result<Vec<_>, _> =
            BundleReader::new(shape.clone(), &longer[..]).unwrap().collect();
        assert!(matches!(read, Err(BundleError::WrongLength { .. })));
        let read: Result<Vec<_>, _> =
            BundleReader::new(shape.clone(), &bytes[..bytes.len() - 1]).unwrap().collect();
        assert!(matches!(read, Err(BundleError::Io(_))));
    }

    #[test]
    fn writers_hold_items_to_their_places() {
        let program = fixture::verified();
        let shape = BundleShape::keys(&program).unwrap();
        let mut writer = BundleWriter::new(shape.clone(), Vec::new()).unwrap();
        assert!(matches!(writer.item(&[1]), Err(BundleError::WrongItem { index: 0, .. })));
        assert!(matches!(
            BundleWriter::new(shape.clone(), Vec::new()).unwrap().finish(),
            Err(BundleError::WrongCount { found: 0, .. })
        ));
        let mut full = BundleWriter::new(shape.clone(), Vec::new()).unwrap();
        items(&shape).iter().for_each(|item| full.item(item).unwrap());
        assert!(matches!(full.item(&[]), Err(BundleError::WrongCount { .. })));
    }
}
