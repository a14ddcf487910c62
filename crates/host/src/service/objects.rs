//! Objects: uploads checked against the program that fixes their length, and downloads.

use std::io::Read;
use std::sync::Arc;

use adyton_program::bundle::BundleShape;
use adyton_program::limits::MAX_PROGRAM_BYTES;
use adyton_program::{Program, VerifiedProgram};
use adyton_rpc::v1::put_object_request::Part;
use adyton_rpc::v1::{ObjectChunk, ObjectKind, PutObjectHeader, PutObjectReply, PutObjectRequest};
use adyton_rpc::{HostProblem, MAX_CHUNK};
use adyton_wire::Problem as SharedProblem;
use adyton_wire::digest::sha256;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::core::Core;
use crate::error::HostError;
use crate::metrics::{Edge, Party, Payload};
use crate::service::check::Check;
use crate::service::{id, malformed};
use crate::store::meta::Id;
use crate::store::objects::Expected;
use crate::store::record::ObjectRecord;

/// Chunks of a download that may wait for the network.
const CHUNKS_AHEAD: usize = 2;

/// What a header announces, checked.
struct Announced {
    kind: ObjectKind,
    id: Id,
    length: u64,
    program: Option<Id>,
}

impl Announced {
    fn new(header: &PutObjectHeader) -> Result<Self, HostError> {
        let kind = header.kind();
        let program = match kind {
            ObjectKind::Program if header.program.is_empty() => None,
            ObjectKind::Program => return Err(malformed("a program's upload names no program")),
            ObjectKind::Model | ObjectKind::Input => Some(id("program id", &header.program)?),
            _ => {
                let message = "only programs, models and inputs can be uploaded";
                return Err(HostError::refused(HostProblem::WrongKind, message));
            }
        };
        Ok(Self { kind, id: id("object id", &header.object)?, length: header.length, program })
    }

    fn edge(&self) -> Edge {
        match self.kind {
            ObjectKind::Program => (Party::ModelOwner, Party::Host, Payload::Program),
            ObjectKind::Model => (Party::ModelOwner, Party::Host, Payload::Model),
            _ => (Party::DataOwner, Party::Host, Payload::Input),
        }
    }
}

/// Takes an upload.
pub(crate) async fn put(
    core: &Core,
    mut parts: Streaming<PutObjectRequest>,
) -> Result<PutObjectReply, Status> {
    let first = parts.message().await?.and_then(|request| request.part);
    let Some(Part::Header(header)) = first else {
        return Err(malformed("an upload begins with its header").into());
    };
    let announced = Announced::new(&header)?;
    let edge = announced.edge();
    core.metrics.carried(edge, 0);
    if let Some(record) = core.objects.record(announced.id).map_err(HostError::from)? {
        // The id is the content's digest, so the content is the same; it must also be meant as the same.
        if record.kind != announced.kind as i32 || record.length != announced.length {
            let message = "stored as another kind of object";
            return Err(HostError::refused(HostProblem::WrongKind, message).into());
        }
        return Ok(PutObjectReply { object: header.object, existed: true });
    }
    match announced.program {
        None => put_program(core, &announced, parts).await?,
        Some(program) => put_bundle(core, &announced, program, parts).await?,
    }
    tracing::info!(
        object = %crate::store::hex(&announced.id),
        kind = announced.kind.as_str_name(),
        bytes = announced.length,
        "object stored"
    );
    Ok(PutObjectReply { object: header.object, existed: false })
}

/// The next chunk, counted; `None` at the end.
async fn next_chunk(
    core: &Core,
    edge: Edge,
    parts: &mut Streaming<PutObjectRequest>,
) -> Result<Option<Bytes>, Status> {
    let Some(request) = parts.message().await? else { return Ok(None) };
    match request.part {
        Some(Part::Chunk(chunk)) if chunk.len() > MAX_CHUNK => {
            let message = format!("a chunk has at most {MAX_CHUNK} bytes");
            Err(HostError::refused(SharedProblem::TooLarge, message).into())
        }
        Some(Part::Chunk(chunk)) if !chunk.is_empty() => {
            core.metrics.carried_more(edge, chunk.len());
            Ok(Some(chunk))
        }
        _ => Err(malformed("after the header come chunks that are not empty").into()),
    }
}

