//! Metadata in redb: deployments, sessions, jobs, results, the audit log, and which objects are stored.
//!
//! Every write is one transaction and on disk when the call returns. Reads see the last committed state.

use std::path::Path;
use std::sync::Arc;

use prost::Message;
use redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, WriteTransaction,
};

use super::StoreError;
use super::database::Reopening;
use super::record::{DeploymentRecord, JobRecord, ObjectRecord, SessionRecord};

/// 32 bytes: an object, program, deployment or session.
pub(crate) type Id = [u8; 32];
/// A job's key: its session and its own id.
pub(crate) type JobKey = (Id, [u8; 16]);

type Records<K> = TableDefinition<'static, K, &'static [u8]>;

const OBJECTS: Records<Id> = TableDefinition::new("objects");
const PROGRAMS: TableDefinition<'static, Id, Id> = TableDefinition::new("programs");
const DEPLOYMENTS: Records<Id> = TableDefinition::new("deployments");
const SESSIONS: Records<Id> = TableDefinition::new("sessions");
const JOBS: Records<JobKey> = TableDefinition::new("jobs");
/// Open jobs by order of acceptance.
const QUEUE: TableDefinition<'static, u64, JobKey> = TableDefinition::new("queue");
const AUDIT: Records<u64> = TableDefinition::new("audit");
const COUNTERS: TableDefinition<'static, &str, u64> = TableDefinition::new("counters");

/// Pages held in memory. The tables are small; redb's own default is 1 GiB.
const CACHE_BYTES: usize = 16 << 20;

/// What became of a job that was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submission {
    /// Stored now.
    New,
    /// The very same job was stored before.
    Same,
    /// Another job of this id was stored before.
    Other,
    /// Too many open jobs in total, or in this session.
    Full,
}

/// How many jobs may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// In total.
    pub(crate) total: u64,
    /// In one session.
    pub(crate) per_session: u64,
}

/// The metadata database; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    database: Arc<Reopening>,
}

