//! The canonical binary form of a program: one program, one byte string, and the digest of those bytes is the program's id.
//!
//! Little-endian integers; lists are a u32 count and their items; an optional index is 0 for none, else index + 1. Every count is
//! held against [`limits`] and against the bytes that are left before anything is allocated for it.

use adyton_ckks::codec::{DecodeError as CkksDecodeError, Reader};
use adyton_ckks::{KeySpec, ParametersLiteral, Scale};
use thiserror::Error;

use crate::{InputLayout, ModelPrivacy, OutputLayout, Program, Step, WeightSpec, limits};

/// First eight bytes of an encoded program.
const MAGIC: [u8; 8] = *b"ADYTPROG";
/// Version of the encoding.
const VERSION: u16 = 4;
/// Domain of the program id (BLAKE3 key derivation context).
const ID_CONTEXT: &str = "adyton/v1/program";

/// Why bytes are not a program.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// More bytes than a program may have.
    #[error("{0} bytes, a program has at most {max}", max = limits::MAX_PROGRAM_BYTES)]
    TooLong(usize),
    /// The first bytes are not those of a program.
    #[error("not an encoded program")]
    BadMagic,
    /// A version that this build does not read.
    #[error("program format version {0} is not supported")]
    UnsupportedVersion(u16),
    /// A list is longer than its bound, or than the bytes that are left.
    #[error("{found} {what}, at most {limit} are possible here")]
    TooMany {
        /// Items of the list.
        what: &'static str,
        /// Its count.
        found: usize,
        /// The most that there could be.
        limit: usize,
    },
    /// A field holds a value that no encoder writes.
    #[error("{0} is not in canonical form")]
    NotCanonical(&'static str),
    /// Bytes are missing or left over, or a part is malformed.
    #[error(transparent)]
    Part(#[from] CkksDecodeError),
}

impl Program {
    /// The canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::new());
        out.0.extend_from_slice(&MAGIC);
        out.0.extend_from_slice(&VERSION.to_le_bytes());
        out.count(self.name.len());
        out.0.extend_from_slice(self.name.as_bytes());
        self.parameters.encode_into(&mut out.0);
        out.0.push(match self.privacy {
            ModelPrivacy::Encrypted => 1,
            ModelPrivacy::Plain => 2,
        });
        out.input(&self.input);
        out.list(&self.weights, |out, weight| {
            out.0.push(weight.level);
            weight.scale.encode_into(&mut out.0);
            out.u32(weight.mask);
            out.0.push(weight.row);
        });
        out.list(&self.steps, Writer::step);
        out.output(&self.output);
        out.list(&self.keys, |out, key| key.encode_into(&mut out.0));
        out.0
    }

    /// Reads what [`Program::encode`] wrote. Says that the bytes are canonical, not that the program makes sense:
    /// [`VerifiedProgram`](crate::VerifiedProgram) does.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Program::encode`] would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > limits::MAX_PROGRAM_BYTES {
            return Err(DecodeError::TooLong(bytes.len()));
        }
        let mut input = Decoder(Reader::new(bytes));
        if input.0.array::<8>()? != MAGIC {
            return Err(DecodeError::BadMagic);
        }
        let version = u16::from_le_bytes(input.0.array()?);
        if version != VERSION {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let program = Self {
            name: input.name()?,
            parameters: ParametersLiteral::decode_from(&mut input.0)?,
            privacy: match input.0.u8()? {
                1 => ModelPrivacy::Encrypted,
                2 => ModelPrivacy::Plain,
                _ => return Err(DecodeError::NotCanonical("model privacy")),
            },
            input: input.input()?,
            weights: input.list("weights", limits::MAX_WEIGHTS, 9, |input| {
                Ok(WeightSpec {
                    level: input.0.u8()?,
                    scale: input.scale()?,
                    mask: input.0.u32()?,
                    row: input.0.u8()?,
                })
            })?,
            steps: input.steps()?,
            output: input.output()?,
            keys: input.list(
                "evaluation keys",
                limits::MAX_KEYS,
                KeySpec::ENCODED_LEN,
                |input| Ok(KeySpec::decode_from(&mut input.0)?),
            )?,
        };
        input.0.finish()?;
        Ok(program)
    }

    /// The program id: BLAKE3 of the canonical encoding, in key-derivation mode under the context `adyton/v1/program`.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        blake3::derive_key(ID_CONTEXT, &self.encode())
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Counts of verified programs are far below 2^32; a longer list could not be decoded again.
    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn f64(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.count(items.len());
        items.iter().for_each(|item| write(self, item));
    }

    fn index(&mut self, index: &Option<u32>) {
        self.u32(index.map_or(0, |index| index.saturating_add(1)));
    }

    fn pair(&mut self, pair: &(u32, u32)) {
        self.u32(pair.0);
        self.u32(pair.1);
    }

    fn input(&mut self, input: &InputLayout) {
        self.list(&input.shape, |out, &axis| out.u32(axis));
        self.u32(input.lanes);
        self.u32(input.positions);
        self.list(&input.ciphertexts, |out, places| out.list(places, Self::index));
        input.scale.encode_into(&mut self.0);
        self.f64(input.bound);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Rotations { of, by } => {
                self.0.push(1);
                self.u32(*of);
                self.list(by, |out, &rotation| out.u32(rotation));
            }
            Step::Products { terms, bias } => {
                self.0.push(2);
                self.list(terms, Self::pair);
                self.index(bias);
            }
            Step::SwitchSum { terms, rescale } => {
                self.0.push(3);
                self.list(terms, Self::pair);
                self.0.push(u8::from(*rescale));
            }
            Step::Square { of } => {
                self.0.push(4);
                self.u32(*of);
            }
            Step::Relinearize { of, rescale } => {
                self.0.push(5);
                self.u32(*of);
                self.0.push(u8::from(*rescale));
            }
            Step::Lower { of } => {
                self.0.push(6);
                self.u32(*of);
            }
        }
    }

    fn output(&mut self, output: &OutputLayout) {
        self.u32(output.value);
        self.u32(output.outputs);
        self.list(&output.positions, Self::index);
        self.f64(output.range);
        self.f64(output.deviation);
        self.f64(output.released_deviation);
    }
}

