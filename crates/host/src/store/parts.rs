//! Evaluation keys of sessions that are not complete yet, one file a key, so that a crash loses at most one key.
//!
//! A file's name carries its digest. So it needs no sync when it is written: what a power failure garbles is found out
//! when it is read, and the key is made again.

use std::io;
use std::path::{Path, PathBuf};

use adyton_wire::digest::sha256;

use super::meta::Id;
use super::{StoreError, hex};

/// The folder of parts; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    folder: PathBuf,
}

impl Parts {
    /// Opens the folder, which is made if it is missing; removes the parts of all sessions but those that `is_wanted`.
    pub(crate) fn open(
        folder: PathBuf,
        is_wanted: impl Fn(&str) -> Result<bool, StoreError>,
    ) -> Result<Self, StoreError> {
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if !name.map_or(Ok(false), &is_wanted)? {
                std::fs::remove_dir_all(&path)?;
            }
        }
        Ok(Self { folder })
    }

    /// Stores key number `index` of a session.
    pub(crate) async fn put(
        &self,
        session: Id,
        index: u32,
        key: bytes::Bytes,
    ) -> Result<(), StoreError> {
        let folder = self.of(session);
        let path = folder.join(format!("{index}-{}", hex(&sha256(&key))));
        blocking(move || {
            std::fs::create_dir_all(folder)?;
            std::fs::write(path, key)
        })
        .await
    }

    /// Reads key number `index` of a session; `None` if it is not there whole.
    pub(crate) async fn get(&self, session: Id, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let folder = self.of(session);
        let prefix = format!("{index}-");
        blocking(move || {
            let entries = match std::fs::read_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                entries => entries?,
            };
            for entry in entries {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                let Some(digest) = name.and_then(|name| name.strip_prefix(&prefix)) else {
                    continue;
                };
                let key = std::fs::read(&path)?;
                if hex(&sha256(&key)) == digest {
                    return Ok(Some(key));
                }
                std::fs::remove_file(&path)?;
            }
            Ok(None)
        })
        .await
    }

    /// Removes all parts of a session.
    pub(crate) async fn clear(&self, session: Id) -> Result<(), StoreError> {
        let folder = self.of(session);
        blocking(move || match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }

    fn of(&self, session: Id) -> PathBuf {
        self.folder.join(Path::new(&hex(&session)))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn whole_parts_come_back_and_garbled_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let parts = Parts::open(folder.path().to_owned(), |_| Ok(true)).unwrap();
        let session = [7; 32];
        assert_eq!(parts.get(session, 1).await.unwrap(), None);
        parts.put(session, 1, Bytes::from_static(b"one")).await.unwrap();
        parts.put(session, 11, Bytes::from_static(b"eleven")).await.unwrap();
        assert_eq!(parts.get(session, 1).await.unwrap().unwrap(), b"one");
        let file = format!("11-{}", hex(&sha256(b"eleven")));
        std::fs::write(parts.of(session).join(file), b"garbled").unwrap();
        assert_eq!(parts.get(session, 11).await.unwrap(), None);
        parts.clear(session).await.unwrap();
        assert_eq!(parts.get(session, 1).await.unwrap(), None);
    }

    #[tokio::test]
    async fn parts_of_finished_sessions_are_removed_when_opened() {
        let folder = tempfile::tempdir().unwrap();
        let open = |wanted: Id| {
            Parts::open(folder.path().to_owned(), move |name| Ok(name == hex(&wanted))).unwrap()
        };
        let parts = open([1; 32]);
        parts.put([1; 32], 0, Bytes::from_static(b"a")).await.unwrap();
        parts.put([2; 32], 0, Bytes::from_static(b"b")).await.unwrap();
        let parts = open([2; 32]);
        assert_eq!(parts.get([1; 32], 0).await.unwrap(), None);
        assert_eq!(parts.get([2; 32], 0).await.unwrap().unwrap(), b"b");
    }
}
