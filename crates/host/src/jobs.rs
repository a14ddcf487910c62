//! The jobs in motion: which wait for evaluation, which for release, and who watches them.
//!
//! What a job *is* stands in the metadata; here is only what a restart may forget.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::store::StoreError;
use crate::store::meta::{Id, JobKey, Meta};

/// Where a job is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JobStatus {
    /// Waits for its turn, or, if it is the first, for memory.
    Queued { waits_for_memory: bool },
    /// Steps done and to do, over all groups.
    Evaluating { done: u64, total: u64 },
    /// Evaluated; the enclave is asked for release.
    Releasing,
    /// Evaluated; its deployment's releases wait for an auditor.
    Auditing,
    /// The result can be fetched.
    Done,
    /// Refused after it was accepted.
    Refused { problem: String, message: String },
}

/// Queues and watchers.
#[derive(Debug)]
pub(crate) struct Jobs {
    /// To be evaluated.
    pub(crate) to_evaluate: Queue,
    /// Evaluated, to be released.
    pub(crate) to_release: Queue,
    /// Evaluated, to be released when an audit of their deployment has ended.
    waiting: Mutex<Waiting>,
    watched: Mutex<HashMap<JobKey, watch::Sender<JobStatus>>>,
    /// Counts jobs that were finished, so that watchers of waiting jobs look again.
    finished: watch::Sender<u64>,
}

impl Jobs {
    /// Takes up the jobs that the metadata says are open.
    pub(crate) fn open(meta: &Meta) -> Result<Self, StoreError> {
        let jobs = Self {
            to_evaluate: Queue::default(),
            to_release: Queue::default(),
            waiting: Mutex::default(),
            watched: Mutex::default(),
            finished: watch::Sender::new(0),
        };
        for key in meta.open_jobs()? {
            match meta.job(key)? {
                Some(record) if record.result_object.is_empty() => jobs.to_evaluate.push(key),
                Some(_) => {
                    jobs.set(key, JobStatus::Releasing);
                    jobs.to_release.push(key);
                }
                None => {}
            }
        }
        Ok(jobs)
    }

    /// Counts the audits that have ended: to be asked for before the enclave is asked for a release.
    pub(crate) fn audits_ended(&self) -> u64 {
        self.waiting().ended
    }

    /// Sets a job aside until an audit of its deployment has ended. If one has ended since `seen` was read, the job is queued at once:
    /// it might be the one that the job waits for.
    pub(crate) fn set_aside(&self, key: JobKey, deployment: Id, seen: u64) {
        self.set(key, JobStatus::Auditing);
        let mut waiting = self.waiting();
        if waiting.ended == seen {
            waiting.jobs.entry(deployment).or_default().push(key);
        } else {
            drop(waiting);
            self.to_release.push(key);
        }
    }

    /// Queues the jobs that waited for an audit of a deployment.
    pub(crate) fn audit_ended(&self, deployment: Id) {
        let mut waiting = self.waiting();
        waiting.ended += 1;
        for key in waiting.jobs.remove(&deployment).unwrap_or_default() {
            self.to_release.push(key);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Jobs that wait, for evaluation or release.
    pub(crate) fn open_count(&self) -> i64 {
        let count = self.to_evaluate.len() + self.to_release.len();
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// Follows a job. To be called before the job's record is read: then either the record says that the job is finished,
    /// or its end will be seen here.
    pub(crate) fn watch(&self, key: JobKey) -> watch::Receiver<JobStatus> {
        self.watched().entry(key).or_insert_with(queued).subscribe()
    }

    /// Forgets a job that is finished or never was.
    pub(crate) fn forget(&self, key: JobKey) {
        self.watched().remove(&key);
    }

    /// Sees the number of finished jobs change.
    pub(crate) fn watch_finished(&self) -> watch::Receiver<u64> {
        self.finished.subscribe()
    }

    /// Tells where a job is now.
    pub(crate) fn set(&self, key: JobKey, status: JobStatus) {
        self.watched().entry(key).or_insert_with(queued).send_replace(status);
    }

    /// Tells that a job is finished; its record must say so already.
    pub(crate) fn finish(&self, key: JobKey, status: JobStatus) {
        self.set(key, status);
        self.forget(key);
        self.finished.send_modify(|count| *count += 1);
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<JobKey, watch::Sender<JobStatus>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs that were set aside, by deployment.
#[derive(Debug, Default)]
struct Waiting {
    /// Audits that have ended since the host began.
    ended: u64,
    jobs: HashMap<Id, Vec<JobKey>>,
}

fn queued() -> watch::Sender<JobStatus> {
    watch::Sender::new(JobStatus::Queued { waits_for_memory: false })
}

/// Jobs in order of arrival. Bounded by the number of jobs that the metadata accepts.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    jobs: Mutex<VecDeque<JobKey>>,
    arrived: Notify,
}

impl Queue {
    /// Adds a job at the end.
    pub(crate) fn push(&self, key: JobKey) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push_back(key);
        self.arrived.notify_one();
    }

    /// Takes the first job; waits until there is one.
    pub(crate) async fn pop(&self) -> JobKey {
        loop {
            // A permit that is stored by `push` is not lost between the look and the wait.
            if let Some(key) = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
            {
                return key;
            }
            self.arrived.notified().await;
        }
    }

    fn len(&self) -> usize {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: JobKey = ([1; 32], [2; 16]);

    #[tokio::test]
    async fn a_queue_keeps_order_and_wakes() {
        let queue = std::sync::Arc::new(Queue::default());
        let other = std::sync::Arc::clone(&queue);
        let taken = tokio::spawn(async move { (other.pop().await, other.pop().await) });
        tokio::task::yield_now().await;
        queue.push(([1; 32], [1; 16]));
        queue.push(([2; 32], [2; 16]));
        assert_eq!(taken.await.unwrap(), (([1; 32], [1; 16]), ([2; 32], [2; 16])));
    }

    #[tokio::test]
    async fn jobs_set_aside_come_back_when_an_audit_ends_and_none_is_lost_in_between() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(&Meta::open(&folder.path().join("meta.redb")).unwrap()).unwrap();
        let (deployment, other) = ([3; 32], [4; 32]);
        jobs.set_aside(KEY, deployment, jobs.audits_ended());
        jobs.audit_ended(other);
        assert_eq!(jobs.to_release.len(), 0);
        jobs.audit_ended(deployment);
        assert_eq!(jobs.to_release.pop().await, KEY);
        // The audit ends between the enclave's answer and the setting aside.
        let seen = jobs.audits_ended();
        jobs.audit_ended(deployment);
        jobs.set_aside(KEY, deployment, seen);
        assert_eq!(jobs.to_release.pop().await, KEY);
    }

    #[tokio::test]
    async fn a_watcher_sees_the_end_even_when_the_job_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(&Meta::open(&folder.path().join("meta.redb")).unwrap()).unwrap();
        let mut watcher = jobs.watch(KEY);
        jobs.finish(KEY, JobStatus::Done);
        assert_eq!(*watcher.borrow_and_update(), JobStatus::Done);
    }
}
