//! The sealed state on disk: one file of records, only ever appended to, each sealed and chained to the one before.
//!
//! ```text
//! magic (8 bytes) · file id (16 random bytes) · records
//! record: length (u32 LE) · nonce (24 random bytes) · ciphertext and tag
//! ```
//!
//! A record is sealed with XChaCha20-Poly1305 under the platform's sealing key; its associated data is the file id, its sequence
//! number, and the tag of the record before. Records can therefore not be altered, left out, swapped, or taken from
//! another file; what is left is cutting the end off, and that is what the platform's monotonic counter sees: it is moved to the number
//! of records after each record is on disk and before anybody is told of it.
//!
//! After a crash the file may end in a record that is incomplete, or complete but not yet counted. The first is cut off, the
//! second kept: in either case nobody was told yet.

use adyton_attest::Platform;
use adyton_wire::random_bytes;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"ADYTONS2";
const HEADER: u64 = 24;
const NONCE: usize = 24;
const TAG: usize = 16;
const NAME: &str = "state.sealed";
/// Longest record: a registration with the longest program.
const MAX_RECORD: usize = 64 << 20;

/// Why the state cannot be opened or extended.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error("another process holds the state")]
    InUse,
    /// The file is not a state of this version.
    #[error("the state file is of another kind or version")]
    Foreign,
    /// Fewer valid records than the platform counted: tampered with, rolled back, or of another platform.
    #[error(
        "the state has {records} valid records, the platform counted {counted}: it was tampered with or rolled back"
    )]
    RolledBack {
        /// Valid records found.
        records: u64,
        /// What the platform's counter says.
        counted: u64,
    },
    /// A sealed record that does not hold what this version writes.
    #[error("a sealed record is damaged: {0}")]
    Damaged(&'static str),
    /// An earlier write failed half-way; the file must be opened anew.
    #[error("an earlier write failed; restart to recover")]
    Broken,
    /// The platform did not serve.
    #[error(transparent)]
    Platform(#[from] adyton_attest::PlatformError),
    /// No random bytes.
    #[error(transparent)]
    Wire(#[from] adyton_wire::WireError),
}

fn io(what: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |source| StoreError::Io { what, source }
}

/// Where a record stands in the file, so that it can be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    offset: u64,
    length: u32,
    sequence: u64,
    previous: [u8; TAG],
}

/// A record's contents, wiped when dropped.
type Opened = Zeroizing<Vec<u8>>;

/// The open state file.
pub(crate) struct Store {
    file: File,
    cipher: XChaCha20Poly1305,
    platform: Arc<dyn Platform>,
    id: [u8; 16],
    /// Records in the file.
    records: u64,
    /// Where the next record goes.
    end: u64,
    /// Tag of the last record.
    last: [u8; TAG],
    /// A write failed: what the file holds beyond `end` is unknown.
    broken: bool,
}

/// The state's file, locked against other processes; nothing of it is read yet.
#[derive(Debug)]
pub struct StateFile(File);

impl StateFile {
    /// Takes the file in `directory`; makes both at first.
    ///
    /// # Errors
    /// [`StoreError`] when another process has it, or the disk fails.
    pub fn claim(directory: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(directory).map_err(io("make the state's folder"))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join(NAME))
            .map_err(io("open the state file"))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse,
            TryLockError::Error(source) => StoreError::Io { what: "lock the state file", source },
        })?;
        // Whoever made it may have been killed before this.
        File::open(directory)
            .and_then(|folder| folder.sync_all())
            .map_err(io("sync the state's folder"))?;
        Ok(Self(file))
    }
}

impl Store {
    /// Opens the state of this file, or begins one, and hands every record to `replay` in order.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed unless it began a new state.
    pub(crate) fn open<E: From<StoreError>>(
        file: StateFile,
        platform: Arc<dyn Platform>,
        mut replay: impl FnMut(Place, Opened) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut store = Self::begun(file, platform)?;
        let size = store.file.metadata().map_err(io("measure the state file"))?.len();
        while let Some((place, record)) = store.next_record(size)? {
            replay(place, record)?;
        }
        let counted = store.platform.counter().map_err(StoreError::from)?.unwrap_or(0);
        if store.records < counted {
            return Err(StoreError::RolledBack { records: store.records, counted }.into());
        }
        if size > store.end {
            store.file.set_len(store.end).map_err(io("cut off an incomplete record"))?;
            store.file.sync_all().map_err(io("sync the state file"))?;
        }
        if store.records > counted {
            store.platform.advance_counter(store.records).map_err(StoreError::from)?;
        }
        Ok(store)
    }

