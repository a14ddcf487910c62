//! Objects to the host and back, in chunks.

use super::{Host, TransportError};
use adyton_rpc::v1::{
    HasObjectRequest, ObjectKind, PutObjectHeader, PutObjectRequest, put_object_request::Part,
};
use adyton_wire::{ObjectId, ProgramId};
use std::io::{Read, Seek, SeekFrom};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Length of the object in bytes.
    pub length: u64,
    /// Whether the host had it already; then nothing was sent.
    pub existed: bool,
}

/// Chunks read ahead of the network.
const AHEAD: usize = 4;

impl Host {
    /// Uploads an object from `source` (from its start), unless the host has it. Memory: a few chunks.
    ///
    /// # Errors
    /// The source cannot be read or is not the object named, or the host refuses it.
    pub async fn put_object<S: Read + Seek + Send + 'static>(
        &self,
        kind: ObjectKind,
        object: ObjectId,
        program: Option<ProgramId>,
        mut source: S,
    ) -> Result<Stored, TransportError> {
        const ACTION: &str = "store an object";
        let read = |source| TransportError::Read { what: "the object to upload", source };
        let length = source.seek(SeekFrom::End(0)).map_err(read)?;
        source.rewind().map_err(read)?;
        let mut client = self.client.clone();
        let request = HasObjectRequest { object: object.0.to_vec().into() };
        let has = client.has_object(request).await.map_err(TransportError::status(ACTION))?;
        if has.into_inner().stored {
            return Ok(Stored { length, existed: true });
        }
        let (sender, receiver) = mpsc::channel(AHEAD);
        let header = PutObjectHeader {
            kind: kind.into(),
            length,
            object: object.0.to_vec().into(),
            program: program.map(|p| p.0.to_vec().into()).unwrap_or_default(),
        };
        let reader = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
            if sender.blocking_send(PutObjectRequest { part: Some(Part::Header(header)) }).is_err()
            {
                return Ok(());
            }
            loop {
                let mut chunk = Vec::with_capacity(adyton_rpc::MAX_CHUNK);
                let limit = adyton_rpc::MAX_CHUNK as u64;
                source.by_ref().take(limit).read_to_end(&mut chunk)?;
                // A closed channel means that the host has answered early: the answer says why.
                let message = PutObjectRequest { part: Some(Part::Chunk(chunk.into())) };
                let empty = matches!(&message.part, Some(Part::Chunk(c)) if c.is_empty());
                if empty || sender.blocking_send(message).is_err() {
                    return Ok(());
                }
            }
        });
        let reply = client.put_object(ReceiverStream::new(receiver)).await;
        reader.await.map_err(std::io::Error::other).and_then(|r| r).map_err(read)?;
        let reply = reply.map_err(TransportError::status(ACTION))?.into_inner();
        if *reply.object != object.0 {
            let reason = "it names another object".to_owned();
            return Err(TransportError::Answer { action: ACTION, reason });
        }
        Ok(Stored { length, existed: reply.existed })
    }
}
