//! Random bytes of the operating system.

use crate::WireError;

/// `N` random bytes of the operating system.
///
/// # Errors
/// [`WireError::Entropy`] when the operating system has none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], WireError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| WireError::Entropy)?;
    Ok(bytes)
}
