//! Content-addressed objects over `object_store`.
//!
//! An object is visible once its record is in the metadata; its bytes stand complete and synced in the store before that.
//! So a crash leaves at most unfinished or unrecorded files, and those are removed when the store is opened.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adyton_wire::digest::{ObjectHasher, sha256};
use bytes::{Buf, Bytes};
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use tokio::runtime::Handle;

use super::meta::{Id, Meta};
use super::record::ObjectRecord;
use super::{StoreError, hex};

/// Size of the parts in which an upload is written.
const PART_BYTES: usize = 8 << 20;
/// Parts of one upload that may be on their way to the store: bounds its memory to `PART_BYTES · (PARTS_IN_FLIGHT + 1)`.
const PARTS_IN_FLIGHT: usize = 1;

/// What is about to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// Object id, if it is known beforehand: the content must have this digest.
    pub(crate) id: Option<Id>,
    /// Its record.
    pub(crate) record: ObjectRecord,
}

/// The object store; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    meta: Meta,
    space: Arc<Space>,
    /// Tells uploads apart.
    uploads: Arc<AtomicU64>,
}

/// Bytes stored or being stored, and their bound.
#[derive(Debug)]
struct Space {
    used: AtomicU64,
    limit: u64,
}

impl Space {
    fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, StoreError> {
        let add = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Ok(Reservation { space: Arc::clone(self), bytes }),
            Err(used) => Err(StoreError::Full { used, wanted: bytes, limit: self.limit }),
        }
    }
}

/// Space taken by an upload; given back unless it is kept.
#[derive(Debug)]
struct Reservation {
    space: Arc<Space>,
    bytes: u64,
}

impl Reservation {
    fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.space.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Objects {
    /// Opens the store in `folder`, which is made if it is missing; holds at most `limit` bytes of objects. Removes files
    /// that no record names: what a crash left behind.
    pub(crate) fn open(folder: &FilePath, meta: Meta, limit: u64) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder)?;
        let records = meta.objects()?;
        let known: HashSet<PathBuf> =
            records.iter().map(|(id, _)| folder.join(location(*id).as_ref())).collect();
        sweep(folder, &known)?;
        let used = records.iter().map(|(_, record)| record.length).sum();
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        let space = Arc::new(Space { used: AtomicU64::new(used), limit });
        Ok(Self { store: Arc::new(store), meta, space, uploads: Arc::default() })
    }

    /// Bytes stored or being stored.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.space.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be stored.
    pub(crate) fn limit(&self) -> u64 {
        self.space.limit
    }

    /// A stored object's record.
    pub(crate) fn record(&self, id: Id) -> Result<Option<ObjectRecord>, StoreError> {
        self.meta.object(id)
    }

    /// Starts to store an object. Nothing is visible until [`Upload::finish`].
    pub(crate) async fn begin(&self, expected: Expected) -> Result<Upload, StoreError> {
        let reservation = self.space.reserve(expected.record.length)?;
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        let staged = Path::from_iter(["incoming".to_owned(), number.to_string()]);
        let target = self.store.put_multipart(&staged).await?;
        let writer = WriteMultipart::new_with_chunk_size(target, PART_BYTES);
        Ok(Upload {
            objects: self.clone(),
            expected,
            staged,
            writer,
            hasher: ObjectHasher::default(),
            received: 0,
            reservation,
        })
    }

    /// Stores a small object that is in memory; `program` is its program id if it is a program.
    pub(crate) async fn put(
        &self,
        kind: i32,
        bytes: Vec<u8>,
        program: Option<Id>,
    ) -> Result<Id, StoreError> {
        let id = sha256(&bytes);
        if self.record(id)?.is_none() {
            let length = bytes.len() as u64;
            let reservation = self.space.reserve(length)?;
            self.store.put(&location(id), PutPayload::from(bytes)).await?;
            let owner = program.map(Vec::from).unwrap_or_default();
            let record = ObjectRecord { kind, length, program: owner };
            self.meta.put_object(id, record, program).await?;
            reservation.keep();
        }
        Ok(id)
    }

    /// Opens an object for reading. The reader blocks: it is for threads that may.
    pub(crate) async fn reader(&self, id: Id) -> Result<ObjectReader, StoreError> {
        let found = self.store.get(&location(id)).await?;
        Ok(match found.payload {
            GetResultPayload::File(file, _) => ObjectReader::File(file),
            payload @ GetResultPayload::Stream(_) => {
                let found = object_store::GetResult { payload, ..found };
                let stream = found.into_stream().map_err(io::Error::other).boxed();
                let runtime = Handle::current();
                ObjectReader::Stream { stream, runtime, rest: Bytes::new() }
            }
        })
    }

    /// Reads a whole object into memory.
    pub(crate) async fn read(&self, id: Id) -> Result<Vec<u8>, StoreError> {
        let mut reader = self.reader(id).await?;
        tokio::task::spawn_blocking(move || {
            let mut content = Vec::new();
            reader.read_to_end(&mut content)?;
            Ok(content)
        })
        .await?
    }
}

