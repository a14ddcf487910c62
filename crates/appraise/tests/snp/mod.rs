//! Vectors, and evidence under a test root.

/// A file of the vectors' folder.
pub fn vector(folder: &str, name: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    std::fs::read(format!("{root}/{folder}/{name}")).expect(name)
}
