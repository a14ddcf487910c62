//! What the host keeps on disk: objects by content, and metadata about them.

pub(crate) mod database;
pub(crate) mod meta;
pub(crate) mod objects;
pub(crate) mod parts;
pub(crate) mod record;

use std::fmt::Write;

/// Whether an error is one of a full disk (or a quota, or a bound on a file's size), at whatever depth.
fn is_out_of_space(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(kind, Some(StorageFull | QuotaExceeded | FileTooLarge)) {
            return true;
        }
        if let Some(redb::Error::Io(error)) = error.downcast_ref() {
            return is_out_of_space(error);
        }
        next = error.source();
    }
    false
}

impl StoreError {
    /// Whether the disk is full: nothing was stored, and nothing is wrong with what is.
    pub fn is_out_of_space(&self) -> bool {
        match self {
            Self::Objects(error) => is_out_of_space(error),
            Self::Database(error) => is_out_of_space(error),
            Self::File(error) => is_out_of_space(error),
            _ => false,
        }
    }
}

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More or fewer bytes than were announced.
    #[error("{received} bytes came where {expected} were announced")]
    Length {
        /// Announced.
        expected: u64,
        /// Received, as far as was counted.
        received: u64,
    },
    /// The content's digest is not the announced object id.
    #[error("the content does not have the announced digest")]
    Digest,
    /// No space within the configured bound.
    #[error("{wanted} bytes do not fit: {used} of {limit} are in use")]
    Full {
        /// Bytes in use.
        used: u64,
        /// Bytes wanted.
        wanted: u64,
        /// The bound.
        limit: u64,
    },
    /// The object store failed.
    #[error("object store: {0}")]
    Objects(#[from] object_store::Error),
    /// The metadata database failed.
    #[error("metadata: {0}")]
    Database(#[from] redb::Error),
    /// A record does not decode: the database was written by another version or is damaged.
    #[error("metadata record: {0}")]
    Record(#[from] prost::DecodeError),
    /// A file could not be read or written.
    #[error("file: {0}")]
    File(#[from] std::io::Error),
    /// A thread of the store panicked or was cancelled at shutdown.
    #[error("interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::Database(error.into())
            }
        }
    )*};
}

from_redb!(CommitError, DatabaseError, StorageError, TableError, TransactionError);

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