/// An object on its way into the store. Dropped before [`Upload::finish`], it leaves nothing.
#[derive(Debug)]
pub(crate) struct Upload {
    objects: Objects,
    expected: Expected,
    staged: Path,
    writer: WriteMultipart,
    hasher: ObjectHasher,
    received: u64,
    reservation: Reservation,
}

impl Upload {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`StoreError::Length`] as soon as there are too many, or what the store answers.
    pub(crate) async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        let received = self.received + chunk.len() as u64;
        if received > self.expected.record.length {
            return Err(StoreError::Length { expected: self.expected.record.length, received });
        }
        self.received = received;
        self.hasher.update(&chunk);
        self.writer.wait_for_capacity(PARTS_IN_FLIGHT).await?;
        self.writer.put(chunk);
        Ok(())
    }

    /// Checks length and digest, then makes the object durable and visible. Returns its id.
    ///
    /// # Errors
    /// [`StoreError::Length`] or [`StoreError::Digest`] when the content is not what was announced; nothing is stored then.
    pub(crate) async fn finish(self) -> Result<Id, StoreError> {
        let Expected { id: announced, record } = self.expected;
        let (expected, received) = (record.length, self.received);
        if received != expected {
            self.writer.abort().await?;
            return Err(StoreError::Length { expected, received });
        }
        let id = self.hasher.finish().0;
        if announced.is_some_and(|announced| announced != id) {
            self.writer.abort().await?;
            return Err(StoreError::Digest);
        }
        self.writer.finish().await?;
        self.objects.store.rename(&self.staged, &location(id)).await?;
        let before = self.objects.record(id)?;
        self.objects.meta.put_object(id, record, None).await?;
        // Two uploads of one object that end at about the same time take its space once.
        if before.is_none() {
            self.reservation.keep();
        }
        Ok(id)
    }
}

/// Reads an object's content; blocks.
pub(crate) enum ObjectReader {
    /// A local file.
    File(File),
    /// From a remote store.
    Stream {
        /// Chunks of content.
        stream: futures_util::stream::BoxStream<'static, io::Result<Bytes>>,
        /// Where the stream runs.
        runtime: Handle,
        /// What is left of the last chunk.
        rest: Bytes,
    },
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stream { stream, runtime, rest } => {
                while rest.is_empty() {
                    match runtime.block_on(stream.next()) {
                        Some(chunk) => *rest = chunk?,
                        None => return Ok(0),
                    }
                }
                let length = buffer.len().min(rest.len());
                let (part, _) = buffer.split_at_mut(length);
                rest.copy_to_slice(part);
                Ok(length)
            }
        }
    }
}

/// Where an object stands: two levels, so that no folder grows without bound.
fn location(id: Id) -> Path {
    let name = hex(&id);
    let (folder, _) = name.split_at(2);
    Path::from_iter([folder, name.as_str()])
}

