//! Sessions: opened by the enclave, whose keys the host pulls one by one and stores as one bundle.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use adyton_ckks::SeededEvaluationKey;
use adyton_program::bundle::{BundleShape, BundleWriter};
use adyton_rpc::v1::open_session_event::Event;
use adyton_rpc::v1::{KeyProgress, ObjectKind, OpenSessionEvent};
use adyton_wire::digest::sha256;
use adyton_wire::message::{KeyMade, OpenSession};
use adyton_wire::statement::SessionOpened;
use adyton_wire::{Problem as SharedProblem, Request, Response, Signed};
use bytes::Bytes;
use tokio::sync::mpsc::Sender;
use tonic::Status;

use crate::core::{Core, LoadedProgram, unix_seconds};
use crate::error::{HostError, chain};
use crate::link::LinkError;
use crate::metrics::{Party, Payload};
use crate::store::meta::Id;
use crate::store::objects::Expected;
use crate::store::record::{ObjectRecord, SessionRecord};

/// Where a session's opening reports to. The caller may be gone: that stops nothing.
type Events = Sender<Result<OpenSessionEvent, Status>>;

/// Opens a session, or goes on with one whose keys were cut off.
pub(crate) async fn open(core: &Core, message: Bytes, events: &Events) -> Result<(), HostError> {
    core.metrics.carried((Party::DataOwner, Party::Host, Payload::Session), message.len());
    let request = OpenSession::decode(&message)?;
    let statement = request.statement.verify_self()?;
    let signed = request.statement.encode();
    let session = statement.id();
    let deployment = core.deployment(statement.deployment)?;
    admit(&deployment.statement, &statement.owner)?;
    let program = core.program(to_id(&deployment.program)?).await?;

    let _only = core.openings.lock(session).await;
    let Response::SessionOpened(opened) = core.ask(Request::OpenSession(request)).await? else {
        return Err(LinkError::Unexpected.into());
    };
    let said = opened.unverified()?;
    let manifest = program.verified.program().keys.len();
    let same = said.session == session
        && said.deployment == statement.deployment
        && said.program.0 == program.verified.id()
        && said.keys as usize == manifest;
    if !same {
        return Err(LinkError::Unexpected.into());
    }
    let record = match core.meta.session(session.0)? {
        Some(record) if same_epoch(&record, &said)? => record,
        before => {
            // Keys of an earlier epoch are of no more use.
            if before.is_some() {
                core.parts.clear(session.0).await?;
            }
            let record = SessionRecord {
                deployment: statement.deployment.0.to_vec(),
                owner: statement.owner.0.to_vec(),
                opened: opened.encode(),
                statement: signed,
                ..SessionRecord::default()
            };
            core.meta.put_session(session.0, record.clone()).await?;
            record
        }
    };
    if record.keys_object.is_empty() {
        let (keys, key_statements) = pull_keys(core, &program, &said, events).await?;
        let record = SessionRecord { keys_object: keys.to_vec(), key_statements, ..record };
        core.meta.put_session(session.0, record).await?;
        core.parts.clear(session.0).await?;
        tracing::info!(%session, deployment = %statement.deployment, keys = manifest, "session opened");
    }
    let opened = opened.encode();
    core.metrics.carried((Party::Host, Party::DataOwner, Payload::Session), opened.len());
    send(events, Event::OpenedMessage(opened.into())).await;
    Ok(())
}

/// What of the policy can be checked without the enclave's counters, so that a stranger costs it nothing.
fn admit(signed: &[u8], owner: &adyton_wire::PublicKey) -> Result<(), HostError> {
    let statement =
        Signed::<adyton_wire::statement::DeploymentStatement>::decode(signed)?.unverified()?;
    if !statement.policy.admits(owner) {
        let message = "the deployment's policy does not admit this data owner";
        return Err(HostError::refused(SharedProblem::NotAllowed, message));
    }
    if statement.policy.expires <= unix_seconds() {
        return Err(HostError::refused(SharedProblem::Expired, "the deployment has expired"));
    }
    Ok(())
}

