//! Unchecked parameters, as programs carry them and people write them down.

use adyton_ring::RingKind;

use super::Security;
use crate::codec::{DecodeError, Reader};

/// Version of the canonical encoding of [`ParametersLiteral`].
const LITERAL_VERSION: u8 = 1;

/// Digits and special primes of the evaluation keys at one level (hybrid key switching: Han, Ki, ePrint 2019/688).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gadget {
    /// α: how many primes of the level make one digit; the last digit may have fewer.
    pub digit_primes: u8,
    /// How many of the special primes are used, from the first on.
    pub special_primes: u8,
}

/// Parameters as data: nothing about them has been checked. [`Parameters`](crate::Parameters) is the checked form.
///
/// `levels[0]` is the lowest level, the last entry the top. A level is any set of primes, given by ascending indices into `primes`;
/// rescaling goes from each set to the next lower one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParametersLiteral {
    /// Standard or conjugate-invariant ring.
    pub kind: RingKind,
    /// log2 of the ring degree N.
    pub log_n: u8,
    /// Ciphertext primes.
    pub primes: Vec<u64>,
    /// Special primes, for evaluation keys.
    pub special_primes: Vec<u64>,
    /// For each level, lowest first, ascending indices into `primes`.
    pub levels: Vec<Vec<u8>>,
    /// For each level, the gadget of its evaluation keys; `None` where no evaluation key may exist.
    pub gadgets: Vec<Option<Gadget>>,
    /// The bound that the moduli must respect.
    pub security: Security,
}

impl ParametersLiteral {
    /// The canonical encoding: equal literals have equal bytes, and the digest is taken over them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Appends the canonical encoding. Lists longer than 255 entries (which no valid parameters have) are cut there.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[
            LITERAL_VERSION,
            kind_byte(self.kind),
            self.log_n,
            self.security as u8,
        ]);
        for list in [&self.primes, &self.special_primes] {
            let count = push_count(out, list.len());
            list.iter().take(count).for_each(|prime| out.extend_from_slice(&prime.to_le_bytes()));
        }
        let count = push_count(out, self.levels.len());
        for level in self.levels.iter().take(count) {
            let count = push_count(out, level.len());
            out.extend(level.iter().take(count));
        }
        let count = push_count(out, self.gadgets.len());
        for gadget in self.gadgets.iter().take(count) {
            match gadget {
                None => out.push(0),
                Some(gadget) => {
                    out.extend_from_slice(&[1, gadget.digit_primes, gadget.special_primes])
                }
            }
        }
    }

    /// Reads exactly what [`ParametersLiteral::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`] when bytes are missing, left over, or of no canonical form. The values themselves are not checked here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let literal = Self::decode_from(&mut reader)?;
        reader.finish()?;
        Ok(literal)
    }

    /// Reads one literal from a longer encoding.
    ///
    /// # Errors
    /// [`DecodeError`] when bytes are missing or of no canonical form.
    pub fn decode_from(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = reader.u8()?;
        if version != LITERAL_VERSION {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let kind = kind_from_byte(reader.u8()?).ok_or(DecodeError::NotCanonical("ring kind"))?;
        let log_n = reader.u8()?;
        let security =
            Security::from_byte(reader.u8()?).ok_or(DecodeError::NotCanonical("security"))?;
        let primes = read_primes(reader)?;
        let special_primes = read_primes(reader)?;
        let levels = read_list(reader, |reader| {
            let count = reader.u8()?;
            Ok(reader.take(usize::from(count))?.to_vec())
        })?;
        let gadgets = read_list(reader, |reader| match reader.u8()? {
            0 => Ok(None),
            1 => Ok(Some(Gadget { digit_primes: reader.u8()?, special_primes: reader.u8()? })),
            _ => Err(DecodeError::NotCanonical("gadget")),
        })?;
        Ok(Self { kind, log_n, primes, special_primes, levels, gadgets, security })
    }
}

fn kind_byte(kind: RingKind) -> u8 {
    match kind {
        RingKind::Standard => 1,
        RingKind::ConjugateInvariant => 2,
    }
}

fn kind_from_byte(byte: u8) -> Option<RingKind> {
    match byte {
        1 => Some(RingKind::Standard),
        2 => Some(RingKind::ConjugateInvariant),
        _ => None,
    }
}

fn push_count(out: &mut Vec<u8>, len: usize) -> usize {
    let count = u8::try_from(len).unwrap_or(u8::MAX);
    out.push(count);
    usize::from(count)
}

fn read_primes(reader: &mut Reader<'_>) -> Result<Vec<u64>, DecodeError> {
    read_list(reader, Reader::u64)
}

/// A list with a one-byte count; at most 255 small items, so allocating for the count is bounded.
fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.u8()?;
    (0..count).map(|_| item(reader)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal() -> ParametersLiteral {
        ParametersLiteral {
            kind: RingKind::ConjugateInvariant,
            log_n: 5,
            primes: vec![257, 769, 3329],
            special_primes: vec![7681],
            levels: vec![vec![0], vec![1, 2]],
            gadgets: vec![Some(Gadget { digit_primes: 1, special_primes: 1 }), None],
            security: Security::InsecureForTests,
        }
    }

    #[test]
    fn encoding_round_trips() {
        let bytes = literal().to_bytes();
        assert_eq!(ParametersLiteral::from_bytes(&bytes), Ok(literal()));
        let standard = ParametersLiteral { kind: RingKind::Standard, ..literal() };
        assert_ne!(standard.to_bytes(), bytes);
    }

    #[test]
    fn decoder_is_strict() {
        let bytes = literal().to_bytes();
        for len in 0..bytes.len() {
            assert!(matches!(
                ParametersLiteral::from_bytes(&bytes[..len]),
                Err(DecodeError::Truncated { .. })
            ));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(ParametersLiteral::from_bytes(&longer), Err(DecodeError::TrailingBytes(1)));
        for (position, error) in [
            (0, DecodeError::UnsupportedVersion(9)),
            (1, DecodeError::NotCanonical("ring kind")),
            (3, DecodeError::NotCanonical("security")),
        ] {
            let mut bytes = bytes.clone();
            bytes[position] = 9;
            assert_eq!(ParametersLiteral::from_bytes(&bytes), Err(error));
        }
    }
}