/// A program is small: it is held in memory until it is verified.
async fn put_program(
    core: &Core,
    announced: &Announced,
    mut parts: Streaming<PutObjectRequest>,
) -> Result<(), Status> {
    if announced.length > MAX_PROGRAM_BYTES as u64 {
        let message = format!("a program has at most {MAX_PROGRAM_BYTES} bytes");
        return Err(HostError::refused(SharedProblem::TooLarge, message).into());
    }
    let mut content = Vec::new();
    while let Some(chunk) = next_chunk(core, announced.edge(), &mut parts).await? {
        content.extend_from_slice(&chunk);
        if content.len() as u64 > announced.length {
            break;
        }
    }
    if content.len() as u64 != announced.length {
        let message = format!("{} bytes were announced", announced.length);
        return Err(HostError::refused(HostProblem::WrongLength, message).into());
    }
    if sha256(&content) != announced.id {
        let message = "the content does not have the announced digest";
        return Err(HostError::refused(HostProblem::WrongDigest, message).into());
    }
    let (verified, content) =
        tokio::task::spawn_blocking(move || verify(&content).map(|verified| (verified, content)))
            .await
            .map_err(HostError::from)??;
    let program = verified.id();
    core.objects
        .put(ObjectKind::Program as i32, content, Some(program))
        .await
        .map_err(HostError::from)?;
    Ok(())
}

/// Decodes and verifies a program.
pub(crate) fn verify(content: &[u8]) -> Result<VerifiedProgram, HostError> {
    let bad = |error: &dyn std::error::Error| {
        HostError::refused(SharedProblem::BadProgram, crate::error::chain(error))
    };
    let program = Program::decode(content).map_err(|error| bad(&error))?;
    VerifiedProgram::new(program).map_err(|error| bad(&error))
}

async fn put_bundle(
    core: &Core,
    announced: &Announced,
    program: Id,
    mut parts: Streaming<PutObjectRequest>,
) -> Result<(), Status> {
    let loaded = core.program(program).await?;
    let shape = if announced.kind == ObjectKind::Model {
        BundleShape::model(&loaded.verified)
            .and_then(|shape| shape.check_total(announced.length).map(|()| shape))
    } else {
        BundleShape::inputs_of_length(&loaded.verified, announced.length)
    };
    let shape = shape.map_err(HostError::from)?;
    let record = ObjectRecord {
        kind: announced.kind as i32,
        length: announced.length,
        program: program.to_vec(),
    };
    let expected = Expected { id: Some(announced.id), record };
    let mut upload = core.objects.begin(expected).await.map_err(HostError::from)?;
    let check = Check::start(Arc::clone(&loaded.verified), shape);
    while let Some(chunk) = next_chunk(core, announced.edge(), &mut parts).await? {
        upload.write(chunk.clone()).await.map_err(HostError::from)?;
        if !check.take(chunk).await {
            break;
        }
    }
    check.finish().await?;
    upload.finish().await.map_err(HostError::from)?;
    Ok(())
}

/// Streams an object in chunks.
pub(crate) async fn get(
    core: &Core,
    object: Id,
) -> Result<ReceiverStream<Result<ObjectChunk, Status>>, HostError> {
    let record = core.objects.record(object)?.ok_or_else(|| unknown_object(object))?;
    let mut reader = core.objects.reader(object).await?;
    let payload = match ObjectKind::try_from(record.kind) {
        Ok(ObjectKind::Program) => Payload::Program,
        Ok(ObjectKind::Model) => Payload::Model,
        Ok(ObjectKind::Input) => Payload::Input,
        Ok(ObjectKind::Keys) => Payload::Keys,
        _ => Payload::Result,
    };
    let edge = (Party::Host, Party::Owner, payload);
    core.metrics.carried(edge, 0);
    let metrics = Arc::clone(&core.metrics);
    let (send, receive) = mpsc::channel(CHUNKS_AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut data = Vec::new();
            let item = match reader.by_ref().take(MAX_CHUNK as u64).read_to_end(&mut data) {
                Ok(0) => return,
                Ok(length) => {
                    metrics.carried_more(edge, length);
                    Ok(ObjectChunk { data: data.into() })
                }
                Err(error) => Err(Status::from(HostError::Store(error.into()))),
            };
            let failed = item.is_err();
            // The receiver is gone when the caller hung up.
            if send.blocking_send(item).is_err() || failed {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(receive))
}

/// The refusal of an object that is not stored.
pub(crate) fn unknown_object(object: Id) -> HostError {
    let message = format!("object {} is not stored", crate::store::hex(&object));
    HostError::refused(HostProblem::UnknownObject, message)
}