struct Decoder<'a>(Reader<'a>);

impl<'a> Decoder<'a> {
    fn name(&mut self) -> Result<String, DecodeError> {
        let len = self.count("bytes of name", limits::MAX_NAME_BYTES, 1)?;
        let bytes = self.0.take(len)?;
        let name = std::str::from_utf8(bytes).map_err(|_| DecodeError::NotCanonical("name"))?;
        Ok(name.to_owned())
    }

    /// A count that is within `limit` and whose items, at least `item_len` bytes each, are within the bytes that are left.
    fn count(
        &mut self,
        what: &'static str,
        limit: usize,
        item_len: usize,
    ) -> Result<usize, DecodeError> {
        let found = usize::try_from(self.0.u32()?).unwrap_or(usize::MAX);
        let limit = limit.min(self.0.remaining() / item_len);
        if found > limit { Err(DecodeError::TooMany { what, found, limit }) } else { Ok(found) }
    }

    fn list<T>(
        &mut self,
        what: &'static str,
        limit: usize,
        item_len: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(what, limit, item_len)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    fn pairs(&mut self) -> Result<Vec<(u32, u32)>, DecodeError> {
        self.list("terms", limits::MAX_TERMS, 8, |input| Ok((input.0.u32()?, input.0.u32()?)))
    }

    fn places(&mut self) -> Result<Vec<Option<u32>>, DecodeError> {
        self.list("positions", limits::MAX_POSITIONS, 4, Self::index)
    }

    fn index(&mut self) -> Result<Option<u32>, DecodeError> {
        Ok(self.0.u32()?.checked_sub(1))
    }

    fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.0.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::NotCanonical("flag")),
        }
    }

    fn f64(&mut self) -> Result<f64, DecodeError> {
        let value = f64::from_bits(self.0.u64()?);
        if value.is_finite() { Ok(value) } else { Err(DecodeError::NotCanonical("number")) }
    }

    fn scale(&mut self) -> Result<Scale, DecodeError> {
        Ok(Scale::decode_from(&mut self.0)?)
    }

    fn input(&mut self) -> Result<InputLayout, DecodeError> {
        let shape = self.list("axes", limits::MAX_SHAPE_AXES, 4, |input| Ok(input.0.u32()?))?;
        Ok(InputLayout {
            shape,
            lanes: self.0.u32()?,
            positions: self.0.u32()?,
            ciphertexts: self.list("input ciphertexts", limits::MAX_INPUTS, 4, Self::places)?,
            scale: self.scale()?,
            bound: self.f64()?,
        })
    }

    fn steps(&mut self) -> Result<Vec<Step>, DecodeError> {
        self.list("steps", limits::MAX_STEPS, 5, |input| {
            Ok(match input.0.u8()? {
                1 => Step::Rotations {
                    of: input.0.u32()?,
                    by: input
                        .list("rotations", limits::MAX_TERMS, 4, |input| Ok(input.0.u32()?))?,
                },
                2 => Step::Products { terms: input.pairs()?, bias: input.index()? },
                3 => Step::SwitchSum { terms: input.pairs()?, rescale: input.flag()? },
                4 => Step::Square { of: input.0.u32()? },
                5 => Step::Relinearize { of: input.0.u32()?, rescale: input.flag()? },
                6 => Step::Lower { of: input.0.u32()? },
                _ => return Err(DecodeError::NotCanonical("kind of step")),
            })
        })
    }

    fn output(&mut self) -> Result<OutputLayout, DecodeError> {
        Ok(OutputLayout {
            value: self.0.u32()?,
            outputs: self.0.u32()?,
            positions: self.places()?,
            range: self.f64()?,
            deviation: self.f64()?,
            released_deviation: self.f64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture;

    #[test]
    fn encoding_round_trips() {
        let program = fixture::program();
        let bytes = program.encode();
        let decoded = Program::decode(&bytes).unwrap();
        assert_eq!(decoded, program);
        assert_eq!(decoded.id(), program.id());
        assert_eq!(decoded.encode(), bytes);
    }

    /// The fixture's id under this version of the encoding: a change of it needs another version.
    #[test]
    fn golden_id() {
        let id: String = fixture::program().id().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (VERSION, &id[..]),
            (4, "d0f90bf86208b7d4fa4e322529ad9312096563a1cdfb46ed9179b298cdd40e86")
        );
    }

    #[test]
    fn every_field_changes_the_id() {
        let id = fixture::program().id();
        let changes: [fn(&mut Program); 12] = [
            |program| program.name.push('x'),
            |program| program.parameters.primes[0] += 2,
            |program| program.privacy = ModelPrivacy::Plain,
            |program| program.input.bound = 2.0,
            |program| program.input.ciphertexts[1][2] = Some(0),
            |program| program.weights[0].level = 1,
            |program| program.weights[0].mask = 9,
            |program| program.weights[0].row = 1,
            |program| program.steps.truncate(8),
            |program| program.output.deviation = 2e-6,
            |program| program.output.released_deviation = 5e-8,
            |program| program.keys.truncate(3),
        ];
        for change in changes {
            let mut changed = fixture::program();
            change(&mut changed);
            assert_ne!(changed.id(), id);
        }
    }

    #[test]
    fn no_prefix_and_no_extension_decodes() {
        let bytes = fixture::program().encode();
        for len in 0..bytes.len() {
            assert!(Program::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        let mut longer = bytes;
        longer.push(0);
        let error = Program::decode(&longer).unwrap_err();
        assert_eq!(error, DecodeError::Part(CkksDecodeError::TrailingBytes(1)));
    }

    #[test]
    fn refusals_are_named() {
        let bytes = fixture::program().encode();
        let mut other = bytes.clone();
        other[0] ^= 1;
        assert_eq!(Program::decode(&other), Err(DecodeError::BadMagic));
        let mut version = bytes.clone();
        version[8] = 9;
        assert_eq!(Program::decode(&version), Err(DecodeError::UnsupportedVersion(9)));
        // The name's length, far beyond what is there: refused before anything is allocated.
        let mut long = bytes;
        long[10..14].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(Program::decode(&long), Err(DecodeError::TooMany { .. })));
        let huge = vec![0; limits::MAX_PROGRAM_BYTES + 1];
        assert_eq!(Program::decode(&huge), Err(DecodeError::TooLong(huge.len())));
    }

    fn step() -> impl Strategy<Value = Step> {
        let pairs = || proptest::collection::vec((any::<u32>(), any::<u32>()), 0..5);
        prop_oneof![
            (any::<u32>(), proptest::collection::vec(any::<u32>(), 0..5))
                .prop_map(|(of, by)| Step::Rotations { of, by }),
            (pairs(), proptest::option::of(0..u32::MAX))
                .prop_map(|(terms, bias)| Step::Products { terms, bias }),
            (pairs(), any::<bool>())
                .prop_map(|(terms, rescale)| Step::SwitchSum { terms, rescale }),
            any::<u32>().prop_map(|of| Step::Square { of }),
            (any::<u32>(), any::<bool>())
                .prop_map(|(of, rescale)| Step::Relinearize { of, rescale }),
            any::<u32>().prop_map(|of| Step::Lower { of }),
        ]
    }

    proptest! {
        /// Whatever can be written can be read, valid program or not.
        #[test]
        fn anything_written_is_read(
            name in ".{0,20}",
            steps in proptest::collection::vec(step(), 0..8),
            shape in proptest::collection::vec(any::<u32>(), 0..4),
            places in proptest::collection::vec(proptest::option::of(0..u32::MAX), 0..20),
            deviation in proptest::num::f64::NORMAL,
            (level, mask, row) in any::<(u8, u32, u8)>(),
            exponent in -300i16..300,
        ) {
            let mut program = fixture::program();
            program.name = name;
            program.steps = steps;
            program.input.shape = shape;
            program.output.positions = places;
            program.output.deviation = deviation;
            program.weights[1] = WeightSpec { level, scale: Scale::pow2(exponent), mask, row };
            prop_assert_eq!(Program::decode(&program.encode()), Ok(program));
        }

        /// Damaged bytes are refused or are the encoding of another program; nothing panics.
        #[test]
        fn damaged_bytes_are_refused_or_canonical(
            damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = fixture::program().encode();
            for (index, value) in damage {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            if let Ok(program) = Program::decode(&bytes) {
                prop_assert_eq!(program.encode(), bytes);
                // The verifier must cope with anything that decodes.
                let _ = crate::VerifiedProgram::new_insecure_for_tests(program);
            }
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Program::decode(&bytes);
        }
    }
}
