//! Frames over a byte stream: a 32-bit little-endian length, then that many bytes.

use crate::limits::MAX_FRAME;
use std::io::{ErrorKind, Read, Write};

/// Why a frame was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length exceeds the limit; nothing was allocated.
    #[error("a frame of {length} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Length announced.
        length: usize,
        /// Largest length allowed.
        limit: usize,
    },
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Truncated,
    /// The stream failed.
    #[error("stream")]
    Io(#[from] std::io::Error),
}

/// Memory taken at a time while a frame arrives: a peer pays with bytes for what it makes us allocate.
const STEP: usize = 1 << 20;

/// Reads one frame of at most `limit` bytes (and never more than [`MAX_FRAME`]); `None` when the stream ended before it.
///
/// # Errors
/// [`FrameError`]; after any the stream is of no further use.
pub fn read(stream: &mut impl Read, limit: usize) -> Result<Option<Vec<u8>>, FrameError> {
    let mut prefix = [0; 4];
    let mut filled = 0;
    while let Some(rest) = prefix.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(FrameError::Truncated),
            Ok(n) => filled += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let length = u32::from_le_bytes(prefix) as usize;
    let limit = limit.min(MAX_FRAME);
    if length > limit {
        return Err(FrameError::TooLarge { length, limit });
    }
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let step = STEP.min(length - bytes.len()).max(bytes.len().min(length - bytes.len()));
        bytes.reserve_exact(step);
        let read = stream.by_ref().take(step as u64).read_to_end(&mut bytes)?;
        if read < step {
            return Err(FrameError::Truncated);
        }
    }
    Ok(Some(bytes))
}

/// Writes one frame and flushes.
///
/// # Errors
/// [`FrameError::TooLarge`] above [`MAX_FRAME`], [`FrameError::Io`] when the stream fails.
pub fn write(stream: &mut impl Write, bytes: &[u8]) -> Result<(), FrameError> {
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|&length| length as usize <= MAX_FRAME)
        .ok_or(FrameError::TooLarge { length: bytes.len(), limit: MAX_FRAME })?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(bytes)?;
    stream.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_the_end_is_seen() {
        let long: Vec<u8> = (0..3_500_000u32).map(|i| i as u8).collect();
        let mut stream = Vec::new();
        for frame in [&b""[..], b"abc", &long] {
            write(&mut stream, frame).unwrap();
        }
        let mut reader = stream.as_slice();
        for frame in [&b""[..], b"abc", &long] {
            assert_eq!(read(&mut reader, MAX_FRAME).unwrap().unwrap(), frame);
        }
        assert!(read(&mut reader, MAX_FRAME).unwrap().is_none());
    }

    #[test]
    fn truncated_and_oversized_frames_are_refused() {
        let mut whole = Vec::new();
        write(&mut whole, b"0123456789").unwrap();
        for cut in 1..whole.len() {
            let got = read(&mut &whole[..cut], MAX_FRAME);
            assert!(matches!(got, Err(FrameError::Truncated)), "cut at {cut}");
        }
        assert!(matches!(
            read(&mut whole.as_slice(), 9),
            Err(FrameError::TooLarge { length: 10, limit: 9 })
        ));
        let huge = u32::MAX.to_le_bytes();
        assert!(matches!(read(&mut &huge[..], usize::MAX), Err(FrameError::TooLarge { .. })));
    }
}