impl Meta {
    /// Opens or creates the database file.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        Ok(Self { database: Arc::new(Reopening::new(move || open(&path))?) })
    }

    /// Runs `work` in one write transaction on a thread that may block; on disk when this returns.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        tokio::task::spawn_blocking(move || {
            database.with(|database| {
                let transaction = database.begin_write()?;
                // An error drops the transaction, which aborts it.
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            })
        })
        .await?
    }

    /// Runs `work` on a table as it was committed last.
    fn read<K: redb::Key + 'static, V: redb::Value + 'static, T>(
        &self,
        table: TableDefinition<'static, K, V>,
        work: impl FnOnce(ReadOnlyTable<K, V>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.database.with(|database| work(database.begin_read()?.open_table(table)?))
    }

    fn get<K: redb::Key + 'static, R: Message + Default>(
        &self,
        table: Records<K>,
        key: K::SelfType<'_>,
    ) -> Result<Option<R>, StoreError> {
        self.read(table, |table| {
            let found = table.get(key)?;
            found.map(|bytes| R::decode(bytes.value()).map_err(StoreError::from)).transpose()
        })
    }

    /// A stored object.
    pub(crate) fn object(&self, id: Id) -> Result<Option<ObjectRecord>, StoreError> {
        self.get(OBJECTS, id)
    }

    /// The object that holds a program.
    pub(crate) fn program_object(&self, program: Id) -> Result<Option<Id>, StoreError> {
        self.read(PROGRAMS, |table| Ok(table.get(program)?.map(|object| object.value())))
    }

    /// Ids and records of all stored objects.
    pub(crate) fn objects(&self) -> Result<Vec<(Id, ObjectRecord)>, StoreError> {
        self.read(OBJECTS, |table| {
            let mut objects = Vec::new();
            for entry in table.iter()? {
                let (id, bytes) = entry?;
                objects.push((id.value(), ObjectRecord::decode(bytes.value())?));
            }
            Ok(objects)
        })
    }

    /// Makes an object visible. If it is a program, `program` is its program id.
    pub(crate) async fn put_object(
        &self,
        id: Id,
        record: ObjectRecord,
        program: Option<Id>,
    ) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let bytes = record.encode_to_vec();
            transaction.open_table(OBJECTS)?.insert(id, bytes.as_slice())?;
            if let Some(program) = program {
                transaction.open_table(PROGRAMS)?.insert(program, id)?;
            }
            Ok(())
        })
        .await
    }

    /// A deployment.
    pub(crate) fn deployment(&self, id: Id) -> Result<Option<DeploymentRecord>, StoreError> {
        self.get(DEPLOYMENTS, id)
    }

    /// All deployments, oldest first.
    pub(crate) fn deployments(&self) -> Result<Vec<(Id, DeploymentRecord)>, StoreError> {
        self.read(DEPLOYMENTS, |table| {
            let mut deployments = Vec::new();
            for entry in table.iter()? {
                let (id, bytes) = entry?;
                deployments.push((id.value(), DeploymentRecord::decode(bytes.value())?));
            }
            deployments.sort_by_key(|(_, record)| record.sequence);
            Ok(deployments)
        })
    }

    /// Stores a deployment. One that is stored already keeps its place and time; the enclave's statement is replaced.
    pub(crate) async fn put_deployment(
        &self,
        id: Id,
        mut record: DeploymentRecord,
    ) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let mut table = transaction.open_table(DEPLOYMENTS)?;
            let before = table.get(id)?.map(|bytes| DeploymentRecord::decode(bytes.value()));
            match before.transpose()? {
                Some(before) => {
                    record.sequence = before.sequence;
                    record.created_unix_ms = before.created_unix_ms;
                    if record.proof.is_empty() {
                        record.proof = before.proof;
                    }
                }
                None => record.sequence = next(transaction, "deployments")?,
            }
            table.insert(id, record.encode_to_vec().as_slice())?;
            Ok(())
        })
        .await
    }

    /// A session.
    pub(crate) fn session(&self, id: Id) -> Result<Option<SessionRecord>, StoreError> {
        self.get(SESSIONS, id)
    }

    /// Sessions whose keys are not all stored.
    pub(crate) fn unfinished_sessions(&self) -> Result<Vec<Id>, StoreError> {
        self.read(SESSIONS, |table| {
            let mut unfinished = Vec::new();
            for entry in table.iter()? {
                let (id, bytes) = entry?;
                if SessionRecord::decode(bytes.value())?.keys_object.is_empty() {
                    unfinished.push(id.value());
                }
            }
            Ok(unfinished)
        })
    }

    /// Stores a session, or replaces its record.
    pub(crate) async fn put_session(
        &self,
        id: Id,
        record: SessionRecord,
    ) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let bytes = record.encode_to_vec();
            transaction.open_table(SESSIONS)?.insert(id, bytes.as_slice())?;
            Ok(())
        })
        .await
    }

    /// A job.
    pub(crate) fn job(&self, key: JobKey) -> Result<Option<JobRecord>, StoreError> {
        self.get(JOBS, key)
    }

    /// Stores a new job and puts it into the queue; its sequence number is set here.
    pub(crate) async fn submit_job(
        &self,
        key: JobKey,
        mut record: JobRecord,
        limits: QueueLimits,
    ) -> Result<Submission, StoreError> {
        self.write(move |transaction| {
            let mut jobs = transaction.open_table(JOBS)?;
            let before =
                jobs.get(key)?.map(|bytes| JobRecord::decode(bytes.value())).transpose()?;
            if let Some(before) = before {
                let same = before.signed == record.signed;
                return Ok(if same { Submission::Same } else { Submission::Other });
            }
            let mut queue = transaction.open_table(QUEUE)?;
            if queue.len()? >= limits.total {
                return Ok(Submission::Full);
            }
            let mut of_session = 0;
            for entry in queue.iter()? {
                of_session += u64::from(entry?.1.value().0 == key.0);
            }
            if of_session >= limits.per_session {
                return Ok(Submission::Full);
            }
            record.sequence = next(transaction, "jobs")?;
            jobs.insert(key, record.encode_to_vec().as_slice())?;
            queue.insert(record.sequence, key)?;
            Ok(Submission::New)
        })
        .await
    }

    /// Replaces a job's record; one that is no longer open leaves the queue.
    pub(crate) async fn put_job(&self, key: JobKey, record: JobRecord) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let bytes = record.encode_to_vec();
            transaction.open_table(JOBS)?.insert(key, bytes.as_slice())?;
            if !record.is_open() {
                transaction.open_table(QUEUE)?.remove(record.sequence)?;
            }
            Ok(())
        })
        .await
    }

    /// Keys of the open jobs, in order of acceptance.
    pub(crate) fn open_jobs(&self) -> Result<Vec<JobKey>, StoreError> {
        self.read(QUEUE, |table| {
            let mut keys = Vec::new();
            for entry in table.iter()? {
                keys.push(entry?.1.value());
            }
            Ok(keys)
        })
    }

    /// Open jobs that were accepted before sequence number `sequence`.
    pub(crate) fn jobs_ahead(&self, sequence: u64) -> Result<u64, StoreError> {
        self.read(QUEUE, |table| Ok(table.range(..sequence)?.count() as u64))
    }

    /// Number of audit entries.
    pub(crate) fn audit_length(&self) -> Result<u64, StoreError> {
        self.read(AUDIT, |table| Ok(table.len()?))
    }

    /// Appends audit entries, of which the first has number `from`. Those that are stored already are compared; the
    /// answer is whether they are the same. Entries beyond a gap are not stored: they have to be asked for again, together
    /// with those before them.
    pub(crate) async fn append_audit(
        &self,
        from: u64,
        entries: Vec<Vec<u8>>,
    ) -> Result<bool, StoreError> {
        self.write(move |transaction| {
            let mut table = transaction.open_table(AUDIT)?;
            let length = table.len()?;
            for (number, entry) in (from..).zip(&entries) {
                if number < length {
                    let stored = table.get(number)?;
                    if stored.is_none_or(|stored| stored.value() != entry.as_slice()) {
                        return Ok(false);
                    }
                } else if from <= length {
                    table.insert(number, entry.as_slice())?;
                }
            }
            Ok(true)
        })
        .await
    }

    /// At most `limit` audit entries from number `from` on.
    pub(crate) fn audit(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.read(AUDIT, |table| {
            let mut entries = Vec::new();
            for entry in table.range(from..)?.take(limit) {
                entries.push(entry?.1.value().to_vec());
            }
            Ok(entries)
        })
    }
}

