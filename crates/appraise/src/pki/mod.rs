//! What certificates and signatures of every kind have in common: keys, and paths from a certificate to a root.

mod key;
mod path;

pub(crate) use key::{Hash, PublicKey, Salt, Scheme, left_padded};
pub(crate) use path::{Use, find_path, verify_path};