/// Removes every file below `folder` that is not in `known`.
fn sweep(folder: &FilePath, known: &HashSet<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sweep(&path, known)?;
        } else if !known.contains(&path) {
            tracing::info!(file = %path.display(), "removing a file that no object owns");
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &FilePath, limit: u64) -> Objects {
        let meta = Meta::open(&folder.join("meta.redb")).unwrap();
        Objects::open(&folder.join("objects"), meta, limit).unwrap()
    }

    fn expected(content: &[u8]) -> Expected {
        let record =
            ObjectRecord { kind: 1, length: content.len() as u64, ..ObjectRecord::default() };
        Expected { id: Some(sha256(content)), record }
    }

    fn files(folder: &FilePath) -> usize {
        std::fs::read_dir(folder).unwrap().fold(0, |count, entry| {
            let path = entry.unwrap().path();
            count + if path.is_dir() { files(&path) } else { 1 }
        })
    }

    #[tokio::test]
    async fn what_is_stored_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let objects = open(folder.path(), 1 << 30);
        let content: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
        let wanted = expected(&content);
        let id = sha256(&content);
        let mut upload = objects.begin(wanted.clone()).await.unwrap();
        for chunk in content.chunks(1 << 20) {
            assert!(objects.record(id).unwrap().is_none());
            upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        assert_eq!(upload.finish().await.unwrap(), id);
        assert_eq!(objects.record(id).unwrap(), Some(wanted.record));
        assert_eq!(objects.read(id).await.unwrap(), content);
        assert_eq!(objects.stored_bytes(), content.len() as u64);
    }

    #[tokio::test]
    async fn wrong_content_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let objects = open(folder.path(), 1 << 20);
        let wanted = expected(b"right");
        let mut upload = objects.begin(wanted.clone()).await.unwrap();
        upload.write(Bytes::from_static(b"wrong")).await.unwrap();
        assert!(matches!(upload.finish().await, Err(StoreError::Digest)));

        let mut upload = objects.begin(wanted.clone()).await.unwrap();
        upload.write(Bytes::from_static(b"righ")).await.unwrap();
        let error = upload.finish().await.unwrap_err();
        assert!(matches!(error, StoreError::Length { expected: 5, received: 4 }));

        let mut upload = objects.begin(wanted.clone()).await.unwrap();
        let error = upload.write(Bytes::from_static(b"righto")).await.unwrap_err();
        assert!(matches!(error, StoreError::Length { expected: 5, received: 6 }));
        drop(upload);

        assert!(objects.record(sha256(b"right")).unwrap().is_none());
        assert_eq!(objects.stored_bytes(), 0);
    }

    #[tokio::test]
    async fn space_is_bounded_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let objects = open(folder.path(), 10);
        let first = objects.begin(expected(b"123456")).await.unwrap();
        let error = objects.begin(expected(b"abcdef")).await.unwrap_err();
        assert!(matches!(error, StoreError::Full { used: 6, wanted: 6, limit: 10 }));
        drop(first);
        objects.begin(expected(b"abcdef")).await.unwrap();
    }

    #[tokio::test]
    async fn leftovers_are_removed_when_opened_and_objects_stay() {
        let folder = tempfile::tempdir().unwrap();
        let kept = {
            let objects = open(folder.path(), 1 << 20);
            let kept = objects.put(1, b"kept".to_vec(), None).await.unwrap();
            // Complete on disk, but the crash came before its record.
            let lost = location(sha256(b"lost"));
            objects.store.put(&lost, PutPayload::from_static(b"lost")).await.unwrap();
            let staged = folder.path().join("objects/incoming/0#1");
            std::fs::create_dir_all(staged.parent().unwrap()).unwrap();
            std::fs::write(staged, b"half").unwrap();
            kept
        };
        assert_eq!(files(&folder.path().join("objects")), 3);
        let objects = open(folder.path(), 1 << 20);
        assert_eq!(files(&folder.path().join("objects")), 1);
        assert_eq!(objects.read(kept).await.unwrap(), b"kept");
    }
}
