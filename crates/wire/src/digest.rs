//! SHA-256 and SHA-512 with domain separation.

use sha2::{Digest, Sha256, Sha512};

/// SHA-256 of plain bytes: the id of an object.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of length-prefixed parts under a domain tag.
pub fn tagged(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in std::iter::once(&domain.as_bytes()).chain(parts) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-512 of length-prefixed parts under a domain tag: what evidence carries as report data.
pub fn tagged_512(domain: &str, parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for part in std::iter::once(&domain.as_bytes()).chain(parts) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-256 of an object that arrives in pieces; equal to [`sha256`] of the whole.
#[derive(Clone, Debug, Default)]
pub struct ObjectHasher(Sha256);

impl ObjectHasher {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The object's id.
    pub fn finish(self) -> crate::ObjectId {
        crate::ObjectId(self.0.finalize().into())
    }
}

/// Commitment to a secret seed of 32 random bytes: hides it, binds to it, and tells nothing but equality.
pub fn seed_commitment(seed: &[u8; 32]) -> [u8; 32] {
    tagged("adyton/v1/seed-commitment", &[seed])
}