/// Opens or creates the file, with every table.
fn open(path: &Path) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let database = builder.create(path)?;
    let transaction = database.begin_write()?;
    {
        // Opening creates: readers then find every table.
        transaction.open_table(OBJECTS)?;
        transaction.open_table(PROGRAMS)?;
        transaction.open_table(DEPLOYMENTS)?;
        transaction.open_table(SESSIONS)?;
        transaction.open_table(JOBS)?;
        transaction.open_table(QUEUE)?;
        transaction.open_table(AUDIT)?;
        transaction.open_table(COUNTERS)?;
    }
    transaction.commit()?;
    Ok(database)
}

/// Draws the next number of a counter: 0, 1, …
fn next(transaction: &WriteTransaction, counter: &str) -> Result<u64, StoreError> {
    let mut table = transaction.open_table(COUNTERS)?;
    let value = table.get(counter)?.map_or(0, |value| value.value());
    table.insert(counter, value + 1)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: QueueLimits = QueueLimits { total: 3, per_session: 2 };

    fn job(signed: &[u8]) -> JobRecord {
        JobRecord { signed: signed.to_vec(), ..JobRecord::default() }
    }

    #[tokio::test]
    async fn a_queue_survives_reopening_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.redb");
        let keys: Vec<JobKey> = [9, 1, 5].map(|n| ([n; 32], [n; 16])).to_vec();
        {
            let meta = Meta::open(&path).unwrap();
            for key in &keys {
                let submission = meta.submit_job(*key, job(b"x"), LIMITS).await.unwrap();
                assert_eq!(submission, Submission::New);
            }
        }
        let meta = Meta::open(&path).unwrap();
        assert_eq!(meta.open_jobs().unwrap(), keys);
        let mut first = meta.job(keys[0]).unwrap().unwrap();
        first.released = b"released".to_vec();
        meta.put_job(keys[0], first).await.unwrap();
        assert_eq!(meta.open_jobs().unwrap(), keys[1..]);
        assert_eq!(meta.jobs_ahead(2).unwrap(), 1);
    }

    #[tokio::test]
    async fn the_same_job_is_idempotent_and_another_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("meta.redb")).unwrap();
        let key = ([1; 32], [2; 16]);
        assert_eq!(meta.submit_job(key, job(b"a"), LIMITS).await.unwrap(), Submission::New);
        assert_eq!(meta.submit_job(key, job(b"a"), LIMITS).await.unwrap(), Submission::Same);
        assert_eq!(meta.submit_job(key, job(b"b"), LIMITS).await.unwrap(), Submission::Other);
        assert_eq!(meta.open_jobs().unwrap(), [key]);
    }

    #[tokio::test]
    async fn open_jobs_are_bounded_by_session_and_in_total() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("meta.redb")).unwrap();
        let submit = |session: u8, job_id: u8| {
            meta.submit_job(([session; 32], [job_id; 16]), job(b"a"), LIMITS)
        };
        assert_eq!(submit(1, 1).await.unwrap(), Submission::New);
        assert_eq!(submit(1, 2).await.unwrap(), Submission::New);
        assert_eq!(submit(1, 3).await.unwrap(), Submission::Full);
        assert_eq!(submit(2, 1).await.unwrap(), Submission::New);
        assert_eq!(submit(3, 1).await.unwrap(), Submission::Full);
    }

    #[tokio::test]
    async fn audit_entries_are_appended_once() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("meta.redb")).unwrap();
        assert!(meta.append_audit(0, vec![vec![0], vec![1]]).await.unwrap());
        assert!(meta.append_audit(1, vec![vec![1], vec![2]]).await.unwrap());
        assert!(meta.append_audit(7, vec![vec![7]]).await.unwrap());
        // Another history is noticed and does not replace the one that is stored.
        assert!(!meta.append_audit(1, vec![vec![9], vec![2], vec![3]]).await.unwrap());
        assert_eq!(meta.audit(0, 10).unwrap(), [[0], [1], [2]]);
        assert_eq!(meta.audit(1, 1).unwrap(), [[1]]);
        assert_eq!(meta.audit_length().unwrap(), 3);
    }
}