    /// Reads or writes the header.
    fn begun(file: StateFile, platform: Arc<dyn Platform>) -> Result<Self, StoreError> {
        let file = file.0;
        let mut header = Vec::new();
        (&file).take(HEADER).read_to_end(&mut header).map_err(io("read the state file"))?;
        // A crash in the first write of all leaves less than a header; nothing was sealed under it.
        if (header.len() as u64) < HEADER {
            let counted = platform.counter()?.unwrap_or(0);
            if counted > 0 {
                return Err(StoreError::RolledBack { records: 0, counted });
            }
            header = [MAGIC.as_slice(), &random_bytes::<16>()?].concat();
            file.set_len(0).map_err(io("begin the state file"))?;
            file.write_all_at(&header, 0).map_err(io("begin the state file"))?;
            file.sync_all().map_err(io("sync the state file"))?;
        }
        let (magic, id) = header.split_at(MAGIC.len());
        let id = id.try_into().map_err(|_| StoreError::Foreign)?;
        if magic != MAGIC {
            return Err(StoreError::Foreign);
        }
        let key = platform.sealing_key()?;
        Ok(Self {
            file,
            cipher: XChaCha20Poly1305::new(
                key.as_slice().try_into().map_err(|_| StoreError::Foreign)?,
            ),
            platform,
            id,
            records: 0,
            end: HEADER,
            last: [0; TAG],
            broken: false,
        })
    }

    /// Reads the record at `end` and moves past it; `None` where no valid record stands.
    fn next_record(&mut self, size: u64) -> Result<Option<(Place, Opened)>, StoreError> {
        let mut prefix = [0; 4];
        if self.end + 4 > size {
            return Ok(None);
        }
        self.file.read_exact_at(&mut prefix, self.end).map_err(io("read the state file"))?;
        let length = u32::from_le_bytes(prefix);
        let next = self.end + 4 + u64::from(length);
        if (length as usize) < NONCE + TAG || length as usize > MAX_RECORD || next > size {
            return Ok(None);
        }
        let place =
            Place { offset: self.end + 4, length, sequence: self.records, previous: self.last };
        match self.read(place) {
            Ok((record, tag)) => {
                (self.end, self.records, self.last) = (next, self.records + 1, tag);
                Ok(Some((place, record)))
            }
            Err(StoreError::Damaged(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Reads the record of a place, with its tag.
    fn read(&self, place: Place) -> Result<(Opened, [u8; TAG]), StoreError> {
        let mut sealed = vec![0; place.length as usize];
        self.file.read_exact_at(&mut sealed, place.offset).map_err(io("read the state file"))?;
        let short = StoreError::Damaged("too short");
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(short)?;
        let tag = *sealed.last_chunk::<TAG>().ok_or(StoreError::Damaged("too short"))?;
        let aad = self.associated_data(place.sequence, &place.previous);
        let opened = self
            .cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad })
            .map_err(|_| StoreError::Damaged("it does not open"))?;
        Ok((Zeroizing::new(opened), tag))
    }

    /// Reads a record again.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the file was changed since.
    pub(crate) fn record(&self, place: Place) -> Result<Opened, StoreError> {
        self.read(place).map(|(record, _)| record)
    }

    /// Seals a record, appends it, and counts it; durable when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; the record then may or may not be found when the state is opened anew, and until then nothing can be
    /// appended.
    pub(crate) fn append(&mut self, record: &[u8]) -> Result<Place, StoreError> {
        if self.broken {
            return Err(StoreError::Broken);
        }
        let nonce = random_bytes::<NONCE>()?;
        let aad = self.associated_data(self.records, &self.last);
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: record, aad: &aad })
            .map_err(|_| StoreError::Damaged("it cannot be sealed"))?;
        let tag = *sealed.last_chunk::<TAG>().ok_or(StoreError::Damaged("too short"))?;
        let length = u32::try_from(NONCE + sealed.len())
            .ok()
            .filter(|&length| length as usize <= MAX_RECORD)
            .ok_or(StoreError::Damaged("too long"))?;
        let bytes = [&length.to_le_bytes()[..], &nonce, &sealed].concat();
        self.broken = true;
        self.file.seek(SeekFrom::Start(self.end)).map_err(io("extend the state file"))?;
        self.file.write_all(&bytes).map_err(io("extend the state file"))?;
        self.file.sync_data().map_err(io("sync the state file"))?;
        self.platform.advance_counter(self.records + 1)?;
        self.broken = false;
        let place =
            Place { offset: self.end + 4, length, sequence: self.records, previous: self.last };
        self.records += 1;
        self.end += bytes.len() as u64;
        self.last = tag;
        Ok(place)
    }

    /// Number of records.
    #[cfg(test)]
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    fn associated_data(&self, sequence: u64, previous: &[u8; TAG]) -> Vec<u8> {
        [self.id.as_slice(), &sequence.to_le_bytes(), previous].concat()
    }
}

#[cfg(test)]
mod tests;
