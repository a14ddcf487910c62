//! An owner's identity: one secret, and everything that derives from it.
//!
//! The file holds 32 random bytes and nothing else that is secret, so that an owner has one thing to guard and to back up.
//! Signing key, reply key, model keys and input keys derive from them by BLAKE3's key derivation, each under a context of
//! its own, so none tells anything of another.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use adyton_wire::SigningKey;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// First line of an identity file.
const HEADER: &str = "adyton identity v1";
/// Longest identity file, bytes: a larger file is something else.
const MAX_LEN: u64 = 1024;

/// Why an identity cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be made, read or written.
    #[error("cannot {action} the identity file {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A new identity would overwrite a file.
    #[error("{} exists already; an identity is never overwritten", .0.display())]
    Exists(PathBuf),
    /// The file is no identity.
    #[error("{} is no identity file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Others than the user can read or write the file.
    #[error("the identity file {} is open to others (mode {mode:03o}); it must be 600 (chmod 600)", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// One owner's secret. Erased from memory when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Identity {
    secret: [u8; 32],
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(secret)")
    }
}

impl Identity {
    /// A new identity from the operating system's randomness.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn generate() -> Result<Self, IdentityError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(IdentityError::Random)?;
        Ok(Self { secret })
    }

    /// An identity from 32 secret bytes that the caller keeps.
    #[must_use]
    pub fn from_secret(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// Makes a new identity and stores it in a new file that only this user can read.
    ///
    /// # Errors
    /// The file exists or cannot be made.
    pub fn create(path: &Path) -> Result<Self, IdentityError> {
        if path.symlink_metadata().is_ok() {
            return Err(IdentityError::Exists(path.to_owned()));
        }
        let identity = Self::generate()?;
        let text = Zeroizing::new(format!("{HEADER}\n{}\n", *identity.secret_hex()));
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        // Whole under another name first: a process that is killed, or a disk that is full, leaves no half of an identity.
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist_noclobber(path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => IdentityError::Exists(path.to_owned()),
            _ => IdentityError::File { action: "make", path: path.to_owned(), source },
        })?;
        Ok(identity)
    }

    /// Reads an identity file. Refuses one that others can read or write.
    ///
    /// # Errors
    /// The file is missing, exposed, or something else than an identity.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let fail = |source| IdentityError::File { action: "read", path: path.to_owned(), source };
        let malformed = |reason| IdentityError::Malformed { path: path.to_owned(), reason };
        let file = File::open(path).map_err(fail)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(IdentityError::Exposed { path: path.to_owned(), mode });
            }
        }
        let mut text = Zeroizing::new(Vec::new());
        file.take(MAX_LEN + 1).read_to_end(&mut text).map_err(fail)?;
        let text = std::str::from_utf8(&text).map_err(|_| malformed("it is not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return Err(malformed("its first line is not `adyton identity v1`"));
        }
        let secret = lines
            .next()
            .and_then(crate::hex::decode::<32>)
            .ok_or_else(|| malformed("its second line is not 64 hexadecimal digits"))?;
        if lines.next().is_some() {
            return Err(malformed("it has more than two lines"));
        }
        Ok(Self { secret })
    }

    /// Reads the file, or makes it when there is none. The flag tells whether it was made.
    ///
    /// # Errors
    /// As [`Identity::load`] and [`Identity::create`].
    pub fn load_or_create(path: &Path) -> Result<(Self, bool), IdentityError> {
        match Self::create(path) {
            Ok(identity) => Ok((identity, true)),
            Err(IdentityError::Exists(_)) => Self::load(path).map(|identity| (identity, false)),
            Err(error) => Err(error),
        }
    }

    /// The key that an owner of either kind, or an auditor, signs with, and by which others name it.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_seed(&self.derive("adyton 2026 owner signing key", b""))
    }

    fn secret_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(crate::hex::encode(&self.secret))
    }

    /// 32 bytes for one purpose. `context` is fixed per purpose, `about` names the object that they are for.
    pub(crate) fn derive(&self, context: &str, about: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(&self.secret);
        hasher.update(about);
        let mut out = Zeroizing::new([0; 32]);
        hasher.finalize_xof().fill(&mut *out);
        hasher.zeroize();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_created_can_be_loaded_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        let (made, new) = Identity::load_or_create(&path).unwrap();
        assert!(new);
        let (read, new) = Identity::load_or_create(&path).unwrap();
        assert!(!new);
        assert_eq!(made.secret, read.secret);
        assert!(matches!(Identity::create(&path), Err(IdentityError::Exists(_))));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_user_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        Identity::create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Identity::load(&path), Err(IdentityError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn malformed_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        let good = format!("{HEADER}\n{}\n", "ab".repeat(32));
        for (text, ok) in [
            (good.clone(), true),
            (String::new(), false),
            (format!("{HEADER}\n"), false),
            (format!("{HEADER}\n{}\n", "ab".repeat(31)), false),
            (format!("{HEADER}\n{}\n", "xy".repeat(32)), false),
            (format!("{good}more\n"), false),
            ("\u{0}".repeat(4096), false),
        ] {
            let _ = std::fs::remove_file(&path);
            Identity::create(&path).unwrap();
            std::fs::write(&path, &text).unwrap();
            assert_eq!(Identity::load(&path).is_ok(), ok, "{text:?}");
        }
    }

    #[test]
    fn purposes_and_objects_are_kept_apart() {
        let identity = Identity::from_secret([7; 32]);
        let a = identity.derive("a", b"x");
        assert_eq!(*a, *identity.derive("a", b"x"));
        assert_ne!(*a, *identity.derive("b", b"x"));
        assert_ne!(*a, *identity.derive("a", b"y"));
        assert_ne!(*a, *Identity::from_secret([8; 32]).derive("a", b"x"));
    }
}
