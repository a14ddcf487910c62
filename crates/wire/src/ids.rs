//! Identifiers: newtypes over bytes, printed in hexadecimal.

use crate::WireError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(
            /// The bytes.
            pub [u8; $len],
        );

        impl $name {
            /// Reads the id from bytes.
            ///
            /// # Errors
            /// [`WireError::Length`] for any other length.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
                Ok(Self(array($what, bytes)?))
            }

            /// Reads the id from hexadecimal digits.
            ///
            /// # Errors
            /// [`WireError::Length`] for another number of digits, [`WireError::Statement`] for other characters.
            pub fn from_hex(text: &str) -> Result<Self, WireError> {
                Ok(Self(from_hex($what, text)?))
            }

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = WireError;
            fn from_str(text: &str) -> Result<Self, WireError> {
                Self::from_hex(text)
            }
        }
    };
}

id!(
    /// Digest of a program's canonical bytes.
    ProgramId, 32, "program id"
);
id!(
    /// Digest of a deployment statement: program, owner, policy, model and model key.
    DeploymentId, 32, "deployment id"
);
id!(
    /// Digest of a session statement: deployment, data owner, reply key and input key.
    SessionId, 32, "session id"
);
id!(
    /// Chosen at random by the data owner, single use within a session.
    JobId, 16, "job id"
);
id!(
    /// SHA-256 of an object's bytes: an encrypted model, a batch of inputs, a bundle of keys.
    ObjectId, 32, "object id"
);
id!(
    /// One enclave's state from its first start on; drawn at random.
    InstanceId, 16, "instance id"
);
id!(
    /// A challenger's nonce.
    Nonce, 32, "nonce"
);
id!(
    /// Tells apart sessions of one owner with one deployment.
    SessionNonce, 16, "session nonce"
);

/// Exactly `N` bytes.
pub(crate) fn array<const N: usize>(
    what: &'static str,
    bytes: &[u8],
) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::Length { what, length: bytes.len(), expected: N })
}

/// Exactly `N` bytes in hexadecimal.
pub(crate) fn from_hex<const N: usize>(
    what: &'static str,
    text: &str,
) -> Result<[u8; N], WireError> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(WireError::Length { what, length: digits.len() / 2, expected: N });
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                b'A'..=b'F' => digit - b'A' + 10,
                _ => return Err(WireError::Statement("not a hexadecimal digit")),
            };
            *byte = (*byte << 4) | value;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_round_trips() {
        let id = JobId([0, 1, 2, 3, 0xfe, 0xff, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x5a]);
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        assert!("00".parse::<JobId>().is_err());
        assert!("zz".repeat(16).parse::<JobId>().is_err());
    }
}
