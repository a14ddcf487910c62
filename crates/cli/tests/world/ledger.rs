//! What must hold of enclave and host after whatever happened to them: asked of both, and held against what was known before.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use adyton_rpc::tonic::transport::Channel;
use adyton_rpc::v1::host_client::HostClient;
use adyton_rpc::v1::{
    FetchResultRequest, GetAuditRequest, GetObjectRequest, JobRef, ListDeploymentsRequest,
    WatchJobRequest,
};
use adyton_wire::message::Released;
use adyton_wire::statement::{
    AUDIT_ENTRY_LENGTH, AuditEntry, AuditEvent, AuditHead, JobStatement, verify_audit,
};
use adyton_wire::{Request, Response};

use super::{PATIENCE, World};

/// What was answered to somebody so far, and may never be lost again.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The enclave's audit log.
    audit: Vec<u8>,
    /// Ids of deployments whose owners know them.
    pub(crate) deployments: HashSet<String>,
    /// Ids of objects that were uploaded whole, and which of them were looked at since.
    pub(crate) objects: HashSet<[u8; 32]>,
    seen: HashSet<[u8; 32]>,
}

impl Ledger {
    /// Holds enclave and host against what was known; learns what is new. Returns the releases by session and job.
    pub(crate) fn check(&mut self, world: &mut World) -> HashMap<([u8; 32], [u8; 16]), AuditEntry> {
        let audit = enclave_audit(world);
        assert!(audit.starts_with(&self.audit), "the enclave's audit log was rolled back");
        self.audit = audit;
        let (entries, _) = verify_audit(AuditHead::default(), &self.audit).unwrap();
        let mut released = HashMap::new();
        for entry in entries.into_iter().filter(|entry| entry.event == AuditEvent::Released) {
            let before = released.insert((entry.subject, entry.job), entry);
            assert!(before.is_none(), "released twice: {before:?}");
        }
        blocking(async {
            let mut host = connect(world).await;
            let known = host_audit(&mut host).await;
            assert!(self.audit.starts_with(&known), "the host's audit log is another");
            let listed = host.list_deployments(ListDeploymentsRequest {}).await.unwrap();
            let listed: HashSet<String> =
                listed.into_inner().deployments.iter().map(|d| hex(&d.deployment)).collect();
            assert!(self.deployments.is_subset(&listed), "a deployment is lost");
            for object in self.objects.difference(&self.seen) {
                let content = object_content(&mut host, object).await;
                assert_eq!(adyton_wire::digest::sha256(&content), *object, "an object is corrupt");
            }
        });
        self.seen.extend(&self.objects);
        world.assert_servers_run();
        released
    }

    /// [`Ledger::check`] with every object, those looked at before too.
    pub(crate) fn check_all(&mut self, world: &mut World) {
        self.seen.clear();
        self.check(world);
    }
}

/// Whether the host knows a job that was submitted.
pub(crate) fn is_known(world: &World, job: &JobStatement) -> bool {
    blocking(async {
        let request = WatchJobRequest { job: Some(reference(job)) };
        match connect(world).await.watch_job(request).await {
            Ok(_) => true,
            Err(status) if adyton_rpc::problem(&status) == Some("unknown-job") => false,
            Err(status) => panic!("{status}"),
        }
    })
}

/// Digest of the sealed result that the host hands out; the same however often it is asked.
pub(crate) fn sealed_result(world: &World, job: &JobStatement) -> [u8; 32] {
    blocking(async {
        let mut host = connect(world).await;
        let mut fetch = async || {
            let request = FetchResultRequest { job: Some(reference(job)) };
            host.fetch_result(request).await.unwrap().into_inner().released_message
        };
        let (first, second) = (fetch().await, fetch().await);
        assert_eq!(first, second);
        Released::decode(&first).unwrap().result.digest()
    })
}

fn reference(job: &JobStatement) -> JobRef {
    JobRef { session: job.session.0.to_vec().into(), job: job.job.0.to_vec().into() }
}

fn blocking<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn connect(world: &World) -> HostClient<Channel> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match HostClient::connect(world.url().to_owned()).await {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < deadline, "{error}: {}", world.logs()),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn enclave_audit(world: &World) -> Vec<u8> {
    let mut audit = Vec::new();
    loop {
        let from = (audit.len() / AUDIT_ENTRY_LENGTH) as u64;
        let Response::AuditLog { entries, length } = world.ask_enclave(&Request::GetAudit { from })
        else {
            panic!("no audit log");
        };
        audit.extend(entries);
        if audit.len() as u64 >= length * AUDIT_ENTRY_LENGTH as u64 {
            return audit;
        }
    }
}

async fn host_audit(host: &mut HostClient<Channel>) -> Vec<u8> {
    let mut audit: Vec<u8> = Vec::new();
    loop {
        let from = (audit.len() / AUDIT_ENTRY_LENGTH) as u64;
        let reply = host.get_audit(GetAuditRequest { from }).await.unwrap().into_inner();
        audit.extend(reply.entries.concat());
        if audit.len() as u64 >= reply.length * AUDIT_ENTRY_LENGTH as u64 {
            return audit;
        }
    }
}

async fn object_content(host: &mut HostClient<Channel>, object: &[u8; 32]) -> Vec<u8> {
    let request = GetObjectRequest { object: object.to_vec().into() };
    let mut chunks = host.get_object(request).await.unwrap().into_inner();
    let mut content = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        content.extend_from_slice(&chunk.data);
    }
    content
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
