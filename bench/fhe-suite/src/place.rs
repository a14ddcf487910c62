//! Where the harness and the stages leave their files.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Names of the sizes: 1, a few, 1000 and 10,000 images. How many "a few" are is the harness's matter; the pixels tell.
pub(crate) const SIZES: [&str; 4] = ["single", "small", "medium", "large"];

/// The directories of one size.
pub(crate) struct Place {
    /// Whether one image alone is classified.
    pub(crate) single: bool,
    io: PathBuf,
    data: PathBuf,
}

impl Place {
    /// The directories for the harness's size argument.
    pub(crate) fn new(root: &Path, size: &str) -> Result<Self> {
        match size.parse::<usize>().ok().and_then(|index| SIZES.get(index)) {
            Some(name) => Ok(Self::named(root, name)),
            None => bail!(
                "`{size}` is no size: expected 0 (single), 1 (small), 2 (medium) or 3 (large)"
            ),
        }
    }

    /// The directories of the size with this name.
    pub(crate) fn named(root: &Path, name: &str) -> Self {
        Self {
            single: Some(&name) == SIZES.first(),
            io: root.join("io").join(name),
            data: root.join("datasets").join(name),
        }
    }

    /// The program and its evaluation keys: what a server gets.
    pub(crate) fn program(&self) -> PathBuf {
        self.io.join("public_keys/program.adyton")
    }

    /// Evaluation keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.io.join("public_keys/keys.adyton")
    }

    /// The client's seeds.
    pub(crate) fn seeds(&self) -> PathBuf {
        self.io.join("secret_key/seeds")
    }

    /// The model as the server has it: plain, or encrypted under the client's model key.
    pub(crate) fn model(&self) -> PathBuf {
        self.io.join("server_model/model.adyton")
    }

    /// Encrypted inputs.
    pub(crate) fn upload(&self) -> PathBuf {
        self.io.join("ciphertexts_upload/inputs.adyton")
    }

    /// Encrypted results.
    pub(crate) fn download(&self) -> PathBuf {
        self.io.join("ciphertexts_download/results.adyton")
    }

    /// The number of images, for the client.
    pub(crate) fn count(&self) -> PathBuf {
        self.io.join("intermediate/count.txt")
    }

    /// Decrypted outputs, one image a line.
    pub(crate) fn outputs(&self) -> PathBuf {
        self.io.join("intermediate/outputs.txt")
    }

    /// Labels, one a line: what the harness reads.
    pub(crate) fn predictions(&self) -> PathBuf {
        self.io.join("encrypted_model_predictions.txt")
    }

    /// The images, one a line: what the harness writes.
    pub(crate) fn pixels(&self) -> PathBuf {
        self.data.join("intermediate/test_pixels.txt")
    }
}

/// Writes a file and the directories above it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    make_parent(path)?;
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Makes the directories above a file.
pub(crate) fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Creates a file, with the directories above it, for writing.
pub(crate) fn create(path: &Path) -> Result<std::io::BufWriter<std::fs::File>> {
    make_parent(path)?;
    let file = std::fs::File::create(path);
    Ok(std::io::BufWriter::new(file.with_context(|| format!("cannot write {}", path.display()))?))
}

/// Opens a file for reading.
pub(crate) fn open(path: &Path) -> Result<std::io::BufReader<std::fs::File>> {
    let file = std::fs::File::open(path);
    Ok(std::io::BufReader::new(file.with_context(|| format!("cannot read {}", path.display()))?))
}
