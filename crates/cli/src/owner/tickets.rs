//! Jobs that were submitted and not yet collected: kept beside the identity, so that a killed data owner loses no result.

use crate::error::CliError;
use adyton_wire::statement::JobStatement;
use adyton_wire::{JobId, SessionId, Signed};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Signed jobs of one identity, one file each, named by the job's id.
pub(super) struct Tickets {
    directory: PathBuf,
}

impl Tickets {
    /// The tickets beside an identity file.
    pub(super) fn beside(identity: &Path) -> Self {
        let mut name = identity.as_os_str().to_owned();
        name.push(".jobs");
        Self { directory: name.into() }
    }

    fn path(&self, job: &str) -> PathBuf {
        self.directory.join(format!("{job}.job"))
    }

    fn canaries_path(&self, job: &str) -> PathBuf {
        self.directory.join(format!("{job}.canaries"))
    }

    /// Stores a signed job durably before it is submitted.
    pub(super) fn put(&self, job: &JobId, message: &[u8]) -> Result<(), CliError> {
        self.store(self.path(&job.to_string()), message)
    }

    /// Stores where a job's canaries are hidden, durably; before the job itself.
    pub(super) fn put_canaries(&self, job: &JobId, canaries: &[u8]) -> Result<(), CliError> {
        self.store(self.canaries_path(&job.to_string()), canaries)
    }

    /// What [`put_canaries`](Self::put_canaries) stored; `None` for a job without.
    pub(super) fn canaries(&self, job: &str) -> Result<Option<Vec<u8>>, CliError> {
        let path = self.canaries_path(job);
        match std::fs::read(&path) {
            Ok(canaries) => Ok(Some(canaries)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CliError::file("read", &path)(error)),
        }
    }

    fn store(&self, path: PathBuf, content: &[u8]) -> Result<(), CliError> {
        let fail = |path: &Path| CliError::file("store the job in", path);
        std::fs::create_dir_all(&self.directory).map_err(fail(&self.directory))?;
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|e| e.error)
        };
        write().map(|_| ()).map_err(fail(&path))
    }

    /// Forgets a job (its id in hexadecimal digits) whose result was delivered, or which has none.
    pub(super) fn remove(&self, job: &str) -> Result<(), CliError> {
        for path in [self.path(job), self.canaries_path(job)] {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(CliError::file("remove", &path)(e));
                }
                _ => {}
            }
        }
        // Fails, as it should, while other jobs are kept there.
        let _ = std::fs::remove_dir(&self.directory);
        Ok(())
    }

    /// Stored jobs of one session, encoded.
    pub(super) fn of_session(&self, session: &SessionId) -> Result<Vec<Vec<u8>>, CliError> {
        let fail = || CliError::file("read the stored jobs in", &self.directory);
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(fail()(e)),
        };
        let mut jobs = Vec::new();
        for entry in entries {
            let path = entry.map_err(fail())?.path();
            if path.extension().is_none_or(|e| e != "job") {
                continue;
            }
            let message = std::fs::read(&path).map_err(CliError::file("read", &path))?;
            let job = Signed::<JobStatement>::decode(&message)
                .and_then(|signed| signed.unverified())
                .map_err(CliError::part(format!("{} is not a stored job", path.display())))?;
            if job.session == *session {
                jobs.push(message);
            }
        }
        Ok(jobs)
    }
}
