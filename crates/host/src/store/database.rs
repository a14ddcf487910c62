//! The database file, opened anew after a failure of the disk.
//!
//! redb closes itself for good at the first error of its file: a disk that was full for a moment would stop the host until
//! somebody starts it again. Opening repairs as after a crash, so what was committed is there and nothing else.

use std::sync::{PoisonError, RwLock};

use redb::{Database, Error};

use super::StoreError;

type Open = Box<dyn Fn() -> Result<Database, StoreError> + Send + Sync>;

/// A database that comes back.
pub(crate) struct Reopening {
    open: Open,
    opened: RwLock<Opened>,
}

struct Opened {
    /// `None` between a failure and the next opening that succeeds.
    database: Option<Database>,
    /// Counts openings, so that of many calls that failed one opens again.
    generation: u64,
}

impl std::fmt::Debug for Reopening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reopening").finish_non_exhaustive()
    }
}

impl Reopening {
    /// Opens it now, and whenever it has failed, by `open`.
    pub(crate) fn new(
        open: impl Fn() -> Result<Database, StoreError> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let opened = RwLock::new(Opened { database: Some(open()?), generation: 0 });
        Ok(Self { open: Box::new(open), opened })
    }

    /// Runs `work`, which may block. After a failure of the file the next call opens it again first.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        if opened.database.is_none() {
            drop(opened);
            self.reopen()?;
            opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        }
        // Closed again in between: another call has met the next failure.
        let Some(database) = &opened.database else {
            return Err(StoreError::Database(Error::PreviousIo));
        };
        let result = work(database);
        let generation = opened.generation;
        drop(opened);
        if let Err(StoreError::Database(
            Error::Io(_) | Error::PreviousIo | Error::DatabaseClosed | Error::LockPoisoned(_),
        )) = &result
        {
            self.close(generation);
        }
        result
    }

    fn close(&self, generation: u64) {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.generation == generation {
            opened.database = None;
        }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.database.is_none() {
            opened.database = Some((self.open)()?);
            opened.generation += 1;
            tracing::warn!("the metadata was opened again after a failure of the disk");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::backends::FileBackend;
    use redb::{ReadableDatabase, StorageBackend, TableDefinition};

    use super::*;

    const TABLE: TableDefinition<'static, u64, u64> = TableDefinition::new("table");

    /// A disk that is full while the flag is set.
    #[derive(Debug)]
    struct Disk(FileBackend, Arc<AtomicBool>);

    impl Disk {
        fn room(&self) -> io::Result<()> {
            let full = self.1.load(Ordering::Relaxed);
            if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }

        fn set_len(&self, length: u64) -> io::Result<()> {
            self.room()?;
            self.0.set_len(length)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.room()?;
            self.0.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.room()?;
            self.0.write(offset, data)
        }

        fn close(&self) -> io::Result<()> {
            self.0.close()
        }
    }

    fn put(database: &Reopening, value: u64) -> Result<(), StoreError> {
        database.with(|database| {
            let transaction = database.begin_write()?;
            transaction.open_table(TABLE)?.insert(value, value)?;
            Ok(transaction.commit()?)
        })
    }

    fn has(database: &Reopening, value: u64) -> Result<bool, StoreError> {
        database
            .with(|database| Ok(database.begin_read()?.open_table(TABLE)?.get(value)?.is_some()))
    }

    #[test]
    fn a_full_disk_is_survived_and_nothing_committed_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.redb");
        let full = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&full);
        let database = Reopening::new(move || {
            let mut options = std::fs::File::options();
            let file = options.read(true).write(true).create(true).truncate(false).open(&path)?;
            let file = FileBackend::new(file)?;
            Ok(Database::builder().create_with_backend(Disk(file, Arc::clone(&flag)))?)
        })
        .unwrap();
        put(&database, 1).unwrap();
        full.store(true, Ordering::Relaxed);
        let error = put(&database, 2).unwrap_err();
        assert!(error.is_out_of_space(), "{error}");
        assert!(put(&database, 2).is_err());
        full.store(false, Ordering::Relaxed);
        assert!(has(&database, 1).unwrap());
        assert!(!has(&database, 2).unwrap());
        put(&database, 2).unwrap();
        assert!(has(&database, 2).unwrap());
    }
}