fn same_epoch(record: &SessionRecord, said: &SessionOpened) -> Result<bool, HostError> {
    let before = Signed::<SessionOpened>::decode(&record.opened)?.unverified()?;
    Ok(before.epoch == said.epoch && before.instance == said.instance)
}

/// Pulls every key of the manifest that is not there yet and stores all as one bundle. Returns its id, and what the enclave signed
/// about each key: an auditor asks for that.
async fn pull_keys(
    core: &Core,
    program: &Arc<LoadedProgram>,
    opened: &SessionOpened,
    events: &Events,
) -> Result<(Id, Vec<Vec<u8>>), HostError> {
    let shape = BundleShape::keys(&program.verified)?;
    let record = ObjectRecord {
        kind: ObjectKind::Keys as i32,
        length: shape.total_len(),
        program: program.verified.id().to_vec(),
    };
    let mut upload = core.objects.begin(Expected { id: None, record }).await?;
    let buffer = Buffer::default();
    let mut bundle = BundleWriter::new(shape, buffer.clone())?;
    let mut statements = Vec::new();
    for index in 0..opened.keys {
        let part = core.parts.get(opened.session.0, index).await?;
        let made = match part.map(|part| KeyMade::decode(&part)) {
            Some(Ok(made)) => made,
            // Not there, or a part of another version: the key is made again, the same.
            _ => {
                let made = make_key(core, program, opened, index).await?;
                core.parts.put(opened.session.0, index, made.encode().into()).await?;
                made
            }
        };
        statements.push(made.statement.encode());
        bundle.item(&made.key)?;
        upload.write(buffer.take()).await?;
        let progress = KeyProgress { made: index + 1, total: opened.keys };
        send(events, Event::Progress(progress)).await;
    }
    bundle.finish()?;
    upload.write(buffer.take()).await?;
    Ok((upload.finish().await?, statements))
}

/// Has the enclave make one key, and checks that it is the one that was asked for.
async fn make_key(
    core: &Core,
    program: &Arc<LoadedProgram>,
    opened: &SessionOpened,
    index: u32,
) -> Result<KeyMade, HostError> {
    let request = Request::MakeKey { session: opened.session, index };
    let Response::KeyMade(made) = core.ask(request).await? else {
        return Err(LinkError::Unexpected.into());
    };
    let said = made.statement.unverified()?;
    let same = said.session == opened.session
        && said.program == opened.program
        && said.index == index
        && said.epoch == opened.epoch
        && said.digest == sha256(&made.key);
    if !same {
        return Err(LinkError::Unexpected.into());
    }
    let (bytes, program) = (made.key.clone(), Arc::clone(program));
    let spec = program.verified.program().keys.get(index as usize).copied();
    let decoded = tokio::task::spawn_blocking(move || {
        SeededEvaluationKey::decode(&bytes, program.verified.parameters()).map(|key| key.spec())
    });
    match decoded.await? {
        Ok(found) if Some(found) == spec => Ok(made),
        Ok(found) => {
            tracing::error!(index, %found, "the enclave made another key than the manifest names");
            Err(LinkError::Unexpected.into())
        }
        Err(error) => {
            tracing::error!(index, error = chain(&error), "the enclave made a malformed key");
            Err(LinkError::Unexpected.into())
        }
    }
}

async fn send(events: &Events, event: Event) {
    // A caller that hung up is not told; the session is opened all the same.
    let _ = events.send(Ok(OpenSessionEvent { event: Some(event) })).await;
}

fn to_id(bytes: &[u8]) -> Result<Id, HostError> {
    bytes.try_into().map_err(|_| HostError::Damaged("an id in the metadata".to_owned()))
}

/// Bytes between the bundle's writer and the upload.
#[derive(Clone, Debug, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
