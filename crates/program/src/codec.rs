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
const VERSION: u16 = 1;
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
            weights: input.list("weights", limits::MAX_WEIGHTS, 4, |input| {
                Ok(WeightSpec { level: input.0.u8()?, scale: input.scale()? })
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
        }
    }

    fn output(&mut self, output: &OutputLayout) {
        self.u32(output.value);
        self.u32(output.outputs);
        self.list(&output.positions, Self::index);
        self.f64(output.range);
        self.f64(output.noise);
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
            noise: self.f64()?,
        })
    }
}
