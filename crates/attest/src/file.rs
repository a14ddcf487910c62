//! Files that a platform answers by: bounded, and named when they fail.

use crate::platform::{PlatformError, io};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a file's line, at most.
const MAX_LINE: usize = 256;

/// A file of at most `most` bytes.
pub(crate) fn contents(path: &Path, most: usize) -> Result<Vec<u8>, PlatformError> {
    let file = File::open(path).map_err(io("open the platform's file"))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(io("read the platform's file"))?;
    if bytes.len() > most {
        return Err(wrong(path, format!("more than {most} bytes")));
    }
    Ok(bytes)
}

/// As [`contents`], and at least one byte.
pub(crate) fn bytes(path: &Path, most: usize) -> Result<Vec<u8>, PlatformError> {
    let bytes = contents(path, most)?;
    if bytes.is_empty() { Err(wrong(path, "nothing".to_owned())) } else { Ok(bytes) }
}

fn wrong(path: &Path, what: String) -> PlatformError {
    PlatformError::Answer {
        platform: "the platform's file",
        problem: format!("{what} in {}", path.display()),
    }
}

/// A file's only line.
pub(crate) fn line(path: &Path) -> Result<String, PlatformError> {
    let bytes = bytes(path, MAX_LINE)?;
    let text = String::from_utf8(bytes).ok().map(|text| text.trim_end().to_owned());
    text.filter(|text| !text.contains('\n'))
        .ok_or_else(|| wrong(path, "no line of text".to_owned()))
}
