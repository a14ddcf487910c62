//! Canonical bytes: a domain tag and fields, each with its length in front; one encoding for one value.

use crate::WireError;
use crate::ids::array;

/// Writes fields in order.
#[derive(Debug)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Begins with a domain tag such as `adyton/v1/job`.
    pub fn new(domain: &str) -> Self {
        let mut writer = Self(Vec::new());
        writer.bytes(domain.as_bytes());
        writer
    }

    /// A field of any bytes. Lengths fit 32 bits: every field is bounded far below that.
    pub fn bytes(&mut self, field: &[u8]) {
        self.0.extend_from_slice(&(field.len() as u32).to_le_bytes());
        self.0.extend_from_slice(field);
    }

    /// A 32-bit number, four bytes, little endian.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    /// A 64-bit number, eight bytes, little endian.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// A truth value, one byte.
    pub fn bool(&mut self, value: bool) {
        self.bytes(&[u8::from(value)]);
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads fields in order; every error names the format, none an offset.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Begins with the domain tag that is expected.
    pub fn new(domain: &str, bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Self(bytes);
        if reader.bytes()? != domain.as_bytes() {
            return Err(WireError::Statement("another kind of statement"));
        }
        Ok(reader)
    }

    /// A field of any bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let short = WireError::Statement("ends within a field");
        let (prefix, rest) = self.0.split_first_chunk::<4>().ok_or(short.clone())?;
        let length = u32::from_le_bytes(*prefix) as usize;
        let (field, rest) = rest.split_at_checked(length).ok_or(short)?;
        self.0 = rest;
        Ok(field)
    }

    /// A field of exactly `N` bytes.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        array(what, self.bytes()?)
    }

    /// A 32-bit number.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array("32-bit number")?))
    }

    /// A 64-bit number.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array("64-bit number")?))
    }

    /// A truth value.
    pub fn bool(&mut self) -> Result<bool, WireError> {
        match self.array::<1>("truth value")? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(WireError::Statement("a truth value that is neither 0 nor 1")),
        }
    }

    /// A short text of printable ASCII.
    pub fn text(&mut self, limit: usize) -> Result<String, WireError> {
        let bytes = self.bytes()?;
        if bytes.len() > limit {
            return Err(WireError::TooLarge { what: "text", length: bytes.len(), limit });
        }
        if !bytes.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return Err(WireError::Statement("a text that is not printable ASCII"));
        }
        Ok(bytes.iter().map(|&byte| char::from(byte)).collect())
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Statement("bytes left over")) }
    }
}
